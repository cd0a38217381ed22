"""Between OCPP 2.1 and 2.0.1: what becomes of the messages that are not the same in both, conversation by conversation."""

from typing import Any

import pytest
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.near import MOST_NAMES
from ocpp_proxy_plugins.bridge.tokens import alias

from ocpp_proxy.spec import actions
from ocpp_proxy.testing import play
from tests.plugins.bridge.nearby import CSMS, NEW, OLD, STATION, Near
from tests.plugins.bridge.schema_messages import least

AT = "2027-01-15T08:00:00Z"
LONG = {"idToken": "x" * 40, "type": "Central"}
SHORT = alias("Central", "x" * 40)
TOKEN = {"idToken": "A", "type": "Central"}
PERIOD = {"startPeriod": 0, "limit": 16.0}
NETWORK = {
    "ocppInterface": "Wired0", "ocppTransport": "JSON", "messageTimeout": 30, "ocppCsmsUrl": "wss://a", "securityProfile": 1,
}


def event(**others: Any) -> dict[str, Any]:
    return {**least("2.1", "TransactionEvent"), "triggerReason": "Trigger", **others}


def profile(*periods: dict[str, Any], schedule: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """A SetChargingProfile of a CSMS."""
    plan = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": list(periods or [PERIOD]), **(schedule or {})}
    return {"evseId": 1, "chargingProfile": {
        "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute",
        "chargingSchedule": [plan], **others}}


# ---- what goes as it is ----

def test_s55_what_both_have_keeps_its_id_and_its_bytes() -> None:
    odd = '{ "reason" : "PowerUp","chargingStation":{"model":"\\u00e4","vendorName":"V"} }'
    link = Near(NEW)
    link.stage.send(STATION, f'[2,"m1","BootNotification",{odd}]')
    assert link.stage.played.sent[-1] == (STATION, f'[2,"m1","BootNotification",{odd}]')
    given = '{"currentTime":"2027-01-15T08:00:00Z", "interval":1e2,"status":"Accepted"}'
    link.stage.send(CSMS, f'[3,"m1",{given}]')
    assert link.stage.played.sent[-1] == (CSMS, f'[3,"m1",{given}]')


def test_s55_an_error_and_its_details_go_as_they_are() -> None:
    link = Near(NEW)
    link.call(STATION, "Heartbeat")
    came = link.say(CSMS, [4, "m1", "GenericError", "no", {"a": 1}])
    assert (came.kind, came.code, came.text, came.payload, came.to) == (4, "GenericError", "no", {"a": 1}, STATION)


def test_s55_custom_data_goes_as_it_is() -> None:
    link = Near(NEW)
    data = {"vendorId": "V", "more": [1, {"idToken": "x" * 50}]}
    came = link.call(STATION, "TransactionEvent", event(customData=data, evseSleep=True))
    assert came.payload["customData"] == data and "evseSleep" not in came.payload


# ---- values ----

@pytest.mark.parametrize(("reason", "becomes"), [
    ("CostLimitReached", "EnergyLimitReached"), ("SoCLimitReached", "EnergyLimitReached"), ("LimitSet", "ChargingRateChanged"),
    ("TariffChanged", "ChargingRateChanged"), ("TariffNotAccepted", "ChargingRateChanged"),
    ("RunningCost", "ChargingRateChanged"), ("OperationModeChanged", "ChargingStateChanged"),
    ("TxResumed", "ChargingStateChanged"),
])
def test_s55_triggers_of_an_event(reason: str, becomes: str) -> None:
    link = Near(NEW)
    assert link.call(STATION, "TransactionEvent", event(triggerReason=reason)).payload["triggerReason"] == becomes
    assert link.losses() == [("shortened", "$.triggerReason")]


def test_s55_an_event_without_what_2_0_1_does_not_measure() -> None:
    samples = [{"value": 1.0, "measurand": "Display.PresentSOC"}, {"value": 2.0, "location": "Upstream"}, {"value": 3.0},
               {"value": 4.0, "signedMeterValue": {"signedMeterData": "z" * 3000, "encodingMethod": "OCMF"}},
               {"value": 5.0, "signedMeterValue": {"signedMeterData": "z", "encodingMethod": "OCMF"}}]
    link = Near(NEW)
    came = link.call(STATION, "TransactionEvent", event(meterValue=[
        {"timestamp": AT, "sampledValue": samples}, {"timestamp": AT, "sampledValue": samples[:2]}]))
    (value,) = came.payload["meterValue"]
    assert [one["value"] for one in value["sampledValue"]] == [3.0, 5.0]
    signed = value["sampledValue"][1]["signedMeterValue"]
    assert signed == {"signedMeterData": "z", "encodingMethod": "OCMF", "signingMethod": "", "publicKey": ""}
    at = "$.meterValue[0].sampledValue"
    assert link.losses() == [
        ("dropped", f"{at}[0].measurand"), ("dropped", f"{at}[1].location"),
        ("dropped", f"{at}[3].signedMeterValue.signedMeterData"), ("invented", f"{at}[4].signedMeterValue.signingMethod"),
        ("invented", f"{at}[4].signedMeterValue.publicKey"), ("dropped", "$.meterValue[1].sampledValue[0].measurand"),
        ("dropped", "$.meterValue[1].sampledValue[1].location")]


def test_s55_values_of_which_nothing_is_left() -> None:
    values = [{"timestamp": AT, "sampledValue": [{"value": 1.0, "measurand": "Display.PresentSOC"}]}]
    link = Near(NEW)
    assert "meterValue" not in link.call(STATION, "TransactionEvent", event(meterValue=values)).payload
    came = link.call(STATION, "MeterValues", {"evseId": 1, "meterValue": values})
    assert (came.to, came.kind, came.payload) == (STATION, 3, {})


@pytest.mark.parametrize(("sent", "becomes"), [
    ({"type": "ImmediateAndResume"}, {"type": "Immediate"}), ({"type": "OnIdle", "evseId": 1}, {"type": "OnIdle", "evseId": 1}),
])
def test_s55_resets(sent: dict[str, Any], becomes: dict[str, Any]) -> None:
    assert Near(OLD).call(CSMS, "Reset", sent).payload == becomes


def test_s55_messages_to_be_shown() -> None:
    link = Near(OLD)
    message = {"id": 1, "priority": "AlwaysFront", "state": "Suspended", "message": {"format": "QRCODE", "content": "y" * 600}}
    shown = link.call(CSMS, "SetDisplayMessage", {"message": message}).payload["message"]
    assert (shown["state"], shown["message"]) == ("Charging", {"format": "UTF8", "content": "y" * 512})
    message["message"] = {"format": "URI", "content": "https://" + "y" * 600}          # a part of it would lead elsewhere
    assert link.call(CSMS, "SetDisplayMessage", {"message": message}).payload["status"] == "Rejected"


def test_s55_whole_numbers_are_rounded_to_the_safe_side() -> None:
    link = Near(NEW)
    needs = {"requestedEnergyTransfer": "DC_BPT", "acChargingParameters": {
        "energyAmount": 10.5, "evMinCurrent": 6.1, "evMaxCurrent": 15.9, "evMaxVoltage": 230.0}}
    came = link.call(STATION, "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert came.payload["chargingNeeds"] == {"requestedEnergyTransfer": "DC", "acChargingParameters": {
        "energyAmount": 10, "evMinCurrent": 7, "evMaxCurrent": 15, "evMaxVoltage": 230}}
    assert ("shortened", "$.chargingNeeds.acChargingParameters.evMaxVoltage") not in link.losses()


