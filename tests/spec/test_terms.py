"""Where index keys and time stamps are in the payloads."""

import pytest

from ocpp_proxy.spec import schemas, terms
from ocpp_proxy.spec.paths import held, parse


def written(paths: tuple[terms.Path, ...]) -> list[str]:
    return [".".join(path).replace(".[]", "[]") for path in paths]


@pytest.mark.parametrize(
    ("version", "action", "answer", "evse", "connector", "transaction", "token"),
    [
        ("1.6", "StartTransaction", False, [], ["connectorId"], [], ["idTag"]),
        ("1.6", "StartTransaction", True, [], [], ["transactionId"], []),
        ("1.5", "StopTransaction", False, [], [], ["transactionId"], ["idTag"]),
        ("1.2", "MeterValues", False, [], ["connectorId"], ["transactionId"], []),
        ("1.6", "SetChargingProfile", False, [], ["connectorId"], ["csChargingProfiles.transactionId"], []),
        ("2.0", "TransactionEvent", False, ["evse.id"], ["evse.connectorId"], ["transactionData.id"], ["idToken.idToken"]),
        ("2.0.1", "TransactionEvent", False, ["evse.id"], ["evse.connectorId"], ["transactionInfo.transactionId"],
         ["idToken.idToken"]),
        ("2.1", "StatusNotification", False, ["evseId"], ["connectorId"], [], []),
        ("2.0", "ReserveNow", False, ["reservation.evse.id"], ["reservation.evse.connectorId"], [], ["idToken.idToken"]),
        ("2.0.1", "ReserveNow", False, ["evseId"], [], [], ["idToken.idToken"]),
        ("2.0.1", "RequestStartTransaction", True, [], [], ["transactionId"], []),
        ("2.0.1", "Heartbeat", False, [], [], [], []),
        ("2.0", "Authorize", False, [], [], [], ["idToken.idToken"]),
        ("1.6", "NoSuchAction", False, [], [], [], []),
        ("", "Heartbeat", False, [], [], [], []),
    ],
)
def test_keys(
    version: str, action: str, answer: bool, evse: list[str], connector: list[str], transaction: list[str], token: list[str]
) -> None:
    found = terms.keys(version, action, answer)
    assert [written(paths) for paths in (found.evse_id, found.connector_id, found.tx_id, found.id_token)] == [
        evse, connector, transaction, token]


@pytest.mark.parametrize("version", ["1.6", "2.0", "2.0.1", "2.1"])
def test_no_top_level_key_of_any_message_is_forgotten(version: str) -> None:
    for action, answer in schemas.messages(version):
        found = terms.keys(version, action, answer)
        for path, _ in terms.leaf_fields(version, action, answer):
            if path in (("connectorId",), ("evse", "connectorId")):
                assert path in found.connector_id
            elif path == ("transactionId",):
                assert path in found.tx_id
            elif path in (("evseId",), ("evse", "id")):
                assert path in found.evse_id
            elif path in (("idTag",), ("idToken", "idToken")):
                assert path in found.id_token


def test_every_written_key_path_occurs_in_some_message() -> None:
    used = {
        path for version in ("1.6", "2.0", "2.0.1", "2.1") for action, answer in schemas.messages(version)
        for path, _ in terms.leaf_fields(version, action, answer)
    }
    for family in terms.KEY_PATHS.values():
        for paths in family.values():
            assert {parse(path) for path in paths} <= used


@pytest.mark.parametrize(
    ("version", "action", "answer", "expected"),
    [
        ("1.6", "Heartbeat", True, [("currentTime", True)]),
        ("1.6", "MeterValues", False, [("meterValue[].timestamp", True)]),
        ("1.5", "MeterValues", False, [("meterValue[].timestamp", True), ("values[].timestamp", True)]),
        ("1.6", "ReserveNow", False, [("expiryDate", False)]),
        ("1.6", "StartTransaction", True, [("idTagInfo.expiryDate", False)]),
        ("2.0.1", "GetLog", False, [("log.oldestTimestamp", False), ("log.latestTimestamp", False)]),
        ("2.1", "AFRRSignal", False, [("timestamp", False)]),
        ("2.0.1", "Reset", False, []),
        ("2.0.1", "NoSuchAction", False, []),
    ],
)
def test_stamps(version: str, action: str, answer: bool, expected: list[tuple[str, bool]]) -> None:
    found = terms.stamps(version, action, answer)
    assert [(written((stamp.path,))[0], stamp.clock) for stamp in found] == expected


def test_places_of_a_path() -> None:
    payload = {"a": [{"b": 1}, {"b": 2}, {"c": 3}, 4], "d": {"b": 5}, "e": ["x", "y"]}
    assert [held(holder, key) for holder, key in terms.places(payload, parse("a[].b"))] == [1, 2]
    assert len(terms.places(payload, parse("a.b"))) == 2
    assert len(terms.places(payload, parse("d[].b"))) == 1
    assert [key for _, key in terms.places(payload, parse("e[]"))] == [0, 1]
    odd_ones: list[object] = [None, 1, [], {}, {"a": 1}, {"a": None}]
    for odd in odd_ones:
        assert terms.places(odd, parse("a[].b")) == []
    assert terms.first(payload, ("d", "b")) == 5 and terms.first(payload, ("a", "b")) is None
