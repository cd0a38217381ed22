"""The gate: what leaves is valid; what can be repaired honestly is, and told; nothing else is changed."""

from copy import deepcopy
from typing import Any

import pytest
from ocpp_proxy_plugins.bridge.gate import FREE_TEXTS, fit

from ocpp_proxy.spec import actions
from ocpp_proxy.spec.schemas import check
from tests.plugins.bridge.messages import TIME, Ledger, full

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def fitted(version: str, action: str, payload: dict[str, Any]) -> tuple[dict[str, Any], list[str], Ledger]:
    """What comes out, the kinds of what is left wrong, and the ledger; what went in is as it was."""
    before, ledger = deepcopy(payload), Ledger()
    out, faults = fit(version, action, False, payload, ledger)
    assert payload == before
    return out, [f"{fault.kind} {fault.path}" for fault in faults], ledger


def test_a_valid_payload_comes_back_itself() -> None:
    for version in ("1.6", "2.0.1"):
        for action in sorted(actions.known(version)):
            for answer in (False, True):
                payload, ledger = full(version, action, answer), Ledger()
                out, faults = fit(version, action, answer, payload, ledger)
                assert out is payload
                assert (faults, ledger.told) == ((), [])


def test_what_the_errata_allow_is_valid() -> None:
    sample = {"value": "50", "measurand": "Frequency", "unit": "Hertz"}
    payload = {"connectorId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": [sample]}]}
    ledger = Ledger()
    assert fit("1.6", "MeterValues", False, payload, ledger) == (payload, ())
    assert fit("1.6", "MeterValues", False, payload, ledger)[0] is payload
    assert ledger.told == []


def test_unknown_fields_are_dropped() -> None:
    out, left, ledger = fitted("1.6", "StatusNotification", {**STATUS, "evse": {"id": 1}, "odd name": 1})
    assert (out, left) == (STATUS, [])
    assert sorted(ledger.told) == [
        ("$.evse", "no such field in this version", "dropped"), ('$["odd name"]', "no such field in this version", "dropped")]


def test_what_two_places_share_is_repaired_in_both() -> None:
    shared = {"name": "c", "odd": 1}
    payload = {"requestId": 1, "componentVariable": [{"component": shared}, {"component": shared, "odd": 2}]}
    out, left, ledger = fitted("2.0.1", "GetReport", payload)
    assert (out["componentVariable"], left) == ([{"component": {"name": "c"}}, {"component": {"name": "c"}}], [])
    assert sorted(ledger.paths) == [
        "$.componentVariable[0].component.odd", "$.componentVariable[1].component.odd", "$.componentVariable[1].odd"]


def test_deep_values_are_no_matter() -> None:
    data: dict[str, Any] = {"vendorId": "v"}
    for _ in range(900):
        data = {"vendorId": "v", "in": data}
    ledger = Ledger()
    out, faults = fit("2.0.1", "Heartbeat", False, {"customData": data, "odd": 1}, ledger)
    assert (list(out), faults, ledger.paths) == (["customData"], (), ["$.odd"])


def test_of_very_many_unknown_fields_all_are_dropped() -> None:
    out, left, _ = fitted("1.6", "StatusNotification", {**STATUS, **{f"x{at}": at for at in range(300)}})
    assert (out, left) == (STATUS, [])


def test_custom_data_of_2_0_1_may_hold_anything() -> None:
    payload = {"customData": {"vendorId": "v", "x": 1}}
    assert fitted("2.0.1", "Heartbeat", payload)[0] == payload


def test_an_optional_value_of_no_list_is_dropped_and_a_required_one_is_a_fault() -> None:
    payload = {"transactionId": 1, "timestamp": TIME, "meterStop": 5, "reason": "Bored"}
    out, left, ledger = fitted("1.6", "StopTransaction", payload)
    assert (out, left) == ({"transactionId": 1, "timestamp": TIME, "meterStop": 5}, [])
    assert ledger.told == [("$.reason", "not a value in this version", "dropped")]
    out, left, ledger = fitted("1.6", "StatusNotification", {**STATUS, "status": "Occupied"})
    assert left == ["enum $.status"]
    assert ledger.told == []


