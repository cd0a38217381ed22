"""The recorder process: its store by the configuration, its exit codes."""

import os
from pathlib import Path

import msgspec
import pytest

from ocpp_proxy.cli import recorder
from ocpp_proxy.config import CaptureConfig, Config


def start(folder: Path, config: Config | None) -> int:
    if config is not None:
        (folder / "config.json").write_bytes(msgspec.json.encode(config))
    reader, writer = os.pipe()
    try:
        return recorder.main(["--instance", str(folder), "--alive-fd", str(reader)])
    finally:
        os.close(reader)
        os.close(writer)


def test_no_capture_is_no_store() -> None:
    assert recorder.open_store(Config(capture=CaptureConfig(off=True))) is None


def test_a_store_is_opened_where_the_configuration_says(tmp_path: Path) -> None:
    store = recorder.open_store(Config(capture=CaptureConfig(path=str(tmp_path / "a.duckdb"))))
    assert store is not None and (tmp_path / "a.duckdb").exists()
    assert (store.positions(), store.state()) == ([], {})
    store.close()


def test_a_missing_configuration_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(tmp_path, None) == 2
    assert "config.json" in capsys.readouterr().err


def test_a_capture_that_cannot_be_opened_is_exit_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"no database" * 1000)
    assert start(tmp_path, Config(capture=CaptureConfig(path=str(broken)))) == 4
    assert capsys.readouterr().err.startswith(f"recorder: {broken}")
