"""The supervisor keeps the listeners open, restarts what dies, and ends everything in order. Real processes, doubles inside."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpp_proxy.config import CaptureConfig, Config, LinkRule
from ocpp_proxy.core.reloading import RELOAD_FILE, Reloaded
from ocpp_proxy.hub.client import find_instances
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.hub.log_file import LogFile
from ocpp_proxy.model import ConfigError
from ocpp_proxy.supervisor import Event, Supervisor
from tests.hub.doubles import SqliteStore, eventually

ROOT = Path(__file__).parent.parent


class Running:
    """One supervised run."""

    def __init__(self, process: subprocess.Popen[str], runtime: Path) -> None:
        self.process = process
        self.runtime = runtime
        self.events: list[dict[str, Any]] = []

    def wait_for(self, kind: str, text: str = "") -> dict[str, Any]:
        """Read events until this one comes."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            self.events.append(event)
            if event["kind"] == kind and event["text"].startswith(text):
                return event
        raise AssertionError(f"no {kind} among {self.events}")

    def instance(self) -> Instance:
        """What it wrote about itself."""
        return find_instances(self.runtime)[0]

    def order(self, folder: Path) -> list[str]:
        """The story the children wrote."""
        story = folder / "order"
        return story.read_text().splitlines() if story.exists() else []


def runtime_of(tmp_path: Path) -> Path:
    """A folder for the instances of a test: its path is short, since that of a Unix socket has 103 bytes at most."""
    return Path(tempfile.gettempdir()) / f"ocpp-{zlib.crc32(str(tmp_path).encode()):08x}"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    """Nothing stays behind."""
    yield
    shutil.rmtree(runtime_of(tmp_path), ignore_errors=True)


