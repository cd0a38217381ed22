"""The table between 2.1 and 2.0.1 against the official schemas: it has no fault, and each fault in it is found; its pages."""

from typing import Any

import msgspec
import pytest
from ocpp_proxy_plugins.bridge import check
from ocpp_proxy_plugins.bridge.explain import explain
from ocpp_proxy_plugins.bridge.near_check import near_faults
from ocpp_proxy_plugins.bridge.near_differences import differences
from ocpp_proxy_plugins.bridge.near_rows import NEAR, NearTables, near

from ocpp_proxy.model import Side
from ocpp_proxy.spec import actions


def test_the_table_has_no_fault() -> None:
    assert near_faults() == []


def test_its_faults_are_those_of_all_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "near_faults", lambda: ["one of the near table"])
    assert check.faults() == ["one of the near table"]


def spoilt(*path: Any, to: Any = None, where: str = "down") -> list[str]:
    """What is found when one place of the table is left out, or says something else."""
    plain: Any = msgspec.json.decode(msgspec.json.encode(near()))
    part = plain[where]
    for step in path[:-1]:
        part = part[step]
    if to is None:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return near_faults(msgspec.convert(plain, NearTables))


def row(kind: str) -> int:
    return next(at for at, one in enumerate(near().down.value) if one.type == kind)


@pytest.mark.parametrize(("path", "to", "told"), [
    (("value", row("TriggerReasonEnumType"), "to", "TxResumed"), None, "triggerReason TxResumed goes nowhere"),
    (("value", row("TriggerReasonEnumType"), "to", "TxResumed"), "Nothing", "Nothing is no value of TriggerReasonEnumType"),
    (("value", row("TriggerReasonEnumType"), "to", "Trigger"), "Trigger", "Trigger is no value that only OCPP 2.1 has"),
    (("value", row("ResetEnumType")), None, "type has values of no row: ResetEnumType"),
    (("value", row("LogEnumType"), "why"), None, "nothing says why DataCollectorLog has no counterpart"),
    (("value", row("MeasurandEnumType"), "others"), "", "goes nowhere"),
    (("value", row("IdTokenEnumType"), "others"), "", "any other text goes nowhere (IdTokenEnumType)"),
    (("value", row("ConnectorEnumType"), "others"), "alias", "is no token, and yet a short name stands for it"),
    (("value", row("ConnectorEnumType"), "others"), "guess", "guess is nothing that can be done"),
    (("value", row("LogEnumType"), "type"), "LogStatusEnumType", "value: LogStatusEnumType is nothing that differs"),
    (("length", "FirmwareType.location"), None, "firmware.location may be longer than 512 characters"),
    (("length", "FirmwareType.location"), "alias", "is no token, and yet a short name stands for it"),
    (("length", "FirmwareType.signature"), "cut", "length: FirmwareType.signature is nothing that differs"),
    (("number", "ACChargingParametersType.evMinCurrent"), None, "evMinCurrent has to be a whole number"),
    (("fill", "SignedMeterValueType.publicKey"), None, "signedMeterValue.publicKey is required and comes from nowhere"),
    (("fill", "NetworkConnectionProfileType.ocppVersion"), "OCPP99", "is made up as 'OCPP99', which is none of its values"),
    (("field", 0, "name"), "ChargingScheduleType.id", "field: ChargingScheduleType.id is nothing that differs"),
    (("empties",), ["MeterValueType.timestamp"], "empties: MeterValueType.timestamp is no list"),
    (("items", "SetVariables", "results"), "nothing", "items of SetVariables: nothing is no list"),
    (("refusal", "Heartbeat"), {"status": "Rejected"}, "refusal of Heartbeat, OCPP 2.1:"),
    (("refusal", "GetTariffs"), {}, "refusal of GetTariffs, which OCPP 2.0.1 does not have"),
    (("local", "GetTariffs"), None, "GetTariffs is only in OCPP 2.1, and nothing says what becomes of it"),
    (("local", "GetTariffs", "answer", "status"), "Fine", "GetTariffs: $.status"),
    (("local", "GetTariffs"), {}, "GetTariffs needs an answer, or an error"),
    (("local", "BatterySwap", "error"), "Never", "BatterySwap: Never is no code of OCPP 2.1"),
    (("local", "Reset"), {"error": "NotSupported"}, "Reset is no action that only OCPP 2.1 has"),
    (("send", "NotifyPeriodicEventStream"), None, "NotifyPeriodicEventStream is only in OCPP 2.1"),
])
def test_each_fault_is_found(path: tuple[Any, ...], to: Any, told: str) -> None:
    found = spoilt(*path, to=to)
    assert any(told in fault for fault in found), found


