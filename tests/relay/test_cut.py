"""A cable that is pulled: the station lives in a network of its own, and its interface goes down without a FIN or RST."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocpp_proxy.config import Config
from ocpp_proxy.relay import leg as leg_module
from ocpp_proxy.relay.relay import Relay
from tests.relay.stage import SWITCH, UPGRADE, Stage, bound, ends, notes, play, stream

NUMBER = os.getpid() % 16000                # names and addresses that no other run of these tests uses
OURS, THEIRS = (f"10.{200 + NUMBER // 64 % 50}.{NUMBER % 64 * 4}.{last}" for last in (1, 2))
STATION = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
sock.sendall(bytes.fromhex(sys.argv[3]))
got = b""
while not got.endswith(b"\\r\\n\\r\\n"):
    got += sock.recv(1)
print("up", flush=True)
sys.stdin.read()
"""


def ip(*words: str) -> str:
    """Run ``ip``; gives what went wrong, empty when nothing did."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    return done.stderr.strip() or str(done.returncode) if done.returncode else ""


@contextmanager
def cable() -> Iterator[str]:
    """A network namespace joined to ours by a pair of interfaces; gives its name. Skips where that is not permitted."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("kernel: network namespaces need root and the program ip")
    name, near, far = f"ocpp{NUMBER}", f"oa{NUMBER}", f"ob{NUMBER}"
    if error := ip("netns", "add", name):
        pytest.skip(f"kernel: no network namespace: {error}")
    try:
        for words in (
            ("link", "add", near, "type", "veth", "peer", "name", far, "netns", name),
            ("addr", "add", f"{OURS}/30", "dev", near), ("link", "set", near, "up"),
            ("-n", name, "addr", "add", f"{THEIRS}/30", "dev", far), ("-n", name, "link", "set", far, "up"),
        ):
            if error := ip(*words):
                pytest.skip(f"kernel: no pair of interfaces: {error}")
        yield name
    finally:
        ip("link", "del", near)
        ip("netns", "del", name)


@pytest.mark.parametrize("talking", [False, True], ids=["idle", "data on the way"])
def test_a_pulled_cable_is_noted_and_resets_the_other_leg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talking: bool,
) -> None:
    monkeypatch.setattr(leg_module, "KEEP_IDLE", 1)         # 60/15/4 and 120 s, so that it takes seconds
    monkeypatch.setattr(leg_module, "KEEP_INTERVAL", 1)
    monkeypatch.setattr(leg_module, "KEEP_COUNT", 2)
    monkeypatch.setattr(leg_module, "USER_TIMEOUT_MS", 2000)

    async def body(name: str) -> None:
        listener, csms_listener = bound(OURS), bound()
        config = Config(host="preserve", upstream=f"ws://127.0.0.1:{csms_listener.getsockname()[1]}")
        relay = Relay(config, tmp_path, [listener])
        relay.start()
        s = Stage(relay, listener, csms_listener, tmp_path)
        words = ["ip", "netns", "exec", name, sys.executable, "-c", STATION, OURS, str(s.port), UPGRADE.hex()]
        station = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            csms = await s.accept()
            assert await csms.head() == UPGRADE
            await csms.send(SWITCH)
            assert station.stdout is not None
            assert await asyncio.to_thread(station.stdout.readline) == b"up\n"
            assert not ip("-n", name, "link", "set", f"ob{NUMBER}", "down")
            if talking:
                await csms.send(b"never seen by the station")
            deadline = csms.loop.time() + 20
            while csms.loop.time() < deadline and not csms.ended:
                try:
                    data = await asyncio.wait_for(csms.loop.sock_recv(csms.sock, 100), 20)
                    csms.ended = "data" if data else "fin"
                except ConnectionResetError:
                    csms.ended = "rst"
            assert csms.ended == "rst"
            await s.no_links()
            records = s.records()
            assert [note.kind for note in notes(records)] == ["peer_vanished"]
            assert [(end.how, end.first) for end in ends(records)] == [("vanished", True), ("vanished", False)]
            assert stream(records, 1) == SWITCH + (b"never seen by the station" if talking else b"")
        finally:
            station.kill()
            station.communicate()
            await s.stop()
            for sock in (listener, csms_listener, *(peer.sock for peer in s.peers)):
                sock.close()

    with cable() as name:
        play(body(name))
