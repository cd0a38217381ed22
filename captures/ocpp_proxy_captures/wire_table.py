"""Rows of ``wire`` as an Arrow table: a frame and the message it completed, column by column.

Nearly every row is plain: a Call or result in the shortest spelling, in one frame with the shortest header, and nothing
was done to it. Of plain rows only what the message says is kept, and most columns hold nothing.
"""

from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocpp_proxy.model import Frame, Message, Opcode, Side
from ocpp_proxy_captures.envelope import OPCODES, PAYLOAD, TEXT, short_header, short_text

Column = Sequence[Any]
OPCODE_NUMBERS = {opcode: number for number, opcode in enumerate(Opcode)}       # as stored; data frames are 0 to 2
_TEXT, _STATION = Opcode.TEXT, Side.STATION             # looked up once: members of an enum are slow to get at
_BLOB = pa.large_binary()
_header = lru_cache(maxsize=8192)(short_header)
KNOWN = 4096                # headers of text frames with fewer bytes are at hand
_BARE, _MASKED = ([short_header(_TEXT, size, masked) for size in range(KNOWN)] for masked in (False, True))


class _Nothing:
    """Stands beside a frame that completed no message, or beside a message apart from its frame."""

    def __getattr__(self, _: str) -> None:
        return None


NO_MESSAGE: Any = _Nothing()
NO_FRAME: Any = _Nothing()


def wire_table(nos: list[int], frames: list[Frame], messages: list[Message]) -> pa.Table:
    """The table. ``NO_FRAME`` and ``NO_MESSAGE`` stand where a row has none; ``nos``: the ordinals of the rows."""
    odd = _odd_rows(frames, messages)
    stored = _stored(frames, messages, odd)
    return pa.table({**_frame_columns(nos, frames, messages, odd), **stored, **_message_columns(messages)})


def _odd_rows(frames: list[Frame], messages: list[Message]) -> list[int]:
    """The places of the rows that are not plain."""
    odd: list[int] = []
    for at, (frame, message) in enumerate(zip(frames, messages, strict=True)):
        if (
            frame.opcode is not _TEXT or message is NO_MESSAGE or frame.text or frame.raw or frame.faults or frame.cause
            or frame.verdict or frame.masked or not frame.fin or message.prefix or message.suffix
        ):
            odd.append(at)
            continue
        mtype = message.mtype
        if mtype == 3:
            start = f'[3,"{message.message_id}",'
        elif mtype == 2:
            start = f'[2,"{message.message_id}","{message.action}",'
        else:
            odd.append(at)
            continue
        whole = frame.payload
        size = len(whole)
        try:
            if whole != start.encode() + message.payload + b"]":
                odd.append(at)
                continue
        except UnicodeEncodeError:
            odd.append(at)
            continue
        known = _MASKED if frame.mask else _BARE
        if frame.header != (known[size] if size < KNOWN else short_header(_TEXT, size, known is _MASKED)):
            odd.append(at)
    return odd


def _patched(rows: int, odd: list[int], values: Column, plain: Any, make: Callable[[Column], pa.Array]) -> pa.Array:
    """A column that says ``plain`` in all plain rows; ``values`` are those of the odd rows."""
    column = [plain] * rows
    for at, value in zip(odd, values, strict=True):
        column[at] = value
    return make(column)


def _rare(rows: int, odd: list[int], values: Column, make: Callable[[Column], pa.Array], kind: pa.DataType) -> pa.Array:
    """A column that is empty in all plain rows, and nearly always in the others."""
    return _patched(rows, odd, values, None, make) if any(values) else pa.nulls(rows, kind)


def _flags(values: Column) -> pa.Array:
    return pa.array(values, pa.bool_())


def _frame_columns(nos: list[int], frames: list[Frame], messages: list[Message], odd: list[int]) -> dict[str, pa.Array]:
    rows = len(frames)
    some = [frames[at] for at in odd]
    opcodes = [OPCODE_NUMBERS[frame.opcode] if frame is not NO_FRAME else None for frame in some]
    if any(frame is NO_FRAME for frame in some):        # the row says when and by whom from the message
        frames = [_stand_in(message) if frame is NO_FRAME else frame for frame, message in zip(frames, messages, strict=True)]
        some = [frames[at] for at in odd]
    times = whole_numbers([frame.time_ns for frame in frames])
    ts, rest = moments(times)
    return {
        "no": whole_numbers(nos), "frame_id": whole_numbers([frame.frame_id for frame in frames]),
        "link_id": whole_numbers([frame.link_id for frame in frames]), "seq": whole_numbers([frame.seq for frame in frames]),
        "ts": ts, "ns": rest, "mono_offset": pc.subtract(whole_numbers([frame.mono_ns for frame in frames]), times),
        "station": pa.array([frame.sender is _STATION for frame in frames], pa.bool_()),
        "opcode": _patched(rows, odd, opcodes, OPCODE_NUMBERS[_TEXT], lambda column: pa.array(column, pa.uint8())),
        "size": whole_numbers([len(f.payload) + len(f.header) + len(f.mask) if not f.raw else len(f.raw) for f in frames]),
        "fin": _patched(rows, odd, [frame.fin for frame in some], True, _flags),
        "mask": _masks([frame.mask for frame in frames]), "raw": _rare(rows, odd, [f.raw for f in some], blobs, _BLOB),
        "faults": _rare(rows, odd, [",".join(frame.faults) for frame in some], text, pa.string()),
        "cause": _rare(rows, odd, [frame.cause for frame in some], lists, pa.list_(pa.int64())),
        "verdict": _rare(rows, odd, [frame.verdict for frame in some], text, pa.string()),
        "masked": _patched(rows, odd, [frame.masked for frame in some], False, _flags),
    }


