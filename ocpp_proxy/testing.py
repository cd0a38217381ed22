"""The test kit of plugins: ``play`` a conversation through one or more plugins, without a socket and without waiting.

A conversation is text, one event or expectation a line (empty lines and ``#`` lines mean nothing)::

    > [2,"1","Heartbeat",{}]        the station sends this
    => [2,"1","Heartbeat",{}]       and this reaches the CSMS
    < [3,"1",{"currentTime":"x"}]   the CSMS sends this
    <= [3,"1",{"currentTime":"x"}]  and this reaches the station
    +10s                            so much time goes by
    ! throttle-withheld             this finding is raised
    ~ dropped $.a.b                 this loss is told (its reason stands in ``Played.losses``)
    open ocpp1.6 ocpp2.0.1          the station dials and offers these subprotocols
    => open ocpp2.0.1               and the CSMS is offered these
    refuse 403 not known            the plugin refuses it
    redirect wss://other/ocpp       the plugin leads it elsewhere
    agree ocpp2.0.1                 the CSMS chooses this one
    <= agree ocpp1.6                and the station is told this one
    > *ping hello                   a control frame: *ping, *pong or *close, and its text
    => *ping hello                  and it reaches the CSMS
    gone csms                       that side's connection is over, without a Close
    x                               the plugin ends the link
    end                             the station ends the link

Messages are compared as JSON. ``$1``, ``$2`` ... stand for the ids of the plugins' own Calls, in the order they leave.
"""

import json
import re
from collections.abc import Callable, Sequence
from hashlib import shake_128
from typing import Any

import msgspec
from msgspec import Struct, field

from ocpp_proxy.api import Closing, Opening, Plugin, Side
from ocpp_proxy.checks import Settings
from ocpp_proxy.core import matching, session
from ocpp_proxy.core.acts import End, Leave
from ocpp_proxy.core.concealing import conceal
from ocpp_proxy.core.entering import Entered
from ocpp_proxy.core.keeping import Stored
from ocpp_proxy.core.onion import Onion
from ocpp_proxy.core.seats import Installed, OnError, Told
from ocpp_proxy.core.services import Lost
from ocpp_proxy.core.single import Single
from ocpp_proxy.core.ways import CLOSE
from ocpp_proxy.spec.versions import version_of

START_NS = 1_800_000_000_000_000_000
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NAME = re.compile(r'"(\$\d+)"')
_ARROWS = {Side.STATION: "=>", Side.CSMS: "<="}
_OPCODES = {"ping": 9, "pong": 10, "close": 8}
_NAMES = {opcode: name for name, opcode in _OPCODES.items()}
_CONTROL = re.compile(r"\*(ping|pong|close)(?: (.*))?")
_JUDGE = Single(Settings())


class Played(Struct):
    """What came of it. ``sent``: who it seems to come from, and the text; ``findings``: code and message.

    ``causes``: of each that was sent the number of the message it was made from (1: the first that a side sent); 0: of none.
    ``state``: the last State each plugin kept, by its name (that of its class in lower case).
    """

    sent: list[tuple[Side, str]] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)
    losses: list[Lost] = field(default_factory=list)
    disconnected: bool = False
    entered: Entered = Entered()
    state: dict[str, Any] = field(default_factory=dict)


