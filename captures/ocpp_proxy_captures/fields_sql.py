"""Field names to SQL: which rows of ``wire`` can pass a filter.

The filter's own predicate (``ocpp_proxy.fields``) has the last word on every line, so live and stored lines answer alike;
the SQL only spares it rows. So it may let too much through, never too little: a condition says whether it is ``exact``,
and the negation of one that is not lets everything through.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from ocpp_proxy.fields import And, Compare, Filter, Node, Not, Or, Value, Word
from ocpp_proxy.model import Opcode

Parameter = str | int | float | bool


class Sql(Struct, frozen=True):
    """A condition on a row of ``wire w``, never NULL."""

    text: str
    parameters: tuple[Parameter, ...] = ()
    exact: bool = False


EVERYTHING = Sql("true")
_LATENCY = """w.no IN (SELECT a.no FROM wire a JOIN wire c ON c.msg_no = a.msg_no - a.call_back
    WHERE ((epoch_us(a.ts) * 1000 + a.ns) - (epoch_us(c.ts) * 1000 + c.ns)) / 1e6 {op} ?)"""
_TEXT = "concat_ws(' ', coalesce(w.error_code, ''), coalesce(w.error_desc, ''), coalesce(CAST(w.payload AS VARCHAR), ''))"
_NUMBERS = {"mtype": "w.mtype", "evse": "w.evse_id", "connector": "w.connector_id", "link": "w.link_id"}
_TEXTS = {
    "action": "w.action", "message_id": "w.message_id", "tx": "w.tx_id", "token": "w.id_token", "error": "w.error_code",
    "payload": "CAST(w.payload AS VARCHAR)",
}
_FROM_LINK = {"identity": "w.identity", "protocol": "w.protocol"}     # of rows without a message the link knows them
_OPS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PLAIN = re.compile(r"(\(\?i\))?([\w \-.:,;/@\"'=<>#%&!~*+?|()\[\]^$]|\\[dws.\\+*?()\[\]|^$])*", re.ASCII)


def candidates(where: Filter | None) -> Sql:
    """The condition for a filter; None lets everything through."""
    return EVERYTHING if where is None else _node(where.root)


def _node(node: Node) -> Sql:
    match node:
        case And(items):
            return _joined([_node(item) for item in items], " AND ", "true")
        case Or(items):
            return _joined([_node(item) for item in items], " OR ", "false")
        case Not(item):
            inner = _node(item)
            return Sql(f"NOT {inner.text}", inner.parameters, True) if inner.exact else EVERYTHING
        case Word(text):
            return _word(text)
        case Compare():
            return _compare(node)


def _joined(parts: list[Sql], word: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty, (), True)
    return Sql("(" + word.join(part.text for part in parts) + ")", tuple(p for part in parts for p in part.parameters),
               all(part.exact for part in parts))


def _word(text: str) -> Sql:
    if not text.isascii():
        return EVERYTHING
    every = f"concat_ws(' ', w.action, chr(0), w.message_id, chr(0), w.identity, chr(0), {_TEXT})"
    return Sql(f"(w.msg_no IS NULL OR w.odd IS NOT NULL OR contains(lower({every}), ?))", (text.lower(),))


def _compare(node: Compare) -> Sql:
    field, op, value = node.field, node.op, node.value
    if field.startswith("payload."):
        return _path(field, op, value)
    if field in ("severity", "rule", "blame"):
        return _of_findings(field, op, value)
    if field in _NUMBERS:
        return _scalar(_NUMBERS[field], op, value)
    if field in _TEXTS:
        made = _scalar(_TEXTS[field], op, value)
        return Sql(f"(w.odd IS NOT NULL OR {made.text})", made.parameters) if field == "payload" else made
    if field in _FROM_LINK:
        made = _scalar(_FROM_LINK[field], op, value)
        return Sql(f"({_FROM_LINK[field]} IS NULL OR {made.text})", made.parameters)
    special = _SPECIAL.get(field)
    return special(op, value) if special else EVERYTHING


def _scalar(column: str, op: str, value: Value) -> Sql:
    if isinstance(value, tuple):
        if op != "in" or not value:
            return Sql("false", (), True) if op == "in" else EVERYTHING
        marks = ", ".join("?" * len(value))
        return Sql(f"coalesce({column} IN ({marks}), false)", value, True)
    if op in _OPS:
        return Sql(f"coalesce({column} {_OPS[op]} ?, false)", (value,), True)
    text = str(value)
    if op == "contains" and text.isascii():
        return Sql(f"coalesce(contains(lower(CAST({column} AS VARCHAR)), ?), false)", (text.lower(),))
    if op == "~" and _PLAIN.fullmatch(text):
        return Sql(f"coalesce(regexp_matches(CAST({column} AS VARCHAR), ?, 's'), false)", (text,))
    return EVERYTHING


def _of_findings(field: str, op: str, value: Value) -> Sql:
    if field == "severity" and op in _OPS and isinstance(value, int):
        return Sql(f"w.no IN (SELECT line_no FROM found GROUP BY line_no HAVING max(level) {_OPS[op]} ?)", (value,), True)
    if field == "severity" or isinstance(value, tuple) or op not in ("==", "!="):
        return Sql("w.no IN (SELECT line_no FROM found)")
    with_it = f"w.no IN (SELECT line_no FROM found WHERE {field} = ?)"
    if op == "==":
        return Sql(with_it, (value,), True)
    return Sql(f"(w.no IN (SELECT line_no FROM found) AND NOT {with_it})", (value,), True)


def _path(field: str, op: str, value: Value) -> Sql:
    """Rows whose payload has all the keys of the path (or an escape that could hide them)."""
    keys = [key for key in re.findall(r"[^.\[\]]+", re.sub(r"\[(\d+|\*)\]", "", field.removeprefix("payload.")))]
    parts = [f'"{key}"' for key in keys]
    if op == "==" and isinstance(value, str) and value.isascii() and value:
        parts.append(value)
    if not all(part.isprintable() for part in parts):
        return EVERYTHING
    conditions = " AND ".join("contains(CAST(w.payload AS VARCHAR), ?)" for _ in parts) or "true"
    return Sql(f"coalesce(contains(CAST(w.payload AS VARCHAR), '\\') OR ({conditions}), w.odd IS NOT NULL)", tuple(parts))


def _ms(op: str, value: Value) -> Sql:
    if op not in _OPS or isinstance(value, tuple):
        return EVERYTHING
    return Sql(_LATENCY.format(op=_OPS[op]), (value,), True)


def _side(op: str, value: Value) -> Sql:
    column = "CASE WHEN w.station THEN 'station' ELSE 'csms' END"
    return _scalar(column, op, value)


def _opcode(op: str, value: Value) -> Sql:
    names = ", ".join(f"'{opcode.value}'" for opcode in Opcode)
    made = _scalar(f"list_extract([{names}], w.opcode + 1)", op, value)
    return Sql(f"(w.opcode IS NULL OR {made.text})", made.parameters)


def _kind(op: str, value: Value) -> Sql:
    return _scalar("""CASE WHEN w.msg_no IS NOT NULL THEN 'message' WHEN w.opcode = 3 THEN 'ping' WHEN w.opcode = 4 THEN 'pong'
        WHEN w.opcode = 5 THEN 'close' WHEN w.opcode IN (6, 7) THEN 'http' ELSE 'raw' END""", op, value)


def _time(op: str, value: Value) -> Sql:
    if op not in ("==", "<", "<=", ">", ">=") or not isinstance(value, int):
        return EVERYTHING
    loose = {"==": "=", "<": "<=", "<=": "<=", ">": ">=", ">=": ">="}[op]
    return Sql(f"w.ts {loose} make_timestamptz(CAST(? AS BIGINT))", (value // 1000,))


def _text(op: str, value: Value) -> Sql:
    if op != "contains" or not str(value).isascii():
        return EVERYTHING
    return Sql(f"(w.msg_no IS NULL OR w.odd IS NOT NULL OR contains(lower({_TEXT}), ?))", (str(value).lower(),))


_SPECIAL: dict[str, Callable[[str, Value], Sql]] = {
    "ms": _ms, "side": _side, "opcode": _opcode, "kind": _kind, "time": _time, "text": _text,
}
