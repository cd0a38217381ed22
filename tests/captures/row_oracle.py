"""Owns what a capture's rows must be: made of all its lines by a plain loop, and filtered by the row's own predicate."""

from functools import partial
from pathlib import Path

from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.core import rows
from ocpp_proxy.fields import parse
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.model import Link
from ocpp_proxy.records import Line, MessageSeen, Row
from ocpp_proxy.source import View


class Oracle:
    """The rows of both views of a capture, and their lines, by ordinal."""

    def __init__(self, reader: FileReader) -> None:
        self.links: dict[int, Link] = {link.link_id: link for link in reader.links()}
        with reader.reading() as con:
            numbers = [no for (no,) in con.execute("SELECT no FROM lines ORDER BY no").fetchall()]
        lines = dict(zip(numbers, reader.page(None, 0, 10**9), strict=True))
        calls: dict[int, int] = {}
        self.lines: dict[View, dict[int, list[Line]]] = {"frames": {no: [line] for no, line in lines.items()}, "exchanges": {}}
        made = self.lines["exchanges"]
        beside: set[int] = set()            # Calls that are translations, and no rows
        named: list[tuple[int, str]] = []   # of what frame they were made, their action
        for no, line in lines.items():
            number = calls.get(rows.call_of(line), 0)
            if isinstance(line.record, MessageSeen) and not line.findings and (
                    rows.is_translation(line) or rows.call_of(line) in beside):
                beside |= {line.record.message.msg_no} if rows.is_translation(line) else set()
                named.append((rows.origin_of(line), line.record.message.action))
            elif number:
                made[number].append(line)
            elif rows.is_row(line):
                made[no] = [line]
                if isinstance(line.record, MessageSeen) and line.record.message.mtype == 2:
                    calls[line.record.message.msg_no] = no
        self.rows: dict[View, dict[int, Row]] = {
            "frames": {no: rows.alone(line, self.links, no) for no, line in lines.items()},
            "exchanges": {no: self._whole(no, of_row) for no, of_row in made.items()}}
        for row in self.rows["exchanges"].values():
            for frame_id, action in named:
                if row.kind == "exchange" and row.frame_id == frame_id:
                    rows.name_too(row, action)

    def _whole(self, number: int, of_row: list[Line]) -> Row:
        row = rows.whole(of_row, self.links, number)
        assert row is not None
        return row

    def numbers(self, view: View, text: str) -> list[int]:
        """The ordinals of the rows that pass."""
        test = compile_rows(parse(text), self.links)
        return [no for no, row in self.rows[view].items() if test(row, partial(self._of, view, no))]

    def _of(self, view: View, number: int) -> list[Line]:
        return self.lines[view][number]


def opened(path: Path) -> tuple[FileReader, Oracle]:
    """A capture and what its rows must be."""
    reader = FileReader(path)
    return reader, Oracle(reader)
