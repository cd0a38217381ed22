"""Addresses: IPv6 on both legs, and a CSMS that has several addresses of which not all are alive."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from ocpp_proxy.config import Config
from ocpp_proxy.relay import dial
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import SWITCH, UPGRADE, bound, ends, heads, notes, of, play, stage, stream

LOOPBACK6, UPSTREAM6 = "::1", "ws://[::1]:{port}"


def ipv6() -> bool:
    try:
        bound(LOOPBACK6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6(), reason="kernel: no IPv6 loopback address")


@needs_ipv6
def test_a_link_over_ipv6_on_both_legs(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, upstream=UPSTREAM6, host=LOOPBACK6) as s:
            station = await s.dial()
            await station.send(UPGRADE)
            csms = await s.accept()
            assert await csms.read(len(UPGRADE)) == UPGRADE
            await csms.send(SWITCH)
            assert await station.read(len(SWITCH)) == SWITCH
            await station.send(b"\x81\x83abcdef" * 10)
            assert await csms.read(80) == b"\x81\x83abcdef" * 10
            await csms.send(b"\x81\x02hi")
            assert await station.read(4) == b"\x81\x02hi"
            station.half_close()
            assert await csms.rest() == b"" and csms.ended == "fin"
            csms.close()
            assert await station.rest() == b"" and station.ended == "fin"
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == UPGRADE + b"\x81\x83abcdef" * 10 and stream(records, 1) == SWITCH + b"\x81\x02hi"
            opened = spool.decode_body(of(records, Kind.OPEN)[0])
            port = station.sock.getsockname()[1]
            assert isinstance(opened, spool.Open)
            assert (opened.remote, opened.listener) == (f"[::1]:{port}", f"[::1]:{s.port}")
            assert [end.how for end in ends(records)] == ["fin", "fin"]
            assert heads(records)[0].upstream == f"ws://[::1]:{s.csms_listener.getsockname()[1]}/CP1"

    play(body())


@needs_ipv6
@pytest.mark.parametrize("by_station", [True, False])
def test_a_reset_over_ipv6_is_a_reset(tmp_path: Path, by_station: bool) -> None:
    async def body() -> None:
        async with stage(tmp_path, upstream=UPSTREAM6, host=LOOPBACK6) as s:
            station, csms = await s.tunnel()
            near, far = (station, csms) if by_station else (csms, station)
            near.reset()
            assert await far.rest() == b"" and far.ended == "rst"
            await s.no_links()
            assert [end.how for end in ends(s.records())] == ["rst", "rst"]

    play(body())


@needs_ipv6
def test_a_host_that_is_this_proxy_in_ipv6_becomes_the_upstream_s_and_a_loop_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path / "host", Config(host="auto"), UPSTREAM6, LOOPBACK6) as s:
            station = await s.dial()
            await station.send(UPGRADE.replace(b"127.0.0.1", b"[::1]:%d" % s.port))
            csms = await s.accept()
            assert b"\r\nHost: [::1]:%d\r\n" % s.csms_listener.getsockname()[1] in await csms.head()
        listener = bound(LOOPBACK6)
        own = listener.getsockname()
        assert dial.calls_itself("::1", own[1], [(own[0], own[1])]) and dial.calls_itself("::1", own[1], [("::", own[1])])
        assert not dial.calls_itself("::1", own[1], [("127.0.0.1", own[1])])
        listener.close()

    play(body())


@contextmanager
def refusing() -> Iterator[tuple[str, int]]:
    """An address that answers every dial with RST: bound, never listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


@contextmanager
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers nothing: the queue of its listener is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("kind", ["refusing", "silent"])
def test_the_second_address_is_tried_when_the_first_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    tried: list[int] = []
    made: list[socket.socket | OSError] = []
    attempt = dial._attempt

    async def counted(loop: asyncio.AbstractEventLoop, address: dial.Address) -> socket.socket | OSError:
        tried.append(address[2])
        made.append(await attempt(loop, address))
        return made[-1]

    async def body() -> None:
        with refusing() if kind == "refusing" else silent() as dead:
            async with stage(tmp_path, upstream="ws://csms.example:{port}") as s:
                alive = s.csms_listener.getsockname()

                async def resolve(loop: object, host: str, port: int) -> list[dial.Address]:
                    assert (host, port) == ("csms.example", alive[1])
                    return [(socket.AF_INET, where[0], where[1], where) for where in (dead, alive)]

                monkeypatch.setattr(dial, "_resolve", resolve)
                monkeypatch.setattr(dial, "_attempt", counted)
                await s.tunnel()
                assert tried == [dead[1], alive[1]]
                winners = [each for each in made if isinstance(each, socket.socket)]
                assert len(winners) == 1 and not notes(s.records())

    play(body())


def test_when_all_addresses_are_dead_the_answer_is_502_after_one_attempt_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []
    attempt = dial._attempt

    async def counted(loop: asyncio.AbstractEventLoop, address: dial.Address) -> socket.socket | OSError:
        tried.append(address[2])
        return await attempt(loop, address)

    async def body() -> None:
        with refusing() as one, refusing() as two:
            async with stage(tmp_path, upstream="ws://csms.example:{port}") as s:
                async def resolve(loop: object, host: str, port: int) -> list[dial.Address]:
                    return [(socket.AF_INET, where[0], where[1], where) for where in (one, two)]

                monkeypatch.setattr(dial, "_resolve", resolve)
                monkeypatch.setattr(dial, "_attempt", counted)
                station = await s.dial()
                await station.send(UPGRADE)
                assert (await station.rest()).startswith(b"HTTP/1.1 502 ")
                assert tried == [one[1], two[1]]
                await s.until(lambda: any(note.kind == "upstream_failed" for note in notes(s.records())))

    play(body())


def test_families_are_tried_in_turns() -> None:
    class Resolver:
        async def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
            six = [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{n}", port, 0, 0)) for n in (1, 2, 3)]
            return [*six, (socket.AF_INET, 1, 6, "", ("192.0.2.1", port))]

    async def body() -> None:
        found = await dial._resolve(cast(asyncio.AbstractEventLoop, Resolver()), "csms.example", 80)
        assert not isinstance(found, dial.Failure)
        assert [address[1] for address in found] == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]

    play(body())
