"""Repairs of a charger's upgrade head that a strict CSMS would refuse, and what is taken away again on the way back.

Only in ``handshake = lenient``. The charger gets a 101 that fits its own request: a subprotocol it did not offer is
removed, and Sec-WebSocket-Accept is computed for its own key. Pure functions.
"""

import base64
import re

from msgspec import Struct

from ocpp_proxy.wire.http import PROBLEMS, RequestHead, ResponseHead, accept_of, first, tokens
from ocpp_proxy.wire.http_edit import rewrite

_KNOWN = {name.lower(): name for name in ("ocpp1.2", "ocpp1.5", "ocpp1.6", "ocpp2.0", "ocpp2.0.1", "ocpp2.1")}
_PROTOCOL, _KEY, _ACCEPT = b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Key", b"Sec-WebSocket-Accept"
Pairs = tuple[tuple[bytes, bytes], ...]


class Repairs(Struct, frozen=True):
    """What to change in the request (arguments of ``http_edit.rewrite``), in words, and what the way back needs."""

    version: bytes | None = None
    replace: Pairs = ()
    add: Pairs = ()
    crlf: bool = False
    words: tuple[str, ...] = ()
    own_key: bytes | None = None            # the charger's key, where it was replaced; b"" where it sent none
    no_protocol: bool = False               # the charger offered none
    spelling: tuple[tuple[bytes, bytes], ...] = ()   # subprotocol as sent on -> as the charger spelt it


def repair(head: RequestHead, subprotocol: str, fresh_key: bytes) -> Repairs:
    """What a strict CSMS would refuse in this upgrade head. ``fresh_key``: 16 random bytes for a key that is none."""
    problems = set(head.problems)
    replace: list[tuple[bytes, bytes]] = []
    add: list[tuple[bytes, bytes]] = []
    words: list[str] = []
    for missing, wrong, name, value in (
        ("no_connection", "connection_not_upgrade", b"Connection", b"Upgrade"),
        ("no_upgrade", "upgrade_not_websocket", b"Upgrade", b"websocket"),
        ("no_version", "version_not_13", b"Sec-WebSocket-Version", b"13"),
        ("no_key", "bad_key", _KEY, base64.b64encode(fresh_key)),
    ):
        if missing in problems:
            add.append((name, value))
            words.append(f"{PROBLEMS[missing][1]}: added {name.decode()}: {value.decode()}")
        elif wrong in problems:
            replace.append((name, value))
            words.append(f"{PROBLEMS[wrong][1]}: replaced by {value.decode()}")
    offered = tokens(head.headers, b"sec-websocket-protocol")
    sent = [_KNOWN.get(name.decode("latin-1").lower(), name.decode("latin-1")).encode("latin-1") for name in offered]
    if not offered and subprotocol:
        add.append((_PROTOCOL, subprotocol.encode()))
        words.append(f"the request offers no subprotocol: added {subprotocol}")
    elif sent != offered:
        replace.append((_PROTOCOL, b", ".join(sent)))
        words.append("subprotocol spelt as registered: " + b", ".join(sent).decode("latin-1"))
    version = b"HTTP/1.1" if problems & {"http_1_0", "http_version"} else None
    if version:
        words.append("start line says HTTP/1.1")
    crlf = bool(problems & {"bare_lf", "leading_empty_line"})
    if crlf:
        words.append("lines end with CRLF")
    own_key = None
    if problems & {"no_key", "bad_key"}:
        own_key = first(head.headers, b"sec-websocket-key") or b""
    return Repairs(
        version, tuple(replace), tuple(add), crlf, tuple(words), own_key, not offered and bool(subprotocol),
        tuple(pair for pair in zip(sent, offered, strict=True) if pair[0] != pair[1]),
    )


def clean_target(target: bytes) -> tuple[bytes, str]:
    """The target with blanks, control and non-ASCII bytes encoded and ``//`` made ``/``; and what was done, in words."""
    path, mark, query = target.partition(b"?")
    clean = re.sub(rb"/{2,}", b"/", path) + mark + query
    clean = re.sub(rb"[\x00-\x20\x7f-\xff#]", lambda found: b"%%%02X" % found[0][0], clean)
    clean = re.sub(rb"%(?![0-9A-Fa-f]{2})", b"%25", clean)
    if not clean.startswith(b"/") and clean != b"*":
        clean = b"/" + clean
    return clean, "" if clean == target else "the request target is encoded and has single slashes"


def restore(raw: bytes, answer: ResponseHead, repairs: Repairs) -> bytes:
    """The 101 as the charger may expect it for the request it made; every other byte stays."""
    remove, replace = [], []
    if repairs.no_protocol:
        remove.append(_PROTOCOL)
    for sent, own in repairs.spelling:
        if answer.protocol.encode("latin-1", "replace") == sent:
            replace.append((_PROTOCOL, own))
    if repairs.own_key:
        replace.append((_ACCEPT, accept_of(repairs.own_key)))
    elif repairs.own_key is not None:
        remove.append(_ACCEPT)
    return rewrite(raw, remove=remove, replace=replace) if remove or replace else raw
