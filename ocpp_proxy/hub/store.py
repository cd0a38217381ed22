"""What the recorder asks of a store. ``cli`` hands one in (DuckDB, or nothing), so hub and captures stay strangers."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from ocpp_proxy.records import Record


class Position(Struct, frozen=True, gc=False):
    """How far one writer's spool was read: all of ``incarnation`` up to and with ``seq``."""

    worker: int
    incarnation: int
    seq: int


class Store(Protocol):
    """A capture that is being written. Every method blocks; the recorder calls them all from one thread of its own."""

    def positions(self) -> list[Position]:
        """The positions of the last commit, read back from the store."""

    def state(self) -> dict[str, bytes]:
        """The pipeline state of the last commit (``core.pipeline.Pipeline.restore`` takes it)."""

    def commit(
        self, records: Sequence[Record], positions: Sequence[Position], changed: Mapping[str, bytes | None],
    ) -> None:
        """Write rows, positions and changed state (None: forget that key) in one transaction. Raises ``CaptureError``."""

    def checkpoint(self) -> None:
        """Move what is committed into the file proper (no ``.wal`` remains). Raises ``CaptureError``."""

    def close(self) -> None:
        """Checkpoint and let go of the file."""
