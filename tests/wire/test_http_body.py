"""Where bodies end, in any chunking, with what follows them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.http import Framing
from ocpp_proxy.wire.http_body import MAX_LINE, BodyReader

NEXT = b"HTTP/1.1 200 OK\r\n\r\n"
BODIES: list[tuple[Framing, int, bytes]] = [
    ("none", 0, b""), ("length", 5, b"hello"), ("length", 0, b""),
    ("chunked", 0, b"0\r\n\r\n"), ("chunked", 0, b"5\r\nhello\r\n0\r\n\r\n"),
    ("chunked", 0, b"A;x=\"y\"\r\n0123456789\r\n1\r\n\n\r\n000\r\nX: 1\r\nY: 2\r\n\r\n"),
]


@given(st.sampled_from(BODIES), st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_a_body_ends_where_it_ends_in_any_chunking(case: tuple[Framing, int, bytes], steps: list[int]) -> None:
    framing, length, body = case
    stream, at, taken, turn = body + NEXT, 0, 0, 0
    reader = BodyReader(framing, length)
    while at < len(stream) and not reader.ended:
        piece = stream[at : at + steps[turn % len(steps)]]
        taken += reader.feed(piece)
        at += len(piece)
        turn += 1
        reader = msgspec.msgpack.decode(msgspec.msgpack.encode(reader), type=BodyReader)
    assert (taken, reader.ended, reader.fault) == (len(body), True, "")
    assert reader.feed(NEXT) == 0


def test_feeding_from_the_middle_of_a_buffer() -> None:
    assert BodyReader("chunked").feed(b"head" + BODIES[4][2] + NEXT, 4) == len(BODIES[4][2])
    assert BodyReader("length", 3).feed(b"headabcdef", 4) == 3


def test_until_close_takes_all_and_never_ends() -> None:
    reader = BodyReader("close")
    assert (reader.feed(b"abc"), reader.feed(NEXT), reader.ended) == (3, len(NEXT), False)


@pytest.mark.parametrize(
    "body", [b"x\r\nhello", b"-1\r\n", b"5\nhello\r\n", b" 5\r\nhello\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
             b"0x5\r\nhello\r\n", b"\r\n", b"1" * 16 + b"\r\n", b"5;a\0\r\nhello\r\n"],
)
def test_a_broken_chunk_goes_on_until_the_end(body: bytes) -> None:
    for step in (1, 100):
        reader = BodyReader("chunked")
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        assert [reader.feed(piece) for piece in pieces] == [len(piece) for piece in pieces]
        assert (reader.fault, reader.ended, reader.feed(NEXT)) == ("chunk", False, len(NEXT))


def test_an_endless_chunk_line_is_not_kept() -> None:
    reader = BodyReader("chunked")
    for _ in range(10):
        reader.feed(b"1" * 1000)
    assert reader.fault == "chunk" and len(reader.line) <= MAX_LINE


def test_missing_bytes_are_counted() -> None:
    reader = BodyReader("length", 10)
    reader.skip(4)
    assert (reader.feed(b"abcdef" + NEXT), reader.ended) == (6, True)
    chunked = BodyReader("chunked")
    chunked.skip(3)
    assert (chunked.fault, chunked.feed(NEXT)) == ("chunk", len(NEXT))


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_never_raise(pieces: list[bytes]) -> None:
    reader = BodyReader("chunked")
    for piece in pieces:
        assert 0 <= reader.feed(piece) <= len(piece)
