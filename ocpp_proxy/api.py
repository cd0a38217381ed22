"""What plugins may import, with ``model`` and ``spec``. Signatures here never grow; new data comes by ``Context``.

A plugin is a class; one instance lives as long as one link. It overrides the hooks it needs and *returns* what shall happen.
Hooks are plain functions, do no I/O and have 50 ms. What one raises is a finding, and the message goes on as ``on_error`` says.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
from msgspec import Struct

from ocpp_proxy.model import Blame, Finding, IdentitySource, Opcode, Side
from ocpp_proxy.records import Handshake, LinkClosed, LinkOpened, MessageSeen, Record

__all__ = [
    "PASS", "Admit", "Answer", "Ask", "Call", "CallError", "CallResult", "Closing", "Context", "Control", "Decision", "Dialled",
    "Drop", "Entrance", "Handshake", "Hold", "LinkClosed", "LinkOpened", "Loss", "Malformed", "Message", "MessageSeen",
    "NotJson", "Observer", "ObserverContext", "Opening", "Pass", "Plugin", "Record", "Redirect", "Refuse", "Replace", "Reply",
    "Send", "Side", "Verdict", "Where",
]
Loss = Literal["dropped", "shortened", "invented"]
Where = Annotated[str, msgspec.Meta(description="a filter, as docs/reference/fields.md has it")]
"""An option of this type is checked when the plugin is loaded; ``Context.matches`` asks it."""


DEEPEST = 200                               # levels of a payload: a plugin may walk it with a few calls each


class NotJson(ValueError):
    """The payload of a message is no JSON. Not the plugin's fault: left alone, it lets the message go on as it came."""


def _is_deep(value: Any) -> bool:
    """Whether values are nested deeper than ``DEEPEST``. How deep a decoder or a plugin could go differs between Pythons."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level = [inner for held in inside for inner in held]
        if not level:
            return False
    return any(isinstance(one, (dict, list)) for one in level)


class _Payload(Struct, frozen=True, gc=False):
    payload: bytes = b"{}"

    def json(self) -> Any:
        """The payload as Python values, decoded anew at every call; nested at most ``DEEPEST``. Raises ``NotJson``."""
        payload = self.payload
        try:
            value = msgspec.json.decode(payload)
        except (ValueError, RecursionError) as error:
            raise NotJson(str(error)) from None
        if payload.count(b"[") + payload.count(b"{") > DEEPEST and _is_deep(value):
            raise NotJson(f"nested deeper than {DEEPEST}")
        return value


class Call(_Payload, frozen=True, gc=False, tag="call"):
    """A CALL (OCPP-J 4.2.1). ``payload``: its raw JSON text. ``message_id`` is the engine's business: a plugin leaves it."""

    action: str = ""
    message_id: str = ""

    @classmethod
    def of(cls, action: str, payload: Any) -> "Call":
        """A Call of our own; the engine gives it its id."""
        return cls(msgspec.json.encode(payload), action)

    def carrying(self, payload: Any) -> "Call":
        """The same Call with another payload."""
        return Call(msgspec.json.encode(payload), self.action, self.message_id)


class CallResult(_Payload, frozen=True, gc=False, tag="result"):
    """A CALLRESULT (OCPP-J 4.2.2)."""

    message_id: str = ""

    @classmethod
    def of(cls, payload: Any) -> "CallResult":
        """An answer with these values; the engine knows whose."""
        return cls(msgspec.json.encode(payload))

    def carrying(self, payload: Any) -> "CallResult":
        """The same answer with another payload."""
        return CallResult(msgspec.json.encode(payload), self.message_id)


class CallError(_Payload, frozen=True, gc=False, tag="error"):
    """A CALLERROR (OCPP-J 4.2.3); ``payload`` holds the errorDetails."""

    code: str = "InternalError"
    description: str = ""
    message_id: str = ""


class Send(_Payload, frozen=True, gc=False, tag="send"):
    """A SEND of OCPP 2.1: a Call that nobody answers."""

    action: str = ""
    message_id: str = ""

    def carrying(self, payload: Any) -> "Send":
        """The same SEND with another payload."""
        return Send(msgspec.json.encode(payload), self.action, self.message_id)


class Malformed(_Payload, frozen=True, gc=False, tag="malformed"):
    """A text that is no OCPP-J message; ``payload`` is all of it. ``on_malformed`` may ``Replace`` it by one that is."""

    @classmethod
    def of(cls, text: str) -> "Malformed":
        """A text to go on with: when it is a message, the plugins behind see that message."""
        return cls(text.encode())


