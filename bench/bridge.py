"""What a message costs that the version bridge translates: in the bridge alone, and on the whole way through the relay.

    python -m bench.bridge --times 2000 --rounds 5

Both without sockets, CPU time of the process. ``bridge``: the hook with its handler, tables, both gates (what it asks and what
it answers are validated against the official schemas) and the State as it is stored. ``relay``: frames of one leg of a real
link in, frames of the other out, with framing, spool records and the plugin chain; only disk and network are in memory.
A Call that is translated is two messages: the Call there, and its answer back. Microseconds a message, median of the rounds,
the rows taking turns within each round.
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from ocpp_proxy_plugins.bridge import Bridge
from websockets import speedups

from bench.plugins import Sink
from ocpp_proxy.api import Ask, Call, CallResult, Side
from ocpp_proxy.config import Config
from ocpp_proxy.core.keeping import Row
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.core.session import text_frame
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.link import Link
from ocpp_proxy.relay.plugged import Plugged
from ocpp_proxy.relay.state_store import Opened, StateStore
from ocpp_proxy.relay.turn import Turn
from ocpp_proxy.relay.watchdog import Watchdog
from ocpp_proxy.relay.worker import fast_loop
from ocpp_proxy.wire.frames import use_xor

GOAL = 60.0                                 # microseconds a translated message
UP, DOWN = "1.6:2.0.1", "2.0.1:1.6"
STATION, CSMS = Side.STATION, Side.CSMS
UID = "6b1f6c1e-3a52-4a39-8a7d-1d2f6f3f0001"
ACCEPTED = {"status": "Accepted"}
ANSWERS: dict[str, dict[str, Any]] = {      # of whoever is asked by the bridge; where the versions differ, by version
    "BootNotification": {"status": "Accepted", "currentTime": "2026-01-02T03:04:05.000Z", "interval": 300},
    "Heartbeat": {"currentTime": "2026-01-02T03:04:05.000Z"}, "StatusNotification": {}, "MeterValues": {},
    "TransactionEvent": {}, "StopTransaction": {}, "StartTransaction": {"transactionId": 4711, "idTagInfo": ACCEPTED},
    "GetConfiguration": {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]},
    "SetVariables": {"setVariableResult": []},
}
VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}


def answer_to(action: str, payload: bytes) -> bytes:
    """What the other side says to a Call of the bridge."""
    if action == "GetVariables":
        asked = msgspec.json.decode(payload)["getVariableData"]
        return msgspec.json.encode({"getVariableResult": [{**one, "attributeStatus": "UnknownVariable"} for one in asked]})
    if action == "SetVariables":
        asked = msgspec.json.decode(payload)["setVariableData"]
        results = [{"component": one["component"], "variable": one["variable"], "attributeStatus": "Rejected"} for one in asked]
        return msgspec.json.encode({"setVariableResult": results})
    return msgspec.json.encode(ANSWERS[action])


class Took(Struct):
    """Nanoseconds: until the Call had left, and of its answer until that had left; how many messages were translated."""

    call: int = 0
    answer: int = 0
    messages: int = 0


class Alone:
    """The bridge without anything around it: the ``api.Context`` it works with, and what it asks is answered."""

    identity = "CP1"

    def __init__(self, direction: str) -> None:
        station, _, csms = direction.partition(":")
        self.versions = {STATION: station, CSMS: csms}
        self.options = Bridge.Options(station=station, csms=csms)  # type: ignore[arg-type]  # from a text
        self.state: Any = Bridge.State()
        self.now_ns = time.time_ns()
        self.ledger: list[tuple[str, str, str]] = []
        self.findings: list[str] = []
        self.stored = b""
        self._background: deque[Any] = deque()
        self._bridge = Bridge()
        self._count = 0

    def keep(self, state: Any) -> None:
        self.stored = msgspec.msgpack.encode(state)     # as it is stored
        self.state = state

    def lost(self, path: str, reason: str, what: str = "dropped") -> None:
        self.ledger.append((path, reason, what))

    def find(self, code: str, message: str, **_: Any) -> None:
        self.findings.append(code)

    def begin(self, work: Any, reason: str = "") -> None:
        self._background.append(work)

    follow = begin

    def random(self, count: int) -> bytes:
        return os.urandom(count)

    def call(self, side: Side, action: str, payload: dict[str, Any]) -> Took:
        """A side's Call, and all that comes of it."""
        self._count += 1
        self.now_ns = time.time_ns()
        self.ledger.clear()
        took = Took()
        text = msgspec.json.encode(payload)
        started = time.process_time_ns()
        hook = self._bridge.on_call(self, side, Call(text, action, str(self._count)))  # type: ignore[arg-type]
        asked = self._step(hook, None)
        took.call += time.process_time_ns() - started
        took.messages += 1
        while asked is not None:
            answer = CallResult(answer_to(asked.call.action, asked.call.payload))
            started = time.process_time_ns()
            asked = self._step(hook, answer)
            took.answer += time.process_time_ns() - started
            took.messages += 1
        while self._background:
            work, answered = self._background.popleft(), None
            while (asked := self._step(work, answered)) is not None:
                answered = CallResult(answer_to(asked.call.action, asked.call.payload))
        assert not self.findings, self.findings
        return took

    def _step(self, work: Any, answer: Any) -> Ask | None:
        """What it asks next; None: it is through."""
        try:
            asked: Ask = work.send(answer)
        except StopIteration:
            return None
        return asked


