"""A filter as a Python function of a row: an exchange is asked as a whole, every other row as the line it is.

Most fields stand in the row. ``text``, ``payload``, ``payload.<path>`` and bare words need its lines, and hold when they
hold for one of them; so does ``mtype`` where a failed exchange could have been answered by either of two types.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct

from ocpp_proxy.fields.predicate import ORDER, compare_test, value_test, word_test
from ocpp_proxy.fields.registry import ANSWERS, FIELDS, Links
from ocpp_proxy.fields.tree import And, Compare, Filter, Node, Not, Or, Value, Word
from ocpp_proxy.records import Line, Row

Lines = Callable[[], Sequence[Line]]
Test = Callable[[Row, Lines], bool]
_Get = Callable[[Row], Any]
_SIZED = frozenset(("exchange", "message", "ping", "pong", "close", "http", "raw"))
_ATTRIBUTES = {
    "message_id": "message_id", "evse": "evse", "connector": "connector", "tx": "tx", "token": "token",
    "error": "error", "ms": "ms", "opcode": "opcode", "time": "time_ns", "link": "link_id", "severity": "level",
}
_MISSING: dict[str, object] = {"evse": None, "connector": None, "ms": None, "time": None, "link": 0, "severity": -1}
_OWN = frozenset(("message_id", "mtype", "ms", "size", "time", "text", "payload"))      # what a row has alone
_MANY = {"rule": "codes", "blame": "blames", "verdict": "verdicts"}


class RowTest(Struct, frozen=True):
    """A compiled filter: ``row_test(row, lines)``; loops call ``test`` itself, which is the same with one call less.

    ``needs_lines``: whether ``lines`` is ever called. It gives all lines of the row, in order. ``alike``: rows that differ but
    in ``time_ns``, ``ms``, ``size``, their ids and numbers cannot be told apart, and may be asked without those.
    """

    test: Test
    needs_lines: bool
    alike: bool = False

    def __call__(self, row: Row, lines: Lines) -> bool:
        """Whether the row passes."""
        return self.test(row, lines)


def compile_rows(where: Filter | None, links: Links | None = None) -> RowTest:
    """Compile a filter for rows (None: everything passes). ``links`` as for ``compile``. Raises ``ConfigError``."""
    if where is None:
        return RowTest(lambda row, lines: True, False, True)
    return RowTest(_node(where.root, {} if links is None else links), _asks_lines(where.root), _asks_alike(where.root))


def _asks_lines(node: Node) -> bool:
    match node:
        case And(items) | Or(items):
            return any(map(_asks_lines, items))
        case Not(item):
            return _asks_lines(item)
        case Word():
            return True
        case Compare(field):
            return field in ("text", "payload") or field not in FIELDS or (field == "mtype" and _unsure(value_test(node)))


def _asks_alike(node: Node) -> bool:
    match node:
        case And(items) | Or(items):
            return all(map(_asks_alike, items))
        case Not(item):
            return _asks_alike(item)
        case Word():
            return False
        case Compare(field):
            return field in FIELDS and field not in _OWN


def _node(node: Node, links: Links) -> Test:
    match node:
        case And(items):
            return _every([_node(item, links) for item in items])
        case Or(items):
            return _some([_node(item, links) for item in items])
        case Not(item):
            negated = _node(item, links)
            return lambda row, lines: not negated(row, lines)
        case Word(text):
            return _word(text, links)
        case Compare():
            return _compare(node, links)


def _every(tests: list[Test]) -> Test:
    """All of them; two at a time, without a loop for each row."""
    if not tests:
        return lambda row, lines: True
    first, *more = tests
    if not more:
        return first
    rest = _every(more)
    return lambda row, lines: first(row, lines) and rest(row, lines)


def _some(tests: list[Test]) -> Test:
    if not tests:
        return lambda row, lines: False
    first, *more = tests
    if not more:
        return first
    rest = _some(more)
    return lambda row, lines: first(row, lines) or rest(row, lines)


def _word(text: str, links: Links) -> Test:
    needle, of_line = text.lower(), word_test(text, links)

    def found(row: Row, lines: Lines) -> bool:
        return (needle in row.action.lower() or needle in row.message_id.lower()
                or any(needle in action.lower() for action in row.made) or any(map(of_line, lines())))
    return found


def _compare(node: Compare, links: Links) -> Test:
    field, value = node.field, node.value
    if field in ("text", "payload") or field not in FIELDS:
        of_line = compare_test(node, links)
        return lambda row, lines: any(map(of_line, lines()))
    if field in _MANY:
        return _of_findings(attrgetter(_MANY[field]), node)
    if field == "mtype":
        return _mtype(node)
    if field == "action":
        return _action(node)
    if field in _ATTRIBUTES:
        return _plain(attrgetter(_ATTRIBUTES[field]), _MISSING.get(field, ""), node.op, value, value_test(node))
    return _plain(_getter(field, links), None, node.op, value, value_test(node))


def _plain(get: _Get, missing: object, op: str, value: Value, holds: Callable[[Any], bool]) -> Test:
    if op == "==" and value != missing:
        return lambda row, lines: get(row) == value
    if op in ORDER:
        compare = ORDER[op]

        def ordered(row: Row, lines: Lines) -> bool:
            got = get(row)
            return got != missing and compare(got, value)
        return ordered

    def one(row: Row, lines: Lines) -> bool:
        got = get(row)
        return got != missing and holds(got)
    return one


def _of_findings(get: _Get, node: Compare) -> Test:
    holds = value_test(node)
    if node.op == "!=":
        return lambda row, lines: bool(get(row)) and all(map(holds, get(row)))
    return lambda row, lines: any(map(holds, get(row)))


def _action(node: Compare) -> Test:
    """That of the Call, or of one that a bridge made of it; ``!=``: of none of them."""
    holds, value = value_test(node), node.value
    if node.op == "==" and value:
        return lambda row, lines: row.action == value or value in row.made
    of_all = all if node.op == "!=" else any

    def found(row: Row, lines: Lines) -> bool:
        return bool(row.action) and of_all(map(holds, (row.action, *row.made)))
    return found


def _unsure(holds: Callable[[Any], bool]) -> bool:
    """Whether it matters for a failed exchange if a CALLERROR came, or a CALLRESULT and then a CALLRESULTERROR."""
    return not holds(2) and not holds(3) == holds(4) == holds(5)


def _mtype(node: Compare) -> Test:
    """The Call's type, or an answer's."""
    holds = value_test(node)
    of_line = compare_test(node, {})
    of_call, of_result, of_failed, of_error, unsure = holds(2), holds(3), holds(4), holds(5), _unsure(holds)

    def found(row: Row, lines: Lines) -> bool:
        if row.kind != "exchange":
            return row.kind == "message" and holds(row.mtype)
        if of_call:
            return True
        if row.outcome == "ok":
            return of_result
        if not row.answer_no:               # a CALLRESULTERROR alone where the export left the CALLRESULT out
            return row.outcome == "error" and of_error
        return any(map(of_line, lines())) if unsure else of_failed
    return found


def _getter(field: str, links: Links) -> _Get:
    """What a row has of a field that is no plain attribute of it; None: nothing."""
    def identity(row: Row) -> str | None:
        return row.identity or ((link := links.get(row.link_id)) and link.identity) or None

    def protocol(row: Row) -> str | None:
        if row.protocol or row.kind == "handshake":
            return row.protocol or None
        return ((link := links.get(row.link_id)) and link.protocol) or None

    def side(row: Row) -> str | None:
        return row.side.value if row.side and row.kind != "handshake" else None

    def kind(row: Row) -> str:
        return "message" if row.kind == "exchange" else row.kind

    def size(row: Row) -> int | None:
        return row.size if row.kind in _SIZED else None

    def outcome(row: Row) -> str | None:
        if row.kind == "exchange":
            return row.outcome
        return ANSWERS.get(row.mtype) if row.kind == "message" else None

    return {"identity": identity, "protocol": protocol, "side": side, "kind": kind, "size": size, "outcome": outcome}[field]
