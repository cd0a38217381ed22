"""Owns what a person reads about an action between near versions: what is not the same on the other side, and what is done."""

from collections.abc import Iterator
from typing import Any

from msgspec import json

from ocpp_proxy.model import Side
from ocpp_proxy.spec import actions
from ocpp_proxy_plugins.bridge.near_differences import Difference, differences
from ocpp_proxy_plugins.bridge.near_rows import NEAR, Way, beyond, filled, near, spoken

_LONG = {
    "cut": "cut to {most} characters", "text": "cut to {most} characters; left out where it is no plain text",
    "item": "over {most} characters: its item is left out", "refuse": "over {most} characters: the message is refused",
    "alias": "over {most} characters: a short name stands for it",
}
_DONE = {
    "drop": "left out", "item": "its item is left out", "refuse": "the message is refused",
    "alias": "a short name stands for it",
}


def near_pages(action: str, direction: str | None) -> list[str]:
    """One page for each direction and side that sends it; none where no version has it."""
    ways = NEAR if direction is None else (direction,)
    return ["\n".join(_page(way, side, action)) for way in ways for side in Side if _sends(way, side, action)]


def near_actions(direction: str | None) -> set[str]:
    """All actions that are sent."""
    ways = NEAR if direction is None else (direction,)
    return {action for way in ways for side in Side for action in actions.known(spoken(way, side)) if _sends(way, side, action)}


def _sends(way: str, side: Side, action: str) -> bool:
    return actions.direction(spoken(way, side), action) in (side, "both") and action in actions.known(spoken(way, side))


def _page(direction: str, side: Side, action: str) -> Iterator[str]:
    source = spoken(direction, side)
    target, way = beyond(source), near().way(source)
    station, csms = direction.split(":")
    sender, whom = ("station", "CSMS") if side is Side.STATION else ("CSMS", "station")
    yield f"{action}, from the {sender}    (station {station}, CSMS {csms})"
    if action not in actions.known(target):
        yield from _alone(way, action, target)
        return
    yield f"  becomes {action} to the {whom}, OCPP {target}: what both versions have goes as it is"
    there, back = differences(source, action, False), differences(target, action, True)
    yield from _half("Fields", there, way, action, target)
    yield from _half("Answer", back, near().way(target), action, source)
    refusal = way.refusal.get(action)
    if refusal is not None:
        yield f"  Answered, where it cannot be said: {json.encode(refusal).decode()}"
    row = way.items.get(action)
    if row is not None:
        yield f"  Answered one by one, where they cannot be said: {row.list} by {json.encode(row.status).decode()}"


def _alone(way: Way, action: str, target: str) -> Iterator[str]:
    if action in way.send:
        yield f"  goes nowhere: {way.send[action]}"
        return
    row = way.local.get(action)
    yield "  is answered by the bridge"
    yield f"  OCPP {target} has no {action}"
    if row is not None and row.answer is not None:
        yield f"  Answered: {json.encode(row.answer).decode()}"
    else:
        yield f"  Answered: CALLERROR {row.error if row is not None else 'NotSupported'}"


def _half(title: str, found: tuple[Difference, ...], way: Way, action: str, target: str) -> Iterator[str]:
    if not found:
        return
    yield f"  {title}:"
    tables: dict[str, Difference] = {}
    for one in found:
        yield f"    {_line(one, way, action, target)}"
        if one.kind in ("values", "free"):
            tables.setdefault(one.type, one)
    for kind, one in tables.items():
        yield f"  Table {kind}:"
        yield from _table(kind, one, way, action)


def _line(one: Difference, way: Way, action: str, target: str) -> str:
    match one.kind:
        case "field":
            row = way.field_of(one.holder, action)
            if row is None:
                return f"lost: {one.path}: no such field in OCPP {target}"
            other = "" if row.unless is None else f" (unless {json.encode(row.unless).decode()})"
            return f"{one.path}: the message is refused{other}: {row.why}"
        case "length":
            return f"{one.path}: {_LONG.get(way.length.get(one.holder, ''), 'at most {most}').format(most=one.most)}"
        case "number":
            how = way.number.get(one.holder, "")
            return f"{one.path}: a whole number, rounded {how if how != 'nearest' else 'to the nearest'}"
        case "required":
            how_filled: Any = way.fill.get(one.holder)
            why = filled(how_filled)
            if why is not None:
                return f"{one.path}: where it is missing the message is refused: {why}"
            return f"invented: {one.path}: {json.encode(how_filled).decode()}, where it is missing"
        case "values" | "free":
            return f"{one.path}: by the table {one.type}"
    return one.path


def _table(kind: str, one: Difference, way: Way, action: str) -> Iterator[str]:
    row = way.value_of(kind, action)
    if row is None:
        return
    for value in one.values if one.kind == "values" else ("any other text",):
        how = row.of(value)
        if how.startswith("="):
            yield f"    {value} -> {how[1:]}"
        else:
            yield f"    {value}: {_DONE.get(how, how)}" + (f": {row.why}" if row.why else "")
