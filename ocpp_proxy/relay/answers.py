"""The few answers the relay gives in the CSMS's place. Each says in its body who answers and why."""

import random
from http import HTTPStatus

REASONS = {
    400: "Bad Request", 431: "Request Header Fields Too Large", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}
PLAIN_UPSTREAM = (
    "the charger came over TLS, but the way to the CSMS is plain ws:// to another host; "
    "use wss:// or allow it with --allow-plain-upstream"
)
RETRY_AFTER = range(1, 6)                   # seconds; spread, so that chargers do not come back all at once


def _phrase(status: int) -> str:
    try:
        return REASONS.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def response(status: int, why: str) -> bytes:
    """A whole answer with the reason as its body."""
    body = f"ocpp-proxy: {why}\n".encode()
    retry = f"Retry-After: {random.choice(RETRY_AFTER)}\r\n" if status >= 502 else ""
    head = (
        f"HTTP/1.1 {status} {_phrase(status)}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{retry}Connection: close\r\n\r\n"
    )
    return head.encode() + body
