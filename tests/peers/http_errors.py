"""Transparency of answers other than 101, and of an upstream that gives none: E01-E11."""

import time

from tests.peers.harness import Wire, subject
from tests.peers.raw_peers import Stalled, Station
from tests.peers.websocket import head, request, switching


def _refuses(wire: Wire, start: str, *lines: str, body: bytes = b"", ask: bytes = b"", names: tuple[str, ...] = ()) -> None:
    station, csms = wire.ask(ask or request("/ocpp/CP1"))
    wire.means(asked_version=csms.wait_head().values("Sec-WebSocket-Version"))
    csms.send(head(start, *lines, f"Content-Length: {len(body)}") + body)
    seen = station.wait_head()
    rest = station.wait_rest(len(body))
    wire.means(status=seen.target, body=rest, values={name: seen.values(name) for name in names})
    wire.exactly(answer=bytes(station.raw))


@subject("E01", "401 with WWW-Authenticate and body")
def _unauthorized(wire: Wire) -> None:
    _refuses(
        wire, "HTTP/1.1 401 Unauthorized", 'WWW-Authenticate: Basic realm="csms", charset="UTF-8"', "Content-Type: text/plain",
        body=b"who are you?", names=("WWW-Authenticate", "Content-Type"),
    )


@subject("E02", "403 with body")
def _forbidden(wire: Wire) -> None:
    kind = "Content-Type: application/json"
    _refuses(wire, "HTTP/1.1 403 Forbidden", kind, body=b'{"error":"blocked"}', names=("Content-Type",))


@subject("E03", "404 with body")
def _not_found(wire: Wire) -> None:
    _refuses(wire, "HTTP/1.1 404 Unknown charge point", body=b"CP1 is not known here\n")


@subject("E04", "503 with Retry-After")
def _unavailable(wire: Wire) -> None:
    _refuses(wire, "HTTP/1.1 503 Service Unavailable", "Retry-After: 120", names=("Retry-After",))


@subject("E05", "426 with Sec-WebSocket-Version, the client asked for version 8")
def _upgrade_required(wire: Wire) -> None:
    _refuses(
        wire, "HTTP/1.1 426 Upgrade Required", "Sec-WebSocket-Version: 13, 8", ask=request("/ocpp/CP1", version="8"),
        names=("Sec-WebSocket-Version",),
    )


@subject("E06", "307 redirect, Location unchanged")
def _redirect(wire: Wire) -> None:
    _refuses(wire, "HTTP/1.1 307 Temporary Redirect", "Location: wss://other.example:8443/ocpp/CP1?a=1", names=("Location",))


@subject("E07", "200 OK instead of an upgrade")
def _no_upgrade(wire: Wire) -> None:
    _refuses(wire, "HTTP/1.1 200 OK", "Content-Type: text/html", body=b"<h1>CSMS</h1>", names=("Content-Type",))


@subject("E08", "429 with a custom header")
def _too_many(wire: Wire) -> None:
    _refuses(wire, "HTTP/1.1 429 Too Many Requests", "X-RateLimit-Reset: 17", "Retry-After: 17", names=("X-RateLimit-Reset",))


def _answered_or_over(station: Station) -> bool:
    """Wait for an answer or the end; whether it came at all."""
    try:
        station.until(lambda: station.head is not None or bool(station.ended), "an answer or the end")
    except Stalled:
        return False
    return True


@subject("E09", "upstream down: the station never gets a 101")
def _down(wire: Wire) -> None:
    wire.upstream.down()
    status = b""
    try:
        station = wire.dial()                           # directly, the dial itself is refused
        station.send(request("/ocpp/CP1"))
        _answered_or_over(station)
        status = station.head.target if station.head else b""
    except Stalled:
        pass
    finally:
        wire.upstream.up()
    wire.means(switched=status == b"101")


@subject("E10", "upstream silent: no 101 before its own")
def _silent(wire: Wire) -> None:
    station, csms = wire.ask(request("/ocpp/CP1"))
    wire.means(silent=station.quiet(0.5))
    csms.send(switching())
    wire.means(status=station.wait_head().target)


@subject("E11", "upstream closes without an answer: no 101, over in 3 s")
def _closes(wire: Wire) -> None:
    started = time.monotonic()
    station, csms = wire.ask(request("/ocpp/CP1"))
    csms.finish()
    csms.close()
    over = _answered_or_over(station) and time.monotonic() - started < 3
    wire.means(over=over, switched=station.head is not None and station.head.target == b"101")
