"""Real stations and central systems through plugins: whole sessions, and each side sees what the plugins make of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.peers.full_session import READINGS, Lenient, Session
from tests.peers.raw_peers import free_port
from tests.peers.taps import DEADLINE, Rig, between
from tests.peers.test_real_peers import NODE, _node, _run

REWRITE = """
[[plugins.rewrite.rules]]
where = "action == BootNotification and mtype == CALL"
do = [
  {op = "set", path = "$.chargePointVendor", value = "ACME"},
  {op = "truncate", path = "$.chargePointModel", length = 20},
]
[[plugins.rewrite.rules]]
where = "action == BootNotification and mtype == CALLRESULT"
do = [{op = "set", path = "$.interval", value = 17}]
[[plugins.rewrite.rules]]
where = "action == MeterValues"
do = [{op = "scale", path = '$..sampledValue[?unit=="kWh"].value', factor = 1000, unit = "Wh"}]
"""
ALL = 'enable = ["rewrite", "quirks", "faults", "mirror"]\n' + REWRITE + """
[plugins.quirks]
profiles = ["frequency-hz"]
[[plugins.faults.rules]]
kind = "delay"
where = "action == MeterValues and payload.transactionId == 4711"
seconds = 0.05
jitter_seconds = 0.05
[[plugins.mirror.targets]]
url = "ws://127.0.0.1:{mirror}/ocpp"
"""


def settings(folder: Path, text: str) -> tuple[str, str]:
    path = folder / "proxy.toml"
    path.write_text(text)
    return "--config", str(path)


def test_a_session_of_pypi_ocpp_through_rewrite_quirks_mirror_and_delay_together(tmp_path: Path) -> None:
    session, copied = Session(), Session(Lenient, resets=False)

    async def main(port: int) -> None:
        async with session.csms(), copied.csms(), asyncio.timeout(2 * DEADLINE):
            await session.station(port)
            while not copied.csms_saw or copied.csms_saw[-1][0] != "StopTransaction":
                await asyncio.sleep(0.01)

    with between(session.port, tmp_path, *settings(tmp_path, ALL.replace("{mirror}", str(copied.port)))) as rig:
        asyncio.run(main(rig.port))
        rig.passages()
    actions = ["BootNotification", "Authorize", "StatusNotification", "StartTransaction", *["MeterValues"] * READINGS,
               "StopTransaction"]
    assert [action for action, _ in session.csms_saw] == actions
    assert session.station_saw[0].interval == 17 and session.station_saw[3].transaction_id == 4711
    assert session.reset == ["Accepted"]
    assert session.csms_saw[0][1] == {"charge_point_vendor": "ACME", "charge_point_model": "A wallbox of a long "}
    for number, (_, fields) in enumerate(session.csms_saw[4:-1]):
        energy, frequency = fields["meter_value"][0]["sampled_value"]
        assert (energy["value"], energy["unit"], frequency["unit"]) == (f"{number}250".lstrip("0"), "Wh", "Hertz")
    assert [action for action, _ in copied.csms_saw] == actions
    assert copied.csms_saw[0][1]["charge_point_vendor"] == "acme"       # a copy of what the charger sent
    _assert_told(rig)


def _assert_told(rig: Rig) -> None:
    """The capture says which plugin did what, and every Call was answered."""
    rows = rig.rows("SELECT outcome, count(*) AS n FROM exchanges GROUP BY outcome")
    assert rows == [{"outcome": "ok", "n": 5 + READINGS + 1}]
    rows = rig.rows("SELECT DISTINCT split_part(text, ':', 1) AS plugin FROM notes WHERE kind = 'plugin' ORDER BY plugin")
    assert rows is not None and {"faults", "quirks", "rewrite"} <= {row["plugin"] for row in rows}


def test_npm_ocpp_ts_through_rewrite(tmp_path: Path) -> None:
    variables, csms = _node(), free_port()
    with between(csms, tmp_path, *settings(tmp_path, 'enable = ["rewrite"]\n' + REWRITE)) as rig:
        seen = json.loads(_run("node", str(NODE / "ocpp_ts.js"), str(csms), str(rig.port), variables=variables))
        rig.passages()
    answers = dict(seen["station"])
    assert answers["BootNotification"]["interval"] == 17
    assert [action for action, _ in seen["csms"]] == ["BootNotification", "StatusNotification", "GetConfiguration"]
    assert seen["csms"][0][1] == {"chargePointVendor": "ACME", "chargePointModel": "M"}
    assert seen["csms"][2][1]["configurationKey"][0]["value"] == "60"


def test_npm_ts_ocpp_through_rewrite(tmp_path: Path) -> None:
    variables, csms = _node(), free_port()
    with between(csms, tmp_path, *settings(tmp_path, 'enable = ["rewrite"]\n' + REWRITE)) as rig:
        ports = (str(csms), str(rig.port), str(free_port()))
        seen = json.loads(_run("node", str(NODE / "ts_ocpp.js"), *ports, variables=variables))
        sent = b"".join(bytes(inner.up) for _, inner in rig.passages())
    answers: dict[str, Any] = dict(seen["station"])
    assert answers["BootNotification"] == {"status": "Accepted", "currentTime": "2026-11-22T16:00:00.000Z", "interval": 17}
    assert seen["csms"] == [["v1.6-json", "BootNotification"], ["v1.6-json", "Heartbeat"]]
    assert sent.count(b"GET ") == 1
