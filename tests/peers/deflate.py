"""Transparency of permessage-deflate (RFC 7692): D01-D04."""

import zlib

from tests.peers.harness import Wire, subject
from tests.peers.websocket import TEXT, request

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
AGREED = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"


class _Deflater:
    """One direction's compressor; the context goes on from message to message."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(9, zlib.DEFLATED, -12)

    def __call__(self, payload: bytes) -> bytes:
        return (self._stream.compress(payload) + self._stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _call(number: int) -> bytes:
    values = b'[{"timestamp":"2026-11-22T16:00:00Z","sampledValue":[]}]'
    return b'[2,"%d","MeterValues",{"connectorId":1,"meterValue":%b}]' % (number, values)


@subject("D01", "compressed messages with context takeover decode at the peer", view="messages")
def _takeover(wire: Wire) -> None:
    station, csms = wire.open(request("/ocpp/CP1", OFFER), AGREED)
    for peer in (station, csms):
        deflate = _Deflater()
        for number in range(5):
            peer.say(deflate(_call(number)), TEXT, rsv=4)
    csms.wait_messages(5)
    station.wait_messages(5)
    wire.settle(station, csms)


@subject("D02", "compression agreed, yet an uncompressed message stays uncompressed", view="messages")
def _plain_between(wire: Wire) -> None:
    station, csms = wire.open(request("/ocpp/CP1", OFFER), AGREED)
    for peer in (station, csms):
        deflate = _Deflater()
        peer.say(deflate(_call(1)), TEXT, rsv=4)
        peer.say(_call(2))
        peer.say(deflate(_call(3)), TEXT, rsv=4)
    wire.settle(station, csms)


@subject("D03", "agreed parameters returned unchanged", view="messages")
def _parameters(wire: Wire) -> None:
    agreed = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover;client_no_context_takeover"
    station, csms = wire.open(request("/ocpp/CP1", OFFER), agreed)
    seen, asked = station.wait_head(), csms.wait_head()
    wire.means(agreed=seen.values("Sec-WebSocket-Extensions"), offered=asked.values("Sec-WebSocket-Extensions"))
    for peer in (station, csms):
        for number in range(2):
            peer.say(_Deflater()(_call(number)), TEXT, rsv=4)
    wire.settle(station, csms)


@subject("D04", "offered, declined by the CSMS: none returned, frames plain", view="messages")
def _declined(wire: Wire) -> None:
    station, csms = wire.open(request("/ocpp/CP1", OFFER))
    wire.means(agreed=station.wait_head().values("Sec-WebSocket-Extensions"))
    station.say(_call(1))
    csms.say(_call(1))
    wire.settle(station, csms)
