"""Makes the faults a charger or CSMS has to live with, on chosen messages, with a probability and a seed."""

from fnmatch import fnmatchcase
from random import Random
from typing import Literal

from msgspec import Struct, structs

from ocpp_proxy.api import (
    PASS,
    Answer,
    Call,
    CallError,
    CallResult,
    Context,
    Control,
    Drop,
    Hold,
    Malformed,
    Message,
    Pass,
    Plugin,
    Replace,
    Reply,
    Send,
    Side,
    Verdict,
    Where,
)

Kind = Literal[
    "delay", "reorder", "bandwidth", "drop", "duplicate", "corrupt", "error", "half_open", "disconnect", "reset",
]
FOREVER_NS = 1 << 62


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault: ``kind``, made of messages that fit ``where``, ``action`` (with ``*`` and ``?``), ``sender`` and ``message``.

    ``seconds`` (and up to ``jitter_seconds`` more) of delay, reorder and half_open; ``bytes_per_second`` of bandwidth;
    ``bytes`` changed by corrupt; ``code`` of error. ``message = "control"``: pings, pongs and Close frames, only to be dropped.
    """

    kind: Kind
    where: Where = ""
    action: str = "*"
    sender: Literal["station", "csms", "any"] = "any"
    message: Literal["call", "answer", "send", "control", "any"] = "call"
    probability: float = 1.0
    seconds: float = 1.0
    jitter_seconds: float = 0.0
    bytes_per_second: float = 1000.0
    bytes: int = 1
    code: str = "InternalError"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability: from 0 to 1, not {self.probability:g}")
        if not (0 <= self.seconds < 1e9 and 0 <= self.jitter_seconds < 1e9):
            raise ValueError("seconds and jitter_seconds: 0 or more")
        if not (self.bytes_per_second > 0 and 0 < self.bytes <= 1000):
            raise ValueError("bytes_per_second: more than 0; bytes: from 1 to 1000")
        if self.message == "control" and (self.kind != "drop" or self.where or self.action != "*"):
            raise ValueError("control frames can only be dropped, and have no action and nothing a filter could ask")


class Faults(Plugin):
    """Makes faults: delay, reorder, bandwidth, drop, duplicate, corrupt, CALLERROR, half-open, disconnect, reset."""

    version = "2"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``rules``: the faults, in order. ``seed``: the same seed and identity make the same choices."""

        rules: tuple[Fault, ...] = ()
        seed: int = 0

    def __init__(self) -> None:
        self._random: Random | None = None
        self._silent_ns = 0                             # until when nothing passes, in either direction
        self._free_ns: dict[tuple[Side, int], int] = {}     # sender, number of the rule -> when what it held last goes on

    def on_call(self, context: Context, sender: Side, call: Call) -> Verdict:
        """Faults of Calls."""
        return self._fault(context, sender, call, call.action, "call")

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
        """Faults of answers; their action is their Call's."""
        return self._fault(context, sender, answer, call.action, "answer", call)

    def on_send(self, context: Context, sender: Side, send: Send) -> Verdict:
        """Faults of SENDs."""
        return self._fault(context, sender, send, send.action, "send")

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Verdict:
        """What is no message passes, unless nothing does."""
        return Drop("half_open") if context.now_ns < self._silent_ns else PASS

    def on_control(self, context: Context, sender: Side, frame: Control) -> Pass | Drop:
        """Pings too are lost on a line that is dead."""
        if context.now_ns < self._silent_ns:
            return Drop("half_open")
        for rule in context.options.rules:
            fits = rule.message == "control" and rule.sender in (sender, "any")
            if fits and self._drawn(context).random() < rule.probability:
                return Drop("drop")
        return PASS

    def _fault(
        self, context: Context, sender: Side, message: Call | Answer | Send, action: str, kind: str, call: Call | None = None,
    ) -> Verdict:
        if context.now_ns < self._silent_ns:
            return Drop("half_open")
        for number, rule in enumerate(context.options.rules):
            fits = rule.message in (kind, "any") and rule.sender in (sender, "any") and fnmatchcase(action, rule.action)
            if fits and context.matches(rule.where, sender, message, call) and self._drawn(context).random() < rule.probability:
                return self._made(context, sender, message, rule, number)
        return PASS

    def _drawn(self, context: Context) -> Random:
        if self._random is None:
            self._random = Random(f"{context.options.seed} {context.identity}")
        return self._random

    def _made(self, context: Context, sender: Side, message: Call | Answer | Send, rule: Fault, number: int) -> Verdict:
        match rule.kind:
            case "delay":
                return self._in_order(context, sender, number, context.now_ns + self._wait_ns(context, rule), "delay")
            case "reorder":
                return Hold(self._wait_ns(context, rule) / 1e9, PASS, "reorder")
            case "bandwidth":
                begins = max(context.now_ns, self._free_ns.get((sender, number), 0))
                over = begins + int(len(message.payload) / rule.bytes_per_second * 1e9)
                return self._in_order(context, sender, number, over, "bandwidth")
            case "drop":
                return Drop("drop")
            case "duplicate" if isinstance(message, Call | Send):
                context.send(sender.other, message, "duplicate")
            case "corrupt":
                return Replace(self._corrupted(context, message, rule.bytes), "corrupt")
            case "error" if not isinstance(message, Send):
                return _error(message, rule.code)
            case "half_open":
                self._silent_ns = context.now_ns + self._wait_ns(context, rule) if rule.seconds else FOREVER_NS
                context.find("half-open", f"from here on nothing passes between {context.identity} and its CSMS")
                return Drop("half_open")
            case "disconnect" | "reset":
                context.disconnect(rule.kind, reset=rule.kind == "reset")
                return Drop(rule.kind)
        return PASS

    def _wait_ns(self, context: Context, rule: Fault) -> int:
        return int((rule.seconds + rule.jitter_seconds * self._drawn(context).random()) * 1e9)

    def _in_order(self, context: Context, sender: Side, number: int, due_ns: int, reason: str) -> Verdict:
        """Hold a message, but not so short that it overtakes what the same rule holds already."""
        due_ns = self._free_ns[sender, number] = max(due_ns, self._free_ns.get((sender, number), 0))
        return Hold((due_ns - context.now_ns) / 1e9, PASS, reason)

    def _corrupted(self, context: Context, message: Call | Answer | Send, count: int) -> Message:
        """Other characters in some places of the payload; ASCII stays ASCII, so it mostly remains a text."""
        drawn, payload = self._drawn(context), bytearray(message.payload)
        left = list(range(len(payload)))
        for _ in range(min(count, len(payload))):       # random() alone is the same in every version of Python
            payload[left.pop(int(drawn.random() * len(left)))] ^= 1 + int(drawn.random() * 127)
        return structs.replace(message, payload=bytes(payload))


def _error(message: Call | CallResult | CallError, code: str) -> Verdict:
    error = CallError(code=code, description="made by the proxy")
    return Reply(error, "error") if isinstance(message, Call) else Replace(error, "error")
