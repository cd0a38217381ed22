"""States of plugins on disk and on real sockets: stored before anything is sent, kept over restarts, one owner at a time."""

import asyncio
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from websockets.extensions.permessage_deflate import PerMessageDeflate

from ocpp_proxy.api import (
    PASS,
    Admit,
    Call,
    Closing,
    Context,
    Control,
    Decision,
    Drop,
    Entrance,
    Opening,
    Pass,
    Plugin,
    Replace,
    Side,
)
from ocpp_proxy.config import Config
from ocpp_proxy.core.keeping import Row, Stored
from ocpp_proxy.core.seats import Chain, Installed, OnError
from ocpp_proxy.relay import state_store
from ocpp_proxy.relay.state_store import HUNG, OVERFLOW, TAKEN_OVER, Opened, StateStore
from ocpp_proxy.wire.spool import ForeignFinding, Kind, decode_body
from tests.relay.stage import PATIENCE, SWITCH, UPGRADE, Peer, Stage, bound, of, play, stage, until
from tests.relay.test_frame_mode import message, texts, tunnel
from tests.relay.test_plugged import hears, reads


class Numbers(Plugin):
    """Numbers the Calls of a charger over all its links; the other side is told of each."""

    class State(Struct, frozen=True):
        count: int = 0

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        if call.action == "Pass":
            return PASS
        count = context.state.count + 1
        context.keep(self.State(count))
        return Replace(call.carrying({"count": count}))

    def on_close(self, context: Context, closing: Closing) -> None:
        if closing.how == "fin":
            context.keep(self.State(context.state.count + 100))


def plug(theatre: Stage, on_error: OnError = "pass") -> None:
    installed = (Installed("numbers", Numbers, on_error=on_error),)
    theatre.relay.env.chain = lambda identity, protocol: Chain(installed, "1.6")


def call(number: int, action: str = "Count") -> bytes:
    return f'[2,"{number}","{action}",{{}}]'.encode()


def counted(number: int, count: int) -> bytes:
    return f'[2,"{number}","Count",{{"count":{count}}}]'.encode()


def head(identity: str) -> bytes:
    return UPGRADE.replace(b"/CP1", f"/{identity}".encode())


def findings(theatre: Stage) -> list[str]:
    bodies = [decode_body(record) for record in of(theatre.records(), Kind.FINDING)]
    return [body.message for body in bodies if isinstance(body, ForeignFinding) and body.code == "plugin-state"]


def rows(path: Path, query: str = "SELECT plugin, identity, version, epoch, body FROM state ORDER BY 1, 2") -> list[Any]:
    database = sqlite3.connect(path)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def row(count: int, name: str = "numbers", aside: bool = False) -> Row:
    return Row(name, 1, msgspec.msgpack.encode({"count": count}), aside)


class Asked:
    """A store whose answers are waited for."""

    def __init__(self, path: Path, worker: str = "w") -> None:
        self.store = StateStore(path, worker, asyncio.get_running_loop())

    async def open(self, identity: str = "CP1", *names: str) -> Opened:
        got: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self.store.open(identity, names or ("numbers",), got.set_result)
        return await asyncio.wait_for(got, PATIENCE)

    async def keep(self, epoch: int, *given: Row, identity: str = "CP1") -> str:
        got: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.store.keep(identity, epoch, given, got.set_result)
        return await asyncio.wait_for(got, PATIENCE)


# ---- the file ----


def test_what_was_kept_is_found_by_the_next_link(tmp_path: Path) -> None:
    async def body() -> None:
        asked = Asked(tmp_path / "sub" / "plugins.sqlite")
        assert await asked.open() == Opened("", 1, {})
        assert await asked.keep(1, row(5), row(6, "other")) == ""
        assert await asked.open("CP1", "numbers", "unknown") == Opened("", 2, {"numbers": Stored(1, row(5).body)})
        assert (await asked.open("CP2")).found == {}
        asked.store.close()

    play(body())
    path = tmp_path / "sub" / "plugins.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path) == [("numbers", "CP1", 1, 1, row(5).body), ("other", "CP1", 1, 1, row(6).body)]


def test_the_newest_link_of_a_charger_has_its_state(tmp_path: Path) -> None:
    """Also when it belongs to another process; what the older one wants to keep is refused, and nothing is overwritten."""
    async def body() -> None:
        one, other = Asked(tmp_path / "s", "one"), Asked(tmp_path / "s", "other")
        assert (await one.open()).epoch == 1
        assert (await other.open()).epoch == 2
        assert await one.keep(1, row(5)) == TAKEN_OVER
        assert await other.keep(2, row(7)) == ""
        assert (await one.open()).found == {"numbers": Stored(1, row(7).body)}
        one.store.close()
        other.store.close()

    play(body())


