"""Owns the transactions that are kept of a 1.6 station: finding and numbering them, putting away those that have ended."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Raw, structs

from ocpp_proxy_plugins.bridge.kept import NOTHING, Charging, Tx

LAST_TID = (1 << 31) - 1                    # a positive int32
FIRST_TID, TIDS = 100_000_000, 900_000_000  # where the numbers begin: not where a former CSMS has its own
MOST_CLOSED = 100
MOST_OPEN = 50                              # of a station that forgets to end them
ACCEPTED = b'{"status":"Accepted"}'         # what most are told; of those put away it is left out

Entropy = Callable[[int], bytes]


@lru_cache(maxsize=64)
def _closed(packed: bytes) -> tuple[Tx, ...]:
    return msgspec.msgpack.decode(packed, type=tuple[Tx, ...] | None) or ()


def closed(charging: Charging) -> tuple[Tx, ...]:
    """Those that have ended and are told, newest last."""
    return () if charging.closed == NOTHING else _closed(bytes(charging.closed))


def every(charging: Charging) -> Iterator[Tx]:
    """All that are remembered, the newest first."""
    yield from reversed(charging.transactions)
    yield from reversed(closed(charging))


def by_key(charging: Charging, key: str, field: Literal["key", "stop_key"]) -> Tx | None:
    """The newest whose key that is. Those put away are read only where they hold the text at all: nearly never."""
    found = next((tx for tx in reversed(charging.transactions) if getattr(tx, field) == key), None)
    if found is not None or key.encode() not in bytes(charging.closed):
        return found
    return next((tx for tx in reversed(closed(charging)) if getattr(tx, field) == key), None)


def by_tid(charging: Charging, tid: object) -> Tx | None:
    """That of a number; what has been put away is not looked at."""
    for tx in charging.transactions:
        if tx.tid == tid:
            return tx
    return None


def by_uid(charging: Charging, uid: object) -> Tx | None:
    """That of a text, ended or not."""
    return next((tx for tx in every(charging) if tx.uid == uid), None)


def is_open(tx: Tx) -> bool:
    """Whether it has begun and not ended, told or not."""
    return tx.state != "ended"


def running(charging: Charging, connector: int | None = None) -> list[Tx]:
    """Those that have not ended; of one connector, or of all."""
    return [tx for tx in charging.transactions if tx.state != "ended" and connector in (None, tx.connector)]


def changed(charging: Charging, tx: Tx) -> tuple[Tx, ...]:
    """All of them with this one as it is now."""
    return tuple(tx if one.tid == tx.tid else one for one in charging.transactions)


def put_away(charging: Charging, tx: Tx) -> Charging:
    """It has ended and is told: kept among the newest, so that what is said of it again is known."""
    told = b"" if tx.told == ACCEPTED else tx.told
    before = [] if charging.closed == NOTHING else msgspec.msgpack.decode(charging.closed, type=list[Raw])
    last = Raw(msgspec.msgpack.encode(structs.replace(tx, last_key=0, charging_state="", told=told)))
    kept = [*before[1 - MOST_CLOSED :], last]           # the others as they are packed: they need not be read
    others = tuple(one for one in charging.transactions if one.tid != tx.tid)
    return structs.replace(charging, transactions=others, closed=Raw(msgspec.msgpack.encode(kept)))


def bounded(charging: Charging) -> tuple[Charging, Tx | None]:
    """Room for one more; and that which was put away for it, although it has not ended: its end will still be known."""
    if len(charging.transactions) < MOST_OPEN:
        return charging, None
    owed = {event.tid for event in charging.outbox}
    oldest = next((tx for tx in charging.transactions if tx.tid not in owed), charging.transactions[0])
    return put_away(charging, oldest), oldest


def next_tid(charging: Charging, entropy: Entropy) -> int | None:
    """A number that was never given; None: there is none left. The caller keeps the one behind it."""
    tid = charging.next_tid or FIRST_TID + int.from_bytes(entropy(8), "big") % TIDS
    taken = {tx.tid for tx in charging.transactions}
    packed = bytes(charging.closed)
    while tid in taken or (msgspec.msgpack.encode(tid) in packed and any(tx.tid == tid for tx in closed(charging))):
        tid += 1
    return tid if tid <= LAST_TID else None


def new_uid(entropy: Entropy) -> str:
    """A version 4 UUID: 36 characters, the most that 2.0.1 allows."""
    return str(UUID(bytes=entropy(16), version=4))


def is_id(value: object, least: int = 1) -> bool:
    """Whether it can be the number of something in OCPP: an int32 from ``least`` on."""
    return type(value) is int and least <= value <= LAST_TID


def key_of(*parts: object) -> str:
    """What a repetition is known by."""
    return sha256("|".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:16]
