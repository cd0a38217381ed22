"""The assembler: what comes out for each kind of spool record, and that a restart at any record changes nothing."""

import random
import zlib

import pytest

from ocpp_proxy import records
from ocpp_proxy.core import assemble, http_side
from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.core.messages import message_text
from ocpp_proxy.model import Frame, Opcode, Side
from ocpp_proxy.wire.frames import WireFrame
from ocpp_proxy.wire.spool import Head, Kind, SpoolRecord, encode_body
from tests.core.feeds import ANSWER, CSMS, DEFLATE, REQUEST, STATION, Deflater, Relay, wire_frame

MASK = b"\x11\x22\x33\x44"
CALL = b'[2,"1","Heartbeat",{}]'
RESULT = b'[3,"1",{"currentTime":"2026-01-02T03:04:05Z"}]'


def assembled(spool: list[SpoolRecord]) -> list[records.Source]:
    out: list[records.Source] = []
    assembler = Assembler(Ids())
    for record in spool:
        assembler.feed(record, out)
    return out


def frames(out: list[records.Source]) -> list[Frame]:
    return [record.frame for record in out if isinstance(record, records.FrameSeen)]


def ws_frames(out: list[records.Source]) -> list[Frame]:
    return [frame for frame in frames(out) if frame.opcode not in (Opcode.HTTP_REQ, Opcode.HTTP_RES)]


def wire(frame: Frame) -> bytes:
    return frame.raw or WireFrame(0, True, frame.header, frame.mask, frame.payload).wire


def test_a_whole_link_gives_its_records_in_order() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    relay.data(1, CSMS, wire_frame(RESULT))
    relay.beat()
    relay.data(1, STATION, wire_frame(b"\x03\xe8bye", opcode=8, mask=MASK))
    relay.end(1, STATION, unsent=3)
    out = assembled(relay.records)
    assert [type(record).__name__ for record in out] == [
        "LinkOpened", "FrameSeen", "FrameSeen", "Handshake", "FrameSeen", "FrameSeen", "Beat", "FrameSeen", "LinkClosed",
    ]
    request, answer, call, result, close = frames(out)
    assert (request.opcode, request.header, request.payload, request.sender) == (Opcode.HTTP_REQ, REQUEST, b"", Side.STATION)
    assert (answer.opcode, answer.header, answer.sender) == (Opcode.HTTP_RES, ANSWER + b"\r\n", Side.CSMS)
    assert (call.opcode, call.payload, call.mask, call.text, call.faults) == (Opcode.TEXT, CALL, MASK, b"", ())
    assert (result.opcode, result.payload, result.mask, result.sender) == (Opcode.TEXT, RESULT, b"", Side.CSMS)
    assert [frame.frame_id for frame in frames(out)] == [1, 2, 3, 4, 5]
    assert [frame.seq for frame in frames(out)] == [2, 3, 4, 5, 7]
    assert (wire(call), message_text(call), message_text(close)) == (wire_frame(CALL, mask=MASK), CALL, None)
    handshake = out[3]
    assert isinstance(handshake, records.Handshake)
    link = handshake.link
    assert (link.link_id, link.identity, link.protocol, link.offered, link.status) == (1, "CP1", "ocpp1.6", ("ocpp1.6",), 101)
    assert (handshake.request_frame, handshake.response_frame, handshake.problems, handshake.upgrade) == (1, 2, (), True)
    closed = out[-1]
    assert closed == records.LinkClosed(relay.now, 1, "fin", Side.STATION, 1000, "bye", 3, 3)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunking_changes_no_frame(size: int) -> None:
    stream = wire_frame(CALL, mask=MASK) + wire_frame(b"x" * 300, opcode=9, mask=MASK) + wire_frame(b"y" * 70000, mask=MASK)
    whole, cut = Relay(), Relay()
    for relay in (whole, cut):
        relay.tunnel(1)
    whole.data(1, STATION, stream)
    for at in range(0, len(stream), size):
        cut.data(1, STATION, stream[at : at + size])
    one, many = ws_frames(assembled(whole.records)), ws_frames(assembled(cut.records))
    assert [(f.payload, f.header, f.faults) for f in one] == [(f.payload, f.header, f.faults) for f in many]
    assert b"".join(wire(frame) for frame in many) == stream