# ---- profiles ----

@pytest.mark.parametrize(("period", "limit"), [
    ({"limit": 16.0, "limit_L2": 10.0, "limit_L3": 12.0}, 10.0), ({"setpoint": 8.0, "setpoint_L2": 6.0}, 6.0),
    ({"limit": 16.0, "dischargeLimit": -5.0}, 16.0), ({"limit": 16.0, "setpoint": 3.0}, 16.0),
])
def test_s55_a_period_has_one_limit_and_never_a_higher_one(period: dict[str, Any], limit: float) -> None:
    came = Near(OLD).call(CSMS, "SetChargingProfile", profile({"startPeriod": 0, **period}))
    assert came.went
    (made,) = came.payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert made == {"startPeriod": 0, "limit": limit}


@pytest.mark.parametrize("asked", [
    profile(chargingProfileKind="Dynamic"), profile(chargingProfilePurpose="PriorityCharging"),
    profile(chargingProfilePurpose="LocalGeneration"), profile({"startPeriod": 0}),
    profile({"startPeriod": 0, "setpoint": -5.0}),
    profile(schedule={"useLocalTime": True}), profile(schedule={"limitAtSoC": {"soc": 80, "limit": 6.0}}),
], ids=["kind", "priority", "local", "no limit", "discharge", "local time", "soc"])
def test_s55_profiles_that_would_say_something_else_are_refused(asked: dict[str, Any]) -> None:
    link = Near(OLD)
    came = link.call(CSMS, "SetChargingProfile", asked)
    assert (came.to, came.payload["status"]) == (CSMS, "Rejected")
    assert came.payload["statusInfo"]["reasonCode"] == "BridgeNoEquiv" and link.losses()[-1][0] == "dropped"
    start = {"idToken": TOKEN, "remoteStartId": 1, "chargingProfile": asked["chargingProfile"]}
    assert link.call(CSMS, "RequestStartTransaction", start).payload["status"] == "Rejected"


