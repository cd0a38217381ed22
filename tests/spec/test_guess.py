"""The version guessed from action and payload, and which versions a payload fits."""

import pytest

from ocpp_proxy.spec import fits, guess, schemas

STAMP = "2026-01-02T03:04:05Z"
BOOT_1 = {"chargePointVendor": "V", "chargePointModel": "M"}
BOOT_2 = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
EVENT_2 = {"eventType": "Started", "timestamp": STAMP, "triggerReason": "Authorized", "seqNo": 0}


@pytest.mark.parametrize(
    ("action", "payload", "version"),
    [
        ("BootNotification", BOOT_1, "1.6"),
        ("BootNotification", BOOT_2, "2.0.1"),
        ("BootNotification", {**BOOT_1, "chargePointModel": "M" * 99, "extra": 1}, "1.6"),
        ("BootNotification", {**BOOT_2, "reason": "Sunrise"}, "2.0.1"),
        ("StartTransaction", {"anything": 1}, "1.6"),
        ("TransactionEvent", {**EVENT_2, "transactionInfo": {"transactionId": "t"}}, "2.0.1"),
        ("TransactionEvent", {**EVENT_2, "transactionData": {"id": "t"}}, "2.0"),
        ("TransactionEvent", {**EVENT_2, "transactionInfo": {"transactionId": "t", "tariffId": "x"}}, "2.1"),
        ("TransactionEvent", None, "2.0.1"),
        ("Update15118EVCertificate", {}, "2.0"),
        ("NotifyPeriodicEventStream", {}, "2.1"),
        ("TransactionEvent-Signed", {"payload": "eyJ"}, "2.0.1"),
        ("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}, "1.6"),
        ("StatusNotification", {"connectorId": 1, "evseId": 1, "connectorStatus": "Available", "timestamp": STAMP}, "2.0.1"),
        ("Heartbeat", {}, None),
        ("ClearCache", {}, None),
        ("NoSuchAction", {}, None),
        ("", None, None),
    ],
)
def test_guess(action: str, payload: object, version: str | None) -> None:
    assert guess(action, payload) == version


def test_an_answer_can_be_guessed_too() -> None:
    assert guess("StartTransaction", {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}, True) == "1.6"
    assert guess("Heartbeat", {"currentTime": STAMP}, True) is None


@pytest.mark.parametrize(
    ("action", "payload", "versions"),
    [
        ("BootNotification", BOOT_1, ("1.6",)),
        ("BootNotification", BOOT_2, ("2.0", "2.0.1", "2.1")),
        ("BootNotification", {**BOOT_2, "customData": {"vendorId": "v"}}, ("2.0.1", "2.1")),
        ("BootNotification", {}, ()),
        ("Heartbeat", {}, ("1.6", "2.0", "2.0.1", "2.1")),
        ("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": f"{STAMP[:-1]}+02"}, ("1.6",)),
        ("NoSuchAction", {}, ()),
    ],
)
def test_fits(action: str, payload: object, versions: tuple[str, ...]) -> None:
    assert fits(action, False, payload) == versions


def test_unknown_properties_do_not_make_a_2_0_message() -> None:
    payload = {**BOOT_2, "oddity": 1}
    assert schemas.check("2.0", "BootNotification", False, payload) == ()
    assert fits("BootNotification", False, payload) == ()
