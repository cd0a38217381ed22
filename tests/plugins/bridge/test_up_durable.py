"""Transactions survive: the proxy is killed, the station or the CSMS goes away, things are said twice, late, or never."""

import pytest
from msgspec import structs
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.kept import Charging
from ocpp_proxy_plugins.bridge.transactions import closed

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.test_up_charging import ACCEPTED, END, LATER, START, ended, measured, now_is, started

BEGIN = {"connectorId": 1, "idTag": "04AABBCC", "timestamp": START, "meterStart": 1000}


def said(link: Bridged, tid: int, value: str, at: str = LATER) -> str:
    """The station sends a value; the id of the Call."""
    return link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [measured(value, at)]})


def types(link: Bridged) -> list[list[str]]:
    """The types of the events of each transaction, in their order."""
    return [events.types for events in link.events.values()]


def numbers(link: Bridged) -> list[int]:
    """The numbers of the events as they were sent."""
    return [event["seqNo"] for event in link.calls(CSMS, "TransactionEvent")]


# ---- the proxy is killed ----

def test_n03_killed_behind_the_commit_and_before_the_send() -> None:
    link = Bridged()
    link.call(STATION, "Heartbeat")                             # its answer is waited for: nothing else is sent meanwhile
    link.call(STATION, "StartTransaction", BEGIN)
    assert link.calls(CSMS, "TransactionEvent") == [] and len(link.state.charging.outbox) == 1
    tid = link.state.charging.transactions[0].tid
    link.again()
    asked = link.call(STATION, "StartTransaction", BEGIN)
    link.answer(CSMS, ACCEPTED)
    assert link.answered(asked).payload["transactionId"] == tid
    assert types(link) == [["Started"]] and numbers(link) == [0]
    ended(link, tid)
    link.settled()


def test_n03_killed_behind_the_send_and_before_the_answer_of_the_csms() -> None:
    link = Bridged()
    link.call(STATION, "StartTransaction", BEGIN)
    tid = link.state.charging.transactions[0].tid
    link.again()
    asked = link.call(STATION, "StartTransaction", BEGIN)
    link.answer(CSMS, ACCEPTED)
    assert link.answered(asked).payload["transactionId"] == tid
    first, again = link.calls(CSMS, "TransactionEvent")
    assert first == again and types(link) == [["Started"]]
    ended(link, tid)
    link.settled()


def test_n03_killed_behind_the_answer_of_the_csms_and_before_that_to_the_station() -> None:
    link = Bridged()
    tid = started(link)
    link.again()
    asked = link.call(STATION, "StartTransaction", BEGIN)
    assert link.answered(asked).payload == {"transactionId": tid, "idTagInfo": {"status": "Accepted"}}
    assert numbers(link) == [0]
    ended(link, tid)
    link.settled()


def test_n03_the_end_is_told_once_at_each_of_the_three() -> None:
    stop = {"transactionId": 0, "timestamp": END, "meterStop": 5000}
    for killed in ("before the send", "before the answer", "before the station"):
        link = Bridged()
        stop["transactionId"] = started(link)
        if killed == "before the send":
            link.call(STATION, "Heartbeat")
        link.call(STATION, "StopTransaction", stop)
        if killed == "before the station":
            link.answer(CSMS)
        link.again()
        asked = link.call(STATION, "StopTransaction", stop)
        if killed != "before the station":
            link.answer(CSMS)
        assert link.answered(asked).payload == {}, killed
        assert types(link) == [["Started", "Ended"]], killed
        link.settled()


def test_n03_values_are_told_once_at_each_of_the_three() -> None:
    for killed in ("before the send", "before the answer", "before the station"):
        link = Bridged()
        tid = started(link)
        if killed == "before the send":
            link.call(STATION, "Heartbeat")
        said(link, tid, "1")
        if killed == "before the station":
            link.answer(CSMS)
        link.again()
        asked = said(link, tid, "1")
        if killed != "before the station":
            link.answer(CSMS)
        assert link.answered(asked).payload == {}, killed
        assert types(link) == [["Started", "Updated"]], killed
        ended(link, tid)
        link.settled()


