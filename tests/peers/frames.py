"""Transparency of data frames: F01-F12, F17-F19."""

import contextlib
import threading

from tests.peers.harness import Wire, subject
from tests.peers.raw_peers import Peer, Stalled
from tests.peers.websocket import BINARY, CONTINUATION, PING, TEXT

CALL = b'[2,"1","Heartbeat",{}]'
SPELLINGS = (
    rb'[2,"1","DataTransfer",{"vendorId":"v","data":"\u00e9\/\ud83d\ude00"}]',
    b'[2, "2" , "MeterValues" ,\n {"a":1.0,"b":1e2,"c":8.10,"d":-0,"a":2,"e":1180591620717411303424}]  ',
    b'[3,"3",{"transactionId":9223372036854775807,"nan":NaN}]',
)
NOT_JSON = (
    b"hello", b'\xef\xbb\xbf[2,"1","Heartbeat",{}]', b'[2,"\x00","A",{}]', '[2,"\U0001f50c","é",{}]'.encode(), b"[", b" ",
)


def _both(wire: Wire, payloads: tuple[bytes, ...], opcode: int = TEXT) -> None:
    """Send the payloads each way, then the last text."""
    station, csms = wire.open()
    for payload in payloads:
        station.say(payload, opcode)
        csms.say(payload, opcode)
    wire.settle(station, csms)


@subject("F01", "text both ways", view="messages")
def _text(wire: Wire) -> None:
    _both(wire, (CALL, b'[3,"1",{"currentTime":"2026-11-22T16:00:00Z"}]'))


@subject("F02", "binary both ways", view="messages")
def _binary(wire: Wire) -> None:
    _both(wire, (bytes(range(256)),), BINARY)


@subject("F03", "empty text and empty binary", view="messages")
def _empty(wire: Wire) -> None:
    station, csms = wire.open()
    for peer in (station, csms):
        peer.say(b"")
        peer.say(b"", BINARY)
    wire.settle(station, csms)


@subject("F04", "JSON spelling kept", view="messages")
def _spelling(wire: Wire) -> None:
    _both(wire, SPELLINGS)


@subject("F05", "not JSON, BOM, NUL, astral characters", view="messages")
def _not_json(wire: Wire) -> None:
    _both(wire, NOT_JSON)


@subject("F06", "lengths 125, 126, 65535, 65536", view="messages")
def _lengths(wire: Wire) -> None:
    _both(wire, tuple(b"x" * size for size in (125, 126, 65535, 65536)))


def _fragments(peer: Peer, *parts: bytes, opcode: int = TEXT) -> None:
    last = len(parts) - 1
    for number, part in enumerate(parts):
        peer.say(part, CONTINUATION if number else opcode, fin=number == last)


@subject("F07", "a message in 3 fragments is kept as sent", view="messages")
def _three(wire: Wire) -> None:
    station, csms = wire.open()
    for peer in (station, csms):
        _fragments(peer, b'[2,"1",', b'"Heart', b'beat",{}]')
    wire.settle(station, csms)


@subject("F08", "empty fragments", view="messages")
def _empty_fragments(wire: Wire) -> None:
    station, csms = wire.open()
    for peer in (station, csms):
        _fragments(peer, b"", CALL, b"", b"")
    wire.settle(station, csms)


@subject("F09", "a UTF-8 character split across fragments", view="messages")
def _split_character(wire: Wire) -> None:
    text = '[2,"1","DataTransfer",{"vendorId":"é\U0001f50c"}]'.encode()
    cut = text.index(b"\xf0") + 2
    station, csms = wire.open()
    for peer in (station, csms):
        _fragments(peer, text[:cut], text[cut : cut + 1], text[cut + 1 :])
    wire.settle(station, csms)


@subject("F10", "100 fragments of 1 byte", view="messages")
def _many_fragments(wire: Wire) -> None:
    station, csms = wire.open()
    for peer in (station, csms):
        _fragments(peer, *(bytes((65 + number % 26,)) for number in range(100)))
    wire.settle(station, csms)


@subject("F11", "1,000 small messages in order, both ways at once", view="messages")
def _thousand(wire: Wire) -> None:
    station, csms = wire.open()

    def stream(peer: Peer) -> None:
        with contextlib.suppress(Stalled):              # who waits for the messages will tell
            for number in range(1000):
                peer.say(b'[2,"%d","Heartbeat",{}]' % number)

    other = threading.Thread(target=stream, args=(csms,))
    other.start()
    stream(station)
    other.join()
    csms.wait_messages(1000)
    station.wait_messages(1000)
    wire.settle(station, csms)


@subject("F12", "a ping inside a fragmented message keeps its place", view="messages")
def _ping_between(wire: Wire) -> None:
    station, csms = wire.open()
    for peer in (station, csms):
        peer.say(b'[2,"1",', TEXT, fin=False)
        peer.say(b"inside", PING)
        peer.say(b'"Heartbeat",{}]', CONTINUATION)
    wire.settle(station, csms)


@subject("F17", "mask key kept", view="messages")
def _mask(wire: Wire) -> None:
    station, csms = wire.open()
    for key in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x12\x34\x56\x78"):
        station.say(CALL, TEXT, key=key)
    wire.settle(station, csms)


@subject("F18", "a frame that trickles in arrives; its first bytes are seen before the last is sent", view="messages")
def _trickle(wire: Wire) -> None:
    station, csms = wire.open()
    for one, other in ((station, csms), (csms, station)):
        data = one.frame(TEXT, b'[2,"1","DataTransfer",{"vendorId":"slow line"}]')
        before = len(other.rest)
        one.trickle(data[:-1])
        early = not other.quiet(0.2) or len(other.rest) > before
        wire.exactly(**{f"streamed_to_{other.side}": early})
        one.send(data[-1:])
        other.wait_messages(1)
    wire.settle(station, csms)


@subject("F19", "5 MB message both ways", view="messages")
def _large(wire: Wire) -> None:
    station, csms = wire.open()
    item = b'{"component":{"name":"Connector"},"variable":{"name":"Available"},"variableAttribute":[{"value":"true"}]},'
    text = b'[2,"1","NotifyReport",{"reportData":[' + item * (5_000_000 // len(item)) + b"]}]"
    for peer in (station, csms):
        peer.say(text)
    csms.wait_messages(1)
    station.wait_messages(1)
    wire.settle(station, csms)
