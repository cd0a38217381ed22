"""Owns what the schemas say of one field: type, values, bounds, whether it is required, what it is for."""

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from ocpp_proxy.spec import schemas
from ocpp_proxy.spec.json_path import Step

_REFERENCES = 20            # that lead to each other; more is a loop


class FieldHelp(Struct, frozen=True, gc=False):
    """One field of a message, word for word as its schema has it; what the schema does not say is empty or None.

    ``type``: string, integer, number, boolean, object, array. ``enum``: the values it may have. ``required``: in the object
    that holds it (None: an item of a list, the payload itself). ``least``/``most``: value of a number; ``least_items``,
    ``most_items``: of a list. ``type_name``: the name of the type (2.0.1, 2.1). ``description``: of the field and, behind it,
    of its type; 1.6 and 2.0 have none.
    """

    type: str = ""
    format: str = ""
    enum: tuple[str, ...] = ()
    max_length: int | None = None
    least: float | None = None
    most: float | None = None
    multiple_of: float | None = None
    least_items: int | None = None
    most_items: int | None = None
    required: bool | None = None
    default: str = ""
    type_name: str = ""
    description: str = ""


Schema = dict[str, object]


def field_help(version: str, action: str, answer: bool, path: Sequence[Step]) -> FieldHelp | None:
    """What the schema says of the field at a path (``spec.json_path.steps``); None where it knows no such field.

    Versions without schemas (1.2, 1.5) and unknown actions have none.
    """
    if (action, answer) not in schemas.messages(version):
        return None
    root = _schema(version, action, answer)
    node, name, required = _resolved(root, root), "", None
    own = ""
    for step in path:
        inner = _below(node, step)
        if inner is None:
            return None
        needed = node.get("required")
        required = None if isinstance(step, int) else isinstance(needed, list) and step in needed
        own = _text(inner.get("description"))
        reference = inner.get("$ref")
        name = reference.rsplit("/", 1)[-1] if isinstance(reference, str) else ""
        node = _resolved(root, inner)
    return _told(node, own, name, required)


def members(version: str, action: str, answer: bool, path: Sequence[Step]) -> tuple[str, ...]:
    """The names of the properties that the schema gives the object at a path, those it requires first; () where none."""
    if (action, answer) not in schemas.messages(version):
        return ()
    root = _schema(version, action, answer)
    node = _resolved(root, root)
    for step in path:
        inner = _below(node, step)
        if inner is None:
            return ()
        node = _resolved(root, inner)
    properties, needed = node.get("properties"), node.get("required")
    first = needed if isinstance(needed, list) else []
    names = list(properties) if isinstance(properties, dict) else []
    return tuple(sorted(names, key=lambda name: name not in first))


@lru_cache(maxsize=64)
def _schema(version: str, action: str, answer: bool) -> Schema:
    return schemas.raw(version, action, answer)


def _below(node: Schema, step: Step) -> Schema | None:
    """The schema of a property or an item, not resolved."""
    inner = node.get("items")
    if isinstance(step, str):
        properties = node.get("properties")
        inner = properties.get(step) if isinstance(properties, dict) else None
    return inner if isinstance(inner, dict) else None


def _resolved(root: Schema, node: Schema) -> Schema:
    for _ in range(_REFERENCES):
        reference, definitions = node.get("$ref"), root.get("definitions")
        if not isinstance(reference, str) or not isinstance(definitions, dict):
            break
        node = definitions.get(reference.rsplit("/", 1)[-1], {})
    return node


def _told(node: Schema, own: str, name: str, required: bool | None) -> FieldHelp:
    enum, default = node.get("enum"), node.get("default")
    of_type = _text(node.get("description"))
    described = own if not of_type or of_type == own else f"{own}\n{of_type}".lstrip("\n")
    return FieldHelp(
        _text(node.get("type")), _text(node.get("format")), tuple(map(str, enum)) if isinstance(enum, list) else (),
        _whole(node.get("maxLength")), _number(node.get("minimum")), _number(node.get("maximum")),
        _number(node.get("multipleOf")), _whole(node.get("minItems")), _whole(node.get("maxItems")),
        required, "" if default is None else str(default), name, described)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " or ".join(map(str, value))
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None
