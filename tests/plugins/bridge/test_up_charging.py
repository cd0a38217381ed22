"""A charging session of a 1.6 station before a 2.0.1 CSMS: authorised, begun, measured, ended; what the CSMS is told of it."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged

START, LATER, END = "2027-01-15T08:00:01.000Z", "2027-01-15T08:05:00.000Z", "2027-01-15T08:10:00.000Z"
ACCEPTED = {"idTokenInfo": {"status": "Accepted"}}


def started(link: Bridged, connector: int = 1, tag: str = "04AABBCC", at: str = START, meter: int = 1000, **more: Any) -> int:
    """A transaction that the CSMS has taken; its number."""
    asked = link.call(STATION, "StartTransaction", {
        "connectorId": connector, "idTag": tag, "timestamp": at, "meterStart": meter, **more,
    })
    link.answer(CSMS, ACCEPTED, "TransactionEvent")
    told = link.answered(asked).payload
    assert told["idTagInfo"] == {"status": "Accepted"}
    tid: int = told["transactionId"]
    return tid


def ended(link: Bridged, tid: int, at: str = END, meter: int = 5000, **more: Any) -> dict[str, Any]:
    """Its end, taken by the CSMS; the event."""
    asked = link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": at, "meterStop": meter, **more})
    told = link.answer(CSMS, {}, "TransactionEvent")
    assert link.answered(asked).kind == 3
    return told.payload


def now_is(link: Bridged, status: str, connector: int = 1, at: str = START, error: str = "NoError", **more: Any) -> str:
    """The station says a status, and the CSMS takes what it is told first; the id of the Call."""
    asked = link.call(STATION, "StatusNotification", {
        "connectorId": connector, "status": status, "errorCode": error, "timestamp": at, **more})
    if link.open[CSMS]:
        link.answer(CSMS)
    return asked


def measured(value: str = "1500", at: str = LATER, **more: Any) -> dict[str, Any]:
    """A meterValue of one sample."""
    return {"timestamp": at, "sampledValue": [{"value": value, **more}]}


@pytest.mark.parametrize(("status", "told"), [
    ("Accepted", "Accepted"), ("Blocked", "Blocked"), ("ConcurrentTx", "ConcurrentTx"), ("Expired", "Expired"),
    ("Invalid", "Invalid"), ("NoCredit", "Blocked"), ("NotAllowedTypeEVSE", "Invalid"), ("NotAtThisLocation", "Invalid"),
    ("NotAtThisTime", "Invalid"), ("Unknown", "Invalid"),
])
def test_s04_authorize(status: str, told: str) -> None:
    link = Bridged()
    asked = link.call(STATION, "Authorize", {"idTag": "04AABBCC"})
    assert link.calls(CSMS, "Authorize") == [{"idToken": {"idToken": "04AABBCC", "type": "ISO14443"}}]
    link.answer(CSMS, {"idTokenInfo": {"status": status}})
    assert link.answered(asked).payload == {"idTagInfo": {"status": told}}
    link.settled()


def test_s04_the_group_and_the_expiry_come_along_and_the_rest_is_told_as_lost() -> None:
    link = Bridged()
    asked = link.call(STATION, "Authorize", {"idTag": "x"})
    link.answer(CSMS, {"idTokenInfo": {
        "status": "Accepted", "groupIdToken": {"idToken": "group", "type": "Central"}, "chargingPriority": 3,
        "cacheExpiryDateTime": "2027-02-01T00:00:00Z", "personalMessage": {"format": "UTF8", "content": "hello"},
    }})
    assert link.answered(asked).payload == {
        "idTagInfo": {"status": "Accepted", "parentIdTag": "group", "expiryDate": "2027-02-01T00:00:00.000Z"}}
    assert sorted(link.losses()) == ["$.idTokenInfo.chargingPriority", "$.idTokenInfo.personalMessage"]
    link.settled()


def test_s05_a_token_for_another_evse_is_invalid_on_this_one() -> None:
    link = Bridged()
    asked = link.call(STATION, "Authorize", {"idTag": "04AABBCC"})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted", "evseId": [2]}})
    assert link.answered(asked).payload["idTagInfo"] == {"status": "Accepted"}
    for connector, told in ((1, "Invalid"), (2, "Accepted")):
        asked = link.call(STATION, "StartTransaction", {
            "connectorId": connector, "idTag": "04aabbcc", "timestamp": START, "meterStart": 0})
        link.answer(CSMS, ACCEPTED)
        assert link.answered(asked).payload["idTagInfo"] == {"status": told}
    link.settled()


def test_s05_of_the_answer_to_the_start_too() -> None:
    link = Bridged()
    asked = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "t", "timestamp": START, "meterStart": 0})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted", "evseId": [2, 3]}})
    assert link.answered(asked).payload["idTagInfo"] == {"status": "Invalid"}
    link.settled()


def test_s05_a_token_for_evses_that_the_station_does_not_have_is_invalid_at_once() -> None:
    link = Bridged()
    now_is(link, "Available")
    asked = link.call(STATION, "Authorize", {"idTag": "t"})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted", "evseId": [7]}})
    assert link.answered(asked).payload["idTagInfo"] == {"status": "Invalid"}
    link.settled()


def test_s07_start_meter_stop() -> None:
    link = Bridged()
    tid = started(link)
    assert 100_000_000 <= tid < 1_000_000_000
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]
    assert link.calls(CSMS)[0] == {
        "eventType": "Started", "timestamp": START, "triggerReason": "Authorized", "seqNo": 0,
        "transactionInfo": {"transactionId": uid}, "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "04AABBCC", "type": "ISO14443"},
        "meterValue": [{"timestamp": START, "sampledValue": [{
            "value": 1000, "context": "Transaction.Begin", "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "Wh"}}]}],
    }
    asked = link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [
        measured("3000", unit="Wh", context="Sample.Periodic", measurand="Energy.Active.Import.Register")]})
    assert link.answer(CSMS).payload == {
        "eventType": "Updated", "timestamp": LATER, "triggerReason": "MeterValuePeriodic", "seqNo": 1, "offline": False,
        "transactionInfo": {"transactionId": uid},
        "meterValue": [{"timestamp": LATER, "sampledValue": [{
            "value": 3000, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "Wh"}}]}],
    }
    assert link.answered(asked).payload == {}
    assert ended(link, tid, idTag="04AABBCC") == {
        "eventType": "Ended", "timestamp": END, "triggerReason": "StopAuthorized", "seqNo": 2,
        "transactionInfo": {"transactionId": uid, "stoppedReason": "Local"},
        "idToken": {"idToken": "04AABBCC", "type": "ISO14443"},
        "meterValue": [{"timestamp": END, "sampledValue": [{
            "value": 5000, "context": "Transaction.End", "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "Wh"}}]}],
    }
    assert link.losses() == [] and link.findings == []
    assert link.state.charging.outbox == () and link.state.charging.transactions == ()
    link.settled()
    link.same_energy()


def test_s07_the_next_transaction_has_the_next_number_and_another_text() -> None:
    link = Bridged()
    first = started(link)
    ended(link, first)
    second = started(link, at=LATER)
    assert second == first + 1 and len(link.events) == 2
    link.settled()


@pytest.mark.parametrize(("context", "trigger"), [
    ("Sample.Periodic", "MeterValuePeriodic"), ("Sample.Clock", "MeterValueClock"), ("Trigger", "Trigger"),
    ("Interruption.Begin", "MeterValuePeriodic"), ("", "MeterValuePeriodic"),
])
def test_why_values_are_told(context: str, trigger: str) -> None:
    link = Bridged()
    tid = started(link)
    more = {"context": context} if context else {}
    link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [measured(**more)]})
    assert link.answer(CSMS).payload["triggerReason"] == trigger
    link.settled()


def test_s08_the_reservation_is_named_and_is_used_up() -> None:
    link = Bridged()
    started(link, reservationId=17)
    assert link.calls(CSMS)[0]["reservationId"] == 17
    link.settled()


@pytest.mark.parametrize(("reason", "told", "trigger"), [
    ("EmergencyStop", "EmergencyStop", "AbnormalCondition"), ("EVDisconnected", "EVDisconnected", "EVCommunicationLost"),
    ("HardReset", "ImmediateReset", "ResetCommand"), ("Local", "Local", "StopAuthorized"),
    ("Other", "Other", "AbnormalCondition"), ("PowerLoss", "PowerLoss", "AbnormalCondition"),
    ("Reboot", "Reboot", "ResetCommand"), ("Remote", "Remote", "RemoteStop"), ("SoftReset", "ImmediateReset", "ResetCommand"),
    ("UnlockCommand", "Other", "UnlockCommand"), ("DeAuthorized", "DeAuthorized", "Deauthorized"),
])
def test_s09_stop_reasons(reason: str, told: str, trigger: str) -> None:
    link = Bridged()
    event = ended(link, started(link), reason=reason)
    assert event["transactionInfo"]["stoppedReason"] == told and event["triggerReason"] == trigger
    link.settled()


def test_s09_a_reason_that_1_6_does_not_have_is_told_as_lost() -> None:
    link = Bridged()
    event = ended(link, started(link), reason="Bored")
    assert event["transactionInfo"]["stoppedReason"] == "Other" and event["triggerReason"] == "AbnormalCondition"
    assert link.losses() == ["$.reason"]
    link.settled()


def test_s10_transaction_data_comes_sorted_with_the_end() -> None:
    link = Bridged()
    begin = measured("1000", START, context="Transaction.Begin")
    event = ended(link, started(link), transactionData=[
        measured("5.000", END, context="Transaction.End", unit="kWh"), measured("2000", LATER), begin])
    told = [(value["timestamp"], value["sampledValue"][0]["value"]) for value in event["meterValue"]]
    assert told == [(START, 1000), (LATER, 2000), (END, 5)]     # the register is there already, in kWh
    link.settled()


def test_s10_a_register_that_is_not_the_last_value_is_told_besides() -> None:
    link = Bridged()
    event = ended(link, started(link), transactionData=[measured("4999", END, context="Transaction.End")])
    assert [value["sampledValue"][0]["value"] for value in event["meterValue"]] == [4999, 5000]
    link.settled()


def test_an_answer_to_the_end_may_refuse_the_token() -> None:
    link = Bridged()
    tid = started(link)
    asked = link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 1, "idTag": "t"})
    link.answer(CSMS, {"idTokenInfo": {"status": "Unknown"}, "totalCost": 1.5})
    assert link.answered(asked).payload == {"idTagInfo": {"status": "Invalid"}}
    assert link.losses("dropped") == ["$.totalCost"] and link.calls(STATION) == []
    assert link.losses("shortened") == ["$.idTokenInfo.status"]         # Unknown and others are all Invalid in 1.6
    link.settled()


def test_a_start_without_idtokeninfo_is_accepted() -> None:
    link = Bridged()
    asked = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "t", "timestamp": START, "meterStart": 0})
    link.answer(CSMS, {})
    assert link.answered(asked).payload["idTagInfo"] == {"status": "Accepted"}
    link.settled()


def test_a_start_that_cannot_be_told_takes_no_number() -> None:
    link = Bridged()
    for broken in ({"connectorId": 0, "idTag": "t"}, {"connectorId": 1}, {"connectorId": 1, "idTag": "t" * 37}):
        asked = link.call(STATION, "StartTransaction", {"timestamp": START, "meterStart": 0, **broken})
        assert link.answered(asked).code == "PropertyConstraintViolation"
    assert link.calls(CSMS) == [] and link.findings == ["invalid"]
    link.settled()


def test_a_missing_time_is_now_and_told_as_invented() -> None:
    link = Bridged()
    asked = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "t", "meterStart": "no number"})
    event = link.answer(CSMS, {}).payload
    assert event["timestamp"] == "2027-01-15T08:00:00.000Z" and "meterValue" not in event
    assert link.losses("invented") == ["$.timestamp"] and link.losses("dropped") == ["$.meterStart"]
    assert link.answered(asked).kind == 3
    link.settled()


def test_the_state_of_charging_before_the_start_is_told_with_it() -> None:
    link = Bridged()
    now_is(link, "Charging")
    started(link)
    assert link.calls(CSMS, "TransactionEvent")[0]["transactionInfo"]["chargingState"] == "Charging"
    link.settled()