class Wire(Sink):
    """A transport that remembers what was written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def texts(self) -> list[bytes]:
        """The messages written since the last time."""
        found, at, data = [], 0, bytes(self.written)
        self.written.clear()
        while at < len(data):
            size, masked, at = data[at + 1] & 127, data[at + 1] >> 7, at + 2
            if size > 125:
                size, at = int.from_bytes(data[at : at + (2, 8)[size - 126]], "big"), at + (2, 8)[size - 126]
            mask, at = (data[at : at + 4], at + 4) if masked else (b"\0\0\0\0", at)
            found.append(bytes(byte ^ mask[place & 3] for place, byte in enumerate(data[at : at + size])))
            at += size
        return found


class Memory(StateStore):
    """The States in memory: stored a moment later, as by the thread that writes the file."""

    def __init__(self) -> None:
        super().__init__(Path("never-opened.sqlite"), "bench", asyncio.get_running_loop())
        self.due: deque[Callable[[], object]] = deque()

    def open(self, identity: str, names: Sequence[str], done: Callable[[Opened], object], lease: bool = True) -> None:
        self.due.append(lambda: done(Opened(epoch=1)))

    def keep(self, identity: str, epoch: int, rows: Sequence[Row], done: Callable[[str], object]) -> None:
        self.due.append(lambda: done(""))


class Through:
    """A link of the relay with the bridge in its chain."""

    def __init__(self, direction: str, limit: Watchdog) -> None:
        station, _, csms = direction.partition(":")
        sink: Any = Sink()
        loop = asyncio.get_running_loop()
        self._turn = Turn(loop, sink)
        env = Environment(Config(upstream="ws://127.0.0.1:9/"), loop, self._turn, [])
        env.framing, env.limit = True, limit
        self._store = env.states = Memory()
        options = Bridge.Options(station=station, csms=csms)  # type: ignore[arg-type]  # from a text
        chain = Chain((Installed("bridge", Bridge, options, "close"),), station)
        env.chain = lambda identity, protocol: chain
        self.link = Link(env, 1, "127.0.0.1:1", "127.0.0.1:2")
        self._wires: dict[Side, Any] = {STATION: Wire(), CSMS: Wire()}
        self.link.station.connection_made(self._wires[STATION])
        leg = self.link.new_csms()
        leg.connection_made(self._wires[CSMS])
        self.link.plugged = Plugged(self.link, chain, "CP1", limit)
        self._legs = {STATION: self.link.station, CSMS: leg}
        self.link.tunnel("", "CP1", f"ocpp{station}", (station, csms))
        self._settle()
        self._count = 0

    def _settle(self) -> None:
        while self._store.due:
            self._store.due.popleft()()
        self._turn.flush()

    def _receive(self, side: Side, text: bytes) -> int:
        """A frame of a side, until all that comes of it is written; nanoseconds."""
        frame = text_frame(text, 1, b"\1\2\3\4" if side is STATION else b"")
        started = time.process_time_ns()
        self._legs[side].data_received(frame)
        self._settle()
        return time.process_time_ns() - started

    def call(self, side: Side, action: str, payload: dict[str, Any]) -> Took:
        """A side's Call, and all that comes of it."""
        self._count += 1
        own = str(self._count)
        took = Took(self._receive(side, json.dumps([2, own, action, payload], separators=(",", ":")).encode()), 0, 1)
        answered = False
        while texts := [(to, msgspec.json.decode(text)) for to, wire in self._wires.items() for text in wire.texts()]:
            for to, frame in texts:
                if frame[0] == 2:
                    text = b'[3,"%s",%s]' % (frame[1].encode(), answer_to(frame[2], msgspec.json.encode(frame[3])))
                    spent = self._receive(to, text)
                    took.answer += 0 if answered else spent
                    took.messages += not answered
                else:
                    assert frame[:2] == [3, own], frame
                    answered = True
        assert answered, f"{action} is not answered"
        return took


Ends = Alone | Through


def now() -> str:
    """The time as messages have it."""
    at = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at // 10**6 % 1000:03d}Z"