class Control(Struct, frozen=True, gc=False):
    """A control frame (RFC 6455 5.5) and its application data."""

    opcode: Literal[Opcode.PING, Opcode.PONG, Opcode.CLOSE]
    payload: bytes = b""


Answer = CallResult | CallError
Message = Call | CallResult | CallError | Send | Malformed


class Pass(Struct, frozen=True, gc=False):
    """Go on as it came: ``PASS``."""


class Replace(Struct, frozen=True):
    """Go on as this, which is of the same kind; the plugins behind see this. ``reason`` stands in the capture."""

    message: Message
    reason: str = ""


class Drop(Struct, frozen=True, gc=False):
    """Go no further. A dropped Call is never answered, unless the plugin ``Reply``-es instead."""

    reason: str = ""


class Reply(Struct, frozen=True):
    """Answer a Call here; it goes no further."""

    answer: Answer
    reason: str = ""


class Hold(Struct, frozen=True):
    """Keep it for up to ``seconds`` (bounded by the time limit of a Call), then do ``then``.

    The engine releases it earlier when the link ends or when more than 64 messages or 1 MiB of the link are being kept.
    """

    seconds: float
    then: "Pass | Replace | Drop | Reply" = Pass()
    reason: str = ""


PASS = Pass()
Verdict = Pass | Replace | Drop | Reply | Hold


class Ask(Struct, frozen=True):
    """``answer = yield Ask(side, call)``: a Call of the plugin's own to one side. None: no answer within ``seconds``."""

    side: Side
    call: Call
    seconds: float = 30.0


Decision = Verdict | Generator[Ask, "Answer | None", Verdict]


class Opening(Struct, frozen=True):
    """A charger dials: what its request says. ``offered``: its subprotocols, in order; ``headers``: names in lower case.

    ``remote``: its address. ``upstream``: the URL it would be led to.
    """

    identity: str
    identity_source: IdentitySource
    target: str
    offered: tuple[str, ...]
    headers: Mapping[str, str]
    remote: str
    upstream: str


class Admit(Struct, frozen=True):
    """Let it in. ``offer``: the subprotocols that the CSMS is offered instead of the charger's; ``answer``: the one the
    charger is told instead of the one the CSMS chose (empty: none). None: as it is. ``upstream``: where it is led instead,
    as by ``Redirect``; plugins behind are asked all the same."""

    offer: tuple[str, ...] | None = None
    answer: str | None = None
    upstream: str = ""


class Refuse(Struct, frozen=True):
    """Answer the request with this HTTP status (400 to 599) and this text."""

    status: int = 403
    reason: str = ""


class Redirect(Struct, frozen=True):
    """Lead it to this ``ws://`` or ``wss://`` URL instead; the identity is put behind it as behind any upstream."""

    upstream: str


Entrance = Admit | Refuse | Redirect


class Closing(Struct, frozen=True, gc=False):
    """A link ended: who ended it first (None: the proxy), and how: fin, rst, timeout, vanished, shutdown or error."""

    by: Side | None = None
    how: str = ""


class Context(Protocol):
    """What a plugin is given with every hook. ``versions`` names the OCPP version of each side (``1.6``; empty: unknown)."""

    identity: str
    versions: Mapping[Side, str]
    now_ns: int                             # record time, ns since the epoch
    options: Any                            # the plugin's Options
    state: Any                              # the plugin's State of this charger; changed by ``keep`` only

    def keep(self, state: Any) -> None:
        """Have another State. It is committed before anything that this hook decided or sent leaves the proxy."""

    def send(self, side: Side, message: "Call | Send", reason: str = "") -> None:
        """Send a message of the plugin's own to a side, once the hook is over; its answer reaches nobody."""

    def find(self, code: str, message: str, *, severity: str = "info", blame: Blame = "proxy") -> None:
        """Raise a finding of the plugin's own; ``code`` is put behind the plugin's name (``throttle-withheld``)."""

    def disconnect(self, reason: str = "", *, reset: bool = False) -> None:
        """End both connections of the link, once the hook is over: by FIN, or by RST."""

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """Say that a field of the message at hand was not carried as it came (the loss ledger). ``path``: ``$.a[0].b``."""

    def findings(self, message: Message) -> Sequence[Finding]:
        """What the engine's own rules for single messages (schema, values, shape) say of a message of this link."""

    def matches(self, where: str, sender: Side, message: Message, call: Call | None = None) -> bool:
        """Whether a message passes a filter (an option of type ``Where``; empty: all do). ``call``: what an answer answers."""

    def begin(self, work: "Generator[Ask, Answer | None, Any]", reason: str = "") -> None:
        """Begin work of the plugin's own that asks one Call after the other, once the hook is over. What it returns is nothing.

        It ends with the link. Between its steps other hooks run: ``state`` is to be read anew behind each ``yield``.
        """

    def follow(self, work: "Generator[Ask, Answer | None, Any]", reason: str = "") -> None:
        """As ``begin``; what it asks the other side is made from the message at hand, too: the capture links them."""

    def random(self, count: int) -> bytes:
        """Random bytes; the same ones in every ``testing.play``."""


