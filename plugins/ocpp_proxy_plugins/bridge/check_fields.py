"""Owns the check of one row of a table: both fields exist, and the way between them fits their types, lengths and values."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from ocpp_proxy.spec.field_help import FieldHelp
from ocpp_proxy_plugins.bridge.converters import FIXED, same
from ocpp_proxy_plugins.bridge.forms import Form, Rule, steps
from ocpp_proxy_plugins.bridge.rows import ShapeRow, Tables, other
from ocpp_proxy_plugins.bridge.schema import Fields, covers
from ocpp_proxy_plugins.bridge.tables import CODE

NUMBERS = ("integer", "number", "string")
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}


class Leg(Struct, frozen=True):
    """A message and the one it becomes. ``version``: of the source."""

    where: str
    tables: Tables
    version: str
    source: Fields
    target: Fields


def fit_row(leg: Leg, source: str, target: str, how: str) -> Iterator[str]:
    """What is wrong with one row."""
    where = f"{leg.where}: {source} -> {target} ({how})"
    if source not in leg.source:
        yield f"{where}: {source} is no field of OCPP {leg.version}"
    if target not in leg.target and (target or how != CODE):
        yield f"{where}: {target or 'nothing'} is no field of OCPP {other(leg.version)}"
    if source not in leg.source or target not in leg.target:
        return
    for problem in _fits(leg, source, target, how.removeprefix("else ")):
        yield problem if problem.startswith(leg.where) else f"{where}: {problem}"


def _fits(leg: Leg, source: str, target: str, how: str) -> Iterator[str]:
    one, two = leg.source[source], leg.target[target]
    word, _, rest = how.partition(" ")
    if how == CODE:
        return
    if word == "enum":
        yield from _enum(leg, one, two, rest)
    elif word == "names":
        yield from _names(leg, one, two, rest)
    elif how.startswith("@"):
        yield from _shape(leg, source, target, how[1:])
    elif how in FIXED or (word in ("text", "whole") and rest.isdigit()):
        yield from _types(one, two, word)
        yield from _length(one, two, word, int(rest) if rest else 0)
        yield from _listed(one, two, word)
    else:
        yield "no such converter"


def compiled(leg: Leg, lines: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Why rows make no form, or fill a field twice."""
    lines = list(lines)
    rules = []
    for path, target, how in lines:
        if how.startswith("else ") and len(steps(path)) != 1:
            yield f"{leg.where}: {path}: only a field of the payload itself may be \"else\""
        elif path and (target or how == CODE):
            rules.append(Rule(steps(path), steps(target), None if how == CODE else same))
    try:
        Form(rules)
    except ValueError as error:
        yield f"{leg.where}: {error}"
    filled = Counter(target for _, target, how in lines if how != CODE and not how.startswith("else "))
    yield from (f"{leg.where}: {target} is filled {times} times" for target, times in filled.items() if times > 1)


def _types(one: FieldHelp, two: FieldHelp, word: str) -> Iterator[str]:
    if word in ("int", "number"):
        if two.type not in (("integer", "number") if word == "int" else ("number",)) or one.type not in NUMBERS:
            yield f"{one.type} does not become {two.type} by it"
    elif word == "text":
        if two.type != "string" or one.type not in NUMBERS:
            yield f"{one.type} does not become {two.type} by it"
    elif "object" in (one.type, two.type) or "array" in (one.type, two.type):
        yield "only single values are carried by it"
    elif two.type and one.type != two.type:
        yield f"{one.type or 'anything'} is no {two.type}"
    if (word == "time") != (two.format == "date-time"):
        yield "a time needs the converter time, and nothing else does"


def _length(one: FieldHelp, two: FieldHelp, word: str, most: int) -> Iterator[str]:
    limit = two.max_length
    if word in ("text", "whole"):
        if most != (one.max_length if limit is None and word == "whole" else limit):
            yield f"at most {limit} characters are allowed there"
    elif two.format not in ("", "date-time", one.format):
        yield f"may be no {two.format}: whole {one.max_length}, or code"
    elif limit is not None and not one.enum and (one.max_length is None or one.max_length > limit):
        yield f"may be longer than {limit} characters: text {limit}, or whole {limit}, or code"


