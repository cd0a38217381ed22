"""Both roles of PyPI ``ocpp``, 1.6 and 2.0.1, to be put on the two sides of a bridge: what each said and was told.

The package checks every payload against the schemas of its version, what it gets as what it sends: what is not valid is
answered by a CALLERROR, or raised.
"""

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from ocpp import v16, v21, v201
from ocpp.charge_point import camel_to_snake_case
from ocpp.routing import on
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ocpp_proxy.cli.app import run_app
from tests.peers import targets
from tests.peers.doubles import LOOPBACK
from tests.peers.raw_peers import free_port
from tests.peers.taps import DEADLINE

Payload = dict[str, Any]
Given = Payload | Callable[[Payload], Payload | Awaitable[Payload]]
MODULES: dict[str, Any] = {"1.6": v16, "2.0.1": v201, "2.1": v21}
NOW = "2026-11-22T16:00:00.000Z"
SESSION = 150.0                                         # seconds for all of a session, restarts of the relay with it
NUMBERS = count(1)                                      # of the Calls of all peers


class Wire:
    """A connection as the package takes it; the frames that came are noted."""

    def __init__(self, link: Any) -> None:
        self.link = link
        self.got: list[list[Any]] = []
        self.answered = 0

    async def recv(self) -> str:
        text: str = await self.link.recv()
        self.got.append(json.loads(text))
        return text

    async def send(self, text: str) -> None:
        self.answered += json.loads(text)[0] != 2
        await self.link.send(text)


