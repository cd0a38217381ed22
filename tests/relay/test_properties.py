"""Properties: any bytes in any pieces go through unchanged after a 101; any head leaves a record and never a crash."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import SWITCH, UPGRADE, Peer, of, play, stage, stream

PIECES = st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=20)
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=CHECKS)


async def in_pieces(peer: Peer, pieces: list[bytes]) -> None:
    for piece in pieces:
        await peer.send(piece)
        await asyncio.sleep(0)


@FEW
@given(up=PIECES, down=PIECES, glued=st.binary(max_size=50), answered=st.binary(max_size=50))
def test_any_bytes_in_any_pieces_go_through_unchanged(
    tmp_path: Path, up: list[bytes], down: list[bytes], glued: bytes, answered: bytes,
) -> None:
    async def body() -> None:
        async with stage(Path(tempfile.mkdtemp(dir=tmp_path))) as s:
            station = await s.dial()
            await station.send(UPGRADE + glued)
            csms = await s.accept()
            assert await csms.read(len(UPGRADE)) == UPGRADE
            await csms.send(SWITCH + answered)
            await asyncio.gather(in_pieces(station, up), in_pieces(csms, down))
            station.half_close()
            csms.half_close()
            assert await csms.rest() == glued + b"".join(up)
            assert await station.rest() == SWITCH + answered + b"".join(down)
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == UPGRADE + glued + b"".join(up)
            assert stream(records, 1) == SWITCH + answered + b"".join(down)

    play(body())


LINES = UPGRADE.split(b"\r\n")[:-2]
CHANGE = st.one_of(
    st.just(lambda line: []), st.just(lambda line: [line, line]), st.just(lambda line: [line.swapcase()]),
    st.binary(max_size=8).map(lambda extra: lambda line: [line + extra]),
    st.binary(max_size=8).map(lambda extra: lambda line: [extra, line]),
)
EOL = st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r"])


@FEW
@given(
    changes=st.dictionaries(st.integers(0, len(LINES) - 1), CHANGE, max_size=3),
    eol=EOL,
)
def test_any_head_leaves_a_record_and_the_next_charger_gets_through(
    tmp_path: Path, changes: dict[int, Callable[[bytes], list[bytes]]], eol: bytes,
) -> None:
    lines: list[bytes] = []
    for index, line in enumerate(LINES):
        lines += changes[index](line) if index in changes else [line]
    head = eol.join([*lines, b"", b""])

    async def body() -> None:
        async with stage(Path(tempfile.mkdtemp(dir=tmp_path))) as s:
            odd = await s.dial()
            await odd.send(head)
            odd.half_close()
            await s.until(lambda: bool(of(s.records(), Kind.HEAD, Kind.NOTE, link=1)))
            station = await s.dial()
            await station.send(UPGRADE.replace(b"/CP1", b"/good"))
            while True:
                csms = await s.accept()
                if b"/good" in await csms.until(b"\n"):     # the odd head may end otherwise than with CRLF CRLF
                    break
            await csms.head()
            await csms.send(SWITCH)
            assert await station.head() == SWITCH

    play(body())