class Plugin:
    """Override what you need. ``Options`` comes from ``[plugins.NAME]``; ``State`` is kept per charger.

    The order of the list in the configuration is station -> CSMS, and reversed on the way back. Each plugin sees a message as
    those before it left it, and an answer together with the Call as this plugin saw it.
    """

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """No options."""

    class State(Struct, frozen=True):
        """Nothing is kept."""

    version: ClassVar[str] = "0"
    state_version: ClassVar[int] = 1                        # stored with every State
    versions: ClassVar[frozenset[str]] = frozenset()        # OCPP versions it works with; empty: all
    fails: ClassVar[Literal["pass", "drop", "close"]] = "pass"      # what becomes of what it fails on; ``on_error`` overrides
    translates: ClassVar[bool] = False                      # between two OCPP versions: plugins behind it meet the CSMS's

    @classmethod
    def migrate(cls, version: int, values: Any) -> Any:
        """The State made of plain ``values`` that ``version`` stored. By default: those fields that State still has."""
        return msgspec.convert(values, cls.State)

    @classmethod
    def unused(cls, options: Any) -> Collection[str]:
        """Names of hooks that have nothing to do with these options: they are not called. By default none."""
        return ()

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        """A charger dials; nothing can be sent yet. The first ``Refuse`` or ``Redirect`` of a chain decides."""
        return Admit()

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        """A Call came from ``sender``."""
        return PASS

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        """An answer came from ``sender``; ``call`` as this plugin saw it. ``Reply`` is no verdict on an answer."""
        return PASS

    def on_send(self, context: Context, sender: Side, send: Send) -> Decision:
        """A SEND came (2.1). ``Reply`` is no verdict on it."""
        return PASS

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
        """A text came that is no OCPP-J message. ``Reply`` takes a CallError, with the ``message_id`` of that Call."""
        return PASS

    def on_control(self, context: Context, sender: Side, frame: Control) -> Pass | Drop:
        """A ping, pong or Close came."""
        return PASS

    def on_tick(self, context: Context, now_ns: int) -> None:
        """About once a second, while the link is open."""

    def on_gone(self, context: Context, side: Side, how: str) -> float | None:
        """The connection of ``side`` is over, without a Close; ``how`` as in ``Closing``. The other is open still.

        None: it ends now, in the same way. Seconds (at most 300): it stays so long, and then gets a Close (1001, going away).
        """
        return None

    def on_close(self, context: Context, closing: Closing) -> None:
        """The link has ended; nothing can be sent any more."""


class Dialled(Protocol):
    """A WebSocket that an observer opened. ``protocol``: the subprotocol that was agreed; empty: none."""

    protocol: str

    async def send(self, text: bytes) -> None:
        """Send one text message. Raises ``OSError`` when it is closed."""

    async def receive(self) -> bytes | None:
        """The next text message; None when the other side has closed."""

    async def close(self) -> None:
        """Close it."""


class ObserverContext(Protocol):
    """What an observer is given. ``dropped``: records it was too slow for, up to now."""

    options: Any                            # the observer's Options
    dropped: int

    async def dial(self, url: str, *, offer: Sequence[str] = (), headers: Mapping[str, str] | None = None) -> Dialled:
        """Open a WebSocket of the observer's own, within 30 s. Raises ``OSError`` that says why not."""

    def log(self, text: str) -> None:
        """A line in the proxy's log."""


class Observer:
    """Sees the records of the links it is enabled for, in the recorder's process: may be slow, may dial, changes nothing.

    One instance for all links. What it raises is logged, and after five failures it sees nothing more; what it is too slow
    for is dropped and counted. ``Options`` as for plugins.
    """

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """No options."""

    version: ClassVar[str] = "0"
    unmasked: ClassVar[bool] = False        # True: secrets as the peers sent them, not as they are stored

    async def see(self, context: ObserverContext, records: Sequence[Record]) -> None:
        """Records in their order, of the links this observer is enabled for."""

    async def end(self, context: ObserverContext) -> None:
        """The recorder ends; five seconds are left."""
