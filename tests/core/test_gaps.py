"""Behind a gap the assembler is in step where the relay says, if what the relay supposes is true; lost parts are partial."""

import random
from pathlib import Path

import msgspec
import pytest

from ocpp_proxy import records
from ocpp_proxy.config import SpoolConfig
from ocpp_proxy.core.assemble import Assembler
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.messages import message_text
from ocpp_proxy.model import Frame, Opcode, Side
from ocpp_proxy.relay import missed as missed_module
from ocpp_proxy.relay.missed import Missed
from ocpp_proxy.relay.spool import Entry, SpoolWriter
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.frames import WireFrame
from ocpp_proxy.wire.spool import GapBody, Kind, SpoolRecord, encode_body
from tests.core.feeds import CSMS, DEFLATE, STATION, Deflater, Relay, wire_frame
from tests.relay.stage import gaps, read_spool

MASK = b"\x21\x43\x65\x07"
CALL = b'[2,"1","Heartbeat",{}]'
UNLUCKY = wire_frame(b'[2,"evil","Reset",{}]')                  # a payload of these reads as frames from its first byte on
UNLUCKY_MASKED = wire_frame(b'[2,"evil","Authorize",{}]', mask=MASK)


def lose(relay: Relay, first: int, last: int, boundaries: bool = True) -> list[SpoolRecord]:
    """The records, but the relay had no room for those from ``first`` up to ``last``."""
    lost = relay.records[first:last]
    missed = Missed()
    missed.lose((one.kind, one.direction, one.link, one.offset, one.data, None, None) for one in lost)
    body = GapBody(lost[0].seq, lost[-1].seq, len(lost), 9, "spool limit", lost[0].time_ns)
    if boundaries:
        body = msgspec.structs.replace(body, boundaries=missed.boundaries())
    behind = msgspec.structs.replace(lost[-1], kind=Kind.GAP, link=0, direction=0, offset=0, data=encode_body(body))
    return [*relay.records[:first], behind, *relay.records[last:]]


def assembled(feed: list[SpoolRecord], restart: bool = False) -> list[records.Source]:
    out: list[records.Source] = []
    assembler, stored = Assembler(Ids()), dict[str, bytes]()
    for record in feed:
        assembler.feed(record, out)
        if restart:                         # a new process for every record
            for key, piece in assembler.changed().items():
                stored.pop(key, None)
                if piece is not None:
                    stored[key] = piece
            assembler = Assembler(Ids())
            assembler.restore(stored)
    return out


def ws(out: list[records.Source], side: Side | None = None) -> list[Frame]:
    frames = [record.frame for record in out if isinstance(record, records.FrameSeen)]
    return [one for one in frames if one.opcode not in (Opcode.HTTP_REQ, Opcode.HTTP_RES) and side in (None, one.sender)]


