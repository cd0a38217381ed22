"""The spool writer: order, rotation, limit, faults at every write, gaps with their true count, safe folders."""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ocpp_proxy.config import SpoolConfig
from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay import segments
from ocpp_proxy.relay.spool import Entry, SpoolWriter
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import gaps, of, read_spool


def chunk(data: bytes, link: int = 1, offset: int = 0) -> Entry:
    return (Kind.IN, 0, link, offset, data, None, None)


class Faulty:
    """Writes like ``os.writev``, but write number ``at`` (and the next ``count`` - 1) goes wrong."""

    def __init__(self, at: int, kind: str, count: int = 1) -> None:
        self.at, self.kind, self.count, self.calls = at, kind, count, 0

    def __call__(self, fd: int, parts: Sequence[bytes]) -> int:
        self.calls += 1
        if not self.at <= self.calls < self.at + self.count:
            return os.writev(fd, parts)
        if self.kind == "short":
            whole = b"".join(parts)
            return os.write(fd, whole[: len(whole) * 2 // 3])
        if self.kind == "torn" and self.calls == self.at:   # what a disk that becomes full does: short first, then the error
            whole = b"".join(parts)
            return os.write(fd, whole[: len(whole) * 2 // 3])
        raise OSError(errno.EIO if self.kind == "EIO" else errno.ENOSPC, "broken")


def accounted(folder: Path) -> tuple[list[int], list[int]]:
    """The sequence numbers that are there, and those a GAP says are missing."""
    records = read_spool(folder)
    missing = [number for gap in gaps(records) for number in range(gap.from_seq, gap.to_seq + 1)]
    return [record.seq for record in records], missing


def test_a_record_is_laid_out_as_the_codec_says(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 3, SpoolConfig())
    writer.append([(Kind.IN, 1, 7, 42, b"data", None, None)])
    writer.close()
    (record,) = read_spool(tmp_path / "spool")
    assert (record.kind, record.direction, record.link, record.offset, record.data) == (Kind.IN, 1, 7, 42, b"data")
    assert (record.worker, record.incarnation, record.seq) == (3, writer.incarnation, 1)
    (path,) = (tmp_path / "spool").iterdir()
    segment = spool.read_segment_header(path.read_bytes())
    assert segment is not None
    expected = spool.record_header(
        spool.start_crc(segment.salt), Kind.IN, 1, 1, record.time_ns, record.mono_ns, 7, 42, b"data",
    ) + b"data"
    assert path.read_bytes()[spool.SEGMENT.size :] == expected
    assert path.name == f"w3-{writer.incarnation:016x}-00000001.seg"


def test_files_are_private_and_locked_while_the_writer_lives(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig())
    (path,) = (tmp_path / "spool").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600 and (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    with path.open("rb") as reader:
        with pytest.raises(BlockingIOError):
            fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)
        writer.close()
        fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_unsafe_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)        # whatever the umask
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "file").write_bytes(b"")
    for name, words in (("open", "chmod 700"), ("link", "not a folder"), ("file", "not a folder"), ("no/where", "cannot make")):
        with pytest.raises(ConfigError, match=words):
            SpoolWriter(tmp_path / name, 0, SpoolConfig())


def test_segments_rotate_by_size_and_number_on(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(segment_bytes=5000, limit_bytes=1 << 20))
    for _ in range(20):
        writer.append([chunk(b"x" * 1000)])
    writer.close()
    names = sorted(path.name for path in (tmp_path / "spool").iterdir())
    assert len(names) == 5 and names[-1].endswith("-00000005.seg")
    assert accounted(tmp_path / "spool") == (list(range(1, 21)), [])
    sizes = [path.stat().st_size for path in (tmp_path / "spool").iterdir()]
    assert max(sizes) <= 5000 + 1056 + spool.SEGMENT.size


def test_segments_rotate_by_time(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(segment_seconds=0.0))
    for _ in range(3):
        writer.append([chunk(b"x")])
        writer.tick()
    writer.close()
    assert len(list((tmp_path / "spool").iterdir())) == 4
    assert accounted(tmp_path / "spool") == ([1, 2, 3], [])


def test_a_turn_larger_than_one_writev_is_appended_whole(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig())
    writer.append([chunk(b"%d" % n) for n in range(1700)])
    writer.close()
    assert [record.data for record in read_spool(tmp_path / "spool")] == [b"%d" % n for n in range(1700)]


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "short", "torn"])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_fault_at_write_n_costs_only_what_the_gap_counts(tmp_path: Path, kind: str, at: int) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), Faulty(at, kind, 2 if kind == "torn" else 1))
    sent = 0
    for turn in range(8):
        writer.append([chunk(b"t%d-%d" % (turn, n) * 50) for n in range(4)])
        sent += 4
        writer.tick()
    assert not writer.in_gap or at == 8
    writer.tick()
    writer.close()
    there, missing = accounted(tmp_path / "spool")
    assert sorted(there + missing) == list(range(1, writer.seq + 1))
    found = gaps(read_spool(tmp_path / "spool"))
    assert len(found) == (0 if kind == "short" else 1) == writer.gaps
    lost = [record for record in range(sent) if record + 1 in missing]
    assert len(missing) == sum(gap.records for gap in found) == writer.lost_records == len(lost)
    assert len(missing) == {"short": 0, "torn": 2, "ENOSPC": 4, "EIO": 4}[kind]
    if found:
        assert found[0].bytes == writer.lost_bytes == 50 * 4 * len(missing)
        assert found[0].reason == os.strerror(errno.EIO if kind == "EIO" else errno.ENOSPC)
    assert len(of(read_spool(tmp_path / "spool"), Kind.IN)) == sent - len(missing)


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "short", "torn"])
@pytest.mark.parametrize("at", range(1, 5))
def test_a_fault_while_single_chunks_are_appended_costs_only_what_the_gap_counts(tmp_path: Path, kind: str, at: int) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), Faulty(at, kind, 2))
    data = [b"chunk %d" % n * 50 for n in range(8)]
    for n, each in enumerate(data):
        if not writer.append_one(1, 5, n * 400, each, 77):      # as the turn does it
            writer.append([(Kind.IN, 1, 5, n * 400, each, None, None)])
        writer.tick()
    writer.tick()
    writer.close()
    records = read_spool(tmp_path / "spool")
    there, missing = accounted(tmp_path / "spool")
    assert sorted(there + missing) == list(range(1, writer.seq + 1)) and there == sorted(there)
    assert len(missing) == writer.lost_records == writer.gaps == (0 if kind == "short" else 1)
    kept = [each for number, each in enumerate(data, 1) if number not in missing]
    found = of(records, Kind.IN)
    assert [record.data for record in found] == kept
    assert {(record.direction, record.link) for record in found} == {(1, 5)}


