"""The real store: killed between any two commits its rows are those of one run; ``check`` finds offline what was found live."""

import asyncio
from pathlib import Path

import pytest
from ocpp_proxy_captures import CaptureSource

from ocpp_proxy.cli import checking
from ocpp_proxy.config import Config
from ocpp_proxy.core.masking import Masker
from tests.properties.recording import KEY, Recording, record, rows, stored_findings, told
from tests.properties.traffic import mixed

SEEDS = pytest.mark.parametrize("seed", range(4))


def checked(path: Path, config: Config | None = None) -> list[tuple[object, ...]]:
    async def run() -> list[tuple[object, ...]]:
        source = CaptureSource(path)
        found = await checking.judged(source, config or Config())
        await source.close()
        return [told(finding) for finding in found]

    return asyncio.run(run())


@SEEDS
def test_killed_between_any_two_commits(tmp_path: Path, seed: int) -> None:
    spool = mixed(seed)
    masker = Masker(KEY) if seed % 2 else None
    commits = range(17, len(spool), 41)
    assert len(commits) >= 8
    whole = record(tmp_path / "whole.duckdb", spool, 1000, masker)
    killed = Recording(tmp_path / "killed.duckdb", masker)
    killed.write(spool, commits, kill=True)
    assert rows(killed.close()) == rows(whole)


@SEEDS
def test_check_finds_offline_what_was_found_live(tmp_path: Path, seed: int) -> None:
    path = record(tmp_path / "a.duckdb", mixed(seed, 400))
    live = stored_findings(path)
    assert len(live) >= 30
    assert checked(path) == live
