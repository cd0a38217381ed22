"""GetConfiguration and ChangeConfiguration on a 2.0.1 station: its inventory, keys, what is set together."""

from typing import Any

import msgspec
import pytest
from ocpp_proxy_plugins.bridge.device_down import MOST_BYTES, Inventory
from ocpp_proxy_plugins.bridge.tables import Key, keys

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged
from tests.plugins.bridge.modelled import TIME, boot201, row, serve201, station201, variable

REGISTER = "Energy.Active.Import.Register"
PLAIN = {"bool": "true", "int": "6", "text": "some", "list": "A,B"}
CODED = {"measurands": (f"{REGISTER},Voltage", f"{REGISTER},Voltage"), "rate units": ("A,W", "Current,Power")}
ACTUAL = {name: key for name, key in keys().items() if key.field == "Actual" and key.home and "Bridge16" not in str(key.home)}
AVAILABLE = ("LocalAuthListCtrlr.Available", "ReservationCtrlr.Available", "SmartChargingCtrlr.Available")


def value_of(key: Key) -> tuple[str, str]:
    """A value in 2.0.1, and in 1.6."""
    if key.name == "ConnectorPhaseRotation":
        return "RST", "0.RST,1.RTS"
    return CODED.get(key.codec, (PLAIN[key.type], PLAIN[key.type]))


def every_row() -> list[dict[str, Any]]:
    """All variables that 1.6 has keys for, and some others."""
    rows: dict[str, dict[str, Any]] = {}
    for key in ACTUAL.values():
        mutability = {"R": "ReadOnly", "W": "WriteOnly"}.get(key.access, "ReadWrite")
        rows[str(key.home)] = row(str(key.home), None if key.access == "W" else value_of(key)[0], mutability)
        for also in key.also_set:
            rows.setdefault(str(also), row(str(also), value_of(key)[0]))
    for key in keys().values():
        if key.field == "maxLimit":
            at = str(key.home)
            rows[at] = row(at, value_of(ACTUAL["StopTxnSampledData"])[0] if "Measurands" in at else "1", "ReadWrite", (), 319)
    rows["e"] = row("EVSE.PhaseRotation", "RTS", "ReadWrite", (1,))
    for at in AVAILABLE:
        rows[at] = row(at, "true", "ReadOnly")
    rows["s"] = row("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", "6", "ReadOnly")
    rows["x"] = row("AcmeCtrlr.Colour[Left]", "blue")
    for number, where in enumerate([(2, 1), (1, 2), (1, 1)]):
        rows[f"c{number}"] = row("Connector.ConnectorType", "cType2", "ReadOnly", where)
    return list(rows.values())


def configured(link: Bridged, *names: str) -> tuple[dict[str, tuple[bool, str | None]], list[str]]:
    """What GetConfiguration gives from the cache: key -> read-only and value; and the unknown keys."""
    message = link.call(CSMS, "GetConfiguration", {"key": list(names)} if names else {})
    serve201(link, {})
    return answered(link, message)


def answered(link: Bridged, message: str) -> tuple[dict[str, tuple[bool, str | None]], list[str]]:
    payload = link.answered(message).payload
    listed = payload.get("configurationKey", [])
    found = {one["key"]: (one["readonly"], one.get("value")) for one in listed}
    assert len(found) == len(listed)
    return found, payload.get("unknownKey", [])


def changed(link: Bridged, name: str, value: str) -> str:
    return link.call(CSMS, "ChangeConfiguration", {"key": name, "value": value})


def status(link: Bridged, message: str) -> str:
    found: str = link.answered(message).payload["status"]
    return found


def sets(link: Bridged) -> list[dict[str, str]]:
    """What each SetVariables behind the boot's sets."""
    return [{name(item): item["attributeValue"] for item in one["setVariableData"]}
            for one in link.calls(STATION, "SetVariables")[1:]]


def name(item: dict[str, Any]) -> str:
    evse = "".join(f"/{number}" for number in item["component"].get("evse", {}).values())
    return f"{item['component']['name']}{evse}.{item['variable']['name']}"


def as_said(link: Bridged, *statuses: str) -> None:
    """The station answers the SetVariables that is open with these statuses, the last for all others."""
    rest = list(statuses)
    items = link.last(STATION, "SetVariables").payload["setVariableData"]
    link.answer(STATION, {"setVariableResult": [
        {"component": item["component"], "variable": item["variable"],
         "attributeStatus": rest.pop(0) if len(rest) > 1 else rest[0]} for item in items]}, "SetVariables")


