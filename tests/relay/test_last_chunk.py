"""What was at hand when a relay ended in a hook is in its spool in the end: once, behind all else, wherever the reader is."""

from pathlib import Path

import pytest

from ocpp_proxy.config import SpoolConfig
from ocpp_proxy.hub.store import Position
from ocpp_proxy.hub.tail import Tail
from ocpp_proxy.relay import hook_mark, last_chunk
from ocpp_proxy.relay.hook_mark import CHUNK_BYTES, HookMark
from ocpp_proxy.relay.spool import SpoolWriter
from ocpp_proxy.relay.watchdog import Watchdog
from ocpp_proxy.wire.spool import Kind, SpoolRecord


class Dying:
    """A relay that has appended some records, shown bytes to plugins and is in a hook."""

    def __init__(self, folder: Path, data: bytes = b"deadly", in_hook: bool = True) -> None:
        self.spool, self.mark = folder / "spool", hook_mark.path_of(folder, 2)
        self.writer = SpoolWriter(self.spool, 2, SpoolConfig())
        self.append(b"one", b"two")
        mark = HookMark(self.mark, self.writer.incarnation)
        self.watchdog = Watchdog(mark)
        self.watchdog.about(7, 1, b"CP1", self.writer.seq, 100, len(data), data)
        mark.cells[0] = mark.number("deadly") if in_hook else 0

    def append(self, *chunks: bytes) -> None:
        self.writer.append([(Kind.IN, 0, 7, 0, chunk, None, None) for chunk in chunks])

    def die(self) -> bool:
        """And the next one comes, with a first record of its own."""
        self.watchdog.close()
        kept = last_chunk.append(self.spool, 2, self.mark)
        following = SpoolWriter(self.spool, 2, SpoolConfig())
        following.append([(Kind.IN, 0, 1, 0, b"next", None, None)])
        following.close()
        return kept

    def end(self) -> None:
        """Its process is gone."""
        self.writer.close()


def read(tail: Tail) -> list[tuple[int, bytes]]:
    found = []
    while items := tail.read(100):
        assert all(isinstance(item, SpoolRecord) for item in items)
        found += [(item.seq, item.data) for item in items if isinstance(item, SpoolRecord)]
    tail.close()
    return found


def test_it_is_the_next_record_of_its_spool(tmp_path: Path) -> None:
    dying = Dying(tmp_path)
    dying.end()
    assert dying.die()
    items = Tail(dying.spool, []).read(100)
    assert [(item.seq, item.data) for item in items if isinstance(item, SpoolRecord)] == [
        (1, b"one"), (2, b"two"), (3, b"deadly"), (1, b"next")]
    assert isinstance(items[2], SpoolRecord) and (items[2].link, items[2].direction, items[2].offset, items[2].kind) == (
        7, 1, 100, Kind.IN)


def test_what_was_appended_after_all_comes_once(tmp_path: Path) -> None:
    dying = Dying(tmp_path)
    dying.append(b"deadly", b"beat")            # the hook came back; another one, about no message, did not
    dying.end()
    assert dying.die()
    assert read(Tail(dying.spool, [])) == [(1, b"one"), (2, b"two"), (3, b"deadly"), (4, b"beat"), (1, b"next")]


def test_a_reader_that_had_read_and_deleted_all_before_goes_on_with_it(tmp_path: Path) -> None:
    dying = Dying(tmp_path)
    tail = Tail(dying.spool, [])
    assert len(tail.read(100)) == 2
    dying.end()
    assert tail.read(100) == []
    (path,) = tail.finished(tail.positions())
    path.unlink()
    tail.forget(path)
    assert dying.die()
    assert read(tail) == [(3, b"deadly"), (1, b"next")]
    again = Tail(dying.spool, [Position(2, dying.writer.incarnation, 2)])
    assert read(again) == [(3, b"deadly"), (1, b"next")]        # so does one that was started again


@pytest.mark.parametrize(("data", "in_hook"), [(b"x" * (CHUNK_BYTES + 1), True), (b"deadly", False)])
def test_what_was_cut_or_shown_to_nobody_is_not_made_up(tmp_path: Path, data: bytes, in_hook: bool) -> None:
    dying = Dying(tmp_path, data, in_hook)
    dying.end()
    assert not dying.die()
    assert read(Tail(dying.spool, [])) == [(1, b"one"), (2, b"two"), (1, b"next")]
    assert not last_chunk.append(tmp_path / "spool", 5, hook_mark.path_of(tmp_path, 5))       # no relay was before
