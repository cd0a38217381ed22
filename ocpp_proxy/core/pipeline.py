"""The pipeline: spool records in, the stream of records out. Live and offline are this one class."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.checks.registry import Registry
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.tap import Tap
from ocpp_proxy.records import Gap, Record, Source
from ocpp_proxy.wire.spool import SpoolRecord


class Seals(Protocol):
    """Keeps stored state from others (``core.sealing.Sealer``)."""

    def seal(self, pieces: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """The pieces as they may be stored."""

    def unseal(self, pieces: Mapping[str, bytes]) -> dict[str, bytes]:
        """The pieces as they were; without those that cannot be opened."""


class Pipeline:
    """Assembler and analyser behind each other. Feed it in any batches, restore it at any record: same output.

    With a ``sealer``, state that holds unmasked bytes is stored sealed. ``unopened``: pieces a restore could not open. A
    ``tap`` that is on gets the same stream without masks.
    """

    def __init__(
        self, settings: Settings, ids: Ids, masker: Masker | None, registry: Registry = REGISTRY, sealer: Seals | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.unopened = 0
        self._sealer = sealer
        self._tap = tap or Tap()
        self._assembler = Assembler(ids)
        self._analyser = Analyser(settings, ids, masker, registry)

    @property
    def beat(self) -> int:
        """Record time reached everywhere (the last Beat), 0 before the first."""
        return self._analyser.beat

    def feed(self, spool: Iterable[SpoolRecord]) -> list[Record]:
        """The records that follow from the next spool records, in their merged order."""
        assemble, analyse = self._assembler.feed, self._analyser.feed if not self._tap.on else self._tapped
        source: list[Source] = []
        out: list[Record] = []
        for record in spool:
            assemble(record, source)
        for seen in source:
            analyse(seen, out)
        return out

    def lost(self, worker: int, gap: Gap) -> list[Record]:
        """A hole in a worker's spool that its reader noticed."""
        source: list[Source] = []
        out: list[Record] = []
        self._assembler.lost(worker, gap, source)
        for seen in source:
            self._tapped(seen, out)
        return out

    def _tapped(self, seen: Source, out: list[Record]) -> None:
        before = len(out)
        self._analyser.feed(seen, out)
        if self._tap.on:
            self._tap.feed(seen, out[before:])

    def changed(self) -> dict[str, bytes | None]:
        """State pieces changed since the last call, to be stored with the records: key -> bytes, None: forget it."""
        pieces = self._assembler.changed() | self._analyser.changed()
        return pieces if self._sealer is None else self._sealer.seal(pieces)

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Go on where the stored pieces left off."""
        if self._sealer is not None:
            opened = self._sealer.unseal(pieces)
            self.unopened = len(pieces) - len(opened)
            pieces = opened
        self._assembler.restore({key: piece for key, piece in pieces.items() if key.startswith("a/")})
        self._analyser.restore({key: piece for key, piece in pieces.items() if key.startswith("n/")})
