"""The commands that act by hand: what they tell the proxy, what they print, and how they end."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ocpp_proxy_tui import start
from ocpp_proxy_tui.settings import Settings

from ocpp_proxy.cli import acts, enabling, holding, viewing
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.model import Side
from ocpp_proxy.source import Held, Injected, Intercept, PluginState
from tests.tui.acting_source import ANSWER, BOOT, RESET, ActingSource

DEMO = str(Path(__file__).parents[2] / "captures/samples/demo.duckdb")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> ActingSource:
    made = ActingSource()
    made.kept = [BOOT, RESET, ANSWER]

    async def opened(text: str | None) -> ActingSource:
        made.opened_as.append(text)
        return made
    monkeypatch.setattr(acts, "open_source", opened)
    monkeypatch.setattr(enabling, "running", list)
    return made


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert run_app(list(arguments)) == code
    output = capsys.readouterr()
    return output.out, output.err


def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *texts: str, code: int = 0) -> Path:
    """An editor that saves one text after the other; gives the file in which it keeps what it was shown."""
    script, shown = tmp_path / "editor.py", tmp_path / "shown"
    script.write_text(f"""import pathlib, sys
shown, texts = pathlib.Path({str(shown)!r}), {texts!r}
file = pathlib.Path(sys.argv[1])
at = shown.read_text().count("----") if shown.exists() else 0
with shown.open("a") as kept:
    kept.write(file.read_text() + "----")
if at < len(texts):
    file.write_text(texts[at])
