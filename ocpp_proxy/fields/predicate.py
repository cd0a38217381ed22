"""A filter as a Python function of a line."""

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import orjson

from ocpp_proxy import records
from ocpp_proxy.fields.patterns import matcher
from ocpp_proxy.fields.registry import FIELDS, Got, Links, identity_of, text_of
from ocpp_proxy.fields.tree import And, Compare, Filter, Node, Not, Or, Scalar, Word
from ocpp_proxy.records import Line

T = TypeVar("T")
Test = Callable[[Line], bool]
MAX_PAYLOAD = 4 << 20                       # payload.<path> looks into payloads of up to so many bytes
_NUMBER = re.compile(r"\s*-?\d+(\.\d+)?([eE][+-]?\d{1,3})?\s*")
_STEP = re.compile(r"\[(\d+|\*)\]|([^.\[\]]+)")
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}


def compile(where: Filter | None, links: Links | None = None) -> Test:
    """Compile a filter (None: everything passes).

    ``links`` maps link_id to what is known of the link, and may grow while it is used: pings, closes and notes know only
    their link, so ``identity`` and ``protocol`` of them come from there. Raises ``ConfigError`` for a bad pattern.
    """
    known: Links = {} if links is None else links

    def leaf(node: Word | Compare) -> Test:
        return word_test(node.text, known) if isinstance(node, Word) else compare_test(node, known)
    return combined(where.root if where else And(()), leaf)


def combined(node: Node, leaf: Callable[[Word | Compare], Callable[[T], bool]]) -> Callable[[T], bool]:
    """The function of a tree, from what ``leaf`` makes of its words and comparisons."""
    match node:
        case And(items):
            tests = [combined(item, leaf) for item in items]
            return lambda item: all(test(item) for test in tests)
        case Or(items):
            tests = [combined(item, leaf) for item in items]
            return lambda item: any(test(item) for test in tests)
        case Not(inner):
            negated = combined(inner, leaf)
            return lambda item: not negated(item)
        case Word() | Compare():
            return leaf(node)


def word_test(text: str, links: Links) -> Test:
    """Whether a line has a bare word."""
    needle = text.lower()

    def found(line: Line) -> bool:
        if isinstance(line.record, records.MessageSeen):
            message = line.record.message
            if needle in message.action.lower() or needle in message.message_id.lower():
                return True
        return needle in (identity_of(line, links) or "").lower() or needle in text_of(line).lower()
    return found


def compare_test(node: Compare, links: Links) -> Test:
    """Whether one comparison holds for a line."""
    field = FIELDS.get(node.field)
    if field is None:
        return _payload(node)
    get = field.get
    return value_of_test(node, lambda line: get(line, links), field.many)


def value_of_test(node: Compare, get: Callable[[T], Got], many: bool) -> Callable[[T], bool]:
    """Whether one comparison holds for what ``get`` gives. ``many``: for one of several values; ``!=``: for all of some."""
    value, test = node.value, value_test(node)
    if many:
        every = node.op == "!="

        def some(item: T) -> bool:
            values = get(item)
            results = (test(value) for value in values) if isinstance(values, tuple) else iter(())
            return (bool(values) and all(results)) if every else any(results)
        return some
    if node.op in ORDER:
        compare = ORDER[node.op]

        def ordered(item: T) -> bool:
            got = get(item)
            return got is not None and compare(got, value)
        return ordered

    def one(item: T) -> bool:
        got = get(item)
        return got is not None and test(got)
    return one


def value_test(node: Compare) -> Callable[[Any], bool]:
    """The comparison alone, of a value that is there."""
    value = node.value
    if node.op == "in":
        allowed = frozenset(value if isinstance(value, tuple) else (value,))
        return lambda got: got in allowed
    if node.op == "~":
        search = matcher(str(value))
        return lambda got: search(_as_text(got))
    if node.op == "contains":
        needle = str(value).lower()
        return lambda got: needle in _as_text(got).lower()
    compare = ORDER[node.op]
    return lambda got: compare(got, value)


def _as_text(got: Got) -> str:
    return got if isinstance(got, str) else str(got)


def _payload(node: Compare) -> Test:
    """``payload.a.b[0].c``: a number compares as number, anything else as text; of ``[*]`` any element may match."""
    steps: list[str | int] = [
        int(index) if index.isdecimal() else index or key for index, key in _STEP.findall(node.field.removeprefix("payload."))
    ]
    keys = [f'"{step}"'.encode() for step in steps if isinstance(step, str) and step != "*"]
    test = _json_test(node)

    def found(line: Line) -> bool:
        if not isinstance(line.record, records.MessageSeen):
            return False
        payload = line.record.message.payload
        if len(payload) > MAX_PAYLOAD or (b"\\" not in payload and not all(key in payload for key in keys)):
            return False                    # a key that is not even in the text (and no escape that could hide it)
        try:
            values = _look([orjson.loads(payload)], steps)
        except orjson.JSONDecodeError:
            return False
        values = [value for value in values if value is not None]
        return bool(values) and all(map(test, values)) if node.op == "!=" else any(map(test, values))
    return found


def _look(values: list[Any], steps: Iterable[str | int]) -> list[Any]:
    for step in steps:
        if step == "*":
            values = [item for value in values if isinstance(value, list) for item in value]
        elif isinstance(step, int):
            values = [value[step] for value in values if isinstance(value, list) and step < len(value)]
        else:
            values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return values


def _json_test(node: Compare) -> Callable[[Any], bool]:
    value = node.value
    if isinstance(value, tuple):
        tests = [_scalar_test("==", item) for item in value]
        return lambda got: any(test(got) for test in tests)
    if node.op in ("~", "contains"):
        inner = value_test(node)
        return lambda got: inner(_json_text(got))
    return _scalar_test(node.op, value)


def _scalar_test(op: str, value: Scalar) -> Callable[[Any], bool]:
    compare = ORDER[op]
    if isinstance(value, str):
        return lambda got: compare(_json_text(got), value)

    def number(got: Any) -> bool:
        if isinstance(got, str) and len(got) < 100 and _NUMBER.fullmatch(got):
            got = float(got)
        return isinstance(got, int | float) and not isinstance(got, bool) and compare(got, value)
    return number


def _json_text(got: Any) -> str:
    return got if isinstance(got, str) else orjson.dumps(got).decode()
