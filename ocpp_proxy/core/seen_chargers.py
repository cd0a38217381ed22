"""Chargers as their records pass: state, traffic, latency, errors, outages, what they say they are. Bounded.

The rules here are those of the capture's summaries: what both answer from the same stream is equal. A charger is what asked
for an upgrade with an identity, or sent a message. Its connections are the links that got a 101 (in a trace all); a Call that
waits longer than the rules allow is unanswered until its answer comes; of CALLRESULTERROR as of CALLERROR.
"""

from array import array
from math import floor

import orjson
from msgspec import Struct, field

from ocpp_proxy.checks.values import dig, text
from ocpp_proxy.core.seen_findings import cut
from ocpp_proxy.model import Exchange, Finding, Frame, Link, Message, Side
from ocpp_proxy.records import Handshake
from ocpp_proxy.source import Charger

CHARGERS = 10_000
LINKS = 20_000                              # open links remembered
WAITING = 1_000                             # open Calls remembered of a charger
LATENCIES = 512                             # newest answers the p95 is made of
CONNECTORS = 100                            # of a charger, the last to report
LENGTH = 100                                # characters kept of a text
STEP_NS = 10_000_000_000                    # the rate counts in steps of ten seconds
STEPS = 30                                  # five minutes
YOUNG_US = 10_000_000                       # of a charger that is younger the rate is over ten seconds
P95 = 0.95


class _Charger(Struct):
    """What is known of one charger."""

    link: Link | None = None
    refused: bool = False
    connections: int = 0
    up: set[int] = field(default_factory=set)
    closed_ns: int = 0
    outage_ns: int = 0
    seen_ns: int = 0
    messages: int = 0
    first_us: int = 1 << 62
    last_us: int = 0
    steps: dict[int, int] = field(default_factory=dict)
    latencies: "array[int]" = field(default_factory=lambda: array("q"))
    answers: int = 0
    errors: int = 0
    waiting: dict[int, int] = field(default_factory=dict)
    connectors: dict[str, str] = field(default_factory=dict)
    protocol: str = ""
    boot: tuple[str, str, str] = ("", "", "")
    findings: int = 0
    level: int = -1


class _Link(Struct):
    identity: str = ""
    seen_ns: int = 0


