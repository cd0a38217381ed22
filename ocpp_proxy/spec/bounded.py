"""Owns the cut copy of a huge or deep payload, so that explaining what is wrong with it takes bounded time.

Cut are list items past a budget, unknown properties past 64 of an object, and what lies deeper than any schema reaches.
Known properties stay, so that nothing is reported missing that is there.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

NODES = 4000
"""Payloads with fewer values, and not deeper than ``DEPTH``, are explained as they are."""

DEPTH = 40
UNKNOWN = 64
_CONTAINERS = frozenset({dict, list, tuple})

ITEMS = 1100
"""List items to explain; more than any ``maxItems`` of the schemas."""


class Budget(Struct):
    """How many list items may still be copied, and which property names any schema of the message knows."""

    items: int
    known: frozenset[str]


def is_small(payload: object) -> bool:
    """True when the payload has at most ``NODES`` values and is not deeper than ``DEPTH``."""
    level: list[object] = [payload]
    nodes = 0
    for _ in range(DEPTH):
        below: list[object] = []
        for value in level:
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            nodes += len(inner)
            if nodes > NODES:
                return False
            below += [item for item in inner if item.__class__ in _CONTAINERS]
        if not below:
            return True
        level = below
    return False


def cut(value: object, budget: Budget, depth: int = 0) -> object:
    """A copy of a payload within the budget; a list keeps at least one item."""
    if isinstance(value, dict):
        if depth >= DEPTH:
            return {}
        return {name: cut(value[name], budget, depth + 1) for name in _names(value, budget.known)}
    if isinstance(value, list | tuple):
        if depth >= DEPTH:
            return []
        kept = max(1, min(len(value), budget.items))
        budget.items -= kept
        return [cut(item, budget, depth + 1) for item in value[:kept]]
    return value


def _names(properties: Mapping[object, object], known: frozenset[str]) -> Iterable[object]:
    unknown = 0
    for name in properties:
        if name in known:
            yield name
        elif unknown < UNKNOWN:
            unknown += 1
            yield name


def property_names(schema: object) -> frozenset[str]:
    """Every property name that occurs in a schema, definitions included."""
    names: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            properties = node.get("properties")
            names.update(properties if isinstance(properties, dict) else ())
            waiting.extend(node.values())
    return frozenset(names)
