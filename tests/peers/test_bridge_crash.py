"""``kill -9`` of the relay at each point of a message's way through the bridge: nothing is lost, nothing is begun twice.

The points are reached without timing: the file of the States is locked (nothing can be committed), a plugin behind the bridge
kills the process when the Call of the bridge comes to it (committed, not sent), the CSMS does not answer (sent, not answered),
a plugin before the bridge kills it when the answer comes to it (answered, the charger not told).
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.kept import Tx
from websockets.exceptions import ConnectionClosed

from tests.peers import targets
from tests.peers.bridge_answers import TAG, TOKEN, Charger201, now, readings201, station16, system16, system201
from tests.peers.bridge_roles import Given, Payload, Peer, Theatre, until
from tests.peers.test_bridge import DOWN, UP, event, run

pytestmark = pytest.mark.skipif("OCPP_PROXY_UNDER_TEST" in os.environ, reason="another proxy, which does not bridge")
POINTS = pytest.mark.parametrize("point", ["not committed", "committed", "sent", "answered"])
PLUGIN = """
import os, signal
from pathlib import Path
from ocpp_proxy.api import PASS, Call, Plugin

class At(Plugin):
    def on_call(self, context, sender, call):
        self.reached(call, {calls!r})
        return PASS

    def on_answer(self, context, sender, answer, call):
        self.reached(call, {answers!r})
        return PASS

    def reached(self, call, actions):
        kind = call.action if call.action in actions else ""
        kind += str(call.json().get("eventType", "")) if kind else ""
        mark = Path({folder!r}, kind)
        if kind and {kills!r} and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if kind:
            mark.touch()
