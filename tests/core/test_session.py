"""Frame mode: untouched messages leave as their bytes, changed ones decode at a real peer, compressed or not."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from ocpp_proxy.core.session import (
    MAX_MESSAGE,
    MOST_PIECES,
    MOST_WAITING,
    PASS,
    WAIT,
    Drop,
    Dropped,
    Effect,
    Made,
    Original,
    Replace,
    Session,
    Transform,
    Unseen,
    Verdict,
)
from ocpp_proxy.wire.deflate import Inflater, InflaterState
from ocpp_proxy.wire.frames import FrameReader, WireFrame


def entropy(size: int) -> bytes:
    return bytes(range(1, size + 1))


def passing(text: bytes, at: int, opcode: int) -> Verdict:
    return PASS


def asking(asked: list[bytes]) -> Transform:
    def transform(text: bytes, at: int, opcode: int) -> Verdict:
        asked.append(text)
        return Drop("asked")

    return transform


def session(transform: Transform, compressed: bool, masked: bool = True) -> Session:
    return Session(transform, masked=masked, inflater=Inflater(InflaterState(True)) if compressed else None, entropy=entropy)


def leaving(effects: list[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, Original | Made))


def encoder() -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 15, 15)


def wire(text: bytes, extension: PerMessageDeflate | None = None, pieces: int = 1) -> bytes:
    """The bytes of one message as a real library makes them, in so many fragments."""
    size = max(1, -(-len(text) // pieces))
    parts = [text[at : at + size] for at in range(0, len(text), size)] or [b""]
    out = b""
    for index, part in enumerate(parts):
        frame = Frame(Opcode.TEXT if index == 0 else Opcode.CONT, part, fin=index == len(parts) - 1)
        out += frame.serialize(mask=True, extensions=[extension] if extension else [])
    return out


def texts(data: bytes, compressed: bool) -> Iterator[bytes]:
    """What a peer that follows the window reads."""
    decoder = PerMessageDeflate(False, False, 15, 15)
    frames: list[WireFrame] = []
    FrameReader(True, compressed).feed(data, frames)
    message: list[bytes] = []
    for frame in frames:
        if frame.opcode > 2:
            continue
        got = Frame(Opcode(frame.opcode), frame.payload, frame.fin, bool(frame.header[0] & 0x40))
        message.append(bytes(decoder.decode(got).data if compressed else got.data))
        if frame.fin:
            yield b"".join(message)
            message = []


def chunks(data: bytes, seed: int) -> Iterator[bytes]:
    source = random.Random(seed)
    at = 0
    while at < len(data):
        size = source.choice((1, 2, 3, 7, 50, 400))
        yield data[at : at + size]
        at += size


MESSAGES = st.lists(st.binary(max_size=300).map(lambda data: data.hex().encode()), max_size=12)


@given(MESSAGES, st.integers(0, 999), st.integers(1, 4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_untouched_messages_leave_as_their_bytes(messages: list[bytes], seed: int, pieces: int, compressed: bool) -> None:
    extension = encoder() if compressed else None
    stream = b"".join(wire(text, extension, pieces) for text in messages)
    subject = session(passing, compressed)
    assert b"".join(leaving(subject.feed(chunk)) for chunk in chunks(stream, seed)) == stream


@given(MESSAGES, st.integers(0, 999), st.integers(1, 4), st.booleans(), st.lists(st.integers(0, 2), min_size=12, max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_peer_reads_exactly_what_was_decided(
    messages: list[bytes], seed: int, pieces: int, compressed: bool, plan: list[int],
) -> None:
    extension = encoder() if compressed else None
    stream = b"".join(wire(text, extension, pieces) for text in messages)
    choices: tuple[Verdict, ...] = (PASS, Replace(b'["changed"]'), Drop("test"))
    decisions = iter([choices[choice] for choice in plan])
    subject = session(lambda *about: next(decisions), compressed)
    out = b"".join(leaving(subject.feed(chunk)) for chunk in chunks(stream, seed))
    expected = [text if choice == 0 else b'["changed"]' for text, choice in zip(messages, plan, strict=False) if choice < 2]
    assert list(texts(out, compressed)) == expected


@given(st.integers(0, 400), st.integers(0, 999), st.booleans())
@settings(max_examples=100, deadline=None)
def test_an_injected_message_never_lands_inside_another(at: int, seed: int, compressed: bool) -> None:
    extension = encoder() if compressed else None
    messages = [b'[2,"%d","Heartbeat",{}]' % number * 3 for number in range(6)]
    stream = b"".join(wire(text, extension, 3) for text in messages)
    subject = session(passing, compressed)
    out, fed, injected = b"", 0, False
    for chunk in chunks(stream, seed):
        if fed >= at and not injected:
            injected = True
            out += leaving(subject.inject(b'[2,"ours","Reset",{}]', "test"))
        out += leaving(subject.feed(chunk))
        fed += len(chunk)
    got = list(texts(out, compressed))
    assert [text for text in got if b"ours" not in text] == messages
    assert len(got) - len(messages) == injected


def test_after_the_first_change_a_compressed_direction_goes_on_plain() -> None:
    extension = encoder()
    stream = [wire(b'["same text again and again"]', extension) for _ in range(4)]
    plan: list[Verdict] = [PASS, Drop("gone"), PASS, PASS]
    verdicts = iter(plan)
    subject = session(lambda *about: next(verdicts), True)
    effects = [subject.feed(data) for data in stream]
    assert effects[0] == [Original(stream[0])]
    assert effects[1] == [Dropped("gone", len(stream[0]) + len(stream[1]))]
    assert [type(effect) for effect in effects[2] + effects[3]] == [Made, Made]
    assert all(effect.what == "inflated" for effect in effects[2] + effects[3] if isinstance(effect, Made))
    assert subject.diverged


def test_a_ping_inside_a_fragmented_message_keeps_its_place_and_does_not_wait() -> None:
    first = Frame(Opcode.TEXT, b"ab", fin=False).serialize(mask=True)
    ping = Frame(Opcode.PING, b"p").serialize(mask=True)
    last = Frame(Opcode.CONT, b"cd").serialize(mask=True)
    asked: list[bytes] = []
    subject = session(asking(asked), False)
    assert subject.feed(first) == []
    assert leaving(subject.feed(ping)) == first + ping
    assert leaving(subject.feed(last)) == last
    assert asked == []


def test_a_message_over_the_limit_passes_unseen() -> None:
    asked: list[bytes] = []
    subject = session(asking(asked), False)
    data = wire(b"x" * (MAX_MESSAGE + 1))
    effects = subject.feed(data)
    assert Unseen("too_large") in effects
    assert leaving(effects) == data
    assert asked == []


@pytest.mark.parametrize("garbage", [b"\x83\x85\0\0\0\0hello", b"\x88\x82\0\0\0\0\x03\xe8", b"\xf1\x80\0\0\0\0"])
def test_odd_frames_pass(garbage: bytes) -> None:
    subject = session(passing, False)
    assert leaving(subject.feed(garbage)) == garbage


def test_nothing_is_injected_behind_a_close() -> None:
    subject = session(passing, False)
    subject.feed(b"\x88\x82\0\0\0\0\x03\xe8")
    assert not subject.boundary
    assert subject.inject(b"x", "late") == []


def test_what_is_held_leaves_when_the_sender_goes() -> None:
    subject = session(passing, False)
    data = Frame(Opcode.TEXT, b"ab", fin=False).serialize(mask=True) + b"\x80"
    assert subject.feed(data) == []
    assert leaving(subject.end()) == data


def test_behind_a_change_what_cannot_be_inflated_does_not_leave() -> None:
    extension = encoder()
    first, second = wire(b'["one"]', extension), wire(b'["two"]', extension)
    verdicts: list[Verdict] = [Drop("gone")]
    subject = session(lambda *about: verdicts.pop(), True)
    subject.feed(first)
    broken = bytearray(second)
    broken[7:] = bytes(len(broken) - 7)
    broken[6] ^= 0xFF
    effects = subject.feed(bytes(broken))
    assert leaving(effects) == b""
    assert [type(effect) for effect in effects] == [Dropped]


def test_an_endless_message_is_not_kept() -> None:
    subject = session(passing, True)
    piece = bytes(1 << 20)
    first = bytearray(Frame(Opcode.TEXT, piece, fin=False).serialize(mask=True))
    first[0] |= 0x40                                    # RSV1: compressed
    subject.feed(bytes(first))
    subject.feed(Frame(Opcode.PING, b"").serialize(mask=True))
    for _ in range(20):
        data = Frame(Opcode.CONT, piece, fin=False).serialize(mask=True)
        fed = leaving(subject.feed(data))
        assert fed == data
    assert sum(map(len, subject._parts)) == 0


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8), compressed=st.booleans(),
    pieces=st.integers(1, 3), chunk=st.integers(1, 600), fates=st.integers(0, 4 ** 8 - 1),
)
def test_a_verdict_given_later_leaves_the_same_bytes_as_one_given_at_once(
    texts: list[bytes], compressed: bool, pieces: int, chunk: int, fates: int,
) -> None:
    """Waiting for some verdicts changes neither order nor bytes, whatever comes behind in the same chunk."""
    extension = encoder() if compressed else None
    data = b"".join(wire(text, extension, pieces) for text in texts)
    chosen = [(PASS, Replace(b"other"), Drop("no"), PASS)[fates >> 2 * place & 3] for place in range(len(texts))]

    def run(late: bool) -> bytes:
        given = iter(chosen)
        kept: list[Verdict] = []

        def transform(text: bytes, at: int, opcode: int) -> Verdict:
            verdict = next(given)
            if late and len(text) % 2:
                kept.append(verdict)
                return WAIT
            return verdict

        under, effects = session(transform, compressed), list[Effect]()
        for at in range(0, len(data), chunk):
            effects += under.feed(data[at : at + chunk])
            while under.stopped:
                assert not under.boundary
                effects += under.resume(kept.pop())
        return leaving(effects)

    assert run(late=True) == run(late=False)


def test_what_waits_is_followed_by_nothing() -> None:
    """Behind a message whose verdict is awaited neither a ping nor a message of ours leaves."""
    def transform(text: bytes, at: int, opcode: int) -> Verdict:
        return WAIT if text == b"first" else PASS

    under, behind = session(transform, False), b"\x89\x80\x00\x00\x00\x00" + wire(b"second")
    assert under.feed(wire(b"first") + behind) == []
    assert under.inject(b"ours", "") == []
    out = under.resume(Drop("gone"))
    assert [type(effect) for effect in out] == [Dropped, Made, Original, Original]
    assert leaving(out[2:]) == behind


@pytest.mark.parametrize("inside", [False, True])
def test_what_leaves_before_a_close_cannot_leave_inside_a_message(inside: bool) -> None:
    line = session(passing, compressed=False)

    def watch(opcode: int, payload: bytes) -> None:
        line.ahead(b"last", "released", plugin="p", at=7)

    line.watch = watch
    close = Frame(Opcode.CLOSE, b"").serialize(mask=True)
    large = b"x" * (MAX_MESSAGE + 1)
    begun = wire(large, pieces=1)[:-1]
    begun = bytes((begun[0] & 127,)) + begun[1:] + wire(large)[-1:] if inside else b""
    effects = line.feed(begun + close)
    assert leaving(effects).endswith(close)
    kept = [effect for effect in effects if isinstance(effect, Made | Dropped)]
    assert [(type(effect), effect.at, effect.plugin) for effect in kept] == [(Dropped if inside else Made, 7, "p")]
    assert list(texts(leaving(effects).removesuffix(close), False)) == ([] if inside else [b"last"])


def test_what_waits_for_the_end_of_a_message_is_bounded_and_told() -> None:
    line = session(passing, compressed=False)
    large = wire(b"x" * (MAX_MESSAGE + 1))
    line.feed(bytes((large[0] & 127,)) + large[1:])             # the first fragment of more
    effects = [effect for number in range(MOST_WAITING + 3) for effect in line.inject(b"ours", "", at=number)]
    assert [(type(effect), effect.at) for effect in effects if isinstance(effect, Dropped)] == [
        (Dropped, MOST_WAITING + more) for more in range(3)] and len(effects) == 3
    ended = line.end()
    assert [effect.at for effect in ended if isinstance(effect, Dropped)] == list(range(MOST_WAITING))
    assert leaving(ended) == b"" and line.end() == []


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [10, MAX_MESSAGE + 10])
def test_an_answer_to_a_call_of_ours_never_streams(compressed: bool, size: int) -> None:
    asked: list[bytes] = []
    one = session(asking(asked), compressed)
    one.ours = lambda first: first is None or first.startswith(b'[3,"ours"')
    text = b'[3,"ours",{"x":"%s"}]' % (b"y" * size)
    data = wire(text, encoder() if compressed else None, 3)
    ping = Frame(Opcode.PING, b"p").serialize(mask=True)
    frames = [frame.wire for frame in read(data)]
    effects = [effect for part in (frames[0], ping, *frames[1:]) for at in range(0, len(part), 100_000)
               for effect in one.feed(part[at:at + 100_000])]
    assert asked == [text] and leaving(effects) == ping         # the ping goes on at once, of the answer nothing leaves
    assert [type(effect) for effect in effects] == [Original, Dropped]


def test_what_is_no_answer_to_ours_streams_as_ever_while_one_is_awaited() -> None:
    asked: list[bytes] = []
    one = session(asking(asked), False)
    one.ours = lambda first: first is None or first.startswith(b'[3,"ours"')
    frames = [frame.wire for frame in read(wire(b'[3,"theirs",{}]', None, 2))]
    ping = Frame(Opcode.PING, b"p").serialize(mask=True)
    parts = (frames[0], ping, frames[1])
    assert leaving([effect for part in parts for effect in one.feed(part)]) == b"".join(parts)
    assert not asked


def test_a_message_of_endless_empty_pieces_is_not_kept() -> None:
    one = session(passing, False)
    first = Frame(Opcode.TEXT, b"[2", fin=False).serialize(mask=True)
    empty = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    left = leaving(one.feed(first + empty * (MOST_PIECES + 10)))
    assert left == first + empty * (MOST_PIECES + 10) and not one._open


def read(data: bytes) -> list[WireFrame]:
    """The frames of a masked direction."""
    found: list[WireFrame] = []
    FrameReader(True, True).feed(data, found)
    return found


LARGE = 5 << 20


def fed(one: Session, data: bytes, step: int) -> list[Effect]:
    return [effect for at in range(0, len(data), step) for effect in one.feed(data[at : at + step])]


@pytest.mark.parametrize("pieces", [1, 3, 9])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("step", [7, 65536, LARGE * 2])
def test_an_answer_to_a_call_of_ours_that_is_too_large_goes_nowhere(pieces: int, masked: bool, step: int) -> None:
    asked: list[bytes] = []
    one = session(asking(asked), False, masked)
    one.ours = lambda first: first is not None and first.startswith(b'[3,"ours"')
    text = b'[3,"ours",{"x":"%s"}]' % (b"y" * LARGE)
    parts = [text[at : at + LARGE // pieces + 100] for at in range(0, len(text), LARGE // pieces + 100)]
    frames = [Frame(Opcode.CONT if at else Opcode.TEXT, part, fin=at == pieces - 1).serialize(mask=masked)
              for at, part in enumerate(parts)]
    ping = Frame(Opcode.PING, b"p").serialize(mask=masked)
    data = b"".join(frames)
    effects = fed(one, data[:30], step)
    effects += one.feed(data[30:100_000])
    effects += one.inject(b"between", "") if pieces < 9 else []
    effects += fed(one, data[100_000 : len(frames[0])], 1 << 16) + (one.feed(ping) if pieces > 1 else [])
    effects += fed(one, data[max(100_000, len(frames[0])) :], 1 << 16)
    left = [effect for effect in effects if isinstance(effect, Original | Made)]
    assert [type(effect) for effect in left] == [Made] * (pieces < 9) + [Original] * (pieces > 1)
    assert leaving(effects).endswith(ping) is (pieces > 1)
    end = len(data) + len(ping) * (pieces > 1)
    assert [effect for effect in effects if isinstance(effect, Dropped)] == [Dropped("asked", end)]
    assert len(asked) == 1 and asked[0] == text[: len(asked[0])] and 64 <= len(asked[0]) <= 1000
    last = Frame(Opcode.TEXT, b"next").serialize(mask=masked)
    assert one.feed(last) == [Dropped("asked", end + len(last))] and asked[1] == b"next"
    begun = one.feed(data[: len(data) // 2]) + one.end()
    assert leaving(begun) == b""


def test_inside_a_frame_that_passes_in_pieces_nothing_else_leaves() -> None:
    one = session(passing, False)
    data = Frame(Opcode.TEXT, b'[2,"theirs","X",{"x":"%s"}]' % (b"y" * LARGE)).serialize(mask=True)
    effects = one.feed(data[:20]) + one.feed(data[20:1000]) + one.inject(b"ours", "")
    assert leaving(effects) == data[:1000] and Unseen("too_large") in effects
    effects = fed(one, data[1000:], 1 << 20)
    assert [type(effect) for effect in effects[-2:]] == [Original, Made]
    assert leaving(effects).startswith(data[1000:])


def test_behind_a_large_compressed_frame_nothing_is_inflated_with_a_wrong_window() -> None:
    asked: list[bytes] = []
    one, extension = session(asking(asked), True), encoder()
    noise = random.Random(1).randbytes(LARGE).hex().encode()
    first, second = wire(noise, extension), wire(b"[2]", extension)
    effects = fed(one, first, 1 << 20) + one.feed(second)
    assert leaving(effects) == first + second and not asked
    assert [effect for effect in effects if isinstance(effect, Unseen)] == [Unseen("too_large"), Unseen("undecodable")]
    other, extension = session(asking(asked), True), encoder()
    assert leaving(other.feed(wire(b"[2]", extension))) == b"" and asked == [b"[2]"]
    effects = fed(other, wire(noise, extension), 1 << 20)
    assert effects == [Dropped("cannot be decompressed behind a changed message", other._at)]
