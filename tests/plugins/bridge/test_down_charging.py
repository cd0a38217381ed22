"""Transactions of a 2.0.1 station before a 1.6 CSMS: how they begin, what is told of them, how they end."""

from typing import Any

import pytest
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.kept import Profile

from tests.plugins.bridge.bridged import CSMS, STATION
from tests.plugins.bridge.downward import (
    ACCEPTED,
    REGISTER,
    TOKEN,
    UID,
    at,
    event,
    linked,
    meter,
    quiet,
    said,
    sample,
    started,
    statuses,
)

PLACE = {"id": 1, "connectorId": 1}


def test_s36_started_with_token_and_plugged_is_one_start_and_its_id_is_bound() -> None:
    link = linked()
    asked = said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=TOKEN, reservationId=9,
                             meterValue=meter(0, sample(1000, "Transaction.Begin"))))
    assert link.calls(CSMS, "StartTransaction") == [
        {"connectorId": 1, "idTag": "04AABBCC", "meterStart": 1000, "timestamp": at(0), "reservationId": 9}]
    assert [one.kind for one in link.told[STATION]] == []           # it waits for the CSMS
    link.answer(CSMS, {"transactionId": 77, "idTagInfo": {
        "status": "Accepted", "parentIdTag": "group", "expiryDate": "2027-02-01T00:00:00Z"}}, "StartTransaction")
    assert link.answered(asked).payload == {"idTokenInfo": {
        "status": "Accepted", "groupIdToken": {"idToken": "group", "type": "Central"},
        "cacheExpiryDateTime": "2027-02-01T00:00:00.000Z"}}
    quiet(link)
    assert statuses(link) == [(1, "Charging")]
    tx = link.state.charging.transactions[0]
    assert (tx.uid, tx.tid, tx.state) == (UID, 77, "open") and link.state.charging.outbox == ()
    assert link.calls(CSMS, "MeterValues") == [] and link.findings == []
    link.settled()


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid", "ConcurrentTx"])
def test_s36_a_tag_that_is_not_accepted_is_told_and_the_station_decides(status: str) -> None:
    link = linked()
    asked = said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=TOKEN,
                             meterValue=meter(0, sample(1, "Transaction.Begin"))))
    link.answer(CSMS, {"transactionId": 77, "idTagInfo": {"status": status}}, "StartTransaction")
    quiet(link)
    assert link.answered(asked).payload == {"idTokenInfo": {"status": status}}
    assert link.calls(STATION) == []
    link.settled()


def test_s37_the_start_is_told_only_once_someone_is_authorised() -> None:
    link = linked()
    first = said(link, event("Started", 0, 0, "CablePluggedIn", "EVConnected", evse=PLACE,
                             meterValue=meter(0, sample(900, "Transaction.Begin"))))
    assert link.answered(first).payload == {} and link.calls(CSMS, "StartTransaction") == []
    quiet(link)
    assert statuses(link) == [(1, "Preparing")]
    second = said(link, event("Updated", 1, 5, "Authorized", "Charging", idToken=TOKEN, meterValue=meter(5, sample(1000))))
    assert link.calls(CSMS, "StartTransaction") == [
        {"connectorId": 1, "idTag": "04AABBCC", "meterStart": 1000, "timestamp": at(5)}]
    link.answer(CSMS, {"transactionId": 5, **ACCEPTED}, "StartTransaction")
    quiet(link)
    assert link.answered(second).payload == {"idTokenInfo": {"status": "Accepted"}}
    assert statuses(link)[-1] == (1, "Charging")
    link.settled()


def test_s37_without_a_register_in_that_event_the_last_known_one_counts() -> None:
    link = linked()
    said(link, event("Started", 0, 0, "CablePluggedIn", "EVConnected", evse=PLACE,
                     meterValue=meter(0, sample(900, "Transaction.Begin"))))
    quiet(link)
    said(link, event("Updated", 1, 5, "Authorized", idToken=TOKEN))
    assert link.calls(CSMS, "StartTransaction")[0]["meterStart"] == 900
    assert link.losses("invented") == ["$.meterStart"] and link.findings == []
    link.answer(CSMS, {"transactionId": 5, **ACCEPTED}, "StartTransaction")
    link.settled()


