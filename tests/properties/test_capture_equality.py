"""The real store: killed between any two commits its rows are those of one run; ``check`` finds offline what was found live."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from ocpp_proxy_captures import CaptureSource
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.checks import Settings
from ocpp_proxy.checks.settings import RULE_SET
from ocpp_proxy.cli import settings as cli_settings
from ocpp_proxy.cli.judging import judged
from ocpp_proxy.cli.recorder import open_store
from ocpp_proxy.config import CaptureConfig, Config
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.ruling import KIND as RULES
from ocpp_proxy.records import Note, lines
from ocpp_proxy.wire.spool import Kind, NoteBody, SpoolRecord, encode_body
from tests.core.feeds import wire_frame
from tests.core.streams import SECOND, findings, play
from tests.properties.recording import KEY, Recording, record, rows, source_records, stored_findings, told
from tests.properties.traffic import Traffic, mixed

SEEDS = pytest.mark.parametrize("seed", range(3))
MASKER = Masker(KEY)


def checked(path: Path, **flags: Any) -> list[tuple[Any, ...]]:
    """What ``check`` finds; ``flags`` are settings of the user."""
    merged = cli_settings.load(None, {}, {key.replace("__", "."): value for key, value in flags.items()})

    async def run() -> list[tuple[Any, ...]]:
        source = CaptureSource(path)
        found = await judged(source, merged)
        await source.close()
        return [told(finding) for finding in found]

    return asyncio.run(run())


def meta(seconds: float = 30.0, rules: dict[str, str] | None = None, version: str = RULE_SET) -> dict[str, str]:
    """What the recorder writes about the rules."""
    return {"rules_version": version, "rules_settings": json.dumps({"call_seconds": seconds, "rules": rules or {}})}


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_between_any_two_commits(tmp_path: Path, seed: int) -> None:
    spool = mixed(seed, 120)
    masker = MASKER if seed % 2 else None
    commits = range(17, len(spool), 31)
    assert len(commits) >= 8
    whole = record(tmp_path / "whole.duckdb", spool, 1000, masker)
    killed = Recording(tmp_path / "killed.duckdb", masker)
    killed.write(spool, commits, kill=True)
    assert rows(killed.close()) == rows(whole)


@SEEDS
def test_check_finds_offline_what_was_found_live(tmp_path: Path, seed: int) -> None:
    path = record(tmp_path / "a.duckdb", mixed(seed, 400), meta=meta())
    live = stored_findings(path)
    assert len(live) >= 30
    assert checked(path) == live


def test_the_last_beat_lets_fall_due_what_was_due_live(tmp_path: Path) -> None:
    traffic = Traffic(5)
    traffic.tunnel(1)
    traffic.data(1, 0, wire_frame(b'[2,"1","Heartbeat",{}]'))
    traffic.now += 31 * SECOND
    traffic.beat()
    path = record(tmp_path / "a.duckdb", traffic.records)
    live = stored_findings(path)
    assert live[-1][0] == "R07"
    assert live[-1][5] == traffic.now - SECOND - 1_000_000      # when the time was over, not when that was seen
    assert checked(path) == live


def test_check_judges_with_the_settings_of_the_capture_unless_the_user_sets_others(tmp_path: Path) -> None:
    spool, rules = mixed(2, 200), {"R01": "off", "R07": "critical"}
    settings = Settings(call_seconds=2.0, severities=rules)
    path = record(tmp_path / "a.duckdb", spool, rules=settings, meta=meta(2.0, rules))
    live = stored_findings(path)
    codes = Counter(finding[0] for finding in live)
    assert not codes["R01"]
    assert codes["R07"] > 1
    assert checked(path) == live
    plain = stored_findings(record(tmp_path / "b.duckdb", spool, rules=Settings(call_seconds=30.0, severities=rules)))
    assert plain != live
    assert checked(path, call_seconds=30.0) == plain
    noted = stored_findings(record(
        tmp_path / "c.duckdb", spool, rules=Settings(call_seconds=2.0, severities={"R01": "hint", "R07": "critical"})))
    assert checked(path, rules__R01="hint") == noted


def test_the_recorder_writes_the_settings_that_check_reads(tmp_path: Path) -> None:
    capture = tmp_path / "a.duckdb"
    config = Config(capture=CaptureConfig(path=str(capture), keep_secrets=True), call_seconds=2.0, rules={"R01": "off"})
    store = open_store(config)
    assert store is not None
    store.close()
    recording = Recording(capture, rules=Settings(call_seconds=2.0, severities={"R01": "off"}))
    recording.write(mixed(2, 100), [])
    assert checked(recording.close()) == stored_findings(capture) != []


def test_another_rule_set_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path / "a.duckdb", mixed(0, 20), meta=meta(version="0"))
    checked(path)
    assert f"recorded with rule set 0, is judged with rule set {RULE_SET}" in capsys.readouterr().err
    same = record(tmp_path / "b.duckdb", mixed(0, 20), meta=meta())
    checked(same)
    assert capsys.readouterr().err == ""


def test_rule_settings_nobody_can_read_are_told_and_unknown_ones_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    spool = mixed(0, 40)
    plain = stored_findings(record(tmp_path / "a.duckdb", spool))
    odd = record(tmp_path / "b.duckdb", spool, meta={"rules_settings": "{"})
    assert checked(odd) == plain
    assert "rule settings cannot be read" in capsys.readouterr().err
    later = record(tmp_path / "c.duckdb", spool, meta=meta(rules={"Z99": "error", "R01": "purple"}))
    assert checked(later) == plain


@SEEDS
def test_with_masks_findings_are_neither_lost_nor_doubled(tmp_path: Path, seed: int) -> None:
    spool = mixed(seed, 300)
    path = record(tmp_path / "a.duckdb", spool, masker=MASKER, meta=meta())
    found, live = checked(path), stored_findings(path)
    assert Counter(map(repr, found)) == Counter(map(repr, live))
    blind = {repr(told(finding)) for finding in findings(play(source_records(path)))}
    assert not blind >= set(map(repr, live))                    # masks do hide some
    assert not blind <= set(map(repr, live))                    # and make others
    other = {"call_seconds": 2.0, "rules__V02": "off", "rules__T04": "hint"}
    settings = Settings(call_seconds=2.0, severities={"V02": "off", "T04": "hint"})
    truth = stored_findings(record(tmp_path / "b.duckdb", spool, masker=MASKER, rules=settings))
    assert Counter(map(repr, checked(path, **other))) == Counter(map(repr, truth))


@SEEDS
def test_the_lines_of_a_capture_are_those_of_the_stream(tmp_path: Path, seed: int) -> None:
    spool = mixed(seed, 300)
    masker = MASKER if seed % 2 else None
    live = list(lines(Pipeline(Settings(), Ids(), masker).feed(spool)))
    reader = FileReader(record(tmp_path / "a.duckdb", spool, masker=masker))
    stored = [line for batch in reader.lines(None) for line in batch]
    assert reader.page(None, 0, len(live) + 1) == stored
    reader.close()
    assert stored == live


def ruled(spool: list[SpoolRecord], notes: Mapping[int, Mapping[str, object]]) -> list[SpoolRecord]:
    """The stream with notes about rule settings in it, before the records at these places."""
    out: list[SpoolRecord] = []
    for place, record_ in enumerate(spool):
        if place in notes:
            body = encode_body(NoteBody(RULES, json.dumps(notes[place])))
            out.append(structs.replace(record_, kind=Kind.NOTE, direction=0, link=0, offset=0, data=body))
        out.append(record_)
    return [structs.replace(record_, seq=number) for number, record_ in enumerate(out, spool[0].seq)]


LOUD: dict[str, object] = {"call_seconds": 2.0, "rules": {"R07": "critical", "R01": "off"}}
PLAIN: dict[str, object] = {"call_seconds": 30.0, "rules": {}}


@SEEDS
def test_settings_that_change_on_the_way_are_judged_by_where_they_held(tmp_path: Path, seed: int) -> None:
    spool = ruled(mixed(seed, 300), {0: PLAIN, 150: LOUD, 151: LOUD, 400: PLAIN})
    path = record(tmp_path / "a.duckdb", spool, meta=meta())
    live = stored_findings(path)
    assert live not in [stored_findings(record(tmp_path / f"{number}.duckdb", mixed(seed, 300), rules=settings)) for
                        number, settings in enumerate((Settings(), Settings(call_seconds=2.0, severities={"R01": "off"})))]
    assert checked(path) == live
    killed = Recording(tmp_path / "killed.duckdb", meta=meta())
    killed.write(spool, range(23, len(spool), 37), kill=True)
    assert rows(killed.close()) == rows(path)


def test_a_change_stands_in_the_capture_with_what_held_before(tmp_path: Path) -> None:
    path = record(tmp_path / "a.duckdb", ruled(mixed(2, 200), {0: PLAIN, 100: LOUD, 101: LOUD}), meta=meta())
    reader = FileReader(path)
    facts = reader.facts()
    noted = [record_ for batch in reader.records() for record_ in batch if isinstance(record_, Note) and record_.kind == RULES]
    reader.close()
    (change,) = noted
    assert json.loads(change.text) == {**LOUD, "before": {**PLAIN, "before": None}}
    assert (json.loads(facts["rules_settings"]), facts["rules_change"]) == (LOUD, change.text)
    off = Settings(severities={"R07": "off", "R01": "off"})
    quiet = stored_findings(record(tmp_path / "b.duckdb", mixed(2, 200), rules=off))
    assert not {finding[0] for finding in quiet} & {"R07", "R01"}
    assert checked(path, call_seconds=30.0, rules__R07="off", rules__R01="off") == quiet


def test_what_waits_longer_than_the_new_limit_falls_due_with_the_note(tmp_path: Path) -> None:
    traffic = Traffic(5)
    traffic.tunnel(1)
    traffic.data(1, 0, wire_frame(b'[2,"1","Heartbeat",{}]'))
    traffic.now += 10 * SECOND
    traffic.body(Kind.NOTE, 0, 0, NoteBody(RULES, json.dumps({**LOUD, "rules": {"R07": "hint", "Z99": "error"}})))
    at_ns = traffic.now
    path = record(tmp_path / "a.duckdb", traffic.records, meta=meta())
    live = stored_findings(path)
    assert [(one[0], one[5]) for one in live if one[0] == "R07"] == [("R07", at_ns)]
    assert checked(path) == live
