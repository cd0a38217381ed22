"""A message that did not leave as it came: what was received and what left for it, side by side, with what differs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from msgspec import UNSET, Struct
from rich.cells import cell_len, chop_cells
from textual.geometry import Size

from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError, Frame
from ocpp_proxy.source import Source
from ocpp_proxy.spec.json_path import Step, written
from ocpp_proxy.wire import ocppj
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets import detail_translation
from ocpp_proxy_tui.widgets.detail_lines import Lines
from ocpp_proxy_tui.widgets.detail_shown import CHANGED
from ocpp_proxy_tui.widgets.detail_translation import Loss

LINES = 1_000               # of one text that are compared
PATHS = 40                  # that are named
SENT = 8                    # frames that left for one message
Pieces = list[tuple[str, str]]


class Change(Struct, frozen=True):
    """``verdict`` of the received message; ``sent``: texts that left for it; ``problem``: why that cannot be told.

    ``losses``: what was not carried into another OCPP version; None: it was none.
    """

    title: str
    verdict: str
    received: bytes
    sent: tuple[str, ...] = ()
    problem: str = ""
    losses: tuple[Loss, ...] | None = None
    versions: tuple[str, str] = ("", "")    # of what was received, of what left: where a bridge translated it


async def sent_for(source: Source, frame: Frame) -> tuple[str, ...]:
    """The texts that left for a received message. They are in the capture alone. Raises ``ConfigError``, ``CaptureError``."""
    if not source.stored:
        raise ConfigError("what left for it stands in the capture alone, and this proxy stores nothing (--no-capture)")
    table = await source.query(
        f"SELECT TRY(decode(payload)) FROM frames WHERE link_id = {frame.link_id} AND frame_id > {frame.frame_id}"
        f" AND verdict IN ('modified', 'translated') AND list_contains(cause, {frame.frame_id})"
        f" ORDER BY frame_id LIMIT {SENT}", {})
    return tuple("(it cannot be shown: too large, or no UTF-8)" if row[0] is None else str(row[0]) for row in table.rows)


def rows(change: Change, width: int, look: Look) -> Iterator[Pieces]:
    """The lines of the view: title, paths that differ, the two texts beside each other."""
    yield [(change.title, "head")]
    yield [("it was translated" if change.losses is not None and change.sent else f"it {CHANGED[change.verdict]}", "dim")]
    if change.problem:
        yield [(safe_text(change.problem, 500), "bad")]
    elif not change.sent and change.verdict in ("replaced", "held"):
        yield [("nothing left for it so far", "dim")]
    for text in change.sent:
        if change.losses is not None:
            yield from detail_translation.rows(change.received, text, change.losses, change.versions, width, look)
            continue
        sent = text.encode("utf-8", "backslashreplace")
        before, after = parts(change.received, sent)
        paths = list(differing(before, after))
        named = ", ".join(safe_text(path, 120) for path in paths[:PATHS]) + (" ..." if len(paths) > PATHS else "")
        same = "then it left as it came" if sent == change.received else "the same values, written otherwise"
        yield [(f"differs at {named}" if paths else same, "word")]
        yield from beside(_lines(before), _lines(after), width, look)
    if not change.sent:
        before, _ = parts(change.received, b"")
        yield from beside(_lines(before), [], width, look)


def parts(received: bytes, sent: bytes) -> tuple[Any, Any]:
    """What is compared: the payloads where all around them is the same, else the whole messages; texts that are no JSON."""
    one, other = ocppj.decode(received), ocppj.decode(sent)
    around = [(envelope.mtype, envelope.message_id, envelope.action, envelope.error_code, envelope.error_desc)
              for envelope in (one, other)]
    if one.value is not UNSET and (around[0] == around[1] or not sent) and (other.value is not UNSET or not sent):
        return one.value, other.value
    return _whole(received), _whole(sent)


def _whole(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode("utf-8", "backslashreplace")


def differing(before: Any, after: Any, path: tuple[Step, ...] = ()) -> Iterator[str]:
    """The paths of values that are not the same in both, the outermost that one of them lacks."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            if name not in before or name not in after:
                yield written((*path, str(name)))
            else:
                yield from differing(before[name], after[name], (*path, str(name)))
    elif isinstance(before, list) and isinstance(after, list):
        for at in range(max(len(before), len(after))):
            if at >= len(before) or at >= len(after):
                yield written((*path, at))
            else:
                yield from differing(before[at], after[at], (*path, at))
    elif before != after or type(before) is not type(after):
        yield written(path)


def _lines(value: Any) -> list[str]:
    if value is UNSET:
        return []
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    lines = [safe_text(line, 4_000) for line in text.split("\n")]
    return [*lines[:LINES], *([f"({len(lines) - LINES} more lines)"] if len(lines) > LINES else [])]


def beside(before: Sequence[str], after: Sequence[str], width: int, look: Look) -> Iterator[Pieces]:
    """Two texts line by line, wrapped in halves of ``width``; ``-`` and ``+`` stand before what differs."""
    half = max(10, (width - 3) // 2)
    middle = " | " if look.ascii else " │ "
    for kind, left_from, left_to, right_from, right_to in SequenceMatcher(None, before, after, False).get_opcodes():
        same = kind == "equal"
        left, right = before[left_from:left_to], after[right_from:right_to]
        for at in range(max(len(left), len(right))):
            lefts = _wrapped(left[at], half - 2, "  " if same else "- ") if at < len(left) else []
            rights = _wrapped(right[at], half - 2, "  " if same else "+ ") if at < len(right) else []
            for line in range(max(len(lefts), len(rights))):
                one = lefts[line] if line < len(lefts) else ""
                other = rights[line] if line < len(rights) else ""
                pad = " " * (half - cell_len(one))
                yield [(one + pad, "" if same else "bad"), (middle, "dim"), (other, "" if same else "name")]


def _wrapped(text: str, width: int, mark: str) -> list[str]:
    return [mark + piece for piece in (chop_cells(text, width) or [""])]


class ChangeView(Lines):
    """The view of what was changed."""

    # Bars: lines are wrapped, so one below would only take the place of one, one beside them has its place from the start.
    DEFAULT_CSS = "ChangeView { overflow-x: hidden; scrollbar-gutter: stable; }"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self._changes: list[Change] = []
        self._made: list[Pieces] = []
        self._width = 0
        self._waiting = False

    def put(self, changes: Iterable[Change]) -> None:
        """Show these, from the top; where they stand already, they stay."""
        wanted = list(changes)
        if wanted == self._changes and not self._waiting:
            return
        self._changes, self._waiting = wanted, False
        self._make()
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    def wait(self) -> None:
        """Say that the source is being asked."""
        self._changes, self._waiting = [], True
        self._make()

    def on_resize(self) -> None:
        """Wrap anew."""
        if self.scrollable_content_region.width != self._width:
            self._make()

    def pieces(self, row: int) -> Pieces | None:
        """One line."""
        return self._made[row] if row < len(self._made) else None

    def _make(self) -> None:
        self._width = self.scrollable_content_region.width or self.size.width
        waiting: list[Pieces] = [[(f"{self.look.pending} asking what left for it", "dim")]]
        self._made = waiting if self._waiting else [
            row for change in self._changes for row in rows(change, self._width or 80, self.look)]
        self.virtual_size = Size(self._width, len(self._made))
        self.refresh()
