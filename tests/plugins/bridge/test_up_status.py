"""What the connectors of a 1.6 station do, as a 2.0.1 CSMS is told it: changes only, of the right thing."""

from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.kept import Connector

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.test_up_charging import END, LATER, START, ended, now_is, started


def test_s06_only_changes_are_told() -> None:
    link = Bridged()
    for status in ("Available", "Preparing", "Charging", "SuspendedEV", "Finishing", "Available", "Available"):
        assert link.answered(now_is(link, status)).payload == {}
    assert link.calls(CSMS) == [
        {"timestamp": START, "connectorStatus": status, "evseId": 1, "connectorId": 1}
        for status in ("Available", "Occupied", "Available")]
    link.settled()


def test_n23_plugged_in_and_out_without_a_transaction() -> None:
    link = Bridged()
    for status in ("Preparing", "Finishing", "Available"):
        now_is(link, status)
    assert [call["connectorStatus"] for call in link.calls(CSMS, "StatusNotification")] == ["Occupied", "Available"]
    assert link.calls(CSMS, "TransactionEvent") == [] and link.findings == []
    link.settled()


def test_a_csms_that_was_just_connected_is_told_again() -> None:
    link = Bridged()
    now_is(link, "Available")
    link.again()
    now_is(link, "Available")
    assert len(link.calls(CSMS, "StatusNotification")) == 2
    link.settled()


