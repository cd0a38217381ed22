"""Payloads that a schema allows, drawn by hypothesis: everything the official schemas of a version say is legal may come."""

from functools import cache
from typing import Any

from hypothesis import strategies as st

from ocpp_proxy.spec.schemas import check, raw

SMALL = ("connectorId", "evseId", "id", "reservationId", "chargingProfileId", "stackLevel", "listVersion", "versionNumber")
WORDS = ("AB", "0A0B0C0D", "Central", "x" * 20, "", "ü", "A b", "=1+1", "\u001b[31m", "u1")
_TEXT = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2), max_leaves=4)
Schema = dict[str, Any]


@st.composite
def moments(draw: st.DrawFn) -> str:
    """Times of a day, to the millisecond; most end in Z."""
    seconds = draw(st.integers(0, 86_400))
    clock = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"2027-01-15T{clock}" + draw(st.sampled_from(["Z", ".120Z", "+01:00", "Z"]))


def _texts(node: Schema) -> st.SearchStrategy[str]:
    match node.get("format"):
        case "date-time":
            return moments()
        case "uri":
            return st.sampled_from(["https://example.org/a", "ftp://logs/"])
    most = node.get("maxLength")
    if most is None:
        return _TEXT
    return st.one_of(_TEXT.map(lambda text: text[:most]), st.just("z" * min(most, 3000)))


def _numbers(node: Schema, name: str) -> st.SearchStrategy[Any]:
    low, high = node.get("minimum", -5), node.get("maximum", 100_000)
    if node["type"] == "integer":
        return st.integers(max(low, 0), min(high, 3)) if name in SMALL else st.integers(int(low), int(high))
    if node.get("multipleOf") == 0.1:
        return st.integers(0, 999).map(lambda tenths: tenths / 10)
    return st.one_of(st.integers(int(low), int(high)), st.floats(low, high, allow_nan=False))


def _made(root: Schema, node: Schema, name: str, depth: int) -> st.SearchStrategy[Any]:
    reference = node.get("$ref")
    if isinstance(reference, str):
        node = {**root["definitions"][reference.rpartition("/")[2]], **{key: node[key] for key in node if key != "$ref"}}
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node.get("type"):
        case "object":
            parts = {key: _made(root, part, key, depth + 1) for key, part in node.get("properties", {}).items()
                     if key != "customData" or depth == 0}
            needed = set(node.get("required", ()))
            return st.fixed_dictionaries(
                {key: part for key, part in parts.items() if key in needed},
                optional={key: part for key, part in parts.items() if key not in needed})
        case "array":
            least = node.get("minItems", 0)
            items = _made(root, node.get("items", {}), name, depth + 1)
            return st.lists(items, min_size=least, max_size=max(least, min(node.get("maxItems", 3), 3)))
        case "string":
            return _texts(node)
        case "integer" | "number":
            return _numbers(node, name)
        case "boolean":
            return st.booleans()
    return _ANY


def _least(root: Schema, node: Schema) -> Any:
    reference = node.get("$ref")
    if isinstance(reference, str):
        node = root["definitions"][reference.rpartition("/")[2]]
    if "enum" in node:
        return node["enum"][0]
    match node.get("type"):
        case "object":
            return {name: _least(root, node["properties"][name]) for name in node.get("required", ())}
        case "array":
            return [_least(root, node["items"]) for _ in range(node.get("minItems", 0))]
        case "string":
            return {"date-time": "2027-01-15T08:00:00Z", "uri": "https://example.org/a"}.get(node.get("format", ""), "A")
        case "boolean":
            return True
    return 1


def least(version: str, action: str, answer: bool = False) -> Any:
    """The message with what is required alone."""
    schema: Schema = raw(version, action, answer)
    made = _least(schema, {**schema, "type": "object"})
    assert not check(version, action, answer, made)
    return made


@cache
def payloads(version: str, action: str, answer: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """What the schema of a message allows."""
    schema = raw(version, action, answer)
    made = _made(schema, {**schema, "type": "object"}, "", 0)
    return made.filter(lambda payload: not check(version, action, answer, payload))
