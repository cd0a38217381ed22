"""Every screen at every size, in ASCII mode without a character beyond ASCII, without colours, with 16 of them; times."""

import asyncio
from pathlib import Path

import pytest
from ocpp_proxy_tui import times
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.settings import Settings, load
from textual.pilot import Pilot

from ocpp_proxy.cli.printing import render
from ocpp_proxy.model import Severity
from ocpp_proxy.source import Charger, Charging, LogLine, Sample
from tests.tui.panes_case import START, Counting, S, found, group, on, screen, settled, until
from tests.tui.traffic_lines import LINK, Talk, finding

TITLES = ("Traffic", "Chargers", "Findings", "Transactions", "Query", "Log")


def full(count: int = 40) -> Counting:
    """Something on every screen, more than fits."""
    talk = Talk()
    lines = [line for _ in range(count) for line in talk.pair()]
    lines.append(talk.call("Reset", findings=(finding("R07", talk.msg_no + 1),)))
    made = Counting(lines, [LINK])
    made.known_chargers = [Charger(f"CP{at}", "open", findings=at, level=at % 5, errors=at) for at in range(count)]
    made.groups = [group(f"R{at:02d}", at, severity=Severity(at % 5)) for at in range(count)]
    made.found = [found("R00", at, msg_no=at) for at in range(1, count)]
    made.sessions = [Charging(str(at), "CP1", "ocpp1.6", 1, 1, START, START + at * S, 1.5, "t" * 50) for at in range(count)]
    made.samples = [Sample(START + at * S, "power", float(at), "W") for at in range(count)]
    made.logged = [LogLine(START + at * S, "error", "relay", "x" * 3000) for at in range(count)]
    return made


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 50), (40, 10)])
def test_every_screen_at_every_size_in_ascii(tmp_path: Path, size: tuple[int, int]) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        for at, title in enumerate(TITLES, 1):
            await pilot.press(str(at))
            await settled(pilot)
            app.notify("a note", severity="error")
            await pilot.press("j")
            await pilot.pause()
            text = _is_ascii(app, title)
            assert len(text) == size[1] and f"{at}" in text[0] and title in text[0]
            assert app._active.title == title
    on(full(), "Traffic", body, tmp_path, size, ascii=True)


def test_help_filter_line_and_questions_in_ascii(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        for at, title in enumerate(TITLES, 1):
            await pilot.press(str(at), "question_mark")
            await pilot.pause()
            text = "\n".join(_is_ascii(app, f"help of {title}"))
            assert "Tab completes" in text and app._active.help_text[:30] in text
            await pilot.press("escape")
        await pilot.press("1", "slash", *"acti")
        await pilot.pause()
        _is_ascii(app, "filter line")
        assert any("action" in line for line in screen(app)[1:4])
        await pilot.press("escape", "w")
        await settled(pilot)
        assert any("selection.jsonl" in line for line in _is_ascii(app, "asking"))
    on(full(), "Traffic", body, tmp_path, (80, 24), ascii=True)


def test_the_command_palette_and_the_themes_in_ascii(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("colon")
        await until(pilot, lambda: any("Chargers (2)" in line for line in screen(app)))
        _is_ascii(app, "palette")
        await pilot.press(*"them")
        await until(pilot, lambda: any("Choose another theme" in line for line in screen(app)))
        _is_ascii(app, "palette, searching")
        await pilot.press("escape", "escape")
        app.action_change_theme()
        await until(pilot, lambda: any("nord" in line or "ansi-dark" in line for line in screen(app)))
        _is_ascii(app, "themes")
    on(full(), "Traffic", body, tmp_path, (80, 24), ascii=True)


def _is_ascii(app: ProxyApp, where: str) -> list[str]:
    text = screen(app)
    beyond = {char for line in text for char in line if not char.isascii()}
    assert not beyond, (where, beyond, [line for line in text if not line.isascii()][:3])
    return text


def test_without_colours_nothing_is_coloured_and_marks_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert app.no_color
        strips = app.query_one("#groups").render_lines(app.query_one("#groups").region.reset_offset)
        for strip in strips:
            for segment in strip:
                for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    if colour is not None and colour.triplet is not None:
                        assert len(set(colour.triplet)) == 1, (segment, colour)
        assert any("✗" in line for line in screen(app)) and any("‼" in line for line in screen(app))
    on(full(), "Findings", body, tmp_path)


def test_sixteen_colours_are_those_of_the_terminal(tmp_path: Path) -> None:
    app = ProxyApp(full(), Settings(hz=50), tmp_path / "view.toml", render, ansi=True)

    async def main() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            assert app.theme == "ansi-dark" and app.ground.look.ansi
            for key in "123456":
                await pilot.press(key)
                await settled(pilot)
            assert app.is_running and app._active.title == "Log"
    asyncio.run(main())
    assert {Look(ansi=True).colour(level) for level in range(5)} == {"bright_black", "cyan", "yellow", "red", "magenta"}


def test_marks_differ_without_colour_and_plain_text_is_ascii() -> None:
    for ascii in (False, True):
        marks = [Look(ascii).mark(level) for level in range(-1, 5)]
        assert len(set(marks)) == 6 and all(len(mark) == 1 for mark in marks)
        assert not ascii or "".join(marks).isascii()
    assert Look(True).plain("a…é漢") == "a...\\xe9\\u6f22" and Look(False).plain("a…é") == "a…é"


def test_times_and_numbers() -> None:
    assert [times.span(seconds) for seconds in (0, -1, 3.44, 59.94, 59.96, 61, 3725, 93784)] == [
        "", "", "3.4 s", "59.9 s", "00:01:00", "00:01:01", "01:02:05", "1d 02:03:04"]
    assert (times.moment(0), times.clock(0), times.stamp(0)) == ("", "", "")
    assert times.clock(START + 5_000_000).endswith(".005") and times.stamp(START) == f"{times.moment(START)}.000"
    assert times.moment(10**30) == times.moment(1)          # beyond all calendars
    assert (times.number(None), times.number(0), times.number(1234567), times.number(1.25, 1)) == ("", "0", "1,234,567", "1.2")


def test_a_damaged_view_starts_anew(tmp_path: Path) -> None:
    view = tmp_path / "view.toml"
    for text in ("columns = [", "columns = 5\n", "unknown = 1\n"):
        view.write_text(text)
        assert load(None, view).columns == []
