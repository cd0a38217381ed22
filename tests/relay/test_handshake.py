"""The handshake in mirror: odd heads byte for byte, heads in pieces, answers other than 101, refusals, limits."""

import asyncio
import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpp_proxy.config import Config, LimitsConfig
from ocpp_proxy.wire.spool import Kind
from tests.relay.odd import ROWS, frame
from tests.relay.odd import head as odd_head
from tests.relay.stage import SWITCH, UPGRADE, ends, heads, notes, of, play, stage, stream


@pytest.mark.parametrize("name", ROWS)
def test_odd_handshakes_reach_the_csms_byte_for_byte(tmp_path: Path, name: str) -> None:
    head, frames = ROWS[name]

    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(head + frames)               # glued together, as some chargers do
            csms = await s.accept()
            assert await csms.read(len(head)) == head
            await csms.send(SWITCH)
            assert await station.head() == SWITCH
            assert await csms.read(len(frames)) == frames
            station.close()
            csms.close()
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == head + frames
            (recorded,) = heads(records)
            assert recorded.raw == head and recorded.sent == b"" and recorded.size == len(head)

    play(body())


def test_a_head_split_at_every_byte_gives_the_same_records(tmp_path: Path) -> None:
    head, frames = ROWS["00 baseline"]
    whole = head + frames

    async def body() -> None:
        async with stage(tmp_path) as s:
            for at in range(1, len(whole)):
                station = await s.dial()
                await station.send(whole[:at])
                await asyncio.sleep(0)
                await station.send(whole[at:])
                csms = await s.accept()
                assert await csms.read(len(head)) == head
                await csms.send(SWITCH + b"\x81\x00")
                assert await csms.read(len(frames)) == frames
                assert await station.read(len(SWITCH) + 2) == SWITCH + b"\x81\x00"
                station.close()
                csms.close()
            await s.no_links()
            records = s.records()
            for link in range(1, len(whole)):
                assert stream(records, 0, link) == whole and stream(records, 1, link) == SWITCH + b"\x81\x00"
                assert len(of(records, Kind.HEAD, link=link)) == 2

    play(body())


