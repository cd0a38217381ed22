"""Frame mode of a link: each direction switches by itself, at a message boundary, and never goes back.

Until the switch bytes go through as they are while frame headers are followed. A compressed direction can only be changed
when it was inflated from its first byte on, so there the Session runs from the start and lets everything pass until then.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Protocol

from ocpp_proxy.core.session import (
    PASS,
    QUIET,
    Drop,
    Dropped,
    Effect,
    Made,
    Original,
    Pass,
    Replace,
    Session,
    Transform,
    Unseen,
    Verdict,
    Watch,
)
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.keeper import Gate
from ocpp_proxy.relay.leg import KEEPING, Leg
from ocpp_proxy.relay.spool import MAX_RECORDS
from ocpp_proxy.relay.turn import EARLY_BYTES
from ocpp_proxy.wire.deflate import Agreement, Inflater, InflaterState, agreement
from ocpp_proxy.wire.frame_tracker import FrameTracker
from ocpp_proxy.wire.frames import TEXT
from ocpp_proxy.wire.spool import STATION, Disposition, Kind, encode_body

_IN, _OUT, _DISP = Kind.IN, Kind.OUT, Kind.DISP
SWITCH_SECONDS = 10.0
KEYS_BYTES = 4096
NO_BOUNDARY = "no message boundary came within 10 s"
CLOSING = "the direction is closing"
UNREADABLE = "the frames of this direction cannot be read"


class Keys:
    """Random bytes from the system, fetched many at a time: every message that is made towards a CSMS takes four. No byte
    is given twice."""

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def take(self, count: int) -> bytes:
        """So many."""
        at, self._at = self._at, self._at + count
        if self._at > len(self._bytes):
            self._bytes, at, self._at = os.urandom(max(KEYS_BYTES, count)), 0, count
        return self._bytes[at : self._at]


_keys = Keys()


AtHand = Callable[[int, int, int, bytes], None]
"""As ``core.seats.Limit.about``, from ``seq`` on."""


class Framed(Protocol):
    """The link, as its framings see it."""

    env: Environment
    number: int

    def record(
        self, direction: int, kind: Kind, data: bytes, size: int,
        call: Callable[[Any], object] | None = None, argument: Any = None,
    ) -> None:
        """Append a record of ``size`` bytes read from that side; then ``call(argument)``."""


def _pass(text: bytes, at: int, opcode: int) -> Verdict:
    return PASS


def _unmarked(seq: int, offset: int, size: int, data: bytes, /) -> None:
    """Nobody wants to know."""


def _nothing() -> None:
    """Nothing is to be done."""


def _seen(reason: str) -> bool:
    return True


class Framing:
    """One direction of a tunnel that may have to be changed: ``leg`` is where its bytes come from.

    With a ``transform`` it is in frame mode from the start. ``fed`` is called behind each chunk, ``unseen`` with the reason
    when a message was not asked about: False keeps the chunk back (the link is being ended). ``watch``: about control frames.
    ``ours``: as of ``Session``.
    """

    __slots__ = (
        "_asked", "_base", "_held", "_number", "_session", "_timer", "_tracker", "_transform", "_turn", "_waiting", "at_hand",
        "chunk", "fed", "gate", "leg", "link", "ours", "unseen", "watch", "whole",
    )

    def __init__(self, link: Framed, leg: Leg, agreed: Agreement | None, transform: Transform | None = None) -> None:
        self.link = link
        self._turn, self._number = link.env.turn, link.number
        self.leg = leg
        self._tracker = FrameTracker()
        self._session: Session | None = None
        self._base = 0                          # where in the direction the Session began
        self._transform: Transform = transform or _pass
        self.fed: Callable[[], None] = _nothing
        self.unseen: Callable[[str], bool] = _seen
        self._asked: asyncio.Future[str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.watch: Watch | None = None
        self.at_hand: AtHand = _unmarked        # told what comes before plugins are
        self.chunk = b""                        # what came last
        self.ours: Callable[[bytes | None], bool] | None = None
        self._held: tuple[int, ...] = ()        # records whose bytes have not left yet
        self._waiting: tuple[bytes, list[Effect]] = (b"", [])   # a chunk with a message whose verdict is awaited
        self.gate = Gate()
        self.whole = False                      # a message that is not whole in the end goes nowhere: it would be untranslated
        if agreed is not None:
            takeover = agreed.station_takeover if leg.direction == STATION else agreed.csms_takeover
            self._begin(Inflater(InflaterState(takeover)))
        elif transform is not None:
            self._begin(None)

    @property
    def framed(self) -> bool:
        """Whether the Session has taken over."""
        return self._session is not None

    @property
    def open(self) -> bool:
        """Whether a message of ours can leave in this direction."""
        session = self._session
        return session is not None and not session.ended and not self.leg.got_eof and not self.leg.closed

    @property
    def closed(self) -> bool:
        """Whether a Close went through in this direction."""
        return self._session.ended if self._session is not None else self._tracker.closed

    def switch(self, transform: Transform) -> "asyncio.Future[str]":
        """Ask ``transform`` about every message from the next boundary on; gives "" once it does, or why it cannot."""
        loop = self.link.env.loop
        done: asyncio.Future[str] = loop.create_future()
        if self._session is not None:
            self._session.transform = self._transform = transform
            done.set_result("")
        elif self._tracker.closed or self._tracker.broken or self.leg.got_eof or self.leg.closed:
            done.set_result(UNREADABLE if self._tracker.broken else CLOSING)
        else:
            self._transform = transform
            self._asked = done
            self._timer = loop.call_later(SWITCH_SECONDS, self._refuse, NO_BOUNDARY)
            self._try()
        return done

    def inject(
        self, text: bytes, reason: str, *, plugin: str = "", what: str = "injected", at: int = 0, opcode: int = TEXT,
    ) -> bool:
        """Send a message of our own, or one that was held, in this direction at the next boundary.

        False where that cannot be: not in frame mode, or behind a Close. ``at`` as ``core.session.Made.at``.
        """
        session = self._session
        if session is None or session.ended or self.leg.other is None or self.leg.other.closed:
            return False
        self._emit(0, b"", session.inject(text, reason, plugin=plugin, what=what, at=at, opcode=opcode))
        to = self.leg.other
        if to is not None:
            to.bound()
        return True

    def ahead(self, text: bytes, reason: str, *, plugin: str, what: str, at: int, opcode: int) -> None:
        """Send a message before the control frame that ``watch`` is being asked about."""
        if self._session is not None:
            self._session.ahead(text, reason, plugin=plugin, what=what, at=at, opcode=opcode)

    def receive(self, data: bytes) -> None:
        """Take a chunk of the direction (``Leg.reader``)."""
        leg = self.leg
        if self.gate.closed:
            leg.hold(KEEPING)
            self.gate.later(self._again, data)
            return
        session = self._session
        if session is not None:
            self.chunk = data
            verdict = session.ask(data)
            if verdict is not QUIET:
                if type(verdict) is Replace and not self.gate.closed:
                    self._changed(data, session.made(verdict), "replaced", verdict.plugin, verdict.reason)
                    if not verdict.quiet:
                        self.fed()
                    return
                if verdict is None:
                    self.at_hand(self._turn.writer.seq, leg.offset, len(data), data)
                if type(verdict) is not Pass:
                    self._feed(session, data, session.take(data) if verdict is None else session.obey(data, verdict))
                    return
            offset, self._held = leg.offset, ()         # the usual case: it leaves as it came. Flat: hot path
            leg.offset = offset + len(data)
            turn = self._turn
            turn.entries.append((_IN, leg.direction, self._number, offset, data, leg.forward, data))
            turn.size += len(data)
            if not turn.armed:
                turn.arm()
            if turn.size >= EARLY_BYTES or len(turn.entries) >= MAX_RECORDS:
                turn.flush()
            if verdict is not QUIET:
                self.fed()
            return
        self._before(data)

    def _before(self, data: bytes) -> None:
        """Take a chunk while not in frame mode."""
        leg, size = self.leg, self._follow(data)
        first = data[:size]
        self.link.record(leg.direction, Kind.IN, first, size, leg.forward, first)
        if self._asked is not None:
            self._try()
        if size < len(data):
            self.receive(data[size:])

    def _again(self, data: bytes) -> None:
        self.leg.release(KEEPING)
        self.receive(data)

    def resume(self, verdict: Verdict) -> None:
        """Here is the verdict that was awaited."""
        session, (data, effects) = self._session, self._waiting
        assert session is not None
        self._waiting = b"", []
        self._feed(session, data, effects + session.resume(verdict))

    def _feed(self, session: Session, data: bytes, effects: list[Effect]) -> None:
        if session.stopped:
            self._waiting = data, effects
            return
        if self.gate.closed:                    # a hook that was about no message kept a State
            self.gate.first(self._feed, session, data, effects)
            return
        leg, turn = self.leg, self.link.env.turn
        if len(effects) == 1 and type(effects[0]) is Original:      # the usual case: it leaves as it came
            self._held = (turn.writer.seq + len(turn.entries) + 1,)
            self.link.record(leg.direction, Kind.IN, data, len(data), leg.forward, effects[0].data)
        elif all(self.unseen(effect.reason) for effect in effects if isinstance(effect, Unseen)):
            self._emit(len(data), data, effects)
        else:
            leg.unsent += len(data)
            self.link.record(leg.direction, Kind.IN, data, len(data))
        self.fed()

    def _follow(self, data: bytes) -> int:
        """Follow the frame headers; while a switch is asked for only up to the next boundary. Gives how far."""
        tracker = self._tracker
        if self._asked is None:
            tracker.feed(data)
            return len(data)
        at = 0
        while at < len(data):
            step = min(tracker.rest or 1, len(data) - at)       # to the end of the frame, or byte by byte in a header
            tracker.feed(data[at : at + step])
            at += step
            if tracker.boundary or tracker.closed or tracker.broken:
                return at if tracker.boundary else len(data)
        return at

    def end(self) -> None:
        """No more bytes will come: what is still held leaves as it came."""
        self._refuse(CLOSING)
        if self._session is not None:
            self._emit(0, b"", self._session.end(whole=self.whole))

    def _begin(self, inflater: Inflater | None) -> None:
        self._base = self.leg.offset
        self._session = Session(
            self._transform, masked=self.leg.direction == STATION, inflater=inflater, entropy=_keys.take, watch=self._watch,
            ours=self._ours,
        )

    def _ours(self, first: bytes | None) -> bool:
        return self.ours is not None and self.ours(first)

    def _watch(self, opcode: int, payload: bytes) -> Drop | None:
        return self.watch(opcode, payload) if self.watch is not None else None

    def _try(self) -> None:
        if self._tracker.closed or self._tracker.broken:
            self._refuse(UNREADABLE if self._tracker.broken else CLOSING)
        elif self._tracker.boundary:
            self._begin(None)
            self._answer("")

    def _refuse(self, reason: str) -> None:
        if self._asked is not None:
            self._transform = _pass
        self._answer(reason)

    def _answer(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        asked, self._asked = self._asked, None
        if asked is not None and not asked.done():
            asked.set_result(reason)

    def _emit(self, size: int, data: bytes, effects: list[Effect]) -> None:
        """Append what becomes of received messages, what came in, what we made of it, in this order; then pass on what leaves.

        A message is named by where it ends in the direction's received bytes: the offset of its DISP and OUT records.
        """
        turn, link, leg = self.link.env.turn, self.link, self.leg
        if size and len(effects) == 1 and type(effects[0]) is Made:
            made = effects[0]
            self._changed(data, (made.data, made.at), made.what, made.plugin, made.reason)
            return
        leaving = b"".join(effect.data for effect in effects if isinstance(effect, Original | Made))
        ours = [effect for effect in effects if isinstance(effect, Made | Dropped)]
        mine = [effect for effect in ours if isinstance(effect, Made)]
        released = not size and not ours and bool(leaving)
        call, argument = (leg.forward, leaving) if leaving else (None, None)
        if size:
            self._held = (*self._held[-63:], turn.writer.seq + len(turn.entries) + len(ours) + 1)
        for effect in ours:
            body = encode_body(Disposition(self._held, effect.what, effect.plugin, effect.reason))
            turn.add(Kind.DISP, leg.direction, link.number, self._place(effect), body)
        if size:
            link.record(leg.direction, Kind.IN, data, size, *((None, None) if mine else (call, argument)))
        for number, effect in enumerate(mine, 1):
            last = (call, argument) if number == len(mine) else (None, None)
            turn.add(Kind.OUT, leg.direction, link.number, self._place(effect), effect.data, *last)
        if released:
            turn.add(Kind.DISP, leg.direction, link.number, 0, encode_body(Disposition(self._held, "released")), call, argument)
        if effects:
            self._held = self._held[-1:]

    def _changed(self, data: bytes, made: tuple[bytes, int], what: str, plugin: str, reason: str) -> None:
        """``_emit`` of one whole message that leaves as another one, and where it ends. Flat: hot path."""
        turn, leg = self._turn, self.leg
        entries, direction, number, offset = turn.entries, leg.direction, self._number, leg.offset
        out, place = made
        if place:
            place += self._base
        leg.offset = offset + len(data)
        here = turn.writer.seq + len(entries) + 2
        body = encode_body(Disposition((*self._held[-63:], here), what, plugin, reason))
        self._held = (here,)
        entries.append((_DISP, direction, number, place, body, None, None))
        entries.append((_IN, direction, number, offset, data, None, None))
        entries.append((_OUT, direction, number, place, out, leg.forward, out))
        turn.size += len(body) + len(data) + len(out)
        if not turn.armed:
            turn.arm()
        if turn.size >= EARLY_BYTES or len(entries) >= MAX_RECORDS:
            turn.flush()

    def _place(self, effect: Made | Dropped) -> int:
        """Where the message it is about ends in the direction; 0: about none."""
        return self._base + effect.at if effect.at else 0


def framings(
    link: Framed, station: Leg, csms: Leg, extensions: str, transforms: tuple[Transform, Transform] | None = None,
) -> tuple[Framing, Framing]:
    """Both directions of a fresh tunnel, station's first; with ``transforms`` in frame mode from the start."""
    agreed = agreement(extensions)
    first, second = transforms or (None, None)
    return Framing(link, station, agreed, first), Framing(link, csms, agreed, second)
