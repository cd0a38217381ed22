"""Owns record time and what is due: one timer per link or station that waits for anything, armed at its earliest deadline.

A timer may ring too early (what it waited for has come): then it is only set anew. So the order of what is found does not
depend on when timers were armed, and a restored state goes on like one that was never stored.
"""

from heapq import heappop, heappush

Key = tuple[int, str]                       # (link_id, "") or (0, station)


class Deadlines:
    """Timers by key. Bounded by the number of links and stations."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Key]] = []
        self.armed: dict[Key, int] = {}
        self.next_ns = 1 << 63              # no timer rings before

    def arm(self, key: Key, at_ns: int) -> None:
        """Ring at that time, unless the key's timer rings before it."""
        if self.armed.get(key, 1 << 63) <= at_ns:
            return
        self.armed[key] = at_ns
        heappush(self._heap, (at_ns, key))
        self.next_ns = self._heap[0][0]

    def disarm(self, key: Key) -> None:
        """Forget a key."""
        self.armed.pop(key, None)

    def pop(self, now_ns: int) -> tuple[int, Key] | None:
        """The next timer that rings up to and with ``now_ns``; None when none does."""
        while self._heap and self._heap[0][0] <= now_ns:
            at_ns, key = heappop(self._heap)
            if self.armed.get(key) == at_ns:
                del self.armed[key]
                self._settle()
                return at_ns, key
        self._settle()
        return None

    def _settle(self) -> None:
        self.next_ns = self._heap[0][0] if self._heap else 1 << 63
