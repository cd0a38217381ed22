"""What a capture says in sum is what the same stream says without one; folder, file, trace and open store say the same."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import pytest
from msgspec import structs
from ocpp_proxy_captures import CaptureSource, TraceSource
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.checks import Settings
from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.overview import Overview
from ocpp_proxy.records import Beat, FrameSeen, Gap, Handshake, LinkOpened, Record, Source
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, Sample
from tests.captures.capture_streams import fill, small_store
from tests.captures.synthetic import batches
from tests.conversations.player import Stage, parse
from tests.conversations.test_codes import FILES, OTHERS
from tests.core.streams import SECOND, Feed, random_stream

DEMO = Path(__file__).parents[2] / "captures/samples/demo.duckdb"


class Sums(Protocol):
    """A capture's reader, or an overview."""

    def chargers(self) -> list[Charger]: ...
    def finding_groups(self, identity: str = "") -> list[FindingGroup]: ...
    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]: ...
    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]: ...
    def curve(self, charging: Charging) -> list[Sample]: ...


def answers(sums: Sums, limit: int = 1000) -> dict[str, object]:
    """All that can be asked, for all chargers, for each, and for each rule."""
    chargers = sums.chargers()
    found: dict[str, object] = {one.identity: rounded(one) for one in chargers}
    for name in ("", *(one.identity for one in chargers)):
        found[f"groups {name}"] = sums.finding_groups(name)
        found[f"findings {name}"] = [one.finding for one in sums.findings("", name, limit)]
        found[f"transactions {name}"] = [charge(one) for one in sums.transactions(name)]
    for group in sums.finding_groups():
        found[f"findings {group.code}"] = [one.finding for one in sums.findings(group.code, limit=limit)]
    for number, one in enumerate(sums.transactions()):
        found[f"curve {number}"] = sums.curve(one)
    return found


def rounded(one: Charger) -> Charger:
    return structs.replace(one, p95_ms=None if one.p95_ms is None else round(one.p95_ms, 6), rate=round(one.rate, 6))


def charge(one: Charging) -> Charging:
    return structs.replace(one, kwh=None if one.kwh is None else round(one.kwh, 6))


def judged(source: list[Source]) -> list[Record]:
    """The stream with what follows from it; at its end all Calls have had their time."""
    analyser, out = Analyser(Settings(), Ids(), None), list[Record]()
    last = max((record.frame.time_ns for record in source if isinstance(record, FrameSeen)), default=0)
    for record in [*source, Beat(last + 60 * SECOND)]:
        analyser.feed(record, out)
    return out


def same(folder: Path, records: list[Record]) -> dict[str, object]:
    """The answers of a capture of these records, after it was seen that without one they are the same."""
    fill(folder / "a.duckdb", records)
    reader, seen = FileReader(folder / "a.duckdb"), Overview()
    try:
        for start in range(0, len(records), 7):
            seen.feed(records[start : start + 7])
        stored, live = answers(reader), answers(seen)
    finally:
        reader.close()
    assert seen.forgotten == 0
    assert {name: (value, live.get(name)) for name, value in stored.items() if value != live.get(name)} == {}
    assert stored.keys() == live.keys()
    return stored


def test_the_demo(tmp_path: Path) -> None:
    reader = FileReader(DEMO)
    source = [cast(Source, record) for batch in reader.records() for record in batch]
    reader.close()
    found = same(tmp_path, judged(source))
    assert len([name for name in found if name.startswith("curve")]) > 10


@pytest.mark.parametrize("seed", range(12))
def test_random_streams(tmp_path: Path, seed: int) -> None:
    same(tmp_path, judged(random_stream(seed, 400)))


def conversations() -> Iterator[Source]:
    """All conversations behind each other, an hour apart, with links and frames of their own."""
    number = 0
    for file in (*FILES, *OTHERS):
        script = parse(file.read_text())
        for part in script.parts:
            number += 1
            stage = Stage(script.header)
            for line in part.lines:
                if line.strip() and line[0] not in "#!":
                    yield from (moved(record, number) for record in stage.records(line))


def moved(record: Source, number: int) -> Source:
    hours, link, frame = number * 3600 * SECOND, number * 100, number * 10_000
    match record:
        case LinkOpened(one):
            return LinkOpened(structs.replace(one, link_id=one.link_id + link, opened_ns=one.opened_ns + hours))
        case Handshake(link=one):
            one = structs.replace(one, link_id=one.link_id + link, opened_ns=one.opened_ns + hours)
            return structs.replace(record, link=one, time_ns=record.time_ns + hours)
        case FrameSeen(one):
            one = structs.replace(one, frame_id=one.frame_id + frame, link_id=one.link_id + link, seq=one.seq + frame,
                                  time_ns=one.time_ns + hours)
            return FrameSeen(one)
        case Beat(time_ns):
            return Beat(time_ns + hours)
        case Gap():
            return structs.replace(record, time_ns=record.time_ns + hours)
        case _:
            return structs.replace(record, time_ns=record.time_ns + hours, link_id=record.link_id + link)


def test_every_conversation(tmp_path: Path) -> None:
    found = same(tmp_path, judged(list(conversations())))
    assert len([name for name in found if name.startswith("curve")]) >= 15
    assert len({group.code for group in cast(list[FindingGroup], found["groups "])}) > 50


def synthetic_stream() -> list[Record]:
    """A quarter of a day of a few stations, each Call of them with its end, as the analyser has it."""
    return [record for batch in batches(5_000, stations=6) for record in batch]


def asked(sums: Sums) -> list[object]:
    """Everything once, with the numbers of the lines of findings."""
    charges = sums.transactions()
    return [sums.chargers(), sums.finding_groups(), sums.findings(), charges, [sums.curve(one) for one in charges[::5]]]


