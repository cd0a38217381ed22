"""Ends a plugin's hook that takes too long, by a signal in the main thread: where Python can be interrupted at all.

The timer is not set for every hook: it runs on from one to the next and looks, when it fires, whether one has overstayed.
C code that does not come back (a catastrophic regular expression, arithmetic on huge numbers) is interrupted when it ends.
"""

import signal
from functools import partial
from time import monotonic_ns
from types import FrameType

from ocpp_proxy.core.seats import HookTimeout
from ocpp_proxy.relay.hook_mark import ABOUT, AT_HAND, HookMark

HOOK_NS = 50_000_000


class Watchdog:
    """``core.seats.Limit``. One for all links of a process; make it in the main thread. ``close`` gives SIGALRM back.

    ``mark``: where it leaves whose hook runs, and ``about`` what is at hand (see ``core.seats.Limit``).
    """

    __slots__ = ("_armed", "_before", "_began", "_cells", "about", "number")

    def __init__(self, mark: HookMark | None = None) -> None:
        mark = mark or HookMark()
        self.number = mark.number           # of a plugin
        self._cells = mark.cells
        self.about = partial(AT_HAND.pack_into, mark.cells, ABOUT)     # no call of Python's: this runs for every message
        self._began = 0                     # monotonic; 0: no hook runs
        self._armed = False
        self._before = signal.signal(signal.SIGALRM, self._fired)

    def enter(self, plugin: int) -> None:
        """A hook begins."""
        self._cells[0] = plugin
        if not self._armed:
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, HOOK_NS / 1e9, HOOK_NS / 1e9)
        self._began = monotonic_ns()

    def leave(self) -> None:
        """It is over."""
        self._began = 0
        self._cells[0] = 0

    def close(self) -> None:
        """No more hooks."""
        self._began = 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._armed = False
        signal.signal(signal.SIGALRM, self._before)

    def _fired(self, number: int, frame: FrameType | None) -> None:
        began = self._began
        if not began:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        left = began + HOOK_NS - monotonic_ns()
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, max(left, 1_000_000) / 1e9, HOOK_NS / 1e9)
            return
        self._began = monotonic_ns()        # one that swallows this gets the next one, 50 ms later
        raise HookTimeout