def test_s37_authorised_first_and_plugged_in_later() -> None:
    link = linked()
    asked = said(link, event("Started", 0, 0, state="Idle", idToken=TOKEN))
    assert link.answered(asked).payload == {} and link.calls(CSMS) == []
    said(link, event("Updated", 1, 2, "CablePluggedIn", "EVConnected", evse={"id": 2, "connectorId": 1},
                     meterValue=meter(2, sample(40))))
    assert link.calls(CSMS, "StartTransaction")[0] == {
        "connectorId": 1, "idTag": "04AABBCC", "meterStart": 40, "timestamp": at(2)}
    link.answer(CSMS, {"transactionId": 5, **ACCEPTED}, "StartTransaction")
    quiet(link)
    link.settled()


def test_s38_meter_values_and_a_charging_state_are_two_messages() -> None:
    link = linked()
    started(link)
    asked = said(link, event("Updated", 1, 5, state="SuspendedEV", meterValue=meter(
        5, sample(1500), {"value": 230.5, "measurand": "Voltage", "phase": "L1", "unitOfMeasure": {"unit": "V"}})))
    link.answer(CSMS, {}, "MeterValues")
    assert link.calls(CSMS, "MeterValues") == [{"connectorId": 1, "transactionId": 77, "meterValue": [{
        "timestamp": at(5), "sampledValue": [
            {"value": "1500", "measurand": REGISTER},
            {"value": "230.5", "measurand": "Voltage", "phase": "L1", "unit": "V"}]}]}]
    quiet(link)
    assert link.answered(asked).payload == {}
    assert statuses(link) == [(1, "Charging"), (1, "SuspendedEV")]
    link.settled()


def test_s38_an_event_that_says_nothing_to_1_6_is_answered_at_once() -> None:
    link = linked()
    started(link)
    before = len(link.calls(CSMS))
    asked = said(link, event("Updated", 1, 5, "ChargingStateChanged", "Charging", numberOfPhasesUsed=3, cableMaxCurrent=32))
    assert link.answered(asked).payload == {} and len(link.calls(CSMS)) == before
    assert link.losses("dropped") == ["$.numberOfPhasesUsed", "$.cableMaxCurrent", "$"]
    link.settled()


def test_s38_another_token_is_authorised() -> None:
    link = linked()
    started(link)
    asked = said(link, event("Updated", 1, 5, "StopAuthorized", idToken={"idToken": "OTHER", "type": "Central"}))
    assert link.calls(CSMS, "Authorize") == [{"idTag": "OTHER"}]
    link.answer(CSMS, {"idTagInfo": {"status": "Blocked"}}, "Authorize")
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Blocked"}}
    same = said(link, event("Updated", 2, 6, "Authorized", idToken={"idToken": "04aabbcc", "type": "ISO14443"}))
    assert link.answered(same).payload == {"idTokenInfo": {"status": "Accepted"}}
    assert len(link.calls(CSMS, "Authorize")) == 1
    link.settled()


def test_s38_meter_values_the_csms_does_not_answer_are_sent_again_by_the_station() -> None:
    link = linked()
    started(link)
    update = event("Updated", 1, 5, meterValue=meter(5, sample(1500)))
    asked = said(link, update)
    link.wait(30)
    assert link.answered(asked).code == "GenericError"
    link.open[CSMS].clear()
    asked = said(link, update)
    link.answer(CSMS, {}, "MeterValues")
    assert link.answered(asked).payload == {} and len(link.calls(CSMS, "MeterValues")) == 2
    link.settled()


def test_s38_meter_values_the_csms_refuses_are_not_sent_again() -> None:
    link = linked()
    started(link)
    asked = said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    link.error(CSMS, "PropertyConstraintViolation", "no", "MeterValues")
    assert link.answered(asked).payload == {} and link.findings == ["refused"]
    link.settled()


