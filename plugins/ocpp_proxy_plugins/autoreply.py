"""Answers chosen Calls in the proxy: always, or only when the other side does not in time."""

from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from ocpp_proxy.api import PASS, Answer, Ask, Call, CallResult, Context, Decision, Plugin, Reply, Side, Verdict

NOW, TRANSACTION = "$now", "$transactionId"


class AutoReply(Plugin):
    """Answers chosen Calls in the proxy: lab work without a CSMS, or a CSMS that is slow or down."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``answers``: action -> payload of its answer; the text ``$now`` in it becomes the time (UTC, RFC 3339).

        The text ``$transactionId`` becomes a number that counts up from ``first_transaction``, per charger and over restarts.
        ``sender``: whose Calls. ``after_seconds``: 0: at once; else the other side is asked first and has so long.
        """

        answers: dict[str, dict[str, Any]] = {}
        sender: Literal["station", "csms"] = "station"
        after_seconds: float = 0.0
        first_transaction: int = 1

    class State(Struct, frozen=True):
        """``given``: how many transaction ids."""

        given: int = 0

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        """Answer what is to be answered."""
        answer = context.options.answers.get(call.action)
        if answer is None or sender != context.options.sender:
            return PASS
        if context.options.after_seconds > 0:
            return self._ask(context, sender, call, answer)
        return Reply(_made(answer, context), "autoreply")

    def _ask(
        self, context: Context, sender: Side, call: Call, answer: dict[str, Any],
    ) -> Generator[Ask, Answer | None, Verdict]:
        """The other side first; ours when nothing comes."""
        theirs = yield Ask(sender.other, call, context.options.after_seconds)
        if theirs is not None:
            return Reply(theirs, "answered in time")
        return Reply(_made(answer, context), f"no answer within {context.options.after_seconds:g} s")


def _made(answer: Any, context: Context) -> CallResult:
    moment = datetime.fromtimestamp(context.now_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    number = context.options.first_transaction + context.state.given
    filled, numbered = _filled(answer, {NOW: moment}), _filled(answer, {NOW: moment, TRANSACTION: number})
    if numbered != filled:
        context.keep(AutoReply.State(context.state.given + 1))
    return CallResult.of(numbered)


def _filled(value: Any, words: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    return words.get(value, value) if isinstance(value, str) else value
