"""The way of a fleet into the bridge and out of it, on real sockets: one charger first, with its transaction running.

Two CSMSs: the old one speaks 1.6, the new one 2.0.1; CP7 is the canary.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.transactions import every

from ocpp_proxy.cli import places, state_file
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.config import LinkMatch, LinkRule
from ocpp_proxy.core.hands import RESTART
from ocpp_proxy.model import Side
from tests.desk import Desk, desk, reads
from tests.relay.stage import PATIENCE, SWITCH, UPGRADE, Peer, bound, play
from tests.relay.test_frame_mode import message
from tests.test_acting import heard, plain

START = {"connectorId": 1, "idTag": "04AABBCC", "meterStart": 1000, "timestamp": "2026-11-23T08:00:00Z"}
STOP = {"meterStop": 5000, "timestamp": "2026-11-23T09:00:00Z"}
VALUES = {"connectorId": 1, "meterValue": [{"timestamp": "2026-11-23T08:30:00Z", "sampledValue": [{"value": "3000"}]}]}
TAKEN = {"idTagInfo": {"status": "Accepted"}}
CANARY = (LinkRule(LinkMatch("CP7", "1.6"), ("bridge",)),)


class End:
    """One end of a leg: says and is told messages."""

    def __init__(self, peer: Peer, decode: Callable[[bytes], list[bytes]], masked: bool) -> None:
        self.peer, self._decode, self._masked, self._seen = peer, decode, masked, 0

    async def say(self, *frame: Any) -> bytes:
        """Say it; its text."""
        text = json.dumps(frame).encode()
        await self.peer.send(message(text, None, self._masked))
        return text

    async def text(self) -> bytes:
        """The next that it is told."""
        self._seen += 1
        return (await reads(self.peer, self._seen, self._decode))[self._seen - 1]

    async def told(self) -> Any:
        """The same as values."""
        return json.loads(await self.text())

    async def answers(self, payload: dict[str, Any]) -> Any:
        """It is told a Call and answers it; gives action and payload."""
        _, message_id, action, asked = await self.told()
        await self.say(3, message_id, payload)
        return action, asked


class Fleet:
    """The proxy between chargers and two CSMSs."""

    def __init__(self, at: Desk) -> None:
        self.at, self.new = at, bound()

    async def rule(self, *links: LinkRule) -> None:
        """The configuration changes, and is read again."""
        upstream = f"ws://127.0.0.1:{self.new.getsockname()[1]}"
        self.at.write_config(links=links, plugins={"bridge": {"upstream": upstream}})
        await self.at.person.reload()

    async def dial(self, identity: str, bridged: bool) -> tuple[End, End]:
        """A 1.6 charger dials; which CSMS gets it, and what that is offered."""
        station = await self.at.theatre.dial()
        await station.send(UPGRADE.replace(b"/CP1", f"/{identity}".encode()))
        if bridged:
            sock, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self.new), PATIENCE)
            csms = self.at.theatre._keep(sock)
        else:
            csms = await self.at.theatre.accept()
        head = await csms.head()
        assert head.startswith(f"GET /{identity} ".encode())
        assert (b"ocpp2.0.1" in head, b"ocpp1.6" in head) == (bridged, not bridged)
        await csms.send(SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1") if bridged else SWITCH)
        assert b"Sec-WebSocket-Protocol: ocpp1.6\r\n" in await station.head()
        return End(station, heard, True), End(csms, plain, False)

    async def gone(self, *ends: End) -> None:
        """They hang up."""
        for end in ends:
            end.peer.close()
        await self.at.theatre.no_links()

    def transactions(self) -> list[tuple[int, str]]:
        """Number and state of those that the bridge remembers of CP7."""
        kept = state_file.states(self.at.folder / "plugins.sqlite", "bridge", Bridge).get("CP7", Bridge.State())
        return [(tx.tid, tx.state) for tx in every(kept.charging)]


def fleet(body: Callable[[Fleet], Any]) -> None:
    """Run it."""
    async def run() -> None:
        async with desk() as at:
            made = Fleet(at)
            try:
                await body(made)
            finally:
                made.new.close()

    play(run())


async def started(station: End, csms: End) -> int:
    """A transaction begins on a bridged link; its number."""
    await station.say(2, "s", "StartTransaction", START)
    action, begun = await csms.answers({"idTokenInfo": {"status": "Accepted"}})
    assert (action, begun["eventType"]) == ("TransactionEvent", "Started")
    return int((await station.told())[2]["transactionId"])


@pytest.fixture(autouse=True)
def _nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "search_bases", lambda: [])


def test_one_charger_is_bridged_and_the_others_pass_as_they_are() -> None:
    async def body(here: Fleet) -> None:
        await here.rule(*CANARY)
        canary, new = await here.dial("CP7", bridged=True)
        other, old = await here.dial("CP8", bridged=False)
        said = await other.say(2, "1", "StatusNotification", {"connectorId": 1, "errorCode": "Odd", "status": "Available"})
        assert await old.text() == said                                 # byte for byte, the error too
        await canary.say(2, "1", "Authorize", {"idTag": "A"})
        action, asked = await new.answers({"idTokenInfo": {"status": "Accepted"}})
        assert (action, asked["idToken"]["idToken"]) == ("Authorize", "A")
        assert await canary.told() == [3, "1", {"idTagInfo": {"status": "Accepted"}}]

    fleet(body)


def test_the_way_in_with_a_transaction_that_runs() -> None:
    """It began on the old CSMS; its end arrives at the new one, with a beginning."""
    async def body(here: Fleet) -> None:
        station, old = await here.dial("CP7", bridged=False)
        await station.say(2, "s", "StartTransaction", START)
        assert await old.answers({"transactionId": 4711, **TAKEN}) == ("StartTransaction", START)
        assert (await station.told())[2]["transactionId"] == 4711
        await here.rule(*CANARY)                                        # an open link goes on as it is
        said = await station.say(2, "m", "MeterValues", {**VALUES, "transactionId": 4711})
        assert await old.text() == said
        await here.gone(station, old)
        station, new = await here.dial("CP7", bridged=True)
        await station.say(2, "e", "StopTransaction", {**STOP, "transactionId": 4711})
        (_, begun), (_, over) = await new.answers({}), await new.answers({})
        assert (begun["eventType"], begun["seqNo"], over["eventType"], over["seqNo"]) == ("Started", 0, "Ended", 1)
        assert begun["transactionInfo"]["transactionId"] == over["transactionInfo"]["transactionId"]
        assert [sample["value"] for value in over["meterValue"] for sample in value["sampledValue"]] == [5000]
        assert await station.told() == [3, "e", {}] and here.transactions() == [(4711, "ended")]

    fleet(body)


def test_the_way_back_when_the_transactions_are_ended_before() -> None:
    """Drained: the charger is asked to stop, the new CSMS hears of it, then the charger goes back to the old one."""
    async def body(here: Fleet) -> None:
        await here.rule(*CANARY)
        station, new = await here.dial("CP7", bridged=True)
        tid = await started(station, new)
        assert here.transactions() == [(tid, "open")]
        asked = asyncio.ensure_future(
            here.at.person.inject("CP7", Side.STATION, "RemoteStopTransaction", {"transactionId": tid}))
        assert (await station.answers({"status": "Accepted"}))[0] == "RemoteStopTransaction"
        assert (await asked).payload == {"status": "Accepted"}
        await station.say(2, "e", "StopTransaction", {**STOP, "transactionId": tid, "reason": "Remote"})
        assert (await new.answers({}))[1]["eventType"] == "Ended"
        assert (await station.told())[:2] == [3, "e"] and here.transactions() == [(tid, "ended")]
        await here.rule()
        assert await station.text() == RESTART and await new.text() == RESTART      # it is to dial again
        await here.gone(station, new)
        station, old = await here.dial("CP7", bridged=False)
        await station.say(2, "s", "StartTransaction", START)
        assert await old.answers({"transactionId": 4712, **TAKEN}) == ("StartTransaction", START)

    fleet(body)


def test_the_way_back_with_a_transaction_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The old CSMS gets an end that it does not know. What the new one is owed stays, and is told once CP7 is bridged again."""
    async def body(here: Fleet) -> None:
        await here.rule(*CANARY)
        station, new = await here.dial("CP7", bridged=True)
        tid = await started(station, new)
        await here.rule()
        assert await station.text() == RESTART
        await here.gone(station, new)
        station, old = await here.dial("CP7", bridged=False)
        said = await station.say(2, "e", "StopTransaction", {**STOP, "transactionId": tid})
        assert await old.text() == said                                 # nobody touches it: the number means nothing there
        assert here.transactions() == [(tid, "open")]                   # and to the new CSMS it charges on
        await here.gone(station, old)

        words = ["bridge", "tx", "close", "CP7", str(tid), "--state", str(here.at.folder / "plugins.sqlite")]
        assert await asyncio.to_thread(run_app, words) == 0
        await here.rule(*CANARY)
        station, new = await here.dial("CP7", bridged=True)
        await station.say(2, "h", "Heartbeat", {})
        told = [await new.answers({"currentTime": "2026-11-23T10:00:00Z"}), await new.answers({})]
        (ended,) = [payload for action, payload in told if action == "TransactionEvent"]
        assert (ended["eventType"], ended["seqNo"], ended["transactionInfo"]["stoppedReason"]) == ("Ended", 1, "Other")

    fleet(body)
