"""Held: the messages that are being kept in the proxy, and what is to become of them."""

import json
import time
from collections.abc import Sequence
from time import monotonic
from typing import Any, ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from ocpp_proxy.core import rows
from ocpp_proxy.core.by_hand import Subject, pretty
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Vocabulary
from ocpp_proxy.fields.lists import HELD
from ocpp_proxy.model import CaptureError, ConfigError, Message
from ocpp_proxy.records import Line, MessageSeen
from ocpp_proxy.source import Acting, Held, Intercept
from ocpp_proxy.wire import ocppj
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.lending import in_editor
from ocpp_proxy_tui.messages import Copy
from ocpp_proxy_tui.screens.ask_sure import AskSure
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.summary import SummaryPane
from ocpp_proxy_tui.widgets.detail import Detail
from ocpp_proxy_tui.widgets.detail_facts import TYPES
from ocpp_proxy_tui.widgets.table_view import Cell, TableRow, TableView

AGAIN_SECONDS = 0.2                         # between two looks while it is seen
ASIDE_SECONDS = 1.0                         # while another screen is
SOON_SECONDS = 5.0                          # a countdown is red from here on
_FAULTS = (CaptureError, ConfigError, OSError)
Do = Literal["release", "drop", "edit", "reply"]


class HeldMessages(SummaryPane):
    """The screen."""

    title = "Held"
    noun = "held"
    help_text = (
        "The messages that intercepts and plugins keep in the proxy, the next to go on first; each goes on by itself when its"
        " time is over. Below: the message, decoded; beside it the intercepts. a releases, X drops, e edits the payload in"
        " $EDITOR and releases, R answers a Call there, E answers it with a CALLERROR. I sets an intercept from the filter at"
        " hand, O ends the one under the cursor. Every act stands in the capture.")
    columns = ("goes on in", "charger", "from", "type", "action", "held by", "reason", "message")
    DEFAULT_CSS = """
    HeldMessages { layout: vertical; }
    HeldMessages > TableView { height: 1fr; }
    HeldMessages > Horizontal { height: 2fr; border-top: solid $primary; }
    HeldMessages Detail { width: 3fr; }
    HeldMessages #points { width: 2fr; border-left: solid $panel; }
    HeldMessages.ascii > Horizontal { border-top: ascii $primary; }
    HeldMessages.ascii #points { border-left: ascii $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "release", "release", id="held.release"),
        Binding("A", "release_all", "release all", show=False, id="held.release_all"),
        Binding("X", "drop", "drop", id="held.drop"),
        Binding("e", "write(False)", "edit", id="held.edit"),
        Binding("R", "write(True)", "reply", id="held.reply"),
        Binding("E", "error", "reply with an error", show=False, id="held.error"),
        Binding("O", "unintercept", "end the intercept", show=False, id="held.unintercept"),
        Binding("y", "copy", "copy the message", show=False, id="held.copy"),
        Binding("tab", "other", "next part", show=False, id="held.other"),
        Binding("escape", "back", "back to the list", show=False, id="held.back"),
    ]

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.detail = Detail(ground)
        self.points = TableView(ground.look, id="points")
        self._intercepts: list[Intercept] = []
        self._away = ""                     # relay workers that do not answer
        self._numbers: dict[str, int] = {}  # a number for each held message that was shown
        self._known: set[str] = set()       # what was held when it was last asked
        self._counted: list[str] = []       # the countdowns as they are shown
        self._shown = ""                    # the one whose details are shown

    def compose(self) -> ComposeResult:
        """The list; below the message and the intercepts."""
        yield self.table
        with Horizontal():
            yield self.detail
            yield self.points

    def on_mount(self) -> None:
        """Borders of ASCII where that is wanted."""
        self.set_class(self.ground.look.ascii, "ascii")

    @property
    def words(self) -> Vocabulary:
        """The names of a held message."""
        return HELD

    @property
    def actor(self) -> Acting:
        """The proxy; the screen is not there without."""
        assert self.ground.acting is not None
        return self.ground.acting

    @property
    def current(self) -> Held | None:
        """The message under the cursor."""
        return self.table.current.item if self.table.current is not None else None

    @property
    def badge(self) -> str:
        """How many are held, for the tab."""
        return str(len(self._items)) if self._items else ""

    @property
    def charger(self) -> str:
        """Whose message the cursor is on."""
        return self.current.identity if self.current is not None else super().charger

    # -- what is held ----------------------------------------------------------------------------------------------

    async def ask(self) -> Sequence[Held]:
        """What is held, of the charger in scope, and the intercepts."""
        found = await self.actor.held()
        away, self._away = self._away, str(getattr(self.actor, "missing", ""))
        if self._away and self._away != away:
            self.say(f"not all that is held: {self._away}")
        self._intercepts = await self.actor.intercepts()
        missing = {one.link_id for one in found} - self.ground.links.keys()
        if missing:
            self.ground.links.update((link.link_id, link) for link in await self.ground.source.links())
        fresh = [one for one in found if one.held_id not in self._known]
        self._known = {one.held_id for one in found}
        if fresh and not self.display:      # another screen is seen, and somebody waits
            more = f" and {len(fresh) - 1:,} more" if len(fresh) > 1 else ""
            name = f"{fresh[0].action or fresh[0].message_id} of {fresh[0].identity}{more}"
            self.say(f"held: {name}; 7 shows it")
        scope = self.ground.scope.identity
        return [one for one in found if scope in ("", one.identity)]

    def status(self) -> str:
        """How many; of none how to hold some."""
        said = super().status()
        return f"{said}; I holds messages that pass a filter" if not self._items and not self._intercepts else said

    def tick(self) -> None:
        """Look again, and count down."""
        self._look(AGAIN_SECONDS)
        seconds = [f"{_left(item):.0f}" for item in self._items]
        if seconds != self._counted:        # most ticks change nothing that is seen
            self._counted = seconds
            self._fill()
        held = self.current
        if (held.held_id if held else "") != self._shown:
            self._show(held)

    def beat(self) -> None:
        """Look now and then while another screen is seen: what is held is somebody waiting."""
        self._look(ASIDE_SECONDS)

    def _look(self, seconds: float) -> None:
        if not self._busy and (self._stale or monotonic() - self._asked_at >= seconds):
            self.load()

    def _fill(self) -> None:
        super()._fill()
        self.points.fill(("intercept", "filter", "chargers", "held"), [TableRow(one.intercept_id, (
            Cell(str(one.intercept_id), one.intercept_id, right=True), Cell(safe_text(one.filter, 60)),
            Cell(safe_text(one.identity, 30)), Cell(f"{one.held:,}", one.held, right=True),
        )) for one in self._intercepts])

    def row(self, item: Held) -> TableRow:
        """One message."""
        left = _left(item)
        return TableRow(item.held_id, (
            Cell(f"{left:.0f} s", left, 3 if left < SOON_SECONDS else -1, True), Cell(safe_text(item.identity, 40)),
            Cell(self.ground.look.arrow(item.side)), Cell(TYPES.get(item.mtype, "?")), Cell(safe_text(item.action, 40)),
            Cell(safe_text(item.by, 30)), Cell(safe_text(item.reason, 40)), Cell(safe_text(item.text, 300)),
        ), item)

    def _show(self, held: Held | None) -> None:
        self._shown = held.held_id if held else ""
        if held is None:
            self.run_worker(self.detail.show(None, []), group="detail", exclusive=True)
            return
        number = self._numbers.setdefault(held.held_id, -1 - len(self._numbers))
        line = line_of(held, number, self.ground)
        self.run_worker(self.detail.show(rows.begin(line, self.ground.links), [line]), group="detail", exclusive=True)

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_release(self) -> None:
        """Release the one under the cursor."""
        if self.current is not None:
            self._release([self.current])

    def action_release_all(self) -> None:
        """Release everything in the list."""
        self._release([row.item for row in self.table.shown])

    @work(group="acts")
    async def _release(self, which: Sequence[Held]) -> None:
        for one in which:
            await self._decide(one, "release")

    def action_drop(self) -> None:
        """Drop the one under the cursor; x and X are near to each other, so that is asked once more."""
        if self.current is not None:
            self._drop(self.current)

    @work(group="acts")
    async def _drop(self, held: Held) -> None:
        name = f"{TYPES.get(held.mtype, '?')} {safe_text(held.action, 60)} of {safe_text(held.identity, 60)}"
        meant = " A dropped Call gets no answer." if held.mtype == 2 else ""
        if await self.app.push_screen_wait(AskSure([f"Drop the {name}?{meant}"], self.ground.look, "drop it")) == "y":
            await self._decide(held, "drop")

    async def _decide(self, held: Held, do: Do, payload: Any = None, **more: Any) -> None:
        try:
            await self.actor.settle(held.held_id, do, payload, **more)
        except _FAULTS as error:
            self.say(str(error), True)
        else:
            past = {"release": "released", "drop": "dropped", "edit": "released, edited", "reply": "answered"}[do]
            self.say(f"{safe_text(held.action or held.message_id, 60)} of {safe_text(held.identity, 60)}: {past}")
        self.load()

    def action_write(self, answer: bool) -> None:
        """Edit the payload, or write the answer of a Call."""
        held = self.current
        if held is None:
            return
        if answer and held.mtype != 2:
            self.say("only a Call can be answered", True)
        elif not held.mtype:
            self.say("this is no message that can be edited: release or drop it", True)
        else:
            self._write(Subject.of(held, self.ground.links), answer)

    @work(group="acts")
    async def _write(self, subject: Subject, answer: bool) -> None:
        before = text = pretty(subject.answer) if answer else subject.payload
        while True:
            try:
                new = in_editor(self.app, text)
            except ConfigError as error:
                self.say(str(error), True)
                return
            if new is None or (new.strip() == before.strip() and not answer):
                self.say("nothing was changed: it is still held")
                return
            payload, against = _checked(subject, new, answer)
            choice = "y"
            if against:
                lines = ["The payload is no JSON:" if payload is None else "The schema speaks against it:", *against]
                yes = "" if payload is None else "send it all the same"
                choice = await self.app.push_screen_wait(AskSure(lines, self.ground.look, yes, "edit again"))
            if choice == "y":
                await self._decide(subject.held, "reply" if answer else "edit", payload, force=bool(against))
                return
            if choice != "e":
                self.say("it is still held")
                return
            text = new

    def action_error(self) -> None:
        """Answer a Call with a CALLERROR."""
        held = self.current
        if held is not None and held.mtype == 2:
            self._error(held)
        elif held is not None:
            self.say("only a Call can be answered", True)

    @work(group="acts")
    async def _error(self, held: Held) -> None:
        question = f"Answer {safe_text(held.action, 60)} of {safe_text(held.identity, 60)} with the error code:"
        code = await self.app.push_screen_wait(AskText(question, "NotSupported"))
        if code and code.strip():
            await self._decide(held, "reply", {}, code=code.strip())

    def action_unintercept(self) -> None:
        """End the intercept under the cursor of the list of intercepts; what it holds goes on."""
        if self.points.current is not None:
            self._unintercept(self.points.current.key)

    @work(group="acts")
    async def _unintercept(self, number: int) -> None:
        try:
            await self.actor.unintercept(number)
        except _FAULTS as error:
            self.say(str(error), True)
        else:
            self.say(f"intercept {number} is off")
        self.load()

    def action_copy(self) -> None:
        """The message's text."""
        if self.current is not None:
            self.post_message(Copy(self.current.text, "the message"))

    def action_other(self) -> None:
        """List, details, intercepts."""
        if self.table.has_focus:
            self.detail.focus()
        else:
            (self.table if self.points.has_focus else self.points).focus()

    def action_back(self) -> None:
        """To the list."""
        self.table.focus()

    def on_table_view_chosen(self, event: TableView.Chosen) -> None:
        """Into the details."""
        event.stop()
        if event.table is self.table:
            self.detail.focus()

    def say(self, text: str, bad: bool = False) -> None:
        """A note at the corner."""
        shown = "\n".join(safe_text(line, 500) for line in text.split("\n")[:8])
        self.notify(shown, severity="warning" if bad else "information", markup=False)


def _left(held: Held) -> float:
    """Seconds until it goes on by itself, by this machine's clock."""
    return max(0.0, (held.until_ns - time.time_ns()) / 1e9)


def line_of(held: Held, number: int, ground: Ground) -> Line:
    """A held message as a line of traffic, which the details show; ``number`` stands for its message number."""
    envelope = ocppj.decode(held.text.encode("utf-8", "backslashreplace"))
    link = ground.links.get(held.link_id)
    return Line(MessageSeen(Message(
        number, 0, held.link_id, held.identity, held.since_ns, held.side, envelope.mtype, envelope.message_id,
        envelope.action or held.action, link.protocol if link else "", envelope.payload, error_code=envelope.error_code,
        error_desc=envelope.error_desc, prefix=envelope.prefix, suffix=envelope.suffix)))


def _checked(subject: Subject, text: str, answer: bool) -> tuple[Any, list[str]]:
    """The payload (None: it is no JSON), and what speaks against it, escaped."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        return None, [safe_text(str(error), 300)]
    return payload, [safe_text(line, 300) for line in subject.objections(payload, answer)]
