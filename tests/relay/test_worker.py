"""The worker process: kill -9 under load, SIGTERM, the supervisor's death, descriptor limits, no log flood."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ocpp_proxy.config import Config, LimitsConfig
from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import SWITCH, UPGRADE, bound, ends, notes, of, read_spool, stream

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 60.0                             # seconds: a process starts, on a machine that has other things to do
NO_FLOOD = 15                               # lines


class Worker:
    """A started ``python -m ocpp_proxy.relay`` with its listener and a raw CSMS listener."""

    def __init__(self, folder: Path, config: Config | None = None, nofile: int = 0) -> None:
        self.folder = folder
        self.listener, self.csms = bound(), bound()
        self.csms.setblocking(True)
        self.csms.settimeout(PATIENCE)
        config = msgspec.structs.replace(
            config or Config(host="preserve"), upstream=f"ws://127.0.0.1:{self.csms.getsockname()[1]}",
        )
        (folder / "config.json").write_bytes(msgspec.json.encode(config))
        read_end, self.alive = os.pipe()

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.process = subprocess.Popen(
            [sys.executable, "-m", "ocpp_proxy.relay", "--instance", str(folder), "--worker", "0",
             "--listen-fds", str(self.listener.fileno()), "--alive-fd", str(read_end)],
            cwd=REPOSITORY, pass_fds=(self.listener.fileno(), read_end), stderr=subprocess.PIPE,
            preexec_fn=limit if nofile else None,
        )
        os.close(read_end)

    def dial(self) -> socket.socket:
        sock = socket.create_connection(self.listener.getsockname(), PATIENCE)
        sock.settimeout(PATIENCE)
        return sock

    def tunnel(self) -> tuple[socket.socket, socket.socket]:
        station = self.dial()
        station.sendall(UPGRADE)
        csms, _ = self.csms.accept()
        csms.settimeout(PATIENCE)
        assert exactly(csms, len(UPGRADE)) == UPGRADE
        csms.sendall(SWITCH)
        assert exactly(station, len(SWITCH)) == SWITCH
        return station, csms

    def end(self) -> bytes:
        """Wait for the end; gives what went to stderr."""
        assert self.process.stderr is not None
        error = self.process.communicate(timeout=PATIENCE)[1]
        return error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.alive)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.listener.close()
        self.csms.close()


@contextlib.contextmanager
def worker(folder: Path, config: Config | None = None, nofile: int = 0) -> Iterator[Worker]:
    made = Worker(folder, config, nofile)
    try:
        yield made
    finally:
        made.close()


def exactly(sock: socket.socket, size: int) -> bytes:
    out = b""
    while len(out) < size:
        data = sock.recv(size - len(out))
        if not data:
            break
        out += data
    return out


def drain(sock: socket.socket, into: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        while data := sock.recv(1 << 16):
            into.append(data)


@pytest.mark.parametrize("round_", range(5))
def test_after_kill_9_everything_a_peer_received_is_in_the_spool(tmp_path: Path, round_: int) -> None:
    with worker(tmp_path) as w:
        pairs = [w.tunnel() for _ in range(4)]
        received: list[list[bytes]] = [[] for _ in range(8)]
        readers = [
            threading.Thread(target=drain, args=(sock, received[index * 2 + side]))
            for index, pair in enumerate(pairs) for side, sock in enumerate(pair)
        ]
        stop = threading.Event()

        def talk(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                number = 0
                while not stop.is_set():
                    sock.sendall(b"%010d" % number * 20)
                    number += 1

        talkers = [threading.Thread(target=talk, args=(sock,)) for pair in pairs for sock in pair]
        for thread in (*readers, *talkers):
            thread.start()
        deadline = time.monotonic() + PATIENCE
        wanted = 20_000 * (round_ + 1)
        while sum(map(len, received[0])) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        w.process.send_signal(signal.SIGKILL)
        w.process.wait()
        stop.set()
        for thread in (*readers, *talkers):
            thread.join()
        records = read_spool(tmp_path / "spool")
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        for index, (station, csms) in enumerate(pairs):
            at_station, at_csms = b"".join(received[index * 2]), b"".join(received[index * 2 + 1])
            assert stream(records, 0, index + 1)[len(UPGRADE) :].startswith(at_csms)
            assert stream(records, 1, index + 1)[len(SWITCH) :].startswith(at_station)
            station.close()
            csms.close()
        assert len(b"".join(received[0])) >= wanted


def test_sigterm_drains_and_says_goodbye_in_the_spool(tmp_path: Path) -> None:
    limits = LimitsConfig(drain_seconds=1.5)           # what is sent behind the signal has to pass in it
    with worker(tmp_path, Config(host="preserve", limits=limits, call_seconds=7.0, rules={"R07": "hint"})) as w:
        station, csms = w.tunnel()
        w.process.send_signal(signal.SIGTERM)
        station.sendall(b"still open")
        assert exactly(csms, 10) == b"still open"
        assert csms.recv(10) == b"" and station.recv(10) == b""
        assert w.end() == b"" and w.process.returncode == 0
        records = read_spool(tmp_path / "spool")
        (held,) = notes(records[:1])
        assert (held.kind, held.text) == ("rules", '{"call_seconds":7.0,"rules":{"R07":"hint"}}')
        assert [end.how for end in ends(records)] == ["shutdown", "shutdown"]
        assert not any(end.first for end in ends(records)) and records[-1].kind is Kind.BEAT
        stats = json.loads((tmp_path / "relay-0.json").read_bytes())
        assert stats["accepted"] == 1 and stats["links"] == 0 and stats["seq"] == len(records)
        station.close()
        csms.close()


def test_sigterm_without_links_ends_at_once(tmp_path: Path) -> None:
    with worker(tmp_path) as w:
        station, csms = w.tunnel()
        station.close()
        csms.close()
        w.process.send_signal(signal.SIGTERM)
        assert w.end() == b"" and w.process.returncode == 0


def test_the_death_of_the_supervisor_ends_it_in_order(tmp_path: Path) -> None:
    with worker(tmp_path, Config(host="preserve", limits=LimitsConfig(drain_seconds=0.2))) as w:
        station, csms = w.tunnel()
        os.close(w.alive)
        assert w.end() == b"" and w.process.returncode == 0
        assert len(of(read_spool(tmp_path / "spool"), Kind.END)) == 2
        station.close()
        csms.close()


def test_a_broken_configuration_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o755)       # whatever the umask
    with worker(tmp_path) as w:
        error = w.end()
        assert w.process.returncode == 2
        assert error.count(b"\n") == 1 and b"chmod 700" in error


def test_descriptors_run_out_without_a_flood_and_without_harm_to_links(tmp_path: Path) -> None:
    with worker(tmp_path, nofile=128) as w:          # (128 - 64) / 2 links
        pairs = [w.tunnel() for _ in range(20)]
        idle = [w.dial() for _ in range(60)]
        for station, csms in pairs:
            station.sendall(b"hello")
            assert exactly(csms, 5) == b"hello"
        for sock in idle:
            sock.close()
        late, csms = w.tunnel()
        late.close()
        csms.close()
        for pair in pairs:
            for sock in pair:
                sock.close()
        w.process.send_signal(signal.SIGTERM)
        error = w.end()
        assert w.process.returncode == 0 and len(error) < 10_000 and error.count(b"\n") <= NO_FLOOD
        assert b"accepting paused: 32 links" in error


def test_the_recorder_is_woken_after_an_append(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(tmp_path / "notify.sock"))
        bell.settimeout(PATIENCE)
        with worker(tmp_path) as w:
            assert len(bell.recv(16)) == 1
            station, csms = w.tunnel()
            assert len(bell.recv(16)) == 1
            station.close()
            csms.close()
