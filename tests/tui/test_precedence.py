"""Keys come before what the proxy tells: what is held up, for how long, and that a key's paint waits for no clock."""

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from ocpp_proxy_tui import feed as feed_module
from ocpp_proxy_tui import garbage, precedence
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.feed import Feed
from ocpp_proxy_tui.garbage import Collector
from ocpp_proxy_tui.precedence import Precedence
from ocpp_proxy_tui.screens.traffic import Traffic
from ocpp_proxy_tui.settings import Settings
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Input

from ocpp_proxy.cli.printing import render
from tests.tui.sources import MemorySource
from tests.tui.traffic_lines import LINK, Talk


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(precedence, "time", SimpleNamespace(perf_counter=lambda: self.now))


async def turns(done: Callable[[], object]) -> None:
    for _ in range(5_000):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not happen")


def test_what_comes_waits_until_the_key_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "HOLD_SECONDS", 60.0)
    monkeypatch.setattr(feed_module, "SLICE_SECONDS", 0.0)
    talk = Talk()

    async def main() -> None:
        keys = Precedence()
        feed = Feed(MemorySource(live=True), {}, 1_000, precedence=keys)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(feed._take([line for _ in range(50) for line in talk.pair()]))
            await turns(lambda: feed.lines == 10)
            keys.came()
            for _ in range(100):
                await asyncio.sleep(0)
            assert feed.lines == 10
            keys.painted()                  # of something else: the action of the key has not run
            for _ in range(100):
                await asyncio.sleep(0)
            assert feed.lines == 10 and keys.pending
            keys.acted()
            keys.painted()
            assert not keys.pending and not keys.due
        assert feed.lines == 100
    asyncio.run(main())


def test_a_key_that_paints_nothing_holds_up_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "HOLD_SECONDS", 0.001)

    async def main() -> None:
        keys = Precedence()
        keys.came()
        assert keys.pending
        await asyncio.wait_for(keys.free(), 20)
        assert not keys.pending
    asyncio.run(main())


def test_keys_without_end_let_through_as_long_as_they_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def main() -> None:
        keys = Precedence()
        keys.came()
        clock.now += 0.04
        keys.came()                         # the first one is counted from
        keys.acted()
        keys.painted()
        clock.now += 0.039
        keys.came()
        assert not keys.pending
        clock.now += 0.001
        keys.came()
        assert keys.pending
        keys.acted()
        keys.painted()
    asyncio.run(main())


def test_many_keys_in_a_row_are_not_each_painted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def main() -> None:
        keys = Precedence()
        prompt = 0
        for _ in range(100):                # 2 ms apart
            keys.came()
            keys.acted()
            prompt += keys.prompt()
            clock.now += 0.001
            keys.painted()
            clock.now += 0.001
        assert not keys.prompt() and 5 <= prompt <= 7
    asyncio.run(main())


def on_traffic(folder: Path, body: Callable[[ProxyApp, Traffic], object]) -> None:
    talk = Talk()
    source = MemorySource([line for _ in range(30) for line in talk.pair()], [LINK])
    app = ProxyApp(source, Settings(hz=50, follow=False), folder / "view.toml", render)

    async def main() -> None:
        async with app.run_test(size=(100, 30)) as pilot:
            pane = app.pane("Traffic")
            assert isinstance(pane, Traffic)
            for _ in range(1_000):
                if pane.list.row() is not None:
                    break
                await pilot.pause(0.01)
            found = body(app, pane)
            assert asyncio.iscoroutine(found)
            await found
    asyncio.run(main())


def test_the_paint_of_a_key_waits_for_no_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "HOLD_SECONDS", 60.0)

    async def body(app: ProxyApp, pane: Traffic) -> None:
        async def never(*_: object, **__: object) -> None:
            """A clock that stands still."""
        monkeypatch.setattr(Timer, "_tick", never)
        keys = app.ground.precedence
        painted: list[int] = []

        def watched() -> None:
            painted.append(pane.list.cursor)
            Precedence.painted(keys)
        monkeypatch.setattr(keys, "painted", watched)
        app.post_message(Key("down", None))
        assert keys.pending
        await turns(lambda: not keys.pending)
        assert set(painted) == {1}
    on_traffic(tmp_path, body)


def test_what_is_typed_into_a_text_holds_up_until_it_is_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "HOLD_SECONDS", 60.0)

    async def body(app: ProxyApp, pane: Traffic) -> None:
        app.action_filter()
        await turns(lambda: isinstance(app.focused, Input))
        bar = app.focused
        assert isinstance(bar, Input)
        app.post_message(Key("m", "m"))
        assert app.ground.precedence.pending
        await turns(lambda: bar.value == "m" and not app.ground.precedence.pending)
    on_traffic(tmp_path, body)


def test_a_tick_is_put_off_for_a_key_and_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "HOLD_SECONDS", 60.0)

    async def body(app: ProxyApp, pane: Traffic) -> None:
        ticks: list[int] = []
        monkeypatch.setattr(app, "_tick", lambda: ticks.append(1))
        app.ground.precedence.came()
        app._pulse()
        app._pulse()
        assert not ticks
        app.ground.precedence.acted()
        app.post_display_hook()
        await turns(lambda: ticks)
        assert ticks == [1]
        app._pulse()
        assert ticks == [1, 1]
    on_traffic(tmp_path, body)


def test_the_first_row_is_there_although_rows_have_left_since_the_last_tick(tmp_path: Path) -> None:
    talk = Talk()
    source = MemorySource([], [LINK], live=True, stored=False)
    app = ProxyApp(source, Settings(hz=50, rows=256), tmp_path / "view.toml", render)

    async def main() -> None:
        async with app.run_test(size=(100, 30)) as pilot:
            pane = app.pane("Traffic")
            assert isinstance(pane, Traffic) and pane.feed is not None
            for _ in range(500):
                source.push(*talk.pair())
            for _ in range(1_000):
                if pane.list.listing is not None and pane.list.listing.end == 500:
                    break
                await pilot.pause(0.01)
            for line in [line for _ in range(300) for line in talk.pair()]:
                pane.feed.take(line)
            pane.list.action_top()
            row = pane.list.row()
            assert row is not None and row.msg_no == 2 * pane.feed.exchanges.first + 1
            for line in [line for _ in range(300) for line in talk.pair()]:
                pane.feed.take(line)
            pane.list.action_bottom()
            row = pane.list.row()
            assert row is not None and row.msg_no == talk.msg_no - 1
    asyncio.run(main())


def test_garbage_is_collected_when_much_was_made_and_all_of_it_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [0]
    collected: list[int] = []
    monkeypatch.setattr(gc, "get_count", lambda: (made[0], 0, 0))
    monkeypatch.setattr(gc, "collect", collected.append)
    collector = Collector()
    made[0] = garbage.YOUNG - 1
    collector.collect_some()
    assert not collected
    made[0] = garbage.YOUNG
    for _ in range(garbage.ROUNDS * garbage.FULL):
        collector.collect_some()
    assert collected.count(2) == 1 and collected[-1] == 2 and collected.count(1) == garbage.FULL - 1
    assert len(collected) == garbage.ROUNDS * garbage.FULL
