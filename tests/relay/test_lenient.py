"""Lenient: repairs on the way to a strict CSMS (``websockets`` with its defaults), taken away again on the way back."""

from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from ocpp_proxy.config import Config
from ocpp_proxy.wire.http import accept_of, parse_response
from tests.relay.odd import ROWS, head
from tests.relay.stage import KEY, SWITCH, heads, notes, play, stage

ANSWER = b'[3,"1",{}]'


async def strict(connection: ServerConnection) -> None:
    async for _ in connection:
        await connection.send(ANSWER.decode())


async def connected(folder: Path, mode: str) -> dict[str, bytes]:
    """The rows that got a 101 and whose Call was answered, with their answer heads."""
    out: dict[str, bytes] = {}
    async with serve(strict, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        config = Config(upstream=f"ws://127.0.0.1:{port}", handshake="lenient" if mode == "lenient" else "mirror")
        async with stage(folder, config) as s:
            for name, (request, frames) in ROWS.items():
                station = await s.dial()
                await station.send(request + frames)
                answer = await station.until(b"\r\n\r\n")
                if answer.startswith(b"HTTP/1.1 101 ") and (await station.until(b"{}]")).endswith(ANSWER):
                    out[name] = answer
                station.close()
            await s.no_links()
    return out


def test_lenient_lets_in_what_a_strict_csms_refuses(tmp_path: Path) -> None:
    async def body() -> None:
        mirror = await connected(tmp_path / "mirror", "mirror")
        lenient = await connected(tmp_path / "lenient", "lenient")
        odd = [name for name in lenient if name[:2] != "00"]
        assert len(odd) >= 12, odd
        assert {name[:2] for name in mirror} == {"00", "03", "07", "15", "17"}
        assert {name[:2] for name in odd} >= {f"{number:02d}" for number in range(1, 13)}
        assert b"ocpp1.6" not in lenient["05 no subprotocol"]
        assert parse_response(lenient["06 OCPP1.6 in upper case"]).protocol == "OCPP1.6"
        assert parse_response(lenient["12 short key"]).get(b"sec-websocket-accept") == accept_of(b"abc")
        assert parse_response(lenient["00 baseline"]).get(b"sec-websocket-accept") == accept_of(KEY)

    play(body())


def test_before_and_after_stand_in_the_head_with_the_repairs_in_words(tmp_path: Path) -> None:
    async def body() -> None:
        raw = head(line=b"GET //CP 1 HTTP/1.0", eol=b"\n", drop=(b"Connection", b"Sec-WebSocket-Protocol"))
        async with stage(tmp_path, Config(host="preserve", handshake="lenient")) as s:
            station = await s.dial()
            await station.send(raw)
            csms = await s.accept()
            sent = await csms.head()
            assert sent == (
                b"GET /CP%201 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " + KEY
                + b"\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
            )
            await csms.send(SWITCH)
            assert await station.head() == SWITCH.replace(b"Sec-WebSocket-Protocol: ocpp1.6\r\n", b"")
            (request,), (answer,) = heads(s.records()), heads(s.records(), 1)
            assert (request.raw, request.sent) == (raw, sent) and len(request.repairs) == 5
            assert answer.raw == SWITCH and b"ocpp1.6" not in answer.sent

    play(body())


def test_a_good_head_and_a_plain_request_stay_as_they_are(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(host="preserve", handshake="lenient")) as s:
            for raw in (head(), b"GET //a%zz HTTP/1.0\n\n"):
                station = await s.dial()
                await station.send(raw)
                csms = await s.accept()
                assert await csms.read(len(raw)) == raw
            assert [one.sent for one in heads(s.records())] == [b"", b""] and not notes(s.records())

    play(body())


