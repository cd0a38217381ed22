"""Places and cells of the traffic list: the row one was at, filters from payload cells, views of the details, Ctrl-Z."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from ocpp_proxy_tui.screens.traffic import Traffic
from textual.app import App
from textual.pilot import Pilot

from ocpp_proxy.records import Line
from ocpp_proxy.source import View
from tests.tui.sources import MemorySource
from tests.tui.test_traffic import METER, on, row_of, until
from tests.tui.traffic_lines import LINK, Talk


def with_notes(live: bool = False) -> MemorySource:
    """Forty exchanges; after every tenth two notes that have no number of their own."""
    talk, lines = Talk(), list[Line]()
    for at in range(40):
        lines += talk.pair("Reset", b"{}") if at % 5 == 0 else talk.pair("MeterValues", METER)
        if at % 10 == 9:
            lines += [talk.note("refused", f"limit {at}"), talk.note("refused", f"other {at}")]
    return MemorySource([] if live else lines, [LINK], live=live)


def listed(pane: Traffic, count: int) -> bool:
    return pane.list.listing is not None and pane.list.listing.end == count


def summary(pane: Traffic) -> str:
    row = pane.list.row()
    return row.summary if row is not None else ""


@pytest.mark.parametrize("live", [False, True])
def test_a_row_without_a_number_is_found_again_when_the_filter_goes(tmp_path: Path, live: bool) -> None:
    source, stored = with_notes(live), with_notes()

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        if live:
            source.push(*stored._lines)
        await until(pilot, lambda: listed(pane, 48))
        await pilot.press("slash", *"kind == note", "enter")
        await until(pilot, lambda: listed(pane, 8))
        await pilot.press("home", *"jjjj")
        assert summary(pane) == "refused: limit 29"
        await pilot.press("F")
        await until(pilot, lambda: listed(pane, 48) and summary(pane) == "refused: limit 29")
        assert pane.list.cursor == 34
    on(source, body, tmp_path)


def test_where_the_row_does_not_pass_the_cursor_stays_at_its_time(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("end", *"kk")
        await pilot.press("slash", *"action == Reset", "enter")
        await until(pilot, lambda: listed(pane, 8) and row_of(pane) == 71)      # the last Reset before it
    on(with_notes(), body, tmp_path)


def test_a_cell_of_a_payload_column_can_be_filtered_by(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("j", "right")
        await until(pilot, lambda: pane.list.cell_filter() is not None)
        await pilot.press("equals_sign")
        await until(pilot, lambda: listed(pane, 32))
        assert pane.where is not None and pane.where.text == "payload.transactionId == 4711"
        await pilot.press("F", "right")
        await until(pilot, lambda: listed(pane, 48))
        assert pane.list.cell_filter() == 'payload.meterValue[0].sampledValue[0].value == "5"'
        await pilot.press("minus")
        await until(pilot, lambda: listed(pane, 16))
        await pilot.press("F", "right")
        assert pane.list.cell_filter() is None
    names = ["no", "payload.transactionId", "payload.meterValue[0].sampledValue[0].value", "payload.none"]
    on(with_notes(), body, tmp_path, (140, 30), columns=names)


def test_the_lines_of_payload_columns_are_asked_for_beside_each_other(tmp_path: Path) -> None:
    class Slow(MemorySource):
        now = most = 0

        async def row_lines(self, view: View, number: int) -> list[Line]:
            self.now += 1
            self.most = max(self.most, self.now)
            for _ in range(20):
                await asyncio.sleep(0)
            self.now -= 1
            return await super().row_lines(view, number)

    source = Slow(with_notes()._lines, [LINK])

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "4711" in pane.list.render_line(3).text)
        assert 1 < source.most <= 10
    on(source, body, tmp_path, columns=["no", "payload.transactionId"])


def test_keys_of_the_details_change_their_view_from_the_list(tmp_path: Path) -> None:
    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        for key, mode in (("r", "raw"), ("x", "hex"), ("d", "tree")):
            await pilot.press(key)
            assert pane.detail.mode == mode and pane.list.has_focus
    on(with_notes(), body, tmp_path)


@pytest.mark.parametrize("own_job", [True, False])
def test_control_z_stops_only_what_a_shell_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_job: bool) -> None:
    asked: list[str] = []
    monkeypatch.setattr(App, "action_suspend_process", lambda self: asked.append("stop"))
    monkeypatch.setattr(os, "getpgrp", lambda: os.getpid() if own_job else 1)

    async def body(pane: Traffic, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+z")
        assert asked == (["stop"] if own_job else [])
        told = [note.message for note in pane.app._notifications]
        assert told == ([] if own_job else ["only a screen that a shell started by itself can be stopped: `ocpp-proxy tui`"])
    on(with_notes(), body, tmp_path)
    assert signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
