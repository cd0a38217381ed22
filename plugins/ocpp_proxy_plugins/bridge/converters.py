"""Owns the converters of single values: stateless, they raise nothing and tell the ledger what does not fit."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from ocpp_proxy.api import Loss

NOTHING: Any = object()
"""What a converter gives when there is nothing to carry."""

_is_usual = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{3})?Z", re.ASCII).fullmatch
_MOST_DIGITS = 300                          # of a number in a text


class Notes(Protocol):
    """Where a translation tells what it could not carry, and whom it asks for tokens (``desk.Desk`` is one)."""

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """An entry of the loss ledger: what is "dropped", "shortened" or "invented"."""

    def token(self, id_tag: str) -> dict[str, Any]:
        """The idToken that an idTag is."""

    def tag(self, id_token: dict[str, Any], path: str) -> str:
        """The idTag that an idToken at ``path`` is."""


Convert = Callable[[Any, Notes, str], Any]
"""Value, notes, path of the value in the source -> the value to carry, or ``NOTHING``."""


def same(value: Any, _notes: Notes, _path: str) -> Any:
    """As it is."""
    return value


def time(value: Any, notes: Notes, path: str) -> Any:
    """RFC 3339 in UTC with milliseconds and ``Z`` (2.0.1 allows three decimals); without a zone it is taken as UTC."""
    if type(value) is str and _is_usual(value):
        try:
            datetime.fromisoformat(value)
            return value if len(value) == 24 else f"{value[:-1]}.000Z"
        except ValueError:
            pass
    moment = _moment(value)
    if moment is None:
        notes.lost(path, "no date and time")
        return NOTHING
    if moment.tzinfo is None:
        notes.lost(path, "no time zone: taken as UTC", "invented")
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        notes.lost(path, "no date and time")
        return NOTHING


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not 16 <= len(value) <= 64 or value[10] not in "Tt ":
        return None
    text = value.upper()
    for written in (text, text.replace(":60", ":59")):                    # a leap second
        try:
            return datetime.fromisoformat(written)
        except ValueError:
            continue
    return None


def whole_number(value: Any, notes: Notes, path: str) -> Any:
    """An integer; texts of digits and floats without a fraction are one."""
    if type(value) is int:
        return value
    number = _number(value)
    if number is None or number != int(number):
        notes.lost(path, "no integer")
        return NOTHING
    return int(number)


def number(value: Any, notes: Notes, path: str) -> Any:
    """A finite number; a text of one is one."""
    if type(value) is int:
        return value
    found = _number(value)
    if found is None:
        notes.lost(path, "no number")
        return NOTHING
    return found


def _number(value: Any) -> float | int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and "_" not in value:
        try:
            return int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    return value if isinstance(value, float) and math.isfinite(value) else None


def text(most: int) -> Convert:
    """A text of at most so many characters; the rest is cut off. A number is its digits."""
    reason = f"at most {most} characters"

    def convert(value: Any, notes: Notes, path: str) -> Any:
        if type(value) is not str:
            if type(value) not in (int, float):
                notes.lost(path, "no text")
                return NOTHING
            value = str(value)
        if len(value) > most:
            notes.lost(path, reason, "shortened")
            return value[:most]
        return value

    return convert


def renamed(table: Mapping[str, str]) -> Convert:
    """A free text; those of the table get another name."""
    get = table.get

    def convert(value: Any, _notes: Notes, _path: str) -> Any:
        return get(value, value) if type(value) is str else value

    return convert


def listed(table: Mapping[str, str], handled: Mapping[str, str], target: str) -> Convert:
    """A value of a list; what has no counterpart in the target version is lost (``handled``: why it has none).

    One of several that the target version has one value for is carried, and told as shortened.
    """
    get = table.get
    reason = f"not a value in OCPP {target}"
    shared = Counter(table.values())
    merged = {
        value: f"{value} is {found} in OCPP {target}, like others" for value, found in table.items()
        if shared[found] > 1 and value != found
    }

    def convert(value: Any, notes: Notes, path: str) -> Any:
        found = get(value) if type(value) is str else None
        if found is None:
            notes.lost(path, handled.get(value, reason) if isinstance(value, str) else reason)
            return NOTHING
        if value in merged:
            notes.lost(path, merged[value], "shortened")
        return found

    return convert


FIXED: Mapping[str, Convert] = {"same": same, "time": time, "int": whole_number, "number": number}
"""Those without a parameter, by name. ``whole N`` is ``same``: too long a value is the gate's business, it is never cut."""
