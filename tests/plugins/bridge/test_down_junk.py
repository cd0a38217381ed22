"""Whatever station and CSMS say about charging (direction B), the bridge does not fail: it answers, and tells what is valid."""

import json
from random import Random
from typing import Any

import pytest

from ocpp_proxy.api import Side
from ocpp_proxy.spec.schemas import check
from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.downward import ACCEPTED, TOKEN, event, linked, meter, sample

TIME = "2027-01-15T08:00:00.000Z"
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 70, 1.5, 1e300, "", "x" * 300, "Charging", "2027", [], [None], {}, {"id": []}, [[{}]], "\u2028\x00",
)
SIGNED = {"signedMeterData": "abc", "signingMethod": "s", "encodingMethod": "e", "publicKey": "p"}
FROM_STATION: dict[str, list[dict[str, Any]]] = {
    "TransactionEvent": [
        event("Started", 0, 0, state="Charging", evse={"id": 1, "connectorId": 1}, idToken=TOKEN, reservationId=3,
              info={"remoteStartId": 1}, meterValue=meter(0, sample(5, "Transaction.Begin", signedMeterValue=SIGNED))),
        event("Updated", 1, 1, state="SuspendedEV", idToken={"idToken": "other", "type": "Central"},
              meterValue=meter(1, sample(7, unitOfMeasure={"unit": "kWh", "multiplier": 1}))),
        event("Ended", 2, 2, info={"stoppedReason": "Local"}, idToken=TOKEN, meterValue=meter(2, sample(9))),
    ],
    "BootNotification": [{"reason": "PowerUp", "chargingStation": {"model": "m", "vendorName": "v"}}],
    "Authorize": [{"idToken": TOKEN}],
    "StatusNotification": [{"timestamp": TIME, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}],
    "NotifyEvent": [{"generatedAt": TIME, "seqNo": 0, "eventData": [{
        "eventId": 1, "timestamp": TIME, "trigger": "Delta", "actualValue": "true", "techCode": "c", "techInfo": "i",
        "eventNotificationType": "HardWiredMonitor", "variable": {"name": "Problem"},
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}}]}],
    "ReservationStatusUpdate": [{"reservationId": 1, "reservationUpdateStatus": "Expired"}],
    "MeterValues": [{"evseId": 1, "meterValue": meter(0, sample(5))}],
}
FROM_CSMS: dict[str, list[dict[str, Any]]] = {
    "RemoteStartTransaction": [{"idTag": "x", "connectorId": 1}],
    "RemoteStopTransaction": [{"transactionId": 77}],
    "UnlockConnector": [{"connectorId": 1}],
    "ChangeAvailability": [{"connectorId": 1, "type": "Operative"}],
    "TriggerMessage": [{"requestedMessage": "MeterValues", "connectorId": 1}],
    "ExtendedTriggerMessage": [{"requestedMessage": "StatusNotification", "connectorId": 1}],
}
ANSWERS: dict[str, dict[str, Any]] = {
    "StartTransaction": {"transactionId": 77, **ACCEPTED}, "StopTransaction": ACCEPTED, "Authorize": ACCEPTED,
    "BootNotification": {"status": "Accepted", "currentTime": TIME, "interval": 5},
    "GetVariables": {"getVariableResult": [{"component": {"name": "TxCtrlr"}, "variable": {"name": "TxStartPoint"},
                                            "attributeStatus": "Accepted", "attributeValue": "EVConnected"}]},
}


def spoiled(value: Any, random: Random) -> Any:
    """The same with one part replaced by something else, or taken away."""
    value = json.loads(json.dumps(value))
    holder: Any = None
    key: Any = None
    here = value
    while isinstance(here, dict | list) and here and (holder is None or random.random() < 0.75):
        holder = here
        key = random.choice(list(here)) if isinstance(here, dict) else random.randrange(len(here))
        here = here[key]
    if holder is not None:
        if random.random() < 0.15:
            del holder[key]
        else:
            holder[key] = random.choice(JUNK)
    return value


class Talk:
    """One link on which both sides say what they like."""

    def __init__(self, random: Random) -> None:
        self.link: Bridged = linked()
        self.random = random
        self.seen = self.count = 0
        self.open: set[str] = set()

    def say(self, side: Side, action: str, payload: Any) -> None:
        self.count += 1
        self.open.add(f"{side}{self.count}")
        self.link.stage.send(side, json.dumps([2, f"{side}{self.count}", action, payload]))
        self.settle()

    def settle(self) -> None:
        """What was told is valid, and is answered, mostly by nonsense."""
        stage = self.link.stage
        while self.seen < len(stage.played.sent):
            sender, text = stage.played.sent[self.seen]
            self.seen += 1
            frame = json.loads(text)
            version = "1.6" if sender.other is CSMS else "2.0.1"
            if frame[0] != 2:
                self.open.remove(frame[1])
                continue
            assert not [one for one in check(version, frame[2], False, frame[3]) if one.grade != "official"], frame
            answer = ANSWERS.get(frame[2], {"status": "Accepted"} if sender.other is STATION else {})
            if self.random.random() < 0.5:
                answer = spoiled(answer, self.random)
            stage.send(sender.other, json.dumps([3, frame[1], answer]))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_a_peer_says_makes_it_fail(seed: int) -> None:
    random = Random(seed)
    for _ in range(12):
        talk = Talk(random)
        said = [(STATION, action, one) for action, all_ in FROM_STATION.items() for one in all_]
        said += [(CSMS, action, one) for action, all_ in FROM_CSMS.items() for one in all_]
        random.shuffle(said)
        for side, action, payload in said:
            talk.say(side, action, spoiled(payload, random) if random.random() < 0.8 else payload)
            if random.random() < 0.1:
                talk.link.stage.wait(random.choice((3, 20, 70)))
                talk.settle()
        played = talk.link.stage.played
        assert [text for code, text in played.findings if code.startswith("plugin-")] == []
        assert not played.disconnected and not talk.open
