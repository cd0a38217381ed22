"""The store: rows come back as they were, wire bytes are stored once and rebuilt exactly, commits happen exactly once."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ocpp_proxy_captures.columns import Batch, LastLine
from ocpp_proxy_captures.envelope import short_header, wire_bytes
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import CaptureSource, FileReader
from ocpp_proxy_captures.readings import SAMPLED
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.model import CaptureError, Finding, Frame, Message, Opcode, Severity, Side
from ocpp_proxy.records import Beat, Found, FrameSeen, Gap, MessageSeen, Note, PluginFinding, Record
from ocpp_proxy.records import lines as lines_of
from tests.captures.capture_streams import call, everything, fill, pieces, small_store, stored, stream

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("step", [1, 7, 500, 100_000])
def test_a_stream_comes_back_equal_whatever_the_commits(tmp_path: Path, step: int) -> None:
    records = stream(300 if step == 1 else 3000)
    fill(tmp_path / "a.duckdb", records, step)
    assert everything(tmp_path / "a.duckdb") == stored(records)


def test_the_source_stream_ends_with_the_last_beat(tmp_path: Path) -> None:
    records = stream(500)
    fill(tmp_path / "a.duckdb", records)
    reader = FileReader(tmp_path / "a.duckdb")
    got = [record for batch in reader.records() for record in batch]
    reader.close()
    beats = [record for record in records if isinstance(record, Beat)]
    assert got[:-1] == [record for record in stored(records) if not isinstance(record, MessageSeen | Found)]
    assert got[-1] == beats[-1]


def _frames() -> list[Record]:
    """One of each kind of frame, with its message where it has one."""
    spelt = b'[2,"m1","Heartbeat",{}]'
    spaced = b'[2, "m2", "Heartbeat", {}]'
    long = b'{"data":"' + b"x" * 70_000 + b'"}'
    key = b"\x01\x02\x03\x04"
    head = {size: short_header(Opcode.TEXT, size, False) for size in (len(spelt), len(spaced))}
    out = call(1, spelt, short_header(Opcode.TEXT, len(spelt), True), key)
    out += call(2, spaced, head[len(spaced)], prefix=b'[2, "m2", "Heartbeat", ', suffix=b"]")
    out += call(3, b'[2,"m3","Heartbeat",{}]', b"\x81\x7e\x00\x17")                       # a length that is not minimal
    text = b'[2,"m4","Data",' + long + b"]"
    out += call(4, text, short_header(Opcode.TEXT, len(text), False), action="Data", payload=long)
    bad = b"not \xff json"
    out += call(5, bad, short_header(Opcode.TEXT, len(bad), False), mtype=0, message_id="", action="", payload=bad)
    out += call(6, b'[2,"m6","A",{"a":]}]', head[len(spelt)], payload=b'{"a":]}', action="A")
    out += call(7, b'[2,"m7","A",{"a":"\xff"}]', b"\x81\x16", payload=b'{"a":"\xff"}', action="A")
    out += call(8, b'[2,"a\\"b","A",{}]', b"\x81\x10", message_id='a"b', action="A", prefix=b'[2,"a\\"b","A",', suffix=b"]")
    more = (
        Frame(20, 1, 20, 20, 20, Side.STATION, Opcode.TEXT, b"\x01\x83", b"\0\0\0\0", b"[2,", fin=False),
        Frame(21, 1, 21, 21, 21, Side.STATION, Opcode.PING, b"\x89\x80", b"\xff\0\xff\0"),
        Frame(22, 1, 22, 22, 22, Side.CSMS, Opcode.CLOSE, b"\x88\x02", b"", b"\x03\xe8", faults=("after_close", "rsv2")),
        Frame(23, 1, 23, 23, 23, Side.STATION, Opcode.RAW, raw=b"\x8f\xff garbage", faults=("unreadable",)),
        Frame(24, 1, 24, 24, 24, Side.STATION, Opcode.HTTP_REQ, b"GET / HTTP/1.1\r\n\r\n", payload=b"body \x00\xff"),
        Frame(25, 1, 25, 25, 25, Side.CSMS, Opcode.TEXT, b"\xc1\x03", payload=b"\xaa\x00\x01", text=b'[3,"m1",{}]',
              cause=(1, 2), verdict="modified", masked=True),
    )
    for frame in more:
        out.append(FrameSeen(frame))
    out.append(MessageSeen(Message(
        25, 25, 1, "CP-1", 25, Side.CSMS, 3, "m1", "Heartbeat", "ocpp1.6", b"{}", 1, 25 - 1007, masked=True)))
    return out


def test_every_kind_of_frame_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    records = _frames()
    fill(tmp_path / "a.duckdb", records)
    got = everything(tmp_path / "a.duckdb")
    assert got == records
    want = [wire_bytes(record.frame) for record in records if isinstance(record, FrameSeen)]
    assert [wire_bytes(record.frame) for record in got if isinstance(record, FrameSeen)] == want


def test_wire_bytes_are_stored_once(tmp_path: Path) -> None:
    records = stream(400)
    fill(tmp_path / "a.duckdb", records)
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    doubled = con.execute(
        "SELECT count(*) FROM wire WHERE msg_no IS NOT NULL AND (data IS NOT NULL OR header IS NOT NULL)").fetchall()
    payloads = dict(con.execute("SELECT frame_id, payload FROM frames").fetchall())
    con.close()
    assert doubled == [(0,)]
    want = {record.frame.frame_id: record.frame.payload for record in records if isinstance(record, FrameSeen)}
    assert payloads == want                 # the view spells the text of the message again


def test_frame_and_message_in_different_commits_still_make_one_line(tmp_path: Path) -> None:
    records = _frames()
    fill(tmp_path / "a.duckdb", records, step=1)
    reader = FileReader(tmp_path / "a.duckdb")
    page = reader.page(None, 0, 100)
    reader.close()
    assert page == list(lines_of(records))


def test_what_a_peer_may_send_never_stops_a_commit(tmp_path: Path) -> None:
    message = Message(1, 1, 1, "CP\ud800", 5, Side.STATION, 2, "\udfff", "A\x00b", "ocpp1.6", b'{"a":1e999,"a":2,"b":NaN}',
                      evse_id=1 << 70, connector_id=-1, tx_id="\ud800", error_desc="\ud800")
    deep = b"[" * 50_000 + b"]" * 50_000
    records: list[Record] = [
        FrameSeen(Frame(1, 1, 1, 5, 5, Side.STATION, Opcode.TEXT, b"\x81\x00", b"", b"x")), MessageSeen(message),
        *call(2, deep, b"\x81\x7f", payload=deep, mtype=0), Note(7, 1, "no_head", None, "\ud800"),
        Found(Finding(1, "V01", Severity.ERROR, "station", 1, "CP\ud800", 5, "\ud800", 1, (1,))),
    ]
    fill(tmp_path / "a.duckdb", records)
    got = everything(tmp_path / "a.duckdb")
    assert [type(record) for record in got] == [type(record) for record in records]
    assert got[0] == records[0] and got[2:4] == records[2:4]
    assert isinstance(got[1], MessageSeen) and got[1].message.payload == message.payload
    assert got[1].message.evse_id is None and got[1].message.connector_id == -1


def test_events_and_gaps_are_kept_exactly_and_shown_as_tables(tmp_path: Path) -> None:
    records: list[Record] = [
        Gap(1_000_000, 0, 5, 9, 5, 1234, "disk full", 9_000_000), Note(2_000_000, 0, "suspended", None, "30"),
        PluginFinding(3_000_000, 1, "Q01", "error", "station", "seen by a plugin", (4,)),
    ]
    fill(tmp_path / "a.duckdb", records)
    assert everything(tmp_path / "a.duckdb") == records
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    rows = con.execute("SELECT from_seq, to_seq, frames, bytes, reason, epoch_us(ended_at) FROM gaps").fetchall()
    con.close()
    assert rows == [(5, 9, 5, 1234, "disk full", 9_000)]


def test_the_newest_count_of_a_finding_wins(tmp_path: Path) -> None:
    def found(count: int) -> Record:
        return Found(Finding(4, "R05", Severity.WARNING, "station", 1, "CP-1", count, "again", None, (1,), count=count))
    fill(tmp_path / "a.duckdb", [found(1), found(2), found(9)], step=1)
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    assert con.execute("SELECT finding_id, count FROM findings").fetchall() == [(4, 9)]
    con.close()


def test_a_finding_joins_the_line_before_across_commits(tmp_path: Path) -> None:
    records = stream(600)
    fill(tmp_path / "a.duckdb", records, step=3)
    reader = FileReader(tmp_path / "a.duckdb")
    page = reader.page(None, 0, 100_000)
    reader.close()
    assert page == list(lines_of(stored(records)))
    assert any(line.findings for line in page)


def test_state_and_positions_are_those_of_the_last_commit(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.duckdb", Position)
    store.commit([], [Position(0, 1 << 63, 5)], {"a/1": b"one", "a/2": b"two"})
    store.commit([], [Position(0, 1 << 63, 6), Position(1, 3, 1)], {"a/1": None, "a/3": b"\x00\xff"})
    for want in range(2):
        assert store.positions() == [Position(0, 1 << 63, 6), Position(1, 3, 1)], want
        assert store.state() == {"a/2": b"two", "a/3": b"\x00\xff"}
        store.close()
        store = open_store(tmp_path / "a.duckdb", Position)
    store.close()


def test_an_existing_capture_gets_a_new_run_and_keeps_its_rows(tmp_path: Path) -> None:
    records = stream(200)
    first, second = records[:150], records[150:]
    fill(tmp_path / "a.duckdb", first)
    fill(tmp_path / "a.duckdb", second)
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    runs = con.execute("SELECT run_no, first_no FROM runs ORDER BY run_no").fetchall()
    con.close()
    assert [run for run, _ in runs] == [1, 2] and runs[1][1] > 1
    assert everything(tmp_path / "a.duckdb") == stored(records)


def test_meta_tells_what_judged_the_capture(tmp_path: Path) -> None:
    open_store(tmp_path / "a.duckdb", Position, meta={"rules_version": "1", "tool_version": "x"}).close()
    open_store(tmp_path / "a.duckdb", Position, meta={"rules_version": "2"}).close()
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    meta = dict(con.execute("SELECT key, value FROM meta").fetchall())
    con.close()
    assert (meta["schema_version"], meta["rules_version"], meta["tool_version"]) == ("2", "2", "x")


def test_without_a_log_a_commit_reaches_the_file_with_the_next_checkpoint(tmp_path: Path) -> None:
    records = stream(300)
    first, second = records[:200], records[200:]
    store = open_store(tmp_path / "a.duckdb", Position, logged=False)
    store.commit(first, [Position(0, 7, 1)], {})
    store.checkpoint()
    store.commit(second, [Position(0, 7, 2)], {})
    assert not (tmp_path / "a.duckdb.wal").exists() and store.positions() == [Position(0, 7, 2)]
    (tmp_path / "killed.duckdb").write_bytes((tmp_path / "a.duckdb").read_bytes())
    store.close()
    assert everything(tmp_path / "killed.duckdb") == stored(first)
    assert everything(tmp_path / "a.duckdb") == stored(records)


def test_payloads_are_zstd_on_disk(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", stream(3000))
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    used = con.execute("""SELECT DISTINCT compression FROM pragma_storage_info('wire')
        WHERE column_name = 'payload' AND segment_type NOT IN ('VALIDITY')""").fetchall()
    con.close()
    assert used == [("ZSTD",)]


def test_files_are_for_their_owner_alone_and_no_wal_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    store = open_store(path, Position)
    store.commit(stream(100), [], {})
    wal = Path(f"{path}.wal")
    assert wal.stat().st_mode & 0o777 == 0o600 and path.stat().st_mode & 0o777 == 0o600
    store.close()
    store.close()
    assert not wal.exists()


def test_a_file_in_use_says_who_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    script = f"import sys; sys.path[:0] = {sys.path!r}\n" + (
        "from ocpp_proxy_captures.writer import open_store\nfrom ocpp_proxy_captures.progress import Position\n"
        f"store = open_store({str(path)!r}, Position)\nprint('ready', flush=True)\nsys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "ready\n"
        for attempt in (lambda: CaptureSource(path), lambda: open_store(path, Position)):
            with pytest.raises(CaptureError, match=rf"is being written by process {other.pid}\.") as told:
                attempt()
            assert "lock" not in str(told.value).lower()
        other.stdin.close()
        assert other.wait(30) == 0


KILLED = """
import sys; sys.path[:0] = {path!r}
from ocpp_proxy_captures.writer import open_store
from ocpp_proxy_captures.progress import Position
from tests.captures.capture_streams import stream, pieces
store = open_store({file!r}, Position)
for number, part in enumerate(pieces(stream(6000), 40), 1):
    store.commit(part, [Position(0, 7, number)], {{"a/n": str(number).encode()}})
    print(number, flush=True)
    if number % 25 == 0:
        store.checkpoint()
