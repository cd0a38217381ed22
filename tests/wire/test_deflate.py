"""permessage-deflate: agreements, windows, restarts between messages, bombs."""

import random
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.deflate import CAP, MAX_CHUNKS, WINDOW, Agreement, Inflater, InflaterState, agreement


def packed(z: "zlib._Compress", text: bytes, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    return (z.compress(text) + z.flush(mode)).removesuffix(b"\x00\x00\xff\xff")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None), ("x-webkit-deflate-frame", None), ("permessage-deflate", Agreement()),
        ("permessage-deflate; client_no_context_takeover", Agreement(station_takeover=False)),
        ("Permessage-Deflate;server_no_context_takeover; server_max_window_bits=10",
         Agreement(csms_takeover=False, csms_bits=10)),
        ('foo; bar, permessage-deflate; client_max_window_bits="9"', Agreement(station_bits=9)),
        ("permessage-deflate; client_max_window_bits", Agreement()),
        ("permessage-deflate; client_max_window_bits=99; ;=", Agreement()),
    ],
)
def test_agreements(header: str, expected: Agreement | None) -> None:
    assert agreement(header) == expected


@pytest.mark.parametrize("bits", [9, 10, 12, 15])
@pytest.mark.parametrize("takeover", [True, False])
def test_messages_inflate_over_restarts_at_any_boundary(bits: int, takeover: bool) -> None:
    rng = random.Random(bits)
    z = zlib.compressobj(6, zlib.DEFLATED, -bits)
    inflater = Inflater(InflaterState(takeover))
    for _ in range(150):
        text = bytes(rng.choices(b'abc[]{}",', k=rng.choice((0, 5, 900, 40000))))
        if not takeover:
            z = zlib.compressobj(6, zlib.DEFLATED, -bits)
        assert inflater.inflate(packed(z, text)) == (text, "")
        if rng.random() < 0.5:
            inflater.fold()
            stored = msgspec.msgpack.encode(inflater.state)
            assert len(stored) < 2 * WINDOW + 300 and len(inflater.state.chunks) <= MAX_CHUNKS
            inflater = Inflater(msgspec.msgpack.decode(stored, type=InflaterState))


def test_a_final_block_does_not_end_the_window() -> None:
    inflater = Inflater(InflaterState(True))
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    assert inflater.inflate(packed(z, b"hello hello")) == (b"hello hello", "")
    last = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=b"hello hello")
    assert inflater.inflate(packed(last, b"hello hello again", zlib.Z_FINISH)) == (b"hello hello again", "")
    third = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=b"hello hellohello hello again")
    assert inflater.inflate(packed(third, b"hello again")) == (b"hello again", "")


def test_a_bomb_is_cut_at_the_cap() -> None:
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(z.compress(bytes(1 << 20)) for _ in range(200)) + z.flush(zlib.Z_SYNC_FLUSH)
    inflater = Inflater(InflaterState(True))
    text, fault = inflater.inflate(data)
    assert (len(data) < 250_000, len(text), fault) == (True, CAP, "bomb")
    assert inflater.inflate(packed(z, b"x")) == (b"", "undecodable")
    assert inflater.state.chunks == []


def test_without_takeover_each_message_stands_alone() -> None:
    inflater = Inflater(InflaterState(False))
    text = packed(zlib.compressobj(6, zlib.DEFLATED, -15), b"hello")
    assert inflater.inflate(b"\xff\xff") == (b"", "inflate")
    inflater.lose("gap")
    assert inflater.inflate(text) == (b"hello", "")
    assert inflater.inflate(text, cap=3) == (b"hel", "bomb")
    assert inflater.inflate(text) == (b"hello", "")


def test_text_of_exactly_the_cap_is_whole() -> None:
    inflater = Inflater(InflaterState(True))
    assert inflater.inflate(packed(zlib.compressobj(6, zlib.DEFLATED, -15), b"abc"), cap=3) == (b"abc", "")


def test_a_fault_takes_the_window() -> None:
    inflater = Inflater(InflaterState(True))
    assert inflater.inflate(b"\xff\xff")[1] == "inflate"
    assert inflater.state.lost == "inflate"
    assert Inflater(inflater.state).inflate(packed(zlib.compressobj(6, zlib.DEFLATED, -15), b"x")) == (b"", "undecodable")


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans(), st.text(max_size=80))
def test_any_bytes_never_raise(messages: list[bytes], takeover: bool, header: str) -> None:
    inflater = Inflater(InflaterState(takeover))
    for message in messages:
        text, fault = inflater.inflate(message, cap=1000)
        assert len(text) <= 1000 and fault in ("", "inflate", "bomb", "undecodable")
    agreement(header)