def test_s55_a_schedule_that_says_it_is_not_in_local_time_goes() -> None:
    assert Near(OLD).call(CSMS, "SetChargingProfile", profile(schedule={"useLocalTime": False})).went


# ---- what is refused ----

@pytest.mark.parametrize(("direction", "action", "payload", "status"), [
    (OLD, "TriggerMessage", {"requestedMessage": "CustomTrigger", "customTrigger": "x"}, "NotImplemented"),
    (OLD, "GetLog", {"logType": "DataCollectorLog", "requestId": 1, "log": {"remoteLocation": "ftp://a"}}, "Rejected"),
    (OLD, "GetLog", {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "ftp://" + "a" * 900}}, "Rejected"),
    (OLD, "InstallCertificate", {"certificateType": "OEMRootCertificate", "certificate": "x"}, "Rejected"),
    (OLD, "InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": "x" * 6000}, "Rejected"),
    (OLD, "GetInstalledCertificateIds", {"certificateType": ["OEMRootCertificate"]}, "NotFound"),
    (OLD, "CertificateSigned", {"certificateType": "V2G20Certificate", "certificateChain": "x"}, "Rejected"),
    (NEW, "SignCertificate", {"certificateType": "V2G20Certificate", "csr": "x"}, "Rejected"),
    (NEW, "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_BPT"}}, "Rejected"),
    (NEW, "Get15118EVCertificate",
     {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "x" * 6000}, "Failed"),
    (OLD, "ReserveNow", {"id": 1, "expiryDateTime": AT, "idToken": TOKEN, "connectorType": "cMCS"}, "Rejected"),
    (OLD, "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {**NETWORK, "ocppInterface": "Any"}}, "Rejected"),
    (OLD, "SetNetworkProfile", {
        "configurationSlot": 1, "connectionData": {**NETWORK, "basicAuthPassword": "secret"}}, "Rejected"),
])
def test_s55_what_2_0_1_cannot_say_is_refused_by_a_status(
    direction: str, action: str, payload: dict[str, Any], status: str,
) -> None:
    link = Near(direction)
    side = link.side("2.1")
    came = link.call(side, action, payload)
    assert (came.to, came.kind, came.payload["status"]) == (side, 3, status)
    assert "secret" not in str(link.stage.played.losses)
    strict = Near(direction, {"strict": True}).call(side, action, payload)
    assert (strict.kind, strict.code) == (4, "PropertyConstraintViolation")


