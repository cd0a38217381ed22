"""Makes the pictures of the screens for the documents: the real application on the sample capture.

``python -m ocpp_proxy.cli.pictures docs/pictures`` writes them; a test makes them again and compares, so they cannot drift.
No font is fetched from anywhere: the viewer's own monospace is used.
"""

import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import ocpp_proxy_captures
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.settings import Settings
from textual.pilot import Pilot

from ocpp_proxy.cli.printing import render

SAMPLE = Path(__file__).parents[2] / "captures" / "samples" / "demo.duckdb"
SIZE = (120, 34)
PICTURES: dict[str, tuple[str, ...]] = {    # name -> keys that lead there
    "traffic": ("slash", *"identity == CP-FAULTY", "enter", "j", "j", "j", "j", "j", "j"),
    "chargers": ("2",),
    "findings": ("3", "j"),
    "transactions": ("4", "j"),
    "query": ("5", "enter"),
}
_LOADING = ("2", "3", "4", "5", "enter")    # behind these a key has nothing to act on before what they ask for has come
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_SECONDS = 30.0


async def picture(name: str) -> str:
    """The SVG of one screen."""
    with tempfile.TemporaryDirectory() as folder:
        source = ocpp_proxy_captures.open_source(SAMPLE)
        source.title = "captures/samples/demo.duckdb"
        app = ProxyApp(source, Settings(), Path(folder) / "view.toml", render)
        try:
            async with app.run_test(size=SIZE) as pilot:
                await _settled(app, pilot)
                for key in PICTURES[name]:
                    await pilot.press(key)
                    if key in _LOADING:
                        await _settled(app, pilot)
                await _settled(app, pilot)
                svg = app.export_screenshot(title=f"ocpp-proxy tui: {name}")
        finally:
            await source.close()
    return plain(svg)


def plain(svg: str) -> str:
    """Without fonts from the network, and without numbers that differ from run to run."""
    svg = _FONT_FACE.sub("", svg)
    svg = re.sub(r"font-family: [^;]*;", "font-family: monospace;", svg)
    return re.sub(r"terminal-\d+", "terminal", svg)


async def _settled(app: ProxyApp, pilot: Pilot[None]) -> None:
    """Wait until nothing changes any more: what is asked of the source has come and is painted."""
    deadline = time.monotonic() + _SECONDS
    before, same = "", 0
    while same < 3 and time.monotonic() < deadline:
        await pilot.pause(0.1)
        await app.workers.wait_for_complete()
        now = app.export_screenshot()
        same = same + 1 if now == before else 0
        before = now


def main(folder: str) -> None:
    """Write all pictures."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        (Path(folder) / f"{name}.svg").write_text(asyncio.run(picture(name)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
