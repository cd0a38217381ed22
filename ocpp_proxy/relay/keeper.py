"""The States of a link's plugins and their file: what happens to the link waits while one of them is read or stored."""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from ocpp_proxy.core.onion import Onion
from ocpp_proxy.core.session import WAIT, Verdict
from ocpp_proxy.relay.state_store import DIALLING, TAKEN_OVER, Opened, StateStore


class Gate:
    """``closed``: nothing happens to the link; what comes is done later, in order. Who reads stops reading meanwhile."""

    __slots__ = ("_later", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._later: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def later(self, call: Callable[..., object], *arguments: Any) -> None:
        """Do this behind what waits already."""
        self._later.append((call, arguments))

    def first(self, call: Callable[..., object], *arguments: Any) -> None:
        """Do this before what waits already: it came before that."""
        self._later.appendleft((call, arguments))

    def run(self) -> None:
        """Do what waits, until the gate is closed again."""
        while self._later and not self.closed:
            call, arguments = self._later.popleft()
            call(*arguments)


class Resumed(Protocol):
    """A direction of the link."""

    def resume(self, verdict: Verdict) -> None:
        """Here is the verdict that was awaited."""


class Keeper:
    """``settle``: does what the plugins want done besides their verdicts; it asks ``busy`` first. ``ledger``: writes
    the losses that plugins told, before the message leaves whose verdict was awaited.
    """

    __slots__ = (
        "_asking", "_epoch", "_error", "_identity", "_ledger", "_loading", "_now", "_onion", "_over", "_settle", "_store",
        "_storing", "gate",
    )

    def __init__(
        self, store: StateStore, onion: Onion, identity: str, now: Callable[[], int], settle: Callable[[], None],
        ledger: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self.gate = Gate()
        self._store = store
        self._onion = onion
        self._identity = identity
        self._now = now
        self._settle = settle
        self._epoch = 0                     # of this link's lease; 0: it has none
        self._error = ""                    # why
        self._storing = False
        self._loading = 0                   # how many times States are being read
        self._asking: Resumed | None = None
        self._over = False                  # the link is

    def load(self, lease: bool = True) -> None:
        """Read the States of the plugins; nothing is shown to them before. Without ``lease`` the charger only dials.

        A link that has had the lease does not take it again: a newer one may have it.
        """
        lease = lease and self._epoch <= 0
        names = self._onion.states.named
        if names:
            self.gate.closed = True
            self._loading += 1
            self._store.open(self._identity, names, partial(self._opened, names), lease)

    def verdict(self, verdict: Verdict, asking: Resumed) -> Verdict:
        """What a direction is told about its message when something has to be stored first: to wait."""
        states = self._onion.states
        if verdict is not WAIT:
            states.verdict = verdict
        self._asking = asking
        self._keep()
        return WAIT

    def busy(self) -> bool:
        """Whether the link has to wait; stores what is to be stored."""
        if not self.gate.closed and self._onion.states.waiting:
            self._keep()
        return self.gate.closed

    def last(self, told: Callable[[str], None]) -> None:
        """The link is over: what was kept is stored all the same; ``told`` gets why not."""
        self._over = True
        self._store.leave(self._identity, self._overtaken)
        if self._onion.states.waiting:
            self._store.keep(self._identity, self._epoch, self._onion.states.rows(), lambda why: told(why) if why else None)

    def _opened(self, names: Sequence[str], opened: Opened) -> None:
        anew = self._epoch == DIALLING          # another link may have kept something since
        if opened.error or self._epoch <= 0:
            self._epoch, self._error = opened.epoch, opened.error
        self._onion.states.restore(opened.found, opened.error, names, anew=anew)
        self._loading -= 1
        if not self._loading:
            self._open()
        if self._epoch > 0 and not self._over:
            self._store.hold(self._identity, self._overtaken)

    def _overtaken(self) -> None:
        """A newer link of this charger has the lease: of two links that translate only one can."""
        if self.gate.closed:
            self.gate.later(self._overtaken)
        elif self._onion.translating:
            self._onion.states.overtaken(TAKEN_OVER)
            self._settle()

    def _keep(self) -> None:
        self.gate.closed = True
        if self._storing:                   # the rest follows
            return
        self._storing = True
        rows = self._onion.states.rows()
        if self._epoch:
            self._store.keep(self._identity, self._epoch, rows, self._stored)
        else:
            self._store.later(self._stored, self._error)

    def _stored(self, error: str) -> None:
        self._storing = False
        self._onion.stored(error, self._now())
        if self._onion.states.waiting:
            self._keep()
            return
        self._open()

    def _open(self) -> None:
        """Go on: the message whose verdict was awaited, what plugins wanted, then what came meanwhile."""
        self.gate.closed = False
        asking, self._asking = self._asking, None
        if asking is not None:
            self._ledger()
            asking.resume(self._onion.states.verdict)
        self._settle()
        self.gate.run()
