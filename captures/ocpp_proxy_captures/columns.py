"""Turns a batch of records into Arrow tables, one per table of the capture.

Column by column, no dict per row: this runs once per message. Values that Arrow cannot take (a lone surrogate, a number
beyond 64 bits: both chosen by a peer) are replaced by their escaped text or by NULL, never raised.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import structs

from ocpp_proxy import records
from ocpp_proxy.model import Finding, Frame, Message, Opcode, Side
from ocpp_proxy.records import Record
from ocpp_proxy_captures.envelope import OPCODES, PAYLOAD, TEXT, short_header, short_text
from ocpp_proxy_captures.pieces import set_apart

Column = Sequence[Any]
LINE_FRAMES = frozenset(Opcode) - {Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION}
OPCODE_NUMBERS = {opcode: number for number, opcode in enumerate(Opcode)}       # as stored; data frames are 0 to 2
SAMPLED = frozenset({"MeterValues", "StopTransaction", "TransactionEvent"})      # the Calls samples.sql unpacks
_TABLE = {"frames": "wire"}
_KINDS: dict[type, str] = {
    records.LinkOpened: "link_opened", records.Handshake: "handshake", records.LinkClosed: "link_closed",
    records.Note: "note", records.Gap: "gap", records.PluginFinding: "plugin_finding", records.Beat: "beat",
    records.Lost: "lost", records.Audited: "audited",
}
_TEXT, _STATION = Opcode.TEXT, Side.STATION             # looked up once: members of an enum are slow to get at
_SILENT = ("plugin_finding", "beat")        # kinds that are no lines
_encode = msgspec.json.Encoder().encode
_header = lru_cache(maxsize=8192)(short_header)


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


class _NoMessage:
    """Stands beside a frame that completed no message."""

    def __getattr__(self, _: str) -> None:
        return None


_NO_MESSAGE: Any = _NoMessage()
_NO_FRAME: Any = _NoMessage()


class Batch:
    """Rows of one commit. ``no`` is the ordinal of the last record; ``last`` the last line.

    Beats are no rows, as what comes after one says that its time has passed. Only where a record that came later is older
    (the clock was set back, a gap that began earlier) the Beat is kept before it: without it, what had fallen due by then
    would be judged differently when the capture is checked. ``ahead_ns``: the last Beat that no record has reached yet.
    """

    def __init__(self, no: int, last: LastLine, ahead_ns: int = 0) -> None:
        self.no, self.last, self.ahead_ns = no, structs.replace(last), ahead_ns
        self.frames: list[Frame] = []
        self.messages: list[Message] = []   # beside each frame: the message it completed, or _NO_MESSAGE
        self.nos: list[int] = []
        self.found: list[tuple[int, int, Finding]] = []
        self.events: list[tuple[int, int, int, str, str, bytes]] = []
        self.beat_ns = 0
        self.message_count = 0
        self.rules = ""                     # the last note of other rule settings

    @property
    def first_ns(self) -> int:
        """The time of the first row; 0: there is none."""
        times = [frame.time_ns for frame in self.frames[:1] if frame is not _NO_FRAME] + [event[1] for event in self.events[:1]]
        return min(times, default=0)

    @property
    def has_samples(self) -> bool:
        """Whether a message may hold meter samples."""
        return any(message.action in SAMPLED for message in self.messages)

    def add(self, batch: Sequence[Record]) -> None:
        """Take in records, in their order."""
        frames, messages, nos, no = self.frames, self.messages, self.nos, self.no
        line: Frame | Message | None = None
        at = 0                              # the row of ``line``: frames that are no line may follow it
        for record in batch:                # type() is: three times as quick as isinstance, once per record
            if type(record) is records.FrameSeen:
                frame = record.frame
                if self.ahead_ns:
                    self.no, line = self._settle(no, line, at), None
                    self._reached(frame.time_ns)
                    no = self.no
                no += 1
                frames.append(frame)
                messages.append(_NO_MESSAGE)
                nos.append(no)
                if frame.opcode in LINE_FRAMES or frame.raw:
                    line, at = frame, no
            elif type(record) is records.MessageSeen:
                line = record.message
                self.message_count += 1
                if frames and frames[-1].frame_id == line.frame_id and messages[-1] is _NO_MESSAGE:
                    messages[-1] = line     # frame and message share one row and one ordinal
                else:
                    no += 1
                    frames.append(_NO_FRAME)
                    messages.append(line)
                    nos.append(no)
                at = nos[-1]
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
            body = _encode(_printable(msgspec.to_builtins(record)))
            identity = _printable(identity)
        self.events.append((self.no, time_ns, link_id, identity, kind, body))
        if kind == "note" and record.kind == "rules":
            self.rules = record.text
        if kind not in _SILENT:
            self.last = LastLine(self.no, "link" if kind in ("handshake", "link_closed", "note") else "other", link_id)

    def tables(self) -> dict[str, pa.Table]:
        """The Arrow tables of the rows, by name; only those that have rows."""
        made = {"events": _events, "frames": _wire, "found": _found}
        tables = {_TABLE.get(name, name): make(self) for name, make in made.items() if getattr(self, name)}
        if "wire" in tables:
            tables["wire"], pieces = set_apart(tables["wire"])
            if pieces is not None:
                tables["pieces"] = pieces
        return tables


def _spelled(message: Message) -> bytes | None:
    if message.mtype == 0 or message.prefix or message.suffix:
        return None
    try:
        return short_text(
            message.mtype, message.message_id, message.action, message.error_code, message.error_desc, message.payload)
    except UnicodeEncodeError:
        return None


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list | tuple) else value


def _rows(items: Sequence[Any]) -> list[Column]:
    return list(zip(*map(structs.astuple, items), strict=True))


def _ints(values: Column) -> pa.Array:
    try:
        return pa.array(values, pa.int64())
    except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError):
        fit = (value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None for value in values)
        return pa.array(list(fit), pa.int64())


def _text(values: Column) -> pa.Array:
    """Text; empty becomes NULL."""
    values = [value or None for value in values]
    try:
        return pa.array(values, pa.string())
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return pa.array([None if value is None else _printable(value) for value in values], pa.string())


def _blobs(values: Column) -> pa.Array:
    return pa.array(values, pa.large_binary()) if any(values) else pa.nulls(len(values), pa.large_binary())


def _some(values: Column, make: Callable[[Column], pa.Array], kind: pa.DataType) -> pa.Array:
    """A column that is nearly always empty: no work when it is."""
    return make(values) if any(values) else pa.nulls(len(values), kind)


def _lists(values: Column) -> pa.Array:
    return pa.array([list(value) or None for value in values], pa.list_(pa.int64()))


def _moments(whole: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Nanoseconds as time stamps of microseconds and the rest (0..999)."""
    micro = pc.divide(whole, 1000)
    rest = pc.subtract(whole, pc.multiply(micro, 1000))
    return micro.view(pa.timestamp("us", "UTC")), pc.abs(rest).cast(pa.uint16())


