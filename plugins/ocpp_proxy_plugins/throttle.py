"""Thins MeterValues: at most one in so many seconds per connector goes to the CSMS, the others are answered here."""

from typing import Any

from msgspec import Struct

from ocpp_proxy.api import PASS, Call, CallResult, Closing, Context, Decision, Plugin, Reply, Side


class Throttle(Plugin):
    """Thins MeterValues: one per connector and interval goes on, the latest of the others follows at its end."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``every_seconds``: the interval. ``latest``: whether the last one kept back follows when it is over."""

        every_seconds: float = 60.0
        latest: bool = True

    def __init__(self) -> None:
        self._open_ns: dict[int, int] = {}          # connector -> when its next one may go on
        self._kept: dict[int, Call] = {}            # connector -> the latest one kept back
        self._withheld = 0

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        """Let the first of an interval pass, keep the others back."""
        if sender is not Side.STATION or call.action != "MeterValues":
            return PASS
        place = _place(call.json())
        if context.now_ns >= self._open_ns.get(place, 0):
            self._next(context, place)
            return PASS
        if context.options.latest:
            self._kept[place] = call
        self._withheld += 1
        return Reply(CallResult(), f"one in {context.options.every_seconds:g} s")

    def on_tick(self, context: Context, now_ns: int) -> None:
        """Send the latest ones whose interval is over."""
        for place in [place for place in self._kept if now_ns >= self._open_ns.get(place, 0)]:
            context.send(Side.CSMS, self._kept.pop(place), "the latest of its interval")
            self._next(context, place)

    def on_close(self, context: Context, closing: Closing) -> None:
        """Say how many were kept back."""
        if self._withheld:
            context.find("withheld", f"{self._withheld} MeterValues of {context.identity} were answered by the proxy")

    def _next(self, context: Context, place: int) -> None:
        if len(self._open_ns) > 256:                # a charger that invents connectors
            self._open_ns.clear()
        self._kept.pop(place, None)
        self._open_ns[place] = context.now_ns + int(context.options.every_seconds * 1e9)


def _place(payload: Any) -> int:
    """Connector (1.6) or EVSE (2.x); -1 when it names none."""
    found = payload.get("connectorId", payload.get("evseId", -1)) if isinstance(payload, dict) else -1
    return found if isinstance(found, int) else -1