def test_a_fragmented_message_has_its_text_on_the_last_frame() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, STATION, wire_frame(CALL[:8], fin=False, mask=MASK))
    relay.data(1, STATION, wire_frame(b"", opcode=9, mask=MASK))
    relay.data(1, STATION, wire_frame(CALL[8:], opcode=0, mask=MASK))
    start, ping, last = ws_frames(assembled(relay.records))
    assert (start.text, start.fin, message_text(start)) == (b"", False, None)
    assert (ping.opcode, message_text(ping)) == (Opcode.PING, None)
    assert (last.opcode, last.text, message_text(last), last.faults) == (Opcode.CONTINUATION, CALL, CALL, ())


def test_a_character_split_over_fragments_is_no_fault_and_a_broken_one_is() -> None:
    relay = Relay()
    relay.tunnel(1)
    for text in ('["é"]'.encode(), b'["\xe9"]'):
        relay.data(1, STATION, wire_frame(text[:3], fin=False, mask=MASK) + wire_frame(text[3:], opcode=0, mask=MASK))
    found = ws_frames(assembled(relay.records))
    assert [frame.faults for frame in found] == [(), (), (), ("text_utf8",)]


def test_compressed_messages_are_inflated_with_takeover() -> None:
    relay, station, csms = Relay(), Deflater(), Deflater()
    relay.tunnel(1, DEFLATE)
    texts = [CALL, CALL, b'[2,"2","DataTransfer",{"data":"' + b"ab" * 5000 + b'"}]', CALL]
    for text in texts:
        relay.data(1, STATION, wire_frame(station.message(text), rsv=0x40, mask=MASK))
        packed = csms.message(text)
        relay.data(1, CSMS, wire_frame(packed[:4], rsv=0x40, fin=False) + wire_frame(packed[4:], opcode=0))
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))          # uncompressed on a compressed link is legal
    found = ws_frames(assembled(relay.records))
    assert [message_text(frame) for frame in found if frame.sender is Side.STATION] == [*texts, CALL]
    assert [message_text(frame) for frame in found if frame.sender is Side.CSMS and frame.fin] == texts
    assert not any(frame.faults for frame in found)


