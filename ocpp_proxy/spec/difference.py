"""Owns the way from a schema of one version to that of another: a table of dropped, put and edited fields, applied.

Used for OCPP 2.0, whose schemas are those of 2.0.1 changed by ``data/ocpp20.json`` (its key "about" explains the notation).
Schemas in, schemas out; nothing is changed in place.
"""

from collections.abc import Mapping

Schema = dict[str, object]
Change = Mapping[str, object]

_WORDS: Mapping[str, Schema] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "array": {"type": "array"},
    "dateTime": {"type": "string", "format": "date-time"},
}

_KEPT = ("type", "format", "enum", "maxLength", "minimum", "maximum", "minItems", "maxItems", "multipleOf")


def child(node: Schema, key: str) -> Schema:
    """The object under a key of a schema, made when it is not there."""
    found = node.setdefault(key, {})
    if not isinstance(found, dict):
        raise TypeError(f"{key}: not an object in the schema")
    return found


def texts(value: object) -> list[str]:
    """A list of strings of the table or of a schema; [] for nothing."""
    return [str(item) for item in value] if isinstance(value, list) else []


def flatten(schema: Schema, node: Schema, without: frozenset[str]) -> Schema:
    """A copy of ``node`` without references, with closed or open objects forgotten, and without the named properties."""
    reference = node.get("$ref")
    if isinstance(reference, str):
        return flatten(schema, child(child(schema, "definitions"), reference.rsplit("/", 1)[-1]), without)
    flat: Schema = {key: node[key] for key in _KEPT if key in node}
    if "properties" in node:
        properties = child(node, "properties")
        flat["properties"] = {
            name: flatten(schema, child(properties, name), without) for name in properties if name not in without
        }
    required = [name for name in texts(node.get("required")) if name not in without]
    if required:
        flat["required"] = required
    if "items" in node:
        flat["items"] = flatten(schema, child(node, "items"), without)
    return flat


def derive(base: Schema | None, change: Change, without: frozenset[str], closed: bool) -> Schema:
    """The schema that follows from ``base`` (None: a new message) by one row of a table.

    ``without``: property names that do not exist anywhere; ``closed``: forbid unknown properties.
    """
    flat: Schema = {"type": "object"}
    if base is not None:
        flat = flatten(base, base, without)
    for path in texts(change.get("drop")):
        holder, name = _walk(flat, path)
        child(holder, "properties").pop(name, None)
        _require(holder, name, False)
    put, edit = change.get("put"), change.get("edit")
    for path, word in (put if isinstance(put, dict) else {}).items():
        holder, name = _walk(flat, path)
        fresh: Schema = {}
        _apply(fresh, holder, name, f"!, {word}".split(", "))
        _place(holder, name, fresh)
    for path, word in (edit if isinstance(edit, dict) else {}).items():
        holder, name = _walk(flat, path)
        _apply(child(child(holder, "properties"), name), holder, name, word.split(", "))
    if closed:
        _close(flat)
    return flat


def _walk(schema: Schema, path: str) -> tuple[Schema, str]:
    """The schema that holds the last step of a path, and that step; objects and lists on the way are made if missing."""
    steps = path.replace("[]", ".[]").split(".")
    node = schema
    for step in steps[:-1]:
        if step == "[]":
            node.setdefault("type", "array")
            node = child(node, "items")
        else:
            node.setdefault("type", "object")
            node = child(child(node, "properties"), step)
    return node, steps[-1]


def _place(holder: Schema, name: str, field: Schema) -> None:
    if name == "[]":
        holder["items"] = field
        return
    holder.setdefault("type", "object")
    child(holder, "properties")[name] = field


def _require(holder: Schema, name: str, yes: bool) -> None:
    required = [known for known in texts(holder.get("required")) if known != name]
    if yes and name != "[]":
        required.append(name)
    holder["required"] = required


def _apply(field: Schema, holder: Schema, name: str, words: list[str]) -> None:
    for word in words:
        if word in ("?", "!"):
            _require(holder, name, word == "!")
        elif word[0] == "=":
            field.pop("maxLength", None)
            field.update({"type": "string", "enum": word[1:].split("|")})
        elif word[0] in "+-":
            values = [value for value in texts(field.get("enum")) if value != word[1:]]
            field["enum"] = [*values, word[1:]] if word[0] == "+" else values
        elif word.startswith("<="):
            field["maxLength"] = int(word[2:])
        elif word.startswith(">="):
            field["minimum"] = float(word[2:])
        elif ".." in word:
            _items(field, *word.split(".."))
        else:
            field.update(_WORDS[word])


def _items(field: Schema, least: str, most: str) -> None:
    if least:
        field["minItems"] = int(least)
    field.pop("maxItems", None)
    if most != "n":
        field["maxItems"] = int(most)


def _close(node: Schema) -> None:
    properties = node.get("properties")
    if isinstance(properties, dict):
        for name in properties:
            _close(child(properties, name))
    if node.get("type") == "object":
        node["additionalProperties"] = False
    if "items" in node:
        _close(child(node, "items"))
