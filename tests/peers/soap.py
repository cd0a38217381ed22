"""Transparency of plain HTTP on the same port, as SOAP stations use it: S01-S04."""

import gzip

from tests.peers.harness import Wire, subject
from tests.peers.websocket import HOST, head

CALL = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    b'<c:heartbeatRequest xmlns:c="urn://Ocpp/Cs/2012/06/"/></s:Body></s:Envelope>'
)
ANSWER = CALL.replace(b"heartbeatRequest", b"heartbeatResponse")
CONTENT = "Content-Type: application/soap+xml; charset=utf-8"
ASK = ("POST /soap HTTP/1.1", f"Host: {HOST}", CONTENT, 'SOAPAction: "/Heartbeat"')


def _posts(wire: Wire, ask: bytes, body: bytes, answer: bytes, meaning: bytes = b"") -> None:
    """Post and answer; ``meaning``: what the body says when its framing (chunked) is taken away."""
    station = wire.dial()
    station.send(ask + body)
    csms = wire.accept()
    seen = csms.wait_head()
    if b"chunked" in b"".join(seen.values("Transfer-Encoding")):
        csms.wait_tail(b"0\r\n\r\n")
        came = _unchunked(csms.rest)
    else:
        came = csms.wait_rest(len(meaning or body))
    fields = {name: seen.values(name) for name in ("Content-Type", "SOAPAction", "Content-Encoding")}
    wire.means(target=seen.target, body=came, fields=fields)
    wire.exactly(request=bytes(csms.raw))
    csms.send(answer)
    got = station.wait_head()
    station.wait_rest(int(got.values("Content-Length")[0]) if got.values("Content-Length") else 0)
    names = ("Content-Type", "Content-Encoding")
    wire.means(status=got.target, answer=station.rest, answer_fields={name: got.values(name) for name in names})
    wire.exactly(answer=bytes(station.raw))


def _unchunked(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        out += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return out


def _chunked(body: bytes) -> bytes:
    parts = [body[at : at + 50] for at in range(0, len(body), 50)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _ok(body: bytes, *lines: str, start: str = "HTTP/1.1 200 OK") -> bytes:
    return head(start, CONTENT, *lines, f"Content-Length: {len(body)}") + body


@subject("S01", "SOAP POST and answer byte-exact")
def _post(wire: Wire) -> None:
    _posts(wire, head(*ASK, f"Content-Length: {len(CALL)}"), CALL, _ok(ANSWER))


@subject("S02", "SOAP Fault 500 passes with its body")
def _fault(wire: Wire) -> None:
    fault = ANSWER.replace(b"heartbeatResponse", b"Fault")
    _posts(wire, head(*ASK, f"Content-Length: {len(CALL)}"), CALL, _ok(fault, start="HTTP/1.1 500 Internal Server Error"))


@subject("S03", "chunked request body")
def _chunks(wire: Wire) -> None:
    _posts(wire, head(*ASK, "Transfer-Encoding: chunked"), _chunked(CALL), _ok(ANSWER), meaning=CALL)


@subject("S04", "compressed body, its Content-Encoding untouched")
def _compressed(wire: Wire) -> None:
    body, answer = gzip.compress(CALL, mtime=0), gzip.compress(ANSWER, mtime=0)
    ask = head(*ASK, "Content-Encoding: gzip", f"Content-Length: {len(body)}")
    _posts(wire, ask, body, _ok(answer, "Content-Encoding: gzip"))
