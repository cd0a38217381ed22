"""Payloads against the official schemas: counts, grades, errata, numbers, time stamps, the quirks of the field."""

import copy
import json
import os
from pathlib import Path

import pytest

from ocpp_proxy.spec import actions, faults, installed, schemas
from ocpp_proxy.spec.schemas import Fault, check

STAMP = "2026-01-02T03:04:05Z"
CORPUS = Path(os.environ.get("OCPP_PROXY_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")


def stop(**changes: object) -> dict[str, object]:
    return {"meterStop": 10, "timestamp": STAMP, "transactionId": 1, **changes}


def meter(unit: str) -> dict[str, object]:
    return {"connectorId": 1, "meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": "1", "unit": unit}]}]}


def limits(*values: object) -> dict[str, object]:
    periods = [{"startPeriod": 0, "limit": value} for value in values]
    return {"connectorId": 1, "csChargingProfiles": {
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative", "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}}}


def brief(found: tuple[Fault, ...]) -> list[tuple[str, str, str]]:
    return [(fault.path, fault.kind, fault.grade) for fault in found]


@pytest.mark.parametrize(
    ("version", "count"), [("1.2", 0), ("1.5", 0), ("1.6", 78), ("2.0", 134), ("2.0.1", 128), ("2.1", 181), ("x", 0)]
)
def test_all_schemas_compile(version: str, count: int) -> None:
    assert schemas.warm(version) == count


@pytest.mark.parametrize("version", ["1.6", "2.0", "2.0.1", "2.1"])
def test_every_action_has_its_schemas_and_every_schema_its_action(version: str) -> None:
    messages = schemas.messages(version)
    assert {action for action, _ in messages} == actions.known(version)
    unanswered = {action for action, answer in messages if not answer and (action, True) not in messages}
    assert unanswered == {action for action in actions.known(version) if actions.is_send(version, action)}


def test_every_one_decimal_limit_from_0_to_40_is_valid() -> None:
    for tenths in range(401):
        assert check("1.6", "SetChargingProfile", False, limits(tenths / 10)) == (), tenths
        assert check("1.6", "SetChargingProfile", False, json.loads(json.dumps(limits(tenths / 10)))) == (), tenths


@pytest.mark.parametrize("value", [6.25, 22.05, 8.11, 0.01])
def test_two_decimals_are_a_fault(value: float) -> None:
    path = "$.csChargingProfiles.chargingSchedule.chargingSchedulePeriod[1].limit"
    assert brief(check("1.6", "SetChargingProfile", False, limits(8.1, value))) == [(path, "multipleOf", "errata")]


@pytest.mark.parametrize(
    ("payload", "path", "kind", "grade"),
    [
        (stop(transactionId=None), "$.transactionId", "type", "field"),
        (stop(transactionId="1"), "$.transactionId", "type", "field"),
        ({"meterStop": 1, "timestamp": STAMP}, "$.transactionId", "required", "field"),
        ([], "$", "type", "field"),
        (stop(reason=None), "$.reason", "type", "field"),
        (stop(reason=["Local"]), "$.reason", "type", "field"),
        (stop(idTag="x" * 21), "$.idTag", "maxLength", "errata"),
        (stop(reason="EvDisconnected"), "$.reason", "enum", "errata"),
        (stop(colour="red"), "$.colour", "additional", "errata"),
        (stop(**{"a b": 1}), '$["a b"]', "additional", "errata"),
        (stop(timestamp="yesterday"), "$.timestamp", "format", "errata"),
        (stop(meterStop=10.0), "$.meterStop", "type", "official"),
        (stop(meterStop=10.5), "$.meterStop", "type", "field"),
        (stop(timestamp="2026-01-02T03:04:05+02"), "$.timestamp", "format", "official"),
    ],
)
def test_path_kind_and_grade(payload: object, path: str, kind: str, grade: str) -> None:
    assert brief(check("1.6", "StopTransaction", False, payload)) == [(path, kind, grade)]


def test_the_unit_hz_is_a_fault_by_the_errata_and_none_in_the_field() -> None:
    assert brief(check("1.6", "MeterValues", False, meter("Hz"))) == [
        ("$.meterValue[0].sampledValue[0].unit", "enum", "errata")]


