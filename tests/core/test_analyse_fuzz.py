"""Payloads with any member replaced by any JSON value: no rule fails, every frame still becomes a message."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpp_proxy.core.masking import Masker
from tests.core.streams import Feed, exchanges, messages, play

STAMP = "2026-01-02T03:04:00Z"
SAMPLE = {"timestamp": STAMP, "sampledValue": [{"value": "1", "unit": "kWh", "measurand": "Energy.Active.Import.Register"}]}
SAMPLE_2 = {"timestamp": STAMP, "sampledValue": [{"value": 1, "unitOfMeasure": {"unit": "Wh", "multiplier": 1}}]}
DIALOGUE: dict[str, list[tuple[str, str, dict[str, Any], dict[str, Any]]]] = {
    "ocpp1.6": [
        ("station", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"},
         {"status": "Pending", "interval": 1}),
        ("csms", "TriggerMessage", {"requestedMessage": "StatusNotification"}, {"status": "Accepted"}),
        ("station", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "X", "timestamp": STAMP}, {}),
        ("station", "Authorize", {"idTag": "A"}, {"idTagInfo": {"status": "Invalid"}}),
        ("csms", "RemoteStartTransaction", {"idTag": "A"}, {"status": "Accepted"}),
        ("station", "StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 5, "timestamp": STAMP},
         {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}),
        ("station", "MeterValues", {"connectorId": 1, "transactionId": 5, "meterValue": [SAMPLE, SAMPLE]}, {}),
        ("station", "StopTransaction", {"transactionId": 5, "meterStop": 4, "timestamp": STAMP, "transactionData": [SAMPLE]},
         {}),
        ("csms", "GetConfiguration", {"key": ["x"]}, {"configurationKey": [{"key": "ConnectionTimeOut", "value": "9"}]}),
        ("csms", "ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "30"}, {"status": "Accepted"}),
        ("csms", "CertificateSigned", {"certificateChain": "-----BEGIN CERTIFICATE-----"}, {"status": "Accepted"}),
        ("csms", "Reset", {"type": "Hard"}, {"status": "Accepted"}),
    ],
    "ocpp2.0.1": [
        ("station", "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
         {"status": "Rejected", "currentTime": STAMP, "interval": 1}),
        ("csms", "RequestStartTransaction", {"idToken": {"idToken": "A", "type": "Central"}, "remoteStartId": 1},
         {"status": "Accepted"}),
        ("station", "TransactionEvent",
         {"eventType": "Started", "timestamp": STAMP, "triggerReason": "Authorized", "seqNo": 0, "evse": {"id": 1},
          "transactionInfo": {"transactionId": "T"}, "idToken": {"idToken": "A", "type": "Central"}, "meterValue": [SAMPLE_2]},
         {}),
        ("station", "TransactionEvent",
         {"eventType": "Ended", "timestamp": STAMP, "triggerReason": "Authorized", "seqNo": 1,
          "transactionInfo": {"transactionId": "T", "stoppedReason": "Local"}, "meterValue": [SAMPLE_2]}, {}),
        ("csms", "SetVariables",
         {"setVariableData": [{"attributeValue": "p", "component": {"name": "S"}, "variable": {"name": "BasicAuthPassword"}}]},
         {}),
    ],
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000", "6,5", "NaN", STAMP, "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=5,
)


def spoil(value: Any, pick: st.DataObject) -> Any:
    """A copy with one member, at any depth, replaced or taken away."""
    value = copy.deepcopy(value)
    holder = value
    while isinstance(holder, dict | list) and holder:
        key = pick.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        inner = holder[key]
        if isinstance(inner, dict | list) and inner and pick.draw(st.booleans()):
            holder = inner
            continue
        if isinstance(holder, dict) and pick.draw(st.integers(0, 4)) == 0:
            del holder[key]
        else:
            holder[key] = pick.draw(JUNK)
        return value
    return pick.draw(JUNK)


@pytest.mark.parametrize("protocol", DIALOGUE)
@settings(max_examples=60, deadline=None)
@given(pick=st.data())
def test_spoilt_payloads(protocol: str, pick: st.DataObject) -> None:
    feed = Feed()
    feed.begin(protocol=protocol)
    for number, (side, action, call, answer) in enumerate(DIALOGUE[protocol]):
        first, second = (feed.station, feed.csms) if side == "station" else (feed.csms, feed.station)
        spoilt = pick.draw(st.integers(0, 2))
        payload = json.dumps(spoil(call, pick) if spoilt == 0 else call)
        reply = json.dumps(spoil(answer, pick) if spoilt == 1 else answer)
        first(f'[2,"{number}","{action}",{payload}]')
        second(f'[3,"{number}",{reply}]')
    feed.wait(200)
    feed.close()
    plain = play(feed.records)
    assert len(messages(plain)) == 2 * len(DIALOGUE[protocol])
    assert len(exchanges(plain)) == len([message for message in messages(plain) if message.mtype == 2])
    play(feed.records, Masker(b"k"))
