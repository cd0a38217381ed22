"""Owns the way of a payload between near versions: what the target's schema has goes, the rest as ``tables/near.toml`` says.

A form is made of the schema of the target and the rows of the table. It is asked only about payloads that are not valid there
as they are. What cannot be said raises ``Refused``; what is left out, changed or made up is told in the ledger.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from msgspec import Struct, field

from ocpp_proxy.api import Loss
from ocpp_proxy.spec.schemas import raw
from ocpp_proxy_plugins.bridge.near_rows import FieldRow, ValueRow, Way, beyond, filled, near

GONE: Any = object()
"""Nothing is left of a value."""
FREE = "customData"                         # carries anything, and goes as it is
PERIOD, TOKEN = "ChargingSchedulePeriodType", "IdTokenType"
LIMITS = ("limit", "limit_L2", "limit_L3")
SETPOINTS = ("setpoint", "setpoint_L2", "setpoint_L3")
PLAIN = ("ASCII", "UTF8", "QRCODE")         # formats of a message of which the beginning can be read
MOST_UNKNOWN = 20                           # of one object, told one by one
_LONGEST_NAME = 60
_ROUND: Mapping[str, Callable[[float], int]] = {"up": math.ceil, "down": math.floor, "nearest": round}

Schema = dict[str, Any]


class Notes(Protocol):
    """Where a translation tells its losses, and whom it asks for tokens."""

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """An entry of the loss ledger."""

    def token(self, token: dict[str, Any], path: str) -> dict[str, Any]:
        """An idToken as the other side knows it."""


class Refused(Exception):
    """The message, or the item of a list, cannot be said in the other version: where, and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} {why}")
        self.path, self.why = path, why


class _Item(Exception):
    """The item of the list above is left out."""


class Node(Struct):
    """A part of the target's schema, and what the table says of it. ``props`` None: no object; ``item`` None: no list."""

    holder: str                             # Type.field
    kind: str = ""                          # name of its type
    props: dict[str, "Node"] | None = None
    closed: bool = False
    required: frozenset[str] = frozenset()
    item: "Node | None" = None
    values: frozenset[str] | None = None
    row: ValueRow | None = None
    most: int | None = None
    length: str = ""
    rounds: Callable[[float], int] | None = None
    fills: tuple[tuple[str, Any], ...] = ()
    refused: dict[str, FieldRow] = field(default_factory=dict)
    empties: bool = False
    answered: bool = False                  # items that cannot be said are answered one by one


class Carried(Struct):
    """A payload of the target; ``refused``: of a list of requests those that cannot be said, by their place."""

    payload: dict[str, Any]
    refused: dict[int, Refused] = field(default_factory=dict)