def boot(link: Ends, direction: str) -> None:
    """The station is there and accepted."""
    if direction == UP:
        link.call(STATION, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    else:
        link.call(STATION, "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}})


def start(link: Ends, number: int) -> tuple[Took, int]:
    """A transaction of a 1.6 station begins; what it took. Transaction ids count from the first one on."""
    took = link.call(STATION, "StartTransaction", {
        "connectorId": 1, "idTag": "04AABBCC", "meterStart": number, "timestamp": now()})
    state = link.state if isinstance(link, Alone) else link.link.plugged.onion.seats[0].context.state  # type: ignore[union-attr]
    return took, state.charging.transactions[-1].tid


def stop(link: Ends, tid: int, meter: int) -> None:
    """It ends."""
    link.call(STATION, "StopTransaction", {"transactionId": tid, "meterStop": meter, "timestamp": now(), "reason": "Local"})


def heartbeats(link: Ends, times: int) -> Iterator[Took]:
    for _ in range(times):
        yield link.call(STATION, "Heartbeat", {})


def statuses(link: Ends, times: int) -> Iterator[Took]:
    for number in range(times):
        status = ("Preparing", "Available")[number & 1]
        yield link.call(STATION, "StatusNotification", {
            "connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": now()})


def values16(link: Ends, times: int, samples: int) -> Iterator[Took]:
    _, tid = start(link, 0)
    more = [{"value": "7200.5", "measurand": "Power.Active.Import", "unit": "W", "context": "Sample.Periodic"},
            {"value": "31.5", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
            {"value": "55", "measurand": "SoC", "unit": "Percent", "location": "EV"}]
    for number in range(times):
        sampled = [{"value": str(number), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}, *more[: samples - 1]]
        yield link.call(STATION, "MeterValues", {
            "connectorId": 1, "transactionId": tid, "meterValue": [{"timestamp": now(), "sampledValue": sampled}]})
    stop(link, tid, times)


def starts(link: Ends, times: int) -> Iterator[Took]:
    for number in range(times):
        took, tid = start(link, number)
        yield took
        stop(link, tid, number)


def event(kind: str, seq: int, trigger: str, energy: int, **more: Any) -> dict[str, Any]:
    """A TransactionEvent of a 2.0.1 station."""
    at = now()
    sample = {"value": energy, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
    return {
        "eventType": kind, "seqNo": seq, "timestamp": at, "triggerReason": trigger,
        "transactionInfo": {"transactionId": UID, "chargingState": "Charging"},
        "meterValue": [{"timestamp": at, "sampledValue": [sample]}], **more,
    }


def updates(link: Ends, times: int) -> Iterator[Took]:
    more: dict[str, Any] = {"idToken": {"idToken": "04AABBCC", "type": "ISO14443"}, "evse": {"id": 1, "connectorId": 1}}
    link.call(STATION, "TransactionEvent", event("Started", 0, "Authorized", 0, **more))
    for number in range(1, times + 1):
        yield link.call(STATION, "TransactionEvent", event("Updated", number, "MeterValuePeriodic", number))


def variables(link: Ends, times: int) -> Iterator[Took]:
    for _ in range(times):
        yield link.call(CSMS, "GetVariables", {"getVariableData": [VARIABLE]})


ROWS: dict[str, tuple[str, Callable[[Ends, int], Iterator[Took]]]] = {
    "Heartbeat (1.6 station)": (UP, heartbeats), "StatusNotification, changed": (UP, statuses),
    "MeterValues of a transaction, 1 sample": (UP, lambda link, times: values16(link, times, 1)),
    "MeterValues of a transaction, 4 samples": (UP, lambda link, times: values16(link, times, 4)),
    "StartTransaction": (UP, starts), "GetVariables, 1 variable": (UP, variables),
    "TransactionEvent Updated (2.0.1 station)": (DOWN, updates),
}


def measure(name: str, make: Callable[[str], Ends], times: int) -> tuple[float, float]:
    """Microseconds of a Call and of an answer."""
    direction, play = ROWS[name]
    link = make(direction)
    boot(link, direction)
    call = answer = answers = 0
    for took in play(link, times):
        call, answer, answers = call + took.call, answer + took.answer, answers + took.messages - 1
    return call / 1000 / times, answer / 1000 / max(1, answers)


async def play(times: int, rounds: int) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """By way (``bridge``, ``relay``) and row: Call and answer of each round."""
    use_xor(speedups.apply_mask)            # as the relay with plugins does
    limit = Watchdog()
    ways: dict[str, Callable[[str], Ends]] = {"bridge": Alone, "relay": lambda direction: Through(direction, limit)}
    found: dict[str, dict[str, list[tuple[float, float]]]] = {way: {name: [] for name in ROWS} for way in ways}
    try:
        for name in ROWS:                   # everything is compiled and has run
            for make in ways.values():
                measure(name, make, 20)
        gc.collect()
        gc.freeze()                         # as the relay does
        gc.set_threshold(50_000, 20, 100)
        for _ in range(rounds):
            for way, make in ways.items():
                for name in ROWS:
                    found[way][name].append(measure(name, make, times))
    finally:
        limit.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=2000, help="exchanges of each row in a round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        found = runner.run(play(given.times, given.rounds))
    print(f"us a message (goal: {GOAL:.0f}) | bridge: Call, answer, a message | relay: Call, answer, a message (least - most)")
    for name in ROWS:
        line = f"{name:42}"
        for rows in found.values():
            calls, answers = [one for one, _ in rows[name]], [two for _, two in rows[name]]
            both = [(one + two) / 2 for one, two in rows[name]]
            line += f" | {statistics.median(calls):6.1f} {statistics.median(answers):6.1f} {statistics.median(both):6.1f}"
        print(f"{line} ({min(both):.1f} - {max(both):.1f})")


if __name__ == "__main__":
    main()
