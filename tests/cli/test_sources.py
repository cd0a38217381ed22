"""What SOURCE means: the running proxy, the newest capture, a file, an address; never the file of a running capture."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ocpp_proxy.cli import open_source as opening
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.places import capturing, newest_capture, running
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import ConfigError


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(instances.RUNTIME_VARIABLE, str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened or asked, instead of doing it."""
    found: list[str] = []

    async def connect(instance: Instance) -> object:
        found.append(f"ask {instance.control} {instance.token}".strip())
        return object()

    def open_file(path: Path) -> object:
        found.append(f"open {path}")
        return object()

    monkeypatch.setattr(opening, "connect", connect)
    monkeypatch.setattr(opening, "open_file", open_file)
    return found


@contextlib.contextmanager
def proxy(base: Path, name: str, capture: str = "", started: int = 1, *, alive: bool = True) -> Iterator[Instance]:
    """The folder of a running proxy: its file and its lock."""
    folder = base / "run" / name
    folder.mkdir(parents=True)
    known = Instance(name, os.getpid(), str(folder), ("[::]:9000",), "wss://csms/", capture, str(folder / "control.sock"), "t",
                     started)
    instances.write(known)
    fd = instances.lock(folder)
    if not alive:
        os.close(fd)
    yield known
    if alive:
        os.close(fd)


def test_nothing_runs_and_nothing_was_captured(asked: list[str]) -> None:
    with pytest.raises(ConfigError, match="no proxy is running"):
        asyncio.run(open_source(None))


def test_the_newest_capture_is_named_on_stderr(tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "state/ocpp-proxy/captures"
    folder.mkdir(parents=True)
    assert newest_capture() is None
    (folder / "000001.duckdb").write_text("")
    asyncio.run(open_source(None))
    assert asked == [f"open {folder}"]
    said = capsys.readouterr()
    assert said.err == f"source: {folder}\n" and said.out == ""


def test_the_one_running_proxy_is_asked(tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with proxy(tmp_path, "one") as known:
        asyncio.run(open_source(None))
    assert asked == [f"ask {known.control} t"]
    assert "[::]:9000 -> wss://csms/" in capsys.readouterr().err


def test_a_dead_proxy_is_none(tmp_path: Path) -> None:
    with proxy(tmp_path, "dead", alive=False):
        assert running() == []


def test_two_running_proxies_are_listed_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with proxy(tmp_path, "one", started=2) as one, proxy(tmp_path, "two", started=1) as two:
        assert [instance.name for instance in running()] == ["two", "one"]
        assert run_app(["tail"]) == 2
    said = capsys.readouterr().err
    assert f"unix:{one.control}" in said and f"unix:{two.control}" in said


def test_a_proxy_on_this_machine_is_known_by_its_ports(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As listed where several run: its token needs not be said. The port where chargers dial leads to it, too."""
    monkeypatch.delenv(opening.TOKEN_VARIABLE, raising=False)
    with proxy(tmp_path, "one") as one:
        instances.write(structs.replace(one, control="127.0.0.1:9001"))
        for address in ("127.0.0.1:9001", "[::]:9000", "127.0.0.1:9009"):
            asyncio.run(open_source(address))
        monkeypatch.setenv(opening.TOKEN_VARIABLE, "given")
        asyncio.run(open_source("127.0.0.1:9001"))
    assert asked == ["ask 127.0.0.1:9001 t", "ask 127.0.0.1:9001 t", "ask 127.0.0.1:9009", "ask 127.0.0.1:9001 given"]


def test_the_file_of_a_running_capture_is_never_opened(tmp_path: Path, asked: list[str]) -> None:
    capture, folder = tmp_path / "a.duckdb", tmp_path / "folder"
    capture.write_text("")
    folder.mkdir()
    (folder / "x.duckdb").write_text("")
    link = tmp_path / "link.duckdb"
    link.symlink_to(capture)
    with proxy(tmp_path, "one", str(capture)) as one, proxy(tmp_path, "two", str(folder)) as two:
        for path in (capture, link, folder, folder / "x.duckdb"):
            asyncio.run(open_source(str(path)))
        assert asked == [f"ask {one.control} t"] * 2 + [f"ask {two.control} t"] * 2
        other = tmp_path / "other.duckdb"
        other.write_text("")
        assert capturing(other) is None
    asyncio.run(open_source(str(capture)))
    assert asked[-1] == f"open {capture}"


@pytest.mark.parametrize(("text", "control"), [
    ("unix:/x/control.sock", "/x/control.sock"), ("127.0.0.1:8080", "127.0.0.1:8080"),
    ("http://proxy.lan:8080/", "proxy.lan:8080"),
    ("tcp:[::1]:8080", "[::1]:8080"),
])
def test_addresses(text: str, control: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(opening.TOKEN_VARIABLE, "secret")
    asyncio.run(open_source(text))
    assert asked == [f"ask {control} secret"]


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such capture; SOURCE is"):
        asyncio.run(open_source(str(tmp_path / "none.duckdb")))


def test_nobody_at_an_address_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["tail", f"unix:{tmp_path}/none.sock"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_that_is_no_capture_is_exit_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"nothing of the sort" * 1000)
    for command in (["tail"], ["check"], ["query", "overview"]):
        assert run_app([command[0], str(broken), *command[1:]]) == 4
        assert "broken.duckdb" in capsys.readouterr().err
