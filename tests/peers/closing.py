"""Transparency of how a connection ends: C01-C19."""

from tests.peers.harness import Wire, subject
from tests.peers.raw_peers import Peer, Station
from tests.peers.websocket import CLOSE, TEXT, Message


def _shake(wire: Wire, code: int | None, reason: bytes = b"", back: int | None = -1, by_station: bool = False) -> None:
    """One side closes, the other answers with the same code (or ``back``); then the CSMS ends TCP, then the station."""
    station, csms = wire.open()
    first, second = (station, csms) if by_station else (csms, station)
    first.say_close(code, reason)
    _wait_close(second)
    second.say_close(code if back == -1 else back, reason if back == -1 else b"")
    _wait_close(first)
    _part(station, csms)


def _wait_close(peer: Peer) -> Message:
    peer.until(lambda: bool(peer.frames) and peer.frames[-1].opcode == CLOSE, "a Close")
    return peer.wait_messages(1)[-1]


def _part(station: Peer, csms: Peer) -> None:
    csms.finish()
    station.wait_end()
    station.finish()
    csms.wait_end()


def _close(ident: str, words: str, *shakes: tuple[int | None, bytes], by_station: bool = False, back: int | None = -1) -> None:
    def script(wire: Wire) -> None:
        for code, reason in shakes:
            _shake(wire, code, reason, back, by_station)

    subject(ident, words, view="messages", ends=True)(script)


_close("C01", "1000 from the station", (1000, b""), by_station=True)
_close("C02", "1001 from the CSMS with a reason", (1001, b"going away"))
_close("C03", "1008 (policy) from the CSMS", (1008, b"not accepted"))
_close("C04", "1009 (too big) from the CSMS", (1009, b"message too long"))
_close("C05", "1011 from the CSMS", (1011, b""))
_close("C06", "1012 (service restart) from the CSMS", (1012, b""))
_close("C07", "1013 (try again later) from the CSMS", (1013, b"later"))
_close("C08", "1007 and 1002 from the station", (1007, b"utf-8"), (1002, b""), by_station=True)
_close("C09", "3000 and other registered codes", (3000, b"unauthorized"), (3003, b""), (1014, b""))
_close("C10", "4999 with a 123-byte UTF-8 reason", (4999, ("é" * 61 + "x").encode()))
_close("C11", "a close without a code stays without", (None, b""), by_station=True)
_close("C12", "the peer's own reply code comes back", (4001, b"own"), by_station=True, back=1001)


@subject("C13", "the close answer comes from the peer, which sends data first", view="messages", ends=True)
def _waits(wire: Wire) -> None:
    station, csms = wire.open()
    station.say_close(1000)
    _wait_close(csms)
    wire.means(nobody_else_answers=station.quiet(0.5))
    csms.say(b'[3,"1",{}]')
    csms.say_close(1000)
    station.wait_messages(2)
    _part(station, csms)


@subject("C14", "FIN of the station without a Close: none invented", view="messages", ends=True)
def _station_fin(wire: Wire) -> None:
    station, csms = wire.open()
    wire.settle(station, csms)
    station.finish()
    csms.wait_end()
    csms.finish()
    station.wait_end()


@subject("C15", "FIN of the CSMS without a Close: none invented", view="messages", ends=True)
def _csms_fin(wire: Wire) -> None:
    station, csms = wire.open()
    wire.settle(station, csms)
    _part(station, csms)


@subject("C16", "RST of the station", view="messages", ends=True)
def _station_reset(wire: Wire) -> None:
    station, csms = wire.open()
    wire.settle(station, csms)
    station.reset()
    csms.wait_end()


@subject("C17", "RST of the CSMS", view="messages", ends=True)
def _csms_reset(wire: Wire) -> None:
    station, csms = wire.open()
    wire.settle(station, csms)
    csms.reset()
    station.wait_end()


@subject("C18", "the CSMS dies in mid-frame", view="messages", ends=True)
def _mid_frame(wire: Wire) -> None:
    station, csms = wire.open()
    wire.settle(station, csms)
    csms.send(csms.frame(TEXT, b'[2,"cut","GetConfiguration",{"key":[]}]')[:20])
    _part(station, csms)


@subject("C19", "half-close by the station: the CSMS still sends 3 messages", view="messages", ends=True)
def _half_close(wire: Wire) -> None:
    station, csms = wire.open()
    wire.settle(station, csms)
    station.finish()
    csms.wait_end()
    _three(station, csms)
    csms.finish()
    station.wait_end()


def _three(station: Station, csms: Peer) -> None:
    for number in range(3):
        csms.say(b'[2,"%d","Reset",{"type":"Soft"}]' % number)
        station.wait_messages(number + 2)