def test_a_single_chunk_takes_the_long_way_where_more_than_a_write_is_due(tmp_path: Path) -> None:
    tight = SpoolWriter(tmp_path / "tight", 0, SpoolConfig(limit_bytes=16 << 10, segment_bytes=4096))
    count = 0
    while tight.append_one(0, 1, 0, b"x" * 1000, 1):
        count += 1
        assert count < 20, "the limit is kept"
    assert sum(path.stat().st_size for path in (tmp_path / "tight").iterdir()) <= 16 << 10
    assert len(list((tmp_path / "tight").iterdir())) > 1 and tight.seq == count     # rotated, nothing counted
    tight.close()
    careful = SpoolWriter(tmp_path / "careful", 0, SpoolConfig(fsync="always"))
    assert not careful.append_one(0, 1, 0, b"x", 1) and careful.seq == 0
    careful.close()


def test_a_fault_that_lasts_gives_one_gap_with_the_true_count(tmp_path: Path) -> None:
    faulty = Faulty(3, "ENOSPC", 10)
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), faulty)
    for turn in range(30):
        writer.append([chunk(b"%d" % turn)])
        if turn % 5 == 4:
            writer.tick()
    while writer.in_gap:
        writer.tick()
    writer.append([chunk(b"end")])
    writer.close()
    there, missing = accounted(tmp_path / "spool")
    assert sorted(there + missing) == list(range(1, writer.seq + 1))
    (gap,) = gaps(read_spool(tmp_path / "spool"))
    assert gap.records == len(missing) == writer.lost_records == 28 and writer.gaps == 1
    assert gap.from_seq == 3