sys.stdin.read()
"""


@pytest.mark.parametrize("after", [1, 24, 25, 60])
def test_kill_9_keeps_what_was_acknowledged_exactly_once(tmp_path: Path, after: int) -> None:
    file = tmp_path / "a.duckdb"
    script = KILLED.format(path=sys.path, file=str(file))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= after:
                break
        os.kill(child.pid, signal.SIGKILL)
        acknowledged = max([after, *(int(line) for line in child.stdout if line.endswith("\n"))])
    store = open_store(file, Position)
    [position] = store.positions()
    assert acknowledged <= position.seq <= acknowledged + 1 and store.state() == {"a/n": str(position.seq).encode()}
    parts = list(pieces(stream(6000), 40))
    for number, part in enumerate(parts[position.seq : position.seq + 5], position.seq + 1):
        store.commit(part, [Position(0, 7, number)], {})
    store.close()
    want = [record for part in parts[: position.seq + 5] for record in part]
    assert everything(file) == stored(want)


class _Broken:
    """A connection whose statements fail at one place."""

    def __init__(self, con: Any, at: str, error: Exception, after: bool) -> None:
        self._con, self._at, self._error, self._after = con, at, error, after

    def execute(self, sql: str, *given: Any) -> Any:
        if sql.startswith(self._at):
            if self._after:
                self._con.execute(sql, *given)
            raise self._error
        return self._con.execute(sql, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)


@pytest.mark.parametrize(("at", "after"), [("INSERT INTO current_file.wire", False), ("COMMIT", False)])
def test_a_failed_commit_writes_nothing_and_can_be_repeated(tmp_path: Path, at: str, after: bool) -> None:
    store = open_store(tmp_path / "a.duckdb", Position)
    records = stream(200)
    good = store._con
    store._con = _Broken(good, at, duckdb.TransactionException("no space"), after)  # type: ignore[assignment]  # a double
    with pytest.raises(CaptureError, match="no space"):
        store.commit(records, [Position(0, 1, 1)], {"a/1": b"x"})
    store._con = good
    assert store.positions() == [] and store.state() == {}
    store.commit(records, [Position(0, 1, 1)], {"a/1": b"x"})
    store.close()
    assert everything(tmp_path / "a.duckdb") == stored(records)


@pytest.mark.parametrize("after", [False, True])
def test_after_a_fatal_error_the_file_decides_whether_the_commit_happened(tmp_path: Path, after: bool) -> None:
    store = open_store(tmp_path / "a.duckdb", Position)
    records = stream(200)
    fatal = duckdb.FatalException("invalidated")
    store._con = _Broken(store._con, "COMMIT", fatal, after)  # type: ignore[assignment]  # a double
    if after:
        store.commit(records, [Position(0, 1, 1)], {})
    else:
        with pytest.raises(CaptureError, match="invalidated"):
            store.commit(records, [Position(0, 1, 1)], {})
        store.commit(records, [Position(0, 1, 1)], {})
    assert store.positions() == [Position(0, 1, 1)]
    store.close()
    assert everything(tmp_path / "a.duckdb") == stored(records)


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CaptureError, match="cannot be written: Not a directory"):
        open_store(tmp_path / "file" / "a.duckdb", Position)


def test_a_last_line_is_remembered_in_batches_as_in_one(tmp_path: Path) -> None:
    records = stream(800)
    whole = Batch(0, LastLine())
    whole.add(records)
    no, last, found = 0, LastLine(), []
    for part in pieces(records, 2):
        batch = Batch(no, last)
        batch.add(part)
        no, last = batch.no, batch.last
        found += [finding.finding_id for own, line, finding in batch.found if own != line]
    assert found == [finding.finding_id for own, line, finding in whole.found if own != line] != []


def test_another_duckdb_opens_the_file_and_finds_the_same(tmp_path: Path) -> None:
    python = os.environ.get("OCPP_PROXY_DUCKDB2")
    if not python:
        pytest.skip("OCPP_PROXY_DUCKDB2 names no Python with another DuckDB")
    fill(tmp_path / "a.duckdb", stream(1000))
    script = ("import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True)\n"
              "print(duckdb.__version__, con.execute('SELECT count(*), count(payload) FROM messages').fetchall())")
    command = [python, "-c", script, str(tmp_path / "a.duckdb")]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    mine = con.execute("SELECT count(*), count(payload) FROM messages").fetchall()
    con.close()
    assert other.split(" ", 1)[1].strip() == str(mine) and not other.startswith(duckdb.__version__)


@pytest.mark.parametrize("action", sorted(SAMPLED))
@pytest.mark.parametrize("blank", ["", " "])
def test_samples_are_unpacked_whichever_call_of_a_commit_brings_them(tmp_path: Path, action: str, blank: str) -> None:
    name = "transactionData" if action == "StopTransaction" else "meterValue"
    payload = f'{{"{name}":{blank}[{{"timestamp":"2026-01-05T10:00:00Z","sampledValue":[{{"value":"7"}}]}}]}}'.encode()
    store = small_store(tmp_path / "a.duckdb")
    for number, (what, held) in enumerate((("Heartbeat", b"{}"), (action, payload), ("Heartbeat", b"{}")), 1):
        text = b'[2,"m%d","%s",%s]' % (number, what.encode(), held)
        store.commit(call(number, text, b"\x81", action=what, payload=held), [Position(0, 7, number)], {})
    store.close()
    con = duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True)
    assert con.execute("SELECT msg_no, value FROM samples").fetchall() == [(2, 7.0)]
    assert con.execute("SELECT * FROM positions").fetchall() == [(0, 7, 3)]
    con.close()