def test_s55_a_list_of_types_goes_without_the_one_that_2_0_1_lacks() -> None:
    link = Near(OLD)
    came = link.call(CSMS, "GetInstalledCertificateIds", {"certificateType": ["OEMRootCertificate", "V2GRootCertificate"]})
    assert came.payload == {"certificateType": ["V2GRootCertificate"]}
    assert link.losses() == [("dropped", "$.certificateType[0]")]


def test_s55_an_answer_that_2_0_1_cannot_say_is_a_status_or_an_error() -> None:
    link = Near(NEW)
    hash_data = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
    link.call(CSMS, "GetInstalledCertificateIds")
    came = link.answer(STATION, {"status": "Accepted", "certificateHashDataChain": [
        {"certificateType": "OEMRootCertificate", "certificateHashData": hash_data}]})
    assert came.payload["status"] == "NotFound"
    link.call(CSMS, "GetLocalListVersion")
    came = link.answer(STATION, {"versionNumber": "one"})
    assert (came.kind, came.code) == (4, "InternalError") and link.findings == ["bridge-invalid"]
    link.call(CSMS, "Reset", {"type": "Immediate"})
    assert link.answer(STATION, {"status": 17}).code == "InternalError"


# ---- requests one by one ----

def test_s55_settings_that_are_too_long_are_refused_one_by_one() -> None:
    link = Near(OLD)
    names = [{"component": {"name": "A"}, "variable": {"name": str(number)}} for number in range(3)]
    values = ["x" * 1500, "1", "y" * 2000]
    asked = {"setVariableData": [{**name, "attributeValue": value} for name, value in zip(names, values, strict=True)]}
    came = link.call(CSMS, "SetVariables", asked)
    assert came.payload == {"setVariableData": [asked["setVariableData"][1]]}
    back = link.answer(STATION, {"setVariableResult": [{**names[1], "attributeStatus": "Accepted"}]})
    results = back.payload["setVariableResult"]
    assert [one["attributeStatus"] for one in results] == ["Rejected", "Accepted", "Rejected"]
    assert [one["variable"]["name"] for one in results] == ["0", "1", "2"]
    assert link.losses() == [("dropped", f"$.setVariableData[{number}].attributeValue") for number in (0, 2)]
    alone = link.call(CSMS, "SetVariables", {"setVariableData": asked["setVariableData"][:1]})
    assert alone.to is CSMS and [one["attributeStatus"] for one in alone.payload["setVariableResult"]] == ["Rejected"]


def test_s55_monitors_that_2_0_1_lacks_are_refused_one_by_one() -> None:
    link = Near(OLD)
    monitor = {"value": 1.0, "severity": 4, "component": {"name": "A"}, "variable": {"name": "B"}}
    came = link.call(CSMS, "SetVariableMonitoring", {"setMonitoringData": [
        {**monitor, "type": "TargetDelta"}, {**monitor, "type": "Delta"}]})
    assert [one["type"] for one in came.payload["setMonitoringData"]] == ["Delta"]
    result = {"id": 7, "type": "Delta", "status": "Accepted", **{name: monitor[name] for name in monitor if name != "value"}}
    back = link.answer(STATION, {"setMonitoringResult": [result]})
    assert [(one["type"], one["status"]) for one in back.payload["setMonitoringResult"]] == [
        ("TargetDelta", "UnsupportedMonitorType"), ("Delta", "Accepted")]


# ---- tokens ----

def test_s55_a_long_token_has_a_short_name_that_leads_back_after_a_restart() -> None:
    link = Near(NEW)
    assert link.call(STATION, "Authorize", {"idToken": LONG}).payload["idToken"] == {"idToken": SHORT, "type": "Central"}
    assert len(SHORT) <= 36 and link.losses() == [("shortened", "$.idToken.idToken")]
    again = Near(NEW, state=link.state)
    came = again.call(CSMS, "RequestStartTransaction", {"idToken": {"idToken": SHORT, "type": "Central"}, "remoteStartId": 1})
    assert came.payload["idToken"] == LONG and not again.losses()
    unknown = {"idToken": {"idToken": "~ABC", "type": "Central"}, "remoteStartId": 1}
    assert again.call(CSMS, "RequestStartTransaction", unknown).payload == unknown


