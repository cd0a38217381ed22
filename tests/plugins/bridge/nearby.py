"""A link between near versions driven by hand, without a socket: each frame that leaves is valid for the side it goes to.

A Call goes over under its own id, or is answered here; its answer goes back under the same id.
"""

import json
from typing import Any

from msgspec import Struct
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.api import Side
from ocpp_proxy.spec.errors import CODES
from ocpp_proxy.spec.schemas import check
from ocpp_proxy.testing import Stage

STATION, CSMS = Side.STATION, Side.CSMS
NEW, OLD = "2.1:2.0.1", "2.0.1:2.1"         # a 2.1 station on a 2.0.1 CSMS, and the reverse


class Came(Struct):
    """What came of a message: whom it, or the answer to it, went to; 2, 3 or 4 and what stands in it. 0: nothing left."""

    to: Side | None = None
    kind: int = 0
    action: str = ""
    payload: Any = None
    code: str = ""
    text: str = ""

    @property
    def went(self) -> bool:
        """Whether it went over."""
        return self.kind == 2


class Near:
    """See the module. ``state``: what it finds stored."""

    def __init__(self, direction: str, options: dict[str, Any] | None = None, state: Any = None) -> None:
        station, _, csms = direction.partition(":")
        self.versions = {STATION: station, CSMS: csms}
        spoken = {"station": station, "csms": csms}
        self.stage = Stage([Bridge], options={**spoken, **(options or {})}, version=station, state=state)
        self.stage.open([f"ocpp{station}"])
        assert self.stage.said[-1] == f"=> open ocpp{csms}"
        self.stage.agree(f"ocpp{csms}")
        assert self.stage.said[-1] == f"<= agree ocpp{station}"
        self._actions: dict[str, str] = {}
        self._count = 0

    def side(self, version: str) -> Side:
        """The side that speaks that version."""
        return next(side for side, spoken in self.versions.items() if spoken == version)

    def call(self, side: Side, action: str, payload: Any = None) -> Came:
        """A side sends a Call."""
        self._count += 1
        message_id = f"m{self._count}"
        self._actions[message_id] = action
        return self.say(side, [2, message_id, action, {} if payload is None else payload])

    def answer(self, side: Side, payload: Any) -> Came:
        """A side answers the last Call."""
        return self.say(side, [3, f"m{self._count}", payload])

    def say(self, side: Side, frame: list[Any]) -> Came:
        """A side sends a message."""
        sent = self.stage.played.sent
        before = len(sent)
        self.stage.send(side, json.dumps(frame))
        assert not self.stage.played.disconnected, self.stage.played.findings
        assert len(sent) - before in (0, 1), f"several messages for one: {sent[before:]}"
        return self._came(sent[-1], frame[1]) if len(sent) > before else Came()

    def _came(self, sent: tuple[Side, str], message_id: str) -> Came:
        sender, text = sent
        frame = json.loads(text)
        assert frame[1] == message_id, "the id is another one"
        action, to = self._actions[message_id], sender.other
        if frame[0] == 4:
            assert frame[2] in CODES[self.versions[to]] and len(frame[3]) <= 255
            return Came(to, 4, action, frame[4], frame[2], frame[3])
        payload = frame[-1]
        faults = check(self.versions[to], action, frame[0] == 3, payload)
        assert not [fault for fault in faults if fault.grade != "official"], f"invalid for {self.versions[to]}: {text} {faults}"
        return Came(to, frame[0], action, payload, "", text)

    @property
    def findings(self) -> list[str]:
        """Codes of what was found."""
        return [code for code, _ in self.stage.played.findings]

    def losses(self) -> list[tuple[str, str]]:
        """What and path of the entries of the loss ledger."""
        return [(one.what, one.path) for one in self.stage.played.losses]

    @property
    def state(self) -> Any:
        """The State kept last."""
        return self.stage.played.state.get("bridge")
