"""Real chargers and central systems of two versions on the two sides of the bridge, through the running proxy.

PyPI ``ocpp`` checks each payload against the schemas of its version, both what it gets and what it sends.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.peers.bridge_answers import (
    ACCEPTED,
    SCHEDULE,
    TAG,
    TOKEN,
    Charger201,
    earlier,
    now,
    readings16,
    readings201,
    register,
    station16,
    system16,
    system201,
)
from tests.peers.bridge_roles import NOW, Payload, Peer, Theatre, theatre, until

pytestmark = pytest.mark.skipif("OCPP_PROXY_UNDER_TEST" in os.environ, reason="another proxy, which does not bridge")
UP, DOWN = "1.6:2.0.1", "2.0.1:1.6"
BOOTED = {"currentTime": NOW, "interval": 300, "status": "Accepted"}
UID = "5b0c1a52-93a4-4a3e-9d5e-7c1f8a2b0001"


def run(stage: Theatre, session: Callable[[Theatre], Awaitable[None]]) -> None:
    """The session, while the CSMS listens."""

    async def main() -> None:
        async with stage.csms():
            await session(stage)

    asyncio.run(main())


# ---- a 1.6 charger on a 2.0.1 CSMS ----

async def booted16(stage: Theatre) -> tuple[Peer, Peer]:
    """A charger that has booted, was asked what it is, and is available."""
    station, csms = await stage.dial(station16())
    boot = {"chargePointVendor": "ACME", "chargePointModel": "Box", "firmwareVersion": "1.2", "meterType": "EM24"}
    assert await station.call("BootNotification", boot) == BOOTED
    assert await station.until("GetConfiguration") == [{}]
    available = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": now()}
    assert await station.call("StatusNotification", available) == {}
    return station, csms


async def charges_up(stage: Theatre) -> None:
    station, csms = await booted16(stage)
    assert await station.call("Authorize", {"idTag": TAG}) == {"idTagInfo": ACCEPTED}
    profile = {"id": 5, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
               "chargingSchedule": [{"id": 1, **SCHEDULE}]}
    started = {"idToken": TOKEN, "remoteStartId": 7, "evseId": 1, "chargingProfile": profile}
    assert await csms.call("RequestStartTransaction", started) == ACCEPTED
    (asked,) = station.told("RemoteStartTransaction")
    assert (asked["connectorId"], asked["idTag"]) == (1, TAG)
    assert asked["chargingProfile"]["chargingSchedule"] == SCHEDULE
    times = [now()]
    begun = await station.call("StartTransaction", {"connectorId": 1, "idTag": TAG, "meterStart": 1000, "timestamp": times[0]})
    tid = begun["transactionId"]
    times.append(now())
    charging = {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": times[-1]}
    await station.call("StatusNotification", charging)
    for energy in (1200, 1300):
        times.append(now())
        values = readings16(times[-1], energy, energy // 20)
        assert await station.call("MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": values}) == {}
    uid = csms.told("TransactionEvent")[0]["transactionInfo"]["transactionId"]
    running = await csms.call("GetTransactionStatus", {"transactionId": uid})
    assert running == {"ongoingIndicator": True, "messagesInQueue": False}
    assert await csms.call("RequestStopTransaction", {"transactionId": uid}) == ACCEPTED
    assert station.told("RemoteStopTransaction") == [{"transactionId": tid}]
    times.append(now())
    stop = {"transactionId": tid, "meterStop": 1400, "timestamp": times[-1], "reason": "Remote", "idTag": TAG}
    assert await station.call("StopTransaction", stop) == {"idTagInfo": ACCEPTED}
    await station.close()
    _assert_told_up(csms, uid, times)


def _assert_told_up(csms: Peer, uid: str, times: list[str]) -> None:
    """What the CSMS saw of it."""
    actions = [action for action, _ in csms.calls() if action != "Heartbeat"]
    assert actions[:4] == ["BootNotification", "StatusNotification", "Authorize", "TransactionEvent"]
    assert csms.told("BootNotification") == [{
        "reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Box", "firmwareVersion": "1.2"}}]
    assert csms.told("Authorize") == [{"idToken": TOKEN}]
    assert [(one["evseId"], one["connectorId"], one["connectorStatus"]) for one in csms.told("StatusNotification")] == [
        (1, 1, "Available"), (1, 1, "Occupied")]
    events = csms.told("TransactionEvent")
    assert [(one["eventType"], one["seqNo"], one["triggerReason"]) for one in events] == [
        ("Started", 0, "RemoteStart"), ("Updated", 1, "ChargingStateChanged"), ("Updated", 2, "MeterValuePeriodic"),
        ("Updated", 3, "MeterValuePeriodic"), ("Ended", 4, "RemoteStop")]
    assert [one["timestamp"] for one in events] == times and not any(one.get("offline") for one in events)
    assert {one["transactionInfo"]["transactionId"] for one in events} == {uid}
    assert (events[0]["idToken"], events[0]["evse"]) == (TOKEN, {"id": 1, "connectorId": 1})
    assert events[0]["transactionInfo"]["remoteStartId"] == 7 and events[1]["transactionInfo"]["chargingState"] == "Charging"
    assert events[4]["transactionInfo"]["stoppedReason"] == "Remote"
    assert [register(one.get("meterValue", [])) for one in events] == [[1000.0], [], [1200.0], [1300.0], [1400.0]]
    samples = events[2]["meterValue"][0]["sampledValue"]
    assert {one["measurand"]: (one["value"], one["unitOfMeasure"]["unit"]) for one in samples} == {
        "Energy.Active.Import.Register": (1200, "Wh"), "Power.Active.Import": (7.2, "kW"), "SoC": (60, "Percent")}


def test_a_1_6_charger_charges_on_a_2_0_1_csms(tmp_path: Path) -> None:
    with theatre(tmp_path, UP, system201()) as stage:
        run(stage, charges_up)
    stage.assert_well()
    charged = [("StartTransaction", "TransactionEvent"), ("StatusNotification", "StatusNotification"),
               ("StatusNotification", "TransactionEvent"), *[("MeterValues", "TransactionEvent")] * 2,
               ("RequestStopTransaction", "RemoteStopTransaction"), ("StopTransaction", "TransactionEvent")]
    told = [pair for pair in stage.pairs() if pair[1] != "Heartbeat"]       # by one that waits for what is under way
    assert told[-7:] == charged
    assert ("BootNotification", "dropped", "$.meterType") in stage.losses()


async def commands_up(stage: Theatre) -> None:
    station, csms = await booted16(stage)
    await _variables_up(station, csms)
    assert await csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}}) == ACCEPTED
    assert station.told("ChangeAvailability") == [{"connectorId": 1, "type": "Inoperative"}]
    wish = {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}
    assert await csms.call("TriggerMessage", wish) == ACCEPTED
    assert station.told("TriggerMessage") == [{"requestedMessage": "StatusNotification", "connectorId": 1}]
    assert await csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1}) == {"status": "Unlocked"}
    assert station.told("UnlockConnector") == [{"connectorId": 1}]
    await _profiles_up(station, csms)
    assert await csms.call("Reset", {"type": "Immediate"}) == ACCEPTED
    assert station.told("Reset") == [{"type": "Hard"}]
    await station.close()
    again, csms = await stage.dial(station16())
    await again.call("BootNotification", {"chargePointVendor": "ACME", "chargePointModel": "Box"})
    assert csms.told("BootNotification")[0]["reason"] == "RemoteReset"
    await again.until("GetConfiguration")
    await again.close()


async def _variables_up(station: Peer, csms: Peer) -> None:
    """Read and write variables of the device model, and its report."""

    def variable(component: str, name: str, **more: str) -> Payload:
        return {"component": {"name": component}, "variable": {"name": name}, **more}

    interval = variable("OCPPCommCtrlr", "HeartbeatInterval")
    read = await csms.call("GetVariables", {"getVariableData": [interval, variable("OCPPCommCtrlr", "Nonsense")]})
    assert [(one["attributeStatus"], one.get("attributeValue")) for one in read["getVariableResult"]] == [
        ("Accepted", "300"), ("UnknownVariable", None)]
    wanted = [{**interval, "attributeValue": "600"}, variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="30")]
    written = await csms.call("SetVariables", {"setVariableData": wanted})
    assert [one["attributeStatus"] for one in written["setVariableResult"]] == ["Accepted"] * 2
    assert station.told("ChangeConfiguration") == [
        {"key": "HeartbeatInterval", "value": "600"}, {"key": "MeterValueSampleInterval", "value": "30"}]
    assert await csms.call("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"}) == ACCEPTED
    await csms.until("NotifyReport")
    while csms.told("NotifyReport")[-1]["tbc"]:
        await csms.until("NotifyReport", len(csms.told("NotifyReport")) + 1)
    pages = csms.told("NotifyReport")
    assert [one["seqNo"] for one in pages] == list(range(len(pages)))
    rows = {(row["component"]["name"], row["variable"]["name"]): row for page in pages for row in page["reportData"]}
    assert rows["OCPPCommCtrlr", "HeartbeatInterval"]["variableAttribute"][0]["value"] == "600"


async def _profiles_up(station: Peer, csms: Peer) -> None:
    profile = {"id": 9, "stackLevel": 1, "chargingProfilePurpose": "ChargingStationMaxProfile",
               "chargingProfileKind": "Absolute", "chargingSchedule": [{"id": 1, "startSchedule": earlier(0), **SCHEDULE}]}
    assert await csms.call("SetChargingProfile", {"evseId": 0, "chargingProfile": profile}) == ACCEPTED
    (made,) = station.told("SetChargingProfile")
    assert (made["connectorId"], made["csChargingProfiles"]["chargingProfilePurpose"]) == (0, "ChargePointMaxProfile")
    assert made["csChargingProfiles"]["chargingSchedule"] == {"startSchedule": earlier(0), **SCHEDULE}
    wanted = {"requestId": 8, "chargingProfile": {"chargingProfilePurpose": "ChargingStationMaxProfile"}}
    assert await csms.call("GetChargingProfiles", wanted) == ACCEPTED
    (report,) = await csms.until("ReportChargingProfiles")
    assert (report["requestId"], [one["id"] for one in report["chargingProfile"]]) == (8, [9])
    assert await csms.call("ClearChargingProfile", {"chargingProfileId": 9}) == ACCEPTED
    assert station.told("ClearChargingProfile") == [{"id": 9}]


def test_a_2_0_1_csms_commands_a_1_6_charger(tmp_path: Path) -> None:
    with theatre(tmp_path, UP, system201()) as stage:
        run(stage, commands_up)
    stage.assert_well()
    assert ("SetVariables", "ChangeConfiguration") in stage.pairs()


async def offline_up(stage: Theatre) -> None:
    """The link is lost in a transaction; the charger ends it, has another one, and tells both later."""
    station, csms = await booted16(stage)
    begun = await station.call("StartTransaction", {"connectorId": 1, "idTag": TAG, "meterStart": 0, "timestamp": now()})
    tid = begun["transactionId"]
    await station.close()
    await csms.over()
    station, again = await stage.dial(station16())
    await station.call("BootNotification", {"chargePointVendor": "ACME", "chargePointModel": "Box"})
    values = {"connectorId": 1, "transactionId": tid, "meterValue": readings16(earlier(1), 500, 30)}
    assert await station.call("MeterValues", values) == {}
    await station.call("StopTransaction", {"transactionId": tid, "meterStop": 900, "timestamp": earlier(2), "reason": "Local"})
    late = await station.call("StartTransaction", {"connectorId": 1, "idTag": TAG, "meterStart": 900, "timestamp": earlier(3)})
    await station.call("StopTransaction", {"transactionId": late["transactionId"], "meterStop": 950, "timestamp": earlier(4)})
    assert late["transactionId"] == tid + 1
    await station.close()
    events = csms.told("TransactionEvent") + again.told("TransactionEvent")
    assert [(one["eventType"], one["seqNo"], one.get("offline", False)) for one in events] == [
        ("Started", 0, False), ("Updated", 1, True), ("Ended", 2, True), ("Started", 0, True), ("Ended", 1, True)]
    uids = [one["transactionInfo"]["transactionId"] for one in events]
    assert uids == [uids[0]] * 3 + [uids[3]] * 2 and uids[0] != uids[3]
    assert [register(one["meterValue"]) for one in events] == [[0.0], [500.0], [900.0], [900.0], [950.0]]
    assert [one["timestamp"] for one in events[1:]] == [earlier(minute) for minute in (1, 2, 3, 4)]


def test_a_1_6_charger_tells_what_happened_offline(tmp_path: Path) -> None:
    with theatre(tmp_path, UP, system201()) as stage:
        run(stage, offline_up)
    stage.assert_well()


# ---- a 2.0.1 charger on a 1.6 CSMS ----

async def booted201(stage: Theatre) -> tuple[Peer, Peer, Charger201]:
    """A charger that has booted, was asked what it is, and is available."""
    charger = Charger201()
    station, csms = await stage.dial(charger.answers)
    charger.peer = station
    boot = {"reason": "PowerUp", "chargingStation": {
        "vendorName": "A vendor of quite a long name", "model": "Box", "firmwareVersion": "1.2"}}
    assert await station.call("BootNotification", boot) == BOOTED
    await csms.until("StatusNotification")
    available = {"timestamp": now(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    assert await station.call("StatusNotification", available) == {}
    await csms.until("StatusNotification", 2)
    return station, csms, charger


def event(kind: str, seq: int, at: str, trigger: str, state: str = "Charging", **more: object) -> Payload:
    """A TransactionEvent of the charger."""
    info: Payload = {"transactionId": UID, "chargingState": state}
    return {"eventType": kind, "seqNo": seq, "timestamp": at, "triggerReason": trigger, "transactionInfo": info, **more}


async def charges_down(stage: Theatre) -> None:
    station, csms, charger = await booted201(stage)
    assert await station.call("Authorize", {"idToken": TOKEN}) == {"idTokenInfo": ACCEPTED}
    profile = {"chargingProfileId": 5, "stackLevel": 0, "chargingProfilePurpose": "TxProfile",
               "chargingProfileKind": "Relative", "chargingSchedule": SCHEDULE}
    start = {"connectorId": 1, "idTag": TAG, "chargingProfile": profile}
    assert await csms.call("RemoteStartTransaction", start) == ACCEPTED
    (asked,) = station.told("RequestStartTransaction")
    assert (asked["evseId"], asked["idToken"]) == (1, TOKEN)
    assert [one["chargingSchedulePeriod"] for one in asked["chargingProfile"]["chargingSchedule"]] == [
        SCHEDULE["chargingSchedulePeriod"]]
    times = [now()]
    begin = event("Started", 0, times[0], "RemoteStart", idToken=TOKEN, evse={"id": 1, "connectorId": 1},
                  meterValue=readings201(times[0], 1000, 40, "Transaction.Begin"))
    begin["transactionInfo"]["remoteStartId"] = asked["remoteStartId"]
    assert await station.call("TransactionEvent", begin) == {"idTokenInfo": ACCEPTED}
    for energy in (1200, 1300):
        times.append(now())
        values = readings201(times[-1], energy, energy // 20)
        assert await station.call("TransactionEvent", event(
            "Updated", len(times) - 1, times[-1], "MeterValuePeriodic", meterValue=values)) == {}
    assert await csms.call("RemoteStopTransaction", {"transactionId": 4711}) == ACCEPTED
    assert station.told("RequestStopTransaction") == [{"transactionId": UID}]
    times.append(now())
    end = event("Ended", 3, times[-1], "RemoteStop", "EVConnected",
                meterValue=readings201(times[-1], 1400, 70, "Transaction.End"))
    end["transactionInfo"]["stoppedReason"] = "Remote"
    assert await station.call("TransactionEvent", end) == {}
    await asyncio.gather(*charger.reports)
    await station.close()
    _assert_told_down(csms, times)


def _assert_told_down(csms: Peer, times: list[str]) -> None:
    (boot,) = csms.told("BootNotification")
    assert boot["chargePointVendor"] == "A vendor of quite a " and boot["chargePointModel"] == "Box"
    assert csms.told("Authorize") == [{"idTag": TAG}]
    assert csms.told("StartTransaction") == [{"connectorId": 1, "idTag": TAG, "meterStart": 1000, "timestamp": times[0]}]
    values = [one for one in csms.told("MeterValues") if one["meterValue"][0]["timestamp"] != times[0]]
    assert [(one["connectorId"], one["transactionId"]) for one in values] == [(1, 4711)] * 2
    assert [(one["meterValue"][0]["timestamp"], register(one["meterValue"])) for one in values] == [
        (times[1], [1200.0]), (times[2], [1300.0])]
    sampled = {one["measurand"]: (one["value"], one["unit"]) for one in values[0]["meterValue"][0]["sampledValue"]}
    assert sampled == {
        "Energy.Active.Import.Register": ("1200", "Wh"), "Power.Active.Import": ("7.2", "kW"), "SoC": ("60", "Percent")}
    (stop,) = csms.told("StopTransaction")
    assert (stop["transactionId"], stop["meterStop"], stop["timestamp"], stop["reason"]) == (4711, 1400, times[3], "Remote")
    transaction = [action for action, _ in csms.calls("StartTransaction", "MeterValues", "StopTransaction")]
    assert transaction[0] == "StartTransaction" and transaction[-1] == "StopTransaction"
    assert [(one["connectorId"], one["status"]) for one in csms.told("StatusNotification")] == [
        (0, "Available"), (1, "Available"), (1, "Charging"), (1, "Finishing")]


def test_a_2_0_1_charger_charges_on_a_1_6_csms(tmp_path: Path) -> None:
    with theatre(tmp_path, DOWN, system16()) as stage:
        run(stage, charges_down)
    stage.assert_well()
    assert ("TransactionEvent", "StartTransaction") in stage.pairs()
    assert ("BootNotification", "shortened", "$.chargingStation.vendorName") in stage.losses()


async def commands_down(stage: Theatre) -> None:
    station, csms, charger = await booted201(stage)
    await until(lambda: charger.device["TxCtrlr", "TxStartPoint"][0] == "PowerPathClosed", "transactions as 1.6 has them")
    asked = await csms.call("GetConfiguration", {"key": ["HeartbeatInterval", "MeterValueSampleInterval", "Nonsense"]})
    assert {one["key"]: (one["value"], one["readonly"]) for one in asked["configurationKey"]} == {
        "HeartbeatInterval": ("300", False), "MeterValueSampleInterval": ("60", False)}
    assert asked["unknownKey"] == ["Nonsense"]
    assert await csms.call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "600"}) == ACCEPTED
    assert charger.device["OCPPCommCtrlr", "HeartbeatInterval"][0] == "600"
    assert await csms.call("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "2"}) == {"status": "Rejected"}
    whole = await csms.call("GetConfiguration")
    assert {"HeartbeatInterval": "600", "NumberOfConnectors": "1"}.items() <= {
        one["key"]: one["value"] for one in whole["configurationKey"]}.items()
    assert await csms.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}) == ACCEPTED
    assert station.told("ChangeAvailability") == [
        {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}}]
    assert await csms.call("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}) == ACCEPTED
    assert station.told("TriggerMessage") == [
        {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}]
    assert await csms.call("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
    assert station.told("UnlockConnector") == [{"evseId": 1, "connectorId": 1}]
    await _profiles_down(station, csms)
    assert await csms.call("Reset", {"type": "Hard"}) == ACCEPTED
    assert station.told("Reset") == [{"type": "Immediate"}]
    await asyncio.gather(*charger.reports)
    await station.close()


async def _profiles_down(station: Peer, csms: Peer) -> None:
    profile = {"chargingProfileId": 9, "stackLevel": 1, "chargingProfilePurpose": "ChargePointMaxProfile",
               "chargingProfileKind": "Absolute", "chargingSchedule": {"startSchedule": earlier(0), **SCHEDULE}}
    assert await csms.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile}) == ACCEPTED
    (made,) = station.told("SetChargingProfile")
    assert (made["evseId"], made["chargingProfile"]["chargingProfilePurpose"]) == (0, "ChargingStationMaxProfile")
    (schedule,) = made["chargingProfile"]["chargingSchedule"]
    assert {name: schedule[name] for name in ("startSchedule", *SCHEDULE)} == {"startSchedule": earlier(0), **SCHEDULE}
    assert await csms.call("ClearChargingProfile", {"id": 9}) == ACCEPTED
    assert station.told("ClearChargingProfile") == [{"chargingProfileId": 9}]


def test_a_1_6_csms_commands_a_2_0_1_charger(tmp_path: Path) -> None:
    with theatre(tmp_path, DOWN, system16()) as stage:
        run(stage, commands_down)
    stage.assert_well()
    assert ("ChangeConfiguration", "SetVariables") in stage.pairs()


async def offline_down(stage: Theatre) -> None:
    """The link is lost in a transaction; the charger tells its end, and all of another one, later."""
    station, csms, charger = await booted201(stage)
    begin = event("Started", 0, now(), "Authorized", idToken=TOKEN, evse={"id": 1, "connectorId": 1},
                  meterValue=readings201(now(), 100, 40, "Transaction.Begin"))
    await station.call("TransactionEvent", begin)
    await asyncio.gather(*charger.reports)
    await station.close()
    await csms.over()
    station, again = await stage.dial(Charger201().answers)
    for made in (
        event("Updated", 1, earlier(1), "MeterValuePeriodic", offline=True, meterValue=readings201(earlier(1), 500, 50)),
        event("Ended", 2, earlier(2), "StopAuthorized", "EVConnected", offline=True, idToken=TOKEN,
              meterValue=readings201(earlier(2), 900, 60, "Transaction.End")),
        event("Started", 3, earlier(3), "Authorized", offline=True, idToken=TOKEN, evse={"id": 1, "connectorId": 1},
              meterValue=readings201(earlier(3), 900, 60, "Transaction.Begin")),
        event("Ended", 4, earlier(4), "StopAuthorized", "EVConnected", offline=True, idToken=TOKEN,
              meterValue=readings201(earlier(4), 950, 61, "Transaction.End")),
    ):
        if made["seqNo"] > 2:
            made["transactionInfo"]["transactionId"] = UID.replace("1", "2")
        await station.call("TransactionEvent", made)
    await station.close()
    assert again.told("StartTransaction") == [{"connectorId": 1, "idTag": TAG, "meterStart": 900, "timestamp": earlier(3)}]
    assert [(one["transactionId"], one["meterStop"], one["timestamp"]) for one in again.told("StopTransaction")] == [
        (4711, 900, earlier(2)), (4712, 950, earlier(4))]
    first = again.told("MeterValues")[0]
    assert (first["transactionId"], register(first["meterValue"])) == (4711, [500.0])


def test_a_2_0_1_charger_tells_what_happened_offline(tmp_path: Path) -> None:
    with theatre(tmp_path, DOWN, system16()) as stage:
        run(stage, offline_down)
    stage.assert_well()
