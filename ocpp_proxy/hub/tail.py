"""The tail of the spool: the records of all workers in one order, each once, with the holes named.

Segments lie in the spool folder or were moved to a second one (``hub.overflow``); one that lies in both is read once.

Order is ``(mono_ns, worker, seq)`` within one boot of the machine, earlier boots first. A record is given out once no
live worker can still append an earlier one. Positions say how far each worker was given out; a tail that starts from
the positions of the last commit goes on behind them.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.hub.segments import SegmentName, SegmentReader, read_header, scan
from ocpp_proxy.hub.store import Position
from ocpp_proxy.records import Gap
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Damage, Kind, SpoolRecord

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BUFFER_BYTES = 1 << 20                      # a worker ahead of a silent one waits in its files, not in memory
READ_BYTES = 1 << 20                        # data given out at once; only a single larger record is more


class Lost(Struct, frozen=True, gc=False):
    """A hole in one worker's spool that no GAP record accounts for: damage, or segments that are gone."""

    worker: int
    incarnation: int
    gap: Gap


Item = SpoolRecord | Lost
_Key = tuple[int, int, int]                 # boot rank, mono_ns, worker
_GAP = Kind.GAP                             # looked up once: members of an enum are slow to get at


def reached(item: Item) -> Position:
    """How far its worker's spool was read with this item."""
    seq = item.gap.to_seq if isinstance(item, Lost) else item.seq
    return Position(item.worker, item.incarnation, seq)


class Tail:
    """Tails a spool folder. One thread; every call returns at once with what is there."""

    def __init__(self, folder: Path, positions: Iterable[Position] = (), moved: Path | None = None) -> None:
        """``positions``: the newest of each worker; those of its earlier incarnations may stand beside it."""
        self.cut = False                    # the last read ended at a bound: there is more
        self._folders = (folder,) if moved is None else (folder, moved)
        self._boot = _this_boot()
        self._streams: dict[int, _Stream] = {
            worker: _Stream(self._folders, self._boot, worker, reached)
            for worker, reached in _by_worker(positions).items()
        }

    def read(self, limit: int) -> list[Item]:
        """The next items in order, at most ``limit`` and about ``READ_BYTES``; empty when nothing can be given out now."""
        for worker in sorted({name.worker for name in _scan_all(self._folders)} - self._streams.keys()):
            self._streams[worker] = _Stream(self._folders, self._boot, worker, {})
        streams = list(self._streams.values())
        for stream in streams:
            stream.fill(limit)
        out: list[Item] = []
        if len(streams) == 1:
            self.cut = streams[0].give(out, limit) >= READ_BYTES or len(out) == limit
            return out
        room = READ_BYTES
        while len(out) < limit and room > 0:
            ready = [stream for stream in streams if stream.buffer]
            if not ready:
                break
            first = min(ready, key=_Stream.head)
            if any(stream.live and not stream.buffer and stream.last_key < first.head() for stream in streams):
                break
            room -= first.give(out, 1)
            if not first.buffer:
                first.fill(limit)
        self.cut = room <= 0 or len(out) == limit
        return out

    @property
    def drained(self) -> bool:
        """Whether every writer is gone and everything was given out, as of a ``read`` that gave nothing."""
        return all(not stream.live and not stream.buffer for stream in self._streams.values())

    def positions(self) -> list[Position]:
        """How far every worker was given out."""
        return [stream.given for stream in self._streams.values() if stream.given.incarnation]

    def finished(self, positions: Sequence[Position]) -> list[Path]:
        """The segments nobody appends to whose records all lie behind ``positions``; oldest of each worker first."""
        at = _by_worker(positions)
        return [
            path for worker, stream in self._streams.items() if worker in at
            for path in stream.finished(at[worker])
        ]

    def forget(self, path: Path) -> None:
        """A segment of ``finished`` is dealt with (deleted, moved)."""
        for stream in self._streams.values():
            stream.done = [done for done in stream.done if done.name.path != path]

    def replaced(self, old: Path, new: Path) -> None:
        """A closed segment lies elsewhere from now on; it is read on, or finished, there."""
        for stream in self._streams.values():
            stream.replaced(old, new)

    def spool_bytes(self) -> int:
        """Bytes of all segments in the spool folder."""
        return sum(size_of(name.path) for name in scan(self._folders[0]))

    def close(self) -> None:
        """Let go of the open files."""
        for stream in self._streams.values():
            stream.close()


class _Done(Struct, frozen=True, gc=False):
    """A segment that was read to its end. ``order``: the how-manieth incarnation of its worker it belongs to."""

    name: SegmentName
    order: int
    last_seq: int


