"""The tail gives every record once, in order, names every hole, and never mistakes an unfinished tail for a damaged one."""

import os
from pathlib import Path

import pytest

from ocpp_proxy.hub import tail as tail_module
from ocpp_proxy.hub.store import Position
from ocpp_proxy.hub.tail import Item, Lost, Tail
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Kind
from tests.hub.writing import BEGIN, Writer


def everything(tail: Tail, limit: int = 1000) -> list[Item]:
    out: list[Item] = []
    while items := tail.read(limit):
        assert len(items) <= limit
        out += items
    return out


def seqs(items: list[Item]) -> list[int | tuple[int, int]]:
    """Sequence numbers; a hole as a pair."""
    return [(i.gap.from_seq, i.gap.to_seq) if isinstance(i, Lost) else i.seq for i in items]


def test_records_come_once_in_order_and_position_follows(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    tail = Tail(tmp_path)
    assert tail.read(10) == []
    for n in range(5):
        writer.append(b"%d" % n)
    assert seqs(tail.read(2)) == [1, 2]
    assert tail.positions() == [Position(0, writer.incarnation, 2)]
    assert seqs(everything(tail)) == [3, 4, 5]
    writer.append(b"six")
    assert seqs(everything(tail)) == [6]
    assert everything(tail) == []
    assert not tail.drained
    writer.die()
    assert everything(tail) == []
    assert tail.drained
    tail.close()


def test_no_folder_is_an_empty_spool(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "none")
    assert tail.read(10) == []
    assert tail.drained
    assert tail.spool_bytes() == 0


def test_starts_behind_the_position(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for _ in range(3):
        writer.append()
    writer.rotate()
    for _ in range(3):
        writer.append()
    tail = Tail(tmp_path, [Position(0, writer.incarnation, 4)])
    assert seqs(everything(tail)) == [5, 6]
    tail.close()


def test_a_torn_tail_waits_while_the_writer_lives_and_is_damage_after(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(b"one")
    whole = writer.packed(b"two" * 100)
    writer.raw(whole[:50])
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1]
    assert everything(tail) == []           # unfinished, not damaged
    writer.raw(whole[50:])
    assert seqs(everything(tail)) == [2]
    writer.raw(writer.packed(b"three")[:20])
    assert everything(tail) == []
    writer.die()
    items = everything(tail)
    assert seqs(items) == [(3, 3)]
    assert isinstance(items[0], Lost)
    gap = items[0].gap
    assert (gap.frames, gap.bytes, gap.reason) == (1, 20, "torn tail")
    assert tail.drained
    assert tail.positions() == [Position(0, writer.incarnation, 3)]
    again = Tail(tmp_path, tail.positions())        # a restart does not report the same tail twice
    assert everything(again) == []
    assert again.finished(again.positions()) == [writer.path]
    tail.close()
    again.close()


@pytest.mark.parametrize("zeros", [1, 55, 56, 4096])
def test_a_zero_filled_tail_is_no_record(tmp_path: Path, zeros: int) -> None:
    writer = Writer(tmp_path)
    writer.append(b"one")
    writer.raw(bytes(zeros))
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1]
    writer.die()
    items = everything(tail)
    assert seqs(items) == [(2, 2)]
    assert isinstance(items[0], Lost) and items[0].gap.bytes == zeros
    tail.close()


def test_one_flipped_bit_costs_at_most_one_record_wherever_it_is(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "spool")
    for n in range(6):
        writer.append(b"payload %d" % n * 3, link=n)
    writer.die()
    image = writer.path.read_bytes()
    worst = 0
    for offset in range(len(image)):
        damaged = bytearray(image)
        damaged[offset] ^= 1 << (offset % 8)
        writer.path.write_bytes(damaged)
        tail = Tail(tmp_path / "spool")
        items = everything(tail)
        read = [item.seq for item in items if not isinstance(item, Lost)]
        lost = [seq for item in items if isinstance(item, Lost) for seq in range(item.gap.from_seq, item.gap.to_seq + 1)]
        assert sorted(read + lost) == [1, 2, 3, 4, 5, 6], offset
        assert read == sorted(read)
        worst = max(worst, len(lost))
        assert tail.drained
        tail.close()
    assert worst == 1


def test_a_foreign_format_is_left_alone(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(b"one")
    writer.die()
    image = bytearray(writer.path.read_bytes())
    image[8:10] = (spool.FORMAT + 6).to_bytes(2, "little")
    writer.path.write_bytes(image)
    tail = Tail(tmp_path)
    assert everything(tail) == []
    assert tail.finished([Position(0, writer.incarnation, 99)]) == []


def test_missing_seqs_are_a_gap_with_their_count(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    writer.append(seq=5)
    tail = Tail(tmp_path)
    items = everything(tail)
    assert seqs(items) == [1, (2, 4), 5]
    gap = items[1]
    assert isinstance(gap, Lost)
    assert (gap.gap.frames, gap.gap.bytes, gap.gap.reason, gap.gap.worker) == (3, 0, "missing", 0)
    assert gap.gap.time_ns < gap.gap.ended_ns
    tail.close()


def test_the_relays_own_gap_record_accounts_for_its_range(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    body = spool.encode_body(spool.GapBody(2, 9, 8, 4000, "disk full", BEGIN))
    writer.append(body, kind=Kind.GAP, seq=10)
    writer.append()
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1, 10, 11]
    tail.close()


def test_what_is_missing_before_the_relays_gap_is_lost_besides(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    body = spool.encode_body(spool.GapBody(4, 9, 6, 4000, "disk full", BEGIN))
    writer.append(body, kind=Kind.GAP, seq=10)
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1, (2, 3), 10]
    tail.close()


def test_the_next_segment_waits_until_the_writer_let_go_of_this_one(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1]
    held = os.dup(writer.fd)                # the flock stays with the open file
    late = writer.packed(b"late")           # of the first segment
    writer.rotate()
    writer.append()
    assert everything(tail) == []           # something may still come into the first one
    os.write(held, late)
    os.close(held)
    assert seqs(everything(tail)) == [2, 3]
    tail.close()


def test_a_lost_segment_is_a_gap(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    writer.rotate()
    writer.append()
    writer.append()
    gone = writer.path
    writer.rotate()
    writer.append()
    gone.unlink()
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1, (2, 3), 4]
    tail.close()


def test_a_segment_whose_header_is_not_to_be_read_costs_its_records_only(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    writer.rotate()
    writer.append()
    writer.append()
    writer.path.write_bytes(b"\xff" * 80 + writer.path.read_bytes()[80:])
    writer.rotate()
    writer.append()
    writer.die()
    tail = Tail(tmp_path)
    items = everything(tail)
    assert seqs(items) == [1, (2, 3), 4]
    assert isinstance(items[1], Lost) and items[1].gap.reason == "damaged" and items[1].gap.bytes > 80
    tail.close()


def test_an_empty_last_segment_of_a_dead_writer_does_not_hold_up_the_next_incarnation(tmp_path: Path) -> None:
    first = Writer(tmp_path, incarnation=9)
    first.append()
    first.die()
    (tmp_path / f"w0-{9:016x}-00000002.seg").touch()
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [1]
    second = Writer(tmp_path, incarnation=3, mono=first.mono + 10)
    second.append()
    assert seqs(everything(tail) + everything(tail)) == [1]
    assert tail.positions() == [Position(0, 3, 1)]
    tail.close()


def test_incarnations_follow_each_other_in_the_order_they_began(tmp_path: Path) -> None:
    first = Writer(tmp_path, incarnation=0xF000)
    first.append(b"a")
    first.append(b"b")
    first.die()
    second = Writer(tmp_path, incarnation=0x1000, mono=first.mono + 1000)
    second.append(b"c")
    second.die()
    third = Writer(tmp_path, incarnation=0x7000, mono=second.mono + 1000)
    third.append(b"d")
    tail = Tail(tmp_path)
    items = everything(tail)
    assert [item.data for item in items if not isinstance(item, Lost)] == [b"a", b"b", b"c", b"d"]
    tail.close()
    middle = Tail(tmp_path, [Position(0, 0x1000, 1)])
    assert [item.data for item in everything(middle) if not isinstance(item, Lost)] == [b"d"]
    assert middle.finished([Position(0, 0x1000, 1)]) == [first.path, second.path]
    middle.close()


@pytest.mark.parametrize("turned", [False, True])
def test_positions_of_earlier_incarnations_may_stand_beside_the_newest(tmp_path: Path, turned: bool) -> None:
    """A store may keep them all; which one is the newest is seen in the folder, not in their order."""
    first = Writer(tmp_path, incarnation=0xF000)
    first.append(b"a")
    first.die()
    second = Writer(tmp_path, incarnation=0x1000, mono=first.mono + 1000)
    second.append(b"b")
    second.append(b"c")
    second.die()
    positions = [Position(0, 0xF000, 1), Position(0, 0x1000, 1), Position(0, 0xEEEE, 9)]
    if turned:
        positions.reverse()
    tail = Tail(tmp_path, positions)
    assert [item.data for item in everything(tail) if not isinstance(item, Lost)] == [b"c"]
    assert tail.positions() == [Position(0, 0x1000, 2)]
    assert tail.finished(positions) == [first.path]
    assert tail.finished([*positions, *tail.positions()]) == [first.path, second.path]
    tail.close()


def test_an_earlier_boot_comes_first_whatever_its_monotonic_clock_says(tmp_path: Path) -> None:
    now = Writer(tmp_path, incarnation=1, mono=50)
    now.append(b"now")
    before = Writer(tmp_path, incarnation=2, mono=10**15, boot=bytes(16))
    before.append(b"before")
    before.die()
    other = Writer(tmp_path, worker=1, incarnation=3, mono=10**14, boot=bytes(16))
    other.append(b"other")
    other.die()
    tail = Tail(tmp_path)
    items = everything(tail)
    assert [item.data for item in items if not isinstance(item, Lost)] == [b"other", b"before", b"now"]
    tail.close()


def test_workers_are_merged_up_to_what_the_slowest_live_one_has_reached(tmp_path: Path) -> None:
    one, two = Writer(tmp_path, 0, mono=1000), Writer(tmp_path, 1, mono=1500)
    tail = Tail(tmp_path)
    one.append(b"a1")
    one.append(b"a2")
    two.append(b"b1")
    got = [item.data for item in everything(tail) if not isinstance(item, Lost)]
    assert got == [b"a1", b"b1"]            # a2 is later than all that worker 1 is known to have reached
    two.beat()
    got = [item.data for item in everything(tail) if not isinstance(item, Lost)]
    assert got == [b"a2"]
    two.die()
    one.append(b"a3")
    items = everything(tail)                # a dead worker holds nobody up
    assert [item.data for item in items if not isinstance(item, Lost)] == [b"", b"a3"]
    tail.close()


def test_memory_is_bounded_while_a_silent_worker_holds_up_a_busy_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tail_module, "BUFFER_BYTES", 10_000)
    silent, busy = Writer(tmp_path, 0, mono=5), Writer(tmp_path, 1, mono=1000)
    for _ in range(4000):
        busy.append(bytes(1000))
    tail = Tail(tmp_path)
    assert tail.read(100_000) == []
    waiting = sum(len(stream.buffer) for stream in tail._streams.values())
    assert 0 < waiting < 1100               # the bound and one window beyond it, of 4000
    silent.mono = busy.mono
    silent.beat()
    assert len(everything(tail)) == 4000
    tail.close()


def test_only_covered_segments_nobody_appends_to_are_finished(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    paths = []
    for _ in range(3):
        paths.append(writer.path)
        writer.append()
        writer.append()
        writer.rotate()
    tail = Tail(tmp_path)
    everything(tail)
    spot = writer.incarnation
    assert tail.finished([Position(0, spot, 1)]) == []
    assert tail.finished([Position(0, spot, 5)]) == paths[:2]
    assert tail.finished([Position(0, spot, 6)]) == paths
    assert tail.finished([]) == []
    for path in paths[:2]:
        tail.forget(path)
    assert tail.finished([Position(0, spot, 6)]) == paths[2:]
    tail.close()


def test_segments_without_their_beginning_are_no_gap_when_it_was_read_before(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append()
    first = writer.path
    writer.rotate()
    writer.append()
    first.unlink()
    tail = Tail(tmp_path)
    assert seqs(everything(tail)) == [2]
    tail.close()


def test_a_record_larger_than_the_window_is_read(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(b"x" * (3 << 20))
    writer.append(b"y")
    tail = Tail(tmp_path)
    items = everything(tail)
    assert [len(item.data) for item in items if not isinstance(item, Lost)] == [3 << 20, 1]
    tail.close()
