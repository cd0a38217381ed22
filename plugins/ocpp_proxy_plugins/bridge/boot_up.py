"""BootNotification of a 1.6 station: what 2.0.1 wants to know besides (why it booted), and what is remembered of it."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_STATUS, Boot, packed
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.transactions import running
from ocpp_proxy_plugins.bridge.work import Work

BOOTED = "booted"                           # in ``Session.notes``: the CSMS accepted a boot on this link
_SAME_SESSION_NS = 60_000_000_000


def boot_notification(desk: Desk, payload: dict[str, Any]) -> Work:
    """With its reason; what was expected because of it is over once it is accepted."""
    reason = _reason(desk)
    if reason == "Unknown":
        desk.lost("$.reason", "nothing that the bridge knows of explains this boot", "invented")
    before = desk.kept
    desk.keep(
        boot=Boot(packed(payload), at_ns=desk.now_ns),
        expected=tuple(name for name in before.expected if name != "BootNotification"),
        reset=before.reset if before.reset is not None and before.reset.state != "sent" else None,
    )
    got = yield from desk.ask(Side.CSMS, "BootNotification", desk.carry(payload, reason=reason))
    if got.payload is None:
        return refused(desk, got)
    boot = desk.kept.boot
    if boot is not None:
        desk.keep(boot=Boot(boot.payload, got.status[:MOST_STATUS], boot.at_ns))
    if got.status == "Accepted":
        desk.link.notes[BOOTED] = True
    return desk.carry_answer(got.payload)


def _reason(desk: Desk) -> str:
    """BootReasonEnumType (2.0.1 part 2, 3.7), by what went before."""
    kept = desk.kept
    if "BootNotification" in kept.expected:
        return "Triggered"
    if kept.reset is not None and kept.reset.state == "sent":
        return "RemoteReset"
    if any(job.kind == "firmware" and job.state in ("Installing", "Installed") for job in kept.jobs):
        return "FirmwareUpdate"
    if kept.boot is None:
        return "PowerUp"
    if desk.link.notes.get(BOOTED) and running(kept.charging) and desk.now_ns - kept.boot.at_ns < _SAME_SESSION_NS:
        return "ApplicationReset"
    return "Unknown"


UP_STATION = {"BootNotification": boot_notification}
