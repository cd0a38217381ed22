"""Feeding the pipeline so that no record can stop the recorder for good.

Decoding never raises on what a peer sent; should it do so after all, the process ends and the next one, which goes on from
the last commit, feeds record by record: the one that fails becomes a gap of one record, and the rest goes on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ocpp_proxy.hub.log import logger
from ocpp_proxy.records import Gap, Record
from ocpp_proxy.wire.spool import SpoolRecord

CAREFUL_RECORDS = 20_000                    # after so many without a failure the next ones are fed in batches again


class Feed(Protocol):
    """The pipeline (``core.pipeline.Pipeline``), as far as the recorder uses it."""

    def feed(self, spool: Sequence[SpoolRecord]) -> list[Record]:
        """What follows from records, in order."""

    def lost(self, worker: int, gap: Gap) -> list[Record]:
        """A hole in a worker's records."""

    def changed(self) -> dict[str, bytes | None]:
        """State changed since the last call."""

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Go on from a stored state."""


class Care:
    """Feeds in batches, or one by one after a failure. The mark in the instance folder outlives the process."""

    def __init__(self, pipeline: Feed, instance: Path) -> None:
        self._pipeline = pipeline
        self._mark = instance / "careful"
        self._left = CAREFUL_RECORDS if self._mark.exists() else 0
        self._failed = False

    def feed(self, run: Sequence[SpoolRecord]) -> list[Record]:
        """What follows from records. Raises what the pipeline raises, but for the second time."""
        if not run:
            return []
        if not self._left:
            try:
                return self._pipeline.feed(run)
            except Exception:
                self._mark.touch()
                raise
        out: list[Record] = []
        for record in run:
            out += self._one(record)
        self._left = max(1, self._left - len(run))
        return out

    def committed(self) -> None:
        """What was fed before is in the store: a failure there is behind us."""
        if self._left == 1 or (self._left and self._failed):
            self._left, self._failed = 0, False
            self._mark.unlink(missing_ok=True)

    def _one(self, record: SpoolRecord) -> list[Record]:
        try:
            return self._pipeline.feed((record,))
        except Exception as error:          # whatever it is: this record is given up, not the recorder
            self._failed = True
            reason = f"{type(error).__name__} in decoding"
            logger().error("a record could not be decoded and is left out", seq=record.seq, worker=record.worker, reason=reason)
            gap = Gap(
                record.time_ns, record.worker, record.seq, record.seq, 1, len(record.data), reason, record.time_ns,
            )
            return self._pipeline.lost(record.worker, gap)
