"""Lenient reader of HTTP/1 heads: takes what chargers really send and names every deviation. Pure bytes, never raises.

``problems`` are deviations two parsers still read alike; ``ambiguous`` are heads two parsers could read differently
(request smuggling): those are not passed on. Bodies are ``wire.http_body``'s, edits of a head ``wire.http_edit``'s.
Sources: RFC 9112 (message syntax), RFC 6455 section 4 (the opening handshake), OCPP-J 1.6 section 3 (subprotocols).
"""

import base64
import binascii
import hashlib
import re
from typing import Literal

from msgspec import Struct

Headers = tuple[tuple[bytes, bytes], ...]
Framing = Literal["none", "length", "chunked", "close"]

# code -> (finding of the T family or "", words)
PROBLEMS: dict[str, tuple[str, str]] = {
    "no_connection": ("T05", "the request has no Connection header"),
    "connection_not_upgrade": ("T05", "the Connection header does not name upgrade"),
    "no_upgrade": ("T05", "the request has no Upgrade header"),
    "upgrade_not_websocket": ("T05", "the Upgrade header does not name websocket"),
    "no_version": ("T05", "the request has no Sec-WebSocket-Version"),
    "version_not_13": ("T05", "Sec-WebSocket-Version is not 13"),
    "no_key": ("T05", "the request has no Sec-WebSocket-Key"),
    "bad_key": ("T05", "Sec-WebSocket-Key is not 16 bytes in base64"),
    "several_keys": ("T05", "the request has more than one Sec-WebSocket-Key"),
    "method_not_get": ("T05", "an upgrade request must be a GET"),
    "http_1_0": ("T05", "the start line says HTTP/1.0; WebSocket needs HTTP/1.1"),
    "http_version": ("T05", "the start line names no HTTP/1 version"),
    "no_host": ("T05", "the request has no Host header"),
    "bare_lf": ("T05", "the lines end with LF instead of CRLF"),
    "leading_empty_line": ("T05", "an empty line stands before the start line"),
    "start_line": ("T05", "the start line is not METHOD target VERSION"),
    "start_line_blanks": ("T05", "the start line has more than one blank between its parts"),
    "control_in_header": ("T05", "a header value holds a control character"),
    "blank_in_target": ("T06", "the request target holds a blank that is not encoded"),
    "double_slash": ("T06", "the path holds //"),
    "non_ascii_target": ("T06", "the request target holds bytes that must be percent-encoded"),
    "control_in_target": ("T06", "the request target holds a control character"),
    "bad_percent": ("T06", "the request target holds a % without two hex digits"),
    "fragment_in_target": ("T06", "the request target holds a #fragment"),
    "absolute_target": ("T06", "the request target is a whole URL"),
    "target_no_slash": ("T06", "the request target does not begin with /"),
    "status_line": ("", "the answer's status line cannot be read"),
    "no_accept": ("", "the 101 has no Sec-WebSocket-Accept"),
}

AMBIGUOUS: dict[str, str] = {
    "double_host": "more than one Host header",
    "length_on_upgrade": "Content-Length on an upgrade request",
    "transfer_on_upgrade": "Transfer-Encoding on an upgrade request",
    "length_and_transfer": "Content-Length and Transfer-Encoding together",
    "several_lengths": "more than one Content-Length",
    "bad_length": "a Content-Length that is no plain number",
    "bad_transfer": "a Transfer-Encoding other than exactly chunked",
    "folded_line": "a header line that begins with a blank (folded line)",
    "nul": "a NUL byte",
    "bare_cr": "a CR without LF",
    "blank_before_colon": "a blank before the colon of a header",
    "mixed_line_ends": "some lines end with CRLF, others with LF",
    "no_colon": "a header line without a colon",
    "header_name": "a header name that is empty or holds control or non-ASCII bytes",
    "odd_head_with_body": "bare LF or a blank in the target on a request that has a body",
}