class Stage:
    """One link with plugins, driven by hand. ``said``: what came out since it was last emptied, as conversation lines."""

    def __init__(
        self, plugins: Sequence[Plugin | type[Plugin]], *, options: Any = None, identity: str = "CP1", version: str = "1.6",
        on_error: OnError | None = None, state: Any = None, now_ns: int = START_NS,
    ) -> None:
        self.played = Played()
        self._identity = identity
        self.said: list[str] = []
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._parting: tuple[Side, int] | None = None       # who is gone, and when the other side has to go
        self._at = 0
        self._came: dict[int, int] = {}     # where a message ends -> its number
        self._now_ns = now_ns
        self.onion = Onion(
            [_installed(plugin, options, on_error) for plugin in plugins], identity, version, _entropy(), now_ns=now_ns,
        )
        names = [seat.name for seat in self.onion.seats]
        states = state if isinstance(state, dict) else {names[0]: state} if state is not None else {}
        self.onion.states.restore({
            seat.name: _stored(states[seat.name], seat.kind) for seat in self.onion.seats if seat.name in states
        })
        self._collect()

    @property
    def now_ns(self) -> int:
        """The time it is in this conversation."""
        return self._now_ns

    @property
    def received(self) -> int:
        """How many messages the two sides have sent: the number of the newest in ``Played.causes``."""
        return len(self._came)

    def send(self, sender: Side, text: str) -> None:
        """One side sends a message."""
        text = _NAME.sub(lambda found: f'"{self._names.get(found[1], found[1])}"', text)
        data = text.encode()
        self._at += len(data)
        self._came[self._at] = len(self._came) + 1
        if found := _CONTROL.fullmatch(text):
            self._control(sender, _OPCODES[found[1]], (found[2] or "").encode(), data)
            return
        passed = self.onion.passes(sender, data)
        verdict = session.QUIET if passed else self.onion.receive(sender, data, self._at, self._now_ns)
        self._store()
        if verdict is session.WAIT:
            verdict = self.onion.states.verdict
        self._ledger()
        if isinstance(verdict, session.Pass):
            self._left(sender, data, self._at)
        elif isinstance(verdict, session.Replace):
            self._left(sender, verdict.text, self._at)
        self._collect()

    def open(self, offered: Sequence[str]) -> None:
        """The station dials."""
        opening = Opening(
            self._identity, "path", f"/{self._identity}", tuple(offered), {"host": "proxy"}, "127.0.0.1:1", "ws://csms/",
        )
        entered = self.played.entered = self.onion.enter(opening, lambda url: "" if "://" in url else "no URL", self._now_ns)
        self._store()
        self._collect()
        if entered.status:
            self.said.append(f"refuse {entered.status} {entered.reason}".rstrip())
            return
        if entered.upstream:
            self.said.append(f"redirect {entered.upstream}")
        if not entered.upstream or entered.offer is not None:
            self.said.append(f"=> open {' '.join(offered if entered.offer is None else entered.offer)}".rstrip())

    def agree(self, chosen: str) -> None:
        """The CSMS chooses a subprotocol."""
        told = self.played.entered.protocol(chosen)
        self.onion.agree(version_of(told), version_of(chosen))
        self.said.append(f"<= agree {told}".rstrip())

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        end = self._now_ns + int(seconds * 1e9)
        while 0 < (due := self.onion.due_ns()) <= end:
            self._now_ns = max(due, self._now_ns)
            self.onion.tick(self._now_ns)
            self._collect()
        self._now_ns = end
        self._part()

    def gone(self, side: Side) -> None:
        """The connection of a side is over; the other gets its Close at once, or when plugins let it go."""
        self.onion.ended(side, self._now_ns)
        self._collect()
        self._parting = side, self._now_ns + int(self.onion.gone(side, "rst", self._now_ns) * 1e9)
        self._part()
        self._collect()

    def _part(self) -> None:
        if self._parting is not None and self._parting[1] <= self._now_ns:
            self.said.append(f"{_ARROWS[self._parting[0]]} *close")
            self._parting = None

    def end(self) -> None:
        """The station ends the link."""
        self.onion.ended(Side.STATION, self._now_ns)
        self.onion.close(Closing(Side.STATION, "fin"), self._now_ns)
        self._collect()

    def _control(self, sender: Side, opcode: int, payload: bytes, data: bytes) -> None:
        dropped = self.onion.control(sender, opcode, payload, self._now_ns) if self.onion.controls else None
        if dropped is None and opcode == CLOSE:
            self.onion.ended(sender, self._now_ns)      # what is kept of it goes on before
            self._collect()
        self._ledger()
        if dropped is None:
            self._left(sender, data, self._at)
        self._collect()

    def _ledger(self) -> None:
        """Losses are told before anything leaves."""
        lost = [action for action in self.onion.actions if isinstance(action, Lost)]
        self.onion.actions[:] = [action for action in self.onion.actions if not isinstance(action, Lost)]
        self.played.losses += lost
        self.said += [f"~ {one.what} {one.path}" for one in lost]

    def _store(self) -> None:
        """What plugins keep is stored at once here."""
        states = self.onion.states
        while states.waiting:
            kept = {row.plugin for row in states.rows()}
            self.played.state.update({seat.name: seat.context.state for seat in self.onion.seats if seat.name in kept})
            self.onion.stored("", self._now_ns)

    def _collect(self) -> None:
        self._ledger()
        self._store()
        actions, self.onion.actions[:] = list(self.onion.actions), []
        for action in actions:
            match action:
                case Leave():
                    mark = f"*{_NAMES[action.opcode]} ".encode() if action.opcode in _NAMES else b""
                    self._left(action.sender, (mark + action.text).strip(), action.at)
                case Told():
                    self.played.findings.append((action.code, action.message))
                    self.said.append(f"! {action.code}")
                case End():
                    self.played.disconnected = True
                    self.said.append("x")

    def _left(self, sender: Side, data: bytes, at: int) -> None:
        text = data.decode("utf-8", "replace")
        for own in _ID.findall(text):
            if own not in self._ids and self.onion.is_own(own):
                name = self._ids[own] = f"${len(self._ids) + 1}"
                self._names[name] = own
            if own in self._ids:
                text = text.replace(own, self._ids[own])
        self.played.sent.append((sender, text))
        self.played.causes.append(self._came.get(at, 0))
        self.said.append(f"{_ARROWS[sender]} {text}")


