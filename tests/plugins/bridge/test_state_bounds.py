"""The State has its bounds whatever peers say: far from what the engine stores, and the station still charges."""

from typing import Any

import msgspec

from tests.plugins.bridge.bridged import CSMS, STATION, UP, Bridged
from tests.plugins.bridge.downward import ACCEPTED, event, linked, meter, sample, started

TIME = "2027-01-15T08:05:00.000Z"
MOST = 512 * 1024
LONG = "\u00e9" * 3000


def size(link: Bridged) -> int:
    """Bytes of what is kept."""
    return len(msgspec.msgpack.encode(link.state))


def charges_up(link: Bridged) -> None:
    """A 1.6 station still charges, and its State is small."""
    asked = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "04AABBCC", "timestamp": TIME, "meterStart": 5})
    while link.open[CSMS]:
        link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}} if "TransactionEvent" in link.open[CSMS].values() else {})
    tid = link.answered(asked).payload["transactionId"]
    asked = link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": TIME, "meterStop": 9})
    while link.open[CSMS]:
        link.answer(CSMS, {})
    assert link.answered(asked).kind == 3 and size(link) < MOST


def charges_down(link: Bridged) -> None:
    """The same of a 2.0.1 station."""
    assert started(link, uid="the-last").payload == {"idTokenInfo": {"status": "Accepted"}}
    asked = link.call(STATION, "TransactionEvent", event("Ended", 1, 2, uid="the-last", meterValue=meter(2, sample(1009))))
    while link.open[CSMS]:
        link.answer(CSMS, ACCEPTED if "StopTransaction" in link.open[CSMS].values() else {})
    assert link.answered(asked).kind == 3 and size(link) < MOST


def test_aliases_of_tokens() -> None:
    link = linked()
    for at in range(1200):
        link.call(STATION, "Authorize", {"idToken": {"idToken": f"{at:04}" + "\u00e9" * 32, "type": "Central"}})
        link.answer(CSMS, ACCEPTED)
    for long in ({"idToken": LONG, "type": "Central"}, {"idToken": "x" * 30, "type": LONG}):
        link.call(STATION, "Authorize", {"idToken": long})
        if link.open[CSMS]:
            link.answer(CSMS, ACCEPTED)
    assert len(link.state.aliases) == 1000 and size(link) < MOST / 2
    assert {token[:4] for _, token in link.state.aliases.values()} == {f"{at:04}" for at in range(200, 1200)}
    charges_down(link)


def test_connectors_and_their_words() -> None:
    link = Bridged(UP)
    for at in range(1, 1003):
        link.call(STATION, "StatusNotification", {"connectorId": at, "status": LONG, "errorCode": LONG, "timestamp": TIME})
        while link.open[CSMS]:
            link.answer(CSMS, {})
    assert len(link.state.connectors) == 1000
    charges_up(link)


def test_profiles_and_remote_starts() -> None:
    periods = [{"startPeriod": at, "limit": 16.5, "numberPhases": 3} for at in range(1000)]
    link = Bridged(UP)
    profile: dict[str, Any] = {
        "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}]}
    for at in range(40):
        link.call(CSMS, "SetChargingProfile", {"evseId": 1, "chargingProfile": {**profile, "id": at, "stackLevel": at}})
        link.answer(STATION, {"status": "Accepted"})
        link.call(CSMS, "RequestStartTransaction", {
            "remoteStartId": at, "idToken": {"idToken": f"x{at}", "type": "Central"},
            "chargingProfile": {**profile, "id": at, "stackLevel": 1, "chargingProfilePurpose": "TxProfile"}})
        link.answer(STATION, {"status": "Accepted"}, "RemoteStartTransaction")
    assert link.state.profiles[-1].profile_id == 39 and "profiles" in link.findings
    assert len(link.state.charging.remote_starts) == 40
    charges_up(link)


def test_a_local_list_of_long_entries_is_sent_and_not_remembered() -> None:
    link = Bridged(UP)
    asked = link.call(CSMS, "SendLocalList", {"versionNumber": 3, "updateType": "Full", "localAuthorizationList": [
        {"idToken": {"idToken": f"{at:036}", "type": "Central"},
         "idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": f"g{at:035}", "type": "Central"}}}
        for at in range(1900)]})
    link.answer(STATION, {"status": "Accepted"})
    assert link.answered(asked).payload == {"status": "Accepted"}
    charges_up(link)


