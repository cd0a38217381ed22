"""Findings C: time stamps and the clocks behind them. A stamp of a clock that was never set takes no part in time rules."""

import json
import re

from msgspec import Struct

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.payload import counts, is_stamp
from ocpp_proxy.checks.registry import Hit, Hits, at, rule
from ocpp_proxy.checks.stamps import Read, fault_of, has_stamps, is_unset, only_stamps, read, seconds_of
from ocpp_proxy.model import Severity, Side
from ocpp_proxy.spec.faults import Fault


def stamps_of(context: Context) -> list[Read]:
    """The stamps of the message at hand, read once for all rules."""
    message = context.message
    if message is None:
        return []
    if context.stamps is None:
        context.stamps = read(context.link.version, message.action, message.mtype == 3, context.payload)
    return context.stamps


def legal_iso(context: Context, hit: Hit) -> bool:
    """ISO 8601 with a zone allows it (+02), though RFC 3339 does not."""
    return isinstance(hit.fact, Fault) and not counts(context, hit.fact)


def clock_unset(context: Context, hit: Hit) -> bool:
    """A clock that was never set is C03."""
    return isinstance(hit.fact, Fault) and _OLD_TEXT.match(hit.fact.value) is not None


@rule(
    "C01", "time stamp without zone or not ISO 8601", severity=Severity.WARNING, blame="either",
    on=("faults", "call", "result"), where=only_stamps, unless=(legal_iso, clock_unset), spec="OCPP 1.6, 3.15",
    remedy="Sender: UTC with Z, as in 2026-01-02T03:04:05Z.",
)
def bad_stamp(context: Context) -> Hits:
    """A time stamp has no time zone or is no date of ISO 8601, so its instant is a guess."""
    action = context.message.action if context.message is not None else ""
    faults = context.faults if context.event == "faults" else _faults(context)
    return [
        Hit(f"{fault.path[2:]}: {fault.message} ({fault.value})", path=fault.path, blame=at(context.sender),
            cause=f"{action}{fault.path.rpartition('.')[2]}", fact=fault)
        for fault in faults if fault.kind == "format" and is_stamp(fault)
    ]


def _faults(context: Context) -> list[Fault]:
    """The stamps of a message of 1.2 or 1.5 that are no date-times, in the words a schema's format check gives."""
    found = [(stamp, fault_of(stamp.text)) for stamp in stamps_of(context)]
    return [
        Fault(stamp.path, "format", fault[0], "official" if fault[1] else "errata", json.dumps(stamp.text)[:60])
        for stamp, fault in found if fault is not None
    ]


def planned_time(context: Context, hit: Hit) -> bool:
    """A time the CSMS asks about or plans with may lie long ago ("all logs since 1970")."""
    return isinstance(hit.fact, Read) and not hit.fact.clock


_OLD = re.compile(rb'"(?:[01]\d{3}|200\d)-\d\d-')
_OLD_TEXT = re.compile(r'"(?:[01]\d{3}|200\d)-\d\d-')


@rule(
    "C03", "clock not set", severity=Severity.WARNING, blame="station", on=("call",), where=has_stamps, unless=(planned_time,),
    spec="OCPP 1.6 errata v4.0, 3.11",
    remedy="Let the station take currentTime from BootNotification and Heartbeat before it stamps; check its clock battery.",
)
def clock_not_set(context: Context) -> Hits:
    """A time stamp is from before OCPP existed (1970, 2000): the sender's clock has not been set since power-up."""
    message = context.message
    if message is None or (context.stamps is None and _OLD.search(message.payload) is None):
        return ()
    for stamp in stamps_of(context):
        if not stamp.text.startswith("202"):            # nearly all do
            break
    else:
        return ()
    unset = [stamp for stamp in stamps_of(context) if is_unset(stamp.text)]
    if not unset or _OLD.search(message.payload) is None:
        return ()
    return [
        Hit(f"{stamp.path[2:]} is {stamp.text[:40]!r}: the clock is not set", path=stamp.path, blame=at(context.sender),
            cause="unset", fact=stamp)
        for stamp in unset
    ]


class Skews(Struct):
    """Last differences between a station's stamps and their arrival, in seconds, and the frames they came in."""

    seconds: list[float] = []
    frames: list[int] = []


# Offsets of the time zones in use, in quarters of an hour (tz database): whole hours and a few others.
ZONES = frozenset({quarter * 900 for quarter in (*range(-48, 57, 4), -38, -14, 14, 18, 22, 23, 26, 35, 38, 42, 51)} - {0})
_STATION, _UTC = Side.STATION, ("Z", "z", "+00:00")         # looked up once: members of an enum are slow to get at
_NEAR = 90.0                # seconds a clock may be off beside the zone


def _zone(skew: float) -> int:
    """The zone offset this difference is, in seconds; 0 when it is none."""
    near = round(skew / 900) * 900
    return near if abs(skew - near) <= _NEAR and near in ZONES else 0


def not_constant(context: Context, hit: Hit) -> bool:
    """Fewer than three in a row with the same zone offset: an offline replay or a clock that is merely wrong."""
    skews = context.memory(Skews).seconds
    return len(skews) < 3 or len({_zone(skew) for skew in skews}) != 1 or not _zone(skews[-1])


@rule(
    "C02", "local time labelled Z", severity=Severity.WARNING, blame="station", on=("call",), where=has_stamps,
    unless=(not_constant,), spec="OCPP 1.6, 3.15", memory=Skews,
    remedy="Set the charger's time zone, or its clock to UTC: sessions are booked at the wrong hour.",
)
def local_time_as_utc(context: Context) -> Hits:
    """The station's stamps say UTC but run a constant time zone offset beside their arrival."""
    message = context.message
    if message is None or message.sender is not _STATION:
        return ()
    last = None
    for stamp in stamps_of(context):
        if stamp.clock:
            last = stamp
    if last is None or not last.text.endswith(_UTC) or is_unset(last.text):
        return ()
    seconds = seconds_of(last.text)
    if seconds is None:
        return ()
    skew = seconds - context.now / 1e9
    skews = context.memory(Skews) if abs(skew) >= 900 - _NEAR or context.code in context.scope.memory else None
    if skews is None:
        return ()
    skews.seconds.append(round(skew, 3))
    skews.frames.append(context.frame.frame_id if context.frame else 0)
    if len(skews.seconds) > 3:
        del skews.seconds[:-3], skews.frames[:-3]
    zone = _zone(skew)
    return [Hit(f"the stamps run {zone / 3600:+g} h beside their arrival", path=last.path, cause="zone",
                evidence=tuple(skews.frames))] if zone else ()