def test_s55_a_token_of_a_type_that_2_0_1_lacks_has_a_short_name_too() -> None:
    link = Near(NEW)
    token = {"idToken": "AABB", "type": "EVCCID", "additionalInfo": [{"additionalIdToken": "b" * 40, "type": "x"}]}
    came = link.call(STATION, "Authorize", {"idToken": token})
    assert came.payload["idToken"] == {"idToken": alias("EVCCID", "AABB"), "type": "Central"}
    back = link.call(CSMS, "SendLocalList", {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [
        {"idToken": came.payload["idToken"], "idTokenInfo": {"status": "Accepted"}}]})
    assert back.payload["localAuthorizationList"][0]["idToken"] == {"idToken": "AABB", "type": "EVCCID"}


def test_s55_what_becomes_of_long_tokens_is_an_option() -> None:
    cut = Near(NEW, {"long_tokens": "truncate"}).call(STATION, "Authorize", {"idToken": LONG})
    assert cut.payload["idToken"]["idToken"] == "x" * 36
    refused = Near(NEW, {"long_tokens": "reject"}).call(STATION, "Authorize", {"idToken": LONG})
    assert (refused.kind, refused.code) == (4, "PropertyConstraintViolation")


def test_names_of_tokens_are_bounded() -> None:
    aliases = {f"~{number}": ("Central", f"{number:040}") for number in range(MOST_NAMES)}
    link = Near(NEW, state=Bridge.State(aliases=aliases))
    link.call(STATION, "Authorize", {"idToken": LONG})
    assert len(link.state.aliases) == MOST_NAMES and SHORT in link.state.aliases and "~0" not in link.state.aliases


# ---- what only one version has ----

ALONE = sorted(actions.known("2.1") - actions.known("2.0.1"))


@pytest.mark.parametrize("action", [action for action in ALONE if not actions.is_send("2.1", action)])
def test_s55_each_action_of_2_1_alone_is_answered_here(action: str) -> None:
    side = actions.direction("2.1", action)
    link = Near(NEW if side is STATION else OLD)
    sender = link.side("2.1")
    came = link.call(sender, action, least("2.1", action))
    assert came.to is sender and came.payload.get("status") != "Accepted" if came.kind == 3 else came.code == "NotSupported"
    assert link.losses() == [("dropped", "$")] and not link.findings
    strict = Near(NEW if side is STATION else OLD, {"strict": True}).call(sender, action, least("2.1", action))
    assert (strict.kind, strict.code) == (4, "NotSupported")


def test_s55_a_send_goes_nowhere_and_stands_in_the_ledger() -> None:
    link = Near(NEW)
    stream = '{"id":1,"pending":0,"basetime":"2027-01-15T08:00:00Z","data":[]}'
    link.stage.send(STATION, f'[6,"1","NotifyPeriodicEventStream",{stream}]')
    link.stage.send(CSMS, '[6,"2","Whatever",{}]')
    assert not link.stage.played.sent and link.losses() == [("dropped", "$"), ("dropped", "$")]


def test_s55_a_call_result_error_goes_nowhere() -> None:
    link = Near(NEW)
    link.call(CSMS, "ClearCache")
    link.answer(STATION, {"status": "Accepted"})
    before = len(link.stage.played.sent)
    for side in (STATION, CSMS):
        link.stage.send(side, '[5,"m1","FormatViolation","",{}]')
    assert len(link.stage.played.sent) == before


@pytest.mark.parametrize(("side", "action", "version"), [
    (STATION, "Nonsense", "2.1"), (STATION, "Reset", "2.1"), (CSMS, "SetDefaultTariff", "2.0.1"),
    (STATION, "BootNotification-Signed", "2.1"),
])
def test_s55_what_a_side_does_not_send_is_told_it(side: Any, action: str, version: str) -> None:
    link = Near(NEW)
    came = link.call(side, action)
    assert (came.to, came.kind, came.code) == (side, 4, "NotImplemented") and f"OCPP {version}" in came.text
    assert link.findings == ["bridge-unknown"]


