"""Findings X: transactions, their ids, and the authorisation before them."""

from msgspec import Struct, field

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import V1, Hit, Hits, rule
from ocpp_proxy.checks.stamps import is_unset, seconds_of
from ocpp_proxy.checks.state import cut
from ocpp_proxy.checks.values import answer_status, dig, member, number, text
from ocpp_proxy.model import Severity


def zero_outside(context: Context, hit: Hit) -> bool:
    """MeterValues with transactionId 0 while nothing charges: it says "none"."""
    message, idle = context.message, context.station.open_transaction() is None
    return hit.fact == 0 and message is not None and message.action == "MeterValues" and idle


def holds_id(version: str, action: str, answer: bool) -> bool:
    """Of the answers only that to StartTransaction holds a transaction id."""
    return not answer or action == "StartTransaction"


@rule(
    "X01", "transactionId -1, 0, null or a text", severity=Severity.ERROR, blame="either", on=("call", "result"), versions=V1,
    actions=("StartTransaction", "StopTransaction", "MeterValues", "RemoteStopTransaction"), where=holds_id,
    unless=(zero_outside,), spec="OCPP 1.6 errata v4.0, 3.18",
    remedy="CSMS: answer StartTransaction with a positive id, also for refused tokens; -1 is right only for offline starts.",
)
def bad_transaction_id(context: Context) -> Hits:
    """A transaction id that names no transaction: meter values and the stop cannot be booked on one."""
    message, payload = context.message, context.object()
    if message is None or "transactionId" not in payload:
        return ()
    value = payload["transactionId"]
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return ()
    severity = None
    open_one = context.transaction or context.station.open_transaction()
    if value == -1 and message.mtype == 2 and (open_one is None or open_one.tx_id == ""):
        severity = Severity.WARNING         # the station never got an id: -1 is what it shall use
    shown = "a text" if isinstance(value, str) else "null" if value is None else str(value)[:20]
    return [Hit(f"transactionId is {shown}", path="$.transactionId", severity=severity, fact=value,
                blame="csms" if message.sender == "csms" else "station")]


def begun_out_of_sight(context: Context, hit: Hit) -> bool:
    """The recording does not go back to a boot of the station: the start may lie before it."""
    return not context.station.booted


@rule(
    "X05", "StopTransaction without a start", severity=Severity.ERROR, blame="station", on=("call",), versions=V1,
    actions=("StopTransaction",), unless=(begun_out_of_sight,),
    remedy="Look for a reset or an offline phase before it; the CSMS has to book this session by hand.",
)
def stop_without_start(context: Context) -> Hits:
    """A transaction is stopped that was never seen to start: its StartTransaction was lost or never sent."""
    value = context.object().get("transactionId")
    if context.transaction is None and isinstance(value, int) and value > 0:
        yield Hit(f"transaction {value} was never started", path="$.transactionId", cause=str(value))


class Tokens(Struct):
    """Last authorisation of an idTag: status, record time, frame."""

    tags: dict[str, tuple[str, int, int]] = field(default_factory=dict)


def accepted(context: Context, hit: Hit) -> bool:
    """The last authorisation of this token was accepted."""
    return isinstance(hit.fact, tuple) and hit.fact[0] == "Accepted"


def began_before(context: Context, hit: Hit) -> bool:
    """The start is delivered late: by its time stamp it lies before the refusal (an offline start)."""
    stamp = text(context.object().get("timestamp"))
    began = seconds_of(stamp) if not is_unset(stamp) else None
    return isinstance(hit.fact, tuple) and began is not None and began + 1 < hit.fact[1] / 1e9


