"""A plugin that ends its process: links of other workers go on, the capture is whole, the plugin is named. Real processes."""

import asyncio
import json
import signal
from pathlib import Path

import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import serve

from ocpp_proxy.config import LinkRule
from ocpp_proxy.model import Opcode
from ocpp_proxy.records import FrameSeen, Gap, Handshake, LinkClosed, PluginFinding
from tests.hub.test_end_to_end import csms, running, settings, stored

DEADLY = """
import os

from ocpp_proxy.api import PASS, Plugin

class Deadly(Plugin):
    '''Ends the process.'''

    def on_call(self, context, sender, call):
        if call.action == "Die":
            os._exit(7)
        return PASS
"""
PROTOCOL = [websockets.Subprotocol("ocpp1.6")]


async def exchange(station: ClientConnection, number: int) -> None:
    await station.send(json.dumps([2, f"m{number}", "Heartbeat", {}]))
    assert json.loads(await station.recv())[1] == f"m{number}"


@pytest.mark.parametrize("own", [True, False], ids=["isolated", "shared"])
def test_a_hook_that_ends_its_process_cuts_only_the_links_of_that_process(tmp_path: Path, own: bool) -> None:
    """``os._exit``, twice over: each time the relay is back, what it passed on is stored, the plugin is named."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    plugin = str(tmp_path / "deadly.py")

    async def play() -> None:
        async with serve(csms, "127.0.0.1", 0, subprotocols=PROTOCOL) as server:
            server.received = []            # type: ignore[attr-defined]
            config = settings(tmp_path, server.sockets[0].getsockname()[1])
            isolated = LinkRule(plugins=(plugin,) if own else (), isolate=True, listen="127.0.0.1:0")
            config = msgspec.structs.replace(config, links=(isolated,), enable=() if own else (plugin,))
            with running(tmp_path, config) as proxy:
                await proxy.wait_for("listening")
                known = proxy.instance()
                deadly, quiet = (known.isolated[0], known.listen[0]) if own else (known.listen[0], known.isolated[0])
                async with connect(f"ws://{quiet}/QUIET", subprotocols=PROTOCOL, open_timeout=60) as other:
                    for number in range(2):
                        compression = None if own else "deflate"
                        async with connect(
                            f"ws://{deadly}/CP1", subprotocols=PROTOCOL, open_timeout=60, compression=compression,
                        ) as station:
                            await exchange(station, number)
                            await exchange(other, number)
                            await station.send(json.dumps([2, f"d{number}", "Die", {}]))
                            with pytest.raises(websockets.ConnectionClosed):
                                await station.recv()
                        name = "relay-1" if own else "relay"
                        died = await proxy.wait_for("died", name)
                        assert died["text"] == f"{name} ended with exit code 7 in a hook of plugin deadly"
                        await exchange(other, number + 10)
                    async with connect(f"ws://{deadly}/CP1", subprotocols=PROTOCOL, open_timeout=60) as station:
                        await exchange(station, 20)         # it came back a last time
                    await exchange(other, 20)
                proxy.process.send_signal(signal.SIGTERM)
                await proxy.wait_for("stopped")
                assert await asyncio.to_thread(proxy.process.wait, 60) == 0

    asyncio.run(play())
    records = asyncio.run(stored(tmp_path / "c.duckdb"))
    identities = {record.link.link_id: record.link.identity for record in records if isinstance(record, Handshake)}
    texts: dict[str, list[str]] = {}
    for record in records:
        if isinstance(record, FrameSeen) and record.frame.opcode is Opcode.TEXT:
            number = json.loads(record.frame.text or record.frame.payload)[1]
            texts.setdefault(identities[record.frame.link_id], []).append(number)
    assert texts["QUIET"] == [f"m{number}" for number in (0, 10, 1, 11, 20) for _ in range(2)]
    assert texts["CP1"] == ["m0", "m0", "d0", "m1", "m1", "d1", "m20", "m20"]        # also what the hook did not come back from
    assert not any(isinstance(record, Gap) for record in records)
    ends = sorted(record.how for record in records if isinstance(record, LinkClosed))
    assert ends == ["fin", "fin", "lost", "lost"]
    found = [record.message for record in records if isinstance(record, PluginFinding) and record.code == "plugin-crash"]
    shown = [f"Die d{number} of CP1" for number in range(2)] if own else ["one of CP1"] * 2     # compressed, there
    assert found == [
        "plugin deadly: its hook was running when the relay ended; all links of that relay were cut;"
        f" the last message shown to plugins: {words}" for words in shown
    ]
