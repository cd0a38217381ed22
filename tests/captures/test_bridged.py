"""A bridged link in a capture: versions of both legs, pairs of frames, one transaction, losses; live, in SQL, handed on."""

import asyncio
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from ocpp_proxy_captures import CaptureSource, TraceSource, export
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_tui.ring import Ring

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.overview import Overview
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.fields import parse
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.records import ExchangeDone, Record, TransactionChanged, lines
from ocpp_proxy.source import View
from tests.captures.capture_streams import everything, fill
from tests.captures.row_oracle import opened
from tests.core.bridged import BOOT, Bridged, other_way, session
from tests.core.feeds import CSMS, STATION


def live() -> list[Record]:
    return Pipeline(Settings(), Ids(), None).feed(session())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bridged") / "a.duckdb"
    fill(found, live(), step=7)
    return found


def asked(path: Path, sql: str) -> list[tuple[object, ...]]:
    reader = FileReader(path)
    try:
        with reader.reading() as con:
            return [tuple(row) for row in con.execute(sql).fetchall()]
    finally:
        reader.close()


def table(path: Path, name: str, **parameters: str) -> list[dict[str, object]]:
    reader = FileReader(path)
    try:
        found = reader.query(name, parameters)
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    finally:
        reader.close()


def test_the_link_and_its_messages_have_the_version_of_each_leg(path: Path) -> None:
    assert asked(path, "SELECT protocol, csms_protocol FROM links") == [("ocpp1.6", "ocpp2.0.1")]
    assert asked(path, "SELECT protocol, count(*) FROM messages GROUP BY ALL ORDER BY ALL") == [
        ("ocpp1.6", 8), ("ocpp2.0.1", 8)]
    assert asked(path, "SELECT protocol, outcome, count(*) FROM exchanges GROUP BY ALL ORDER BY ALL") == [
        ("ocpp1.6", "ok", 4), ("ocpp2.0.1", "ok", 4)]


def test_what_is_stored_is_what_was_live_and_judged_again_it_is_the_same(path: Path) -> None:
    out = live()
    kept = [record for record in out if not isinstance(record, ExchangeDone | TransactionChanged)]
    assert everything(path) == kept[:-1]                    # without the beat
    again, analyser = list[Record](), Analyser(Settings(), Ids(), None)
    reader = FileReader(path)
    for batch in reader.records():
        for record in batch:
            analyser.feed(record, again)    # type: ignore[arg-type]  # no derived ones are in it
    reader.close()
    assert again == out


def test_a_transaction_and_its_meter_values_are_those_of_the_stations_leg(path: Path) -> None:
    assert asked(path, "SELECT tx_id, gen, kwh FROM transactions") == [("17", "1.6", 1.0)]
    assert asked(path, "SELECT count(*) FROM meter_values") == [(0,)]
    overview = Overview()
    overview.feed(live())
    source = CaptureSource(path)
    stored = asyncio.run(source.transactions())
    assert [(one.tx_id, one.protocol, one.kwh, one.missing) for one in stored] == [("17", "ocpp1.6", 1.0, None)]
    assert overview.transactions() == stored and overview.chargers() == asyncio.run(source.chargers())
    asyncio.run(source.close())


def test_translations_are_told_in_pairs_with_actions_versions_and_latencies(path: Path) -> None:
    found = table(path, "translations")
    assert [(one["side"], one["action"], one["version"], one["made_action"], one["made_version"]) for one in found] == [
        ("station", "BootNotification", "ocpp1.6", "BootNotification", "ocpp2.0.1"),
        ("csms", "RequestStartTransaction", "ocpp2.0.1", "RemoteStartTransaction", "ocpp1.6"),
        ("station", "StartTransaction", "ocpp1.6", "TransactionEvent", "ocpp2.0.1"),
        ("station", "StopTransaction", "ocpp1.6", "TransactionEvent", "ocpp2.0.1"),
    ]
    for one in found:
        frame, made, answer, made_answer = (int(str(one[name])) for name in (
            "frame", "made_frame", "answer_frame", "made_answer_frame"))
        assert (made, answer, made_answer) == (frame + 1, frame + 2, frame + 3)
        assert (one["latency_ms"], one["made_latency_ms"], one["outcome"], one["made_outcome"]) == (6.0, 2.0, "ok", "ok")


def test_losses_are_counted_and_told_one_by_one_with_their_frame(path: Path) -> None:
    assert [(one["action"], one["path"], one["what"], one["reason"], one["times"]) for one in table(path, "losses")] == [
        ("StartTransaction", "$.reservationId", "dropped", "2.0.1 names none there", 1),
        ("StartTransaction", "$.triggerReason", "invented", "1.6 does not say why", 1),
    ]
    (frame,) = asked(path, "SELECT frame_id FROM messages WHERE action = 'StartTransaction' AND mtype = 2")
    assert {one["frame"] for one in table(path, "lost_fields", action="StartTransaction")} == set(frame)


