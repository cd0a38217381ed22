"""Owns validation: a payload against the schema of its version, action and kind (request or answer).

Three grades, strictest first: "official" (the published schema as it is), "errata" (the schema with our overlay of
errata), "field" (structure only: types and required properties). A ``Fault`` carries the most lenient grade at which it
still is one. Values are never changed.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Grade = Literal["official", "errata", "field"]

GRADES: tuple[Grade, ...] = ("official", "errata", "field")
"""Strictest first."""


class Fault(Struct, frozen=True, gc=False):
    """One deviation from the schema.

    ``path`` like ``$.meterValue[0].timestamp`` (of the property that is missing or too much, where it is one of those);
    ``kind``: type, required, additional, enum, format, maxLength, multipleOf, minItems, maxItems, minimum, maximum, or
    "payload" (cannot be checked at all); ``message`` ours, short, without the value; ``value`` the offending value as
    JSON, at most 60 characters; ``grade`` the most lenient grade at which it still is a fault.
    """

    path: str
    kind: str
    message: str
    grade: Grade
    value: str = ""


def check(version: str, action: str, answer: bool, payload: object) -> tuple[Fault, ...]:
    """All faults of a decoded payload at grade "official", at most 64; empty when valid or when there is no schema."""
    return ()


def validator(version: str, action: str, answer: bool) -> Callable[[object], bool] | None:
    """The bare ``is_valid`` of the schema, for hot loops: it raises ValueError for objects JSON cannot hold.

    None when there is no schema (unknown action, versions 1.2 and 1.5).
    """
    return None


def warm(version: str) -> int:
    """Compile every schema of a version now; how many there are (1.6: 78, 2.0: 134, 2.0.1: 128, 2.1: 181)."""
    return 0
