"""What no schema allows: whole messages of the schemas, spoilt in one place or several, for the tests of what peers may say."""

import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from ocpp_proxy.spec.schemas import raw

TIME = "2027-01-15T08:05:00.000Z"
DEEP: Any = json.loads("[" * 40 + "]" * 40)
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 31, 1 << 70, -(1 << 70), 1.5, 1e300, "", "x", "x" * 3000, "\u2028\x00", "Charging", "Accepted",
    "2027", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00", [], [None], [[]], [1], {}, {"id": []}, {"name": {}},
    {"id": 1 << 70, "connectorId": {}}, ["x"] * 3000, {f"n{at}": at for at in range(300)}, DEEP,
)
Schema = dict[str, Any]


@cache
def _text(version: str, action: str, answer: bool) -> str:
    schema = raw(version, action, answer)
    return json.dumps(_made(schema, {**schema, "type": "object"}, ""))


def whole(version: str, action: str, answer: bool = False) -> dict[str, Any]:
    """A message of that action with all that its schema names."""
    found: dict[str, Any] = json.loads(_text(version, action, answer))
    return found


def _made(root: Schema, node: Schema, name: str) -> Any:
    reference = node.get("$ref")
    if isinstance(reference, str):
        node = {**root["definitions"][reference.rpartition("/")[2]], **{key: node[key] for key in node if key != "$ref"}}
    if "enum" in node:
        return "Accepted" if "Accepted" in node["enum"] else node["enum"][0]
    match node.get("type"):
        case "object":
            return {key: _made(root, part, key) for key, part in node.get("properties", {}).items() if key != "customData"}
        case "array":
            return [_made(root, node.get("items", {}), name)]
        case "string":
            if node.get("format") == "date-time":
                return TIME
            return "ftp://logs/" if node.get("format") == "uri" else "1"
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return "1"


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in a payload."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(one, (*path, key))


def put(payload: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """The payload with something else at a place; ``...`` takes it away. The payload itself stays as it is."""
    payload = json.loads(json.dumps(payload))
    holder = payload
    for step in path[:-1]:
        holder = holder[step]
    if junk is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = junk
    return payload


def spoilt(chance: Random, payload: dict[str, Any]) -> dict[str, Any]:
    """With up to two places that are not as they should be."""
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
        places = list(paths(payload))[:200]
        if places:
            payload = put(payload, chance.choice(places), chance.choice((*JUNK, ...)))
    return payload
