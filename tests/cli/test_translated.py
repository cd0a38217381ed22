"""``tail`` of a link with a bridge: what was received and beneath it what the other side got, with what was not carried."""

import json

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.cli import translated
from ocpp_proxy.cli.tailing import Printer
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.records import Line, lines
from tests.core.bridged import BOOT, START, Bridged, session
from tests.core.feeds import STATION


def tailed(relay: Bridged | None = None) -> list[Line]:
    return list(lines(Pipeline(Settings(), Ids(), None).feed(relay.records if relay is not None else session())))


def shown(capsys: pytest.CaptureFixture[str], *batches: list[Line], as_json: bool = False) -> list[str]:
    printer = Printer(as_json)
    for batch in batches:
        printer.show(batch)
    printer.end()
    return [line for line in capsys.readouterr().out.splitlines() if "-- " not in line]


def test_a_translation_stands_indented_beneath_its_original(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, tailed())
    at = next(number for number, line in enumerate(out) if "Call   StartTransaction" in line)
    assert [line[14:].split("   TransactionEvent")[0] for line in out[at + 1 : at + 4]] == [
        "=> ocpp2.0.1 -> Call", "   - dropped $.reservationId: 2.0.1 names none there",
        "   + invented $.triggerReason: 1.6 does not say why"]
    assert out[at + 1].startswith(" " * 14) and "TransactionEvent" in out[at + 1]
    assert "CP1" in out[at + 4] and "<- Result TransactionEvent" in out[at + 4]
    assert out[at + 5].strip().startswith("=> ocpp1.6 <- Result StartTransaction")
    assert sum("=> " in line for line in out) == 8 and not [line for line in out if "loss:" in line]


def test_one_that_is_not_just_beneath_names_its_original(capsys: pytest.CaptureFixture[str]) -> None:
    relay = Bridged()
    relay.begin()
    at = relay.take(STATION, b'[2,"a","StartTransaction",' + START[0] + b"]", "translated")
    relay.call(STATION, "b", ("BootNotification", "BootNotification"), BOOT)
    relay.make(STATION, b'[2,"own","TransactionEvent",' + START[1] + b"]", at)
    relay.lost("StartTransaction", "a", "$.nobody", "shortened", "waits for ever")
    out = shown(capsys, tailed(relay))
    assert next(line for line in out if "TransactionEvent" in line).strip().startswith(
        "=> ocpp2.0.1 of StartTransaction a -> Call")


def test_entries_whose_translation_never_comes_are_shown_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(translated, "PATIENCE", 4)
    monkeypatch.setattr(translated, "WAITING", 2)
    relay = Bridged()
    relay.begin()
    for number in range(4):
        relay.lost("StartTransaction", f"x{number}", "$.a", "dropped", "why")
    for number in range(3):
        relay.call(STATION, f"b{number}", ("BootNotification", "BootNotification"), BOOT)
    relay.lost("StartTransaction", "y", "$.b", "dropped", "why")
    printer = Printer(False)
    printer.show(tailed(relay))
    before = capsys.readouterr().out
    printer.end()
    after = capsys.readouterr().out
    assert [before.count(f"StartTransaction x{number}") for number in range(4)] == [1, 1, 1, 1]
    assert "StartTransaction y" not in before and after.count("StartTransaction y") == 1


def test_as_json_a_translation_names_its_original_and_what_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(True)
    printer.show(tailed())
    printer.end()
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    made = next(one for one in out if one.get("action") == "TransactionEvent")
    original = next(one for one in out if one.get("action") == "StartTransaction" and one["kind"] == "message")
    assert (original["verdict"], original["protocol"]) == ("replaced", "ocpp1.6") and "translation_of" not in original
    assert (made["verdict"], made["protocol"], made["cause"]) == ("translated", "ocpp2.0.1", [original["frame"]])
    assert made["translation_of"] == {
        "msg_no": original["msg_no"], "frame_id": original["frame"], "message_id": "a", "action": "StartTransaction",
        "protocol": "ocpp1.6"}
    assert made["losses"] == [
        {"what": "dropped", "path": "$.reservationId", "reason": "2.0.1 names none there"},
        {"what": "invented", "path": "$.triggerReason", "reason": "1.6 does not say why"}]
    assert len([one for one in out if one["kind"] == "loss"]) == 2
    (shake,) = [one for one in out if one["kind"] == "handshake"]
    assert (shake["protocol"], shake["csms_protocol"]) == ("ocpp1.6", "ocpp2.0.1")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(translated, "RECEIVED", 2)
    printer = Printer(False)
    printer.show(tailed())
    assert len(printer._translations._received) == 2 and not printer._translations._waiting
    assert "of a message" not in capsys.readouterr().out
