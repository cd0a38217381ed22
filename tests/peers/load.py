"""Transparency under load: back-pressure, a huge message, a stalled neighbour, a long silence: L01-L05."""

import contextlib
import hashlib
import os
import threading
import time

from tests.peers.harness import Wire, subject
from tests.peers.raw_peers import Peer, Stalled, Station
from tests.peers.websocket import PING, PONG, TEXT, frame, mask_key, request

MB = 1 << 20
LATER = 4.0                                             # seconds
IDLE = 75.0 if os.environ.get("OCPP_PROXY_LONG") == "1" else 3.0        # seconds of silence in L05


def _held_back(wire: Wire, sender: Peer, reader: Peer) -> None:
    """The reader stops; the sender is held back soon, nothing piles up, and nothing is lost when reading goes on."""
    key = mask_key(1) if isinstance(sender, Station) else b""
    one = frame(TEXT, b'[2,"1","DataTransfer",{"vendorId":"' + b"v" * 65000 + b'"}]', key=key)
    reader.keep = False
    start = reader.count
    before = wire.memory()
    reader.pause()
    taken = sender.push(one, 64 * MB)
    wire.means(held_back=taken < 32 * MB, small=wire.memory() - before < 40 * MB)
    reader.resume()
    reader.wait_count(start + taken)
    wire.means(all_came=reader.count == start + taken)


@subject("L01", "the CSMS stops reading: the station is held back")
def _csms_stops(wire: Wire) -> None:
    station, csms = wire.open()
    _held_back(wire, station, csms)


@subject("L02", "the station stops reading: the CSMS is held back")
def _station_stops(wire: Wire) -> None:
    station, csms = wire.open()
    _held_back(wire, csms, station)


@subject("L03", "a 100 MB message passes, the proxy grows < 40 MB")
def _huge(wire: Wire) -> None:
    station, csms = wire.open()
    csms.keep = False
    digest, start = hashlib.sha256(), csms.count
    took = csms._took

    def hashing(data: bytes) -> None:
        digest.update(data)
        took(data)

    csms._took = hashing                                # type: ignore[method-assign]  # digest instead of 100 MB in memory
    before = peak = wire.memory()
    block = os.urandom(MB)
    header = frame(TEXT, b"", key=mask_key(1), claim=100 * MB)
    sent = hashlib.sha256(header)

    def send() -> None:
        with contextlib.suppress(Stalled):              # who waits for the bytes will tell
            station.send(header)
            for _ in range(100):
                sent.update(block)
                station.send(block)

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        peak = max(peak, wire.memory())
        sender.join(0.02)
    csms.wait_count(start + len(header) + 100 * MB)
    until = time.monotonic() + (LATER if before else 0)
    while time.monotonic() < until:                     # whoever captures it may come to it only now
        peak = max(peak, wire.memory())
        time.sleep(0.02)
    wire.means(same=digest.digest() == sent.digest(), small=peak - before < 40 * MB)


@subject("L04", "a stalled link does not delay another")
def _neighbour(wire: Wire) -> None:
    stalled_station, stalled_csms = wire.open(request("/ocpp/STALLED"))
    stalled_csms.pause()
    stalled_station.push(frame(TEXT, b"v" * 65000, key=mask_key(1)), 64 * MB)
    station, csms = wire.open()
    for batch in range(20):                             # a busy machine may spoil some of them; who is held up, is in all
        if prompt := _slowest_of(station, csms, batch) < 0.25:
            break
    wire.means(prompt=prompt, answered=len(station.frames) == (batch + 1) * 20)


def _slowest_of(station: Peer, csms: Peer, batch: int) -> float:
    slowest = 0.0
    for number in range(batch * 20 + 1, batch * 20 + 21):
        started = time.monotonic()
        station.say(b'[2,"%d","Heartbeat",{}]' % number)
        csms.wait_messages(number)
        csms.say(b'[3,"%d",{}]' % number)
        station.wait_messages(number)
        slowest = max(slowest, time.monotonic() - started)
    return slowest


@subject("L05", "an idle link outlives a long silence with no frame injected", view="messages", ends=True)
def _idle(wire: Wire) -> None:
    station, csms = wire.open()
    wire.means(silent=station.quiet(IDLE) and csms.quiet(0.01))
    station.say(b"still there?", PING)
    csms.wait_messages(1)
    csms.say(b"still there?", PONG)
    wire.settle(station, csms)
