"""The proxy's own log: what its processes said and what was noted about the whole of it, in order, bounded."""

import io
import threading
from pathlib import Path

import msgspec
import pytest
import structlog

from ocpp_proxy.core.said import said
from ocpp_proxy.hub import log, log_file
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.log import FLOOD_LINES, FLOOD_NS, Listener
from ocpp_proxy.hub.log_file import LogFile
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.records import Beat, Gap, Note, Record
from ocpp_proxy.source import LogLine
from tests.hub.doubles import SqliteStore, message
from tests.hub.test_recording import recorded


@pytest.mark.parametrize(("record", "expected"), [
    (Note(5, 0, "suspended", text="3.0"), LogLine(5, "info", "relay", "suspended: 3.0")),
    (Note(5, 0, "worker_lost", text="worker 0, 2 links"), LogLine(5, "error", "relay", "worker lost: worker 0, 2 links")),
    (Note(5, 7, "refused", text="not in allow_from"), LogLine(5, "warning", "relay", "refused: not in allow_from")),
    (Note(5, 7, "plain_upstream_refused", text="ws://c", identity="CP1"),
     LogLine(5, "warning", "relay", "plain upstream refused: ws://c (CP1)")),
    (Note(5, 7, "upstream_failed", text="dns"), None),
    (Gap(5, 0, 10, 19, 8, 900, "no room"),
     LogLine(5, "error", "recorder", "gap in the capture: records 10 to 19 of worker 0, 8 frames, 900 bytes: no room")),
    (Beat(5), None),
    (message(1, 1, 5, b"{}")[1], None),
])
def test_what_is_a_line_of_the_log(record: Record, expected: LogLine | None) -> None:
    assert said(record) == expected


def test_lines_of_several_processes_come_in_order_and_once(tmp_path: Path) -> None:
    one, other = LogFile(tmp_path), LogFile(tmp_path)
    one.write(LogLine(3, "info", "relay", "c"))
    other.write(LogLine(1, "info", "supervisor", "a"), LogLine(2, "info", "recorder", "b"))
    one.write(LogLine(3, "info", "relay", "c"))                     # read again from the spool after a crash
    assert [line.text for line in one.since(0)] == ["a", "b", "c"]
    assert [line.text for line in other.since(1)] == ["b", "c"]
    assert oct((tmp_path / "log.ndjson").stat().st_mode)[-3:] == "600"


def test_the_log_is_bounded_and_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "FILE_BYTES", 10_000)
    files = [LogFile(tmp_path), LogFile(tmp_path)]
    for number in range(1, 2001):
        files[number % 2].write(LogLine(number, "info", "relay", "x" * 50))
    lines = files[0].since(0)
    assert [line.time_ns for line in lines] == list(range(lines[0].time_ns, 2001))
    assert 80 <= len(lines) <= 250
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 21_000


def test_a_line_cut_by_a_crash_hides_no_other(tmp_path: Path) -> None:
    file = LogFile(tmp_path)
    file.write(LogLine(1, "info", "relay", "a"))
    with (tmp_path / "log.ndjson").open("ab") as raw:
        raw.write(b'{"time_ns":2,"lev\n')
    file.write(LogLine(3, "info", "relay", "c"))
    assert [line.text for line in file.since(0)] == ["a", "c"]


def test_text_of_a_peer_is_escaped_and_cut(tmp_path: Path) -> None:
    file = LogFile(tmp_path)
    bad = "a\x1b[31m\x9b2J\u202e\x7f\ud800\r\nb"
    Listener(file).feed([Note(1, 1, "refused", text=bad, identity=bad), Note(2, 2, "refused", text="x" * 100_000)])
    data = (tmp_path / "log.ndjson").read_bytes()
    assert not any(char in data.decode() for char in "\x1b\x9b\u202e\x7f\r")
    assert [line.time_ns for line in file.since(0)] == [1, 2]
    assert len(data) < 3000


def test_a_folder_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "gone")
    file.write(LogLine(1, "info", "relay", "a"))
    assert file.since(0) == []
    target = tmp_path / "other"
    (tmp_path / "log.ndjson").symlink_to(target)
    LogFile(tmp_path).write(LogLine(1, "info", "relay", "a"))
    assert not target.exists()


def test_of_a_flood_the_log_has_the_number(tmp_path: Path) -> None:
    file = LogFile(tmp_path)
    listener = Listener(file)
    listener.feed(Note(100 + n, n + 1, "refused", text=f"10.0.0.{n} is not in allow_from") for n in range(1000))
    listener.feed([Note(2000, 0, "worker_lost", text="worker 0")])
    assert len(file.since(0)) == FLOOD_LINES + 1
    listener.feed([Beat(100 + FLOOD_NS)])
    listener.feed([Beat(200 + 2 * FLOOD_NS)])
    lines = file.since(0)
    assert [line.text for line in lines][-2:] == [
        f"{1000 - FLOOD_LINES} more like it, the last: refused: 10.0.0.999 is not in allow_from", "worker lost: worker 0"]
    assert len(lines) == FLOOD_LINES + 2
    listener.feed([Note(3 * FLOOD_NS, 1, "refused", text="again")])
    assert file.since(0)[-1].text == "refused: again"


def test_what_a_process_logs_is_in_the_file_and_on_stderr_as_before(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((io.StringIO(), 2), (Terminal(), 1)):
        (tmp_path / "log.ndjson").unlink(missing_ok=True)
        log.configure("recorder", stream, tmp_path)
        try:
            log.logger().info("recording", capture="/x\x1b[31m")
            thread = threading.Thread(target=lambda: log.logger().error("it failed", reason="No space"))
            thread.start()
            thread.join()
        finally:
            structlog.reset_defaults()
        assert stream.getvalue().count("\n") == shown
        assert "\x1b" not in stream.getvalue()
        first, second = LogFile(tmp_path).since(0)
        assert (first.level, first.process, second.level, second.process) == ("info", "recorder", "error", "recorder")
        assert first.text.startswith("recording capture=/x")
        assert "\x1b" not in first.text
        assert second.text == "it failed reason=No space"


def test_the_log_comes_over_and_outlives_the_recorder(tmp_path: Path) -> None:
    LogFile(tmp_path).write(LogLine(7, "warning", "supervisor", "died: recorder ended with signal SIGKILL"))

    async def during(recorder: Recorder, source: LiveSource) -> None:
        recorder._listener.feed([Note(9, 0, "suspended", text="3.0")])
        assert [(line.process, line.text) for line in await source.log()] == [
            ("supervisor", "died: recorder ended with signal SIGKILL"), ("relay", "suspended: 3.0")]
        assert [line.time_ns for line in await source.log(7)] == [9]

    recorded(tmp_path, SqliteStore(tmp_path / "rows.sqlite"), during)
    assert len(LogFile(tmp_path).since(0)) == 2
    assert all(msgspec.json.decode(row) for row in (tmp_path / "log.ndjson").read_bytes().splitlines())
