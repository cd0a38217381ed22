"""kill -9 of relay, recorder or both at random times under load: every frame a peer received is captured once, in order.

    python -m bench.kill9 --kills 30 --seed 1

Stations send numbered Calls; who loses its connection dials again as a new station. What
each peer received is compared with the capture after an orderly end. Exit code 1 when anything is missing, doubled or out
of order.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import duckdb

from bench.peers import Key, Peers
from bench.processes import LOOPBACK, PYTHON, end, free_ports, remove, spawn, stages, wait_said

FLOW = 500                                              # messages between two kills, at least


async def _killer(proxy: int, kills: int, dice: random.Random, peers: Peers) -> dict[str, int]:
    """Kill relay, recorder or both, each time once both live and traffic flows again."""
    counts = {"relay": 0, "recorder": 0, "both": 0}
    for number in range(kills):
        flowed, deadline = sum(peers.received.values()) + FLOW, time.monotonic() + 60
        found = stages(proxy)
        while not {"relay", "recorder"} <= set(found.values()) or sum(peers.received.values()) < flowed:
            if time.monotonic() > deadline:
                raise RuntimeError(f"relay and recorder did not both come back, or no traffic: {found}")
            await asyncio.sleep(0.05)
            found = stages(proxy)
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        what = list(counts)[number % 3]
        counts[what] += 1
        for pid, stage in found.items():
            if stage == what or (what == "both" and stage in ("relay", "recorder")):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        print(f"kill {number + 1} of {kills}: {what}; {sum(peers.received.values())} messages so far", file=sys.stderr)
    await asyncio.sleep(1)
    return counts


async def _play(proxy: int, port: int, upstream: int, peers: Peers, kills: int, seed: int) -> dict[str, int]:
    async with await asyncio.start_server(peers.csms, LOOPBACK, upstream):
        stations = [asyncio.create_task(peers.station(port)) for _ in range(peers.links)]
        try:
            return await _killer(proxy, kills, random.Random(seed), peers)
        finally:
            peers.over.set()
            await asyncio.wait(stations, timeout=20)


def compare(peers: Peers, capture: Path) -> list[str]:
    """What is wrong with the capture, in words."""
    wrong = list(peers.disorder)
    with duckdb.connect(str(capture), read_only=True) as store:
        rows = store.execute("SELECT identity, side, message_id FROM messages ORDER BY msg_no").fetchall()
    captured: dict[Key, list[str]] = defaultdict(list)
    for identity, side, ident in rows:
        captured[identity, side].append(ident)
    for (identity, side), idents in captured.items():
        if idents != [f"{identity}-{number}" for number in range(len(idents))]:
            wrong.append(f"{side} of {identity}: not once and in order: {_first_fault(identity, idents)}")
    for key, count in peers.received.items():
        if len(captured[key]) < count:
            wrong.append(f"{key[1]} of {key[0]}: {count} received by its peer, {len(captured[key])} captured")
    return wrong


def _first_fault(identity: str, idents: list[str]) -> str:
    for number, ident in enumerate(idents):
        if ident != f"{identity}-{number}":
            return f"{ident} where {identity}-{number} belongs"
    return ""


def main() -> int:
    """Run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--links", type=int, default=8)
    parser.add_argument("--rate", type=int, default=2000, help="Calls a second, at most, of all stations together")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ocpp-kill9-"))
    port, upstream = free_ports(2)
    peers = Peers(chosen.links, chosen.rate)
    command = [PYTHON, "-m", "ocpp_proxy", "run", f"ws://{LOOPBACK}:{upstream}", "--listen", f"{LOOPBACK}:{port}",
               "--capture", str(folder / "capture.duckdb")]
    proxy = spawn(command, -1, folder, "product")
    try:
        wait_said(proxy, "listening", folder / "product.log")
        counts = asyncio.run(_play(proxy.pid, port, upstream, peers, chosen.kills, chosen.seed))
        wrong = [] if end(proxy, 120) else ["the proxy did not end by itself within two minutes"]
        wrong += compare(peers, folder / "capture.duckdb")
    finally:
        end(proxy)
    received = sum(peers.received.values())
    print(f"kills {counts}, {peers.dialled} dials, {received} messages received by peers, {len(wrong)} faults")
    for line in wrong[:20]:
        print(f"  {line}")
    if not wrong:
        remove(folder)
    return int(bool(wrong) or not received)


if __name__ == "__main__":
    sys.exit(main())