# ---- what is not valid in its own version ----

@pytest.mark.parametrize(("payload", "code"), [
    ({}, "OccurrenceConstraintViolation"), ({**least("2.1", "TransactionEvent"), "seqNo": "1"}, "TypeConstraintViolation"),
    ({**least("2.1", "TransactionEvent"), "eventType": "Paused"}, "PropertyConstraintViolation"),
])
def test_s55_what_cannot_be_made_valid_is_an_error_and_found(payload: dict[str, Any], code: str) -> None:
    link = Near(NEW)
    came = link.call(STATION, "TransactionEvent", payload)
    assert (came.to, came.code) == (STATION, code) and link.findings == ["bridge-invalid"]


def test_s55_a_number_keeps_all_its_digits() -> None:
    came = Near(NEW).call(STATION, "DataTransfer", {"vendorId": "V", "data": [1 << 80, 0.1], "more": 1})
    assert came.payload == {"vendorId": "V", "data": [1 << 80, 0.1]}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e308", "9" * 400])
def test_s55_a_number_beyond_all_bounds_is_no_exception(number: str) -> None:
    link = Near(NEW)
    needs = f'{{"requestedEnergyTransfer":"DC","acChargingParameters":{{"energyAmount":{number},"evMinCurrent":1.5}}}}'
    link.stage.send(STATION, f'[2,"m1","NotifyEVChargingNeeds",{{"evseId":1,"chargingNeeds":{needs}}}]')
    assert "plugin-failed" not in link.findings and not link.stage.played.disconnected
    assert link.stage.played.sent or link.findings == ["bridge-unreadable"]


def test_s56_what_2_1_allows_no_more_is_an_error_and_found() -> None:
    link = Near(OLD)
    came = link.call(STATION, "StatusNotification", {
        "timestamp": AT, "connectorStatus": "Available", "evseId": -1, "connectorId": 1})
    assert (came.to, came.code) == (STATION, "PropertyConstraintViolation") and link.findings == ["bridge-invalid"]


def test_s56_a_monitor_has_the_one_field_that_2_1_demands() -> None:
    link = Near(OLD)
    monitoring = {"id": 1, "transaction": False, "value": 1.0, "type": "Delta", "severity": 4}
    report = {"requestId": 1, "seqNo": 0, "generatedAt": AT, "monitor": [
        {"component": {"name": "A"}, "variable": {"name": "B"}, "variableMonitoring": [monitoring]}]}
    came = link.call(STATION, "NotifyMonitoringReport", report)
    assert came.payload["monitor"][0]["variableMonitoring"] == [{**monitoring, "eventNotificationType": "CustomMonitor"}]
    assert link.losses() == [("invented", "$.monitor[0].variableMonitoring[0].eventNotificationType")]


# ---- the link ----

def test_a_side_that_is_lost_ends_the_link_at_once() -> None:
    link = Near(NEW)
    link.stage.gone(CSMS)
    assert link.stage.said[-1] == "<= *close"


@pytest.mark.parametrize(("station", "csms"), [("1.6", "2.1"), ("2.1", "1.6"), ("2.1", "2.1")])
def test_other_versions_are_not_bridged(station: Any, csms: Any) -> None:
    with pytest.raises(ValueError, match=r"the bridge is between|nothing to bridge"):
        Bridge.Options(station=station, csms=csms)


def test_where_both_sides_speak_2_1_nothing_is_bridged() -> None:
    talk = "open ocpp2.1 ocpp2.0.1\n=> open ocpp2.0.1\nagree ocpp2.0.1\n<= agree ocpp2.0.1\n"
    play(Bridge, talk + '> [2,"1","Nonsense",{}]\n=> [2,"1","Nonsense",{}]', options={"station": "2.1", "csms": "2.0.1"},
         version="2.0.1")
