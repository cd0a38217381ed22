"""Owns the time stamps of a message: where they are, whether they are well formed, what instant they mean."""

import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from ocpp_proxy.spec.errata import stamp_fault
from ocpp_proxy.spec.terms import EACH, Path, stamps

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_SECOND = timedelta(seconds=1)
UNSET_YEAR = 2010           # OCPP is younger: an earlier stamp is a clock that was never set
_paths: dict[tuple[str, str, bool], tuple[tuple[Path, bool], ...]] = {}


class Read(Struct, frozen=True, gc=False):
    """A time stamp as read. ``fault`` says why it is not RFC 3339, ``legal`` that ISO 8601 with a zone allows it.

    ``seconds`` since the epoch, None when it cannot be told; ``clock``: it is the sender's "now".
    """

    path: str
    text: str
    clock: bool
    seconds: float | None
    fault: str = ""
    legal: bool = True

    @property
    def unset(self) -> bool:
        """From before OCPP: the clock was not set."""
        return self.text[:4].isdigit() and int(self.text[:4]) < UNSET_YEAR


def seconds_of(text: str) -> float | None:
    """Seconds since the epoch of a stamp with a zone; None when it has none or is no date."""
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed - EPOCH) / _SECOND if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def has_stamps(version: str, action: str, answer: bool) -> bool:
    """Whether such a message can hold a time stamp at all."""
    return bool(_places(version, action, answer))


def _places(version: str, action: str, answer: bool) -> tuple[tuple[Path, bool], ...]:
    key = (version, action, answer)
    where = _paths.get(key)
    if where is None:
        where = _paths[key] = tuple((stamp.path, stamp.clock) for stamp in stamps(version, action, answer))
    return where


def read(version: str, action: str, answer: bool, payload: object) -> list[Read]:
    """All time stamps of a message, in the order of its schema."""
    found: list[Read] = []
    for path, clock in _places(version, action, answer):
        _walk(payload, path, 0, "$", clock, found)
    return found


def _walk(value: object, path: Path, at: int, place: str, clock: bool, found: list[Read]) -> None:
    if at == len(path):
        if isinstance(value, str):
            found.append(_read(place, value, clock))
    elif path[at] == EACH:
        for index, item in enumerate(value if isinstance(value, list) else ()):
            _walk(item, path, at + 1, f"{place}[{index}]", clock, found)
    elif isinstance(value, dict) and path[at] in value:
        _walk(value[path[at]], path, at + 1, f"{place}.{path[at]}", clock, found)


def _read(place: str, text: str, clock: bool) -> Read:
    seconds = seconds_of(text)
    if seconds is not None and _RFC_3339.fullmatch(text) is not None:
        return Read(place, text, clock, seconds)
    fault, legal = stamp_fault(text)
    return Read(place, text, clock, seconds, fault, legal)
