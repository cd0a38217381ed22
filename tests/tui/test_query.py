"""The screen of queries: ready ones with parameters, SQL, errors, the result, its export; also on a capture."""

from pathlib import Path

import ocpp_proxy_captures
import pytest
from ocpp_proxy_captures import open_source
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.query import Query
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher

from ocpp_proxy.source import Table
from tests.tui.panes_case import Counting, cells, lines, on, settled, table, until

SAMPLE = Path(__file__).parents[2] / "captures" / "samples" / "demo.duckdb"
RESULT = Table(["msg_no", "identity", "seconds", "ok", "none"], [
    [3, "CP1\x1b[2J", 0.25, True, None], [7, "CP2", 12345.5, False, None], [None, "", 1e-6, True, None]], cut=True)


def source() -> Counting:
    made = Counting()
    first = ocpp_proxy_captures.query_list()[0][0]
    made.tables = {first: RESULT, "select 1": Table(["one"], [[1]])}
    return made


def pane_of(app: ProxyApp) -> Query:
    pane = app.pane("Query")
    assert isinstance(pane, Query)
    return pane


def test_ready_queries_are_listed_and_enter_runs_the_one_under_the_cursor(tmp_path: Path) -> None:
    made = source()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane, known = pane_of(app), ocpp_proxy_captures.query_list()
        assert cells(pane.ready, "query") == [name for name, _, _ in known] + ["sql"]
        await pilot.press("enter")
        await settled(pilot)
        parameters = tuple(one for one in known[0][2].split(", ") if one)
        assert made.asked == [("query", known[0][0], *parameters)]
        assert cells(pane.result) == [
            ("3", "CP1\\x1b[2J", "0.25", "true", ""), ("7", "CP2", "12,345.5", "false", ""), ("", "", "0.000001", "true", "")]
        assert pane.result.has_focus and pane.status() == "3 rows, more were cut"
        assert lines(pane.result)[0].split() == ["msg_no", "identity", "seconds", "ok", "none"]
    on(made, "Query", body, tmp_path)


def test_parameters_are_changed_and_what_was_written_is_kept(tmp_path: Path) -> None:
    made = source()
    known = ocpp_proxy_captures.query_list()
    at = next(at for at, (_, _, parameters) in enumerate(known) if parameters)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = pane_of(app)
        await pilot.press(*["j"] * at)
        await pilot.pause()
        name, parameters = known[at][0], known[at][2].split(", ")
        assert pane.asked.text.splitlines() == [name, *parameters]
        await pilot.press("tab")
        assert pane.asked.has_focus
        pane.asked.move_cursor(pane.asked.document.end)
        await pilot.press(*"9/n", "ctrl+r")
        await settled(pilot)
        assert made.asked[-1] == ("query", name, *parameters[:-1], parameters[-1] + "9/n")
        await pilot.press("e")                      # its own entry: nothing written there
        assert pane.asked.has_focus and pane.ready.cursor == len(known)
        await pilot.pause()
        assert pane.asked.text == ""
        await pilot.press(*"select 1", "f5")
        await settled(pilot)
        assert made.asked[-1] == ("query", "select 1") and cells(pane.result) == [("1",)]
        pane.ready.focus()
        await pilot.press("g", *["j"] * at)
        await pilot.pause()
        assert pane.asked.text.endswith("9/n")
        await pilot.press("G")
        await pilot.pause()
        assert pane.asked.text == "select 1"
    on(made, "Query", body, tmp_path)


