"""One charger's pair of connections: opens, passes ends on, writes END.

FIN becomes FIN (half-close on plain TCP), RST becomes RST behind the bytes before it, a vanished peer resets the other
leg. While ``phase`` (the HTTP phase) is there it is asked first.
"""

import asyncio
from collections.abc import Callable
from time import time_ns
from typing import Any, Protocol

from ocpp_proxy.model import TlsInfo
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.framing import Framing, framings
from ocpp_proxy.relay.leg import HELD, Leg
from ocpp_proxy.relay.plugged import Plugged
from ocpp_proxy.wire.spool import CSMS, STATION, End, Kind, Open


class Phase(Protocol):
    """The HTTP phase of a link. True from ``fin`` and ``gone``: it has dealt with it."""

    def fin(self, leg: Leg) -> bool:
        """FIN on plain TCP."""

    def gone(self, leg: Leg, how: str) -> bool:
        """The connection is over."""

    def stop(self) -> None:
        """The link is ending: let go of timers, dials and bytes."""


class Link:
    """A link. ``how`` and ``first``: the first end that happened, and whose it was (None: ours)."""

    __slots__ = (
        "admission", "csms", "env", "first", "framing", "how", "identity", "listener", "number", "opened", "phase", "plugged",
        "protocol", "remote", "since_ns", "station", "station_tls", "taking",
    )

    def __init__(self, env: Environment, number: int, remote: str, listener: str) -> None:
        self.env = env
        self.number = number
        self.remote = remote
        self.listener = listener
        self.station = Leg(self, number, STATION, env.turn)
        self.csms: Leg | None = None
        self.phase: Phase | None = None
        self.framing: tuple[Framing, ...] = ()      # per direction, where a rule may change the traffic
        self.plugged: Plugged | None = None
        self.station_tls: TlsInfo | None = None
        self.how = ""
        self.first: int | None = None
        self.opened = False
        self.identity = self.protocol = ""          # once it is a tunnel
        self.since_ns = 0                           # when it became one
        self.taking: asyncio.Future[str] | None = None      # it is being put under plugins
        self.admission: asyncio.Task[None] | None = None    # until the station leg is attached
        env.links[number] = self

    def open(self) -> None:
        """Append OPEN, once."""
        if not self.opened:
            self.opened = True
            self.env.turn.body(Kind.OPEN, STATION, self.number, Open(self.remote, self.listener, self.station_tls))

    def new_csms(self) -> Leg:
        """The leg for a dial that succeeded."""
        leg = Leg(self, self.number, CSMS, self.env.turn)
        leg.other, self.station.other = self.station, leg
        self.csms = leg
        return leg

    def tunnel(
        self, extensions: str = "", identity: str = "", protocol: str = "", versions: tuple[str, str] = ("", ""),
    ) -> None:
        """From here on bytes go through as they are, or plugins decide. ``extensions``: of the 101.

        ``protocol``: that the station was told; ``versions``: of station and CSMS, where plugins were asked about the dial.
        """
        station, csms = self.station, self.csms
        assert csms is not None
        self.phase = None
        self.identity, self.protocol, self.since_ns = identity, protocol, time_ns()
        station.reader = csms.reader = None
        station.forward, csms.forward = csms.transport.write, station.transport.write
        for leg, other in ((station, csms), (csms, station)):
            if other.secure and not leg.secure:
                leg.read_little()
        chain = self.env.chain(identity, protocol) if self.env.chain is not None else None
        opened = self.plugged is not None
        if chain is not None and not opened:
            self.plugged = Plugged(self, chain, identity, self.env.limit)
        if self.plugged is not None or self.env.framing:
            transforms = self.plugged.transforms() if self.plugged is not None else None
            self.framing = framings(self, station, csms, extensions, transforms)
            for framing in self.framing:
                framing.leg.reader = framing.receive
        if self.plugged is not None:
            self.plugged.begin()
            if opened:
                self.plugged.agree(chain, *versions)
        station.release(HELD)

    def _later(self, call: Callable[..., None], *arguments: Any) -> bool:
        """Whether this has to wait for plugins' States; it is done then."""
        if self.plugged is None or not self.plugged.keeper.gate.closed:
            return False
        self.plugged.keeper.gate.later(call, *arguments)
        return True

    def fin(self, leg: Leg) -> None:
        """Pass a FIN on, behind everything that came before it."""
        if self._later(self.fin, leg):
            return
        self._ended("fin", leg.direction)
        if self._let_go(leg) and self._later(self.fin, leg):
            return
        self._release(leg)
        self.env.turn.flush()
        if self.phase is not None and self.phase.fin(leg):
            return
        if self._spares(leg, "fin"):
            leg.close()
        else:
            self.pass_fin(leg)

    def pass_fin(self, leg: Leg) -> None:
        """End the other direction's writing; close both when both are through."""
        other = leg.other
        if other is None or other.closed:
            leg.close()
            return
        other.end()
        for each in (leg, other):
            if each.got_eof and each.wrote_eof:
                each.close()

    def gone(self, leg: Leg, how: str) -> None:
        """A connection is over: pass that on, and finish when both are."""
        if self._later(self.gone, leg, how):
            return
        if not leg.got_eof or how != "fin":
            self._ended(how, leg.direction)
        if self._let_go(leg) and self._later(self.gone, leg, how):
            return
        if how == "vanished":
            self.env.note("peer_vanished", "no answer at TCP level", self.number, leg.direction)
        self._release(leg)
        self.env.turn.flush()
        other = leg.other
        if self._spares(leg, how):
            return
        if (self.phase is None or not self.phase.gone(leg, how)) and other is not None and not other.closed:
            if how == "fin":
                other.close()
            else:
                other.reset()
        self.finish()

    def _spares(self, leg: Leg, how: str) -> bool:
        """Whether plugins let the other side stay for a while."""
        other = leg.other
        if self.plugged is None or not self.framing or other is None or other.closed:
            return False
        return self.plugged.spare(leg.direction, how)

    def _let_go(self, leg: Leg) -> bool:
        """What plugins keep of this direction goes on; whether some of it may have to wait for a State."""
        if self.plugged is None or not self.framing:
            return False
        self.plugged.ended(leg.direction)
        return True

    def _release(self, leg: Leg) -> None:
        """What frame mode still holds of this direction leaves as it came: of a message that is not whole."""
        for framing in self.framing:
            if framing.leg is leg:
                framing.end()

    def shut(self, how: str) -> None:
        """End it from our side: FIN to both, behind what is buffered."""
        if self._later(self.shut, how):
            return
        self._ended(how, None)
        if self.phase is not None:
            self.phase.stop()
        if self.station.closed and self.admission is not None:
            self.admission.cancel()
        for leg in (self.station, self.csms):
            if leg is not None:
                leg.close()

    def abort(self, how: str) -> None:
        """End it from our side at once, with RST."""
        self._ended(how, None)
        for leg in (self.station, self.csms):
            if leg is not None:
                leg.reset(0)

    def record(
        self, direction: int, kind: Kind, data: bytes, size: int,
        call: Callable[[Any], object] | None = None, argument: Any = None,
    ) -> None:
        """Append a record of ``size`` bytes read from that side; then ``call(argument)``."""
        leg = self.station if direction == STATION else self.csms
        assert leg is not None
        offset = leg.offset
        leg.offset = offset + size
        self.env.turn.add(kind, direction, self.number, offset, data, call, argument)

    def not_sent(self, direction: int, count: int) -> None:
        """Bytes of that direction could not be handed over."""
        leg = self.station if direction == STATION else self.csms
        if leg is not None:
            leg.unsent += count

    def finish(self) -> None:
        """Append both END when no connection is left."""
        if not self.station.closed or (self.csms is not None and not self.csms.closed) or self.number not in self.env.links:
            return
        if self.phase is not None:
            self.phase.stop()
            self.phase = None
        station, csms = self.station, self.csms
        self.open()
        if self.plugged is not None:
            self.plugged.close(self.first, self.how or "error")
        self._end(station, csms)
        self._end(csms, station)
        self.env.forget(self.number)

    def _end(self, leg: Leg | None, to: Leg | None) -> None:
        direction = CSMS if leg is self.csms else STATION
        read = leg.offset if leg is not None else 0
        unsent = min(read, leg.unsent + (to.buffered if to is not None else 0)) if leg is not None else 0
        body = End(read, read - unsent, unsent, self.how or "error", self.first == direction)
        self.env.turn.body(Kind.END, direction, self.number, body, read)

    def _ended(self, how: str, direction: int | None) -> None:
        if not self.how:
            self.how, self.first = how, direction