def test_a_new_erratum_enters_by_data(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("1.6", "MeterValues", False, "$.meterValue[].sampledValue[].unit", "enum")
    monkeypatch.setitem(faults._FORGIVEN, row, frozenset({"Hz"}))
    assert [fault.grade for fault in check("1.6", "MeterValues", False, meter("Hz"))] == ["official"]


@pytest.mark.parametrize("unit", ["Hertz", "Celsius", "Celcius"])
def test_errata_3_86_and_2_1_the_units_are_legal_everywhere(unit: str) -> None:
    data = [{"timestamp": STAMP, "sampledValue": [{"value": "50", "unit": unit}]}]
    in_stop = check("1.6", "StopTransaction", False, stop(transactionData=data))
    assert check("1.6", "MeterValues", False, meter(unit)) == ()
    assert brief(in_stop) == ([("$.transactionData[0].sampledValue[0].unit", "enum", "official")] if unit == "Hertz" else [])


def test_a_null_payload_is_tolerated_for_an_empty_one_in_1_6() -> None:
    assert brief(check("1.6", "Heartbeat", False, None)) == [("$", "type", "official")]
    assert brief(check("1.6", "Authorize", False, None)) == [("$.idTag", "required", "field")]
    assert brief(check("2.0.1", "Heartbeat", False, None)) == [("$", "type", "field")]


def test_the_slip_in_the_1_6_text_gets_a_hint() -> None:
    found = check("1.6", "BootNotification", True, {"status": "Accepted", "currentTime": STAMP, "heartbeatInterval": 300})
    assert brief(found) == [("$.heartbeatInterval", "additional", "errata"), ("$.interval", "required", "field")]
    assert "named interval" in found[0].message


def test_a_2_0_name_under_2_0_1_is_called_so() -> None:
    found = check("2.0.1", "Get15118EVCertificate", False,
                   {"15118SchemaVersion": "a", "action": "Install", "iso15118SchemaVersion": "a", "exiRequest": ""})
    assert [(fault.path, fault.message) for fault in found] == [
        ("$.15118SchemaVersion", "not a property here: a field of OCPP 2.0, not of 2.0.1")
    ]


@pytest.mark.parametrize(
    ("stamp", "words", "grade"),
    [
        ("2026-01-02T03:04:05", "without time zone", "errata"),
        ("2026-01-02T03:04:05.123", "without time zone", "errata"),
        ("2026-01-02 03:04:05Z", "blank instead of T", "errata"),
        ("2026-01-02 03:04:05", "blank instead of T", "errata"),
        ("2026-01-02T03:04:05+02", "offset without minutes", "official"),
        ("2026-01-02T03:04:05+0200", "offset without colon", "official"),
        ("2026-01-02T03:04Z", "without seconds", "official"),
        ("2026-01-02T03:04:05,5Z", "comma", "official"),
        ("2026-13-02T03:04:05Z", "no such date", "errata"),
        ("2026-02-30T03:04:05Z", "no such date", "errata"),
        ("2026-13-02T03:04:05+02", "no such date", "errata"),
        ("2026-01-02", "without a time of day", "errata"),
        ("", "empty", "errata"),
        ("1767323045", "seconds since 1970", "errata"),
        ("\u0000\n" * 500, "not a date", "errata"),
    ],
)
def test_time_stamps_say_what_is_wrong_with_them(stamp: str, words: str, grade: str) -> None:
    (fault,) = check("1.6", "StopTransaction", False, stop(timestamp=stamp))
    assert (fault.path, fault.kind, fault.grade) == ("$.timestamp", "format", grade)
    assert words in fault.message


@pytest.mark.parametrize("stamp", [STAMP, "2026-01-02T03:04:05.123456+02:00", "2026-01-02t03:04:05z", "1970-01-01T00:00:00Z"])
@pytest.mark.parametrize("version", ["1.6", "2.0", "2.0.1", "2.1"])
def test_rfc_3339_stamps_are_right_in_every_version(version: str, stamp: str) -> None:
    assert check(version, "Heartbeat", True, {"currentTime": stamp}) == ()
    assert brief(check(version, "Heartbeat", True, {"currentTime": stamp[:10]})) == [("$.currentTime", "format", "errata")]


def test_values_are_cut_and_messages_hold_none_of_them() -> None:
    secret = "Z" * 500
    (fault,) = check("1.6", "StopTransaction", False, stop(idTag=secret))
    assert len(fault.value) == 60 and "Z" not in fault.message
    assert fault.message == "500 characters, at most 20"


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        ("1.6", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "Canary7" * 100}),
        ("1.6", "ChangeConfiguration", {"key": "AuthorizationKey", "value": ["Canary7"], "more": "Canary7"}),
        ("1.6", "GetDiagnostics", {"location": "ftp://u:Canary7@ host"}),
        ("2.1", "SetNetworkProfile", {"connectionData": {"basicAuthPassword": "Canary7" * 20}}),
    ],
)
def test_faults_of_messages_with_credentials_show_no_value(version: str, action: str, payload: object) -> None:
    found = check(version, action, False, payload)
    assert found and "Canary7" not in repr(found)