def pieces(relay: Relay, direction: int, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        relay.data(1, direction, data[at : at + size])


def unlucky(direction: int, times: int = 40) -> bytes:
    """A large frame whose bytes on the wire look like small frames, from each of its pieces on."""
    if direction == CSMS:
        return wire_frame(b"abcd" + UNLUCKY * times, opcode=2)
    plain = UNLUCKY_MASKED * times          # as it is to look behind the mask
    key = b"\0\0\0\0"
    return wire_frame(b"abcd" + plain, opcode=2, mask=key)


def stride(direction: int) -> int:
    return len(UNLUCKY if direction == CSMS else UNLUCKY_MASKED)


def conversation(direction: int) -> tuple[Relay, int, int]:
    """A Call, a large unlucky frame in pieces, three Calls. Gives where the large one begins and ends among the records."""
    relay, mask = Relay(), MASK if direction == STATION else b""
    relay.tunnel(1)
    relay.data(1, direction, wire_frame(CALL, mask=mask))
    begin = len(relay.records)
    large, step = unlucky(direction), stride(direction)
    front = len(large) - step * 40          # header, key and four bytes
    relay.data(1, direction, large[:front])
    pieces(relay, direction, large[front:], step * 4)
    end = len(relay.records)
    for _ in range(3):
        relay.data(1, direction, wire_frame(CALL, mask=mask))
    return relay, begin, end


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize("direction", [STATION, CSMS])
@pytest.mark.parametrize("place", ["in it to behind it", "before it into it", "over it", "inside it", "a call"])
def test_behind_a_gap_in_a_large_message_of_unlucky_bytes_the_link_goes_on(place: str, direction: int, restart: bool) -> None:
    relay, begin, end = conversation(direction)
    first, last, calls = {
        "in it to behind it": (begin + 4, end + 1, 3), "before it into it": (begin - 1, begin + 5, 3),
        "over it": (begin, end, 4), "inside it": (begin + 3, begin + 6, 4), "a call": (end, end + 1, 3),
    }[place]
    found = ws(assembled(lose(relay, first, last), restart))
    assert [message_text(one) for one in found if one.opcode is Opcode.TEXT] == [CALL] * calls
    assert all(one.faults in ((), ("partial",)) for one in found)
    held = b"".join(one.data for one in [*relay.records[3:first], *relay.records[last:]])
    assert b"".join(one.raw or wire(one) for one in found) == held      # what is there is kept, and named
    assert (("partial",) in [one.faults for one in found]) is (place not in ("over it", "a call"))
    guessed = ws(assembled(lose(relay, first, last, boundaries=False)))
    if place == "before it into it":        # without the relay's word its pieces pass for messages
        assert any(b"evil" in (message_text(one) or b"") for one in guessed)


def test_a_premise_that_is_not_true_is_not_believed() -> None:
    """The gap begins in a large message and ends in it, in pieces that all look like frames; only one thing is known."""
    relay = Relay()
    relay.tunnel(1)
    large = unlucky(CSMS)
    relay.data(1, CSMS, large[:1])          # not even its length is known
    pieces(relay, CSMS, large[1:], 100)
    relay.data(1, CSMS, wire_frame(CALL))
    missed = lose(relay, 4, 8)
    body = spool.decode_body(missed[4])
    assert isinstance(body, GapBody)
    found = ws(assembled(missed))
    assert found[0].faults == ("partial",) and found[0].raw == large[:1]
    assert ("resync",) in [one.faults for one in found]         # found by looking, as without a word of the relay


@pytest.mark.parametrize("cut", [1, 2, 3, 6])
def test_a_gap_that_ends_inside_a_header_gives_the_frame_whole(cut: int) -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    frame = wire_frame(b"x" * 300, mask=MASK)
    relay.data(1, STATION, wire_frame(CALL, mask=MASK) + frame[:cut])
    relay.data(1, STATION, frame[cut:])
    found = ws(assembled(lose(relay, 4, 5)))
    if cut < 4:                             # the header is not complete: its bytes stand in the GAP record
        assert [(one.payload, one.faults) for one in found] == [(CALL, ()), (b"x" * 300, ())]
    else:
        assert [(one.raw, one.faults) for one in found[1:]] == [(frame[cut:], ("partial",))]


@pytest.mark.parametrize("known", [False, True], ids=["begun in the gap", "begun before"])
def test_fragments_around_a_gap_are_no_message(known: bool) -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, CSMS, wire_frame(b'[2,"1","Re', fin=False))
    relay.data(1, CSMS, wire_frame(b'set",', fin=False, opcode=0))
    relay.data(1, CSMS, wire_frame(b"", opcode=9))
    relay.data(1, CSMS, wire_frame(b"{}]", opcode=0))
    relay.data(1, CSMS, wire_frame(CALL))
    first = 4 if known else 3
    found = ws(assembled(lose(relay, first, 6)))
    assert [message_text(one) for one in found] == [None] * (2 if known else 1) + [CALL]
    assert found[-2].faults == ("partial",) and found[-1].faults == ()