_TOKEN_BAD = re.compile(rb"[\x00-\x20\x7f-\xff]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RequestHead(Struct, frozen=True, gc=False):
    """A request head. ``target`` is the raw target, blanks and raw UTF-8 included; header values lose outer blanks only.

    ``upgrade``: it asks for a WebSocket, or clearly means to (any Sec-WebSocket header). ``body``/``length``: framing of
    the bytes behind the head. ``basic_user``: user part of Basic credentials (the password is never kept).
    """

    method: str
    target: bytes
    version: str
    headers: Headers
    problems: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    upgrade: bool = False
    offered: tuple[str, ...] = ()
    basic_user: str = ""
    body: Framing = "none"
    length: int = 0

    def get(self, name: bytes) -> bytes | None:
        """Value of the first header of that name (case does not matter), or None."""
        return first(self.headers, name)

    @property
    def target_text(self) -> str:
        """The target as text: UTF-8, else Latin-1. Untrusted: escape before showing."""
        return text_of(self.target)


class ResponseHead(Struct, frozen=True, gc=False):
    """An answer head. ``status`` 0: unreadable. ``protocol``/``extensions``: what a 101 selected, empty if nothing."""

    version: str
    status: int
    reason: str
    headers: Headers
    problems: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    protocol: str = ""
    extensions: str = ""
    body: Framing = "none"
    length: int = 0

    def get(self, name: bytes) -> bytes | None:
        """Value of the first header of that name (case does not matter), or None."""
        return first(self.headers, name)


def find_head(buffer: bytes | bytearray) -> int:
    """Where the head at the start of ``buffer`` ends (behind its empty line), or -1 when it is not complete.

    Empty lines before the start line belong to the head (RFC 9112 section 2.2); lines may end with CRLF or LF.
    """
    start = 0
    while start < len(buffer) and buffer[start] in b"\r\n":
        start += 1
    long, short = buffer.find(b"\n\r\n", start), buffer.find(b"\n\n", start)
    if long >= 0 and (short < 0 or long < short):
        return long + 3
    return short + 2 if short >= 0 else -1


def parse_request(raw: bytes) -> RequestHead:
    """Read a request head (``raw`` up to the end ``find_head`` gave). Any bytes give a head; faults are named."""
    notes = _Notes()
    line, headers = _lines(raw, notes)
    method, target, version = _request_line(line, notes)
    upgrade = _means_upgrade(headers)
    body, length = _framing(headers, version, notes)
    if body == "length" and not length:
        body = "none"
    if upgrade:
        _check_upgrade(method, headers, notes)
    _check_request(version, target, headers, notes)
    if upgrade and first(headers, b"content-length") is not None:
        notes.ambiguous["length_on_upgrade"] = None
    if upgrade and first(headers, b"transfer-encoding") is not None:
        notes.ambiguous["transfer_on_upgrade"] = None
    if body != "none" and ("bare_lf" in notes.problems or "blank_in_target" in notes.problems):
        notes.ambiguous["odd_head_with_body"] = None
    return RequestHead(
        method, target, version, headers, tuple(notes.problems), tuple(notes.ambiguous), upgrade,
        tuple(text_of(token) for token in tokens(headers, b"sec-websocket-protocol")),
        _basic_user(first(headers, b"authorization")), body, length,
    )


def parse_response(raw: bytes, method: str = "GET") -> ResponseHead:
    """Read an answer head. ``method`` of its request decides about the body (HEAD has none)."""
    notes = _Notes()
    line, headers = _lines(raw, notes)
    found = re.fullmatch(rb"(HTTP/\d\.\d)[ \t]+(\d{3})(?:[ \t](.*))?[ \t]*", line, re.DOTALL)
    if found is None:
        notes.problems["status_line"] = None
    version, status, reason = (text_of(found[1]), int(found[2]), text_of(found[3] or b"")) if found else ("", 0, "")
    body, length = _framing(headers, version, notes)
    if method == "HEAD" or 100 <= status < 200 or status in (204, 304):
        body, length = "none", 0
    elif body == "none":
        body = "close"
    elif body == "length" and notes.ambiguous.keys() & {"bad_length", "several_lengths"}:
        body, length = "close", 0
    elif body == "length" and not length:
        body = "none"
    if status == 101 and first(headers, b"sec-websocket-accept") is None:
        notes.problems["no_accept"] = None
    return ResponseHead(
        version, status, reason, headers, tuple(notes.problems), tuple(notes.ambiguous),
        text_of(first(headers, b"sec-websocket-protocol") or b"") if status == 101 else "",
        text_of(b", ".join(every(headers, b"sec-websocket-extensions"))) if status == 101 else "", body, length,
    )


def first(headers: Headers, name: bytes) -> bytes | None:
    """Value of the first header called ``name`` (lower case), or None."""
    name, size = name.lower(), len(name)    # most names differ in size already: not every one is copied in lower case
    for key, value in headers:
        if len(key) == size and key.lower() == name:
            return value
    return None


def every(headers: Headers, name: bytes) -> list[bytes]:
    """Values of all headers called ``name`` (lower case), in order."""
    size = len(name)
    return [value for key, value in headers if len(key) == size and key.lower() == name]


def tokens(headers: Headers, name: bytes) -> list[bytes]:
    """The comma-separated items of all headers called ``name`` (lower case), in order, empty ones left out."""
    items = (item.strip(b" \t") for value in every(headers, name) for item in value.split(b","))
    return [item for item in items if item]


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def text_of(raw: bytes) -> str:
    """Peer bytes as text: UTF-8, else Latin-1; never fails, holds no surrogates. Escape it before it is shown."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class _Notes:
    """What one reading noticed; dicts as ordered sets."""

    __slots__ = ("ambiguous", "problems")

    def __init__(self) -> None:
        self.problems: dict[str, None] = {}
        self.ambiguous: dict[str, None] = {}


def _lines(raw: bytes, notes: _Notes) -> tuple[bytes, Headers]:
    """The start line and the headers; line-level faults go to ``notes``."""
    crlf, ends = raw.count(b"\r\n"), raw.count(b"\n")
    if b"\0" in raw:
        notes.ambiguous["nul"] = None
    if raw.count(b"\r") != crlf:
        notes.ambiguous["bare_cr"] = None
    if ends > crlf:
        if crlf:
            notes.ambiguous["mixed_line_ends"] = None
        else:
            notes.problems["bare_lf"] = None
    if raw[:1] in (b"\r", b"\n"):
        notes.problems["leading_empty_line"] = None
    lines = [line.removesuffix(b"\r") for line in raw.lstrip(b"\r\n").split(b"\n")]
    headers: list[tuple[bytes, bytes]] = []
    for line in lines[1:]:
        if not line:
            continue
        if line[:1] in (b" ", b"\t"):
            notes.ambiguous["folded_line"] = None
            if headers:
                name, value = headers[-1]
                headers[-1] = (name, value + b" " + line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            notes.ambiguous["no_colon"] = None
        elif name[-1:] in (b" ", b"\t"):
            notes.ambiguous["blank_before_colon"] = None
            name = name.rstrip(b" \t")
        if not name or _TOKEN_BAD.search(name):
            notes.ambiguous["header_name"] = None
        if _CONTROL.search(value):
            notes.problems["control_in_header"] = None
        headers.append((name, value.strip(b" \t")))
    return lines[0], tuple(headers)


def _request_line(line: bytes, notes: _Notes) -> tuple[str, bytes, str]:
    method, _, rest = line.partition(b" ")
    target, blank, version = rest.rpartition(b" ")
    if not blank or not re.fullmatch(rb"HTTP/\d\.\d", version):
        target, version = rest, b""
        notes.problems["http_version"] = None
    stripped = target.strip(b" ")
    if stripped != target:
        notes.problems["start_line_blanks"] = None
    if not method or not stripped or _TOKEN_BAD.search(method):
        notes.problems["start_line"] = None
    return text_of(method), stripped, text_of(version)


def _check_request(version: str, target: bytes, headers: Headers, notes: _Notes) -> None:
    found = notes.problems
    if version == "HTTP/1.0":
        found["http_1_0"] = None
    elif version and version != "HTTP/1.1":
        found["http_version"] = None
    hosts = len(every(headers, b"host"))
    if hosts > 1:
        notes.ambiguous["double_host"] = None
    elif not hosts and version != "HTTP/1.0":
        found["no_host"] = None
    path = target.partition(b"?")[0]
    absolute = re.match(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/]*", path)
    if absolute:
        found["absolute_target"] = None
        path = path[absolute.end() :]
    elif target and not target.startswith(b"/") and target != b"*":
        found["target_no_slash"] = None
    tests = {
        "blank_in_target": b" " in target or b"\t" in target, "double_slash": b"//" in path,
        "non_ascii_target": not target.isascii(), "control_in_target": bool(_CONTROL.search(target)),
        "bad_percent": bool(_BAD_PERCENT.search(target)), "fragment_in_target": b"#" in target,
    }
    found.update((code, None) for code, true in tests.items() if true)


def _means_upgrade(headers: Headers) -> bool:
    if any(name.lower().startswith(b"sec-websocket-") for name, _ in headers):
        return True
    return b"websocket" in (token.lower() for token in tokens(headers, b"upgrade"))


def _check_upgrade(method: str, headers: Headers, notes: _Notes) -> None:
    found = notes.problems
    if method != "GET" and "start_line" not in found:
        found["method_not_get"] = None
    for name, wanted, missing, wrong in (
        (b"connection", b"upgrade", "no_connection", "connection_not_upgrade"),
        (b"upgrade", b"websocket", "no_upgrade", "upgrade_not_websocket"),
        (b"sec-websocket-version", b"13", "no_version", "version_not_13"),
    ):
        if first(headers, name) is None:
            found[missing] = None
        elif wanted not in (token.lower() for token in tokens(headers, name)):
            found[wrong] = None
    keys = every(headers, b"sec-websocket-key")
    if not keys:
        found["no_key"] = None
    elif len(keys) > 1:
        found["several_keys"] = None
    elif not _key_ok(keys[0]):
        found["bad_key"] = None


def _key_ok(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _framing(headers: Headers, version: str, notes: _Notes) -> tuple[Framing, int]:
    """Body framing by RFC 9112 section 6.3, before status and method rules."""
    lengths, codings = every(headers, b"content-length"), every(headers, b"transfer-encoding")
    if len(lengths) > 1:
        notes.ambiguous["several_lengths"] = None
    good = [int(value) for value in lengths if re.fullmatch(rb"[0-9]{1,18}", value)]
    if len(good) != len(lengths):
        notes.ambiguous["bad_length"] = None
    if codings:
        if lengths:
            notes.ambiguous["length_and_transfer"] = None
        if [coding.lower() for coding in codings] != [b"chunked"] or version == "HTTP/1.0":
            notes.ambiguous["bad_transfer"] = None
        last = codings[-1].rpartition(b",")[2].strip(b" \t").lower()
        return ("chunked", 0) if last == b"chunked" else ("close", 0)
    if good:
        return "length", good[0]
    return "none", 0


def _basic_user(value: bytes | None) -> str:
    scheme, _, credentials = (value or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        plain = base64.b64decode(credentials.strip(b" \t") + b"==")
    except binascii.Error:
        return ""
    return text_of(plain.partition(b":")[0])