def test_the_one_field_that_2_1_demands_has_to_come_from_somewhere() -> None:
    (found,) = spoilt("fill", "VariableMonitoringType.eventNotificationType", where="up")
    assert found == ("2.0.1 to 2.1 NotifyMonitoringReport: monitor[].variableMonitoring[].eventNotificationType is required and"
                     " comes from nowhere")


def test_towards_2_1_only_one_field_differs() -> None:
    both = actions.known("2.1") & actions.known("2.0.1")
    found = [one for action in both for answer in (False, True) for one in differences("2.0.1", action, answer)]
    assert [(one.kind, one.holder) for one in found] == [("required", "VariableMonitoringType.eventNotificationType")]


# ---- what a person reads ----

def test_a_page_says_what_is_not_the_same() -> None:
    assert explain("Reset", "2.0.1:2.1") == """Reset, from the CSMS    (station 2.0.1, CSMS 2.1)
  becomes Reset to the station, OCPP 2.0.1: what both versions have goes as it is
  Fields:
    type: by the table ResetEnumType
  Table ResetEnumType:
    ImmediateAndResume -> Immediate
"""
    page = explain("SetChargingProfile", "2.0.1:2.1")
    assert "    lost: chargingProfile.dynUpdateTime: no such field in OCPP 2.0.1\n" in page
    assert "chargingSchedule[].useLocalTime: the message is refused (unless false): " in page
    assert '  Answered, where it cannot be said: {"status":"Rejected"}\n' in page
    page = explain("TransactionEvent", "2.1:2.0.1")
    assert '    invented: meterValue[].sampledValue[].signedMeterValue.publicKey: "", where it is missing\n' in page
    assert "    Upstream: its item is left out: no such location" in page
    assert "  Answered one by one, where they cannot be said: setVariableData" in explain("SetVariables", "2.0.1:2.1")


def test_actions_of_2_1_alone_have_a_page() -> None:
    assert explain("SetDefaultTariff") == explain("SetDefaultTariff", "2.0.1:2.1") == """\
SetDefaultTariff, from the CSMS    (station 2.0.1, CSMS 2.1)
  is answered by the bridge
  OCPP 2.0.1 has no SetDefaultTariff
  Answered: {"status":"Rejected"}
"""
    assert "  Answered: CALLERROR NotSupported\n" in explain("BatterySwap")
    assert "goes nowhere: OCPP 2.0.1 has no streams of events" in explain("NotifyPeriodicEventStream")


@pytest.mark.parametrize("direction", NEAR)
def test_every_action_has_a_page_and_every_difference_stands_on_it(direction: str) -> None:
    station, _, csms = direction.partition(":")
    for version, side in ((station, Side.STATION), (csms, Side.CSMS)):
        for action in actions.known(version):
            if actions.direction(version, action) in (side, "both"):
                page = explain(action, direction)
                assert all(one.path in page for one in differences(version, action, False))


def test_a_name_that_is_none_is_told_with_what_was_meant() -> None:
    with pytest.raises(ValueError, match=r"did you mean GetTariffs\?"):
        explain("GetTarifs")
    with pytest.raises(ValueError, match=r"no action 'GetTariffs' in the direction 2\.1:2\.0\.1"):
        explain("GetTariffs", "2.1:2.0.1")
