"""The head reader: the handshakes of the field by name, heads two parsers could read differently, and any bytes at all."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.http import AMBIGUOUS, PROBLEMS, accept_of, find_head, parse_request, parse_response

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
LINES = {
    "start": b"GET /CP1 HTTP/1.1", "host": b"Host: 127.0.0.1", "upgrade": b"Upgrade: websocket",
    "connection": b"Connection: Upgrade", "key": b"Sec-WebSocket-Key: " + KEY, "version": b"Sec-WebSocket-Version: 13",
    "protocol": b"Sec-WebSocket-Protocol: ocpp1.6",
}


def head(end: bytes = b"\r\n", **changes: bytes | None) -> bytes:
    """The baseline request with some lines changed (None: left out)."""
    lines = [line for line in (LINES | changes).values() if line is not None]
    return end.join(lines) + end + end


CASES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "0 baseline": (head(), ()),
    "1 no Connection": (head(connection=None), ("no_connection",)),
    "2 keep-alive only": (head(connection=b"Connection: keep-alive"), ("connection_not_upgrade",)),
    "3 mixed case": (head(upgrade=b"Upgrade: WebSocket"), ()),
    "4 no Upgrade": (head(upgrade=None), ("no_upgrade",)),
    "5 no subprotocol": (head(protocol=None), ()),
    "6 upper case subprotocol": (head(protocol=b"Sec-WebSocket-Protocol: OCPP1.6"), ()),
    "7 double slash": (head(start=b"GET //CP1 HTTP/1.1"), ("double_slash",)),
    "8 blank in the path": (head(start=b"GET /CP 1 HTTP/1.1"), ("blank_in_target",)),
    "9 no version": (head(version=None), ("no_version",)),
    "10 HTTP/1.0": (head(start=b"GET /CP1 HTTP/1.0"), ("http_1_0",)),
    "11 bare LF": (head(b"\n"), ("bare_lf",)),
    "12 wrong key": (head(key=b"Sec-WebSocket-Key: abc"), ("bad_key",)),
    "key not base64": (head(key=b"Sec-WebSocket-Key: ????"), ("bad_key",)),
    "no key": (head(key=None), ("no_key",)),
    "two keys": (head(key=b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Key: " + KEY), ("several_keys",)),
    "version 8": (head(version=b"Sec-WebSocket-Version: 8"), ("version_not_13",)),
    "POST": (head(start=b"POST /CP1 HTTP/1.1"), ("method_not_get",)),
    "h2c": (head(upgrade=b"Upgrade: h2c"), ("upgrade_not_websocket",)),
    "no Host": (head(host=None), ("no_host",)),
    "no version in the start line": (head(start=b"GET /CP1"), ("http_version",)),
    "HTTP/2.0": (head(start=b"GET /CP1 HTTP/2.0"), ("http_version",)),
    "raw UTF-8": (head(start="GET /Säule HTTP/1.1".encode()), ("non_ascii_target",)),
    "tab in the path": (head(start=b"GET /CP\t1 HTTP/1.1"), ("blank_in_target",)),
    "escape in the path": (head(start=b"GET /CP\x1b1 HTTP/1.1"), ("control_in_target",)),
    "half percent": (head(start=b"GET /CP%2 HTTP/1.1"), ("bad_percent",)),
    "fragment": (head(start=b"GET /CP1#x HTTP/1.1"), ("fragment_in_target",)),
    "whole URL": (head(start=b"GET ws://csms/CP1 HTTP/1.1"), ("absolute_target",)),
    "no slash": (head(start=b"GET CP1 HTTP/1.1"), ("target_no_slash",)),
    "two blanks": (head(start=b"GET  /CP1 HTTP/1.1"), ("start_line_blanks",)),
    "empty line first": (b"\r\n" + head(), ("leading_empty_line",)),
    "bell in a header": (head(host=b"Host: a\x07"), ("control_in_header",)),
    "nothing in the start line": (head(start=b"GARBAGE"), ("http_version", "start_line")),
}


@pytest.mark.parametrize("name", CASES)
def test_odd_handshakes_are_named(name: str) -> None:
    raw, problems = CASES[name]
    read = parse_request(raw)
    assert (read.problems, read.ambiguous, read.upgrade, read.body) == (problems, (), True, "none")
    assert find_head(raw + b"\x81\x80abcd") == len(raw)


def test_every_problem_has_a_case() -> None:
    shown = {code for _, problems in CASES.values() for code in problems}
    assert set(PROBLEMS) - shown == {"status_line", "no_accept"}


def test_what_a_request_says() -> None:
    auth = b"Authorization: Basic " + base64.b64encode(b"CP1:se:cr\xffet")
    read = parse_request(head(
        start=b"GET /ocpp/CP%201?a=b HTTP/1.1", protocol=b"Sec-WebSocket-Protocol: ocpp2.0.1 , ocpp1.6\r\n" + auth,
    ))
    assert (read.method, read.target, read.version) == ("GET", b"/ocpp/CP%201?a=b", "HTTP/1.1")
    assert (read.offered, read.basic_user) == (("ocpp2.0.1", "ocpp1.6"), "CP1")
    assert (read.get(b"HOST"), read.get(b"x-none")) == (b"127.0.0.1", None)
    assert [name for name, _ in read.headers][:2] == [b"Host", b"Upgrade"]
    assert "se:cr" not in read.basic_user


@pytest.mark.parametrize("value", [b"", b"Bearer xyz", b"Basic", b"Basic ###", b"Basic Q"])
def test_odd_credentials_give_no_user(value: bytes) -> None:
    assert ":" not in parse_request(head(version=b"Authorization: " + value)).basic_user


def test_plain_http_is_no_upgrade() -> None:
    read = parse_request(b"POST /soap HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    assert (read.upgrade, read.problems, read.ambiguous, read.body, read.length) == (False, (), (), "length", 5)


def plain(*lines: bytes, start: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join((start, b"Host: a", *lines)) + b"\r\n\r\n"


SMUGGLING: list[tuple[bytes, str]] = [
    (head(host=b"Host: a\r\nHost: b"), "double_host"),
    (head(host=b"Host: a\r\nhost: a"), "double_host"),
    (head(host=b"Host: a\r\nHOST:b"), "double_host"),
    (head(version=b"Content-Length: 5"), "length_on_upgrade"),
    (head(version=b"content-length: 0"), "length_on_upgrade"),
    (head(version=b"Content-Length: -1"), "length_on_upgrade"),
    (head(version=b"Transfer-Encoding: chunked"), "transfer_on_upgrade"),
    (head(version=b"transfer-encoding: identity"), "transfer_on_upgrade"),
    (head(version=b"Content-Length: 4\r\nTransfer-Encoding: chunked"), "length_and_transfer"),
    (plain(b"Content-Length: 4", b"Transfer-Encoding: chunked"), "length_and_transfer"),
    (plain(b"Transfer-Encoding: chunked", b"Content-Length: 0"), "length_and_transfer"),
    (plain(b"Content-Length: 4", b"Content-Length: 5"), "several_lengths"),
    (plain(b"Content-Length: 4", b"Content-Length: 4"), "several_lengths"),
    (plain(b"Content-Length: 4, 4"), "bad_length"),
    (plain(b"Content-Length: +4"), "bad_length"),
    (plain(b"Content-Length: -4"), "bad_length"),
    (plain(b"Content-Length: 0x4"), "bad_length"),
    (plain(b"Content-Length: 4 4"), "bad_length"),
    (plain(b"Content-Length:"), "bad_length"),
    (plain(b"Content-Length: 4\x0b"), "bad_length"),
    (plain("Content-Length: ٤".encode()), "bad_length"),
    (plain(b"Content-Length: 1" + b"0" * 40), "bad_length"),
    (plain(b"Transfer-Encoding: xchunked"), "bad_transfer"),
    (plain(b"Transfer-Encoding: chunked, identity"), "bad_transfer"),
    (plain(b"Transfer-Encoding: identity, chunked"), "bad_transfer"),
    (plain(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"), "bad_transfer"),
    (plain(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "bad_transfer"),
    (plain(b"Transfer-Encoding: \x0bchunked"), "bad_transfer"),
    (plain(b'Transfer-Encoding: "chunked"'), "bad_transfer"),
    (plain(b"Transfer-Encoding:"), "bad_transfer"),
    (plain(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"), "bad_transfer"),
    (plain(b"X: a", b" Transfer-Encoding: chunked"), "folded_line"),
    (plain(b"Content-Length:", b"\t5"), "folded_line"),
    (head(host=b" Host: a"), "folded_line"),
    (plain(b"Content-Length : 5"), "blank_before_colon"),
    (plain(b"Transfer-Encoding\t: chunked"), "blank_before_colon"),
    (head(host=b"Host : a"), "blank_before_colon"),
    (plain(b"X: a\0b"), "nul"),
    (plain(b"Content-Length\0: 5"), "nul"),
    (head(start=b"GET /CP1\0 HTTP/1.1"), "nul"),
    (plain(b"X: a\rContent-Length: 5"), "bare_cr"),
    (plain(b"X: a\r"), "bare_cr"),
    (head(start=b"GET /CP1\rX HTTP/1.1"), "bare_cr"),
    (plain(b"X: a\nContent-Length: 5"), "mixed_line_ends"),
    (head(host=b"Host: a\nX: b"), "mixed_line_ends"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", "mixed_line_ends"),
    (plain(b"Content-Length"), "no_colon"),
    (plain(b"GET /admin HTTP/1.1"), "no_colon"),
    (plain(b": 5"), "header_name"),
    (plain(b"Content-Length\x0b: 5"), "header_name"),
    (plain(b"Content Length: 5"), "header_name"),
    (plain(b"Content-L\xc3\xa9ngth: 5"), "header_name"),
    (b"POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\n", "odd_head_with_body"),
    (plain(b"Content-Length: 5", start=b"POST /a b HTTP/1.1"), "odd_head_with_body"),
    (plain(b"Content-Length: 5", start=b"POST /a HTTP/1.1 HTTP/1.1"), "odd_head_with_body"),
]


@pytest.mark.parametrize(("raw", "code"), SMUGGLING)
def test_heads_two_parsers_read_differently_are_ambiguous(raw: bytes, code: str) -> None:
    assert code in parse_request(raw).ambiguous
    assert code in AMBIGUOUS


def test_the_table_of_ambiguous_heads_is_whole() -> None:
    assert len({raw for raw, _ in SMUGGLING}) == len(SMUGGLING) >= 40
    assert {code for _, code in SMUGGLING} == set(AMBIGUOUS)


@pytest.mark.parametrize(
    ("raw", "method", "body", "length"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "GET", "none", 0),
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", "POST", "none", 0),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET", "none", 0),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", "none", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", "none", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", "length", 5),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "GET", "none", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "GET", "chunked", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "GET", "close", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "GET", "close", 0),
        (b"HTTP/1.0 200 OK\r\n\r\n", "GET", "close", 0),
    ],
)
def test_framing_of_answers(raw: bytes, method: str, body: str, length: int) -> None:
    read = parse_response(raw, method)
    assert (read.body, read.length) == (body, length)


def test_what_an_answer_says() -> None:
    read = parse_response(
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: ocpp1.6\r\nSec-WebSocket-Accept: x\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n",
    )
    assert (read.status, read.reason, read.protocol) == (101, "Switching Protocols", "ocpp1.6")
    assert read.extensions == "permessage-deflate; client_no_context_takeover"
    assert read.problems == ()
    assert parse_response(b"HTTP/1.1 101 X\r\n\r\n").problems == ("no_accept",)
    assert parse_response(b"garbage\r\n\r\n").problems == ("status_line",)
    assert parse_response(b"HTTP/1.1 404\r\n\r\n").status == 404


def test_the_accept_of_the_standard() -> None:
    assert accept_of(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_the_end_is_found_only_when_complete(end: bytes) -> None:
    raw = head(end)
    assert [find_head(raw[:size]) for size in range(len(raw))] == [-1] * len(raw)
    assert find_head(bytearray(raw) + b"\r\n\r\n") == len(raw)
    assert find_head(b"\r\n\r\n" + raw + b"GET") == len(raw) + 4


_PIECES = st.sampled_from([
    b"GET ", b"/CP1", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"Host", b"Content-Length", b"Transfer-Encoding",
    b"chunked", b"5", b"Authorization: Basic ", b"Sec-WebSocket-Key: ", b"\xff", b"HTTP/1.1 200 OK",
])


@given(st.one_of(st.binary(max_size=300), st.lists(_PIECES, max_size=40).map(b"".join)))
def test_any_bytes_give_heads(raw: bytes) -> None:
    end = find_head(raw)
    assert -1 <= end <= len(raw)
    request, answer = parse_request(raw), parse_response(raw)
    assert set(request.problems) | set(answer.problems) <= set(PROBLEMS)
    assert set(request.ambiguous) | set(answer.ambiguous) <= set(AMBIGUOUS)
    request.target_text.encode()
    request.basic_user.encode()


@given(st.data())
def test_mutations_of_a_head_never_raise(data: st.DataObject) -> None:
    raw = bytearray(head())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=4))
        if not raw:
            break
    parse_request(bytes(raw))
