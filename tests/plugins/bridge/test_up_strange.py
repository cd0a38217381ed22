"""What no schema allows, from either side, in any order: what leaves is valid, every Call is answered, nothing fails."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ocpp_proxy import testing
from tests.plugins.bridge.bridged import CSMS, STATION, Bridged

AT = "2027-01-15T08:05:00.000Z"
VALUES = [{"timestamp": AT, "sampledValue": [{
    "value": "1", "context": "Transaction.End", "format": "Raw", "measurand": "Voltage", "phase": "L1", "location": "EV",
    "unit": "V",
}]}]
TOKEN = {"idToken": "x", "type": "Central"}
UP: dict[str, dict[str, Any]] = {
    "StartTransaction": {"connectorId": 1, "idTag": "04AABBCC", "timestamp": AT, "meterStart": 5, "reservationId": 3},
    "StopTransaction": {
        "transactionId": -1, "idTag": "x", "timestamp": AT, "meterStop": 9, "reason": "Local", "transactionData": VALUES},
    "MeterValues": {"connectorId": 1, "transactionId": -1, "meterValue": VALUES},
    "StatusNotification": {
        "connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": AT, "info": "i", "vendorErrorCode": "e"},
    "Authorize": {"idTag": "x"},
}
DOWN: dict[str, dict[str, Any]] = {
    "RequestStartTransaction": {
        "remoteStartId": 1, "idToken": TOKEN, "evseId": 1, "groupIdToken": TOKEN, "chargingProfile": {
            "id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
            "chargingSchedule": [{
                "id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.04}]}]}},
    "RequestStopTransaction": {"transactionId": "x"}, "GetTransactionStatus": {"transactionId": "x"},
    "CostUpdated": {"totalCost": 1.0, "transactionId": "x"},
}
JUNK: list[Any] = [
    None, True, 0, -1, 1, 1 << 31, 1 << 70, 1.5, 1e308, "", "x", "\u00e9" * 30, "x" * 3000, [], {}, [1], [[]], {"a": 1}, [None],
    AT,
    "1970-01-01T00:00:00Z", "2027-13-01", "Charging", "Faulted", "Available", "Remote", "9999-12-31T23:59:59-23:00",
]
ANSWERS: list[dict[str, Any]] = [
    {}, {"idTokenInfo": {"status": "Accepted"}}, {"idTokenInfo": {"status": "Invalid", "evseId": [2]}}, {"idTokenInfo": 7},
    {"idTokenInfo": {"status": 8, "evseId": ["a"]}}, {"totalCost": "x"}, {"status": "Accepted"}, {"status": "Rejected"},
    {"status": 5},
    {"configurationKey": [{"key": "CustomDisplayCostAndPrice", "value": "true", "readonly": True}]},
]


class Careless(Bridged):
    """Times are junk here, and what nobody answered in time is forgotten."""

    late = False

    def _note_times(self, value: Any) -> None: ...

    def _times(self, value: Any) -> None: ...

    def _frame(self, side: Any, frame: list[Any], cause: int) -> None:
        if self.late:
            self.open[side].clear()
        super()._frame(side, frame, cause)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(one, (*path, key))


def _spoilt(chance: random.Random, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with up to three places that are not as they should be."""
    payload = json.loads(json.dumps(payload))
    for _ in range(chance.choice([0, 0, 1, 1, 2, 3])):
        paths = list(_paths(payload))
        if not paths:
            break
        path = chance.choice(paths)
        holder: Any = payload
        for step in path[:-1]:
            holder = holder[step]
        if chance.random() < 0.7:
            holder[path[-1]] = json.loads(json.dumps(chance.choice(JUNK)))
        else:
            del holder[path[-1]]
    return payload


def _answered(chance: random.Random, link: Careless) -> None:
    for side in (STATION, CSMS):
        while link.open[side]:
            drawn = chance.random()
            if drawn < 0.85:
                link.answer(side, chance.choice(ANSWERS))
            elif drawn < 0.95:
                link.error(side, chance.choice(["InternalError", "NotImplemented", "Bogus"]), "why")
            else:
                link.late = True
                link.wait(31)
                link.late, link.open = False, {STATION: {}, CSMS: {}}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_said_comes_out_valid_or_not_at_all(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(testing, "_entropy", lambda: chance.randbytes)
    link = Careless()
    for _ in range(80):
        side = STATION if chance.random() < 0.8 else CSMS
        table = UP if side is STATION else DOWN
        action = chance.choice(list(table))
        payload = _spoilt(chance, table[action])
        open_ones = link.state.charging.transactions if link.state is not None else ()
        if open_ones and "transactionId" in payload and chance.random() < 0.5:
            tx = chance.choice(open_ones)
            payload["transactionId"] = tx.tid if side is STATION else tx.uid
        link.call(side, action, payload)
        _answered(chance, link)
        if chance.random() < 0.03:
            link.again()
    link.late = True
    link.wait(31)                           # by then whatever is open was answered for
    assert link.asked == {STATION: {}, CSMS: {}}
    assert sum(len(told) for told in link.told.values()) > 80
