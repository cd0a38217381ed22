"""Readers that follow: they may begin with the newest lines, none is missing or comes twice; queues and batches are bounded."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest

from ocpp_proxy.fields import parse
from ocpp_proxy.hub import sinks
from ocpp_proxy.hub.asking import SLICE, encode
from ocpp_proxy.hub.sinks import Batch, Live, Subscriber
from ocpp_proxy.records import Line, MessageSeen, Record
from tests.hub.doubles import message


def numbers(lines: Sequence[Line]) -> list[int]:
    return [line.record.message.msg_no for line in lines if isinstance(line.record, MessageSeen)]


def stream(first: int, last: int, payload: bytes = b"{}") -> list[Record]:
    return [record for number in range(first, last + 1) for record in message(number, number % 3, number, payload)]


async def drained(subscriber: Subscriber) -> list[Batch]:
    """All batches, once it was told that nothing more comes."""
    subscriber.end()
    found = []
    while (batch := await subscriber.take()) is not None:
        found.append(batch)
    return found


@pytest.mark.parametrize(("where", "last", "expected"), [
    ("", 0, range(6001, 6011)), ("", 1, range(6000, 6011)), ("", 5000, range(1001, 6011)), ("", 9999, range(1, 6011)),
    ("identity == CP2", 3, range(5993, 6011, 3)), ("message_id == 17", 5, [17]), ("action == Nothing", 5, []),
    ("message_id == 6005", 5, [6005]),
])
def test_a_follower_begins_with_the_newest_that_pass(where: str, last: int, expected: Sequence[int]) -> None:
    async def play() -> None:
        live = Live()
        live.publish(stream(1, 6000))
        subscriber = live.subscribe(parse(where) if where else None, last)
        live.publish(stream(6001, 6010))
        batches = await drained(subscriber)
        assert [number for batch in batches for number in numbers(batch.lines)] == list(expected)
        assert not any(batch.dropped for batch in batches)

    asyncio.run(play())


@pytest.mark.parametrize("seed", range(20))
def test_no_line_is_missing_and_none_comes_twice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While lines come at any moment, also while the ring is looked through."""
    monkeypatch.setattr(sinks, "SEARCH_LINES", 7)
    dice = random.Random(seed)

    async def play() -> None:
        live = Live()
        sent = dice.randrange(0, 400)
        live.publish(stream(1, sent))
        last = dice.randrange(0, 300)
        where = dice.choice((None, "identity == CP1"))
        subscriber = live.subscribe(parse(where) if where else None, last)
        before = [number for number in range(1, sent + 1) if where is None or number % 3 == 1]
        got: list[int] = []

        async def read() -> None:
            while (batch := await subscriber.take(dice.randrange(1, 50))) is not None:
                got.extend(numbers(batch.lines))

        reading = asyncio.create_task(read())
        for _ in range(100):
            more = dice.randrange(0, 9)
            live.publish(stream(sent + 1, sent + more))
            sent += more
            await asyncio.sleep(0)
        live.end()
        async with asyncio.timeout(60):
            await reading
        after = [number for number in range(max(before, default=0) + 1, sent + 1) if where is None or number % 3 == 1]
        assert got == (before[-last:] if last else []) + after

    asyncio.run(play())


@pytest.mark.parametrize("count", [0, 3, 800, sinks.RING_LINES + 700])
def test_the_ring_is_the_same_made_in_pieces(count: int) -> None:
    async def play() -> None:
        live, other = Live(), Live()
        for first in range(1, count + 1, 100):
            for each in (live, other):
                each.publish(stream(first, min(first + 99, count)))
        await live.settle()
        assert numbers(live.ring) == numbers(other.ring) == list(range(max(1, count - sinks.RING_LINES + 1), count + 1))

    asyncio.run(play())


def test_a_ring_is_made_in_turns_of_the_event_loop() -> None:
    async def play() -> None:
        live = Live()
        for first in range(1, 10_001, 100):
            live.publish(stream(first, first + 99))
        turns = 0
        settling = asyncio.create_task(live.settle())
        while not settling.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10_000 // sinks.SEARCH_LINES
        assert len(live.ring) == 10_000

    asyncio.run(play())


