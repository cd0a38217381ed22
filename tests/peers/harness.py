"""Differential transparency: a subject is a script for two raw peers, and what both of them saw is compared.

It runs twice, connected directly and through the proxy under test. Facts ``means``: the same messages, values, status,
order, behaviour; facts ``exact``: the same bytes. The direct run is the reference; nothing is expected by hand. A peer that
waits in vain ends its subject, and that is a fact too.
"""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.peers.raw_peers import LOOPBACK, WAIT, Csms, Peer, Stalled, Station, Upstream
from tests.peers.websocket import TEXT, messages, request


@dataclass
class Facts:
    """What both peers saw in one run of a subject."""

    means: dict[str, object] = field(default_factory=dict)
    exact: dict[str, object] = field(default_factory=dict)


class Wire:
    """The scene of a subject: dials, accepts, remembers the peers and takes down the facts."""

    def __init__(self, port: int, upstream: Upstream, memory: Callable[[], int], wait: float) -> None:
        self.port, self.upstream, self.memory, self.wait = port, upstream, memory, wait
        self.facts = Facts()
        self.peers: list[Peer] = []

    def means(self, **facts: object) -> None:
        """Take down facts that must mean the same."""
        self.facts.means.update(facts)

    def exactly(self, **facts: object) -> None:
        """Take down facts that must be the same to the byte."""
        self.facts.exact.update(facts)

    def dial(self) -> Station:
        """Connect as the station."""
        try:
            station = Station(socket.create_connection((LOOPBACK, self.port), self.wait), self.wait)
        except OSError as error:
            raise Stalled(f"station cannot dial: {type(error).__name__}") from error
        self.peers.append(station)
        return station

    def accept(self) -> Csms:
        """Accept as the CSMS."""
        csms = self.upstream.accept(self.wait)
        self.peers.append(csms)
        return csms

    def ask(self, head: bytes) -> tuple[Station, Csms]:
        """Dial and bring a request to the CSMS."""
        station = self.dial()
        station.send(head)
        csms = self.accept()
        csms.wait_head()
        return station, csms

    def open(self, head: bytes = b"", *lines: str) -> tuple[Station, Csms]:
        """A WebSocket between the two peers; ``lines`` are added to the 101."""
        station, csms = self.ask(head or request("/ocpp/CP1"))
        csms.switch(*lines)
        station.wait_head()
        return station, csms

    def settle(self, station: Peer, csms: Peer) -> None:
        """A last text frame each way: what was sent before it, or slipped in, has then been seen."""
        last = station.frame(TEXT, b"last of the station")
        station.send(last)
        csms.until(lambda: _ends(csms, b"last of the station", last), "the last text")
        last_down = csms.frame(TEXT, b"last of the csms")
        csms.send(last_down)
        station.until(lambda: _ends(station, b"last of the csms", last_down), "the last text")

    def compare(self, view: str) -> None:
        """Take down what came over all connections: ``messages`` or ``frames`` by meaning, the streams to the byte."""
        for number, peer in enumerate(self.peers):
            name = f"{peer.side}{number}"
            seen: Iterable[object] = messages(peer.frames) if view == "messages" else list(peer.frames)
            self.means(**{f"{name}_{view}": seen})
            self.exactly(**{f"{name}_stream": peer.rest})

    def compare_ends(self) -> None:
        """Take down how the connections ended."""
        for number, peer in enumerate(self.peers):
            self.means(**{f"{peer.side}{number}_ended": bool(peer.ended)})
            self.exactly(**{f"{peer.side}{number}_ended_by": peer.ended})


def _ends(peer: Peer, payload: bytes, raw: bytes) -> bool:
    return peer.raw.endswith(raw) or bool(peer.frames and peer.frames[-1].payload == payload)


@dataclass(frozen=True)
class Subject:
    """One thing that must be preserved. ``view``: what ``Wire.compare`` takes down after the script ("" nothing)."""

    ident: str
    words: str
    script: Callable[[Wire], None]
    view: str
    ends: bool


SUBJECTS: dict[str, Subject] = {}


Script = Callable[[Wire], None]


def subject(ident: str, words: str, view: str = "", ends: bool = False) -> Callable[[Script], Script]:
    """Register a subject's script."""

    def register(script: Script) -> Script:
        assert ident not in SUBJECTS, ident
        SUBJECTS[ident] = Subject(ident, words, script, view, ends)
        return script

    return register


def run(what: Subject, port: int, upstream: Upstream, memory: Callable[[], int], wait: float = WAIT) -> Facts:
    """Play a subject through ``port`` and return the facts."""
    upstream.drain()
    wire = Wire(port, upstream, memory, wait)
    try:
        what.script(wire)
    except Stalled as stalled:
        wire.means(stalled=str(stalled))
    if what.view:
        wire.compare(what.view)
    if what.ends:
        wire.compare_ends()
    for peer in wire.peers:
        peer.close()
    return wire.facts


@dataclass(frozen=True)
class Verdict:
    """How a run through a proxy differs from the direct one: fact by fact, shortened for people."""

    means: tuple[str, ...]
    exact: tuple[str, ...]

    @property
    def same_meaning(self) -> bool:
        """Both peers saw the same."""
        return not self.means

    @property
    def same_bytes(self) -> bool:
        """Both peers saw the same, to the byte."""
        return not self.means and not self.exact


def judge(direct: Facts, through: Facts) -> Verdict:
    """Compare a run with the direct one."""
    return Verdict(_differences(direct.means, through.means), _differences(direct.exact, through.exact))


def _differences(one: dict[str, object], other: dict[str, object]) -> tuple[str, ...]:
    missing = object()
    return tuple(
        f"{key}: direct {_short(one.get(key, '-'))}, through the proxy {_short(other.get(key, '-'))}"
        for key in sorted(one.keys() | other.keys()) if one.get(key, missing) != other.get(key, missing)
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:120]} ... {text[-60:]} ({len(text)})"