def test_a_folder_of_segments_says_what_one_file_says(tmp_path: Path) -> None:
    records = synthetic_stream()
    fill(tmp_path / "a.duckdb", records)
    fill(tmp_path / "folder", records, settings=CaptureConfig(rotate_messages=1_000))
    assert len(list((tmp_path / "folder").glob("*.duckdb"))) > 3
    readers = FileReader(tmp_path / "a.duckdb"), FileReader(tmp_path / "folder")
    one, many = map(asked, readers)
    for reader in readers:
        reader.close()
    assert one == many and all(one)


def test_a_store_that_is_written_to_answers_too(tmp_path: Path) -> None:
    store = small_store(tmp_path / "a.duckdb")
    assert asked(store) == [[], [], [], [], []]
    store.commit(synthetic_stream(), [], {})
    live = asked(store)
    store.close()
    reader = FileReader(tmp_path / "a.duckdb")
    assert live == asked(reader)
    reader.close()


def test_transactions_agree_with_the_view(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", synthetic_stream())
    reader = FileReader(tmp_path / "a.duckdb")
    charges = {(one.identity, one.tx_id): one for one in reader.transactions() if one.stopped_ns}
    with reader.reading() as con:
        rows = con.execute("""SELECT identity, tx_id, epoch_us(started_at) * 1000, epoch_us(stopped_at) * 1000, kwh, missing_seq
                              FROM transactions WHERE stopped_at IS NOT NULL AND started_at IS NOT NULL""").fetchall()
    reader.close()
    assert len(rows) > 20
    for identity, tx_id, started, stopped, kwh, missing in rows:
        one = charges[identity, tx_id]
        assert (one.started_ns, one.stopped_ns, one.kwh, one.missing) == (started, stopped, kwh, missing)


def test_one_charger_one_rule_and_limits(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", synthetic_stream())
    reader = FileReader(tmp_path / "a.duckdb")
    charges, found = reader.transactions(), reader.findings()
    name = charges[0].identity
    assert reader.transactions(name) == [one for one in charges if one.identity == name] != charges
    assert reader.transactions(limit=3) == charges[:3] and reader.findings(limit=3) == found[:3]
    assert [one.started_ns for one in charges] == sorted((one.started_ns for one in charges), reverse=True)
    code = found[0].finding.code
    assert reader.findings(code) == [one for one in found if one.finding.code == code]
    who = found[0].finding.identity
    assert reader.findings("", who) == [one for one in found if one.finding.identity == who]
    (group,) = [one for one in reader.finding_groups(who) if one.code == code]
    assert group.count == sum(one.finding.count for one in reader.findings(code, who)) and group.chargers == (who,)
    lines = [line for batch in reader.lines(None) for line in batch]
    shown = {one.finding.finding_id: one.number for one in found}
    with reader.reading() as con:
        numbers = [no for (no,) in con.execute("SELECT no FROM lines ORDER BY no").fetchall()]
    reader.close()
    at = {finding.finding_id: no for no, line in zip(numbers, lines, strict=True) for finding in line.findings}
    assert shown == {number: at[number] for number in shown} and shown


def test_values_set_apart_are_read(tmp_path: Path) -> None:
    """A StopTransaction with so many meter values that the capture keeps its payload in pieces."""
    feed = Feed()
    feed.begin()
    feed.station('[2,"a","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":0,"timestamp":"2026-01-02T03:04:00Z"}]')
    feed.csms('[3,"a",{"transactionId":9,"idTagInfo":{"status":"Accepted"}}]')
    entries = ",".join(f'{{"timestamp":"2026-01-02T{3 + at // 60:02d}:{at % 60:02d}:00Z","sampledValue":[{{"value":"{at}"}}]}}'
                       for at in range(5, 605))
    feed.station('[2,"b","StopTransaction",{"transactionId":9,"meterStop":700,"timestamp":"2026-01-02T14:00:00Z",'
                 f'"transactionData":[{entries}]}}]')
    found = same(tmp_path, judged(feed.records))
    assert len(cast(list[Sample], found["curve 0"])) == 602
    with open(tmp_path / "a.duckdb", "rb") as file:
        assert file.read(1)


def test_sources_answer_like_their_reader(tmp_path: Path) -> None:
    trace = tmp_path / "a.jsonl"
    trace.write_text("".join(
        f'{{"ts": "2026-01-02T03:04:0{at}Z", "identity": "CP9", "sender": "{who}", "raw": {json.dumps(raw)}}}\n'
        for at, (who, raw) in enumerate((
            ("station", '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'),
            ("csms", '[3,"1",{"currentTime":"2026-01-02T03:04:00Z","interval":300,"status":"Accepted"}]'),
            ("station", '[2,"1","Heartbeat",{}]'), ("station", '[2,"2","NoSuch",{}]')))))

    async def all_of(source: CaptureSource | TraceSource) -> list[object]:
        charges = await source.transactions()
        curves = [await source.curve(one) for one in charges[::5]]
        try:
            return [await source.chargers(), await source.finding_groups(), await source.findings(), charges, curves]
        finally:
            await source.close()

    demo = FileReader(DEMO)
    assert asyncio.run(all_of(CaptureSource(DEMO))) == asked(demo)
    demo.close()
    chargers, groups, findings, *_ = asyncio.run(all_of(TraceSource(trace)))
    (charger,) = cast(list[Charger], chargers)
    assert (charger.identity, charger.state, charger.vendor, charger.messages) == ("CP9", "open", "V", 4)
    assert "R05" in {group.code for group in cast(list[FindingGroup], groups)}
    assert all(one.number for one in cast(list[FoundAt], findings))
