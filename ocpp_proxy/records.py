"""``Record``: the tagged union of all that is stored, streamed, shown and exported. One stream, one order.

The assembler (``core.assemble``) makes the first group out of spool records; traces and captures give the same group.
The analyser (``core.analyse``) reads that group and adds the second. Everyone above consumes the whole.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from ocpp_proxy import model
from ocpp_proxy.model import Blame, Side


class LinkOpened(Struct, frozen=True, tag="link_opened", gc=False):
    """A TCP connection from a charger was accepted; identity and protocol are not known yet."""

    link: model.Link


class Handshake(Struct, frozen=True, tag="handshake", gc=False):
    """An HTTP answer reached the charger (101 or other), or its request ended without one (``status`` 0).

    ``link`` carries all that is now known. ``request_frame``/``response_frame`` are the frame_ids of the heads.
    ``repairs`` are what `lenient` changed, in words; ``problems`` what the head reader noticed (``wire.http``).
    """

    time_ns: int
    link: model.Link
    request_frame: int = 0
    response_frame: int = 0
    repairs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    upgrade: bool = True


class FrameSeen(Struct, frozen=True, tag="frame", gc=False):
    """A frame, with its wire bytes."""

    frame: model.Frame


class Note(Struct, frozen=True, tag="note", gc=False):
    """A fact the relay saw that is no frame: see ``NOTE_KINDS``. ``link_id`` 0: about the whole proxy."""

    time_ns: int
    link_id: int
    kind: str
    side: Side | None = None
    text: str = ""
    identity: str = ""


NOTE_KINDS = {
    "tls_failed": "a TLS handshake failed; text: reason",
    "tls_hello": "a ClientHello; text: sni, versions, suites",
    "tls_on_plain": "a TLS ClientHello came where no certificate is configured",
    "http_on_tls": "plain HTTP came to a TLS-only port",
    "no_head": "connected, but no complete request head came; text: how it ended, bytes seen",
    "head_refused": "the request head was ambiguous or over a limit and was answered 400/431; text: why",
    "upstream_failed": "the CSMS could not be reached; text: dns | refused | timeout | loop | tls | closed: detail",
    "plain_upstream_refused": "wss in, plain ws out to a non-loopback host, not allowed",
    "peer_vanished": "a peer stopped answering at TCP level (keep-alive or user time-out)",
    "suspended": "the machine slept; text: seconds",
    "refused": "a dial was shed, or refused by a plugin; text: limit reached, or status, plugin and reason",
    "station_certificate": "the charger's verified chain; text: NAME; not_after=DATE < ISSUER; not_after=DATE ...",
    "upstream_certificate": "the CSMS's verified chain, once a day; text as station_certificate",
    "own_certificate": "a certificate of the proxy, at the start and once a day; text as station_certificate",
    "worker_lost": "the relay worker died; its links ended with it",
    "plugin": "what a plugin did or failed to do",
    "rules": "these rule settings hold from here on; text: call_seconds, rules, and those before (JSON)",
    "dropped": "a slow reader missed lines of a live stream; text: how many (never stored)",
}


class Gap(Struct, frozen=True, tag="gap", gc=False):
    """What the capture misses, with its true count. Sequence numbers are the relay's; ``bytes`` 0 if unknown."""

    time_ns: int
    worker: int
    from_seq: int
    to_seq: int
    frames: int
    bytes: int
    reason: str
    ended_ns: int = 0
    link_id: int = 0


class LinkClosed(Struct, frozen=True, tag="link_closed", gc=False):
    """Both directions of a link ended. ``how`` is fin, rst, timeout, vanished, shutdown, lost, refused or error.

    ``closed_by`` is the side that ended first; ``close_code`` of the first Close frame (0: none, 1005: without code).
    ``unsent_*``: bytes received, captured, but not handed over to the other side.
    """

    time_ns: int
    link_id: int
    how: str
    closed_by: Side | None = None
    close_code: int = 0
    close_reason: str = ""
    unsent_station: int = 0
    unsent_csms: int = 0


class Beat(Struct, frozen=True, tag="beat", gc=False):
    """Record time has reached ``time_ns`` everywhere: deadlines up to it are due. Not stored but for the last one."""

    time_ns: int


class MessageSeen(Struct, frozen=True, tag="message", gc=False):
    """A decoded OCPP-J message."""

    message: model.Message


class ExchangeDone(Struct, frozen=True, tag="exchange", gc=False):
    """A Call was answered, or will not be."""

    exchange: model.Exchange


class TransactionChanged(Struct, frozen=True, tag="transaction", gc=False):
    """A transaction began, got its id, or ended."""

    transaction: model.Transaction


class Found(Struct, frozen=True, tag="finding", gc=False):
    """A finding."""

    finding: model.Finding


