"""The feed of live lines: two rings, a proxy that goes away and comes back, lines that were lost."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from ocpp_proxy_tui import feed as feed_module
from ocpp_proxy_tui.feed import Feed

from ocpp_proxy.fields.tree import Filter
from ocpp_proxy.model import CaptureError, Link
from ocpp_proxy.records import Handshake, Line
from tests.tui.sources import MemorySource
from tests.tui.traffic_lines import LINK, START, Talk


class Leaving(MemorySource):
    """A proxy that goes away after each of its visits. A visit is the lines it tells."""

    def __init__(self, visits: list[list[Line]], stored: bool = True) -> None:
        super().__init__(live=True, stored=stored)
        self.visits, self.asked = visits, 0

    async def follow(self, where: Filter | None, last: int = 0) -> AsyncIterator[list[Line]]:
        assert where is None and last == feed_module.LAST
        self.asked += 1
        if not self.visits:
            raise CaptureError("it does not answer")
        visit = self.visits.pop(0)
        for at in range(0, len(visit), 7):
            yield visit[at:at + 7]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (0.0,))


def run(feed: Feed, done: Callable[[], bool]) -> None:
    feed.ring("frames")

    async def main() -> None:
        task = asyncio.ensure_future(feed.run())
        for _ in range(5_000):
            if done():
                break
            await asyncio.sleep(0)
        assert done()
        task.cancel()
    asyncio.run(main())


def numbers(feed: Feed) -> list[int]:
    return [row.msg_no for _, row in feed.ring("frames").rows(0, feed.ring("frames").end) if row.msg_no]


def test_lines_become_exchanges_and_frames_and_links_are_learnt() -> None:
    talk, links = Talk(), dict[int, Link]()
    source = Leaving([[Line(Handshake(START, LINK)), *talk.pair(), talk.ping(), *talk.pair()]])
    feed = Feed(source, links, 1_000)
    run(feed, lambda: source.asked > 1)
    assert (feed.exchanges.end, feed.ring("frames").end, feed.lines) == (3, 6, 6)
    assert links == {1: LINK} and "does not answer" in feed.state


def test_what_is_told_again_after_a_break_is_not_taken_twice() -> None:
    talk = Talk()
    first = [talk.note(), *talk.pair(), talk.ping(), talk.note("refused", "a"), talk.call("Reset")]
    second = [talk.answer(first[-1]), talk.note(), *talk.pair()]
    told = list[str]()
    source = Leaving([first, [*first, *second], [*first[3:], *second]])
    feed = Feed(source, {}, 1_000, lambda: told.append(feed.state))
    run(feed, lambda: source.asked > 3)
    assert feed.lines == len(first) + len(second) and numbers(feed) == [1, 2, 3, 4, 5, 6]
    assert [row.outcome for _, row in feed.exchanges.rows(0, 99)] == ["", "ok", "", "ok", "", "ok"]
    assert "" in told and any("ended" in state for state in told)


@pytest.mark.parametrize("stored", [True, False])
def test_lines_lost_between_two_visits(stored: bool) -> None:
    talk = Talk()
    first, lost, second = talk.pair(), talk.pair(), [*talk.pair(), *talk.pair()]
    source = Leaving([first, second], stored)
    feed = Feed(source, {}, 1_000)
    run(feed, lambda: source.asked > 2)
    assert lost and feed.ring("frames").end == 6
    assert feed.ring("frames").first == (2 if stored else 0)        # the capture has them all: begun anew behind the hole


def test_nothing_lost_nothing_cut() -> None:
    talk = Talk()
    first, second = talk.pair(), talk.pair()
    source = Leaving([first, [*first[1:], *second]])
    feed = Feed(source, {}, 1_000)
    run(feed, lambda: source.asked > 2)
    assert (feed.ring("frames").first, feed.ring("frames").end, feed.exchanges.first) == (0, 4, 0)


@pytest.mark.parametrize("stored", [True, False])
def test_lines_the_proxy_could_not_hand_over_are_counted(stored: bool) -> None:
    talk = Talk()
    before, dropped, after = talk.pair(), talk.note("dropped", "1234 lines were dropped"), talk.pair()
    source = Leaving([[*before, dropped, *after]], stored)
    feed = Feed(source, {}, 1_000)
    run(feed, lambda: source.asked > 1)
    assert feed.dropped == 1234
    assert (feed.exchanges.first, feed.exchanges.end) == ((1, 2) if stored else (0, 3))


def test_a_new_proxy_that_counts_from_one_is_not_taken_for_the_old_one() -> None:
    old, new = Talk(), Talk()
    first = [line for _ in range(5) for line in old.pair()]
    new.now = old.now + 10**9
    second = [*new.pair("Reset"), new.call("Reset")]
    source = Leaving([first, second], stored=False)
    feed = Feed(source, {}, 1_000)
    run(feed, lambda: source.asked > 2)
    assert numbers(feed) == [*range(1, 11), 1, 2, 3]
    assert [row.outcome for _, row in feed.exchanges.rows(5, 9)] == ["ok", "pending"]


def test_the_loop_stays_free_while_much_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SLICE_SECONDS", 0.0)
    talk = Talk()
    source = Leaving([])
    feed = Feed(source, {}, 10_000)

    async def main() -> None:
        batch = [line for _ in range(500) for line in talk.pair()]
        task = asyncio.create_task(feed._take(batch))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 500 and feed.lines == 1_000
    asyncio.run(main())


def test_rings_are_bounded() -> None:
    feed = Feed(MemorySource(live=True), {}, 5_000_000)
    assert feed.exchanges.limit == 5_000_000 and feed.ring("frames").limit == feed_module.FRAMES
