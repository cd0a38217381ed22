"""A source in memory that can be acted on: it writes down what it was told, and answers as it was told to."""

from typing import Any, Literal

from ocpp_proxy.model import ConfigError, Link, Side
from ocpp_proxy.source import Acting, Held, Injected, Intercept, PluginState
from tests.tui.panes_case import START, Counting, S

LINKS = (
    Link(1, START, "192.0.2.1:9", identity="CP1", protocol="ocpp1.6", status=101),
    Link(2, START, "192.0.2.2:9", identity="CS2", protocol="ocpp2.0.1", status=101),
)


def held(held_id: str, text: str, link_id: int = 1, **more: Any) -> Held:
    """A held message; a Call of CP1, to go on in 30 s, if not told otherwise."""
    given: dict[str, Any] = {
        "identity": LINKS[link_id - 1].identity, "side": Side.STATION, "mtype": 2, "action": "", "message_id": "m" + held_id,
        "since_ns": START, "until_ns": START + 30 * S, "by": "intercept", **more}
    return Held(held_id, link_id, text=text, **given)


BOOT = held("h1", '[2,"mh1","BootNotification",{"chargePointVendor":"Acme","chargePointModel":"X\u202e"}]',
            action="BootNotification")
RESET = held("h2", '[2,"mh2","Reset",{"type":"Hard"}]', action="Reset", side=Side.CSMS, until_ns=START + 60 * S, by="mine",
             reason="night")
ANSWER = held("h3", '[3,"mh3",{"status":"Accepted"}]', 2, mtype=3, action="Reset", until_ns=START + 90 * S)


class ActingSource(Counting):
    """``told``: the acts in their order. ``refusing``: acts raise ``ConfigError`` with it."""

    may_act = True
    missing = ""

    def __init__(self, *args: Any, **more: Any) -> None:
        more.setdefault("live", True)
        more.setdefault("links", LINKS)
        super().__init__(*args, **more)
        self.told: list[tuple[Any, ...]] = []
        self.kept: list[Held] = []
        self.points: list[Intercept] = []
        self.answer = Injected("result", "p1", {"status": "Accepted"}, ms=12.5)
        self.states: list[PluginState] = []
        self.refusing = ""
        self.opened_as: list[str | None] = []       # by commands

    def _tell(self, *what: Any) -> None:
        if self.refusing:
            raise ConfigError(self.refusing)
        self.told.append(what)

    async def held(self) -> list[Held]:
        self._ask("held")
        return list(self.kept)

    async def settle(self, held_id: str, do: Literal["release", "drop", "edit", "reply"], payload: Any = None, *,
                     code: str = "", description: str = "", force: bool = False) -> None:
        self._tell("settle", held_id, do, payload, code, description, force)
        if held_id not in {one.held_id for one in self.kept}:
            raise ConfigError(f"{held_id} is not held")
        self.kept = [one for one in self.kept if one.held_id != held_id]

    async def intercepts(self) -> list[Intercept]:
        return list(self.points)

    async def intercept(self, filter: str, identity: str = "*") -> Intercept:
        self._tell("intercept", filter, identity)
        self.points.append(Intercept(len(self.points) + 1, filter, identity, "me"))
        return self.points[-1]

    async def unintercept(self, intercept_id: int) -> None:
        self._tell("unintercept", intercept_id)
        self.points = [one for one in self.points if one.intercept_id != intercept_id]

    async def inject(self, identity: str, to: Side, action: str, payload: Any, *, force: bool = False,
                     seconds: float = 30.0) -> Injected:
        self._tell("inject", identity, to, action, payload, force, seconds)
        return self.answer

    async def disconnect(self, identity: str, code: int = 0, reset: bool = False) -> None:
        self._tell("disconnect", identity, code, reset)

    async def plugins(self) -> list[PluginState]:
        return list(self.states)

    async def switch(self, plugin: str, on: bool, identity: str = "*", options: Any = None) -> None:
        self._tell("switch", plugin, on, identity, options)

    async def reload(self) -> str:
        self._tell("reload")
        return "call_seconds: 30 -> 20\nlisten: needs a restart"


def check_that_it_is_one(source: ActingSource) -> None:
    """For the type checker: it is what it stands for."""
    _: Acting = source