def _wire(batch: Batch) -> pa.Table:
    frames, messages = batch.frames, batch.messages
    return pa.table({**_frame_columns(batch.nos, frames, messages), **_stored(frames, messages), **_message_columns(messages)})


def _frame_columns(nos: list[int], frames: list[Frame], messages: list[Message]) -> dict[str, pa.Array]:
    lone = [frame is _NO_FRAME for frame in frames]
    if any(lone):                           # a message apart from its frame: the row says when and by whom from the message
        frames = [_stand_in(message) if alone else frame
                  for frame, message, alone in zip(frames, messages, lone, strict=True)]
    times = _ints([frame.time_ns for frame in frames])
    ts, rest = _moments(times)
    mono = _ints([frame.mono_ns for frame in frames])
    opcode = [OPCODE_NUMBERS[frame.opcode] for frame in frames]
    return {
        "no": _ints(nos), "frame_id": _ints([frame.frame_id for frame in frames]),
        "link_id": _ints([frame.link_id for frame in frames]), "seq": _ints([frame.seq for frame in frames]),
        "ts": ts, "ns": rest, "mono_offset": pc.subtract(mono, times),
        "station": pa.array([frame.sender is _STATION for frame in frames], pa.bool_()),
        "opcode": pa.array([None if alone else code for code, alone in zip(opcode, lone, strict=True)] if any(lone) else opcode,
                           pa.uint8()),
        "size": _ints([len(f.raw) or len(f.header) + len(f.mask) + len(f.payload) for f in frames]),
        "fin": pa.array([frame.fin for frame in frames], pa.bool_()),
        "mask": _masks([frame.mask for frame in frames]), "raw": _blobs([frame.raw or None for frame in frames]),
        "faults": _some([",".join(frame.faults) for frame in frames], _text, pa.string()),
        "cause": _some([frame.cause for frame in frames], _lists, pa.list_(pa.int64())),
        "verdict": _some([frame.verdict for frame in frames], _text, pa.string()),
        "masked": pa.array([frame.masked for frame in frames], pa.bool_()),
    }


def _stand_in(message: Message) -> Frame:
    return Frame(message.frame_id, message.link_id, 0, message.time_ns, message.time_ns, message.sender, Opcode.TEXT,
                 masked=message.masked)


