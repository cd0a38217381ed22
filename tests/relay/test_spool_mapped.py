"""The spool writer on mapped segments: whole before it goes on, zeros behind it, full disk, what a killed writer leaves."""

import errno
import fcntl
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ocpp_proxy.config import SpoolConfig
from ocpp_proxy.hub.segments import SegmentReader, read_header, scan
from ocpp_proxy.hub.tail import Lost, Tail
from ocpp_proxy.relay import segments
from ocpp_proxy.relay.spool import Entry, SpoolWriter
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Damage, Kind, SpoolRecord
from tests.relay.stage import gaps, read_spool


def chunk(data: bytes) -> Entry:
    return (Kind.IN, 0, 1, 0, data, None, None)


def mapped(folder: Path, config: SpoolConfig | None = None) -> SpoolWriter:
    return SpoolWriter(folder / "spool", 0, config or SpoolConfig(), mapped=True)


def only(folder: Path) -> Path:
    (path,) = (folder / "spool").glob("*.seg")
    return path


def read(path: Path) -> list[SpoolRecord | Damage]:
    """All of a segment, as of one whose writer is gone."""
    data = path.read_bytes()
    header = spool.read_segment_header(data)
    assert header is not None
    return [item for item, _ in spool.read_records(data[spool.SEGMENT.size :], header, spool.SEGMENT.size, True)]


def left_behind(folder: Path, data: bytes, name: str = "") -> Path:
    """A segment as a killed writer leaves it: a name of its own, nobody holds its lock."""
    made = folder / "left" / (name or only(folder).name)
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(data)
    return made


def test_a_record_is_in_the_file_whole_when_the_call_returns_and_the_file_ends_with_it_at_the_end(tmp_path: Path) -> None:
    writer = mapped(tmp_path)
    path = only(tmp_path)
    sent: list[bytes] = []
    for n in range(300):
        sent.append(b"chunk %d " % n * (n % 90))
        if n % 3:
            assert writer.append_one(1, 5, n, sent[-1], 7)
        else:
            writer.append([chunk(sent[-1])])
        found = read(path)
        assert len(found) == n + 1 and isinstance(found[-1], SpoolRecord) and found[-1].data == sent[-1]
    size = path.stat().st_size
    total = spool.SEGMENT.size + sum(spool.RECORD.size + len(data) for data in sent)
    assert writer.written_bytes == total - spool.SEGMENT.size
    writer.close()
    assert path.stat().st_size == total < size <= total + segments.STEP
    assert [item.data for item in read(path) if isinstance(item, SpoolRecord)] == sent


def test_no_write_is_made_for_records(tmp_path: Path) -> None:
    def never(fd: int, parts: object) -> int:
        raise AssertionError("written")
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), never, mapped=True)
    for n in range(50):
        assert writer.append_one(0, 1, n, b"x" * 1000, 1)
        writer.append([chunk(bytes(segments.STEP)), chunk(b"y")])       # larger than what is set aside at once
    writer.close()
    assert [record.seq for record in read_spool(tmp_path / "spool")] == list(range(1, 151))


def test_the_lock_is_let_go_with_the_window(tmp_path: Path) -> None:
    writer = mapped(tmp_path, SpoolConfig(segment_bytes=4096))
    for _ in range(8):
        writer.append([chunk(b"x" * 1000)])
    *closed, last = sorted((tmp_path / "spool").iterdir())
    assert len(closed) == 2
    for path in closed:
        with path.open("rb") as reader:
            fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with last.open("rb") as reader, pytest.raises(BlockingIOError):
        fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)
    writer.close()


