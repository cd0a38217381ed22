"""``payload.<path>`` to SQL: which messages can have such a value, and where DuckDB reads it as the filter's predicate does.

They differ in repeated keys, escapes and odd spellings of numbers: those messages are looked at again. What is no JSON (NaN,
trailing commas) has no value to the predicate; DuckDB reads it, so where it finds one there, that is looked at again, too.
"""

import re

from ocpp_proxy.fields import Value
from ocpp_proxy_captures.conditions import EVERYTHING, NEVER, Condition, Parameter, Sql, perhaps

PAYLOAD = "coalesce(CAST(w.payload AS VARCHAR), '')"
_OPS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PLAIN_PATH = re.compile(r"payload(\.[A-Za-z0-9_]+)+")
_NUMBER = r"'-?\d{1,15}(\.\d{1,15})?'"
_NO_JSON = r"'[:,\[]\s*-?([nN][aA][nN]|[iI][nN][fF])|,\s*[}\]]'"       # DuckDB reads it nevertheless


def path(field: str, op: str, value: Value) -> Condition:
    """Rows whose payload has all the keys of the path (or an escape that could hide them), and a value that compares so."""
    keys = re.findall(r"[^.\[\]]+", re.sub(r"\[(\d+|\*)\]", "", field.removeprefix("payload.")))
    parts = [f'"{key}"' for key in keys]
    if not all(part.isprintable() for part in parts):
        return EVERYTHING
    has_keys = " AND ".join(f"contains({PAYLOAD}, ?)" for _ in parts) or "true"
    loose = perhaps(f"(w.odd IS NOT NULL OR contains({PAYLOAD}, '\\') OR ({has_keys}))", *parts)
    if isinstance(value, tuple) or op not in _OPS or not _PLAIN_PATH.fullmatch(field):
        return loose
    decided, holds, parameters = _read(keys, op, value)
    readable = f"{_once(keys)} AND {decided}"
    return Condition(
        Sql(f"({loose.may.text} AND (NOT ({readable}) OR {holds}))", (*loose.may.parameters, *parameters)),
        Sql(f"({has_keys} AND {readable} AND {holds} AND NOT regexp_matches({PAYLOAD}, {_NO_JSON}))", (*parts, *parameters))
        if parts else NEVER.may)


def _once(keys: list[str]) -> str:
    """Where it is JSON, both read the same value: each key stands there once, and there are no escapes."""
    again = " AND ".join(f"{PAYLOAD} NOT LIKE '%\"{key}\"%\"{key}\"%'" for key in keys)
    return f"w.odd IS NULL AND w.payload IS NOT NULL AND NOT contains({PAYLOAD}, '\\') AND {again}"


def _read(keys: list[str], op: str, value: str | float | bool) -> tuple[str, str, tuple[Parameter, ...]]:
    """Whether the value is one that both compare alike; whether it compares so; the parameters of that."""
    place = "'$" + "".join(f'."{key}"' for key in keys) + "'"
    text = f"json_extract_string(w.payload, {place})"
    if isinstance(value, str):
        kind = f"coalesce(json_type(w.payload, {place}), 'NULL')"
        return f"{kind} IN ('NULL', 'VARCHAR', 'BOOLEAN')", f"coalesce({text} {_OPS[op]} ?, false)", (value,)
    number = f"regexp_full_match({text}, {_NUMBER})"
    return (f"({text} IS NULL OR {number} OR NOT regexp_matches({text}, '[0-9]'))",
            f"coalesce({number} AND TRY_CAST({text} AS DOUBLE) {_OPS[op]} ?, false)", (float(value),))