def test_a_state_that_was_of_no_use_is_put_aside(tmp_path: Path) -> None:
    async def body() -> None:
        asked = Asked(tmp_path / "s")
        await asked.open()
        await asked.keep(1, row(5))
        await asked.keep(1, Row("numbers", 2, b"new", aside=True))
        asked.store.close()

    play(body())
    assert rows(tmp_path / "s") == [("numbers", "CP1", 2, 1, b"new")]
    assert rows(tmp_path / "s", "SELECT version, body FROM state_before") == [(1, row(5).body)]


def test_many_jobs_at_once_share_transactions(tmp_path: Path) -> None:
    """300 links that open and keep: far fewer commits than links, every row there."""
    async def body() -> None:
        asked = Asked(tmp_path / "s")
        await asked.open("first")
        transact, sizes = asked.store._transact, []

        def counting(jobs: list[state_store.Job]) -> tuple[list[Opened], str]:
            sizes.append(len(jobs))
            return transact(jobs)

        asked.store._transact = counting    # type: ignore[method-assign]
        names = [f"CP{number}" for number in range(300)]
        opened = await asyncio.gather(*(asked.open(name) for name in names))
        assert {each.epoch for each in opened} == {1}
        kept = await asyncio.gather(*(asked.keep(1, row(number), identity=name) for number, name in enumerate(names)))
        assert set(kept) == {""} and sum(sizes) == 600 and len(sizes) < 60 and max(sizes) <= state_store.MOST_JOBS
        asked.store.close()

    play(body())
    assert len(rows(tmp_path / "s")) == 300


def _foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (a)")
    database.close()
    path.chmod(0o600)


def _newer(path: Path) -> None:
    state_store.connect(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()


def _open_to_all(path: Path) -> None:
    path.touch()
    path.chmod(0o644)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 100)
    path.chmod(0o600)


@pytest.mark.parametrize(("make", "why"), [
    (_foreign, "another program"), (_newer, "a newer version of ocpp-proxy"), (_open_to_all, "chmod 600"),
    (_garbage, "not a database"), (_link, "symbolic links"), (Path.mkdir, "directory"),
])
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    """It is told, and left as it is."""
    path = tmp_path / "s"
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    async def body() -> None:
        asked = Asked(path)
        opened = await asked.open()
        assert why in opened.error and str(path) in opened.error and opened.epoch == 0
        assert asked.store.error == opened.error
        asked.store.close()

    play(body())
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_full_disk_fails_those_who_wait_and_nobody_later(tmp_path: Path) -> None:
    """The file may not grow: told as such; once there is room again the next one is stored."""
    async def body() -> None:
        asked = Asked(tmp_path / "s")
        assert (await asked.open()).epoch == 1
        database = asked.store._database
        assert database is not None
        pages: int = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        why = await asked.keep(1, Row("numbers", 1, b"x" * 100_000))
        assert "full" in why and asked.store.error == why
        assert await asked.keep(1, row(1)) == "" and asked.store.error == ""        # on a fresh connection
        asked.store.close()

    play(body())
    assert rows(tmp_path / "s") == [("numbers", "CP1", 1, 1, row(1).body)]


