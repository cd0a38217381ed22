"""All scenarios of the bridge have a test that is named after theirs; and answers with values that nobody knows."""

import re
from pathlib import Path

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged
from tests.plugins.bridge.downward import linked

TESTS = Path(__file__).resolve().parents[2]
OTHER_VERSIONS = range(52, 55)              # OCPP 1.5, which the bridge does not speak
SCENARIOS = {f"s{number:02}" for number in range(1, 62) if number not in OTHER_VERSIONS} | {
    f"n{number:02}" for number in range(1, 26)}


def test_each_scenario_has_a_test_of_its_name() -> None:
    named: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for names in re.findall(r"^def test_((?:[sn]\d\d_)+)", path.read_text(), re.MULTILINE):
            named |= set(names.rstrip("_").split("_"))
    assert named == SCENARIOS


@pytest.mark.parametrize(("action", "payload", "asked", "answer"), [
    ("ChangeAvailability", {"operationalStatus": "Inoperative"}, "ChangeAvailability", {"status": "AcceptedByVendor"}),
    ("UnlockConnector", {"evseId": 1, "connectorId": 1}, "UnlockConnector", {"status": "HalfOpen"}),
    ("Reset", {"type": "Immediate"}, "Reset", {"status": 7}),
    ("RequestStartTransaction", {"idToken": {"idToken": "AB", "type": "ISO14443"}, "remoteStartId": 1, "evseId": 1},
     "RemoteStartTransaction", {"status": "Later"}),
])
def test_n19_an_answer_with_a_status_nobody_knows_is_never_passed_on_up(
    action: str, payload: dict[str, object], asked: str, answer: dict[str, object],
) -> None:
    link = Bridged(UP)
    message = link.call(CSMS, action, payload)
    link.answer(STATION, answer, asked)
    told = link.answered(message)           # that it is valid sees the link
    assert told.kind == 4 or told.payload["status"] not in ("Accepted", "Unlocked", answer["status"])
    link.settled()


@pytest.mark.parametrize(("action", "payload", "answer"), [
    ("UnlockConnector", {"connectorId": 1}, {"status": "HalfOpen"}),
    ("Reset", {"type": "Hard"}, {"status": "Perhaps"}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "AcceptedByVendor"}),
    ("ClearChargingProfile", {"id": 1}, {"status": "None"}),
])
def test_n19_an_answer_with_a_status_nobody_knows_is_never_passed_on_down(
    action: str, payload: dict[str, object], answer: dict[str, object],
) -> None:
    link = linked()
    message = link.call(CSMS, action, payload)
    link.answer(STATION, answer, action)
    told = link.answered(message)
    assert told.kind == 4 or told.payload["status"] not in ("Accepted", "Unlocked", answer["status"])
    link.settled()


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_n19_a_status_of_a_connector_that_nobody_knows_is_never_passed_on(direction: str) -> None:
    link = Bridged(direction)
    if direction == UP:
        message = link.call(STATION, "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Sleeping"})
    else:
        message = link.call(STATION, "StatusNotification", {
            "timestamp": "2027-01-15T08:00:00Z", "connectorStatus": "Sleeping", "evseId": 1, "connectorId": 1})
    while link.open[CSMS]:
        link.answer(CSMS, {})
    assert link.answered(message)
    assert all("Sleeping" not in str(payload) for payload in link.calls(CSMS, "StatusNotification"))
    link.settled()