@contextmanager
def supervised(tmp_path: Path, config: Config | None = None, **environment: str) -> Iterator[Running]:
    """Start a supervisor in a process; kill what is left of it at the end."""
    runtime = runtime_of(tmp_path)
    capture = CaptureConfig(path=str(tmp_path / "c.duckdb"))
    settings = config or Config(listen=("127.0.0.1:0",), upstream="ws://csms", capture=capture)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.supervised", "--config", msgspec.json.encode(settings).decode()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "OCPP_PROXY_RUNTIME": str(runtime), **environment},
    )
    running = Running(process, runtime)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def dial(address: str) -> int:
    """Connect; the pid of the relay that answered."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        return int(connection.recv(100))


def test_a_run_from_start_to_sigterm(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        listening = running.wait_for("listening")
        known = running.instance()
        folder = Path(known.folder)
        assert known.pid == running.process.pid
        assert known.upstream == "ws://csms"
        assert known.capture == str(tmp_path / "c.duckdb")
        assert listening["instance"]["control"] == known.control == str(folder / "control.sock")
        assert oct(folder.stat().st_mode)[-3:] == "700"
        for name in ("instance.json", "config.json", "control.sock"):
            assert oct((folder / name).stat().st_mode)[-3:] == "600", name
        for _ in range(3):
            dial(known.listen[0])
        running.process.send_signal(signal.SIGTERM)
        running.wait_for("stopped")
        assert running.process.wait(60) == 0
        assert running.order(folder) == ["relay told", "relay ended", "recorder ended"]
        # the relay's last words were stored, although it spoke them after the order to stop
        assert SqliteStore(folder / "rows.sqlite").payloads() == [b"dial"] * 3 + [b"last words"]
        assert not (folder / "instance.json").exists()
        assert find_instances(running.runtime) == []
        with pytest.raises(OSError):
            dial(known.listen[0])


def test_the_terminals_interrupt_ends_it_in_order_too(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        folder = Path(running.instance().folder)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
        assert running.order(folder)[-2:] == ["relay ended", "recorder ended"]


def test_a_hangup_reads_the_configuration_again_and_cuts_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        known = running.instance()
        before = dial(known.listen[0])
        running.process.send_signal(signal.SIGHUP)
        assert running.wait_for("note", "reload")["text"] == "reload: the configuration has not changed"
        assert dial(known.listen[0]) == before
        kept = Path(known.folder) / RELOAD_FILE
        eventually(kept.exists)                             # it is written just behind the note
        said = msgspec.json.decode(kept.read_bytes(), type=Reloaded)
        assert said.text == "the configuration has not changed"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0


def test_a_hangup_because_the_terminal_has_gone_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = [True]
    monkeypatch.setattr("ocpp_proxy.supervisor._has_terminal", lambda: terminal[0])
    supervisor = Supervisor(Config(), lambda event: None)
    supervisor._signalled(signal.SIGHUP, None)
    assert (supervisor._hangups, supervisor._signals) == (1, [])
    terminal[0] = False
    supervisor._signalled(signal.SIGHUP, None)
    assert (supervisor._hangups, supervisor._signals) == (1, [signal.SIGHUP])


def test_a_killed_relay_refuses_no_dial_and_comes_back(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        known = running.instance()
        killed = set()
        for _ in range(5):
            pid = dial(known.listen[0])
            assert pid not in killed
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
            assert dial(known.listen[0]) not in killed      # waits in the backlog of the supervisor's socket
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert SqliteStore(Path(known.folder) / "rows.sqlite").payloads().count(b"dial") == 10


def test_a_killed_recorder_comes_back_and_misses_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("started", "recorder")
        pid = running.events[-1]["pid"]
        running.wait_for("listening")
        known = running.instance()
        for _ in range(3):
            dial(known.listen[0])
            os.kill(pid, signal.SIGKILL)
            assert "SIGKILL" in running.wait_for("died", "recorder")["text"]
            dial(known.listen[0])
            pid = running.wait_for("started", "recorder")["pid"]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert SqliteStore(Path(known.folder) / "rows.sqlite").payloads() == [b"dial"] * 6 + [b"last words"]
        told = [(line.level, line.text.split(" (pid")[0]) for line in LogFile(Path(known.folder)).since(0)
                if line.process == "supervisor"]
        assert told.count(("warning", "died: recorder ended with signal SIGKILL")) == 3
        assert told.count(("info", "started: recorder")) == 4
        assert [text for _, text in told[-2:]] == ["stopping", "stopped"]


def test_the_children_end_in_order_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        folder = Path(running.instance().folder)
        running.process.kill()
        running.process.wait()
        eventually(lambda: "recorder ended" in running.order(folder))
        assert running.order(folder) == ["relay orphaned", "relay ended", "recorder ended"]
        assert SqliteStore(folder / "rows.sqlite").payloads() == [b"last words"]


def test_what_a_restart_cannot_mend_ends_the_run_with_its_code(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        folder = Path(running.instance().folder)
    (folder / "refuse").touch()
    with supervised(tmp_path) as running:
        assert running.process.wait(60) == 2
        assert running.process.stderr is not None
        assert "certificate cannot be read" in running.process.stderr.read()


def test_a_child_that_cannot_be_started_at_all_ends_the_run(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        folder = Path(running.instance().folder)
    (folder / "crash").touch()
    with supervised(tmp_path) as running:
        assert running.process.wait(150) == 1
        assert running.process.stdout is not None
        kinds = [json.loads(line)["kind"] for line in running.process.stdout]
    assert "listening" not in kinds
    assert kinds.count("died") == 5


def test_a_second_run_on_the_same_capture_is_refused(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.wait_for("listening")
        with supervised(tmp_path) as second:
            assert second.process.wait(60) == 1             # the ConfigError of this bare process
            assert second.process.stderr is not None
            text = second.process.stderr.read()
        assert re.search(r"ConfigError: ocpp-proxy is already running on the capture .*c\.duckdb \(pid \d+, 127", text)
        assert dial(running.instance().listen[0])


def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        with supervised(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
            assert systemd.recv(100).startswith(b"READY=1")
            running.process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert running.process.wait(60) == 0


def test_it_works_as_pid_1_and_reaps_orphans(tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", "import os; print(os.getpid())"]
    try:
        probe = subprocess.run(unshare, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare")
    if probe.stdout.strip() != "1":
        pytest.skip("this system does not allow a pid namespace")
    code = (
        "import subprocess, sys; subprocess.Popen(['sh', '-c', '(sleep 0.2; exit 3) & exit 0']).wait(); "
        "from tests.supervised import supervisor; sys.exit(supervisor())"
    )
    settings = Config(listen=("127.0.0.1:0",), capture=CaptureConfig(path=str(tmp_path / "c.duckdb")))
    process = subprocess.Popen(
        [*unshare[:5], "-c", code, "--config", msgspec.json.encode(settings).decode()],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "OCPP_PROXY_RUNTIME": str(tmp_path / "runtime")},
    )
    running = Running(process, tmp_path / "runtime")
    try:
        running.wait_for("listening")
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]

        def children() -> list[str]:
            return Path(f"/proc/{first}/task/{first}/children").read_text().split()

        eventually(lambda: len(children()) == 2)            # relay and recorder; the orphan was reaped
        os.kill(int(first), signal.SIGTERM)
        running.wait_for("stopped")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def refused(config: Config) -> str:
    """The text with which a configuration is refused before anything is started."""
    events: list[Event] = []
    with pytest.raises(ConfigError) as refusal:
        Supervisor(config, events.append).run()
    assert events == []
    return str(refusal.value)


def test_a_port_in_use_is_said_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused(Config(listen=(f"127.0.0.1:{port}",)))
    assert f"port {port} is in use" in text
    assert f"--listen {port + 1}" in text


def test_an_isolated_rule_has_a_listener_and_a_relay_of_its_own(tmp_path: Path) -> None:
    """Killing it leaves the other where it is; both end, and what both spooled is stored."""
    rule = LinkRule(plugins=("throttle",), isolate=True, listen="127.0.0.1:0")
    capture = CaptureConfig(path=str(tmp_path / "c.duckdb"))
    config = Config(listen=("127.0.0.1:0",), upstream="ws://csms", capture=capture, links=(LinkRule(), rule))
    with supervised(tmp_path, config) as running:
        running.wait_for("listening")
        known = running.instance()
        folder = Path(known.folder)
        [own] = known.isolated
        assert len({own, *known.listen}) == 2
        first, second = dial(known.listen[0]), dial(own)
        assert first != second
        (folder / "relay-1.hook").write_bytes(b"\2throttle\0bad\0one\0")
        os.kill(second, signal.SIGKILL)
        assert running.wait_for("died")["text"] == "relay-1 ended with signal SIGKILL in a hook of plugin bad"
        assert dial(own) not in (first, second) and dial(known.listen[0]) == first
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert sorted(running.order(folder)) == ["recorder ended", "relay ended", "relay told", "relay-1 ended", "relay-1 told"]
        assert running.order(folder)[-1] == "recorder ended"
        payloads = SqliteStore(folder / "rows.sqlite").payloads()
        assert sorted(payloads) == [b"dial"] * 4 + [b"last words"] * 2


def test_a_port_of_an_isolated_rule_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        rule = LinkRule(isolate=True, listen=f"127.0.0.1:{port}")
        text = refused(Config(listen=("127.0.0.1:0",), links=(rule,), capture=CaptureConfig(path=str(tmp_path / "c.duckdb"))))
    assert f"port {port} is in use" in text
