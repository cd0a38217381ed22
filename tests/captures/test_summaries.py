"""What a capture says in sum is what the same stream says without one, and folder and file say the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import pytest
from msgspec import structs
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.overview import Overview
from ocpp_proxy.records import Beat, FrameSeen, Gap, Handshake, LinkOpened, Record, Source
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, Sample
from tests.captures.capture_streams import fill
from tests.conversations.player import Stage, parse
from tests.conversations.test_codes import FILES, OTHERS
from tests.core.streams import SECOND, random_stream

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
    assert len({group.code for group in cast(list[FindingGroup], found["groups "])}) > 60
