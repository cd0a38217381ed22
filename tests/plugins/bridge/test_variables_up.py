"""GetVariables and SetVariables on a 1.6 station: discovery, keys, what is made up, deadlines."""

from typing import Any

import msgspec
import pytest
from ocpp_proxy_plugins.bridge.device_up import MOST_BYTES, Device
from ocpp_proxy_plugins.bridge.tables import keys

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.modelled import (
    VALUES,
    asked,
    boot16,
    every_key,
    results,
    serve,
    setting,
    station16,
    variable,
    written,
)

HELD = {one["key"]: one.get("value") for one in every_key()}
HOMES = {name: key for name, key in keys().items() if key.home is not None and key.field == "Actual"}


def read(link: Bridged, *items: dict[str, Any], held: Any = None) -> list[dict[str, Any]]:
    message = asked(link, "GetVariables", list(items))
    serve(link, HELD if held is None else held)
    return results(link, message)


def statuses(found: list[dict[str, Any]]) -> list[str]:
    return [one["attributeStatus"] for one in found]


def reason(found: dict[str, Any]) -> str:
    code: str = found["attributeStatusInfo"]["reasonCode"]
    return code


def kept(link: Bridged) -> Device:
    return msgspec.msgpack.decode(link.state.device, type=Device)


# ---- discovery ----

def test_an_accepted_station_is_asked_for_all_its_keys_once() -> None:
    link = station16()
    assert link.calls(STATION, "GetConfiguration") == [{}]
    known = kept(link)
    assert len(known.settings) == 60 and known.get("heartbeatinterval") == known.settings["HeartbeatInterval"]
    assert link.state.facts == {"lists.most": 5, "lists.enabled": True, "charging.ConnectionTimeOut": 5}
    link.wait(30)
    assert len(link.calls(STATION)) == 1
    boot16(link)                                    # it booted again: it may be another firmware
    assert link.calls(STATION, "GetConfiguration") == [{}, {}]


def test_a_station_that_is_not_accepted_is_not_asked() -> None:
    link = Bridged()
    boot16(link, "Pending")
    link.wait(5)
    assert link.calls(STATION) == []


def test_a_station_that_answers_a_part_is_asked_for_the_rest_in_pieces() -> None:
    link = Bridged()
    boot16(link)
    first = [setting("GetConfigurationMaxKeys", "10", True), *(setting(f"Vendor{n}", "x") for n in range(9))]
    link.answer(STATION, {"configurationKey": first})
    assert serve(link, HELD, 10) == 6                   # 57 others of the standard
    assert len(kept(link).settings) == 67
    link.settled()


def test_a_station_that_wants_names_is_asked_by_names() -> None:
    link = Bridged()
    boot16(link)
    link.error(STATION, "OccurenceConstraintViolation")
    serve(link, {"HeartbeatInterval": "60"}, 20)
    assert kept(link).settings.keys() == {"HeartbeatInterval"} and kept(link).at_ns and link.findings == []


def test_a_station_that_tells_nothing_is_told_of() -> None:
    link = Bridged()
    boot16(link)
    link.error(STATION, "NotSupported")
    while link.open[STATION]:
        link.error(STATION, "NotSupported")
    assert link.findings == ["keys"] and bytes(link.state.device) == b"\xc0"


def test_what_is_kept_of_a_station_has_a_limit() -> None:
    link = station16([setting(f"K{n}", "x" * 500) for n in range(900)] + [setting("GetConfigurationMaxKeys", "1000", True)])
    assert len(link.state.device) < MOST_BYTES and "keys" in link.findings
    assert kept(link).get("GetConfigurationMaxKeys") is not None


def test_a_secret_is_not_kept() -> None:
    link = station16([*every_key(), setting("AuthorizationKey", "3031323334353637383930313233343536")])
    assert kept(link).settings["AuthorizationKey"].value is None
    assert b"3031323334" not in bytes(link.state.device)


# ---- reading ----

