"""Every canned query answers within a second on a million messages."""

import time
from pathlib import Path

import pytest
from ocpp_proxy_captures.canned import queries
from ocpp_proxy_captures.reader import FileReader, Reader

from tests.captures import replicated

DAYS = 10
TRIES = 3
LIMIT_S = 1.0


def quickest(reader: Reader, name: str) -> float:
    """Seconds of a query: of the first run that was quick enough, else of the quickest.

    CPU time of all threads counts where it is less than the time that passed: the query waits for nothing but a core, so the
    difference is what other programs took.
    """
    best = float("inf")
    for _ in range(TRIES):
        begin, cpu = time.perf_counter(), time.process_time()
        reader.query(name, {})
        best = min(best, time.perf_counter() - begin, time.process_time() - cpu)
        if best < LIMIT_S:
            break
    return best


@pytest.mark.timeout(300)
def test_every_query_on_a_million_messages(tmp_path: Path) -> None:
    path = tmp_path / "million.duckdb"
    messages = replicated.build(path, DAYS)
    reader = FileReader(path)
    try:
        took = {query.name: quickest(reader, query.name) for query in queries()}
        chargers = reader.query("overview", {"rows": "100000"}).rows
        outcomes = [row[4] for row in reader.query("actions", {}).rows]
        sessions = [row[1] for row in reader.query("local_day_kwh", {}).rows]
    finally:
        reader.close()
    print("\n".join(f"{seconds * 1000:5.0f} ms  {name}" for name, seconds in took.items()))
    assert messages >= 1_000_000 and sum(row[2] for row in chargers) == messages
    assert len(chargers) == DAYS * replicated.STATIONS
    assert [calls % DAYS for calls in outcomes] == [0] * len(outcomes) and sum(outcomes) > messages / 2.01
    assert len(sessions) == DAYS and len(set(sessions)) == 1
    assert len(took) == 22 and {name: seconds for name, seconds in took.items() if seconds >= LIMIT_S} == {}
