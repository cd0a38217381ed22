"""npm ``ocpp-ts`` and ``@voltbras/ts-ocpp`` as the 1.6 side of a bridge, PyPI ``ocpp`` 2.0.1 on the other."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.peers.bridge_answers import (
    ACCEPTED,
    TAG,
    TOKEN,
    Charger201,
    now,
    readings201,
    register,
    system201,
)
from tests.peers.bridge_roles import Payload, Theatre, theatre, until
from tests.peers.taps import DEADLINE
from tests.peers.test_bridge import BOOTED, DOWN, UP, event
from tests.peers.test_real_peers import NODE, _central_system, _node

pytestmark = pytest.mark.skipif("OCPP_PROXY_UNDER_TEST" in os.environ, reason="another proxy, which does not bridge")
LIBRARIES = pytest.mark.parametrize("library", ["ocpp-ts", "ts-ocpp"])
SCRIPT = str(NODE / "bridge_1_6.js")


async def station(stage: Theatre, library: str, variables: dict[str, str]) -> dict[str, Any]:
    """What the charger saw, once it is through."""
    async with stage.csms():
        command = ("node", SCRIPT, library, "station", str(stage.target.port))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=variables)
        said, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode == 0
        seen: dict[str, Any] = json.loads(said)
        return seen


@LIBRARIES
def test_a_1_6_charger_of_npm_on_a_2_0_1_csms(library: str, tmp_path: Path) -> None:
    variables = _node()
    settings = tmp_path / "proxy.toml"
    settings.write_text("[plugins.bridge]\ngrace_seconds = 0\n")        # these chargers never say that they go
    with theatre(tmp_path, UP, system201(), "--config", str(settings)) as stage:
        seen = asyncio.run(station(stage, library, variables))
    answers = dict(seen["answers"])
    assert (answers["BootNotification"], answers["Authorize"]) == (BOOTED, {"idTagInfo": ACCEPTED})
    assert answers["StartTransaction"]["idTagInfo"] == ACCEPTED and answers["StartTransaction"]["transactionId"] > 0
    assert (answers["MeterValues"], answers["StopTransaction"]) == ({}, {})
    (csms,) = stage.systems
    assert csms.told("Authorize") == [{"idToken": TOKEN}]
    events = csms.told("TransactionEvent")
    assert [(one["eventType"], one["seqNo"]) for one in events] == [("Started", 0), ("Updated", 1), ("Ended", 2)]
    assert len({one["transactionInfo"]["transactionId"] for one in events}) == 1
    assert [register(one["meterValue"]) for one in events] == [[1000.0], [1200.0], [1400.0]]
    samples = events[1]["meterValue"][0]["sampledValue"]
    assert [one["value"] for one in samples] == [1200, 7.2, 60]
    _assert_told_well(stage)


def _assert_told_well(stage: Theatre) -> None:
    """As ``assert_well``; the socket of these peers just dies, also while a Call of the bridge is open."""
    rows = stage.rows("SELECT rule, message FROM findings")
    assert [row for row in rows if row["rule"][0] in "VE" or row["rule"].startswith("plugin")] == []
    assert stage.rows("SELECT action FROM exchanges WHERE outcome = 'error'") == []
    assert ("MeterValues", "TransactionEvent") in stage.pairs() or ("TransactionEvent", "MeterValues") in stage.pairs()


@LIBRARIES
def test_a_2_0_1_charger_on_a_1_6_csms_of_npm(library: str, tmp_path: Path) -> None:
    variables = _node()
    with theatre(tmp_path, DOWN, {}) as stage:
        command = ("node", SCRIPT, library, "csms", str(stage.csms_port))
        with _central_system(*command, variables=variables) as process:
            asyncio.run(charges(stage))
            assert process.stdout is not None
            seen: list[tuple[str, Payload]] = []
            while not {"RemoteStopTransaction", "StopTransaction"} <= {action for action, _ in seen}:
                action, payload = json.loads(process.stdout.readline())
                seen.append((action, payload))
    told = dict(seen)
    apart = ("StatusNotification", "Heartbeat", "RemoteStopTransaction")    # its answer may cross the end
    assert [action for action, _ in seen if action not in apart] == [
        "BootNotification", "Authorize", "StartTransaction", "MeterValues", "StopTransaction"]
    assert told["Authorize"] == {"idTag": TAG} and told["RemoteStopTransaction"] == ACCEPTED
    assert (told["StartTransaction"]["meterStart"], told["StopTransaction"]["meterStop"]) == (1000, 1400)
    assert told["MeterValues"]["transactionId"] == told["StopTransaction"]["transactionId"] == 4711
    samples = told["MeterValues"]["meterValue"][0]["sampledValue"]
    assert [(one["value"], one["unit"]) for one in samples] == [("1200", "Wh"), ("7.2", "kW"), ("60", "Percent")]
    _assert_told_well(stage)


async def charges(stage: Theatre) -> None:
    """A charger of 2.0.1 that stops when it is asked to."""
    charger = Charger201()
    peer = charger.peer = await stage.dial_alone(charger.answers)
    boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
    assert await peer.call("BootNotification", boot) == BOOTED
    assert await peer.call("Authorize", {"idToken": TOKEN}) == {"idTokenInfo": ACCEPTED}
    begin = readings201(now(), 1000, 40, "Transaction.Begin")
    begin[0]["sampledValue"] = begin[0]["sampledValue"][:1]
    assert await peer.call("TransactionEvent", event(
        "Started", 0, now(), "Authorized", idToken=TOKEN, evse={"id": 1, "connectorId": 1}, meterValue=begin,
    )) == {"idTokenInfo": ACCEPTED}
    assert await peer.call("TransactionEvent", event(
        "Updated", 1, now(), "MeterValuePeriodic", meterValue=readings201(now(), 1200, 60))) == {}
    await peer.until("RequestStopTransaction")
    end = event("Ended", 2, now(), "RemoteStop", "EVConnected", meterValue=readings201(now(), 1400, 70, "Transaction.End"))
    assert await peer.call("TransactionEvent", end) == {}
    await until(lambda: charger.device["TxCtrlr", "TxStartPoint"][0] == "PowerPathClosed", "what it is asked behind its boot")
    await asyncio.gather(*charger.reports)
    await peer.close()
