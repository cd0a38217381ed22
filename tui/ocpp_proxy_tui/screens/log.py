"""Log: what the proxy itself has to say."""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Filter, Vocabulary
from ocpp_proxy.fields.lists import LOG, compile_items, texts_of
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import LogLine
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.times import moment

KEPT = 5_000                                # lines
ASK_SECONDS = 2.0                           # between two questions to a running proxy
_LEVELS = {"warning": 2, "error": 3, "critical": 4}


class LogLines(ScrollView, can_focus=True):
    """The lines, newest last; only what is visible is drawn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", show=False, id="log.down"),
        Binding("k", "scroll_up", "up", show=False, id="log.up"),
        Binding("g", "scroll_home", "first", show=False, id="log.first"),
        Binding("G", "scroll_end", "last", show=False, id="log.last"),
    ]

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self.lines: list[LogLine] = []
        self._every: list[LogLine] = []
        self._passes: Callable[[LogLine], bool] = lambda line: True
        self._found = -1                    # the line a search is at

    def narrow(self, passes: Callable[[LogLine], bool]) -> None:
        """Show only the lines that pass."""
        self._passes, every = passes, self._every
        self.lines, self._every, self._found = [], [], -1
        self.virtual_size = Size(0, 0)
        self.add(every)
        self.scroll_end(animate=False, immediate=True, force=True)

    @property
    def every(self) -> list[LogLine]:
        """All lines, also those that do not pass."""
        return self._every

    def add(self, fresh: list[LogLine]) -> None:
        """More lines; the view stays at the end if it is there, and on its lines when old ones go."""
        at_end = self.scroll_offset.y >= self.max_scroll_y
        every, fresh = [*self._every, *fresh], [line for line in fresh if self._passes(line)]
        gone = sum(map(self._passes, every[:-KEPT]))
        self._every, self.lines = every[-KEPT:], [*self.lines, *fresh][gone:]
        self._found = max(-1, self._found - gone)
        widest = max((cell_len(self._text(line)) for line in fresh), default=0)
        self.virtual_size = Size(max(widest, self.virtual_size.width), len(self.lines))
        if at_end:
            self.scroll_end(animate=False, immediate=True, force=True)     # also before its scroll bar is there
        elif gone:
            self.scroll_to(y=int(self.scroll_offset.y) - gone, animate=False, immediate=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One visible line."""
        x, at = int(self.scroll_offset.x), int(self.scroll_offset.y) + y
        base = self.rich_style
        if at >= len(self.lines):
            return Strip.blank(self.size.width, base)
        line = self.lines[at]
        style = base + self._look.style(_LEVELS.get(line.level, -1)) if line.level in _LEVELS else base
        if at == self._found:
            style += Style(underline=True)
        return Strip([Segment(self._text(line), style)]).crop_extend(x, x + self.size.width, Style())

    def find(self, text: str, forward: bool) -> bool:
        """Scroll to the next line that holds the text, as far as there are lines below; behind the last comes the first."""
        here, count, step = self._found if self._found >= 0 else -1, len(self.lines), 1 if forward else -1
        for at in ((here + step * by) % count for by in range(1, count + 1)):
            if text.lower() in self._text(self.lines[at]).lower():
                self._found = at
                self.scroll_to(y=at, animate=False, immediate=True)
                self.refresh()
                return True
        return False

    def _text(self, line: LogLine) -> str:
        return self._look.plain(
            f"{moment(line.time_ns):<14} {line.level:<8}{safe_text(line.process, 12):<11} {safe_text(line.text, 2000)}")


class Log(Pane):
    """The screen."""

    title = "Log"
    help_text = "What the proxy itself has to say: its start and end, what it could not do, gaps, refused dials."

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._last = -1
        self._problem = ""
        self._asking = False
        self._asked_at = 0.0

    @property
    def words(self) -> Vocabulary:
        """The names of a line."""
        return LOG

    async def narrow(self, where: Filter | None) -> None:
        """Show only the lines that pass."""
        await super().narrow(where)
        self.query_one(LogLines).narrow(compile_items(where, LOG))

    def values(self, field: str) -> Iterable[str]:
        """The processes; texts are no values to choose from."""
        known = LOG.fields[field]
        every = self.query_one(LogLines).every if field == "process" else []
        return {text for line in every for text in texts_of(line, known)}

    def compose(self) -> ComposeResult:
        """The lines."""
        yield LogLines(self.ground.look)

    async def enter(self) -> None:
        """Take the focus; the tick that follows loads."""
        self.query_one(LogLines).focus()

    def tick(self) -> None:
        """Ask at first, then again and again where the source is live or gave no answer; only while it is visible."""
        due = self._last < 0 or self.ground.source.live
        if due and not self._asking and (not self._asked_at or monotonic() - self._asked_at >= ASK_SECONDS):
            self._asking = True
            self._ask()

    @work(exclusive=True)
    async def _ask(self) -> None:
        try:
            fresh = await self.ground.source.log(max(self._last, 0))
        except (CaptureError, ConfigError, OSError) as error:
            self._problem = str(error).split("\n", 1)[0]
            return
        finally:
            self._asking, self._asked_at = False, monotonic()
        self._problem = ""
        fresh = [line for line in fresh if line.time_ns > self._last]
        if fresh:
            self._last = fresh[-1].time_ns
            self.query_one(LogLines).add(fresh)
        self._last = max(self._last, 0)

    def look_for(self, text: str, forward: bool) -> None:
        """Search the lines."""
        if not self.query_one(LogLines).find(text, forward):
            self.notify(f"not found: {safe_text(text, 60)}", markup=False)

    def status(self) -> str:
        """How many there are."""
        if self._problem:
            return safe_text(self._problem, 300)
        shown = self.query_one(LogLines)
        count = len(shown.lines)
        of = f" of {len(shown.every):,}" if self.where is not None else ""
        return f"{count:,}{of} line{'' if count == 1 else 's'}"