def test_s39_ended_by_a_token_is_a_stop_with_its_tag_and_then_finishing() -> None:
    link = linked()
    started(link)
    asked = said(link, event("Ended", 1, 9, idToken={"idToken": "GROUP", "type": "Central"}, info={"stoppedReason": "Local"},
                             meterValue=meter(9, sample(5000, "Transaction.End"))))
    assert link.calls(CSMS, "StopTransaction") == [{
        "transactionId": 77, "timestamp": at(9), "meterStop": 5000, "reason": "Local", "idTag": "GROUP",
        "transactionData": [{"timestamp": at(9), "sampledValue": [
            {"value": "5000", "measurand": REGISTER, "context": "Transaction.End"}]}]}]
    assert not any(one.kind == 3 and one.message_id == asked for one in link.told[STATION])
    link.answer(CSMS, {"idTagInfo": {"status": "Accepted"}}, "StopTransaction")
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Accepted"}}
    quiet(link)
    assert statuses(link) == [(1, "Charging"), (1, "Finishing")]
    assert link.state.charging.transactions == () and link.state.charging.outbox == ()
    link.settled()
    link.same_energy()


REASONS = {
    "DeAuthorized": "DeAuthorized", "EmergencyStop": "EmergencyStop", "EnergyLimitReached": "Other",
    "EVDisconnected": "EVDisconnected", "GroundFault": "Other", "ImmediateReset": "HardReset", "Local": "Local",
    "LocalOutOfCredit": "DeAuthorized", "MasterPass": "Local", "Other": "Other", "OvercurrentFault": "Other",
    "PowerLoss": "PowerLoss", "PowerQuality": "Other", "Reboot": "Reboot", "Remote": "Remote", "SOCLimitReached": "Other",
    "StoppedByEV": "Other", "TimeLimitReached": "Other", "Timeout": "EVDisconnected",
}


@pytest.mark.parametrize(("said_", "told"), [*REASONS.items(), (None, "Local")])
def test_s40_every_reason_is_one_of_1_6(said_: str | None, told: str) -> None:
    assert len(REASONS) == 19
    link = linked()
    started(link)
    said(link, event("Ended", 1, 9, "EVDeparted", info={"stoppedReason": said_} if said_ else {},
                     meterValue=meter(9, sample(5000))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert link.calls(CSMS, "StopTransaction")[0]["reason"] == told
    assert "idTag" not in link.calls(CSMS, "StopTransaction")[0]
    link.settled()


def test_s40_unlocked_by_the_csms() -> None:
    link = linked()
    started(link)
    said(link, event("Ended", 1, 9, "UnlockCommand", info={"stoppedReason": "Other"}, meterValue=meter(9, sample(5000))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert link.calls(CSMS, "StopTransaction")[0]["reason"] == "UnlockCommand"
    link.settled()


def test_s41_plugged_in_and_out_without_a_token_is_no_transaction_of_1_6() -> None:
    link = linked()
    said(link, event("Started", 0, 0, "CablePluggedIn", "EVConnected", evse=PLACE))
    quiet(link)
    said(link, event("Updated", 1, 1, meterValue=meter(1, sample(900))))
    said(link, event("Ended", 2, 2, "EVCommunicationLost", "Idle", info={"stoppedReason": "EVDisconnected"}))
    quiet(link)
    assert {one.action for one in link.told[CSMS]} == {"StatusNotification"}
    assert link.losses("dropped") == ["$"] * 3
    late = said(link, event("Updated", 3, 3, meterValue=meter(3, sample(900))))
    assert link.answered(late).payload == {} and link.calls(CSMS, "MeterValues") == []
    link.settled()


def test_s41_a_token_that_needs_no_authorisation_is_told_only_under_an_anonymous_tag() -> None:
    nobody = {"idToken": "", "type": "NoAuthorization"}
    link = linked()
    asked = said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=nobody))
    quiet(link)
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Accepted"}}
    assert link.calls(CSMS, "StartTransaction") == []
    link = linked({"anonymous": "free"})
    said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=nobody, meterValue=meter(0, sample(3))))
    assert link.calls(CSMS, "StartTransaction")[0]["idTag"] == "free"
    link.answer(CSMS, {"transactionId": 1, **ACCEPTED}, "StartTransaction")
    quiet(link)
    link.settled()


