"""Owns what is known of a 2.0.1 station's variables: its own report once it has booted, and what is asked besides.

A ConfigurationInventory names what can be set. What 1.6 has keys for besides (read-only settings, lengths) is asked
by GetVariables and GetReport behind it.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge import jobs
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import NOTHING
from ocpp_proxy_plugins.bridge.lists import ENABLED, MOST_AT_ONCE
from ocpp_proxy_plugins.bridge.pace import Pace
from ocpp_proxy_plugins.bridge.spots import Id, Spot, each, identity, is_item, of
from ocpp_proxy_plugins.bridge.starting_down import PROVISIONED
from ocpp_proxy_plugins.bridge.tables import Place, keys, place
from ocpp_proxy_plugins.bridge.work import Background, Got, Work

MOST_ROWS = 1500                            # variables of a station that are kept
MOST_BYTES = 160_000                        # of all of them
USUAL_AT_ONCE = 20                          # items in one message to a station that does not say how many it takes
SILENT_NS = 60_000_000_000                  # how long the next page of a report is waited for
MOST_LIMIT = 1 << 40                        # a maxLimit that is believed
ITEMS = {action: place(f"DeviceDataCtrlr.ItemsPerMessage[{action}]") for action in ("GetVariables", "SetVariables")}
BESIDES = (
    "LocalAuthListCtrlr.Available", "ReservationCtrlr.Available", "SmartChargingCtrlr.Available",
    "SampledDataCtrlr.TxStartedMeasurands", "SampledDataCtrlr.TxEndedMeasurands",
)
"""What else is asked for: which features there are, and what is set together with a key."""
_MARK = "device.boot"
_PAGES = "device.pages"                     # in ``Session.notes``: the report that is under way
_DECODED = "device.decoded"
_BOUNDED = "device.bounded"


class Entry(Struct, frozen=True, gc=False, array_like=True):
    """A variable: its Actual value (None: none, or write-only), mutability (empty: not told), maxLimit."""

    spot: Spot
    value: str | None = None
    mutability: str = ""
    most: float | None = None


class Inventory(Struct, frozen=True, omit_defaults=True):
    """``phases``: key -> measurands that the CSMS wants by phase; ``whole``: the station told all that can be set."""

    entries: tuple[Entry, ...] = ()
    phases: dict[str, tuple[str, ...]] = {}
    whole: bool = False


class Pages(Struct):
    """A report that is under way. ``base``: the one of all that can be set."""

    request_id: int
    base: bool
    heard_ns: int
    entries: dict[Id, Entry] = {}


class Stock(Struct, frozen=True):
    """The inventory, and its entries by what they are found by."""

    inventory: Inventory
    by_id: dict[Id, Entry]

    def get(self, at: Place, evse: int = 0, conn: int = 0) -> Entry | None:
        """That variable."""
        return self.by_id.get(identity(at, evse, conn))

    def number(self, at: Place) -> int | None:
        """Its value, where that is a whole number above 0."""
        entry = self.get(at)
        text = (entry.value or "").strip() if entry is not None else ""
        return int(text) or None if text.isascii() and text.isdecimal() and len(text) < 10 else None


def stock(desk: Desk) -> Stock:
    """What is known of the station."""
    raw = desk.kept.device
    known: tuple[Raw, Stock] | None = desk.link.notes.get(_DECODED)
    if known is not None and known[0] is raw:
        return known[1]
    found = Inventory() if raw == NOTHING else msgspec.msgpack.decode(raw, type=Inventory)
    made = Stock(found, {entry.spot.id: entry for entry in found.entries})
    desk.link.notes[_DECODED] = raw, made
    return made


def remember(
    desk: Desk, said: Iterable[Entry], gone: Iterable[Id] = (), whole: bool | None = None, phases: Any = None,
) -> None:
    """The station said this; what it does not know is ``gone``. ``whole``: True: and that is all that can be set."""
    before = stock(desk)
    by_id = {} if whole else dict(before.by_id)
    for entry in said:
        by_id[entry.spot.id] = entry
    for one in gone:
        by_id.pop(one, None)
    by_id = _bounded(desk, by_id)
    old = before.inventory
    after = Inventory(tuple(by_id.values()), old.phases if phases is None else phases, old.whole if whole is None else whole)
    if after != old:
        raw = Raw(msgspec.msgpack.encode(after))
        made = Stock(after, by_id)
        desk.link.notes[_DECODED] = raw, made
        desk.keep(device=raw, facts=_facts(desk, made))


def _bounded(desk: Desk, by_id: dict[Id, Entry]) -> dict[Id, Entry]:
    """As many as are kept: those that 1.6 has keys for first."""
    size = sum(map(_size, by_id.values()))
    if len(by_id) <= MOST_ROWS and size <= MOST_BYTES:
        return by_id
    kept: dict[Id, Entry] = {}
    room = MOST_BYTES
    for one in sorted(by_id, key=lambda one: one not in mapped()):
        room -= _size(by_id[one])
        if room >= 0 and len(kept) < MOST_ROWS:
            kept[one] = by_id[one]
    if not desk.link.notes.get(_BOUNDED):
        desk.link.notes[_BOUNDED] = True
        text = f"the station has {len(by_id)} variables of {size} bytes: {len(kept)} are kept"
        desk.find("variables", text, "warning", "station")
    return kept


def _size(entry: Entry) -> int:
    at = entry.spot.place
    return len(at.component) + len(at.variable) + len(at.instance or "") + 4 * len(entry.value or "") + 40


@cache
def mapped() -> frozenset[Id]:
    """The variables that 1.6 has keys for, and those that are asked for besides."""
    wanted = [at for key in keys().values() for at in (key.home, *key.also_set) if at is not None]
    return frozenset(map(identity, [*wanted, *map(place, BESIDES), *ITEMS.values()]))


def _facts(desk: Desk, found: Stock) -> dict[str, Any]:
    facts = dict(desk.kept.facts)
    most = found.number(place("LocalAuthListCtrlr.ItemsPerMessage"))
    if most is not None:
        facts[MOST_AT_ONCE] = most
    said = [found.get(place(f"LocalAuthListCtrlr.{name}")) for name in ("Available", "Enabled")]
    flags = [(entry.value or "").strip().casefold() for entry in said if entry is not None]
    if flags:
        facts[ENABLED] = "false" not in flags
    return facts


# ---- asking ----

class Said(Struct):
    """``found``: what the station said of each; None: it does not know it. ``failed``: why it said nothing of the others."""

    found: dict[Id, Entry | None]
    failed: Got | None = None


def ask_spots(desk: Desk, spots: Sequence[Spot], pace: Pace) -> Generator[Ask, Answer | None, Said]:
    """GetVariables, as many at once as the station takes; what 1.6 has keys for is remembered."""
    said = Said({})
    at_once = stock(desk).number(ITEMS["GetVariables"]) or USUAL_AT_ONCE
    for at in range(0, len(spots), at_once):
        if pace.over:
            said.failed = said.failed or Got(timeout=True)
            break
        items = [spot.item() for spot in spots[at : at + at_once]]
        got = yield from pace.ask("GetVariables", {"getVariableData": items})
        if got.payload is None:
            said.failed = got
        else:
            said.found.update(_read(desk, got.payload, spots[at : at + at_once]))
    known = mapped()
    mine = {one: entry for one, entry in said.found.items() if one in known or one[3] == "phaserotation"}
    if mine:
        gone = [one for one, entry in mine.items() if entry is None]
        remember(desk, [entry for entry in mine.values() if entry is not None], gone)
    return said


def _read(desk: Desk, answer: Mapping[str, Any], spots: Sequence[Spot]) -> dict[Id, Entry | None]:
    by_id = {spot.id: spot for spot in spots}
    found: dict[Id, Entry | None] = dict.fromkeys(by_id)
    for at, result in enumerate(each(answer.get("getVariableResult"))):
        if not is_item(result) or (spot := by_id.get(of(result).id)) is None:
            continue
        if "attributeStatusInfo" in result:
            desk.lost(f"$.getVariableResult[{at}].attributeStatusInfo", "no such field in OCPP 1.6")
        status, value = result.get("attributeStatus"), result.get("attributeValue")
        before = stock(desk).by_id.get(spot.id, Entry(spot))
        if status == "Accepted":
            found[spot.id] = structs.replace(before, value=value if isinstance(value, str) else "")
        elif status == "Rejected":
            found[spot.id] = structs.replace(before, value=None)
    return found


# ---- reports ----

def notify_report(desk: Desk, payload: dict[str, Any]) -> Work:
    """The pages of a report that the bridge asked for; the CSMS hears nothing of them."""
    pages: Pages | None = desk.link.notes.get(_PAGES)
    if pages is None or payload.get("requestId") != pages.request_id:
        desk.lost("$", "nobody asked for this report")
        return {}
    pages.heard_ns = desk.now_ns
    for row in each(payload.get("reportData")):
        if is_item(row) and not row["component"].get("instance") and len(pages.entries) < 4 * MOST_ROWS:
            entry = _entry(row)
            pages.entries[entry.spot.id] = entry
    if payload.get("tbc") is not True:
        _finished(desk, pages, True)
    return {}
    yield


def _entry(row: dict[str, Any]) -> Entry:
    actual: dict[str, Any] = next((
        one for one in each(row.get("variableAttribute")) if isinstance(one, dict) and one.get("type", "Actual") == "Actual"
    ), {})
    value, mutability = actual.get("value"), actual.get("mutability", "ReadWrite")
    limits = row.get("variableCharacteristics")
    most = limits.get("maxLimit") if isinstance(limits, dict) else None
    text = value if isinstance(value, str) and mutability != "WriteOnly" else None
    return Entry(of(row), text, str(mutability), most if isinstance(most, int | float) and 0 <= most < MOST_LIMIT else None)


def _finished(desk: Desk, pages: Pages, whole: bool) -> None:
    """All pages are there, or no more come."""
    desk.link.notes.pop(_PAGES, None)
    remember(desk, pages.entries.values(), whole=True if whole and pages.base and pages.entries else None)
    for _, evse, conn, *_ in sorted(one for one in pages.entries if one[0] == "connector" and one[1] and one[2]):
        desk.known(evse, conn)
    if pages.base:
        desk.begin(_rest(desk.aside("GetVariables")), "what else OCPP 1.6 has keys for")


def _report(desk: Desk, action: str, base: bool, **more: Any) -> Generator[Ask, Answer | None, Got]:
    number = jobs.number(desk)
    desk.link.notes[_PAGES] = Pages(number, base, desk.now_ns)
    got = yield from desk.ask(Side.STATION, action, {"requestId": number, **more})
    pages: Pages | None = desk.link.notes.get(_PAGES)
    if got.status != "Accepted" and pages is not None and pages.request_id == number:
        del desk.link.notes[_PAGES]
    return got


def _discover(desk: Desk) -> Background:
    got = yield from _report(desk, "GetBaseReport", True, reportBase="ConfigurationInventory")
    if got.status != "Accepted" and not got.timeout:
        yield from _rest(desk)


def _rest(desk: Desk) -> Background:
    """What 1.6 has keys for and the report did not name; how long lists may be."""
    pace = Pace(desk)
    first = [at for at in ITEMS.values() if stock(desk).get(at) is None]
    if first:
        yield from ask_spots(desk, [Spot(at) for at in first], pace)
    yield from ask_spots(desk, missing(desk), pace)
    lengths = {key.home: None for key in keys().values() if key.field == "maxLimit" and key.home is not None}
    unknown = [at for at in lengths if (entry := stock(desk).get(at)) is None or entry.most is None]
    if unknown and not pace.over:
        yield from _report(desk, "GetReport", False, componentVariable=[Spot(at).item() for at in unknown])


def missing(desk: Desk) -> list[Spot]:
    """What is to be asked for: variables of keys that are not known, and those besides."""
    homes = [key.home for key in keys().values() if key.home is not None and key.field == "Actual"]
    known = stock(desk)
    wanted = [*(at for at in homes if at.component != "Bridge16" and at not in ITEMS.values()), *map(place, BESIDES)]
    return [Spot(at) for at in dict.fromkeys(wanted) if known.get(at) is None]


def tick(desk: Desk) -> None:
    """After an accepted boot on this link, once its transactions are as 1.6 has them; a report that stops is over."""
    boot = desk.kept.boot
    ready = boot is not None and boot.status == "Accepted" and PROVISIONED in desk.kept.facts
    if boot is not None and ready and desk.link.opened_ns <= boot.at_ns != desk.link.notes.get(_MARK):
        desk.link.notes[_MARK] = boot.at_ns
        desk.begin(_discover(desk.aside("GetBaseReport")), "what the station can be set to")
    pages: Pages | None = desk.link.notes.get(_PAGES)
    if pages is not None and desk.now_ns - pages.heard_ns > SILENT_NS:
        desk.find("report", f"report {pages.request_id} of the station ended without its last page", "info", "station")
        _finished(desk, pages, False)


DOWN_STATION = {"NotifyReport": notify_report}
DOWN_TICKS = [tick]
