"""How a 2.0.1 station begins before a 1.6 CSMS: its boot, its settings, its connectors; error codes both ways."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged
from tests.plugins.bridge.downward import REGISTER, event, linked, quiet, said, started, statuses

TIME = "2027-01-15T08:00:00.000Z"
BOOT: dict[str, Any] = {"reason": "PowerUp", "chargingStation": {"model": "X1", "vendorName": "V" * 50, "firmwareVersion": "2"}}
POINTS = {("TxCtrlr", "TxStartPoint"): "PowerPathClosed", ("TxCtrlr", "TxStopPoint"): "EVConnected,Authorized"}


def booted(link: Bridged, status: str = "Accepted", **station: Any) -> str:
    asked = link.call(STATION, "BootNotification", {**BOOT, "chargingStation": {**BOOT["chargingStation"], **station}})
    link.answer(CSMS, {"status": status, "currentTime": TIME, "interval": 300}, "BootNotification")
    return asked


def held(link: Bridged, **values: str) -> None:
    """The station says what its settings are; those that are not named it does not have."""
    asked = link.calls(STATION, "GetVariables")[-1]["getVariableData"]
    link.answer(STATION, {"getVariableResult": [
        {**one, "attributeStatus": "Accepted", "attributeValue": values[one["variable"]["name"]]}
        if one["variable"]["name"] in values else {**one, "attributeStatus": "UnknownVariable"} for one in asked]},
        "GetVariables")


def taken(link: Bridged, status: str = "Accepted") -> dict[str, str]:
    """What the station is told to set; it says so much to each."""
    wanted = link.answer(STATION, {"setVariableResult": [
        {"component": one["component"], "variable": one["variable"], "attributeStatus": status}
        for one in link.calls(STATION, "SetVariables")[-1]["setVariableData"]]}, "SetVariables").payload["setVariableData"]
    return {one["variable"]["name"]: one["attributeValue"] for one in wanted}


def test_s35_a_long_vendor_name_is_cut_and_told() -> None:
    link = linked()
    asked = booted(link, "Pending", serialNumber="S" * 25, modem={"iccid": "i", "imsi": "m"})
    assert link.calls(CSMS) == [{
        "chargePointVendor": "V" * 20, "chargePointModel": "X1", "firmwareVersion": "2", "chargePointSerialNumber": "S" * 25,
        "iccid": "i", "imsi": "m"}]
    assert link.losses("shortened") == ["$.chargingStation.vendorName"] and link.losses("dropped") == ["$.reason"]
    assert link.answered(asked).payload == {"status": "Pending", "currentTime": TIME, "interval": 300}
    assert link.calls(STATION) == [] and link.state.boot.status == "Pending"
    link.settled()


def test_s35_behind_an_accepted_boot_the_station_is_there_and_its_transactions_become_those_of_1_6() -> None:
    link = linked()
    asked = booted(link)
    assert link.answered(asked).payload["status"] == "Accepted"
    assert statuses(link) == [(0, "Available")]
    held(link, TxStartPoint="EVConnected", TxStopPoint="EVConnected,Authorized", TxEndedMeasurands="Voltage")
    assert taken(link, "Rejected") == {
        "TxStartPoint": "PowerPathClosed", "TxStartedMeasurands": REGISTER, "TxEndedMeasurands": f"{REGISTER},Voltage"}
    quiet(link)
    assert link.findings == []
    calls = len(link.calls(STATION))
    booted(link)                                        # a setting may be the operator's by now
    quiet(link)
    assert len(link.calls(STATION)) == calls
    booted(link, firmwareVersion="3")                   # another firmware may have forgotten it
    quiet(link)
    held(link)
    assert set(taken(link)) == {"TxStartPoint", "TxStopPoint", "TxStartedMeasurands", "TxEndedMeasurands"}
    link.settled()


def others(link: Bridged) -> None:
    """The station has nothing of what else the bridge asks it for."""
    while open_ := [action for action in link.open[STATION].values() if action not in ("GetVariables", "SetVariables")]:
        link.error(STATION, "NotSupported", "", open_[0])


def test_s35_a_station_that_does_not_answer_is_asked_at_its_next_boot() -> None:
    link = linked()
    booted(link)
    quiet(link)
    link.open[STATION].clear()                          # it will not answer
    link.wait(31)
    others(link)
    booted(link)
    quiet(link)
    others(link)
    assert [len(one["getVariableData"]) for one in link.calls(STATION, "GetVariables")].count(4) == 2
    link.error(STATION, "NotSupported", "", "GetVariables")
    taken(link)
    others(link)
    link.settled()


@pytest.mark.parametrize(("status", "back"), [
    ("Accepted", "Accepted"), ("Blocked", "Blocked"), ("Expired", "Expired"), ("Invalid", "Invalid"),
    ("ConcurrentTx", "ConcurrentTx"),
])
def test_s35_authorize(status: str, back: str) -> None:
    link = linked()
    asked = link.call(STATION, "Authorize", {"idToken": {"idToken": "abc", "type": "Central"}, "certificate": "x"})
    assert link.calls(CSMS) == [{"idTag": "abc"}] and link.losses() == ["$.certificate"]
    link.answer(CSMS, {"idTagInfo": {"status": status}})
    assert link.answered(asked).payload == {"idTokenInfo": {"status": back}}
    link.settled()


def test_s35_a_token_that_needs_no_authorisation_is_accepted_here() -> None:
    link = linked()
    asked = link.call(STATION, "Authorize", {"idToken": {"idToken": "", "type": "NoAuthorization"}})
    assert link.answered(asked).payload == {"idTokenInfo": {"status": "Accepted"}} and link.calls(CSMS) == []
    link.settled()


def test_s51_connectors_are_numbered_once_and_for_ever() -> None:
    link = linked()

    def reports(evse: int, conn: int) -> int:
        link.call(STATION, "StatusNotification", {
            "timestamp": TIME, "connectorStatus": "Available", "evseId": evse, "connectorId": conn})
        told: int = link.answer(CSMS, {}, "StatusNotification").payload["connectorId"]
        return told

    assert [reports(1, 1), reports(1, 2), reports(2, 1)] == [1, 2, 3]
    link.again()
    assert [reports(2, 1), reports(1, 2), reports(3, 1), reports(1, 1)] == [3, 2, 4, 1]
    link.again()
    started(link, evse=2)
    assert link.calls(CSMS, "StartTransaction")[0]["connectorId"] == 3
    link.settled()


def test_s51_an_evse_without_a_connector_is_its_first() -> None:
    link = linked()
    said(link, event("Started", 0, 0, "CablePluggedIn", "EVConnected", evse={"id": 4}))
    quiet(link)
    assert statuses(link) == [(1, "Preparing")]
    assert [(one.evse, one.conn) for one in link.state.connectors] == [(4, 1)]
    link.settled()


ONE = {  # 1.6 -> 2.0.1, and the spelling of the other version
    "NotImplemented": "NotImplemented", "NotSupported": "NotSupported", "InternalError": "InternalError",
    "ProtocolError": "ProtocolError", "SecurityError": "SecurityError", "FormationViolation": "FormatViolation",
    "PropertyConstraintViolation": "PropertyConstraintViolation", "TypeConstraintViolation": "TypeConstraintViolation",
    "OccurenceConstraintViolation": "OccurrenceConstraintViolation", "GenericError": "GenericError",
    "FormatViolation": "FormatViolation", "OccurrenceConstraintViolation": "OccurrenceConstraintViolation",
    "Strange": "GenericError",
}
TWO = {  # 2.0.1 -> 1.6
    "NotImplemented": "NotImplemented", "NotSupported": "NotSupported", "InternalError": "InternalError",
    "ProtocolError": "ProtocolError", "SecurityError": "SecurityError", "FormatViolation": "FormationViolation",
    "PropertyConstraintViolation": "PropertyConstraintViolation", "TypeConstraintViolation": "TypeConstraintViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation", "GenericError": "GenericError",
    "MessageTypeNotSupported": "GenericError", "RpcFrameworkError": "GenericError",
    "FormationViolation": "FormationViolation", "OccurenceConstraintViolation": "OccurenceConstraintViolation",
    "Strange": "GenericError",
}


@pytest.mark.parametrize(("code", "told"), ONE.items())
def test_s57_error_codes_of_1_6(code: str, told: str) -> None:
    link = Bridged(DOWN)
    asked = link.call(STATION, "Heartbeat")
    link.error(CSMS, code, "why")
    assert link.answered(asked).code == told
    link = Bridged(UP)
    asked = link.call(CSMS, "ClearCache")
    link.error(STATION, code, "why")
    assert link.answered(asked).code == told
    link.settled()


@pytest.mark.parametrize(("code", "told"), TWO.items())
def test_s57_error_codes_of_2_0_1(code: str, told: str) -> None:
    link = Bridged(UP)
    asked = link.call(STATION, "Heartbeat")
    link.error(CSMS, code, "why")
    assert link.answered(asked).code == told
    link = Bridged(DOWN)
    asked = link.call(CSMS, "ClearCache")
    link.error(STATION, code, "why")
    assert link.answered(asked).code == told
    link.settled()


@pytest.mark.parametrize(("kind", "told"), [
    ("InvalidCsmsCertificate", "InvalidCentralSystemCertificate"), ("CsmsFailedToAuthenticate",
    "CentralSystemFailedToAuthenticate"), ("FailedToAuthenticateAtCsms", "FailedToAuthenticateAtCentralSystem"),
    ("InvalidChargingStationCertificate", "InvalidChargePointCertificate"), ("SomethingElse", "SomethingElse"),
])
def test_n24_security_events_are_renamed(kind: str, told: str) -> None:
    link = linked()
    asked = link.call(STATION, "SecurityEventNotification", {"type": kind, "timestamp": TIME})
    assert link.calls(CSMS) == [{"type": told, "timestamp": TIME}]
    link.answer(CSMS)
    assert link.answered(asked).payload == {}
    link.settled()