def _stored(frames: list[Frame], messages: list[Message]) -> dict[str, pa.Array]:
    """The bytes of the frames, without those that can be put together again."""
    rows = len(frames)
    built = bytearray(rows)
    columns: list[list[bytes | None]] = [[None] * rows for _ in range(5)]
    header, data, text, prefix, suffix = columns
    for at, (frame, message) in enumerate(zip(frames, messages, strict=True)):
        if _plain(frame, message):              # nearly every row
            built[at] = PAYLOAD
            continue
        bits, before, after = 0, None, None
        if frame is _NO_FRAME:
            before, after = message.prefix or None, message.suffix or None
        elif message is not _NO_MESSAGE:
            whole = frame.text or frame.payload
            if whole == _spelled(message):
                bits = TEXT if frame.text else PAYLOAD
            elif whole == message.prefix + message.payload + message.suffix:
                bits = TEXT if frame.text else PAYLOAD
                before, after = message.prefix or None, message.suffix or None
        size = len(frame.payload or b"")
        short = not frame.raw and frame.opcode in OPCODES and frame.header == _header(frame.opcode, size, bool(frame.mask))
        built[at], prefix[at], suffix[at] = bits, before, after
        header[at] = None if short else frame.header
        data[at] = None if bits & PAYLOAD else frame.payload or None
        text[at] = None if bits & TEXT else frame.text or None
    return {"built": pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(built)]), "header": _blobs(header),
            "data": _blobs(data), "text": _blobs(text), "prefix": _blobs(prefix), "suffix": _blobs(suffix)}


def _plain(frame: Frame, message: Message) -> bool:
    """Nothing of the frame needs bytes of its own: a text in the shortest spelling, in one frame with the shortest header."""
    mtype = message.mtype
    if mtype == 3:
        start = f'[3,"{message.message_id}",'
    elif mtype == 2:
        start = f'[2,"{message.message_id}","{message.action}",'
    else:
        return False
    if frame.opcode is not _TEXT or frame.text or frame.raw or message.prefix or message.suffix:
        return False
    whole = frame.payload
    try:
        if whole != start.encode() + message.payload + b"]":
            return False
    except UnicodeEncodeError:
        return False
    return frame.header == _header(_TEXT, len(whole), len(frame.mask) > 0)


def _masks(values: list[bytes]) -> pa.Array:
    """Mask keys as numbers; NULL where there is none."""
    keys = b"".join([key or b"\0\0\0\0" for key in values])
    if len(keys) != 4 * len(values):
        raise ValueError("a mask key has 4 bytes")
    there = pa.array([bool(key) for key in values], pa.bool_())
    return pa.Array.from_buffers(pa.uint32(), len(values), [there.buffers()[1], pa.py_buffer(keys)])


def _message_columns(messages: list[Message]) -> dict[str, pa.Array]:
    return {
        "msg_no": _ints([message.msg_no for message in messages]),
        "identity": _text([message.identity for message in messages]),
        "mtype": pa.array([message.mtype for message in messages], pa.uint8()),
        "message_id": _text([message.message_id for message in messages]),
        "action": _text([message.action for message in messages]),
        "protocol": _text([message.protocol for message in messages]),
        "call_back": _ints([None if m.call_no is None else m.msg_no - m.call_no for m in messages]),
        "error_code": _some([message.error_code for message in messages], _text, pa.string()),
        "error_desc": _some([message.error_desc for message in messages], _text, pa.string()),
        "evse_id": _ints([message.evse_id for message in messages]),
        "connector_id": _ints([message.connector_id for message in messages]),
        "tx_id": _text([message.tx_id for message in messages]), "id_token": _text([message.id_token for message in messages]),
        **_payloads([message.payload for message in messages]),
    }


def _payloads(values: Column) -> dict[str, pa.Array]:
    """``payload`` where it is UTF-8, else ``odd``."""
    try:
        return {"payload": pa.array(values, pa.string()), "odd": pa.nulls(len(values), pa.large_binary())}
    except pa.ArrowInvalid:
        pass
    good: list[bytes | None] = []
    odd: list[bytes | None] = []
    for value in values:
        try:
            if value is not None:
                value.decode()
            good.append(value)
            odd.append(None)
        except UnicodeDecodeError:
            good.append(None)
            odd.append(value)
    return {"payload": pa.array(good, pa.string()), "odd": pa.array(odd, pa.large_binary())}


def _events(batch: Batch) -> pa.Table:
    no, time_ns, link_id, identity, kind, body = zip(*batch.events, strict=True)
    return pa.table({
        "no": _ints(no), "ts": _moments(_ints(time_ns))[0], "link_id": _ints(link_id), "identity": _text(identity),
        "kind": pa.array(kind, pa.string()), "body": pa.array(body, pa.string()),
    })


def _found(batch: Batch) -> pa.Table:
    no, line_no, findings = zip(*batch.found, strict=True)
    (finding_id, code, severity, blame, link_id, identity, time_ns, message, msg_no, evidence, path, spec_ref,
     count) = _rows(findings)
    ts, rest = _moments(_ints(time_ns))
    return pa.table({
        "no": _ints(no), "line_no": _ints(line_no), "finding_id": _ints(finding_id), "rule": _text(code),
        "severity": pa.array([level.label for level in severity], pa.string()), "level": pa.array(severity, pa.uint8()),
        "blame": _text(blame), "link_id": _ints(link_id), "identity": _text(identity), "ts": ts, "ns": rest,
        "message": _text(message), "msg_no": _ints(msg_no), "evidence": _lists(evidence), "path": _text(path),
        "spec_ref": _text(spec_ref), "count": _ints(count),
    })
