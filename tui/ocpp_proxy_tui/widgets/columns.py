"""Columns of the traffic list: what each shows of a row, how wide, and which filter a cell stands for.

What a peer chose is escaped here, in ``cell``, and nowhere behind it.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.style import Style

from ocpp_proxy.core.rows import TRANSLATED
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import comparison
from ocpp_proxy.fields.parse import PATH
from ocpp_proxy.fields.registry import MTYPES
from ocpp_proxy.model import Severity
from ocpp_proxy.records import Line, MessageSeen, Row
from ocpp_proxy_tui.look import Look

READ = 1 << 20                              # bytes of a payload that a column ``payload.<path>`` looks into
PATH_WIDTH = 16
NARROW, WIDE = 90, 140                      # columns of the list below which, and from which, other columns are shown
TIMES = ("absolute", "relative", "delta")
_TYPES = {0: "?", 2: "Call", 3: "Result", 4: "Error", 5: "ResultError", 6: "Send"}
_MADE = {TRANSLATED: "↳", "injected": "+"}            # signs of Calls that the proxy made
_ASCII_MADE = {TRANSLATED: ">", "injected": "+"}
_DIM, _BOLD = Style(dim=True), Style(bold=True)
_SIGNS = {f"{value}": name for name, value in MTYPES.items()}


class Shown(Struct):
    """What a cell needs beside its row. ``before_ns``: time of the row above, 0: not known. ``lines``: only if needed."""

    look: Look
    time: str = "absolute"
    base_ns: int = 0
    before_ns: int = 0
    marked: bool = False
    lines: Sequence[Line] | None = None


class Column(Struct, frozen=True):
    """One column. ``width`` 0: what is left of the line; ``narrow``: its width below 90 columns, 0: the same.

    ``where``: the filter its cell stands for, None: for none.
    """

    name: str
    title: str
    width: int
    doc: str
    text: Callable[[Row, Shown], str]
    where: Callable[[Row], str | None] = lambda row: None
    right: bool = False
    narrow: int = 0


def cell(column: Column, row: Row, shown: Shown, width: int) -> str:
    """The text of a cell, escaped, exactly ``width`` columns of a terminal wide."""
    text = shown.look.plain(safe_text(column.text(row, shown), width + 1))
    size = len(text) if text.isascii() else cell_len(text)
    if size > width:
        end = ("~" if shown.look.ascii else "…") if width > 1 else ""
        room = width - len(end)
        return (text[:room] if size == len(text) else set_cell_size(text, room)) + end
    return " " * (width - size) + text if column.right else text + " " * (width - size)


def style_of(column: Column, row: Row, look: Look) -> Style | None:
    """How a cell stands out, if it does; never the only sign."""
    if column.name in ("mark", "codes"):
        return look.style(row.level) if row.level >= 0 else None
    if column.name == "ms" and row.outcome in ("error", "unanswered"):
        return look.style(Severity.ERROR)
    if column.name == "action" and row.kind in ("exchange", "message"):
        return _BOLD
    if column.name in ("no", "time", "size", "protocol", "type") or row.kind not in ("exchange", "message"):
        return _DIM
    return None


def _clock(time_ns: int) -> str:
    return f"{_second(time_ns // 1_000_000_000)}.{time_ns // 1_000_000 % 1000:03d}"


@lru_cache(256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def _time(row: Row, shown: Shown) -> str:
    if not row.time_ns:
        return ""
    if shown.time == "relative" and shown.base_ns:
        return f"{(row.time_ns - shown.base_ns) / 1e9:.3f}"
    if shown.time == "delta":
        return f"{(row.time_ns - shown.before_ns) / 1e9:+.3f}" if shown.before_ns else ""
    return _clock(row.time_ns)


def _number(row: Row, shown: Shown) -> str:
    number = str(row.msg_no) if row.msg_no else f"f{row.frame_id}" if row.frame_id else ""
    return (("*" if shown.look.ascii else "★") if shown.marked else "") + number


def _conn(row: Row, _: Shown) -> str:
    if row.evse is None:
        return "" if row.connector is None else str(row.connector)
    return f"{row.evse}" if row.connector is None else f"{row.evse}/{row.connector}"


def _ms(row: Row, shown: Shown) -> str:
    if row.outcome == "pending":
        return shown.look.pending
    if row.outcome == "unanswered":
        return "none"
    if row.ms is None:
        return ""
    return f"{row.ms:.1f}" if row.ms < 100 else f"{row.ms:.0f}"


def _type(row: Row, _: Shown) -> str:
    if row.kind == "exchange":
        return {"pending": "Call", "ok": "Call", "unanswered": "Call"}.get(row.outcome, "Error")
    return _TYPES.get(row.mtype, "?") if row.kind == "message" else row.kind


def _action(row: Row, shown: Shown) -> str:
    if row.kind in ("exchange", "message") and row.action and row.verdicts:
        if row.verdicts[0] in _MADE:        # of its first frame: that is the Call itself
            return f"{(_ASCII_MADE if shown.look.ascii else _MADE)[row.verdicts[0]]} {row.action}"
        if TRANSLATED in row.verdicts and row.kind == "exchange":
            return f"{row.action} {'<>' if shown.look.ascii else '⇄'}"
    return row.action or (_TYPES[row.mtype] if row.kind == "message" and _TYPES.get(row.mtype, "?") != "?" else row.kind)


def _what(row: Row, _: Shown) -> str:
    return f"{row.error} {row.summary}" if row.error else row.summary


def _is(field: str, attribute: str) -> Callable[[Row], str | None]:
    """The filter ``field == value of the row``; None where the row has none."""
    def where(row: Row) -> str | None:
        value: Any = getattr(row, attribute)
        return comparison(field, value) if value not in (None, "") else None
    return where


def _where_conn(row: Row) -> str | None:
    parts = [comparison(name, value) for name, value in (("evse", row.evse), ("connector", row.connector)) if value is not None]
    return " and ".join(parts) or None


def _where_action(row: Row) -> str | None:
    if row.action or row.kind == "gone":
        return comparison("action", row.action) if row.action else None
    return f"mtype == {_SIGNS[str(row.mtype)]}" if row.kind == "message" and str(row.mtype) in _SIGNS else f"kind == {row.kind}"


def _where_type(row: Row) -> str | None:
    if row.kind in ("exchange", "message"):
        return f"mtype == {_SIGNS[str(row.mtype)]}" if str(row.mtype) in _SIGNS else "kind == message"
    return f"kind == {row.kind}" if row.kind != "gone" else None


def _where_ms(row: Row) -> str | None:
    if row.outcome in ("pending", "unanswered"):
        return f"outcome == {row.outcome}"
    return f"ms >= {row.ms:.0f}" if row.ms is not None else None


def _where_codes(row: Row) -> str | None:
    return " or ".join(comparison("rule", code) for code in row.codes) or None


_ALL = (
    Column("no", "No", 8, "number of the message (f: of the frame) in the capture; a star: bookmarked", _number, right=True),
    Column("time", "Time", 12, "when it was seen: time of day, since the first row, since the row above", _time,
           lambda row: f'time >= "{_iso(row.time_ns)}"' if row.time_ns else None),
    Column("charger", "Charger", 16, "identity of the charger", lambda row, _: row.identity, _is("identity", "identity"),
           narrow=12),
    Column("conn", "Conn", 5, "connector, or EVSE/connector", _conn, _where_conn),
    Column("dir", "", 2, "who sent it: from the station to the right, from the CSMS to the left",
           lambda row, shown: shown.look.arrow(row.side), lambda row: f"side == {row.side.value}" if row.side else None),
    Column("type", "Type", 9, "kind of message or line", _type, _where_type),
    Column("action", "Action", 20, "the action (⇄: translated into another version; ↳: such a translation; +: a Call of"
           " the proxy's own); of what is no message its kind", _action, _where_action),
    Column("made", "Made", 20, "the action that a bridge translated it into, where that is another one",
           lambda row, _: " ".join(row.made), lambda row: comparison("action", row.made[0]) if row.made else None),
    Column("ms", "ms", 7, "milliseconds from the Call to its answer", _ms, _where_ms, True),
    Column("mark", " ", 1, "the worst finding", lambda row, shown: shown.look.mark(row.level),
           lambda row: f"severity >= {Severity(row.level).label}" if row.level >= 0 else None),
    Column("codes", "Findings", 12, "codes of the findings", lambda row, _: " ".join(row.codes), _where_codes),
    Column("tx", "Tx", 12, "transaction id", lambda row, _: row.tx, _is("tx", "tx")),
    Column("token", "Token", 12, "idTag or idToken", lambda row, _: row.token, _is("token", "token")),
    Column("protocol", "Proto", 8, "subprotocol", lambda row, _: row.protocol, _is("protocol", "protocol")),
    Column("size", "Bytes", 7, "bytes of the payloads", lambda row, _: str(row.size) if row.size else "",
           lambda row: f"size >= {row.size}", True),
    Column("id", "Message id", 12, "the id on the wire", lambda row, _: row.message_id, _is("message_id", "message_id")),
    Column("error", "Error", 16, "error code of the answer", lambda row, _: row.error, _is("error", "error")),
    Column("link", "Link", 6, "number of the connection", lambda row, _: str(row.link_id or ""), _is("link", "link_id"), True),
    Column("summary", "Summary", 0, "what it says, in short", _what),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
_NARROW = ("time", "charger", "dir", "action", "ms", "mark", "summary")
_MIDDLE = ("no", "time", "charger", "dir", "conn", "action", "ms", "mark", "summary")
_WIDE = ("no", "time", "charger", "conn", "dir", "type", "action", "ms", "mark", "codes", "tx", "protocol", "size", "summary")


def _iso(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 1000:06d}Z"


def column(name: str) -> Column | None:
    """The column of that name; ``payload.<path>`` makes one. None: there is no such column."""
    if name.startswith("payload.") and len(name) > len("payload."):
        return _of_path(name)
    return COLUMNS.get(name)


def chosen(names: Sequence[str], width: int) -> list[Column]:
    """The columns that were chosen, or those that suit a width."""
    names = names or (_NARROW if width < NARROW else _MIDDLE if width < WIDE else _WIDE)
    return [found for name in names if (found := column(name)) is not None] or [COLUMNS["summary"]]


def widths(columns: Sequence[Column], room: int) -> list[int]:
    """Widths for a line of ``room`` columns with a blank between two; the summary gets what is left, at least 20."""
    given = [one.narrow or one.width if room < NARROW else one.width for one in columns]
    left = room - sum(given) - len(columns) + 1
    return [width or max(20, left // given.count(0)) for width in given]


def path_filter(column: Column, lines: Sequence[Line]) -> str | None:
    """The filter that a cell of a column ``payload.<path>`` stands for; None: no value, or no path of filters."""
    value = _value(_steps(column.name), lines)
    if value is None or not PATH.fullmatch(column.name):
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return comparison(column.name, value if number else _spelled(value))


def _steps(name: str) -> list[str]:
    return [step for step in name.removeprefix("payload.").replace("[", ".[").split(".") if step]


def _value(steps: list[str], lines: Sequence[Line]) -> Any:
    return next((value for line in lines if (value := _look(line, steps)) is not None), None)


def _of_path(name: str) -> Column:
    steps = _steps(name)

    def text(row: Row, shown: Shown) -> str:
        if shown.lines is None:
            return shown.look.pending if row.msg_no else ""
        value = _value(steps, shown.lines)
        return "" if value is None else _spelled(value)

    return Column(name, name.removeprefix("payload."), PATH_WIDTH, "a value of the payload", text)


def _look(line: Line, steps: list[str]) -> Any:
    if not isinstance(line.record, MessageSeen) or len(line.record.message.payload) > READ:
        return None
    try:
        value: Any = orjson.loads(line.record.message.payload)
    except orjson.JSONDecodeError:
        return None
    for step in steps:
        if step.startswith("["):
            index = step.strip("[]")
            at = 0 if index == "*" else int(index) if index.isdecimal() else -1
            value = value[at] if isinstance(value, list) and 0 <= at < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