def test_a_text_for_people_is_cut() -> None:
    out, left, ledger = fitted("1.6", "StatusNotification", {**STATUS, "info": "i" * 60})
    assert (out["info"], left) == ("i" * 50, [])
    assert ledger.told == [("$.info", "at most 50 characters", "shortened")]


@pytest.mark.parametrize(("version", "action", "payload", "path"), [
    ("1.6", "Authorize", {"idTag": "t" * 21}, "$.idTag"),
    ("2.0.1", "Authorize", {"idToken": {"idToken": "t" * 37, "type": "Central"}}, "$.idToken.idToken"),
    ("1.6", "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m", "chargeBoxSerialNumber": "s" * 26},
     "$.chargeBoxSerialNumber"),
    ("2.0.1", "GetLog", {"log": {"remoteLocation": "u" * 513}, "logType": "SecurityLog", "requestId": 1},
     "$.log.remoteLocation"),
    ("2.0.1", "InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "c" * 5501}, "$.certificate"),
    ("1.6", "ChangeConfiguration", {"key": "k", "value": "v" * 501}, "$.value"),
])
def test_no_other_text_is_ever_cut(version: str, action: str, payload: dict[str, Any], path: str) -> None:
    out, left, ledger = fitted(version, action, payload)
    assert (out, left, ledger.told) == (payload, [f"maxLength {path}"], [])


def test_the_texts_that_are_cut_are_no_ids() -> None:
    assert FREE_TEXTS.isdisjoint({
        "idTag", "idToken", "transactionId", "location", "remoteLocation", "certificate", "certificateChain", "csr",
        "signature", "signedMeterData", "value", "attributeValue", "key", "vendorId", "messageId", "data", "serialNumber",
    })


def test_a_limit_is_rounded_down() -> None:
    period = {"startPeriod": 0, "limit": 16.09}
    payload = {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]},
        },
    }
    out, left, ledger = fitted("1.6", "SetChargingProfile", payload)
    assert out["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.0}]
    assert left == []
    assert ledger.told == [(
        "$.csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit", "rounded down to 0.1", "shortened")]


def test_items_beyond_the_most_are_not_cut() -> None:
    data = [{"component": {"name": "c"}, "variable": {"name": "v"}}]
    payload = {"requestId": 1, "componentCriteria": ["Active", "Available", "Enabled", "Problem", "Active"]}
    out, left, ledger = fitted("2.0.1", "GetReport", {**payload, "componentVariable": data})
    assert out["componentCriteria"] == payload["componentCriteria"]
    assert left == ["maxItems $.componentCriteria"]
    assert ledger.told == []


def test_an_optional_list_without_an_item_is_left_out_and_a_required_one_is_a_fault() -> None:
    event = {
        "eventType": "Ended", "timestamp": TIME, "triggerReason": "RemoteStop", "seqNo": 1,
        "transactionInfo": {"transactionId": "t"},
    }
    out, left, ledger = fitted("2.0.1", "TransactionEvent", {**event, "meterValue": []})
    assert (out, left, ledger.told) == (event, [], [])
    assert fitted("2.0.1", "MeterValues", {"evseId": 1, "meterValue": []})[1] == ["minItems $.meterValue"]


def test_what_is_missing_or_of_the_wrong_type_is_a_fault() -> None:
    assert fitted("1.6", "StatusNotification", {"connectorId": 1})[1] == ["required $.errorCode", "required $.status"]
    assert fitted("1.6", "StatusNotification", {**STATUS, "connectorId": "1"})[1] == ["type $.connectorId"]
    assert fitted("1.6", "NoSuchAction", {})[1] == ["payload $"]
    assert fitted("1.6", "StatusNotification", {**STATUS, "\ud800": 1})[1] == ["payload $"]


def test_what_is_repaired_is_valid() -> None:
    """Every field of every message with a value that is too long, unknown or of no list: repaired, or a fault is told."""
    for version in ("1.6", "2.0.1"):
        for action in sorted(actions.known(version)):
            payload = {**full(version, action), "bridge": 1}
            for name, value in full(version, action).items():
                if isinstance(value, str):
                    payload[name] = value * 300
            out, faults = fit(version, action, False, payload, Ledger())
            assert bool(check(version, action, False, out)) == bool(faults)
            assert "bridge" not in out
