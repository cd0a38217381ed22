"""A folder of segments answers like one file, wherever it was cut; nothing is lost at a cut; retention keeps open links."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from ocpp_proxy_captures.canned import queries
from ocpp_proxy_captures.database import segments
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.fields import parse
from ocpp_proxy.model import CaptureError, Finding, Link, Severity
from ocpp_proxy.records import Beat, Found, LinkClosed, LinkOpened, Note, Record
from tests.captures.capture_streams import everything, fill, pieces, stored, stream

FILTERS = ("ms > 100", "severity >= warning", "kind == close", "CP-00001", "not side == csms")


@pytest.mark.parametrize("cut", range(10))
def test_a_stream_cut_anywhere_gives_the_rows_of_one_file(tmp_path: Path, cut: int) -> None:
    records = stream(2400, seed=3)
    step = 60 + 41 * cut
    one, many = tmp_path / "one.duckdb", tmp_path / "many"
    fill(one, records, step)
    fill(many, records, step, CaptureConfig(rotate_messages=250 + 31 * cut))
    assert len(segments(many)) >= 4
    whole, parts = FileReader(one), FileReader(many)
    for query in queries():
        assert parts.query(query.name, {}) == whole.query(query.name, {}), query.name
    assert list(parts.records()) == list(whole.records())
    assert parts.page(None, 0, 100_000) == whole.page(None, 0, 100_000)
    for text in FILTERS:
        assert parts.page(parse(text), 3, 500) == whole.page(parse(text), 3, 500), text
    assert parts.links() == whole.links()
    sql = "SELECT side, count(*), max(size) FROM frames GROUP BY side ORDER BY side"
    if cut == 0:
        assert parts.query(sql, {}) == whole.query(sql, {})
    whole.close()
    parts.close()


def test_a_day_of_record_time_rotates(tmp_path: Path) -> None:
    store = open_store(tmp_path / "many", Position, CaptureConfig(rotate_seconds=60))
    for second in range(1, 200, 20):
        store.commit([*_opened(second), Beat(second * 10**9)], [], {})
        store.commit(stream(5), [], {})
    store.close()
    assert len(segments(tmp_path / "many")) > 1


def _opened(number: int) -> list[Record]:
    return [LinkOpened(Link(number, number * 10**9, f"10.0.0.1:{number}"))]


def test_positions_state_and_counting_are_carried_over(tmp_path: Path) -> None:
    settings = CaptureConfig(rotate_messages=100)
    store = open_store(tmp_path / "many", Position, settings)
    records = stream(600)
    for number, part in enumerate(pieces(records, 50), 1):
        store.commit(part, [Position(0, 9, number)], {"a/n": str(number).encode()})
    position, state = store.positions(), store.state()
    store.close()
    assert len(segments(tmp_path / "many")) > 3
    store = open_store(tmp_path / "many", Position, settings)
    assert (store.positions(), store.state()) == (position, state) and state["a/n"] == str(position[0].seq).encode()
    store.close()


def test_closed_segments_are_read_only_and_open_beside_a_living_recorder(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    store = open_store(folder, Position, CaptureConfig(rotate_messages=100))
    for part in pieces(stream(500), 50):
        store.commit(part, [], {})
    closed = segments(folder)[:-1]
    assert closed and {path.stat().st_mode & 0o777 for path in closed} == {0o400}
    for path in closed:
        reader = FileReader(path)           # DuckDB 2 and 1.5 let any number of readers in
        assert reader.page(None, 0, 1)
        reader.close()
    script = (f"import sys; sys.path[:0] = {sys.path!r}\nfrom pathlib import Path\n"
              f"from ocpp_proxy_captures.reader import FileReader\nFileReader(Path({str(folder)!r}))")
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    store.close()
    assert f"is being written by process {os.getpid()}." in other.stderr


def test_a_crash_while_the_next_segment_is_made_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "many"
    store = open_store(folder, Position, CaptureConfig(rotate_messages=100))
    parts = list(pieces(stream(400), 50))
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", _no_space)
        with pytest.raises(CaptureError, match="rotation failed: No space left"):
            for number, part in enumerate(parts, 1):
                store.commit(part, [Position(0, 9, number)], {})
    done = store.positions()[0].seq
    store.close()
    assert (folder / "capture-000002.duckdb.new").exists()
    store = open_store(folder, Position, CaptureConfig(rotate_messages=100))
    assert store.positions() == [Position(0, 9, done)]
    for number, part in enumerate(parts[done:], done + 1):
        store.commit(part, [Position(0, 9, number)], {})
    store.close()
    assert everything(folder) == stored([record for part in parts for record in part])
    assert len(segments(folder)) > 1


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_retention_deletes_the_oldest_and_keeps_what_opened_the_open_links(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    link, gone = Link(900_001, 1, "10.1.1.1:1"), Link(900_002, 2, "10.1.1.2:1")
    store = open_store(folder, Position, CaptureConfig(rotate_messages=100, retention_bytes=4_000_000))
    store.commit([LinkOpened(link), LinkOpened(gone), LinkClosed(3, 900_002, "fin")], [], {})
    for part in pieces(stream(1500), 50):
        store.commit(part, [], {})
    links = store.links()
    store.close()
    names = [path.name for path in segments(folder)]
    assert "capture-000001.duckdb" not in names and len(names) >= 2
    assert sum(path.stat().st_size for path in segments(folder)[:-1]) <= 4_000_000
    assert link in links and gone not in links
    assert [one.link_id for one in links].count(900_001) == 1


def test_a_finding_counted_on_in_a_later_segment_is_one_row(tmp_path: Path) -> None:
    store = open_store(tmp_path / "many", Position, CaptureConfig(rotate_messages=50))
    for number, part in enumerate(pieces(stream(300), 50), 1):
        again = Finding(77_000, "R09", Severity.INFO, "station", 1, "CP", number, "again", count=number)
        store.commit([*part, Found(again)], [], {})
    store.close()
    reader = FileReader(tmp_path / "many")
    with reader.reading() as con:
        rows = con.execute("SELECT count FROM findings WHERE finding_id = 77000").fetchall()
    reader.close()
    assert len(segments(tmp_path / "many")) > 2 and rows == [(len(list(pieces(stream(300), 50))),)]


def test_a_file_is_never_rotated(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", stream(500), 50, CaptureConfig(rotate_messages=50, rotate_seconds=1))
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]


def test_a_live_store_answers_and_gives_a_snapshot(tmp_path: Path) -> None:
    records = stream(400)
    store = open_store(tmp_path / "many", Position, CaptureConfig(rotate_messages=150))
    for part in pieces(records, 50):
        store.commit(part, [], {})
    note = Note(10**18, 0, "suspended", None, "5")
    store.commit([note], [], {})
    table = store.query("SELECT count(*) FROM messages", {})
    assert table.rows == [[sum(1 for record in records if type(record).__name__ == "MessageSeen")]]
    assert store.query("overview", {}).rows and store.page(None, 0, 10**6)[-1].record == note
    assert [record for batch in store.records() for record in batch][-2] == note
    store.close()
    assert not [path for path in (tmp_path / "many").iterdir() if path.name.startswith(".snapshot")]


def test_an_empty_folder_is_no_capture(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="holds no capture"):
        FileReader(tmp_path)
    with pytest.raises(CaptureError, match="no such file"):
        FileReader(tmp_path / "b.duckdb")


@pytest.mark.parametrize(("content", "words"), [
    (b"", "cut off"), (b"this is no database" * 2000, "not a capture or is damaged"), (None, "no capture"),
])
def test_what_is_no_capture_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "a.duckdb"
    if content is None:
        con = duckdb.connect(str(path))
        con.execute("CREATE TABLE t(i INTEGER)")
        con.close()
    else:
        path.write_bytes(content)
    with pytest.raises(CaptureError, match=words):
        FileReader(path)
