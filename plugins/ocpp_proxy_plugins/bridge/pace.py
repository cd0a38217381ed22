"""Owns the time of a Call that takes many of ours: all of it is answered by its deadline, whatever the other side does."""

from collections.abc import Generator
from typing import Any

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.work import Got

MOST_ASKED = 100                            # Calls of ours for one of theirs
SPARE = 0.05                                # the part of the time that is left for the answer
DEADLINE = "deadline"                       # reasonCode of what there was no time for


class Pace:
    """Asks one side again and again, as long as an answer can be expected in time."""

    def __init__(self, desk: Desk, side: Side = Side.STATION) -> None:
        self._desk = desk
        self._side = side
        self._slowest_ns = 0
        self._asked = 0
        self._late = False

    @property
    def over(self) -> bool:
        """Whether there is no time for another one that takes as long as the longest did; or it was asked too often."""
        return self._late or self._asked >= MOST_ASKED or self._left_ns() <= self._slowest_ns

    def ask(self, action: str, payload: dict[str, Any]) -> Generator[Ask, Answer | None, Got]:
        """``desk.ask``; in no more than the time there is. One that is not answered is the last."""
        begun_ns = self._desk.now_ns
        self._asked += 1
        got = yield from self._desk.ask(self._side, action, payload, max(0.001, self._left_ns() / 1e9))
        self._slowest_ns = max(self._slowest_ns, self._desk.now_ns - begun_ns)
        self._late = self._late or got.timeout
        return got

    def _left_ns(self) -> int:
        whole_ns = int(self._desk.options.answer_seconds * 1e9)
        if not self._desk.deadline_ns:
            return whole_ns
        return self._desk.deadline_ns - self._desk.now_ns - int(whole_ns * SPARE)
