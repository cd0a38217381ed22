"""The spool record codec: what the relay appends and the recorder tails. Pure bytes; files are floor 4's business.

A segment is a header and records. Record: ``magic, length, crc32, kind, direction, flags, seq, time_ns, mono_ns, link,
offset`` and ``length`` bytes of data. The CRC starts from the segment's random salt and covers header and data, so that
neither bytes chosen by a peer nor leftovers of another file pass as a record, and a zero-filled tail is never valid.
"""

import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct

from ocpp_proxy.model import Side, TlsInfo

FORMAT = 1
SEGMENT = struct.Struct("<8sHHI16sQQQQQ")   # magic, format, -, worker, boot id, incarnation, salt, first seq, wall, mono
SEGMENT_MAGIC = b"OCPPSPL\x01"
RECORD = struct.Struct("<IIIBBHQQQQQ")      # magic, length, crc, kind, direction, flags, seq, time, mono, link, offset
MAGIC = 0x5AC0FFE5
MAGIC_BYTES = struct.pack("<I", MAGIC)
MAX_DATA = 8 << 20                          # larger chunks never occur: the relay reads at most 256 KiB at once
_CRC_FREE = struct.Struct("<BBHQQQQQ")      # the header fields after the crc


class Kind(IntEnum):
    """What a record is. The data of IN and OUT are bytes of the wire; all others carry a struct (``BODIES``)."""

    OPEN = 1        # Open: a TCP connection was accepted
    HEAD = 2        # Head: an HTTP head was read completely (its bytes are not in an IN record)
    IN = 3          # bytes received; forwarded unchanged unless a DISP says otherwise
    OUT = 4         # bytes we made
    DISP = 5        # Disposition of received bytes (held, dropped, answered, released)
    FINDING = 6     # ForeignFinding
    LOSS = 7        # LossBody: a field that a plugin did not carry as it came
    AUDIT = 8       # AuditBody: what a person did
    GAP = 9         # GapBody
    BEAT = 10       # no data: record time of this worker
    END = 11        # End: one direction of a link ended
    NOTE = 12       # NoteBody: a fact that is neither bytes nor an end


STATION, CSMS = 0, 1                        # direction: who sent the bytes
SIDES = (Side.STATION, Side.CSMS)


class Open(Struct, frozen=True, gc=False):
    """Body of OPEN."""

    remote: str
    listener: str
    tls: TlsInfo | None = None


class Head(Struct, frozen=True, gc=False):
    """Body of HEAD. ``raw`` as received (Authorization masked), ``sent`` as passed on if it differs, else empty.

    On a request: identity, where it leads (``upstream`` URL), ``problems`` and ``repairs``. On an answer: ``status``.
    ``size`` is the number of bytes of the head on the wire (``raw`` may differ from it by the masking).
    """

    raw: bytes
    size: int
    sent: bytes = b""
    status: int = 0
    target: str = ""
    identity: str = ""
    identity_source: str = "path"
    upstream: str = ""
    problems: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    csms_tls: TlsInfo | None = None


class End(Struct, frozen=True, gc=False):
    """Body of END: the totals of one direction. ``how``: fin, rst, timeout, vanished, shutdown, refused, error."""

    read: int
    written: int
    unsent: int
    how: str
    first: bool = False                     # this direction's sender ended the link


class Boundary(Struct, frozen=True, gc=False, array_like=True):
    """Where a direction stands behind a gap, on a premise: that a frame begins at one of its bytes ``starts``.

    The reader of the spool knows whether it does. Then, at byte ``end`` (behind the last lost one), ``rest`` payload bytes
    are still to come of a frame whose header begins with ``first``, or ``head`` are the bytes of a header that is not
    complete, or (both empty) a frame begins. ``opening``: the first one lies directly behind an HTTP head, lost as well.
    """

    link: int
    direction: int
    starts: tuple[int, ...]
    end: int
    rest: int = 0
    first: int = 0
    head: bytes = b""
    inside: bool = False                    # in a fragmented message, if it was one of the first ``sure`` starts;
    sure: int = 0                           # else as at the start: no frame behind it says
    closed: bool = False                    # a Close went by
    opening: bool = False


class GapBody(Struct, frozen=True, gc=False):
    """Body of GAP: records that were counted but not appended. The sequence numbers were used up.

    ``boundaries`` of the directions that lost bytes and go on; a writer of before does not say.
    """

    from_seq: int
    to_seq: int
    records: int
    bytes: int
    reason: str
    started_ns: int
    boundaries: tuple[Boundary, ...] = ()


class NoteBody(Struct, frozen=True, gc=False):
    """Body of NOTE; kinds in ``records.NOTE_KINDS``."""

    kind: str
    text: str = ""
    identity: str = ""


class LossBody(Struct, frozen=True, gc=False):
    """Body of LOSS. ``what``: dropped, shortened or invented; ``path``: of the field in the message received or made."""

    plugin: str
    action: str
    message_id: str
    path: str
    what: str
    reason: str


class AuditBody(Struct, frozen=True, gc=False):
    """Body of AUDIT. ``who``: the user or role that asked; ``action``: inject, release ...; ``outcome``: what came of it."""

    who: str
    action: str
    detail: str = ""
    outcome: str = ""


class Disposition(Struct, frozen=True, gc=False):
    """Body of DISP: what becomes of a received message. ``seqs`` name the IN records with its bytes.

    The record's offset says where in the direction the message ends (0: about none), and it comes before the IN record that
    completes the message. The offset of an OUT record, which comes behind, names its cause the same way (0: none).
    """

    seqs: tuple[int, ...]
    what: str                               # held, dropped, answered, released, replaced
    plugin: str = ""
    reason: str = ""