class Form:
    """One message, from a version to the other. Immutable, safe to share."""

    def __init__(self, source: str, action: str, answer: bool, way: Way | None = None) -> None:
        self.target = beyond(source)
        self._way = near().way(source) if way is None else way
        self._action = action
        self._why = f"no such field in OCPP {self.target}"
        root: Schema = raw(self.target, action, answer)
        self.node = self._node(root, root, action, action)

    def carry(self, payload: dict[str, Any], notes: Notes) -> Carried:
        """The payload as the target has it; not checked yet. Raises ``Refused``."""
        made = Carried({})
        try:
            found = self._value(self.node, payload, "$", notes, made)
        except _Item:
            found = GONE
        if found is GONE:
            raise Refused("$", f"nothing of it is left in OCPP {self.target}")
        made.payload = found
        return made

    # ---- made of the schema ----

    def _node(self, root: Schema, schema: Schema, holder: str, kind: str) -> Node:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            kind = reference.rpartition("/")[2]
            schema = root["definitions"][kind]
        way, node = self._way, Node(holder, kind)
        if "properties" in schema:
            node.props = {
                name: self._node(root, part, f"{kind}.{name}", kind) if name != FREE else Node(f"{kind}.{name}")
                for name, part in schema["properties"].items()
            }
            node.closed = schema.get("additionalProperties") is False
            node.required = frozenset(schema.get("required", ()))
            node.fills = tuple((name, way.fill[f"{kind}.{name}"]) for name in node.props if f"{kind}.{name}" in way.fill)
            rows = ((row.name.partition(".")[2], way.field_of(row.name, self._action)) for row in way.field
                    if row.name.startswith(f"{kind}."))
            node.refused = {name: row for name, row in rows if row is not None}
        elif "items" in schema:
            node.item = self._node(root, schema["items"], holder, kind)
            node.empties = holder in way.empties
            items = way.items.get(self._action)
            node.answered = items is not None and holder == f"{self._action}.{items.list}"
        if "enum" in schema:
            node.values, node.row = frozenset(schema["enum"]), way.value_of(kind, self._action)
        node.most, node.length = schema.get("maxLength"), way.length.get(holder, "")
        if schema.get("type") == "integer" and holder in way.number:
            node.rounds = _ROUND[way.number[holder]]
        return node

    # ---- carrying ----

    def _value(self, node: Node, value: Any, path: str, notes: Notes, made: Carried) -> Any:
        if node.props is not None:
            return self._object(node, value, path, notes, made) if isinstance(value, dict) else value
        if node.item is not None:
            return self._list(node, node.item, value, path, notes, made) if isinstance(value, list) else value
        if isinstance(value, str):
            return self._text(node, value, path, notes)
        if node.rounds is not None and isinstance(value, float) and math.isfinite(value):
            rounded = node.rounds(value)
            if rounded != value:
                notes.lost(path, f"a whole number in OCPP {self.target}", "shortened")
            return rounded
        return value

    def _object(self, node: Node, value: dict[str, Any], path: str, notes: Notes, made: Carried) -> Any:
        if node.kind == TOKEN:
            value = notes.token(value, path)
        elif node.kind == PERIOD and "limit" in node.required:
            value = _limited(value, path, notes)
        out: dict[str, Any] = {}
        unknown = 0
        props = node.props or {}
        for name, one in value.items():
            known = props.get(name)
            if known is not None:
                if known.length == "text" and value.get("format") not in PLAIN and _long(known, one):
                    notes.lost(f"{path}.{name}", f"at most {known.most} characters")
                    return GONE
                found = self._value(known, one, f"{path}.{name}", notes, made)
                if found is not GONE:
                    out[name] = found
                elif name in node.required:
                    return GONE
            elif not node.closed:
                out[name] = one
            else:
                unknown += 1
                self._unknown(node, name, one, path, notes, unknown)
        if unknown > MOST_UNKNOWN:
            notes.lost(f"{path}.*", f"{self._why}: {unknown - MOST_UNKNOWN} more")
        self._fill(node, out, path, notes)
        return out

    def _unknown(self, node: Node, name: str, value: Any, path: str, notes: Notes, number: int) -> None:
        row = node.refused.get(name)
        if row is not None and value != row.unless:
            raise Refused(f"{path}.{name}", row.why)
        if number <= MOST_UNKNOWN:
            notes.lost(f"{path}.{name[:_LONGEST_NAME]}", self._why)

    def _fill(self, node: Node, out: dict[str, Any], path: str, notes: Notes) -> None:
        for name, how in node.fills:
            if name in out:
                continue
            why = filled(how)
            if why is not None:
                raise Refused(f"{path}.{name}", why)
            out[name] = how
            notes.lost(f"{path}.{name}", f"OCPP {self.target} demands it", "invented")

    def _list(self, node: Node, item: Node, value: list[Any], path: str, notes: Notes, made: Carried) -> Any:
        out: list[Any] = []
        for at, one in enumerate(value):
            try:
                found = self._value(item, one, f"{path}[{at}]", notes, made)
            except _Item:
                continue
            except Refused as refused:
                if not node.answered:
                    raise
                notes.lost(refused.path, f"{refused.why}: this one is refused")
                made.refused[at] = refused
                continue
            if found is not GONE:
                out.append(found)
        if value and not out and not made.refused:
            if not node.empties:
                raise Refused(path, f"nothing of it is left in OCPP {self.target}")
            return GONE
        return out

    def _text(self, node: Node, value: str, path: str, notes: Notes) -> Any:
        if node.values is not None and value not in node.values:
            return self._strange(node.row, value, path, notes)
        if not _long(node, value):
            return value
        why = f"at most {node.most} characters"
        match node.length:
            case "cut" | "text":
                notes.lost(path, why, "shortened")
                return value[: node.most]
            case "item":
                notes.lost(path, why)
                raise _Item
            case "refuse":
                raise Refused(path, why)
        return value                        # the gate's business

    def _strange(self, row: ValueRow | None, value: str, path: str, notes: Notes) -> Any:
        """A value that the target does not have."""
        how = row.of(value) if row is not None else ""
        why = (row.why if row is not None else "") or f"{value[:_LONGEST_NAME]} is no value in OCPP {self.target}"
        if how.startswith("="):
            notes.lost(path, f"{value[:_LONGEST_NAME]} is {how[1:]} in OCPP {self.target}", "shortened")
            return how[1:]
        if how == "refuse":
            raise Refused(path, why)
        if how in ("drop", "item"):
            notes.lost(path, why)
            if how == "item":
                raise _Item
            return GONE
        return value                        # of no version: the gate's business


def _long(node: Node, value: Any) -> bool:
    return node.most is not None and isinstance(value, str) and len(value) > node.most


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _limited(period: dict[str, Any], path: str, notes: Notes) -> dict[str, Any]:
    """A period of a schedule with one limit for all phases: the lowest, else what is to be charged with."""
    limits = [period[name] for name in LIMITS if _number(period.get(name))]
    if limits and min(limits) != period.get("limit"):
        notes.lost(f"{path}.limit", "one limit for all phases: the lowest", "shortened")
        return {**period, "limit": min(limits)}
    points = [period[name] for name in SETPOINTS if _number(period.get(name))]
    if not limits and points and min(points) >= 0:
        notes.lost(f"{path}.setpoint", "it becomes the limit", "shortened")
        return {**period, "limit": min(points)}
    return period


@cache
def form(source: str, action: str, answer: bool) -> Form | None:
    """The form of a message from a side of that version; None: the other version has no such message."""
    try:
        return Form(source, action, answer)
    except KeyError:
        return None
