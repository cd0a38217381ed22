"""What a 1.6 CSMS asks of a 2.0.1 station about charging: remote start and stop, unlock, availability, triggers."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.downward import ACCEPTED, TOKEN, UID, event, linked, meter, quiet, said, sample, started, statuses

TIME = "2027-01-15T08:00:00.000Z"
PROFILE: dict[str, Any] = {
    "chargingProfileId": 5, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]},
}


def known(link: Bridged, *places: tuple[int, int]) -> None:
    """The station has told of these connectors."""
    for evse, conn in places:
        link.call(STATION, "StatusNotification", {
            "timestamp": TIME, "connectorStatus": "Available", "evseId": evse, "connectorId": conn})
        link.answer(CSMS, {}, "StatusNotification")


def asked(link: Bridged, action: str, answer: dict[str, Any], **payload: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The CSMS asks, the station answers so: what the station was asked, and what the CSMS is told."""
    message_id = link.call(CSMS, action, payload)
    told = link.answer(STATION, answer).payload
    return told, link.answered(message_id).payload


def refused(link: Bridged, action: str, **payload: Any) -> dict[str, Any]:
    """The CSMS asks and is told no, without a word to the station."""
    before = len(link.calls(STATION))
    told = link.answered(link.call(CSMS, action, payload)).payload
    assert len(link.calls(STATION)) == before
    return told


def test_s44_remote_start_has_a_number_and_a_list_of_one_schedule() -> None:
    link = linked()
    known(link, (1, 1), (2, 1))
    told, back = asked(link, "RemoteStartTransaction", {"status": "Accepted"}, connectorId=2, idTag="04AABBCC",
                       chargingProfile=PROFILE)
    assert told == {"remoteStartId": 1, "evseId": 2, "idToken": TOKEN, "chargingProfile": {
        "id": 5, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
        "chargingSchedule": [
            {"id": 5, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}]}}
    assert back == {"status": "Accepted"}
    link.again()
    told, back = asked(link, "RemoteStartTransaction", {"status": "Rejected"}, idTag="x")
    assert told == {"remoteStartId": 2, "idToken": {"idToken": "x", "type": "Central"}} and back == {"status": "Rejected"}
    assert [one.remote_start_id for one in link.state.charging.remote_starts] == [1]
    said(link, event("Started", 0, 0, "RemoteStart", "Charging", info={"remoteStartId": 1}, meterValue=meter(0, sample(1))))
    start = link.calls(CSMS, "StartTransaction")[0]
    assert (start["connectorId"], start["idTag"]) == (2, "04AABBCC")         # the event says neither where nor who
    link.answer(CSMS, {"transactionId": 1, **ACCEPTED}, "StartTransaction")
    quiet(link)
    assert link.state.charging.remote_starts == ()
    link.settled()


@pytest.mark.parametrize("payload", [
    {"idTag": "x", "connectorId": 9}, {"idTag": "x", "connectorId": 0},
    {"idTag": "x", "chargingProfile": {**PROFILE, "chargingProfilePurpose": "TxDefaultProfile"}},
    {"idTag": "x", "chargingProfile": {**PROFILE, "transactionId": 7}},
])
def test_s44_a_remote_start_that_cannot_be_is_rejected_here(payload: dict[str, Any]) -> None:
    link = linked()
    known(link, (1, 1))
    assert refused(link, "RemoteStartTransaction", **payload) == {"status": "Rejected"}
    link.settled()


def test_s44_a_start_that_was_given_up_and_begins_all_the_same_is_stopped() -> None:
    link = linked()
    message_id = link.call(CSMS, "RemoteStartTransaction", {"idTag": "04AABBCC"})
    link.wait(30)
    assert link.answered(message_id).payload == {"status": "Rejected"} and link.findings == ["unanswered"]
    link.open[STATION].clear()
    started(link, info={"remoteStartId": 1})
    assert link.answer(STATION, {"status": "Accepted"}, "RequestStopTransaction").payload == {"transactionId": UID}
    link.settled()


