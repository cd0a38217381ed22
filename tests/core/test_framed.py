"""Frame mode in the capture: what became of a received message stands on its frame, what was made from it names its frames."""

import pytest

from ocpp_proxy import records
from ocpp_proxy.core import framed
from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.core.session import PASS, Drop, Dropped, Made, Replace, Session, Verdict
from ocpp_proxy.model import Frame, Opcode
from ocpp_proxy.wire.deflate import Inflater, InflaterState
from ocpp_proxy.wire.spool import Disposition, Kind, SpoolRecord, encode_body
from tests.core.feeds import CSMS, DEFLATE, STATION, Deflater, Relay, wire_frame

MASK = b"\x11\x22\x33\x44"


def marking(text: bytes, at: int, opcode: int) -> Verdict:
    if b"drop" in text:
        return Drop("test")
    return Replace(text.replace(b"change", b"CHANGED"), "why") if b"change" in text else PASS


def through(relay: Relay, stream: bytes, size: int, compressed: bool = False) -> None:
    """What the relay appends for a station's bytes in frame mode, in chunks of ``size``."""
    inflater = Inflater(InflaterState(True)) if compressed else None
    session = Session(
        marking, masked=True, inflater=inflater, entropy=lambda count: bytes(count),
        watch=lambda opcode, payload: Drop("quiet") if payload == b"drop" else None,
    )
    base = relay.offsets[1, STATION]
    for at in range(0, len(stream), size):
        data = stream[at : at + size]
        ours = [effect for effect in session.feed(data) if isinstance(effect, Made | Dropped)]
        for effect in ours:
            what = effect.what if isinstance(effect, Made) else "dropped"
            body = Disposition((relay.seq,), what, "marker", effect.reason)
            relay.add(Kind.DISP, 1, STATION, encode_body(body), at=base + effect.at)
        relay.data(1, STATION, data)
        for effect in ours:
            if isinstance(effect, Made):
                relay.add(Kind.OUT, 1, STATION, effect.data, at=base + effect.at)


def assembled(spool: list[SpoolRecord], restart: bool = False) -> list[records.Source]:
    out: list[records.Source] = []
    assembler = Assembler(Ids())
    stored: dict[str, bytes] = {}
    for record in spool:
        assembler.feed(record, out)
        if restart:
            for key, piece in assembler.changed().items():
                if piece is None:
                    stored.pop(key, None)
                else:
                    stored[key] = piece
            assembler = Assembler(Ids())
            assembler.restore(stored)
    return out


def data_frames(out: list[records.Source]) -> list[Frame]:
    return [
        record.frame for record in out
        if isinstance(record, records.FrameSeen) and record.frame.opcode in (Opcode.TEXT, Opcode.CONTINUATION)
    ]


def told(out: list[records.Source]) -> list[str]:
    return [record.text for record in out if isinstance(record, records.Note) and record.kind == "plugin"]


def pieces_of(text: bytes, pieces: int) -> bytes:
    """A message in so many fragments."""
    step = -(-len(text) // pieces)
    parts = [text[at : at + step] for at in range(0, len(text), step)]
    return b"".join(
        wire_frame(part, opcode=0 if place else 1, fin=place == len(parts) - 1, mask=MASK) for place, part in enumerate(parts)
    )


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "restarted at every record"])
@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
def test_every_frame_we_made_names_the_frames_it_was_made_from(size: int, restart: bool) -> None:
    relay = Relay()
    relay.tunnel(1)
    texts = [(b"keep one", 1), (b"change two", 1), (b"drop three", 1), (b"change four", 3), (b"drop five", 2), (b"keep six", 2)]
    ping = wire_frame(b"", opcode=9, mask=MASK)
    stream = ping.join(pieces_of(text, pieces) for text, pieces in texts)
    through(relay, stream, size)
    out = assembled(relay.records, restart)
    received = [frame for frame in data_frames(out) if not frame.cause]
    made = [frame for frame in data_frames(out) if frame.cause]
    assert b"".join(frame.payload for frame in received) == b"".join(text for text, _ in texts)
    assert [(frame.payload, frame.verdict) for frame in received if frame.verdict] == [
        (b"change two", "replaced"), (b"drop three", "dropped"), (b"our", "replaced"), (b"five", "dropped"),
    ]
    by_id = {frame.frame_id: frame for frame in received}
    assert [(frame.payload, frame.verdict) for frame in made] == [(b"CHANGED two", "modified"), (b"CHANGED four", "modified")]
    assert [b"".join(by_id[number].payload for number in frame.cause) for frame in made] == [b"change two", b"change four"]
    names = [frame.frame_id for frame in received if frame.verdict]
    assert told(out) == [
        f"marker: replaced: why (frame {names[0]})", f"marker: dropped: test (frame {names[1]})",
        f"marker: replaced: why (frame {names[2]})", f"marker: dropped: test (frame {names[3]})",
    ]