class ForeignFinding(Struct, frozen=True, gc=False):
    """Body of FINDING: what a plugin or the relay reports; ``seqs`` are its evidence."""

    code: str
    severity: str
    blame: str
    message: str
    seqs: tuple[int, ...] = ()


class SpoolRecord(Struct, frozen=True, gc=False):
    """One record as read back, with the segment it came from."""

    kind: Kind
    direction: int
    flags: int
    seq: int
    time_ns: int
    mono_ns: int
    link: int
    offset: int
    data: bytes
    worker: int = 0
    incarnation: int = 0


class Segment(Struct, frozen=True, gc=False):
    """A segment header."""

    worker: int
    boot_id: bytes
    incarnation: int
    salt: int
    first_seq: int
    wall_ns: int
    mono_ns: int


class Damage(Struct, frozen=True, gc=False):
    """A range of a segment, in bytes from its start, that holds no readable record."""

    start: int
    end: int


_SIZE, _unpack = RECORD.size, RECORD.unpack_from        # looked up once: this runs for every record
_KINDS = {int(kind): kind for kind in Kind}
_DECODERS = {
    kind: msgspec.msgpack.Decoder(body)
    for kind, body in {
        Kind.OPEN: Open, Kind.HEAD: Head, Kind.END: End, Kind.GAP: GapBody, Kind.NOTE: NoteBody,
        Kind.DISP: Disposition, Kind.FINDING: ForeignFinding, Kind.LOSS: LossBody, Kind.AUDIT: AuditBody,
    }.items()
}
Body = Open | Head | End | GapBody | NoteBody | Disposition | ForeignFinding | LossBody | AuditBody


encode_body: Callable[[Body], bytes] = msgspec.msgpack.Encoder().encode
"""Encode a record's body."""


def decode_body(record: SpoolRecord) -> Body:
    """Decode the body of a record that has one (all but IN, OUT, BEAT). Raises ``msgspec.DecodeError``."""
    decoded: Body = _DECODERS[record.kind].decode(record.data)
    return decoded


_T = TypeVar("_T", bound=Struct)


def decode_as(data: bytes, body: type[_T]) -> _T:
    """Decode a body of this kind. Raises ``msgspec.DecodeError``."""
    return msgspec.msgpack.decode(data, type=body)


def segment_header(segment: Segment) -> bytes:
    """Encode a segment header."""
    return SEGMENT.pack(
        SEGMENT_MAGIC, FORMAT, 0, segment.worker, segment.boot_id, segment.incarnation, segment.salt,
        segment.first_seq, segment.wall_ns, segment.mono_ns,
    )


def read_segment_header(data: bytes) -> Segment | None:
    """Decode a segment header; None when it is too short, foreign or of another format."""
    if len(data) < SEGMENT.size:
        return None
    magic, form, _, worker, boot, incarnation, salt, first, wall, mono = SEGMENT.unpack_from(data)
    if magic != SEGMENT_MAGIC or form != FORMAT:
        return None
    return Segment(worker, boot, incarnation, salt, first, wall, mono)


def start_crc(salt: int) -> int:
    """The CRC every record of a segment starts from."""
    return crc32(salt.to_bytes(8, "little"))


def record_header(
    start: int, kind: int, direction: int, seq: int, time_ns: int, mono_ns: int, link: int, offset: int, data: bytes,
) -> bytes:
    """Encode the header of a record whose data follow it; ``start`` is ``start_crc`` of the segment."""
    tail = _CRC_FREE.pack(kind, direction, 0, seq, time_ns, mono_ns, link, offset)
    size = len(data)
    crc = crc32(data, crc32(tail, start ^ size))
    return struct.pack("<III", MAGIC, size, crc) + tail


def read_records(
    data: bytes, segment: Segment, position: int, final: bool,
) -> Iterator[tuple[SpoolRecord | Damage, int]]:
    """Yield ``(record, end)`` from ``data``, a piece of a segment that starts at byte ``position`` of it.

    ``end`` is where the next record begins: go on from there. A bad stretch is yielded as ``Damage`` once a good record
    follows it, or when ``final`` (the writer is gone); before that a bad tail is unfinished and is not yielded.
    """
    start, worker, incarnation = start_crc(segment.salt), segment.worker, segment.incarnation
    at, bad, last = 0, -1, len(data) - _SIZE
    while at < len(data):
        if at <= last:                      # written out flat: this runs for every record
            magic, size, crc, kind, direction, flags, seq, time_ns, mono_ns, link, offset = _unpack(data, at)
            body = at + _SIZE
            end = body + size
            if (
                magic == MAGIC and size <= MAX_DATA and end <= len(data) and kind in _KINDS
                and crc32(data[at + 12 : end], start ^ size) == crc
            ):
                if bad >= 0:
                    yield Damage(position + bad, position + at), position + at
                    bad = -1
                at = end
                yield SpoolRecord(
                    _KINDS[kind], direction, flags, seq, time_ns, mono_ns, link, offset, data[body:end], worker, incarnation,
                ), position + end
                continue
        if bad < 0:
            bad = at
        at = data.find(MAGIC_BYTES, at + 1)
        if at < 0:
            break
    if bad >= 0 and final:
        yield Damage(position + bad, position + len(data)), position + len(data)
