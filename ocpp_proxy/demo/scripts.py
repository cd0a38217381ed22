"""What the demo's chargers and CSMS do, act by act. Every fault is one that chargers in the field show."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct

from ocpp_proxy.demo.csms import Answer, Call, SimulatedCsms, timestamp
from ocpp_proxy.demo.station import Station

HEALTHY, MODERN, AUTEL, FAULTY, RESTLESS = "CP-HEALTHY", "CS-MODERN", "CP-AUTEL", "CP-FAULTY", "CP-RESTLESS"
RECONNECTS = 12


def fault(identity: str, action: str, answer: Answer) -> Answer:
    """The CSMS's own faults: transaction id -1 for the faulty charger, and one Call it never answers."""
    if identity == FAULTY and action == "StartTransaction" and answer is not None:
        return {**answer, "transactionId": -1}
    if identity == FAULTY and action == "DataTransfer":
        return None
    return answer


def script(identity: str) -> list[Call]:
    """The Calls that the CSMS sends, one after each message of that charger."""
    match identity:
        case "CP-HEALTHY":
            return [("GetConfiguration", {"key": ["HeartbeatInterval"]}), ("TriggerMessage", {"requestedMessage": "Heartbeat"})]
        case "CP-FAULTY":
            return [("TriggerMessage", {"requestedMessage": "StatusNotification"})]
        case _:
            return []


def status(connector: int, state: str, at: str | None = None) -> dict[str, Any]:
    """A StatusNotification of 1.6."""
    return {"connectorId": connector, "errorCode": "NoError", "status": state, "timestamp": at or timestamp()}


def sample(value: str, measurand: str, unit: str) -> dict[str, str]:
    """One sampledValue of 1.6."""
    return {"value": value, "measurand": measurand, "unit": unit, "context": "Sample.Periodic"}


def boot(serial: str) -> dict[str, str]:
    """A BootNotification of 1.6."""
    return {
        "chargePointVendor": "Example", "chargePointModel": "AC22",
        "chargePointSerialNumber": serial, "firmwareVersion": "1.4.2",
    }


def start(tag: str, meter: int) -> dict[str, Any]:
    """A StartTransaction of 1.6."""
    return {"connectorId": 1, "idTag": tag, "meterStart": meter, "timestamp": timestamp()}


class Onlooker(Protocol):
    """Whose leaving ends an act early."""

    @property
    def shown(self) -> bool:
        """Whether somebody still looks."""


class Pace(Struct, frozen=True):
    """How quickly an act is played: ``seconds`` between two values, none once ``onlooker`` has gone; with a boot or without."""

    seconds: float = 0.0
    onlooker: Onlooker | None = None
    boots: bool = True

    async def rest(self) -> None:
        """Wait for the next value."""
        if self.seconds and (self.onlooker is None or self.onlooker.shown):
            await asyncio.sleep(self.seconds)


SOON, AT_ONCE = Pace(0.02), Pace()


async def healthy_day(station: Station, seed: int, sessions: int, pace: Pace = SOON) -> None:
    """(a) A day of a healthy 1.6 charger, compressed: boot, status, transactions with meter values, heartbeats."""
    random_ = random.Random(seed)
    if pace.boots:
        await station.call("BootNotification", boot("HEALTHY-1"))
    await station.call("StatusNotification", status(1, "Available"))
    meter = 120_000
    for session in range(sessions):
        tag = f"TAG-{random_.randrange(1000, 9999)}"
        await station.call("Authorize", {"idTag": tag})
        await station.call("StatusNotification", status(1, "Preparing"))
        started = await station.call("StartTransaction", start(tag, meter))
        transaction = started["transactionId"] if started else 0
        await station.call("StatusNotification", status(1, "Charging"))
        for _ in range(5):
            power = random_.randrange(7_000, 11_000)
            meter += power // 4
            values = [sample(str(meter), "Energy.Active.Import.Register", "Wh"), sample(str(power), "Power.Active.Import", "W")]
            await station.call("MeterValues", {
                "connectorId": 1, "transactionId": transaction,
                "meterValue": [{"timestamp": timestamp(), "sampledValue": values}],
            })
            await pace.rest()
        await station.call("StopTransaction", {
            "transactionId": transaction, "idTag": tag, "meterStop": meter, "timestamp": timestamp(),
            "reason": "EVDisconnected",
        })
        await station.call("StatusNotification", status(1, "Available"))
        if session % 2:
            await station.call("Heartbeat", {})


async def modern(station: Station, seed: int, pace: Pace = AT_ONCE) -> None:
    """(b) A 2.0.1 station: boot, status, one transaction with TransactionEvents, over a compressed connection."""
    random_ = random.Random(seed)
    if pace.boots:
        await station.call("BootNotification", {"reason": "PowerUp", "chargingStation": {
            "vendorName": "Example", "model": "DC150", "serialNumber": "MODERN-1", "firmwareVersion": "7.0.3"}})
    await station.call("StatusNotification", {
        "timestamp": timestamp(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1})
    transaction = f"{random_.getrandbits(64):016x}"
    energy = 4_000_000.0
    events = [("Started", "CablePluggedIn"), *[("Updated", "MeterValuePeriodic")] * 4, ("Ended", "EVCommunicationLost")]
    for number, (event, trigger) in enumerate(events):
        energy += random_.randrange(2_000, 6_000)
        payload: dict[str, Any] = {
            "eventType": event, "timestamp": timestamp(), "triggerReason": trigger, "seqNo": number,
            "transactionInfo": {"transactionId": transaction},
            "meterValue": [{"timestamp": timestamp(), "sampledValue": [{
                "value": energy, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}]}],
        }
        if event == "Ended":
            payload["transactionInfo"]["stoppedReason"] = "EVDisconnected"
        if event == "Started":
            payload["evse"] = {"id": 1, "connectorId": 1}
            payload["idToken"] = {"idToken": "04A1B2C3D4", "type": "ISO14443"}
        await station.call("TransactionEvent", payload)
        await pace.rest()
    await station.call("Heartbeat", {})


async def faulty(station: Station) -> None:
    """(d) Unit ``Hz``, a Call without an answer, transaction id -1, a clock of 1970, a meter that runs backwards."""
    await station.call("BootNotification", boot("FAULTY-1"))
    await station.call("StatusNotification", status(1, "Available", "1970-01-01T00:00:42Z"))
    await station.call("Authorize", {"idTag": "TAG-7"})
    started = await station.call("StartTransaction", start("TAG-7", 5000))
    transaction = started["transactionId"] if started else -1
    hertz = sample("50.01", "Frequency", "Hz")
    await station.call("MeterValues", {
        "connectorId": 1, "transactionId": transaction,
        "meterValue": [{"timestamp": timestamp(), "sampledValue": [hertz]}]})
    await station.call("StopTransaction", {"transactionId": transaction, "meterStop": 4200, "timestamp": timestamp()})
    local = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")
    await station.call("StatusNotification", status(1, "Available", local))
    await station.call("DataTransfer", {"vendorId": "com.example", "messageId": "ping"})


async def restless(url: str, seed: int, csms: SimulatedCsms) -> int:
    """(e) A reconnect loop: boot, then the cable seems to be cut, again and again. Gives the messages sent."""
    sent = 0
    for attempt in range(RECONNECTS):
        station = Station(url, "ocpp1.6", seed + attempt)
        async with station:
            await station.call("BootNotification", boot("RESTLESS-1"))
            await station.vanish()
        sent += station.sent
        while csms.open[RESTLESS]:          # the end has passed the proxy before the next dial
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    return sent
