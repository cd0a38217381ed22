"""Owns what the rules and the analyser remember: per link and per station, bounded, storable between any two records.

Dicts are ordered by age and cut at the front. Nothing here is derived from anything but records, so that a restored
state goes on exactly like one that was never stored.
"""

from typing import Any

from msgspec import Struct, field

from ocpp_proxy.model import Finding, Link, Side

OPEN_CALLS = 1024           # waiting Calls of one direction of one link
EXPIRED_CALLS = 64          # Calls past their time limit that may still be answered late
ANSWERED_IDS = 16           # answered message ids of one direction, to tell a second answer from a foreign one
RECENT_IDS = 32             # message ids of one sender of one station, to see one used again
CAUSES = 128                # different findings of one link or station that are being counted
DEADLINES = 64              # of one link or station
TRANSACTIONS = 64           # of one station, ended ones included
KEPT_PAYLOAD = 4096         # bytes of a Call's payload kept for the rules on its answer
LIVE_LINKS = 32             # of one station


class OpenCall(Struct, array_like=True):
    """A Call that waits for its answer. ``payload`` is kept (masked) only where something reads it with the answer.

    ``time_ns`` is record time, which never goes back; ``sent_ns`` the stamp of the frame, which does when a clock is set back.
    """

    msg_no: int
    frame_id: int
    time_ns: int
    action: str
    message_id: str
    identity: str = ""
    protocol: str = ""
    crc: int = 0
    invalid: bool = False       # its payload has schema faults
    found: bool = False         # a finding was raised on it
    resent: int = 0             # identical copies sent while it was open
    payload: bytes = b""
    sent_ns: int = 0
    missing: bool = False       # its payload lacks a mandatory field
    verdict: str = ""           # of its frame: "" unless something was done to it (frame mode)


class Answered(Struct, array_like=True):
    """What is remembered of an answered Call. ``spare``: further answers that may come because the Call was resent.

    ``settled``: a CALLRESULT came in time, so its caller has no reason to send it again.
    """

    msg_no: int
    action: str
    spare: int = 0
    settled: bool = False


class Replaced(Struct, array_like=True):
    """A received message for which something else leaves (frame mode). ``faulty``: it had faults of its own."""

    msg_no: int
    faulty: bool


class Direction(Struct, array_like=True):
    """What one sender of one link has said: its Calls, and the message that is not complete yet."""

    waiting: dict[str, OpenCall] = field(default_factory=dict)
    expired: dict[str, OpenCall] = field(default_factory=dict)
    answered: dict[str, Answered] = field(default_factory=dict)
    last_crc: int = 0           # of the last Call: action and payload
    last_ok: bool = True        # it got a CALLRESULT
    unreadable: bool = False    # the last message of this sender could not be decoded
    overflow: int = 0           # Calls that fell out of ``waiting`` because there were too many
    held: list[bytes] = field(default_factory=list)     # fragments that wait for the end of their message (encoded frames)
    held_bytes: int = 0


class Cause(Struct, array_like=True):
    """A finding that was raised, and how often its cause was seen since."""

    finding: Finding
    count: int = 1
    told: int = 1
    last: tuple[int, ...] = ()


class Scope(Struct):
    """What link and station state share: counted causes, deadlines and the memory of single rules."""

    causes: dict[str, Cause] = field(default_factory=dict)
    deadlines: dict[str, int] = field(default_factory=dict)     # "CODE:key" -> record time
    memory: dict[str, Any] = field(default_factory=dict)        # code -> the rule's own struct
    overflow: int = 0                                           # causes and deadlines that did not fit

    def remember_deadline(self, key: str, at_ns: int) -> None:
        """Set a deadline; the oldest gives way when there are too many."""
        if key not in self.deadlines and len(self.deadlines) >= DEADLINES:
            del self.deadlines[next(iter(self.deadlines))]
            self.overflow += 1
        self.deadlines[key] = at_ns


class LinkState(Scope):
    """One link. ``station`` is the key of its station's state; ``directions`` are those of the station and the CSMS.

    A link whose two legs speak two OCPP versions is two of these: ``far`` is what was said on the CSMS's leg. It is judged in
    its own version, with a memory and a station of its own; its link has the CSMS's subprotocol.
    """

    link: Link = Link(0, 0, "")
    station: str = ""
    version: str = ""
    votes: dict[str, int] = field(default_factory=dict)
    directions: tuple[Direction, Direction] = field(default_factory=lambda: (Direction(), Direction()))
    last_ns: int = 0            # the last frame that was no Close
    first_ns: int = 0           # the first frame
    blind_ns: int = 0           # when the capture last missed something of this link (a gap, a machine asleep)
    closing: Side | None = None  # who sent the first Close frame
    close_code: int = 0
    authorized: bool = False    # the request carried an Authorization header
    replaced: dict[int, Replaced] = field(default_factory=dict)     # frame_id -> what a copy of ours is still to leave for
    own_answer: bool = False    # the HTTP answer is the proxy's (CSMS not reached, head refused)
    far: "LinkState | None" = None
    is_far: bool = False

    @property
    def legs(self) -> tuple["LinkState", ...]:
        """All of the link."""
        return (self,) if self.far is None else (self, self.far)


class Tx(Struct):
    """A transaction of a station, open while ``stopped_ns`` is None. 1.6: ``tx_id`` "" until the CSMS gave one."""

    tx_id: str
    link_id: int
    started_ns: int | None
    call_no: int = 0
    connector_id: int | None = None
    evse_id: int | None = None
    id_token: str = ""
    meter_start: float | None = None
    meter_stop: float | None = None
    stopped_ns: int | None = None
    reason: str = ""
    frame_id: int = 0


class StationState(Scope):
    """One station (identity) over all its links."""

    identity: str = ""
    recent: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))
    seen_ns: int = 0            # when it last connected
    registration: str = ""      # "Pending" or "Rejected" while it may not send Calls, else ""
    booted: bool = False        # a BootNotification was seen
    links: dict[int, bool] = field(default_factory=dict)    # live links -> a Close frame was seen
    transactions: list[Tx] = field(default_factory=list)    # oldest first

    def open_transaction(self, connector_id: int | None = None) -> Tx | None:
        """The latest transaction that has not stopped, on that connector when one is named."""
        for tx in reversed(self.transactions):
            if tx.stopped_ns is None and connector_id in (None, tx.connector_id):
                return tx
        return None

    def transaction(self, tx_id: str) -> Tx | None:
        """The latest transaction of that id."""
        return next((tx for tx in reversed(self.transactions) if tx.tx_id == tx_id), None)


def cut(ages: dict[Any, Any], limit: int) -> None:
    """Drop the oldest entries of a dict that is ordered by age."""
    while len(ages) > limit:
        del ages[next(iter(ages))]
