"""The plugins of one link at work: the shell around ``core.onion``. Clock, timer, spool records, both directions.

What a plugin did goes into the spool before anything of it is sent: DISP and OUT by ``relay.framing``, findings here.
"""

import os
from asyncio import TimerHandle
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic_ns, time_ns
from typing import Protocol

from ocpp_proxy.api import Closing, Opening
from ocpp_proxy.core.acts import Action, End, Leave, Remark
from ocpp_proxy.core.entering import FAILED_STATUS, Entered
from ocpp_proxy.core.hands import Hands
from ocpp_proxy.core.seats import Chain, Installed, Limit, Told
from ocpp_proxy.core.services import Lost
from ocpp_proxy.core.session import QUIET, Drop, Transform, Verdict, loud
from ocpp_proxy.core.ways import CLOSE
from ocpp_proxy.model import Side
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.framing import Framing
from ocpp_proxy.relay.keeper import Keeper
from ocpp_proxy.wire.spool import CSMS, SIDES, STATION, Disposition, ForeignFinding, Kind, LossBody, encode_body

_LOSS = Kind.LOSS
GOING_AWAY = b"\x03\xe9going away"        # 1001, RFC 6455 7.4.1
_STATION, _CSMS = Side.STATION, Side.CSMS
_PLACES = {_STATION: STATION, _CSMS: CSMS}


class PluggedLink(Protocol):
    """The link, as its plugins see it. ``framing``: both directions, station's first."""

    env: Environment
    number: int
    framing: tuple[Framing, ...]

    def shut(self, how: str) -> None:
        """End it from our side."""

    def abort(self, how: str) -> None:
        """End it from our side, at once."""


