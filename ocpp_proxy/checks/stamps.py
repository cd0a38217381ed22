"""Owns the time stamps of a message: where they are, and what instant they mean."""

import re
from datetime import datetime
from functools import lru_cache

from msgspec import Struct

from ocpp_proxy.spec.errata import stamp_fault
from ocpp_proxy.spec.terms import EACH, Path, stamps

WITHOUT_SCHEMA = ("1.2", "1.5")         # versions whose stamps no schema judges
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
UNSET_YEAR = 2010           # OCPP is younger: an earlier stamp is a clock that was never set
_paths: dict[tuple[str, str, bool], tuple[tuple[Path, bool], ...]] = {}


class Read(Struct, frozen=True, gc=False):
    """A time stamp as read. ``clock``: the sender's "now". ``steps``: where it stands; lists are entered at ``indices``."""

    text: str
    clock: bool
    steps: Path
    indices: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        """Its JSON path."""
        indices = iter(self.indices)
        return "$" + "".join(f"[{next(indices)}]" if step == EACH else f".{step}" for step in self.steps)

    @property
    def seconds(self) -> float | None:
        """Since the epoch, None when it cannot be told."""
        return seconds_of(self.text)

    @property
    def unset(self) -> bool:
        """From before OCPP: the clock was not set."""
        return is_unset(self.text)


def is_unset(text: str) -> bool:
    """A stamp from before OCPP: the clock was never set, and no rule about time may use it."""
    if text.startswith("202"):
        return False                        # nearly all there are
    return text[:4].isdecimal() and text[:4].isascii() and int(text[:4]) < UNSET_YEAR


def seconds_of(text: str) -> float | None:
    """Seconds since the epoch of a stamp with a zone; None when it has none or is no date."""
    return _known(text) if len(text) <= 40 else _parsed(text)


def _parsed(text: str) -> float | None:
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.timestamp() if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


_known = lru_cache(maxsize=256)(_parsed)                # several rules ask about the stamp of one message


def fault_of(text: str) -> tuple[str, bool] | None:
    """What a date-time format check finds: why it is none, and whether ISO 8601 with a zone allows it; None when it is one."""
    good = _RFC_3339.fullmatch(text) is not None and (seconds_of(text) is not None or text[17:19] == "60")
    return None if good else stamp_fault(text)


def only_stamps(version: str, action: str, answer: bool) -> bool:
    """Whether the message holds time stamps and there is no schema that would judge them."""
    return version in WITHOUT_SCHEMA and has_stamps(version, action, answer)


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
    if not isinstance(payload, dict):
        return found
    for path, clock in _places(version, action, answer):
        value = payload.get(path[0])
        if value is None:
            continue
        if len(path) == 1:
            if isinstance(value, str):
                found.append(Read(value, clock, path))
        elif len(path) == 3 and path[1] == EACH and isinstance(value, list):        # of the meter values, which are most of all
            name = path[2]
            for index, item in enumerate(value):
                stamp = item.get(name) if isinstance(item, dict) else None
                if isinstance(stamp, str):
                    found.append(Read(stamp, clock, path, (index,)))
        else:
            _walk(value, path, 1, (), clock, found)
    return found


def _walk(value: object, path: Path, at: int, indices: tuple[int, ...], clock: bool, found: list[Read]) -> None:
    for place in range(at, len(path)):
        step = path[place]
        if step is EACH or step == EACH:
            for index, item in enumerate(value if isinstance(value, list) else ()):
                _walk(item, path, place + 1, (*indices, index), clock, found)
            return
        if not isinstance(value, dict) or step not in value:
            return
        value = value[step]
    if isinstance(value, str):
        found.append(Read(value, clock, path, indices))
