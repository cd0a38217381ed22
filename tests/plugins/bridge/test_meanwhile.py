"""What happens while a handler waits: a second Call of the same kind, an answer that never comes, the time that runs out."""

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged

TIME = "2027-01-15T08:05:00.000Z"


def _list(link: Bridged, version: int, names: str, kind: str = "Full") -> str:
    return link.call(CSMS, "SendLocalList", {"versionNumber": version, "updateType": kind, "localAuthorizationList": [
        {"idToken": {"idToken": name, "type": "Local"}, "idTokenInfo": {"status": "Accepted"}} for name in names]})


def test_of_two_local_lists_at_once_the_second_is_refused() -> None:
    link = Bridged(UP)
    first, second = _list(link, 5, "ab"), _list(link, 6, "c")
    assert link.answered(second).payload["status"] == "Failed" and len(link.calls(STATION)) == 1
    link.answer(STATION, {"status": "Accepted"})
    assert link.answered(first).payload == {"status": "Accepted"}
    third = _list(link, 6, "c", "Differential")
    link.answer(STATION, {"status": "Accepted"})
    assert link.answered(third).payload == {"status": "Accepted"}
    link.call(CSMS, "GetLocalListVersion")
    link.answer(STATION, {"listVersion": 6})
    assert link.last(CSMS, "GetLocalListVersion").payload == {"versionNumber": 6}


def test_a_list_of_many_pieces_is_answered_by_the_deadline() -> None:
    """Each piece takes a second: no piece is sent that could not be answered in time."""
    link = Bridged(UP, {"answer_seconds": 10})
    link.call(STATION, "BootNotification", {"chargePointModel": "m", "chargePointVendor": "v"})
    link.answer(CSMS, {"status": "Accepted", "currentTime": TIME, "interval": 5})
    link.wait(2)
    link.answer(STATION, {"configurationKey": [
        {"key": "SendLocalListMaxLength", "readonly": True, "value": "1"},
        {"key": "GetConfigurationMaxKeys", "readonly": True, "value": "50"}]}, "GetConfiguration")
    while link.open[STATION]:
        link.answer(STATION, {})
    begun = link.stage.now_ns
    asked = _list(link, 64, "".join(map(chr, range(0x41, 0x41 + 60))))
    while asked in link.asked[CSMS]:
        link.wait(1)
        if link.open[STATION]:
            link.answer(STATION, {"status": "Accepted"}, "SendLocalList")
    assert link.stage.now_ns - begun <= 10_000_000_000
    assert len(link.calls(STATION, "SendLocalList")) <= 10 and link.answered(asked).code == "GenericError"


@pytest.mark.parametrize("answers", ["refused first", "refused last"])
def test_reset_while_reset(answers: str) -> None:
    """The one that the station took is the one its next boot is told to follow from."""
    link = Bridged(UP)
    link.call(CSMS, "Reset", {"type": "Immediate"})
    link.call(CSMS, "Reset", {"type": "Immediate"})
    for status in ("Rejected", "Accepted") if answers == "refused first" else ("Accepted", "Rejected"):
        link.answer(STATION, {"status": status})
    link.call(STATION, "BootNotification", {"chargePointModel": "m", "chargePointVendor": "v"})
    assert link.calls(CSMS, "BootNotification")[0]["reason"] == "RemoteReset"


def test_a_scheduled_reset_whose_answer_is_cut_off_by_the_reset_is_not_sent_again() -> None:
    link = Bridged(UP)
    link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "x", "timestamp": TIME, "meterStart": 5})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}})
    link.call(CSMS, "Reset", {"type": "OnIdle"})
    tid = link.state.charging.transactions[0].tid
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": TIME, "meterStop": 9})
    link.answer(CSMS)
    link.wait(2)
    assert link.calls(STATION, "Reset") == [{"type": "Soft"}]
    link.stage.end()
    link.again()
    link.wait(5)
    assert len(link.calls(STATION, "Reset")) == 1
    link.call(STATION, "BootNotification", {"chargePointModel": "m", "chargePointVendor": "v"})
    assert link.calls(CSMS, "BootNotification")[0]["reason"] == "RemoteReset"


