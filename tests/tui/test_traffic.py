"""The traffic screen by its keys, at three sizes, on files and on live sources."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from ocpp_proxy_captures import open_source
from ocpp_proxy_tui import listing as listing_module
from ocpp_proxy_tui import times
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.traffic import Traffic
from ocpp_proxy_tui.settings import Settings
from ocpp_proxy_tui.widgets.traffic_list import TrafficList
from textual.pilot import Pilot

from ocpp_proxy.cli.printing import render
from ocpp_proxy.records import Line, MessageSeen
from ocpp_proxy.source import Bookmark
from tests.tui.sources import MemorySource
from tests.tui.traffic_lines import LINK, START, Talk, finding

Body = Callable[[Traffic, Pilot[None]], Awaitable[None]]
METER = (b'{"connectorId":2,"transactionId":4711,"meterValue":'
         b'[{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"5"}]}]}')


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(listing_module, "EXTEND_SECONDS", 0.01)


def some(count: int = 60) -> list[Line]:
    """Exchanges: every fifth a Reset, the others MeterValues; a ping after every tenth; one error with a finding at the end."""
    talk = Talk()
    lines: list[Line] = []
    for at in range(count):
        lines += talk.pair("Reset", b'{"type":"Soft"}') if at % 5 == 0 else talk.pair("MeterValues", METER)
        if at % 10 == 9:
            lines.append(talk.ping())
    bad = talk.call("Authorize", b'{"idTag":"X"}', findings=(finding("R11", talk.msg_no + 1),))
    return [*lines, bad, talk.answer(bad, b"{}", mtype=4, error_code="InternalError", error_desc="no")]


def on(source: MemorySource, body: Body, tmp_path: Path, size: tuple[int, int] = (100, 30), **settings: object) -> ProxyApp:
    """Run the application at a size, with the traffic screen loaded."""
    app = ProxyApp(source, Settings(hz=50, **settings), tmp_path / "view.toml", render)     # type: ignore[arg-type]

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            pane = app.pane("Traffic")
            assert isinstance(pane, Traffic)
            await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.loaded.is_set())
            pane.tick()
            await until(pilot, lambda: pane.list.row() is not None or not pane.list.listing or not pane.list.listing.end)
            await body(pane, pilot)
    asyncio.run(main())
    return app


async def until(pilot: Pilot[None], done: Callable[[], object]) -> None:
    for _ in range(2_000):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it does not happen")


def texts(shown: TrafficList) -> list[str]:
    return [shown.render_line(y).text.rstrip() for y in range(shown.size.height)]


def _is_on(pane: Traffic, number: int) -> bool:
    return row_of(pane) == number


def row_of(pane: Traffic) -> int:
    row = pane.list.row()
    return row.msg_no if row is not None else 0


def test_a_file_is_shown_from_its_start_and_keys_move_the_cursor(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        moves = [("down", 3), ("j", 5), ("k", 3), ("up", 1), ("G", 121), ("g", 1), ("end", 121), ("home", 1)]
        for key, number in moves:
            await pilot.press(key)
            await until(pilot, partial(_is_on, pane, number))
        await pilot.press("pagedown")
        page = pane.list.cursor
        assert page >= pane.list.size.height - 3
        await pilot.press("ctrl+d", "ctrl+u", "pageup")
        assert pane.list.cursor == 0 and page > 0
        assert "exchanges 1/61" in pane.status()
    on(MemorySource(some(), [LINK]), body, tmp_path)


@pytest.mark.parametrize(("size", "columns", "wide"), [((80, 24), 7, False), ((100, 30), 9, False), ((200, 50), 9, True),
                                                       ((240, 50), 14, True)])
def test_columns_and_layout_follow_the_width(tmp_path: Path, size: tuple[int, int], columns: int, wide: bool) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(pane.list.columns) == columns)
        assert pane.has_class("wide") is wide
        assert sum(pane.list._widths) + columns - 1 == pane.list.size.width
        lines = texts(pane.list)
        assert "Action" in lines[0] and "Reset" in lines[1] and "20.0" in lines[1] and "CP1" in lines[1]
        assert pane.detail.size.height >= 6 and pane.detail.size.width >= 70
        assert pane.list.virtual_size.width == pane.list.size.width
    on(MemorySource(some(), [LINK]), body, tmp_path, size)


def test_findings_errors_and_pending_calls_have_signs(tmp_path: Path) -> None:
    talk = Talk()
    lines = [*some(), talk.call("Reset")]

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("G")
        await until(pilot, lambda: any("Authorize" in line for line in texts(pane.list)))
        error = next(line for line in texts(pane.list) if "Authorize" in line)
        assert "x" in error.split() and "InternalError" in error and "->" in error and error.isascii()
        assert "..." in next(line for line in reversed(texts(pane.list)) if "Reset" in line)
    on(MemorySource(lines, [LINK]), body, tmp_path, ascii=True)


def test_peer_text_is_escaped_in_every_column(tmp_path: Path) -> None:
    evil = "\x1b[31m\u202e\n[bold]x"
    talk = Talk(identity=evil)
    call = talk.call(evil, b'{"a":"\\u001b]52;c;x\\u0007"}', tx_id=evil, id_token=evil)
    names = ["charger", "action", "tx", "token", "error", "id", "payload.a", "summary"]

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "\\x1b]52" in texts(pane.list)[1])
        text = texts(pane.list)[1]
        assert "\\x1b[31m" in text and all(char.isprintable() for char in text)
        await pilot.press("down", "right", "right", "equals_sign")
        assert pane.ground.scope.where is not None
    on(MemorySource([call, talk.answer(call, b"{}", mtype=4, error_code=evil, error_desc=evil)]), body, tmp_path, (200, 40),
       columns=names)


def test_frames_show_pings_and_the_cursor_stays_on_its_message(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press(*["down"] * 12, "t")
        await until(pilot, lambda: pane.view == "frames" and row_of(pane) == 25)
        assert pane.list.cursor == 25       # behind 24 messages and a ping
        assert pane.list.listing is not None and pane.list.listing.end == 128
        await pilot.press("t")
        await until(pilot, lambda: pane.view == "exchanges" and pane.list.cursor == 12)
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_details_show_the_row_and_keys_go_there_and_back(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("down")
        await until(pilot, lambda: pane.detail._row is not None and pane.detail._row[1] == 3)
        await pilot.press("enter")
        await until(pilot, lambda: pane.detail.has_focus_within)
        await pilot.press("escape")
        assert pane.list.has_focus
        await pilot.press("tab")
        await until(pilot, lambda: pane.detail.has_focus_within)
        await pilot.press("tab")
        assert pane.list.has_focus
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_backslash_shows_the_list_the_details_both(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        height = pane.list.size.height
        await pilot.press("backslash")
        await pilot.pause()
        assert pane.list.size.height > height and not pane.detail.display
        await pilot.press("backslash")
        await pilot.pause()
        assert not pane.list.display and pane.detail.has_focus_within
        await pilot.press("backslash")
        await pilot.pause()
        assert pane.list.size.height == height and pane.list.has_focus
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_filter_from_a_cell_includes_and_excludes(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        names = [column.name for column in pane.list.columns]
        await pilot.press(*["right"] * names.index("action"), "equals_sign")
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 12)
        assert pane.ground.scope.where is not None and pane.ground.scope.where.text == "action == Reset"
        await pilot.press("F")
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 61)
        await pilot.press("minus")
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 49)
        await pilot.press("left", "left", "h", "l")
        column = pane.list.column()
        assert column is not None and column.name == names[names.index("action") - 2]
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_a_filter_keeps_the_cursor_on_its_row(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press(*["down"] * 20)
        assert row_of(pane) == 41
        await pilot.press("slash", *"action == Reset", "enter")
        await until(pilot, lambda: pane.list.cursor == 4 and row_of(pane) == 41)
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_a_filter_that_hides_the_row_shows_the_details_of_another(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("down")
        await until(pilot, lambda: pane.detail._row is not None and pane.detail._row[1] == 3)       # MeterValues
        await pilot.press("slash", *"action == Reset", "enter")
        await until(pilot, lambda: pane.detail._row is not None and pane.detail._row[1] == 1)
        assert row_of(pane) == 1
        await pilot.press("slash", *" and ms > 5000", "enter")
        await until(pilot, lambda: "no row passes (F: no filter)" in texts(pane.list)[2] and pane.detail._row is None)
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_rows_a_filter_finds_are_not_new_ones(tmp_path: Path) -> None:
    source = MemorySource([], [LINK], live=True)
    later = Talk()
    later.msg_no, later.frame_id = 1_000, 1_000

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        source.push(*some())
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 61)
        await pilot.press("space", "slash", *"action == Reset", "enter")
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 12)
        await until(pilot, lambda: not pane.list._fresh)
        assert not pane.list.follow and "below" not in pane.status()
        source.push(*later.pair("Reset", b"{}"))
        await until(pilot, lambda: "1 new below" in pane.status())
    on(source, body, tmp_path)


def test_an_answer_nobody_waits_for_says_what_it_is(tmp_path: Path) -> None:
    talk = Talk()
    lost = [talk.answer(talk.call(""), b"{}"), talk.answer(talk.call(""), b"{}", mtype=4, error_code="GenericError")]

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        shown = texts(pane.list)
        assert " Result " in shown[1] and " Error " in shown[2]
    on(MemorySource(lost, [LINK]), body, tmp_path)


def test_a_whole_path_may_be_typed_for_a_column(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        for typed, name in (("payload.transactionId", "payload.transactionId"), ("$.type", "payload.type")):
            await pilot.press("c", "a", *typed, "enter", "enter")
            await until(pilot, lambda: len(pane.app.screen_stack) == 1)
            assert name in pane.ground.settings.columns
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_columns_are_chosen_ordered_and_kept(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("c")
        await pilot.press("space", "j", "J", "a", *"transactionId", "enter", "enter")
        await until(pilot, lambda: len(pane.app.screen_stack) == 1)
        names = pane.ground.settings.columns
        assert "no" not in names and "payload.transactionId" in names
        assert names.index("charger") < names.index("time")
        await pilot.press("down")
        await until(pilot, lambda: any("4711" in text for text in texts(pane.list)))
        await pilot.press("c", "escape", "c", "r")
        await until(pilot, lambda: pane.ground.settings.columns == [] and len(pane.list.columns) == 9)
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_time_is_of_day_since_the_start_or_since_the_row_above(tmp_path: Path) -> None:
    now = times.clock(START + 3_000_000)                        # wherever the reader lives

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        assert now.endswith(":00.003") and now in texts(pane.list)[2]
        await pilot.press("T")
        assert " 0.002 " in texts(pane.list)[2] and " 0.004 " in texts(pane.list)[3]
        await pilot.press("T")
        assert " +0.002 " in texts(pane.list)[2] and " +0.002 " in texts(pane.list)[3]
        await pilot.press("T")
        assert now in texts(pane.list)[2]
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_search_goes_on_and_back_and_says_when_nothing_is_found(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+f", *"soft", "enter")
        await until(pilot, lambda: row_of(pane) == 11)
        await pilot.press("n")
        await until(pilot, lambda: row_of(pane) == 21)
        await pilot.press("N")
        await until(pilot, lambda: row_of(pane) == 11)
        pane.look_for("nowhere", True)
        await until(pilot, lambda: any("not found" in note.message for note in pane.app._notifications))
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_bookmarks_are_stored_shown_and_taken_away(tmp_path: Path) -> None:
    source = MemorySource(some(), [LINK])

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("down", "b", *"look here", "enter")
        await until(pilot, lambda: 3 in pane.ground.bookmarks)
        mark: Bookmark = source.marks[3]
        assert (mark.note, mark.msg_no) == ("look here", 3) and mark.time_ns
        await until(pilot, lambda: "*3" in texts(pane.list)[2])
        await pilot.press("b", *["backspace"] * 9, "enter")
        await until(pilot, lambda: 3 not in pane.ground.bookmarks)
        assert source.marks[3].time_ns == 0
        await pilot.press("b", "escape")
        assert 3 not in pane.ground.bookmarks
    on(source, body, tmp_path, ascii=True)


def test_copy_puts_rows_on_the_clipboard(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        def clipboard() -> str:
            return pane.app.clipboard

        await pilot.press("y")
        await until(pilot, lambda: clipboard().startswith('[2,"id-1","Reset",{"type":"Soft"}]\n[3,"id-1",'))
        await pilot.press("v", "down", "Y")
        await until(pilot, lambda: '  "Reset"' in clipboard() and '"id-3"' in clipboard())
        await pilot.press("escape", "C")
        await until(pilot, lambda: "ocpp-proxy tail memory --filter" in clipboard() and "message_id == id-3" in clipboard())
        await pilot.press("enter")
        await until(pilot, lambda: pane.detail.has_focus_within and pane.detail._row is not None and pane.detail._row[1] == 3)
        await pilot.press(*["down"] * 4, "P")
        await until(pilot, lambda: clipboard().startswith("$"))
    on(MemorySource(some(), [LINK]), body, tmp_path, (160, 50))


def test_a_selection_is_saved_and_opens_again(tmp_path: Path) -> None:
    target = tmp_path / "part.jsonl"

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("shift+down", "shift+down", "J", "K")
        assert len(pane.list.chosen()) == 3 and "3 chosen" in pane.status()
        await pilot.press("w", *["backspace"] * 20, *str(target), "enter")
        await until(pilot, target.exists)
        await until(pilot, lambda: any("6 messages saved" in note.message for note in pane.app._notifications))
        await pilot.press("w", *["backspace"] * 20, *str(target), "enter")
        await until(pilot, lambda: any("exists already" in note.message for note in pane.app._notifications))
        await pilot.press("w", *["backspace"] * 20, *"x.csv", "enter")
        await until(pilot, lambda: any("the ending says" in note.message for note in pane.app._notifications))
    on(MemorySource(some(), [LINK]), body, tmp_path)

    async def again() -> list[str]:
        source = open_source(target)
        lines = [line async for batch in source.follow(None) for line in batch]
        await source.close()
        return [line.record.message.message_id for line in lines if isinstance(line.record, MessageSeen)]
    assert asyncio.run(again()) == ["id-1", "id-1", "id-3", "id-3", "id-5", "id-5"]


def test_a_jump_leaves_filters_and_views_that_hide_the_row(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        pane.jump(msg_no=42)
        await until(pilot, lambda: row_of(pane) == 41)
        await pilot.press("slash", *"action == Reset", "enter")
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 12)
        pane.jump(msg_no=43)
        await until(pilot, lambda: row_of(pane) == 43 and pane.ground.scope.where is None)
        pane.jump(frame_id=21)              # a ping: among the frames only
        await until(pilot, lambda: pane.view == "frames" and pane.list.row() is not None)
        await until(pilot, lambda: (row := pane.list.row()) is not None and row.frame_id == 21)
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_live_follows_and_a_moved_cursor_stays_where_it_is(tmp_path: Path) -> None:
    lines, talk = some(), Talk()
    talk.msg_no, talk.frame_id, talk.now = 1_000, 1_000, talk.now + 10**10
    source = MemorySource(lines, [LINK], live=True)

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 61)
        assert pane.list.follow and row_of(pane) == 121
        source.push(*talk.pair("Heartbeat"))
        await until(pilot, lambda: row_of(pane) == 1_001)
        before = pane.detail.shown          # maybe of the same row, which was the newest before
        await pilot.press("up")
        await until(pilot, lambda: pane.detail.shown is not before)
        assert row_of(pane) == 121 and pane.detail._row is not None and pane.detail._row[1] == 121
        shown, top = pane.detail.shown, pane.list.scroll_y
        for _ in range(342):
            source.push(*talk.pair("Heartbeat"))
        await until(pilot, lambda: "342 new below" in pane.status())
        assert row_of(pane) == 121 and pane.detail.shown is shown and pane.list.scroll_y == top
        assert pane.feed is not None and pane.feed.lines == 814         # pausing the view pauses nothing else
        await pilot.press("space")
        await until(pilot, lambda: pane.list.follow and row_of(pane) == 1_685)
        assert "following" in pane.status()
        await pilot.press("space")
        assert not pane.list.follow
    on(source, body, tmp_path)


def test_live_filter_takes_what_comes_and_what_changes(tmp_path: Path) -> None:
    talk = Talk()
    source = MemorySource([], [LINK], live=True, stored=False)

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"outcome == ok", "enter")
        call = talk.call("Reset")
        source.push(call, *talk.pair())
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 1)
        source.push(talk.answer(call))
        await until(pilot, lambda: pane.list.listing is not None and pane.list.listing.end == 2)
    on(source, body, tmp_path)


def test_the_mouse_moves_the_cursor_chooses_and_opens(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.click(TrafficList, offset=(30, 3))
        assert pane.list.cursor == 2
        column = pane.list.column()
        assert column is not None and column.name == "charger"
        await pilot.click(TrafficList, offset=(30, 5), shift=True)
        assert list(pane.list.chosen()) == [2, 3, 4]
        await pilot.click(TrafficList, offset=(30, 0))
        assert pane.list.cursor == 4
        await pilot.click(TrafficList, offset=(30, 2), times=2)
        await until(pilot, lambda: pane.detail.has_focus_within and pane.list.cursor == 1)
    on(MemorySource(some(), [LINK]), body, tmp_path)


def test_every_key_of_the_screen_has_a_name_and_can_be_another(tmp_path: Path) -> None:
    bindings = [*Traffic.BINDINGS, *TrafficList.BINDINGS]
    ids = [getattr(binding, "id", None) for binding in bindings]
    assert all(str(name).startswith("traffic.") for name in ids) and len(set(ids)) == len(ids)
    assert all(getattr(binding, "description", "") for binding in bindings)

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("z")
        assert pane.list.cursor == 1
    on(MemorySource(some(), [LINK]), body, tmp_path, keys={"traffic.down": "z"})


def test_an_empty_source_and_an_empty_filter_show_nothing_and_bear_all_keys(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        moves = ["down", "up", "G", "g", "pagedown", "v", "enter", "escape"]
        acts = ["equals_sign", "minus", "y", "Y", "C", "P", "t", "T", "backslash", "backslash", "backslash", "b"]
        keys = [*moves, *acts]
        await pilot.press(*keys)
        assert pane.list.row() is None and pane.status().endswith("0/0")
    on(MemorySource([], [LINK]), body, tmp_path)


def test_help_and_quit_stand_in_the_footer_at_80_columns(tmp_path: Path) -> None:
    async def main() -> None:
        app = ProxyApp(MemorySource(), Settings(), tmp_path / "view.toml", render)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            footer = "".join(segment.text for segment in app.screen._compositor.render_strips()[-1])
            assert "? help" in footer and "q quit" in footer and "/ filter" in footer, footer
    asyncio.run(main())


def test_rows_that_are_stored_nowhere_leave_at_the_top_and_the_window_stays(tmp_path: Path) -> None:
    lines, talk = some(), Talk()
    talk.msg_no, talk.frame_id, talk.now = 1_000, 1_000, talk.now + 10**10
    source = MemorySource(lines, [LINK], live=True, stored=False)

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        for _ in range(400):
            source.push(*talk.pair("Heartbeat"))
        await until(pilot, lambda: row_of(pane) == 1_799 and pane.list.follow)
        await pilot.press("up")
        assert pane.feed is not None and pane.list.listing is not None
        pane.feed.exchanges.limit = 256
        shown = [strip.text for strip in (pane.list.render_line(y) for y in range(1, 8))]
        for _ in range(100):
            source.push(*talk.pair("Heartbeat"))
        listing = pane.list.listing
        await until(pilot, lambda: listing.first > 64 and "100 new below" in pane.status())
        assert row_of(pane) == 1_797
        assert [strip.text for strip in (pane.list.render_line(y) for y in range(1, 8))] == shown
    on(source, body, tmp_path)