def test_a_file_that_another_process_holds_fails_and_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "LOCKED_SECONDS", 0.01)

    async def body() -> None:
        asked = Asked(tmp_path / "s")
        assert (await asked.open()).epoch == 1
        other = sqlite3.connect(tmp_path / "s", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in await asked.keep(1, row(1)) and "locked" in asked.store.error
        other.rollback()
        other.close()
        assert await asked.keep(1, row(2)) == "" and not asked.store.error
        asked.store.close()

    play(body())
    assert rows(tmp_path / "s") == [("numbers", "CP1", 1, 1, row(2).body)]


def test_a_disk_that_hangs_fails_after_its_time_and_everybody_at_once_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits a second time; once the file answers, it is used again. What was given up is not stored."""
    monkeypatch.setattr(state_store, "HUNG_SECONDS", 0.05)
    free = threading.Event()

    async def body() -> None:
        asked = Asked(tmp_path / "s")
        transact = asked.store._transact

        def hanging(jobs: list[state_store.Job]) -> tuple[list[Opened], str]:
            assert free.wait(PATIENCE)
            return transact(jobs)

        asked.store._transact = hanging     # type: ignore[method-assign]
        assert await asked.open() == Opened(HUNG)
        assert await asked.keep(1, row(1)) == HUNG and asked.store.error == HUNG
        monkeypatch.setattr(state_store, "HUNG_SECONDS", PATIENCE)
        free.set()
        await until(lambda: not asked.store.error, "the file answers")
        assert (await asked.open()).epoch == 1
        asked.store.close()

    play(body())
    assert rows(tmp_path / "s") == []


def test_what_waits_for_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "MOST_WAITING", 3)

    async def body() -> None:
        asked = Asked(tmp_path / "s")
        opened = await asyncio.gather(*(asked.open(f"CP{number}") for number in range(5)))
        assert [each.error for each in opened] == ["", "", "", OVERFLOW, OVERFLOW] and asked.store.refused == 2
        asked.store.close()

    play(body())


# ---- links ----


class Slow:
    """The store of a relay, whose answers to ``keep`` are given by hand."""

    def __init__(self, theatre: Stage) -> None:
        self.asked: list[Callable[[str], object]] = []
        theatre.relay.env.states.keep = self._keep      # type: ignore[method-assign]

    def _keep(self, identity: str, epoch: int, rows: object, done: Callable[[str], object]) -> None:
        self.asked.append(done)

    async def answer(self, error: str = "") -> None:
        await until(lambda: bool(self.asked), "a State to be stored")
        self.asked.pop()(error)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_nothing_of_a_link_leaves_before_the_commit_and_then_all_in_order(tmp_path: Path, compressed: bool) -> None:
    """Both directions wait; another link does not. What no plugin changed leaves as its bytes."""
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre)
            slow = Slow(theatre)
            station, csms, _ = await tunnel(theatre, compressed)
            other, beyond, _ = await tunnel(theatre, False)
            extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
            first = message(call(1), extension, True)
            behind = message(call(2, "Pass"), extension, True) + b"\x89\x80abcd" + message(call(3, "Pass"), extension, True)
            await station.send(first + behind)
            await until(lambda: bool(slow.asked), "a State to be stored")
            answer = message(b'[3,"0",{}]', None, False)
            await csms.send(answer)
            await station.send(message(call(4), None, True))
            await other.send(message(call(1, "Pass"), None, True))
            assert await reads(beyond, 1) == [call(1, "Pass")]
            assert not csms.got and not station.got
            await slow.answer()
            assert await hears(station, 1) == [b'[3,"0",{}]'] and station.got == answer
            assert await reads(csms, 4, compressed) == [counted(1, 1), call(2, "Pass"), b"", call(3, "Pass")]     # "": the ping
            if not compressed:
                assert csms.got.endswith(behind)
            await slow.answer()
            assert (await reads(csms, 5, compressed))[4] == b'[2,"4","Count",{"count":2}]'

    play(body())


@pytest.mark.parametrize(("on_error", "arrives"), [("pass", [call(1), call(2, "Pass")]), ("drop", [call(2, "Pass")])])
def test_what_cannot_be_stored_does_as_on_error_says(tmp_path: Path, on_error: OnError, arrives: list[bytes]) -> None:
    """The original goes on byte for byte, or is dropped; that is told, and the state is what it was."""
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, on_error)
            slow = Slow(theatre)
            station, csms, _ = await tunnel(theatre, False)
            sent = [message(call(1), None, True), message(call(2, "Pass"), None, True)]
            await station.send(b"".join(sent))
            await slow.answer("disk full")
            assert await reads(csms, len(arrives)) == arrives and csms.got == b"".join(sent[-len(arrives) :])
            assert findings(theatre) == [f"plugin numbers: its State cannot be stored: disk full (on_error = {on_error})"]
            await station.send(message(call(3), None, True))
            await slow.answer()
            assert (await reads(csms, len(arrives) + 1))[-1] == counted(3, 1)

    play(body())


def test_on_error_close_ends_the_link(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, "close")
            slow = Slow(theatre)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(message(call(1), None, True))
            await slow.answer("disk full")
            assert await csms.rest() == b"" and await station.rest() == b""

    play(body())


def test_a_charger_finds_its_state_again(tmp_path: Path) -> None:
    """After its next dial and after a restart of the relay; another charger has one of its own."""
    async def count(theatre: Stage, identity: str, number: int) -> bytes:
        station, csms = await theatre.tunnel(head(identity))
        await station.send(message(call(number), None, True))
        found = (await reads(csms, 1))[0]
        station.reset()
        csms.reset()
        await theatre.no_links()
        return found

    async def body() -> None:
        for start in (1, 3):
            async with stage(tmp_path) as theatre:
                plug(theatre)
                assert await count(theatre, "CP1", 1) == counted(1, start)
                assert await count(theatre, "CP1", 1) == counted(1, start + 1)
                assert await count(theatre, "CP2", 1) == counted(1, start // 2 + 1)

    play(body())


def test_the_older_of_two_links_of_one_charger_keeps_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre)
            station, csms = await theatre.tunnel()
            newer, beyond = await theatre.tunnel()
            await newer.send(message(call(1), None, True))
            assert await reads(beyond, 1) == [counted(1, 1)]
            await station.send(message(call(1), None, True))
            assert await reads(csms, 1) == [call(1)]
            assert findings(theatre) == [f"plugin numbers: its State cannot be stored: {TAKEN_OVER} (on_error = pass)"]
            await newer.send(message(call(2), None, True))
            assert await reads(beyond, 2) == [counted(1, 1), counted(2, 2)]

    play(body())


class Pings(Numbers):
    """Counts pings as well, and drops every fourth."""

    def on_control(self, context: Context, sender: Side, frame: Control) -> Pass | Drop:
        count = context.state.count + 1
        context.keep(self.State(count))
        return Drop("fourth") if count % 4 == 0 else PASS


def test_a_control_frame_waits_for_what_its_hook_kept(tmp_path: Path) -> None:
    """Pings and messages of one chunk and of later ones: none leaves before the commits, and all do in their order."""
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            installed = (Installed("pings", Pings),)
            theatre.relay.env.chain = lambda identity, protocol: Chain(installed, "1.6")
            slow = Slow(theatre)
            station, csms, _ = await tunnel(theatre, False)
            pings = [b"\x89\x81abcd" + bytes((97 ^ number,)) for number in range(3)]
            passing = [message(call(number, "Pass"), None, True) for number in range(4)]
            await station.send(pings[0] + passing[0])
            await until(lambda: bool(slow.asked), "a State to be stored")
            for more in (message(call(7), None, True) + passing[1], pings[1] + passing[2], pings[2] + passing[3]):
                await station.send(more)
            with pytest.raises(BlockingIOError):
                csms.sock.recv(1)
            await slow.answer()
            assert await csms.read(len(pings[0] + passing[0])) == pings[0] + passing[0]
            with pytest.raises(BlockingIOError):
                csms.sock.recv(1)
            for _ in range(3):
                await slow.answer()
            changed = await csms.read(6 + len(b'[2,"7","Count",{"count":2}]'))
            assert texts(changed, False) == [b'[2,"7","Count",{"count":2}]']
            rest = passing[1] + pings[1] + passing[2] + passing[3]          # the third ping, count 4, is dropped
            assert await csms.read(len(rest)) == rest and not csms.got

    play(body())


@pytest.mark.parametrize("seed", range(6))
def test_any_chunking_and_any_pace_of_commits_keep_order_and_bytes(tmp_path: Path, seed: int) -> None:
    """Both directions, pings between, commits that take a while; FIN comes last. Every second seed is compressed."""
    rng, compressed = random.Random(seed), bool(seed % 2)

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre)
            loop, keep = asyncio.get_running_loop(), theatre.relay.env.states.keep

            def later(identity: str, epoch: int, rows: Sequence[Row], done: Callable[[str], object]) -> None:
                loop.call_later(rng.random() / 500, keep, identity, epoch, rows, done)

            theatre.relay.env.states.keep = later       # type: ignore[method-assign]
            station, csms, _ = await tunnel(theatre, compressed)
            extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
            sent, expected, count = b"", list[bytes](), 0
            for number in range(60):
                action = rng.choice(["Count", "Pass", "Pass", "ping"])
                count += action == "Count"
                expected.append({"ping": b"", "Pass": call(number, "Pass"), "Count": counted(number, count)}[action])
                sent += b"\x89\x80abcd" if action == "ping" else message(call(number, action), extension, True)
            back = [message(b'[2,"b%d","Pass",{}]' % number, None, False) for number in range(40)]

            async def talk(peer: Peer, data: bytes, most: int) -> None:
                while data:
                    size = rng.randint(1, most)
                    await peer.send(data[:size])
                    data = data[size:]
                    await asyncio.sleep(0)
                peer.half_close()

            _, _, there, home = await asyncio.gather(
                talk(station, sent, 400), talk(csms, b"".join(back), 200), csms.rest(), station.rest())
            assert texts(there, compressed) == expected
            assert home == b"".join(back)
            await theatre.no_links()
            assert findings(theatre) == []

    play(body())


def test_plugins_given_again_to_an_older_link_do_not_take_the_lease_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre)
            station, csms, link = await tunnel(theatre, False)
            newer, beyond = await theatre.tunnel()
            assert link.plugged is not None
            await until(lambda: link.plugged is not None and not link.plugged.keeper.gate.closed, "States are read")
            link.plugged.reseat((Installed("numbers", Numbers), Installed("more", Numbers)))
            await newer.send(message(call(1), None, True))
            assert await reads(beyond, 1) == [counted(1, 1)]
            await station.send(message(call(1), None, True))
            assert await reads(csms, 1) == [call(1)] and TAKEN_OVER in findings(theatre)[0]
            await newer.send(message(call(2), None, True))
            assert (await reads(beyond, 2))[1] == counted(2, 2)

    play(body())


def test_an_end_waits_for_what_came_before_it(tmp_path: Path) -> None:
    """FIN goes on behind the message that waited, and what ``on_close`` keeps is stored."""
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre)
            slow = Slow(theatre)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(message(call(1), None, True))
            station.half_close()
            await until(lambda: bool(slow.asked), "a State to be stored")
            del theatre.relay.env.states.keep
            slow.asked.pop()("")
            data = await csms.rest()
            assert texts(data, False) == [counted(1, 1)] and csms.ended == "fin"
            csms.close()
            await theatre.no_links()
            assert [record.kind for record in theatre.records() if record.kind is not Kind.BEAT][-2:] == [Kind.END, Kind.END]

    play(body())
    assert rows(tmp_path / "plugins.sqlite") == [("numbers", "CP1", 1, 1, row(101).body)]


def test_a_file_that_cannot_be_used_is_told_and_shown(tmp_path: Path) -> None:
    """Links go on with fresh States that are not kept, and the statistics say why."""
    async def body() -> None:
        (tmp_path / "plugins.sqlite").mkdir(parents=True)
        async with stage(tmp_path) as theatre:
            plug(theatre)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(message(call(1), None, True))
            assert await reads(csms, 1) == [call(1)]
            assert "its State cannot be read" in findings(theatre)[0] and "its State cannot be stored" in findings(theatre)[1]
            assert "directory" in theatre.relay.stats().state_error

    play(body())


def test_two_hundred_links_that_keep_at_once_keep_their_order(tmp_path: Path) -> None:
    """Each with five Calls in a chunk: all arrive, in order, with their numbers."""
    links, calls = 200, 5

    async def one(theatre: Stage, number: int) -> Peer:
        station = await theatre.dial()
        await station.send(head(f"CP{number}"))
        return station

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre)
            stations = [await one(theatre, number) for number in range(links)]
            peers = [await theatre.accept() for _ in range(links)]
            for peer in peers:
                await peer.head()
                await peer.send(SWITCH)
            for station in stations:
                await station.head()
            for station in stations:
                await station.send(b"".join(message(call(number), None, True) for number in range(1, calls + 1)))
            expected = [counted(number, number) for number in range(1, calls + 1)]
            for peer in peers:
                assert await reads(peer, calls) == expected
            assert findings(theatre) == []

    play(body())
    assert {body for *_, body in rows(tmp_path / "plugins.sqlite")} == {row(calls).body}


DYING = """
import os, signal, sys
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.relay import state_store, worker
from tests.relay.test_state_store import Numbers

answered = state_store.StateStore._answered

def dying(self, jobs, answers, error):
    if any(job.rows for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    answered(self, jobs, answers, error)

if sys.argv.pop() == "die":
    state_store.StateStore._answered = dying
chain = Chain((Installed("numbers", Numbers),), "1.6")


class Always:
    def chain(self, identity, protocol):
        return chain

    def version(self, protocol):
        return protocol.removeprefix("ocpp")

    def stale(self):
        return False

    def states(self):
        return ()


sys.exit(worker.main(sys.argv[1:], lambda config, again: Always()))
"""


def test_killed_between_commit_and_send_nothing_is_sent_twice_and_the_state_is_there(tmp_path: Path) -> None:
    """``kill -9`` when the State is on the disk and the message has not left: the next relay goes on from there."""
    listener, upstream = bound(), bound()
    config = Config(upstream=f"ws://127.0.0.1:{upstream.getsockname()[1]}", host="preserve")
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config))

    def relay(how: str) -> subprocess.Popen[bytes]:
        arguments = ["--instance", str(tmp_path), "--listen-fds", str(listener.fileno()), how]
        places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
        environment = {**os.environ, "PYTHONPATH": places}
        return subprocess.Popen([sys.executable, "-c", DYING, *arguments], pass_fds=(listener.fileno(),), env=environment)

    async def body() -> list[bytes]:
        loop, arrived = asyncio.get_running_loop(), list[bytes]()
        for how in ("die", "live"):
            child = relay(how)
            try:
                sock = socket.socket()
                sock.setblocking(False)
                await loop.sock_connect(sock, listener.getsockname())
                station = Peer(sock)
                await station.send(UPGRADE)
                csms = Peer((await asyncio.wait_for(loop.sock_accept(upstream), 2 * PATIENCE))[0])
                await csms.head()
                await csms.send(SWITCH)
                await station.head()
                await station.send(message(call(1), None, True))
                if how == "die":
                    arrived += texts(await csms.rest(), False)
                    assert await asyncio.to_thread(child.wait, PATIENCE) == -signal.SIGKILL
                    assert [body for *_, body in rows(tmp_path / "plugins.sqlite")] == [row(1).body]
                else:
                    arrived += await reads(csms, 1)
                station.close()
                csms.close()
            finally:
                child.kill()
                child.wait()
        return arrived

    try:
        assert asyncio.run(body()) == [counted(1, 2)]
    finally:
        listener.close()
        upstream.close()


class Doorman(Numbers):
    """Counts dials as well."""

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        context.keep(self.State(context.state.count + 10))
        return Admit()


def test_who_only_dials_takes_nobody_s_lease(tmp_path: Path) -> None:
    """A dial that the CSMS refuses leaves the open link its State; one that is let in finds what was kept meanwhile."""
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            installed = (Installed("numbers", Doorman),)
            theatre.relay.env.chain = lambda identity, protocol: Chain(installed, "1.6")
            station, csms = await theatre.tunnel()
            await station.send(message(call(1), None, True))
            assert await reads(csms, 1) == [counted(1, 11)]
            stranger = await theatre.dial()
            await stranger.send(UPGRADE)
            beyond = await theatre.accept()
            await beyond.head()                                     # it dials: 21 is stored, and the CSMS thinks about it
            await station.send(message(call(2), None, True))
            assert await reads(csms, 2) == [counted(1, 11), counted(2, 12)] and findings(theatre) == []
            await beyond.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            assert (await stranger.head()).startswith(b"HTTP/1.1 401")
            await station.send(message(call(3), None, True))
            assert (await reads(csms, 3))[2] == counted(3, 13) and findings(theatre) == []
            newer = await theatre.dial()
            await newer.send(UPGRADE)
            behind = await theatre.accept()
            await behind.head()                                     # 23
            await station.send(message(call(4), None, True))
            assert (await reads(csms, 4))[3] == counted(4, 14)
            await behind.send(SWITCH)
            await newer.head()
            await newer.send(message(call(5), None, True))
            assert await reads(behind, 1) == [counted(5, 15)]
            await station.send(message(call(6), None, True))
            assert (await reads(csms, 5))[4] == call(6, "Count")
            assert TAKEN_OVER in findings(theatre)[0]

    play(body())


def test_no_name_and_no_fault_of_one_plugin_ends_the_thread_for_all(tmp_path: Path) -> None:
    name = "plugin-\udcff"                      # a file whose name is no UTF-8

    async def body() -> None:
        loop = asyncio.get_running_loop()
        store = StateStore(tmp_path / "plugins.sqlite", "w", loop)
        opened, said = list[Opened](), list[str]()
        store.open("CP1", [name], opened.append)
        await until(lambda: bool(opened))
        store.keep("CP1", opened[0].epoch, [Row(name, 1 << 70, b"")], said.append)          # no number SQLite has
        await until(lambda: len(said) == 1)
        assert "too large" in said[0]
        store.keep("CP1", opened[0].epoch, [Row(name, 1, b"x")], said.append)
        store.open("CP1", [name], opened.append)
        await until(lambda: len(opened) == 2)
        assert (said[1:], opened[1].found) == ([""], {name: Stored(1, b"x")})
        store.close()

    play(body())
