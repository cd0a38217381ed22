"""Owns the forms: a table of fields, compiled once, that makes the payload of one version from that of the other.

A path is property names joined by dots, ``[]`` for the items of a list. Of a list in a list the inner ones belong together:
where the target has fewer lists only the first item is carried, where it has more they get one item.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from ocpp_proxy_plugins.bridge.converters import NOTHING, Convert, Notes

EACH = "[]"
MOST_UNKNOWN = 20                           # unknown fields of one object that are told one by one
_LONGEST_NAME = 60

Steps = tuple[str, ...]
Step = Callable[[Any, dict[str, Any], Notes, str], None]
Put = Callable[[dict[str, Any], Any], None]


class Rule(Struct, frozen=True):
    """One source field. ``convert`` None: not carried here; then ``why`` is what the ledger is told, or empty: code carries it.

    ``spare``: carried only when nothing else filled the target.
    """

    source: Steps
    target: Steps = ()
    convert: Convert | None = None
    why: str = ""
    spare: bool = False


class Constant(Struct, frozen=True):
    """A value of the target that comes from no field. ``why``: told in the ledger as invented; empty: not told."""

    target: Steps
    value: Any
    why: str = ""


def steps(path: str) -> Steps:
    """A path from its written form."""
    return tuple(path.replace(EACH, f".{EACH}").split(".")) if path else ()


class Form:
    """A compiled table: immutable, safe to share. Rules that contradict each other are a ``ValueError``."""

    def __init__(self, rules: Iterable[Rule], constants: Iterable[Constant] = (), target: str = "") -> None:
        self._unknown = f"no such field in OCPP {target}"
        every = list(rules)
        self._steps = _by_name([rule for rule in every if not rule.spare], self._unknown)
        self._later = [(rule.source[0], _leaf(rule)) for rule in every if rule.spare]
        for name, _ in self._later:
            self._steps.setdefault(name, _nothing)
        fixed = list(constants)
        self._constants = [(_put(one.target), one.value) for one in fixed if not one.why]
        self._invented = [(_put(one.target), _has(one.target), _written(one.target), one) for one in fixed if one.why]

    def carry(self, source: Mapping[str, Any], notes: Notes, made: Mapping[str, Any] = {}) -> dict[str, Any]:
        """The payload in the other version; each field that is not carried is told. Never raises on what a peer sent.

        ``made``: target values by top-level name. They win; objects are merged deep, everything else is replaced, and None
        takes the field away. The source is never changed; what is carried as it is stays shared with it.
        """
        out: dict[str, Any] = {}
        if not isinstance(source, dict):
            notes.lost("", "not an object")
            source = {}
        self.fill(source, out, notes, "")
        for put, value in self._constants:
            put(out, value)
        if made:
            out = merged(out, made)
        for put, has, path, constant in self._invented:
            if not has(out):
                put(out, constant.value)
                notes.lost(path, constant.why, "invented")
        return out

    def fill(self, source: dict[str, Any], out: dict[str, Any], notes: Notes, path: str) -> None:
        """The fields alone, of an object at ``path`` of the source."""
        _walk(self._steps, self._unknown, source, out, notes, f"{path}." if path else "")
        for name, do in self._later:
            if source.get(name) is not None:
                do(source[name], out, notes, f"{path}.{name}" if path else name)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both; ``above`` wins. Objects are merged deep, None takes away; neither is changed."""
    out = dict(below)
    for name, value in above.items():
        held = out.get(name)
        if value is None:
            out.pop(name, None)
        elif isinstance(value, dict) and isinstance(held, dict):
            out[name] = merged(held, value)
        else:
            out[name] = value
    return out


def _walk(
    known: dict[str, Step], why: str, source: dict[str, Any], out: dict[str, Any], notes: Notes, prefix: str,
) -> None:
    unknown: list[str] | None = None
    for name, value in source.items():
        do = known.get(name)
        if do is None:
            if unknown is None:
                unknown = []
            unknown.append(name)
        elif value is None:
            notes.lost(prefix + name, "null")
        else:
            do(value, out, notes, prefix + name)
    if unknown is not None:
        _tell(unknown, why, notes, prefix)


def _tell(unknown: list[str], why: str, notes: Notes, prefix: str) -> None:
    for name in islice(unknown, MOST_UNKNOWN):
        notes.lost(prefix + name[:_LONGEST_NAME], why)
    if len(unknown) > MOST_UNKNOWN:
        notes.lost(prefix + "*", f"{why}: {len(unknown) - MOST_UNKNOWN} more")


def _by_name(rules: Sequence[Rule], unknown: str) -> dict[str, Step]:
    names = dict.fromkeys(rule.source[0] for rule in rules)
    return {name: _step([_below(rule) for rule in rules if rule.source[0] == name], unknown) for name in names}


def _below(rule: Rule, target: Steps | None = None) -> Rule:
    return Rule(rule.source[1:], rule.target if target is None else target, rule.convert, rule.why, rule.spare)


