"""Large values: they lie apart in small pieces, come back byte for byte, and leave no spill folder behind."""

from pathlib import Path

import duckdb
import pytest
from ocpp_proxy_captures import memory, pieces
from ocpp_proxy_captures.columns import Batch, LastLine
from ocpp_proxy_captures.pieces import APART, LARGE, PIECE
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.readings import Kinds
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.model import Frame, Opcode, Side
from ocpp_proxy.records import FrameSeen, Record
from tests.captures.capture_streams import call, everything, fill, stored


def _raw(number: int, raw: bytes) -> FrameSeen:
    return FrameSeen(Frame(
        number, 1, number, number, number, Side.STATION, Opcode.RAW, raw=raw, fin=False, faults=("too_large",)))


def _bytes(size: int) -> bytes:
    return bytes(at * 7 % 251 for at in range(251)) * (size // 251) + b"\xff" * (size % 251)


def _stream() -> list[Record]:
    """Values around every bound, in every place a large one can be in."""
    out: list[Record] = [_raw(number, _bytes(LARGE - 2 + number)) for number in range(1, 5)]
    out += [_raw(10, _bytes(5 * PIECE)), _raw(11, _bytes(256 << 10))]
    for number, size in enumerate((LARGE, LARGE + 1, 64 * LARGE, 65 * LARGE), 20):
        payload = b'{"ab":"' + b"\xc3\xa9" * ((size - 9) // 2) + b"x" * ((size - 9) % 2) + b'"}'
        text = b'[2,"%d","Data",' % number + payload + b"]"
        out += call(number, text, b"\x81\x7f" + len(text).to_bytes(8, "big"), message_id=str(number), action="Data",
                    payload=payload)
    odd = b"\xff" * (2 * LARGE)
    out += call(30, odd, b"\x81\x7e\x80\x00", mtype=0, message_id="", action="", payload=odd)
    spaced = b'[2,"31","Data",' + b" " * (2 * LARGE)
    out += call(31, spaced + b"{}]", b"\x81\x7e\x80\x12", message_id="31", action="Data", payload=b"{}", prefix=spaced,
                suffix=b"]")
    out.append(FrameSeen(Frame(
        40, 1, 40, 40, 40, Side.CSMS, Opcode.TEXT, b"\xc1\x7e" + b"h" * LARGE, payload=_bytes(LARGE + 9),
        text=_bytes(3 * LARGE), faults=("bomb",))))
    return out


@pytest.mark.parametrize("step", [1, 4, 1000])
def test_large_values_come_back_byte_for_byte(tmp_path: Path, step: int) -> None:
    records = _stream()
    fill(tmp_path / "a.duckdb", records, step)
    assert everything(tmp_path / "a.duckdb") == stored(records)
    reader = FileReader(tmp_path / "a.duckdb")
    shown = [line.record for batch in reader.lines(None) for line in batch]
    reader.close()
    assert [record for record in shown if record in records] == shown and _raw(11, _bytes(256 << 10)) in shown


def test_no_row_holds_a_large_value(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", _stream())
    with duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True) as con:
        sizes = ", ".join(f"max(octet_length({name}))" for name in ("data", "text", "raw", "odd", "header", "prefix", "suffix"))
        largest = con.execute(f"SELECT greatest({sizes}), max(strlen(CAST(payload AS VARCHAR))) FROM wire").fetchone()
        whole = con.execute("SELECT max(octet_length(data)), count(DISTINCT no) FROM pieces").fetchone()
        marked = con.execute(f"SELECT count(*) FROM wire WHERE built & {APART} > 0").fetchone()
        told = con.execute("SELECT count(*) FROM frames WHERE octet_length(payload) > 0").fetchone()
    assert largest is not None and largest[0] <= LARGE and largest[1] <= LARGE
    assert whole == (PIECE, 10) and marked == (10,)
    assert told == (1,), "a frame whose bytes lie apart tells no other ones"


@pytest.mark.parametrize("live", [True, False])
def test_sql_sees_large_payloads_and_their_samples(tmp_path: Path, live: bool) -> None:
    meter = b'{"connectorId":1,"meterValue":[' + b",".join(
        b'{"timestamp":"2025-01-01T00:00:%02dZ","sampledValue":[{"value":"%d"}]}' % (at % 60, at) for at in range(1000)) + b"]}"
    text = b'[2,"m","MeterValues",' + meter + b"]"
    records = call(1, b'[2,"a","Heartbeat",{}]', b"\x81\x16", message_id="a")
    records += call(2, text, b"\x81\x7f" + len(text).to_bytes(8, "big"), message_id="m", action="MeterValues", payload=meter)
    ask = "SELECT (SELECT count(*) FROM meter_values), max(json_array_length(payload, '$.meterValue')), count(*) FROM messages"
    store = open_store(tmp_path / "a.duckdb", Position)
    store.commit(records, [], {})
    if live:
        with store.reading() as con:
            assert con.execute(ask).fetchall() == [(1000, 1000, 2)]
    store.close()
    with duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True) as con:
        assert con.execute(ask).fetchall() == [(1000, 1000, 2)], "also without us"
    reader = FileReader(tmp_path / "a.duckdb")
    with reader.reading() as con:
        assert con.execute(ask).fetchall() == [(1000, 1000, 2)]
    reader.close()


def test_small_rows_are_left_alone() -> None:
    batch = Batch(0, LastLine())
    batch.add([_raw(1, b"x" * LARGE)])
    table = batch.tables(Kinds())["wire"]
    assert pieces.set_apart(table) == (table, None)


def test_what_is_spilled_lies_in_a_private_folder_that_goes_with_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    left = memory.spill_folder(path) / "left.tmp"
    left.parent.mkdir()
    left.write_bytes(b"of a killed process")
    store = open_store(path, Position)
    assert not left.exists() and left.parent.stat().st_mode & 0o777 == 0o700
    for number in range(32):
        store.commit([_raw(number + 1, _bytes(1 << 20))], [Position(0, 1, number + 1)], {})
    with store.reading() as con:
        held = con.execute("SELECT sum(memory_usage_bytes), sum(temporary_storage_bytes) FROM duckdb_memory()").fetchone()
    assert held is not None and held[0] <= 17 << 20 and held[1] >= 8 << 20
    assert list(left.parent.iterdir()), "DuckDB spilled there"
    store.checkpoint()
    store.close()
    assert not left.parent.exists()
    assert len(everything(path)) == 32
