"""The frame reader: deviations by name, any chunking, any bytes, holes, and memory that follows bytes and not lengths."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.frames import CAP, FAULTS, RAW, FrameReader, WireFrame, close_faults, plain_xor, unmask, use_xor
from tests.core.feeds import wire_frame

MASK = b"\xa1\xb2\xc3\xd4"
TEXT = b'[2,"1","Heartbeat",{}]'


def read(data: bytes, *, masked: bool = True, deflate: bool = False, step: int = 0) -> list[WireFrame]:
    reader, out = FrameReader(masked, deflate), list[WireFrame]()
    for at in range(0, len(data), step or len(data) or 1):
        reader.feed(data[at : at + (step or len(data))], out)
    reader.end(out)
    return out


def m(payload: bytes, opcode: int = 1, fin: bool = True, rsv: int = 0, form: int = 0) -> bytes:
    return wire_frame(payload, opcode=opcode, fin=fin, mask=MASK, rsv=rsv, form=form)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 639, 640, 641, 65535, 65536, 200001])
def test_payloads_of_every_length_form(size: int) -> None:
    payload = (b"abcdefg" * (size // 7 + 1))[:size]
    frame, = read(m(payload))
    assert (frame.payload, frame.mask, frame.faults, frame.opcode, frame.fin) == (payload, MASK, (), 1, True)
    assert frame.wire == m(payload)
    frame, = read(wire_frame(payload), masked=False)
    assert (frame.payload, frame.mask, frame.faults, frame.wire) == (payload, b"", (), wire_frame(payload))


@given(st.binary(max_size=2000), st.binary(min_size=4, max_size=4))
def test_unmask_is_its_own_inverse_and_right(payload: bytes, mask: bytes) -> None:
    masked = unmask(payload, mask)
    assert masked == bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    assert unmask(masked, mask) == payload


def test_a_compiled_xor_is_used_only_when_it_is_right() -> None:
    calls: list[int] = []

    def counting(payload: bytes, mask: bytes) -> bytes:
        calls.append(len(payload))
        return plain_xor(payload, mask)

    assert not use_xor(lambda payload, mask: payload)
    assert unmask(b"abc", MASK) == plain_xor(b"abc", MASK)
    try:
        assert use_xor(counting)
        calls.clear()
        assert read(m(TEXT))[0].payload == TEXT
        assert calls and set(calls) == {len(TEXT)}
    finally:
        assert use_xor(plain_xor)


FAULTY: list[tuple[str, bytes, tuple[tuple[str, ...], ...]]] = [
    ("not masked", wire_frame(TEXT), (("unmasked",),)),
    ("RSV1 without an agreement", m(TEXT, rsv=0x40), (("rsv1",),)),
    ("RSV2", m(TEXT, rsv=0x20), (("rsv2",),)),
    ("RSV3", m(TEXT, rsv=0x10), (("rsv3",),)),
    ("all of them", wire_frame(TEXT, rsv=0x70), (("rsv1", "rsv2", "rsv3", "unmasked"),)),
    ("reserved opcode 3", m(b"x", 3), (("reserved_opcode",),)),
    ("reserved opcode 15", m(b"x", 15), (("reserved_opcode",),)),
    ("ping of 126 bytes", m(bytes(126), 9), (("control_long",),)),
    ("ping in fragments", m(b"", 9, fin=False), (("control_fragmented",),)),
    ("continuation without a start", m(b"x", 0), (("continuation_without_start",),)),
    ("new message inside", m(b"a", fin=False) + m(b"b") + m(b"c"), ((), ("new_message_inside",), ())),
    ("length in 2 bytes", m(b"x", form=2), (("non_minimal_length",),)),
    ("length in 8 bytes", m(bytes(200), form=8), (("non_minimal_length",),)),
    ("close with 1 byte", m(b"x", 8), (("close_payload_1",),)),
    ("close 1005", m(b"\x03\xed", 8), (("close_code_bad",),)),
    ("close 999", m(b"\x03\xe7", 8), (("close_code_bad",),)),
    ("close reason", m(b"\x03\xe8\xff", 8), (("close_reason_utf8",),)),
    ("data after close", m(b"", 8) + m(TEXT) + m(b"", 9), ((), ("after_close",), ())),
    ("not UTF-8", m(b'["caf\xe9"]'), (("text_utf8",),)),
    ("binary", m(b"\xe9", 2), ((),)),
    ("UTF-8", m('["é"]'.encode()), ((),)),
    ("two fragments", m(TEXT[:8], fin=False) + m(b"", 9) + m(TEXT[8:], 0), ((), (), ())),
    ("cut", m(TEXT)[:-1], (("partial",),)),
    ("cut header", m(TEXT)[:1], (("partial",),)),
    ("2^62 bytes", b"\x81\xff" + (1 << 62).to_bytes(8, "big") + MASK + TEXT, (("unreadable",),)),
    ("2^63 and more", b"\x81\xff" + b"\xff" * 8 + MASK + TEXT, (("unreadable",),)),
]


@pytest.mark.parametrize(("name", "data", "faults"), FAULTY, ids=[case[0] for case in FAULTY])
def test_deviations_are_named(name: str, data: bytes, faults: tuple[tuple[str, ...], ...]) -> None:
    frames = read(data)
    assert tuple(frame.faults for frame in frames) == faults
    assert b"".join(frame.wire for frame in frames) == data


def test_faults_of_the_other_side_and_of_agreements() -> None:
    assert [frame.faults for frame in read(m(TEXT), masked=False)] == [("masked_server",)]
    assert [frame.faults for frame in read(m(TEXT, rsv=0x40), deflate=True)] == [()]
    frames = read(m(b"x", fin=False, rsv=0x40) + m(b"y", 0, rsv=0x40) + m(b"", 9, rsv=0x40), deflate=True)
    assert [frame.faults for frame in frames] == [(), ("rsv1",), ("rsv1",)]


def test_every_fault_of_the_reader_has_a_case() -> None:
    shown = {fault for _, _, faults in FAULTY for one in faults for fault in one}
    assert set(FAULTS) - shown == {"masked_server", "too_large", "resync", "bomb", "inflate", "undecodable"}


@pytest.mark.parametrize(
    ("payload", "faults"),
    [(b"", []), (b"\x03\xe8", []), (b"\x03\xf6", []), (b"\x0b\xb8", []), (b"\x13\x87" + b"x" * 123, []),
     (b"\x03\xec", ["close_code_bad"]), (b"\x03\xee", ["close_code_bad"]), (b"\x03\xf7", ["close_code_bad"]),
     (b"\x13\x88", ["close_code_bad"]), (b"\0\0\xff", ["close_code_bad", "close_reason_utf8"])],
)
def test_close_codes(payload: bytes, faults: list[str]) -> None:
    assert close_faults(payload) == faults


_FRAME = st.builds(
    wire_frame, st.binary(max_size=300), opcode=st.integers(0, 15), fin=st.booleans(),
    mask=st.sampled_from([b"", MASK]), rsv=st.sampled_from([0, 0, 0x40, 0x20]), form=st.sampled_from([0, 0, 2, 8]),
)


_MIX = st.lists(st.one_of(_FRAME, _FRAME, st.binary(max_size=20)), max_size=8)


@given(_MIX, st.integers(1, 50), st.booleans(), st.booleans())
def test_any_bytes_in_any_chunking_rebuild_the_wire(pieces: list[bytes], step: int, masked: bool, deflate: bool) -> None:
    data = b"".join(pieces)
    whole = read(data, masked=masked, deflate=deflate)
    assert b"".join(frame.wire for frame in whole) == data
    cut = read(data, masked=masked, deflate=deflate, step=step)
    assert b"".join(frame.wire for frame in cut) == data
    readable = [frame for frame in whole if not frame.raw]
    assert [frame for frame in cut if not frame.raw] == readable
    assert {fault for frame in whole for fault in frame.faults} <= set(FAULTS)


@given(st.lists(_FRAME, max_size=6), st.integers(1, 40))
def test_the_state_can_be_stored_between_any_two_chunks(pieces: list[bytes], step: int) -> None:
    data = b"".join(pieces)
    reader, out = FrameReader(True), list[WireFrame]()
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step], out)
        reader = msgspec.msgpack.decode(msgspec.msgpack.encode(reader), type=FrameReader)
    reader.end(out)
    assert out == read(data, step=step)


def test_a_frame_over_the_cap_passes_in_pieces_without_being_kept() -> None:
    reader, out, sent = FrameReader(True), list[WireFrame](), 0
    head = b"\x01\xff" + (CAP + 1000).to_bytes(8, "big") + MASK
    chunk = bytes(1 << 20)
    reader.feed(head, out)
    while sent < CAP + 1000:
        piece = chunk[: CAP + 1000 - sent]
        reader.feed(piece, out)
        sent += len(piece)
        assert (reader.parts, reader.opened) == ([], True)
    reader.feed(m(TEXT, 0), out)
    *raw, last = out
    assert [frame.opcode for frame in raw] == [1] + [0] * (len(raw) - 1)
    assert {frame.faults for frame in raw} == {("too_large",)} and not any(frame.fin for frame in raw)
    assert sum(len(frame.raw) for frame in raw) == len(head) + CAP + 1000
    assert (last.payload, last.faults) == (TEXT, ())


def test_a_declared_length_costs_no_memory() -> None:
    reader, out = FrameReader(True), list[WireFrame]()
    reader.feed(b"\x81\xff" + CAP.to_bytes(8, "big")[:7], out)
    assert len(msgspec.msgpack.encode(reader)) < 300 and out == []


def test_trickled_bytes_are_kept_in_few_pieces() -> None:
    reader, out = FrameReader(True), list[WireFrame]()
    data = m(bytes(100_000))
    for at in range(len(data) - 1):
        reader.feed(data[at : at + 1], out)
    assert len(reader.parts) < 40 and out == []
    reader.feed(data[-1:], out)
    assert out[0].payload == bytes(100_000)


@pytest.mark.parametrize("start", [0, 1, 5, 20, 600])
@pytest.mark.parametrize("size", [1, 30, 380])
def test_a_hole_is_named_and_the_reader_gets_in_step_again(start: int, size: int) -> None:
    long, short = m(b"x" * 994), m(TEXT)
    reader, out = FrameReader(True), list[WireFrame]()
    reader.feed(long[:start], out)
    reader.hole(size, out)
    reader.feed(long[start + size :], out)
    reader.feed(short, out)
    assert (out[-1].payload, out[-1].faults) in ((TEXT, ()), (TEXT, ("resync",)))
    assert {frame.faults for frame in out[:-1]} == {("partial",)}
    assert b"".join(frame.wire for frame in out) == long[:start] + long[start + size :] + short


def test_a_hole_over_a_frame_over_the_cap_keeps_step() -> None:
    reader, out = FrameReader(False), list[WireFrame]()
    reader.feed(b"\x82\x7f" + (CAP + 5000).to_bytes(8, "big") + bytes(1000), out)
    reader.hole(CAP, out)
    reader.feed(bytes(4000) + wire_frame(TEXT), out)
    assert [(frame.opcode, frame.fin, frame.faults) for frame in out] == [
        (2, False, ("too_large",)), (0, True, ("too_large",)), (1, True, ()),
    ]


def test_random_bytes_do_not_pass_for_frames_behind_a_hole() -> None:
    rng, reader, out = random.Random(1), FrameReader(True), list[WireFrame]()
    reader.hole(10, out)
    for _ in range(3000):
        reader.feed(rng.randbytes(rng.randrange(1, 60)), out)
    assert [frame.opcode for frame in out] == [RAW] * 3000


@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=200).map(str.encode), st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 65535]),
    ),
    st.sampled_from([1, 2, 8, 9]), st.booleans(), st.sampled_from([0, 0x40, 0x10]), st.sampled_from([0, 2, 8]), st.booleans(),
    st.booleans(), st.integers(-3, 3),
)
def test_the_quick_look_at_a_whole_text_sees_what_the_reader_sees(
    payload: bytes, opcode: int, fin: bool, rsv: int, form: int, masked: bool, expected: bool, cut: int,
) -> None:
    data = wire_frame(payload, opcode=opcode, fin=fin, mask=MASK if masked else b"", rsv=rsv, form=form)
    data = data[:cut] if cut < 0 else data + b"\x81\x00\x81"[:cut]
    reader = FrameReader(expected)
    whole, before = reader.text(data), msgspec.structs.asdict(reader)
    assert reader.whole(data) == (None if whole is None else whole[2])
    assert before == msgspec.structs.asdict(FrameReader(expected))         # looking changes nothing
    frames = list[WireFrame]()
    reader.feed(data, frames)
    if whole is not None:
        assert frames == [WireFrame(1, True, *whole)]
        assert msgspec.structs.asdict(reader) == before                     # and nothing is missed by not feeding it
    elif len(frames) == 1 and not frames[0].faults and frames[0].opcode == 1 and fin and not rsv and len(data) < 65536:
        assert reader.parts                                                 # only a begun frame behind it sends it away


def test_the_quick_look_is_refused_while_anything_is_begun() -> None:
    for begun in (m(TEXT)[:5], m(b"a", fin=False), m(b"\x03\xe8", opcode=8)):
        reader = FrameReader(True)
        reader.feed(begun, [])
        assert reader.text(m(TEXT)) is None and reader.whole(m(TEXT)) is None
