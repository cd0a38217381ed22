"""Facts beside the bytes: keep-alive on both legs, a suspended machine, statistics, early flush of a turn."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ocpp_proxy.relay import relay as relay_module
from ocpp_proxy.relay.spool import MAX_RECORDS, Entry
from ocpp_proxy.relay.turn import Turn
from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import notes, of, play, stage


def test_keep_alive_and_user_time_out_on_both_legs(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            await s.tunnel()
            link = s.relay.env.links[1]
            for leg in (link.station, link.csms):  # type: ignore[attr-defined]  # Member is what the relay needs of a link
                sock = leg.transport.get_extra_info("socket")
                names = ("KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT", "NODELAY")
                options = [getattr(socket, "TCP_" + name) for name in names]
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [60, 15, 4, 120_000, 1]

    play(body())


def test_a_suspended_machine_is_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            slept = relay_module._suspended_ns()
            monkeypatch.setattr(relay_module, "_suspended_ns", lambda: slept + 90_000_000_000)
            await s.until(lambda: bool(notes(s.records())))
            (note,) = notes(s.records(), 0)
            assert (note.kind, note.text) == ("suspended", "90.0")

    play(body())


def test_statistics_are_written_and_beats_go_on(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            await s.tunnel()
            await s.until(lambda: len(of(s.records(), Kind.BEAT)) >= 6)
            found = json.loads((tmp_path / "relay-0.json").read_bytes())
            assert (found["links"], found["accepted"], found["gaps"]) == (1, 1, 0)
            assert found["turns"] >= 4 and 0 < found["turn_p999_ns"] <= found["turn_longest_ns"]
            assert (tmp_path / "relay-0.json").stat().st_mode & 0o777 == 0o600

    play(body())


def test_a_turn_is_flushed_early_and_a_failing_call_harms_no_other() -> None:
    turns: list[int] = []
    passed: list[int] = []
    failed: list[int] = []

    class Spy:
        seq = 0

        def append(self, turn: list[Entry]) -> None:
            turns.append(len(turn))

        def append_one(self, direction: int, link: int, offset: int, data: bytes, mono_ns: int) -> bool:
            return False

    def forward(number: int) -> None:
        if number % 3 == 0:
            raise RuntimeError("closed")
        passed.append(number)

    async def body() -> None:
        turn = Turn(asyncio.get_running_loop(), Spy())
        turn.on_failure = lambda entry, error: failed.append(entry[6])
        for number in range(MAX_RECORDS + 10):
            turn.add(Kind.IN, 0, 1, 0, b"x", forward, number)
        assert turns == [MAX_RECORDS]
        turn.add(Kind.IN, 0, 1, 0, bytes(5 << 20), forward, MAX_RECORDS + 10)
        assert turns == [MAX_RECORDS, 11]
        turn.flush()
        assert sorted(passed + failed) == list(range(MAX_RECORDS + 11)) and failed == list(range(0, MAX_RECORDS + 11, 3))

    play(body())


def test_a_chunk_after_a_quiet_moment_goes_through_at_once_and_the_next_ones_together() -> None:
    done: list[str] = []

    class Spy:
        seq = 0
        room = True

        def append(self, turn: list[Entry]) -> None:
            done.append(f"append {len(turn)}")

        def append_one(self, direction: int, link: int, offset: int, data: bytes, mono_ns: int) -> bool:
            done.append("append one" if self.room else "refused")
            return self.room

    def forward(data: bytes) -> None:
        done.append(f"pass {data.decode()}")
        if data == b"e":
            raise RuntimeError("closed")

    async def body() -> None:
        spy = Spy()
        turn = Turn(asyncio.get_running_loop(), spy)
        turn.on_failure = lambda entry, error: done.append(f"failed {entry[6].decode()}")

        def chunk(data: bytes, call: Callable[[bytes], None] | None = forward) -> None:
            turn.chunk(0, 1, 0, data, call)

        chunk(b"a")                         # quiet before: at once
        assert done == ["append one", "pass a"] and sum(turn.buckets) == 1
        turn.add(Kind.NOTE, 0, 1, 0, b"n")
        turn.entries.append((Kind.IN, 0, 1, 0, b"b", forward, b"b"))
        turn.flush()
        assert done[2:] == ["append 2", "pass b"]
        turn._over = 1 << 62                # a turn has ended just now: collected, in order
        chunk(b"c")
        turn.add(Kind.IN, 0, 1, 0, b"d", forward, b"d")
        assert turn.armed and done[4:] == []
        await asyncio.sleep(0)
        assert done[4:] == ["append 2", "pass c", "pass d"]
        turn._over, spy.room = 0, False     # no room: the ordinary way counts it
        chunk(b"f")
        assert done[7:] == ["refused"] and turn.armed
        turn.flush()
        turn._over, spy.room = 0, True
        chunk(b"e")
        assert done[8:] == ["append 1", "pass f", "append one", "pass e", "failed e"]

    play(body())
