"""Every canned query on a million messages. Slow to build, so only where OCPP_PROXY_MILLION is set (CI, bench)."""

import os
import time
from pathlib import Path

import pytest
from ocpp_proxy_captures.canned import queries
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.writer import open_store

from tests.captures import synthetic


@pytest.mark.timeout(600)
def test_every_query_on_a_million_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not os.environ.get("OCPP_PROXY_MILLION"):
        pytest.skip("set OCPP_PROXY_MILLION=1 to build a million messages")
    path = tmp_path / "million.duckdb"
    store = open_store(path, Position)
    for batch in synthetic.batches(1_000_000, stations=700):
        store.commit(batch, [], {})
    store.close()
    reader = FileReader(path)
    took: dict[str, float] = {}
    for query in queries():
        begin = time.perf_counter()
        reader.query(query.name, {})
        took[query.name] = time.perf_counter() - begin
    messages = reader.query("overview", {"rows": "100000"})
    reader.close()
    total = sum(row[2] for row in messages.rows)
    with capsys.disabled():
        print(f"\n{total} messages, {path.stat().st_size / total:.1f} bytes each")
        print("\n".join(f"{seconds * 1000:7.0f} ms  {name}" for name, seconds in took.items()))
    assert total >= 1_000_000
    assert {name: seconds for name, seconds in took.items() if seconds >= 1.0} == {}