def test_a_bomb_is_cut_and_what_follows_is_undecodable_not_guessed() -> None:
    relay = Relay()
    relay.tunnel(1, DEFLATE)
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (b"".join(z.compress(bytes(1 << 20)) for _ in range(40)) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]
    relay.data(1, STATION, wire_frame(bomb, rsv=0x40, mask=MASK))
    relay.data(1, STATION, wire_frame((z.compress(CALL) + z.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=0x40, mask=MASK))
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    first, second, third = ws_frames(assembled(relay.records))
    assert (len(first.text), first.faults, message_text(first)) == (4 << 20, ("bomb",), None)
    assert (second.faults, message_text(second)) == (("undecodable",), None)
    assert message_text(third) == CALL


def test_a_hole_inside_a_frame_makes_it_partial_and_the_next_is_read() -> None:
    relay = Relay()
    relay.tunnel(1)
    long = wire_frame(b"x" * 1000, mask=MASK)
    relay.data(1, STATION, long[:100])
    relay.data(1, STATION, long[100:400])
    relay.data(1, STATION, long[400:] + wire_frame(CALL, mask=MASK))
    del relay.records[-2]
    found = ws_frames(assembled(relay.records))
    assert [(frame.opcode, frame.faults) for frame in found] == [
        (Opcode.RAW, ("partial",)), (Opcode.RAW, ("partial",)), (Opcode.TEXT, ()),
    ]
    assert found[0].raw + found[1].raw == long[:100] + long[400:]
    assert message_text(found[2]) == CALL


def test_a_hole_over_frames_ends_at_a_piece_that_reads_as_frames() -> None:
    relay = Relay()
    relay.tunnel(1)
    one = wire_frame(CALL, mask=MASK)
    relay.data(1, STATION, one)
    relay.data(1, STATION, one + one[:9])
    relay.data(1, STATION, one[9:])
    relay.data(1, STATION, one)
    del relay.records[-3]
    found = ws_frames(assembled(relay.records))
    assert [frame.faults for frame in found] == [(), ("partial",), ("resync",)]
    assert (found[1].raw, message_text(found[2])) == (one[9:], CALL)


def test_compressed_messages_behind_a_hole_are_undecodable() -> None:
    relay, station = Relay(), Deflater()
    relay.tunnel(1, DEFLATE)
    for _ in range(3):
        relay.data(1, STATION, wire_frame(station.message(CALL), rsv=0x40, mask=MASK))
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    del relay.records[-3]
    found = ws_frames(assembled(relay.records))
    assert [frame.faults for frame in found] == [(), ("undecodable", "resync")[::-1], ()]
    assert [message_text(frame) for frame in found] == [CALL, None, CALL]


def test_repeated_bytes_are_taken_once() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    relay.records.append(relay.records[-1])
    assert len(ws_frames(assembled(relay.records))) == 1


def test_a_frame_over_the_cap_is_raw_in_pieces_and_the_stream_stays_in_step() -> None:
    relay = Relay()
    relay.tunnel(1)
    stream = wire_frame(b"z" * (17 << 20), mask=MASK)
    for at in range(0, len(stream), 256 << 10):
        relay.data(1, STATION, stream[at : at + (256 << 10)])
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    *pieces, last = ws_frames(assembled(relay.records))
    assert b"".join(piece.raw for piece in pieces) == stream
    assert {piece.faults for piece in pieces} == {("too_large",)}
    assert message_text(last) == CALL and last.faults == ()


def test_a_message_over_the_cap_in_small_fragments_is_not_kept() -> None:
    relay = Relay()
    relay.tunnel(1)
    piece = b"z" * (1 << 20)
    relay.data(1, CSMS, wire_frame(piece, fin=False))
    for _ in range(16):
        relay.data(1, CSMS, wire_frame(piece, opcode=0, fin=False))
    relay.data(1, CSMS, wire_frame(b"", opcode=0))
    relay.data(1, CSMS, wire_frame(CALL))
    *_, cut, after = ws_frames(assembled(relay.records))
    assert (cut.faults, cut.text, message_text(cut)) == (("too_large",), b"", None)
    assert message_text(after) == CALL


def test_bytes_behind_the_upgrade_head_wait_for_the_answer() -> None:
    for status, opcode in ((101, Opcode.TEXT), (404, Opcode.RAW)):
        relay = Relay()
        relay.open(1)
        relay.request(1)
        relay.data(1, STATION, wire_frame(CALL, mask=MASK))
        relay.answer(1, ANSWER + b"\r\n" if status == 101 else b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", status)
        out = assembled(relay.records)
        assert [type(record).__name__ for record in out][-2:] == ["Handshake", "FrameSeen"]
        last = frames(out)[-1]
        assert (last.opcode, wire(last), last.seq) == (opcode, wire_frame(CALL, mask=MASK), 3)


def test_what_is_held_before_the_answer_has_a_limit() -> None:
    relay = Relay()
    relay.open(1)
    relay.request(1)
    for _ in range(5):
        relay.data(1, STATION, bytes(256 << 10))
    assembler, out = Assembler(Ids()), list[records.Source]()
    for record in relay.records:
        assembler.feed(record, out)
    assert b"".join(frame.raw for frame in frames(out)) == bytes(5 * (256 << 10))
    assert len(assembler.changed()["a/l/1"] or b"") < 2000


def test_http_bodies_are_frames_and_the_last_has_fin() -> None:
    relay = Relay()
    relay.open(1)
    relay.request(1, b"POST /soap HTTP/1.1\r\nHost: csms\r\nContent-Length: 11\r\n\r\n")
    relay.data(1, STATION, b"<soap")
    relay.data(1, STATION, b":body>")
    relay.answer(1, b"HTTP/1.1 100 Continue\r\n\r\n", 100)
    relay.answer(1, b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n", 500)
    relay.data(1, CSMS, b"3\r\nabc\r\n0\r\n\r\n")
    relay.request(1, b"GET /next HTTP/1.1\r\nHost: csms\r\n\r\n")
    relay.end(1, CSMS)
    out = assembled(relay.records)
    got = [(frame.opcode, frame.payload, frame.fin) for frame in frames(out)]
    assert got == [
        (Opcode.HTTP_REQ, b"", False), (Opcode.HTTP_REQ, b"<soap", False), (Opcode.HTTP_REQ, b":body>", True),
        (Opcode.HTTP_RES, b"", True), (Opcode.HTTP_RES, b"", False), (Opcode.HTTP_RES, b"3\r\nabc\r\n0\r\n\r\n", True),
        (Opcode.HTTP_REQ, b"", True),
    ]
    shakes = [record for record in out if isinstance(record, records.Handshake)]
    assert [(shake.link.status, shake.upgrade, shake.request_frame, shake.response_frame) for shake in shakes] == [
        (500, False, 1, 5), (0, False, 7, 0),
    ]


def test_a_request_without_an_answer_gives_a_handshake_at_the_end() -> None:
    relay = Relay()
    relay.open(1)
    relay.request(1, REQUEST.replace(b"Connection: Upgrade\r\n", b""))
    relay.note(1, "upstream_failed", "refused: 10.0.0.1", CSMS)
    relay.end(1, STATION, "rst")
    *_, note, shake, closed = assembled(relay.records)
    assert note == records.Note(relay.records[2].time_ns, 1, "upstream_failed", Side.CSMS, "refused: 10.0.0.1")
    assert isinstance(shake, records.Handshake) and (shake.link.status, shake.problems) == (0, ("no_connection",))
    assert isinstance(closed, records.LinkClosed) and (closed.how, closed.closed_by) == ("rst", Side.STATION)


def test_bytes_without_a_head_are_raw() -> None:
    relay = Relay()
    relay.open(1)
    relay.data(1, STATION, b"GET /CP1 HT")
    relay.note(1, "no_head", "closed after 11 bytes")
    relay.end(1)
    frame, = frames(assembled(relay.records))
    assert (frame.opcode, frame.raw, frame.faults) == (Opcode.RAW, b"GET /CP1 HT", ("no_head",))


def test_a_cut_frame_at_the_end_is_partial() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, CSMS, wire_frame(RESULT)[:10])
    relay.end(1, CSMS, "rst")
    *_, frame = frames(assembled(relay.records))
    assert (frame.opcode, frame.raw, frame.faults) == (Opcode.RAW, wire_frame(RESULT)[:10], ("partial",))


def test_a_lost_answer_head_is_survived_by_looking_for_frames() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, CSMS, wire_frame(RESULT))
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    del relay.records[2]
    found = ws_frames(assembled(relay.records))
    assert [(frame.faults, message_text(frame)) for frame in found] == [(("resync",), RESULT), ((), CALL)]


def test_a_link_whose_beginning_is_missing_is_picked_up() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, STATION, wire_frame(CALL, mask=MASK))
    relay.data(1, CSMS, wire_frame(RESULT))
    out = assembled(relay.records[3:])
    assert isinstance(out[0], records.LinkOpened)
    assert [message_text(frame) for frame in frames(out)] == [CALL, RESULT]


