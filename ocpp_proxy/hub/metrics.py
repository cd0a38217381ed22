"""Prometheus metrics of the hub: counted per record in plain dictionaries, made into families when scraped.

Label values that a peer chose are folded into known actions, codes and protocols, or ``other``: a hostile charger
cannot grow the series.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ocpp_proxy import __version__
from ocpp_proxy.model import Link, Opcode, Side
from ocpp_proxy.records import (
    Audited,
    ExchangeDone,
    Found,
    FrameSeen,
    Gap,
    Handshake,
    LinkClosed,
    LinkOpened,
    Lost,
    MessageSeen,
    Record,
)
from ocpp_proxy.spec import actions, errors, versions

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TYPES = {2: "call", 3: "result", 4: "error", 5: "result_error", 6: "send"}
OTHER = "other"
_SIDES = (Side.STATION.value, Side.CSMS.value)
_CSMS, _TEXT = Side.CSMS, Opcode.TEXT       # looked up once: members of an enum are slow to get at
_Said = tuple[bool, int, str, str, str]     # by the CSMS, type, action, protocol, error code
_Asked = tuple[bool, str, str]              # by the CSMS, protocol, action


class Metrics:
    """Counts records. ``render`` gives the text of a scrape."""

    def __init__(self, instance: Path, gauges: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        self._instance = instance
        self._gauges = gauges               # name -> (help, value), asked at each scrape
        self._open: dict[int, str] = {}     # link_id -> protocol
        self._counts: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in _COUNTERS}
        self._exchanges = _Histograms()
        self._commits = _Histograms()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def count(self, stream: Sequence[Record]) -> None:
        """Count a batch of records: messages and exchanges as they are, then label by label, of which a batch has few."""
        messages: dict[_Said, int] = {}
        exchanges: dict[_Asked, list[float]] = {}
        texts, sizes = [0, 0], [0, 0]
        for record in stream:               # type() is: three times as quick as match, once per record
            if type(record) is FrameSeen:
                frame = record.frame
                side = frame.sender is _CSMS
                sizes[side] += len(frame.raw) or len(frame.header) + len(frame.mask) + len(frame.payload)
                if frame.opcode is _TEXT:
                    texts[side] += 1
                else:
                    self._counts["ocpp_frames"][frame.sender.value, frame.opcode.value] += 1
            elif type(record) is MessageSeen:
                message = record.message
                said = (message.sender is _CSMS, message.mtype, message.action, message.protocol, message.error_code)
                messages[said] = messages.get(said, 0) + 1
            elif type(record) is ExchangeDone:
                exchange = record.exchange
                if exchange.answered_ns is None:
                    self._counts["ocpp_unanswered"][(known_action(exchange.protocol, exchange.action),)] += 1
                    continue
                asked = (exchange.caller is _CSMS, exchange.protocol, exchange.action)
                exchanges.setdefault(asked, []).append((exchange.answered_ns - exchange.called_ns) / 1e9)
            else:
                self._event(record)
        for place, side_name in enumerate(_SIDES):
            if sizes[place]:
                self._counts["ocpp_bytes"][(side_name,)] += sizes[place]
            if texts[place]:
                self._counts["ocpp_frames"][side_name, _TEXT.value] += texts[place]
        for said, number in messages.items():
            self._messages(said, number)
        for (by_csms, protocol, action), seconds in exchanges.items():
            self._exchanges.observe((_SIDES[not by_csms], known_action(protocol, action)), seconds)

    def _event(self, record: Record) -> None:
        counts = self._counts
        match record:
            case Found(finding):
                counts["ocpp_findings"][finding.code, finding.severity.label] += 1
            case LinkOpened(link):
                self._open[link.link_id] = "none"
            case Handshake(link=link):
                self._handshake(link)
            case LinkClosed(link_id=link_id, how=how, closed_by=by):
                self._open.pop(link_id, None)
                counts["ocpp_disconnects"][how, by or "none"] += 1
            case Gap(frames=frames):
                counts["ocpp_gaps"][()] += 1
                counts["ocpp_gap_records"][()] += frames
            case Lost(plugin=plugin, what=what):
                counts["ocpp_losses"][plugin, what] += 1
            case Audited(action=act):
                counts["ocpp_acts"][(act,)] += 1
            case _:
                pass

    def committed(self, seconds: float) -> None:
        """One commit took so long."""
        self._commits.observe((), [seconds])

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families (called by prometheus-client)."""
        for name, (text, labels) in _COUNTERS.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for key, value in self._counts[name].items():
                family.add_metric(key, value)
            yield family
        yield self._exchanges.family("ocpp_exchange_seconds", "Time from a Call to its answer.", ("responder", "action"))
        yield self._commits.family("ocpp_capture_commit_seconds", "Time of one commit to the capture.", ())
        links = GaugeMetricFamily("ocpp_connections", "Open links to chargers.", labels=("protocol",))
        for protocol, number in Counter(self._open.values()).items():
            links.add_metric((protocol,), number)
        yield links
        for gauge, (what, level) in self._gauges().items():
            yield GaugeMetricFamily(gauge, what, value=level)
        yield from self._relay()
        build = GaugeMetricFamily("ocpp_build_info", "The running version.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build

    def _messages(self, said: "_Said", number: int) -> None:
        by_csms, mtype, action, protocol, code = said
        action = known_action(protocol, action)
        kind = TYPES.get(mtype, "malformed")
        self._counts["ocpp_messages"][_SIDES[by_csms], kind, action, known_protocol(protocol)] += number
        if mtype in (4, 5):
            self._counts["ocpp_call_errors"][action, known_code(protocol, code)] += number

    def _handshake(self, link: Link) -> None:
        if link.link_id in self._open:
            self._open[link.link_id] = known_protocol(link.protocol) if link.status == 101 else "none"
        status = str(link.status) if 100 <= link.status <= 599 else OTHER if link.status else "none"
        self._counts["ocpp_connects"][(status,)] += 1

    def _relay(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for worker, numbers in relay_numbers(self._instance):
            for key, value in numbers.items():
                if not isinstance(value, int | float) or not key.isidentifier() or key in _NO_GAUGES:
                    continue
                name = f"ocpp_relay_{key}"
                family = families.setdefault(name, GaugeMetricFamily(name, f"{key} of a relay worker.", labels=("worker",)))
                family.add_metric((worker,), value)
        yield from families.values()


def relay_numbers(instance: Path) -> list[tuple[str, dict[str, Any]]]:
    """What the relay workers leave beside the spool: one flat JSON object each, by worker."""
    found = []
    for path in sorted(instance.glob("relay-*.json")):
        try:
            found.append((path.stem.removeprefix("relay-"), msgspec.json.decode(path.read_bytes(), type=dict[str, Any])))
        except (OSError, msgspec.DecodeError):
            continue
    return found


_NO_GAUGES = ("pid", "incarnation", "time_ns")
_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ocpp_connects": ("HTTP answers to chargers, by status.", ("status",)),
    "ocpp_disconnects": ("Links that ended.", ("how", "by")),
    "ocpp_frames": ("Frames and HTTP heads.", ("sender", "opcode")),
    "ocpp_bytes": ("Bytes of them on the wire.", ("sender",)),
    "ocpp_messages": ("OCPP messages.", ("sender", "type", "action", "protocol")),
    "ocpp_call_errors": ("CALLERROR and CALLRESULTERROR.", ("action", "code")),
    "ocpp_unanswered": ("Calls that nobody answered.", ("action",)),
    "ocpp_findings": ("Findings.", ("rule", "severity")),
    "ocpp_gaps": ("Gaps in the capture.", ()),
    "ocpp_losses": ("Fields that a plugin did not carry as they came.", ("plugin", "what")),
    "ocpp_acts": ("What people did to the traffic.", ("act",)),
    "ocpp_gap_records": ("Relay records missing in those gaps.", ()),
}


class _Histograms:
    """Cumulative histograms by label values."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, key: tuple[str, ...], seconds: list[float]) -> None:
        """Take in values; they are put in order here."""
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0] * (len(BUCKETS) + 1)
        seconds.sort()
        below = 0
        for place, bound in enumerate(BUCKETS):
            if below == len(seconds):
                break
            upto = bisect_right(seconds, bound, below)
            counts[place] += upto - below
            below = upto
        counts[-1] += len(seconds) - below
        self._sums[key] = self._sums.get(key, 0.0) + sum(seconds)

    def family(self, name: str, text: str, labels: tuple[str, ...]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=labels)
        for key, counts in self._counts.items():
            total, buckets = 0, []
            for bound, number in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += number
                buckets.append((bound, total))
            family.add_metric(key, buckets, self._sums[key])
        return family


def known_action(protocol: str, action: str) -> str:
    """The action if any version (or the link's own) knows it, else ``other``."""
    version = versions.version_of(protocol)
    if version:
        return action if action in actions.known(version) else OTHER
    return action if actions.versions(action) else OTHER


def known_code(protocol: str, code: str) -> str:
    """The error code if the link's version (or any) knows it, else ``other``."""
    return code if code in errors.CODES.get(versions.version_of(protocol), errors.ALL_CODES) else OTHER


def known_protocol(protocol: str) -> str:
    """The registered subprotocol, ``none`` without one, else ``other``."""
    if not protocol:
        return "none"
    spoken = versions.lookup(protocol)
    return spoken.subprotocol if spoken else OTHER
