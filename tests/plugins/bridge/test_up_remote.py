"""What a 2.0.1 CSMS asks of charging at a 1.6 station: started and stopped from afar, its transactions and what they cost."""

import json
from typing import Any

import pytest
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.testing import START_NS
from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.test_up_charging import ACCEPTED, END, LATER, START, ended, started

TOKEN = {"idToken": "04AABBCC", "type": "ISO14443"}
PROFILE = {
    "id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}],
}


def requested(link: Bridged, number: int, evse: int | None = 2, status: str = "Accepted", **more: Any) -> dict[str, Any]:
    """A remote start that the station answers; what it was asked."""
    asked = link.call(CSMS, "RequestStartTransaction", {
        "remoteStartId": number, "idToken": TOKEN, **({} if evse is None else {"evseId": evse}), **more})
    told = link.answer(STATION, {"status": status})
    assert link.answered(asked).payload["status"] == status
    return told.payload


def test_s15_a_remote_start_with_a_profile() -> None:
    link = Bridged()
    asked = requested(link, 4711, chargingProfile=PROFILE)
    assert asked["connectorId"] == 2 and asked["idTag"] == "04AABBCC"
    assert asked["chargingProfile"]["chargingProfileId"] == 7
    assert asked["chargingProfile"]["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.0}]
    tid = started(link, 2)
    event = link.calls(CSMS)[-1]
    assert event["triggerReason"] == "RemoteStart" and event["transactionInfo"]["remoteStartId"] == 4711
    assert [(one.profile_id, one.evse, one.tid) for one in link.state.profiles] == [(7, 2, tid)]
    assert link.state.charging.remote_starts == ()
    assert ended(link, tid)["transactionInfo"]["remoteStartId"] == 4711
    assert link.state.profiles == ()
    link.settled()


def test_s15_without_an_evse_any_connector_will_do() -> None:
    link = Bridged()
    assert requested(link, 1, None) == {"idTag": "04AABBCC"}
    started(link, 3)
    assert link.calls(CSMS)[-1]["transactionInfo"]["remoteStartId"] == 1
    started(link, 2, at=LATER)
    assert link.calls(CSMS)[-1]["triggerReason"] == "Authorized"
    link.settled()


def test_s15_a_long_token_has_a_short_name_and_is_the_same_again() -> None:
    link = Bridged()
    token = {"idToken": "a-token-of-thirty-six-characters-long", "type": "Central"}
    token["idToken"] = token["idToken"][:36]
    link.call(CSMS, "RequestStartTransaction", {"remoteStartId": 1, "idToken": token, "evseId": 1})
    tag = link.answer(STATION, {"status": "Accepted"}).payload["idTag"]
    assert len(tag) <= 20 and link.losses("shortened")
    started(link, tag=tag)
    assert link.calls(CSMS)[-1]["idToken"] == token
    link.settled()


@pytest.mark.parametrize(("more", "code"), [
    ({"evseId": 0}, "UnknownEvse"),
    ({"chargingProfile": {**PROFILE, "chargingProfilePurpose": "TxDefaultProfile"}}, "InvalidProfile"),
    ({"chargingProfile": {**PROFILE, "transactionId": "x"}}, "InvalidProfile"),
    ({"chargingProfile": {**PROFILE, "chargingSchedule": PROFILE["chargingSchedule"] * 2}}, "InvalidProfile"),      # type: ignore[operator]
    ({"idToken": {"idToken": "", "type": "NoAuthorization"}}, "InvalidIdToken"),
])
def test_s15_what_1_6_cannot_do_is_rejected_without_asking(more: dict[str, Any], code: str) -> None:
    link = Bridged()
    asked = link.call(CSMS, "RequestStartTransaction", {"remoteStartId": 1, "idToken": TOKEN, **more})
    assert link.answered(asked).payload["status"] == "Rejected"
    assert link.answered(asked).payload["statusInfo"]["reasonCode"] == code
    assert link.calls(STATION) == []
    link.settled()


def test_s15_a_start_that_the_station_rejects_is_not_waited_for() -> None:
    link = Bridged()
    requested(link, 1, status="Rejected")
    assert link.state.charging.remote_starts == ()
    asked = link.call(CSMS, "RequestStartTransaction", {"remoteStartId": 2, "idToken": TOKEN, "evseId": 1})
    link.error(STATION, "NotSupported")
    assert link.answered(asked).payload["status"] == "Rejected"
    started(link, 1)
    assert link.calls(CSMS)[-1]["triggerReason"] == "Authorized"
    link.settled()


def test_s15_a_start_is_waited_for_as_long_as_one_may_plug_in() -> None:
    link = Bridged()
    requested(link, 1)
    link.wait(121)
    started(link, 2)
    assert link.calls(CSMS)[-1]["triggerReason"] == "Authorized"
    link.settled()


def test_s15_a_start_is_waited_for_over_a_reconnect() -> None:
    link = Bridged()
    requested(link, 9)
    link.again()
    started(link, 2)
    assert link.calls(CSMS)[-1]["transactionInfo"]["remoteStartId"] == 9
    link.settled()


def test_n12_two_starts_of_one_token_are_not_swapped() -> None:
    link = Bridged()
    requested(link, 21, 2)
    requested(link, 11, 1)
    for connector, number in ((1, 11), (2, 21)):
        started(link, connector)
        assert link.calls(CSMS)[-1]["transactionInfo"]["remoteStartId"] == number
    link.settled()


def test_n12_without_connectors_the_first_comes_first() -> None:
    link = Bridged()
    requested(link, 1, None)
    requested(link, 2, None)
    for connector, number in ((2, 1), (1, 2)):
        started(link, connector)
        assert link.calls(CSMS)[-1]["transactionInfo"]["remoteStartId"] == number
    link.settled()


def test_s16_a_remote_stop() -> None:
    link = Bridged()
    tid = started(link)
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]
    asked = link.call(CSMS, "RequestStopTransaction", {"transactionId": uid})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"transactionId": tid}
    assert link.answered(asked).payload == {"status": "Accepted"}
    assert ended(link, tid, reason="Remote")["triggerReason"] == "RemoteStop"
    asked = link.call(CSMS, "RequestStopTransaction", {"transactionId": uid})
    assert link.answered(asked).payload["statusInfo"]["reasonCode"] == "TxNotFound"
    link.settled()


