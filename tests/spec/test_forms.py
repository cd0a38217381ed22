"""Forms made from the schemas: fields, texts to payload and back, what speaks against a message."""

import pytest

from ocpp_proxy.model import Side
from ocpp_proxy.spec import forms, schemas
from ocpp_proxy.spec.json_path import Step

VERSIONS = ("1.6", "2.0", "2.0.1", "2.1")


def names(version: str, action: str) -> list[str]:
    return [blank.name for blank in forms.blanks(version, action)]


def texts_of(value: object, path: tuple[Step, ...] = ()) -> dict[tuple[Step, ...], str]:
    """The texts a person would type for a payload of objects, lists of one item and plain values."""
    if isinstance(value, dict):
        return {key: text for name, inner in value.items() for key, text in texts_of(inner, (*path, name)).items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return texts_of(value[0], (*path, 0))
    if isinstance(value, bool):
        return {path: str(value).lower()}
    return {path: '""' if value == "" else "[]" if value == [] else "{}" if value == {} else str(value)}


def test_the_fields_of_a_command_required_ones_first() -> None:
    assert names("1.6", "RemoteStartTransaction")[:2] == ["idTag", "connectorId"]
    found = forms.blanks("2.0.1", "GetVariables")
    assert [(blank.name, blank.needed, blank.deep) for blank in found][:4] == [
        ("getVariableData[0].component.name", True, False), ("getVariableData[0].component.evse.id", False, True),
        ("getVariableData[0].component.evse.connectorId", False, True), ("getVariableData[0].component.instance", False, False)]
    assert forms.blanks("1.6", "Reset")[0].help.enum == ("Hard", "Soft")
    assert names("1.6", "ClearCache") == names("1.5", "Reset") == names("1.6", "NoSuch") == []
    assert not any("customData" in name for name in names("2.1", "SetChargingProfile"))


def test_common_commands_come_first_and_each_goes_to_its_side() -> None:
    found = forms.common("1.6")
    assert found[:3] == [("Reset", Side.STATION), ("TriggerMessage", Side.STATION), ("GetConfiguration", Side.STATION)]
    assert ("Heartbeat", Side.CSMS) in found and ("Heartbeat", Side.STATION) not in found
    assert found.count(("DataTransfer", Side.STATION)) == found.count(("DataTransfer", Side.CSMS)) == 1
    assert [name for name, _ in forms.common("2.0.1")[:4]] == ["Reset", "TriggerMessage", "GetVariables", "SetVariables"]
    assert forms.common("9") == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_typed_makes_the_payload_for_every_message_there_is(version: str) -> None:
    for action, answer in schemas.messages(version):
        made = forms.skeleton(version, action, answer)
        assert forms.payload_of(forms.blanks(version, action, answer), texts_of(made)) == made, action
        kinds = {fault.kind for fault in schemas.check(version, action, answer, made)}
        assert not kinds & {"required", "additional"}, (action, kinds)


def test_texts_become_values_of_the_field_s_type() -> None:
    fields = forms.blanks("1.6", "SetChargingProfile")
    typed = {blank.name: blank.path for blank in fields}
    payload = forms.payload_of(fields, {
        typed["connectorId"]: " 2 ", typed["csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit"]: "6.5",
        typed["csChargingProfiles.stackLevel"]: "many", typed["csChargingProfiles.validFrom"]: "  ",
    })
    assert payload == {"connectorId": 2, "csChargingProfiles": {
        "stackLevel": "many", "chargingSchedule": {"chargingSchedulePeriod": [{"limit": 6.5}]}}}
    key = forms.blanks("1.6", "GetConfiguration")
    assert forms.payload_of(key, {("key",): "HeartbeatInterval, Foo"}) == {"key": ["HeartbeatInterval", "Foo"]}
    assert forms.payload_of(key, {("key",): '["a,b"]'}) == {"key": ["a,b"]}
    assert forms.payload_of(key, {("key",): '["a'}) == {"key": '["a'}
    data = forms.blanks("1.6", "DataTransfer")
    assert forms.payload_of(data, {("vendorId",): "17", ("data",): '""'}) == {"vendorId": "17", "data": ""}
    change = forms.blanks("2.0.1", "SetMonitoringBase")[0].help
    assert forms.value_of(change, "All") == "All"


def test_what_speaks_against_a_message() -> None:
    assert forms.objections("1.6", "Reset", False, {"type": "Hard"}, Side.CSMS) == []
    assert forms.objections("1.6", "Reset", False, {"type": "Warm"}, Side.CSMS)[0].startswith("$.type: ")
    assert forms.objections("1.6", "Rset", False, {}) == ["OCPP 1.6 has no Rset; did you mean Reset?"]
    assert forms.objections("1.6", "Reset", False, {"type": "Hard"}, Side.STATION) == [
        "in OCPP 1.6 Reset is sent by the CSMS"]
    assert forms.objections("1.6", "Reset", True, {"status": "Accepted"}, Side.STATION) == []
    assert forms.objections("1.6", "DataTransfer", False, {"vendorId": "x"}, Side.STATION) == []
    assert forms.objections("", "Whatever", False, {}) == []
    assert len(forms.objections("1.6", "Reset", False, {"type": "Hard", **{f"x{at}": 1 for at in range(50)}})) == 20
