"""Turns a batch of records into Arrow tables, one per table of the capture.

Column by column, no dict per row: this runs once per message. Values that Arrow cannot take (a lone surrogate, a number
beyond 64 bits: both chosen by a peer) are replaced by their escaped text or by NULL, never raised.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import structs

from ocpp_proxy import records
from ocpp_proxy.model import Finding, Frame, Message, Opcode
from ocpp_proxy.records import ExchangeDone, FrameSeen, MessageSeen, Record
from ocpp_proxy_captures.pieces import set_apart
from ocpp_proxy_captures.readings import Kinds, readings
from ocpp_proxy_captures.wire_table import NO_FRAME, NO_MESSAGE, Column, ints, lists, moments, printable, text, wire_table

LINE_FRAMES = frozenset(Opcode) - {Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION}
_TABLE = {"frames": "wire"}
_KINDS: dict[type, str] = {
    records.LinkOpened: "link_opened", records.Handshake: "handshake", records.LinkClosed: "link_closed",
    records.Note: "note", records.Gap: "gap", records.PluginFinding: "plugin_finding", records.Beat: "beat",
    records.Lost: "lost", records.Audited: "audited",
}
_TEXT = Opcode.TEXT                         # looked up once: members of an enum are slow to get at
_SILENT = ("plugin_finding", "beat")        # kinds that are no lines
_encode = msgspec.json.Encoder().encode


class LastLine(msgspec.Struct):
    """The line that a finding which comes next may join: what ``records.lines`` remembers. ``no`` 0: none."""

    no: int = 0
    kind: str = ""                          # message, frame, link (handshake, note, link_closed), other
    key: int = 0                            # msg_no, frame_id or link_id
    frame_id: int = 0

    def joins(self, finding: Finding) -> bool:
        """Whether the finding is shown on this line (the rule of ``records.lines``)."""
        if not self.no or not (finding.evidence or finding.msg_no is not None):
            return False
        if self.kind == "message":
            return finding.msg_no == self.key or self.frame_id in finding.evidence
        if self.kind == "frame":
            return self.key in finding.evidence
        return self.kind == "link" and finding.link_id == self.key


class Batch:
    """Rows of one commit. ``no`` is the ordinal of the last record; ``last`` the last line.

    Beats are no rows, as what comes after one says that its time has passed. Only where a record that came later is older
    (the clock was set back, a gap that began earlier) the Beat is kept before it: without it, what had fallen due by then
    would be judged differently when the capture is checked. ``ahead_ns``: the last Beat that no record has reached yet.
    """

    def __init__(self, no: int, last: LastLine, ahead_ns: int = 0) -> None:
        self.no, self.last, self.ahead_ns = no, structs.replace(last), ahead_ns
        self.frames: list[Frame] = []
        self.messages: list[Message] = []   # beside each frame: the message it completed, or NO_MESSAGE
        self.nos: list[int] = []
        self.found: list[tuple[int, int, Finding]] = []
        self.events: list[tuple[int, int, int, str, str, bytes]] = []
        self.beat_ns = 0
        self.message_count = 0
        self.rules = ""                     # the last note of other rule settings
        self.odd_samples: list[int] = []    # the messages whose samples are left to SQL

    @property
    def first_ns(self) -> int:
        """The time of the first row; 0: there is none."""
        times = [frame.time_ns for frame in self.frames[:1] if frame is not NO_FRAME] + [event[1] for event in self.events[:1]]
        return min(times, default=0)

    def add(self, batch: Sequence[Record]) -> None:
        """Take in records, in their order."""
        frames, messages, nos, no = self.frames, self.messages, self.nos, self.no
        line: Frame | Message | None = None
        at = 0                              # the row of ``line``: frames that are no line may follow it
        for record in batch:                # type() is: three times as quick as isinstance, once per record
            if type(record) is FrameSeen:
                frame = record.frame
                if self.ahead_ns:
                    self.no, line = self._settle(no, line, at), None
                    self._reached(frame.time_ns)
                    no = self.no
                no += 1
                frames.append(frame)
                messages.append(NO_MESSAGE)
                nos.append(no)
                if (frame.opcode is not _TEXT and frame.opcode in LINE_FRAMES) or frame.raw:
                    line, at = frame, no
            elif type(record) is MessageSeen:
                line = record.message
                self.message_count += 1
                if frames and frames[-1].frame_id == line.frame_id and messages[-1] is NO_MESSAGE:
                    messages[-1] = line     # frame and message share one row and one ordinal
                else:
                    no += 1
                    frames.append(NO_FRAME)
                    messages.append(line)
                    nos.append(no)
                at = nos[-1]
            elif type(record) is ExchangeDone:
                pass                        # not stored: a view pairs the messages
            elif type(record) is records.Beat:
                self.beat_ns = self.ahead_ns = record.time_ns
            elif type(record) is records.Found or type(record) in _KINDS:
                self.no, line = self._settle(no, line, at), None
                self._finding(record.finding) if type(record) is records.Found else self._event(record, _KINDS[type(record)])
                no = self.no
        self.no = self._settle(no, line, at)

    def _settle(self, no: int, line: Frame | Message | None, at: int) -> int:
        """Note down the last line that was a frame or a message."""
        if isinstance(line, Message):
            self.last = LastLine(at, "message", line.msg_no, line.frame_id)
        elif line is not None:
            self.last = LastLine(at, "frame", line.frame_id, line.frame_id)
        return no

    def _finding(self, finding: Finding) -> None:
        self.no += 1
        alone = not self.last.joins(finding)
        if alone:
            self.last = LastLine(self.no, "other")
        self.found.append((self.no, self.last.no, finding))

    def _reached(self, time_ns: int) -> None:
        """A record of that time follows the last Beat."""
        beat_ns, self.ahead_ns = self.ahead_ns, 0
        if time_ns < beat_ns:
            self._event(records.Beat(beat_ns), "beat")

    def _event(self, record: Any, kind: str) -> None:
        link = record.link if kind in ("link_opened", "handshake") else None
        time_ns = record.link.opened_ns if kind == "link_opened" else record.time_ns
        if self.ahead_ns:
            self._reached(time_ns)
        self.no += 1
        link_id = link.link_id if link is not None else getattr(record, "link_id", 0)
        identity = link.identity if link is not None else getattr(record, "identity", "")
        try:
            body = _encode(record)
        except UnicodeEncodeError:
            body = _encode(printable(msgspec.to_builtins(record)))
            identity = printable(identity)
        self.events.append((self.no, time_ns, link_id, identity, kind, body))
        if kind == "note" and record.kind == "rules":
            self.rules = record.text
        if kind not in _SILENT:
            self.last = LastLine(self.no, "link" if kind in ("handshake", "link_closed", "note") else "other", link_id)

    def tables(self, kinds: Kinds) -> dict[str, pa.Table]:
        """The Arrow tables of the rows, by name; only those that have rows. ``kinds``: of the readings in the file."""
        made = {"events": _events, "frames": lambda batch: wire_table(batch.nos, batch.frames, batch.messages), "found": _found}
        tables = {_TABLE.get(name, name): make(self) for name, make in made.items() if getattr(self, name)}
        if "wire" in tables:
            tables["wire"], pieces = set_apart(tables["wire"])
            if pieces is not None:
                tables["pieces"] = pieces
        plain, self.odd_samples = readings(self.frames, self.messages, kinds)
        for name, table in (("readings", plain), ("reading_kinds", kinds.table())):
            if table is not None:
                tables[name] = table
        return tables


def _rows(items: Sequence[Any]) -> list[Column]:
    return list(zip(*map(structs.astuple, items), strict=True))


def _events(batch: Batch) -> pa.Table:
    no, time_ns, link_id, identity, kind, body = zip(*batch.events, strict=True)
    return pa.table({
        "no": ints(no), "ts": moments(ints(time_ns))[0], "link_id": ints(link_id), "identity": text(identity),
        "kind": pa.array(kind, pa.string()), "body": pa.array(body, pa.string()),
    })


def _found(batch: Batch) -> pa.Table:
    no, line_no, findings = zip(*batch.found, strict=True)
    (finding_id, code, severity, blame, link_id, identity, time_ns, message, msg_no, evidence, path, spec_ref,
     count) = _rows(findings)
    ts, rest = moments(ints(time_ns))
    return pa.table({
        "no": ints(no), "line_no": ints(line_no), "finding_id": ints(finding_id), "rule": text(code),
        "severity": pa.array([level.label for level in severity], pa.string()), "level": pa.array(severity, pa.uint8()),
        "blame": text(blame), "link_id": ints(link_id), "identity": text(identity), "ts": ts, "ns": rest,
        "message": text(message), "msg_no": ints(msg_no), "evidence": lists(evidence), "path": text(path),
        "spec_ref": text(spec_ref), "count": ints(count),
    })
