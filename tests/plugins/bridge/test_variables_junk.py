"""Whatever is said about variables and keys, either way, the bridge does not fail: it answers, and what it tells is valid."""

import json
from random import Random
from typing import Any

import pytest

from ocpp_proxy.api import Side
from ocpp_proxy.spec.schemas import check
from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged
from tests.plugins.bridge.modelled import ACCEPTED, BOOT, BOOT_201, TIME, every_key, row, variable, written
from tests.plugins.bridge.test_down_junk import spoiled

HOME = "OCPPCommCtrlr.HeartbeatInterval"
ROW = row("EVSE.PhaseRotation", "RST", "ReadWrite", (1,), 30)
SAID: dict[str, list[tuple[Side, str, dict[str, Any]]]] = {
    UP: [
        (CSMS, "GetVariables", {"getVariableData": [written(HOME, attributeType="Actual"), variable("Bridge16", "Thing")]}),
        (CSMS, "SetVariables", {"setVariableData": [
            written(HOME, attributeValue="5"), variable("EVSE", "PhaseRotation", (1,), attributeValue="RST")]}),
        (CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "SummaryInventory"}),
        (CSMS, "GetReport", {"requestId": 1, "componentCriteria": ["Problem", "Active"], "componentVariable": [written(HOME)]}),
        (CSMS, "SetVariableMonitoring", {"setMonitoringData": [written(HOME, value=1, type="Delta", severity=1)]}),
        (CSMS, "ClearVariableMonitoring", {"id": [1]}),
        (STATION, "BootNotification", BOOT),
    ],
    DOWN: [
        (CSMS, "GetConfiguration", {"key": ["HeartbeatInterval", "A.B", "ConnectorPhaseRotation"]}),
        (CSMS, "GetConfiguration", {}),
        (CSMS, "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "5"}),
        (CSMS, "ChangeConfiguration", {"key": "ConnectorPhaseRotation", "value": "0.RST"}),
        (STATION, "NotifyReport", {"requestId": 1, "generatedAt": TIME, "seqNo": 0, "tbc": True, "reportData": [ROW]}),
        (STATION, "BootNotification", BOOT_201),
    ],
}


def answers(action: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A good answer."""
    same = [{name: item[name] for name in ("component", "variable")} for item in next(iter(asked.values()), ())
            if isinstance(item, dict) and "variable" in item] if asked and action.endswith("Variables") else []
    found: dict[str, dict[str, Any]] = {
        "GetConfiguration": {"configurationKey": every_key()[:6], "unknownKey": ["a"]},
        "GetVariables": {"getVariableResult": [{**one, "attributeStatus": "Accepted", "attributeValue": "v"} for one in same]},
        "SetVariables": {"setVariableResult": [{**one, "attributeStatus": "Accepted"} for one in same]},
        "BootNotification": ACCEPTED,
    }
    return found.get(action, {"status": "Accepted"})


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("seed", range(6))
def test_nothing_makes_it_fail(direction: str, seed: int) -> None:
    random = Random(seed)
    link = Bridged(direction)
    played = link.stage.played
    waiting: set[str] = set()
    seen = 0
    for count in range(120):
        side, action, payload = random.choice(SAID[direction])
        waiting.add(str(count))
        said = spoiled(payload, random) if random.random() < 0.6 else payload
        link.stage.send(side, json.dumps([2, str(count), action, said]))
        if random.random() < 0.2:
            link.stage.wait(1.1)
        while seen < len(played.sent):
            sender, text = played.sent[seen]
            seen += 1
            frame = json.loads(text)
            if frame[0] != 2:
                waiting.remove(frame[1])
                continue
            version = link.versions[sender.other]
            assert not [one for one in check(version, frame[2], False, frame[3]) if one.grade != "official"], frame
            good = answers(frame[2], frame[3])
            link.stage.send(sender.other, json.dumps([3, frame[1], spoiled(good, random) if random.random() < 0.5 else good]))
    assert waiting == set() and not played.disconnected
    assert not [code for code, _ in played.findings if not code.startswith("bridge-")]