def test_a_new_life_of_a_worker_closes_what_the_old_one_left_open() -> None:
    old, new = Relay(incarnation=1), Relay(incarnation=2)
    old.tunnel(1)
    old.tunnel(2)
    old.data(1, STATION, wire_frame(CALL, mask=MASK)[:5])
    new.now = old.now
    new.open(1)
    out = assembled(old.records + new.records + [old.records[-1]] + new.records[:0])
    kinds = [type(record).__name__ for record in out]
    note = out[kinds.index("Note")]
    assert isinstance(note, records.Note) and note.kind == "worker_lost"
    ended = [record for record in out if isinstance(record, records.LinkClosed)]
    assert [(end.link_id, end.how, end.closed_by) for end in ended] == [(1, "lost", None), (2, "lost", None)]
    opened = [record.link.link_id for record in out if isinstance(record, records.LinkOpened)]
    assert opened[:3] == [1, 2, 3]
    assert kinds.count("Note") == 1, "a straggler of the old life must not end the new one"


def test_a_worker_that_ended_in_order_is_not_lost() -> None:
    old, new = Relay(incarnation=1), Relay(incarnation=2)
    old.tunnel(1)
    old.end(1)
    new.beat()
    assert not [record for record in assembled(old.records + new.records) if isinstance(record, records.Note)]


