"""``chargers``, ``tx`` and ``findings``: on files, on traces, on a running proxy with and without a capture."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ocpp_proxy.cli import listing
from ocpp_proxy.cli.app import run_app
from tests.captures.capture_streams import fill
from tests.cli.test_end_to_end import Machine, charger, until
from tests.core.streams import Feed, play

DEMO = str(Path(__file__).parents[2] / "captures/samples/demo.duckdb")
CHARGER = ["v", "identity", "state", "protocol", "remote", "connectors", "opened", "last_seen", "messages", "rate", "p95_ms",
           "errors", "reconnects", "outage_s", "vendor", "model", "firmware", "findings", "worst"]
TX = ["v", "tx", "identity", "protocol", "evse", "connector", "started", "stopped", "kwh", "token", "reason", "missing"]
GROUP = ["v", "code", "severity", "blame", "title", "spec_ref", "count", "chargers", "first", "last", "message"]
FOUND = ["v", "code", "severity", "blame", "identity", "time", "link", "msg_no", "message", "path", "spec_ref", "count",
         "evidence", "line"]
HOSTILE = "\x1b]52;c;AAAA\x07\x1b[2J\u202e\x9bbad"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run_app(list(arguments)) == code
    return capsys.readouterr().out


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said(capsys, *arguments, "--json").splitlines()]


def test_chargers_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "chargers", DEMO)
    assert [list(one) for one in found] == [CHARGER] * 5 and {one["v"] for one in found} == {1}
    restless = found[3]
    assert (restless["identity"], restless["state"], restless["reconnects"], restless["worst"]) == (
        "CP-RESTLESS", "closed", 11, "warning")
    assert found[4]["connectors"] == {"1/1": "Available"} and found[4]["model"] == "DC150"
    text = said(capsys, "chargers", DEMO).splitlines()
    assert len(text) == 2 + 5 and text[0].split()[:3] == ["charger", "state", "protocol"]
    assert "1/1 Available" in text[-1] and "Example, DC150, 7.0.3" in text[-1] and "2026-11-22 20:52:15" in text[-1]


def test_transactions_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "tx", DEMO)
    assert [list(one) for one in found] == [TX] * len(found) and len(found) > 10
    assert [one["started"] for one in found] == sorted((one["started"] for one in found), reverse=True)
    modern = rows(capsys, "tx", DEMO, "--identity", "CS-MODERN")
    assert modern == [one for one in found if one["identity"] == "CS-MODERN"] and modern[0]["missing"] == 0
    assert modern[0]["kwh"] == 18.198 and modern[0]["connector"] == modern[0]["evse"] == 1
    text = said(capsys, "tx", DEMO, "--identity", "CS-MODERN").splitlines()
    assert len(text) == 3 and "18.198" in text[2] and " 1/1 " in text[2]


def test_findings_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    groups = rows(capsys, "findings", DEMO)
    assert [list(one) for one in groups] == [GROUP] * len(groups)
    assert (groups[0]["severity"], groups[0]["title"]) == ("error", "transactionId -1, 0, null or a text")
    one = next(group for group in groups if group["code"] == "T05")
    found = rows(capsys, "findings", DEMO, "--code", "T05")
    assert [list(each) for each in found] == [FOUND] * 2 and one["count"] == sum(each["count"] for each in found)
    assert all(each["line"] > 0 for each in found)
    assert rows(capsys, "findings", DEMO, "--code", "T05", "--identity", "CP-FAULTY") == []
    assert {group["chargers"][0] for group in rows(capsys, "findings", DEMO, "--identity", "CP-FAULTY")} == {"CP-FAULTY"}
    text = said(capsys, "findings", DEMO)
    assert "T20   ! warning  network     12  CP-RESTLESS" in text and len(text.splitlines()) == 2 + len(groups)
    assert "the request has no Connection header" in said(capsys, "findings", DEMO, "--code", "T05")


def test_filters_of_each_list(capsys: pytest.CaptureFixture[str]) -> None:
    every = rows(capsys, "chargers", DEMO)
    assert rows(capsys, "chargers", DEMO, "--filter", "reconnects > 10 and severity == warning") == [every[3]]
    ended = rows(capsys, "tx", DEMO, "--filter", "kwh > 10 and duration < 100000 and protocol == ocpp1.6")
    assert ended == [one for one in rows(capsys, "tx", DEMO) if one["kwh"] and one["kwh"] > 10 and one["stopped"]
                     and one["protocol"] == "ocpp1.6"] and len(ended) > 0
    groups = rows(capsys, "findings", DEMO, "--filter", "identity == CP-RESTLESS or title contains -1")
    assert {group["code"] for group in groups} >= {"T20"} and len(groups) < len(rows(capsys, "findings", DEMO))
    each = rows(capsys, "findings", DEMO, "--code", "T05", "--filter", "not message contains Connection")
    assert [one["code"] for one in each] == ["T05"] * len(each) and len(each) < 2
    assert run_app(["chargers", DEMO, "--filter", "identity == nobody"]) == 0
    assert capsys.readouterr().err.strip() == "no chargers that pass the filter"


def test_a_filter_looks_behind_the_newest_that_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "SESSIONS", 1)
    first = rows(capsys, "tx", DEMO)[0]
    assert rows(capsys, "tx", DEMO, "--filter", f"not tx == \"{first['tx']}\"")[0] != first
    monkeypatch.setattr(listing, "LOOKED_AT", 2)
    assert run_app(["tx", DEMO, "--filter", "kwh > 1e9"]) == 0
    assert "only the newest 2 transactions were looked at" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "told"), [
    (["chargers", DEMO, "--filter", "vendr == x"], "did you mean vendor?"),
    (["tx", DEMO, "--filter", "ms > 5"], "transactions have identity, tx,"),
    (["tx", DEMO, "--identity", "CP-HEALTY"], "did you mean CP-HEALTHY?"),
    (["findings", DEMO, "--identity", "nobody"], "`ocpp-proxy chargers` lists them"),
    (["findings", DEMO, "--code", "T5"], "did you mean T"), (["chargers", "/no/such.duckdb"], "no such capture"),
])
def test_wrong_names_are_exit_2(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(arguments) == 2
    output = capsys.readouterr()
    assert told in output.err and output.out == ""


@pytest.mark.parametrize("command", ["chargers", "tx", "findings"])
def test_what_cannot_be_read_is_exit_4_and_nobody_there_exit_3(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.duckdb").write_bytes(b"nothing of the sort" * 1000)
    said(capsys, command, str(tmp_path / "a.duckdb"), code=4)
    said(capsys, command, f"unix:{tmp_path}/none.sock", code=3)


def test_nothing_is_said_to_be_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "a.duckdb", [])
    for command, words in (("chargers", "no chargers"), ("tx", "no transactions"), ("findings", "no findings")):
        assert run_app([command, str(tmp_path / "a.duckdb")]) == 0
        output = capsys.readouterr()
        assert (output.out, output.err) == ("", f"{words}\n")


def test_cut_lists_say_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(listing, "SESSIONS", 3)
    monkeypatch.setattr(listing, "EACH", 1)
    for command in (["tx", DEMO], ["findings", DEMO, "--code", "T05"]):
        assert run_app(command) == 0
        assert "cut: only the newest" in capsys.readouterr().err


def test_a_peers_text_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = Feed()
    feed.begin(identity=HOSTILE)
    bad = json.dumps(HOSTILE)
    feed.station(f'[2,"a","BootNotification",{{"chargePointVendor":{bad},"chargePointModel":{bad},"firmwareVersion":{bad}}}]')
    feed.station(f'[2,"b","StatusNotification",{{"connectorId":1,"errorCode":"NoError","status":{bad}}}]')
    feed.station(f'[2,"c","StartTransaction",{{"connectorId":1,"idTag":{bad},"meterStart":0,"timestamp":{bad}}}]')
    feed.csms('[3,"c",{"transactionId":9,"idTagInfo":{"status":"Accepted"}}]')
    feed.station(f'[2,"d","StopTransaction",{{"transactionId":9,"meterStop":5,"reason":{bad},"timestamp":{bad}}}]')
    path = str(tmp_path / "a.duckdb")
    fill(tmp_path / "a.duckdb", play(feed.records))
    codes = [one["code"] for one in rows(capsys, "findings", path)]
    assert rows(capsys, "chargers", path)[0]["identity"] == HOSTILE and len(codes) > 2
    for command in (["chargers"], ["tx"], ["findings"], *(["findings", "--code", code] for code in codes)):
        for more in ([], ["--json"]):
            shown = said(capsys, command[0], path, *command[1:], *more)
            assert shown.count("\n") >= 1 and all(char == "\n" or char.isprintable() for char in shown), command


def test_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"ts": "2026-01-02T03:04:00Z", "identity": "CP9", "sender": "station", "raw": "[2,"}\n')
    (one,) = rows(capsys, "chargers", str(tmp_path / "a.jsonl"))
    assert (one["identity"], one["state"], one["messages"], one["findings"]) == ("CP9", "open", 1, 1)


@pytest.mark.parametrize("capture", [True, False], ids=["capture", "no capture"])
def test_a_running_proxy(tmp_path: Path, capture: bool) -> None:
    machine = Machine(tmp_path)
    more = ["--capture", str(tmp_path / "a.duckdb")] if capture else ["--no-capture"]
    with machine.proxy(*more) as (_, port):
        asyncio.run(charger(port, "CP1"))
        until(lambda: [(one["messages"], one["state"]) for one in machine.rows("chargers")] == [(6, "closed")])
        (one,) = machine.rows("chargers")
        assert (one["identity"], one["vendor"], one["connectors"], one["findings"]) == ("CP1", "V", {"1": "Available"}, 1)
        assert machine.rows("tx") == []
        (group,) = machine.rows("findings")
        assert (group["code"], group["chargers"]) == ("V01", ["CP1"])
        (found,) = machine.rows("findings", "--code", "V01", "--identity", "CP1")
        assert found["message"] == group["message"] and bool(found["line"]) == capture
        assert machine.command("findings", "--identity", "CP7").returncode == 2
