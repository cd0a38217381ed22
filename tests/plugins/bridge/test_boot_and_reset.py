"""Boot of a 1.6 station and its reason; resets both ways, those that wait for the end of the last transaction included."""

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged

TIME = "2027-01-15T08:00:00.000Z"
BOOT = {"chargePointVendor": "Vend", "chargePointModel": "Model X", "firmwareVersion": "1.2", "meterType": "M1"}
ACCEPTED = {"currentTime": TIME, "interval": 300, "status": "Accepted"}


def booted(link: Bridged, status: str = "Accepted") -> str:
    link.call(STATION, "BootNotification", BOOT)
    link.answer(CSMS, {**ACCEPTED, "status": status}, "BootNotification")
    reason: str = link.calls(CSMS, "BootNotification")[-1]["reason"]
    return reason


def started(link: Bridged) -> int:
    asked = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "AB", "meterStart": 0, "timestamp": TIME})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}}, "TransactionEvent")
    tid: int = link.answered(asked).payload["transactionId"]
    return tid


def test_s01_a_boot_has_vendor_model_and_reason_and_what_was_answered() -> None:
    link = Bridged()
    asked = link.call(STATION, "BootNotification", BOOT)
    assert link.calls(CSMS)[0] == {
        "reason": "PowerUp", "chargingStation": {"vendorName": "Vend", "model": "Model X", "firmwareVersion": "1.2"}}
    link.answer(CSMS, ACCEPTED)
    assert link.answered(asked).payload == ACCEPTED
    assert link.losses("dropped") == ["$.meterType"]


def test_s02_pending_is_told_and_nothing_else_happens() -> None:
    link = Bridged()
    asked = link.call(STATION, "BootNotification", BOOT)
    link.answer(CSMS, {**ACCEPTED, "status": "Pending"})
    link.wait(5)
    assert link.answered(asked).payload["status"] == "Pending"
    assert len(link.calls(CSMS)) == 1 and link.calls(STATION) == []
    link.settled()


def test_reasons_follow_from_what_went_before() -> None:
    link = Bridged()
    assert booted(link, "Pending") == "PowerUp"
    assert booted(link, "Pending") == "Unknown"
    assert "$.reason" in link.losses("invented")
    link.call(CSMS, "Reset", {"type": "Immediate"})
    link.answer(STATION, {"status": "Accepted"}, "Reset")
    assert link.last(STATION, "Reset", 2).payload == {"type": "Hard"}
    link.again()
    assert booted(link, "Pending") == "RemoteReset"
    assert booted(link, "Pending") == "Unknown"


def test_a_reset_that_is_refused_is_no_reason() -> None:
    link = Bridged()
    booted(link, "Pending")
    asked = link.call(CSMS, "Reset", {"type": "Immediate"})
    link.answer(STATION, {"status": "Rejected"}, "Reset")
    assert link.answered(asked).payload["status"] == "Rejected"
    assert booted(link, "Pending") == "Unknown"


def test_one_evse_cannot_be_reset() -> None:
    link = Bridged()
    asked = link.call(CSMS, "Reset", {"type": "Immediate", "evseId": 1})
    assert link.answered(asked).payload["status"] == "Rejected" and link.calls(STATION) == []


def test_on_idle_without_a_transaction_is_soft_at_once() -> None:
    link = Bridged()
    asked = link.call(CSMS, "Reset", {"type": "OnIdle"})
    assert link.last(STATION).payload == {"type": "Soft"}
    link.answer(STATION, {"status": "Accepted"})
    assert link.answered(asked).payload == {"status": "Accepted"}


def test_s28_on_idle_waits_for_the_end_of_the_transaction() -> None:
    link = Bridged()
    assert booted(link, "Pending") == "PowerUp"
    tid = started(link)
    asked = link.call(CSMS, "Reset", {"type": "OnIdle"})
    assert link.answered(asked).payload == {"status": "Scheduled"}
    link.wait(5)
    assert link.calls(STATION, "Reset") == []
    link.call(STATION, "StopTransaction", {"transactionId": tid, "meterStop": 10, "timestamp": TIME})
    link.answer(CSMS, {}, "TransactionEvent")
    link.wait(2)
    assert link.calls(STATION, "Reset") == [{"type": "Soft"}]
    link.answer(STATION, {"status": "Accepted"}, "Reset")
    link.again()
    assert booted(link, "Pending") == "RemoteReset"


@pytest.mark.parametrize(("kind", "options", "sent"), [
    ("Hard", {}, "Immediate"), ("Soft", {}, "Immediate"), ("Soft", {"reset_soft": "OnIdle"}, "OnIdle"),
])
def test_resets_of_a_1_6_csms(kind: str, options: dict[str, str], sent: str) -> None:
    link = Bridged(DOWN, options)
    asked = link.call(CSMS, "Reset", {"type": kind})
    assert link.last(STATION).payload == {"type": sent}
    link.answer(STATION, {"status": "Scheduled"})
    assert link.answered(asked).payload == {"status": "Accepted"}


