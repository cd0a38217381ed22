"""Owns the written form of a place in a payload: ``$.meterValue[0].timestamp``, ``$["odd name"]``; as findings name it."""

import re
from collections.abc import Sequence
from json import dumps, loads

Step = str | int
"""A property name, or the number of an item."""

_STEP = re.compile(r'\.([^.\[\]"\s]+)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]', re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,60}")


def steps(path: str) -> tuple[Step, ...] | None:
    """The steps of a written path, () for the payload itself (``$``); None for what is no path, ``[]`` and ``[*]`` included."""
    if not path.startswith("$"):
        return None
    found: list[Step] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return None
        at = step.end()
        name, index, quoted = step.groups()
        found.append(int(index) if index is not None else name if name is not None else _unquoted(quoted))
    return tuple(found)


def written(path: Sequence[Step]) -> str:
    """The path in text, ASCII only, whatever the names hold."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else _name(step) for step in path)


def _name(name: str) -> str:
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{dumps(name)}]"


def _unquoted(text: str) -> str:
    try:
        return str(loads(text, strict=False))
    except ValueError:
        return text[1:-1]
