"""Keys come before what the proxy tells: from a key to its paint no line is taken in, and the paint waits for no clock."""

import asyncio
import time

from textual.screen import Screen

PROMPT_SECONDS = 0.03                       # between two paints at once; others wait for Textual's clock
HOLD_SECONDS = 0.06                         # a key holds what comes up for so long at most


class Precedence:
    """``came``: a key was pressed; ``acted``: its action has run; ``painted``: behind each paint.

    What holds itself back for keys awaits ``free``. As long as it was held up it goes on afterwards, whatever keys come: a key
    that is held down, or a text that is pasted, ends nothing.
    """

    def __init__(self) -> None:
        self.pending = False                # a key has come that is not painted yet
        self.due = False                    # and its action has run: the next paint shows it
        self._since = self._rest = self._prompt = 0.0
        self._free = asyncio.Event()
        self._free.set()
        self._end: asyncio.TimerHandle | None = None

    def came(self) -> None:
        """A key was pressed."""
        now = time.perf_counter()
        if not self.pending and now >= self._rest:
            self.pending, self._since = True, now
            self._free.clear()
            self._end = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._let)

    def acted(self) -> None:
        """The action of a key has run."""
        self.due = self.pending

    def painted(self) -> None:
        """Something was painted."""
        if self.due:
            self._let()

    def prompt(self) -> bool:
        """Whether what a key did is painted at once. Of many in a row (a pasted text) only now and then."""
        now = time.perf_counter()
        if not self.due or now < self._prompt + PROMPT_SECONDS:
            return False
        self._prompt = now
        return True

    async def free(self) -> None:
        """Give the others a turn, and wait until no key is pending."""
        await asyncio.sleep(0)
        await self._free.wait()

    def _let(self) -> None:
        now = time.perf_counter()
        self.pending = self.due = False
        self._rest = now + (now - self._since)
        self._free.set()
        if self._end is not None:
            self._end.cancel()
            self._end = None


class PromptScreen(Screen[None]):
    """Paints what a key did at once. Textual's own clock for paints, 60 a second, would let it wait for up to two ticks."""

    def __init__(self, precedence: Precedence) -> None:
        super().__init__(id="_default")
        self._precedence = precedence

    def on_idle(self) -> None:
        """All that was asked of the screen until now is known."""
        if self._precedence.prompt():
            self._on_timer_update()
