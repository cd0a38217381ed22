"""Bookmarks: live, in a closed file, in a folder, in a trace, through exports, and whoever else has the file."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest
from ocpp_proxy_captures import CaptureSource, TraceSource, bookmarks, export, open_store
from ocpp_proxy_captures.database import segments
from ocpp_proxy_captures.gate import Gate
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.fields import parse
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import MessageSeen
from ocpp_proxy.source import Bookmark, Source
from tests.captures.capture_streams import fill, pieces, small_store, stream

T = 1_767_261_600_123_456_000
FIRST = Bookmark(3, T, "look: 'this' is it\n", "ann", ("meter", "odd"))
SECOND = Bookmark(7, T + 1000, "", "", ())


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.duckdb"
    fill(path, stream(60))
    return path


def test_a_running_capture_keeps_them(tmp_path: Path) -> None:
    store = small_store(tmp_path / "a.duckdb")
    store.commit(stream(30), [], {})
    for mark in (SECOND, FIRST, Bookmark(9, T, "gone")):
        store.bookmark(mark)
    store.bookmark(Bookmark(9, 0))
    store.bookmark(Bookmark(7, T, "anew"))
    assert store.bookmarks() == [FIRST, Bookmark(7, T, "anew")]
    assert store.query("SELECT msg_no, note, author, tags FROM bookmarks ORDER BY msg_no", {}).rows == [
        [3, FIRST.note, "ann", ["meter", "odd"]], [7, "anew", None, None]]
    store.close()
    again = small_store(tmp_path / "a.duckdb")
    assert again.bookmarks() == [FIRST, Bookmark(7, T, "anew")]
    again.close()


def test_what_is_too_much_is_refused_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookmarks, "MOST", 2)
    store = small_store(tmp_path / "a.duckdb")
    store.bookmark(FIRST)
    store.bookmark(SECOND)
    for mark in (Bookmark(1, T, "x" * 4001), Bookmark(1, T, "", "", ("t",) * 51), Bookmark(1, T, "", "a" * 101),
                 Bookmark(1, T, "", "", ("t" * 101,)), Bookmark(8, T, "one more")):
        with pytest.raises(ConfigError):
            store.bookmark(mark)
    store.bookmark(FIRST)
    assert store.bookmarks() == [FIRST, SECOND]
    store.commit(stream(10), [], {})
    store.close()


def test_a_rotation_carries_them_over(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    store = open_store(folder, Position, CaptureConfig(rotate_messages=100))
    for number, part in enumerate(pieces(stream(600), 120)):
        store.commit(part, [], {})
        store.bookmark(Bookmark(number + 1, T, f"note {number}"))
    store.bookmark(Bookmark(1, 0))                              # its message lies in a closed segment
    want = [Bookmark(number, T, f"note {number - 1}") for number in range(2, number + 2)]
    assert store.bookmarks() == want
    store.close()
    assert len(segments(folder)) > 3
    before = [path.read_bytes() for path in segments(folder)[:-1]]
    reader = FileReader(folder)
    assert reader.bookmarks() == want
    reader.bookmark(FIRST)
    assert FIRST in reader.bookmarks() and len(reader.numbers("frames", None)) > 600
    reader.close()
    assert [path.read_bytes() for path in segments(folder)[:-1]] == before
    assert FIRST in FileReader(folder).bookmarks()


def test_a_closed_file_is_opened_for_writing_for_that_moment(capture: Path) -> None:
    reader = FileReader(capture)
    numbers = reader.numbers("exchanges", None)
    reader.bookmark(FIRST)
    reader.bookmark(SECOND)
    reader.bookmark(Bookmark(7, 0))
    assert reader.bookmarks() == [FIRST] and reader.numbers("exchanges", None) == numbers
    with pytest.raises(ConfigError, match="holds no message 5000"):
        reader.bookmark(Bookmark(5000, T))
    assert reader.query("SELECT count(*) FROM bookmarks", {}).rows == [[1]]
    reader.close()
    assert not Path(f"{capture}.wal").exists()


def test_a_read_only_file_is_refused(capture: Path) -> None:
    capture.chmod(0o400)
    reader = FileReader(capture)
    before = capture.read_bytes()
    with pytest.raises(ConfigError, match="read-only"):
        reader.bookmark(FIRST)
    assert reader.bookmarks() == [] and len(reader.numbers("frames", None)) >= 60
    reader.close()
    assert capture.read_bytes() == before


def test_another_process_has_the_file(capture: Path) -> None:
    code = ("import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True); con.execute('SELECT 1');"
            "print('open', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(capture)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        reader = FileReader(capture)
        with pytest.raises(ConfigError, match="another process"):
            reader.bookmark(FIRST)
        assert reader.bookmarks() == []
        other.communicate(b"")
    reader.bookmark(FIRST)
    assert reader.bookmarks() == [FIRST]
    reader.close()


def test_readers_go_on_while_marks_are_stored(capture: Path) -> None:
    reader = FileReader(capture)
    want, seen = reader.numbers("frames", None), 0
    wrong: list[object] = []

    def read() -> None:
        for _ in range(40):
            if reader.numbers("frames", None) != want:
                wrong.append("other numbers")

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 9):
        reader.bookmark(Bookmark(number, T))
        seen += 1
    for thread in threads:
        thread.join(60)
    assert wrong == [] and len(reader.bookmarks()) == seen == 8
    reader.close()


def test_who_reads_for_long_is_not_disturbed(capture: Path) -> None:
    gate = Gate()
    with gate.inside(), gate.inside(), pytest.raises(ConfigError, match="being read"), gate.alone(0.01):
        raise AssertionError("not reached")
    with gate.alone(0.01):
        pass


async def marked(source: Source) -> list[Bookmark]:
    """All bookmarks of a source, which is closed then."""
    found = await source.bookmarks()
    await source.close()
    return found


def test_exports_have_them(capture: Path, tmp_path: Path) -> None:
    async def run() -> None:
        source = CaptureSource(capture)
        for mark in (FIRST, SECOND, Bookmark(50, T, "later")):
            await source.bookmark(mark)
        for name in ("b.duckdb", "b.jsonl", "b.txt"):
            await export(source, tmp_path / name, None, False)
        await export(source, tmp_path / "redacted.duckdb", None, True)
        await export(source, tmp_path / "part.duckdb", parse("action == BootNotification and mtype == CALL"), False)
        kept = [line.record for line in await source.page(parse("action == BootNotification and mtype == CALL"), 0, 100)]
        await source.close()
        numbers = {record.message.msg_no for record in kept if isinstance(record, MessageSeen)}
        in_part = await marked(CaptureSource(tmp_path / "part.duckdb"))
        assert {mark.msg_no for mark in in_part} == numbers & {3, 7, 50} != {3, 7, 50}
        assert await marked(CaptureSource(tmp_path / "b.duckdb")) == [FIRST, SECOND, Bookmark(50, T, "later")]
        redacted = await marked(CaptureSource(tmp_path / "redacted.duckdb"))
        assert redacted == [Bookmark(3, T), Bookmark(7, T + 1000), Bookmark(50, T)]
        trace = TraceSource(tmp_path / "b.jsonl")
        of_trace = await trace.bookmarks()
        assert [(mark.time_ns, mark.note, mark.author, mark.tags) for mark in of_trace] == [
            (FIRST.time_ns, FIRST.note, "ann", ("meter", "odd")), (SECOND.time_ns, "", "", ()), (T, "later", "", ())]
        await trace.bookmark(Bookmark(1, T, "for now"))
        assert len(await trace.bookmarks()) == 4
        await export(trace, tmp_path / "c.duckdb", None, False)
        await trace.close()
        assert len(await marked(CaptureSource(tmp_path / "c.duckdb"))) == 4
        assert len(await marked(TraceSource(tmp_path / "b.jsonl"))) == 3       # a trace itself is not changed

    asyncio.run(run())
    assert "    * bookmark: look: 'this' is it\\n #meter #odd\n" in (tmp_path / "b.txt").read_text()


def test_a_foreign_bookmark_cannot_break_a_trace(capture: Path, tmp_path: Path) -> None:
    async def run() -> None:
        source = CaptureSource(capture)
        await export(source, tmp_path / "b.jsonl", None, False)
        await source.close()
        rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
        odd = [7, "x", None, {"note": 7}, {"timeNs": -1}, {"timeNs": 1 << 70}, {"tags": "abc"}, {},
               {"note": "n" * 9000, "tags": ["t"] * 90}]
        for row, mark in zip(rows, odd, strict=False):
            row["meta"]["ocppProxy"]["bookmark"] = mark
        (tmp_path / "odd.jsonl").write_text("\n".join(map(json.dumps, rows)))
        [mark] = await marked(TraceSource(tmp_path / "odd.jsonl"))
        assert len(mark.note) == 4000 and len(mark.tags) == 50

    asyncio.run(run())


def test_retention_keeps_the_notes(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    store = open_store(folder, Position, CaptureConfig(rotate_messages=100, retention_bytes=1))
    for part in pieces(stream(600), 120):
        store.bookmark(FIRST)
        store.commit(part, [], {})
    assert store.bookmarks() == [FIRST] and store.number_of("frames", msg_no=3) == 0
    store.close()
    con = duckdb.connect(str(segments(folder)[-1]), read_only=True)
    assert con.execute("SELECT count(*) FROM bookmarks").fetchall() == [(1,)]
    con.close()
