"""What ``export`` takes for a part, and the files it will not make."""

import asyncio
from pathlib import Path

import pytest

from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.exporting import export, part
from ocpp_proxy.fields import And, Compare, Filter
from ocpp_proxy.model import ConfigError

T0 = 1_767_261_600_000_000_000


def test_a_part_is_a_filter() -> None:
    assert part([], None, None) == Filter("", And(()))
    assert part(["CP 1", 'C"P'], "2026-01-01T10:00:00Z", "2026-01-01 11:00").root == And((
        Compare("identity", "in", ("CP 1", 'C"P')), Compare("time", ">=", T0), Compare("time", "<=", T0 + 3_600_000_000_000),
    ))


@pytest.mark.parametrize(("begin", "end", "option"), [("soon", None, "--from"), (None, 'x" or y', "--to")])
def test_what_is_no_time_is_told(begin: str | None, end: str | None, option: str) -> None:
    with pytest.raises(ConfigError, match=f"^{option} "):
        part([], begin, end)


@pytest.mark.parametrize(("name", "told"), [("x.csv", r"\.jsonl, \.txt, \.duckdb"), ("there.txt", "--force"),
                                            ("none/x.txt", "no folder")])
def test_files_that_will_not_be_made(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "there.txt").write_text("mine")
    with pytest.raises(ConfigError, match=told):
        asyncio.run(export(None, str(tmp_path / name), part([], None, None), False, False))
    assert (tmp_path / "there.txt").read_text() == "mine"


def test_the_file_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["export"]) == 2
    assert "--out" in capsys.readouterr().err