def _stand_in(message: Message) -> Frame:
    return Frame(message.frame_id, message.link_id, 0, message.time_ns, message.time_ns, message.sender, Opcode.TEXT,
                 masked=message.masked)


def _stored(frames: list[Frame], messages: list[Message], odd: list[int]) -> dict[str, pa.Array]:
    """The bytes of the frames, without those that can be put together again: all of plain rows."""
    rows = len(frames)
    built = bytearray((PAYLOAD,)) * rows
    columns: tuple[list[bytes | None], ...] = ([], [], [], [], [])
    for at in odd:
        built[at], *kept = _kept(frames[at], messages[at])
        for column, value in zip(columns, kept, strict=True):
            column.append(value)
    names = ("header", "data", "text", "prefix", "suffix")
    return {"built": pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(built)])} | {
        name: _rare(rows, odd, column, blobs, _BLOB) for name, column in zip(names, columns, strict=True)}


def _kept(frame: Frame, message: Message) -> tuple[int, bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]:
    """What ``built`` says of a row, and the bytes it keeps: header, data, text, prefix, suffix."""
    bits, before, after = 0, None, None
    if frame is NO_FRAME:
        before, after = message.prefix or None, message.suffix or None
    elif message is not NO_MESSAGE:
        whole = frame.text or frame.payload
        if whole == _spelled(message):
            bits = TEXT if frame.text else PAYLOAD
        elif whole == message.prefix + message.payload + message.suffix:
            bits = TEXT if frame.text else PAYLOAD
            before, after = message.prefix or None, message.suffix or None
    size = len(frame.payload or b"")
    short = not frame.raw and frame.opcode in OPCODES and frame.header == _header(frame.opcode, size, bool(frame.mask))
    data = None if bits & PAYLOAD else frame.payload or None
    return bits, None if short else frame.header, data, None if bits & TEXT else frame.text or None, before, after


def _spelled(message: Message) -> bytes | None:
    if message.mtype == 0 or message.prefix or message.suffix:
        return None
    try:
        return short_text(
            message.mtype, message.message_id, message.action, message.error_code, message.error_desc, message.payload)
    except UnicodeEncodeError:
        return None


def _masks(values: list[bytes]) -> pa.Array:
    """Mask keys as numbers; NULL where there is none."""
    keys = b"".join([key or b"\0\0\0\0" for key in values])
    if len(keys) != 4 * len(values):
        raise ValueError("a mask key has 4 bytes")
    there = pa.array([bool(key) for key in values], pa.bool_())
    return pa.Array.from_buffers(pa.uint32(), len(values), [there.buffers()[1], pa.py_buffer(keys)])


def _message_columns(messages: list[Message]) -> dict[str, pa.Array]:
    return {
        "msg_no": ints([message.msg_no for message in messages]),
        "identity": text([message.identity for message in messages]),
        "mtype": pa.array([message.mtype for message in messages], pa.uint8()),
        "message_id": text([message.message_id for message in messages]),
        "action": text([message.action for message in messages]),
        "protocol": text([message.protocol for message in messages]),
        "call_back": ints([None if m.call_no is None else m.msg_no - m.call_no for m in messages]),
        "error_code": _some([message.error_code for message in messages], text, pa.string()),
        "error_desc": _some([message.error_desc for message in messages], text, pa.string()),
        "evse_id": ints([message.evse_id for message in messages]),
        "connector_id": ints([message.connector_id for message in messages]),
        "tx_id": _some([message.tx_id for message in messages], text, pa.string()),
        "id_token": _some([message.id_token for message in messages], text, pa.string()),
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


def printable(value: Any) -> Any:
    """A JSON value with lone surrogates escaped, which Arrow cannot take."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list | tuple) else value


def whole_numbers(values: list[int]) -> pa.Array:
    """Integers, none of them NULL."""
    try:
        return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(array("q", values))])
    except (OverflowError, TypeError):
        return ints(values)


def ints(values: Column) -> pa.Array:
    """Integers; what is none, or takes more than 64 bits, becomes NULL."""
    if values.count(None) == len(values):
        return pa.nulls(len(values), pa.int64())
    try:
        return pa.array(values, pa.int64())
    except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError):
        fit = (value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None for value in values)
        return pa.array(list(fit), pa.int64())


def text(values: Column) -> pa.Array:
    """Text; empty becomes NULL."""
    values = [value or None for value in values]
    try:
        return pa.array(values, pa.string())
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return pa.array([None if value is None else printable(value) for value in values], pa.string())


def blobs(values: Column) -> pa.Array:
    """Bytes; empty becomes NULL."""
    return pa.array([value or None for value in values], _BLOB) if any(values) else pa.nulls(len(values), _BLOB)


def _some(values: Column, make: Callable[[Column], pa.Array], kind: pa.DataType) -> pa.Array:
    """A column that is nearly always empty: no work when it is."""
    return make(values) if any(values) else pa.nulls(len(values), kind)


def lists(values: Column) -> pa.Array:
    """Lists of integers; empty becomes NULL."""
    return pa.array([list(value) if value else None for value in values], pa.list_(pa.int64()))


def moments(whole: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Nanoseconds as time stamps of microseconds and the rest (0..999)."""
    micro = pc.divide(whole, 1000)
    rest = pc.subtract(whole, pc.multiply(micro, 1000))
    return micro.view(pa.timestamp("us", "UTC")), pc.abs(rest).cast(pa.uint16())


