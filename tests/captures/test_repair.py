"""Repair: what opens is left alone, what does not is set aside, and what spool segments hold is put into a new file."""

from pathlib import Path

import pytest
from ocpp_proxy_captures import repair
from ocpp_proxy_captures.database import segments
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Gap, LinkOpened
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Kind
from tests.captures.capture_streams import everything, fill, stored, stream


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(4096, min(len(data), 200_000), 997):
        data[at] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)


def segment(path: Path, first: int, last: int, skip: tuple[int, ...] = ()) -> None:
    """A spool segment with one opened link per record."""
    head = spool.Segment(0, b"b" * 16, 5, 77, first, 10**18 + first, first)
    data = spool.segment_header(head)
    for seq in range(first, last + 1):
        body = spool.encode_body(spool.Open(f"10.0.0.1:{seq}", "9000"))
        record = spool.record_header(spool.start_crc(77), Kind.OPEN, 0, seq, 10**18 + seq, seq, seq, 0, body) + body
        data += record if seq not in skip else b"\x00" * len(record)
    path.write_bytes(data)


def test_a_sound_capture_is_left_alone(tmp_path: Path) -> None:
    records = stream(200)
    fill(tmp_path / "a.duckdb", records)
    assert "nothing to repair" in repair(str(tmp_path / "a.duckdb"))
    assert everything(tmp_path / "a.duckdb") == stored(records)
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]


def test_a_damaged_file_says_so_and_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    fill(path, stream(500))
    damage(path)
    with pytest.raises(CaptureError, match=r"damaged.*doctor --repair"):
        reader = FileReader(path)
        reader.page(None, 0, 10**6)
    told = repair(path)
    assert "set aside as a.duckdb.damaged-" in told and "next `ocpp-proxy run" in told
    assert not path.exists() and [item.name[:17] for item in tmp_path.iterdir()] == ["a.duckdb.damaged-"]


def test_what_the_spool_holds_is_put_into_a_new_file_with_its_holes_named(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.duckdb", tmp_path / "spool"
    folder.mkdir()
    fill(path, stream(100))
    damage(path)
    segment(folder / "w0-0000000000000005-00000001.seg", 1, 10, skip=(4, 5))
    segment(folder / "w0-0000000000000005-00000003.seg", 21, 25)
    told = repair(path, folder)
    assert "13 records, 2 gaps" in told
    got = everything(path)
    opened = [record.link.remote for record in got if isinstance(record, LinkOpened)]
    assert opened == [f"10.0.0.1:{seq}" for seq in (1, 2, 3, 6, 7, 8, 9, 10, 21, 22, 23, 24, 25)]
    gaps = [(record.from_seq, record.to_seq, record.frames) for record in got if isinstance(record, Gap)]
    assert gaps == [(4, 5, 2), (11, 20, 10)]
    store = open_store(path, Position)
    assert store.positions() == [Position(0, 5, 25)]
    store.close()


def test_of_a_folder_only_the_damaged_segment_goes(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    fill(folder, stream(500), 50, CaptureConfig(rotate_messages=100))
    files = segments(folder)
    damage(files[-1])
    assert repair(folder).count("nothing to repair") == len(files) - 1
    assert segments(folder) == files[:-1]
    open_store(folder, Position).close()    # the one before is written to again
    assert everything(folder)


def test_nothing_there_and_in_use_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such file"):
        repair(tmp_path / "a.duckdb")
