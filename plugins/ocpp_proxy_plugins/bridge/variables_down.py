"""GetConfiguration of a 1.6 CSMS on a 2.0.1 station: its variables as keys, some of them counted or derived.

Besides the keys of 1.6 an operator may name any variable (``spots.written``). A value that is too long goes on in ``KEY#2``.
"""

from collections.abc import Iterator
from typing import Any

from ocpp_proxy_plugins.bridge import values
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.device_down import Entry, Said, ask_spots, missing, stock
from ocpp_proxy_plugins.bridge.pace import Pace
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.spots import Id, Spot, identity, written
from ocpp_proxy_plugins.bridge.tables import Key, Place, keys, place
from ocpp_proxy_plugins.bridge.work import Refusal, Work

MOST_VALUE = 500                            # characters of a value (1.6, 7.29)
MOST_KEY = 50
ROTATION = Place("ChargingStation", "PhaseRotation")
PROFILES = {
    "Core": "", "FirmwareManagement": "", "LocalAuthListManagement": "LocalAuthListCtrlr", "Reservation": "ReservationCtrlr",
    "SmartCharging": "SmartChargingCtrlr", "RemoteTrigger": "",
}
"""Feature profiles of 1.6, and the component whose Available says that there is one (none: the bridge has it always)."""
OWNED = frozenset(identity(place(at)) for at in (
    "SecurityCtrlr.BasicAuthPassword", "SecurityCtrlr.SecurityProfile", "OCPPCommCtrlr.WebSocketPingInterval",
    "OCPPCommCtrlr.NetworkConfigurationPriority",
))
"""What belongs to the connection between station and proxy."""


def key_of(name: str) -> Key | None:
    """A key of the tables; names have no case."""
    return keys().get(name) or next((key for key in keys().values() if key.name.casefold() == name.casefold()), None)


def get_configuration(desk: Desk, payload: dict[str, Any]) -> Work:
    """Without keys all that there are, from what is known; those that are named are asked for."""
    names = payload.get("key") or []
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        return Refusal("TypeConstraintViolation", "key is a list of texts")
    if any(len(one) > MOST_KEY for one in names):
        return Refusal("PropertyConstraintViolation", f"a key has at most {MOST_KEY} characters")
    if not names:
        return (yield from _every(desk))
    spots = {spot.id: spot for name in names for spot in _spots(desk, name)}
    said = yield from ask_spots(desk, list(spots.values()), Pace(desk))
    if said.failed is not None:
        return refused(desk, said.failed)
    found: list[dict[str, Any]] = []
    unknown: list[str] = []
    for name in dict.fromkeys(names):
        base, part = _parts(name)
        rows = list(_rows(desk, base, said))
        mine = rows if part == 1 else [row for row in rows if row["key"].casefold() == name.casefold()]
        found += mine
        if not mine:
            unknown.append(name)
    answer: dict[str, Any] = {"configurationKey": found} if found else {}
    return {**answer, "unknownKey": unknown} if unknown else answer


def _every(desk: Desk) -> Work:
    if not stock(desk).by_id:
        said = yield from ask_spots(desk, missing(desk), Pace(desk))
        if said.failed is not None and not said.found:
            return refused(desk, said.failed)
    return {"configurationKey": [row for name in keys() for row in _rows(desk, name, Said({}))]}


def _parts(name: str) -> tuple[str, int]:
    """``KEY#2`` -> KEY, 2; a key itself is its part 1."""
    base, mark, number = name.rpartition("#")
    return (base, int(number)) if mark and number.isascii() and number.isdecimal() and len(number) < 4 else (name, 1)


def _spots(desk: Desk, name: str) -> Iterator[Spot]:
    """What is to be asked for to answer a key."""
    name = _parts(name)[0]
    key = key_of(name)
    if key is None:
        spot = written(name)
        if spot is not None:
            yield spot
    elif key.codec == "phase rotation":
        yield from rotations(desk) or [Spot(ROTATION)]
    elif key.field == "Actual" and key.home is not None and key.home.component != "Bridge16":
        yield Spot(key.home)


def rotations(desk: Desk) -> list[Spot]:
    """The phase rotations that the station has."""
    return [entry.spot for entry in stock(desk).inventory.entries if is_rotation(entry.spot.id)]


def is_rotation(one: Id) -> bool:
    """Whether it is that of the station, of an EVSE or of a connector."""
    return one[3] == "phaserotation" and one[0] in ("chargingstation", "evse", "connector")