def test_s16_a_stop_without_a_reason_behind_a_remote_stop_is_remote() -> None:
    link = Bridged()
    tid = started(link)
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]
    link.call(CSMS, "RequestStopTransaction", {"transactionId": uid})
    link.answer(STATION, {"status": "Accepted"})
    event = ended(link, tid)
    assert event["triggerReason"] == "RemoteStop" and event["transactionInfo"]["stoppedReason"] == "Remote"
    link.settled()


def test_s16_a_transaction_that_nobody_knows_is_rejected() -> None:
    link = Bridged()
    asked = link.call(CSMS, "RequestStopTransaction", {"transactionId": "nobody"})
    assert link.answered(asked).payload["status"] == "Rejected" and link.calls(STATION) == []
    link.settled()


def test_s61_a_silent_station_is_answered_for_and_what_starts_too_late_is_stopped() -> None:
    link = Bridged()
    asked = link.call(CSMS, "RequestStartTransaction", {"remoteStartId": 5, "idToken": TOKEN, "evseId": 1})
    link.wait(30)
    assert link.answered(asked).payload["status"] == "Rejected"
    link.open[STATION].clear()
    start = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "04AABBCC", "timestamp": START, "meterStart": 0})
    link.answer(CSMS, ACCEPTED)
    tid = link.answered(start).payload["transactionId"]
    assert link.calls(CSMS)[-1]["transactionInfo"]["remoteStartId"] == 5
    assert link.findings == ["late-start"]
    assert [one.action for one in link.told[STATION][-2:]] == ["StartTransaction", "RemoteStopTransaction"]
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"transactionId": tid}
    assert ended(link, tid)["triggerReason"] == "RemoteStop"
    link.settled()


