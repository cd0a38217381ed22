"""The application: tabs, filter line, panes, keys. It owns the source and hands panes what they ask for."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual import work
from textual.actions import ActionParseResult
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.dom import DOMNode
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.theme import ThemeProvider
from textual.widgets import ContentSwitcher, Footer, Input, Static, TextArea

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import joined, parse
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import Source
from ocpp_proxy_tui import keys, themes
from ocpp_proxy_tui.garbage import Collector
from ocpp_proxy_tui.ground import Ground, Render, Scope
from ocpp_proxy_tui.hands import Hands, actor_of
from ocpp_proxy_tui.look import AsciiScrollBar, Look
from ocpp_proxy_tui.messages import Copy, Jump, Mend, Narrow, ScopeTo
from ocpp_proxy_tui.precedence import PromptScreen
from ocpp_proxy_tui.screens.all import BOUND, PANES
from ocpp_proxy_tui.screens.help import HelpScreen
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.settings import Settings, save_view
from ocpp_proxy_tui.widgets.filter_bar import FilterBar


class ProxyApp(App[None]):
    """The terminal UI on one source. ``view``: the file its layout is saved to."""

    CSS_PATH = "app.tcss"
    TITLE = "ocpp-proxy"
    ENABLE_COMMAND_PALETTE = True
    AUTO_FOCUS = None                       # not the filter line, which is the first that could have it
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(at), f"pane({at - 1})", pane.title, show=False, id=f"app.{pane.title.lower()}")
          for at, pane in enumerate(PANES, 1)),
        Binding("slash", "filter", "filter", key_display="/", priority=True, id="app.filter"),
        Binding("ctrl+f", "search", "search", show=False, priority=True, id="app.search"),
        Binding("n", "again(True)", "next found", show=False, id="app.next"),
        Binding("N", "again(False)", "one found before", show=False, id="app.previous"),
        Binding("F", "clear_filter", "no filter", show=False, id="app.clear_filter"),
        Binding("u", "unscope", "all chargers", show=False, id="app.unscope"),
        Binding("i", "inject", "send a Call", show=False, id="app.inject"),
        Binding("I", "intercept", "hold messages", show=False, id="app.intercept"),
        Binding("D", "disconnect", "end the link", show=False, id="app.disconnect"),
        Binding("question_mark", "help", "help", key_display="?", id="app.help"),
        Binding("colon", "command_palette", "commands", show=False, id="app.commands"),
        Binding("ctrl+z", "suspend_process", "stop for now (fg goes on)", show=False, id="app.suspend"),
        Binding("q,Q", "quit", "quit", key_display="q", id="app.quit"),
    ]

    def __init__(
        self, source: Source, settings: Settings, view: Path, render: Render, first_filter: str = "", ansi: bool = False,
    ) -> None:
        super().__init__(ansi_color=ansi)
        self.ground = Ground(source, settings, Look(settings.ascii, ansi), render)
        self.ground.scope = Scope("", parse(first_filter) if first_filter else None)
        self._view, self._first_filter = view, first_filter
        self._searched = ""
        self._drawn: tuple[tuple[object, ...] | None, str | None] = (None, None)
        self._collector = Collector()
        self._late = False                  # a tick is due that a key put off
        self.ground.acting = actor_of(source, settings.read_only)
        self._hands = Hands(self, self.ground)
        self._panes = [make(self.ground) for make in (PANES if self.ground.acting is not None else PANES[:-1])]
        self._active = self._panes[0]
        self.set_class(settings.ascii, "-ascii")
        ScrollBar.renderer = AsciiScrollBar if settings.ascii else ScrollBarRender
        themes.register(self, settings.theme, ansi)
        self.set_keymap(keys.keymap(settings.keys, names()))

    def compose(self) -> ComposeResult:
        """Tabs, filter line, the panes, the status line, the keys."""
        yield Static("", id="tabs", markup=False)
        yield FilterBar(lambda field: self._active.values(field), self.ground.look)
        with ContentSwitcher(initial=self._active.id):
            yield from self._panes
        yield Static("", id="status", markup=False)
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        """Begin: the first pane, and the pulse that repaints."""
        self._load_links()
        if self._first_filter:
            self.query_one(FilterBar).put(self._first_filter)
        await self._tell_scope()
        await self._active.enter()
        self.set_interval(1.0 / self.ground.settings.repaints, self._pulse)

    async def on_unmount(self) -> None:
        """Keep the layout for the next time."""
        save_view(self._view, self.ground.settings)

    @work(exclusive=True, group="links")
    async def _load_links(self) -> None:
        try:
            links = await self.ground.source.links()
            marks = await self.ground.source.bookmarks() if self.ground.source.stored else []
        except (CaptureError, ConfigError, OSError) as error:
            self.say(str(error), "warning")
            return
        self.ground.links.update((link.link_id, link) for link in links)
        self.ground.bookmarks.update((mark.msg_no, mark) for mark in marks)

    def say(self, text: str, severity: str = "information") -> None:
        """A note at the corner of the screen; the text may be a peer's."""
        level = {"warning": "warning", "error": "error"}.get(severity, "information")
        self.notify(safe_text(text, 500), severity=level, markup=False)     # type: ignore[arg-type]    # one of the three

    # -- keys come first -------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        """The screen of all panes."""
        return PromptScreen(self.ground.precedence)

    def post_message(self, message: Message) -> bool:
        """A key that comes has precedence from here on."""
        if isinstance(message, Key) and not message.is_forwarded:
            self.ground.precedence.came()
            if self.screen_stack and isinstance(self.focused, Input | TextArea):
                self.ground.precedence.acted()      # what is typed into a text is no action
        return super().post_message(message)

    async def run_action(
        self, action: "str | ActionParseResult", default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key stands for; the next paint shows it."""
        done = await super().run_action(action, default_namespace, namespaces)
        self.ground.precedence.acted()
        return done

    def post_display_hook(self) -> None:
        """Behind each paint."""
        self.ground.precedence.painted()
        if self._late:
            self._late = False
            self.call_later(self._tick)

    # -- what is shown ---------------------------------------------------------------------------------------------

    async def action_pane(self, at: int) -> None:
        """Show a pane by its place."""
        await self.go(self._panes[at])

    async def go(self, pane: Pane) -> None:
        """Show a pane."""
        if pane is not self._active:
            self._active = pane
            self.query_one(ContentSwitcher).current = pane.id
            self.on_renamed()
        await pane.enter()
        self._tick()

    def pane(self, title: str) -> Pane:
        """The pane with that title."""
        return next(pane for pane in self._panes if pane.title == title)

    def _pulse(self) -> None:
        if self.ground.precedence.pending:
            self._late = True
        else:
            self._tick()
            self._collector.collect_some()

    def _tick(self) -> None:
        if not self.is_running or self.screen is not self.screen_stack[0]:
            return
        self._active.tick()
        for pane in self._panes:
            if pane is not self._active:
                pane.beat()
        source = self.ground.source
        head = (self.size.width, self._active.title, self.ground.scope.identity, source.title, source.live,
                *(pane.badge for pane in self._panes))
        status = self._active.status()
        if head != self._drawn[0]:          # most ticks change neither line
            self._draw_tabs()
        if status != self._drawn[1]:
            text = Text(" " + self.ground.look.plain(status), no_wrap=True)
            self.query_one("#status", Static).update(text, layout=False)
        self._drawn = head, status

    def _draw_tabs(self) -> None:
        width, ascii = self.size.width, self.ground.look.ascii
        tabs = Text(no_wrap=True)
        for at, pane in enumerate(self._panes, 1):
            short = pane.title[:4] if width >= 60 else ""
            title = pane.title if width >= 80 or pane is self._active else short
            label = " ".join(part for part in (str(at), title, pane.badge) if part)
            tabs.append(f" {label} ", "reverse bold" if pane is self._active else "bold" if pane.badge else "")
        scope = safe_text(self.ground.scope.identity, 30)
        rest = f"{'*' if ascii else '●'} " if self.ground.source.live else ""
        room = width - tabs.cell_len - 2
        left = f"charger {scope}  " if scope else ""
        title = self.ground.look.plain(rest + left + safe_text(self.ground.source.title))
        if room > 8:
            cut = "~" if ascii else "…"
            shown = title if cell_len(title) <= room else set_cell_size(title, room - 1) + cut
            tabs.append(" " * (room - cell_len(shown) + 1) + shown, "bold" if scope else "")
        self.query_one("#tabs", Static).update(tabs, layout=False)

    # -- filter, scope, search -------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`/` and Ctrl+F come before all others: what is typed right behind them is the filter. Not inside a text.

        Where one may only look, there are no keys to act.
        """
        if action in ("inject", "intercept", "disconnect"):
            return self.ground.acting is not None
        if action == "pane":
            return parameters[0] in range(len(self._panes))
        return action not in ("filter", "search") or not (
            isinstance(self.focused, Input | TextArea) or isinstance(self.screen, ModalScreen))

    def action_suspend_process(self) -> None:
        """As Ctrl-Z does in a shell. Beside a proxy (``run --tui``) nobody would take over the terminal: not there."""
        if os.getpgrp() == os.getpid():     # a job of a shell of its own
            super().action_suspend_process()
        else:
            self.say("only a screen that a shell started by itself can be stopped: `ocpp-proxy tui`")

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterBar).begin("filter")

    def action_search(self) -> None:
        """Type what to search for."""
        self.query_one(FilterBar).begin("search")

    def action_clear_filter(self) -> None:
        """Show everything again."""
        self.query_one(FilterBar).put("")

    async def action_unscope(self) -> None:
        """All chargers again."""
        await self._scope(Scope("", self.ground.scope.where))

    def action_again(self, forward: bool) -> None:
        """The next place that holds what was searched for."""
        if self._searched:
            self._active.look_for(self._searched, forward)
        else:
            self.action_search()

    def on_renamed(self) -> None:
        """The filter line is that of the list that is seen."""
        bar = self.query_one(FilterBar)
        if bar.words is not self._active.words:
            bar.turn(self._active.words, self._active.where)

    async def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """A filter was entered, for the list that is seen."""
        if event.words is self._active.words:
            await self._active.narrow(event.where)
        await self._active.enter()

    async def on_filter_bar_left(self) -> None:
        """Back to the pane."""
        await self._active.enter()

    async def on_filter_bar_search(self, event: FilterBar.Search) -> None:
        """A search was entered."""
        self._searched = event.text
        await self._active.enter()
        self._active.look_for(event.text, True)

    async def _scope(self, scope: Scope) -> None:
        if scope != self.ground.scope:
            self.ground.scope = scope
            await self._tell_scope()

    async def _tell_scope(self) -> None:
        for pane in self._panes:
            await pane.changed()

    # -- what panes ask for ----------------------------------------------------------------------------------------

    async def on_scope_to(self, event: ScopeTo) -> None:
        """Limit every screen to one charger."""
        await self._scope(Scope(event.identity, self.ground.scope.where))
        if event.screen:
            await self.go(self.pane(event.screen))

    async def on_narrow(self, event: Narrow) -> None:
        """An expression for the filter line."""
        if event.screen:
            await self.go(self.pane(event.screen))
        before = self._active.where
        text = event.expression if event.instead else joined(before.text if before else "", event.expression)
        self.query_one(FilterBar).put(text)

    async def on_jump(self, event: Jump) -> None:
        """Show a message or a frame."""
        traffic = self._panes[0]
        await self.go(traffic)
        jump: Callable[..., object] | None = getattr(traffic, "jump", None)
        if jump is not None:
            result = jump(event.msg_no, event.frame_id, event.number)
            if asyncio.iscoroutine(result):
                await result

    def on_copy(self, event: Copy) -> None:
        """Put text on the clipboard of the terminal. What is pasted somewhere must not act there: escapes are visible in it."""
        self.copy_to_clipboard("\n".join(map(safe_text, event.text.split("\n"))))
        self.say(f"copied: {event.what}")

    def get_key_display(self, binding: Binding) -> str:
        """A key as the footer and the help write it: in ASCII mode by its name, not by an arrow."""
        shown = super().get_key_display(binding)
        return shown if shown.isascii() or not self.ground.look.ascii else binding.key

    # -- acting by hand --------------------------------------------------------------------------------------------

    @work(group="acts")
    async def action_inject(self) -> None:
        """Send a Call to the charger at hand."""
        await self._hands.inject(self._active.charger)

    @work(group="acts")
    async def action_intercept(self) -> None:
        """Hold messages."""
        await self._hands.intercept(self.ground.scope.identity, self._active.at_hand)

    @work(group="acts")
    async def action_disconnect(self) -> None:
        """End the link of the charger at hand."""
        await self._hands.disconnect(self._active.charger)

    @work(group="acts")
    async def on_mend(self, event: Mend) -> None:
        """Repair a finding with quirk profiles."""
        await self._hands.repair(event.finding)

    # -- help, commands --------------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """What can be done here, with which keys."""
        shown = [(self.get_key_display(one.binding), one.binding) for one in self.screen.active_bindings.values()]
        self.push_screen(HelpScreen(self._active, shown, self.ground.look))

    def action_command_palette(self) -> None:
        """Search the commands of this place."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="a command, or part of its name", id="--command-palette"))

    def search_themes(self) -> None:
        """Choose a theme."""
        self.push_screen(CommandPalette([ThemeProvider], placeholder="a theme"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every key of this place is a command."""
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and not binding.action.startswith(("command_palette", "app.command_palette")):
                title = f"{binding.description} ({self.get_key_display(binding)})"
                yield SystemCommand(title, active.tooltip or "", self._runner(binding.action, active.node))
        yield SystemCommand("theme", "Choose another theme", self.action_change_theme)
        yield SystemCommand("save a picture", "Save the screen as an SVG picture", lambda: self.deliver_screenshot())

    def _runner(self, action: str, node: object) -> Callable[[], object]:
        async def run() -> None:
            await self.run_action(action, node)     # type: ignore[arg-type]    # the node the binding belongs to
        return run


def names() -> dict[str, Binding]:
    """Every action of the application that has a key, by its name in ``tui.toml``."""
    return keys.names((ProxyApp, FilterBar, *BOUND, HelpScreen))
