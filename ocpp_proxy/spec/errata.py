"""Owns our overlay over the official schemas: what the errata allow although the schema forbids it, and hints. Pure data.

An official fault that a row forgives gets the grade "official" instead of its own.
"""

import re
from collections.abc import Mapping

from msgspec import Struct


class Erratum(Struct, frozen=True, gc=False):
    """Values that an erratum makes legal: at a path (list positions left out) of one message of one version."""

    version: str
    action: str
    answer: bool
    path: str
    kind: str
    values: tuple[str, ...]
    source: str


ERRATA: tuple[Erratum, ...] = (
    Erratum(
        "1.6", "StopTransaction", False, "$.transactionData[].sampledValue[].unit", "enum",
        ("Hertz", "Celsius", "Celcius"), "OCPP 1.6 errata 3.86 (Hertz), OCPP-J 1.6 errata 2.1 (Celsius, Celcius)",
    ),
    Erratum(
        "1.6", "MeterValues", False, "$.meterValue[].sampledValue[].unit", "enum",
        ("Hertz", "Celsius", "Celcius"), "OCPP 1.6 errata 3.86 (Hertz), OCPP-J 1.6 errata 2.1 (Celsius, Celcius)",
    ),
)
"""Legal by erratum. Rows that the installed schemas already follow stay: another package version may not."""

NULL_IS_EMPTY = frozenset({"1.2", "1.5", "1.6"})
"""Versions in which a ``null`` payload is tolerated for an empty one (OCPP-J 1.6 4.2.1: ``{}`` is good practice)."""

HINTS: Mapping[tuple[str, str, bool, str], str] = {
    ("1.6", "BootNotification", True, "heartbeatInterval"): "the field is named interval; heartbeatInterval is a slip "
    "in an example of the OCPP-J 1.6 text and the name of 1.5",
}
"""(version, action, answer, unknown property) -> what is behind it."""

_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60)([.,]\d+)?)?"

_STAMPS: tuple[tuple[re.Pattern[str], str, bool], ...] = (
    (re.compile(r"\s*"), "empty, must be a date and time", False),
    (re.compile(rf"{_DAY}[Tt]{_CLOCK}"), "time stamp without time zone", False),
    (re.compile(rf"{_DAY}[Tt]{_CLOCK}[+-]\d\d"), "zone offset without minutes: ISO 8601 but not RFC 3339 (+02:00)", True),
    (re.compile(rf"{_DAY}[Tt]{_CLOCK}[+-]\d{{4}}"), "zone offset without colon: ISO 8601 but not RFC 3339 (+02:00)", True),
    (re.compile(rf"{_DAY}[Tt]\d\d:\d\d([Zz]|[+-]\d\d:\d\d)"), "time stamp without seconds: ISO 8601 but not RFC 3339", True),
    (re.compile(rf"{_DAY}[Tt]\d\d:\d\d:\d\d,\d+([Zz]|[+-]\d\d:\d\d)"), "comma before the fraction: not RFC 3339", True),
    (re.compile(rf"{_DAY}[Tt]{_CLOCK}([Zz]|[+-]\d\d:?\d\d)"), "no such date or zone", False),
    (re.compile(rf"{_DAY}\s+\d\d?:.*", re.DOTALL), "blank instead of T between date and time", False),
    (re.compile(_DAY), "date without a time of day", False),
    (re.compile(rf"{_DAY}[Tt]\d\d:\d\d.*", re.DOTALL), "no such time of day, or not RFC 3339", False),
    (re.compile(r"\d{9,}"), "seconds since 1970 instead of a date and time", False),
)

_REAL_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


def stamp_fault(text: str) -> tuple[str, bool]:
    """Why a string is not an RFC 3339 date-time, and whether ISO 8601 with a zone still allows it."""
    cut = text[:80]
    for pattern, message, legal in _STAMPS:
        if pattern.fullmatch(cut):
            real = _REAL_DAY.match(cut) is not None
            return (message, True) if legal and real else (message if not legal else "no such date or zone", False)
    return "not a date and time", False
