"""Edits of heads: only what is asked for changes; credentials never stay."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.http_edit import mask_authorization, rewrite

HEAD = b"GET /CP1 HTTP/1.1\r\nhOST:   old:80\r\nX-Odd:  a \r\nX-Odd: b\r\nConnection: keep-alive\r\n\r\n"
SECRET = base64.b64encode(b"CP1:secret")


def test_without_a_wish_nothing_changes() -> None:
    for raw in (HEAD, b"", b"\r\n\r\n", b"garbage", b"\r\n" + HEAD, HEAD.replace(b"\r\n", b"\n"), b"GET /a b HTTP/1.1\n\n"):
        assert rewrite(raw) == raw


def test_target_and_host_change_and_every_other_byte_stays() -> None:
    assert rewrite(HEAD, target=b"/ocpp/CP1?x", host=b"new:9000") == (
        HEAD.replace(b"/CP1", b"/ocpp/CP1?x").replace(b"old:80", b"new:9000")
    )


def test_a_target_with_blanks_is_replaced_as_a_whole() -> None:
    assert rewrite(b"GET /CP 1  2 HTTP/1.1\n\n", target=b"/CP%201") == b"GET /CP%201 HTTP/1.1\n\n"


def test_a_start_line_without_version_gets_one() -> None:
    assert rewrite(b"GET /CP1\r\n\r\n", version=b"HTTP/1.1") == b"GET /CP1 HTTP/1.1\r\n\r\n"
    assert rewrite(b"GET /CP1 HTTP/1.0\r\n\r\n", version=b"HTTP/1.1") == b"GET /CP1 HTTP/1.1\r\n\r\n"


def test_headers_are_added_removed_and_replaced() -> None:
    raw = rewrite(HEAD, remove=[b"x-odd"], replace=[(b"connection", b"Upgrade")], add=[(b"Upgrade", b"websocket")])
    assert raw == b"GET /CP1 HTTP/1.1\r\nhOST:   old:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_a_missing_host_is_added() -> None:
    assert rewrite(b"GET / HTTP/1.1\n\n", host=b"csms") == b"GET / HTTP/1.1\nHost: csms\n\n"


def test_a_folded_line_goes_with_its_header() -> None:
    raw = b"GET / HTTP/1.1\r\nA: 1\r\n more\r\nB: 2\r\n\r\n"
    assert rewrite(raw, remove=[b"a"]) == b"GET / HTTP/1.1\r\nB: 2\r\n\r\n"
    assert rewrite(raw, remove=[b"b"]) == b"GET / HTTP/1.1\r\nA: 1\r\n more\r\n\r\n"


def test_line_ends_can_be_made_regular() -> None:
    assert rewrite(b"\r\n" + HEAD.replace(b"\r\n", b"\n"), crlf=True) == HEAD


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        (b"GET / X\r\nAuthorization: Basic %s\r\nA: b\r\n\r\n", b"GET / X\r\nAuthorization: Basic ***\r\nA: b\r\n\r\n"),
        (b"x\r\naUTHORIZATION:%s\r\n\r\n", b"x\r\naUTHORIZATION:***\r\n\r\n"),
        (b"x\nAuthorization :\tBasic  %s\n\n", b"x\nAuthorization :\tBasic  ***\n\n"),
        (b"x\r\nProxy-Authorization: Bearer %s", b"x\r\nProxy-Authorization: Bearer ***"),
        (b"x\r\nAuthorization: Basic\r\n %s\r\nA: b\r\n\r\n", b"x\r\nAuthorization: ***\r\nA: b\r\n\r\n"),
        (b"x\r\n Authorization: Digest a=%s, b=%s\r\n\r\n", b"x\r\n Authorization: Digest ***\r\n\r\n"),
        (b"Authorization: Basic %s", b"Authorization: Basic ***"),
    ],
)
def test_credentials_are_masked(raw: bytes, masked: bytes) -> None:
    assert mask_authorization(raw.replace(b"%s", SECRET)) == masked


def test_a_head_without_credentials_is_not_touched() -> None:
    raw = b"GET /Authorization: HTTP/1.1\r\nX-Authorization: keep me\r\nWWW: Authorization: keep\r\n\r\n"
    assert mask_authorization(raw) == raw


@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"\t", b"a", b":", b"Basic", b"\0", b"\xff"]), max_size=12))
def test_whatever_stands_around_it_the_secret_goes(pieces: list[bytes]) -> None:
    around = b"".join(pieces)
    raw = b"GET / HTTP/1.1\r\n" + around + b"\r\nAuthorization: Basic " + SECRET + b"\r\n" + around + b"\r\n\r\n"
    assert SECRET not in mask_authorization(raw)


@given(st.binary(max_size=200), st.booleans())
def test_edits_never_raise(raw: bytes, crlf: bool) -> None:
    mask_authorization(raw)
    assert rewrite(raw) == raw
    rewrite(
        raw, target=b"/x", host=b"h", version=b"HTTP/1.1", remove=[b"a"], replace=[(b"b", b"c")], add=[(b"d", b"e")], crlf=crlf,
    )