class SeenChargers:
    """Takes records in. ``forgotten``: chargers no longer remembered, the longest unseen that were not connected."""

    def __init__(self, call_seconds: float) -> None:
        self.forgotten = 0
        self._patience_ns = int(call_seconds * 1e9)
        self._chargers: dict[str, _Charger] = {}
        self._links: dict[int, _Link] = {}

    def opened(self, link: Link) -> None:
        """A connection; it has an identity only in a trace."""
        self._links[link.link_id] = _Link(link.identity)
        if len(self._links) > LINKS:
            del self._links[next(iter(self._links))]
        if link.identity:
            self._connected(self._charger(link.identity), link)

    def shaken(self, shake: Handshake) -> None:
        """An answer to a request; one that asked for no upgrade makes no charger."""
        link = shake.link
        if not link.identity or (link.protocol_guessed and not shake.request_frame):
            return                          # nobody's, or our own guess of the protocol
        held = self._links.setdefault(link.link_id, _Link())
        held.identity = link.identity
        charger = self._charger(link.identity) if shake.upgrade else self._chargers.get(link.identity)
        if charger is None:
            return
        charger.seen_ns = max(charger.seen_ns, held.seen_ns)
        if shake.upgrade:
            charger.refused = link.status != 101
            charger.link = link
            if link.status == 101:
                self._connected(charger, link)

    def _connected(self, charger: _Charger, link: Link) -> None:
        charger.link = link
        charger.connections += 1
        if not charger.up and charger.closed_ns:
            charger.outage_ns += max(0, link.opened_ns - charger.closed_ns)
        charger.up.add(link.link_id)

    def closed(self, link_id: int, time_ns: int) -> None:
        """A link ended."""
        held = self._links.pop(link_id, None)
        charger = self._chargers.get(held.identity) if held is not None else None
        if charger is not None and link_id in charger.up:
            charger.up.discard(link_id)
            charger.closed_ns = max(charger.closed_ns, time_ns)

    def frame(self, frame: Frame) -> None:
        """A frame of the station says that it is there."""
        held = self._links.get(frame.link_id)
        if held is None or frame.sender is not Side.STATION:
            return
        held.seen_ns = max(held.seen_ns, cut(frame.time_ns))
        charger = self._chargers.get(held.identity)
        if charger is not None and held.seen_ns > charger.seen_ns:
            charger.seen_ns = held.seen_ns

    def message(self, message: Message, payload: object, far: bool = False) -> None:
        """A message of a charger with an identity; ``payload`` decoded where ``ASKED`` names its action, else None.

        ``far``: on the CSMS's leg of a bridge, so that it says nothing about the charger itself.
        """
        charger = self._charger(message.identity)
        charger.messages += 1
        charger.protocol = message.protocol if message.protocol and not far else charger.protocol
        _step(charger, message.time_ns // STEP_NS)
        time_us = message.time_ns // 1000
        charger.first_us, charger.last_us = min(charger.first_us, time_us), max(charger.last_us, time_us)
        if message.mtype in (4, 5):
            charger.errors += 1
        elif message.mtype == 2:
            charger.waiting[message.msg_no] = message.time_ns
            if len(charger.waiting) > WAITING:
                del charger.waiting[next(iter(charger.waiting))]
                charger.errors += 1
            if far:
                return
            if message.action == "BootNotification":
                charger.boot = boot_of(payload)
            elif message.action == "StatusNotification":
                _status(charger, message, status_of(payload))

    def answered(self, exchange: Exchange) -> None:
        """A Call was answered, or will not be."""
        charger = self._chargers.get(exchange.identity)
        if charger is None:
            return
        charger.waiting.pop(exchange.call_no, None)
        if exchange.answered_ns is None:
            charger.errors += 1
            return
        took = exchange.answered_ns // 1000 - exchange.called_ns // 1000
        if len(charger.latencies) < LATENCIES:
            charger.latencies.append(took)
        else:
            charger.latencies[charger.answers % LATENCIES] = took
        charger.answers += 1

    def found(self, finding: Finding) -> None:
        """A finding; given again it only changes."""
        charger = self._chargers.get(finding.identity)
        if charger is not None:
            charger.findings += finding.count == 1
            charger.level = max(charger.level, finding.severity.value)

    def chargers(self, now_ns: int) -> list[Charger]:
        """As ``source.Source.chargers``, at a record time."""
        due_ns = now_ns - self._patience_ns
        return [_told(identity, one, due_ns) for identity, one in sorted(self._chargers.items())]

    def _charger(self, identity: str) -> _Charger:
        charger = self._chargers.get(identity)
        if charger is None:
            if len(self._chargers) >= CHARGERS:
                self._forget()
            charger = self._chargers[identity] = _Charger()
        return charger

    def _forget(self) -> None:
        """Make room: many at once, as a scanner makes up one name after the other."""
        known = self._chargers
        away = sorted(known, key=lambda one: (bool(known[one].up), known[one].seen_ns))[: max(1, CHARGERS // 20)]
        for identity in away:
            del known[identity]
        self.forgotten += len(away)


ASKED = frozenset(("BootNotification", "StatusNotification"))


def boot_of(payload: object) -> tuple[str, str, str]:
    """Vendor, model and firmware in the payload of a BootNotification, 1.x or 2.x."""
    about = dig(payload, "chargingStation")
    names = ("vendorName", "model", "firmwareVersion")
    if not isinstance(about, dict):
        about, names = payload, ("chargePointVendor", "chargePointModel", "firmwareVersion")
    vendor, model, firmware = (text(dig(about, name))[:LENGTH] for name in names)
    return vendor, model, firmware


def status_of(payload: object) -> str:
    """The status in the payload of a StatusNotification, 1.x or 2.x; empty: none."""
    return (text(dig(payload, "status")) or text(dig(payload, "connectorStatus")))[:LENGTH]


def place_of(evse: int | None, connector: int | None) -> str:
    """A connector as ``Charger.connectors`` names it; empty: none."""
    if connector is None:
        return ""
    return str(connector) if evse is None else f"{evse}/{connector}"


def loads(payload: bytes) -> object:
    """A payload as JSON, None where it is none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def by_place(connectors: dict[str, str]) -> dict[str, str]:
    """The connectors that were last to report, in the order of their numbers; without those whose status cannot be read."""
    newest = list(connectors.items())[-CONNECTORS:]
    return dict(sorted((item for item in newest if item[1]), key=lambda item: [int(part) for part in item[0].split("/")]))


def rate(lately: int, age_us: int) -> float:
    """Messages a minute: of those of the last five minutes, over as much of them as there is between first and last message."""
    return lately * 60e6 / min(max(age_us, YOUNG_US), STEPS * STEP_NS // 1000)


def quantile(values: "array[int]", share: float) -> float:
    """The continuous quantile, between the two values next to it; of at least one value."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = ordered[floor(place)]
    return low + (ordered[min(floor(place) + 1, len(ordered) - 1)] - low) * (place - floor(place))


def _status(charger: _Charger, message: Message, status: str) -> None:
    place = place_of(message.evse_id, message.connector_id)
    if not place:
        return
    charger.connectors.pop(place, None)     # the last to report stands last
    charger.connectors[place] = status
    if len(charger.connectors) > CONNECTORS:
        del charger.connectors[next(iter(charger.connectors))]


def _step(charger: _Charger, step: int) -> None:
    steps = charger.steps
    if step in steps:
        steps[step] += 1
        return
    newest = max(steps, default=step)
    if step > newest - STEPS:
        steps[step] = 1
    if step > newest:
        for old in [one for one in steps if one <= step - STEPS]:
            del steps[old]


def _told(identity: str, one: _Charger, due_ns: int) -> Charger:
    link = one.link
    late = sum(called_ns <= due_ns for called_ns in one.waiting.values())
    return Charger(
        identity, "refused" if one.refused else "open" if one.up else "closed", (link.protocol if link else "") or one.protocol,
        link.remote if link else "", by_place(one.connectors), link.opened_ns if link else 0,
        max(one.seen_ns, link.opened_ns if link else 0), one.messages,
        rate(sum(one.steps.values()), one.last_us - one.first_us),
        quantile(one.latencies, P95) / 1000 if one.latencies else None, one.errors + late, max(0, one.connections - 1),
        one.outage_ns / 1e9, *one.boot, one.findings, one.level,
    )
