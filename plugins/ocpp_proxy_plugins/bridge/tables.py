"""Owns the tables in use: what is written in ``tables/*.toml`` (``rows``), compiled to forms and lookups, once."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from msgspec import Struct

from ocpp_proxy.model import Side
from ocpp_proxy_plugins.bridge import rows
from ocpp_proxy_plugins.bridge.converters import FIXED, NOTHING, Convert, Notes, listed, renamed, same, text
from ocpp_proxy_plugins.bridge.forms import Constant, Form, Rule, steps
from ocpp_proxy_plugins.bridge.rows import ActionRow, Direction, Kind, ShapeRow, other, read
from ocpp_proxy_plugins.bridge.shapes import code_shape

CODE = "code"
"""The field is made by a handler."""
_SPARE = "else "


class Entry(Struct, frozen=True):
    """One action of one side, in one direction. ``requests``/``answers``: a form for each target action.

    ``local``: a constant answer in the version of the sender; None: there is none. ``plain``: nothing but the forms is needed
    to translate it; every other that is not answered locally needs a handler.
    """

    name: str
    sender: Side
    targets: tuple[str, ...]
    kind: Kind
    requests: Mapping[str, Form]
    answers: Mapping[str, Form]
    local: Mapping[str, Any] | None
    plain: bool
    note: str


class Book(Struct, frozen=True):
    """All of one direction."""

    direction: Direction
    actions: Mapping[tuple[Side, str], Entry]

    def version(self, sender: Side) -> str:
        """The version that a side speaks."""
        return rows.sender_version(self.direction, sender)


class Place(Struct, frozen=True):
    """A variable in the device model of 2.0.1."""

    component: str
    variable: str
    instance: str | None = None

    def __str__(self) -> str:
        return f"{self.component}.{self.variable}" + (f"[{self.instance}]" if self.instance is not None else "")


class Key(Struct, frozen=True):
    """A configuration key of 1.6. ``home``: its variable; None: the bridge answers it itself (``field`` says how).

    ``field``: "Actual" (the attribute), "maxLimit" (of the variableCharacteristics), "count" (of Connector components),
    "derived", "constant". ``type``: bool, int, text or list. ``access``: R, RW, W, RW/R. ``also_set``: further places a write
    has to set. ``owner``: "link" belongs to the leg between station and proxy and is not bridged by default.
    """

    name: str
    profile: str
    access: str
    type: str
    home: Place | None
    field: str
    codec: str
    also_set: tuple[Place, ...]
    owner: str
    note: str


class Variable(Struct, frozen=True):
    """A standard variable of 2.0.1; component "*" is any. ``type``: dataType; ``required``: where its component exists."""

    place: Place
    type: str
    unit: str
    required: bool


class MadeUp(Struct, frozen=True):
    """A variable the bridge has to make up for a 1.6 station. ``value`` empty: ``note`` says from what."""

    place: Place
    value: str
    note: str


@cache
def book(direction: str) -> Book:
    """The tables of a direction, "1.6:2.0.1" or "2.0.1:1.6". Raises ``ValueError`` for any other."""
    if direction not in get_args(Direction):
        raise ValueError(f"no direction {direction!r}: one of {', '.join(get_args(Direction))}")
    known: Direction = rows.UP if direction == rows.UP else rows.DOWN
    entries = (_entry(row, known) for row in read().actions(known))
    return Book(known, {(entry.sender, entry.name): entry for entry in entries})


@cache
def enum(name: str) -> Mapping[str, str]:
    """A table of values ("Reset201>16"): value -> counterpart; a value without one is not in it. Raises ``KeyError``."""
    return read().enums[name].table


@cache
def names(name: str) -> Mapping[str, str]:
    """A table of free names, one way ("SecurityEvent16>201", "SecurityEvent201>16"). Raises ``KeyError``."""
    up = name.endswith("16>201")
    table = read().names[name.removesuffix("16>201" if up else "201>16")]
    return table if up else {value: key for key, value in table.items()}


@cache
def errors(source: str) -> Mapping[str, str]:
    """The error codes of a version ("1.6", "2.0.1") -> those of the other."""
    return read().errors[source].table


@cache
def keys() -> Mapping[str, Key]:
    """All configuration keys by name."""
    return {row.name: Key(
        row.name, row.profile, row.access, row.type, place(row.home) if row.home else None, row.field, row.codec,
        tuple(map(place, row.also_set)), row.owner, row.note,
    ) for row in read().keys}


@cache
def variables() -> Mapping[Place, Variable]:
    """The standard variables of 2.0.1 by place."""
    return {found.place: found for found in _variables()}


@cache
def made_up() -> tuple[MadeUp, ...]:
    """The variables that a 1.6 station is given."""
    return tuple(MadeUp(place(row.variable), row.value, row.note) for row in read().made_up)


def place(written: str) -> Place:
    """"Component.Variable" or "Component.Variable[Instance]"."""
    component, _, variable = written.partition(".")
    variable, bracket, instance = variable.partition("[")
    return Place(component, variable, instance.removesuffix("]") if bracket else None)


def _variables() -> Iterator[Variable]:
    for component, members in read().variables.items():
        for name, row in members.items():
            yield Variable(place(f"{component}.{name}"), row.type, row.unit, row.required)


def _entry(row: ActionRow, direction: Direction) -> Entry:
    side = Side(row.sender)
    source = rows.sender_version(direction, row.sender)
    requests = {target: _request(row, target, source) for target in row.targets}
    answers = {target: _answer(row, target, other(source)) for target in row.targets}
    by_code = any(_by_code(how) for _, _, how in (*row.request, *row.answer)) or row.made or row.answer_made
    plain = row.kind == "translate" and len(row.targets) == 1 and not by_code
    return Entry(row.name, side, row.targets, row.kind, requests, answers, row.local, plain, row.note)


def _by_code(how: str) -> bool:
    """Whether a handler has to look at it: it makes the value, or does something about values without a counterpart."""
    return how == CODE or (how.startswith("enum ") and bool(read().enums[how.removeprefix("enum ")].handled))


def _request(row: ActionRow, target: str, source: str) -> Form:
    rules = [*_rules(_for_target(row, row.request, target, 1), row.request, source), *_drops(row, row.dropped, target)]
    why = f"no such field in OCPP {source}"
    constants = [*_constants(row, row.fixed, target), *_constants(row, row.invented, target, why)]
    return Form(rules, constants, other(source))


def _answer(row: ActionRow, target: str, source: str) -> Form:
    rules = [*_rules(_for_target(row, row.answer, target, 0), (), source), *_drops(row, row.answer_dropped, target)]
    return Form(rules, _constants(row, row.answer_fixed, target), other(source))


def _for_target(row: ActionRow, fields: rows.Rows, target: str, side: int) -> list[tuple[str, str, str]]:
    """The rows of one target, its name taken off; ``side``: where the name stands (0 source, 1 target)."""
    found = []
    for line in fields:
        path = rows.of_target(line[side], target, row.targets)
        if path is not None:
            found.append((path, line[1], line[2]) if side == 0 else (line[0], path, line[2]))
    return found


def _rules(fields: list[tuple[str, str, str]], every: rows.Rows, source: str) -> Iterator[Rule]:
    """The rules of some rows. Fields that only other targets carry are no loss here."""
    for path, target, how in fields:
        spare = how.startswith(_SPARE)
        yield Rule(steps(path), steps(target), converter(how.removeprefix(_SPARE), source), "", spare)
    here = [path for path, _, _ in fields]
    for path in dict.fromkeys(path for path, _, _ in every):
        if path not in here:
            yield Rule(steps(path))


def _drops(row: ActionRow, dropped: Mapping[str, str], target: str) -> Iterator[Rule]:
    for path, why in dropped.items():
        here = rows.of_target(path, target, row.targets)
        if here is not None:
            yield Rule(steps(here), (), None, why)


def _constants(row: ActionRow, values: Mapping[str, Any], target: str, why: str = "") -> Iterator[Constant]:
    for path, value in values.items():
        here = rows.of_target(path, target, row.targets)
        if here is not None:
            yield Constant(steps(here), value, why)


def converter(how: str, source: str) -> Convert | None:
    """The converter that ``how`` names, for values of that version; None for what a handler makes. Raises ``ValueError``."""
    word, _, rest = how.partition(" ")
    if how == CODE:
        return None
    if how in FIXED:
        return FIXED[how]
    if word in ("text", "whole") and rest.isdigit():
        return text(int(rest)) if word == "text" else same
    if word == "enum" and rest in read().enums:
        return listed(enum(rest), read().enums[rest].handled, other(source))
    if word == "names" and rest.removesuffix("16>201").removesuffix("201>16") in read().names:
        return renamed(names(rest))
    if word.startswith("@"):
        return _shape(how[1:], source)
    raise ValueError(f"no converter {how!r}")


@cache
def _shape(name: str, source: str) -> Convert:
    row = next((row for row in read().shapes if (row.name, row.source) == (name, source)), None)
    if row is None:
        raise ValueError(f"no shape {name!r} of OCPP {source}")
    return code_shape(name, source) if row.code else _object(row)


def _object(row: ShapeRow) -> Convert:
    rules = [
        *_rules(list(row.fields), (), row.source), *(Rule(steps(path), (), None, why) for path, why in row.dropped.items()),
    ]
    form = Form(rules, (), other(row.source))

    def convert(value: Any, notes: Notes, path: str) -> Any:
        if not isinstance(value, dict):
            notes.lost(path, "not an object")
            return NOTHING
        out: dict[str, Any] = {}
        form.fill(value, out, notes, path)
        return out

    return convert