def test_a_wrong_case_names_the_right_value() -> None:
    (fault,) = check("1.6", "StatusNotification", False, {"connectorId": 0, "errorCode": "NoError", "status": "available"})
    assert '"Available"' in fault.message


def test_unknown_messages_have_no_faults_and_leave_no_trace() -> None:
    size = len(schemas._valid)
    for name in ["HeartBeat", "../../secret", "", "Nothing", "BootNotification-Signed"]:
        assert check("1.6", name, False, {"a": 1}) == ()
        assert schemas.validator("2.0.1", name, True) is None
    assert check("1.5", "Heartbeat", False, {"a": 1}) == check("", "Heartbeat", False, 7) == ()
    assert len(schemas._valid) == size


def test_nothing_is_changed_by_checking() -> None:
    payload = limits(8.1, 6.25, "x")
    before = copy.deepcopy(payload)
    assert len(check("1.6", "SetChargingProfile", False, payload)) == 2
    assert payload == before
    huge = {"connectorId": 1, "meterValue": [{"timestamp": 1}] * 9000}
    before = copy.deepcopy(huge)
    check("1.6", "MeterValues", False, huge)
    assert huge == before


def deep(levels: int) -> object:
    value: object = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


HOSTILE: list[object] = [
    None, True, 0, -1, 1e308, float("nan"), float("inf"), 10**5000, -(2**63), 2**64, "", "\ud800", "\x00" * 100, b"x",
    object(), [], [[]], {}, {1: 2}, {"\ud800": 1}, {"": ""}, (1, 2), deep(20), deep(30_000), "x" * 1_000_000,
]


@pytest.mark.parametrize("version", ["1.6", "2.0", "2.0.1", "2.1"])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_values_never_raise(version: str, number: int) -> None:
    value = HOSTILE[number]
    for action in ("MeterValues", "StatusNotification", "SetChargingProfile"):
        for payload in (value, {"connectorId": value, "evseId": value, "meterValue": [value], "status": value,
                                "timestamp": value, "customData": value, "csChargingProfiles": value}):
            for fault in check(version, action, False, payload):
                assert len(fault.value) <= 60 and len(fault.path) < 400 and len(fault.message) < 300


def test_of_many_faults_64_are_kept_in_a_fixed_order() -> None:
    payload = {"connectorId": 1, "meterValue": [{"timestamp": 1}] * 200}
    found = check("1.6", "MeterValues", False, payload)
    assert len(found) == 64 and found == check("1.6", "MeterValues", False, copy.deepcopy(payload))
    assert len(check("1.6", "MeterValues", False, {str(index): 1 for index in range(50_000)})) == 64


def test_one_fault_far_behind_in_a_huge_payload_is_found() -> None:
    good = {"timestamp": STAMP, "sampledValue": [{"value": "1"}]}
    payload = {"connectorId": 1, "meterValue": [good] * 5000 + [{"timestamp": STAMP}]}
    assert brief(check("1.6", "MeterValues", False, payload)) == [("$.meterValue[5000].sampledValue", "required", "field")]


def test_too_many_items_are_counted_truly_in_a_huge_payload() -> None:
    (fault,) = check("2.0.1", "NotifyEVChargingSchedule", False, {
        "timeBase": STAMP, "evseId": 1, "chargingSchedule": {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 1.0}] * 5000}})
    assert (fault.kind, fault.message) == ("maxItems", "5000 items, at most 1024")


def test_the_schema_files_are_read_with_and_without_a_byte_order_mark() -> None:
    assert installed._object(b'\xef\xbb\xbf{"a": 1}') == installed._object(b'{"a": 1}') == {"a": 1}


@pytest.mark.skipif(not (CORPUS / "quirks.jsonl").is_file(), reason="no corpus of real traffic (OCPP_PROXY_CORPUS)")
def test_the_verdicts_of_the_quirks_of_the_field() -> None:
    judged = 0
    for line in (CORPUS / "quirks.jsonl").read_text("utf-8").splitlines():
        quirk = json.loads(line)
        if quirk.get("schema") is None or quirk["raw"] is None:
            continue
        frame = json.loads(quirk["raw"])
        answer = frame[0] == 3
        action, payload = (quirk["answers"], frame[2]) if answer else (frame[2], frame[3])
        known = action in actions.known(quirk["version"])
        found = [fault for fault in check(quirk["version"], action, answer, payload) if fault.kind != "format"]
        assert (known and not found) == quirk["schema"], quirk["id"]
        judged += 1
    assert judged >= 20
