"""Plain HTTP on the same port (SOAP): bodies of every framing, keep-alive, pipelining, byte for byte, as records."""

from pathlib import Path

import pytest

from ocpp_proxy.wire.spool import Kind
from tests.relay.stage import UPGRADE, ends, heads, notes, of, play, stage, stream

POST = b"POST /soap/CP1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/soap+xml\r\n"
XML = b"<s:Envelope>" + b"x" * 3000 + b"</s:Envelope>"
REQUESTS = {
    "length": POST + b"Content-Length: %d\r\n\r\n" % len(XML) + XML,
    "chunked": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\nTrailer: x\r\n\r\n",
    "encoded": POST + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "none": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<ok/>",
    "fault": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 8\r\n\r\n<fault/>",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("request_name", REQUESTS)
def test_requests_and_answers_on_one_connection(tmp_path: Path, request_name: str) -> None:
    request = REQUESTS[request_name]

    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            csms = None
            for answer in ANSWERS.values():
                await station.send(request)
                csms = csms or await s.accept()
                assert await csms.read(len(request)) == request
                await csms.send(answer)
                assert await station.read(len(answer)) == answer
            station.close()
            assert csms is not None and await csms.rest() == b""
            csms.close()
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == request * len(ANSWERS) and stream(records, 1) == b"".join(ANSWERS.values())
            assert [head.status for head in heads(records, 1)] == [200, 500, 200, 204, 100, 200]
            assert len(heads(records)) == len(ANSWERS) and {head.identity for head in heads(records)} <= {"CP1", "status"}
            assert ends(records)[0].unsent == 0

    play(body())


def test_pipelined_requests_go_on_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(REQUESTS["length"] + REQUESTS["none"])
            csms = await s.accept()
            both = REQUESTS["length"] + REQUESTS["none"]
            assert await csms.read(len(both)) == both
            await csms.send(ANSWERS["length"] + ANSWERS["chunked"])
            both = ANSWERS["length"] + ANSWERS["chunked"]
            assert await station.read(len(both)) == both

    play(body())


def test_an_answer_to_head_has_no_body(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            csms = await s.accept()
            await csms.head()
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
            await csms.send(answer + ANSWERS["length"])
            whole = answer + ANSWERS["length"]
            assert await station.read(len(whole)) == whole
            await s.until(lambda: len(heads(s.records(), 1)) == 2)

    play(body())


def test_a_post_and_then_an_upgrade_on_the_same_connection(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(REQUESTS["length"])
            csms = await s.accept()
            await csms.read(len(REQUESTS["length"]))
            await csms.send(ANSWERS["length"])
            await station.read(len(ANSWERS["length"]))
            await station.send(UPGRADE)
            assert await csms.head() == UPGRADE

    play(body())


def test_an_answer_until_close_ends_with_fin(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(REQUESTS["none"])
            csms = await s.accept()
            await csms.head()
            await csms.send(b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 100_000)
            csms.close()
            assert await station.rest() == b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 100_000 and station.ended == "fin"
            station.close()
            await s.no_links()
            assert not of(s.records(), Kind.OUT)

    play(body())


def test_a_request_whose_sender_ends_its_direction_gets_its_answer(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(REQUESTS["length"])
            station.half_close()
            csms = await s.accept()
            assert await csms.rest() == REQUESTS["length"] and csms.ended == "fin"
            await csms.send(ANSWERS["length"])
            csms.close()
            assert await station.rest() == ANSWERS["length"]
            await s.no_links()

    play(body())


def test_a_half_close_behind_a_broken_off_second_head_is_passed_on_and_the_answer_still_comes(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(REQUESTS["none"] + b"GET /half")
            station.half_close()
            csms = await s.accept()
            assert await csms.rest() == REQUESTS["none"] and csms.ended == "fin"
            await csms.send(ANSWERS["length"])
            csms.close()
            assert await station.rest() == ANSWERS["length"]
            await s.no_links()
            records = s.records()
            assert [note.text for note in notes(records)] == ["closed by the charger, 9 bytes seen"]
            assert stream(records, 0) == REQUESTS["none"] + b"GET /half" and ends(records)[0].unsent == 9

    play(body())
