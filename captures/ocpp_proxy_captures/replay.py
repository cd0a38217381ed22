"""Commits what segments still hold into a capture: kept ones (as they were committed), or those of a spool (decoded anew)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.core.assemble import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.sealing import Sealer
from ocpp_proxy.records import Gap, LinkClosed, LinkOpened, Record
from ocpp_proxy.wire import kept, spool
from ocpp_proxy.wire.kept import Batch, Reached
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.writer import DuckStore

FEED = 5_000


class _Segment(Struct, frozen=True):
    """A spool segment with what its header says."""

    path: Path
    header: spool.Segment


def kept_files(capture: Path) -> list[Path]:
    """The kept segments of a capture, oldest first."""
    found = [path for path in kept.kept_folder(capture).glob(f"*{kept.SUFFIX}") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem))


def replay_kept(files: Sequence[Path], store: DuckStore[Position]) -> tuple[int, int]:
    """Commit the kept batches that are not in the store yet, each hole as a gap. Gives batches and gaps.

    After a run that did not end in order the state of its open links is not known: they end here, as lost.
    """
    done = int(store.state().get(kept.NUMBER, b"0"))
    reached = {(one.worker, one.incarnation): one.seq for one in store.positions()}
    count = gaps = at_ns = 0
    links: set[int] = set()
    for batch in _batches(files):
        if batch.number <= done:
            continue
        holes = list(_holes(batch, reached))
        if holes:
            store.commit(holes, (), {})
            gaps += len(holes)
        positions = [Position(*one) for one in batch.positions]
        store.commit(batch.records, positions, batch.state)
        if batch.whole:
            links.clear()
        for record in batch.records:
            at_ns = max(at_ns, _time(record))
            if isinstance(record, LinkOpened):
                links.add(record.link.link_id)
            elif isinstance(record, LinkClosed):
                links.discard(record.link_id)
        reached.update(((one.worker, one.incarnation), one.seq) for one in positions)
        count += not batch.whole
    if links:
        store.commit([LinkClosed(at_ns, link_id, "lost") for link_id in sorted(links)], (), {})
    return count, gaps


def _batches(files: Sequence[Path]) -> Iterator[Batch]:
    """The batches that count, in order; one file at a time is in memory."""
    numbers = [entry.number for path in files for entry in kept.read(path.read_bytes())]
    wanted, place = set(kept.valid(numbers)), -1
    for path in files:
        for entry in kept.read(path.read_bytes()):
            place += 1
            batch = kept.decode(entry) if place in wanted else None
            if batch is not None:
                yield batch


def _holes(batch: Batch, reached: dict[tuple[int, int], int]) -> Iterator[Gap]:
    """What was committed before this batch and is not there: never kept, thinned out or damaged."""
    for worker, incarnation, seq in batch.before:
        first = reached.get((worker, incarnation), 0) + 1
        if seq >= first:
            at_ns = next((_time(record) for record in batch.records), 0)
            reached[worker, incarnation] = seq
            yield Gap(at_ns, worker, first, seq, seq - first + 1, 0, "not in the kept segments", at_ns)


def _time(record: Record) -> int:
    if isinstance(record, LinkOpened):
        return record.link.opened_ns
    for holder in (record, *(getattr(record, part, None) for part in ("frame", "message", "finding"))):
        time_ns = getattr(holder, "time_ns", None)
        if isinstance(time_ns, int):
            return time_ns
    return 0


def replay_spool(folders: Sequence[Path], store: DuckStore[Position], key: bytes) -> tuple[int, int]:
    """Feed spool segments to a fresh pipeline and commit what follows. Gives records and gaps."""
    pipeline = Pipeline(Settings(), Ids(), Masker(key), sealer=Sealer(key))
    count = gaps = 0
    batch: list[spool.SpoolRecord] = []
    last: dict[tuple[int, int], int] = {}

    def flush() -> None:
        out = pipeline.feed(batch)
        positions = [Position(worker, incarnation, seq) for (worker, incarnation), seq in last.items()]
        store.commit(out, positions, pipeline.changed())
        batch.clear()

    for record in _records(folders):
        one: Reached = (record.worker, record.incarnation, record.seq)
        expected = last.get(one[:2], record.seq - 1) + 1
        if record.seq < expected:
            continue                        # the same segment twice
        if record.seq > expected:
            flush()
            gap = Gap(record.time_ns, record.worker, expected, record.seq - 1, record.seq - expected, 0, "damaged spool")
            store.commit(pipeline.lost(record.worker, gap), (), pipeline.changed())
            gaps += 1
        last[one[:2]] = record.seq
        batch.append(record)
        count += 1
        if len(batch) >= FEED:
            flush()
    flush()
    return count, gaps


def _records(folders: Sequence[Path]) -> Iterator[spool.SpoolRecord]:
    found: list[_Segment] = []
    for path in (path for folder in folders for path in folder.glob("w*.seg")):
        header = spool.read_segment_header(path.read_bytes()[: spool.SEGMENT.size])
        if header is not None:
            found.append(_Segment(path, header))
    for segment in sorted(found, key=lambda one: (one.header.wall_ns, one.header.worker, one.header.first_seq)):
        data = segment.path.read_bytes()[spool.SEGMENT.size :]
        for item, _ in spool.read_records(data, segment.header, spool.SEGMENT.size, final=True):
            if isinstance(item, spool.SpoolRecord):
                yield item
