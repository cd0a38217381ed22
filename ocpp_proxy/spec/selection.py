"""Owns the paths that choose places in a payload: ``$.meterValue[*].sampledValue[?unit=="kWh"].value``, ``$..timestamp``.

A path is ``$`` and steps: ``.name`` or ``["odd name"]``, ``[0]``, ``[-1]`` (from the end), ``[*]`` (every item, or every
property), ``..name`` (at any depth), and conditions on the value reached so far, or on each item of a list: ``[?name]`` (has
it), ``[?name=="x"]``, ``[?name!="x"]`` (also where it is missing), values as in JSON, names with dots for objects in objects.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from json import loads
from typing import Any

from msgspec import Struct

from ocpp_proxy.spec.json_path import Step, written
from ocpp_proxy.spec.paths import MOST, Holder

_STEP = re.compile(
    r'\.\.(?P<deep>[^.\[\]"\s]+)|\.(?P<name>[^.\[\]"\s]+)|\[(?P<index>-?\d{1,9})\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]|(?P<each>\[\*\])'
    r'|\[\?(?P<asked>[^.\[\]"\s=!]+(?:\.[^.\[\]"\s=!]+)*)\s*(?:(?P<op>==|!=)\s*(?P<value>"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null)\s*)?\]',
    re.DOTALL,
)


class Place(Struct, frozen=True, gc=False):
    """A place that holds a value, or could: ``holder[key]``. ``steps``: where it is."""

    holder: Holder
    key: str | int
    steps: tuple[Step, ...]

    @property
    def path(self) -> str:
        """Where it is, in text."""
        return written(self.steps)

    @property
    def value(self) -> object:
        """What stands there; None also when nothing does."""
        if isinstance(self.holder, dict):
            return self.holder.get(str(self.key))
        return self.holder[self.key] if isinstance(self.key, int) and self.key < len(self.holder) else None

    def put(self, value: object) -> None:
        """Put a value there."""
        if isinstance(self.holder, dict):
            self.holder[str(self.key)] = value
        elif isinstance(self.key, int):
            self.holder[self.key] = value

    def remove(self) -> None:
        """Take it away. Of several places in one list the last goes first."""
        if isinstance(self.holder, dict):
            self.holder.pop(str(self.key), None)
        elif isinstance(self.key, int):
            del self.holder[self.key]


class Each(Struct, frozen=True, gc=False):
    """Every item, or every property."""


class Deep(Struct, frozen=True, gc=False):
    """A name at any depth."""

    name: str


class Asked(Struct, frozen=True, gc=False):
    """A condition. ``op``: empty (it is there), == or !=."""

    names: tuple[str, ...]
    op: str
    value: object

    def holds(self, item: object) -> bool:
        """Whether it holds for a value."""
        for name in self.names:
            if not isinstance(item, dict) or name not in item:
                return self.op == "!="
            item = item[name]
        same = item == self.value and isinstance(item, bool) is isinstance(self.value, bool)
        return not self.op or same is (self.op == "==")


Part = str | int | Each | Deep | Asked


class Selection(Struct, frozen=True):
    """A path, ready to be asked."""

    text: str
    parts: tuple[Part, ...]
    names: tuple[str, ...] = ()             # the same, where all of it are names: the usual case
    written: str = ""                       # then: as findings name it

    def places(self, payload: object) -> list[Place]:
        """The places with a value, in order; at most ``MOST``. The payload itself (``$``) is none."""
        holder = self.holder(payload)
        if holder is not None:
            name = self.names[-1]
            return [Place(holder, name, self.names)] if name in holder else []
        found = [place for place in _walk(payload, self.parts, None) if place.steps]
        return list({(id(place.holder), place.key): place for place in found}.values())

    def slots(self, payload: object) -> list[Place]:
        """The places with a value, and those where one may be put: a last name that is missing, and missing objects before
        it, which are made."""
        holder = self.holder(payload)
        if holder is not None:
            return [Place(holder, self.names[-1], self.names)]
        return [place for place in _walk(payload, self.parts, _made) if place.steps]

    def holder(self, payload: object) -> dict[str, Any] | None:
        """The object that the last of nothing but names is in; None: it has to be looked for, or made."""
        if not self.names:
            return None
        for name in self.names[:-1]:
            payload = payload.get(name) if isinstance(payload, dict) else None
        return payload if isinstance(payload, dict) else None

    @property
    def plain(self) -> bool:
        """Whether the last step is a name, so that what is missing can be put there."""
        return bool(self.parts) and isinstance(self.parts[-1], str)


def select(text: str) -> Selection:
    """Read a path. Raises ``ValueError`` that says where it goes wrong."""
    if not text.startswith("$"):
        raise ValueError(f"a path begins with $, as in $.meterValue[*].timestamp, not {text!r}")
    parts: list[Part] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"cannot read the path {text!r} from {text[at:at + 20]!r} on")
        at = step.end()
        parts.append(_part(step))
    names = tuple(part for part in parts if isinstance(part, str))
    return Selection(text, tuple(parts), *((names, written(names)) if len(names) == len(parts) else ()))


def _part(step: re.Match[str]) -> Part:
    if step["deep"]:
        return Deep(step["deep"])
    if step["each"]:
        return Each()
    if step["index"]:
        return int(step["index"])
    if step["asked"]:
        return Asked(tuple(step["asked"].split(".")), step["op"] or "", _literal(step["value"]))
    return step["name"] or str(loads(step["quoted"], strict=False))


def _literal(text: str | None) -> object:
    try:
        return loads(text) if text is not None else None
    except ValueError:
        raise ValueError(f"{text} is no JSON value") from None


def _made(holder: dict[str, object], name: str) -> None:
    """Where an object is missing on the way, there is one now."""
    holder.setdefault(name, {})


def _walk(
    payload: object, parts: Sequence[Part], make: Callable[[dict[str, object], str], None] | None,
) -> list[Place]:
    root: list[object] = [payload]
    level = [Place(root, 0, ())]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        following = parts[index + 1] if not last else None
        reached: list[Place] = []
        for place in level:
            if make is not None and isinstance(part, str) and isinstance(place.value, dict):
                if isinstance(following, str):
                    make(place.value, part)
                elif last and part not in place.value:
                    reached.append(Place(place.value, part, (*place.steps, part)))
            reached.extend(_below(place, part))
            if len(reached) >= MOST:
                break
        level = reached[:MOST]
    return level


def _below(place: Place, part: Part) -> Iterator[Place]:
    """The places one step further. A list where a name is wanted stands for its items: chargers send both."""
    value = place.value
    match part:
        case str():
            for item in _objects(place):
                if isinstance(item.value, dict) and part in item.value:
                    yield Place(item.value, part, (*item.steps, part))
        case int():
            if isinstance(value, list) and -len(value) <= part < len(value):
                index = part % len(value)
                yield Place(value, index, (*place.steps, index))
        case Each():
            yield from _inside(place)
        case Deep():
            yield from _deep(place, part.name)
        case Asked():
            items = _inside(place) if isinstance(value, list) else [place]
            yield from (item for item in items if part.holds(item.value))


def _objects(place: Place) -> Iterator[Place]:
    return _inside(place) if isinstance(place.value, list) else iter((place,))


def _inside(place: Place) -> Iterator[Place]:
    value = place.value
    if isinstance(value, list):
        yield from (Place(value, index, (*place.steps, index)) for index in range(min(len(value), MOST)))
    elif isinstance(value, dict):
        yield from (Place(value, name, (*place.steps, name)) for name in value)


def _deep(place: Place, name: str) -> Iterator[Place]:
    """A name at any depth, those outside before those inside them; nothing is made of what is on the way."""
    waiting: list[tuple[object, tuple[Step, ...]]] = [(place.value, place.steps)]
    while waiting:
        value, steps = waiting.pop()
        if isinstance(value, dict):
            if name in value:
                yield Place(value, name, (*steps, name))
            inside = [(inner, (*steps, key)) for key, inner in value.items() if isinstance(inner, dict | list)]
        elif isinstance(value, list):
            inside = [(inner, (*steps, at)) for at, inner in enumerate(value) if isinstance(inner, dict | list)]
        else:
            continue
        waiting += reversed(inside)
