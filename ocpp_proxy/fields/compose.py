"""Making filter texts: what a person would type for a value under the cursor, for one charger, for both of two filters."""

import re

from ocpp_proxy.fields.parse import NUMBER, parse
from ocpp_proxy.fields.tree import Filter

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")
_WORDS = frozenset(("and", "or", "not", "in", "contains"))


def quoted(value: str | int | float) -> str:
    """A value as the language writes it: numbers and plain words as they are, everything else in quotes."""
    if isinstance(value, int | float):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comparison(field: str, value: str | int | float, op: str = "==") -> str:
    """``field op value``. A text that looks like a number stays a text."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return f'{field} {op} "{value}"'
    return f"{field} {op} {quoted(value)}"


def joined(first: str, second: str) -> str:
    """Both of two filter texts; one that is empty does not count. ``or`` in either keeps its meaning."""
    parts = [part for part in (first.strip(), second.strip()) if part]
    return " and ".join(f"({part})" if _has_or(part) and len(parts) > 1 else part for part in parts)


def of_charger(identity: str, where: Filter | None) -> Filter | None:
    """A filter for one charger (empty: all) and what ``where`` says; None: everything passes. Raises ``ConfigError``."""
    if not identity:
        return where
    return parse(joined(comparison("identity", identity), where.text if where else ""))


def _has_or(text: str) -> bool:
    return re.search(r"\||\bor\b", text, re.IGNORECASE) is not None