# ---- rows ----

def _rows(desk: Desk, name: str, said: Said) -> Iterator[dict[str, Any]]:
    """The key with its value, and those of the rest of a long one; none: there is no such key."""
    key = key_of(name)
    if key is None:
        spot = written(name)
        entry = said.found.get(spot.id) if spot is not None else None
        if spot is None or entry is None:
            return
        known, text = stock(desk).by_id.get(spot.id, entry), entry.value
        readonly = known.mutability == "ReadOnly" or (spot.id in OWNED and desk.options.link_settings == "refuse")
    else:
        found = _value(desk, key, said)
        if found is None:
            return
        text, readonly = found
    yield from _cut(desk, name, text, readonly)


def _cut(desk: Desk, name: str, text: str | None, readonly: bool) -> Iterator[dict[str, Any]]:
    if text is None:
        yield {"key": name, "readonly": readonly}
        return
    number = 1
    while True:
        part, text = split(text)
        yield {"key": name if number == 1 else f"{name}#{number}", "readonly": readonly or number > 1, "value": part}
        if text and number == 1:
            desk.lost("$.getVariableResult", f"{name[:MOST_KEY]}: the rest of the value is in {name[:MOST_KEY]}#2", "shortened")
        number += 1
        if not text or len(f"{name}#{number}") > MOST_KEY:
            return


def split(text: str) -> tuple[str, str]:
    """As much as one value holds, up to a comma where there is one; and the rest."""
    if len(text) <= MOST_VALUE:
        return text, ""
    comma = text.rfind(",", 0, MOST_VALUE + 1)
    return (text[:comma], text[comma + 1 :]) if comma > 0 else (text[:MOST_VALUE], text[MOST_VALUE:])


def _value(desk: Desk, key: Key, said: Said) -> tuple[str | None, bool] | None:
    """Value (None: it may not be read) and whether it is read-only; None: there is no such key."""
    if key.codec == "phase rotation":
        return _rotation(desk, said)
    if key.home is None or key.field == "derived":
        return _own(desk, key), True
    entry = said.found.get(identity(key.home), stock(desk).get(key.home))
    if key.field == "maxLimit":
        entry = stock(desk).get(key.home)
        if entry is None or entry.most is None:
            return None
        of_list = key.home.variable.endswith("Measurands")
        return str(values.count_of(entry.most) if of_list else int(entry.most)), True
    if entry is None:
        return None
    readonly = readonly_of(desk, key, entry)
    if entry.value is None or key.access == "W":
        return None, readonly
    return values.down(key, entry.value, stock(desk).inventory.phases.get(key.name, ())), readonly


def readonly_of(desk: Desk, key: Key, entry: Entry) -> bool:
    """Whether a write would be refused."""
    if key.owner == "link" and desk.options.link_settings == "refuse":
        return True
    if entry.mutability:
        return entry.mutability == "ReadOnly"
    return stock(desk).inventory.whole or key.access == "R"


def _rotation(desk: Desk, said: Said) -> tuple[str, bool] | None:
    found: dict[int, str] = {}
    writable = False
    for spot in rotations(desk) or [Spot(ROTATION)]:
        entry = said.found.get(spot.id, stock(desk).by_id.get(spot.id))
        number = desk.connector(spot.evse, spot.conn or None) if spot.evse else 0
        if entry is not None and entry.value and number is not None:
            found.setdefault(number, entry.value)
            writable = writable or entry.mutability != "ReadOnly"
    return (values.rotation_list(found), not writable) if found else None


def _own(desk: Desk, key: Key) -> str:
    """What the bridge knows itself."""
    count = max(1, sum(one.number > 0 for one in desk.kept.connectors))
    if key.name == "NumberOfConnectors":
        if not desk.kept.connectors:
            desk.lost("$.configurationKey", "the station told of no connector yet: one is taken", "invented")
        return str(count)
    if key.name == "ConnectorPhaseRotationMaxLength":
        return str(count + 1)
    if key.codec == "constant":
        return str(len(PROFILES))
    return ",".join(profile for profile, component in PROFILES.items() if not component or _has(desk, component))


def _has(desk: Desk, component: str) -> bool:
    """Whether the station has a component, that is a feature."""
    available = stock(desk).get(Place(component, "Available"))
    if available is not None and available.value is not None:
        return available.value.strip().casefold() == "true"
    return any(one[0] == component.casefold() for one in stock(desk).by_id)


DOWN_CSMS = {"GetConfiguration": get_configuration}
