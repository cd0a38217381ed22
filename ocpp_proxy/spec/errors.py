"""Owns the error codes of CALLERROR and CALLRESULTERROR per version.

1.6 spells two codes in its own way ("FormationViolation", "OccurenceConstraintViolation"): those are the official ones
(OCPP-J 1.6 4.2.3, errata 5.1 and 5.2). The correct spelling of the second is accepted there too.
"""

from collections.abc import Mapping

_BOTH = """GenericError InternalError NotImplemented NotSupported OccurrenceConstraintViolation
PropertyConstraintViolation ProtocolError SecurityError TypeConstraintViolation"""

_1X = frozenset(f"{_BOTH} FormationViolation OccurenceConstraintViolation".split())
_2X = frozenset(f"{_BOTH} FormatViolation MessageTypeNotSupported RpcFrameworkError".split())

CODES: Mapping[str, frozenset[str]] = {"1.2": _1X, "1.5": _1X, "1.6": _1X, "2.0": _2X, "2.0.1": _2X, "2.1": _2X}
"""Version -> legal error codes."""

ALL_CODES = _1X | _2X
"""Every code of any version, for links whose version is unknown."""

SPELT_IN: Mapping[str, str] = {
    "FormatViolation": "FormationViolation",
    "FormationViolation": "FormatViolation",
    "OccurenceConstraintViolation": "OccurrenceConstraintViolation",
}
"""A code of the wrong version -> the code the other family uses for it."""


def legal(version: str, code: str) -> bool:
    """True when the code is in the version's table; with an unknown version, when any version has it."""
    return code in CODES.get(version, ALL_CODES)


def suggestion(version: str, code: str) -> str:
    """The legal code that was probably meant by an illegal one (other family's spelling, wrong case), or ""."""
    codes = CODES.get(version, ALL_CODES)
    if code in codes:
        return ""
    other = SPELT_IN.get(code, "")
    if other in codes:
        return other
    return next((known for known in sorted(codes) if known.lower() == code.strip().lower()), "")