@pytest.mark.parametrize("what", ["set aside", "map"])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_where_no_more_can_be_set_aside_records_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, at: int,
) -> None:
    calls = 0
    really, really_map = os.posix_fallocate, mmap.mmap

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(errno.ENOSPC, "full")

    def fallocate(fd: int, offset: int, count: int) -> None:
        really(fd, offset, count)           # some of it may have been set aside
        fail()

    def mapping(fd: int, length: int, offset: int) -> mmap.mmap:
        fail()
        return really_map(fd, length, offset=offset)

    if what == "set aside":
        monkeypatch.setattr(os, "posix_fallocate", fallocate)
    else:
        monkeypatch.setattr(mmap, "mmap", mapping)
    writer = mapped(tmp_path, SpoolConfig(segment_bytes=1 << 20))
    sizes = [20_000] * 80
    for n, size in enumerate(sizes):
        if n % 2 or not writer.append_one(0, 1, 0, bytes(size), 1):
            writer.append([chunk(bytes(size))])
        assert writer.together == (calls == at and len(list((tmp_path / "spool").iterdir())) == 1)
    assert calls > at                       # the next segment is mapped again
    writer.close()
    records = read_spool(tmp_path / "spool")
    assert [(record.seq, len(record.data)) for record in records] == [(n, size) for n, size in enumerate(sizes, 1)]
    assert writer.gaps == writer.lost_records == 0
    for path in (tmp_path / "spool").iterdir():
        assert not any(isinstance(item, Damage) for item in read(path))


def test_a_full_disk_is_a_gap_with_the_true_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = False
    really = os.posix_fallocate

    def fallocate(fd: int, offset: int, count: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "full")
        really(fd, offset, count)

    def write(fd: int, parts: Sequence[bytes]) -> int:
        if full:
            raise OSError(errno.ENOSPC, "full")
        return os.writev(fd, parts)
    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), write, mapped=True)
    writer.append([chunk(b"one")])
    full = True
    room = writer._segment.room // 1056
    for _ in range(room + 5):               # what was set aside is used up first
        if not writer.append_one(0, 1, 0, b"x" * 1000, 1):
            writer.append([chunk(b"x" * 1000)])
    assert writer.in_gap and 4 <= writer.lost_records <= 6
    assert not writer.append_one(0, 1, 0, b"", 1)           # however small it is
    full = False
    writer.tick()
    assert not writer.in_gap
    writer.append([chunk(b"end")])
    writer.close()
    records = read_spool(tmp_path / "spool")
    (gap,) = gaps(records)
    assert gap.reason == os.strerror(errno.ENOSPC) and gap.records == writer.lost_records
    missing = list(range(gap.from_seq, gap.to_seq + 1))
    assert sorted([record.seq for record in records] + missing) == list(range(1, writer.seq + 1))


def test_what_is_set_aside_keeps_within_the_limit(tmp_path: Path) -> None:
    limit = 300_000
    writer = mapped(tmp_path, SpoolConfig(limit_bytes=limit, segment_bytes=250_000))
    while not writer.in_gap:
        if not writer.append_one(0, 1, 0, b"x" * 777, 1):
            writer.append([chunk(b"x" * 777)])
        assert sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) <= limit
    assert writer.written_bytes > limit - 2000
    writer.close()


def test_zeros_behind_the_records_of_a_killed_writer_are_no_damage(tmp_path: Path) -> None:
    writer = mapped(tmp_path)
    for n in range(5):
        writer.append([chunk(b"data %d" % n)])
    data = only(tmp_path).read_bytes()
    end = writer._segment.size
    assert len(data) > end + 100_000 and not any(data[end:])
    writer.close()
    for stop in (end, end + 1, end + 56, end + 4096, len(data)):
        tail = Tail(left_behind(tmp_path, data[:stop]).parent)
        items = tail.read(100)
        assert [item.seq for item in items if isinstance(item, SpoolRecord)] == [1, 2, 3, 4, 5] and len(items) == 5
        assert tail.read(100) == [] and tail.drained
        tail.close()


