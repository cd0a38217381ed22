"""The log of a capture: what the proxy itself had to say, in order, after a time, bounded."""

import asyncio
from pathlib import Path

import pytest
from ocpp_proxy_captures import log
from ocpp_proxy_captures.reader import CaptureSource, FileReader

from ocpp_proxy.records import Gap, Note, Record
from ocpp_proxy.source import LogLine
from tests.captures.capture_streams import fill

T = 1_700_000_000_000_000_000
NOTES: list[Record] = [
    Note(T + 1, 0, "suspended", text="3.0"), Note(T + 2, 4, "upstream_failed", text="dns"),
    Note(T + 3, 4, "refused", text="10.0.0.9 is not in allow_from"), Gap(T + 1500, 0, 10, 19, 8, 0, "no room"),
    Note(T + 1700, 0, "worker_lost", text="worker 0, 2 links"),
]


def _log(path: Path, after_ns: int = 0) -> list[LogLine]:
    reader = FileReader(path)
    try:
        return reader.log(after_ns)
    finally:
        reader.close()


def test_notes_about_the_proxy_gaps_refused_dials_and_runs(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", NOTES)
    fill(tmp_path / "a.duckdb", [Note(T + 9000, 0, "suspended", text="9.0")])
    lines = _log(tmp_path / "a.duckdb")
    of_runs = [line for line in lines if line.text.startswith("run ")]
    assert [line.text.split(",")[0] for line in of_runs] == ["run 1 begins", "run 2 begins"]
    assert [(line.time_ns - T, line.level, line.process, line.text) for line in lines if line not in of_runs] == [
        (1, "info", "relay", "suspended: 3.0"),
        (3, "warning", "relay", "refused: 10.0.0.9 is not in allow_from"),
        (1500, "error", "recorder", "gap in the capture: records 10 to 19 of worker 0, 8 frames: no room"),
        (1700, "error", "relay", "worker lost: worker 0, 2 links"),
        (9000, "info", "relay", "suspended: 9.0"),
    ]
    assert lines == sorted(lines, key=lambda line: line.time_ns)


@pytest.mark.parametrize(("after", "count"), [(0, 4), (1, 3), (3, 2), (1499, 2), (1500, 1), (1699, 1), (1700, 0)])
def test_only_what_came_later(tmp_path: Path, after: int, count: int) -> None:
    fill(tmp_path / "a.duckdb", NOTES)
    assert sum(not line.text.startswith("run ") for line in _log(tmp_path / "a.duckdb", T + after)) == count


def test_it_is_bounded_to_the_newest(tmp_path: Path) -> None:
    most = log.LINES
    fill(tmp_path / "a.duckdb", [Note(T + n, n + 1, "refused", text=str(n)) for n in range(most + 50)])
    lines = [line for line in _log(tmp_path / "a.duckdb") if not line.text.startswith("run ")]
    assert [line.time_ns - T for line in lines] == list(range(50, most + 50))


def test_a_source_gives_the_same(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", NOTES)

    async def play() -> list[LogLine]:
        source = CaptureSource(tmp_path / "a.duckdb")
        try:
            return await source.log()
        finally:
            await source.close()

    assert asyncio.run(play()) == _log(tmp_path / "a.duckdb")
