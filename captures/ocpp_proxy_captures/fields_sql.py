"""Field names to SQL: which rows of ``wire w`` can pass a filter, as the lines they are.

The filter's own predicate (``ocpp_proxy.fields``) has the last word where SQL is not sure, so live and stored lines answer
alike. ``rows_sql`` asks whole exchanges and uses the pieces of this one.
"""

import re
from collections.abc import Callable

from ocpp_proxy.fields import And, Compare, Filter, Node, Not, Or, Value, Word
from ocpp_proxy.fields.registry import ANSWERS
from ocpp_proxy.model import Opcode
from ocpp_proxy_captures.conditions import EVERYTHING, NEVER, Condition, every, exactly, negated, perhaps, some
from ocpp_proxy_captures.path_sql import PAYLOAD, path

LATENCY = "((epoch_us({0}.ts) * 1000 + {0}.ns) - (epoch_us({1}.ts) * 1000 + {1}.ns)) / 1e6"
MESSAGE_FIELDS = frozenset((
    "action", "message_id", "mtype", "evse", "connector", "tx", "token", "error", "outcome", "payload", "verdict"))
_LATENCY = f"""w.no IN (SELECT a.no FROM wire a JOIN wire c ON c.msg_no = a.msg_no - a.call_back
    WHERE {LATENCY.format("a", "c")} {{op}} ?)"""
_TEXT = f"concat_ws(' ', coalesce(w.error_code, ''), coalesce(w.error_desc, ''), {PAYLOAD})"
READABLE = "w.msg_no IS NOT NULL AND w.odd IS NULL"    # what ``odd`` holds, and large values, SQL cannot look into
SIZE = f"strlen({PAYLOAD})"
_NUMBERS = {"mtype": "w.mtype", "evse": "w.evse_id", "connector": "w.connector_id", "link": "w.link_id"}
_TEXTS = {
    "action": "w.action", "message_id": "w.message_id", "tx": "w.tx_id", "token": "w.id_token", "error": "w.error_code",
    "payload": "CASE WHEN w.msg_no IS NOT NULL THEN coalesce(CAST(w.payload AS VARCHAR), '') END",
}
_FROM_LINK = {"identity": "w.identity", "protocol": "w.protocol"}     # of rows without a message the link knows them
_OPS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PLAIN = re.compile(r"(\(\?i\))?([\w \-.:,;/@\"'=<>#%&!~*+?|()\[\]^$]|\\[dw.\\+*?()\[\]|^$])*", re.ASCII)
_OTHER_CLASSES = re.compile(r"&&|--|~~|\[[^\]]*\[")     # means something else to RE2


def candidates(where: Filter | None) -> Condition:
    """The condition for a filter on lines; None lets everything through."""
    return exactly("true") if where is None else translated(where.root, line_atom)


def translated(node: Node, atom: Callable[[Word | Compare], Condition]) -> Condition:
    """The condition of a tree, made of those of its words and comparisons."""
    match node:
        case And(items):
            return every([translated(item, atom) for item in items])
        case Or(items):
            return some([translated(item, atom) for item in items])
        case Not(item):
            return negated(translated(item, atom))
        case Word() | Compare():
            return atom(node)


def message_field(field: str) -> bool:
    """Whether only messages and frames have this field."""
    return field in MESSAGE_FIELDS or field.startswith("payload.")


def event_atom(node: Word | Compare) -> Condition:
    """What is known of lines that are neither frame nor message: these have no field of a message."""
    return NEVER if isinstance(node, Compare) and message_field(node.field) else EVERYTHING


def line_atom(node: Word | Compare) -> Condition:
    """The condition of one word or comparison on the row ``w``."""
    if isinstance(node, Word):
        return _word(node.text)
    field, op, value = node.field, node.op, node.value
    if field.startswith("payload."):
        return path(field, op, value)
    if field in ("severity", "rule", "blame"):
        return _of_findings(field, op, value)
    if field in _NUMBERS:
        return scalar(_NUMBERS[field], op, value)
    if field == "payload":
        return _loosened("w.odd IS NOT NULL", scalar(_TEXTS[field], op, value))
    if field in _TEXTS:
        return scalar(_TEXTS[field], op, value)
    if field in _FROM_LINK:
        return _loosened(f"{_FROM_LINK[field]} IS NULL", scalar(_FROM_LINK[field], op, value))
    special = _SPECIAL.get(field)
    return special(op, value) if special else EVERYTHING


def _loosened(unknown: str, known: Condition) -> Condition:
    """A condition on a column that does not know everything."""
    return some([perhaps(unknown), every([negated(exactly(f"({unknown})")), known])])


def _word(text: str) -> Condition:
    if not text.isascii() or not text.isprintable():
        return EVERYTHING
    every_text = f"concat_ws(' ', w.action, chr(0), w.message_id, chr(0), w.identity, chr(0), {_TEXT})"
    needle = text.lower()
    sure = f"w.identity IS NOT NULL AND {READABLE} AND {_ascii(every_text)}" if needle.strip() == needle else ""
    unknown = "w.msg_no IS NULL OR w.odd IS NOT NULL OR w.identity IS NULL"
    return perhaps(f"({unknown} OR contains(lower({every_text}), ?))", needle, sure=sure)