def test_bytes_behind_an_upgrade_head_are_held_until_the_status_is_known(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(UPGRADE + UPGRADE.replace(b"/CP1", b"/CP2"))
            csms = await s.accept()
            assert await csms.head() == UPGRADE
            refusal = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 3\r\n\r\nno\n"
            await csms.send(refusal)
            assert await station.read(len(refusal)) == refusal
            assert await csms.head() == UPGRADE.replace(b"/CP1", b"/CP2")    # only now, on the same connection
            await csms.send(SWITCH)
            assert await station.head() == SWITCH
            await station.send(frame())
            assert await csms.read(len(frame())) == frame()
            station.close()
            csms.close()
            await s.no_links()
            records = s.records()
            assert [head.identity for head in heads(records)] == ["CP1", "CP2"]
            assert [head.status for head in heads(records, 1)] == [401, 101]
            assert stream(records, 1) == refusal + SWITCH

    play(body())


def test_no_more_than_64_kib_are_held_behind_an_upgrade_head(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(UPGRADE)
            csms = await s.accept()
            await csms.head()
            sending = asyncio.create_task(station.send(b"z" * (8 << 20)))
            phase = s.relay.env.links[1].phase  # type: ignore[attr-defined]
            await s.until(lambda: len(phase.kept) >= 64 << 10, "held")
            await asyncio.sleep(0.2)
            assert len(phase.kept) <= (64 << 10) + (256 << 10)
            await csms.send(SWITCH)
            assert await csms.read(8 << 20) == b"z" * (8 << 20)
            await sending

    play(body())


ANSWERS = {
    "E01": b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 4\r\n\r\nnope",
    "E02": b"HTTP/1.1 403 Forbidden\r\ncontent-length:2\r\n\r\nno",
    "E03": b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "E04": b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n",
    "E05": b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
    "E06": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: ws://other/CP1\r\nContent-Length: 0\r\n\r\n",
    "E07": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "E08": b"HTTP/1.1 429 Too Many\r\nX-Custom: 1\r\n\r\nuntil the end",
    "bad status line": b"NONSENSE 200\r\n\r\nwhatever",
    "no HTTP at all": b"SSH-2.0-OpenSSH\r\n",
    "wrong accept": SWITCH.replace(b"s3pP", b"XXXX"),
    "100 then 401": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_of_the_csms_comes_back_byte_for_byte(tmp_path: Path, name: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(UPGRADE)
            csms = await s.accept()
            assert await csms.head() == UPGRADE
            await csms.send(ANSWERS[name])
            csms.close()
            assert await station.rest() == ANSWERS[name] and station.ended == "fin"
            station.close()
            await s.no_links()
            assert stream(s.records(), 1) == ANSWERS[name]
            assert not of(s.records(), Kind.OUT)

    play(body())


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


FAILURES = {                                # upstream, connect_to, reason
    "refused": ("ws://127.0.0.1:{closed}", (), "refused: 127.0.0.1 port"),
    "dns": ("ws://no-such-host.invalid", (), "dns: no-such-host.invalid"),
    "loop": ("ws://csms.example:80", ("csms.example:80:127.0.0.1:{own}",), "loop: 127.0.0.1"),
    "tls": ("wss://127.0.0.1:{port}", (), "tls: "),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("down", ["502", "reset"])
def test_an_upstream_that_cannot_be_reached(tmp_path: Path, name: str, down: str, closed: int) -> None:
    async def body() -> None:
        upstream, connect, reason = FAILURES[name]
        config = Config(host="preserve", upstream_down="reset" if down == "reset" else "502")
        async with stage(tmp_path, config, upstream.replace("{closed}", str(closed))) as s:
            s.relay.env.config = type(config)(
                upstream=upstream, upstream_down=config.upstream_down, connect_to=tuple(r.format(own=s.port) for r in connect),
            )
            station = await s.dial()
            await station.send(UPGRADE)
            if name == "tls":
                csms = await s.accept()
                await csms.send(b"HTTP/1.1 400 this is no TLS\r\n\r\n")
                csms.close()
            answer = await station.rest()
            station.close()
            await s.no_links()
            records = s.records()
            (note,) = [note for note in notes(records) if note.kind == "upstream_failed"]
            assert note.text.startswith(reason) and note.identity == "CP1"
            end = ends(records)[0]
            assert (end.read, end.written, end.unsent) == (len(UPGRADE), 0, len(UPGRADE))
            if down == "reset":
                assert answer == b"" and station.ended == "rst" and not of(records, Kind.OUT)
            else:
                assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n") and b"\r\nRetry-After: " in answer
                assert reason.encode() in answer
                assert [record.data for record in of(records, Kind.OUT)] == [answer]

    play(body())


def test_a_silent_csms_gives_no_101_and_504_in_the_end(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(limits=LimitsConfig(dial_seconds=0.8))) as s:
            station = await s.dial()
            await station.send(UPGRADE)
            await s.accept()
            answer = await station.rest()
            assert answer.startswith(b"HTTP/1.1 504 ") and b"timeout: no answer" in answer
            station.close()
            await s.no_links()
            assert [note.text.partition(":")[0] for note in notes(s.records())] == ["timeout"]

    play(body())


@pytest.mark.parametrize("reset", [False, True])
def test_a_csms_that_closes_without_an_answer(tmp_path: Path, reset: bool) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(UPGRADE)
            csms = await s.accept()
            await csms.head()
            if reset:
                csms.reset()
            else:
                csms.close()
            answer = await station.rest()
            assert answer.startswith(b"HTTP/1.1 502 ") and b"closed: " in answer
            station.close()
            await s.no_links()
            assert [note.kind for note in notes(s.records())] == ["upstream_failed"]

    play(body())


def test_a_csms_that_dies_within_its_answer_head_delivers_what_it_sent(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(UPGRADE)
            csms = await s.accept()
            await csms.head()
            await csms.send(b"HTTP/1.1 101 Swi")
            csms.close()
            assert await station.rest() == b"HTTP/1.1 101 Swi" and station.ended == "fin"
            station.close()
            await s.no_links()
            assert stream(s.records(), 1) == b"HTTP/1.1 101 Swi"

    play(body())


AMBIGUOUS = {
    "double host": UPGRADE.replace(b"\r\nUpgrade", b"\r\nHost: evil\r\nUpgrade"),
    "length on an upgrade": UPGRADE.replace(b"\r\nUpgrade", b"\r\nContent-Length: 5\r\nUpgrade"),
    "transfer on an upgrade": UPGRADE.replace(b"\r\nUpgrade", b"\r\nTransfer-Encoding: chunked\r\nUpgrade"),
    "length and transfer": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "folded": UPGRADE.replace(b"\r\nUpgrade", b"\r\n folded\r\nUpgrade"),
    "NUL": UPGRADE.replace(b"127.0.0.1", b"127.0.0.1\0"),
    "bare CR": UPGRADE.replace(b"127.0.0.1", b"127.0.0.1\rX: y"),
    "blank before the colon": UPGRADE.replace(b"Upgrade:", b"Upgrade :"),
    "mixed line ends": UPGRADE.replace(b"websocket\r\n", b"websocket\n"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_head_two_parsers_could_read_differently_never_goes_upstream(tmp_path: Path, name: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(AMBIGUOUS[name])
            answer = await station.rest()
            assert answer.startswith(b"HTTP/1.1 400 ") and b"two parsers" in answer
            station.close()
            await s.no_links()
            records = s.records()
            assert [note.kind for note in notes(records)] == ["head_refused"]
            assert stream(records, 0) == AMBIGUOUS[name] and not of(records, Kind.HEAD, direction=1)
            assert ends(records)[0].written == 0 and heads(records)[0].problems
            s.csms_listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                s.csms_listener.accept()

    play(body())


def test_ambiguous_heads_pass_when_asked_for(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(host="preserve", ambiguous_heads="pass")) as s:
            station = await s.dial()
            await station.send(AMBIGUOUS["double host"])
            csms = await s.accept()
            assert await csms.head() == AMBIGUOUS["double host"]

    play(body())


LIMITS = {
    "one long line": (b"GET /" + b"a" * 17000, 431),
    "one long head": (b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 17000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 101 + b"\r\n", 431),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_head_over_a_limit_is_refused_and_recorded(tmp_path: Path, name: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(LIMITS[name][0])
            assert (await station.rest()).startswith(b"HTTP/1.1 %d " % LIMITS[name][1])
            station.close()
            await s.no_links()
            records = s.records()
            assert [note.kind for note in notes(records)] == ["head_refused"]
            assert stream(records, 0) == LIMITS[name][0]

    play(body())


def test_no_complete_head_in_time(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(limits=LimitsConfig(head_seconds=0.8))) as s:
            silent, slow = await s.dial(), await s.dial()
            await slow.send(b"GET /CP1 HT")
            assert await silent.rest() == b"" and await slow.rest() == b""
            for peer in (silent, slow):
                peer.close()
            await s.no_links()
            records = s.records()
            assert [note.text for note in notes(records)] == [
                "no complete head within 0.8 s, 0 bytes seen", "no complete head within 0.8 s, 11 bytes seen",
            ]
            assert stream(records, 0, 2) == b"GET /CP1 HT" and ends(records, 2)[0].how == "timeout"

    play(body())


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_charger_that_connects_and_leaves(tmp_path: Path, how: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(b"GET /C")
            await s.until(lambda: bool(s.relay.env.links) and s.relay.env.links[1].phase.kept != b"")  # type: ignore[attr-defined]
            if how == "fin":
                station.close()
            else:
                station.reset()
            await s.no_links()
            records = s.records()
            assert [note.kind for note in notes(records)] == ["no_head"] and stream(records, 0) == b"GET /C"
            end = ends(records)[0]
            assert (end.how, end.first, end.unsent) == (how, True, 6)

    play(body())


def test_the_half_open_quota_pushes_out_the_oldest(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(limits=LimitsConfig(half_open=20))) as s:
            idle = [await s.dial() for _ in range(60)]
            await s.until(lambda: s.relay.env.accepted == 60)
            station, csms = await s.tunnel()
            await station.send(b"works")
            assert await csms.read(5) == b"works"
            for peer in idle[:40]:
                assert await peer.rest() == b""
            assert len(s.relay.env.half_open) <= 20
            assert [note.kind for note in notes(s.records()) if note.kind == "refused"] == ["refused"] * 41

    play(body())


def test_authorization_goes_on_but_is_masked_in_the_spool(tmp_path: Path) -> None:
    async def body() -> None:
        secret = UPGRADE.replace(b"\r\nUpgrade", b"\r\nAuthorization: Basic Q1AxOnNlY3JldA==\r\nUpgrade")
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(secret)
            csms = await s.accept()
            assert await csms.head() == secret
            s.records()
            assert all(b"Q1AxOnNlY3JldA" not in path.read_bytes() for path in (tmp_path / "spool").iterdir())
            (head,) = heads(s.records())
            assert b"Authorization: Basic ***\r\n" in head.raw and head.size == len(secret)
            station.close()
            csms.close()
            await s.no_links()

    play(body())


@pytest.mark.parametrize(("user", "status", "facts"), [
    (b"CP1", 401, ("user_is_identity",)), (b"CP2", 401, ("user_not_identity",)), (b"CP2", 101, ()),
])
def test_a_401_is_recorded_with_facts_about_the_masked_credentials(
    tmp_path: Path, user: bytes, status: int, facts: tuple[str, ...],
) -> None:
    async def body() -> None:
        packed = base64.b64encode(user + b":secret")
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(UPGRADE.replace(b"\r\nUpgrade", b"\r\nAuthorization: Basic " + packed + b"\r\nUpgrade"))
            csms = await s.accept()
            await csms.head()
            await csms.send(SWITCH if status == 101 else b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
            await station.head()
            station.close()
            csms.close()
            await s.no_links()
            records = s.records()
            assert not {*facts, "user_not_identity"} & set(heads(records)[0].problems)
            assert heads(records, 1)[0].problems == facts
            assert all(packed not in path.read_bytes() for path in (tmp_path / "spool").iterdir())

    play(body())


def test_routing_changes_target_and_host_and_nothing_else(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(), "ws://127.0.0.1:{port}/ocpp") as s:
            station = await s.dial()
            host = b"127.0.0.1:%d" % s.port
            await station.send(odd_head(line=b"GET /old/CP%201?a=b HTTP/1.1", host=host))
            csms = await s.accept()
            wanted = b"127.0.0.1:%d" % s.csms_listener.getsockname()[1]
            sent = odd_head(line=b"GET /ocpp/CP%201?a=b HTTP/1.1", host=wanted)
            assert await csms.head() == sent
            await s.until(lambda: bool(heads(s.records())))
            (head,) = heads(s.records())
            assert head.sent == sent and head.identity == "CP 1" and head.target == "/old/CP%201?a=b"
            assert head.upstream == f"ws://{wanted.decode()}/ocpp/CP%201?a=b"

    play(body())
