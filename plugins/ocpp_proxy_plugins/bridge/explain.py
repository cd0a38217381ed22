"""Owns what a person reads about an action: from, to, each field, what is made up and lost, the answer; from the tables."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from msgspec import json

from ocpp_proxy_plugins.bridge.converters import FIXED
from ocpp_proxy_plugins.bridge.near_explain import near_actions, near_pages
from ocpp_proxy_plugins.bridge.near_rows import NEAR
from ocpp_proxy_plugins.bridge.rows import DOWN, UP, ActionRow, Direction, Rows, ShapeRow, other, read, sender_version

KINDS: Mapping[str, str] = {
    "translate": "becomes", "choose": "becomes one of", "split": "becomes one of", "fanout": "becomes", "merge": "may become",
    "fsm": "becomes, as the transaction goes,", "optional": "goes as", "local": "",
}
HOWS: Mapping[str, str] = {
    "same": "", "time": "in UTC, with milliseconds", "int": "", "number": "", "code": "by the bridge",
}


def explain(action: str, direction: str | None = None) -> str:
    """Everything the tables say about an action, in one direction ("1.6:2.0.1", "2.1:2.0.1" ...), or between 1.6 and 2.0.1 in
    both; of an action that these do not have between 2.0.1 and 2.1.

    Raises ``ValueError`` with a text for the user: for an unknown direction or action, and which one was probably meant.
    """
    if direction is not None and direction not in (*get_args(Direction), *NEAR):
        raise ValueError(f"no direction {direction!r}: one of {', '.join((*get_args(Direction), *NEAR))} (station:CSMS)")
    found = [
        (way, row) for way in (UP, DOWN) if direction in (None, way) for row in read().actions(way) if row.name == action
    ]
    if not found:
        near = near_pages(action, direction) if direction not in get_args(Direction) else []
        if not near:
            raise ValueError(_unknown(action, direction))
        return "\n\n".join(near) + "\n"
    return "\n\n".join("\n".join(_page(way, row)) for way, row in found) + "\n"


def _unknown(action: str, direction: str | None) -> str:
    names = sorted({row.name for way in (UP, DOWN) if direction in (None, way) for row in read().actions(way)})
    if direction not in get_args(Direction):
        names = sorted({*names, *near_actions(direction)})
    lower = {name.lower(): name for name in names}
    near = get_close_matches(action[:80].lower(), list(lower), 1, 0.6)
    where = f" in the direction {direction}" if direction else ""
    return f"no action {action[:80]!r}{where}" + (f": did you mean {lower[near[0]]}?" if near else "")


def _page(way: Direction, row: ActionRow) -> Iterator[str]:
    version = sender_version(way, row.sender)
    station, csms = way.split(":")
    whom, sender = ("CSMS", "station") if row.sender == "station" else ("station", "CSMS")
    yield f"{row.name}, from the {sender}    (station {station}, CSMS {csms})"
    if row.targets:
        yield f"  {KINDS[row.kind]} {_listed(row.targets, row.kind)} to the {whom}, OCPP {other(version)}"
    else:
        yield "  is answered by the bridge"
    if row.note:
        yield f"  {row.note}"
    for target in ("", *row.targets):
        every = "of all of them" if len(row.targets) > 1 else ""
        yield from _half(f"  {target}" if target else f"  Fields {every}".rstrip(), row, target, 1)
        yield from _half(f"  Answer to {target}" if target else f"  Answer {every}".rstrip(), row, target, 0)
    yield from _local(row)
    yield from _shapes(row, version)


def _listed(names: tuple[str, ...], kind: str) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} {'or' if kind in ('choose', 'split', 'fsm') else 'and'} {names[-1]}"


def _half(title: str, row: ActionRow, target: str, side: int) -> Iterator[str]:
    request = side == 1
    lines = list(_rows(row.request if request else row.answer, row, target, side))
    told = [
        *_told("made", row.made if request else row.answer_made, row, target),
        *_told("always", row.fixed if request else row.answer_fixed, row, target),
        *(_told("invented", row.invented, row, target) if request else ()),
        *_told("lost", row.dropped if request else row.answer_dropped, row, target),
    ]
    if lines or told:
        yield f"{title}:"
        yield from lines
        yield from told


def _rows(rows: Rows, row: ActionRow, target: str, side: int) -> Iterator[str]:
    for line in rows:
        path = _own(line[side], target, row)
        if path is not None:
            yield _line(path if side == 0 else line[0], path if side == 1 else line[1], line[2])


def _own(path: str, target: str, row: ActionRow) -> str | None:
    """The path, where it is for this target alone; of target "" where it is for all of them."""
    name, colon, rest = path.partition(":")
    named = bool(colon) and name in row.targets
    if named:
        return rest if name == target else None
    return path if not target else None


def _line(source: str, target: str, how: str) -> str:
    source, target = source.removeprefix("[]."), target.removeprefix("[].")
    if not target:
        return f"    {source}: kept by the bridge"
    spare = "where nothing else is there" if how.startswith("else ") else ""
    text = ", ".join(filter(None, (_how(how.removeprefix("else ")), spare)))
    return f"    {source} -> {target}" + (f"    {text}" if text else "")


def _how(how: str) -> str:
    word, _, rest = how.partition(" ")
    if how in HOWS:
        return HOWS[how]
    if how in FIXED:
        return how
    if word == "text":
        return f"cut to {rest} characters"
    if word == "whole":
        return f"at most {rest} characters, never cut"
    return {"enum": f"by the table {rest}", "names": f"by the names {rest}"}.get(word, how.removeprefix("@"))


def _told(what: str, values: Mapping[str, Any], row: ActionRow, target: str) -> Iterator[str]:
    for path, value in values.items():
        here = _own(path, target, row)
        if here is not None:
            yield f"    {what}: {here}: {value if isinstance(value, str) else json.encode(value).decode()}"


def _local(row: ActionRow) -> Iterator[str]:
    if row.local is not None:
        when = "  Answered, where it cannot go" if row.kind == "optional" else "  Answered"
        yield f"{when}: {json.encode(row.local).decode()}"
    elif row.kind == "local":
        yield "  Answered:"
        yield from (f"    {path}: {text}" for path, text in row.answer_made.items())


def _shapes(row: ActionRow, version: str) -> Iterator[str]:
    """The objects and the tables that the rows name, once each."""
    used = [(how, version) for _, _, how in row.request] + [(how, other(version)) for _, _, how in row.answer]
    seen: set[tuple[str, str]] = set()
    while used:
        how, source = used.pop(0)
        if (how, source) in seen:
            continue
        seen.add((how, source))
        shape = next((shape for shape in read().shapes if (f"@{shape.name}", shape.source) == (how, source)), None)
        if shape is not None:
            used.extend((inner, source) for _, _, inner in shape.fields)
            yield from _shape(shape)
        elif how.startswith("enum "):
            yield from _enum(how.removeprefix("enum "))


def _shape(shape: ShapeRow) -> Iterator[str]:
    yield f"  {shape.name}, from OCPP {shape.source}:"
    if shape.note:
        yield f"    {shape.note}"
    for source, target, how in shape.fields:
        yield _line(source or "the text", target, how)
    yield from (f"    made: {path}: {text}" for path, text in shape.made.items())
    yield from (f"    lost: {path.removeprefix('[].')}: {why}" for path, why in shape.dropped.items())


def _enum(name: str) -> Iterator[str]:
    row = read().enums[name]
    yield f"  Table {name}:"
    if row.same:
        yield f"    the same: {', '.join(row.same)}"
    yield from (f"    {value} -> {target}" for value, target in row.values.items())
    yield from (f"    {value}: {why}" for value, why in row.handled.items())
