"""How lines and tables look on a terminal and in a file. Everything a peer chose goes through ``safe_text``.

stdout is data, stderr is talk. Colour only on a terminal and without ``NO_COLOR``, and never as the only sign.
"""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from ocpp_proxy import model, records
from ocpp_proxy.cli.translated import Translation
from ocpp_proxy.escape import SafeText, csv_cell, safe_text
from ocpp_proxy.fields.registry import Links, findings_of, identity_of, kind_of, text_of, time_of
from ocpp_proxy.model import Severity, Side
from ocpp_proxy.records import Line
from ocpp_proxy.source import Table

MARKS = {Severity.HINT: "·", Severity.INFO: "i", Severity.WARNING: "!", Severity.ERROR: "✗", Severity.CRITICAL: "✗✗"}
_COLOURS = {Severity.HINT: "2", Severity.INFO: "36", Severity.WARNING: "33", Severity.ERROR: "31", Severity.CRITICAL: "1;31"}
_TYPES = {0: "?", 2: "Call", 3: "Result", 4: "Error", 5: "ResultError", 6: "Send"}
SIGNS = {"dropped": "-", "shortened": "~", "invented": "+"}    # of the loss ledger
PAYLOAD_WIDTH = 100
COLUMN_WIDTH = 80


def talk(text: str) -> None:
    """Say something to the person: stderr, so that data stays data."""
    print(text, file=sys.stderr, flush=True)


def colourful(stream: TextIO) -> bool:
    """Whether colour is wanted there: a terminal, and ``NO_COLOR`` not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal behind the stream, 0 when it is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else 0


def paint(text: str, code: str, colour: bool) -> str:
    """``text`` in an SGR colour, or as it is."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def clock(time_ns: int) -> str:
    """Local time of day with milliseconds."""
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC).astimezone()
    return moment.strftime("%H:%M:%S.") + f"{time_ns // 1_000_000 % 1000:03d}"