def kept(link: Bridged) -> Inventory:
    return msgspec.msgpack.decode(link.state.device, type=Inventory)


# ---- the inventory ----

def test_an_accepted_station_reports_what_can_be_set() -> None:
    link = station201(every_row())
    assert [one["reportBase"] for one in link.calls(STATION, "GetBaseReport")] == ["ConfigurationInventory"]
    assert kept(link).whole and link.calls(STATION, "GetReport") == []
    assert [(one.number, one.evse, one.conn) for one in link.state.connectors] == [(1, 1, 1), (2, 1, 2), (3, 2, 1)]
    assert link.state.facts["lists.most"] == 6 and link.state.facts["lists.enabled"] is True
    assert link.calls(CSMS, "NotifyReport") == [] and link.findings == []
    link.wait(300)
    assert len(link.calls(STATION, "GetBaseReport")) == 1
    link.settled()


def test_what_is_not_in_the_inventory_is_asked_for_in_pieces() -> None:
    rows = [row("OCPPCommCtrlr.HeartbeatInterval", "60")]
    held = {("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables"): "8", ("SmartChargingCtrlr", "ProfileStackLevel", ""): "9",
            ("SecurityCtrlr", "BasicAuthPassword", ""): None}
    link = station201(rows, held)
    asked = [len(one["getVariableData"]) for one in link.calls(STATION, "GetVariables")[1:]]
    assert asked[0] == 2 and set(asked[1:-1]) == {8} and sum(asked[1:]) >= 40
    limits = link.answer(STATION, {"status": "Accepted"}, "GetReport").payload
    assert len(limits["componentVariable"]) == 7
    link.call(STATION, "NotifyReport", {"requestId": limits["requestId"], "generatedAt": TIME, "seqNo": 0, "reportData": [
        row("LocalAuthListCtrlr.Entries", "3", "ReadOnly", (), 100)]})
    found, _ = configured(link)
    assert found["GetConfigurationMaxKeys"] == (True, "8") and found["ChargeProfileMaxStackLevel"] == (True, "9")
    assert found["HeartbeatInterval"] == (False, "60") and found["LocalAuthListMaxLength"] == (True, "100")
    assert "BlinkRepeat" not in found and "CpoName" not in found
    link.settled()


@pytest.mark.parametrize("answer", ["Rejected", "NotSupported", "EmptyResultSet"])
def test_a_station_without_an_inventory_is_asked_for_its_variables(answer: str) -> None:
    link = Bridged(DOWN)
    boot201(link)
    link.answer(STATION, {"status": answer}, "GetBaseReport")
    serve201(link, {("OCPPCommCtrlr", "HeartbeatInterval", ""): "60"})
    link.error(STATION, "NotImplemented", action="GetReport")
    assert configured(link)[0]["HeartbeatInterval"] == (False, "60")
    link.settled()


def test_a_report_that_stops_is_used_as_far_as_it_came() -> None:
    link = Bridged(DOWN)
    boot201(link)
    number = link.answer(STATION, {"status": "Accepted"}, "GetBaseReport").payload["requestId"]
    page = {"requestId": number, "generatedAt": TIME, "seqNo": 0, "tbc": True,
            "reportData": [row("OCPPCommCtrlr.HeartbeatInterval", "60")]}
    link.call(STATION, "NotifyReport", page)
    link.wait(62)
    serve201(link, {})
    link.error(STATION, "NotSupported", action="GetReport")
    assert configured(link)[0]["HeartbeatInterval"] == (False, "60") and not kept(link).whole
    assert link.findings == ["report"]


def test_reports_that_nobody_asked_for_are_answered_and_mean_nothing() -> None:
    link = Bridged(DOWN)
    page = {"requestId": 99, "generatedAt": TIME, "seqNo": 0, "reportData": [row("OCPPCommCtrlr.HeartbeatInterval", "60")]}
    assert link.answered(link.call(STATION, "NotifyReport", page)).payload == {}
    assert link.told[CSMS] == [] and link.losses("dropped") == ["$"] and link.state is None


