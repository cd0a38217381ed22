"""The form of a message to be sent by hand: its fields from the schema of the charger's version, or JSON from the editor."""

import json
from typing import Any, ClassVar

from msgspec import Struct
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantFocus
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from ocpp_proxy.core.by_hand import pretty
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError, Side
from ocpp_proxy.spec import forms, schemas
from ocpp_proxy.spec.forms import Blank
from ocpp_proxy_tui.lending import in_editor
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail_help import sentence
from ocpp_proxy_tui.widgets.typed import TypedLine

_KEYS = "Ctrl+N next value  Ctrl+T all fields  Ctrl+O editor  Ctrl+S send  Esc leave"
NAMES = 44                                  # cells of a field's name at most; half of what there is where that is less


class Order(Struct, frozen=True):
    """What is to be sent. ``objections``: what the schema says against it."""

    identity: str
    version: str
    to: Side
    action: str
    payload: Any = None
    objections: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """In words, escaped."""
        whom = "the charger" if self.to is Side.STATION else "the CSMS, as if from the charger"
        version = f" (OCPP {self.version})" if self.version else ""
        return f"{safe_text(self.action, 60)} to {whom} {safe_text(self.identity, 60)}{version}"


class CommandForm(ModalScreen[Order | None]):
    """Gives the order with its payload, or None when it was left."""

    DEFAULT_CSS = """
    CommandForm { align: center middle; }
    CommandForm > Vertical { width: 95%; max-width: 120; height: 90%; border: round $primary; background: $surface;
                             padding: 0 1; }
    CommandForm #fields { height: 1fr; }
    CommandForm #fields Horizontal { height: 1; }
    CommandForm #fields Horizontal.hidden { display: none; }
    CommandForm Input, CommandForm Input:focus { border: none; height: 1; width: 1fr; }
    CommandForm #form-help { height: auto; max-height: 4; color: $text-muted; }
    CommandForm #form-made { height: auto; max-height: 30%; border-top: solid $panel; }
    CommandForm #form-keys { height: 1; color: $text-muted; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "leave", id="form.leave"),
        Binding("ctrl+s", "send", "send", priority=True, id="form.send"),
        Binding("ctrl+o", "edit", "JSON in the editor", priority=True, id="form.edit"),
        Binding("ctrl+t", "all", "all fields", priority=True, id="form.all"),
        Binding("ctrl+n", "value", "next value", priority=True, id="form.value"),
        Binding("down", "app.focus_next", "next field", show=False, priority=True, id="form.down"),
        Binding("up", "app.focus_previous", "field before", show=False, priority=True, id="form.up"),
    ]

    def __init__(self, order: Order, look: Look) -> None:
        super().__init__()
        self.order, self._look = order, look
        self.blanks = forms.blanks(order.version, order.action)
        self._written: Any = None           # by the editor, instead of the fields
        self._free = not self.blanks

    def compose(self) -> ComposeResult:
        """Title, fields, help, what it makes, keys."""
        width = min(NAMES, max(10, self.app.size.width // 2 - 6))
        with Vertical():
            yield Static(Text(self._look.plain(self.order.title), "bold"), markup=False)
            with VerticalScroll(id="fields", can_focus=False):
                for at, blank in enumerate(self.blanks):
                    with Horizontal(classes="hidden" if blank.deep else ""):
                        yield _label(blank, width)
                        yield _line(blank, at)
            yield Static("", id="form-help", markup=False)
            yield Static("", id="form-made", markup=False)
            yield Static(_KEYS, id="form-keys", markup=False)

    def on_mount(self) -> None:
        """Say what is made of nothing."""
        if self._free:
            self._written = {}
            note = "it has no fields" if (self.order.action, False) in schemas.messages(self.order.version) else \
                "no schema is known of it: Ctrl+O writes its JSON"
            self.query_one("#form-help", Static).update(note)
        self._draw()

    @property
    def made(self) -> Order:
        """The order as it stands."""
        texts = {self.blanks[at].path: line.value for at, line in enumerate(self._lines())}
        payload = self._written if self._free else forms.payload_of(self.blanks, texts)
        order = self.order
        against = forms.objections(order.version, order.action, False, payload, order.to.other)
        return Order(order.identity, order.version, order.to, order.action, payload, tuple(against))

    def _lines(self) -> list[TypedLine]:
        return list(self.query(TypedLine))

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Tell what the field is for."""
        blank = self._blank()
        if blank is not None:
            self.query_one("#form-help", Static).update(self._look.plain(sentence(blank.help)))

    def _blank(self) -> Blank | None:
        focused = self.focused
        return self.blanks[int(focused.id.removeprefix("field-"))] if focused is not None and focused.id else None

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what it makes now."""
        event.stop()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """To the next field; behind the last one it is sent."""
        event.stop()
        shown = [line for line in self._lines() if not (line.parent and line.parent.has_class("hidden"))]
        if event.input is shown[-1]:
            self.action_send()
        else:
            self.focus_next()

    def _draw(self) -> None:
        order = self.made
        text = Text()
        if order.objections:
            count = len(order.objections)
            text.append(f"{self._look.mark(3)} {count} fault{'' if count == 1 else 's'}  ", self._look.style(3))
        elif order.version and not self._free:
            text.append("fits the schema  ", "dim")
        text.append(safe_text(json.dumps(order.payload, ensure_ascii=False), 2_000))
        for line in order.objections:
            text.append(f"\n{self._look.mark(3)} {safe_text(line, 300)}", self._look.style(3))
        self.query_one("#form-made", Static).update(Text(self._look.plain(text.plain), spans=text.spans)
                                                    if self._look.ascii else text)

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_send(self) -> None:
        """Done with it; whoever asked confirms it."""
        self.dismiss(self.made)

    def action_all(self) -> None:
        """The fields of optional objects, too."""
        for row in self.query("#fields Horizontal").results(Horizontal):
            blank = self.blanks[int((row.query_one(TypedLine).id or "field-0").removeprefix("field-"))]
            row.set_class(blank.deep and not row.has_class("hidden"), "hidden")

    def action_value(self) -> None:
        """The next of the values a field may have."""
        blank, line = self._blank(), self.focused
        values = () if blank is None else ("true", "false") if blank.help.type == "boolean" else blank.help.enum
        if values and isinstance(line, Input):
            at = values.index(line.value) + 1 if line.value in values else 0
            line.value = values[at % len(values)]
            line.cursor_position = len(line.value)

    def action_edit(self) -> None:
        """Write it as JSON; the fields are left then."""
        payload = self.made.payload or forms.skeleton(self.order.version, self.order.action)
        try:
            text = in_editor(self.app, pretty(payload))
            if text is None:
                return
            self._written = json.loads(text)
        except (ConfigError, ValueError, RecursionError) as error:
            self.notify(safe_text(f"not JSON: {error}" if isinstance(error, ValueError) else str(error), 300),
                        severity="warning", markup=False)
            return
        self._free = True
        self.query_one("#fields").display = False
        self.query_one("#form-help", Static).update("written as JSON; Ctrl+O changes it")
        self.set_focus(None)
        self._draw()


def _label(blank: Blank, width: int) -> Static:
    """The name, of a long one its end, where it differs from others."""
    name = blank.name if len(blank.name) <= width else "..." + blank.name[3 - width :]
    made = Static(Text(name + ("*" if blank.needed else ""), "bold" if blank.needed else ""), markup=False)
    made.styles.width = width + 2
    return made


def _line(blank: Blank, at: int) -> TypedLine:
    values = ("true", "false") if blank.help.type == "boolean" else blank.help.enum
    hint = ", ".join(values) or " ".join(part for part in (blank.help.type, blank.help.format) if part)
    if blank.help.type == "array":
        hint = "a, b, c"
    line = TypedLine("", placeholder=hint, select_on_focus=False, id=f"field-{at}")
    line.suggester = SuggestFromList(values, case_sensitive=False) if values else None
    return line