def test_s45_remote_stop_names_the_transaction_and_an_unknown_one_is_rejected_here() -> None:
    link = linked()
    started(link)
    assert refused(link, "RemoteStopTransaction", transactionId=78) == {"status": "Rejected"}
    link.again()
    told, back = asked(link, "RemoteStopTransaction", {"status": "Accepted"}, transactionId=77)
    assert told == {"transactionId": UID} and back == {"status": "Accepted"}
    said(link, event("Ended", 1, 9, "RemoteStop", info={"stoppedReason": "Remote"}, meterValue=meter(9, sample(5))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert link.calls(CSMS, "StopTransaction")[0]["reason"] == "Remote"
    assert refused(link, "RemoteStopTransaction", transactionId=77) == {"status": "Rejected"}
    link.settled()


def test_s46_availability_of_all_and_of_one() -> None:
    link = linked()
    known(link, (1, 1), (1, 2), (2, 1))
    told, back = asked(link, "ChangeAvailability", {"status": "Scheduled"}, connectorId=0, type="Inoperative")
    assert told == {"operationalStatus": "Inoperative"} and back == {"status": "Scheduled"}
    told, _ = asked(link, "ChangeAvailability", {"status": "Accepted"}, connectorId=2, type="Operative")
    assert told == {"operationalStatus": "Operative", "evse": {"id": 1, "connectorId": 2}}
    assert refused(link, "ChangeAvailability", connectorId=4, type="Operative") == {"status": "Rejected"}
    link.settled()


@pytest.mark.parametrize(("status", "back"), [
    ("Unlocked", "Unlocked"), ("UnlockFailed", "UnlockFailed"), ("UnknownConnector", "NotSupported"),
    ("OngoingAuthorizedTransaction", "UnlockFailed"),
])
def test_s50_unlock(status: str, back: str) -> None:
    link = linked()
    known(link, (1, 1), (2, 1))
    assert asked(link, "UnlockConnector", {"status": status}, connectorId=2) == (
        {"evseId": 2, "connectorId": 1}, {"status": back})
    assert refused(link, "UnlockConnector", connectorId=3) == {"status": "NotSupported"}
    link.settled()


def test_s50_unlock_ends_what_runs_there_first() -> None:
    link = linked()
    started(link)
    message_id = link.call(CSMS, "UnlockConnector", {"connectorId": 1})
    assert link.calls(STATION) == [{"transactionId": UID}]
    link.answer(STATION, {"status": "Accepted"}, "RequestStopTransaction")
    said(link, event("Ended", 1, 9, "RemoteStop", info={"stoppedReason": "Remote"}, meterValue=meter(9, sample(5))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert link.answer(STATION, {"status": "Unlocked"}, "UnlockConnector").payload == {"evseId": 1, "connectorId": 1}
    assert link.answered(message_id).payload == {"status": "Unlocked"}
    assert link.calls(CSMS, "StopTransaction")[0]["reason"] == "UnlockCommand"
    link.settled()


def test_s50_a_station_without_locks() -> None:
    link = linked()
    message_id = link.call(CSMS, "UnlockConnector", {"connectorId": 1})
    link.error(STATION, "NotSupported", "no locks")
    assert link.answered(message_id).payload == {"status": "NotSupported"}
    started(link)
    message_id = link.call(CSMS, "UnlockConnector", {"connectorId": 1})
    link.answer(STATION, {"status": "Rejected"}, "RequestStopTransaction")
    link.answer(STATION, {"status": "OngoingAuthorizedTransaction"}, "UnlockConnector")
    assert link.answered(message_id).payload == {"status": "UnlockFailed"}
    assert "unlock" not in link.state.charging.transactions[0].flags
    link.settled()


@pytest.mark.parametrize(("action", "wanted", "told"), [
    ("TriggerMessage", "BootNotification", {"requestedMessage": "BootNotification"}),
    ("TriggerMessage", "DiagnosticsStatusNotification", {"requestedMessage": "LogStatusNotification"}),
    ("TriggerMessage", "MeterValues", {"requestedMessage": "MeterValues", "evse": {"id": 2}}),
    ("ExtendedTriggerMessage", "SignChargePointCertificate", {"requestedMessage": "SignChargingStationCertificate"}),
    ("TriggerMessage", "StatusNotification", {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}}),
])
def test_triggers(action: str, wanted: str, told: dict[str, Any]) -> None:
    link = linked()
    known(link, (1, 1), (2, 1))
    assert asked(link, action, {"status": "Accepted"}, requestedMessage=wanted, connectorId=2) == (told, {"status": "Accepted"})
    assert refused(link, action, requestedMessage=wanted, connectorId=7) == {"status": "Rejected"}
    link.settled()


def test_meter_values_of_a_running_transaction_are_triggered_as_its_event() -> None:
    link = linked()
    started(link)
    told, _ = asked(link, "TriggerMessage", {"status": "Accepted"}, requestedMessage="MeterValues", connectorId=1)
    assert told == {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
    told, _ = asked(link, "TriggerMessage", {"status": "Accepted"}, requestedMessage="MeterValues")
    assert told == {"requestedMessage": "TransactionEvent"}
    link.settled()


def test_all_statuses_are_triggered_one_by_one_and_that_of_the_station_is_told_here() -> None:
    link = linked()
    known(link, (1, 1), (2, 1))
    message_id = link.call(CSMS, "TriggerMessage", {"requestedMessage": "StatusNotification"})
    link.answer(STATION, {"status": "Accepted"})
    link.answer(STATION, {"status": "Rejected"})
    quiet(link)
    assert [one["evse"]["id"] for one in link.calls(STATION)] == [1, 2]
    assert link.answered(message_id).payload == {"status": "Accepted"} and statuses(link)[-1] == (0, "Available")
    assert refused(link, "TriggerMessage", requestedMessage="StatusNotification", connectorId=0) == {"status": "Accepted"}
    quiet(link)
    assert statuses(link)[-2:] == [(0, "Available")] * 2
    link.settled()