def test_n03_what_is_owed_goes_before_anything_newer_of_any_transaction() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.again()
    asked = link.call(STATION, "StartTransaction", {**BEGIN, "connectorId": 2})
    assert link.answer(CSMS).payload["seqNo"] == 1
    assert link.answer(CSMS, ACCEPTED).payload["eventType"] == "Started"
    assert link.answered(asked).kind == 3
    assert types(link) == [["Started", "Updated"], ["Started"]]
    link.settled()


def test_what_is_owed_is_sent_by_itself() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.again()
    asked = link.call(STATION, "Heartbeat")
    link.answer(CSMS, {"currentTime": START})
    link.wait(2)
    assert link.answer(CSMS).payload["seqNo"] == 1
    assert link.answered(asked).kind == 3 and link.state.charging.outbox == ()
    link.settled()


def test_a_station_that_is_not_admitted_yet_has_nothing_sent() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.again()
    boot = {"chargePointVendor": "v", "chargePointModel": "m"}
    link.call(STATION, "BootNotification", boot)
    link.answer(CSMS, {"currentTime": START, "interval": 300, "status": "Pending"})
    link.wait(10)
    assert numbers(link) == [0, 1] and link.open[CSMS] == {}
    link.call(STATION, "BootNotification", boot)
    link.answer(CSMS, {"currentTime": START, "interval": 300, "status": "Accepted"})
    link.wait(2)
    assert link.answer(CSMS, action="TransactionEvent").payload["seqNo"] == 1


# ---- the CSMS is silent, or refuses ----

def test_a_csms_that_does_not_answer_is_told_again_under_the_same_number() -> None:
    link = Bridged()
    asked = link.call(STATION, "StartTransaction", BEGIN)
    link.wait(30)
    assert link.answered(asked).code == "GenericError"
    link.open[CSMS].clear()
    asked = link.call(STATION, "StartTransaction", BEGIN)
    link.answer(CSMS, ACCEPTED)
    assert link.answered(asked).payload["transactionId"] == link.state.charging.transactions[0].tid
    first, again = link.calls(CSMS, "TransactionEvent")
    assert first == again
    link.settled()


def test_an_error_of_the_csms_is_one_to_the_station_and_newer_ones_wait() -> None:
    link = Bridged()
    tid = started(link)
    first = said(link, tid, "1")
    link.error(CSMS, "FormatViolation", "no")
    assert link.answered(first).code == "FormationViolation"
    newer = said(link, tid, "2", END)
    assert link.answered(newer).kind == 4 and numbers(link) == [0, 1]
    link.wait(61)
    assert link.answer(CSMS).payload["seqNo"] == 1
    assert link.answer(CSMS).payload["seqNo"] == 2
    link.settled()


def test_an_event_that_the_csms_never_takes_is_put_aside_and_the_next_ones_go() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.error(CSMS, "InternalError")
    link.wait(59)
    assert link.open[CSMS] == {}
    link.wait(2)
    link.error(CSMS, "InternalError")
    link.wait(119)
    assert link.open[CSMS] == {}
    link.wait(2)
    link.error(CSMS, "InternalError")
    (event,) = link.state.charging.outbox
    assert event.parked and event.attempts == 3 and link.findings == ["parked"]
    link.wait(600)
    assert numbers(link) == [0, 1, 1, 1]
    again = said(link, tid, "1")
    assert link.answered(again).code == "InternalError"
    assert ended(link, tid)["seqNo"] == 2
    link.settled()