def test_filters_know_the_version_of_each_message_and_the_verdict(path: Path) -> None:
    reader = FileReader(path)
    shown = {"version == ocpp2.0.1": 8, "protocol == ocpp1.6 and kind == message": 8, "verdict == translated": 8,
             "verdict in [translated, replaced]": 16, "verdict != translated": 8, "not verdict == replaced": 14}
    for text, count in shown.items():
        assert len([line for batch in reader.lines(parse(text)) for line in batch]) == count, text
    assert [line for batch in reader.lines(None) for line in batch] == list(lines(live()))
    reader.close()


@pytest.mark.parametrize("ending", [".jsonl", ".duckdb"])
def test_both_versions_pairs_and_losses_go_out_and_come_in_again(path: Path, tmp_path: Path, ending: str) -> None:
    async def body() -> None:
        source = CaptureSource(path)
        target = tmp_path / f"part{ending}"
        assert await export(source, target, None, False) == 16
        again = TraceSource(target) if ending == ".jsonl" else CaptureSource(target)
        for name in ("translations", "losses"):
            before, after = await source.query(name, {}), await again.query(name, {})
            hidden = [at for at, column in enumerate(before.columns) if "frame" in column or column in ("ts", "last_message")]
            assert [[value for at, value in enumerate(row) if at not in hidden] for row in after.rows] == [
                [value for at, value in enumerate(row) if at not in hidden] for row in before.rows]
        assert [(link.protocol, link.csms_protocol) for link in await again.links()] == [("ocpp1.6", "ocpp2.0.1")]
        assert await again.transactions() == await source.transactions()
        said = "SELECT mtype, action, protocol FROM messages ORDER BY no"
        assert (await again.query(said, {})).rows == (await source.query(said, {})).rows
        assert (await again.query("SELECT count(*) FROM findings", {})).rows == [[0]]
        assert (await again.query("SELECT count(*) FROM frames f WHERE len(cause) = 1", {})).rows == [[8]]
        await again.close()
        await source.close()
    asyncio.run(body())


@pytest.mark.parametrize("told", [
    '{"protocols": ["ocpp1.6"], "verdict": 3, "cause": "x"}', '{"protocols": "ocpp1.6", "verdict": "eaten", "cause": [7]}',
    '{"protocols": [[], "ocpp1.6"], "verdict": "translated", "cause": [[], {}, 99]}',
    '{"frame": true, "verdict": [], "cause": {}}',
])
def test_what_a_foreign_trace_says_there_breaks_nothing(tmp_path: Path, told: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"timestamp": "2026-01-02T03:04:05Z", "direction": "cp-to-csms", "chargePointId": "CP1",'
                    '"ocppVersion": "1.6",'
                    f'"raw": "[2,\\"a\\",\\"Heartbeat\\",{{}}]", "meta": {{"ocppProxy": {told}}}}}\n')
    source = TraceSource(file)
    assert [(link.protocol, link.csms_protocol) for link in asyncio.run(source.links())] == [("ocpp1.6", "")]
    assert source.bad == 0
    asyncio.run(source.close())


def test_as_text_translations_are_indented_and_versions_told(path: Path, tmp_path: Path) -> None:
    async def body() -> None:
        source = CaptureSource(path)
        await export(source, tmp_path / "a.txt", parse("kind == message"), False)
        await source.close()
    asyncio.run(body())
    told = (tmp_path / "a.txt").read_text().splitlines()
    assert [(line.startswith("    "), line.split()[4]) for line in told[8:12]] == [
        (False, "ocpp1.6"), (True, "ocpp2.0.1"), (False, "ocpp2.0.1"), (True, "ocpp1.6")]