class Plugged:
    """The plugins of one link."""

    __slots__ = (
        "_base", "_began", "_due", "_ending", "_farewell", "_limit", "_passes", "_refusal", "_spared", "_strict", "_timer",
        "_told_unseen", "_turn", "_who",
        "keeper", "link", "onion",
    )

    def __init__(self, link: PluggedLink, chain: Chain, identity: str, limit: Limit) -> None:
        self.link = link
        self._base = time_ns() - monotonic_ns()
        self._timer: TimerHandle | None = None
        self._due = 0
        self._ending = self._began = False
        self._refusal: Entered | None = None    # instead of what they decide about the dial
        self._strict = any(one.on_error != "pass" for one in chain.installed)
        self._told_unseen: set[str] = set()
        self._spared: int | None = None         # the direction whose sender is gone, while the other side stays
        self._farewell: TimerHandle | None = None
        self._limit, self._who = limit, identity.encode("utf-8", "replace")[:64]
        longest = int(link.env.config.call_seconds * 1e9)
        self.onion = Hands(
            chain.installed, identity, chain.version, os.urandom, limit=limit, longest_ns=longest, now_ns=self.now(),
        )
        self._passes, self._turn = self.onion.passes, link.env.turn
        self.keeper = Keeper(link.env.states, self.onion, identity, self.now, self.settle, self._ledger)

    def transforms(self) -> tuple[Transform, Transform]:
        """What the two directions ask about each message."""
        return self._from_station, self._from_csms

    def begin(self) -> None:
        """The directions are there."""
        for framing in self.link.framing:
            framing.fed, framing.unseen, framing.gate = self.settle, self._unseen, self.keeper.gate
            framing.watch = partial(self._watch, SIDES[framing.leg.direction])
            framing.at_hand = partial(self._limit.about, self.link.number, framing.leg.direction, self._who)
            framing.ours = partial(self.onion.may_be_ours, SIDES[framing.leg.direction])
        self._began = True
        self.keeper.load()
        self.link.env.on_plugged(self)
        self.settle()

    def load(self) -> None:
        """Read their States for a charger that dials."""
        self.keeper.load(lease=False)

    def enter(self, opening: Opening, cannot: Callable[[str], str], then: Callable[[Entered], None]) -> None:
        """Ask them about a charger that dials; ``then`` gets what they decided once what has to be stored is stored."""
        if self.keeper.gate.closed:
            self.keeper.gate.later(self.enter, opening, cannot, then)
            return
        entered = self.onion.enter(opening, cannot, self.now())
        self.settle()
        self._decided(entered, then)

    def _decided(self, entered: Entered, then: Callable[[Entered], None]) -> None:
        if self.keeper.gate.closed:
            self.keeper.gate.later(self._decided, entered, then)
        else:
            then(self._refusal or entered)

    def agree(self, chain: Chain | None, station: str, csms: str) -> None:
        """The versions of both sides are known, and with them the plugins: those that are here and stay live on."""
        self.onion.agree(station, csms)
        for framing in self.link.framing:
            framing.whole = self.onion.translating
        wanted = chain.installed if chain is not None else ()
        if wanted != self.onion.installed:
            self.reseat(wanted)

    def reseat(self, installed: Sequence[Installed]) -> None:
        """Have these plugins from now on; States of those that come are read first."""
        self._strict = any(one.on_error != "pass" for one in installed)
        self.onion.reseat(installed, self.now())
        if self.onion.states.unread:
            if self.keeper.busy():          # what one that went has kept last, perhaps one of the same name with other options
                self.keeper.gate.first(self.keeper.load)
            else:
                self.keeper.load()
        self.settle()

    def reseat_when_free(self, installed: Sequence[Installed]) -> None:
        """``reseat``, once what has to be stored is stored."""
        if self.keeper.gate.closed:
            self.keeper.gate.later(self.reseat_when_free, installed)
        else:
            self.reseat(installed)

    def act(self, deed: Callable[[Hands, int], object]) -> None:
        """Let a person act on it, given the time; once what has to be stored is stored."""
        if self.keeper.gate.closed:
            self.keeper.gate.later(self.act, deed)
        else:
            deed(self.onion, self.now())
            self.settle()

    def ended(self, direction: int) -> None:
        """No more bytes come in that direction."""
        self.onion.ended(SIDES[direction], self.now())
        self.settle()

    def spare(self, direction: int, how: str) -> bool:
        """The peer of a direction is gone: whether the other side stays for a while."""
        if self._spared is not None or self._ending:
            return self._spared == direction
        if any(framing.closed for framing in self.link.framing):
            return False
        seconds = self.onion.gone(SIDES[direction], how, self.now())
        self.settle()
        if not seconds or self._ending:
            return False
        self._spared = direction
        self._farewell = self.link.env.loop.call_later(seconds, self._part)
        return True

    def _part(self) -> None:
        """The side that stayed is told to go."""
        assert self._spared is not None
        if self.keeper.gate.closed:
            self.keeper.gate.later(self._part)
            return
        self.link.framing[self._spared].inject(GOING_AWAY, "the other side is gone", opcode=CLOSE)
        self.link.env.turn.flush()
        self._ending = True
        self.link.shut("fin")

    def close(self, first: int | None, how: str) -> None:
        """The link is over."""
        for timer in (self._timer, self._farewell):
            if timer is not None:
                timer.cancel()
        self._ending = True
        self.onion.close(Closing(SIDES[first] if first is not None else None, how), self.now())
        self.keeper.last(self._not_kept)
        self._act()

    def settle(self) -> None:
        """Do what the plugins want done besides their verdicts, unless a State has to be stored first."""
        if not self.keeper.busy():
            self._act()

    def _act(self) -> None:
        """Do it; look at the clock again when something is due."""
        onion = self.onion
        while onion.actions:
            self._ledger()
            actions, onion.actions[:] = list(onion.actions), []
            for action in actions:
                self._do(action)
        due = onion.due_ns()
        if due != self._due and self._began and not self._ending:
            self._due = due
            if self._timer is not None:
                self._timer.cancel()
            wait = max(0, due - self.now()) / 1e9
            self._timer = self.link.env.loop.call_later(wait, self._tick) if due else None

    def now(self) -> int:
        """A clock that never goes back, at the time of day when the link began."""
        return self._base + monotonic_ns()

    def _tick(self) -> None:
        self._timer = None
        self._due = 0
        if not self.keeper.gate.closed:         # else the next ``settle`` looks at the clock
            self.onion.tick(self.now())
            self.settle()

    def _from_station(self, text: bytes, at: int, opcode: int) -> Verdict:
        if not self.onion.hears and text[1:2] == b"3" and self._passes(_STATION, text):
            return QUIET
        return self._verdict(_STATION, STATION, text, at, opcode)

    def _from_csms(self, text: bytes, at: int, opcode: int) -> Verdict:
        if not self.onion.hears and text[1:2] == b"3" and self._passes(_CSMS, text):
            return QUIET
        return self._verdict(_CSMS, CSMS, text, at, opcode)

    def _verdict(self, sender: Side, place: int, text: bytes, at: int, opcode: int) -> Verdict:
        onion, framing = self.onion, self.link.framing[place]
        chunk = framing.chunk
        framing.at_hand(self._turn.writer.seq, framing.leg.offset, len(chunk), chunk)
        verdict = onion.receive(sender, text, at, self._base + monotonic_ns(), opcode)
        actions = onion.actions
        if actions:
            if len(actions) == 1 and type(one := actions[0]) is Lost:       # the usual case
                actions.clear()
                self._lose(one)
            else:
                self._ledger()
            if actions:
                verdict = loud(verdict)
        return self.keeper.verdict(verdict, framing) if onion.states.pending else verdict

    def _watch(self, sender: Side, opcode: int, payload: bytes) -> Drop | None:
        dropped = self.onion.control(sender, opcode, payload, self.now()) if self.onion.controls else None
        if opcode == CLOSE and dropped is None:
            self._before_close(sender)
        self._ledger()
        self.keeper.busy()                      # what is kept is stored before the frame leaves
        return dropped

    def _before_close(self, sender: Side) -> None:
        """Behind its Close a side says nothing more: what is kept of it goes on before."""
        onion = self.onion
        onion.ended(sender, self.now())
        framing = self.link.framing[_PLACES[sender]]
        mine = [action for action in onion.actions if isinstance(action, Leave) and action.sender is sender]
        onion.actions[:] = [action for action in onion.actions if not any(action is one for one in mine)]
        for one in mine:
            framing.ahead(one.text, one.reason, plugin=one.plugin, what=one.what, at=one.at, opcode=one.opcode)

    def _ledger(self) -> None:
        """Losses are written before anything of the hook that named them leaves."""
        actions, others = self.onion.actions, list[Action]()
        if not actions:
            return
        for one in actions:
            if type(one) is Lost:
                self._lose(one)
            else:
                others.append(one)
        if len(others) < len(actions):
            actions[:] = others

    def _lose(self, one: Lost) -> None:
        body = LossBody(one.plugin, one.action, one.message_id, one.path, one.what, one.reason)
        self._turn.add(_LOSS, _PLACES[one.sender], self.link.number, 0, encode_body(body))

    def _unseen(self, reason: str) -> bool:
        """A message was not shown to the plugins; where one may not fail openly, the link ends instead."""
        if reason not in self._told_unseen:
            self._told_unseen.add(reason)
            self._do(Told("plugin-unseen", "warning", "proxy", f"a message passed no plugin: {reason}"))
        if self._strict:
            self._do(End("", f"a message cannot be shown to the plugins: {reason}"))
        return not self._strict

    def _not_kept(self, why: str) -> None:
        self._do(Told("plugin-state", "error", "proxy", f"what a plugin kept at the end of the link is not stored: {why}"))

    def _do(self, action: Action) -> None:
        link = self.link
        turn = link.env.turn
        match action:
            case Leave():
                left = link.framing[_PLACES[action.sender]].inject(
                    action.text, action.reason, plugin=action.plugin, what=action.what, at=action.at, opcode=action.opcode,
                )
                if not left and action.at:
                    self._do(Remark(action.sender, action.at, "dropped", action.plugin, "behind a Close nothing can leave"))
            case Remark():
                body = Disposition((), action.what, action.plugin, action.reason)
                turn.body(Kind.DISP, _PLACES[action.sender], link.number, body)
            case Told():
                turn.body(
                    Kind.FINDING, STATION, link.number,
                    ForeignFinding(action.code, action.severity, action.blame, action.message),
                )
            case End() if not self._began:
                self._refusal = Entered(status=FAILED_STATUS, plugin=action.plugin, reason=action.reason)
            case End() if not self._ending:
                self._ending = True
                turn.body(Kind.DISP, STATION, link.number, Disposition((), "disconnected", action.plugin, action.reason))
                turn.flush()
                (link.abort if action.reset else link.shut)("error")
