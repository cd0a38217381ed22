"""A link end to end: bytes both ways, ends of all kinds, back-pressure, neighbours."""

import asyncio
from pathlib import Path

from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import SWITCH, UPGRADE, Peer, ends, heads, notes, of, play, stage, stream


def test_bytes_pass_both_ways_and_stand_in_the_spool(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station, csms = await s.tunnel()
            await station.send(b"\x81\x83abcdef" * 10)
            assert await csms.read(80) == b"\x81\x83abcdef" * 10
            await csms.send(b"\x81\x02hi")
            assert await station.read(4) == b"\x81\x02hi"
            station.close()
            assert await csms.rest() == b"" and csms.ended == "fin"
            csms.close()
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == UPGRADE + b"\x81\x83abcdef" * 10
            assert stream(records, 1) == SWITCH + b"\x81\x02hi"
            kinds = [record.kind for record in records if record.link == 1 and record.kind is not Kind.IN]
            assert kinds == [Kind.OPEN, Kind.HEAD, Kind.HEAD, Kind.END, Kind.END]
            up, down = ends(records)
            assert (up.read, up.written, up.unsent, up.how, up.first) == (len(UPGRADE) + 80, len(UPGRADE) + 80, 0, "fin", True)
            assert (down.read, down.how, down.first) == (len(SWITCH) + 4, "fin", False)
            assert heads(records)[0].identity == "CP1" and heads(records, 1)[0].status == 101
            assert [record.seq for record in records] == list(range(1, len(records) + 1))

    play(body())


def test_half_close_by_the_station_leaves_the_other_direction_open(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station, csms = await s.tunnel()
            await station.send(b"last")
            station.half_close()
            assert await csms.rest() == b"last" and csms.ended == "fin"
            for number in range(3):
                await csms.send(b"m%d" % number)
                assert await station.read(2) == b"m%d" % number
            csms.close()
            assert await station.rest() == b"" and station.ended == "fin"
            await s.no_links()
            assert [end.first for end in ends(s.records())] == [True, False]

    play(body())


def test_half_close_by_the_csms_leaves_the_other_direction_open(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station, csms = await s.tunnel()
            csms.half_close()
            assert await station.rest() == b"" and station.ended == "fin"
            await station.send(b"more")
            assert await csms.read(4) == b"more"
            station.close()
            assert await csms.rest() == b"" and csms.ended == "fin"
            await s.no_links()

    play(body())


def test_rst_of_one_side_is_rst_at_the_other_behind_the_bytes_before_it(tmp_path: Path) -> None:
    async def once(name: str, by_station: bool) -> None:
        async with stage(tmp_path / name) as s:
            station, csms = await s.tunnel()
            near, far = (station, csms) if by_station else (csms, station)
            await near.send(b"partial frame")
            await s.until(lambda: b"partial" in stream(s.records(), int(not by_station)))
            near.reset()
            await s.no_links()
            assert await far.rest() == b"partial frame" and far.ended == "rst"
            end = ends(s.records())[int(not by_station)]
            assert (end.how, end.first, end.unsent) == ("rst", True, 0)

    play(once("station", True))
    play(once("csms", False))


def test_a_vanished_peer_is_noted_and_resets_the_other_leg(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station, csms = await s.tunnel()
            leg = s.relay.env.links[1].station  # type: ignore[attr-defined]  # Member is what the relay needs of a link
            leg.transport.abort()
            leg.connection_lost(TimeoutError(110, "Connection timed out"))
            assert await csms.rest() == b"" and csms.ended == "rst"
            await s.no_links()
            records = s.records()
            assert [note.kind for note in notes(records)] == ["peer_vanished"]
            assert [end.how for end in ends(records)] == ["vanished", "vanished"]
            station.close()

    play(body())


def test_a_peer_that_does_not_read_holds_the_other_back_within_256_kib(tmp_path: Path) -> None:
    async def once(name: str, by_station: bool) -> None:
        async with stage(tmp_path / name) as s:
            station, csms = await s.tunnel()
            sender, reader = (station, csms) if by_station else (csms, station)
            link = s.relay.env.links[1]
            to = link.csms if by_station else link.station  # type: ignore[attr-defined]
            block, sent, most = b"x" * 65536, 0, 0
            while True:
                try:
                    await asyncio.wait_for(sender.loop.sock_sendall(sender.sock, block), 0.5)
                except TimeoutError:
                    break
                sent += len(block)
                most = max(most, to.transport.get_write_buffer_size())
                assert sent < 32 << 20, "the sender was never held back"
            most = max(most, to.transport.get_write_buffer_size())
            assert 0 < most <= 256 << 10
            sender.half_close()
            got = await reader.rest()
            assert len(got) >= sent and set(got) == {ord("x")}

    play(once("up", True))
    play(once("down", False))


def test_resets_of_neighbours_leave_other_links_without_a_hole(tmp_path: Path) -> None:
    async def count(peer: Peer, stop: asyncio.Event) -> int:
        number = 0
        while not stop.is_set():
            await peer.send(b"".join(b"%08d" % n for n in range(number, number + 50)))
            number += 50
            await asyncio.sleep(0)
        return number

    async def collect(peer: Peer) -> bytes:
        return await peer.rest()

    async def body() -> None:
        async with stage(tmp_path) as s:
            pairs = [await s.tunnel() for _ in range(3)]
            stop = asyncio.Event()
            senders = [asyncio.create_task(count(station, stop)) for station, _ in pairs]
            readers = [asyncio.create_task(collect(csms)) for _, csms in pairs]
            for number in range(500):
                station, csms = await s.tunnel()
                await asyncio.gather(station.send(b"y" * 5000), csms.send(b"z" * 5000))
                (station if number % 2 else csms).reset()
                (csms if number % 2 else station).close()
                s.peers = s.peers[:6]
            stop.set()
            for (station, _), sender, reader in zip(pairs, senders, readers, strict=True):
                total = await sender
                station.half_close()
                got = await reader
                assert got == b"".join(b"%08d" % n for n in range(total))
            for _, csms in pairs:
                csms.close()
            await s.no_links()
            records = s.records()
            for link in (1, 2, 3):
                assert len(of(records, Kind.END, link=link)) == 2
                assert len(stream(records, 0, link)) == ends(records, link)[0].read

    play(body())