sys.exit({code})
""")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")
    return shown


def test_held_lists_them_with_their_countdown(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "held")
    rows = out.splitlines()
    assert rows[0].split()[:4] == ["id", "goes", "on", "in"] and len(rows) == 5
    assert rows[3].split()[:8] == ["h2", "0", "s", "CP1", "csms", "Call", "Reset", "mine"]
    assert "X\\u202e" in rows[2] and "\u202e" not in out
    found = [json.loads(line) for line in said(capsys, "held", "unix:/x", "--json")[0].splitlines()]
    assert [one["id"] for one in found] == ["h1", "h2", "h3"] and found[1]["reason"] == "night"
    assert list(found[0]) == ["v", "id", "identity", "link", "side", "mtype", "action", "message_id", "text", "since", "until",
                              "by", "reason"]
    assert source.opened_as == [None, "unix:/x"] and source.closed
    source.kept = []
    assert said(capsys, "held") == ("", "nothing is held\n")
    source.missing = "relay worker 1: it is not connected"
    told = f"not all of it: {source.missing}\n"
    assert said(capsys, "held") == ("", f"nothing is held\n{told}")
    assert said(capsys, "intercept", "--list")[1].endswith(told)
    assert said(capsys, "plugins", "--source", "unix:/x")[1].endswith(told)


def test_the_countdown_is_in_seconds_and_ends_at_zero() -> None:
    rows = holding.held_table([BOOT, RESET], BOOT.until_ns - 12_600_000_000).rows
    assert [row[1] for row in rows] == ["13 s", "43 s"]
    assert holding.held_table([BOOT], BOOT.until_ns + 5_000_000_000).rows[0][1] == "0 s"


def test_following_tells_what_comes_and_goes(
    source: ActingSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    looks = [[BOOT], [BOOT, RESET], [RESET]]

    async def now() -> list[Held]:
        if not looks:
            raise KeyboardInterrupt
        return looks.pop(0)
    monkeypatch.setattr(source, "held", now)
    monkeypatch.setattr(holding, "AGAIN_SECONDS", 0)
    found = [json.loads(line) for line in said(capsys, "held", "-f", "--json", code=130)[0].splitlines()]
    assert [(one["id"], one.get("gone")) for one in found] == [("h1", None), ("h2", None), ("h1", True)]
    looks[:] = [[], [RESET], []]
    out, _ = said(capsys, "held", "-f", code=130)
    assert [line.split()[0] for line in out.splitlines()] == ["h2", "h2"] and out.endswith("h2  gone\n")


def test_release_and_drop(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "release", "h1") == ("", "h1: released\n")
    assert json.loads(said(capsys, "drop", "h2", "--json", "--source", "unix:/x")[0]) == {"v": 1, "id": "h2", "done": "dropped"}
    assert [act[1:3] for act in source.told] == [("h1", "release"), ("h2", "drop")]
    assert source.opened_as == [None, "unix:/x"]
    assert "h1 is not held" in said(capsys, "release", "h1", code=2)[1]


def test_edit_takes_json_and_heeds_the_schema(
    source: ActingSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    bad = '{"chargePointVendor":"A"}'
    told = said(capsys, "edit", "h1", bad, code=2)[1]
    assert "--force" in told and "\n  $" in told and source.told == []
    assert "not JSON" in said(capsys, "edit", "h1", "{", code=2)[1]
    assert "is not held (any more)" in said(capsys, "edit", "h9", "{}", code=2)[1]
    said(capsys, "edit", "h1", bad, "--force")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"type":"Soft"}\n'))
    said(capsys, "edit", "h2", "-")
    said(capsys, "edit", "h3", '{"status":"Rejected"}')
    assert source.told == [
        ("settle", "h1", "edit", {"chargePointVendor": "A"}, "", "", True),
        ("settle", "h2", "edit", {"type": "Soft"}, "", "", False),
        ("settle", "h3", "edit", {"status": "Rejected"}, "", "", False)]


def test_edit_opens_the_payload_in_the_editor_until_it_is_right(
    source: ActingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    shown = editor(tmp_path, monkeypatch, "{", '{"type":"Warm"}', '{"type":"Soft"}')
    monkeypatch.setattr(sys, "stdin", io.StringIO("e\ne\n"))
    _, err = said(capsys, "edit", "h2")
    assert "not JSON" in err and "$.type" in err and err.endswith("h2: released, edited\n")
    assert source.told == [("settle", "h2", "edit", {"type": "Soft"}, "", "", False)]
    assert shown.read_text().split("----")[:3] == ['{\n  "type": "Hard"\n}\n', "{", '{"type":"Warm"}']


def test_what_is_wrong_can_be_sent_all_the_same_or_left(
    source: ActingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    editor(tmp_path, monkeypatch, '{"type":"Warm"}', '{"type":"Odd"}')
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    assert "h2 is still held" in said(capsys, "edit", "h2", code=2)[1] and source.told == []
    monkeypatch.setattr(sys, "stdin", io.StringIO("s\n"))
    said(capsys, "edit", "h2")
    assert source.told == [("settle", "h2", "edit", {"type": "Odd"}, "", "", True)]


@pytest.mark.parametrize(("texts", "code"), [((), 0), (('{"type":"Soft"}',), 1)])
def test_nothing_changed_or_an_editor_that_fails_leaves_it_held(
    texts: tuple[str, ...], code: int, source: ActingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    editor(tmp_path, monkeypatch, *texts, code=code)
    assert "nothing was changed; h2 is still held" in said(capsys, "edit", "h2", code=2)[1] and source.told == []


def test_what_would_act_in_an_editor_stands_there_escaped(
    source: ActingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    shown = editor(tmp_path, monkeypatch, '{"chargePointVendor":"Acme","chargePointModel":"X\\u202eY"}')
    said(capsys, "edit", "h1")
    assert '"X\\u202e"' in shown.read_text() and source.told[0][3]["chargePointModel"] == "X\u202eY"


def test_an_editor_that_is_not_there(
    source: ActingSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VISUAL", "/no/such/editor -x")
    assert "/no/such/editor: cannot be started" in said(capsys, "edit", "h1", code=2)[1]
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setattr("ocpp_proxy_tui.editor.USUAL", ())
    assert "there is no editor: set EDITOR" in said(capsys, "edit", "h1", code=2)[1]


def test_reply_answers_calls_with_a_result_or_an_error(
    source: ActingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    assert "only a Call can be answered" in said(capsys, "reply", "h3", "{}", code=2)[1]
    assert "the schema speaks against it" in said(capsys, "reply", "h2", '{"status":"Perhaps"}', code=2)[1]
    said(capsys, "reply", "h2", "--error", "NotSupported", "--description", "not today")
    accepted = {"currentTime": "2026-01-01T00:00:00Z", "interval": 300, "status": "Accepted"}
    shown = editor(tmp_path, monkeypatch, json.dumps(accepted))
    said(capsys, "reply", "h1")
    assert json.loads(shown.read_text().removesuffix("----")) == {"status": "Accepted", "currentTime": "", "interval": 0}
    assert source.told == [
        ("settle", "h2", "reply", {}, "NotSupported", "not today", False),
        ("settle", "h1", "reply", accepted, "", "", False)]


def test_intercepts_are_set_listed_and_taken_away(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = said(capsys, "intercept", "action == Reset", "--identity", "CP*")
    assert err.endswith("intercept 1: action == Reset\n") and source.told == [("intercept", "action == Reset", "CP*")]
    source.points.append(Intercept(7, "side == csms", held=3))
    rows = said(capsys, "intercept", "--list")[0].splitlines()
    assert rows[2].split() == ["1", "action", "==", "Reset", "CP*", "me", "0"] and rows[3].split()[-1] == "3"
    found = [json.loads(line) for line in said(capsys, "intercept", "--list", "unix:/x", "--json")[0].splitlines()]
    assert found[1] == {"v": 1, "intercept": 7, "filter": "side == csms", "identity": "*", "who": "", "held": 3}
    assert json.loads(said(capsys, "intercept", "--off", "7", "--json")[0]) == {"v": 1, "intercept": 7, "off": True}
    assert json.loads(said(capsys, "intercept", "x", "unix:/y", "--json")[0])["intercept"] == 2
    assert source.opened_as[1:] == [None, "unix:/x", None, "unix:/y"]
    source.points = []
    assert said(capsys, "intercept", "--list") == ("", "no intercepts are set\n")
    for words in ([], ["a", "b", "c"], ["--list", "a", "b"]):
        assert "write intercept" in said(capsys, "intercept", *words, code=2)[1]


@pytest.mark.parametrize(("words", "expected"), [
    (["CP1", "Reset", '{"type":"Soft"}'], (None, "CP1", "Reset", {"type": "Soft"})),
    (["unix:/x", "CP1", "ClearCache"], ("unix:/x", "CP1", "ClearCache", {})),
    (["CP1", "ClearCache"], (None, "CP1", "ClearCache", {})),
    (["unix:/x", "CP1", "X", "5"], ("unix:/x", "CP1", "X", 5)),
])
def test_inject_sends_and_prints_the_answer(
    words: list[str], expected: tuple[Any, ...], source: ActingSource, capsys: pytest.CaptureFixture[str],
) -> None:
    out, err = said(capsys, "inject", *words, "--to", "station")
    assert (json.loads(out), err) == ({"status": "Accepted"}, "CALLRESULT after 12.5 ms\n")
    where, identity, action, payload = expected
    assert source.told == [("inject", identity, Side.STATION, action, payload, False, 30.0)]
    assert source.opened_as == [where]


@pytest.mark.parametrize(("answer", "code", "told"), [
    (Injected("error", "p", {"x": 1}, "NotSupported", "no\x1b[2J", 3.0), 1, "CALLERROR after 3.0 ms NotSupported: no\\x1b[2J"),
    (Injected("timeout", "p"), 1, "no answer in time"), (Injected("closed", "p"), 1, "the link ended before an answer came"),
    (Injected("sent", "p"), 0, "sent; a SEND has no answer"),
])
def test_the_exit_code_says_what_came_of_it(
    answer: Injected, code: int, told: str, source: ActingSource, capsys: pytest.CaptureFixture[str],
) -> None:
    source.answer = answer
    out, err = said(capsys, "inject", "CP1", "Heartbeat", "--to", "csms", "--force", "--seconds", "5", code=code)
    assert err == told + "\n" and out == ('{"x":1}\n' if answer.payload else "")
    assert source.told == [("inject", "CP1", Side.CSMS, "Heartbeat", {}, True, 5.0)]
    found = json.loads(said(capsys, "inject", "CP1", "Heartbeat", "--json", code=code)[0])
    assert found["outcome"] == answer.outcome and found["error"] == (answer.code or None) and found["v"] == 1


def test_what_cannot_be_injected_is_exit_2(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--to nobody" in said(capsys, "inject", "CP1", "Reset", "--to", "nobody", code=2)[1]
    assert "write inject" in said(capsys, "inject", "CP1", code=2)[1]
    assert "not JSON" in said(capsys, "inject", "CP1", "Reset", "{type", code=2)[1]
    source.refusing = "start the proxy with --allow-inject"
    assert "--allow-inject" in said(capsys, "inject", "CP1", "Reset", code=2)[1]


def test_disconnect(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "disconnect", "CP1") == ("", "CP1: disconnected\n")
    assert json.loads(said(capsys, "disconnect", "unix:/x", "CP1", "--code", "1012", "--json")[0])["disconnected"] is True
    said(capsys, "disconnect", "CP1", "--reset")
    assert source.told == [("disconnect", "CP1", 0, False), ("disconnect", "CP1", 1012, False), ("disconnect", "CP1", 0, True)]
    assert "give one of them" in said(capsys, "disconnect", "CP1", "--reset", "--code", "1000", code=2)[1]
    assert "write disconnect" in said(capsys, "disconnect", "a", "b", "c", code=2)[1]


def test_plugins_are_switched_and_read_again(
    source: ActingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    said(capsys, "plugins", "enable", "throttle", "--identity", "CP*", "-o", "every_seconds=30", "-o", "name=a b")
    assert said(capsys, "plugins", "disable", "throttle", "./mine.py")[1] == (
        "throttle: disabled for *\n./mine.py: disabled for *\n")
    assert said(capsys, "plugins", "reload")[1] == "call_seconds: 30 -> 20\nlisten: needs a restart\n"
    assert source.told == [
        ("switch", "throttle", True, "CP*", {"every_seconds": 30, "name": "a b"}), ("switch", "throttle", False, "*", None),
        ("switch", str(tmp_path / "mine.py"), False, "*", None), ("reload",)]
    for words, told in ((["enable"], "say which"), (["reload", "x"], "takes no names"),
                        (["disable", "x", "-o", "a=1"], "for enable"),
                        (["enable", "x", "-o", "a"], "write --option KEY=VALUE")):
        assert told in said(capsys, "plugins", *words, code=2)[1]


def test_what_runs_stands_beside_what_is_installed(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    source.states = [
        PluginState("throttle", "ocpp-proxy", "CP*", "me", links=2), PluginState("mine", "/x/mine.py", links=1, off=1)]
    rows = said(capsys, "plugins", "--source", "unix:/x")[0].splitlines()
    assert "enabled for" in rows[0]
    assert any("CP* by me: on 2 links" in row for row in rows if row.startswith("throttle"))
    assert "* by config: on 1 link, off on 1 after failures" in rows[-1] and rows[-1].startswith("mine")
    out, _ = said(capsys, "plugins", "throttle", "autoreply", "--source", "x", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["running"] for one in found] == [[{"identity": "CP*", "by": "me", "links": 2, "off": 0, "error": None}], []]
    alone = json.loads(said(capsys, "plugins", "throttle", "--json")[0])
    assert alone["running"] is None
    source.states = [PluginState("throttle", "o", error="line 3: no")]
    assert "throttle in the running proxy: line 3: no" in said(capsys, "plugins", "--source", "x", code=1)[1]


def test_a_file_cannot_be_acted_on(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["held", DEMO], ["intercept", "x", DEMO], ["release", "h1", "--source", DEMO],
                  ["inject", DEMO, "CP", "Reset"], ["disconnect", DEMO, "CP"], ["plugins", "reload", "--source", DEMO]):
        assert "only the traffic of a running proxy can be acted on" in said(capsys, *words, code=2)[1]


def test_nothing_that_answers_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "inject", f"unix:{tmp_path}/no.sock", "CP1", "Reset", "{}", code=3)


def test_a_proxy_that_goes_meanwhile_is_exit_3(source: ActingSource, capsys: pytest.CaptureFixture[str]) -> None:
    source.failing = "it does not answer"
    assert said(capsys, "held", code=3) == ("", "ocpp-proxy: it does not answer\n")


@pytest.mark.parametrize("words", [["--read-only"], ["--settings", "tui.toml"], []])
def test_the_screen_can_be_told_only_to_look(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    async def show(source: object, settings: Settings, *_: object) -> int:
        shown.append(settings.read_only)
        return 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "tui.toml").write_text("read_only = true\n")
    monkeypatch.setattr(viewing, "at_terminal", lambda: True)
    monkeypatch.setattr(start, "show", show)
    assert run_app(["tui", DEMO, *words]) == 0
    assert shown == [bool(words)]
