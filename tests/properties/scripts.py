"""Owns what stations and CSMS say in the traffic of these tests: whole sessions with energy, faults and refusals."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

STATION, CSMS = 0, 1
REGISTER, POWER = "Energy.Active.Import.Register", "Power.Active.Import"


class Step(Struct):
    """One message: how long after the one before (seconds), from whom, what."""

    wait: float
    side: int
    text: bytes


def iso(time_ns: int) -> str:
    """A time stamp as OCPP writes it."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Talk:
    """Numbers the Calls of a script and writes Call and answer."""

    def __init__(self, name: str, pick: random.Random, now: Callable[[], int]) -> None:
        self.name, self.pick, self._now, self.number = name, pick, now, pick.randrange(10**6)

    @property
    def time(self) -> str:
        """Now, as the station writes it."""
        return iso(self._now())

    def call(self, side: int, action: str, payload: Any, answer: Any = None, wait: float = 0.5) -> Iterator[Step]:
        """A Call and its answer: a payload, an error code, or None for silence."""
        self.number += 1
        key = f"{self.name}-{self.number}"
        yield Step(wait, side, json.dumps([2, key, action, payload], separators=self.pick.choice(((",", ":"), (", ", ": ")))).encode())
        if isinstance(answer, str):
            yield Step(0.1, 1 - side, json.dumps([4, key, answer, "not now", {}]).encode())
        elif answer is not None:
            yield Step(self.pick.choice((0.05, 0.2, 3)), 1 - side, json.dumps([3, key, answer], separators=(",", ":")).encode())


def script(name: str, protocol: str, pick: random.Random, now: Callable[[], int]) -> Iterator[Step]:
    """The messages of one link."""
    talk = Talk(name, pick, now)
    return _modern(talk) if protocol == "ocpp2.0.1" else _classic(talk)


def _classic(talk: Talk) -> Iterator[Step]:
    pick = talk.pick
    boot = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": f"1.{pick.randrange(2)}"}
    for _ in range(pick.choice((1, 1, 5))):
        yield from talk.call(STATION, "BootNotification", boot, {"currentTime": talk.time, "interval": 60, "status": "Accepted"})
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": talk.time}
    yield from talk.call(STATION, "StatusNotification", status, {})
    yield from talk.call(CSMS, "ChangeConfiguration", {"key": "AuthorizationKey", "value": "hunter2hunter2hunter2"}, {"status": "Accepted"})
    yield from talk.call(STATION, "Heartbeat", {}, {"currentTime": talk.time})
    token = pick.choice(("TAG1", "TAG2"))
    yield from talk.call(STATION, "Authorize", {"idTag": token}, {"idTagInfo": {"status": "Accepted"}})
    tx = pick.randrange(1, 10**6)
    accepted = pick.choice(("Accepted", "Invalid"))
    start = {"connectorId": 1, "idTag": token, "meterStart": 1000, "timestamp": talk.time}
    yield from talk.call(STATION, "StartTransaction", start, {"transactionId": tx, "idTagInfo": {"status": accepted}})
    for register in (1500, 2600, 2500, 4000):
        values = [{"value": str(register)}, {"value": "7.4", "measurand": POWER, "unit": "kW"}, {"value": "55", "measurand": "SoC"}]
        meter = {"connectorId": 1, "transactionId": tx, "meterValue": [{"timestamp": talk.time, "sampledValue": values}]}
        yield from talk.call(STATION, "MeterValues", meter, {}, pick.choice((60, 300)))
    yield from talk.call(CSMS, "TriggerMessage", {"requestedMessage": "Heartbeat"}, pick.choice((None, "NotImplemented")))
    if pick.random() < 0.7:
        stop = {"transactionId": tx, "meterStop": 4200, "timestamp": talk.time, "reason": "EVDisconnected"}
        yield from talk.call(STATION, "StopTransaction", stop, {})
    wrong = {**status, "errorCode": "GroundFailure", "status": "Faulted", "timestamp": "1970-01-01T00:01:00Z"}
    yield from talk.call(STATION, "StatusNotification", wrong, {}, 20)
    yield from talk.call(STATION, "Heartbeat", {}, {"currentTime": talk.time}, 600)
    yield from talk.call(CSMS, "GetConfiguration", {}, "InternalError")


def _modern(talk: Talk) -> Iterator[Step]:
    pick = talk.pick
    boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "W", "firmwareVersion": "2.0"}}
    yield from talk.call(STATION, "BootNotification", boot, {"currentTime": talk.time, "interval": 60, "status": "Accepted"})
    status = {"timestamp": talk.time, "connectorStatus": pick.choice(("Available", "Faulted")), "evseId": 1, "connectorId": 1}
    yield from talk.call(STATION, "StatusNotification", status, {})
    variables = {"setVariableData": [{
        "attributeValue": "hunter2hunter2hunter2", "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]}
    result = {"setVariableResult": [{
        "attributeStatus": "Accepted", "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]}
    yield from talk.call(CSMS, "SetVariables", variables, result)
    tx = f"tx-{pick.randrange(10**6)}"
    parts = (("Started", 0, "Authorized", 100.0), ("Updated", 1, "MeterValuePeriodic", 900.0),
             ("Updated", pick.choice((2, 3)), "MeterValuePeriodic", 1900.0), ("Ended", 4, "StopAuthorized", 2900.0))
    for kind, sequence, reason, register in parts:
        if kind == "Ended" and pick.random() < 0.3:
            return
        event = {
            "eventType": kind, "timestamp": talk.time, "triggerReason": reason, "seqNo": sequence,
            "transactionInfo": {"transactionId": tx}, "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": talk.time, "sampledValue": [
                {"value": register, "measurand": REGISTER}, {"value": 7.4, "measurand": POWER, "unitOfMeasure": {"unit": "kW"}}]}],
        }
        if kind == "Started":
            event["idToken"] = {"idToken": "TAG9", "type": "ISO14443"}
        yield from talk.call(STATION, "TransactionEvent", event, {}, pick.choice((60, 400)))
    yield from talk.call(CSMS, "GetVariables", {"getVariableData": []}, "FormationViolation")
