"""Owns the way from a validator's errors to our ``Fault`` values: path, kind, message, grade."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from json import dumps
from typing import Literal

import jsonschema_rs
from msgspec import Struct

from ocpp_proxy.spec.errata import ERRATA, stamp_fault

Grade = Literal["official", "errata", "field"]

GRADES: tuple[Grade, ...] = ("official", "errata", "field")
"""Strictest first."""

MOST = 64
"""Faults kept of one message."""

HIDDEN = "(not shown)"
"""In place of a value of a message that may hold credentials."""

_WIDTH = 60
_NAMES = {"additionalProperties": "additional"}
_LIMITS = {"minItems": "at least", "maxItems": "at most", "minimum": "at least", "maximum": "at most"}
_FORGIVEN = {(row.version, row.action, row.answer, row.path, row.kind): frozenset(row.values) for row in ERRATA}


class Fault(Struct, frozen=True, gc=False):
    """One deviation from the schema.

    ``path`` like ``$.meterValue[0].timestamp`` (of the property that is missing or too much, where it is one of those);
    ``kind``: type, required, additional, enum, format, maxLength, multipleOf, minItems, maxItems, minimum, maximum, or
    "payload" (cannot be checked at all); ``message`` ours, short, without the value; ``value`` the offending value as
    JSON, at most 60 characters, or ``HIDDEN``; ``grade`` the most lenient grade at which it still is a fault.
    """

    path: str
    kind: str
    message: str
    grade: Grade
    value: str = ""


class Subject(Struct, frozen=True, gc=False):
    """What is judged: the message a payload belongs to. ``hints``: unknown property -> what is behind it.

    ``discreet``: the message may hold credentials; only values of enums and time stamps are shown.
    """

    version: str
    action: str
    answer: bool
    hints: Mapping[str, str]
    discreet: bool


def explain(
    errors: Iterable[jsonschema_rs.ValidationError], subject: Subject, payload: object
) -> tuple[Fault, ...]:
    """The faults that the errors of a validator mean in a payload, ordered by path and kind, at most ``MOST``.

    A value of the wrong type is one fault: that it is not in the list of values either goes without saying.
    """
    found: list[Fault] = []
    for error in islice(errors, MOST):
        found.extend(islice(_faults(error, subject, payload), MOST - len(found)))
    wrong_type = {fault.path for fault in found if fault.kind == "type"}
    kept = [fault for fault in found if fault.kind != "enum" or fault.path not in wrong_type]
    return tuple(sorted(kept, key=lambda fault: (fault.path, fault.kind)))


def _faults(error: jsonschema_rs.ValidationError, subject: Subject, payload: object) -> Iterator[Fault]:
    name = error.kind.name
    kind = _NAMES.get(name, name)
    steps = error.instance_path
    value = _at(payload, steps)
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else _step(step) for step in steps)
    details = error.kind.as_dict()
    if kind == "required":
        missing = str(details["property"])
        yield Fault(path + _step(missing), kind, "missing, is required", "field")
    elif kind == "additional":
        names = details["unexpected"]
        for extra in names[:MOST] if isinstance(names, list) else ():
            inner = value.get(extra) if isinstance(value, dict) else None
            hint = subject.hints.get(str(extra), "")
            message = f"not a property here{': ' if hint else ''}{hint}"
            yield Fault(path + _step(str(extra)), kind, message, "errata", HIDDEN if subject.discreet else shown(inner))
    else:
        message, grade = _judge(kind, details, value)
        if isinstance(value, str) and grade != "official":
            place = "$" + "".join("[]" if isinstance(step, int) else _step(step) for step in steps)
            if value in _FORGIVEN.get((subject.version, subject.action, subject.answer, place, kind), ()):
                grade = "official"
        open_value = not subject.discreet or kind == "enum" or details.get("format") == "date-time"
        yield Fault(path, kind, message, grade, shown(value) if open_value else HIDDEN)


def _judge(kind: str, details: dict[str, object], value: object) -> tuple[str, Grade]:
    """Message and grade of one error that is about a value."""
    if kind == "type":
        wanted = details["types"]
        types = " or ".join(str(name) for name in wanted) if isinstance(wanted, list) else str(wanted)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 and types == "integer":
            return f"{_type(value)} where an integer is asked: draft 4 of JSON Schema forbids the .0", "official"
        return f"must be {types}, is {_type(value)}", "field"
    if kind == "enum":
        return _enum(details["options"], value), "errata"
    if kind == "format" and details.get("format") == "date-time" and isinstance(value, str):
        message, legal = stamp_fault(value)
        return message, "official" if legal else "errata"
    if kind == "format":
        return f"not a valid {details.get('format')}", "errata"
    if kind in ("maxLength", "minLength") and isinstance(value, str):
        return f"{len(value)} characters, {'at most' if kind == 'maxLength' else 'at least'} {details['limit']}", "errata"
    if kind in _LIMITS:
        size = f"{len(value)} items, " if isinstance(value, list) else ""
        return f"{size}{_LIMITS[kind]} {details['limit']}", "errata"
    if kind == "multipleOf":
        return f"not a multiple of {details['multiple_of']}", "errata"
    return f"breaks the schema's {kind}", "errata"


def _enum(options: object, value: object) -> str:
    names = [name for name in options if isinstance(name, str)] if isinstance(options, list) else []
    if isinstance(value, str):
        wanted = value[:100].strip().lower()
        for name in names:
            if name.lower() == wanted:
                return f'not a value of this list; wrong case, "{name}" is'
    listed = ", ".join(names)
    return f"not a value of this list: {listed}" if len(listed) <= 100 else f"not one of the {len(names)} values of this list"


def _at(payload: object, steps: list[str | int]) -> object:
    value = payload
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list | tuple) and isinstance(step, int):
            value = value[step]
    return value


def _step(name: str) -> str:
    if name.replace("_", "a").replace("-", "a").isalnum() and name.isascii() and len(name) <= _WIDTH:
        return f".{name}"
    return f"[{_cut(dumps(name[:_WIDTH], ensure_ascii=False))}]"


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def shown(value: object) -> str:
    """A value as JSON, at most 60 characters; lists and objects as their size only."""
    if isinstance(value, str):
        return _cut(dumps(value[: _WIDTH + 1], ensure_ascii=False))
    if isinstance(value, dict):
        return f"{{{len(value)} properties}}"
    if isinstance(value, list | tuple):
        return f"[{len(value)} items]"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 190:
        return f"(integer of {value.bit_length()} bits)"
    if isinstance(value, float) and value != value:
        return "NaN"
    return _cut(dumps(value)) if value is None or isinstance(value, bool | int | float) else _type(value)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
