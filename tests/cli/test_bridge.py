"""``ocpp-proxy bridge``: explain, check, token-alias, shadow."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ocpp_proxy.cli.app import run_app

DEMO = Path(__file__).resolve().parents[2] / "captures" / "samples" / "demo.duckdb"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run_app(["bridge", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_an_action_is_explained_in_the_direction_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = said(capsys, "explain", "StartTransaction", "--from", "1.6")
    assert code == 0 and "becomes TransactionEvent to the CSMS" in text and "meterStart -> meterValue" in text
    code, text, _ = said(capsys, "explain", "Heartbeat")
    assert text.count("Heartbeat, from the station") == 2


@pytest.mark.parametrize(("words", "why"), [
    (["Strt"], "no action"), (["StartTransactio"], "did you mean StartTransaction?"),
    (["Heartbeat", "--from", "1.6", "--to", "1.6"], "the bridge is between 1.6 and 2.0.1"),
])
def test_what_cannot_be_explained(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = said(capsys, "explain", *words)
    assert code == 2 and why in error


def test_the_tables_fit_the_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "check")[0] == 0


def test_faults_of_the_tables_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy_plugins.bridge.check.faults", lambda: ["no field x"])
    code, text, error = said(capsys, "check")
    assert (code, text) == (1, "no field x\n") and "1 faults" in error
    assert json.loads(said(capsys, "check", "--json")[1]) == {"fault": "no field x"}


def test_the_alias_of_a_token_is_the_one_the_bridge_uses(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "token-alias", "A" * 20)[1] == "A" * 20 + "\n"
    alias = said(capsys, "token-alias", "A" * 36, "--type", "eMAID")[1].strip()
    assert len(alias) == 19 and alias.startswith("~") and alias != said(capsys, "token-alias", "A" * 36)[1].strip()


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_capture_in_the_shadow_is_what_another_csms_would_see(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, error = said(capsys, "shadow", str(DEMO), "--identity", "CP-HEALTHY", "--json")
    found = rows(text)
    assert code == 0 and " 0 not translated" in error and all(row["identity"] == "CP-HEALTHY" for row in found)
    events = [made["payload"] for row in found for made in row["made"] if made["action"] == "TransactionEvent"]
    numbers: dict[str, list[int]] = {}
    for event in events:
        numbers.setdefault(event["transactionInfo"]["transactionId"], []).append(event["seqNo"])
    assert numbers and all(seqs == list(range(len(seqs))) for seqs in numbers.values())
    assert {event["eventType"] for event in events} == {"Started", "Updated", "Ended"}
    begins = [row for row in found if row["action"] == "StartTransaction"]
    assert [row["made"][0]["payload"]["eventType"] for row in begins] == ["Started"] * len(numbers)


def test_a_2_0_1_station_in_the_shadow_of_a_1_6_csms(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = said(capsys, "shadow", str(DEMO), "--bridge", "2.0.1:1.6", "--json")
    actions = [made["action"] for row in rows(text) for made in row["made"] if made["to"] == "csms"]
    assert code == 0 and {"BootNotification", "StartTransaction", "StopTransaction", "MeterValues"} <= set(actions)


def test_losses_are_shown_and_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [
        [2, "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "meterType": "\u001b[31mX"}],
        [3, "1", {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 60}],
        [2, "2", "Nonsense", {}], [4, "2", "NotImplemented", "", {}],
    ]
    trace = tmp_path / "a.jsonl"
    trace.write_text("".join(json.dumps({
        "schemaVersion": "1.1", "timestamp": f"2026-01-01T00:00:0{at}.000Z", "ocppVersion": "1.6", "chargePointId": "CP1",
        "direction": "cp-to-csms" if frame[0] == 2 else "csms-to-cp", "raw": json.dumps(frame)}) + "\n"
        for at, frame in enumerate(lines)))
    code, text, error = said(capsys, "shadow", str(trace))
    assert code == 1 and "dropped $.meterType: " in text and "! bridge-unknown Nonsense is no action" in text
    assert "1 not translated" in error and "BootNotification $.meterType dropped" in error and "\u001b" not in text


def test_real_traffic_goes_through_without_a_fault(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = Path(os.environ.get("OCPP_PROXY_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
    if not folder.is_dir():
        pytest.skip("no corpus here")
    trace = tmp_path / "quirks.jsonl"
    quirks = [json.loads(line) for line in (folder / "quirks.jsonl").read_text().splitlines()]
    known = [quirk for quirk in quirks if isinstance(quirk.get("raw"), str) and quirk.get("version") == "1.6"]
    trace.write_text("".join(json.dumps({
        "schemaVersion": "1.1", "timestamp": f"2026-01-01T00:{at // 60:02}:{at % 60:02}.000Z", "ocppVersion": "1.6",
        "chargePointId": quirk["id"], "direction": "cp-to-csms", "raw": quirk["raw"]}) + "\n"
        for at, quirk in enumerate(known)))
    for path in (trace, folder / "logs" / "ocpp-trace.jsonl"):
        code, text, error = said(capsys, "shadow", str(path), "--json")
        assert code in (0, 1) and "plugin-failed" not in text and " Calls of chargers: " in error and rows(text)


def test_near_versions_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = said(capsys, "explain", "Authorize", "--from", "2.1", "--to", "2.0.1")
    assert code == 0 and text.startswith("Authorize, from the station    (station 2.1, CSMS 2.0.1)\n")
    assert "    idToken.idToken: over 36 characters: a short name stands for it\n" in text
    code, text, _ = said(capsys, "explain", "SetDefaultTariff")
    assert code == 0 and "is answered by the bridge" in text and '"status":"Rejected"' in text
    code, _, error = said(capsys, "explain", "SetDefaultTarif", "--from", "2.0.1", "--to", "2.1")
    assert code == 2 and "did you mean SetDefaultTariff?" in error


def test_a_2_1_station_in_the_shadow_of_a_2_0_1_csms(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    frames = [
        [2, "1", "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}],
        [3, "1", {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 60, "statusInfo": {
            "reasonCode": "x", "additionalInfo": "y" * 1000}}],
        [2, "2", "TransactionEvent", {"eventType": "Updated", "timestamp": "2026-01-01T00:00:00Z", "triggerReason": "LimitSet",
                                      "seqNo": 1, "transactionInfo": {"transactionId": "a"}, "evseSleep": True}],
        [3, "2", {}], [2, "3", "NotifyDERAlarm", {"controlType": "EnterService", "timestamp": "2026-01-01T00:00:00Z"}],
        [3, "3", {}],
    ]
    trace = tmp_path / "a.jsonl"
    trace.write_text("".join(json.dumps({
        "schemaVersion": "1.1", "timestamp": f"2026-01-01T00:00:0{at}.000Z", "ocppVersion": "2.1", "chargePointId": "CP1",
        "direction": "cp-to-csms" if frame[0] == 2 else "csms-to-cp", "raw": json.dumps(frame)}) + "\n"
        for at, frame in enumerate(frames)))
    code, text, error = said(capsys, "shadow", str(trace), "--bridge", "2.1:2.0.1", "--json")
    boot, event, alarm = rows(text)
    assert code == 0 and [one["action"] for one in boot["made"]] == ["BootNotification"] and boot["losses"] == []
    made = event["made"][0]["payload"]
    assert made["triggerReason"] == "ChargingRateChanged" and "evseSleep" not in made
    lost = {(one["what"], one["path"]) for one in event["losses"]}
    assert lost == {("shortened", "$.triggerReason"), ("dropped", "$.evseSleep")}
    assert alarm["made"] == [] and "2 Calls to the other CSMS, 1 answered by the bridge, 0 not translated" in error
    code, _, error = said(capsys, "shadow", str(trace), "--bridge", "2.1:1.6")
    assert code == 2 and "write 1.6:2.0.1 or" in error
