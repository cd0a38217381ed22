"""A capture judged again gives the findings it holds: the stored stream makes the same pipeline say the same."""

import asyncio
from pathlib import Path

from ocpp_proxy_captures import CaptureSource
from ocpp_proxy_captures.importers.trace import TraceReader

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.assemble import Ids
from ocpp_proxy.records import Derived, ExchangeDone, Found, MessageSeen, Record, TransactionChanged
from tests.captures.capture_streams import fill, stream

LINES = (
    ("station", '[2,"1","BootNotification",{"chargePointVendor":"","chargePointModel":"X1"}]'),
    ("csms", '[3,"1",{"status":"Accepted","currentTime":"2026-11-22T10:00:00Z","interval":300}]'),
    ("station", '[2,"1","StatusNotification",{"connectorId":1,"errorCode":"Error","status":"available"}]'),
    ("csms", '[3,"1",{}]'), ("station", '[2,"4","StopTransaction",{"transactionId":-1,"meterStop":4000}]'),
    ("csms", '[4,"4","FormatViolation","",{}]'), ("csms", '[3,"5",{"configurationKey":]}]'), ("station", "not json"),
)


def judged(source: list[Record]) -> list[Record]:
    analyser = Analyser(Settings(), Ids(), None)
    out: list[Record] = []
    for record in source:
        if not isinstance(record, Derived):
            analyser.feed(record, out)
    return out


def again(path: Path) -> list[Record]:
    async def work() -> list[Record]:
        source = CaptureSource(path)
        try:
            return [record for batch in [batch async for batch in source.records()] for record in batch]
        finally:
            await source.close()
    return judged(asyncio.run(work()))


def _kept(records: list[Record]) -> list[Record]:
    return [record for record in records if isinstance(record, Found | MessageSeen | ExchangeDone | TransactionChanged)]


def test_findings_are_equal_from_a_file_and_from_a_folder(tmp_path: Path) -> None:
    rows = [f'{{"ts":"2026-11-22T10:00:{number:02d}Z","identity":"CP","sender":"{sender}","raw":{raw}}}'
            for number, (sender, raw) in enumerate((sender, _quoted(raw)) for sender, raw in LINES)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    live = judged(list(TraceReader(tmp_path / "a.jsonl").records()))
    fill(tmp_path / "a.duckdb", live, 3)
    fill(tmp_path / "many", live, 3, CaptureConfig(rotate_messages=2))
    assert sum(isinstance(record, Found) for record in live) >= 5
    assert _kept(again(tmp_path / "a.duckdb")) == _kept(live) == _kept(again(tmp_path / "many"))


def test_a_synthetic_day_is_judged_the_same_again(tmp_path: Path) -> None:
    live = judged(stream(1200))
    fill(tmp_path / "a.duckdb", live, 777)
    assert _kept(again(tmp_path / "a.duckdb")) == _kept(live)


def _quoted(raw: str) -> str:
    return '"' + raw.replace("\\", "\\\\").replace('"', '\\"') + '"'