def test_beats_are_the_least_of_all_workers_and_never_go_back() -> None:
    one, two = Relay(worker=0, incarnation=1), Relay(worker=1, incarnation=2)
    two.now += 500
    assembler, out = Assembler(Ids()), list[records.Source]()
    one.beat()
    two.open(1)
    for record in (one.records[0], two.records[0]):
        assembler.feed(record, out)
    one.beat()
    two.beat()
    for record in (one.records[1], two.records[1], one.records[0]):
        assembler.feed(record, out)
    beats = [record.time_ns for record in out if isinstance(record, records.Beat)]
    assert beats == [one.records[0].time_ns, one.records[1].time_ns]


def test_gap_and_finding_records_pass() -> None:
    from_relay = Relay()
    from_relay.tunnel(1)
    made = Relay()
    made.records = from_relay.records
    out: list[records.Source] = []
    assembler = Assembler(Ids())
    for record in from_relay.records:
        assembler.feed(record, out)
    bad = SpoolRecord(Kind.NOTE, 0, 0, 9, 5, 5, 1, 0, b"\xc1", 0, 7)
    assembler.feed(bad, out)
    gap = records.Gap(1, 3, 10, 12, 3, 0, "damage")
    assembler.lost(0, gap, out)
    *_, unreadable, lost = out
    assert isinstance(unreadable, records.Gap) and (unreadable.from_seq, unreadable.frames, unreadable.link_id) == (9, 1, 1)
    assert lost == records.Gap(1, 0, 10, 12, 3, 0, "damage")


def test_frames_we_made_are_marked_and_do_not_disturb_the_direction() -> None:
    relay = Relay()
    relay.tunnel(1)
    one = wire_frame(CALL, mask=MASK)
    relay.data(1, STATION, one[:9])
    relay.add(Kind.OUT, 1, STATION, wire_frame(CALL, mask=b"abcd"), 0)
    relay.data(1, STATION, one[9:])
    made, received = ws_frames(assembled(relay.records))
    assert (made.verdict, made.mask, message_text(made)) == ("injected", b"abcd", CALL)
    assert (received.verdict, wire(received)) == ("", one)


def test_an_answer_of_the_relay_is_a_head_with_its_body() -> None:
    relay = Relay()
    relay.open(1)
    relay.request(1)
    head, body = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n", b"why?\n"
    relay.add(Kind.OUT, 1, CSMS, head + body, 0)
    made = [record.frame for record in assembled(relay.records) if isinstance(record, records.FrameSeen)][-1]
    assert (made.opcode, made.verdict, made.sender) == (Opcode.HTTP_RES, "injected", Side.CSMS)
    assert (made.header, made.payload) == (head, body)


def commit(stored: dict[str, bytes], assembler: Assembler) -> int:
    """Store what changed, as a capture does; gives the bytes written."""
    written = 0
    for key, piece in assembler.changed().items():
        assert key.startswith("a/")
        if piece is None:
            stored.pop(key, None)
        else:
            stored[key] = piece
            written += len(piece)
    return written


