"""Observers in the running proxy: a mirror with a real second CSMS, beside one that hangs for ever and one that only fails."""

import asyncio
from pathlib import Path

from websockets.asyncio.server import serve
from websockets.typing import Subprotocol

from tests.cli.test_end_to_end import Machine, charger, stop
from tests.hub.test_recording import until
from tests.plugins.test_mirror_peers import Second16, waiting

FILES = {
    "hang.py": """
import threading
from ocpp_proxy.api import Observer

class Hang(Observer):
    async def see(self, context, records):
        threading.Event().wait()
""",
    "fail.py": """
from ocpp_proxy.api import Observer

class Fail(Observer):
    async def see(self, context, records):
        raise ValueError("not today")
""",
}


def test_a_mirror_beside_broken_observers(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    capture, settings = tmp_path / "a.duckdb", tmp_path / "proxy.toml"
    Second16.saw.clear()

    async def play() -> int:
        async with serve(waiting, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as second:
            url = f"ws://127.0.0.1:{second.sockets[0].getsockname()[1]}/second"
            files = ", ".join(f'"{tmp_path / name}"' for name in FILES)
            settings.write_text(f"""
                enable = [{files}]
                [plugins.mirror]
                targets = [{{url = "{url}", allow = ["BootNotification", "Heartbeat"]}}]
                [[links]]
                match = {{identity = "ACME-*", version = "1.6"}}
                plugins = ["mirror"]
            """)
            with machine.proxy("--capture", str(capture), "--config", str(settings)) as (process, port):
                for identity in ("OTHER", "ACME-1"):
                    await asyncio.wait_for(charger(port, identity), 60)
                await until(lambda: len(Second16.saw) == 2)
                return await asyncio.to_thread(stop, process)

    assert asyncio.run(play()) == 0
    assert [action for action, _ in Second16.saw] == ["BootNotification", "Heartbeat"]
    sql = "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM frames WHERE verdict <> '') AS changed"
    assert machine.rows("query", str(capture), sql) == [{"messages": 12, "changed": 0}]
    assert "ValueError: not today" in machine.log and "an observer did not come to an end and was left" in machine.log