def test_the_limit_counts_and_the_deletion_of_segments_ends_the_gap(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(limit_bytes=64 << 10, segment_bytes=16 << 10))
    for _ in range(100):
        writer.append([chunk(b"x" * 1000)])
    assert writer.in_gap
    writer.tick()
    assert writer.in_gap
    used = sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    assert used <= 64 << 10
    oldest = sorted((tmp_path / "spool").iterdir())[:2]
    kept = [record.seq for path in oldest for record in read_one(path)]
    for path in oldest:
        path.unlink()
    writer.tick()
    assert not writer.in_gap
    writer.append([chunk(b"after")])
    writer.close()
    there, missing = accounted(tmp_path / "spool")
    assert sorted(kept + there + missing) == list(range(1, writer.seq + 1))
    (gap,) = gaps(read_spool(tmp_path / "spool"))
    assert gap.reason == "spool limit" and gap.records == len(missing) and gap.bytes == 1000 * len(missing)


def read_one(path: Path) -> list[spool.SpoolRecord]:
    data = path.read_bytes()
    segment = spool.read_segment_header(data)
    assert segment is not None
    found = spool.read_records(data[spool.SEGMENT.size :], segment, spool.SEGMENT.size, True)
    return [record for record, _ in found if isinstance(record, spool.SpoolRecord)]


def test_a_gap_that_is_open_at_the_end_is_still_told(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), Faulty(2, "ENOSPC"))
    for turn in range(3):
        writer.append([chunk(b"%d" % turn)])
    writer.close()
    (gap,) = gaps(read_spool(tmp_path / "spool"))
    assert (gap.from_seq, gap.to_seq, gap.records) == (2, 3, 2)


def test_a_gap_ends_only_when_there_is_some_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), Faulty(1, "ENOSPC"))
    writer.append([chunk(b"lost")])
    monkeypatch.setattr(segments, "free_bytes", lambda folder: 4096)
    writer.tick()
    assert writer.in_gap
    monkeypatch.setattr(segments, "free_bytes", lambda folder: 1 << 30)
    writer.tick()
    assert not writer.in_gap and writer.gaps == 1
    writer.close()


def test_a_torn_tail_that_cannot_be_cut_is_left_behind_in_its_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(), Faulty(2, "torn", 2))
    writer.append([chunk(b"good")])
    with monkeypatch.context() as patched:
        def refuse(fd: int, size: int) -> None:
            raise OSError(errno.EIO, "no")
        patched.setattr(os, "ftruncate", refuse)
        writer.append([chunk(b"t" * 900)])
    writer.tick()
    writer.append([chunk(b"next")])
    writer.close()
    first, second = sorted((tmp_path / "spool").iterdir())
    assert [record.data for record in read_one(first)] == [b"good"]
    assert [record.kind for record in read_one(second)] == [Kind.GAP, Kind.IN]


def test_fsync_always_reaches_the_disk_before_the_bytes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    writer = SpoolWriter(tmp_path / "spool", 0, SpoolConfig(fsync="always"))
    writer.append([chunk(b"a")])
    writer.append([chunk(b"b")])
    writer.close()
    assert len(calls) == 2


def test_the_limit_follows_free_space_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "free_bytes", lambda folder: 10 << 20)
    assert segments.limit_of(tmp_path, 0) == 5 << 20
    assert segments.limit_of(tmp_path, 123) == 123
    monkeypatch.setattr(segments, "free_bytes", lambda folder: 1 << 40)
    monkeypatch.setattr(segments, "_memory", lambda: 1 << 30)
    assert segments.limit_of(tmp_path, 0) == 128 << 20
