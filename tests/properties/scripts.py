"""Owns what stations and CSMS say in the traffic of these tests: whole sessions with energy, faults and refusals."""

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from tests.core.bridged import BOOT, REMOTE, START, STOP, turned

STATION, CSMS = 0, 1
STAMP = re.compile(rb"2026-01-02T03:[0-9:.]+Z")
REGISTER, POWER = "Energy.Active.Import.Register", "Power.Active.Import"


class Step(Struct):
    """One message: how long after the one before (seconds), from whom, what; and what a bridge makes of it.

    Without a text it is the bridge's own.
    """

    wait: float
    side: int
    text: bytes
    becomes: bytes = b""


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

    @property
    def welcome(self) -> dict[str, Any]:
        """The answer to a BootNotification."""
        return {"currentTime": self.time, "interval": 60, "status": "Accepted"}

    def call(self, side: int, action: str, payload: Any, answer: Any = None, wait: float = 0.5) -> Iterator[Step]:
        """A Call and its answer: a payload, an error code, or None for silence."""
        self.number += 1
        key = f"{self.name}-{self.number}"
        between = self.pick.choice(((",", ":"), (", ", ": ")))
        yield Step(wait, side, json.dumps([2, key, action, payload], separators=between).encode())
        if isinstance(answer, str):
            yield Step(0.1, 1 - side, json.dumps([4, key, answer, "not now", {}]).encode())
        elif answer is not None:
            yield Step(self.pick.choice((0.05, 0.2, 3)), 1 - side, json.dumps([3, key, answer], separators=(",", ":")).encode())

    def translated(
        self, side: int, actions: tuple[str, str], texts: tuple[bytes, ...], answered: str, wait: float,
    ) -> Iterator[Step]:
        """A Call and its answer on both legs of a link with a bridge. ``answered``: ok, refused, silent."""
        self.number += 1
        key, own = f"{self.name}-{self.number}", f"own-{self.number}"
        yield Step(wait, side, _call(key, actions[0], texts[0]), _call(own, actions[1], texts[1]))
        if answered == "refused":
            yield Step(0.1, 1 - side, *(f'[4,"{one}","InternalError","not now",{{}}]'.encode() for one in (own, key)))
        elif answered == "ok":
            yield Step(self.pick.choice((0.05, 3)), 1 - side, *(
                f'[3,"{one}",'.encode() + text + b"]" for one, text in zip((own, key), texts[2:], strict=True)))


def _call(key: str, action: str, payload: bytes) -> bytes:
    return f'[2,"{key}","{action}",'.encode() + payload + b"]"


def script(name: str, protocol: str, pick: random.Random, now: Callable[[], int]) -> Iterator[Step]:
    """The messages of one link."""
    talk = Talk(name, pick, now)
    return _modern(talk) if protocol == "ocpp2.0.1" else _classic(talk)


def _classic(talk: Talk) -> Iterator[Step]:
    pick = talk.pick
    boot = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": f"1.{pick.randrange(2)}"}
    for _ in range(pick.choice((1, 1, 5))):
        yield from talk.call(STATION, "BootNotification", boot, talk.welcome)
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": talk.time}
    yield from talk.call(STATION, "StatusNotification", status, {})
    for secret in ("hunter2hunter2hunter2", "hunter2" * pick.choice((1, 100))):     # as a pseudonym the long one is valid
        yield from talk.call(CSMS, "ChangeConfiguration", {"key": "AuthorizationKey", "value": secret}, {"status": "Accepted"})
    yield from talk.call(STATION, "Heartbeat", {}, {"currentTime": talk.time})
    token = pick.choice(("TAG1", "TAG2"))
    yield from talk.call(STATION, "Authorize", {"idTag": token}, {"idTagInfo": {"status": "Accepted"}})
    tx = pick.randrange(1, 10**6)
    accepted = pick.choice(("Accepted", "Invalid"))
    start = {"connectorId": 1, "idTag": token, "meterStart": 1000, "timestamp": talk.time}
    yield from talk.call(STATION, "StartTransaction", start, {"transactionId": tx, "idTagInfo": {"status": accepted}})
    for register in (1500, 2600, 2500, 4000):
        power = {"value": "7.4", "measurand": POWER, "unit": "kW"}
        values = [{"value": str(register)}, power, {"value": "55", "measurand": "SoC"}]
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


