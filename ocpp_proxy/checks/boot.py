"""Findings B: registration and what may be sent before it."""

from msgspec import Struct, field

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import V1, Hit, Hits, rule
from ocpp_proxy.checks.state import cut
from ocpp_proxy.checks.values import answer_status, member
from ocpp_proxy.model import Severity

_TRIGGERS = ("TriggerMessage", "ExtendedTriggerMessage")


class Asked(Struct):
    """Messages the CSMS has asked for (TriggerMessage answered Accepted)."""

    triggered: dict[str, int] = field(default_factory=dict)


def triggered(context: Context, hit: Hit) -> bool:
    """The CSMS asked for this very message, which a pending station may send."""
    return context.station.registration == "Pending" and hit.cause in context.memory(Asked).triggered


@rule(
    "B02", "Call while Pending or Rejected", severity=Severity.ERROR, blame="station", on=("unregistered", "result"),
    actions=_TRIGGERS, unless=(triggered,), spec="OCPP 1.6, 4.2", memory=Asked, scope="station",
    remedy="Accept the station in the CSMS; the charger has to wait and to repeat BootNotification after the interval.",
)
def call_before_accepted(context: Context) -> Hits:
    """The station sent a Call although its BootNotification was not accepted yet; the CSMS need not answer it."""
    message = context.message
    if message is None:
        return
    if context.event == "result":
        asked = member(context.call, "requestedMessage")
        if answer_status(context) == "Accepted" and isinstance(asked, str):
            names = context.memory(Asked).triggered
            names[asked[:64]] = context.now
            cut(names, 16)
    elif message.action != "BootNotification":
        yield Hit(f"{message.action[:40]} while the registration is {context.station.registration}", cause=message.action[:64])


class Boots(Struct):
    """Times of boots on different links, and when a Reset was last accepted."""

    times: list[int] = []
    link_id: int = 0
    reset_ns: int = 0
    asked: bool = False


_BOOTS, _WITHIN = 3, 3600


def reset_asked(context: Context, hit: Hit) -> bool:
    """The CSMS asked for a Reset since the boot before."""
    return context.memory(Boots).asked


def seldom(context: Context, hit: Hit) -> bool:
    """Fewer than three boots on different connections within an hour."""
    times = context.memory(Boots).times
    return len(times) < _BOOTS or times[-1] - times[0] > _WITHIN * 1e9


@rule(
    "B04", "BootNotification on every connect", severity=Severity.WARNING, blame="station", on=("call", "result"),
    actions=("BootNotification", "Reset"), versions=V1, unless=(reset_asked, seldom), spec="OCPP-J 1.6", memory=Boots,
    scope="station",
    remedy="If its uptime is short, look at power and firmware; else it should only reconnect, without BootNotification.",
)
def boot_per_connect(context: Context) -> Hits:
    """The station boots (or says so) at each connect: it re-registers without need, or restarts in a loop."""
    message, memory = context.message, context.memory(Boots)
    if message is None:
        return
    if message.action == "Reset":
        if message.mtype == 3 and answer_status(context) == "Accepted":
            memory.reset_ns = context.now
    elif message.mtype == 2 and message.link_id != memory.link_id:
        memory.asked = bool(memory.times) and memory.reset_ns > memory.times[-1]
        memory.link_id = message.link_id
        memory.times.append(context.now)
        del memory.times[:-_BOOTS]
        yield Hit(f"BootNotification at the start of {_BOOTS} connections within an hour", cause="boots")