@pytest.mark.parametrize("name", list(HOMES))
def test_every_key_is_read_at_its_home(name: str) -> None:
    link = station16()
    result = read(link, written(str(HOMES[name].home)))[0]
    if name == "AuthorizationKey":
        assert result["attributeStatus"] == "Rejected" and reason(result) == "WriteOnly"
        return
    value = {"ConnectorPhaseRotation": "RST", "ChargingScheduleAllowedChargingRateUnit": "A,W"}.get(name, HELD[name])
    assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", value)
    assert link.calls(STATION)[-1] == {"key": [name]}


@pytest.mark.parametrize("name", sorted(set(keys()) - set(HOMES)))
def test_keys_without_a_variable_are_counts_and_limits(name: str) -> None:
    link = station16()
    key = keys()[name]
    if key.field == "maxLimit":
        assert key.home is not None
        message = link.call(CSMS, "GetReport", {"requestId": 1, "componentVariable": [written(str(key.home))]})
        assert link.answered(message).payload == {"status": "Accepted"}
        page = link.answer(CSMS, {}, "NotifyReport").payload["reportData"]
        limit = 5 * 32 - 1 if "Measurands" in str(key.home) else 5
        assert [one["variableCharacteristics"]["maxLimit"] for one in page] == [limit]
    else:
        result = read(link, variable("Bridge16", name))[0]
        assert result["attributeValue"] == HELD[name]
        message = asked(link, "SetVariables", [variable("Bridge16", name, attributeValue="1")])
        assert reason(results(link, message)[0]) == "ReadOnly"


def test_s18_45_variables_are_asked_in_pieces_and_told_in_order() -> None:
    listed = [one if one["key"] != "GetConfigurationMaxKeys" else setting("GetConfigurationMaxKeys", "7", True)
              for one in every_key()]
    link = station16(listed)
    places = [str(key.home) for name, key in HOMES.items() if name != "AuthorizationKey"][:38]
    items = [written(place) for place in places]
    items[5:5] = [
        variable("Nowhere", "X"), variable("TxCtrlr", "Nothing"), variable("SecurityCtrlr", "BasicAuthPassword"),
        variable("AuthCtrlr", "LocalPreAuthorize", attributeType="Target"), variable("TxCtrlr", "TxStartPoint"),
        variable("Connector", "AvailabilityState", (2, 1)), variable("EVSE", "AvailabilityState", (9,)),
    ]
    assert len(items) == 45
    message = asked(link, "GetVariables", items)
    assert serve(link, HELD, 7) == 6
    found = results(link, message)
    assert [{"component": one["component"], "variable": one["variable"]} for one in found] == [
        {"component": one["component"], "variable": one["variable"]} for one in items]
    assert statuses(found[5:12]) == [
        "UnknownComponent", "UnknownVariable", "Rejected", "NotSupportedAttributeType", "Accepted", "Accepted",
        "UnknownComponent"]
    assert set(statuses(found[:5] + found[12:])) == {"Accepted"}
    assert found[8]["attributeType"] == "Target" and found[9]["attributeValue"] == "PowerPathClosed"
    link.settled()


def test_a_key_that_the_station_lacks_is_no_variable() -> None:
    found = read(station16([setting("GetConfigurationMaxKeys", "9", True)]), written("TxCtrlr.EVConnectionTimeOut"),
                 variable("Bridge16", "Strange"), held={})
    assert statuses(found) == ["UnknownVariable", "UnknownVariable"]


def test_unlisted_keys_of_vendors_can_be_read() -> None:
    found = read(station16(), variable("bridge16", "Hidden"), held={"Hidden": "h"})
    assert found[0]["attributeValue"] == "h" and found[0]["component"] == {"name": "bridge16"}


def test_what_a_silent_station_does_not_tell_is_rejected_in_time() -> None:
    link = station16()
    message = asked(link, "GetVariables", [written("TxCtrlr.EVConnectionTimeOut"), written("TxCtrlr.TxStartPoint")])
    link.wait(30)
    found = results(link, message)
    assert statuses(found) == ["Rejected", "Accepted"] and reason(found[0]) == "deadline"