def test_a_boot_a_job_and_a_reservation_with_much_in_them() -> None:
    link = Bridged(UP)
    link.call(STATION, "BootNotification", {"chargePointModel": "m", "chargePointVendor": "v", "more": "x" * 900_000})
    link.answer(CSMS, {"status": "Accepted", "currentTime": TIME, "interval": 5})
    link.call(CSMS, "GetLog", {"logType": "SecurityLog", "requestId": 7, "log": {"remoteLocation": "ftp://logs/"}})
    link.answer(STATION, {"status": "Accepted"}, "GetLog")
    link.call(STATION, "LogStatusNotification", {"requestId": 7, "status": LONG})
    assert len(link.state.jobs[0].state) == 32
    link.call(CSMS, "ReserveNow", {
        "id": 1, "expiryDateTime": "9999-12-31T23:59:59Z", "idToken": {"idToken": "x", "type": "Central"}, "evseId": 1})
    assert link.last(STATION, "ReserveNow").payload["expiryDate"] == "9999-12-31T23:59:59.000Z"
    assert [one.reservation_id for one in link.state.reservations] == [1] and size(link) < 2000


def test_events_that_a_csms_does_not_take() -> None:
    """Values are refused when there is no more room; the end of the transaction finds some."""
    link = Bridged(UP, {"attempts": 9})
    started_ = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "x", "timestamp": TIME, "meterStart": 5})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}})
    tid = link.answered(started_).payload["transactionId"]
    for at in range(40):
        values = [{"timestamp": TIME, "sampledValue": [{"value": f"{at}.5", "measurand": "Voltage"}] * 100}]
        link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": values})
        if link.open[CSMS]:
            link.error(CSMS, "InternalError")
    assert "outbox-full" in link.findings and size(link) < MOST / 2
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": TIME, "meterStop": 9})
    assert [one.kind for one in link.state.charging.outbox][-1] == "Ended" and size(link) < MOST / 2


def test_numbers_of_one_transaction() -> None:
    link = Bridged(UP)
    link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "x", "timestamp": TIME, "meterStart": 5})
    link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}})
    for tid in range(1000, 1100):
        values = [{"timestamp": TIME, "sampledValue": [{"value": str(tid)}]}]
        link.call(STATION, "MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": values})
        if link.open[CSMS]:
            link.answer(CSMS, {})
    assert len(link.state.charging.transactions[0].flags) <= 34


def test_ends_that_a_csms_does_not_take() -> None:
    link = linked({"attempts": 9})
    for at in range(30):
        uid = f"uid-{at}"
        started(link, tid=at + 1, uid=uid)
        values = meter(2, *[sample(1009, location="Inlet", phase="L1")] * 200)
        link.call(STATION, "TransactionEvent", event("Ended", 1, 2, uid=uid, state="Idle", meterValue=values))
        while link.open[CSMS]:
            if "StopTransaction" in link.open[CSMS].values():
                link.error(CSMS, "InternalError")
            else:
                link.answer(CSMS, {})
    assert len(link.state.charging.outbox) == 30 and size(link) < MOST / 2
    charges_down(link)


def test_words_of_a_2_0_1_station_and_of_its_csms() -> None:
    link = linked()
    station = {"model": LONG, "vendorName": LONG, "firmwareVersion": LONG}
    link.call(STATION, "BootNotification", {"reason": "PowerUp", "chargingStation": station})
    link.answer(CSMS, {"status": "Accepted", "currentTime": TIME, "interval": 5}, "BootNotification")
    while link.open[CSMS] or link.open[STATION]:
        link.answer(CSMS if link.open[CSMS] else STATION, {})
    for at in range(60):
        link.call(STATION, "TransactionEvent", event("Started", 0, 0, state=LONG, uid=f"{at}" + "\u00e9" * 100, evse={"id": 1}))
        link.call(CSMS, "RemoteStartTransaction", {"idTag": LONG, "connectorId": 1})
        link.call(CSMS, "ReserveNow", {"connectorId": 1, "expiryDate": TIME, "idTag": LONG, "reservationId": at})
        while link.open[CSMS] or link.open[STATION]:
            link.answer(CSMS if link.open[CSMS] else STATION, {"status": "Accepted"} if link.open[STATION] else {})
    info = {"status": "Accepted", "parentIdTag": LONG}
    link.call(STATION, "TransactionEvent", event(
        "Started", 0, 0, state="Charging", uid="u", evse={"id": 1, "connectorId": 1},
        idToken={"idToken": "t", "type": "Central"}))
    link.answer(CSMS, {"transactionId": 5, "idTagInfo": info}, "StartTransaction")
    assert size(link) < 64 * 1024
