"""Lists on the line API: lines are made once, the scroll bar and the layout stay where they look the same."""

import asyncio
import gc
import random
from pathlib import Path
from typing import Any

import pytest
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.traffic import Traffic
from ocpp_proxy_tui.settings import Settings
from ocpp_proxy_tui.widgets.line_view import Drawn, _fitted, _thumb
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.filter import Monochrome
from textual.geometry import Region
from textual.pilot import Pilot
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip

from ocpp_proxy.cli.printing import render
from tests.tui.panes_case import until
from tests.tui.sources import MemorySource
from tests.tui.traffic_lines import LINK, Talk

PARTS = [Segment("plain "), Segment("bold", Style(bold=True)), Segment(" 漢字 "), Segment("end")]


class Live:
    """A live list with so many rows, in which the cursor stands in the middle."""

    def __init__(self, folder: Path, count: int = 2_000) -> None:
        self.talk = Talk()
        self.source = MemorySource([], [LINK], live=True, stored=False)
        self.app = ProxyApp(self.source, Settings(hz=50), folder / "view.toml", render)
        self.count = count

    @property
    def pane(self) -> Traffic:
        found = self.app.pane("Traffic")
        assert isinstance(found, Traffic) and found.feed is not None
        return found

    def push(self, count: int) -> None:
        assert self.pane.feed is not None
        for line in [line for _ in range(count) for line in self.talk.pair()]:
            self.pane.feed.take(line)

    def run(self, body: Any) -> None:
        async def main() -> None:
            async with self.app.run_test(size=(100, 30)) as pilot:
                await until(pilot, lambda: self.pane.list.listing is not None)
                self.push(self.count)
                await until(pilot, lambda: self.pane.list.virtual_size.height == self.count + 1)
                await pilot.pause()
                self.pane.list.go(self.count // 2)
                await pilot.pause(0.1)      # the details, too
                await pilot.pause()
                await body(pilot)
        asyncio.run(main())


def calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call from now on."""
    seen: list[tuple[Any, ...]] = []
    whole = getattr(owner, name)

    def told(*some: Any, **more: Any) -> Any:
        seen.append(some)
        return whole(*some, **more)
    monkeypatch.setattr(owner, name, told)
    return seen


def test_a_step_makes_two_lines_and_a_paint_of_others_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(tmp_path)

    async def body(pilot: Pilot[None]) -> None:
        shown = live.pane.list
        made = calls(monkeypatch, shown, "render_line")
        line = shown.cursor - round(shown.scroll_y) + 1
        shown.go(shown.cursor + 1)
        await pilot.pause()
        assert sorted(made) == [(line,), (line + 1,)]
        made.clear()
        shown.render_lines(Region(0, 0, shown.size.width, shown.size.height))
        assert not made
        shown.refresh()
        await pilot.pause()
        assert sorted(made) == [(y,) for y in range(shown.size.height)]
    live.run(body)


def test_a_list_that_grows_lays_nothing_out_and_draws_its_bar_when_it_looks_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = Live(tmp_path)

    async def body(pilot: Pilot[None]) -> None:
        bars = calls(monkeypatch, ScrollBar, "render")
        layouts = calls(monkeypatch, Screen, "_refresh_layout")
        for _ in range(10):
            live.push(1)
            live.pane.list.tick()
            await pilot.pause()
        bar = live.pane.list.vertical_scrollbar
        assert live.pane.list.virtual_size.height == 2_011 == bar.window_virtual_size
        assert len(bars) <= 1 and not layouts
        live.push(3_000)
        live.pane.list.tick()
        await pilot.pause()
        assert 1 <= len(bars) <= 2 and not layouts
        drawn = [strip.text for strip in bar.render_lines(Region(0, 0, 1, bar.size.height))]
        bar.refresh()
        await pilot.pause()
        assert [strip.text for strip in bar.render_lines(Region(0, 0, 1, bar.size.height))] == drawn
    live.run(body)


def test_details_of_a_like_row_lay_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(tmp_path)

    async def body(pilot: Pilot[None]) -> None:
        layouts = calls(monkeypatch, Screen, "_refresh_layout")
        shown = live.pane.detail.shown
        live.pane.list.go(live.pane.list.cursor + 1)
        await until(pilot, lambda: live.pane.detail.shown is not shown)
        await pilot.pause()
        assert not layouts
    live.run(body)


def test_where_the_thumb_is_the_same_the_bar_looks_the_same() -> None:
    dice = random.Random(7)
    looks: dict[tuple[int, object], set[tuple[Any, ...]]] = {}
    for _ in range(4_000):
        cells = dice.randint(1, 6)
        height = dice.randint(1, 60)
        window = dice.randint(0, 12)
        y = dice.randint(0, max(0, height - window))
        shown = window if window < height else 0
        bar = ScrollBarRender.render_bar(cells, height, shown, y)
        look = tuple((segment.text, segment.style) for segment in bar.segments)
        looks.setdefault((cells, _thumb(cells, height, window, y)), set()).add(look)
    assert all(len(found) == 1 for found in looks.values()) and len(looks) > 100


def test_a_drawn_line_is_cut_as_others_are_and_leaves_no_garbage() -> None:
    length = sum(part.cell_length for part in PARTS)
    for cuts in ([length], [3, length], [7, 11, length], [3]):
        assert [part.text for part in Drawn(PARTS, length).divide(cuts)] == [part.text for part in Strip(PARTS).divide(cuts)]
    for begin, end in ((0, length), (2, 9), (0, length + 5)):
        ours, theirs = Drawn(PARTS, length), Strip(PARTS)
        assert ours.crop_extend(begin, end, None).text == theirs.crop_extend(begin, end, None).text
        assert ours.crop(begin, end).text == theirs.crop(begin, end).text
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            line = Drawn(PARTS, length)
            line.divide([length])
            line.crop_extend(0, length, None)
        del line
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("width", range(20))
def test_a_line_is_as_wide_as_the_window(width: int) -> None:
    fitted = Drawn(_fitted(PARTS, width, Style()), width)
    assert Strip(list(fitted)).cell_length == width
    assert fitted.text == Strip(PARTS).crop_extend(0, width, None).text


def test_without_colours_no_line_has_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(tmp_path)

    async def body(pilot: Pilot[None]) -> None:
        monkeypatch.setattr(live.app, "get_line_filters", lambda: [Monochrome()])
        live.pane.list.forget()
        live.pane.detail._tree.refresh()
        for shown in (live.pane.list, live.pane.detail._tree):
            for strip in shown.render_lines(Region(0, 0, shown.size.width, shown.size.height)):
                colours = [color for part in strip if part.style for color in (part.style.color, part.style.bgcolor) if color]
                assert all(len(set(_rgb(color))) == 1 for color in colours)
    live.run(body)


def _rgb(color: Color) -> tuple[int, int, int]:
    return color.get_truecolor()