def test_a_station_that_fails_is_told_of() -> None:
    link = station16()
    message = asked(link, "GetVariables", [written("TxCtrlr.EVConnectionTimeOut")])
    link.error(STATION, "InternalError", "broken")
    assert results(link, message)[0]["attributeStatusInfo"]["additionalInfo"] == "the station: InternalError: broken"


def test_what_is_made_up_is_known_without_the_station() -> None:
    link = station16()
    found = read(link, *map(written, (
        "ChargingStation.Model", "ChargingStation.SerialNumber", "FiscalMetering.Model", "FiscalMetering.SerialNumber",
        "SecurityCtrlr.Identity", "SampledDataCtrlr.TxStartedMeasurands", "OCPPCommCtrlr.NetworkConfigurationPriority")))
    assert [one["attributeValue"] for one in found] == [
        "One", "S1", "EM24", "M7", "CP1", "Energy.Active.Import.Register", "0"]
    assert link.calls(STATION, "GetConfiguration") == [{}]


def test_the_state_of_connectors_is_that_of_their_last_status() -> None:
    link = station16()
    link.call(STATION, "StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": "Charging"})
    link.answer(CSMS, {}, "StatusNotification")
    found = read(link, variable("Connector", "AvailabilityState", (1, 1)), variable("Connector", "AvailabilityState", (2, 1)),
                 variable("EVSE", "AvailabilityState", (2,)), variable("Connector", "AvailabilityState", (3, 1)))
    assert [one.get("attributeValue") for one in found] == ["Available", "Occupied", "Occupied", None]
    assert found[3]["attributeStatus"] == "UnknownComponent"


def test_junk_is_refused() -> None:
    link = station16()
    for junk in ([1], [{"component": {"name": 1}, "variable": {"name": "a"}}], "x",
                 [{"component": {"name": "a", "evse": {"id": "1"}}, "variable": {"name": "a"}}]):
        message = link.call(CSMS, "GetVariables", {"getVariableData": junk})
        assert link.answered(message).code == "FormatViolation"


def test_too_long_a_value_is_rejected() -> None:
    found = read(station16(), variable("Bridge16", "VendorThing"), held={"VendorThing": "x" * 2501})
    assert reason(found[0]) == "TooLargeElement"


# ---- writing ----

def changed(link: Bridged, *answers: str) -> list[dict[str, Any]]:
    return [link.answer(STATION, {"status": answer}, "ChangeConfiguration").payload for answer in answers]


def test_s17_set_three_ok_read_only_and_unknown() -> None:
    link = station16([one for one in every_key() if one["key"] != "MaxEnergyOnInvalidId"])
    message = asked(link, "SetVariables", [
        written("OCPPCommCtrlr.HeartbeatInterval", attributeValue="60"),
        written("SmartChargingCtrlr.ProfileStackLevel", attributeValue="9"),
        written("TxCtrlr.MaxEnergyOnInvalidId", attributeValue="100", attributeType="Actual")])
    assert changed(link, "Accepted", "NotSupported") == [
        {"key": "HeartbeatInterval", "value": "60"}, {"key": "MaxEnergyOnInvalidId", "value": "100"}]
    found = results(link, message)
    assert statuses(found) == ["Accepted", "Rejected", "UnknownVariable"]
    assert reason(found[1]) == "ReadOnly" and found[2]["attributeType"] == "Actual"
    assert kept(link).value("HeartbeatInterval") == "60"
    link.settled()


@pytest.mark.parametrize("name", list(HOMES))
def test_every_key_is_written_from_its_home(name: str) -> None:
    link = station16(link_settings="forward")
    key = HOMES[name]
    value = {"AuthorizationKey": "a password of 20 ch", "ConnectorPhaseRotation": "SRT"}.get(name, VALUES.get(key.codec, "7"))
    message = asked(link, "SetVariables", [written(str(key.home), attributeValue=value)])
    if key.access == "R":
        assert reason(results(link, message)[0]) == "ReadOnly" and len(link.calls(STATION)) == 1
        return
    sent = {"AuthorizationKey": b"a password of 20 ch".hex().upper(), "ConnectorPhaseRotation": "0.SRT,1.RTS,2.RTS"}
    assert changed(link, "RebootRequired") == [{"key": name, "value": sent.get(name, value)}]
    assert statuses(results(link, message)) == ["RebootRequired"]


