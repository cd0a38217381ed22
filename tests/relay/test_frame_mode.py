"""Frame mode live: a link switches at a message boundary, untouched bytes stay, changed messages reach a real decoder."""

import asyncio
import random
from pathlib import Path

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.core.session import PASS, Drop, Replace, Transform, Verdict
from ocpp_proxy.records import FrameSeen, Source
from ocpp_proxy.relay.framing import CLOSING, KEYS_BYTES, NO_BOUNDARY, Keys
from ocpp_proxy.relay.link import Link
from ocpp_proxy.wire.frames import FrameReader, WireFrame
from ocpp_proxy.wire.spool import CSMS, STATION, Disposition, Kind, decode_body
from tests.relay.stage import PATIENCE, SWITCH, UPGRADE, Peer, Stage, of, play, stage, stream

DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


async def tunnel(theatre: Stage, compressed: bool) -> tuple[Peer, Peer, Link]:
    extra = DEFLATE if compressed else b""
    station = await theatre.dial()
    await station.send(UPGRADE[:-2] + extra + b"\r\n")
    csms = await theatre.accept()
    await csms.head()
    await csms.send(SWITCH[:-2] + extra + b"\r\n")
    await station.head()
    link = next(iter(theatre.relay.env.links.values()))
    assert isinstance(link, Link)
    return station, csms, link


