"""How far a capture has got: spool positions and the progress that is written with every commit."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
import pyarrow as pa
from msgspec import Struct

from ocpp_proxy_captures.columns import LastLine


class Mark(Protocol):
    """How far one writer's spool was read: all of ``incarnation`` up to and with ``seq``."""

    @property
    def worker(self) -> int:
        """Number of the relay worker."""

    @property
    def incarnation(self) -> int:
        """Its start, 64 bits."""

    @property
    def seq(self) -> int:
        """The last record that was read."""


class Position(Struct, frozen=True, gc=False):
    """A ``Mark`` for those who have no class of their own."""

    worker: int
    incarnation: int
    seq: int


P = TypeVar("P", bound=Mark)


class Progress(Struct):
    """Where the capture stands; written with every commit. ``commits`` tells whether a commit happened.

    ``last_beat_ns`` is the record time reached, ``ahead_ns`` the same where no row has reached it yet, else 0.
    """

    commits: int = 0
    no: int = 0
    last: LastLine = msgspec.field(default_factory=LastLine)
    last_beat_ns: int = 0
    ahead_ns: int = 0
    segment_messages: int = 0
    segment_since_ns: int = 0


def newest(positions: Sequence[P]) -> list[P]:
    """The positions without those that a later one of the same writer replaces."""
    return list({(p.worker, p.incarnation): p for p in positions}.values())


def state_table(changed: Mapping[str, bytes | None]) -> pa.Table:
    """Changed state as Arrow; NULL: the key is gone."""
    return pa.table({
        "key": pa.array(list(changed), pa.string()), "value": pa.array(list(changed.values()), pa.large_binary())})


def meta_table(meta: Mapping[str, str]) -> pa.Table:
    """Facts as Arrow."""
    return pa.table({"key": pa.array(list(meta), pa.string()), "value": pa.array(list(meta.values()), pa.string())})