class _Stream:
    """One worker's segments: its incarnations one after the other, each segment drained before the next."""

    def __init__(self, folders: tuple[Path, ...], boot: bytes, worker: int, reached: Mapping[int, int]) -> None:
        """``reached``: incarnation -> seq up to which it was committed."""
        self.buffer: deque[tuple[_Key, Item]] = deque()
        self.live = False                   # a segment is open and its writer may append
        self.last_key: _Key = (0, 0, 0)
        self.done: list[_Done] = []
        self._folders = folders
        self._boot = boot
        self._worker = worker
        self._reader: SegmentReader | None = None
        self._held_bytes = 0                # data of the buffer
        self._orders: dict[int, int] = {}
        self._seen: set[tuple[int, int]] = set()            # incarnation, number
        self._incarnation = self._skip_before(reached)
        self._seq = reached.get(self._incarnation, 0)       # the last one accounted for
        self._read_seq = 0                  # the last one seen in the files of this incarnation
        self._time_ns = 0                   # its record time
        self._damaged = 0                   # bytes of damage since then
        self._torn = 0                      # records that seem to begin in them
        self.given = Position(worker, self._incarnation, self._seq)

    def head(self) -> _Key:
        """The key of the next item."""
        return self.buffer[0][0]

    def give(self, out: list[Item], most: int) -> int:
        """Move up to ``most`` items and about ``READ_BYTES`` to ``out``; gives the bytes."""
        buffer, released, item = self.buffer, 0, None
        for _ in range(min(most, len(buffer))):
            item = buffer.popleft()[1]
            out.append(item)
            if type(item) is SpoolRecord:
                released += len(item.data)
                if released >= READ_BYTES:
                    break
        if item is not None:
            self._held_bytes -= released
            self.given = reached(item)
        return released

    def fill(self, enough: int) -> None:
        """Read on until ``enough`` items wait, or the writer has appended no more."""
        while len(self.buffer) < enough and self._held_bytes < BUFFER_BYTES:
            reader = self._reader or self._open_next()
            if reader is None:
                return
            self.live = reader.held()       # first this, then the reading: what a dead writer left is then complete
            items, end = reader.read(closed=not self.live)
            self._sort(reader, items)
            if end:
                if self.live:
                    return
                reader.close()
                self._reader = None
                self.done.append(_Done(reader.name, self._orders[self._incarnation], max(self._seq, self._read_seq)))

    def finished(self, reached: Mapping[int, int]) -> list[Path]:
        """See ``Tail.finished``."""
        newest = max(reached, key=lambda incarnation: self._orders.get(incarnation, -1))
        order = self._orders.get(newest, -1)
        paths = []
        for done in self.done:
            if done.order > order or (done.order == order and done.last_seq > reached[newest]):
                break
            paths.append(done.name.path)
        return paths

    def replaced(self, old: Path, new: Path) -> None:
        """See ``Tail.replaced``. The file that is being read stays open: it is the same bytes."""
        if self._reader is not None and self._reader.name.path == old:
            self._reader.name = structs.replace(self._reader.name, path=new)
        self.done = [
            structs.replace(done, name=structs.replace(done.name, path=new)) if done.name.path == old else done
            for done in self.done
        ]

    def close(self) -> None:
        """Let go of the open file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _sort(self, reader: SegmentReader, items: list[SpoolRecord | Damage]) -> None:
        rank, worker, push, held = self._rank(reader.header), self._worker, self.buffer.append, 0
        for item in items:                  # type() is: three times as quick as isinstance, once per record
            if type(item) is SpoolRecord and item.seq == self._seq + 1 and item.kind is not _GAP and not self._damaged:
                self._seq = self._read_seq = item.seq       # the usual case: the next one
                self._time_ns, self.last_key = item.time_ns, (rank, item.mono_ns, worker)
                held += len(item.data)
                push((self.last_key, item))
            elif isinstance(item, Damage):
                self._damaged += item.end - item.start
                self._torn += reader.beginnings(item)
            else:
                self._take((rank, item.mono_ns, worker), item)
        self._held_bytes += held

    def _take(self, key: _Key, item: SpoolRecord) -> None:
        if item.seq > self._seq:            # else committed before
            expected = self._seq + 1
            if item.kind is _GAP:
                expected = self._past_gap(item, expected, key)
            if item.seq > expected:
                self._lose(key, expected, item.seq - 1, item.time_ns)
            self.buffer.append((key, item))
            self._held_bytes += len(item.data)
            self._seq = item.seq
        self._damaged = self._torn = 0
        self._read_seq, self._time_ns, self.last_key = item.seq, item.time_ns, key

    def _past_gap(self, record: SpoolRecord, expected: int, key: _Key) -> int:
        """The relay's own GAP accounts for its range; what is missing before that range is lost besides."""
        try:
            body = spool.decode_body(record)
        except msgspec.DecodeError:
            return expected
        if not isinstance(body, spool.GapBody) or body.from_seq > record.seq:
            return expected
        if body.from_seq > expected:
            self._lose(key, expected, body.from_seq - 1, body.started_ns)
        return max(expected, body.to_seq + 1)

    def _lose(self, key: _Key, first: int, last: int, ended_ns: int, reason: str = "") -> None:
        reason = reason or ("damaged" if self._damaged else "missing")
        began_ns = self._time_ns or ended_ns
        gap = Gap(began_ns, self._worker, first, last, last - first + 1, self._damaged, reason, ended_ns)
        self.buffer.append((key, Lost(self._worker, self._incarnation, gap)))
        self._seq = last
        self._damaged = self._torn = 0

    def _end_incarnation(self) -> None:
        """No segment of this incarnation follows: a bad tail is what the dying writer could not finish."""
        last = self._read_seq + max(1, self._torn)
        if self._damaged and last > self._seq:
            self._lose(self.last_key, self._seq + 1, last, self._time_ns, "torn tail")
            done = self.done[-1]
            self.done[-1] = _Done(done.name, done.order, last)
        self._damaged = self._torn = 0

    def _open_next(self) -> SegmentReader | None:
        """Open the segment after the last one. The listing is made here, after the last one was found let go of."""
        unread = [name for name in self._scan() if (name.incarnation, name.number) not in self._seen]
        mine = [name for name in unread if name.incarnation == self._incarnation]
        if not mine and self._orders:
            self._end_incarnation()
        chosen = mine or self._next_incarnation(unread)
        for name in chosen:
            header = read_header(name)
            if header is not None:
                return self._begin(chosen[0], name, header)
            if name is chosen[-1] and not self._begun([n for n in unread if n.incarnation != name.incarnation]):
                break                       # its writer is about to fill it
            self._damaged += size_of(name.path)
            self._seen.add((name.incarnation, name.number))
            self.done.append(_Done(name, self._orders.get(name.incarnation, len(self._orders)), self._seq))
        return None

    def _begin(self, first: SegmentName, name: SegmentName, header: spool.Segment) -> SegmentReader:
        if name.incarnation not in self._orders:
            self._orders[name.incarnation] = len(self._orders)
            self._incarnation, self._time_ns, self._read_seq = name.incarnation, 0, 0
            self._seq = 0 if first.number <= 1 else header.first_seq - 1
        self._seen.add((name.incarnation, name.number))
        self._reader = SegmentReader(name, header)
        self.last_key = max(self.last_key, (self._rank(header), header.mono_ns, self._worker))
        return self._reader

    def _next_incarnation(self, names: list[SegmentName]) -> list[SegmentName]:
        """The segments of the incarnation that began first among those with a readable header."""
        begun = self._begun(names)
        return [name for name in names if name.incarnation == min(begun, key=begun.__getitem__)] if begun else []

    def _skip_before(self, reached: Mapping[int, int]) -> int:
        """The incarnation to go on with: the newest that was begun. What began before it in the folder was committed.

        If none of them is in the folder any more, all there is began later: segments are deleted in order.
        """
        names = self._scan()
        begun = self._begun(names)
        known = [incarnation for incarnation in reached if incarnation in begun]
        if not known:
            newest = next(iter(reached), 0)
        else:
            newest = max(known, key=begun.__getitem__)
            for name in names:
                if name.incarnation in begun and begun[name.incarnation] < begun[newest]:
                    self._seen.add((name.incarnation, name.number))
                    self.done.append(_Done(name, -1, 0))
        if newest:
            self._orders[newest] = 0
        return newest

    def _scan(self) -> list[SegmentName]:
        return [name for name in _scan_all(self._folders) if name.worker == self._worker]

    def _begun(self, names: list[SegmentName]) -> dict[int, tuple[int, int]]:
        begun: dict[int, tuple[int, int]] = {}
        for name in names:
            header = None if name.incarnation in begun else read_header(name)
            if header is not None:
                begun[name.incarnation] = (self._rank(header), header.mono_ns)
        return begun

    def _rank(self, header: spool.Segment) -> int:
        """Earlier boots sort before this one, among themselves by their wall clock."""
        return 1 << 63 if header.boot_id == self._boot else header.wall_ns


def _scan_all(folders: tuple[Path, ...]) -> list[SegmentName]:
    """The segments of all folders in order. Of one that lies in two, the first counts: the other is its copy."""
    if len(folders) == 1 or not folders[1].exists():
        return scan(folders[0])
    found: dict[tuple[int, int, int], SegmentName] = {}
    for folder in folders:
        for name in scan(folder):
            found.setdefault((name.worker, name.incarnation, name.number), name)
    return sorted(found.values())


def _by_worker(positions: Iterable[Position]) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = {}
    for position in positions:
        found.setdefault(position.worker, {})[position.incarnation] = position.seq
    return found


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _this_boot() -> bytes:
    """The boot id the relay writes into its headers; zeros where the system has none."""
    try:
        return bytes.fromhex(BOOT_ID.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