@pytest.mark.parametrize("size", [3, 10_000])
def test_compressed_messages_that_leave_inflated_are_linked_and_nothing_is_said_of_them(size: int) -> None:
    relay, deflater = Relay(), Deflater()
    relay.tunnel(1, DEFLATE)
    texts = [b"keep the same words", b"change the same words", b"keep the same words again"]
    stream = b"".join(wire_frame(deflater.message(text), mask=MASK, rsv=0x40) for text in texts)
    through(relay, stream, size, compressed=True)
    out = assembled(relay.records)
    received = [frame for frame in data_frames(out) if not frame.cause]
    made = [frame for frame in data_frames(out) if frame.cause]
    assert [(frame.text, frame.verdict) for frame in received] == list(zip(texts, ("", "replaced", ""), strict=True))
    assert [(frame.payload, frame.verdict, frame.cause) for frame in made] == [
        (b"CHANGED the same words", "modified", (received[1].frame_id,)),
        (b"keep the same words again", "inflated", (received[2].frame_id,)),
    ]
    assert told(out) == [f"marker: replaced: why (frame {received[1].frame_id})"]


def test_what_is_made_from_nothing_is_injected_and_what_came_from_lost_bytes_says_so() -> None:
    relay = Relay()
    relay.tunnel(1)
    base = relay.offsets[1, STATION]
    relay.add(Kind.DISP, 1, CSMS, encode_body(Disposition((), "injected", "asker", "why")))
    relay.add(Kind.OUT, 1, CSMS, wire_frame(b"ours"))
    lost = wire_frame(b"change me", mask=MASK)
    relay.add(Kind.DISP, 1, STATION, encode_body(Disposition((), "replaced", "marker")), at=base + len(lost))
    relay.data(1, STATION, lost)
    relay.records.pop()                                 # its bytes never reached the spool
    relay.add(Kind.OUT, 1, STATION, wire_frame(b"CHANGED me", mask=MASK), at=base + len(lost))
    relay.data(1, STATION, wire_frame(b"next", mask=MASK))
    out = assembled(relay.records)
    assert [(frame.payload, frame.verdict, frame.cause) for frame in data_frames(out) if frame.verdict] == [
        (b"ours", "injected", ()), (b"CHANGED me", "modified", ()),
    ]
    assert told(out) == ["asker: injected: why", "marker: replaced (a frame the capture misses)"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framed, "MOST_TOLD", 2)
    monkeypatch.setattr(framed, "MOST_MADE", 2)
    monkeypatch.setattr(framed, "MOST_FRAMES", 3)
    relay = Relay()
    relay.tunnel(1)
    base, one = relay.offsets[1, STATION], wire_frame(b"change", mask=MASK)
    for number in range(1, 4):
        relay.add(Kind.DISP, 1, STATION, encode_body(Disposition((), "replaced")), at=base + number * len(one))
    relay.data(1, STATION, one * 3)
    long = pieces_of(b"change", 6)
    end = relay.offsets[1, STATION] + len(long)
    relay.add(Kind.DISP, 1, STATION, encode_body(Disposition((), "replaced")), at=end)
    relay.data(1, STATION, long)
    for place in (base + len(one), base + 2 * len(one), base + 3 * len(one), end):
        relay.add(Kind.OUT, 1, STATION, one, at=place)
    received, made = (
        [frame for frame in data_frames(assembled(relay.records)) if (frame.verdict == "modified") is ours]
        for ours in (False, True)
    )
    assert [frame.verdict for frame in received[:3]] == ["", "replaced", "replaced"]       # the first was forgotten
    assert [frame.cause for frame in made[:3]] == [(), (), (received[2].frame_id,)]
    assert made[3].cause == (received[3].frame_id, received[4].frame_id, received[-1].frame_id)


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "restarted at every record"])
@pytest.mark.parametrize("size", [1, 9, 10_000])
def test_a_dropped_control_frame_is_marked_and_the_message_around_it_is_still_linked(size: int, restart: bool) -> None:
    relay = Relay()
    relay.tunnel(1)
    first, second = wire_frame(b"change ", opcode=1, fin=False, mask=MASK), wire_frame(b"this", opcode=0, mask=MASK)
    quiet, loud = wire_frame(b"drop", opcode=9, mask=MASK), wire_frame(b"hello", opcode=9, mask=MASK)
    through(relay, first + quiet + second + loud, size)
    out = assembled(relay.records, restart)
    pings = [record.frame for record in out if isinstance(record, records.FrameSeen) and record.frame.opcode is Opcode.PING]
    assert [(frame.payload, frame.verdict) for frame in pings] == [(b"drop", "dropped"), (b"hello", "")]
    one, two, made = data_frames(out)
    assert (one.verdict, two.verdict, made.verdict, made.payload) == ("", "replaced", "modified", b"CHANGED this")
    assert made.cause == (one.frame_id, two.frame_id)
    assert f"marker: dropped: quiet (frame {pings[0].frame_id})" in told(out)
