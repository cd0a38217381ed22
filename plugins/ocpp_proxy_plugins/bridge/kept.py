"""What the bridge remembers of a charger, as frozen structs: stored before anything that follows from it leaves.

``tid`` is the integer transaction id of 1.6, ``uid`` the text of 2.0.1. Times are ns since the epoch unless they are texts
of a message. What has ended is kept for a while, so that what is said again is known again.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

NOTHING = Raw(b"\xc0")                      # msgpack nil
MOST_STATUS = 32                            # characters of a status or errorCode that is remembered
MOST_TAG = 36                               # of an idTag or idToken
MOST_BOOT = 8192                            # bytes of a BootNotification


class Tx(Struct, frozen=True, gc=False, array_like=True):
    """A transaction. ``connector`` is 1.6's, ``evse`` and ``evse_connector`` are 2.0.1's.

    ``state``: pending (begun, not told), waiting (B: not authorised or not plugged in yet), open, ending (B: its end is not
    told yet), ended, refused (B: the 1.6 CSMS did not take it). ``key``: what a repetition of its Start is known by;
    ``stop_key`` the same of its end.
    ``register``: last energy register in Wh. ``flags``: offline, orphan, adopted, maybe_duplicate, deauthorized, remote_stop,
    no_meter_start ... ``seqs``: B: number of its first event, then those between that one and ``next_seq`` that never came.
    """

    tid: int
    uid: str
    connector: int = 0
    evse: int = 0
    evse_connector: int = 0
    id_tag: str = ""
    state: str = "pending"
    next_seq: int = 0
    started: str = ""
    stopped: str = ""
    charging_state: str = ""
    remote_start_id: int | None = None
    reservation_id: int | None = None
    key: str = ""
    stop_key: str = ""
    meter_start: int | None = None
    register: float | None = None
    flags: tuple[str, ...] = ()
    seqs: tuple[int, ...] = ()
    at_ns: int = 0                          # of the last change
    told: bytes = b""                       # JSON of the idTagInfo that its Start was answered with; empty: not answered yet
    last_key: int = 0                       # what a repetition of its last MeterValues is known by
    latest: int = 0                         # B: time of its newest event, ms since the epoch


class Event(Struct, frozen=True, gc=False, array_like=True):
    """A message that has to reach the CSMS, in order. ``state``: new, or sent (an answer was not seen); answered ones go.

    ``payload``: its JSON. ``parked``: tried as often as it may be; a person decides.
    """

    number: int
    tid: int
    action: str
    payload: bytes
    state: str = "new"
    attempts: int = 0
    due_ns: int = 0
    parked: bool = False
    uid: str = ""                           # B: of its transaction, whose tid is not known yet
    kind: str = ""                          # Started, Updated or Ended


class RemoteStart(Struct, frozen=True, gc=False, array_like=True):
    """A start that the CSMS asked for. ``connector`` None: any. ``state``: asked, accepted, given_up (it was told Rejected)."""

    remote_start_id: int
    id_tag: str
    connector: int | None = None
    until_ns: int = 0
    state: str = "asked"
    profile: bytes = b""                    # JSON of the TxProfile that came with it, in the CSMS's version


class Charging(Struct, frozen=True, omit_defaults=True):
    """Transactions and what is owed to the CSMS. ``next_tid`` 0: none given yet.

    ``closed``: msgpack of those that have ended and are told, newest last: so that storing the others costs nothing more.
    """

    next_tid: int = 0
    next_number: int = 1
    next_remote_start: int = 1
    transactions: tuple[Tx, ...] = ()
    outbox: tuple[Event, ...] = ()
    remote_starts: tuple[RemoteStart, ...] = ()
    closed: Raw = NOTHING


class Connector(Struct, frozen=True, gc=False, array_like=True):
    """A connector as last told: ``number`` of 1.6, 2.0.1's ``evse`` and ``conn``; ``status`` in the station's words.

    ``sent``: the status that the CSMS knows. ``error``: the errorCode of 1.6, or the last technical code; empty: none.
    """

    number: int
    evse: int
    conn: int
    status: str = ""
    sent: str = ""
    error: str = ""
    since_ns: int = 0


class Reservation(Struct, frozen=True, gc=False, array_like=True):
    """``reservation_id`` is the same on both sides. ``connector`` of 1.6; 0: any."""

    reservation_id: int
    connector: int = 0
    until_ns: int = 0
    id_tag: str = ""


class Job(Struct, frozen=True, gc=False, array_like=True):
    """An update of firmware or an upload of logs. ``kind``: firmware or log. ``state``: the last status told, or canceled."""

    kind: str
    request_id: int
    state: str = ""
    signed: bool = False


class Profile(Struct, frozen=True, gc=False, array_like=True):
    """A charging profile that the station accepted. ``payload``: JSON in the CSMS's version. ``tid``: of a TxProfile."""

    profile_id: int
    evse: int
    purpose: str
    stack_level: int
    payload: bytes
    tid: int = 0


class Reset(Struct, frozen=True, gc=False, array_like=True):
    """A reset that was asked for. ``state``: waiting (for the last transaction to end), sent."""

    kind: str
    state: str = "sent"
    at_ns: int = 0


class Boot(Struct, frozen=True, gc=False, array_like=True):
    """The last BootNotification: ``payload`` as the station sent it (JSON), ``status`` the CSMS answered."""

    payload: bytes
    status: str = ""
    at_ns: int = 0


def packed(payload: dict[str, Any]) -> bytes:
    """A BootNotification as it is remembered: one that is too long without its parts."""
    body = msgspec.json.encode(payload)
    return body if len(body) <= MOST_BOOT else b"{}"


class Kept(Struct, frozen=True, omit_defaults=True):
    """All of it. ``aliases``: short tag -> [type, token]; ``can``: what the station is known to have or lack.

    ``expected``: triggered messages that are still to come; ``device`` and ``local_list``: msgpack of their owners' structs.
    """

    charging: Charging = Charging()
    connectors: tuple[Connector, ...] = ()
    aliases: dict[str, tuple[str, str]] = {}
    can: dict[str, bool] = {}
    boot: Boot | None = None
    reset: Reset | None = None
    reservations: tuple[Reservation, ...] = ()
    jobs: tuple[Job, ...] = ()
    profiles: tuple[Profile, ...] = ()
    expected: tuple[str, ...] = ()
    device: Raw = NOTHING
    local_list: Raw = NOTHING
    next_event_id: int = 1
    next_request_id: int = 1
    facts: dict[str, Any] = {}              # small things of one feature, named FEATURE.NAME
