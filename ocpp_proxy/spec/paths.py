"""Owns paths into decoded payloads: tuples of property names, with ``EACH`` for every item of a list."""

Path = tuple[str, ...]
Holder = dict[str, object] | list[object]

EACH = "[]"
"""The step "every item of the list"."""

MOST = 10_000
"""Places one path may name in one payload; what lies behind is not looked at."""


def parse(text: str) -> Path:
    """A path from its written form: "meterValue[].timestamp" -> ("meterValue", EACH, "timestamp")."""
    return tuple(text.replace(EACH, f".{EACH}").split("."))


def places(payload: object, path: Path) -> list[tuple[Holder, str | int]]:
    """All (holder, key) that a path names in a decoded payload; a missing or wrongly typed step names nothing.

    A list where the path wants an object stands for its items: chargers send both.
    """
    level: list[object] = [payload]
    for step in path[:-1]:
        level = [inner for value in level[:MOST] for inner in _below(value, step)]
    last = path[-1]
    found: list[tuple[Holder, str | int]] = []
    for value in level[:MOST]:
        if last == EACH and isinstance(value, list):
            found.extend((value, index) for index in range(min(len(value), MOST)))
        elif isinstance(value, dict) and last in value:
            found.append((value, last))
        elif isinstance(value, list):
            found.extend((item, last) for item in value[:MOST] if isinstance(item, dict) and last in item)
    return found


def first(payload: object, path: Path) -> object:
    """The value at a path without ``EACH``, or None."""
    value = payload
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def held(holder: Holder, key: str | int) -> object:
    """The value at a place; None when it is not there."""
    if isinstance(holder, dict):
        return holder.get(key) if isinstance(key, str) else None
    return holder[key] if isinstance(key, int) and key < len(holder) else None


def _below(value: object, step: str) -> list[object]:
    if step == EACH:
        return value[:MOST] if isinstance(value, list) else [value] if isinstance(value, dict) else []
    if isinstance(value, dict):
        return [value[step]] if step in value else []
    return [item[step] for item in value if isinstance(item, dict) and step in item] if isinstance(value, list) else []
