"""Owns the check of ``tables/near.toml`` against the official schemas of 2.1 and 2.0.1, a part of ``bridge check``."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from ocpp_proxy.spec import actions, errors, schemas
from ocpp_proxy.spec.schemas import raw
from ocpp_proxy_plugins.bridge.near_differences import Difference, differences
from ocpp_proxy_plugins.bridge.near_rows import NEW, OLD, NearTables, ValueRow, Way, beyond, filled, near

TOKEN_FIELDS = ("IdTokenType.idToken", "IdTokenEnumType")
"""Of these alone a short name may stand for a text."""


class Seen(Struct):
    """What of a table was needed: the rest says something about fields that do not exist, or do not differ."""

    rows: set[int] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)

    def use(self, part: str, name: str) -> None:
        """A name of a part of the table is one of a difference."""
        self.names.setdefault(part, set()).add(name)


def near_faults(tables: NearTables | None = None) -> list[str]:
    """What is wrong with the table, one sentence each; [] when nothing is."""
    judged = near() if tables is None else tables
    found: list[str] = []
    for source in (NEW, OLD):
        way, where, seen = judged.way(source), f"{source} to {beyond(source)}", Seen()
        both = sorted(actions.known(source) & actions.known(beyond(source)))
        for action in both:
            for answer in (False, True):
                for one in differences(source, action, answer):
                    what = f"{where} {action}{' answer' if answer else ''}: {one.path}"
                    found.extend(f"{what} {why}" for why in _difference(way, seen, action, one, source))
        found.extend(f"{where}: {why}" for why in (*_local(way, source), *_refusals(way, source), *_items(way, source)))
        found.extend(f"{where}: {why}" for why in (*_stale(way, seen), *_lists(way, source, both)))
    return list(dict.fromkeys(found))


def _difference(way: Way, seen: Seen, action: str, one: Difference, source: str) -> Iterator[str]:
    match one.kind:
        case "field":
            seen.use("field", one.holder)
        case "values" | "free":
            yield from _values(way, seen, action, one, source)
        case "length":
            seen.use("length", one.holder)
            if one.holder not in way.length:
                yield f"may be longer than {one.most} characters: nothing says what becomes of it"
            elif way.length[one.holder] == "alias" and one.holder not in TOKEN_FIELDS:
                yield "is no token, and yet a short name stands for it"
        case "number":
            seen.use("number", one.holder)
            if one.holder not in way.number:
                yield "has to be a whole number: nothing says how it is rounded"
        case "required":
            seen.use("fill", one.holder)
            if one.holder not in way.fill:
                yield "is required and comes from nowhere"
            else:
                yield from _legal(way.fill[one.holder], one, action, beyond(source))
        case "shape":
            yield "has another shape: no table can say what becomes of it"


def _values(way: Way, seen: Seen, action: str, one: Difference, source: str) -> Iterator[str]:
    row = way.value_of(one.type, action)
    if row is None:
        yield f"has values of no row: {one.type}"
        return
    seen.rows.add(id(row))
    legal = set(_enum(beyond(source), action, one.type))
    given = one.values if one.kind == "values" else ("",)
    for value in given:
        how = row.of(value)
        if not how:
            yield f"{value} goes nowhere" if value else f"any other text goes nowhere ({one.type})"
        elif how.startswith("=") and how[1:] not in legal:
            yield f"{how[1:]} is no value of {one.type}"
        elif how == "alias" and one.type not in TOKEN_FIELDS:
            yield "is no token, and yet a short name stands for it"
        elif how not in ("drop", "item", "refuse", "alias") and not how.startswith("="):
            yield f"{how} is nothing that can be done"
        elif how != "alias" and not how.startswith("=") and not row.why:
            yield f"nothing says why {value or one.type} has no counterpart"
    if one.kind == "values":
        yield from (f"{value} is no value that only OCPP {source} has" for value in _named(row) if value not in one.values)


def _named(row: ValueRow) -> list[str]:
    return [*row.to, *row.drop, *row.item, *row.refuse]


def _enum(version: str, action: str, kind: str) -> list[str]:
    for answer in (False, True):
        found: Any = raw(version, action, answer).get("definitions", {})
        if kind in found:
            return list(found[kind].get("enum", ()))
    return []


def _legal(value: Any, one: Difference, action: str, target: str) -> Iterator[str]:
    """A made up value is one of its list, where there is one."""
    if filled(value) is not None:
        return
    kind, _, name = one.holder.partition(".")
    for answer in (False, True):
        known: Any = raw(target, action, answer).get("definitions", {})
        part = known.get(kind, {}).get("properties", {}).get(name, {})
        reference = str(part.get("$ref", "")).rpartition("/")[2]
        legal = known.get(reference, {}).get("enum")
        if legal is not None and value not in legal:
            yield f"is made up as {value!r}, which is none of its values"


def _local(way: Way, source: str) -> Iterator[str]:
    only = actions.known(source) - actions.known(beyond(source))
    for action in sorted(only):
        sent = actions.is_send(source, action)
        if action not in (way.send if sent else way.local):
            yield f"{action} is only in OCPP {source}, and nothing says what becomes of it"
    for action in (*way.local, *way.send):
        if action not in only:
            yield f"{action} is no action that only OCPP {source} has"
    for action, row in way.local.items():
        if (row.answer is None) == (not row.error):
            yield f"{action} needs an answer, or an error"
        if row.error and row.error not in errors.CODES[source]:
            yield f"{action}: {row.error} is no code of OCPP {source}"
        if row.answer is not None and action in only:
            answer = {name: "text" if isinstance(one, str) and one[:1] == "$" else one for name, one in row.answer.items()}
            yield from (f"{action}: {fault.path} {fault.message}" for fault in schemas.check(source, action, True, answer))


def _refusals(way: Way, source: str) -> Iterator[str]:
    for action, answer in way.refusal.items():
        for version in (source, beyond(source)):
            if action not in actions.known(version):
                yield f"refusal of {action}, which OCPP {version} does not have"
            else:
                yield from (f"refusal of {action}, OCPP {version}: {fault.path} {fault.message}"
                            for fault in schemas.check(version, action, True, answer))


def _items(way: Way, source: str) -> Iterator[str]:
    for action, row in way.items.items():
        for name, answer in ((row.list, False), (row.results, True)):
            part: Any = raw(source, action, answer).get("properties", {})
            if part.get(name, {}).get("type") != "array":
                yield f"items of {action}: {name} is no list"


def _lists(way: Way, source: str, both: list[str]) -> Iterator[str]:
    """What may become empty is a list."""
    for written in way.empties:
        kind, _, name = written.partition(".")
        parts = [_members(beyond(source), action, answer, kind) for action in both for answer in (False, True)]
        if not any(part.get(name, {}).get("type") == "array" for part in parts):
            yield f"empties: {written} is no list"


def _members(version: str, action: str, answer: bool, kind: str) -> Any:
    """The properties of a type of a message; of the action itself those of the message."""
    schema: Any = raw(version, action, answer)
    return (schema if kind == action else schema.get("definitions", {}).get(kind, {})).get("properties", {})


def _stale(way: Way, seen: Seen) -> Iterator[str]:
    """What the table says of fields and values that do not differ."""
    parts: dict[str, list[str]] = {
        "length": list(way.length), "number": list(way.number), "fill": list(way.fill),
        "field": [row.name for row in way.field],
    }
    for part, names in parts.items():
        yield from (f"{part}: {name} is nothing that differs" for name in names if name not in seen.names.get(part, ()))
    yield from (f"value: {row.type} is nothing that differs" for row in way.value if id(row) not in seen.rows)