def mixed_stream(seed: int) -> list[SpoolRecord]:
    """Several links, whole and broken, compressed and plain, in random chunks, with a lost record and a new worker life."""
    rng = random.Random(seed)
    relay = Relay(incarnation=seed + 1)
    deflaters = {}
    for link in (1, 2, 3):
        relay.tunnel(link, DEFLATE if link == 2 else b"")
        deflaters[link] = (Deflater(), Deflater())
    relay.open(4)
    relay.body(Kind.HEAD, 4, 0, Head(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 55), 55)
    relay.data(4, STATION, b"5\r\nhel")
    for _ in range(25):
        link, direction = rng.choice((1, 2, 3)), rng.randrange(2)
        mask = rng.randbytes(4) if direction == STATION else b""
        text = b'[2,"%d","DataTransfer",{"data":"%s"}]' % (rng.randrange(99), b"xy" * rng.randrange(300))
        packed = deflaters[link][direction].message(text) if link == 2 else text
        rsv = 0x40 if link == 2 else 0
        if rng.random() < 0.3:
            cut = rng.randrange(len(packed))
            data = wire_frame(packed[:cut], fin=False, rsv=rsv, mask=mask) + wire_frame(b"p", opcode=9, mask=mask)
            data += wire_frame(packed[cut:], opcode=0, mask=mask)
        else:
            data = wire_frame(packed, rsv=rsv, mask=mask)
        at = 0
        while at < len(data):
            step = rng.choice((1, 5, 100, 10000))
            relay.data(link, direction, data[at : at + step])
            at += step
        if rng.random() < 0.2:
            relay.beat()
    relay.data(3, STATION, wire_frame(b"\x03", opcode=8, mask=b"1234"))
    relay.end(3, CSMS)
    relay.data(4, STATION, b"lo\r\n0\r\n\r\n")
    if seed % 2:
        del relay.records[rng.randrange(20, len(relay.records))]
    following = Relay(incarnation=seed + 1000)
    following.now = relay.now
    following.tunnel(1)
    following.data(1, STATION, wire_frame(CALL, mask=MASK)[:7])
    return relay.records + following.records


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_at_every_record_gives_the_same_output(seed: int) -> None:
    spool = mixed_stream(seed)
    expected = assembled(spool)
    stored: dict[str, bytes] = {}
    out: list[records.Source] = []
    for record in spool:
        assembler = Assembler(Ids())
        assembler.restore(stored)
        assembler.feed(record, out)
        commit(stored, assembler)
    assert out == expected
    assert len(expected) > len(spool) / 4


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_at_random_commits_gives_the_same_output(seed: int) -> None:
    spool = mixed_stream(seed)
    rng = random.Random(seed)
    stored: dict[str, bytes] = {}
    out: list[records.Source] = []
    at = 0
    while at < len(spool):
        assembler = Assembler(Ids())
        assembler.restore(stored)
        batch = rng.randrange(1, 40)
        for record in spool[at : at + batch]:
            assembler.feed(record, out)
        at += batch
        commit(stored, assembler)
        lost: list[records.Source] = []
        for record in spool[at : at + rng.randrange(20)]:       # fed, never committed: the process died
            assembler.feed(record, lost)
    assert out == assembled(spool)


def test_state_of_a_closed_link_is_forgotten() -> None:
    relay = Relay()
    relay.tunnel(1)
    assembler, out = Assembler(Ids()), list[records.Source]()
    for record in relay.records:
        assembler.feed(record, out)
    assert "a/l/1" in assembler.changed() and "a/l/1" not in assembler.changed()
    relay.end(1)
    for record in relay.records[3:]:
        assembler.feed(record, out)
    assert assembler.changed()["a/l/1"] is None


def test_numbers_go_on_in_a_new_run_on_an_old_capture() -> None:
    relay = Relay()
    relay.tunnel(1)
    out: list[records.Source] = []
    assembler = Assembler(Ids(link_id=50, frame_id=900))
    for record in relay.records:
        assembler.feed(record, out)
    assert [frame.frame_id for frame in frames(out)] == [900, 901] and frames(out)[0].link_id == 50


def test_any_spool_bytes_never_raise() -> None:
    rng = random.Random(5)
    assembler, out = Assembler(Ids()), list[records.Source]()
    for seq in range(3000):
        kind = rng.choice(list(Kind))
        data = rng.randbytes(rng.randrange(40))
        if kind is Kind.HEAD and rng.random() < 0.7:
            data = encode_body(Head(rng.randbytes(30), 30, status=rng.choice((0, 101, 200, 404))))
        assembler.feed(SpoolRecord(
            kind, rng.randrange(2), 0, seq, seq, seq, rng.randrange(4), rng.randrange(60), data, 0, rng.choice((1, 1, 1, 2)),
        ), out)
    assert len(out) > 1000


