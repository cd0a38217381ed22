"""What a field engineer must see at the other side when a peer breaks RFC 6455: V01-V17."""

from collections.abc import Callable

from tests.peers.harness import Wire, subject
from tests.peers.raw_peers import Csms, Peer, Station
from tests.peers.websocket import CLOSE, CONTINUATION, PING, TEXT, closing

MB = 1 << 20


def _passes(wire: Wire, breaks: Callable[[Station, Csms], tuple[Peer, bytes]]) -> None:
    """One peer sends what is forbidden; the other gets it, and both can still talk."""
    station, csms = wire.open()
    sender, data = breaks(station, csms)
    other = csms if sender is station else station
    sender.send(data)
    other.wait_tail(data[-64:])
    wire.settle(station, csms)


def _violation(ident: str, words: str, breaks: Callable[[Station, Csms], tuple[Peer, bytes]]) -> None:
    subject(ident, words, view="frames", ends=True)(lambda wire: _passes(wire, breaks))


BAD_TEXT = b'[2,"1","DataTransfer",{"vendorId":"\xc3\x28\xff"}]'

_violation("V01", "invalid UTF-8 text from the station", lambda station, csms: (station, station.frame(TEXT, BAD_TEXT)))
_violation("V02", "invalid UTF-8 text from the CSMS", lambda station, csms: (csms, csms.frame(TEXT, BAD_TEXT)))
_violation("V03", "unmasked client frame", lambda station, csms: (station, station.frame(TEXT, b"[]", key=b"")))
_violation("V04", "masked server frame", lambda station, csms: (csms, csms.frame(TEXT, b"[]", key=b"\x01\x02\x03\x04")))
_violation("V05", "reserved opcode 3", lambda station, csms: (station, station.frame(3, b"reserved")))
_violation("V06", "RSV2 set", lambda station, csms: (station, station.frame(TEXT, b"[]", rsv=2)))
_violation("V07", "RSV1 set, nothing negotiated", lambda station, csms: (csms, csms.frame(TEXT, b"[]", rsv=4)))
_violation("V08", "ping of 126 bytes", lambda station, csms: (station, station.frame(PING, b"p" * 126)))
_violation("V09", "fragmented ping", lambda station, csms: (
    station, station.frame(PING, b"half", fin=False) + station.frame(CONTINUATION, b"half"),
))
_violation("V10", "continuation without a start", lambda station, csms: (station, station.frame(CONTINUATION, b"[]")))
_violation("V11", "new text frame inside a fragmented message", lambda station, csms: (
    station, station.frame(TEXT, b"[2,", fin=False) + station.frame(TEXT, b"[]") + station.frame(CONTINUATION, b"]"),
))
_violation("V12", "close with a 1-byte payload", lambda station, csms: (station, station.frame(CLOSE, b"\x03")))
_violation("V13", "close code 1005 on the wire", lambda station, csms: (csms, csms.frame(CLOSE, closing(1005))))
_violation("V14", "close code 999 on the wire", lambda station, csms: (station, station.frame(CLOSE, closing(999, b"x"))))
_violation("V15", "non-minimal length form", lambda station, csms: (
    station, station.frame(TEXT, b"[]", form=16) + station.frame(TEXT, b"[]", form=64),
))
_violation("V16", "close reason that is not UTF-8", lambda station, csms: (csms, csms.frame(CLOSE, closing(1000, b"\xff\xfe"))))


def _unfinished(wire: Wire, claim: int) -> tuple[Station, Csms]:
    """4 MB of a frame that says it has ``claim`` bytes."""
    station, csms = wire.open()
    station.send(station.frame(TEXT, b"", claim=claim, form=64))
    for _ in range(4):
        station.send(b"x" * MB)
    csms.wait_rest(14 + 4 * MB)
    return station, csms


def unfinished(wire: Wire) -> None:
    """What V17 sends, truly announced: what it takes is no matter of the claim."""
    _unfinished(wire, 5 * MB)


@subject("V17", "a header claiming 2^62 bytes: no memory growth, the connection lives on", view="frames", ends=True)
def _claim(wire: Wire) -> None:
    before = wire.memory()
    station, csms = _unfinished(wire, 2**62)
    wire.means(small=wire.memory() - before < 20 * MB, bytes=len(csms.rest))
    csms.say(b"[]")
    station.wait_messages(1)
