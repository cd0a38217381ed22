"""Findings T of an open connection: frames, pings, sizes, and how it ends."""

from msgspec import Struct, field

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import Hit, Hits, at, rule
from ocpp_proxy.model import Frame, Opcode, Severity, Side
from ocpp_proxy.records import LinkClosed
from ocpp_proxy.wire.envelope import MAX_INLINE
from ocpp_proxy.wire.frames import CAP, FAULTS

AFTER_HOLE = frozenset({"partial", "resync", "gap", "undecodable"})
_FRAME_FAULTS = frozenset(FAULTS) - AFTER_HOLE - {"too_large", "bomb", "text_utf8", "close_reason_utf8"}


def after_hole(context: Context, hit: Hit) -> bool:
    """The capture misses bytes before or in this frame: what looks wrong may only be cut."""
    return context.frame is not None and not AFTER_HOLE.isdisjoint(context.frame.faults)


def _faults(frame: Frame | None) -> frozenset[str]:
    return frozenset(frame.faults) if frame is not None else frozenset()


@rule(
    "T17", "frame not as RFC 6455 asks", severity=Severity.ERROR, blame="either", on=("frame", "control"), unless=(after_hole,),
    spec="RFC 6455, 5",
    remedy="A fault of the sender's WebSocket library: update it.",
)
def bad_frame(context: Context) -> Hits:
    """Reserved bits, opcode, mask, length or order of a WebSocket frame are against the standard; strict peers close."""
    for name in sorted(_faults(context.frame) & _FRAME_FAULTS):
        yield Hit(FAULTS[name], blame=at(context.sender), cause=name)
    if "inflate" in _faults(context.frame):
        yield Hit("a compressed message that cannot be inflated", blame=at(context.sender), cause="inflate")


def _over(frame: Frame | None) -> str:
    """What is said of a message that is too large to be decoded, with its size as far as the wire says it."""
    header = frame.raw if frame is not None else b""
    if frame is not None and "bomb" in frame.faults:
        size = f"{len(frame.payload):,} bytes on the wire"
        return f"a compressed message of over {CAP >> 20} MiB of text ({size}): it is not decoded"
    width = {126: 2, 127: 8}.get(header[1] & 127, 0) if len(header) > 1 else 0
    size = f" of {int.from_bytes(header[2:2 + width], 'big'):,} bytes" if width and len(header) >= 2 + width else ""
    return f"a message{size}: over {CAP >> 20} MiB it is stored, not decoded"


def other_code(context: Context, hit: Hit) -> bool:
    """A Close for another reason."""
    return isinstance(hit.fact, int) and hit.fact != 1009


@rule(
    "T18", "message too large", severity=Severity.ERROR, blame="either", on=("frame", "control", "envelope"),
    unless=(other_code,),
    remedy="Ask for less at once (fewer keys, smaller reports), or raise the receiver's limit.",
)
def too_large(context: Context) -> Hits:
    """A message is larger than its receiver takes (Close 1009) or than this analyzer decodes."""
    frame = context.frame
    if context.event == "control":
        if frame is not None and frame.opcode is Opcode.CLOSE and len(frame.payload) >= 2:
            code = int.from_bytes(frame.payload[:2], "big")
            yield Hit(f"{frame.sender} closed with {code}: message too big", blame=at(frame.sender.other), cause="close",
                      fact=code)
    elif context.event == "frame":
        if _faults(frame) & {"too_large", "bomb"}:
            yield Hit(_over(frame), blame=at(context.sender), cause="cap")
    elif "size" in context.notes and context.message is not None:
        size = f"{len(context.message.payload):,} bytes"
        yield Hit(f"a payload of {size}: over {MAX_INLINE >> 20} MiB it is stored, not validated", blame=at(context.sender),
                  cause="cap")


@rule(
    "T19", "binary frame or invalid UTF-8", severity=Severity.ERROR, blame="either", on=("frame", "envelope"),
    unless=(after_hole,),     spec="OCPP-J 1.6",
    remedy="A fault of the sender's software: look for names or texts in a local 8-bit encoding.",
)
def not_text(context: Context) -> Hits:
    """OCPP-J travels in text frames of valid UTF-8; a binary frame is lost on many receivers, bad UTF-8 closes with 1007."""
    frame = context.frame
    if context.event == "envelope":
        if "utf8" in context.notes and "text_utf8" not in _faults(frame) and not _binary(frame):
            yield Hit("the message is not valid UTF-8", blame=at(context.sender), cause="utf8")
    elif _binary(frame):
        yield Hit("the message came in a binary frame", blame=at(context.sender), cause="binary")
    elif "text_utf8" in _faults(frame):
        yield Hit("the text frame is not valid UTF-8", blame=at(context.sender), cause="utf8")