def test_the_state_of_a_transaction() -> None:
    link = Bridged()
    tid = started(link)
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]

    def status(**asked: str) -> dict[str, Any]:
        return link.answered(link.call(CSMS, "GetTransactionStatus", asked)).payload

    assert status(transactionId=uid) == {"ongoingIndicator": True, "messagesInQueue": False}
    assert status() == {"messagesInQueue": False}
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 1})
    assert status(transactionId=uid) == {"ongoingIndicator": False, "messagesInQueue": True}
    assert status() == {"messagesInQueue": True}
    link.answer(CSMS)
    assert status(transactionId=uid) == {"ongoingIndicator": False, "messagesInQueue": False}
    assert status(transactionId="nobody") == {"ongoingIndicator": False, "messagesInQueue": False}
    link.settled()


def test_the_cost_goes_to_a_station_that_shows_it() -> None:
    link = Bridged()
    tid = started(link)
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]
    for _ in range(2):
        asked = link.call(CSMS, "CostUpdated", {"transactionId": uid, "totalCost": 1.25})
        if link.last(STATION).action == "GetConfiguration":
            link.answer(STATION, {"configurationKey": [
                {"key": "CustomDisplayCostAndPrice", "readonly": False, "value": "True"}]})
        told = link.answer(STATION, {"status": "Accepted"}).payload
        assert told["vendorId"] == "org.openchargealliance.costmsg" and told["messageId"] == "RunningCost"
        assert json.loads(told["data"]) == {
            "transactionId": tid, "timestamp": "2027-01-15T08:00:00.000Z", "cost": 1.25, "state": "Charging"}
        assert link.answered(asked).payload == {}
    assert len(link.calls(STATION, "GetConfiguration")) == 1
    link.settled()


def test_any_other_station_hears_nothing_of_the_cost() -> None:
    link = Bridged()
    started(link)
    uid = link.calls(CSMS)[0]["transactionInfo"]["transactionId"]
    asked = link.call(CSMS, "CostUpdated", {"transactionId": uid, "totalCost": 1.25})
    link.answer(STATION, {"unknownKey": ["CustomDisplayCostAndPrice"]})
    assert link.answered(asked).payload == {} and link.losses() == ["$"]
    asked = link.call(CSMS, "CostUpdated", {"transactionId": "nobody", "totalCost": 1.25})
    assert link.answered(asked).payload == {} and len(link.calls(STATION)) == 1
    link.settled()


@pytest.mark.parametrize(("time_out", "waits"), [(10, 70), (600, 660), (1 << 60, 86_460), (-5, 60)])
def test_s15_a_start_is_waited_for_by_the_time_out_of_the_station(time_out: int, waits: int) -> None:
    link = Bridged(state=Bridge.State(facts={"charging.ConnectionTimeOut": time_out}))
    requested(link, 1)
    (waiting,) = link.state.charging.remote_starts
    assert waiting.until_ns == START_NS + waits * 1_000_000_000 and waiting.state == "accepted"
    link.settled()


def test_s61_a_start_whose_link_ended_is_not_stopped() -> None:
    link = Bridged()
    link.call(CSMS, "RequestStartTransaction", {"remoteStartId": 5, "idToken": TOKEN, "evseId": 1})
    link.wait(3)
    link.stage.onion.ended(CSMS, link.stage.now_ns)
    link.stage.end()
    link.again()
    started(link, 1)
    assert link.calls(CSMS)[-1]["transactionInfo"]["remoteStartId"] == 5
    assert link.findings == [] and link.calls(STATION, "RemoteStopTransaction") == []
    link.settled()