def test_all_links_together_keep_no_more_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "BUDGET", 1 << 20)
    relay, begun = Relay(), wire_frame(b"x" * 500_000, mask=MASK)
    for link in (1, 2, 3, 4):
        relay.tunnel(link)
    for at in range(0, 400_000, 100_000):
        for link in (1, 2):
            relay.data(link, STATION, begun[at : at + 100_000])
        relay.data(3, STATION, wire_frame(b"y" * 99_000, fin=at == 0, opcode=1 if at < 200_000 else 0, mask=MASK))
    relay.data(4, CSMS, wire_frame(b"z" * 500_000)[:-1])
    for link in (1, 2):
        relay.data(link, STATION, begun[400_000:] + wire_frame(CALL, mask=MASK))
    relay.data(3, STATION, wire_frame(b"", opcode=0, mask=MASK) + wire_frame(CALL, mask=MASK))
    stored: dict[str, bytes] = {}
    out: list[records.Source] = []
    for record in relay.records:
        assembler = assemble.Assembler(Ids())
        assembler.restore(stored)
        assembler.feed(record, out)
        commit(stored, assembler)
        assert sum(len(piece) for piece in stored.values()) < (1 << 20) + 10_000
    found = ws_frames(out)
    assert out == assembled(relay.records)
    assert any(frame.faults == ("too_large",) for frame in found)
    assert [message_text(frame) for frame in found if frame.payload == CALL] == [CALL] * 3
    for link, data in ((1, begun + wire_frame(CALL, mask=MASK)), (2, begun + wire_frame(CALL, mask=MASK))):
        assert b"".join(wire(frame) for frame in found if frame.link_id == link) == data


def test_what_is_kept_counts_until_the_link_ends() -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.data(1, STATION, wire_frame(b"x" * 500_000, mask=MASK)[:300_000])
    assembler, out = Assembler(Ids()), list[records.Source]()
    for record in relay.records:
        assembler.feed(record, out)
    assert assembler._kept == 300_000
    relay.end(1)
    for record in relay.records[4:]:
        assembler.feed(record, out)
    assert assembler._kept == 0


def test_requests_that_nobody_answers_are_given_up_in_order() -> None:
    relay = Relay()
    relay.open(1)
    for _ in range(http_side.MAX_ASKED + 3):
        relay.request(1, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    out = assembled(relay.records)
    late = [record for record in out if isinstance(record, records.Handshake)]
    assert [shake.request_frame for shake in late] == [1, 2, 3]
    relay.end(1)
    out = assembled(relay.records)
    assert len([record for record in out if isinstance(record, records.Handshake)]) == http_side.MAX_ASKED + 3


def test_a_commit_writes_what_is_new_and_not_a_whole_window_or_frame_again() -> None:
    relay, station = Relay(), Deflater()
    relay.tunnel(1, DEFLATE)
    relay.tunnel(2)
    rng = random.Random(3)
    texts = [b'["%s"]' % rng.randbytes(500).hex().encode() for _ in range(150)]
    long = wire_frame(b"x" * 900_000, mask=MASK)
    for place, text in enumerate(texts):
        relay.data(1, STATION, wire_frame(station.message(text), rsv=0x40, mask=MASK))
        relay.data(2, CSMS, long[place * 5000 : (place + 1) * 5000])
    stored: dict[str, bytes] = {}
    out: list[records.Source] = []
    assembler, written = Assembler(Ids()), []
    for place, record in enumerate(relay.records):
        assembler.feed(record, out)
        written.append(commit(stored, assembler))
        if place % 40 == 39:
            assembler = Assembler(Ids())
            assembler.restore(stored)
    assert sum(written) < 2_000_000, "300 commits of 32 KiB and of up to 750 KB would be 120 MB"
    assert [message_text(frame) for frame in ws_frames(out)] == texts
    assert out == assembled(relay.records)
    assert len([key for key in stored if key.startswith("a/b/1/")]) <= 16
    relay.end(1)
    relay.end(2)
    for record in relay.records[-4:]:
        assembler.feed(record, out)
    commit(stored, assembler)
    assert not [key for key in stored if key.startswith(("a/b/", "a/l/"))]
