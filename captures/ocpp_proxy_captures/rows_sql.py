"""A filter on exchanges to SQL: which Calls (``wire w``, with their answer ``a``) can pass it as the rows they are.

The meaning is that of ``ocpp_proxy.fields.rows``: most fields are the Call's or the answer's; texts hold for any of the lines.
"""

from collections.abc import Callable

from msgspec import Struct

from ocpp_proxy.core.rows import UNANSWERED
from ocpp_proxy.fields import Compare, Filter, Op, Value, Word
from ocpp_proxy.fields.predicate import value_test
from ocpp_proxy.fields.tree import And, Node, Not, Or
from ocpp_proxy_captures.conditions import (
    ALWAYS,
    EVERYTHING,
    NEVER,
    Condition,
    Sql,
    every,
    exactly,
    negated,
    perhaps,
    some,
)
from ocpp_proxy_captures.fields_sql import LATENCY, READABLE, SIZE, findings, line_atom, message_field, scalar, translated

ANSWER = """LEFT JOIN (SELECT msg_no - call_back AS call_no, ts, ns, mtype, msg_no, tx_id, payload, odd FROM wire
    WHERE mtype IN (3, 4) AND call_back IS NOT NULL) a ON a.call_no = w.msg_no"""
_ANSWERED = "SELECT w.msg_no - w.call_back FROM wire w WHERE w.call_back IS NOT NULL"
_SPOILT = "w.msg_no IN (SELECT s.msg_no - s.call_back FROM wire s WHERE s.mtype = 5 AND s.call_back IS NOT NULL)"
_ERRORS = """SELECT msg_no - call_back AS call_no, arg_min(error_code, no) AS error_code FROM wire
    WHERE call_back IS NOT NULL AND error_code IS NOT NULL GROUP BY ALL"""
_JUDGED = """SELECT coalesce(k.no, f.line_no) AS row_no, f.level, f.rule, f.blame FROM found f
    LEFT JOIN (SELECT no, msg_no - call_back AS call_no FROM wire
        WHERE call_back IS NOT NULL AND no IN (SELECT line_no FROM found)) l ON l.no = f.line_no
    LEFT JOIN (SELECT no, msg_no FROM wire WHERE mtype = 2) k
        ON k.msg_no = CASE WHEN f.no = f.line_no THEN f.msg_no ELSE l.call_no END"""
_OUTCOME = f"""CASE WHEN a.mtype = 4 OR {_SPOILT} THEN 'error' WHEN a.mtype = 3 THEN 'ok'
    WHEN w.no IN (SELECT row_no FROM ({_JUDGED}) WHERE rule = '{UNANSWERED}') THEN 'unanswered' ELSE 'pending' END"""
_OF_ANSWERS = ("ms", "outcome", "tx", "size", "mtype")


TRANSLATIONS = """SELECT m.no AS no, m.msg_no AS msg_no, m.action AS action, o.msg_no AS root FROM (
        SELECT frame_id, list_last(cause) AS origin FROM wire WHERE verdict = 'translated' AND cause IS NOT NULL) f
    JOIN wire m ON m.frame_id = f.frame_id AND m.mtype = 2 AND m.no NOT IN (SELECT line_no FROM found)
    LEFT JOIN wire o ON o.frame_id = f.origin AND o.mtype = 2"""        # Calls that are no rows (core.rows), and of what


class Exchanges(Struct, frozen=True):
    """The condition of a filter on exchanges, and the join it needs."""

    condition: Condition
    join: str = ""


def exchanges(where: Filter | None, bridged: bool = False) -> Exchanges:
    """The condition for a filter; None lets everything through. ``bridged``: whether there are translations."""
    if where is None:
        return Exchanges(ALWAYS)
    return Exchanges(translated(where.root, _bridged_atom if bridged else _atom), ANSWER if _asks_answers(where.root) else "")