def test_s49_a_long_token_has_a_short_name_both_ways() -> None:
    long = {"idToken": "0123456789abcdef0123456789abcdef0123", "type": "Central"}
    link = linked()
    asked = link.call(STATION, "Authorize", {"idToken": long})
    name = link.calls(CSMS, "Authorize")[0]["idTag"]
    assert len(name) <= 20 and name.startswith("~") and link.losses("shortened") == ["$.idToken.idToken"]
    link.answer(CSMS, ACCEPTED)
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Accepted"}}
    link.call(CSMS, "RemoteStartTransaction", {"idTag": name, "connectorId": 1})
    assert link.calls(STATION, "RequestStartTransaction")[0]["idToken"] == long
    link.answer(STATION, {"status": "Accepted"})
    link.again()
    said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=long, meterValue=meter(0, sample(3))))
    assert link.calls(CSMS, "StartTransaction")[0]["idTag"] == name
    link.answer(CSMS, {"transactionId": 1, "idTagInfo": {"status": "Accepted", "parentIdTag": name}}, "StartTransaction")
    quiet(link)
    assert link.last(STATION, "TransactionEvent").payload["idTokenInfo"]["groupIdToken"] == long
    link.settled()


def test_s49_long_tokens_may_be_refused() -> None:
    long = {"idToken": "0123456789abcdef0123456789abcdef0123", "type": "Central"}
    link = linked({"long_tokens": "reject"})
    assert link.answered(link.call(STATION, "Authorize", {"idToken": long})).payload == {"idTokenInfo": {"status": "Invalid"}}
    asked = said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=long))
    quiet(link)
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Invalid"}}
    assert {one.action for one in link.told[CSMS]} == {"StatusNotification"}
    link.settled()


