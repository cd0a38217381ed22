"""What a 1.6 CSMS is told of the connectors of a 2.0.1 station, however the station says it; and meter values."""

from typing import Any

import pytest
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.kept import Connector, Reservation
from ocpp_proxy_plugins.bridge.meter_down import meter_values, written
from ocpp_proxy_plugins.bridge.notices_down import cut
from ocpp_proxy_plugins.bridge.registers_down import begun, ended, rounded

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.downward import REGISTER, at, event, linked, meter, quiet, said, sample, started, statuses
from tests.plugins.bridge.messages import Ledger

TIME = "2027-01-15T08:00:00.000Z"


def reports(link: Bridged, status: str, evse: int = 1, conn: int = 1) -> dict[str, Any]:
    """The station reports a status; what the CSMS is told."""
    asked = link.call(STATION, "StatusNotification", {
        "timestamp": TIME, "connectorStatus": status, "evseId": evse, "connectorId": conn})
    told = link.answer(CSMS, {}, "StatusNotification").payload
    assert link.answered(asked).payload == {}
    return told


def notifies(link: Bridged, variable: str, value: str, evse: int | None = 1, conn: int | None = 1, component: str = "Connector",
             **more: Any) -> None:
    """The station monitors that."""
    where = {} if evse is None else {"evse": {"id": evse, **({"connectorId": conn} if conn else {})}}
    asked = link.call(STATION, "NotifyEvent", {"generatedAt": TIME, "seqNo": 0, "eventData": [{
        "eventId": 1, "timestamp": TIME, "trigger": "Delta", "actualValue": value, "eventNotificationType": "HardWiredMonitor",
        "component": {"name": component, **where}, "variable": {"name": variable}, **more}]})
    assert link.answered(asked).payload == {}
    quiet(link)


