"""Transparency of the opening handshake: H01-H21."""

import base64

from tests.peers.harness import Wire, subject
from tests.peers.websocket import ACCEPT, HOST, KEY, TEXT, frame, head, request, switching


def _asks(wire: Wire, request_head: bytes, *names: str) -> None:
    """Ask; take down the request target, the named fields by value and as the lines they came in."""
    station, csms = wire.ask(request_head)
    seen = csms.wait_head()
    wire.means(target=seen.target, values={name: seen.values(name) for name in names})
    wire.exactly(start=seen.start, lines={name: seen.line(name) for name in names})
    csms.switch()
    station.wait_head()


def _answers(wire: Wire, *names: str, lines: tuple[str, ...] = (), protocol: str = "ocpp1.6", ask: bytes = b"") -> None:
    """Answer 101; take down the status and the named fields of what the station gets."""
    station, csms = wire.ask(ask or request("/ocpp/CP1"))
    csms.switch(*lines, protocol=protocol)
    seen = station.wait_head()
    wire.means(status=seen.target, values={name: seen.values(name) for name in names})
    wire.exactly(start=seen.start, lines={name: seen.line(name) for name in names})


@subject("H01", "percent-encoded identity kept")
def _percent(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP%2F01%20A"))


@subject("H02", "double slash, dot segment, query string kept")
def _dots(wire: Wire) -> None:
    _asks(wire, request("//ocpp/./x/../CP1?key=a%20b&x=//y"))


@subject("H03", "long identity (1,000 bytes) kept")
def _long(wire: Wire) -> None:
    _asks(wire, request("/ocpp/" + "C" * 1000))


@subject("H04", "Authorization (binary password) forwarded")
def _authorization(wire: Wire) -> None:
    secret = base64.b64encode(b"CP1:" + bytes(range(1, 41))).decode()
    _asks(wire, request("/ocpp/CP1", f"Authorization: Basic {secret}"), "Authorization")


@subject("H05", "subprotocol list forwarded in order")
def _offers(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP1", protocol="ocpp2.1, ocpp2.0.1,ocpp1.6"), "Sec-WebSocket-Protocol")


@subject("H06", "vendor header and User-Agent forwarded")
def _vendor(wire: Wire) -> None:
    asked = request("/ocpp/CP1", "X-Vendor-Boot: 7;  mode=a", "User-Agent: Charger/1.0 (lwIP)")
    _asks(wire, asked, "X-Vendor-Boot", "User-Agent")


@subject("H07", "Host sent by the station kept")
def _host(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP1"), "Host")


@subject("H08", "Origin and Cookie forwarded")
def _origin(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP1", "Origin: http://charger.local", "Cookie: a=1; b=2"), "Origin", "Cookie")


@subject("H09", "no subprotocol offered: none forwarded")
def _no_offer(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP1", protocol=""), "Sec-WebSocket-Protocol")


@subject("H10", "extension offer forwarded unchanged")
def _extension(wire: Wire) -> None:
    line = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-vendor; a=1"
    _asks(wire, request("/ocpp/CP1", line), "Sec-WebSocket-Extensions")


@subject("H11", "Sec-WebSocket-Key unchanged")
def _key(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP1", key="QUJDREVGR0hJSktMTU5PUA=="), "Sec-WebSocket-Key", "Sec-WebSocket-Version")


@subject("H12", "4 KiB header value forwarded")
def _large(wire: Wire) -> None:
    _asks(wire, request("/ocpp/CP1", "X-Certificate: " + "ab/+" * 1024), "X-Certificate")


@subject("H13", "request header block byte-exact")
def _block(wire: Wire) -> None:
    asked = head(
        "GET /ocpp/CP1 HTTP/1.1", "sec-websocket-VERSION:13", f"host:   {HOST}", "X-Twice: 1", "UPGRADE: WebSocket",
        "X-Twice: 2", "Connection: keep-alive, Upgrade", f"Sec-WebSocket-Key: {KEY}  ", "Sec-WebSocket-Protocol: ocpp1.6",
        "X-Empty:", "x-twice: 1",
    )
    station, csms = wire.ask(asked)
    seen = csms.wait_head()
    wire.means(fields=sorted((name, value.lower()) for name, value in seen.fields()))
    wire.exactly(head=seen.raw)
    csms.switch()
    station.wait_head()


@subject("H14", "the subprotocol chosen by the CSMS is returned (second offer)")
def _second(wire: Wire) -> None:
    _answers(wire, "Sec-WebSocket-Protocol", ask=request("/ocpp/CP1", protocol="ocpp2.0.1, ocpp1.6"))


@subject("H15", "the CSMS chooses none: none returned")
def _chooses_none(wire: Wire) -> None:
    _answers(wire, "Sec-WebSocket-Protocol", protocol="")


@subject("H16", "the CSMS chooses one that was not offered: returned as is")
def _chooses_other(wire: Wire) -> None:
    _answers(wire, "Sec-WebSocket-Protocol", protocol="ocpp2.0.1")


@subject("H17", "headers of the 101 returned")
def _server(wire: Wire) -> None:
    lines = ("Server: SteVe/3.7", "X-Request-Id: 4711", "Date: Sun, 22 Nov 2026 16:00:00 GMT")
    _answers(wire, "Server", "X-Request-Id", "Date", lines=lines)


@subject("H18", "a wrong Sec-WebSocket-Accept is not repaired")
def _wrong_accept(wire: Wire) -> None:
    station, csms = wire.ask(request("/ocpp/CP1"))
    csms.send(switching(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
    seen = station.wait_head()
    wire.means(status=seen.target, accept=seen.values("Sec-WebSocket-Accept"))


@subject("H19", "101 response block byte-exact")
def _answer_block(wire: Wire) -> None:
    station, csms = wire.ask(request("/ocpp/CP1"))
    csms.send(head(
        "HTTP/1.1 101 Web Socket Protocol Handshake", "x-a: 1", "CONNECTION:upgrade", f"sec-websocket-accept: {ACCEPT}",
        "X-A: 2", "Upgrade: WebSocket", "Sec-WebSocket-Protocol: ocpp1.6", "Server: x",
    ))
    seen = station.wait_head()
    wire.means(status=seen.target, fields=sorted((name, value.lower()) for name, value in seen.fields()))
    wire.exactly(head=seen.raw)


@subject("H20", "a frame of the CSMS glued to its 101 arrives", view="messages")
def _glued(wire: Wire) -> None:
    station, csms = wire.ask(request("/ocpp/CP1"))
    csms.send(switching() + frame(TEXT, b'[2,"glued","GetConfiguration",{}]'))
    station.wait_head()
    station.wait_messages(1)


@subject("H21", "a request that trickles in byte by byte works", view="messages")
def _trickle(wire: Wire) -> None:
    station = wire.dial()
    station.trickle(request("/ocpp/CP1"))
    csms = wire.accept()
    wire.means(target=csms.wait_head().target)
    csms.switch()
    station.wait_head()
    wire.settle(station, csms)