def wrong() -> list[Record]:
    """A translation with faults, one with an answer with faults, one that nobody answers; and a bridge's own Call."""
    relay = Bridged()
    relay.begin()
    relay.call(STATION, "b", ("BootNotification", "BootNotification"), BOOT)
    relay.call(STATION, "c", ("BootNotification", "BootNotification"), (BOOT[0], BOOT[0], *BOOT[2:]))
    relay.call(STATION, "d", ("BootNotification", "BootNotification"), (*BOOT[:2], b'{"status":"Fine"}', BOOT[3]))
    at = relay.take(STATION, b'[2,"e","BootNotification",' + BOOT[0] + b"]", "translated")
    relay.make(STATION, b'[2,"own","BootNotification",' + BOOT[1] + b"]", at)
    relay.now += 60_000_000_000
    relay.make(CSMS, b'[2,"x","Reset",{"type":"Soft"}]')
    relay.beat()
    return Pipeline(Settings(), Ids(), None).feed(relay.records)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_exchange_that_was_translated_is_one_row_unless_something_is_wrong_with_its_translation(
    tmp_path: Path, step: int,
) -> None:
    fill(tmp_path / "a.duckdb", wrong(), step=step)
    reader, oracle = opened(tmp_path / "a.duckdb")
    rows = reader.rows("exchanges", reader.numbers("exchanges", None))
    assert rows == list(oracle.rows["exchanges"].values())
    ring = Ring("exchanges", 1000, {}, True)
    for line in lines(wrong()):
        ring.add(line)
    live = [(row.kind, row.action, row.message_id, row.verdicts, row.codes, row.outcome, row.made)
            for _, row in ring.rows(0, ring.end)]
    assert live == [(row.kind, row.action, row.message_id, row.verdicts, row.codes, row.outcome, row.made) for row in rows]
    assert [one[2] for one in live if one[0] == "exchange"] == ["b", "c", "own-2", "d", "e", "x"]
    assert live[1][3] == ("replaced", "translated")
    for text in ("verdict == translated", "verdict != translated", "not verdict == translated", "verdict contains lace",
                 "verdict in [translated]", "severity >= warning", "protocol == ocpp2.0.1", "Reset",
                 "action == BootNotification", "action != Reset"):
        for view in get_args(View):
            assert reader.numbers(view, parse(text)).tolist() == oracle.numbers(view, text), (view, text)
    reader.close()


@pytest.mark.parametrize(("text", "shown"), [
    ("action == TransactionEvent", ["a", "s"]), ("action == StartTransaction", ["a"]), ("action contains eVent", ["a", "s"]),
    ("action != TransactionEvent", ["b", "r"]), ("not action == TransactionEvent", ["b", "r"]), ('action ~ "^Remote"', ["r"]),
    ("action in [TransactionEvent, RemoteStartTransaction]", ["r", "a", "s"]), ("action == RequestStartTransaction", ["r"]),
    ("action == BootNotification", ["b"]), ("remotestart", ["r"]),
    ("action == TransactionEvent and action != StopTransaction", ["a"]),
])
@pytest.mark.parametrize("step", [1, 1000])
def test_an_exchange_is_found_by_the_action_it_was_translated_into(
    tmp_path: Path, text: str, shown: list[str], step: int,
) -> None:
    fill(tmp_path / "a.duckdb", live(), step=step)
    reader, oracle = opened(tmp_path / "a.duckdb")
    numbers = reader.numbers("exchanges", parse(f"kind == message ({text})"))
    rows = reader.rows("exchanges", numbers)
    assert [row.message_id for row in rows] == shown
    assert rows == [oracle.rows["exchanges"][number] for number in numbers]
    assert {row.action: row.made for row in reader.rows("exchanges", reader.numbers("exchanges", None)) if row.made} == {
        "RequestStartTransaction": ("RemoteStartTransaction",), "StartTransaction": ("TransactionEvent",),
        "StopTransaction": ("TransactionEvent",)}
    reader.close()
    ring, test = Ring("exchanges", 1000, {}, True), compile_rows(parse(text))
    for line in lines(live()):
        ring.add(line)
    passing = [row.message_id for at, row in ring.rows(0, ring.end) if row.msg_no and test(row, partial(ring.lines, at))]
    assert passing == shown


def test_a_message_of_the_other_leg_is_shown_by_the_row_of_what_it_was_made_from(path: Path) -> None:
    reader = FileReader(path)
    for frame_id, action in asked(path, """
            SELECT f.frame_id, o.action FROM frames f JOIN messages o ON o.frame_id = f.cause[1]
            WHERE f.verdict = 'translated' AND o.mtype = 2"""):
        for number in (int(str(frame_id)), int(str(frame_id)) + 1):
            (row,) = reader.rows("exchanges", [reader.number_of("exchanges", frame_id=number)])
            assert (row.action, row.verdicts) == (action, ("replaced", "translated"))
        (row,) = reader.rows("frames", [reader.number_of("frames", frame_id=int(str(frame_id)))])
        assert row.verdicts == ("translated",)
    assert len(reader.numbers("exchanges", parse("kind == message"))) == 4
    reader.close()


def test_the_other_way_round_meter_values_are_counted_once(tmp_path: Path) -> None:
    out = Pipeline(Settings(), Ids(), None).feed(other_way())
    fill(tmp_path / "a.duckdb", out, step=7)
    assert asked(tmp_path / "a.duckdb", "SELECT tx_id, gen, kwh FROM transactions") == [("uid-1", "2.x", 1.0)]
    assert asked(tmp_path / "a.duckdb", "SELECT protocol, value FROM meter_values ORDER BY value") == [
        ("ocpp2.0.1", 100.0), ("ocpp2.0.1", 1100.0)]
    overview = Overview()
    overview.feed(out)
    source = CaptureSource(tmp_path / "a.duckdb")
    assert overview.transactions() == asyncio.run(source.transactions()) and len(overview.transactions()) == 1
    asyncio.run(source.close())
