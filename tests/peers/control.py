"""Transparency of pings and pongs: F13-F16."""

from tests.peers.harness import Wire, subject
from tests.peers.websocket import PING, PONG


@subject("F13", "a ping reaches the peer; the proxy does not answer it", view="messages")
def _ping(wire: Wire) -> None:
    station, csms = wire.open()
    station.say(b"are you there", PING)
    csms.wait_messages(1)
    csms.say(b"and you", PING)
    station.wait_messages(1)
    wire.means(unanswered=station.quiet(0.1) and csms.quiet(0.1))
    wire.settle(station, csms)


@subject("F14", "an unsolicited pong reaches the peer", view="messages")
def _pong(wire: Wire) -> None:
    station, csms = wire.open()
    station.say(b"nobody asked", PONG)
    csms.say(b"", PONG)
    wire.settle(station, csms)


@subject("F15", "125-byte ping payload, empty ping", view="messages")
def _sizes(wire: Wire) -> None:
    station, csms = wire.open()
    for peer in (station, csms):
        peer.say(bytes(range(125)), PING)
        peer.say(b"", PING)
    wire.settle(station, csms)


@subject("F16", "ping and pong are end to end", view="messages")
def _round_trip(wire: Wire) -> None:
    station, csms = wire.open()
    station.say(b"question", PING)
    csms.wait_messages(1)
    csms.say(b"an answer of its own", PONG)
    wire.means(answer=station.wait_messages(1)[0].payload)
    csms.say(b"back", PING)
    station.wait_messages(2)
    station.say(b"back", PONG)
    csms.wait_messages(2)
    wire.settle(station, csms)