@pytest.mark.parametrize("status", ["Available", "Reserved", "Unavailable"])
def test_statuses_that_are_the_same(status: str) -> None:
    link = linked()
    assert reports(link, status) == {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": TIME}
    link.settled()


def test_what_a_status_has_besides_is_told_as_lost() -> None:
    link = linked()
    link.call(STATION, "StatusNotification", {
        "timestamp": TIME, "connectorStatus": "Available", "evseId": 1, "connectorId": 1, "customData": {"vendorId": "x"}})
    quiet(link)
    assert link.losses() == ["$.customData"]
    link.settled()


def test_occupied_is_what_the_transaction_says() -> None:
    link = linked()
    reports(link, "Available")
    assert reports(link, "Occupied")["status"] == "Preparing"
    started(link)
    assert reports(link, "Occupied")["status"] == "Charging"
    said(link, event("Updated", 1, 5, "ChargingStateChanged", "SuspendedEVSE"))
    quiet(link)
    assert reports(link, "Occupied")["status"] == "SuspendedEVSE"
    said(link, event("Ended", 2, 9, meterValue=meter(9, sample(5))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    link.again()
    assert reports(link, "Occupied")["status"] == "Finishing"
    assert reports(link, "Available")["status"] == "Available"
    assert reports(link, "Occupied")["status"] == "Preparing"
    link.settled()


def test_a_connector_that_is_free_before_its_transaction_ends_stays_free() -> None:
    link = linked()
    started(link)
    reports(link, "Available")
    said(link, event("Ended", 1, 9, meterValue=meter(9, sample(5))))
    link.answer(CSMS, {}, "StopTransaction")
    assert statuses(link)[-1] == (1, "Available")
    link.settled()


@pytest.mark.parametrize(("payload", "code"), [
    ({"evseId": 0, "connectorId": 1, "connectorStatus": "Available"}, "PropertyConstraintViolation"),
    ({"evseId": 1, "connectorStatus": "Available"}, "PropertyConstraintViolation"),
    ({"evseId": 1, "connectorId": 1, "connectorStatus": "Odd"}, "PropertyConstraintViolation"),
])
def test_what_is_no_status_is_refused(payload: dict[str, Any], code: str) -> None:
    link = linked()
    assert link.answered(link.call(STATION, "StatusNotification", {"timestamp": TIME, **payload})).code == code
    assert link.calls(CSMS) == []


def test_s48_events_that_1_6_has_no_word_for_stay_here() -> None:
    link = linked()
    notifies(link, "Temperature", "80", component="TemperatureSensor")
    assert link.calls(CSMS) == [] and link.losses() == ["$"]
    asked = link.call(STATION, "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}})
    assert link.answered(asked).payload["status"] == "Rejected"
    link.settled()


def test_a_station_may_report_its_connectors_by_events_only() -> None:
    link = linked()
    notifies(link, "AvailabilityState", "Available")
    notifies(link, "AvailabilityState", "Occupied")
    started(link)
    notifies(link, "AvailabilityState", "Unavailable", evse=2, conn=None, component="EVSE")
    notifies(link, "AvailabilityState", "Faulted", evse=None, component="ChargingStation")
    assert statuses(link) == [(1, "Available"), (1, "Preparing"), (1, "Charging"), (2, "Unavailable"), (0, "Faulted")]
    assert {"$.generatedAt", "$.eventData[0].eventId", "$.eventData[0].trigger"} < set(link.losses("dropped"))
    assert link.calls(CSMS, "StatusNotification")[-1]["errorCode"] == "OtherError"
    link.settled()


def test_a_problem_is_a_fault_with_its_code_until_it_is_over() -> None:
    link = linked()
    reports(link, "Occupied")
    text = "the residual current device has opened and stays open until someone comes"
    notifies(link, "Problem", "true", techCode="CX002", techInfo=text)
    assert link.calls(CSMS)[-1] == {
        "connectorId": 1, "errorCode": "GroundFailure", "status": "Faulted", "timestamp": TIME, "vendorErrorCode": "CX002",
        "info": "the residual current device has opened and stays"}
    assert link.losses("shortened") == ["$.eventData[0].techInfo"]
    assert reports(link, "Faulted")["errorCode"] == "GroundFailure"
    notifies(link, "Problem", "false", cleared=True)
    assert statuses(link)[-1] == (1, "Available")
    notifies(link, "Problem", "true")
    assert link.calls(CSMS)[-1]["errorCode"] == "OtherError"
    assert reports(link, "Available")["errorCode"] == "NoError"
    link.settled()


def test_a_part_with_a_problem_says_what_the_fault_is() -> None:
    link = linked()
    notifies(link, "Problem", "true", component="ConnectorPlugRetentionLock")
    assert link.calls(CSMS) == []
    assert reports(link, "Faulted")["errorCode"] == "ConnectorLockFailure"
    link.settled()


def test_an_evse_with_several_connectors_says_only_what_holds_for_each() -> None:
    link = linked()
    reports(link, "Available", 1, 1)
    reports(link, "Available", 1, 2)
    before = len(link.calls(CSMS))
    notifies(link, "AvailabilityState", "Occupied", conn=None, component="EVSE")
    assert len(link.calls(CSMS)) == before
    notifies(link, "Problem", "true", conn=None, component="EVSE")
    assert statuses(link)[-2:] == [(1, "Faulted"), (2, "Faulted")]
    link.settled()


def test_the_end_of_a_reservation_frees_the_connector_where_the_station_does_not_say_so() -> None:
    for says in (False, True):
        state = Bridge.State(connectors=(Connector(1, 1, 1, "Reserved", "Reserved"),), reservations=(Reservation(5, 1),))
        link = linked(state=state)
        asked = link.call(STATION, "ReservationStatusUpdate", {"reservationId": 5, "reservationUpdateStatus": "Expired"})
        assert link.answered(asked).payload == {} and link.state.reservations == ()
        if says:
            reports(link, "Available")
        link.wait(4)
        quiet(link)
        assert statuses(link) == [(1, "Available")]
        link.settled()


def test_meter_values_outside_a_transaction() -> None:
    link = linked()
    reports(link, "Available", 1, 1)
    reports(link, "Occupied", 1, 2)
    started(link, conn=2)
    for evse, connector in ((0, 0), (1, 2), (7, 3)):
        asked = link.call(STATION, "MeterValues", {"evseId": evse, "meterValue": meter(1, sample(5, "Sample.Clock"))})
        assert link.answer(CSMS, {}, "MeterValues").payload == {"connectorId": connector, "meterValue": [{
            "timestamp": at(1), "sampledValue": [{"value": "5", "measurand": REGISTER, "context": "Sample.Clock"}]}]}
        assert link.answered(asked).payload == {}
    asked = link.call(STATION, "MeterValues", {"evseId": -1, "meterValue": meter(1, sample(5))})
    assert link.answered(asked).code == "PropertyConstraintViolation"
    asked = link.call(STATION, "MeterValues", {"evseId": 1, "meterValue": meter(1, sample(5, measurand="Energy.Active.Net"))})
    assert link.answered(asked).payload == {} and len(link.calls(CSMS, "MeterValues")) == 3
    link.settled()


@pytest.mark.parametrize(("value", "exponent", "text"), [
    (230.0, 0, "230"), (0.1, 0, "0.1"), (-5, 0, "-5"), (1e-07, 0, "0.0000001"), (1e22, 0, "10000000000000000000000"),
    (1.5, 3, "1500"), (1234, -3, "1.234"), (0, 3, "0"), (1.10, 1, "11"), (float("inf"), 0, ""), (float("nan"), 2, ""),
    (12300, -2, "123"), (-0.0, 0, "-0"),
])
def test_the_shortest_text_of_a_number(value: float, exponent: int, text: str) -> None:
    assert written(value, exponent) == text


@pytest.mark.parametrize(("unit", "told"), [
    ({"unit": "Wh"}, ("5", "Wh")), ({"unit": "kWh", "multiplier": 2}, ("500", "kWh")), ({"unit": "MWh"}, ("5000", "kWh")),
    ({"unit": "mA"}, ("0.005", "A")), ({"unit": "celcius"}, ("5", "Celsius")), ({"unit": "Hz"}, ("5", None)),
    ({"unit": "mWh"}, ("0.005", "Wh")), ({"unit": "GWh"}, ("5000000", "kWh")), ({"unit": "Mvarh"}, ("5000", "kvarh")),
    ({"unit": "mW"}, ("0.005", "W")), ({"unit": "MW"}, ("5000", "kW")), ({"unit": "MVA"}, ("5000", "kVA")),
    ({"unit": "Mvar"}, ("5000", "kvar")), ({"unit": "kA"}, ("5000", "A")), ({"unit": "mV"}, ("0.005", "V")),
    ({"unit": "kV"}, ("5000", "V")), ({"unit": "kHz"}, ("5000", None)), ({"unit": "mHz"}, ("0.005", None)),
    ({"unit": "%"}, ("5", "Percent")), ({"multiplier": 1}, ("50", None)), ({"unit": "wh"}, ("5", "Wh")), ({}, ("5", None)),
    ({"unit": "furlong"}, None), ({"unit": 7}, None), ({"unit": "Wh", "multiplier": 99}, None),
])
def test_units_are_those_of_1_6(unit: dict[str, Any], told: tuple[str, str | None] | None) -> None:
    notes = Ledger()
    made = meter_values([{"timestamp": TIME, "sampledValue": [{"value": 5, "unitOfMeasure": unit}]}], notes, "m")
    if told is None:
        assert made == [] and notes.paths == ["m[0].sampledValue[0]"]
    else:
        only = made[0]["sampledValue"][0]
        assert (only["value"], only.get("unit")) == told


def test_what_a_sample_has_besides_is_told_each_time() -> None:
    notes = Ledger()
    more = {"value": 5, "context": "Trigger", "phase": "L9", "unitOfMeasure": {"unit": "V", "customData": {"vendorId": "x"}},
            "strange": 1}
    for number in (1, 2):
        made = meter_values([{"timestamp": TIME, "sampledValue": [more], "other": 1}], notes, "m")
        assert made == [{"timestamp": TIME, "sampledValue": [{"value": "5", "context": "Trigger", "unit": "V"}]}]
        assert notes.paths == number * [
            "m[0].sampledValue[0].phase", "m[0].sampledValue[0].strange", "m[0].sampledValue[0].unitOfMeasure.customData",
            "m[0].other"]


def test_signed_data_is_a_sample_of_its_own_and_never_altered() -> None:
    notes = Ledger()
    signed = {"signedMeterData": "T0NNRnx7fQ==", "signingMethod": "ECDSA", "encodingMethod": "OCMF", "publicKey": ""}
    both = {"value": 5, "context": "Transaction.Begin", "unitOfMeasure": {"unit": "kWh"}, "signedMeterValue": signed}
    made = meter_values([{"timestamp": TIME, "sampledValue": [both]}], notes, "m")
    assert made[0]["sampledValue"] == [
        {"value": "5", "context": "Transaction.Begin", "unit": "kWh"},
        {"value": "T0NNRnx7fQ==", "context": "Transaction.Begin", "unit": "kWh", "format": "SignedData"}]
    assert notes.paths == [f"m[0].sampledValue[0].signedMeterValue.{name}" for name in ("signingMethod", "encodingMethod")]
    long = {**both, "signedMeterValue": {"signedMeterData": "x" * 2501}}
    notes = Ledger()
    made = meter_values([{"timestamp": TIME, "sampledValue": [long]}], notes, "m")
    assert len(made[0]["sampledValue"]) == 1 and "x" * 2501 in notes.told[0][1]


@pytest.mark.parametrize("values", [
    [None], [{}], [{"timestamp": TIME, "sampledValue": "x"}], [{"timestamp": TIME, "sampledValue": [None, {}, {"value": "5"}]}],
    [{"timestamp": "then", "sampledValue": [{"value": 5}]}], [{"timestamp": TIME, "sampledValue": [{"value": True}]}],
    [{"timestamp": TIME, "sampledValue": [{"value": 5, "measurand": []}]}],
])
def test_what_is_no_meter_value_is_left_out_and_told(values: list[Any]) -> None:
    notes = Ledger()
    assert meter_values(values, notes, "m") == [] and notes.told
    assert begun(values, TIME) is None or values[0]["timestamp"] == "then"


def test_registers_are_taken_where_they_are_marked() -> None:
    values = [*meter(1, sample(10, "Transaction.Begin")), *meter(9, sample(99, "Sample.Clock"), sample(90, "Transaction.End"))]
    assert begun(values, at(9)) == 10 and ended(values) == 90
    late = meter(9, sample(99), sample(98))
    assert begun(late, at(5)) == 99 and begun([*late, *meter(7, sample(97))], at(5)) == 97
    assert [rounded(one) for one in (0.5, 1.5, -0.5, 2.4999)] == [1, 2, -1, 2]


@pytest.mark.parametrize(("text", "short"), [
    ("short", "short"), ("a" * 60, "a" * 50), ("word " * 12, "word word word word word word word word word word"),
])
def test_a_text_is_cut_at_a_word(text: str, short: str) -> None:
    assert cut(text) == short


def test_a_status_that_a_transaction_says_names_its_event() -> None:
    link = linked()
    started(link)
    said(link, event("Updated", 1, 5, state="SuspendedEV", meterValue=meter(5, sample(1500))))
    link.answer(CSMS, {}, "MeterValues")
    quiet(link)
    number = next(one.number for one in link.said if one.payload.get("seqNo") == 1)
    made = [one.told.action for one in link.made if one.cause == number]
    assert sorted(made) == ["MeterValues", "StatusNotification"]
    link.settled()
