"""One traffic, in one file and in a folder cut at ten places: every query, line, link and finding is the same."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocpp_proxy_captures import CaptureSource
from ocpp_proxy_captures.canned import queries
from ocpp_proxy_captures.database import segments
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.cli.judging import judged
from ocpp_proxy.cli.settings import load
from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.fields import parse
from ocpp_proxy.model import Finding
from tests.properties.recording import KEY, Recording, record, rows, stored_findings, told
from tests.properties.traffic import mixed

CUTS = 10
FILTERS = ("ms > 500", "severity >= warning", "kind == message and identity == CP1", "not side == csms", "Heartbeat")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same traffic, whole and cut. No Call, message or transaction ends where a segment does."""
    folder, spool = tmp_path_factory.mktemp("rotation"), mixed(7, 700, 0.1)
    step = len(spool) // (CUTS + 1) + 1
    one = record(folder / "one.duckdb", spool, step)
    many = record(folder / "many", spool, step, settings=CaptureConfig(rotate_messages=1))
    assert len(segments(many)) >= CUTS + 1
    return one, many


@pytest.fixture
def readers(captures: tuple[Path, Path]) -> Iterator[tuple[FileReader, FileReader]]:
    pair = FileReader(captures[0]), FileReader(captures[1])
    yield pair
    for reader in pair:
        reader.close()


def test_every_query_gives_the_same_rows(readers: tuple[FileReader, FileReader]) -> None:
    empty = []
    for query in queries():
        one, many = (reader.query(query.name, {}) for reader in readers)
        assert many == one, query.name
        if not one.rows:
            empty.append(query.name)
    assert len(queries()) == 26
    assert empty == []                                          # otherwise their equality would prove nothing


def test_every_line_is_the_same(readers: tuple[FileReader, FileReader]) -> None:
    for text in (None, *FILTERS):
        where = parse(text) if text else None
        in_one, in_many = ([line for batch in reader.lines(where) for line in batch] for reader in readers)
        assert in_many == in_one
        assert in_one, text
    one, many = readers
    assert one.links() == many.links() != []
    whole, parts = ([record for batch in reader.everything() for record in batch] for reader in readers)
    assert whole == parts


def check(path: Path) -> list[Finding]:
    async def run() -> list[Finding]:
        source = CaptureSource(path)
        found = await judged(source, load(None, {}, {}))
        await source.close()
        return found

    return asyncio.run(run())


def test_check_finds_the_same(captures: tuple[Path, Path]) -> None:
    one, many = captures
    assert [told(finding) for finding in check(many)] == stored_findings(one) == stored_findings(many)


def test_with_masks_too(tmp_path: Path) -> None:
    spool, masker = mixed(8, 200), Masker(KEY)
    one = record(tmp_path / "one.duckdb", spool, 100, masker)
    many = record(tmp_path / "many", spool, 60, masker, settings=CaptureConfig(rotate_messages=1))
    assert len(segments(many)) >= 5
    assert stored_findings(many) == stored_findings(one)
    assert check(many) == check(one)


def test_killed_between_any_two_segments(tmp_path: Path) -> None:
    spool = mixed(9, 80)
    whole = record(tmp_path / "whole.duckdb", spool, 1000)
    killed = Recording(tmp_path / "many", settings=CaptureConfig(rotate_messages=1))
    killed.write(spool, range(40, len(spool), 40), kill=True)
    many = killed.close()
    assert len(segments(many)) >= 5
    assert rows(many) == rows(whole)
