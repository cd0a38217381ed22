"""What the chargers and central systems on the two sides of a bridge answer: plain ones, that take what they are told."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.peers.bridge_roles import NOW, Given, Payload, Peer

ACCEPTED = {"status": "Accepted"}
TAG, TOKEN = "04A2B3C4", {"idToken": "04A2B3C4", "type": "ISO14443"}
SCHEDULE = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}
KEYS = {
    "HeartbeatInterval": "300", "MeterValueSampleInterval": "60", "NumberOfConnectors": "1", "GetConfigurationMaxKeys": "20",
    "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger,Reservation",
}
FIXED = ("NumberOfConnectors", "GetConfigurationMaxKeys", "SupportedFeatureProfiles")
REGISTER = "Energy.Active.Import.Register"


def now() -> str:
    """The time as a peer tells it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def earlier(minute: int) -> str:
    """A time before any of this."""
    return f"2026-01-05T07:{minute:02}:00.000Z"


# ---- central systems ----

def _event_answer(payload: Payload) -> Payload:
    return {"idTokenInfo": ACCEPTED} if "idToken" in payload else {}


def system201() -> dict[str, Given]:
    """A CSMS of 2.0.1."""
    told = ("StatusNotification", "MeterValues", "NotifyEvent", "NotifyReport", "FirmwareStatusNotification",
            "SecurityEventNotification", "LogStatusNotification", "ReportChargingProfiles")
    return {
        "BootNotification": {"currentTime": NOW, "interval": 300, "status": "Accepted"}, "Heartbeat": {"currentTime": NOW},
        "Authorize": {"idTokenInfo": ACCEPTED}, "TransactionEvent": _event_answer, **{action: {} for action in told},
    }


def system16(first: int = 4711) -> dict[str, Given]:
    """A CSMS of 1.6: its transactions are numbered from ``first`` on."""
    numbers = count(first)
    return {
        "BootNotification": {"currentTime": NOW, "interval": 300, "status": "Accepted"}, "Heartbeat": {"currentTime": NOW},
        "Authorize": {"idTagInfo": ACCEPTED}, "StopTransaction": {"idTagInfo": ACCEPTED},
        "StatusNotification": {}, "MeterValues": {},
        "StartTransaction": lambda _: {"transactionId": next(numbers), "idTagInfo": ACCEPTED},
    }


# ---- chargers ----

def _configuration(keys: dict[str, str]) -> dict[str, Given]:
    def read(payload: Payload) -> Payload:
        wanted = payload.get("key") or list(keys)
        return {
            "configurationKey": [{"key": key, "readonly": key in FIXED, "value": keys[key]} for key in wanted if key in keys],
            "unknownKey": [key for key in wanted if key not in keys],
        }

    def write(payload: Payload) -> Payload:
        if payload["key"] not in keys:
            return {"status": "NotSupported"}
        if payload["key"] in FIXED:
            return {"status": "Rejected"}
        keys[payload["key"]] = payload["value"]
        return ACCEPTED

    return {"GetConfiguration": read, "ChangeConfiguration": write}


def station16() -> dict[str, Given]:
    """A charger of 1.6."""
    simple = ("RemoteStartTransaction", "RemoteStopTransaction", "SetChargingProfile", "ClearChargingProfile",
              "ChangeAvailability", "TriggerMessage", "Reset", "ReserveNow", "CancelReservation", "SendLocalList")
    return {**{action: ACCEPTED for action in simple}, **_configuration(dict(KEYS)), "UnlockConnector": {"status": "Unlocked"}}


class Charger201:
    """A charger of 2.0.1 with a device model. ``peer``: once it is on a link."""

    def __init__(self) -> None:
        self.peer: Peer | None = None
        self.reports: list[asyncio.Task[Payload]] = []
        self.device = {
            ("OCPPCommCtrlr", "HeartbeatInterval"): ["300", "ReadWrite"],
            ("SampledDataCtrlr", "TxUpdatedInterval"): ["60", "ReadWrite"],
            ("TxCtrlr", "TxStartPoint"): ["EVConnected", "ReadWrite"],
            ("TxCtrlr", "TxStopPoint"): ["EVConnected", "ReadWrite"],
            ("DeviceDataCtrlr", "ItemsPerMessage"): ["20", "ReadOnly"],
        }
        simple = ("RequestStartTransaction", "RequestStopTransaction", "SetChargingProfile", "ClearChargingProfile",
                  "ChangeAvailability", "TriggerMessage", "Reset")
        self.answers: dict[str, Given] = {
            **{action: ACCEPTED for action in simple}, "UnlockConnector": {"status": "Unlocked"},
            "GetVariables": self._read, "SetVariables": self._write, "GetBaseReport": self._report,
            "GetReport": {"status": "EmptyResultSet"},
        }

    def _read(self, payload: Payload) -> Payload:
        return {"getVariableResult": [self._read_one(item) for item in payload["getVariableData"]]}

    def _read_one(self, item: Payload) -> Payload:
        found = self.device.get((item["component"]["name"], item["variable"]["name"]))
        place = {"component": item["component"], "variable": item["variable"]}
        if found is None:
            return {**place, "attributeStatus": "UnknownVariable"}
        return {**place, "attributeStatus": "Accepted", "attributeValue": found[0]}

    def _write(self, payload: Payload) -> Payload:
        return {"setVariableResult": [self._write_one(item) for item in payload["setVariableData"]]}

    def _write_one(self, item: Payload) -> Payload:
        found = self.device.get((item["component"]["name"], item["variable"]["name"]))
        status = "UnknownVariable" if found is None else "Rejected" if found[1] == "ReadOnly" else "Accepted"
        if found is not None and status == "Accepted":
            found[0] = item["attributeValue"]
        return {"component": item["component"], "variable": item["variable"], "attributeStatus": status}

    def _report(self, payload: Payload) -> Payload:
        rows: list[Payload] = [
            {"component": {"name": component}, "variable": {"name": variable},
             "variableAttribute": [{"value": value, "mutability": mutability}]}
            for (component, variable), (value, mutability) in self.device.items() if mutability == "ReadWrite"
        ]
        page = {"requestId": payload["requestId"], "generatedAt": now(), "seqNo": 0, "tbc": False, "reportData": rows}
        assert self.peer is not None
        self.reports.append(asyncio.create_task(self.peer.call("NotifyReport", page)))
        return ACCEPTED


# ---- meter values ----

def readings16(at: str, energy: int, soc: int) -> list[Payload]:
    """Energy, power and state of charge as 1.6 has them."""
    return [{"timestamp": at, "sampledValue": [
        {"value": str(energy), "measurand": REGISTER, "unit": "Wh"},
        {"value": "7.2", "measurand": "Power.Active.Import", "unit": "kW"},
        {"value": str(soc), "measurand": "SoC", "unit": "Percent", "location": "EV"},
    ]}]


def readings201(at: str, energy: int, soc: int, context: str = "Sample.Periodic") -> list[Payload]:
    """The same as 2.0.1 has them."""
    return [{"timestamp": at, "sampledValue": [
        {"value": energy, "context": context, "measurand": REGISTER, "unitOfMeasure": {"unit": "Wh"}},
        {"value": 7.2, "context": context, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kW"}},
        {"value": soc, "context": context, "measurand": "SoC", "location": "EV", "unitOfMeasure": {"unit": "Percent"}},
    ]}]


def register(values: list[Payload]) -> list[Any]:
    """The values of the energy register in a meterValue list, in Wh."""
    return [
        float(sample["value"]) for value in values for sample in value["sampledValue"]
        if sample.get("measurand", REGISTER) == REGISTER
    ]
