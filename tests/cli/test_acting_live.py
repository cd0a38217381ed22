"""The commands that act by hand, on a real proxy with a real charger: what they do to the traffic, and their audit."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocpp_proxy.cli import places
from ocpp_proxy.cli.app import run_app
from tests.cli.test_end_to_end import Machine, until
from tests.station import station


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    for name in ("OCPP_PROXY_RUNTIME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, made.environment[name])
    monkeypatch.setattr(places, "search_bases", lambda: [tmp_path / "run"])     # other proxies may run on this machine
    return made


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run_app([*arguments, "--json"]) == code, capsys.readouterr().err
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_calls_are_sent_messages_held_changed_and_answered_links_ended_and_all_of_it_written_down(
    machine: Machine, capsys: pytest.CaptureFixture[str],
) -> None:
    capture = machine.folder / "a.duckdb"
    with machine.proxy("--allow-inject", "--capture", str(capture)) as (_, port), station(port) as charger:
        answer = rows(capsys, "inject", "CP1", "Reset", '{"type":"Soft"}')[0]
        assert (answer["outcome"], answer["payload"]) == ("result", {"status": "Accepted"})
        asked = charger.asked.get(timeout=30)
        assert asked[1:] == [answer["message_id"], "Reset", {"type": "Soft"}]
        assert rows(capsys, "inject", "CP1", "Reset", '{"type":"Warm"}', code=2) == [] and charger.asked.empty()
        assert rows(capsys, "inject", "CP1", "Heartbeat", "{}", "--to", "csms")[0]["payload"].keys() == {"currentTime"}

        point = rows(capsys, "intercept", "side == station and mtype == CALL", "--identity", "CP*")[0]
        charger.say("a", "Heartbeat", {})
        held = until(lambda: rows(capsys, "held"))
        assert [(one["action"], one["message_id"], one["by"]) for one in held] == [("Heartbeat", "a", "intercept")]
        assert rows(capsys, "reply", held[0]["id"], '{"currentTime":"2026-01-01T00:00:00Z"}')[0]["done"] == "answered"
        assert charger.told() == [3, "a", {"currentTime": "2026-01-01T00:00:00Z"}]
        charger.say("b", "Authorize", {"idTag": "A"})
        held = until(lambda: rows(capsys, "held"))
        rows(capsys, "edit", held[0]["id"], '{"idTag":"B"}')
        assert charger.told()[:2] == [3, "b"]
        charger.say("c", "Heartbeat", {})
        held = until(lambda: rows(capsys, "held"))
        assert rows(capsys, "intercept", "--list")[0]["held"] == 3
        rows(capsys, "intercept", "--off", str(point["intercept"]))             # what it holds goes on
        assert charger.told()[:2] == [3, "c"] and rows(capsys, "held") == []

        rows(capsys, "plugins", "enable", "autoreply", "-o", 'answers={"Heartbeat":{"currentTime":"here"}}')
        charger.say("d", "Heartbeat", {})
        assert charger.told() == [3, "d", {"currentTime": "here"}]
        running = rows(capsys, "plugins", "autoreply")[0]["running"]
        assert [(one["identity"], one["links"]) for one in running] == [("*", 1)]
        rows(capsys, "plugins", "disable", "autoreply")
        charger.say("e", "Heartbeat", {})
        assert charger.told()[2]["currentTime"] != "here"

        rows(capsys, "disconnect", "CP1", "--code", "1012")
        assert charger.closed.get(timeout=30) == 1012
        until(lambda: [row["act"] for row in rows(capsys, "tail", "--filter", "kind == audit")][-1:] == ["disconnect"])
        acts = [row["act"] for row in rows(capsys, "tail", "--filter", "kind == audit")]
        written = "SELECT decode(payload) AS text FROM frames WHERE verdict = 'modified' ORDER BY frame_id"
        changed = until(lambda: [row for row in [rows(capsys, "query", written)] if len(row) > 1])[0]
    assert list(dict.fromkeys(acts)) == [
        "inject", "intercept", "reply", "edit", "unintercept", "enable", "disable", "disconnect"]
    assert [json.loads(row["text"]) for row in changed] == [[2, "b", "Authorize", {"idTag": "B"}], [2, "c", "Heartbeat", {}]]


def test_without_allow_inject_nobody_acts(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with machine.proxy("--no-capture") as (_, port), station(port) as charger:
        for command in (["inject", "CP1", "Reset", '{"type":"Soft"}'], ["intercept", "action == Reset"], ["disconnect", "CP1"],
                        ["plugins", "enable", "throttle"]):
            capsys.readouterr()
            assert run_app(command) == 2
            assert "--allow-inject" in capsys.readouterr().err
        assert rows(capsys, "held") == [] and charger.asked.empty() and charger.closed.empty()
