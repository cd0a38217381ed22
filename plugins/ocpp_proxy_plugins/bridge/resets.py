"""Reset, both ways. 2.0.1 may ask for one when nobody charges (OnIdle, B12): 1.6 has none, so the bridge waits for it."""

from collections.abc import Generator
from typing import Any

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Kept, Reset
from ocpp_proxy_plugins.bridge.plain import refused, told_why
from ocpp_proxy_plugins.bridge.transactions import running
from ocpp_proxy_plugins.bridge.work import Background, Got, Work

TRIES_NS = 60_000_000_000                   # until a reset that the station refused is tried again
SPARE_NS = 1_000_000                        # by which a deadline may be rounded


def is_idle(kept: Kept) -> bool:
    """Whether no transaction runs."""
    return not running(kept.charging)


def reset_up(desk: Desk, payload: dict[str, Any]) -> Work:
    """Immediate is Hard; OnIdle is Soft, when nobody charges (B12.FR.01); one of an EVSE there is none (B12.FR.09)."""
    if payload.get("evseId") is not None:
        desk.lost("$.evseId", "OCPP 1.6 resets the whole station: refused")
        return told_why(desk, {"status": "Rejected"}, "a 1.6 station cannot reset one EVSE", "UnsupportedRequest")
    kind = desk.enum("Reset201>16", payload.get("type")) or "Soft"
    if kind == "Soft" and not is_idle(desk.kept):
        desk.keep(reset=Reset("Soft", "waiting", desk.now_ns))
        return {"status": "Scheduled"}
    got = yield from _asked(desk, kind)
    if got.payload is None:
        return refused(desk, got)
    return desk.carry_answer(got.payload)


def tick(desk: Desk) -> None:
    """A reset that waits goes out when the last transaction has ended."""
    waiting = desk.kept.reset
    if waiting is None or waiting.state != "waiting" or not is_idle(desk.kept) or desk.link.notes.get("resets.sending"):
        return
    if desk.now_ns >= desk.link.notes.get("resets.next", 0):
        desk.link.notes["resets.sending"] = True
        desk.begin(_sent(desk.aside("Reset")), "the reset that was scheduled")


def _sent(desk: Desk) -> Background:
    waiting = desk.kept.reset
    got = (yield from _asked(desk, waiting.kind)) if waiting is not None else Got()
    desk.link.notes["resets.sending"] = False
    if waiting is not None and desk.kept.reset == waiting:
        desk.link.notes["resets.next"] = desk.now_ns + TRIES_NS
        desk.find("reset", f"the station did not take the reset that was scheduled: {got.status or got.why}; tried again")


def _asked(desk: Desk, kind: str) -> Generator[Ask, Answer | None, Got]:
    """Ask the station to reset. Where it does not, what was before holds again, unless there is something newer by then.

    A link that ends instead of an answer is what a reset looks like: it counts as one, or a station would be reset for ever.
    """
    before, until_ns = desk.kept.reset, desk.now_ns + int(desk.left() * 1e9) - SPARE_NS
    mine = Reset(kind, "sent", desk.now_ns)
    desk.keep(reset=mine)
    got = yield from desk.ask(Side.STATION, "Reset", {"type": kind})
    cut_off = got.timeout and desk.now_ns < until_ns
    if got.status != "Accepted" and not cut_off and desk.kept.reset is mine:
        desk.keep(reset=before)
    return got


def reset_down(desk: Desk, payload: dict[str, Any]) -> Work:
    """Both kinds end transactions properly in 2.0.1; Soft may wait for their end, by the options."""
    kind = desk.enum("Reset16>201", payload.get("type")) or "Immediate"
    if payload.get("type") == "Soft":
        kind = desk.options.reset_soft
    got = yield from desk.ask(Side.STATION, "Reset", {"type": kind})
    if got.payload is None:
        return refused(desk, got)
    return desk.carry_answer(got.payload)


UP_CSMS = {"Reset": reset_up}
UP_TICKS = (tick,)
DOWN_CSMS = {"Reset": reset_down}