def test_a_reset_that_was_scheduled_and_refused_leaves_alone_what_came_after() -> None:
    link = Bridged(UP)
    link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "x", "timestamp": TIME, "meterStart": 5})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}})
    link.call(CSMS, "Reset", {"type": "OnIdle"})
    tid = link.state.charging.transactions[0].tid
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": TIME, "meterStop": 9})
    link.answer(CSMS)
    link.wait(2)
    link.call(CSMS, "Reset", {"type": "Immediate"})
    link.answer(STATION, {"status": "Rejected"})
    link.answer(STATION, {"status": "Accepted"})
    link.wait(100)
    assert link.calls(STATION, "Reset") == [{"type": "Soft"}, {"type": "Hard"}]
    assert link.state.reset.kind == "Hard" and link.state.reset.state == "sent"


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_an_update_that_is_refused_does_not_end_the_one_that_runs(direction: str) -> None:
    link = Bridged(direction)
    if direction == UP:
        for number in (7, 8):
            link.call(CSMS, "GetLog", {"logType": "SecurityLog", "requestId": number, "log": {"remoteLocation": "ftp://logs/"}})
            link.answer(STATION, {"status": "Accepted" if number == 7 else "Rejected"}, "GetLog")
    else:
        for status in ("Accepted", "Rejected"):
            link.call(CSMS, "GetDiagnostics", {"location": "ftp://logs/"})
            link.answer(STATION, {"status": status, **({"filename": "f"} if status == "Accepted" else {})}, "GetLog")
    assert [(job.kind, job.request_id) for job in link.state.jobs] == [("log", 7 if direction == UP else 1)]


def test_the_log_that_runs_is_over_when_another_one_is_taken() -> None:
    link = Bridged(UP)
    for number in (7, 8):
        link.call(CSMS, "GetLog", {"logType": "SecurityLog", "requestId": number, "log": {"remoteLocation": "ftp://logs/"}})
        link.answer(STATION, {"status": "Accepted"}, "GetLog")
    assert [job.request_id for job in link.state.jobs] == [8]


def test_two_writes_of_variables_at_once() -> None:
    link = Bridged(UP)

    def write(value: str) -> str:
        return link.call(CSMS, "SetVariables", {"setVariableData": [
            {"attributeValue": value, "component": {"name": "Bridge16"}, "variable": {"name": f"k{value}"}}]})

    first, second = write("1"), write("2")
    link.answer(STATION, {"status": "Accepted"})
    link.answer(STATION, {"status": "Rejected"})
    found = [link.answered(one).payload["setVariableResult"][0] for one in (first, second)]
    assert [(one["variable"]["name"], one["attributeStatus"]) for one in found] == [("k1", "Accepted"), ("k2", "Rejected")]
    link.settled()


def test_nothing_is_asked_for_a_call_whose_time_is_over() -> None:
    """Unlocking ends a transaction first; a station that is silent there is not asked for the second as well."""
    link = Bridged(DOWN)
    link.call(STATION, "TransactionEvent", {
        "eventType": "Started", "seqNo": 0, "timestamp": TIME, "triggerReason": "Authorized",
        "evse": {"id": 1, "connectorId": 1},
        "transactionInfo": {"transactionId": "u", "chargingState": "Charging"}, "idToken": {"idToken": "x", "type": "Central"}})
    link.answer(CSMS, {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}, "StartTransaction")
    while link.open[CSMS]:
        link.answer(CSMS)
    asked = link.call(CSMS, "UnlockConnector", {"connectorId": 1})
    link.open[STATION].clear()
    link.wait(30)
    assert link.answered(asked).payload == {"status": "UnlockFailed"}
    assert [one.action for one in link.told[STATION] if one.kind == 2] == ["RequestStopTransaction"]
