"""Acting from any screen: choosing a command, its form, what is asked once more, what is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.hands import WHOM
from ocpp_proxy_tui.screens import command_form as form_module
from ocpp_proxy_tui.screens.ask_sure import AskSure
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.choose_command import ChooseCommand
from ocpp_proxy_tui.screens.command_form import CommandForm
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from ocpp_proxy.model import ConfigError, Side
from ocpp_proxy.source import Charger, Injected
from tests.tui.acting_source import ActingSource
from tests.tui.panes_case import START, on, screen, until

W = TypeVar("W", bound=Screen[Any])


def two(**more: object) -> ActingSource:
    source = ActingSource()
    source.known_chargers = [Charger("CP1", "open", "ocpp1.6", last_seen_ns=START), Charger("CS2", "open", "ocpp2.0.1")]
    return source


def notes(app: ProxyApp) -> list[str]:
    return [note.message for note in app._notifications]


async def at(app: ProxyApp, pilot: Pilot[None], kind: type[W]) -> W:
    await until(pilot, lambda: isinstance(app.screen, kind) and app.screen.is_mounted)
    await pilot.pause()
    assert isinstance(app.screen, kind)
    return app.screen


def words(shown: Screen[Any], selector: str) -> str:
    return str(shown.query_one(selector, Static).content)


async def begin(app: ProxyApp, pilot: Pilot[None], *keys: str) -> CommandForm:
    """To the form of a command: ``keys`` are typed where commands are chosen."""
    await until(pilot, lambda: app._active.charger)
    await pilot.press("i")
    await at(app, pilot, ChooseCommand)
    await pilot.press(*keys, "enter")
    return await at(app, pilot, CommandForm)


def test_a_reset_is_chosen_filled_in_confirmed_sent_and_its_answer_shown(tmp_path: Path) -> None:
    source = two()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        form = await begin(app, pilot)                      # Reset is the first
        assert "Reset to the charger CP1 (OCPP 1.6)" in screen(app)[3] + screen(app)[2] + screen(app)[4]
        assert "type*" in "".join(screen(app)) and "one of: Hard, Soft" in words(form, "#form-help")
        assert "$" in words(form, "#form-made")             # it is required
        await pilot.press("ctrl+n", "ctrl+n")
        assert '{"type": "Soft"}' in words(form, "#form-made") and "fits the schema" in words(form, "#form-made")
        await pilot.press("enter")
        sure = await at(app, pilot, AskSure)
        assert sure.lines == ["Send Reset to the charger CP1 (OCPP 1.6)?", '{"type": "Soft"}'] and source.told == []
        await pilot.press("enter", "e")                     # neither sends it
        assert app.screen is sure
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, AskSure) and app.screen is not sure)
        assert source.told == [("inject", "CP1", Side.STATION, "Reset", {"type": "Soft"}, False, 30.0)]
        assert isinstance(app.screen, AskSure)
        assert app.screen.lines == ["Reset to the charger CP1 (OCPP 1.6)", "CALLRESULT after 12.5 ms", "{",
                                    '  "status": "Accepted"', "}"]
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
    on(source, "Chargers", body, tmp_path)


def test_what_the_schema_speaks_against_is_sent_only_when_that_is_meant(tmp_path: Path) -> None:
    source = two()
    source.answer = Injected("error", "p", {}, "FormationViolation", "no\x1b[2J", 3.0)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await begin(app, pilot, *"changeconf")
        await pilot.press(*"Interval", "down", *"300", "up", "backspace")
        await pilot.press("ctrl+s")
        sure = await at(app, pilot, AskSure)
        assert sure.lines[1] == '{"key": "Interva", "value": "300"}' and len(sure.lines) == 2
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert source.told == []
        await begin(app, pilot)
        await pilot.press(*"Warm", "enter")
        sure = await at(app, pilot, AskSure)
        assert "$.type" in sure.lines[2] and "y: send it all the same" in words(sure, "#sure-keys")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, AskSure) and app.screen is not sure)
        assert source.told == [("inject", "CP1", Side.STATION, "Reset", {"type": "Warm"}, True, 30.0)]
        assert isinstance(app.screen, AskSure)
        assert app.screen.lines[1:] == ["CALLERROR after 3.0 ms: FormationViolation no\\x1b[2J", "{}"]
    on(source, "Chargers", body, tmp_path)


def test_commands_are_those_of_the_charger_s_version_and_fields_of_optional_objects_come_on_demand(tmp_path: Path) -> None:
    source = two()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app._active.charger)
        await pilot.press("j", "i")
        chosen = await at(app, pilot, ChooseCommand)
        assert chosen.found[2:4] == [
            ("GetVariables", Side.STATION), ("SetVariables", Side.STATION)]
        await pilot.press("down", "down", "up")
        assert chosen.query_one(OptionList).highlighted == 1
        await pilot.press(*"getvariables")
        assert chosen.found == [("GetVariables", Side.STATION)]
        await pilot.press("enter")
        form = await at(app, pilot, CommandForm)
        shown = [line for line in form.query(Input) if not (line.parent and line.parent.has_class("hidden"))]
        assert len(shown) == 5 and len(form.query(Input)) == 7
        await pilot.press("ctrl+t")
        assert not form.query(".hidden")
        await pilot.press("ctrl+t")
        assert len(form.query(".hidden")) == 2
        await pilot.press(*"OCPPCommCtrlr", "down", "down", *"HeartbeatInterval")
        assert "fits the schema" in words(form, "#form-made")
        await pilot.press("ctrl+s")
        sure = await at(app, pilot, AskSure)
        assert sure.lines[0] == "Send GetVariables to the charger CS2 (OCPP 2.0.1)?"
        assert sure.lines[1] == ('{"getVariableData": [{"component": {"name": "OCPPCommCtrlr"}, "variable":'
                                 ' {"name": "HeartbeatInterval"}}]}')
    on(source, "Chargers", body, tmp_path)


def test_json_is_written_in_the_editor_for_what_has_no_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, given = two(), list[str]()
    left: list[Callable[[], str | None]] = [lambda: "{", lambda: None, lambda: '{"a": [1]}']

    def edit(app: object, text: str) -> str | None:
        given.append(text)
        return left.pop(0)()
    monkeypatch.setattr(form_module, "in_editor", edit)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        form = await begin(app, pilot, *"MyOwn")
        assert "no schema is known of it" in words(form, "#form-help")
        assert "OCPP 1.6 has no MyOwn" in words(form, "#form-made")
        await pilot.press("ctrl+o", "ctrl+o", "ctrl+o")
        assert given == ["{}\n"] * 3 and notes(app)[0].startswith("not JSON: ")
        assert "1 fault  " + '{"a": [1]}' in words(form, "#form-made")
        await pilot.press("ctrl+s")
        await at(app, pilot, AskSure)
        await pilot.press("y")
        await until(pilot, lambda: source.told)
        assert source.told == [("inject", "CP1", Side.STATION, "MyOwn", {"a": [1]}, True, 30.0)]
    on(source, "Chargers", body, tmp_path)


def test_the_editor_begins_with_what_is_filled_in_and_then_the_fields_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = list[str]()

    def edit(app: object, text: str) -> str:
        given.append(text)
        if len(given) == 2:
            raise ConfigError("no editor")
        return '{"type": "Hard"}'
    monkeypatch.setattr(form_module, "in_editor", edit)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        form = await begin(app, pilot)
        await pilot.press(*"Soft", "ctrl+o")
        assert given == ['{\n  "type": "Soft"\n}\n'] and not form.query_one("#fields").display
        assert words(form, "#form-made").endswith('{"type": "Hard"}')
        await pilot.press("ctrl+o")
        assert notes(app) == ["no editor"]
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
    on(two(), "Chargers", body, tmp_path)


def test_it_goes_to_the_csms_too_and_what_has_no_fields_is_sent_empty(tmp_path: Path) -> None:
    source = two()
    source.answer = Injected("timeout", "p")

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        form = await begin(app, pilot, *"heartb")
        assert "it has no fields" in words(form, "#form-help")
        await pilot.press("ctrl+s")
        sure = await at(app, pilot, AskSure)
        assert sure.lines == ["Send Heartbeat to the CSMS, as if from the charger CP1 (OCPP 1.6)?", "{}"]
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, AskSure) and app.screen is not sure)
        assert isinstance(app.screen, AskSure) and app.screen.lines[1:] == ["no answer came in time"]
        assert source.told == [("inject", "CP1", Side.CSMS, "Heartbeat", {}, False, 30.0)]
    on(source, "Chargers", body, tmp_path)


def test_what_is_refused_is_shown(tmp_path: Path) -> None:
    source = two()
    source.refusing = "CP1 has no open link\x1b[2J\n  second line"

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await begin(app, pilot, *"clearcache")
        await pilot.press("ctrl+s")
        sure = await at(app, pilot, AskSure)
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, AskSure) and app.screen is not sure)
        assert isinstance(app.screen, AskSure) and app.screen.lines[1:] == ["CP1 has no open link\\x1b[2J", "  second line"]
        await pilot.press("enter", "D")
        await at(app, pilot, AskText)
        await pilot.press("enter")
        await at(app, pilot, AskSure)
        await pilot.press("y")
        await until(pilot, lambda: "CP1 has no open link\\x1b[2J\n  second line" in notes(app))
        await pilot.press("I")
        await at(app, pilot, AskText)
        await pilot.press(*"x", "enter")
        await until(pilot, lambda: notes(app).count("CP1 has no open link\\x1b[2J\n  second line") == 2)
    on(source, "Chargers", body, tmp_path)


@pytest.mark.parametrize(("typed", "question", "told"), [
    ("", "End the link of the charger CP1 without a Close frame?", ("disconnect", "CP1", 0, False)),
    ("1012", "End the link of the charger CP1 with close code 1012?", ("disconnect", "CP1", 1012, False)),
    ("Reset", "End the link of the charger CP1 by TCP reset?", ("disconnect", "CP1", 0, True)), ("999", "", None)])
def test_a_link_is_ended_after_two_questions(
    typed: str, question: str, told: tuple[object, ...] | None, tmp_path: Path,
) -> None:
    source = two()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app._active.charger)
        await pilot.press("D")
        await at(app, pilot, AskText)
        await pilot.press(*typed, "enter")
        if told is None:
            await until(pilot, lambda: notes(app) == ["999: neither a close code nor reset"])
            return
        sure = await at(app, pilot, AskSure)
        assert sure.lines == [question]
        await pilot.press("y")
        await until(pilot, lambda: source.told == [told] and "CP1: disconnected" in notes(app))
    on(source, "Chargers", body, tmp_path)


def test_a_link_is_not_ended_when_one_of_the_questions_is_left(tmp_path: Path) -> None:
    source = two()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app._active.charger)
        await pilot.press("D", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.press("D")
        await at(app, pilot, AskText)
        await pilot.press("enter")
        await at(app, pilot, AskSure)
        await pilot.press("n")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert source.told == [] and notes(app) == []
    on(source, "Chargers", body, tmp_path)


def test_an_intercept_begins_with_the_filter_at_hand_and_is_of_the_charger_in_scope(tmp_path: Path) -> None:
    source = two()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"action == Reset", "enter", "I")
        asked = await at(app, pilot, AskText)
        assert asked.query_one(Input).value == "action == Reset" and "of all chargers" in "".join(screen(app))
        await pilot.press("end", *" and side == csms", "enter")
        await until(pilot, lambda: source.told == [("intercept", "action == Reset and side == csms", "*")])
        await until(pilot, lambda: notes(app) == ["intercept 1 is set; Held (7) shows what it holds"])
        await pilot.press("2")
        await until(pilot, lambda: app._active.charger)
        await pilot.press("enter", "I")
        await at(app, pilot, AskText)
        await pilot.press("enter")
        await until(pilot, lambda: source.told[1:] == [("intercept", "action == Reset", "CP1")])
        await pilot.press("I", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert len(source.told) == 2
    on(source, "Traffic", body, tmp_path)


def test_in_ascii_mode_windows_are_of_ascii(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app._active.charger)
        await pilot.press("i")
        await at(app, pilot, ChooseCommand)
        seen = screen(app)
        await pilot.press("enter")
        await at(app, pilot, CommandForm)
        seen += screen(app)
        await pilot.press("enter")
        await at(app, pilot, AskSure)
        seen += screen(app)
        await pilot.press("escape", "7")
        await until(pilot, lambda: app._active.title == "Held" and len(app.screen_stack) == 1)
        seen += screen(app)
        assert {char for line in seen for char in line if not char.isascii()} == set()
    on(two(), "Chargers", body, tmp_path, (80, 24), ascii=True)


def test_without_a_charger_at_hand_it_is_asked_for_one(tmp_path: Path) -> None:
    source = ActingSource()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("i", "D")
        await until(pilot, lambda: notes(app) == [WHOM, WHOM])
        assert source.told == []
    on(source, "Traffic", body, tmp_path)