def test_more_than_can_be_kept_is_not_taken() -> None:
    link = Bridged(options={"attempt_seconds": 1e6})
    tid = started(link)
    asked = said(link, tid, "0")
    link.error(CSMS, "InternalError")
    event = link.state.charging.outbox[0]
    charging = structs.replace(link.state.charging, outbox=tuple(
        structs.replace(event, number=number) for number in range(1, 1001)))
    link.stage.played.state["bridge"] = structs.replace(link.state, charging=charging)
    link.again()
    asked = said(link, tid, "1")
    assert link.answered(asked).kind == 4 and link.findings == ["outbox-full"]
    assert len(link.state.charging.outbox) == 1000


def test_who_comes_while_an_older_event_is_under_way_waits_for_it() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.again()
    link.call(STATION, "Heartbeat")
    link.answer(CSMS, {"currentTime": START})
    link.wait(2)                                                # the owed event is under way
    asked = said(link, tid, "2", END)
    assert numbers(link) == [0, 1, 1]
    link.error(CSMS, "InternalError")
    assert link.answer(CSMS).action == "Heartbeat"              # behind it
    assert link.answered(asked).kind == 4 and numbers(link) == [0, 1, 1]
    link.wait(61)
    link.answer(CSMS)
    link.answer(CSMS)
    assert numbers(link) == [0, 1, 1, 1, 2]
    link.settled()


def test_who_comes_while_an_older_event_is_under_way_goes_behind_it() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.again()
    link.call(STATION, "Heartbeat")
    link.answer(CSMS, {"currentTime": START})
    link.wait(2)
    asked = said(link, tid, "2", END)
    link.answer(CSMS)
    link.answer(CSMS, {"currentTime": START}, "Heartbeat")
    assert link.answer(CSMS).payload["seqNo"] == 2
    assert link.answered(asked).payload == {}
    link.settled()


# ---- said twice, late, or never ----

def test_n06_a_start_said_again_behind_a_reboot_is_the_same() -> None:
    link = Bridged()
    tid = started(link)
    link.again()
    for _ in range(2):
        asked = link.call(STATION, "StartTransaction", {**BEGIN, "idTag": "04aabbcc"})
        assert link.answered(asked).payload["transactionId"] == tid
    ended(link, tid)
    asked = link.call(STATION, "StartTransaction", BEGIN)       # even behind its end
    assert link.answered(asked).payload["transactionId"] == tid
    assert types(link) == [["Started", "Ended"]]
    link.settled()


def test_a_stop_said_again_is_answered_here() -> None:
    link = Bridged()
    tid = started(link)
    ended(link, tid)
    asked = link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": LATER, "meterStop": 4})
    assert link.answered(asked).payload == {} and types(link) == [["Started", "Ended"]]
    assert link.losses("dropped")[-1] == "$"
    link.settled()


def test_n02_two_connectors_at_a_time() -> None:
    link = Bridged()
    first, second = started(link, 1, "one"), started(link, 2, "two")
    uids = {tx.tid: tx.uid for tx in link.state.charging.transactions}
    said(link, second, "1")
    link.answer(CSMS)
    assert ended(link, first)["transactionInfo"]["transactionId"] == uids[first]
    assert ended(link, second)["transactionInfo"]["transactionId"] == uids[second]
    assert types(link) == [["Started", "Ended"], ["Started", "Updated", "Ended"]]
    link.settled()
    link.same_energy()


def test_n01_three_transactions_from_the_queue_of_a_station_that_was_offline() -> None:
    link = Bridged()
    now_is(link, "Charging", at="2027-01-15T08:00:00.000Z")     # what it does now
    for hour, tid in ((4, None), (5, -1), (6, None)):
        at = [f"2027-01-15T{hour:02}:{minute}:00.000Z" for minute in (10, 20, 30)]
        number = started(link, at=at[0], meter=hour)
        said(link, tid or number, "1", at[1])
        link.answer(CSMS)
        ended(link, tid or number, at[2], hour + 1)
    assert types(link) == [["Started", "Updated", "Ended"]] * 3
    events = link.calls(CSMS, "TransactionEvent")
    assert all(event["offline"] for event in events)
    assert not any("chargingState" in event["transactionInfo"] for event in events)
    assert link.findings == []
    link.settled()
    link.same_energy()


