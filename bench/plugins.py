"""What a message costs in the relay with plugins that do nothing: splice, frame mode, one plugin, five plugins.

    python -m bench.plugins --messages 100000 --rounds 5

No sockets: chunks of one message each go through a leg of a real link as the event loop would hand them over, into a spool in
memory's place, and on to a peer that throws them away. CPU time of the process, microseconds a message, by the fastest round;
the differences are what the plugins cost. Traffic as everywhere in this folder: Calls and their answers, half of each.
"""

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets import speedups

from ocpp_proxy.api import PASS, Answer, Call, Context, Decision, Plugin, Side
from ocpp_proxy.config import Config
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.core.session import text_frame
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.leg import Leg
from ocpp_proxy.relay.link import Link
from ocpp_proxy.relay.state_store import StateStore
from ocpp_proxy.relay.turn import Turn
from ocpp_proxy.relay.watchdog import Watchdog
from ocpp_proxy.relay.worker import fast_loop
from ocpp_proxy.wire.frames import use_xor

SAMPLES = b",".join(b'{"value":"%d.5","measurand":"Current.Import","phase":"L1","unit":"A"}' % number for number in range(8))
METER = (
    b'{"connectorId":1,"transactionId":12345,"meterValue":[{"timestamp":"2026-01-02T03:04:05Z","sampledValue":['
    + SAMPLES + b"]}]}"
)


class Idle(Plugin):
    """Sees every message and does nothing."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return PASS

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        return PASS


class Sink:
    """A transport, and a spool writer, that take everything."""

    seq = 0

    def append(self, turn: list[Any]) -> None:
        self.seq += len(turn)

    def append_one(self, *about: Any) -> bool:
        self.seq += 1
        return True

    def write(self, data: bytes) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def traffic(count: int) -> list[tuple[int, bytes]]:
    """Direction and bytes of so many messages."""
    out: list[tuple[int, bytes]] = []
    for number in range(count // 2):
        action, payload = ((b"MeterValues", METER), (b"Heartbeat", b"{}"))[number % 8 > 4]
        out.append((0, text_frame(b'[2,"%d","%s",%s]' % (number, action, payload), 1, number.to_bytes(4, "big"))))
        out.append((1, text_frame(b'[3,"%d",{"currentTime":"2026-01-02T03:04:05Z"}]' % number, 1, b"")))
    return out


def link_with(plugins: int, framing: bool, limit: Watchdog) -> tuple[Leg, Leg, Turn]:
    """A link in a tunnel."""
    sink: Any = Sink()
    turn = Turn(asyncio.get_running_loop(), sink)
    env = Environment(Config(upstream="ws://127.0.0.1:9/"), asyncio.get_running_loop(), turn, [])
    env.framing, env.limit = framing, limit
    env.states = StateStore(Path("never-opened.sqlite"), "bench", asyncio.get_running_loop())
    if plugins:
        chain = Chain(tuple(Installed(f"idle{number}", Idle) for number in range(plugins)), "1.6")
        env.chain = lambda identity, protocol: chain
    link = Link(env, 1, "127.0.0.1:1", "127.0.0.1:2")
    link.station.connection_made(sink)
    csms = link.new_csms()
    csms.connection_made(sink)
    link.tunnel("", "CP1", "ocpp1.6")
    return link.station, csms, turn


async def measure(messages: list[tuple[int, bytes]], make: Callable[[], tuple[Leg, Leg, Turn]]) -> float:
    """Microseconds a message."""
    station, csms, turn = make()
    receive = (station.data_received, csms.data_received)
    started = time.process_time_ns()
    for place, (direction, data) in enumerate(messages):
        receive[direction](data)
        if not place & 63:
            turn.flush()
    turn.flush()
    return (time.process_time_ns() - started) / 1000 / len(messages)


async def play(messages: int, rounds: int) -> dict[str, list[float]]:
    """All rows, interleaved."""
    use_xor(speedups.apply_mask)            # as the relay with plugins does
    gc.collect()
    gc.freeze()                             # this too
    gc.set_threshold(50_000, 20, 100)
    limit = Watchdog()
    rows: dict[str, Callable[[], tuple[Leg, Leg, Turn]]] = {
        "splice": lambda: link_with(0, False, limit),
        "one plugin that does nothing": lambda: link_with(1, False, limit),
        "five of them": lambda: link_with(5, False, limit),
    }
    found: dict[str, list[float]] = {name: [] for name in rows}
    data = traffic(messages)
    try:
        for _ in range(rounds):
            for name, make in rows.items():
                found[name].append(await measure(data, make))
    finally:
        limit.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        found = runner.run(play(given.messages, given.rounds))
    least = min(found["splice"])
    print("| | us a message | median | more than splice |\n|---|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} | {min(values) - least:+.2f} |")


if __name__ == "__main__":
    main()