def test_what_is_kept_of_a_station_has_a_limit() -> None:
    rows = [row(f"Acme{n}.Value", "x" * 1000) for n in range(400)] + [row("OCPPCommCtrlr.HeartbeatInterval", "60")]
    link = station201(rows)
    assert len(link.state.device) < MOST_BYTES and "variables" in link.findings
    assert any(one.spot.place.variable == "HeartbeatInterval" for one in kept(link).entries)


# ---- reading ----

@pytest.mark.parametrize("key", list(keys()))
def test_s42_every_key_is_told_from_the_inventory(key: str) -> None:
    link = station201(every_row())
    before = len(link.calls(STATION))
    found, unknown = configured(link)
    assert unknown == [] and len(link.calls(STATION)) == before
    known = keys()[key]
    if "Bridge16" in str(known.home):
        assert key not in found
        return
    own = {
        "NumberOfConnectors": "3", "ConnectorPhaseRotationMaxLength": "4", "SupportedFeatureProfilesMaxLength": "6",
        "SupportedFeatureProfiles":
            "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger",
        "AuthorizationKey": None,
    }
    value = own[key] if key in own else value_of(known)[1] if known.field == "Actual" else "10" if (
        "Measurands" in str(known.home)) else "319"
    assert found[key] == (known.access == "R" or known.owner == "link", value)


@pytest.mark.parametrize("key", list(keys()))
def test_every_key_is_read_from_its_home(key: str) -> None:
    link = station201(every_row())
    before = len(link.calls(STATION))
    known = keys()[key]
    message = link.call(CSMS, "GetConfiguration", {"key": [key]})
    if key in ACTUAL:
        asked = [name(one) for one in link.last(STATION, "GetVariables").payload["getVariableData"]]
        assert asked[0] == str(known.home).partition("[")[0]
        at = known.home
        assert at is not None
        serve201(link, {(at.component, at.variable, at.instance or ""): None if known.access == "W" else value_of(known)[0],
                        ("EVSE", "PhaseRotation", ""): "RTS"})
        value = None if known.access == "W" else value_of(known)[1]
        assert answered(link, message) == ({key: (known.access == "R" or known.owner == "link", value)}, [])
    elif "Bridge16" in str(known.home):
        assert answered(link, message) == ({}, [key])
    else:
        assert answered(link, message)[0].keys() == {key} and len(link.calls(STATION)) == before


def test_named_keys_are_asked_in_pieces_and_told_in_order() -> None:
    link = station201([*every_row(), row("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", "4", "ReadOnly")])
    before = len(link.calls(STATION, "GetVariables"))
    names = ["heartbeatINTERVAL", "Nothing", "NumberOfConnectors", "ConnectionTimeOut", "ResetRetries", "Strange.Thing",
             "LocalPreAuthorize", "AllowOfflineTxForUnknownId"]
    message = link.call(CSMS, "GetConfiguration", {"key": names})
    serve201(link, {("OCPPCommCtrlr", "HeartbeatInterval", ""): "61", ("OCPPCommCtrlr", "ResetRetries", ""): "2",
                    ("AuthCtrlr", "LocalPreAuthorize", ""): "TRUE"})
    found, unknown = answered(link, message)
    assert list(found.items()) == [("heartbeatINTERVAL", (False, "61")), ("NumberOfConnectors", (True, "3")),
                                   ("ResetRetries", (False, "2")), ("LocalPreAuthorize", (False, "true"))]
    assert unknown == ["Nothing", "ConnectionTimeOut", "Strange.Thing", "AllowOfflineTxForUnknownId"]
    assert [len(one["getVariableData"]) for one in link.calls(STATION, "GetVariables")[before:]] == [4, 2]
    assert configured(link)[0]["HeartbeatInterval"] == (False, "61")        # what was told is the newest


@pytest.mark.parametrize(("key", "item"), [
    ("AcmeCtrlr.Colour[Left]", variable("AcmeCtrlr", "Colour", (), "Left")),
    ("EVSE@2.Power", variable("EVSE", "Power", (2,))), ("Connector@1/2.Available", variable("Connector", "Available", (1, 2))),
])
def test_any_variable_can_be_named(key: str, item: dict[str, Any]) -> None:
    link = station201(every_row())
    message = link.call(CSMS, "GetConfiguration", {"key": [key]})
    assert link.last(STATION, "GetVariables").payload == {"getVariableData": [item]}
    serve201(link, {(item["component"]["name"], item["variable"]["name"], item["variable"].get("instance", "")): "7"})
    assert answered(link, message) == ({key: (False, "7")}, [])
    message = changed(link, key, "8")
    assert link.last(STATION, "SetVariables").payload == {"setVariableData": [{**item, "attributeValue": "8"}]}
    as_said(link, "Accepted")
    assert status(link, message) == "Accepted"