def test_n01_a_status_between_does_not_belong_to_an_old_transaction() -> None:
    link = Bridged()
    link.call(STATION, "Heartbeat")
    link.answer(CSMS, {"currentTime": START})
    tid = started(link, at="2027-01-15T04:00:00.000Z")
    now_is(link, "Charging")
    assert len(link.calls(CSMS, "TransactionEvent")) == 1
    said(link, tid, "1")                                        # but it goes on
    assert link.answer(CSMS).payload["transactionInfo"]["chargingState"] == "Charging"
    link.settled()


def test_n04_an_end_without_a_beginning() -> None:
    link = Bridged()
    asked = link.call(STATION, "StopTransaction", {
        "transactionId": 998877, "timestamp": END, "meterStop": 5000, "idTag": "t", "reason": "Local"})
    begun = link.answer(CSMS).payload
    assert begun["eventType"] == "Started" and begun["triggerReason"] == "AbnormalCondition" and begun["offline"] is True
    assert "meterValue" not in begun and begun["timestamp"] == END
    assert link.answer(CSMS).payload["eventType"] == "Ended"
    assert link.answered(asked).payload == {}
    assert link.findings == ["orphan"] and link.losses("invented") == ["$"]
    again = link.call(STATION, "StopTransaction", {
        "transactionId": 998877, "timestamp": END, "meterStop": 5000, "idTag": "t", "reason": "Local"})
    assert link.answered(again).payload == {} and types(link) == [["Started", "Ended"]]
    link.settled()


def test_n04_where_orphans_are_rejected_the_station_is_released_all_the_same() -> None:
    link = Bridged(options={"orphans": "reject"})
    for tid in (998877, -1):
        asked = link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 5})
        assert link.answered(asked).payload == {}
    asked = said(link, 998877, "1")
    assert link.answered(asked).payload == {}
    assert link.calls(CSMS) == [] and link.findings == ["orphan"] * 3 and link.losses() == ["$"] * 3
    link.settled()


def test_n04_an_end_without_a_number_is_that_of_the_one_it_fits() -> None:
    link = Bridged()
    started(link, 1, meter=9000)
    second = started(link, 2, meter=10)
    uid = next(tx.uid for tx in link.state.charging.transactions if tx.tid == second)
    event = ended(link, -1, meter=5000)                         # the first began with more
    assert event["transactionInfo"]["transactionId"] == uid
    link.settled()


def test_n04_another_number_is_not_that_of_a_transaction_the_station_calls_by_its_own() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.answer(CSMS)
    link.call(STATION, "StopTransaction", {"transactionId": 5, "timestamp": END, "meterStop": 5000})
    link.answer(CSMS)
    link.answer(CSMS)
    assert types(link) == [["Started", "Updated"], ["Started", "Ended"]]
    ended(link, tid)
    link.settled()


