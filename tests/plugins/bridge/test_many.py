"""Thousands of items in one message, and what a hook may ask: the bridge stays within the limits of the engine."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged

TIME = "2027-01-15T08:05:00.000Z"


def all_answered(link: Bridged, payload: dict[str, Any]) -> int:
    """The station answers whatever it is asked; how often."""
    count = 0
    while link.open[STATION]:
        link.answer(STATION, payload)
        count += 1
    return count


def test_a_problem_of_each_of_many_connectors_is_told() -> None:
    link = Bridged(DOWN)
    link.call(STATION, "NotifyEvent", {"generatedAt": TIME, "seqNo": 0, "eventData": [{
        "eventId": at, "timestamp": TIME, "trigger": "Delta", "actualValue": "true",
        "eventNotificationType": "HardWiredMonitor", "variable": {"name": "Problem"},
        "component": {"name": "Connector", "evse": {"id": at, "connectorId": 1}}} for at in range(1, 301)]})
    while link.open[CSMS]:
        link.answer(CSMS)
    told = link.calls(CSMS, "StatusNotification")
    assert [one["connectorId"] for one in told] == list(range(1, 301))
    assert {one["status"] for one in told} == {"Faulted"} and link.findings == []
    link.settled()


def test_statuses_of_more_connectors_than_one_may_ask_for() -> None:
    link = Bridged(DOWN, {"topology": {str(at): [at, 1] for at in range(1, 151)}})
    for evse in range(1, 151):
        link.call(STATION, "StatusNotification", {
            "timestamp": TIME, "connectorStatus": "Available", "evseId": evse, "connectorId": 1})
        link.answer(CSMS)
    asked = link.call(CSMS, "TriggerMessage", {"requestedMessage": "StatusNotification"})
    link.answer(CSMS)
    assert all_answered(link, {"status": "Accepted"}) == 100
    assert link.answered(asked).payload == {"status": "Accepted"} and link.findings == ["trigger"]


def test_availability_of_an_evse_of_many_connectors() -> None:
    link = Bridged(UP, {"topology": {str(at): [1, at] for at in range(1, 151)}})
    asked = link.call(CSMS, "ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}})
    assert all_answered(link, {"status": "Accepted"}) == 100
    assert link.answered(asked).payload["status"] == "Rejected"
    assert link.answered(asked).payload["statusInfo"]["reasonCode"] == "deadline"


@pytest.mark.parametrize(("direction", "action", "payload"), [
    (UP, "SetVariables", {"setVariableData": [
        {"attributeValue": "1", "component": {"name": "Bridge16"}, "variable": {"name": f"k{at}"}} for at in range(2000)]}),
    (UP, "GetVariables", {"getVariableData": [
        {"component": {"name": "Bridge16"}, "variable": {"name": f"k{at}"}} for at in range(4000)]}),
    (UP, "GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"] * 3000}),
    (UP, "SendLocalList", {"versionNumber": 3, "updateType": "Full", "localAuthorizationList": [
        {"idToken": {"idToken": f"{at:036}", "type": "Local"}, "idTokenInfo": {"status": "Blocked"}} for at in range(4000)]}),
    (DOWN, "GetConfiguration", {"key": [f"C{at}.v" for at in range(4000)]}),
])
def test_thousands_of_items(direction: str, action: str, payload: dict[str, Any]) -> None:
    link = Bridged(direction)
    asked = link.call(CSMS, action, payload)
    assert all_answered(link, {"status": "Accepted"} if action in ("SetVariables", "SendLocalList") else {}) <= 100
    assert link.answered(asked).action == action
    link.settled()


def test_a_pending_trigger_that_is_refused_takes_no_other_away() -> None:
    link = Bridged(UP)
    link.call(CSMS, "TriggerMessage", {"requestedMessage": "Heartbeat"})
    link.call(CSMS, "TriggerMessage", {"requestedMessage": "BootNotification"})
    link.answer(STATION, {"status": "Rejected"})
    link.answer(STATION, {"status": "Accepted"})
    assert link.state.expected == ("BootNotification",)
    link.settled()


@pytest.mark.parametrize("data", [
    '{"csr":"\\ud800"}', '{"csr":"x","customData":{"vendorId":"x","\\udfff":1}}',
    '{"csr":"x","customData":{"vendorId":"x","a":NaN}}',
    '{"csr":' + "[" * 900 + "]" * 900 + "}", '{"csr":1180591620717411303424}', "[]", "null", "",
])
def test_what_is_inside_a_data_transfer_may_be_anything(data: str) -> None:
    link = Bridged(UP)
    asked = link.call(STATION, "DataTransfer", {
        "vendorId": "org.openchargealliance.iso15118pnc", "messageId": "SignCertificate", "data": data})
    assert link.answered(asked).payload == {"status": "Rejected"} and link.told[CSMS] == []


def test_only_what_is_named_for_it_leaves_a_data_transfer() -> None:
    """No other action is made of one, and none that the schema does not allow."""
    vendor = {"vendorId": "org.openchargealliance.iso15118pnc"}
    for action in ("TransactionEvent", "BootNotification", "SecurityEventNotification", "Reset", "InstallCertificate"):
        link = Bridged(UP)
        link.call(STATION, "DataTransfer", {**vendor, "messageId": action, "data": '{"type":"Immediate"}'})
        assert [one.action for one in link.told[CSMS]] == ["DataTransfer"]
    link = Bridged(UP)
    inner = '{"csr":"x","certificateType":"ChargingStationCertificate","more":1}'
    link.call(STATION, "DataTransfer", {**vendor, "messageId": "SignCertificate", "data": inner})
    assert link.calls(CSMS) == [{"csr": "x", "certificateType": "V2GCertificate"}]
    for action in ("Reset", "SetVariables", "RequestStartTransaction", "UpdateFirmware", "SetNetworkProfile"):
        link = Bridged(DOWN)
        link.call(CSMS, "DataTransfer", {**vendor, "messageId": action, "data": '{"type":"Immediate"}'})
        assert [one.action for one in link.told[STATION]] == ["DataTransfer"]


@pytest.mark.parametrize(("length", "times"), [(1000, 1), (70_000, 2)])
def test_long_calls_are_not_kept_to_be_known_again(length: int, times: int) -> None:
    """64 of a megabyte each would be too much for one link."""
    link = Bridged(UP)
    for _ in range(2):
        link.call(STATION, "DataTransfer", {"vendorId": "v", "data": "x" * length}, "same")
        if link.open[CSMS]:
            link.answer(CSMS, {"status": "Accepted"})
    assert len(link.calls(CSMS)) == times
    assert [one.payload for one in link.told[STATION]] == [{"status": "Accepted"}] * 2