class PluginFinding(Struct, frozen=True, tag="plugin_finding", gc=False):
    """A finding that came in from outside the rules (a plugin, the relay); the analyser numbers it."""

    time_ns: int
    link_id: int
    code: str
    severity: str
    blame: Blame
    message: str
    evidence: tuple[int, ...] = ()


class Lost(Struct, frozen=True, tag="lost", gc=False):
    """An entry of the loss ledger: a field that a plugin did not carry as it came. ``what``: dropped, shortened or invented."""

    time_ns: int
    link_id: int
    plugin: str
    action: str
    message_id: str
    path: str
    what: str
    reason: str


class Audited(Struct, frozen=True, tag="audited", gc=False):
    """What a person did through the control API. ``link_id`` 0: about the whole proxy. ``who``: the user or role that asked.

    ``action``: inject, intercept, release, drop, edit, reply, disconnect, enable, disable, reload; ``detail``: of what, in
    short; ``outcome``: what came of it, empty where that is not known yet.
    """

    time_ns: int
    link_id: int
    who: str
    action: str
    detail: str = ""
    outcome: str = ""


Source = LinkOpened | Handshake | FrameSeen | Note | Gap | LinkClosed | Beat | PluginFinding | Lost | Audited
Derived = MessageSeen | ExchangeDone | TransactionChanged | Found
Record = Source | Derived


class Line(Struct, frozen=True, gc=False):
    """One line of ``tail``, one row of a list: a record with the findings that were raised on it.

    ``record`` is a MessageSeen, a FrameSeen that is no message (ping, close, HTTP head, unreadable), a Handshake, Note,
    Gap, LinkOpened, LinkClosed, or a Found that stands alone (a deadline passed). ``frame`` is the message's last frame.
    """

    record: Record
    findings: tuple[model.Finding, ...] = ()
    frame: model.Frame | None = None


class Row(Struct, gc=False):
    """One row of a traffic list, without payloads: an exchange (Call and answer), or a line that is no exchange.

    Made and updated by ``core.rows``. ``number``: ordinal of its first line in the capture, 0 where that is not known (live);
    ``msg_no`` of its first message (0: none) names it there. ``kind``: ``exchange``, or what ``fields`` calls the line.
    ``side``: who sent its first line. ``ms``: from Call to answer; ``outcome``: ``pending`` until the answer, then as
    ``model.Exchange`` has it, empty for what cannot be answered. ``level``: worst severity of its findings, -1: none.
    ``size``: bytes of its payloads. ``summary``: what it says in short, not escaped. ``verdicts``: of its frames, each once.
    ``made``: actions of the Calls that a bridge made of its Call and that are no rows of their own, each once, without its own.
    """

    number: int
    kind: str
    time_ns: int
    link_id: int
    msg_no: int = 0
    frame_id: int = 0
    identity: str = ""
    protocol: str = ""
    side: Side | None = None
    mtype: int = 0
    action: str = ""
    message_id: str = ""
    evse: int | None = None
    connector: int | None = None
    tx: str = ""
    token: str = ""
    answer_no: int = 0
    ms: float | None = None
    outcome: str = ""
    error: str = ""
    level: int = -1
    codes: tuple[str, ...] = ()
    blames: tuple[str, ...] = ()
    size: int = 0
    opcode: str = ""
    summary: str = ""
    verdicts: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


def lines(stream: Iterable[Record]) -> Iterator[Line]:
    """Group a stream into lines: what is raised on a record follows it directly, so findings join the line before.

    Text and binary frames show as their message; exchanges, transactions and beats are no lines of their own.
    """
    line: Line | None = None
    frame: model.Frame | None = None
    for record in stream:
        match record:
            case Found(finding):
                if line is not None and (finding.evidence or finding.msg_no is not None) and _joins(line, finding):
                    line = structs.replace(line, findings=(*line.findings, finding))
                    continue
            case FrameSeen(seen) if seen.opcode in _DATA and not seen.raw:
                frame = seen
                continue
            case ExchangeDone() | TransactionChanged() | Beat() | PluginFinding():
                continue
            case _:
                pass
        if line is not None:
            yield line
        line = Line(record, frame=frame if isinstance(record, MessageSeen) else None)
        frame = None
    if line is not None:
        yield line


_DATA = (model.Opcode.TEXT, model.Opcode.BINARY, model.Opcode.CONTINUATION)


def _joins(line: Line, finding: model.Finding) -> bool:
    match line.record:
        case MessageSeen(message):
            return finding.msg_no == message.msg_no or message.frame_id in finding.evidence
        case FrameSeen(frame):
            return frame.frame_id in finding.evidence
        case Handshake() | LinkClosed() | Note():
            return finding.link_id == _link_of(line.record)
        case _:
            return False


def _link_of(record: Handshake | LinkClosed | Note) -> int:
    return record.link.link_id if isinstance(record, Handshake) else record.link_id
