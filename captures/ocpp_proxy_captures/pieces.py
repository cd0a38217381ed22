"""Large values of ``wire`` lie apart, in rows of ``pieces``, each small enough for DuckDB to keep inside its row.

A value over 4 KB lives in blocks of its own there, and every commit and checkpoint reads all of them that share 2048 rows:
400 pieces of 256 KB in ``wire`` are 100 MB in memory at once, 2000 fill any limit. Small pieces are spilled and let go of.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocpp_proxy_captures.database import Connection

LARGE = 16 << 10            # bytes of a value that stay in ``wire``
PIECE = 4000                # bytes of a piece; from 4096 on DuckDB gives a value blocks of its own
APART = 4                   # bit of ``built``: this row has pieces
PLACES = ("payload", "data", "text", "raw", "odd", "header", "prefix", "suffix")
_STANDS_FOR = {"payload": "odd", "raw": "raw", "odd": "odd"}      # not NULL, though apart: filters ask for these


def set_apart(table: pa.Table) -> tuple[pa.Table, pa.Table | None]:
    """The rows of ``wire`` without their large values, and these as rows of ``pieces``; None when there are none."""
    cut: list[pa.Table] = []
    rows = pa.array([False] * len(table))
    for place, name in enumerate(PLACES):
        column = table.column(name)
        if column.null_count == len(table) or column.nbytes <= LARGE:
            continue                        # nearly always, in a small commit
        sizes = pc.binary_length(column)
        if (pc.max(sizes).as_py() or 0) <= LARGE:
            continue
        large = pc.fill_null(pc.greater(sizes, LARGE), False)
        for at in pc.indices_nonzero(large).to_pylist():
            cut.append(_pieces(table.column("no")[at].as_py(), place, column[at].as_buffer()))
        table = _put(table, name, pc.if_else(large, pa.scalar(None, column.type), column))
        if name in _STANDS_FOR:
            mark = _STANDS_FOR[name]
            marked = table.column(mark)
            table = _put(table, mark, pc.if_else(large, pa.scalar(b"", marked.type), marked))
        rows = pc.or_(rows, large)
    if not cut:
        return table, None
    built = table.column("built")
    table = _put(table, "built", pc.if_else(rows, pc.bit_wise_or(built, pa.scalar(APART, pa.uint8())), built))
    return table, pa.concat_tables(cut)


def _put(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _pieces(no: int, place: int, value: pa.Buffer) -> pa.Table:
    """One value, cut up without a copy of it; payloads between two characters, so that SQL can read the pieces as text."""
    ends = [*range(0, value.size, PIECE), value.size]
    if PLACES[place] == "payload":
        text = memoryview(value)
        ends = [next(at for at in range(end, end - 4, -1) if at in (0, len(text)) or text[at] & 0xC0 != 0x80) for end in ends]
    count = len(ends) - 1
    offsets = pa.array(ends, pa.int64()).buffers()[1]
    return pa.table({
        "no": pa.array([no] * count, pa.int64()), "place": pa.array([place] * count, pa.uint8()),
        "part": pa.array(range(count), pa.int32()),
        "data": pa.Array.from_buffers(pa.large_binary(), count, [None, offsets, value]),
    })


def joined(con: Connection, numbers: Sequence[int]) -> dict[int, dict[str, bytes]]:
    """The values set apart of the rows with these ordinals (ascending), by ordinal and column."""
    found: dict[tuple[int, int], list[bytes]] = {}
    rows: list[Any] = con.execute(
        f"SELECT no, place, data FROM pieces WHERE no BETWEEN {numbers[0]} AND {numbers[-1]}"
        f" AND no IN (SELECT unnest({list(map(int, numbers))})) ORDER BY no, place, part").fetchall()
    for no, place, data in rows:
        found.setdefault((no, place), []).append(data)
    out: dict[int, dict[str, bytes]] = {}
    for (no, place), parts in found.items():
        out.setdefault(no, {})[PLACES[place]] = b"".join(parts)
    return out
