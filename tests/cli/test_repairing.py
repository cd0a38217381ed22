"""``doctor --repair`` finds the spool that belongs to a capture, and leaves a running one alone."""

import os
from pathlib import Path

import ocpp_proxy_captures
import pytest

from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.repairing import spool_of
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.hub.overflow import moved_folder


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(instances.RUNTIME_VARIABLE, str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def folder_of(tmp_path: Path, capture: Path) -> Path:
    return tmp_path / "run" / instances.instance_name(str(capture), 0)


def test_a_broken_capture_is_set_aside_and_nothing_is_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "a.duckdb"
    broken.write_bytes(b"no database" * 1000)
    assert run_app(["doctor", "--repair", str(broken)]) == 0
    assert "set aside" in capsys.readouterr().out
    assert [path.read_bytes() for path in tmp_path.glob("a.duckdb.damaged-*")] == [b"no database" * 1000]


def test_folders_of_another_user_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = tmp_path / "a.duckdb"
    spool = folder_of(tmp_path, capture) / "spool"
    spool.mkdir(parents=True)
    look = os.listdir

    def refused(path: Path) -> list[str]:
        if Path(path) == spool:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "listdir", refused)                 # root, as whom tests may run, is refused nothing
    assert spool_of(capture) is None
    moved = moved_folder(spool.parent)
    moved.mkdir(parents=True)
    (moved / "w0-0000000000000001-00000001.seg").write_text("")
    assert spool_of(capture) == spool.parent


def test_the_spool_of_the_capture_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def repair(*arguments: object) -> str:
        asked.append(arguments)
        return "done"

    monkeypatch.setattr(ocpp_proxy_captures, "repair", repair)
    capture = tmp_path / "a.duckdb"
    assert run_app(["doctor", "--repair", str(capture)]) == 0
    spool = folder_of(tmp_path, capture) / "spool"
    spool.mkdir(parents=True)
    assert run_app(["doctor", "--repair", str(capture)]) == 0
    (spool / "w0-0000000000000001-00000001.seg").write_text("")
    assert run_app(["doctor", "--repair", str(capture)]) == 0
    key = (tmp_path / "state/ocpp-proxy/pseudonym.key").read_bytes()
    assert asked == [(capture,), (capture,), (capture, [spool, moved_folder(spool.parent)], key)]


def test_a_running_capture_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = tmp_path / "a.duckdb"
    capture.write_bytes(b"busy")
    folder = folder_of(tmp_path, capture)
    folder.mkdir(parents=True)
    instances.write(Instance(folder.name, 4711, str(folder), capture=str(capture), control=str(folder / "control.sock")))
    fd = instances.lock(folder)
    try:
        assert run_app(["doctor", "--repair", str(capture)]) == 2
    finally:
        os.close(fd)
    assert "pid 4711" in capsys.readouterr().err and capture.read_bytes() == b"busy"


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["doctor", "--repair", str(tmp_path / "none.duckdb")]) in (2, 4)
    assert "none.duckdb" in capsys.readouterr().err
