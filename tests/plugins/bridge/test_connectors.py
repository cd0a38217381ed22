"""A 2.0.1 CSMS on 1.6 connectors: availability, unlocking, triggers; reservations both ways."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged

TIME = "2027-01-15T08:00:00.000Z"
SOON = "2027-01-15T08:00:30.000Z"           # 30 s behind the start of a conversation
TOKEN = {"idToken": "AB", "type": "Central"}


def asked(link: Bridged, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> tuple[Any, Any]:
    """What the station was asked, and the CSMS answered."""
    message = link.call(CSMS, action, payload)
    told = link.answer(STATION, answer)
    return told.payload, link.answered(message).payload


def started(link: Bridged, connector: int = 1) -> None:
    link.call(STATION, "StartTransaction", {"connectorId": connector, "idTag": "AB", "meterStart": 0, "timestamp": TIME})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}}, "TransactionEvent")


def is_now(link: Bridged, status: str) -> None:
    link.call(STATION, "StatusNotification", {"connectorId": 1, "status": status, "errorCode": "NoError", "timestamp": TIME})
    link.answer(CSMS, {}, "StatusNotification")


def test_availability_without_an_evse_is_the_station() -> None:
    link = Bridged()
    sent, answer = asked(link, "ChangeAvailability", {"operationalStatus": "Inoperative"}, {"status": "Scheduled"})
    assert sent == {"connectorId": 0, "type": "Inoperative"} and answer == {"status": "Scheduled"}


def test_availability_of_an_evse_is_each_of_its_connectors_and_the_worst_counts() -> None:
    link = Bridged(options={"topology": {"1": (1, 1), "2": (1, 2), "3": (2, 1)}})
    message = link.call(CSMS, "ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}})
    assert link.answer(STATION, {"status": "Rejected"}).payload["connectorId"] == 1
    assert link.answer(STATION, {"status": "Accepted"}).payload["connectorId"] == 2
    assert link.answered(message).payload["status"] == "Rejected"
    sent, _ = asked(link, "ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 2, "connectorId": 1}},
                    {"status": "Accepted"})
    assert sent["connectorId"] == 3
    message = link.call(CSMS, "ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 3}})
    assert link.answered(message).payload["statusInfo"]["reasonCode"] == "UnknownEvse"


def test_s29_a_connector_that_charges_is_not_unlocked() -> None:
    link = Bridged()
    started(link)
    message = link.call(CSMS, "UnlockConnector", {"evseId": 1, "connectorId": 1})
    assert link.answered(message).payload["status"] == "OngoingAuthorizedTransaction" and link.calls(STATION) == []


@pytest.mark.parametrize(("said", "told"), [
    ("Unlocked", "Unlocked"), ("UnlockFailed", "UnlockFailed"), ("NotSupported", "UnlockFailed")])
def test_unlocking(said: str, told: str) -> None:
    link = Bridged()
    sent, answer = asked(link, "UnlockConnector", {"evseId": 2, "connectorId": 1}, {"status": said})
    assert sent == {"connectorId": 2} and answer["status"] == told
    message = link.call(CSMS, "UnlockConnector", {"evseId": 2, "connectorId": 2})
    assert link.answered(message).payload["status"] == "UnknownConnector"


@pytest.mark.parametrize(("wanted", "action", "sent"), [
    ("LogStatusNotification", "TriggerMessage", "DiagnosticsStatusNotification"),
    ("Heartbeat", "TriggerMessage", "Heartbeat"), ("BootNotification", "TriggerMessage", "BootNotification"),
    ("SignChargingStationCertificate", "ExtendedTriggerMessage", "SignChargePointCertificate"),
])
def test_s30_triggers(wanted: str, action: str, sent: str) -> None:
    link = Bridged()
    message = link.call(CSMS, "TriggerMessage", {"requestedMessage": wanted})
    told = link.answer(STATION, {"status": "Accepted"}, action)
    assert told.payload == {"requestedMessage": sent} and link.answered(message).payload == {"status": "Accepted"}


@pytest.mark.parametrize("wanted", ["SignCombinedCertificate", "PublishFirmwareStatusNotification"])
def test_s30_what_1_6_cannot_send_is_not_implemented(wanted: str) -> None:
    link = Bridged()
    message = link.call(CSMS, "TriggerMessage", {"requestedMessage": wanted})
    assert link.answered(message).payload["status"] == "NotImplemented" and link.calls(STATION) == []


def test_s30_a_v2g_certificate_is_triggered_by_data_transfer_where_the_station_knows_it() -> None:
    link = Bridged()
    message = link.call(CSMS, "TriggerMessage", {"requestedMessage": "SignV2GCertificate"})
    sent = link.answer(STATION, {"status": "UnknownVendorId"}, "DataTransfer").payload
    assert sent["vendorId"] == "org.openchargealliance.iso15118pnc"
    assert link.answered(message).payload["status"] == "NotImplemented"


def test_a_boot_that_was_triggered_says_so() -> None:
    link = Bridged()
    asked(link, "TriggerMessage", {"requestedMessage": "BootNotification"}, {"status": "Accepted"})
    link.call(STATION, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    assert link.last(CSMS, "BootNotification").payload["reason"] == "Triggered"


def test_a_trigger_that_is_refused_is_not_expected() -> None:
    link = Bridged()
    _, answer = asked(link, "TriggerMessage", {"requestedMessage": "BootNotification"}, {"status": "Rejected"})
    assert answer["status"] == "Rejected" and link.state.expected == ()


def test_a_transaction_event_is_triggered_by_meter_values() -> None:
    link = Bridged()
    message = link.call(CSMS, "TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 1}})
    assert link.answered(message).payload["statusInfo"]["reasonCode"] == "TxNotFound"
    started(link)
    sent, answer = asked(link, "TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 1}},
                         {"status": "Accepted"})
    assert sent == {"requestedMessage": "MeterValues", "connectorId": 1} and answer == {"status": "Accepted"}
    tid = link.state.charging.transactions[0].tid
    values = [{"timestamp": TIME, "sampledValue": [{"value": "5"}]}]
    link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": values})
    assert link.last(CSMS, "TransactionEvent").payload["triggerReason"] == "Trigger"


def test_s31_a_reservation_that_expires_is_told() -> None:
    link = Bridged()
    is_now(link, "Available")
    sent, answer = asked(link, "ReserveNow", {"id": 4, "expiryDateTime": SOON, "idToken": TOKEN, "evseId": 1},
                         {"status": "Accepted"})
    assert sent == {"connectorId": 1, "expiryDate": SOON, "idTag": "AB", "reservationId": 4}
    assert answer == {"status": "Accepted"}
    is_now(link, "Reserved")
    link.wait(40)
    assert link.calls(CSMS, "ReservationStatusUpdate") == []
    is_now(link, "Available")
    link.wait(2)
    told = link.answer(CSMS, {}, "ReservationStatusUpdate").payload
    assert told == {"reservationId": 4, "reservationUpdateStatus": "Expired"}
    link.wait(5)
    assert len(link.calls(CSMS, "ReservationStatusUpdate")) == 1
    link.settled()


@pytest.mark.parametrize("end", ["canceled", "refused"])
def test_a_reservation_that_is_over_expires_no_more(end: str) -> None:
    link = Bridged()
    wish = {"id": 4, "expiryDateTime": SOON, "idToken": TOKEN}
    sent, _ = asked(link, "ReserveNow", wish, {"status": "Accepted" if end == "canceled" else "Occupied"})
    assert sent["connectorId"] == 0
    if end == "canceled":
        asked(link, "CancelReservation", {"reservationId": 4}, {"status": "Accepted"})
    link.wait(60)
    assert link.calls(CSMS, "ReservationStatusUpdate") == []


def test_reservations_of_a_1_6_csms() -> None:
    link = Bridged(DOWN)
    wish = {"connectorId": 0, "expiryDate": SOON, "idTag": "AB", "reservationId": 4}
    sent, answer = asked(link, "ReserveNow", wish, {"status": "Accepted"})
    assert sent == {"id": 4, "expiryDateTime": SOON, "idToken": {"idToken": "AB", "type": "Central"}}
    assert answer == {"status": "Accepted"}
    sent, _ = asked(link, "ReserveNow", {**wish, "connectorId": 2, "parentIdTag": "P"}, {"status": "Faulted"})
    assert sent["evseId"] == 2 and sent["groupIdToken"]["idToken"] == "P"
