"""The words everybody speaks: sides, links, frames, messages, exchanges, transactions, findings.

Frozen structs without behaviour. Times are integers of nanoseconds since the epoch (``_ns``) and come from the relay;
payloads are the raw JSON bytes of the wire, decoded on demand. Peer faults are ``Finding`` values, never exceptions.
Field names follow OCPP 2.0.1 Part 2 where it has a word for the thing.
"""

from enum import IntEnum, StrEnum
from typing import Literal

from msgspec import Struct


class ConfigError(Exception):
    """What the user asked for cannot be: says what, where (file:line:key) and how to fix it. Exit code 2."""


class CaptureError(Exception):
    """A capture, trace or spool that cannot be read. Exit code 4."""


class PluginError(Exception):
    """A plugin that cannot be loaded or set up."""


class Side(StrEnum):
    """Who sent it: the charger (Charge Point, Charging Station) or the central system."""

    STATION = "station"
    CSMS = "csms"

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.CSMS if self is Side.STATION else Side.STATION


class Opcode(StrEnum):
    """Kind of a frame. ``http_req``/``http_res`` are HTTP heads with their bodies; ``raw`` is what no reader can read."""

    TEXT = "text"
    BINARY = "binary"
    CONTINUATION = "continuation"
    PING = "ping"
    PONG = "pong"
    CLOSE = "close"
    HTTP_REQ = "http_req"
    HTTP_RES = "http_res"
    RAW = "raw"


class Severity(IntEnum):
    """How bad a finding is; ordered."""

    HINT = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        """Lower-case name, as stored and shown."""
        return self.name.lower()


Blame = Literal["station", "csms", "network", "either", "proxy"]
IdentitySource = Literal["path", "basic", "certificate", "peer", "trace"]
MessageType = Literal[2, 3, 4, 5, 6]
Outcome = Literal["ok", "error", "unanswered"]


VERDICTS = {
    "": "a received frame that went on as it came",
    "replaced": "received; something else left for it: frames whose cause names this one",
    "dropped": "received; nothing left for it",
    "held": "received; it waits",
    "answered": "received; answered by the proxy, nothing left for it",
    "modified": "made from the frames of its cause",
    "translated": "made from the frames of its cause, for another OCPP version",
    "inflated": "the text of the frames of its cause, no longer compressed",
    "injected": "made by the proxy from nothing that was received",
}
"""Values of ``Frame.verdict``."""


class TlsInfo(Struct, frozen=True, gc=False):
    """What one TLS leg agreed on. ``subject`` is the peer's certificate subject CN, if it sent one."""

    version: str = ""
    cipher: str = ""
    sni: str = ""
    subject: str = ""


class Link(Struct, frozen=True, gc=False):
    """One charger's pair of connections, or an attempt that never got so far.

    ``remote`` is ``host:port`` of the charger; ``protocol`` the negotiated subprotocol (``ocpp1.6``), or a guess when
    ``protocol_guessed``; ``csms_protocol`` the one of the CSMS's leg where a bridge speaks another there, else empty;
    ``status`` the HTTP status the charger got (0: none).
    """

    link_id: int
    opened_ns: int
    remote: str
    worker: int = 0
    listener: str = ""
    identity: str = ""
    identity_source: IdentitySource = "peer"
    upstream: str = ""
    target: str = ""
    protocol: str = ""
    protocol_guessed: bool = False
    offered: tuple[str, ...] = ()
    extensions: str = ""
    status: int = 0
    handshake_ms: float = 0.0
    station_tls: TlsInfo | None = None
    csms_tls: TlsInfo | None = None
    csms_protocol: str = ""


class Frame(Struct, frozen=True, gc=False):
    """One WebSocket frame, or one HTTP head with body bytes, as it was on the wire.

    For WebSocket: ``header`` + mask key + ``payload`` masked with ``mask`` are the exact wire bytes; ``payload`` is
    unmasked (still compressed if it was). For HTTP: ``header`` is the head, ``payload`` the body bytes as sent.
    ``raw`` is filled only where the bytes cannot be rebuilt that way (unreadable or cut frame); it then holds them all.
    ``seq`` orders frames (relay order); ``text`` is the inflated, joined message on its last frame if it differs from
    ``payload`` (compressed or fragmented), else empty.
    """

    frame_id: int
    link_id: int
    seq: int
    time_ns: int
    mono_ns: int
    sender: Side
    opcode: Opcode
    header: bytes = b""
    mask: bytes = b""
    payload: bytes = b""
    raw: bytes = b""
    text: bytes = b""
    fin: bool = True
    faults: tuple[str, ...] = ()       # what the lenient reader noticed, e.g. "rsv1", "unmasked", "utf8"; wire/frames.py
    cause: tuple[int, ...] = ()        # frame_ids this one was made from (injected, modified, translated)
    verdict: str = ""                  # what a plugin did: to a received frame, or why there is one of ours (VERDICTS)
    masked: bool = False               # secrets in the payload were replaced: no longer the bytes of the wire


class Message(Struct, frozen=True, gc=False):
    """One OCPP-J message. ``mtype`` 2 CALL, 3 CALLRESULT, 4 CALLERROR, 5 CALLRESULTERROR, 6 SEND, 0 not decodable.

    ``payload`` is the raw JSON text of the payload (the errorDetails of 4 and 5; the whole text for 0). ``action`` is
    filled in on answers too, from their Call. ``call_no`` is the ``msg_no`` of the Call this answers (first answer
    only). ``envelope`` is the text before the payload where it is not the canonical ``[2,"id","Action",``.
    """

    msg_no: int
    frame_id: int
    link_id: int
    identity: str
    time_ns: int
    sender: Side
    mtype: int
    message_id: str
    action: str
    protocol: str
    payload: bytes
    call_no: int | None = None
    latency_ns: int | None = None
    error_code: str = ""
    error_desc: str = ""
    evse_id: int | None = None
    connector_id: int | None = None
    tx_id: str = ""
    id_token: str = ""
    prefix: bytes = b""                # the text before / after the payload when it is not canonical (wire/ocppj.py)
    suffix: bytes = b""
    masked: bool = False


class Exchange(Struct, frozen=True, gc=False):
    """A Call with its answer and outcome; emitted when the answer comes, or when nobody will answer any more."""

    call_no: int
    link_id: int
    identity: str
    protocol: str
    caller: Side
    action: str
    message_id: str
    called_ns: int
    answer_no: int | None
    answered_ns: int | None
    outcome: Outcome
    error_code: str = ""


class Transaction(Struct, frozen=True, gc=False):
    """One charging transaction as known so far (1.6 Start/StopTransaction, 2.x TransactionEvent). Energy in Wh."""

    tx_id: str
    identity: str
    link_id: int
    protocol: str
    started_ns: int | None
    stopped_ns: int | None
    evse_id: int | None = None
    connector_id: int | None = None
    id_token: str = ""
    meter_start: float | None = None
    meter_stop: float | None = None
    reason: str = ""


class Finding(Struct, frozen=True, gc=False):
    """What is wrong, how bad, whose fault, on what evidence. ``code`` is a rule id of the catalogue (``R05``).

    ``evidence`` are frame_ids; ``path`` a JSON path into the payload (``$.idTag``); ``spec_ref`` the clause, or empty
    for experience rules. Raised once per cause: ``count`` says how often it was seen up to now.
    """

    finding_id: int
    code: str
    severity: Severity
    blame: Blame
    link_id: int
    identity: str
    time_ns: int
    message: str
    msg_no: int | None = None
    evidence: tuple[int, ...] = ()
    path: str = ""
    spec_ref: str = ""
    count: int = 1
