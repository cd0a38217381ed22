"""The tracker agrees with the full reader about message boundaries, in any chunking."""

from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.frame_tracker import FrameTracker
from ocpp_proxy.wire.frames import FrameReader, WireFrame
from tests.core.feeds import wire_frame

MASK = b"\x01\x02\x03\x04"
_FRAME = st.builds(
    wire_frame, st.binary(max_size=200), opcode=st.sampled_from([0, 1, 1, 1, 2, 9, 10]), fin=st.booleans(),
    mask=st.sampled_from([b"", MASK]), rsv=st.sampled_from([0, 0x40]), form=st.sampled_from([0, 0, 2, 8]),
)


@given(st.lists(_FRAME, max_size=8), st.one_of(st.just(0), st.integers(1, 60)))
def test_the_boundary_is_where_the_reader_has_nothing_open(pieces: list[bytes], step: int) -> None:
    chunks = pieces if not step else [b"".join(pieces)[at : at + step] for at in range(0, sum(map(len, pieces)), step)]
    tracker, reader, out = FrameTracker(), FrameReader(True), list[WireFrame]()
    for chunk in chunks:
        reader.feed(chunk, out)
        assert tracker.feed(chunk) is (not reader.parts and not reader.opened)
        assert tracker.boundary is (not reader.parts and not reader.opened)


def test_a_fragmented_message_is_open_until_its_last_frame() -> None:
    tracker = FrameTracker()
    assert [tracker.feed(data) for data in (
        wire_frame(b"a", fin=False, mask=MASK), wire_frame(b"", opcode=9, mask=MASK),
        wire_frame(b"b", opcode=0, fin=False, mask=MASK), wire_frame(b"c", opcode=0, mask=MASK),
        wire_frame(b"d" * 300, mask=MASK), wire_frame(b"", opcode=10, mask=MASK),
    )] == [False, False, False, True, True, True]


def test_no_boundary_after_a_close() -> None:
    tracker = FrameTracker()
    assert (tracker.feed(wire_frame(b"", opcode=8, mask=MASK)), tracker.closed) == (False, True)
    assert tracker.feed(wire_frame(b"x", mask=MASK)) is False


def test_two_frames_in_one_chunk_and_a_cut_one() -> None:
    tracker = FrameTracker()
    one = wire_frame(b"x" * 200, mask=MASK)
    assert (tracker.feed(one + one), tracker.feed(one + one[:3]), tracker.feed(one[3:])) == (True, False, True)


def test_a_large_frame_is_skipped_by_count() -> None:
    tracker, chunk = FrameTracker(), bytes(1 << 20)
    tracker.feed(b"\x82\x7f" + (64 << 20).to_bytes(8, "big"))
    assert [tracker.feed(chunk) for _ in range(64)] == [False] * 63 + [True]


def test_a_length_nobody_can_mean_is_never_a_boundary_again() -> None:
    tracker = FrameTracker()
    tracker.feed(b"\x81\x7f" + (1 << 62).to_bytes(8, "big"))
    assert (tracker.feed(wire_frame(b"x")), tracker.broken, tracker.boundary) == (False, True, False)


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_any_bytes_never_raise(chunks: list[bytes]) -> None:
    tracker = FrameTracker()
    for chunk in chunks:
        assert tracker.feed(chunk) is tracker.boundary
