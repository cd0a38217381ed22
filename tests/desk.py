"""A relay between raw peers, with a hub's control API before it and a person's client before that: all in one event loop."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import structs

from ocpp_proxy.cli.choosing import Choosing
from ocpp_proxy.config import Config
from ocpp_proxy.hub.acting import Acts as HubActs
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.commanding import Commanding
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.instance import control_address
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.relay.acts import Acts
from ocpp_proxy.relay.commands import Commands
from ocpp_proxy.wire.spool import AuditBody, Kind, decode_as
from tests.relay.stage import Peer, Stage, stage, until


class Desk:
    """``person``: the client; ``theatre``: relay and peers. ``config``: as the relay was started with."""

    def __init__(self, theatre: Stage, config: Config, folder: Path) -> None:
        self.theatre, self.config, self.folder = theatre, config, folder
        self.choosing = Choosing(theatre.relay.config)
        self.acts = Acts(theatre.relay.env, self.choosing, folder)
        self.commands = Commands(folder, self.acts, 0, theatre.relay.writer.incarnation)
        self.commanding = Commanding(folder)
        self.hub = HubActs(folder, self.commanding, dict)
        self.control = Control(
            Live(), Metrics(folder, dict), None, lambda: (True, {"status": "ok"}), acts=self.hub,
            allow_inject=config.allow_inject)
        self.person: LiveSource

    async def open(self) -> None:
        """Begin: the relay has found the hub."""
        (self.folder / "config.json").write_bytes(msgspec.json.encode(self.config))
        self.acts._read_at = self.acts._stamp()
        await self.commanding.start()
        self.commands.start()
        await until(lambda: bool(self.commanding.workers), "the relay has come")
        self.person = LiveSource(await self.control.start(control_address(self.folder, ""), "token"), "token")

    async def close(self) -> None:
        """End it."""
        await self.person.close()
        await self.control.stop()
        await self.commands.stop()
        await self.commanding.stop()

    def audits(self) -> list[tuple[str, str, str]]:
        """Action, detail and outcome of all that was done."""
        bodies = [decode_as(record.data, AuditBody) for record in self.theatre.records() if record.kind == Kind.AUDIT]
        return [(body.action, body.detail, body.outcome) for body in bodies]

    def write_config(self, **changes: object) -> None:
        """What the supervisor does at a SIGHUP."""
        self.config = structs.replace(self.config, **changes)
        (self.folder / "config.json").write_bytes(msgspec.json.encode(self.config))


@asynccontextmanager
async def desk(config: Config | None = None, folder: str = "") -> AsyncIterator[Desk]:
    """A desk in a folder (or one in it) whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ocpp-") as place:
        wanted = config or Config(host="preserve", allow_inject=True)
        async with stage(Path(place, folder), wanted) as theatre:
            made = Desk(theatre, wanted, Path(place, folder))
            await made.open()
            try:
                yield made
            finally:
                await made.close()


async def reads(peer: Peer, count: int, decode: Callable[[bytes], list[bytes]]) -> list[bytes]:
    """The messages a peer got, once it has so many."""
    while len(decode(peer.got)) < count and await peer.more():
        pass
    return decode(peer.got)