@rule(
    "X08", "start after a refused authorisation", severity=Severity.WARNING, blame="station", on=("call", "result"),
    versions=V1, actions=("Authorize", "StartTransaction", "RemoteStartTransaction"), unless=(accepted, began_before),
    spec="OCPP 1.6", memory=Tokens, scope="station",
    remedy="Check local lists and offline settings of the charger (LocalAuthorizeOffline, AllowOfflineTxForUnknownId).",
)
def start_after_refusal(context: Context) -> Hits:
    """The station started a transaction for a token the CSMS had just refused."""
    message, tags = context.message, context.memory(Tokens).tags
    if message is None:
        return
    frame = context.frame.frame_id if context.frame is not None else 0
    if message.mtype == 3 and message.action in ("Authorize", "RemoteStartTransaction"):
        tag = text(member(context.call, "idTag"))[:64]
        status = text(dig(context.payload, "idTagInfo", "status")) or answer_status(context)
        if tag and status and (message.action == "Authorize" or status == "Accepted"):
            tags.pop(tag, None)
            tags[tag] = (status[:32], context.now, frame)
            cut(tags, 32)
    elif message.mtype == 2 and message.action == "StartTransaction":
        found = tags.get(text(context.object().get("idTag"))[:64])
        if found is not None:
            yield Hit(f"Authorize was answered {found[0]}", path="$.idTag", evidence=(found[2], frame), fact=tuple(found))


class RemoteStarts(Struct):
    """Accepted remote starts that wait for their transaction, the last start, and the station's own time limit."""

    waiting: dict[str, tuple[int, int]] = field(default_factory=dict)      # Call's msg_no -> time, frame of the answer
    started_ns: int = 0
    seconds: float = 0.0


def started_since(context: Context, hit: Hit) -> bool:
    """A transaction started after it."""
    return isinstance(hit.fact, int) and context.memory(RemoteStarts).started_ns >= hit.fact


@rule(
    "X10", "remote start without transaction", severity=Severity.WARNING, blame="station", on=("call", "result", "due"),
    actions=("RemoteStartTransaction", "RequestStartTransaction", "StartTransaction", "TransactionEvent", "GetConfiguration",
             "ChangeConfiguration"),
    unless=(started_since,), spec="OCPP 1.6", memory=RemoteStarts, scope="station",
    remedy="Usually nobody plugged in; else look at the connector's status and at the charger's ConnectionTimeOut.",
)
def remote_start_lost(context: Context) -> Hits:
    """The station accepted a remote start, but no transaction began within its connection time-out."""
    memory, message = context.memory(RemoteStarts), context.message
    if context.event == "due":
        found = memory.waiting.pop(context.due_key, None)
        if found is not None:
            seconds = memory.seconds or context.settings.start_seconds
            yield Hit(f"no transaction within {seconds:g} s of the accepted remote start", evidence=(found[1],), fact=found[0],
                      msg_no=int(context.due_key), cause="lost")
        return
    if message is None:
        return
    if message.action in ("RemoteStartTransaction", "RequestStartTransaction"):
        if message.mtype == 3 and answer_status(context) == "Accepted" and context.call is not None:
            key = str(context.call.msg_no)
            memory.waiting[key] = (context.now, context.frame.frame_id if context.frame is not None else 0)
            cut(memory.waiting, 16)
            context.set_deadline(key, memory.seconds or context.settings.start_seconds)
    elif message.mtype == 2 and message.action in ("StartTransaction", "TransactionEvent"):
        if message.action == "StartTransaction" or context.object().get("eventType") == "Started":
            memory.started_ns = context.now
    else:
        _learn(context, memory)


def _learn(context: Context, memory: RemoteStarts) -> None:
    """Take the station's ConnectionTimeOut from its configuration."""
    message, payload = context.message, context.object()
    if message is None:
        return
    rows: list[object] = []
    if message.action == "GetConfiguration" and message.mtype == 3:
        listed = payload.get("configurationKey")
        rows = listed if isinstance(listed, list) else []
    elif message.action == "ChangeConfiguration" and message.mtype == 3 and answer_status(context) == "Accepted":
        rows = [{"key": member(context.call, "key"), "value": member(context.call, "value")}]
    for row in rows:
        if isinstance(row, dict) and row.get("key") == "ConnectionTimeOut":
            seconds = number(row.get("value"))
            if seconds is not None and 0 < seconds <= 86400:
                memory.seconds = seconds
