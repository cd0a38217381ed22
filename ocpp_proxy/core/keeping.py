"""States of plugins, sans-I/O: what a hook kept is stored before anything of what it decided or sent happens.

A hook that calls ``context.keep`` leaves a ``Pending``: its decision, and what it sent. The link waits; once the rows are
stored it goes on, and when they cannot be, the State is again what it was, and ``on_error`` says what becomes of the message.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ocpp_proxy.api import Plugin
from ocpp_proxy.core import session
from ocpp_proxy.core.acts import End, Leave
from ocpp_proxy.core.lanes import Journey
from ocpp_proxy.core.seats import FAILED, Keep, Seat, Told, Wish, words
from ocpp_proxy.model import Side

_GOING_AWAY = b"\x03\xe9"                   # 1001, RFC 6455 7.4.1
_CLOSE = 8


class Stored(Struct, frozen=True, gc=False):
    """A State as it was found: its version, and its fields as a msgpack map."""

    version: int
    body: bytes


class Row(Struct, frozen=True, gc=False):
    """A State to be stored. ``aside``: what is there now is to be put aside, this plugin could not use it as it was."""

    plugin: str
    version: int
    body: bytes
    aside: bool = False


class Pending(Struct, eq=False):
    """What waits until the State its hook kept is stored. ``journey`` None: the hook was about no message.

    ``running``: the generator that gave ``decision``; ``wishes``: what the hook sent.
    """

    seat: Seat
    keeps: Sequence[Keep]
    wishes: Sequence[Wish]
    journey: Journey | None = None
    decision: Any = None
    running: Any = None


class States:
    """The States of one link. ``keeps``: of the hook that runs. ``verdict``: on the message whose verdict was ``WAIT``."""

    def __init__(self, seats: Sequence[Seat], wishes: list[Wish], tell: Callable[[Told | Leave | End], None]) -> None:
        self.keeps: list[Keep] = []
        self.verdict: session.Verdict = session.PASS
        self.named = tuple(seat.name for seat in seats if _has_state(seat))
        self._seats = [seat for seat in seats if _has_state(seat)]
        self._restored: list[Seat] = []
        self._wishes = wishes
        self._tell = tell
        self.pending: list[Pending] = []
        self._awaited: Journey | None = None                # the message whose verdict was ``WAIT``
        self._failures = 0
        self._asked = 0                                     # of those pending, how many are being stored
        for seat in seats:
            seat.keeps = self.keeps

    @property
    def unread(self) -> bool:
        """Whether the State of one of the seats has not been read yet."""
        return any(seat not in self._restored for seat in self._seats)

    def adopt(self, seats: Sequence[Seat]) -> None:
        """These are the seats from now on."""
        self._seats = [seat for seat in seats if _has_state(seat)]
        self.named = tuple(seat.name for seat in self._seats)
        for seat in seats:
            seat.keeps = self.keeps

    @property
    def waiting(self) -> bool:
        """Whether nothing may happen on the link until ``Onion.stored`` was called."""
        return bool(self.pending)

    def rows(self) -> list[Row]:
        """What is to be stored for that: of each plugin the State it kept last. ``take`` is about these."""
        self._asked = len(self.pending)
        return list({
            one.seat.name: Row(one.seat.name, one.seat.kind.state_version, one.keeps[-1].body, one.seat.aside)
            for one in self.pending
        }.values())

    def restore(
        self, found: Mapping[str, Stored], error: str = "", names: Collection[str] | None = None, *, anew: bool = False,
    ) -> None:
        """The States of this charger by plugin, before anything else happens; ``error``: why they cannot be had.

        ``names``: of whom they were asked for (None: of all); ``anew``: they count also where a State was had before.
        """
        asked = [seat for seat in self._seats if names is None or seat.name in names]
        for seat in asked:
            if error:
                self._failed(seat, f"its State cannot be read: {error}")
                if seat.on_error != "pass":
                    self._tell(End(seat.name, "its State cannot be read"))
            elif seat.name in found and (anew or seat not in self._restored):
                restore(seat, found[seat.name])
        self._restored += [seat for seat in asked if seat not in self._restored]

    def overtaken(self, why: str) -> None:
        """Another link has the States now, and nothing more of this one can be stored: where that ends it, it ends now."""
        strict = next((seat.name for seat in self._seats if seat.on_error == "close" and not seat.off), None)
        if strict is not None:
            self._tell(Told("plugin-state", "warning", "either", f"plugin {strict}: {why}: this one ends"))
            for side in Side:
                self._tell(Leave(side, _GOING_AWAY + why.encode(), "injected", strict, why, opcode=_CLOSE))
            self._tell(End(strict, why))

    def kept(
        self, seat: Seat, journey: Journey | None = None, decision: Any = None, running: Any = None,
    ) -> session.Verdict:
        """What the hook that just ran kept, if it did, is stored before anything of what it decided or sent happens."""
        if self.keeps:
            keeps, self.keeps[:] = list(self.keeps), []
            mine = [wish for wish in self._wishes if wish.seat is seat]
            self._wishes[:] = [wish for wish in self._wishes if wish.seat is not seat]
            self.pending.append(Pending(seat, keeps, mine, journey, decision, running))
        return session.WAIT

    def awaited(self) -> None:
        """The message that just came waits for what was kept last."""
        self._awaited = self.pending[-1].journey

    def take(self, error: str) -> list[Pending]:
        """Those that waited, now that their rows are stored or (``error``) cannot be."""
        asked = self._asked or len(self.pending)
        pending, self.pending, self._asked = self.pending[:asked], self.pending[asked:], 0
        for one in reversed(pending):
            if error:
                one.seat.context.state = one.keeps[0].before
        for one in pending:
            if error:
                self._failed(one.seat, f"its State cannot be stored: {error}")
            else:
                one.seat.aside = False
                self._wishes.extend(one.wishes)
        return pending

    def decided(self, journey: Journey, outcome: session.Verdict) -> bool:
        """Whether that was the message whose verdict is awaited; it is ``verdict`` then, unless it still is."""
        if journey is not self._awaited:
            return False
        if outcome is not session.WAIT:
            self._awaited, self.verdict = None, outcome
        return True

    def _failed(self, seat: Seat, why: str) -> None:
        """Tell it the first time, and each time it doubles."""
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            count = f" ({self._failures} times)" if self._failures > 1 else ""
            text = f"plugin {seat.name}: {why}{count} (on_error = {seat.on_error})"
            self._tell(Told("plugin-state", "error", "proxy", words(text)))


def _has_state(seat: Seat) -> bool:
    return seat.kind.State is not Plugin.State


def restore(seat: Seat, stored: Stored) -> None:
    """Give a plugin the State that was found; what it cannot use is told, and put aside when it keeps one of its own."""
    kind = seat.kind
    seat.aside = stored.version != kind.state_version
    try:
        if not seat.aside:
            seat.context.state = msgspec.msgpack.decode(stored.body, type=kind.State)
            return
        values = msgspec.msgpack.decode(stored.body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        seat.aside = True
        _unusable(seat, f"cannot be read ({error})")
        return
    if stored.version > kind.state_version:
        _unusable(seat, f"is of version {stored.version}, this plugin knows {kind.state_version}")
        return
    made = seat.call(f"migrate of its State from version {stored.version}", kind.migrate, stored.version, values)
    if type(made) is kind.State:
        seat.context.state = made
    elif made is not FAILED:
        seat.fail(f"migrate of its State from version {stored.version} gave {type(made).__name__}")


def _unusable(seat: Seat, why: str) -> None:
    seat.tell(Told("plugin-state", "error", "proxy", f"plugin {seat.name}: its stored State {why}; it begins anew"))
