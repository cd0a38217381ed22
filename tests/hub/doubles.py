"""Doubles of what stands beside the recorder: a pipeline that counts, and a store that persists (SQLite)."""

import asyncio
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ocpp_proxy.config import Config
from ocpp_proxy.hub import log
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.hub.store import Position
from ocpp_proxy.model import CaptureError, Frame, Link, Message, Opcode, Side
from ocpp_proxy.records import Beat, FrameSeen, Gap, LinkClosed, LinkOpened, MessageSeen, Record
from ocpp_proxy.wire.spool import Kind, SpoolRecord


class CountingPipeline:
    """One message per IN record, numbered in order; the numbers are its state."""

    def __init__(self) -> None:
        self.number = 0

    def feed(self, spool_records: Sequence[SpoolRecord]) -> list[Record]:
        out: list[Record] = []
        for record in spool_records:
            match record.kind:
                case Kind.BEAT:
                    out.append(Beat(record.time_ns))
                case Kind.OPEN:
                    out.append(LinkOpened(Link(record.link, record.time_ns, "127.0.0.1:1", identity=f"CP{record.link}")))
                case Kind.END:
                    out.append(LinkClosed(record.time_ns, record.link, "fin"))
                case Kind.IN:
                    self.number += 1
                    out += message(self.number, record.link, record.time_ns, record.data)
        return out

    def lost(self, worker: int, gap: Gap) -> list[Record]:
        return [gap]

    def changed(self) -> dict[str, bytes | None]:
        return {"n/number": str(self.number).encode()}

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        self.number = int(pieces.get("n/number", b"0"))


def message(number: int, link: int, time_ns: int, payload: bytes) -> list[Record]:
    """A text frame and its message."""
    return [
        FrameSeen(Frame(number, link, number, time_ns, time_ns, Side.STATION, Opcode.TEXT, payload=payload)),
        MessageSeen(Message(
            number, number, link, f"CP{link}", time_ns, Side.STATION, 2, str(number), "Heartbeat", "ocpp1.6", payload,
        )),
    ]


class SqliteStore:
    """A store in one SQLite file; rows are the payloads of messages and the gaps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as con:
            con.executescript(
                "CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, payload BLOB);"
                "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB);"
            )
        self.checkpoints = 0
        self.closed = False

    def positions(self) -> list[Position]:
        return msgspec.msgpack.decode(self.state_of("positions") or b"\x90", type=list[Position])

    def state(self) -> dict[str, bytes]:
        return msgspec.msgpack.decode(self.state_of("state") or b"\x80", type=dict[str, bytes])

    def commit(
        self, records: Sequence[Record], positions: Sequence[Position], changed: Mapping[str, bytes | None],
    ) -> None:
        state = {key: value for key, value in {**self.state(), **changed}.items() if value is not None}
        with self._open() as con:
            for record in records:
                match record:
                    case MessageSeen(found):
                        con.execute("INSERT INTO rows (kind, payload) VALUES ('message', ?)", (found.payload,))
                    case Gap():
                        con.execute("INSERT INTO rows (kind, payload) VALUES ('gap', ?)", (str(record.frames).encode(),))
            for key, value in (("positions", list(positions)), ("state", state)):
                con.execute("REPLACE INTO kept VALUES (?, ?)", (key, msgspec.msgpack.encode(value)))

    def checkpoint(self) -> None:
        self.checkpoints += 1

    def close(self) -> None:
        self.closed = True

    def payloads(self, kind: str = "message") -> list[bytes]:
        """The rows in order."""
        with self._open() as con:
            return [bytes(row[0]) for row in con.execute("SELECT payload FROM rows WHERE kind = ? ORDER BY number", (kind,))]

    def state_of(self, key: str) -> bytes | None:
        with self._open() as con:
            row = con.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _open(self) -> "_Closing":
        return _Closing(self._path)


class _Closing:
    """A connection that commits and closes at the end of its block."""

    def __init__(self, path: Path) -> None:
        self._con = sqlite3.connect(path, timeout=20)

    def __enter__(self) -> sqlite3.Connection:
        self._con.__enter__()
        return self._con

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._con.__exit__(kind, error, None)
        finally:
            self._con.close()


class TroubledStore(SqliteStore):
    """Fails the next commits, or after having written them, or hangs until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.failing = 0
        self.failing_late = 0
        self.attempts = 0
        self.go = threading.Event()
        self.go.set()

    def commit(
        self, records: Sequence[Record], positions: Sequence[Position], changed: Mapping[str, bytes | None],
    ) -> None:
        self.attempts += 1
        self.go.wait()
        if self.failing > 0:
            self.failing -= 1
            raise CaptureError("No space left on device")
        super().commit(records, positions, changed)
        if self.failing_late > 0:
            self.failing_late -= 1
            raise RuntimeError("connection lost after the commit")


def eventually(condition: "object", seconds: float = 60.0) -> None:
    """Wait until a function gives something true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def main() -> int:
    """A recorder process with these doubles: ``--instance DIR --alive-fd N [--hang]``; the store is DIR/rows.sqlite."""
    log.configure("recorder")
    folder = Path(sys.argv[sys.argv.index("--instance") + 1])
    alive = int(sys.argv[sys.argv.index("--alive-fd") + 1])
    store = TroubledStore(folder / "rows.sqlite")
    if "--hang" in sys.argv:
        store.go.clear()
    return asyncio.run(Recorder(folder, store, Config(), CountingPipeline()).run(alive))


if __name__ == "__main__":
    sys.exit(main())
