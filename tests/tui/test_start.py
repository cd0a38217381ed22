"""What ends the terminal UI from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUCK = """
import asyncio, queue
from ocpp_proxy_tui.start import end_on_signals

async def main():
    full = queue.Queue(1)
    full.put("painted")
    end_on_signals(asyncio.get_running_loop(), lambda: None)
    print("stuck", flush=True)
    full.put("who reads this died with the terminal")

asyncio.run(main())
"""
IN_ORDER = """
import asyncio
from ocpp_proxy_tui.start import end_on_signals

async def main():
    left = asyncio.Event()
    end_on_signals(asyncio.get_running_loop(), left.set)
    print("waits", flush=True)
    await left.wait()
    print("left", flush=True)

asyncio.run(main())
"""

SHOWN = """
import asyncio, gc, pathlib
from ocpp_proxy_tui import start
from tests.tui.sources import MemorySource
from tests.tui.traffic_lines import LINK

async def run(app):
    start.collect_less()
    print(gc.get_freeze_count() > 0)

start.ProxyApp.run_async = run
asyncio.run(start.show(MemorySource([], [LINK]), start.Settings(), pathlib.Path("view.toml"), lambda *_: ""))
print(gc.get_freeze_count() > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
@pytest.mark.parametrize(("script", "last"), [(STUCK, ""), (IN_ORDER, "left\n")])
def test_it_ends_even_when_nobody_takes_what_it_paints(number: signal.Signals, script: str, last: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures"))}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None and child.stdout.readline().strip() in ("stuck", "waits")
            child.send_signal(number)
            assert child.wait(60) == 0
            assert child.stdout.read() == last
        finally:
            child.kill()


def test_what_lives_after_the_start_is_not_collected_again() -> None:
    script = ("import gc; from ocpp_proxy_tui.start import collect_less as less; "
              "less(); print(gc.get_freeze_count(), *gc.get_threshold())")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures"))}
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment, check=True)
    frozen, young, *_ = map(int, done.stdout.split())
    assert frozen > 10_000 and young >= 10_000


def test_what_was_not_collected_may_go_at_the_end(tmp_path: Path) -> None:
    """DuckDB 2 writes fifty lines about what it finds alive when Python ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures"))}
    done = subprocess.run(
        [sys.executable, "-c", SHOWN], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, check=True)
    assert done.stdout.split() == ["True", "False"]
