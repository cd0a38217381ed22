"""What a 1.6 station measures, as a 2.0.1 CSMS is told it: numbers, units, signed data, and to which transaction it belongs."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.test_up_charging import END, LATER, START, ended, measured, started

PHASE = {"measurand": "Current.Import", "phase": "L1", "unit": "A"}


def told(link: Bridged, *samples: dict[str, Any], tid: int | None = None, connector: int = 1) -> list[dict[str, Any]]:
    """The samples that the CSMS is told of those; it takes them."""
    payload: dict[str, Any] = {"connectorId": connector, "meterValue": [{"timestamp": LATER, "sampledValue": list(samples)}]}
    if tid is not None:
        payload["transactionId"] = tid
    asked = link.call(STATION, "MeterValues", payload)
    found: list[dict[str, Any]] = link.answer(CSMS).payload["meterValue"][0]["sampledValue"]
    assert link.answered(asked).payload == {}
    return found


@pytest.mark.parametrize(("sample", "made"), [
    ({"value": "16.0", **PHASE}, {"value": 16, "measurand": "Current.Import", "phase": "L1", "unitOfMeasure": {"unit": "A"}}),
    ({"value": "12.345", "unit": "kWh"}, {"value": 12.345, "unitOfMeasure": {"unit": "kWh"}}),
    ({"value": "-7.5", "measurand": "Power.Active.Import", "unit": "W"},
     {"value": -7.5, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}}),
    ({"value": "1e3"}, {"value": 1000}),
    ({"value": " 0.10 "}, {"value": 0.1}),
    ({"value": 42}, {"value": 42}),
    ({"value": "80", "measurand": "SoC", "unit": "Percent", "location": "EV", "format": "Raw"},
     {"value": 80, "measurand": "SoC", "location": "EV", "unitOfMeasure": {"unit": "Percent"}}),
    ({"value": "9007199254740993"}, {"value": 9007199254740993}),
])
def test_s11_numbers_and_units(sample: dict[str, Any], made: dict[str, Any]) -> None:
    link = Bridged()
    tid = started(link)
    found = told(link, sample, tid=tid)
    assert found == [made] and type(found[0]["value"]) is type(made["value"])
    assert link.losses() == []
    link.settled()


def test_s11_a_number_that_no_float_holds_is_told_as_shortened() -> None:
    link = Bridged()
    assert told(link, {"value": "0.12345678901234567890123"}, tid=started(link)) == [{"value": 0.12345678901234568}]
    assert link.losses("shortened") == ["$.meterValue[0].sampledValue[0].value"]
    link.settled()


@pytest.mark.parametrize("value", ["", "n/a", "NaN", "Infinity", "1,5", "1_000", "0x10", None, True, [], "9" * 400, "1e999"])
def test_s11_what_is_no_number_is_dropped_and_told(value: object) -> None:
    link = Bridged()
    assert told(link, {"value": value}, {"value": "1"}, tid=started(link)) == [{"value": 1}]
    assert link.losses() == ["$.meterValue[0].sampledValue[0]"]
    link.settled()


def test_s11_samples_that_are_none_raise_nothing() -> None:
    link = Bridged()
    tid = started(link)
    several: tuple[Any, ...] = (
        [7], [{"timestamp": LATER}], [{"timestamp": LATER, "sampledValue": [3, {"measurand": []}]}], "text", {})
    for broken in several:
        asked = link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": broken})
        assert link.answered(asked).payload == {}
    assert len(link.calls(CSMS)) == 1 and len(link.losses()) >= 5
    link.settled()


def test_s11_fields_that_do_not_exist_are_told_as_lost() -> None:
    link = Bridged()
    made = told(link, {
        "value": "1", "context": "Now and then", "phase": "L9", "location": 7, "unit": "x" * 21, "vendor": "thing",
    }, {"value": "2", "unit": "furlong"}, tid=started(link))
    assert made == [{"value": 1}, {"value": 2, "unitOfMeasure": {"unit": "furlong"}}]
    here = "$.meterValue[0].sampledValue[0]"
    assert sorted(link.losses()) == [f"{here}.{name}" for name in ("context", "location", "phase", "unit", "vendor")]
    link.settled()


def test_s12_signed_data_is_never_changed() -> None:
    link = Bridged()
    data = 'OCMF|{"FV":"1.0","RD":[{"TM":"2027-01-15T08:05:00,000+0000 S","RV":1.234}]}|{"SD":"30\u00e9=="}'
    made = told(link, {"value": data, "format": "SignedData", "context": "Transaction.Begin"}, tid=started(link))
    assert made == [{"value": 0, "context": "Transaction.Begin", "signedMeterValue": {
        "signedMeterData": data, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}}]
    assert link.losses("invented") == ["$.meterValue[0].sampledValue[0].value"]
    link.settled()


def test_s12_signed_data_that_is_too_long_is_dropped_as_a_whole() -> None:
    link = Bridged()
    assert told(link, {"value": "x" * 2501, "format": "SignedData"}, {"value": "1"}, tid=started(link)) == [{"value": 1}]
    assert link.losses() == ["$.meterValue[0].sampledValue[0]"]
    link.settled()


@pytest.mark.parametrize("measurand", ["Temperature", "RPM", "Vendor.Thing"])
def test_s13_measurands_that_2_0_1_does_not_have(measurand: str) -> None:
    link = Bridged()
    tid = started(link)
    asked = link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [
        measured("30", measurand=measurand, unit="Celcius")]})
    assert link.answered(asked).payload == {} and len(link.calls(CSMS)) == 1
    assert link.losses() == ["$.meterValue[0].sampledValue[0]"]
    link.settled()


def test_s14_clock_aligned_values_of_the_station() -> None:
    link = Bridged()
    asked = link.call(STATION, "MeterValues", {"connectorId": 0, "meterValue": [measured("70", context="Sample.Clock")]})
    assert link.calls(CSMS, "MeterValues") == [{
        "evseId": 0, "meterValue": [{"timestamp": LATER, "sampledValue": [{"value": 70, "context": "Sample.Clock"}]}]}]
    link.answer(CSMS)
    assert link.answered(asked).payload == {}
    link.settled()


def test_n07_values_without_a_transaction_and_none_is_open() -> None:
    link = Bridged()
    told(link, {"value": "1"}, connector=2)
    told(link, {"value": "2"}, connector=2, tid=0)
    assert [call["evseId"] for call in link.calls(CSMS, "MeterValues")] == [2, 2] and link.losses() == ["$.transactionId"]
    link.settled()


@pytest.mark.parametrize("tid", [None, 0, -1])
def test_n07_values_without_a_number_belong_to_the_open_transaction_of_the_connector(tid: int | None) -> None:
    link = Bridged()
    started(link, 1)
    other = started(link, 2)
    told(link, {"value": "1"}, connector=2, tid=tid)
    uids = {tx.tid: tx.uid for tx in link.state.charging.transactions}
    assert link.calls(CSMS)[-1]["transactionInfo"]["transactionId"] == uids[other]
    link.settled()


def test_n07_n15_values_of_a_transaction_that_has_ended_are_no_event_behind_its_end() -> None:
    link = Bridged()
    tid = started(link)
    ended(link, tid)
    told(link, {"value": "5000", "context": "Transaction.End"}, tid=tid)
    assert link.calls(CSMS)[-1]["evseId"] == 1 and "eventType" not in link.calls(CSMS)[-1]
    assert link.losses() == ["$.transactionId"]
    link.settled()


def test_n15_also_while_its_end_is_not_answered() -> None:
    link = Bridged()
    tid = started(link)
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 1})
    link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [measured(at=END)]})
    link.answer(CSMS)
    assert link.calls(CSMS)[-1].keys() == {"evseId", "meterValue"}
    link.answer(CSMS)
    link.settled()


@pytest.mark.parametrize(("sample", "unit"), [
    ({"measurand": "Frequency"}, "Hz"), ({"measurand": "Frequency", "unit": "Hertz"}, "Hz"),
    ({"unit": "Celcius"}, "Celsius"), ({"unit": "Celsius"}, "Celsius"), ({"unit": "Wh"}, "Wh"),
])
def test_n25_units_that_have_other_names(sample: dict[str, str], unit: str) -> None:
    link = Bridged()
    assert told(link, {"value": "50", **sample}, tid=started(link))[0]["unitOfMeasure"] == {"unit": unit}
    link.settled()


def test_several_values_stay_together_and_the_newest_time_counts() -> None:
    link = Bridged()
    tid = started(link)
    link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [
        measured("2", LATER, context="Sample.Clock"), measured("1", START)]})
    event = link.answer(CSMS).payload
    assert event["timestamp"] == LATER and event["triggerReason"] == "MeterValueClock"
    assert [value["timestamp"] for value in event["meterValue"]] == [LATER, START]
    link.settled()


def test_values_without_a_time_get_that_of_now() -> None:
    link = Bridged()
    tid = started(link)
    timeless = {"sampledValue": [{"value": "1"}]}
    link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [timeless]})
    link.answer(CSMS)
    assert link.losses("invented") == ["$.meterValue[0].timestamp"]
    link.settled()


def test_values_said_twice_are_told_once() -> None:
    link = Bridged()
    tid = started(link)
    payload = {"connectorId": 1, "transactionId": tid, "meterValue": [measured("7")]}
    link.call(STATION, "MeterValues", payload)
    link.answer(CSMS)
    again = link.call(STATION, "MeterValues", payload)
    assert link.answered(again).payload == {} and len(link.calls(CSMS)) == 2
    link.settled()


def test_s13_where_extra_data_is_wanted_it_goes_along() -> None:
    link = Bridged(options={"extra_data": True})
    tid = started(link)
    heat = {"value": "30", "measurand": "Temperature", "unit": "Celcius"}
    asked = link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [
        {"timestamp": LATER, "sampledValue": [heat, {"value": "1"}]}]})
    (value,) = link.answer(CSMS).payload["meterValue"]
    assert value["sampledValue"] == [{"value": 1}] and link.losses() == []
    assert value["customData"] == {"vendorId": "ocpp-proxy.bridge16", "sampledValue": [heat]}
    asked = link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [
        {"timestamp": LATER, "sampledValue": [heat]}]})
    assert link.answered(asked).payload == {} and link.losses() == ["$.meterValue[0].sampledValue"]
    link.settled()


@pytest.mark.parametrize("wanted", ["MeterValues", "TransactionEvent"])
def test_values_that_the_csms_asked_for_are_told_as_triggered(wanted: str) -> None:
    link = Bridged()
    tid = started(link)
    link.call(CSMS, "TriggerMessage", {"requestedMessage": wanted, "evse": {"id": 1}})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"requestedMessage": "MeterValues", "connectorId": 1}
    for value, trigger in (("1", "Trigger"), ("2", "MeterValuePeriodic")):
        link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": [measured(value)]})
        assert link.answer(CSMS).payload["triggerReason"] == trigger
    link.settled()