def _asks_answers(node: Node) -> bool:
    match node:
        case And(items) | Or(items):
            return any(map(_asks_answers, items))
        case Not(item):
            return _asks_answers(item)
        case Compare(field):
            return field in _OF_ANSWERS
        case Word():
            return False


def _atom(node: Word | Compare) -> Condition:
    if isinstance(node, Word):
        return _any_line(node)
    field, op, value = node.field, node.op, node.value
    if field in ("text", "payload") or field.startswith("payload."):
        return _any_line(node)
    if field in ("severity", "rule", "blame"):
        return findings("w.no", _JUDGED, field, op, value)
    if field in _SPECIAL:
        return _SPECIAL[field](op, value)
    return line_atom(node)


def _bridged_atom(node: Word | Compare) -> Condition:
    """As ``_atom``, where an exchange has the action of what its Call was translated into, too."""
    if isinstance(node, Word):
        return some([_atom(node), _made("contains", node.text)])
    if node.field != "action":
        return _atom(node)
    if node.op == "!=":
        return every([_atom(node), negated(_made("==", node.value))])
    return some([_atom(node), _made(node.op, node.value)])


def _made(op: Op, value: Value) -> Condition:
    """A comparison with the actions of what a Call was translated into: with any of them."""
    action = scalar("t.action", op, value)
    return Condition(*(
        Sql(f"w.msg_no IN (SELECT t.root FROM ({TRANSLATIONS}) t WHERE t.root IS NOT NULL AND {sql.text})", sql.parameters)
        for sql in (action.may, action.sure)))


def _any_line(node: Word | Compare) -> Condition:
    of_line = line_atom(node)
    parts = [of_line, Condition(*(
        Sql(f"w.msg_no IN ({_ANSWERED} AND {sql.text})", sql.parameters)
        for sql in (of_line.may, of_line.sure)))]
    if isinstance(node, Word) or not message_field(node.field):
        parts.append(perhaps("w.msg_no IN (SELECT msg_no FROM found WHERE no = line_no AND msg_no IS NOT NULL)"))
    return some(parts)


def _holds(op: Op, value: Value, got: str | int) -> Condition:
    return ALWAYS if value_test(Compare("", op, value))(got) else NEVER


def _mtype(op: Op, value: Value) -> Condition:
    spoilt = every([exactly(_SPOILT), _holds(op, value, 5)])
    return some([_holds(op, value, 2), scalar("a.mtype", op, value), spoilt])


def _error(op: Op, value: Value) -> Condition:
    code = scalar("e.error_code", op, value)
    return Condition(*(
        Sql(f"w.msg_no IN (SELECT e.call_no FROM ({_ERRORS}) e WHERE {sql.text})", sql.parameters)
        for sql in (code.may, code.sure)))


def _verdict(op: Op, value: Value) -> Condition:
    """One of several: that of the Call, or of an answer."""
    if op == "!=":
        return EVERYTHING
    return _any_line(Compare("verdict", op, value))


def _size(op: Op, value: Value) -> Condition:
    of_answer = SIZE.replace("w.", "a.")
    known = f"({READABLE} AND a.odd IS NULL AND NOT {_SPOILT})"
    both = scalar(f"({SIZE} + CASE WHEN a.msg_no IS NULL THEN 0 ELSE {of_answer} END)", op, value)
    return some([every([exactly(known), both]), every([negated(exactly(known)), EVERYTHING])])


_SPECIAL: dict[str, Callable[[Op, Value], Condition]] = {
    "ms": lambda op, value: scalar(LATENCY.format("a", "w"), op, value),
    "outcome": lambda op, value: scalar(f"({_OUTCOME})", op, value),
    "tx": lambda op, value: scalar("coalesce(w.tx_id, a.tx_id)", op, value),
    "kind": lambda op, value: _holds(op, value, "message"),
    "mtype": _mtype, "error": _error, "size": _size, "verdict": _verdict,
}
