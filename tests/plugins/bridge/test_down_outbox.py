"""What is owed to a 1.6 CSMS of a transaction: across crashes and refusals, in order, never silently lost."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.downward import ACCEPTED, TOKEN, event, linked, meter, quiet, said, sample, started, statuses

PLACE = {"id": 1, "connectorId": 1}
BEGIN = event("Started", 0, 0, state="Charging", evse=PLACE, idToken=TOKEN,
              meterValue=meter(0, sample(1000, "Transaction.Begin")))
END = event("Ended", 2, 9, meterValue=meter(9, sample(5000)))


def flags(link: Bridged) -> tuple[str, ...]:
    found: tuple[str, ...] = link.state.charging.transactions[0].flags
    return found


def test_n03_killed_between_keeping_the_start_and_its_answer() -> None:
    """Whether it had left is not known then: both crash points are one."""
    link = linked()
    said(link, BEGIN)
    start = link.calls(CSMS, "StartTransaction")[0]
    link.again()
    asked = said(link, BEGIN)                           # the station has no answer: it says it again
    assert link.calls(CSMS, "StartTransaction") == [start, start] and link.findings == ["maybe-duplicate"]
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Accepted"}}
    assert "maybe_duplicate" in flags(link) and link.state.charging.outbox == ()
    assert len(link.state.charging.transactions) == 1
    quiet(link)
    link.settled()


def test_n03_killed_behind_the_answer_of_the_csms() -> None:
    link = linked()
    first = started(link).payload
    link.again()
    asked = said(link, BEGIN)
    assert link.answered(asked).payload == first and len(link.calls(CSMS, "StartTransaction")) == 1
    said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    assert link.calls(CSMS, "MeterValues")[0]["transactionId"] == 77
    link.answer(CSMS, {}, "MeterValues")
    link.settled()


@pytest.mark.parametrize("answered", [False, True])
def test_n03_killed_around_the_end(answered: bool) -> None:
    link = linked()
    started(link)
    said(link, END)
    if answered:
        link.answer(CSMS, {}, "StopTransaction")
        quiet(link)
        assert link.state.charging.transactions == () and link.state.charging.outbox == ()
    link.again()
    asked = said(link, END)
    if not answered:
        link.answer(CSMS, {}, "StopTransaction")
        quiet(link)
        assert link.state.charging.transactions == () and link.state.charging.outbox == ()
    assert link.answered(asked).payload == {}
    stops = link.calls(CSMS, "StopTransaction")
    assert len(stops) == 2 - answered and stops[0] == stops[-1]
    link.settled()


def test_n03_a_station_that_says_something_newer_first_finds_the_start_sent_before() -> None:
    link = linked()
    said(link, BEGIN)
    link.again()
    asked = said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    link.answer(CSMS, {}, "MeterValues")
    assert link.answered(asked).payload == {}
    assert [one.action for one in link.told[CSMS] if one.action != "StatusNotification"] == [
        "StartTransaction", "StartTransaction", "MeterValues"]
    quiet(link)
    link.settled()


def test_n03_a_station_that_says_nothing_more_is_done_for_after_a_while() -> None:
    link = linked()
    said(link, BEGIN)
    link.again()
    link.call(STATION, "Heartbeat")
    link.answer(CSMS, {"currentTime": "2027-01-15T08:00:00Z"})
    link.wait(95)
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    assert len(link.calls(CSMS, "StartTransaction")) == 2 and link.state.charging.transactions[0].tid == 77
    assert statuses(link) == [(1, "Charging")]
    quiet(link)
    link.settled()


def test_a_csms_that_does_not_answer_the_start_is_asked_again_by_the_station() -> None:
    link = linked()
    asked = said(link, BEGIN)
    link.wait(30)
    assert link.answered(asked).code == "GenericError"
    link.open[CSMS].clear()
    asked = said(link, BEGIN)
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Accepted"}}
    assert link.findings == ["maybe-duplicate"]
    quiet(link)
    link.settled()


def test_an_event_while_the_start_is_under_way_is_to_be_sent_again() -> None:
    link = linked()
    said(link, BEGIN)
    asked = said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    assert link.answered(asked).code == "GenericError"
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    quiet(link)
    said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    link.answer(CSMS, {}, "MeterValues")
    assert link.findings == []
    link.settled()


def test_a_start_that_is_refused_is_tried_again_and_its_end_follows() -> None:
    link = linked()
    asked = said(link, BEGIN)
    link.error(CSMS, "InternalError", "database", "StartTransaction")
    assert link.answered(asked).payload == {} and link.findings == ["refused"]
    assert link.state.charging.transactions[0].state == "refused"
    swallowed = said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    assert link.answered(swallowed).payload == {} and link.losses("dropped") == ["$"]
    ended = said(link, END)
    assert link.answered(ended).payload == {} and len(link.calls(CSMS)) == 1
    link.wait(61)
    link.answer(CSMS, {"transactionId": 78, **ACCEPTED}, "StartTransaction")
    assert link.calls(CSMS, "StopTransaction")[0]["transactionId"] == 78
    link.answer(CSMS, {}, "StopTransaction")
    assert link.state.charging.outbox == () and link.state.charging.transactions == ()
    assert "maybe-duplicate" not in link.findings       # it was refused: there is no other
    link.settled()


def test_a_start_that_is_refused_as_often_as_it_may_be_is_parked() -> None:
    link = linked()
    said(link, BEGIN)
    link.error(CSMS, "InternalError", "", "StartTransaction")
    link.wait(61)
    link.error(CSMS, "InternalError", "", "StartTransaction")
    link.wait(121)
    link.error(CSMS, "InternalError", "", "StartTransaction")
    link.wait(1000)
    assert len(link.calls(CSMS, "StartTransaction")) == 3 and link.findings == ["refused", "refused", "parked"]
    assert [one.parked for one in link.state.charging.outbox] == [True]
    assert link.answered(said(link, END)).payload == {}
    link.wait(1000)
    assert link.calls(CSMS, "StopTransaction") == []
    link.settled()


def test_a_start_whose_refusal_ends_later_tells_the_station_that_it_is_not_wanted() -> None:
    link = linked()
    said(link, BEGIN)
    link.error(CSMS, "InternalError", "", "StartTransaction")
    link.wait(61)
    link.answer(CSMS, {"transactionId": 78, "idTagInfo": {"status": "Blocked"}}, "StartTransaction")
    quiet(link)
    asked = said(link, event("Updated", 1, 5))
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Blocked"}}
    asked = said(link, event("Updated", 2, 6))
    assert link.answered(asked).payload == {}
    link.settled()


@pytest.mark.parametrize("answer", [{}, {"transactionId": "7"}, {"transactionId": 1 << 70}, {"transactionId": True}])
def test_an_answer_without_an_id_is_a_refusal(answer: dict[str, Any]) -> None:
    link = linked()
    asked = said(link, BEGIN)
    link.answer(CSMS, {"idTagInfo": {"status": "Accepted"}, **answer}, "StartTransaction")
    assert link.answered(asked).payload == {} and link.findings == ["refused"]


@pytest.mark.parametrize("tid", [0, -1])
def test_an_id_below_one_is_taken_and_never_a_key_alone(tid: int) -> None:
    link = linked()
    started(link, tid)
    started(link, tid, uid="two", evse=2)
    assert link.findings == ["tid", "tid"]
    stop = link.call(CSMS, "RemoteStopTransaction", {"transactionId": tid})
    assert link.answered(stop).payload == {"status": "Rejected"}
    said(link, event("Updated", 1, 5, uid="two", meterValue=meter(5, sample(1500))))
    assert link.calls(CSMS, "MeterValues")[0] | {"meterValue": []} == {"connectorId": 2, "transactionId": tid, "meterValue": []}
    link.answer(CSMS, {}, "MeterValues")
    said(link, END)
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    link.call(CSMS, "RemoteStopTransaction", {"transactionId": tid})
    assert link.calls(STATION) == [{"transactionId": "two"}]
    link.answer(STATION, {"status": "Accepted"})
    link.settled()


def test_n03_values_are_stored_before_the_station_is_told_that_they_were_taken() -> None:
    values = event("Updated", 1, 5, meterValue=meter(5, sample(1500)))
    link = linked()
    started(link)
    said(link, values)
    link.again()                                        # killed before the CSMS answered: the station says it again
    assert link.state.charging.transactions[0].next_seq == 1
    asked = said(link, values)
    link.answer(CSMS, {}, "MeterValues")
    assert link.answered(asked).payload == {} and len(link.calls(CSMS, "MeterValues")) == 2
    assert link.state.charging.transactions[0].next_seq == 2 and link.state.charging.transactions[0].register == 1500
    link.again()                                        # killed behind the answer, which may not have reached the station
    asked = said(link, values)
    assert link.answered(asked).payload == {} and len(link.calls(CSMS, "MeterValues")) == 2 and link.findings == []
    said(link, event("Updated", 3, 7, meterValue=meter(7, sample(1700))))
    link.answer(CSMS, {}, "MeterValues")
    assert link.findings == ["gap"]                     # nothing that the proxy had seen is taken for one
    link.settled()


def test_what_is_remembered_has_a_limit() -> None:
    link = linked()
    for number in range(210):
        link.call(STATION, "TransactionEvent", event("Started", 0, 0, "CablePluggedIn", uid=f"u{number}"))
    assert len(link.state.charging.transactions) == 200 and link.findings == ["forgotten"] * 10
    for number in range(10, 210):
        link.call(STATION, "TransactionEvent", event("Ended", 1, 1, uid=f"u{number}"))
    assert link.state.charging.transactions == ()
    assert len(bytes(link.state.charging.closed)) < 20_000


def test_what_is_owed_has_a_limit() -> None:
    options: dict[str, Any] = {"attempts": 1}
    link = linked(options)
    for number in range(101):
        said(link, {**BEGIN, "transactionInfo": {"transactionId": f"u{number}", "chargingState": "Charging"}})
        link.error(CSMS, "InternalError", "", "StartTransaction")
    assert len(link.state.charging.outbox) == 100 and link.findings.count("outbox") == 1
    assert link.state.charging.outbox[0].uid == "u1" and statuses(link) == []
    assert "u0" not in {one.uid for one in link.state.charging.transactions}
    assert link.answered(said(link, {**END, "transactionInfo": {"transactionId": "u0"}})).payload == {}
    assert link.calls(CSMS, "StopTransaction") == []


def test_a_stop_the_csms_refuses_is_tried_again_and_the_connector_is_free_meanwhile() -> None:
    link = linked()
    started(link)
    asked = said(link, END)
    link.error(CSMS, "InternalError", "", "StopTransaction")
    quiet(link)
    assert link.answered(asked).payload == {} and link.findings == ["gap", "refused"]
    assert statuses(link)[-1] == (1, "Finishing")
    stop = link.call(CSMS, "RemoteStopTransaction", {"transactionId": 77})
    assert link.answered(stop).payload == {"status": "Rejected"}        # it has ended
    link.call(STATION, "StatusNotification", {
        "timestamp": "2027-01-15T08:10:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1})
    quiet(link)
    assert statuses(link)[-1] == (1, "Finishing")
    link.wait(61)
    link.answer(CSMS, {}, "StopTransaction")
    assert link.state.charging.outbox == () and link.state.charging.transactions == ()
    link.settled()


def test_nothing_is_sent_again_before_the_csms_has_accepted_the_station() -> None:
    link = linked()
    said(link, BEGIN)
    link.error(CSMS, "InternalError", "", "StartTransaction")
    link.call(STATION, "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "m", "vendorName": "v"}})
    link.answer(CSMS, {"status": "Pending", "currentTime": "2027-01-15T08:00:00Z", "interval": 5}, "BootNotification")
    link.wait(200)
    assert len(link.calls(CSMS, "StartTransaction")) == 1
    link.settled()


def test_the_many_readings_of_an_end_that_waits_for_its_start_are_told_as_lost() -> None:
    link = linked()
    said(link, BEGIN)
    link.error(CSMS, "InternalError", "", "StartTransaction")
    said(link, {**END, "meterValue": [one for _ in range(500) for one in meter(9, sample(5000))]})
    assert link.losses("dropped") == ["$.meterValue"]
    link.wait(61)
    link.answer(CSMS, {"transactionId": 78, **ACCEPTED}, "StartTransaction")
    stop = link.answer(CSMS, {}, "StopTransaction").payload
    assert stop["meterStop"] == 5000 and "transactionData" not in stop
    link.settled()


def test_n03_what_the_connector_does_is_told_behind_a_start_that_is_settled_later() -> None:
    link = linked()
    said(link, BEGIN)
    link.again()
    said(link, BEGIN)
    link.answer(CSMS, {"transactionId": 77, **ACCEPTED}, "StartTransaction")
    assert statuses(link) == [(1, "Charging")]
    quiet(link)
    link.settled()
