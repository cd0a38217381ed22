"""Passwords, keys and tokens stand in no finding, no entry of the loss ledger, and no State."""

import msgspec
import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged

SECRET = "s3cr3t-s3cr3t-s3cr3t"
TIME = "2027-01-15T08:05:00.000Z"


def silent(link: Bridged, *secrets: str) -> None:
    """Nothing that is told or kept has it."""
    played = link.stage.played
    told = [text for _, text in played.findings] + [f"{one.path} {one.reason}" for one in played.losses]
    kept = msgspec.msgpack.encode(link.state)
    for secret in secrets:
        assert not [text for text in told if secret in text] and secret.encode() not in kept


@pytest.mark.parametrize("answer", ["Accepted", "Rejected", "error", "none"])
@pytest.mark.parametrize("settings", ["refuse", "forward"])
@pytest.mark.parametrize("name", ["AuthorizationKey", "SecurityCtrlr.BasicAuthPassword", "securityctrlr.basicauthpassword"])
def test_a_password_for_a_2_0_1_station(name: str, settings: str, answer: str) -> None:
    link = Bridged(DOWN, {"link_settings": settings})
    value = SECRET.encode().hex()
    link.call(CSMS, "ChangeConfiguration", {"key": name, "value": value})
    if answer == "none":
        link.open[STATION].clear()
        link.wait(31)
    while link.open[STATION]:
        asked = link.last(STATION, kind=2)
        if answer == "error":
            link.error(STATION, "InternalError")
        elif asked.action == "SetVariables":
            link.answer(STATION, {"setVariableResult": [
                {**{part: item[part] for part in ("component", "variable")}, "attributeStatus": answer}
                for item in asked.payload["setVariableData"]]})
        else:
            link.answer(STATION, {})
    link.call(CSMS, "GetConfiguration", {"key": [name]})
    while link.open[STATION]:
        link.answer(STATION, {})
    if link.state is None:
        link.call(CSMS, "RemoteStartTransaction", {"idTag": "x", "connectorId": 1})
    silent(link, SECRET, value, value.upper())


@pytest.mark.parametrize("answer", ["Accepted", "Rejected"])
def test_a_password_for_a_1_6_station(answer: str) -> None:
    link = Bridged(UP, {"link_settings": "forward"})
    link.call(CSMS, "SetVariables", {"setVariableData": [{
        "attributeValue": SECRET, "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]})
    assert link.calls(STATION) == [{"key": "AuthorizationKey", "value": SECRET.encode().hex().upper()}]
    link.answer(STATION, {"status": answer})
    link.call(STATION, "BootNotification", {"chargePointModel": "m", "chargePointVendor": "v"})
    silent(link, SECRET, SECRET.encode().hex().upper())


@pytest.mark.parametrize("long_tokens", ["alias", "truncate", "reject"])
def test_a_token_that_is_too_long(long_tokens: str) -> None:
    token = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    link = Bridged(DOWN, {"long_tokens": long_tokens})
    link.call(STATION, "Authorize", {"idToken": {"idToken": token, "type": "Central"}})
    told = [f"{one.path} {one.reason}" for one in link.stage.played.losses]
    assert not [text for text in told if token[:20] in text]


def test_the_place_that_files_go_to() -> None:
    """A URL may have a password in it."""
    link = Bridged(DOWN)
    url = f"ftp://user:{SECRET}@logs/" + "x" * 600
    link.call(CSMS, "GetDiagnostics", {"location": url})
    link.call(CSMS, "UpdateFirmware", {"location": f"ftp://user:{SECRET}@logs/", "retrieveDate": TIME})
    link.answer(STATION, {"status": "Rejected"})
    silent(link, SECRET)