def _ascii(text: str) -> str:
    """Only then SQL and Python agree on what a small letter is."""
    return f"strlen({text}) = length({text})"


def scalar(column: str, op: str, value: Value) -> Condition:
    """A comparison of an expression; NULL: false."""
    if isinstance(value, tuple):
        if op != "in" or not value:
            return NEVER if op == "in" else EVERYTHING
        return exactly(f"coalesce({column} IN ({', '.join('?' * len(value))}), false)", *value)
    if op in _OPS:
        return exactly(f"coalesce({column} {_OPS[op]} ?, false)", value)
    text, as_text = str(value), f"CAST({column} AS VARCHAR)"
    if op == "contains" and text.isascii():
        return perhaps(f"coalesce(contains(lower({as_text}), ?), false)", text.lower(), sure=_ascii(as_text))
    if op == "~" and _PLAIN.fullmatch(text) and not _OTHER_CLASSES.search(text):
        plain = f"regexp_full_match({as_text}, '[ -~]*')"
        return perhaps(f"coalesce(regexp_matches({as_text}, ?, 's'), false)", text, sure=plain)
    return perhaps(f"({column} IS NOT NULL)")


def _of_findings(field: str, op: str, value: Value) -> Condition:
    return findings("w.no", "SELECT line_no AS row_no, level, rule, blame FROM found", field, op, value)


def findings(number: str, judged: str, field: str, op: str, value: Value) -> Condition:
    """A comparison with the findings of a row: ``number`` is its ordinal, ``judged`` gives row_no, level, rule and blame."""
    some_of = f"{number} IN (SELECT row_no FROM ({judged})"
    if field == "severity" and op in _OPS and isinstance(value, int):
        return exactly(f"{some_of} GROUP BY row_no HAVING max(level) {_OPS[op]} ?)", value)
    if field == "severity" and isinstance(value, tuple) and value:
        return exactly(f"{some_of} GROUP BY row_no HAVING max(level) IN ({', '.join('?' * len(value))}))", *value)
    if op == "in" and isinstance(value, tuple) and value:
        return exactly(f"{some_of} WHERE {field} IN ({', '.join('?' * len(value))}))", *value)
    if op == "==" and not isinstance(value, tuple):
        return exactly(f"{some_of} WHERE {field} = ?)", value)
    if op == "!=" and not isinstance(value, tuple):
        return exactly(f"({some_of}) AND NOT {some_of} WHERE {field} = ?))", value)
    return perhaps(f"{some_of})")


def _ms(op: str, value: Value) -> Condition:
    if op not in _OPS or isinstance(value, tuple):
        return EVERYTHING
    return exactly(_LATENCY.format(op=_OPS[op]), value)


def _side(op: str, value: Value) -> Condition:
    return scalar("CASE WHEN w.station THEN 'station' ELSE 'csms' END", op, value)


def _opcode(op: str, value: Value) -> Condition:
    names = ", ".join(f"'{opcode.value}'" for opcode in Opcode)
    return _loosened("w.opcode IS NULL", scalar(f"list_extract([{names}], w.opcode + 1)", op, value))


def _verdict(op: str, value: Value) -> Condition:
    return _loosened("w.opcode IS NULL", scalar("w.verdict", op, value))


def _kind(op: str, value: Value) -> Condition:
    return scalar("""CASE WHEN w.msg_no IS NOT NULL THEN 'message' WHEN w.opcode = 3 THEN 'ping' WHEN w.opcode = 4 THEN 'pong'
        WHEN w.opcode = 5 THEN 'close' WHEN w.opcode IN (6, 7) THEN 'http' ELSE 'raw' END""", op, value)


def _time(op: str, value: Value) -> Condition:
    if not isinstance(value, int):
        return EVERYTHING
    micros = f"make_timestamptz(CAST({value // 1000} AS BIGINT))"           # a plain bound: whole row groups are passed over
    loose = {"==": "=", "<": "<=", "<=": "<=", ">": ">=", ">=": ">="}.get(op)
    exact = scalar("(epoch_us(w.ts) * 1000 + w.ns)", op, value)
    return every([exactly(f"w.ts {loose} {micros}"), exact]) if loose else exact


def _text(op: str, value: Value) -> Condition:
    text = str(value)
    if op != "contains" or not text.isascii() or not text:
        return EVERYTHING
    sure = f"{READABLE} AND {_ascii(_TEXT)}" if text.strip() == text else ""
    return perhaps(
        f"(w.msg_no IS NULL OR w.odd IS NOT NULL OR contains(lower({_TEXT}), ?))", text.lower(), sure=sure)


def _outcome(op: str, value: Value) -> Condition:
    cases = " ".join(f"WHEN {mtype} THEN '{outcome}'" for mtype, outcome in ANSWERS.items())
    return scalar(f"CASE w.mtype {cases} END", op, value)


def _size(op: str, value: Value) -> Condition:
    return _loosened(f"NOT ({READABLE})", scalar(SIZE, op, value))


_SPECIAL: dict[str, Callable[[str, Value], Condition]] = {
    "ms": _ms, "side": _side, "opcode": _opcode, "kind": _kind, "time": _time, "text": _text, "outcome": _outcome,
    "size": _size, "verdict": _verdict,
}
