"""Sets the heartbeat interval that the CSMS gives a charger in the answer to its BootNotification."""

from msgspec import Struct

from ocpp_proxy.api import PASS, Answer, Call, CallResult, Closing, Context, Plugin, Replace, Side, Verdict, Where


class Interval(Plugin):
    """Sets the heartbeat interval that chargers are told at their boot."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``seconds``: the interval. ``where``: a filter of the answers it is set in; empty: all."""

        seconds: int = 300
        where: Where = ""

        def __post_init__(self) -> None:
            if self.seconds < 1:
                raise ValueError("seconds: 1 or more")

    def __init__(self) -> None:
        self._set = 0

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
        """An answer to a BootNotification says how often to beat."""
        if call.action != "BootNotification" or not isinstance(answer, CallResult):
            return PASS
        if not context.matches(context.options.where, sender, answer, call):
            return PASS
        values = answer.json()
        if values.get("interval") == context.options.seconds:
            return PASS
        self._set += 1
        return Replace(answer.carrying({**values, "interval": context.options.seconds}), "interval of the settings")

    def on_close(self, context: Context, closing: Closing) -> None:
        """Say once how often it was needed."""
        if self._set:
            context.find("set", f"{self._set} intervals of {context.identity} were set to {context.options.seconds} s")