def test_a_long_value_goes_on_in_further_keys() -> None:
    long = ",".join(f"Measurand{n:03d}" for n in range(100))
    link = station201(every_row())
    held = {("SampledDataCtrlr", "TxUpdatedMeasurands", ""): long, ("SecurityCtrlr", "OrganizationName", ""): "x" * 1200}
    message = link.call(CSMS, "GetConfiguration", {"key": ["MeterValuesSampledData", "CpoName"]})
    serve201(link, held)
    found, _ = answered(link, message)
    parts = [found[f"MeterValuesSampledData{end}"][1] or "" for end in ("", "#2", "#3")]
    assert ",".join(parts) == long and max(map(len, parts)) <= 500
    assert [found[f"CpoName{end}"] for end in ("", "#2", "#3")] == [
        (False, "x" * 500), (True, "x" * 500), (True, "x" * 200)]
    assert link.losses("shortened") == ["$.getVariableResult"] * 2
    message = link.call(CSMS, "GetConfiguration", {"key": ["MeterValuesSampledData#2", "MeterValuesSampledData#9"]})
    serve201(link, held)
    assert answered(link, message) == ({"MeterValuesSampledData#2": (True, parts[1])}, ["MeterValuesSampledData#9"])
    assert status(link, changed(link, "MeterValuesSampledData#2", "x")) == "NotSupported"


def test_a_station_that_fails_is_told_of() -> None:
    link = station201(every_row())
    message = link.call(CSMS, "GetConfiguration", {"key": ["ResetRetries"]})
    link.error(STATION, "InternalError", "broken")
    assert link.answered(message).code == "InternalError"
    message = link.call(CSMS, "GetConfiguration", {"key": ["ResetRetries"]})
    link.wait(30)
    assert link.answered(message).code == "GenericError"


def test_without_an_inventory_the_station_is_asked_when_the_csms_asks() -> None:
    link = Bridged(DOWN)
    message = link.call(CSMS, "GetConfiguration")
    serve201(link, {("OCPPCommCtrlr", "HeartbeatInterval", ""): "60", ("SmartChargingCtrlr", "Available", ""): "true"})
    found, _ = answered(link, message)
    assert found["HeartbeatInterval"] == (False, "60")
    assert found["SupportedFeatureProfiles"] == (True, "Core,FirmwareManagement,SmartCharging,RemoteTrigger")
    assert found["NumberOfConnectors"] == (True, "1") and "$.configurationKey" in link.losses("invented")


# ---- writing ----

@pytest.mark.parametrize("key", list(keys()))
def test_every_key_is_written_to_its_home(key: str) -> None:
    link = station201(every_row(), link_settings="forward")
    known = keys()[key]
    special = {"AuthorizationKey": b"0123456789abcdef".hex(), "ConnectorPhaseRotation": "0.SRT,1.TRS"}
    value = special.get(key, value_of(known)[1])
    message = changed(link, key, value)
    if known.access == "R":
        assert status(link, message) == ("NotSupported" if key == "StopTransactionMaxMeterValues" else "Rejected")
        assert sets(link) == []
    elif "Bridge16" in str(known.home):
        assert status(link, message) == "NotSupported" and sets(link) == []
    else:
        as_said(link, "RebootRequired")
        assert status(link, message) == "RebootRequired"
        home = str(known.home).partition("[")[0]
        want = {"AuthorizationKey": {home: "0123456789abcdef"},
                "ConnectorPhaseRotation": {home: "SRT", "EVSE/1.PhaseRotation": "TRS"}}
        assert sets(link) == [want.get(key, dict.fromkeys([home, *map(str, known.also_set)], value))]
    link.settled()


def test_s43_the_sample_interval_is_two_variables_and_the_worst_status_counts() -> None:
    link = station201(every_row())
    message = changed(link, "MeterValueSampleInterval", "30")
    assert sets(link) == [{"SampledDataCtrlr.TxUpdatedInterval": "30", "SampledDataCtrlr.TxEndedInterval": "30"}]
    as_said(link, "Accepted", "RebootRequired")
    assert status(link, message) == "RebootRequired"
    assert configured(link)[0]["MeterValueSampleInterval"] == (False, "30")
    link.settled()