def test_n08_a_station_that_charges_on_with_a_refused_token_is_stopped_once() -> None:
    link = Bridged()
    asked = link.call(STATION, "StartTransaction", BEGIN)
    link.answer(CSMS, {"idTokenInfo": {"status": "Invalid"}})
    assert link.answered(asked).payload["idTagInfo"] == {"status": "Invalid"}
    tid = link.answered(asked).payload["transactionId"]
    for value in ("1", "2"):
        said(link, tid, value, LATER)
        link.answer(CSMS, {"idTokenInfo": {"status": "Invalid"}})
    assert link.calls(STATION, "RemoteStopTransaction") == [{"transactionId": tid}]
    link.answer(STATION, {"status": "Accepted"})
    event = ended(link, tid, reason="Remote")
    assert event["triggerReason"] == "Deauthorized" and event["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    link.settled()


def test_n08_a_token_that_is_refused_on_the_way_is_stopped_too() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.answer(CSMS, {"idTokenInfo": {"status": "NoCredit"}})
    assert link.answer(STATION, {"status": "Rejected"}).payload == {"transactionId": tid}
    assert link.findings == ["not-stopped"] and "$.idTokenInfo" in link.losses()
    ended(link, tid, reason="DeAuthorized")
    link.settled()


def test_n08_a_station_that_may_charge_on_is_not_stopped() -> None:
    link = Bridged(state=Bridge.State(can={"StopTransactionOnInvalidId": False}))
    tid = started(link)
    said(link, tid, "1")
    link.answer(CSMS, {"idTokenInfo": {"status": "Invalid"}})
    assert link.calls(STATION) == []
    link.settled()


def test_n09_the_csms_goes_away_in_a_transaction_and_nothing_is_missing() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.answer(CSMS)
    said(link, tid, "2", "2027-01-15T08:05:30Z")                # the CSMS is gone: no answer
    link.again()
    link.wait(120)
    for value, at in (("2", "2027-01-15T08:05:30Z"), ("3", "2027-01-15T08:06:00Z")):
        asked = said(link, tid, value, at)
        while link.open[CSMS]:
            link.answer(CSMS)
        assert link.answered(asked).payload == {}
    event = ended(link, tid)
    assert event["seqNo"] == 4 and types(link) == [["Started", "Updated", "Updated", "Updated", "Ended"]]
    link.settled()
    link.same_energy()


def test_n10_a_transaction_of_the_former_csms_goes_on() -> None:
    link = Bridged()
    asked = said(link, 998877, "1")
    assert link.answer(CSMS).payload["eventType"] == "Started"
    assert link.answer(CSMS).payload["eventType"] == "Updated"
    assert link.answered(asked).payload == {}
    said(link, 998877, "2", END)
    link.answer(CSMS)
    assert link.calls(CSMS)[0]["evse"] == {"id": 1, "connectorId": 1}
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]
    link.call(CSMS, "RequestStopTransaction", {"transactionId": uid})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"transactionId": 998877}
    ended(link, 998877)
    assert types(link) == [["Started", "Updated", "Updated", "Ended"]] and link.findings == ["orphan"]
    link.settled()


def test_n10_numbers_of_ours_are_never_those_of_the_former_csms() -> None:
    link = Bridged(state=Bridge.State(charging=Charging(next_tid=998877)))
    said(link, 998877, "1")
    link.answer(CSMS)
    link.answer(CSMS)
    assert started(link, 2) == 998878
    link.settled()


def test_n11_the_clock_of_the_station_jumps() -> None:
    link = Bridged()
    now_is(link, "Charging", at="1970-01-01T00:00:10.000Z")
    tid = started(link, at="1970-01-01T00:00:20.000Z")
    said(link, tid, "1", "1970-01-01T00:01:00.000Z")
    link.answer(CSMS)
    said(link, tid, "2", LATER)
    link.answer(CSMS)
    ended(link, tid)
    events = link.calls(CSMS, "TransactionEvent")
    assert [event["timestamp"] for event in events] == [
        "1970-01-01T00:00:20.000Z", "1970-01-01T00:01:00.000Z", LATER, END]
    assert not any(event.get("offline") for event in events) and numbers(link) == [0, 1, 2, 3]
    link.settled()


@pytest.mark.parametrize(("at", "offline"), [
    ("2027-01-15T07:59:54.999Z", True), ("2027-01-15T07:59:55.000Z", False), ("2027-01-15T09:59:54+02:00", True),
])
def test_offline_is_what_was_before_the_station_connected(at: str, offline: bool) -> None:
    link = Bridged()
    started(link, at=at)
    assert link.calls(CSMS)[0].get("offline", False) is offline
    link.settled()