def test_n16_the_register_in_kwh_is_whole_wh_rounded_half_up() -> None:
    link = linked()
    said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=TOKEN, meterValue=meter(
        0, sample(7, "Transaction.Begin", phase="L1"), sample(8, "Transaction.Begin", location="Inlet"),
        sample(1.2345, "Transaction.Begin", unitOfMeasure={"unit": "kWh"}))))
    assert link.calls(CSMS, "StartTransaction")[0]["meterStart"] == 1235
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    link.answer(CSMS, {}, "MeterValues")                            # the others are told, too
    quiet(link)
    said(link, event("Ended", 1, 9, meterValue=meter(9, sample(2.5, unitOfMeasure={"unit": "Wh", "multiplier": 3}))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    stop = link.calls(CSMS, "StopTransaction")[0]
    assert stop["meterStop"] == 2500 and stop["transactionData"][0]["sampledValue"][0]["value"] == "2500"
    assert link.findings == []
    link.settled()
    link.same_energy(1)


def test_n16_a_decreasing_register_is_told_as_it_is_and_found() -> None:
    link = linked()
    started(link)
    said(link, event("Ended", 1, 9, meterValue=meter(9, sample(400))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert link.calls(CSMS, "StopTransaction")[0]["meterStop"] == 400 and link.findings == ["meter"]
    link.settled()


def test_n16_no_register_at_all_is_zero_invented_and_found() -> None:
    link = linked()
    started(link, meterValue=[])
    assert link.calls(CSMS, "StartTransaction")[0]["meterStart"] == 0
    assert link.findings == ["meter"] and link.losses("invented") == ["$.meterStart"]
    said(link, event("Updated", 1, 5, meterValue=meter(5, sample(300))))
    link.answer(CSMS, {}, "MeterValues")
    said(link, event("Ended", 2, 9))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert link.calls(CSMS, "StopTransaction")[0]["meterStop"] == 300
    assert link.losses("invented") == ["$.meterStart", "$.meterStop"]
    link.settled()


def test_n16_the_nearest_reading_before_the_event_counts() -> None:
    link = linked()
    values = [*meter(6, sample(30)), *meter(4, sample(20)), *meter(1, sample(10))]
    said(link, event("Started", 0, 5, state="Charging", evse=PLACE, idToken=TOKEN, meterValue=values))
    assert link.calls(CSMS, "StartTransaction")[0]["meterStart"] == 20
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    told = link.answer(CSMS, {}, "MeterValues").payload["meterValue"]          # one number stands for none of the others
    assert [one["sampledValue"][0]["value"] for one in told] == ["30", "20", "10"]
    quiet(link)
    link.settled()


def test_n21_numbers_count_from_the_first_event_on() -> None:
    link = linked()
    started(link, seq=4711)
    said(link, event("Updated", 4712, 1, meterValue=meter(1, sample(1100))))
    link.answer(CSMS, {}, "MeterValues")
    assert link.findings == []
    said(link, event("Updated", 4715, 3, meterValue=meter(3, sample(1300))))
    link.answer(CSMS, {}, "MeterValues")
    assert link.findings == ["gap"]
    late = said(link, event("Updated", 4714, 2, meterValue=meter(2, sample(1200))))    # it was only late
    link.answer(CSMS, {}, "MeterValues")
    assert link.answered(late).payload == {} and link.findings == ["gap"]
    link.settled()


def test_an_event_that_was_seen_is_answered_as_before_and_goes_nowhere() -> None:
    link = linked()
    first = started(link).payload
    update = event("Updated", 1, 5, meterValue=meter(5, sample(1500)))
    said(link, update)
    link.answer(CSMS, {}, "MeterValues")
    calls = len(link.calls(CSMS))
    again = said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=TOKEN,
                             meterValue=meter(0, sample(1000, "Transaction.Begin"))))
    assert link.answered(again).payload == first
    assert link.answered(said(link, update)).payload == {}
    assert len(link.calls(CSMS)) == calls and link.findings == []
    reused = said(link, event("Updated", 1, 6, meterValue=meter(6, sample(1600))))     # a number for two events
    link.answer(CSMS, {}, "MeterValues")
    assert link.answered(reused).payload == {} and link.findings == ["number"]
    link.settled()


def test_what_happened_offline_keeps_its_times_and_changes_no_status() -> None:
    link = linked()
    said(link, event("Started", 0, 0, state="Charging", evse=PLACE, idToken=TOKEN, offline=True,
                     meterValue=meter(0, sample(5))))
    link.answer(CSMS, {"transactionId": 3, **ACCEPTED}, "StartTransaction")
    said(link, event("Updated", 1, 1, offline=True, meterValue=meter(1, sample(6))))
    link.answer(CSMS, {}, "MeterValues")
    said(link, event("Ended", 2, 2, offline=True, meterValue=meter(2, sample(7))))
    link.answer(CSMS, {}, "StopTransaction")
    assert link.calls(CSMS, "StartTransaction")[0]["timestamp"] == at(0)
    assert link.calls(CSMS, "StopTransaction")[0]["timestamp"] == at(2) and statuses(link) == []
    link.settled()


def test_a_transaction_that_began_before_the_bridge_was_there() -> None:
    link = linked({"anonymous": "nobody"})
    said(link, event("Updated", 40, 5, state="Charging", evse=PLACE, meterValue=meter(5, sample(1500))))
    assert link.calls(CSMS, "StartTransaction")[0] == {
        "connectorId": 1, "idTag": "nobody", "meterStart": 1500, "timestamp": at(5)}
    link.answer(CSMS, {"transactionId": 3, **ACCEPTED}, "StartTransaction")
    quiet(link)
    link.settled()


@pytest.mark.parametrize(("payload", "code"), [
    ({}, "OccurrenceConstraintViolation"),
    ({**event("Started", 0, 0), "eventType": "Begun"}, "PropertyConstraintViolation"),
    ({**event("Started", 0, 0), "seqNo": "1"}, "TypeConstraintViolation"),
    ({**event("Started", 0, 0), "seqNo": 1 << 70}, "TypeConstraintViolation"),
    ({**event("Started", 0, 0), "timestamp": "2027-01-15"}, "TypeConstraintViolation"),
])
def test_what_is_no_event_is_refused(payload: dict[str, Any], code: str) -> None:
    link = linked()
    assert link.answered(said(link, payload)).code == code
    assert link.calls(CSMS) == []


def test_n25_hertz_has_no_unit_in_1_6() -> None:
    link = linked()
    started(link)
    said(link, event("Updated", 1, 5, meterValue=meter(
        5, {"value": 50.02, "measurand": "Frequency", "unitOfMeasure": {"unit": "Hz"}})))
    link.answer(CSMS, {}, "MeterValues")
    assert link.calls(CSMS, "MeterValues")[0]["meterValue"][0]["sampledValue"] == [{"value": "50.02", "measurand": "Frequency"}]
    link.settled()


def test_many_readings_at_the_end_go_before_it() -> None:
    link = linked()
    started(link)
    asked = said(link, event("Ended", 1, 9, meterValue=[one for _ in range(500) for one in meter(9, sample(5000))]))
    assert len(link.answer(CSMS, {}, "MeterValues").payload["meterValue"]) == 500
    assert link.answer(CSMS, {}, "StopTransaction").payload == {
        "transactionId": 77, "timestamp": at(9), "meterStop": 5000, "reason": "Local"}
    quiet(link)
    assert link.answered(asked).payload == {}
    link.settled()


def test_the_profiles_of_a_transaction_end_with_it() -> None:
    state = Bridge.State(profiles=(
        Profile(1, 1, "TxProfile", 0, b"{}", 77), Profile(2, 1, "TxProfile", 0, b"{}", 78),
        Profile(3, 1, "TxDefaultProfile", 0, b"{}", 0)))
    link = linked(state=state)
    started(link)
    said(link, event("Ended", 1, 9, meterValue=meter(9, sample(5000))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert [one.profile_id for one in link.state.profiles] == [2, 3]
    link.settled()


def test_energy_is_the_same_on_both_sides() -> None:
    link = linked()
    told = 0
    for number in range(5):
        begin, end = 1000.4 * number, 1000.4 * number + 7.7
        uid = f"tx{number}"
        started(link, tid=number + 1, uid=uid, meterValue=meter(0, sample(begin, "Transaction.Begin")))
        said(link, event("Ended", 1, 9, uid=uid, meterValue=meter(9, sample(end, "Transaction.End"))))
        stop = link.answer(CSMS, {}, "StopTransaction").payload
        quiet(link)
        told += stop["meterStop"] - link.calls(CSMS, "StartTransaction")[-1]["meterStart"]
        assert stop["transactionData"][0]["sampledValue"][0]["value"] == repr(end)
    assert abs(told - 5 * 7.7) <= 5
    link.settled()


def test_events_of_a_station_that_does_not_wait_are_all_known_and_none_is_missing() -> None:
    link = linked()
    started(link)
    one, two = (said(link, event("Updated", seq, seq, meterValue=meter(seq, sample(1000 + seq)))) for seq in (1, 2))
    link.answer(CSMS, {}, "MeterValues")
    link.answer(CSMS, {}, "MeterValues")
    link.wait(20)
    assert link.answered(one).payload == link.answered(two).payload == {}
    calls = len(link.calls(CSMS))
    for seq in (1, 2):                                      # both are known again, whichever was answered first
        said(link, event("Updated", seq, seq, meterValue=meter(seq, sample(1000 + seq))))
    assert len(link.calls(CSMS)) == calls
    said(link, event("Updated", 3, 3, meterValue=meter(3, sample(1003))))
    link.answer(CSMS, {}, "MeterValues")
    link.settled()
    link.wait(20)
    assert [(tx.next_seq, tx.seqs) for tx in link.state.charging.transactions] == [(4, (0,))]