@pytest.mark.parametrize(("said", "told"), [
    (("Accepted", "Rejected"), "Rejected"), (("UnknownVariable", "Accepted"), "NotSupported"),
    (("NotSupportedAttributeType", "Rejected"), "Rejected"),
])
def test_s43_when_one_is_refused_the_other_is_set_back(said: tuple[str, ...], told: str) -> None:
    link = station201(every_row())
    message = changed(link, "MeterValueSampleInterval", "30")
    as_said(link, *said)
    if "Accepted" in said:
        place = f"SampledDataCtrlr.{('TxUpdatedInterval', 'TxEndedInterval')[said.index('Accepted')]}"
        assert sets(link)[1:] == [{place: "6"}]
        as_said(link, "Accepted")
    assert status(link, message) == told and link.findings == []
    assert configured(link)[0]["MeterValueSampleInterval"] == (False, "6")
    link.settled()


def test_s43_what_cannot_be_set_back_is_told() -> None:
    link = station201(every_row())
    message = changed(link, "MeterValueSampleInterval", "30")
    as_said(link, "Accepted", "Rejected")
    as_said(link, "Rejected")
    assert status(link, message) == "Rejected" and link.findings == ["half-set"]
    assert configured(link)[0]["MeterValueSampleInterval"] == (False, "30")


def test_former_values_that_are_not_known_are_asked_for_first() -> None:
    link = Bridged(DOWN)
    message = changed(link, "MeterValueSampleInterval", "30")
    assert len(link.last(STATION, "GetVariables").payload["getVariableData"]) == 2
    serve_old = {("SampledDataCtrlr", one, ""): "15" for one in ("TxUpdatedInterval", "TxEndedInterval")}
    serve201(link, serve_old, lambda item: "Accepted" if item["variable"]["name"] == "TxUpdatedInterval" else "Rejected")
    assert status(link, message) == "Rejected"
    assert link.calls(STATION, "SetVariables")[1]["setVariableData"] == [
        variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="15")]


def test_a_station_that_takes_one_at_once_gets_one_after_the_other() -> None:
    link = station201([*every_row(), row("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", "1", "ReadOnly")])
    message = changed(link, "ClockAlignedDataInterval", "900")
    as_said(link, "Accepted")
    as_said(link, "Accepted")
    assert status(link, message) == "Accepted"
    assert sets(link) == [{"AlignedDataCtrlr.Interval": "900"}, {"AlignedDataCtrlr.TxEndedInterval": "900"}]


def test_samples_of_the_end_are_left_where_none_are_collected() -> None:
    link = station201([one for one in every_row() if name(one) != "SampledDataCtrlr.TxEndedMeasurands"] + [
        row("SampledDataCtrlr.TxEndedMeasurands", "", "ReadWrite", (), 319)])
    changed(link, "MeterValueSampleInterval", "30")
    assert sets(link) == [{"SampledDataCtrlr.TxUpdatedInterval": "30"}]


def test_what_cannot_be_set_besides_is_left_and_told() -> None:
    rows = [one for one in every_row() if one["variable"]["name"] != "TxStartedMeasurands"]
    link = station201([*rows, row("SampledDataCtrlr.TxStartedMeasurands", REGISTER, "ReadOnly")])
    message = changed(link, "MeterValuesSampledData", "Voltage")
    assert sets(link) == [{"SampledDataCtrlr.TxUpdatedMeasurands": "Voltage"}] and "$.value" in link.losses("dropped")
    as_said(link, "Accepted")
    assert status(link, message) == "Accepted"


def test_the_register_stays_among_what_begins_and_ends_a_transaction() -> None:
    link = station201(every_row())
    changed(link, "MeterValuesSampledData", "Voltage.L1,Voltage.L2,SoC")
    assert sets(link) == [{"SampledDataCtrlr.TxUpdatedMeasurands": "Voltage,SoC",
                           "SampledDataCtrlr.TxStartedMeasurands": f"{REGISTER},Voltage,SoC"}]
    as_said(link, "Accepted")
    assert configured(link)[0]["MeterValuesSampledData"] == (False, "Voltage.L1,Voltage.L2,SoC")      # as it was written
    changed(link, "StopTxnSampledData", "")
    assert sets(link)[1] == {"SampledDataCtrlr.TxEndedMeasurands": REGISTER}
    as_said(link, "Accepted")