def test_a_pause_of_two_seconds_at_full_rate_loses_nothing() -> None:
    async def play() -> None:
        live = Live()
        subscriber = live.subscribe(None)
        for first in range(1, 8001, 200):
            live.publish(stream(first, first + 199, b"x" * 300))
        batches = await drained(subscriber)
        assert [number for batch in batches for number in numbers(batch.lines)] == list(range(1, 8001))
        assert len(batches) < 10

    asyncio.run(play())


def test_a_longer_pause_loses_the_oldest_and_tells_how_many() -> None:
    async def play() -> None:
        live = Live()
        subscriber = live.subscribe(None)
        live.publish(stream(1, sinks.QUEUE_LINES + 123))
        batches = await drained(subscriber)
        assert [batch.dropped for batch in batches] == [123, *[0] * (len(batches) - 1)]
        assert numbers(batches[0].lines)[0] == 124
        live.leave(subscriber)
        assert live.dropped == 123

    asyncio.run(play())


def test_a_queue_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "QUEUE_BYTES", 10 << 20)

    async def play() -> None:
        live = Live()
        subscriber = live.subscribe(None)
        live.publish(stream(1, 20, bytes(1 << 20)))
        batches = await drained(subscriber)
        got = [number for batch in batches for number in numbers(batch.lines)]
        assert got == list(range(21 - len(got), 21))
        assert sum(batch.dropped for batch in batches) == 20 - len(got)
        assert 3 <= len(got) <= 10

    asyncio.run(play())


def test_a_batch_is_bounded_in_lines_and_bytes() -> None:
    async def play() -> None:
        live = Live()
        subscriber = live.subscribe(None, 1)
        live.publish(stream(1, 5000))
        live.publish(stream(5001, 5003, bytes(3 << 20)))
        batches = await drained(subscriber)
        assert [len(batch.lines) for batch in batches[:2]] == [sinks.BATCH_LINES, sinks.BATCH_LINES]
        assert max(len(live.encoded(batch)) for batch in batches) < 2 * (sinks.BATCH_BYTES + (6 << 20))
        assert [len(batch.lines) for batch in batches[2:]] == [1001, 1, 1]
        assert [number for batch in batches for number in numbers(batch.lines)] == list(range(1, 5004))

    asyncio.run(play())


def test_one_batch_is_encoded_once_for_all_that_get_it() -> None:
    async def play() -> None:
        live = Live()
        first, second, third = live.subscribe(None), live.subscribe(None), live.subscribe(parse("identity == CP1"))
        live.publish(stream(1, 9))
        batches = [await subscriber.take() for subscriber in (first, second, third)]
        texts = [live.encoded(batch) for batch in batches if batch is not None]
        assert texts[0] is texts[1]
        assert [numbers(msgspec.json.decode(text, type=Batch).lines) for text in texts] == [
            list(range(1, 10)), list(range(1, 10)), [1, 4, 7]]
        live.publish(stream(10, 18))
        fresh = await first.take()
        assert fresh is not None
        assert numbers(msgspec.json.decode(live.encoded(fresh), type=Batch).lines) == list(range(10, 19))
        lost = Batch(fresh.lines, 5)
        assert msgspec.json.decode(live.encoded(lost), type=Batch) == lost     # what another lost is not told to this one
        assert msgspec.json.decode(live.encoded(fresh), type=Batch) == fresh

    asyncio.run(play())


@pytest.mark.parametrize("length", [0, 1, SLICE, SLICE + 1, 3 * SLICE, 3 * SLICE + 1])
def test_long_lists_are_encoded_in_slices_to_the_same_bytes(length: int) -> None:
    answer = [{"n": number, "t": ",[]"} for number in range(length)]
    assert encode(answer) == msgspec.json.encode(answer)
    assert encode({"rows": answer}) == msgspec.json.encode({"rows": answer})