def play(
    plugin: Plugin | type[Plugin] | Sequence[Plugin | type[Plugin]], conversation: str, *, options: Any = None,
    identity: str = "CP1", version: str = "1.6", on_error: OnError | None = None, state: Any = None,
) -> Played:
    """Play a conversation; raises ``AssertionError`` at the first line that comes out otherwise than it says.

    ``options``: an ``Options`` of the plugin, or a dict of its values. ``state``: the ``State`` it finds, or
    ``(version, values)`` as another version stored it; of several plugins a dict of them, by the names of their classes in
    lower case. Raises ``ValueError`` for a line nobody can read.
    """
    plugins = [plugin] if isinstance(plugin, Plugin | type) else list(plugin)
    stage = Stage(plugins, options=options, identity=identity, version=version, on_error=on_error, state=state)
    expected: list[str] = []
    event = "the start"
    for line in filter(None, map(str.strip, conversation.splitlines())):
        if line.startswith(("=>", "<=", "!", "~", "refuse ", "redirect ")) or line == "x":
            expected.append(line)
        elif not line.startswith("#"):
            _compare(event, stage.said, expected)
            expected, stage.said[:] = [], []
            event = line
            _do(stage, line)
    _compare(event, stage.said, expected)
    return stage.played


def _do(stage: Stage, line: str) -> None:
    if line.startswith(("> ", "< ")):
        stage.send(Side.STATION if line[0] == ">" else Side.CSMS, line[2:].strip())
    elif found := re.fullmatch(r"\+([\d.]+)s", line):
        stage.wait(float(found[1]))
    elif line == "end":
        stage.end()
    elif line in ("gone station", "gone csms"):
        stage.gone(Side(line[5:]))
    elif line.partition(" ")[0] == "open":
        stage.open(line.split()[1:])
    elif line.partition(" ")[0] == "agree":
        stage.agree(line[5:].strip())
    else:
        raise ValueError(f"no line of a conversation: {line}")


def _compare(event: str, said: list[str], expected: list[str]) -> None:
    if [_value(line) for line in said] != [_value(line) for line in expected]:
        shown = ["  " + line for line in expected] or ["  nothing"]
        raise AssertionError("\n".join([f"after {event}", "expected:", *shown, "came:", *("  " + line for line in said)]))


def _value(line: str) -> tuple[str, Any]:
    mark, _, rest = line.partition(" ")
    try:
        return mark, json.loads(rest)
    except ValueError:
        return mark, rest.strip()


def _installed(plugin: Plugin | type[Plugin], options: Any, on_error: OnError | None) -> Installed:
    kind = plugin if isinstance(plugin, type) else type(plugin)
    if options is None or isinstance(options, dict):
        options = msgspec.convert(options or {}, kind.Options)
    matching.check(options, kind.__name__)
    make: Callable[[], Plugin] = plugin if isinstance(plugin, type) else lambda: plugin
    return Installed(kind.__name__.lower(), make, options, on_error or kind.fails, matching.matches, _JUDGE, conceal)


def _stored(state: Any, kind: type[Plugin]) -> Stored:
    version, values = state if isinstance(state, tuple) else (kind.state_version, state)
    return Stored(version, msgspec.msgpack.encode(values))


def _entropy() -> Callable[[int], bytes]:
    """The same bytes in every play."""
    drawn = 0

    def draw(count: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return shake_128(str(drawn).encode()).digest(count)

    return draw