@pytest.mark.parametrize("order", ["front first", "back first"])
def test_a_store_that_was_cut_short_costs_its_own_record(tmp_path: Path, order: str) -> None:
    writer = mapped(tmp_path)
    writer.append([chunk(b"one")])
    start = writer._segment.size
    writer.append([chunk(b"two" * 20)])
    end = writer._segment.size
    data = only(tmp_path).read_bytes()
    writer.close()
    for cut in range(1, end - start):
        kept = data[start : start + cut].ljust(end - start, b"\0")
        if order == "back first":
            kept = data[end - cut : end].rjust(end - start, b"\0")
        left = left_behind(tmp_path, data[:start] + kept + data[end:])
        tail = Tail(left.parent)
        (one, *lost), rest = tail.read(100), tail.read(100)
        lost += rest
        assert isinstance(one, SpoolRecord) and one.data == b"one"
        assert [(item.gap.from_seq, item.gap.to_seq) for item in lost if isinstance(item, Lost)] == [(2, 2)] and len(lost) == 1
        tail.close()


def test_what_is_read_while_it_is_stored_is_unfinished_and_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = mapped(tmp_path)
    writer.append([chunk(b"one")])
    start = writer._segment.size
    writer.append([chunk(b"two" * 20), chunk(b"three")])
    (name,) = scan(tmp_path / "spool")
    header = read_header(name)
    assert header is not None
    reader = SegmentReader(name, header)
    really, torn = os.pread, [True]

    def pread(fd: int, count: int, offset: int) -> bytes:
        """The second record was being stored when its bytes were copied, and the third was there when they came to it."""
        data = really(fd, count, offset)
        if torn and torn.pop():
            at = start - offset
            data = data[: at + 30] + bytes(60) + data[at + 90 :]
        return data
    monkeypatch.setattr(os, "pread", pread)
    items, _ = reader.read(closed=False)
    assert not torn and [item.data for item in items if isinstance(item, SpoolRecord)] == [b"one", b"two" * 20, b"three"]
    assert len(items) == 3
    reader.close()
    torn.extend([True] * 5)                 # bytes that stay so are damage, also while the writer lives
    again = SegmentReader(name, header)
    items, _ = again.read(closed=False)
    assert [type(item) for item in items] == [SpoolRecord, Damage, SpoolRecord] and len(torn) == 3
    again.close()
    writer.close()


def test_only_a_folder_in_memory_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(segments, "_MOUNTS", mounts)
    assert not segments.in_memory(tmp_path)
    line = "36 35 {} / /some/where rw,noatime master:1 - {} name rw,errors=continue\n"
    for kind, expected in (("tmpfs", True), ("ext4", False), ("nfs", False), ("overlay", False)):
        mounts.write_text(line.format("99:99", "sysfs") + line.format(number, kind) + line.format("99:98", "tmpfs"))
        assert segments.in_memory(tmp_path) is expected
        writer = SpoolWriter(tmp_path / f"spool-{kind}", 0, SpoolConfig())
        writer.append([chunk(b"x")])
        size = next((tmp_path / f"spool-{kind}").iterdir()).stat().st_size
        assert (size > 1000) is expected and writer.together is not expected
        writer.close()
    mounts.write_text("")
    assert not segments.in_memory(tmp_path)


CHILD = """
import sys
from pathlib import Path
from ocpp_proxy.config import SpoolConfig
from ocpp_proxy.relay.spool import SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]), 0, SpoolConfig(segment_bytes=300_000), mapped=True)
sent = 0
while True:
    assert writer.append_one(0, 1, sent, b"%d " % sent * (sent % 300), 1)
    sent += 1
    sys.stdout.buffer.write(b".")
    sys.stdout.buffer.flush()
"""


def test_what_was_passed_on_before_kill_9_is_there_once_and_nothing_is_damaged_but_the_last(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "spool")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    passed = len(child.stdout.read(3000))
    child.send_signal(signal.SIGKILL)
    passed += len(child.stdout.read())
    child.wait()
    child.stdout.close()
    tail = Tail(tmp_path / "spool")
    items = []
    while found := tail.read(1000):
        items += found
    tail.close()
    records = [item for item in items if isinstance(item, SpoolRecord)]
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert passed <= len(records) <= passed + 1
    assert len(items) - len(records) <= 1
    assert all(record.data == b"%d " % n * (n % 300) for n, record in enumerate(records))
