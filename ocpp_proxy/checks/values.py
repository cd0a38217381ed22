"""Small readings of payloads that several rules share: members by path, the status of an answer, kept Call payloads."""

import orjson

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.state import OpenCall
from ocpp_proxy.wire.hostile import lenient


def dig(value: object, *steps: str) -> object:
    """The member at a path of property names, None when there is none."""
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def text(value: object) -> str:
    """A text as it is, anything else as ""."""
    return value if isinstance(value, str) else ""


def number(value: object) -> float | None:
    """A JSON number, or a text that is one (1.6 sampled values); booleans and NaN are none."""
    kind = type(value)                              # isinstance of a union is slow; this runs for every sample of a register
    if kind is not str and kind is not float and kind is not int:
        return None
    try:
        found = float(value)    # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e18 else None


def member(call: OpenCall | None, *steps: str) -> object:
    """A member of the kept payload of a Call."""
    if call is None or not call.payload:
        return None
    try:
        return dig(orjson.loads(call.payload), *steps)
    except orjson.JSONDecodeError:                  # not strict JSON (NaN, 1e999, half a surrogate pair), but it was read
        read = lenient(call.payload)
        return dig(read[0], *steps) if read else None


def answer_status(context: Context) -> str:
    """The ``status`` of the answer at hand."""
    return text(context.object().get("status"))