def date(time_ns: int) -> str:
    """Local date with the offset from UTC."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).astimezone().strftime("%Y-%m-%d (UTC%z)")


def stamp(time_ns: int) -> str:
    """UTC time as ISO 8601 with microseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{rest // 1000:06d}Z"


def line_text(line: Line, links: Links, colour: bool = False, width: int = 0) -> str:
    """One line of ``tail``: time, identity, arrow, type, action, connector, milliseconds, payload; findings below it.

    ``width``: columns of the terminal, which the line is cut to (0: not at all); findings are never cut.
    """
    identity = safe_text(identity_of(line, links) or "-", 20)
    before = f"{clock(time_of(line))}  {identity:<12} "
    if isinstance(line.record, records.Found):
        return before + finding_text(line.record.finding, colour)
    whole = before + _body(line)
    if width and len(whole) > width:
        whole = whole[: width - 1] + "…"
    return "\n".join((whole, *(f"{'':14}{finding_text(finding, colour)}" for finding in findings_of(line))))


def translation_text(line: Line, known: Translation, links: Links, colour: bool = False, width: int = 0) -> str:
    """A message that a bridge made, indented beneath what it was made from, with the fields that were not carried."""
    message = line.record.message if isinstance(line.record, records.MessageSeen) else None
    if message is None:
        return line_text(line, links, colour, width)
    of = known.origin
    named = f"{safe_text(message.protocol, 20)} " if message.protocol else ""
    if of is not None and not known.beneath:
        named += f"of {safe_text(of.action or 'message', 40)} {safe_text(of.message_id, 48)} "
    whole = f"{'':14}=> {named}{_message(message)}"
    if width and len(whole) > width:
        whole = whole[: width - 1] + "…"
    lost = (f"{'':17}{SIGNS.get(one.what, '?')} {safe_text(one.what, 20)} {safe_text(one.path, 80)}:"
            f" {safe_text(one.reason, 160)}" for one in known.losses)
    found = (f"{'':17}{finding_text(finding, colour)}" for finding in findings_of(line))
    return "\n".join((whole, *(text.rstrip(": ") for text in lost), *found))


def finding_text(finding: model.Finding, colour: bool = False) -> str:
    """One finding: sign, code, severity, whose fault, what."""
    severity = Severity(finding.severity)
    head = paint(f"{MARKS[severity]} {safe_text(finding.code, 8)} {severity.label}", _COLOURS[severity], colour)
    where = f" at {safe_text(finding.path, 60)}" if finding.path else ""
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    return f"{head}, {finding.blame}: {safe_text(finding.message, 300)}{where}{times}"


def _body(line: Line) -> str:
    match line.record:
        case records.MessageSeen(message):
            return _message(message)
        case records.FrameSeen(frame):
            text = text_of(line).split("\r\n")[0] if "http" in frame.opcode else text_of(line)
            return f"{_arrow(frame.sender)} {frame.opcode.value} {safe_text(text, PAYLOAD_WIDTH)}".rstrip()
        case records.Handshake(link=link):
            return _handshake(link, line.record)
        case records.LinkOpened(link):
            return f"-- connected from {safe_text(link.remote, 60)}"
        case records.LinkClosed() as closed:
            by = f" by the {closed.closed_by.value}" if closed.closed_by else ""
            code = f", close code {closed.close_code}" if closed.close_code else ""
            reason = f" {safe_text(closed.close_reason, 60)}" if closed.close_reason else ""
            unsent = f", {closed.unsent_station + closed.unsent_csms} bytes not handed over" \
                if closed.unsent_station + closed.unsent_csms else ""
            return f"-- closed ({safe_text(closed.how, 20)}){by}{code}{reason}{unsent}"
        case records.Gap() as gap:
            return f"-- GAP: {gap.frames} records, {gap.bytes} bytes are missing: {safe_text(gap.reason, 100)}"
        case records.Note() as note:
            return f"-- {safe_text(note.kind.replace('_', ' '), 30)}: {safe_text(note.text, 160)}".rstrip(": ")
        case records.Lost() as lost:
            of = f" of {safe_text(lost.action, 40)} {safe_text(lost.message_id, 48)}" if lost.action or lost.message_id else ""
            return (f"-- loss: {safe_text(lost.plugin, 40)} {safe_text(lost.what, 20)} {safe_text(lost.path, 80)}{of}:"
                    f" {safe_text(lost.reason, 160)}").rstrip(": ")
        case records.Audited() as act:
            outcome = f": {safe_text(act.outcome, 160)}" if act.outcome else ""
            words = (safe_text(act.who, 40), safe_text(act.action, 20), safe_text(act.detail, 160))
            return f"-- audit: {' '.join(word for word in words if word)}{outcome}"
        case _:
            return f"-- {kind_of(line)}"


def _arrow(sender: Side) -> str:
    return "->" if sender is Side.STATION else "<-"


def _message(message: model.Message) -> str:
    parts = [_arrow(message.sender), f"{_TYPES.get(message.mtype, '?'):<6}", f"{safe_text(message.action or '-', 40):<18}"]
    if message.connector_id is not None:
        parts.append(f"connector {message.connector_id}")
    elif message.evse_id is not None:
        parts.append(f"EVSE {message.evse_id}")
    if message.latency_ns is not None:
        parts.append(f"{message.latency_ns / 1e6:.0f} ms")
    if message.error_code:
        parts.append(f"{safe_text(message.error_code, 40)} {safe_text(message.error_desc, 60)}".rstrip())
    parts.append(safe_text(message.payload, PAYLOAD_WIDTH))
    return " ".join(parts)


def _handshake(link: model.Link, shake: records.Handshake) -> str:
    if not link.status:
        return f"-- request without an answer: {safe_text(link.target, 80)}"
    leads = f" -> {safe_text(link.upstream, 80)}" if link.upstream else ""
    what = link.protocol or ("no subprotocol" if link.status == 101 else "refused" if shake.upgrade else "http")
    repairs = f", repaired: {safe_text('; '.join(shake.repairs), 120)}" if shake.repairs else ""
    spoken = safe_text(what, 40) + (f" (CSMS: {safe_text(link.csms_protocol, 40)})" if link.csms_protocol else "")
    return f"-- {safe_text(link.target, 80)}{leads}: {link.status} {spoken}, {link.handshake_ms:.0f} ms{repairs}"


def render(table: Table, form: str) -> Iterator[str]:
    """The lines of a table in one of the output forms: text, json, csv or md."""
    if form == "json":
        return json_rows(table)
    if form == "csv":
        return _csv(table)
    return _markdown(table) if form == "md" else _aligned(table)


def json_rows(table: Table) -> Iterator[str]:
    """One JSON object a row; escapes are JSON's own, so a terminal is safe (no character beyond ASCII is printed raw)."""
    for row in table.rows:
        yield ascii_json(dict(zip(table.columns, row, strict=True)))


def ascii_json(value: Any) -> str:
    """JSON on one line, ASCII only: what a peer sent cannot act on a terminal, and every reader gives it back unchanged."""
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:              # a lone surrogate, from an escape in JSON: goes out as that escape again
        text = json.dumps(msgspec.to_builtins(value, enc_hook=str), default=str)
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if " " <= char <= "~" else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _cell(value: Any) -> SafeText:
    if value is None:
        return safe_text("")
    if isinstance(value, float):
        return safe_text(f"{value:.3f}".rstrip("0").rstrip("."))
    if isinstance(value, list | dict):
        return safe_text(msgspec.json.encode(value))
    return safe_text(str(value))


def _aligned(table: Table) -> Iterator[str]:
    """Columns; a wide cell is cut, but not in the last column."""
    rows = [[_cell(value) for value in row] for row in table.rows]
    for row in rows:
        row[:-1] = [safe_text(cell, COLUMN_WIDTH) for cell in row[:-1]]
    names = [safe_text(name) for name in table.columns]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    right = [all(isinstance(row[at], int | float | None) for row in table.rows) for at in range(len(widths))]
    for row in (names, [safe_text("-" * min(width, COLUMN_WIDTH)) for width in widths], *rows):
        fitted = [text.rjust(width) if is_right else text.ljust(width)
                  for text, width, is_right in zip(row, widths, right, strict=True)]
        yield "  ".join(fitted).rstrip()


def _csv(table: Table) -> Iterator[str]:
    for row in (table.columns, *table.rows):
        line = io.StringIO()
        cells = (value if isinstance(value, int | float) else csv_cell(value) for value in row)
        csv.writer(line, lineterminator="").writerow(cells)
        yield line.getvalue()


def _markdown(table: Table) -> Iterator[str]:
    def row(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield row(safe_text(name) for name in table.columns)
    yield "|" + "---|" * len(table.columns)
    for values in table.rows:
        yield row(_cell(value) for value in values)
