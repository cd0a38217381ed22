"""Owns small record streams and stores for the tests of captures."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.writer import DuckStore, open_store

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.model import Frame, Message, Opcode, Side
from ocpp_proxy.records import Beat, FrameSeen, MessageSeen, Record
from tests.captures import synthetic


def stream(messages: int = 3000, seed: int = 1) -> list[Record]:
    """A synthetic stream."""
    return [record for batch in synthetic.batches(messages, seed, stations=6) for record in batch]


def stored(records: Iterable[Record]) -> list[Record]:
    """The stream as a capture gives it back: beats are not kept."""
    return [record for record in records if not isinstance(record, Beat)]


def fill(path: Path, records: list[Record], step: int = 500, settings: CaptureConfig | None = None) -> None:
    """Write records to a capture, ``step`` in a commit."""
    store = open_store(path, Position, settings)
    for number, part in enumerate(pieces(records, step), 1):
        store.commit(part, [Position(0, 7, number)], {})
    store.close()


def pieces(records: list[Record], step: int) -> Iterator[list[Record]]:
    for start in range(0, len(records), step):
        yield records[start : start + step]


def everything(path: Path) -> list[Record]:
    """All records of a closed capture."""
    reader = FileReader(path)
    try:
        return [record for batch in reader.everything() for record in batch]
    finally:
        reader.close()


def small_store(path: Path) -> DuckStore[Position]:
    return open_store(path, Position)


def call(number: int, text: bytes, header: bytes, mask: bytes = b"", **more: object) -> list[Record]:
    """A frame and its message, both made of ``[2,"id","Action",payload]`` spelt in any way."""
    values: dict[str, object] = {
        "mtype": 2, "message_id": f"m{number}", "action": "Heartbeat", "payload": b"{}", "prefix": b"", "suffix": b"", **more}
    frame = Frame(number, 1, number, number * 1000 + 7, number * 900, Side.STATION, Opcode.TEXT, header, mask, text)
    message = Message(
        number, number, 1, "CP-1", frame.time_ns, Side.STATION, int(str(values["mtype"])), str(values["message_id"]),
        str(values["action"]), "ocpp1.6", _bytes(values["payload"]),
        prefix=_bytes(values["prefix"]), suffix=_bytes(values["suffix"]))
    return [FrameSeen(frame), MessageSeen(message)]


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