def test_n13_a_reset_in_a_transaction_and_its_end_much_later() -> None:
    link = Bridged()
    tid = started(link)
    link.call(CSMS, "Reset", {"type": "Immediate"})
    link.answer(STATION, {"status": "Accepted"})
    link.again()
    link.call(STATION, "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
    link.answer(CSMS, {"currentTime": START, "interval": 300, "status": "Accepted"})
    now_is(link, "Available", at="2027-01-15T08:12:00.000Z")
    event = ended(link, tid, "2027-01-15T08:02:00.000Z", reason="PowerLoss")
    assert event["transactionInfo"]["stoppedReason"] == "PowerLoss" and types(link) == [["Started", "Ended"]]
    link.settled()
    link.same_energy()


def test_n20_numbers_do_not_begin_anew() -> None:
    link = Bridged(state=Bridge.State(charging=Charging(next_tid=(1 << 31) - 2)))
    assert [started(link, connector) for connector in (1, 2)] == [(1 << 31) - 2, (1 << 31) - 1]
    asked = link.call(STATION, "StartTransaction", {**BEGIN, "connectorId": 3})
    assert link.answered(asked).code == "InternalError"
    assert link.findings == ["ids"] and len(link.calls(CSMS)) == 2
    link.settled()


def test_the_newest_hundred_are_remembered() -> None:
    link = Bridged()
    for minute in range(105):
        at = f"2027-01-15T{8 + minute // 60:02}:{minute % 60:02}:30.000Z"
        ended(link, started(link, at=at), at)
    tids = [tx.tid for tx in closed(link.state.charging)]
    assert len(tids) == 100 and tids[-1] - tids[0] == 99 and link.state.charging.transactions == ()
    assert len(bytes(link.state.charging.closed)) < 40_000
    link.settled()


def test_a_station_that_never_ends_its_transactions_is_bounded_and_a_late_end_is_known() -> None:
    link = Bridged()
    tids = [started(link, at=f"2027-01-15T08:{minute:02}:30.000Z") for minute in range(52)]
    assert len(link.state.charging.transactions) == 50
    assert link.findings.count("never-ended") == 2 and link.findings.count("still-open") == 51
    event = ended(link, tids[0], "2027-01-15T09:00:00.000Z")
    assert event["seqNo"] == 1 and types(link)[0] == ["Started", "Ended"]
    assert len(link.state.charging.transactions) == 50
    link.settled()


def test_a_start_that_the_station_repeats_early_is_not_put_aside_for_that() -> None:
    link = Bridged()
    for _ in range(5):
        asked = link.call(STATION, "StartTransaction", BEGIN)
        link.error(CSMS, "InternalError")
        assert link.answered(asked).code == "InternalError"
        link.wait(5)
    (event,) = link.state.charging.outbox
    assert event.attempts == 1 and not event.parked and link.findings == []
    asked = link.call(STATION, "StartTransaction", BEGIN)
    link.answer(CSMS, ACCEPTED)
    assert link.answered(asked).kind == 3 and numbers(link) == [0] * 6
    link.settled()


def test_n09_a_link_that_ends_is_no_failure_of_the_csms() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.wait(5)
    link.stage.end()
    (event,) = link.state.charging.outbox
    assert event.attempts == 0 and event.due_ns == 0
    link.again()
    asked = said(link, tid, "2", END)
    assert link.answer(CSMS).payload["seqNo"] == 1
    assert link.answer(CSMS).payload["seqNo"] == 2
    assert link.answered(asked).payload == {}
    link.settled()


def test_n09_on_a_new_link_what_failed_is_tried_at_once() -> None:
    link = Bridged()
    tid = started(link)
    said(link, tid, "1")
    link.error(CSMS, "InternalError")
    link.again()
    asked = said(link, tid, "2", END)
    assert link.answer(CSMS).payload["seqNo"] == 1
    link.answer(CSMS)
    assert link.answered(asked).payload == {} and numbers(link) == [0, 1, 1, 2]
    link.settled()