class Peer:
    """One end of a connection. ``answers``: what it answers, by action: a payload, or what makes one of the Call's."""

    def __init__(self, version: str, link: Any, answers: dict[str, Given], identity: str = "CP1") -> None:
        self.version, self.answers = version, answers
        self.wire = Wire(link)
        self.beyond: Peer | None = None                 # the CSMS of a station
        self._end = _kind(version)(identity, self.wire, response_timeout=DEADLINE)
        self._end.peer = self
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._end.start()

    async def call(self, action: str, payload: Payload | None = None) -> Payload:
        """The answer to a Call, as it stood on the wire. A CALLERROR is raised."""
        message_id = f"{self.version}-{next(NUMBERS)}"
        made = getattr(MODULES[self.version].call, action)(**camel_to_snake_case(payload or {}))
        asking = asyncio.ensure_future(self._end.call(made, suppress=False, unique_id=message_id))
        await asyncio.wait({asking, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
            raise AssertionError(f"the link ended while {action} was not answered")
        await asking
        return next(frame[2] for frame in self.wire.got if frame[0] == 3 and frame[1] == message_id)

    def calls(self, *actions: str) -> list[tuple[str, Payload]]:
        """The Calls it was told, of these actions or of all."""
        return [(frame[2], frame[3]) for frame in self.wire.got if frame[0] == 2 and (not actions or frame[2] in actions)]

    def told(self, action: str) -> list[Payload]:
        """The payloads of the Calls of an action."""
        return [payload for _, payload in self.calls(action)]

    async def until(self, action: str, times: int = 1) -> list[Payload]:
        """Those payloads, once there are so many."""
        await until(lambda: len(self.told(action)) >= times, f"{times} {action}: {self.calls()}")
        return self.told(action)

    async def close(self) -> None:
        """Close it in order, once every Call is answered, those that the bridge makes by itself with them."""
        if self.beyond is not None:
            await self._settle(self.beyond)
        await self._answered()
        await self.wire.link.close(1000, "done")
        await self._reader

    async def _answered(self) -> None:
        await until(lambda: self.wire.answered >= len(self.calls()), "the answers")

    async def _settle(self, csms: "Peer") -> None:
        """Until nothing came but a Heartbeat, whose answer is behind all that the CSMS had to answer."""
        before = -1
        while before != (before := sum(action != "Heartbeat" for action, _ in self.calls() + csms.calls())):
            assert await self.call("Heartbeat")
            await self._answered()
            await csms._answered()

    async def over(self) -> None:
        """Until the other side has closed it."""
        await asyncio.wait_for(self._reader, DEADLINE)


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Until something holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"it did not come: {what}"
        await asyncio.sleep(0.005)


def _kind(version: str) -> Any:
    """The package's class with a handler for each action: it takes what its peer has for an answer."""
    module = MODULES[version]
    names: dict[str, Any] = {}
    for action in [name for name in vars(module.call) if name[:1].isupper() and hasattr(module.call_result, name)]:
        names[f"on_{action}"] = on(action)(_handler(action, getattr(module.call_result, action)))
    return type(f"End{version}", (module.ChargePoint,), names)


def _handler(action: str, result: Any) -> Any:
    async def handle(self: Any, **_: Any) -> Any:
        given = self.peer.answers[action]
        made = given(self.peer.wire.got[-1][3]) if callable(given) else given
        return result(**camel_to_snake_case(await made if isinstance(made, Awaitable) else made))

    handle.__name__ = f"on_{action}"
    return handle


class Theatre:
    """A CSMS that waits, the running proxy with its bridge, and stations that dial it. ``systems``: the CSMS, per link."""

    def __init__(self, folder: Path, direction: str, csms: dict[str, Given]) -> None:
        self.folder, self.direction = folder, direction
        self.versions = direction.split(":")
        self.answers = csms
        self.csms_port = free_port()
        self.systems: list[Peer] = []
        self.target: targets.Target

    async def _link(self, link: ServerConnection) -> None:
        assert link.request is not None and link.subprotocol == f"ocpp{self.versions[1]}"
        system = Peer(self.versions[1], link, self.answers, link.request.path.rsplit("/", 1)[-1])
        self.systems.append(system)
        await system.over()

    @contextlib.asynccontextmanager
    async def csms(self) -> AsyncIterator[None]:
        """The CSMS, listening."""
        protocol = Subprotocol(f"ocpp{self.versions[1]}")
        async with asyncio.timeout(SESSION), serve(self._link, LOOPBACK, self.csms_port, subprotocols=[protocol]):
            yield

    async def dial(self, answers: dict[str, Given], identity: str = "CP1") -> tuple[Peer, Peer]:
        """A station on a new link, and its CSMS."""
        before = len(self.systems)
        station = await self.dial_alone(answers, identity)
        await until(lambda: len(self.systems) > before, "the link to the CSMS")
        station.beyond = self.systems[-1]
        return station, station.beyond

    async def dial_alone(self, answers: dict[str, Given], identity: str = "CP1") -> Peer:
        """A station on a new link; the CSMS is another program."""
        protocol = Subprotocol(f"ocpp{self.versions[0]}")
        link = await connect(f"ws://{LOOPBACK}:{self.target.port}/ocpp/{identity}", subprotocols=[protocol],
                             open_timeout=DEADLINE)         # its relay may be on the way
        assert link.subprotocol == protocol
        return Peer(self.versions[0], link, answers, identity)

    def rows(self, text: str) -> list[dict[str, Any]]:
        """A query on the capture, once the proxy has ended."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert run_app(["query", str(self.folder / "c.duckdb"), text, "--json"]) == 0
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def assert_well(self) -> None:
        """Nobody found a fault with a frame of the bridge, every Call was answered well, what was made names its original."""
        found = self.rows("SELECT rule, blame, message FROM findings")
        faults = [row for row in found if row["rule"][0] in "VRE" or row["rule"].startswith("plugin")]
        assert not faults, faults
        outcomes = self.rows("SELECT outcome, action, side, count(*) AS n FROM exchanges GROUP BY ALL")
        assert {row["outcome"] for row in outcomes} == {"ok"}, [row for row in outcomes if row["outcome"] != "ok"]
        calls = self.rows("SELECT count(*) AS n FROM wire WHERE verdict = 'translated' AND mtype = 2")[0]["n"]
        pairs = self.rows("translations")
        assert len(pairs) == calls and {row["outcome"] for row in pairs} == {row["made_outcome"] for row in pairs} == {"ok"}
        assert all(row["frame"] and row["made_frame"] and row["answer_frame"] and row["made_answer_frame"] for row in pairs)

    def pairs(self) -> list[tuple[str, str]]:
        """What became what, in the order it was made (``query translations``)."""
        return [(row["action"], row["made_action"]) for row in self.rows("translations")]

    def losses(self) -> set[tuple[str, str, str]]:
        """Action, what and path of each entry of the loss ledger (``query losses``)."""
        return {(row["action"], row["what"], row["path"]) for row in self.rows("losses")}


@contextlib.contextmanager
def theatre(folder: Path, direction: str, csms: dict[str, Given], *options: str) -> Iterator[Theatre]:
    """The proxy bridges in that direction while the block runs."""
    made = Theatre(folder, direction, csms)
    with targets.under_test(made.csms_port, folder, "--bridge", direction, *options) as made.target:
        yield made
