"""Smart charging, both ways: what is refused, what is remembered, reports, composite schedules."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged

TIME = "2027-01-15T08:00:00.000Z"
PERIODS = [{"startPeriod": 0, "limit": 16.07, "numberPhases": 3}, {"startPeriod": 60, "limit": 8}]
SCHEDULE = {"id": 1, "chargingRateUnit": "A", "duration": 600, "chargingSchedulePeriod": PERIODS}


def profile(number: int = 3, purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
    return {"id": number, "stackLevel": 1, "chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute",
            "chargingSchedule": [SCHEDULE], **more}


def setting(link: Bridged, given: dict[str, Any], answer: str | None = "Accepted", evse: int = 1) -> tuple[Any, str]:
    """What the station was sent (None: nothing), and the CSMS answered."""
    before = len(link.calls(STATION, "SetChargingProfile"))
    asked = link.call(CSMS, "SetChargingProfile", {"evseId": evse, "chargingProfile": given})
    if answer is not None:
        link.answer(STATION, {"status": answer}, "SetChargingProfile")
    sent = link.calls(STATION, "SetChargingProfile")[before:]
    status: str = link.answered(asked).payload["status"]
    return (sent[0] if sent else None), status


def started(link: Bridged) -> tuple[int, str]:
    asked = link.call(STATION, "StartTransaction", {"connectorId": 1, "idTag": "AB", "meterStart": 0, "timestamp": TIME})
    told = link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}}, "TransactionEvent")
    return link.answered(asked).payload["transactionId"], told.payload["transactionInfo"]["transactionId"]


def test_s20_a_station_maximum_is_one_of_the_charge_point() -> None:
    link = Bridged()
    sent, answer = setting(link, profile(purpose="ChargingStationMaxProfile"), evse=0)
    assert answer == "Accepted" and sent == {"connectorId": 0, "csChargingProfiles": {
        "chargingProfileId": 3, "stackLevel": 1, "chargingProfilePurpose": "ChargePointMaxProfile",
        "chargingProfileKind": "Absolute", "chargingSchedule": {
            "chargingRateUnit": "A", "duration": 600, "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 16.0, "numberPhases": 3}, {"startPeriod": 60, "limit": 8}]}}}


@pytest.mark.parametrize(("given", "why"), [
    (profile(chargingSchedule=[SCHEDULE, {**SCHEDULE, "id": 2}]), "InvalidSchedule"),
    (profile(purpose="ChargingStationExternalConstraints"), "InvalidSchedule"),
    (profile(purpose="TxProfile", transactionId="nobody"), "TxNotFound"), (profile(purpose="TxProfile"), "TxNotFound"),
    (profile(transactionId="x"), "InvalidProfile"),
])
def test_s20_what_1_6_cannot_have_is_rejected_here(given: dict[str, Any], why: str) -> None:
    link = Bridged()
    assert setting(link, given, None) == (None, "Rejected")
    assert link.last(CSMS).payload["statusInfo"]["reasonCode"] == why


def test_which_phase_to_use_is_dropped_or_refused() -> None:
    periods = [{"startPeriod": 0, "limit": 8, "phaseToUse": 2}]
    given = profile(chargingSchedule=[{**SCHEDULE, "chargingSchedulePeriod": periods}])
    link = Bridged()
    assert setting(link, given)[1] == "Accepted" and any("phaseToUse" in path for path in link.losses("dropped"))
    assert setting(Bridged(options={"strict": True}), given, None)[1] == "Rejected"


@pytest.mark.parametrize("said", ["NotSupported", "Rejected"])
def test_a_station_that_refuses(said: str) -> None:
    assert setting(Bridged(), profile(), said)[1] == "Rejected"


def test_a_callerror_of_the_station_is_rejected_too() -> None:
    link = Bridged()
    asked = link.call(CSMS, "SetChargingProfile", {"evseId": 1, "chargingProfile": profile()})
    link.error(STATION, "PropertyConstraintViolation")
    assert link.answered(asked).payload["status"] == "Rejected"


def test_s21_profiles_are_reported_from_what_was_accepted() -> None:
    link = Bridged()
    tid, uid = started(link)
    setting(link, profile())
    setting(link, profile(4, "ChargingStationMaxProfile"), evse=0)
    sent, _ = setting(link, profile(5, "TxProfile", transactionId=uid))
    assert sent["csChargingProfiles"]["transactionId"] == tid
    setting(link, profile(6, stackLevel=9), "Rejected")
    link.again()
    asked = link.call(CSMS, "GetChargingProfiles", {"requestId": 8, "chargingProfile": {}})
    assert link.answered(asked).payload == {"status": "Accepted"}
    first = link.answer(CSMS, {}, "ReportChargingProfiles").payload
    assert (first["evseId"], first["tbc"], [one["id"] for one in first["chargingProfile"]]) == (0, True, [4])
    second = link.answer(CSMS, {}, "ReportChargingProfiles").payload
    assert "tbc" not in second and second["chargingProfile"] == [profile(), profile(5, "TxProfile", transactionId=uid)]
    link.call(STATION, "StopTransaction", {"transactionId": tid, "meterStop": 5, "timestamp": TIME})
    link.answer(CSMS, {}, "TransactionEvent")
    asked = link.call(CSMS, "GetChargingProfiles", {"requestId": 9, "chargingProfile": {"chargingProfilePurpose": "TxProfile"}})
    assert link.answered(asked).payload["status"] == "NoProfiles"
    link.settled()


def test_s22_profiles_are_cleared_by_criteria_and_no_longer_reported() -> None:
    link = Bridged()
    setting(link, profile())
    setting(link, profile(4, "ChargingStationMaxProfile"), evse=0)
    asked = link.call(CSMS, "ClearChargingProfile", {"chargingProfileCriteria": {
        "evseId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {
        "connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
    assert link.answered(asked).payload == {"status": "Accepted"}
    assert [one.profile_id for one in link.state.profiles] == [4]
    asked = link.call(CSMS, "ClearChargingProfile", {"chargingProfileCriteria": {
        "chargingProfilePurpose": "ChargingStationExternalConstraints"}})
    assert link.answered(asked).payload == {"status": "Unknown"}
    link.call(CSMS, "ClearChargingProfile", {"chargingProfileId": 4})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"id": 4} and link.state.profiles == ()


def test_a_profile_at_the_same_place_takes_the_place_of_the_one_before() -> None:
    link = Bridged()
    setting(link, profile(3))
    setting(link, profile(4))
    assert [one.profile_id for one in link.state.profiles] == [4]


def test_s23_a_composite_schedule_has_the_duration_that_was_asked_for() -> None:
    link = Bridged()
    asked = link.call(CSMS, "GetCompositeSchedule", {"evseId": 2, "duration": 600, "chargingRateUnit": "W"})
    assert link.answer(STATION, {
        "status": "Accepted", "connectorId": 2, "scheduleStart": TIME, "chargingSchedule": {
            "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7.4}]}}).payload == {
        "connectorId": 2, "duration": 600, "chargingRateUnit": "W"}
    assert link.answered(asked).payload == {"status": "Accepted", "schedule": {
        "evseId": 2, "duration": 600, "scheduleStart": TIME, "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7.4}]}}
    asked = link.call(CSMS, "GetCompositeSchedule", {"evseId": 0, "duration": 60})
    link.answer(STATION, {"status": "Accepted"})
    assert link.answered(asked).payload["status"] == "Rejected"


def profile16(purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
    return {"chargingProfileId": 3, "stackLevel": 1, "chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}, **more}


def test_profiles_of_a_1_6_csms() -> None:
    link = Bridged(DOWN)
    asked = link.call(CSMS, "SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile16("ChargePointMaxProfile")})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"evseId": 0, "chargingProfile": {
        "id": 3, "stackLevel": 1, "chargingProfilePurpose": "ChargingStationMaxProfile", "chargingProfileKind": "Absolute",
        "chargingSchedule": [{"id": 3, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}]}}
    assert link.answered(asked).payload == {"status": "Accepted"}
    asked = link.call(CSMS, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile16("TxProfile")})
    assert link.answered(asked).payload == {"status": "Rejected"}
    asked = link.call(CSMS, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile16()})
    link.error(STATION, "NotSupported")
    assert link.answered(asked).payload == {"status": "NotSupported"}
    asked = link.call(CSMS, "ClearChargingProfile", {"connectorId": 1, "chargingProfilePurpose": "ChargePointMaxProfile"})
    assert link.answer(STATION, {"status": "Unknown"}).payload == {"chargingProfileCriteria": {
        "evseId": 1, "chargingProfilePurpose": "ChargingStationMaxProfile"}}
    asked = link.call(CSMS, "GetCompositeSchedule", {"connectorId": 1, "duration": 60})
    link.answer(STATION, {"status": "Accepted", "schedule": {
        "evseId": 1, "duration": 60, "scheduleStart": TIME, "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.06}]}})
    assert link.answered(asked).payload == {
        "status": "Accepted", "connectorId": 1, "scheduleStart": TIME, "chargingSchedule": {
            "chargingRateUnit": "A", "duration": 60, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}}