@pytest.mark.parametrize("place", [str(key.home) for key in keys().values() if key.owner == "link"] + [
    "OCPPCommCtrlr.NetworkConfigurationPriority", "bridge16.AUTHORIZATIONKEY"])
def test_settings_of_the_connection_are_not_bridged(place: str) -> None:
    link = station16()
    message = asked(link, "SetVariables", [written(place, attributeValue="secret secret secret")])
    assert statuses(results(link, message)) in (["Rejected"], ["UnknownVariable"]) and len(link.calls(STATION)) == 1


def test_a_password_stands_in_no_finding_and_no_ledger() -> None:
    link = station16(link_settings="forward")
    for value in ("0123456789abcdefg", "too short", "x" * 41):
        asked(link, "SetVariables", [written("SecurityCtrlr.BasicAuthPassword", attributeValue=value)])
        if value[0] == "0":
            link.error(STATION, "InternalError", "no")
    assert len(link.calls(STATION, "ChangeConfiguration")) == 1
    told = repr(link.stage.played.findings) + repr(link.stage.played.losses) + repr(bytes(link.state.device))
    assert "0123456789abcdefg" not in told and b"0123456789abcdefg".hex().upper() not in told


def test_a_long_value_is_never_cut() -> None:
    link = station16()
    message = asked(link, "SetVariables", [variable("Bridge16", "VendorThing", attributeValue="x" * 501)])
    assert reason(results(link, message)[0]) == "TooLargeElement" and len(link.calls(STATION)) == 1


@pytest.mark.parametrize(("place", "kind", "status"), [
    ("Nowhere.X", "Actual", "UnknownComponent"), ("TxCtrlr.X", "Actual", "UnknownVariable"),
    ("TxCtrlr.StopTxOnInvalidId", "MinSet", "NotSupportedAttributeType"), ("TxCtrlr.TxStartPoint", "Actual", "Rejected"),
])
def test_the_station_is_not_asked_for_what_cannot_be(place: str, kind: str, status: str) -> None:
    link = station16()
    message = asked(link, "SetVariables", [written(place, attributeValue="1", attributeType=kind)])
    assert statuses(results(link, message)) == [status] and len(link.calls(STATION)) == 1


def test_phases_of_measurands_are_remembered() -> None:
    held = {**HELD, "MeterValuesSampledData": "Voltage.L1,Voltage.L2,Energy.Active.Import.Register"}
    link = station16([{**one, "value": held[one["key"]]} if one["key"] == "MeterValuesSampledData" else one
                      for one in every_key()])
    home = written("SampledDataCtrlr.TxUpdatedMeasurands")
    assert read(link, home, held=held)[0]["attributeValue"] == "Voltage,Energy.Active.Import.Register"
    asked(link, "SetVariables", [{**home, "attributeValue": "SoC"}])
    assert changed(link, "Accepted")[0]["value"] == "SoC"
    link.again()
    asked(link, "SetVariables", [{**home, "attributeValue": "SoC,Voltage"}])
    assert changed(link, "Accepted")[0]["value"] == "SoC,Voltage.L1,Voltage.L2"


def test_the_rotation_of_one_connector_leaves_the_others() -> None:
    link = station16()
    message = asked(link, "SetVariables", [
        variable("EVSE", "PhaseRotation", (2,), attributeValue="TRS"),
        variable("EVSE", "PhaseRotation", (1,), attributeValue="SRT")])
    assert [one["value"] for one in changed(link, "Accepted", "Accepted")] == ["0.RST,1.RTS,2.TRS", "0.RST,1.SRT,2.TRS"]
    assert statuses(results(link, message)) == ["Accepted", "Accepted"]


