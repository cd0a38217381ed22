"""Losses and audits in a capture: as the live stream has them, in SQL, in the log, with their message, out and in again."""

import asyncio
from pathlib import Path

import pytest
from ocpp_proxy_captures import CaptureSource, TraceSource, export, open_source
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.fields import parse
from ocpp_proxy.fields.registry import kind_of
from ocpp_proxy.records import Audited, Lost, MessageSeen, Record, lines
from ocpp_proxy.wire.spool import AuditBody, Kind, LossBody
from tests.captures.capture_streams import fill
from tests.core.feeds import CSMS, STATION, Relay, wire_frame

EVIL = "\x1b]0;x\x07\n=1+1"


def ledger() -> list[Record]:
    relay = Relay()
    relay.tunnel(1)
    for number in range(3):
        loss = LossBody("bridge", "StatusNotification", f"m{number}", "$.customData", "dropped", "none")
        relay.body(Kind.LOSS, 1, STATION, loss)
        relay.data(1, STATION, wire_frame(b'[2,"m%d","StatusNotification",{}]' % number, mask=b"abcd"))
        relay.data(1, CSMS, wire_frame(b'[3,"m%d",{}]' % number))
    relay.body(Kind.LOSS, 1, STATION, LossBody("bridge", "StatusNotification", "m2", "$.status", "shortened", EVIL))
    relay.body(Kind.AUDIT, 1, STATION, AuditBody("anna", "inject", "Reset {}", "result"))
    relay.body(Kind.AUDIT, 0, STATION, AuditBody("bob", "reload", EVIL))
    relay.beat()
    return Pipeline(Settings(), Ids(), None).feed(relay.records)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("ledger") / "a.duckdb"
    fill(found, ledger(), step=7)
    return found


def told(path: Path) -> list[Record]:
    async def work() -> list[Record]:
        source = open_source(path)
        try:
            return [record async for batch in source.records() for record in batch if isinstance(record, Lost | Audited)]
        finally:
            await source.close()
    return asyncio.run(work())


def test_stored_lines_are_the_live_ones(path: Path) -> None:
    reader = FileReader(path)
    live = list(lines(ledger()))
    assert [line for batch in reader.lines(None) for line in batch] == live
    for text, count in (("kind == loss", 4), ("kind == audit", 2), ("kind == audit and identity == CP1", 1)):
        assert len([line for batch in reader.lines(parse(text)) for line in batch]) == count
    reader.close()


def test_the_views_and_the_queries(path: Path) -> None:
    reader = FileReader(path)
    assert reader.query("losses", {}).rows[0][:4] == ["bridge", "dropped", "StatusNotification", "$.customData"]
    assert [row[5] for row in reader.query("losses", {}).rows] == [3, 1]
    assert reader.query("losses", {"plugin": "other"}).rows == []
    audit = reader.query("audit", {}).rows
    assert [row[1:4] for row in audit] == [["bob", "reload", None], ["anna", "inject", "CP1"]]
    assert [row[1] for row in reader.query("audit", {"identity": "CP1"}).rows] == ["anna"]
    with reader.reading() as con:
        found = con.execute("SELECT message_id, msg_no, identity FROM losses ORDER BY no").fetchall()
    numbers = [(record.message.message_id, record.message.msg_no, record.message.mtype)
               for record in ledger() if isinstance(record, MessageSeen)]
    calls = {message_id: msg_no for message_id, msg_no, mtype in numbers if mtype == 2}
    answers = {message_id: msg_no for message_id, msg_no, mtype in numbers if mtype == 3}
    assert found == [(f"m{n}", calls[f"m{n}"], "CP1") for n in range(3)] + [("m2", answers["m2"], "CP1")]
    reader.close()


def test_a_loss_is_shown_with_its_exchange_and_is_no_row_beside_it(path: Path) -> None:
    reader = FileReader(path)
    numbers = reader.numbers("exchanges", None)
    kinds = [row.kind for row in reader.rows("exchanges", numbers)]
    assert kinds.count("exchange") == 3 and kinds.count("audit") == 2 and "loss" not in kinds
    shown = [[kind_of(line) for line in reader.row_lines("exchanges", number)]
             for number, kind in zip(numbers, kinds, strict=True) if kind == "exchange"]
    assert shown == [["loss", "message", "message"], ["loss", "message", "message"], ["loss", "message", "message", "loss"]]
    assert [row.kind for row in reader.rows("frames", reader.numbers("frames", parse("kind == loss")))] == ["loss"] * 4
    reader.close()


def test_what_people_did_stands_in_the_log(path: Path) -> None:
    reader = FileReader(path)
    found = [(line.process, line.text) for line in reader.log() if line.process == "audit"]
    reader.close()
    assert found == [("audit", "anna: inject Reset {}: result"), ("audit", f"bob: reload {EVIL}")]


@pytest.mark.parametrize("ending", [".jsonl", ".duckdb"])
def test_they_come_back_from_an_export(path: Path, tmp_path: Path, ending: str) -> None:
    assert _export(path, tmp_path / f"b{ending}") == 6
    assert told(tmp_path / f"b{ending}") == told(path)
    assert len(told(path)) == 6


def test_a_trace_of_nothing_else_is_a_trace_and_a_broken_entry_is_named(path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "b.jsonl"
    assert _export(path, trace, "kind == audit") == 0
    assert len(told(trace)) == 2
    one, two = trace.read_text().splitlines()
    trace.write_text("\n".join([one.replace('"who"', '"whom"'), two.replace('"time_ns":', '"time_ns":9999999999'), two]))
    assert told(trace) == told(path)[-1:]
    source = TraceSource(trace)
    assert source.bad == 2 and "b.jsonl:1: Object missing required field `who`" in source.problems[0]
    asyncio.run(source.close())


def test_as_text_they_are_one_harmless_line_each_and_redacted_they_are_left_out(path: Path, tmp_path: Path) -> None:
    assert _export(path, tmp_path / "b.txt") == 6
    found = [line for line in (tmp_path / "b.txt").read_text().splitlines() if " -- " in line]
    assert len(found) == 6
    assert found[0].endswith("-- loss, link 1: bridge dropped $.customData StatusNotification m0: none")
    assert found[-2].endswith("-- audit, link 1: anna inject Reset {}: result")
    assert not any("\x1b" in line or "\x07" in line for line in found)
    for ending in (".txt", ".jsonl"):
        assert _export(path, tmp_path / f"c{ending}", redact=True) == 6
        text = (tmp_path / f"c{ending}").read_text()
        assert "anna" not in text and "customData" not in text


def _export(path: Path, target: Path, where: str = "", redact: bool = False) -> int:
    async def work() -> int:
        source = CaptureSource(path)
        try:
            return await export(source, target, parse(where), redact)
        finally:
            await source.close()
    return asyncio.run(work())
