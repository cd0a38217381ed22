"""The filter line: the filter language with a colour that says whether it is valid, completion, and what is wrong where."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import LINES, Filter, Vocabulary, parse
from ocpp_proxy.model import ConfigError
from ocpp_proxy_tui.completion import candidates, completed
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.typed import TypedLine

Purpose = Literal["filter", "search"]
HISTORY = 100                               # filters, and searches, that can be had again


class FilterBar(Vertical):
    """One line to type into. As ``filter`` it posts ``Changed`` on Enter, as ``search`` it posts ``Search``.

    It belongs to one list at a time (``turn``), whose names it knows; what was typed for each list is kept apart.
    """

    DEFAULT_CSS = """
    FilterBar { height: auto; }
    FilterBar Input { border: none; height: 1; padding: 0 1; background: $panel; }
    FilterBar Input:focus { border: none; background: $boost; }
    FilterBar.valid Input { color: $text-success; }
    FilterBar.invalid Input { color: $text-error; text-style: underline; }
    FilterBar Static { height: 1; padding: 0 1; color: $text-muted; display: none; }
    FilterBar.open Static { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="filter.leave"),
        Binding("tab", "complete", "complete", show=False, priority=True, id="filter.complete"),
        Binding("up", "recall(-1)", "earlier", show=False, id="filter.earlier"),
        Binding("down", "recall(1)", "later", show=False, id="filter.later"),
    ]

    class Changed(Message):
        """A valid filter was entered (None: the empty one), in these words."""

        def __init__(self, where: Filter | None, words: Vocabulary) -> None:
            super().__init__()
            self.where, self.words = where, words

    class Search(Message):
        """A text was entered to be searched for."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The line was left without a change."""

    def __init__(self, values: Callable[[str], Iterable[str]], look: Look) -> None:
        """``values``: known values of a field (``action``, ``identity``), for the completion."""
        super().__init__(id="filter-bar")
        self._values, self._look = values, look
        self._purpose: Purpose = "filter"
        self._applied = ""                  # the filter that is on
        self.words: Vocabulary = LINES
        self._histories: dict[str, list[str]] = {}
        self._at = 0                        # in the history of the purpose; its length: behind the newest
        self._begun = ""                    # what stood there before going back in the history
        self._behind: Widget | None = None  # what had the keys before

    def compose(self) -> ComposeResult:
        """The line and what it has to say."""
        line = _Line(self._enter, self.action_leave, f"/ filter: {self.words.example}")
        line.suggester = _Completing(self._offers)
        yield line
        yield Static("", markup=False)

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    @property
    def _history(self) -> list[str]:
        return self._histories.setdefault(self.words.of if self._purpose == "filter" else "", [])

    def turn(self, words: Vocabulary, where: Filter | None) -> None:
        """Another list is seen: its names, and the filter that is on there. A text that is being typed is dropped."""
        self.words, self._applied = words, where.text if where is not None else ""
        if not self.is_mounted:
            return
        self._close()

    def begin(self, purpose: Purpose) -> None:
        """Open the line for typing."""
        self._purpose = purpose
        self._at = len(self._history)
        self._input.placeholder = "search: any text of a row" if purpose == "search" else f"/ filter: {self.words.example}"
        self._input.value = self._applied if purpose == "filter" else ""
        self._input.cursor_position = len(self._input.value)
        self.add_class("open")
        if self.screen.focused is not self._input:
            self._behind = self.screen.focused
        self.screen.set_focus(self._input)      # at once: what is typed or pasted right behind the key belongs here
        self._judge(self._input.value)

    def put(self, text: str) -> None:
        """Apply a filter that was made elsewhere."""
        self._purpose = "filter"
        self._input.value = text
        self._apply(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge what stands there."""
        event.stop()
        self._judge(event.value)

    def _enter(self, text: str) -> None:
        if self._purpose == "search":
            if text:
                self._remember(text)
                self.post_message(self.Search(text))
            else:
                self.post_message(self.Left())
            self._close()
        else:
            self._apply(text)

    def action_leave(self) -> None:
        """Leave the line; the filter that is on stays."""
        self._close()
        self.post_message(self.Left())

    def action_complete(self) -> None:
        """Complete the word before the cursor; where nothing fits, Tab leaves the line as it is."""
        if self._purpose == "filter":
            at = self._input.cursor_position
            before, behind = self._input.value[:at], self._input.value[at:]
            text = completed(before, self._values, words=self.words)
            if behind.startswith(" "):
                text = text.rstrip(" ") if text != before else text
            if text != before:
                self._input.value = text + behind
                self._input.cursor_position = len(text)

    def action_recall(self, step: int) -> None:
        """An earlier or later filter, or search."""
        history = self._history
        if self._at == len(history):
            self._begun = self._input.value
        self._at = max(0, min(len(history), self._at + step))
        self._input.value = history[self._at] if self._at < len(history) else self._begun
        self._input.cursor_position = len(self._input.value)

    def _remember(self, text: str) -> None:
        self._history[:] = [*(one for one in self._history if one != text), text][-HISTORY:]

    def _offers(self, value: str) -> str | None:
        """What stands dim behind the cursor: the line with its last word completed in the first of the ways."""
        asked = self._purpose == "filter" and value and not value.endswith(" ")
        found = candidates(value, self._values, self.words) if asked else []
        offer = _with(value, found[0], self.words) if found else None
        return offer if offer is not None and safe_text(offer) == offer else None

    def _apply(self, text: str) -> None:
        text = text.strip()
        where = self._judge(text, entered=True)
        if where is None and text:
            return                          # what is wrong stands below the line
        self._applied = text
        if text:
            self._remember(text)
        self._close()
        self.post_message(self.Changed(where if text else None, self.words))

    def _close(self) -> None:
        self.remove_class("open")
        if self.screen.focused is self._input and self._behind is not None and self._behind.is_attached:
            self.screen.set_focus(self._behind)     # at once: a key right behind is no text any more
        self._input.value = self._applied
        self._input.placeholder = f"/ filter: {self.words.example}"
        self._purpose = "filter"
        self._judge(self._applied)

    def _judge(self, text: str, entered: bool = False) -> Filter | None:
        """Colour the line; the filter if it is one. Below it: what may come next, else (or once ``entered``) what is wrong."""
        hint, where = "", None
        if self._purpose == "filter" and text.strip():
            try:
                where = parse(text, self.words)
            except ConfigError as error:
                hint = str(error).split("\n", 1)[0]
        self.set_class(where is not None, "valid")
        self.set_class(bool(hint), "invalid")
        fitting = candidates(text, self._values, self.words) if self._purpose == "filter" else []
        offers = "  ".join(safe_text(offer, 30) for offer in fitting[:12])
        self.query_one(Static).update(self._look.plain(
            safe_text(hint, 200) if hint and (entered or not offers) else offers))
        return where


class _Line(TypedLine):
    """Is entered and left in the order of the keys. One that comes when the focus is elsewhere by now goes there."""

    def __init__(self, enter: Callable[[str], None], leave: Callable[[], None], placeholder: str) -> None:
        super().__init__(placeholder=placeholder, select_on_focus=False)
        self._enter, self._leave = enter, leave

    def on_key(self, event: Key) -> None:
        """Not every key is typed here."""
        if self.screen.focused is not self:
            self.app.post_message(Key(event.key, event.character))
        elif event.key == "enter":
            self._enter(self.value)
        elif not event.is_printable and self._leaves(event.key):
            self._leave()
        else:
            return
        event.stop()
        event.prevent_default()

    def _leaves(self, key: str) -> bool:
        found = self.screen.active_bindings.get(key)
        return found is not None and found.binding.id == "filter.leave"


class _Completing(Suggester):
    """The rest of the word, dim behind the cursor; the right arrow takes it."""

    def __init__(self, offers: Callable[[str], str | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._offers = offers

    async def get_suggestion(self, value: str) -> str | None:
        """The line, completed."""
        return self._offers(value)


def _with(text: str, offer: str, words: Vocabulary) -> str | None:
    from_word = completed(text, lambda _: (), [offer], words)
    return from_word if from_word.lower().startswith(text.lower()) and from_word != text else None
