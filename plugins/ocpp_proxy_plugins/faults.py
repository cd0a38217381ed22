"""Makes the faults a charger or CSMS has to live with, on chosen messages, with a probability and a seed."""

from fnmatch import fnmatchcase
from random import Random
from typing import Literal

from msgspec import Struct

from ocpp_proxy.api import (
    PASS,
    Answer,
    Call,
    CallError,
    CallResult,
    Context,
    Drop,
    Hold,
    Pass,
    Plugin,
    Replace,
    Reply,
    Send,
    Side,
    Verdict,
)

Kind = Literal["delay", "drop", "duplicate", "error", "disconnect", "reset"]


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault. ``action`` may hold ``*`` and ``?``; ``message``: call, answer, send or any; the first that fits is made.

    ``seconds`` (and up to ``jitter_seconds`` more) of a delay; ``code`` of an error. ``duplicate``: once more, under an id of
    the proxy's; its answer reaches nobody. ``error``: a Call is answered with it, of an answer it takes the place.
    """

    kind: Kind
    action: str = "*"
    sender: Literal["station", "csms", "any"] = "any"
    message: Literal["call", "answer", "send", "any"] = "call"
    probability: float = 1.0
    seconds: float = 1.0
    jitter_seconds: float = 0.0
    code: str = "InternalError"


class Faults(Plugin):
    """Makes faults: delay, drop, duplicate, CALLERROR, disconnect, reset; by action, side and probability, with a seed."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``rules``: the faults, in order. ``seed``: the same seed and identity make the same choices."""

        rules: tuple[Fault, ...] = ()
        seed: int = 0

    def __init__(self) -> None:
        self._random: Random | None = None

    def on_call(self, context: Context, sender: Side, call: Call) -> Verdict:
        """Faults of Calls."""
        return self._fault(context, sender, call, call.action, "call")

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
        """Faults of answers; their action is their Call's."""
        return self._fault(context, sender, answer, call.action, "answer")

    def on_send(self, context: Context, sender: Side, send: Send) -> Verdict:
        """Faults of SENDs."""
        return self._fault(context, sender, send, send.action, "send")

    def _fault(self, context: Context, sender: Side, message: Call | Answer | Send, action: str, kind: str) -> Verdict:
        for rule in context.options.rules:
            fits = rule.message in (kind, "any") and rule.sender in (sender, "any") and fnmatchcase(action, rule.action)
            if fits and self._drawn(context).random() < rule.probability:
                return self._made(context, sender, message, rule)
        return PASS

    def _drawn(self, context: Context) -> Random:
        if self._random is None:
            self._random = Random(f"{context.options.seed} {context.identity}")
        return self._random

    def _made(self, context: Context, sender: Side, message: Call | Answer | Send, rule: Fault) -> Verdict:
        match rule.kind:
            case "delay":
                return Hold(rule.seconds + rule.jitter_seconds * self._drawn(context).random(), Pass(), "delay")
            case "drop":
                return Drop("drop")
            case "duplicate" if isinstance(message, Call | Send):
                context.send(sender.other, message, "duplicate")
            case "error" if isinstance(message, Call):
                return Reply(CallError(code=rule.code, description="made by the proxy"), "error")
            case "error" if isinstance(message, CallResult | CallError):
                return Replace(CallError(code=rule.code, description="made by the proxy"), "error")
            case "disconnect" | "reset":
                context.disconnect(rule.kind, reset=rule.kind == "reset")
                return Drop(rule.kind)
        return PASS