def _binary(frame: Frame | None) -> bool:
    return frame is not None and frame.opcode is Opcode.BINARY


class Pings(Struct):
    """Per sender: the ping that is being waited on (time, frame), and the last pong of each side."""

    waiting: dict[str, tuple[int, int]] = field(default_factory=dict)
    pongs: dict[str, int] = field(default_factory=dict)


def pong_came(context: Context, hit: Hit) -> bool:
    """The other side sent a pong since."""
    return isinstance(hit.fact, int) and context.memory(Pings).pongs.get(str(hit.blame), 0) >= hit.fact


def blind_since(context: Context, hit: Hit) -> bool:
    """The capture misses something since then, or the machine slept: the answer may have come."""
    return isinstance(hit.fact, int) and context.link.blind_ns >= hit.fact > 0


@rule(
    "T13", "ping without pong", severity=Severity.ERROR, blame="either", on=("control", "due"), unless=(pong_came, blind_since),
    spec="OCPP-J 1.6 errata v1.0, 3.9", memory=Pings,
    remedy="If the link goes on working, switch pings off for this peer; else look for a half-open connection (NAT).",
)
def ping_unanswered(context: Context) -> Hits:
    """A WebSocket ping got no pong in time: the peer or the path is dead, or its WebSocket library ignores pings."""
    memory = context.memory(Pings)
    if context.event == "due":
        found = memory.waiting.pop(context.due_key, None)
        if found is not None:
            side = Side(context.due_key).other
            yield Hit(f"{side} sent no pong for {context.settings.pong_seconds:g} s", blame=at(side), evidence=(found[1],),
                      fact=found[0], cause="pong")
        return
    frame = context.frame
    if frame is None:
        return
    if frame.opcode is Opcode.PONG:
        memory.pongs[frame.sender.value] = frame.time_ns
    elif frame.opcode is Opcode.PING and frame.sender.value not in memory.waiting:
        memory.waiting[frame.sender.value] = (frame.time_ns, frame.frame_id)
        context.set_deadline(frame.sender.value, context.settings.pong_seconds)


class Idle(Struct):
    """Seconds without a frame before the CSMS's last closes."""

    gaps: list[float] = []


def irregular(context: Context, hit: Hit) -> bool:
    """The idle times before the closes differ: no fixed deadline is behind them."""
    gaps = context.memory(Idle).gaps
    return len(gaps) < 3 or max(gaps) - min(gaps) > max(1.0, 0.02 * max(gaps))


@rule(
    "T12", "CSMS closes idle connections", severity=Severity.WARNING, blame="csms", on=("closed",), unless=(irregular,),
    spec="OCPP-J 1.6", memory=Idle, scope="station",
    remedy="Set the charger's HeartbeatInterval or WebSocketPingInterval below that time, or raise the time-out there.",
)
def idle_close(context: Context) -> Hits:
    """The CSMS (or a load balancer before it) ends the connection always the same time after the last frame."""
    record, link = context.record, context.link
    if not isinstance(record, LinkClosed) or link.link.status != 101 or not link.last_ns:
        return
    if (link.closing or record.closed_by) is not Side.CSMS or record.how not in ("fin", "rst"):
        return
    idle = (context.now - link.last_ns) / 1e9
    if idle < 10:
        return
    gaps = context.memory(Idle).gaps
    gaps.append(idle)
    del gaps[:-3]
    yield Hit(f"closed {idle:.1f} s after the last frame, as the times before", cause="idle")


def said_goodbye(context: Context, hit: Hit) -> bool:
    """A Close frame was sent."""
    return context.link.closing is not None


def own_end(context: Context, hit: Hit) -> bool:
    """The proxy ended the link itself, or lost sight of it."""
    return isinstance(context.record, LinkClosed) and context.record.how in ("shutdown", "lost", "refused")


@rule(
    "T20", "connection ended without Close (1006)", severity=Severity.WARNING, blame="network", on=("closed",),
    unless=(said_goodbye, own_end), scope="station",
    remedy="Single ones are normal on mobile networks; many point to signal, NAT time-outs or a crashing peer.",
)
def abnormal_close(context: Context) -> Hits:
    """TCP ended without a WebSocket Close: the side named went away, or the network between cut it."""
    record = context.record
    if isinstance(record, LinkClosed) and context.link.link.status == 101:
        side = record.closed_by.value if record.closed_by is not None else "unknown side"
        yield Hit(f"ended by {side} ({record.how}) without a Close frame", cause=f"{side} {record.how}")