"""
BEGIN_END = {"1.6": ("StartTransaction", "StopTransaction"), "2.0.1": ("TransactionEvent",)}


class Scene:
    """A proxy whose relay is killed at one point, once at the start and once at the end of a transaction."""

    def __init__(self, folder: Path, direction: str, point: str, csms: dict[str, Given]) -> None:
        self.folder, self.point = folder, point
        station, _, system = direction.partition(":")
        self._marks = folder / "marks"
        self._marks.mkdir()
        before, behind = folder / "before.py", folder / "behind.py"
        answers, kills = BEGIN_END[station] if point == "answered" else (), point == "answered"
        calls = BEGIN_END[station] if point == "not committed" else ()
        before.write_text(PLUGIN.format(calls=calls, answers=answers, kills=kills, folder=str(self._marks)))
        calls, kills = BEGIN_END[system] if point == "committed" else (), point == "committed"
        behind.write_text(PLUGIN.format(calls=calls, answers=(), kills=kills, folder=str(self._marks)))
        self.options = ("--plugin", str(before), "--plugin", f"bridge:station={station},csms={system}", "--plugin", str(behind))
        self.stage = Theatre(folder, direction, csms)
        if point == "sent":
            for action in BEGIN_END[system]:
                csms[action] = self._silent(action, csms[action])
        self._held: set[str] = set()

    def _silent(self, action: str, given: Given) -> Given:
        """No answer the first time to a start, and to an end."""

        async def answer(payload: Payload) -> Payload:
            kind = action + str(payload.get("eventType", ""))
            if kind not in self._held:
                self._held.add(kind)
                os.kill(self.relay(), signal.SIGKILL)
                await self.stage.systems[-1].wire.link.wait_closed()
            made = given(payload) if callable(given) else given
            assert isinstance(made, dict)
            return made

        return answer

    def relay(self) -> int:
        """The relay that runs."""
        process = self.stage.target.process
        assert process is not None
        for pid in targets.tree(process.pid):
            with contextlib.suppress(OSError):
                if b"relay_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        raise AssertionError("no relay runs")

    async def crash(self, station: Peer, action: str, payload: Payload) -> None:
        """The station's Call, and the relay is killed at the point."""
        with self._locked() if self.point == "not committed" else contextlib.nullcontext():
            asking = asyncio.create_task(station.call(action, payload))
            if self.point == "not committed":
                mark = self._marks / (action + str(payload.get("eventType", "")))
                await until(mark.exists, f"{mark.name} at the bridge")
                os.kill(self.relay(), signal.SIGKILL)
            with pytest.raises((AssertionError, ConnectionClosed)):
                await asking
            await station.over()
        assert not asking.cancelled() and asking.exception() is not None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else can write the States."""
        held = sqlite3.connect(self.folder / "plugins.sqlite", isolation_level=None, timeout=10)
        try:
            held.execute("BEGIN IMMEDIATE")
            yield
        finally:
            held.close()

    def play(self, session: Callable[["Scene"], Awaitable[None]]) -> None:
        """The session, then the proxy ends."""
        with targets.under_test(self.stage.csms_port, self.folder, *self.options) as self.stage.target:
            run(self.stage, lambda _: session(self))

    def kept(self) -> list[Tx]:
        """The transactions in the file of the States."""
        with contextlib.closing(sqlite3.connect(self.folder / "plugins.sqlite")) as file:
            ((body,),) = file.execute("SELECT body FROM state WHERE plugin = 'bridge' AND identity = 'CP1'").fetchall()
        return list(msgspec.msgpack.decode(body, type=Bridge.State).charging.transactions)

    def told(self, action: str) -> list[Payload]:
        """What the CSMS was told on all links."""
        return [payload for system in self.stage.systems for payload in system.told(action)]


# ---- a 1.6 charger on a 2.0.1 CSMS ----

async def up(scene: Scene) -> None:
    async def dial() -> Peer:
        station, _ = await scene.stage.dial(station16())
        await station.call("BootNotification", {"chargePointVendor": "ACME", "chargePointModel": "Box"})
        await station.until("GetConfiguration")
        return station

    start = {"connectorId": 1, "idTag": TAG, "meterStart": 1000, "timestamp": now()}
    await scene.crash(await dial(), "StartTransaction", start)
    kept = [tx.tid for tx in scene.kept()]
    station = await dial()
    begun = await station.call("StartTransaction", start)
    assert kept == ([] if scene.point == "not committed" else [begun["transactionId"]])
    assert (await station.call("StartTransaction", start)) == begun         # and again, without a crash
    stop = {"transactionId": begun["transactionId"], "meterStop": 1400, "timestamp": now(), "reason": "Local"}
    await scene.crash(station, "StopTransaction", stop)
    station = await dial()
    assert await station.call("StopTransaction", stop) == {}
    late = await station.call("StartTransaction", {**start, "timestamp": now(), "meterStart": 1400})
    assert late["transactionId"] == begun["transactionId"] + 1
    await station.close()


@POINTS
def test_a_1_6_charger_whose_relay_is_killed(point: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, UP, point, system201())
    scene.play(up)
    events = scene.told("TransactionEvent")
    uids = list(dict.fromkeys(one["transactionInfo"]["transactionId"] for one in events))
    assert len(uids) == 2                                                   # that one, and the one behind it
    mine = [one for one in events if one["transactionInfo"]["transactionId"] == uids[0]]
    different = [one for at, one in enumerate(mine) if one not in mine[:at]]
    assert [(one["eventType"], one["seqNo"]) for one in different] == [("Started", 0), ("Ended", 1)]
    assert len(mine) == (4 if point == "sent" else 2)                       # sent again only where it may not have come
    assert [one["timestamp"] for one in different] == sorted(one["timestamp"] for one in different)


# ---- a 2.0.1 charger on a 1.6 CSMS ----

async def down(scene: Scene) -> None:
    async def dial() -> Peer:
        charger = Charger201()
        station, _ = await scene.stage.dial(charger.answers)
        charger.peer = station
        boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
        await station.call("BootNotification", boot)
        return station

    at = now()
    start = event("Started", 0, at, "Authorized", idToken=TOKEN, evse={"id": 1, "connectorId": 1},
                  meterValue=readings201(at, 1000, 40, "Transaction.Begin"))
    await scene.crash(await dial(), "TransactionEvent", start)
    states = {"not committed": [], "committed": ["pending"], "sent": ["pending"], "answered": ["open"]}
    assert [tx.state for tx in scene.kept()] == states[scene.point]
    station = await dial()
    assert await station.call("TransactionEvent", start) == {"idTokenInfo": {"status": "Accepted"}}
    at = now()
    end = event("Ended", 1, at, "StopAuthorized", "EVConnected", idToken=TOKEN,
                meterValue=readings201(at, 1400, 60, "Transaction.End"))
    await scene.crash(station, "TransactionEvent", end)
    station = await dial()
    assert await station.call("TransactionEvent", end) == {"idTokenInfo": {"status": "Accepted"}}
    await station.close()


@POINTS
def test_a_2_0_1_charger_whose_relay_is_killed(point: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, DOWN, point, system16())
    scene.play(down)
    starts, stops = scene.told("StartTransaction"), scene.told("StopTransaction")
    assert len(starts) == len(stops) == (2 if point == "sent" else 1)
    assert all(one == starts[0] for one in starts) and all(one == stops[0] for one in stops)
    assert (starts[0]["meterStart"], stops[0]["meterStop"]) == (1000, 1400)
    assert stops[0]["transactionId"] == (4712 if point == "sent" else 4711)
    found = [row["rule"] for row in scene.stage.rows("SELECT rule FROM findings")]
    assert ("bridge-maybe-duplicate" in found) == (point in ("committed", "sent"))
