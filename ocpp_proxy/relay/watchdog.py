"""Ends a plugin's hook that takes too long, by a signal in the main thread: where Python can be interrupted at all.

The timer is not set for every hook: it runs on from one to the next and looks, when it fires, whether one has overstayed. A
hook that was hardly given the processor meanwhile (a busy machine) has more time: it is not the one that takes long.
C code that does not come back (a catastrophic regular expression, arithmetic on huge numbers) is interrupted when it ends.
"""

import signal
from functools import partial
from time import monotonic_ns, thread_time_ns
from types import FrameType

from ocpp_proxy.core.seats import HookTimeout
from ocpp_proxy.relay.hook_mark import ABOUT, AT_HAND, HookMark

HOOK_NS = 50_000_000
PATIENCE_NS = 250_000_000                  # for a hook that does not run: the machine is busy, or it waits for something


class Watchdog:
    """``core.seats.Limit``. One for all links of a process; make it in the main thread. ``close`` gives SIGALRM back.

    ``mark``: where it leaves whose hook runs, and ``about`` what is at hand (see ``core.seats.Limit``).
    """

    __slots__ = ("_armed", "_before", "_began", "_cells", "_looked", "about", "number")

    def __init__(self, mark: HookMark | None = None) -> None:
        mark = mark or HookMark()
        self.number = mark.number           # of a plugin
        self._cells = mark.cells
        self.about = partial(AT_HAND.pack_into, mark.cells, ABOUT)     # no call of Python's: this runs for every message
        self._began = 0                     # monotonic; 0: no hook runs
        self._armed = False
        self._looked = 0, 0                 # when it last looked: monotonic, and this thread's processor time
        self._before = signal.signal(signal.SIGALRM, self._fired)

    def enter(self, plugin: int) -> None:
        """A hook begins."""
        self._cells[0] = plugin
        if not self._armed:
            self._armed = True
            self._looked = monotonic_ns(), thread_time_ns()
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
        (then, before), began = self._looked, self._began
        self._looked = now, ran = monotonic_ns(), thread_time_ns()
        if not began:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        left = began + HOOK_NS - now
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, max(left, 1_000_000) / 1e9, HOOK_NS / 1e9)
            return
        if now - began < PATIENCE_NS and ran - before < (now - then) // 2:
            return                          # looked at again 50 ms later
        self._began = now                   # one that swallows this gets the next one, 50 ms later
        raise HookTimeout
