"""Owns the question where the schemas of two near versions differ: what a message may say that the other version cannot."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from msgspec import Struct

from ocpp_proxy.spec.schemas import messages, raw
from ocpp_proxy_plugins.bridge.near_forms import FREE
from ocpp_proxy_plugins.bridge.near_rows import beyond

Kind = Literal["field", "values", "free", "length", "number", "required", "shape"]
_SHAPE = ("type", "format", "minItems", "maxItems", "minLength", "pattern")

Schema = dict[str, Any]


class Difference(Struct, frozen=True):
    """One of them. ``path``: in the message, without ``$.``; ``holder``: Type.field; ``type``: of a list of values.

    ``values``: those that only the source has (``values``), those of the target (``free``: the source has any text).
    ``most``: characters (``length``). ``shape``: anything else that no table can speak of.
    """

    path: str
    kind: Kind
    holder: str
    type: str = ""
    values: tuple[str, ...] = ()
    most: int = 0


@cache
def differences(source: str, action: str, answer: bool) -> tuple[Difference, ...]:
    """Those of a message from a side of that version; empty where the other version has no such message."""
    key = action, answer
    target = beyond(source)
    if key not in messages(source) or key not in messages(target):
        return ()
    have, want = raw(source, *key), raw(target, *key)
    return tuple(_between((have, have), (want, want), "", action, action))


Part = tuple[Schema, Schema]
"""The whole schema, and the part of it that is looked at."""


def _between(have: Part, want: Part, path: str, holder: str, kind: str) -> Iterator[Difference]:
    have_kind, want_kind = _kind(have[1]) or kind, _kind(want[1]) or kind
    have, want = _solved(have), _solved(want)
    ours, theirs = have[1], want[1]
    if "enum" in theirs:
        yield from _values(ours, theirs, path, holder, want_kind)
    elif "properties" in theirs and "properties" in ours:
        yield from _members(have, want, path, have_kind, want_kind)
        return
    elif "items" in theirs and "items" in ours:
        yield from _between((have[0], ours["items"]), (want[0], theirs["items"]), f"{path}[]", holder, kind)
    most = theirs.get("maxLength")
    if most is not None and "enum" not in ours and ours.get("maxLength", most + 1) > most:
        yield Difference(path, "length", holder, most=most)
    types = ours.get("type"), theirs.get("type")
    if types == ("number", "integer"):
        yield Difference(path, "number", holder)
    elif types != ("integer", "number") and any(ours.get(name) != theirs.get(name) for name in _SHAPE if name in theirs):
        yield Difference(path, "shape", holder)


def _members(have: Part, want: Part, path: str, have_kind: str, want_kind: str) -> Iterator[Difference]:
    ours, theirs = have[1]["properties"], want[1]["properties"]
    needed = set(want[1].get("required", ())) - set(have[1].get("required", ()))
    for name in theirs:
        inner, holder = f"{path}.{name}" if path else name, f"{want_kind}.{name}"
        if name in needed:
            yield Difference(inner, "required", holder)
        if name in ours and name != FREE:
            yield from _between((have[0], ours[name]), (want[0], theirs[name]), inner, holder, want_kind)
    for name in ours:
        if name not in theirs:
            yield Difference(f"{path}.{name}" if path else name, "field", f"{have_kind}.{name}")


def _values(ours: Schema, theirs: Schema, path: str, holder: str, kind: str) -> Iterator[Difference]:
    legal = theirs["enum"]
    if "enum" not in ours:
        yield Difference(path, "free", holder, kind, tuple(legal))
        return
    only = tuple(value for value in ours["enum"] if value not in legal)
    if only:
        yield Difference(path, "values", holder, kind, only)


def _kind(part: Schema) -> str:
    reference = part.get("$ref")
    return reference.rpartition("/")[2] if isinstance(reference, str) else ""


def _solved(part: Part) -> Part:
    root, inner = part
    kind = _kind(inner)
    return (root, root["definitions"][kind]) if kind else part
