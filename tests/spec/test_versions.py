"""Subprotocol tokens, actions and error codes."""

import pytest

from ocpp_proxy.model import Side
from ocpp_proxy.spec import action_table, actions, errors, versions


@pytest.mark.parametrize(
    ("token", "version", "wrong_case"),
    [
        ("ocpp1.2", "1.2", False),
        ("ocpp1.5", "1.5", False),
        ("ocpp1.6", "1.6", False),
        ("ocpp2.0", "2.0", False),
        ("ocpp2.0.1", "2.0.1", False),
        ("ocpp2.1", "2.1", False),
        ("OCPP1.6", "1.6", True),
        (" Ocpp2.0.1 ", "2.0.1", True),
        (" ocpp2.1", "2.1", False),
    ],
)
def test_a_token_is_found_in_any_case_and_wrong_case_is_said(token: str, version: str, wrong_case: bool) -> None:
    spoken = versions.lookup(token)
    assert spoken is not None
    assert (spoken.version, spoken.subprotocol, spoken.wrong_case) == (version, f"ocpp{version}", wrong_case)
    assert versions.version_of(token) == version


@pytest.mark.parametrize("token", ["", "ocpp", "ocpp1.7", "ocpp16", "ocpp2.0.10", "chat"])
def test_other_tokens_are_no_ocpp(token: str) -> None:
    assert versions.lookup(token) is None
    assert versions.version_of(token) == ""


def test_every_version_has_a_family_actions_and_codes() -> None:
    assert versions.VERSIONS == ("1.2", "1.5", "1.6", "2.0", "2.0.1", "2.1")
    assert set(versions.FAMILIES.values()) == {"1.x", "2.x"}
    assert set(action_table.ACTIONS) == set(errors.CODES) == set(versions.VERSIONS)


@pytest.mark.parametrize(
    ("version", "count"), [("1.2", 18), ("1.5", 24), ("1.6", 39), ("2.0", 67), ("2.0.1", 64), ("2.1", 91), ("9", 0)]
)
def test_the_number_of_actions(version: str, count: int) -> None:
    assert len(actions.known(version)) == count


@pytest.mark.parametrize(
    ("version", "action", "sender"),
    [
        ("1.6", "StartTransaction", Side.STATION),
        ("1.6", "Reset", Side.CSMS),
        ("1.6", "DataTransfer", "both"),
        ("1.2", "DataTransfer", None),
        ("1.6", "SignedUpdateFirmware", Side.CSMS),
        ("1.6", "SignCertificate", Side.STATION),
        ("2.0", "Update15118EVCertificate", Side.STATION),
        ("2.0", "NotifyCentralChargingNeeds", Side.CSMS),
        ("2.0.1", "Update15118EVCertificate", None),
        ("2.0.1", "TransactionEvent", Side.STATION),
        ("2.0.1", "BootNotification-Signed", Side.STATION),
        ("1.6", "BootNotification-Signed", None),
        ("2.1", "NotifyPeriodicEventStream", Side.STATION),
        ("2.1", "AFRRSignal", Side.CSMS),
        ("2.1", "heartbeat", None),
        ("3.0", "Heartbeat", None),
    ],
)
def test_who_sends_an_action(version: str, action: str, sender: actions.Direction | None) -> None:
    assert actions.direction(version, action) == sender


def test_only_one_action_of_2_1_is_a_send() -> None:
    every = [(version, name) for version in versions.VERSIONS for name in actions.known(version)]
    sends = [pair for pair in every if actions.is_send(*pair)]
    assert sends == [("2.1", "NotifyPeriodicEventStream")]


@pytest.mark.parametrize(
    ("version", "wrong", "right"),
    [
        ("1.6", "HeartBeat", "Heartbeat"),
        ("1.6", "bootnotification", "BootNotification"),
        ("2.0.1", "BootNotificationRequest", "BootNotification"),
        ("1.6", "StartTransacton", "StartTransaction"),
        ("1.6", "Heartbeat", ""),
        ("1.6", "Zebra", ""),
        ("1.6", "x" * 10_000, ""),
        ("", "HeartBeat", ""),
    ],
)
def test_did_you_mean(version: str, wrong: str, right: str) -> None:
    assert actions.did_you_mean(version, wrong) == right


def test_a_new_version_and_a_new_action_enter_by_data() -> None:
    data = {**action_table.ACTIONS, "2.2": {**action_table.ACTIONS["2.1"], "csms": "Reset TurnAround", "send": "Reset"}}
    table = actions.ActionTable(data)
    assert table.direction("2.2", "TurnAround") is Side.CSMS
    assert table.is_send("2.2", "Reset")
    assert table.did_you_mean("2.2", "turnaround") == "TurnAround"
    assert table.versions("TurnAround") == ("2.2",)
    assert actions.direction("2.2", "TurnAround") is None


def test_versions_of_an_action() -> None:
    assert actions.versions("TransactionEvent") == ("2.0", "2.0.1", "2.1")
    assert actions.versions("GetDiagnostics") == ("1.2", "1.5", "1.6")
    assert actions.versions("BootNotification-Signed") == ("2.0.1", "2.1")


@pytest.mark.parametrize(
    ("version", "code", "legal", "suggestion"),
    [
        ("1.6", "FormationViolation", True, ""),
        ("1.6", "OccurenceConstraintViolation", True, ""),
        ("1.6", "OccurrenceConstraintViolation", True, ""),
        ("1.6", "FormatViolation", False, "FormationViolation"),
        ("1.6", "MessageTypeNotSupported", False, ""),
        ("2.0.1", "FormatViolation", True, ""),
        ("2.0.1", "FormationViolation", False, "FormatViolation"),
        ("2.0.1", "OccurenceConstraintViolation", False, "OccurrenceConstraintViolation"),
        ("2.1", "RpcFrameworkError", True, ""),
        ("2.1", "internalerror", False, "InternalError"),
        ("", "FormationViolation", True, ""),
        ("", "Oops", False, ""),
    ],
)
def test_error_codes_per_version(version: str, code: str, legal: bool, suggestion: str) -> None:
    assert errors.legal(version, code) == legal
    assert errors.suggestion(version, code) == suggestion


def test_the_number_of_error_codes() -> None:
    assert len(errors.CODES["1.6"]) == 11 and len(errors.CODES["2.0.1"]) == 12