def _listed(one: FieldHelp, two: FieldHelp, word: str) -> Iterator[str]:
    if not two.enum:
        return
    if word != "same" or not one.enum:
        yield "values of a list go by a table (enum), or as they are (same)"
    elif set(one.enum) - set(two.enum):
        yield f"no values there: {', '.join(sorted(set(one.enum) - set(two.enum)))}"


def _enum(leg: Leg, one: FieldHelp, two: FieldHelp, name: str) -> Iterator[str]:
    row = leg.tables.enums.get(name)
    if row is None:
        yield "no such table"
        return
    missing = sorted(set(one.enum) - set(row.table) - set(row.handled))
    if missing or not one.enum:
        yield f"the table says nothing of {', '.join(missing) or 'a free text'}"
    illegal = sorted({row.table[value] for value in one.enum if value in row.table} - set(two.enum))
    if illegal:
        yield f"no values there: {', '.join(illegal)}"


def _names(leg: Leg, one: FieldHelp, two: FieldHelp, name: str) -> Iterator[str]:
    way = "16>201" if leg.version == "1.6" else "201>16"
    if not name.endswith(way) or name.removesuffix(way) not in leg.tables.names:
        yield "no such table"
    elif one.enum or two.enum or one.type != "string" or two.type != "string":
        yield "names are for free texts"
    else:
        yield from _length(one, two, "same", 0)


def _shape(leg: Leg, source: str, target: str, name: str) -> Iterator[str]:
    row = next((row for row in leg.tables.shapes if (row.name, row.source) == (name, leg.version)), None)
    if row is None:
        yield "no such shape"
        return
    inner = Leg(f"{leg.where}: shape {name} at {source}", leg.tables, leg.version, leg.source, leg.target)
    used: set[str] = set()
    filled = {joined(target, path) for path in row.made}
    yield from (f"{inner.where}: made {path} is no field" for path in sorted(filled) if path not in leg.target)
    if not row.code:
        yield from compiled(inner, row.fields)
    for path, goal, how in row.fields:
        used.add(joined(source, path))
        at = joined(target, goal) if goal else ""
        filled.add(at)
        yield from fit_row(inner, joined(source, path), at, how)
    yield from _dropped(inner, row, source, used)
    yield from _complete(inner, source, target, used, filled)


def _dropped(leg: Leg, row: ShapeRow, source: str, used: set[str]) -> Iterator[str]:
    for path in row.dropped:
        at = joined(source, path)
        if at not in leg.source:
            yield f"{leg.where}: dropped {at} is no field of OCPP {leg.version}"
        elif at in used:
            yield f"{leg.where}: {at} is carried and dropped"
        used.add(at)


def _complete(leg: Leg, source: str, target: str, used: set[str], filled: set[str]) -> Iterator[str]:
    """Every value of the source goes somewhere, every required value of the target comes from somewhere."""
    for path in leg.source.leaves(source):
        if not covers(used, path):
            yield f"{leg.where}: {path} is neither carried nor dropped"
    for path in leg.target.leaves(target):
        if leg.target.needed(path, filled, target) and not covers(filled, path):
            yield f"{leg.where}: {path} is required and comes from nowhere"


def joined(root: str, path: str) -> str:
    """A path inside of an object; "" is the object itself."""
    return root + path if path.startswith("[]") or not path else f"{root}.{path}"


def _is(value: Any, kind: str) -> bool:
    wanted = TYPES.get(kind)
    return wanted is None or (isinstance(value, wanted) and isinstance(value, bool) == (kind == "boolean"))


def legal_value(leg: Leg, path: str, value: Any) -> Iterator[str]:
    """What is wrong with a constant."""
    known = leg.target.get(path)
    if known is None:
        yield f"{leg.where}: constant {path} is no field of OCPP {other(leg.version)}"
    elif known.enum and value not in known.enum:
        yield f"{leg.where}: {value} is no value of {path}"
    elif not _is(value, known.type):
        yield f"{leg.where}: {value!r} is no {known.type} as {path} has to be"
    elif known.max_length is not None and isinstance(value, str) and len(value) > known.max_length:
        yield f"{leg.where}: {path} has at most {known.max_length} characters"