def _step(rules: list[Rule], unknown: str) -> Step:
    """What is to be done with one value: of rules that are relative to it."""
    made = [_leaf(rule) for rule in rules if not rule.source]
    items = [rule for rule in rules if rule.source[:1] == (EACH,)]
    members = [rule for rule in rules if rule.source and rule.source[0] != EACH]
    if items:
        made.append(_list(items, unknown))
    if members:
        made.append(_object(_by_name(members, unknown), unknown))
    if len(made) == 1:
        return made[0]

    def several(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        for do in made:
            do(value, out, notes, path)

    return several


def _object(known: dict[str, Step], unknown: str) -> Step:
    def walk(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        if isinstance(value, dict):
            _walk(known, unknown, value, out, notes, path + ".")
        else:
            notes.lost(path, "not an object")

    return walk


def _leaf(rule: Rule) -> Step:
    convert, why = rule.convert, rule.why
    if convert is None:
        return _dropped(why) if why else _nothing
    if rule.spare:
        return _spare(convert, rule.target)
    if len(rule.target) == 1:
        return _top(convert, rule.target[0])
    put = _put(rule.target)

    def carry(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        made = convert(value, notes, path)
        if made is not NOTHING:
            put(out, made)

    return carry


def _top(convert: Convert, name: str) -> Step:
    def carry(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        made = convert(value, notes, path)
        if made is not NOTHING:
            out[name] = made

    return carry


def _spare(convert: Convert, target: Steps) -> Step:
    put, has, written = _put(target), _has(target), _written(target)

    def carry(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        if has(out):
            notes.lost(path, f"{written} holds another value")
            return
        made = convert(value, notes, path)
        if made is not NOTHING:
            put(out, made)

    return carry


def _dropped(why: str) -> Step:
    def drop(_value: Any, _out: dict[str, Any], notes: Notes, path: str) -> None:
        notes.lost(path, why)

    return drop


def _nothing(_value: Any, _out: dict[str, Any], _notes: Notes, _path: str) -> None:
    pass


def _list(rules: list[Rule], unknown: str) -> Step:
    heads = {_head(rule) for rule in rules if rule.convert is not None}
    if len(heads) > 1:
        raise ValueError(f"one list goes to several places: {sorted(map(str, heads))}")
    head = heads.pop() if heads else None
    inner = [_below(rule, rule.target[len(head) + 1:] if head else rule.target) for rule in rules]
    do = _item(inner, unknown)
    if not head:
        return _first(do) if head == () else _looked(do)
    return _each(do, _put(head))


def _head(rule: Rule) -> Steps:
    """The target list whose items are those of this source list; () when the target has no list for it."""
    extra = rule.target.count(EACH) - rule.source.count(EACH)
    if extra < 0:
        return ()
    places = [at for at, step in enumerate(rule.target) if step == EACH]
    return rule.target[: places[extra]]


def _item(rules: list[Rule], unknown: str) -> Callable[[Any, Notes, str], Any]:
    """What an item of a list becomes."""
    scalar = next((rule.convert for rule in rules if not rule.source and not rule.target and rule.convert), None)
    if scalar is not None:
        return scalar
    do = _step(rules, unknown)
    whole = any(not rule.source for rule in rules)

    def convert(value: Any, notes: Notes, path: str) -> Any:
        out: dict[str, Any] = {}
        do(value, out, notes, path)
        return out if whole or isinstance(value, dict) else NOTHING

    return convert


def _each(convert: Convert, put: Put) -> Step:
    def walk(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        if not isinstance(value, list):
            notes.lost(path, "not a list")
            return
        made = [convert(item, notes, f"{path}[{at}]") for at, item in enumerate(value)]
        put(out, [item for item in made if item is not NOTHING])

    return walk


def _looked(convert: Convert) -> Step:
    """Items that code carries: only looked at for what is lost."""
    def walk(value: Any, _out: dict[str, Any], notes: Notes, path: str) -> None:
        if not isinstance(value, list):
            notes.lost(path, "not a list")
            return
        for at, item in enumerate(value):
            convert(item, notes, f"{path}[{at}]")

    return walk


def _first(convert: Convert) -> Step:
    def walk(value: Any, out: dict[str, Any], notes: Notes, path: str) -> None:
        if not isinstance(value, list) or not value:
            notes.lost(path, "not a list, or an empty one")
            return
        made = convert(value[0], notes, f"{path}[0]")
        if isinstance(made, dict):
            out.update(merged(out, made))
        for at in range(1, min(len(value), MOST_UNKNOWN)):
            notes.lost(f"{path}[{at}]", "only the first can be carried")

    return walk


def _put(target: Steps) -> Put:
    """Puts a value at a target path; objects above it are made, lists above it get one item."""
    if not target:
        raise ValueError("a field that is carried needs a target")
    parts = [(step, target[at + 1 : at + 2] == (EACH,)) for at, step in enumerate(target) if step != EACH]
    *above, (last, in_list) = parts
    if not above and not in_list:
        return _setter(last)

    def put(out: dict[str, Any], value: Any) -> None:
        holder = out
        for name, many in above:
            holder = holder.setdefault(name, [{}])[0] if many else holder.setdefault(name, {})
        if in_list:
            holder.setdefault(last, []).append(value)
        else:
            holder[last] = value

    return put


def _setter(name: str) -> Put:
    def put(out: dict[str, Any], value: Any) -> None:
        out[name] = value

    return put


def _has(target: Steps) -> Callable[[dict[str, Any]], bool]:
    names = [step for step in target if step != EACH]

    def has(out: dict[str, Any]) -> bool:
        value: Any = out
        for name in names:
            if isinstance(value, list):
                value = value[0] if value else None
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]
        return True

    return has


def _written(target: Steps) -> str:
    return ".".join(target).replace(f".{EACH}", EACH)