@pytest.mark.parametrize(("key", "told"), [
    ("Nothing", "NotSupported"), ("NumberOfConnectors", "Rejected"), ("HeartbeatInterval", "Rejected"),
    ("AuthorizationKey", "Rejected"), ("SecurityProfile", "Rejected"), ("WebSocketPingInterval", "Rejected"),
    ("SecurityCtrlr.BasicAuthPassword", "Rejected"), ("ocppcommctrlr.networkconfigurationpriority", "Rejected"),
    ("MinimumStatusDuration", "NotSupported"), ("Bridge16", "NotSupported"),
])
def test_the_station_is_not_asked_for_what_cannot_be(key: str, told: str) -> None:
    link = station201([row("OCPPCommCtrlr.HeartbeatInterval", "60", "ReadOnly")])
    before = len(link.calls(STATION))
    assert status(link, changed(link, key, "30313233343536373839303132333435")) == told and len(link.calls(STATION)) == before


def test_a_password_stands_in_no_finding_no_ledger_and_no_state() -> None:
    link = station201(every_row(), link_settings="forward")
    secret = "0123456789abcdef"
    for key, value in (("AuthorizationKey", secret.encode().hex()), ("SecurityCtrlr.BasicAuthPassword", secret)):
        message = changed(link, key, value)
        as_said(link, "Accepted")
        assert status(link, message) == "Accepted"
    assert status(link, changed(link, "AuthorizationKey", "00" * 16)) == "Rejected"
    told = repr(link.stage.played.findings) + repr(link.stage.played.losses) + repr(bytes(link.state.device))
    assert secret not in told and secret.encode().hex() not in told


@pytest.mark.parametrize(("value", "told"), [("2.RST,3.TRS", "Accepted"), ("9.RST", "Rejected"), ("", "Rejected")])
def test_the_rotation_of_connectors_goes_where_the_station_has_it(value: str, told: str) -> None:
    link = station201([*every_row(), row("Connector.PhaseRotation", "RST", "ReadWrite", (1, 2))])
    message = changed(link, "ConnectorPhaseRotation", value)
    if told == "Accepted":
        link.answer(STATION, {"getVariableResult": [                        # what it may have to be set back to
            variable("EVSE", "PhaseRotation", (2,), attributeStatus="Accepted", attributeValue="RST")]}, "GetVariables")
        assert sets(link) == [{"Connector/1/2.PhaseRotation": "RST", "EVSE/2.PhaseRotation": "TRS"}]
        as_said(link, "Accepted")
    assert status(link, message) == told


def test_a_station_that_does_not_answer_a_change() -> None:
    link = station201(every_row())
    message = changed(link, "ResetRetries", "3")
    link.error(STATION, "NotImplemented", "no")
    assert link.answered(message).code == "NotImplemented"
    message = changed(link, "ResetRetries", "3")
    link.wait(30)
    assert link.answered(message).code == "GenericError"
    link.open[STATION].clear()
    link.settled()


def test_keys_that_are_too_long_are_refused() -> None:
    link = Bridged(DOWN)
    assert link.answered(link.call(CSMS, "GetConfiguration", {"key": ["A" * 51]})).code == "PropertyConstraintViolation"
    assert status(link, changed(link, "A" * 51, "1")) == "NotSupported" and link.calls(STATION) == []


def test_why_a_station_refuses_stands_in_the_ledger() -> None:
    link = station201(every_row())
    info = {"attributeStatusInfo": {"reasonCode": "Busy"}}
    at = variable("OCPPCommCtrlr", "ResetRetries")
    message = changed(link, "ResetRetries", "3")
    link.answer(STATION, {"setVariableResult": [{**at, **info, "attributeStatus": "Rejected"}]}, "SetVariables")
    assert status(link, message) == "Rejected"
    link.call(CSMS, "GetConfiguration", {"key": ["ResetRetries"]})
    link.answer(STATION, {"getVariableResult": [{**at, **info, "attributeStatus": "UnknownVariable"}]}, "GetVariables")
    assert link.losses("dropped")[-2:] == [
        "$.setVariableResult[0].attributeStatusInfo", "$.getVariableResult[0].attributeStatusInfo"]
    assert configured(link)[0].get("ResetRetries") is None