def test_n18_thirty_variables_for_a_slow_station_are_all_answered_in_time() -> None:
    link = station16()
    message = asked(link, "SetVariables", [variable("Bridge16", f"Slow{n}", attributeValue="1") for n in range(30)])
    begun_ns = link.stage.now_ns
    while link.open[STATION]:
        link.wait(3)
        link.answer(STATION, {"status": "Accepted"}, "ChangeConfiguration")
    found = results(link, message)
    assert link.stage.now_ns - begun_ns <= 30_000_000_000
    assert statuses(found) == ["Accepted"] * 9 + ["Rejected"] * 21
    assert {reason(one) for one in found[9:]} == {"deadline"}
    assert [one["variable"]["name"] for one in found] == [f"Slow{n}" for n in range(30)]
    assert len(link.calls(STATION, "ChangeConfiguration")) == 9
    link.settled()


def test_n18_a_station_that_falls_silent_leaves_no_item_out() -> None:
    link = station16()
    message = asked(link, "SetVariables", [variable("Bridge16", f"Slow{n}", attributeValue="1") for n in range(30)])
    changed(link, "Accepted")
    link.wait(29)
    found = results(link, message)
    assert statuses(found) == ["Accepted"] + ["Rejected"] * 29 and len(link.calls(STATION, "ChangeConfiguration")) == 2
    assert "not known" in found[1]["attributeStatusInfo"]["additionalInfo"]
    assert "was not set" in found[2]["attributeStatusInfo"]["additionalInfo"]


def test_more_items_than_calls_of_one_call_are_rejected() -> None:
    link = station16()
    message = asked(link, "SetVariables", [variable("Bridge16", f"Fast{n}", attributeValue="1") for n in range(140)])
    while link.open[STATION]:
        link.answer(STATION, {"status": "Accepted"}, "ChangeConfiguration")
    assert statuses(results(link, message)) == ["Accepted"] * 100 + ["Rejected"] * 40


# ---- monitors ----

def test_monitors_are_told_item_by_item_that_there_are_none() -> None:
    link = Bridged()
    items = [variable("EVSE", "Power", (n,), value=5.0, type=kind, severity=n)
             for n, kind in ((1, "Delta"), (2, "Periodic"))]
    message = link.call(CSMS, "SetVariableMonitoring", {"setMonitoringData": items})
    found = link.answered(message).payload["setMonitoringResult"]
    assert [(one["status"], one["type"], one["severity"], one["component"]) for one in found] == [
        ("UnsupportedMonitorType", item["type"], item["severity"], item["component"]) for item in items]
    message = link.call(CSMS, "ClearVariableMonitoring", {"id": [4, 2]})
    assert link.answered(message).payload == {"clearMonitoringResult": [
        {"id": 4, "status": "NotFound"}, {"id": 2, "status": "NotFound"}]}
    assert link.calls(STATION) == []


@pytest.mark.parametrize(("action", "payload"), [
    ("GetMonitoringReport", {"requestId": 1}), ("SetMonitoringBase", {"monitoringBase": "All"}),
    ("SetMonitoringLevel", {"severity": 3}), ("CustomerInformation", {"requestId": 1, "report": True, "clear": False}),
])
def test_s32_what_1_6_lacks_is_answered_here(action: str, payload: dict[str, Any]) -> None:
    link = Bridged()
    status = link.answered(link.call(CSMS, action, payload)).payload["status"]
    assert status in ("EmptyResultSet", "NotSupported", "Rejected") and link.calls(STATION) == []


def test_what_vendors_add_is_told_as_lost() -> None:
    link = station16()
    custom = {"vendorId": "v"}
    item = written("TxCtrlr.TxStartPoint", customData=custom)
    item["component"]["customData"] = custom
    message = link.call(CSMS, "GetVariables", {"getVariableData": [item], "customData": custom})
    assert results(link, message)[0]["component"] == {"name": "TxCtrlr"}
    assert set(link.losses("dropped")) >= {
        "$.customData", "$.getVariableData[0].customData", "$.getVariableData[0].component.customData"}