def translated(name: str, protocol: str, pick: random.Random, now: Callable[[], int]) -> Iterator[Step]:
    """The messages of a link with a bridge, whose station speaks ``protocol`` and whose CSMS the other version."""
    talk, tx = Talk(name, pick, now), pick.randrange(1, 10**6)
    boot, remote = ("BootNotification",) * 2, ("RequestStartTransaction", "RemoteStartTransaction")

    def call(
        side: int, actions: tuple[str, str], texts: tuple[bytes, ...], answered: str = "ok", wait: float = 0.5,
    ) -> Iterator[Step]:
        if protocol == "ocpp2.0.1":
            actions, texts = actions[::-1], turned(texts)
        texts = tuple(STAMP.sub(talk.time.encode(), text.replace(b":17", b":%d" % tx).replace(b"uid-1", b"uid-%d" % tx))
                      for text in texts)
        return talk.translated(side, actions, texts, answered, wait)

    yield from call(STATION, boot, BOOT)
    yield from call(CSMS, remote, REMOTE, pick.choice(("ok", "refused")))
    yield from call(STATION, ("StartTransaction", "TransactionEvent"), START)
    yield Step(1, CSMS, b"", b'[2,"own-%d","ClearCache",{}]' % talk.number)
    yield from talk.call(STATION, "Heartbeat", {}, {"currentTime": talk.time}, 300)     # passes as it is
    yield from call(STATION, boot, (BOOT[0], BOOT[0], *BOOT[2:]), "ok", 60)           # on one leg the wrong one
    if pick.random() < 0.7:
        yield from call(STATION, ("StopTransaction", "TransactionEvent"), STOP, "ok", 400)
    yield from call(CSMS, remote, REMOTE, "silent")


def _modern(talk: Talk) -> Iterator[Step]:
    pick = talk.pick
    boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "W", "firmwareVersion": "2.0"}}
    yield from talk.call(STATION, "BootNotification", boot, talk.welcome)
    status = {"timestamp": talk.time, "connectorStatus": pick.choice(("Available", "Faulted")), "evseId": 1, "connectorId": 1}
    yield from talk.call(STATION, "StatusNotification", status, {})
    password = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    variables = {"setVariableData": [{"attributeValue": "hunter2hunter2hunter2", **password}]}
    result = {"setVariableResult": [{"attributeStatus": "Accepted", **password}]}
    yield from talk.call(CSMS, "SetVariables", variables, result)
    apn = {"apn": "a", "apnAuthentication": "AUTO", "simPin": 1234}                 # as a pseudonym the PIN is no number
    profile = {
        "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://csms", "messageTimeout": 30,
        "securityProfile": 2, "ocppInterface": "Wireless0", "apn": apn}
    yield from talk.call(
        CSMS, "SetNetworkProfile", {"configurationSlot": 1, "connectionData": profile}, {"status": "Accepted"})
    tx = f"tx-{pick.randrange(10**6)}"
    parts = (("Started", 0, "Authorized", 100.0), ("Updated", 1, "MeterValuePeriodic", 900.0),
             ("Updated", pick.choice((2, 3)), "MeterValuePeriodic", 1900.0), ("Ended", 4, "StopAuthorized", 2900.0))
    power = {"value": 7.4, "measurand": POWER, "unitOfMeasure": {"unit": "kW"}}
    for kind, sequence, reason, register in parts:
        if kind == "Ended" and pick.random() < 0.3:
            return
        event = {
            "eventType": kind, "timestamp": talk.time, "triggerReason": reason, "seqNo": sequence,
            "transactionInfo": {"transactionId": tx}, "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": talk.time, "sampledValue": [{"value": register, "measurand": REGISTER}, power]}],
        }
        if kind == "Started":
            event["idToken"] = {"idToken": "TAG9", "type": "ISO14443"}
        yield from talk.call(STATION, "TransactionEvent", event, {}, pick.choice((60, 400)))
    yield from talk.call(CSMS, "GetVariables", {"getVariableData": []}, "FormationViolation")
