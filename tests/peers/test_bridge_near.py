"""Real chargers and central systems of 2.1 and 2.0.1 on the two sides of the bridge, through the running proxy.

PyPI ``ocpp`` checks each payload against the schemas of its version, both what it gets and what it sends.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from ocpp_proxy_plugins.bridge.tokens import alias

from tests.peers.bridge_answers import ACCEPTED, TOKEN, now, readings201
from tests.peers.bridge_roles import NOW, Given, Payload, Theatre, theatre

pytestmark = pytest.mark.skipif("OCPP_PROXY_UNDER_TEST" in os.environ, reason="another proxy, which does not bridge")
BOOTED = {"currentTime": NOW, "interval": 300, "status": "Accepted"}
BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Box"}}
UID = "5b0c1a52-93a4-4a3e-9d5e-7c1f8a2b0001"
LONG = {"idToken": "DE*ACM*" + "0123456789" * 5, "type": "eMAID"}
SHORT = {"idToken": alias("eMAID", LONG["idToken"]), "type": "eMAID"}
SYSTEM: dict[str, Given] = {
    "BootNotification": BOOTED, "Heartbeat": {"currentTime": NOW}, "Authorize": {"idTokenInfo": ACCEPTED},
    "TransactionEvent": {"idTokenInfo": ACCEPTED}, "NotifyMonitoringReport": {},
}


def run(stage: Theatre, session: Callable[[Theatre], Awaitable[None]]) -> None:
    """The session, while the CSMS listens."""

    async def main() -> None:
        async with stage.csms():
            await session(stage)

    asyncio.run(main())


def event(kind: str, number: int, trigger: str, **others: object) -> Payload:
    """A TransactionEvent."""
    return {"eventType": kind, "timestamp": now(), "triggerReason": trigger, "seqNo": number,
            "transactionInfo": {"transactionId": UID}, **others}


async def charges_down(stage: Theatre) -> None:
    station, csms = await stage.dial({"RequestStartTransaction": ACCEPTED, "SetChargingProfile": ACCEPTED})
    assert await station.call("BootNotification", BOOT) == BOOTED
    assert await station.call("Authorize", {"idToken": LONG}) == {"idTokenInfo": ACCEPTED}
    assert csms.told("Authorize") == [{"idToken": SHORT}]
    stream = {"constantStreamData": {"id": 1, "variableMonitoringId": 1, "params": {"interval": 5}}}
    refused = await station.call("OpenPeriodicEventStream", stream)
    assert refused["status"] == "Rejected" and refused["statusInfo"]["reasonCode"] == "BridgeNoEquiv"
    assert await csms.call("RequestStartTransaction", {"idToken": SHORT, "remoteStartId": 7, "evseId": 1}) == ACCEPTED
    assert station.told("RequestStartTransaction") == [{"idToken": LONG, "remoteStartId": 7, "evseId": 1}]
    values = readings201(now(), 1200, 60)
    values[0]["sampledValue"].append({"value": 55, "measurand": "Display.PresentSOC"})
    assert await station.call("TransactionEvent", event("Started", 0, "RemoteStart", idToken=LONG)) == {"idTokenInfo": ACCEPTED}
    await station.call("TransactionEvent", event("Updated", 1, "CostLimitReached", meterValue=values, evseSleep=False))
    await station.call("TransactionEvent", event("Ended", 2, "RemoteStop"))
    told = csms.told("TransactionEvent")
    assert [(one["eventType"], one["seqNo"], one["triggerReason"]) for one in told] == [
        ("Started", 0, "RemoteStart"), ("Updated", 1, "EnergyLimitReached"), ("Ended", 2, "RemoteStop")]
    assert told[0]["idToken"] == SHORT and "evseSleep" not in told[1]
    assert [one["measurand"] for one in told[1]["meterValue"][0]["sampledValue"]] == [
        "Energy.Active.Import.Register", "Power.Active.Import", "SoC"]
    await station.close()
    assert {action for action, _ in csms.calls()} == {"BootNotification", "Authorize", "TransactionEvent", "Heartbeat"}


def test_a_2_1_charger_charges_on_a_2_0_1_csms(tmp_path: Path) -> None:
    with theatre(tmp_path, "2.1:2.0.1", SYSTEM) as stage:
        run(stage, charges_down)
    stage.assert_well()
    assert [pair for pair in stage.pairs() if pair[0] != "Heartbeat"] == [
        (name, name) for name in ("BootNotification", "Authorize", "RequestStartTransaction", *["TransactionEvent"] * 3)]
    assert {
        ("Authorize", "shortened", "$.idToken.idToken"), ("OpenPeriodicEventStream", "dropped", "$"),
        ("TransactionEvent", "shortened", "$.triggerReason"), ("TransactionEvent", "dropped", "$.evseSleep"),
        ("TransactionEvent", "dropped", "$.meterValue[0].sampledValue[3].measurand"),
    } <= stage.losses()
    events = "FROM wire WHERE mtype = 2 AND action = 'TransactionEvent'"
    versions = stage.rows(f"SELECT DISTINCT protocol, verdict {events} ORDER BY 1")
    assert [(row["protocol"], row["verdict"]) for row in versions] == [("ocpp2.0.1", "translated"), ("ocpp2.1", "replaced")]


async def commands_up(stage: Theatre) -> None:
    station, csms = await stage.dial({"SetChargingProfile": ACCEPTED, "RequestStartTransaction": ACCEPTED, "Reset": ACCEPTED})
    assert await station.call("BootNotification", BOOT) == BOOTED
    tariff = {"evseId": 0, "tariff": {"tariffId": "t", "currency": "EUR"}}
    refused = await csms.call("SetDefaultTariff", tariff)
    assert refused["status"] == "Rejected" and refused["statusInfo"]["reasonCode"] == "BridgeNoEquiv"
    period = {"startPeriod": 0, "setpoint": 10.0, "operationMode": "CentralSetpoint"}
    profile = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute",
               "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}]}
    assert await csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile}) == ACCEPTED
    (told,) = station.told("SetChargingProfile")
    assert told["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]
    dynamic = {**profile, "chargingProfileKind": "Dynamic"}
    assert (await csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": dynamic}))["status"] == "Rejected"
    assert await csms.call("Reset", {"type": "ImmediateAndResume"}) == ACCEPTED
    assert station.told("Reset") == [{"type": "Immediate"}] and len(station.told("SetChargingProfile")) == 1
    monitor = {"component": {"name": "EVSE"}, "variable": {"name": "Power"}, "variableMonitoring": [
        {"id": 1, "transaction": False, "value": 1.0, "type": "Delta", "severity": 4}]}
    report = {"requestId": 1, "seqNo": 0, "generatedAt": now(), "monitor": [monitor]}
    assert await station.call("NotifyMonitoringReport", report) == {}
    (heard,) = csms.told("NotifyMonitoringReport")
    assert heard["monitor"][0]["variableMonitoring"][0]["eventNotificationType"] == "CustomMonitor"
    assert await station.call("TransactionEvent", event("Started", 0, "Authorized", idToken=TOKEN)) == {"idTokenInfo": ACCEPTED}
    await station.close()


def test_a_2_0_1_charger_charges_on_a_2_1_csms(tmp_path: Path) -> None:
    with theatre(tmp_path, "2.0.1:2.1", SYSTEM) as stage:
        run(stage, commands_up)
    stage.assert_well()
    assert [pair for pair in stage.pairs() if pair[0] != "Heartbeat"] == [
        (name, name) for name in (
            "BootNotification", "SetChargingProfile", "Reset", "NotifyMonitoringReport", "TransactionEvent")]
    invented = "$.monitor[0].variableMonitoring[0].eventNotificationType"
    assert ("NotifyMonitoringReport", "invented", invented) in stage.losses()
    assert not [loss for loss in stage.losses() if loss[0] in ("BootNotification", "TransactionEvent")]