def message(text: bytes, extension: PerMessageDeflate | None, masked: bool, pieces: int = 1) -> bytes:
    size = -(-len(text) // pieces)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    out = b""
    for index, part in enumerate(parts):
        frame = Frame(Opcode.TEXT if index == 0 else Opcode.CONT, part, fin=index == len(parts) - 1)
        out += frame.serialize(mask=masked, extensions=[extension] if extension else [])
    return out


def texts(data: bytes, compressed: bool) -> list[bytes]:
    decoder, frames, out, parts = PerMessageDeflate(False, False, 15, 15), list[WireFrame](), list[bytes](), b""
    FrameReader(True, compressed).feed(data, frames)
    for wire in frames:
        frame = Frame(Opcode(wire.opcode), wire.payload, wire.fin, bool(wire.header[0] & 0x40))
        parts += bytes((decoder.decode(frame) if compressed else frame).data)
        if wire.fin:
            out.append(parts)
            parts = b""
    return out


def marking(text: bytes, at: int = 0, opcode: int = 1) -> Verdict:
    if b"drop" in text:
        return Drop("test")
    return Replace(text.replace(b"change", b"CHANGED")) if b"change" in text else PASS


async def received(peer: Peer, count: int, compressed: bool) -> list[bytes]:
    """Read on until so many whole messages are there."""
    while len(texts(peer.got, compressed)) < count and await peer.more():
        pass
    return texts(peer.got, compressed)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("seed", range(4))
def test_live_switch_loses_and_alters_nothing(tmp_path: Path, compressed: bool, seed: int) -> None:
    source = random.Random(seed)
    words = [source.choice((b"keep", b"change", b"drop")) + b" %d " % number + b"same words again " * 4 for number in range(60)]
    at = source.randrange(10, 50)
    extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
    wires = [message(word, extension, True, source.choice((1, 1, 3))) for word in words]

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.framing = True
            station, csms, link = await tunnel(theatre, compressed)
            first = b"".join(wires[:at])
            cut = len(first) - source.randrange(1, len(wires[at - 1]))     # the switch is asked for inside a message
            await station.send(first[:cut])
            while len(csms.got) < cut and not compressed and await csms.more():
                pass
            asked = link.framing[STATION].switch(marking)
            rest = first[cut:] + b"".join(wires[at:])
            while rest:
                size = source.choice((1, 5, 60, 500))
                await station.send(rest[:size])
                rest = rest[size:]
            assert await asyncio.wait_for(asked, PATIENCE) == ""
            station.half_close()
            while await csms.more():
                pass
            got = texts(csms.got, compressed)
            switched = next((n for n, word in enumerate(words) if b"CHANGED" in b"".join(got) and word not in got), len(words))
            expected = words[:switched]
            for word in words[switched:]:
                verdict = marking(word)
                if not isinstance(verdict, Drop):
                    expected.append(verdict.text if isinstance(verdict, Replace) else word)
            assert got == expected
            assert switched <= at + 40
            csms.half_close()
            await theatre.no_links()
            assert stream(theatre.records(), STATION).endswith(b"".join(wires))

    play(body())


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_untouched_traffic_keeps_its_bytes_both_ways(tmp_path: Path, compressed: bool) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.framing = True
            station, csms, link = await tunnel(theatre, compressed)
            passing: Transform = lambda *about: PASS      # noqa: E731  # one word is all it says
            assert await link.framing[STATION].switch(passing) == ""
            assert await link.framing[CSMS].switch(passing) == ""
            for sender, receiver, masked in ((station, csms, True), (csms, station, False)):
                extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
                data = b"".join(message(b"text %d" % number * 20, extension, masked, 1 + number % 3) for number in range(30))
                data += Frame(Opcode.PING, b"p").serialize(mask=masked)
                await sender.send(data)
                assert await receiver.read(len(data)) == data
            assert of(theatre.records(), Kind.OUT, Kind.DISP) == []

    play(body())


def test_what_we_made_is_in_the_spool_with_its_cause(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.framing = True
            station, csms, link = await tunnel(theatre, False)
            await link.framing[STATION].switch(marking)
            await station.send(message(b"change me", None, True) + message(b"drop me", None, True))
            await station.send(message(b"keep me", None, True))
            assert await received(csms, 2, False) == [b"CHANGED me", b"keep me"]
            records = theatre.records()
            out = of(records, Kind.OUT)
            assert len(out) == 1
            assert csms.got.startswith(out[0].data)
            told = [decode_body(record) for record in of(records, Kind.DISP)]
            assert [(body.what, body.reason) for body in told if isinstance(body, Disposition)] == [
                ("replaced", ""), ("dropped", "test"),
            ]
            arrived = {record.seq for record in of(records, Kind.IN, direction=STATION)}
            for body in told:
                assert isinstance(body, Disposition)
                assert body.seqs and set(body.seqs) <= arrived

    play(body())


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_the_capture_links_original_and_sent_frames(tmp_path: Path, compressed: bool) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.framing = True
            station, csms, link = await tunnel(theatre, compressed)
            extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
            await station.send(message(b"before the switch", extension, True))
            if not compressed:
                await csms.read(len(message(b"before the switch", None, True)))
            assert await link.framing[STATION].switch(marking) == ""
            words = [b"change one", b"drop two", b"change three", b"keep four"]
            await station.send(b"".join(message(word, extension, True, 1 + number % 3) for number, word in enumerate(words)))
            left = await received(csms, 3 if not compressed else 4, compressed)
            assert left[-3:] == [b"CHANGED one", b"CHANGED three", b"keep four"]
            assert link.framing[CSMS].inject(b"ours", "test") is compressed     # else not in frame mode yet
            records = theatre.records()
            seen = list[Source]()
            assembler = Assembler(Ids())
            for record in records:
                assembler.feed(record, seen)
            frames = {record.frame.frame_id: record.frame for record in seen if isinstance(record, FrameSeen)}
            made = [frame for frame in frames.values() if frame.cause]
            assert [(frame.payload, frame.verdict) for frame in made][:2] == [
                (b"CHANGED one", "modified"), (b"CHANGED three", "modified"),
            ]
            originals = [frames[frame.cause[-1]] for frame in made]
            assert [frame.text or frame.payload for frame in originals][:2] == [b"change one", b"change three"]
            assert [frame.verdict for frame in originals] == ["replaced", "replaced", *([""] if compressed else [])]
            assert [len(frame.cause) for frame in made][:2] == [1, 3]
            assert [frame.text or frame.payload for frame in frames.values() if frame.verdict == "dropped"] == [b"drop two"]
            order = [record.kind for record in records if record.kind in (Kind.DISP, Kind.OUT)]
            assert order.index(Kind.DISP) < order.index(Kind.OUT)

    play(body())


def test_an_injected_message_waits_for_the_boundary(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.framing = True
            station, csms, link = await tunnel(theatre, False)
            await link.framing[STATION].switch(lambda *about: PASS)
            whole = message(b"a longer message", None, True, 3)
            await station.send(whole[:9])
            assert link.framing[STATION].inject(b"ours", "test")
            await station.send(whole[9:])
            assert sorted(await received(csms, 2, False)) == [b"a longer message", b"ours"]

    play(body())


def test_a_switch_that_cannot_be_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy.relay.framing.SWITCH_SECONDS", 0.05)

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.framing = True
            station, csms, link = await tunnel(theatre, False)
            await station.send(message(b"begun", None, True)[:4])
            assert await csms.read(4)
            assert await link.framing[STATION].switch(marking) == NO_BOUNDARY
            await csms.send(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False))
            assert await station.read(4)
            assert await link.framing[CSMS].switch(marking) == CLOSING

    play(body())


def test_links_that_nobody_may_change_are_not_framed(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            _, _, link = await tunnel(theatre, True)
            assert link.framing == ()
            assert link.station.reader is None

    play(body())


def test_no_random_byte_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    stream_of = bytearray()

    def fetch(count: int) -> bytes:
        made = random.Random(len(stream_of)).randbytes(count)
        stream_of.extend(made)
        return made

    monkeypatch.setattr("ocpp_proxy.relay.framing.os.urandom", fetch)
    keys = Keys()
    given = [keys.take(count) for count in (4, 4, KEYS_BYTES, 4, KEYS_BYTES + 9, *([4] * 3000))]
    assert [len(one) for one in given[:5]] == [4, 4, KEYS_BYTES, 4, KEYS_BYTES + 9]
    places = [stream_of.index(one) for one in given]
    assert all(at + len(one) <= after for at, one, after in zip(places, given, places[1:], strict=False))
