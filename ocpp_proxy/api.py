"""What plugins may import, with ``model`` and ``spec``. Signatures here never grow; new data comes by ``Context``.

A plugin is a class; one instance lives as long as one link. It overrides the hooks it needs and *returns* what shall happen.
Hooks are plain functions, do no I/O and have 50 ms. What one raises is a finding, and the message goes on as ``on_error`` says.
"""

from collections.abc import Generator, Mapping
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct

from ocpp_proxy.model import Blame, Side

__all__ = [
    "PASS", "Answer", "Ask", "Call", "CallError", "CallResult", "Closing", "Context", "Decision", "Drop", "Hold", "Message",
    "NotJson", "Pass", "Plugin", "Replace", "Reply", "Send", "Side", "Verdict",
]


class NotJson(ValueError):
    """The payload of a message is no JSON. Not the plugin's fault: left alone, it lets the message go on as it came."""


class _Payload(Struct, frozen=True, gc=False):
    payload: bytes = b"{}"

    def json(self) -> Any:
        """The payload as Python values, decoded anew at every call. Raises ``NotJson``."""
        try:
            return msgspec.json.decode(self.payload)
        except (ValueError, RecursionError) as error:
            raise NotJson(str(error)) from None


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


class CallError(_Payload, frozen=True, gc=False, tag="error"):
    """A CALLERROR (OCPP-J 4.2.3); ``payload`` holds the errorDetails."""

    code: str = "InternalError"
    description: str = ""
    message_id: str = ""


class Send(_Payload, frozen=True, gc=False, tag="send"):
    """A SEND of OCPP 2.1: a Call that nobody answers."""

    action: str = ""
    message_id: str = ""


Answer = CallResult | CallError
Message = Call | CallResult | CallError | Send


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

    def send(self, side: Side, message: "Call | Send", reason: str = "") -> None:
        """Send a message of the plugin's own to a side, once the hook is over; its answer reaches nobody."""

    def find(self, code: str, message: str, *, severity: str = "info", blame: Blame = "proxy") -> None:
        """Raise a finding of the plugin's own; ``code`` is put behind the plugin's name (``throttle-withheld``)."""

    def disconnect(self, reason: str = "", *, reset: bool = False) -> None:
        """End both connections of the link, once the hook is over: by FIN, or by RST."""


class Plugin:
    """Override what you need. ``Options`` comes from ``[plugins.NAME]``.

    The order of the list in the configuration is station -> CSMS, and reversed on the way back. Each plugin sees a message as
    those before it left it, and an answer together with the Call as this plugin saw it.
    """

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """No options."""

    version: ClassVar[str] = "0"
    versions: ClassVar[frozenset[str]] = frozenset()        # OCPP versions it works with; empty: all

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        """A Call came from ``sender``."""
        return PASS

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        """An answer came from ``sender``; ``call`` as this plugin saw it. ``Reply`` is no verdict on an answer."""
        return PASS

    def on_send(self, context: Context, sender: Side, send: Send) -> Decision:
        """A SEND came (2.1). ``Reply`` is no verdict on it."""
        return PASS

    def on_tick(self, context: Context, now_ns: int) -> None:
        """About once a second, while the link is open."""

    def on_close(self, context: Context, closing: Closing) -> None:
        """The link has ended; nothing can be sent any more."""