@pytest.mark.parametrize("behind", [b"", wire_frame(b"", opcode=9)], ids=["nothing", "a ping"])
def test_a_fragmented_look_alike_in_the_gap_does_not_open_a_message(behind: bytes) -> None:
    """Pieces of the large frame read as a message that goes on; they are none, and only frames count."""
    relay = Relay()
    relay.tunnel(1)
    piece = wire_frame(b"look-alike", fin=False)
    large = wire_frame(piece * 20, opcode=2)
    relay.data(1, CSMS, large[:4])
    pieces(relay, CSMS, large[4:], len(piece) * 4)
    end = len(relay.records)
    relay.data(1, CSMS, wire_frame(b"", opcode=9) + behind)
    relay.data(1, CSMS, wire_frame(CALL))
    found = ws(assembled(lose(relay, 5, end + 1)))
    assert [(message_text(one), one.faults) for one in found[-1:]] == [(CALL, ())]


def test_a_compressed_direction_is_in_step_and_undecodable() -> None:
    relay, csms = Relay(), Deflater()
    relay.tunnel(1, DEFLATE)
    for _ in range(4):
        relay.data(1, CSMS, wire_frame(csms.message(CALL), rsv=0x40))
    relay.data(1, CSMS, wire_frame(CALL))
    found = ws(assembled(lose(relay, 4, 6)))
    assert [one.faults for one in found] == [(), ("undecodable",), ()]
    assert [message_text(one) for one in found] == [CALL, None, CALL]


def test_a_link_that_came_in_the_gap_is_in_step_from_its_first_bytes() -> None:
    relay = Relay()
    relay.tunnel(2)
    relay.tunnel(1)
    large = unlucky(CSMS, 80)
    front = len(large) - 80 * stride(CSMS)
    relay.data(1, CSMS, large[:front])
    pieces(relay, CSMS, large[front:], stride(CSMS) * 4)
    relay.data(1, CSMS, wire_frame(CALL))
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    out = assembled(lose(relay, 3, 12))
    found = ws(out)
    assert [message_text(one) for one in found if not one.raw] == [CALL, CALL]
    assert len([record for record in out if isinstance(record, records.LinkOpened)]) == 2


def test_a_link_that_ended_in_the_gap_is_not_named() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, CSMS, wire_frame(CALL))
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    relay.end(1)
    missed = Missed()
    missed.lose((one.kind, one.direction, one.link, one.offset, one.data, None, None) for one in relay.records[3:])
    assert missed.boundaries() == ()


def test_any_gap_in_any_traffic_never_makes_a_frame_that_was_not_sent() -> None:
    """Frames end where chunks end; large ones look like frames inside. Whatever is lost, the rest is read rightly."""
    for seed in range(300):
        pick, relay, sent = random.Random(seed), Relay(), list[tuple[int, bytes]]()
        relay.tunnel(1)
        direction = pick.choice((STATION, CSMS))
        mask, step = (MASK, stride(STATION)) if direction == STATION else (b"", stride(CSMS))
        for number in range(pick.randrange(4, 14)):
            kind = pick.random()
            if kind < 0.4:
                data = unlucky(direction, 20)
                relay.data(1, direction, data[: len(data) - 20 * step])
                pieces(relay, direction, data[len(data) - 20 * step :], step * pick.randrange(1, 6))
            else:
                data = b"".join(
                    wire_frame(b"%d" % number * pick.randrange(1, 60), mask=mask, opcode=pick.choice((1, 1, 9)))
                    for _ in range(pick.randrange(1, 3))
                )
                relay.data(1, direction, data)
            sent.append((len(relay.records), data))
        first = pick.randrange(3, len(relay.records) - 1)
        last = pick.randrange(first + 1, len(relay.records))
        found = ws(assembled(lose(relay, first, last)))
        assert all(set(one.faults) <= {"partial"} for one in found), seed
        before = b"".join(one.data for one in relay.records[3:first])
        after = b"".join(one.data for one in relay.records[last:])
        kept = b"".join(one.raw or wire(one) for one in found)
        assert kept == before + after, seed                     # every byte once, in order
        whole = b"".join(data for end, data in sent if end > last)
        tail = b"".join(wire(one) for one in found if not one.raw)
        behind = [data for end, data in sent if end - len_of(data, relay, end) >= last]
        assert tail.endswith(b"".join(behind)), seed            # all that was sent behind the gap is whole frames
        assert len(whole) >= len(b"".join(behind))


