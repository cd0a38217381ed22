"""ChangeConfiguration of a 1.6 CSMS on a 2.0.1 station: the variables that a key is, all or none of them.

The worst status counts. When one is refused, those that were set before get their former values back.
"""

from collections.abc import Generator
from typing import Any

from msgspec import Struct, structs

from ocpp_proxy.api import Answer, Ask
from ocpp_proxy_plugins.bridge import values
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.device_down import ITEMS, Entry, ask_spots, mapped, remember, stock
from ocpp_proxy_plugins.bridge.pace import Pace
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.spots import Id, Spot, each, identity, is_item, of, written
from ocpp_proxy_plugins.bridge.tables import Key, Place
from ocpp_proxy_plugins.bridge.variables_down import OWNED, is_rotation, key_of
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

WORST = ("Rejected", "NotSupported", "RebootRequired", "Accepted")
ENDED = Place("SampledDataCtrlr", "TxEndedMeasurands")
PASSWORD = identity(Place("SecurityCtrlr", "BasicAuthPassword"))


class Wish(Struct, frozen=True):
    """A variable and the value it is to have."""

    spot: Spot
    value: str


def change_configuration(desk: Desk, payload: dict[str, Any]) -> Work:
    """By SetVariables; what cannot be is answered here."""
    name, value = payload.get("key"), payload.get("value")
    if not isinstance(name, str) or not isinstance(value, str):
        return Refusal("TypeConstraintViolation", "key and value are texts")
    key = key_of(name)
    spot = written(name) if key is None else None
    if key is None and spot is None:
        return {"status": "NotSupported"}
    owned = key.owner == "link" if key is not None else spot is not None and spot.id in OWNED
    if owned and desk.options.link_settings == "refuse":
        desk.lost("$.value", "the setting belongs to the connection between station and proxy (option link_settings)")
        return {"status": "Rejected"}
    wishes = [Wish(spot, value)] if spot is not None else _wishes(desk, key, value) if key is not None else []
    if isinstance(wishes, str):
        return {"status": wishes}
    got, status = yield from _set(desk, wishes)
    if got is not None:
        return refused(desk, got)
    if key is not None and key.codec == "measurands" and status in ("Accepted", "RebootRequired"):
        phases = stock(desk).inventory.phases
        remember(desk, (), phases={**phases, key.name: values.phases(value, phases.get(key.name, ()))})
    return {"status": status}


def _wishes(desk: Desk, key: Key, value: str) -> list[Wish] | str:
    """What a key sets; else the status it is answered with, the station not asked."""
    if key.field != "Actual" or key.home is None:
        return "Rejected"                                   # known, and read-only
    if key.home.component == "Bridge16":
        return "NotSupported"
    if key.codec == "phase rotation":
        return _rotations(desk, value)
    entry = stock(desk).get(key.home)
    mutability = "" if entry is None else entry.mutability
    if mutability == "ReadOnly" or (not mutability and key.access == "R"):
        return "Rejected"
    text = values.up(key, value)
    if text is None:
        return "Rejected"
    found = [Wish(Spot(key.home), values.with_register(text) if key.home == ENDED else text)]
    for also in key.also_set:
        known = stock(desk).get(also)
        if known is not None and known.mutability == "ReadOnly":
            desk.lost("$.value", f"{also} cannot be set: it stays {known.value or 'as it is'}")
        elif key.name != "MeterValueSampleInterval" or _samples_at_end(desk):
            found.append(Wish(Spot(also), values.with_register(text) if key.codec == "measurands" else text))
    return found


def _samples_at_end(desk: Desk) -> bool:
    """Whether samples are collected for the end of a transaction; where it is not known, they are."""
    entry = stock(desk).get(ENDED)
    return entry is None or entry.value != ""


def _rotations(desk: Desk, value: str) -> list[Wish] | str:
    """One variable for each connector: of the connector or of its EVSE, which the station has."""
    found = []
    for number, rotation in values.rotations(value).items():
        spot = Spot(Place("ChargingStation", "PhaseRotation"))
        if number:
            if not any(one.number == number for one in desk.kept.connectors):
                return "Rejected"
            evse, conn = desk.evse(number)
            spot = Spot(Place("Connector", "PhaseRotation"), evse, conn)
            if spot.id not in stock(desk).by_id:
                spot = Spot(Place("EVSE", "PhaseRotation"), evse)
        known = stock(desk).by_id.get(spot.id)
        if known is not None and known.mutability == "ReadOnly":
            return "Rejected"
        found.append(Wish(spot, rotation))
    return found or "Rejected"