def test_a_station_that_booted_tells_all_again() -> None:
    link = Bridged()
    now_is(link, "Available")
    link.wait(1)
    link.call(STATION, "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
    link.answer(CSMS, {"currentTime": START, "interval": 300, "status": "Accepted"})
    now_is(link, "Available")
    assert len(link.calls(CSMS, "StatusNotification")) == 2
    link.settled()


def test_a_status_that_the_csms_did_not_take_is_told_again() -> None:
    link = Bridged()
    asked = link.call(STATION, "StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})
    link.error(CSMS, "InternalError")
    assert link.answered(asked).code == "InternalError"
    now_is(link, "Available")
    assert len(link.calls(CSMS, "StatusNotification")) == 2
    link.settled()


def test_the_state_of_charging_changes_during_a_transaction() -> None:
    link = Bridged()
    now_is(link, "Preparing")
    tid = started(link)
    for status in ("Charging", "Charging", "SuspendedEV", "Finishing", "Reserved"):
        now_is(link, status, at=LATER)
    events = link.calls(CSMS, "TransactionEvent")
    assert [event["transactionInfo"].get("chargingState") for event in events] == ["EVConnected", "Charging", "SuspendedEV"]
    assert {event["triggerReason"] for event in events[1:]} == {"ChargingStateChanged"}
    assert [event["timestamp"] for event in events] == [START, LATER, LATER]
    ended(link, tid)
    link.settled()


def test_a_status_that_is_two_messages_is_answered_by_the_first() -> None:
    link = Bridged()
    started(link)
    asked = link.call(STATION, "StatusNotification", {
        "connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": LATER})
    assert link.last(CSMS).action == "StatusNotification"
    link.answer(CSMS)
    assert link.answered(asked).payload == {}
    assert link.answer(CSMS).action == "TransactionEvent"
    link.settled()


def test_a_missing_time_is_now() -> None:
    link = Bridged()
    link.call(STATION, "StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})
    link.answer(CSMS)
    assert link.losses("invented") == ["$.timestamp"]
    link.settled()


def test_s34_a_fault_is_a_problem_until_it_is_cleared() -> None:
    link = Bridged()
    now_is(link, "Available")
    asked = now_is(link, "Faulted", error="GroundFailure", at=LATER, info="leak", vendorErrorCode="E7", vendorId="acme")
    assert link.answered(asked).payload == {}
    assert link.calls(CSMS, "StatusNotification")[-1]["connectorStatus"] == "Faulted"
    assert link.answer(CSMS).payload == {"generatedAt": LATER, "seqNo": 0, "eventData": [{
        "eventId": 1, "timestamp": LATER, "trigger": "Alerting", "eventNotificationType": "HardWiredNotification",
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}, "variable": {"name": "Problem"},
        "actualValue": "true", "techCode": "GroundFailure", "techInfo": "leak | E7 | acme"}]}
    now_is(link, "Faulted", error="GroundFailure", at=LATER)
    assert len(link.calls(CSMS, "NotifyEvent")) == 1
    now_is(link, "Available", at=END)
    event = link.answer(CSMS).payload["eventData"][0]
    assert event["cleared"] is True and event["actualValue"] == "false" and event["eventId"] == 2
    assert event["techCode"] == "GroundFailure"
    link.settled()


def test_s34_a_warning_without_another_status_is_a_problem_alone() -> None:
    link = Bridged()
    now_is(link, "Charging")
    asked = link.call(STATION, "StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "HighTemperature"})
    assert link.last(CSMS).action == "NotifyEvent"
    link.answer(CSMS)
    assert link.answered(asked).payload == {}
    link.settled()


def test_s34_a_fault_during_a_transaction_leaves_its_state() -> None:
    link = Bridged()
    tid = started(link)
    now_is(link, "Faulted", error="OverCurrentFailure", at=LATER)
    link.answer(CSMS)
    assert [call["eventType"] for call in link.calls(CSMS, "TransactionEvent")] == ["Started"]
    ended(link, tid, reason="EmergencyStop")
    link.settled()


def test_the_station_itself_has_events_only() -> None:
    link = Bridged()
    asked = now_is(link, "Available", connector=0)
    assert link.answered(asked).payload == {}
    event = link.calls(CSMS, "NotifyEvent")[0]["eventData"][0]
    assert event["component"] == {"name": "ChargingStation"} and event["variable"] == {"name": "AvailabilityState"}
    assert event["actualValue"] == "Available"
    now_is(link, "Available", connector=0)
    now_is(link, "Faulted", connector=0, error="InternalError")
    assert [one["variable"]["name"] for one in link.calls(CSMS, "NotifyEvent")[1]["eventData"]] == [
        "Problem", "AvailabilityState"]
    assert link.calls(CSMS, "StatusNotification") == []
    link.settled()


def test_a_csms_that_knows_no_events_is_not_asked_again() -> None:
    link = Bridged()
    asked = link.call(STATION, "StatusNotification", {"connectorId": 0, "status": "Available", "errorCode": "NoError"})
    link.error(CSMS, "NotImplemented")
    assert link.answered(asked).payload == {} and link.findings == ["no-events"]
    now_is(link, "Unavailable", connector=0)
    assert len(link.calls(CSMS)) == 1 and link.losses("dropped") == ["$", "$"]
    now_is(link, "Faulted", error="GroundFailure", info="leak")
    assert link.losses("dropped")[2:] == ["$.errorCode", "$.info"]
    link.settled()


def test_what_is_said_besides_no_error_is_told_as_lost() -> None:
    link = Bridged()
    now_is(link, "Available", info="all is well", vendorErrorCode="")
    assert link.losses() == ["$.info"]
    link.settled()


def test_n14_available_while_a_transaction_is_open() -> None:
    link = Bridged()
    now_is(link, "Charging")
    tid = started(link)
    now_is(link, "Available", at=LATER)
    assert link.findings == ["available-while-open"] and len(link.calls(CSMS, "TransactionEvent")) == 1
    link.wait(120)
    ended(link, tid)
    (events,) = link.events.values()
    assert events.types == ["Started", "Ended"]
    link.settled()
    link.same_energy()


def test_a_status_that_the_csms_asked_for_is_told_although_nothing_changed() -> None:
    link = Bridged()
    for connector in (1, 2):
        now_is(link, "Available", connector)
    link.call(CSMS, "TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}})
    link.answer(STATION, {"status": "Accepted"})
    now_is(link, "Available", 2)
    now_is(link, "Available", 2)
    assert len(link.calls(CSMS, "StatusNotification")) == 3
    link.call(CSMS, "TriggerMessage", {"requestedMessage": "StatusNotification"})
    link.answer(STATION, {"status": "Accepted"})
    for connector in (1, 2, 1):
        now_is(link, "Available", connector)
    assert [call["evseId"] for call in link.calls(CSMS, "StatusNotification")[3:]] == [1, 2]
    link.settled()


def test_a_station_has_no_more_connectors_than_can_be_remembered() -> None:
    known = tuple(Connector(number, number, 1, "Available") for number in range(1, 1001))
    link = Bridged(state=Bridge.State(connectors=known))
    assert link.answered(now_is(link, "Charging", 1001)).code == "PropertyConstraintViolation"
    assert link.answered(now_is(link, "Charging", 1000)).kind == 3 and len(link.state.connectors) == 1000
    link.settled()


def test_all_that_is_made_from_a_status_names_it() -> None:
    link = Bridged()
    now_is(link, "Faulted", error="GroundFailure")
    link.answer(CSMS, {}, "NotifyEvent")
    made = [(one.told.action, one.cause) for one in link.made if one.side is CSMS]
    assert made == [("StatusNotification", 1), ("NotifyEvent", 1)]
    link.settled()