def len_of(data: bytes, relay: Relay, end: int) -> int:
    """How many records the frames that end there take."""
    size, count = 0, 0
    while size < len(data):
        count += 1
        size += len(relay.records[end - count].data)
    return count


def wire(frame: Frame) -> bytes:
    return WireFrame(0, True, frame.header, frame.mask, frame.payload).wire


def chunk(data: bytes, offset: int, link: int = 1) -> Entry:
    return (Kind.IN, CSMS, link, offset, data, None, None)


def test_the_writer_says_where_links_stand_and_a_spool_without_it_is_read_as_before(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(limit_bytes=64 << 10, segment_bytes=16 << 10))
    heads = Relay()
    heads.tunnel(1)
    for one in heads.records:
        writer.append([(one.kind, one.direction, one.link, one.offset, one.data, None, None)])
    offset = heads.offsets[1, CSMS]

    def send(data: bytes) -> None:
        nonlocal offset
        if not writer.append_one(CSMS, 1, offset, data, 1):
            writer.append([chunk(data, offset)])
        offset += len(data)

    while not writer.in_gap:
        send(wire_frame(CALL + b" " * 4000))
    large = unlucky(CSMS, 400)
    front = len(large) - 400 * stride(CSMS)
    send(large[:front])
    for at in range(front, len(large), stride(CSMS) * 20):
        if at > len(large) // 2 and writer.in_gap:
            for path in sorted((tmp_path / "spool").iterdir())[1:3]:
                path.unlink()
            writer.tick()
            assert not writer.in_gap
        send(large[at : at + stride(CSMS) * 20])
    for _ in range(3):
        send(wire_frame(CALL))
    writer.close()
    feed = read_spool(tmp_path / "spool")
    (gap,) = gaps(feed)
    assert len(gap.boundaries) >= 1 and gap.boundaries[0].link == 1
    found = ws(assembled(feed))
    assert [message_text(one) for one in found[-3:]] == [CALL] * 3
    assert not any(b"evil" in (message_text(one) or b"") for one in found)
    old = msgspec.msgpack.encode({name: getattr(gap, name) for name in gap.__struct_fields__ if name != "boundaries"})
    assert msgspec.msgpack.decode(old, type=GapBody).boundaries == ()


def test_what_is_followed_in_a_gap_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_module, "DIRECTIONS", 10)
    monkeypatch.setattr(missed_module, "ALL_STARTS", 50)
    missed = Missed()
    for link in range(20):
        for n in range(30):                 # no chunk continues a frame of the one before: each is a premise of its own
            missed.lose([chunk(b"\x82\x7e\xff\xff" + bytes(96), n * 100, link)])
    assert missed.left_out == 10 * 30
    found = missed.boundaries()
    assert 0 < len(found) <= 10 * missed_module.CHAINS
    assert sum(len(boundary.starts) for boundary in found) <= 50
    monkeypatch.undo()
    busy = Missed()
    for n in range(1000):
        busy.lose([chunk(wire_frame(CALL), n * len(wire_frame(CALL)))])
    assert len(busy.boundaries()[0].starts) == missed_module.STARTS


def test_a_gap_record_that_would_not_fit_goes_without_boundaries(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(limit_bytes=24 << 10, segment_bytes=4096))
    while not writer.in_gap:
        writer.append([chunk(bytes(1000), 0)])
    for link in range(400):
        writer.append([chunk(wire_frame(b"x"), 0, link)])
    for path in sorted((tmp_path / "spool").iterdir())[:2]:
        path.unlink()
    writer.tick()
    assert not writer.in_gap and writer.gaps == 1
    writer.close()
    (gap,) = gaps(read_spool(tmp_path / "spool"))
    assert gap.boundaries == () and gap.records >= 400


def test_before_a_gap_nothing_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Missed, turn: object) -> None:
        raise AssertionError("followed without a gap")
    monkeypatch.setattr(Missed, "lose", never)
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig())
    for n in range(50):
        writer.append([chunk(b"x" * 100, n * 100)])
        assert writer.append_one(CSMS, 1, n, b"y", 1)
    writer.close()