# ---- all or none ----

def _set(desk: Desk, wishes: list[Wish]) -> Generator[Ask, Answer | None, tuple[Got | None, str]]:
    """Set them all: why there was no answer, or the worst status."""
    pace = Pace(desk)
    unknown = [wish.spot for wish in wishes if _held(desk, wish.spot.id) is None]
    if unknown and len(wishes) > 1:
        yield from ask_spots(desk, unknown, pace)
    before = {wish.spot.id: _held(desk, wish.spot.id) for wish in wishes}
    at_once = stock(desk).number(ITEMS["SetVariables"]) or len(wishes)
    statuses: dict[Id, str] = {}
    got = Got(fault="nothing to set")
    for at in range(0, len(wishes), at_once):
        got = yield from pace.ask("SetVariables", _data(wishes[at : at + at_once]))
        if got.payload is None:
            break
        statuses.update(_statuses(desk, got.payload, wishes[at : at + at_once]))
        if _worst(statuses) in ("Rejected", "NotSupported"):
            break
    return (yield from _settled(desk, pace, wishes, before, statuses, got))


def _settled(
    desk: Desk, pace: Pace, wishes: list[Wish], before: dict[Id, str | None], statuses: dict[Id, str], got: Got,
) -> Generator[Ask, Answer | None, tuple[Got | None, str]]:
    """Remember what was set; or set it back, where not all of it was."""
    done = [wish for wish in wishes if statuses.get(wish.spot.id) in ("Accepted", "RebootRequired")]
    if len(done) == len(wishes):
        _set_now(desk, done)
        return None, _worst(statuses)
    if done:
        yield from _back(desk, pace, done, before)
    return (got, "") if got.payload is None else (None, _worst(statuses))


def _back(desk: Desk, pace: Pace, done: list[Wish], before: dict[Id, str | None]) -> Generator[Ask, Answer | None, None]:
    former = [Wish(wish.spot, value) for wish in done if (value := before.get(wish.spot.id)) is not None]
    statuses: dict[Id, str] = {}
    if former:
        got = yield from pace.ask("SetVariables", _data(former))
        statuses = _statuses(desk, got.payload or {}, former)
    for wish in done:
        if statuses.get(wish.spot.id) not in ("Accepted", "RebootRequired"):
            _set_now(desk, [wish])
            text = f"{wish.spot.place} was set, what belongs to it was not, and it could not be set back"
            desk.find("half-set", text, "warning", "station")


def _data(wishes: list[Wish]) -> dict[str, Any]:
    return {"setVariableData": [{**wish.spot.item(), "attributeValue": wish.value} for wish in wishes]}


def _statuses(desk: Desk, answer: dict[str, Any], wishes: list[Wish]) -> dict[Id, str]:
    """By variable, in the words of 1.6; what is not answered is Rejected."""
    found = {wish.spot.id: "Rejected" for wish in wishes}
    for at, result in enumerate(each(answer.get("setVariableResult"))):
        if is_item(result) and (one := of(result).id) in found:
            found[one] = desk.enum("Set201>16", result.get("attributeStatus")) or "Rejected"
            if "attributeStatusInfo" in result:
                desk.lost(f"$.setVariableResult[{at}].attributeStatusInfo", "no such field in OCPP 1.6")
    return found


def _worst(statuses: dict[Id, str]) -> str:
    return min(statuses.values(), key=WORST.index, default="Rejected")


def _held(desk: Desk, one: Id) -> str | None:
    entry = stock(desk).by_id.get(one)
    return None if entry is None else entry.value


def _set_now(desk: Desk, done: list[Wish]) -> None:
    """The station has these values now; a secret is not kept."""
    known = stock(desk).by_id
    mine = [wish for wish in done if wish.spot.id in mapped() or wish.spot.id in known or is_rotation(wish.spot.id)]
    remember(desk, [
        structs.replace(known.get(wish.spot.id, Entry(wish.spot)), value=wish.value)
        for wish in mine if wish.spot.id != PASSWORD
    ])


DOWN_CSMS = {"ChangeConfiguration": change_configuration}
