"""The codec of kept segments (``capture.keep_spool``): what was committed to a capture, masked as it was, batch by batch.

A file is a header with a random salt, then batches: ``magic, length, crc32, number`` and the zlib-compressed batch. Pure
bytes; files are floor 4's business. A capture is rebuilt by committing the batches again.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

from ocpp_proxy.records import Record

HEADER = struct.Struct("<8sQ")              # magic, salt
HEADER_MAGIC = b"OCPPKPT\x01"
_ENTRY = struct.Struct("<4sIIQ")            # magic, length, crc, number
_MAGIC = b"\xf5KPT"
SUFFIX = ".kept"
COUNTERS = ("a/ids", "a/w/", "n/now")       # pieces of state that every batch has; those of links change all the time
NUMBER = "k/number"                         # piece of state: the number of the last batch in the capture
LEVEL = 3

Reached = tuple[int, int, int]              # worker, incarnation, seq


class Batch(Struct, frozen=True, gc=False):
    """One commit. ``number`` counts them from 1; a number that comes again replaces what was kept from there on.

    ``before`` and ``positions``: how far the spool was read before it and with it. ``state``: the pieces that count (ids,
    clocks); all of them only in the last batch of a run that ended in order (``whole``), which has no records.
    """

    number: int
    before: tuple[Reached, ...]
    positions: tuple[Reached, ...]
    records: list[Record]
    state: dict[str, bytes]
    whole: bool = False


class Entry(Struct, frozen=True, gc=False):
    """A batch as it lies in a file; ``packed`` is compressed."""

    number: int
    packed: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


def kept_folder(capture: str | Path) -> Path:
    """Where the segments of a capture are kept."""
    return Path(f"{capture}.spool")


def header(salt: int) -> bytes:
    """How a file begins."""
    return HEADER.pack(HEADER_MAGIC, salt)


def encode(batch: Batch, salt: int) -> bytes:
    """A batch for a file with this salt."""
    packed = zlib.compress(_encode(batch), LEVEL)
    return _ENTRY.pack(_MAGIC, len(packed), _crc(salt, batch.number, packed), batch.number) + packed


def decode(entry: Entry) -> Batch | None:
    """The batch of an entry; None when it cannot be read."""
    try:
        return _decode(zlib.decompress(entry.packed))
    except (zlib.error, msgspec.DecodeError):
        return None


def read(data: bytes) -> Iterator[Entry]:
    """The whole entries of a file; damage is passed over, it shows in the numbers. Nothing of a foreign file."""
    if len(data) < HEADER.size:
        return
    magic, salt = HEADER.unpack_from(data)
    if magic != HEADER_MAGIC:
        return
    at = data.find(_MAGIC, HEADER.size)
    while 0 <= at <= len(data) - _ENTRY.size:
        _, size, crc, number = _ENTRY.unpack_from(data, at)
        begin = at + _ENTRY.size
        packed = data[begin : begin + size]
        if len(packed) == size and crc == _crc(salt, number, packed):
            yield Entry(number, packed)
            at = data.find(_MAGIC, begin + size)
        else:
            at = data.find(_MAGIC, at + 1)


def valid(numbers: Iterable[int]) -> list[int]:
    """Which entries count, by their place in the order they were written: the last one of each number and those after it."""
    places: list[tuple[int, int]] = []
    for place, number in enumerate(numbers):
        while places and places[-1][0] >= number:
            places.pop()
        places.append((number, place))
    return [place for _, place in places]


def _crc(salt: int, number: int, packed: bytes) -> int:
    return crc32(packed, crc32(number.to_bytes(8, "little"), salt & 0xFFFFFFFF))