def test_keys_go_round_the_parts_and_escape_leaves_the_text(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = pane_of(app)
        for key, part in (("tab", pane.asked), ("tab", pane.result), ("tab", pane.ready), ("shift+tab", pane.result),
                          ("shift+tab", pane.asked), ("escape", pane.ready)):
            await pilot.press(key)
            assert part.has_focus, (key, part)
        await pilot.press("G", "enter")             # nothing is written yet: write it
        await pilot.pause()
        assert pane.asked.has_focus
        await pilot.press("slash", "q", "1", "ctrl+r")
        await settled(pilot)
        assert pane.asked.text == "/q1" and pane.status() == "query /q1: there is none"
        await pilot.press("escape", "1", "5")       # one comes back to the part one was in
        assert pane.ready.has_focus
    on(source(), "Query", body, tmp_path)


def test_a_row_leads_to_its_message_and_cells_and_results_are_copied(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = pane_of(app)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("l", "y")
        await settled(pilot)
        assert app.clipboard == "CP1\\x1b[2J"
        await pilot.press("Y")
        await settled(pilot)
        assert app.clipboard.splitlines()[0] == "msg_no,identity,seconds,ok,none" and len(app.clipboard.splitlines()) == 4
        await pilot.press("ctrl+f", *"cp2", "enter")
        await settled(pilot)
        assert pane.result.cursor == 1
        await pilot.press("G", "enter")
        await settled(pilot)
        assert app.query_one(ContentSwitcher).current == "query"
        assert any("names no message" in note.message for note in app._notifications)
        await pilot.press("g", "enter")
        await until(pilot, lambda: app.query_one(ContentSwitcher).current == "traffic")
    on(source(), "Query", body, tmp_path)


def test_export_writes_what_is_shown_and_never_over_a_file(tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")

    async def export(app: ProxyApp, pilot: Pilot[None], name: str) -> str:
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        window = app.screen
        app.clear_notifications()
        window.query_one("Input").value = name      # type: ignore[attr-defined]
        await pilot.press("enter")
        await settled(pilot)
        assert not isinstance(app.screen, AskText)
        return " ".join(note.message for note in app._notifications)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("w")
        await settled(pilot)
        assert [note.message for note in app._notifications] == ["there is no result yet"]
        await pilot.press("enter")
        await settled(pilot)
        assert "File exists" in await export(app, pilot, str(there)) and there.read_text() == "mine"
        assert "take one of .csv" in await export(app, pilot, str(tmp_path / "x.pdf"))
        assert "No such file" in await export(app, pilot, str(tmp_path / "no" / "x.csv"))
        assert "No such file" in await export(app, pilot, "~nobody-of-that-name/x.csv")
        for ending, first in ((".csv", "msg_no,identity"), (".md", "|"), (".jsonl", "{"), (".txt", "msg_no")):
            target = tmp_path / f"new{ending}"
            assert "3 rows written" in await export(app, pilot, str(target))
            text = target.read_text()
            assert text.startswith(first) and "\x1b" not in text and "CP2" in text
        await pilot.press("w")
        await pilot.press("escape")
        assert not isinstance(app.screen, AskText)
    on(source(), "Query", body, tmp_path)


@pytest.mark.parametrize(("text", "told"), [
    ("select nothing from messages", "nothing"), ("selct 1 x", "selct"), ("overvew", "did you mean overview"),
    ("select * from read_csv('/etc/passwd')", ""),
])
def test_what_a_capture_says_to_wrong_sql_is_shown(tmp_path: Path, text: str, told: str) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = pane_of(app)
        await pilot.press("e")
        pane.asked.text = text
        await pilot.press("ctrl+r")
        await until(pilot, lambda: pane.status() not in ("choose a query, or write SQL", "running ..."))
        assert told in pane.status() and "rows" not in pane.status()[:8]
        await until(pilot, lambda: len(app._notifications) == 1)
        assert not pane.result.shown
        pane.asked.text = "select identity, count(*) n from messages group by 1 order by 1"
        await pilot.press("ctrl+r")
        await until(pilot, lambda: pane.result.shown)
        assert pane.result.names == ["identity", "n"] and pane.status().endswith(" rows")
    on(open_source(SAMPLE), "Query", body, tmp_path)        # type: ignore[arg-type]


def test_ready_queries_run_on_a_capture(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = pane_of(app)
        for at, (name, _, _) in enumerate(ocpp_proxy_captures.query_list()[:3]):
            pane.ready.focus()
            await pilot.press("g", *["j"] * at)
            await pilot.pause()
            pane._status = ""
            await pilot.press("enter")
            await until(pilot, lambda: pane.status() not in ("", "running ..."))
            assert pane.status().endswith(("rows", "rows, more were cut")), (name, pane.status())
            await until(pilot, lambda: pane.result.has_focus)
            assert table(app, "#result").names
    on(open_source(SAMPLE), "Query", body, tmp_path)        # type: ignore[arg-type]
