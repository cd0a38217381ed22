"""Texts as lines of a given width, made only as far as they are looked at: raw as on the wire, or pretty."""

import io
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice

from rich.cells import cell_len, chop_cells

from ocpp_proxy.escape import safe_text
from ocpp_proxy.wire import json_spans
from ocpp_proxy_tui.widgets.detail_shown import Text

SHOWN = 1 << 20             # bytes of one text that are shown
NARROWEST = 8
DEEPEST = 30                # levels that pretty text is indented

FlowLine = tuple[str, str]  # escaped text, and its role


class Flow:
    """Lines on demand. ``done``: there are no more than ``lines``."""

    def __init__(self, lines: Iterable[FlowLine]) -> None:
        self._source = iter(lines)
        self.lines: list[FlowLine] = []
        self.done = False

    def upto(self, count: int) -> None:
        """Make lines until there are that many."""
        wanted = count - len(self.lines)
        if wanted > 0 and not self.done:
            fresh = list(islice(self._source, wanted))
            self.lines += fresh
            self.done = len(fresh) < wanted


def flow(texts: Iterable[Text], pretty: bool, width: int) -> Iterator[FlowLine]:
    """All texts, each under its head."""
    width = max(NARROWEST, width)
    for at, text in enumerate(texts):
        if at:
            yield "", ""
        yield from ((row, "head") for row in wrapped(text.head, width, escape=False))
        as_json = pretty and text.json
        how = "pretty: blanks and line ends are not those of the wire" if as_json else "as on the wire"
        yield from ((row, "dim") for row in wrapped(f"{how}, {len(text.text)} bytes", width, escape=False))
        yield from _body(text, as_json, width)


def _body(text: Text, pretty: bool, width: int) -> Iterator[FlowLine]:
    kept = _cut(text.text)
    if text.error_at >= 0:
        yield from _broken(kept, text, width)
    else:
        for line in _pretty(kept) if pretty else _lines(kept):
            yield from ((row, "") for row in wrapped(line, width))
    if len(kept) < len(text.text):
        note = f"{len(text.text) - len(kept)} more bytes are not shown; write the selection to a file to have them all"
        yield from ((row, "name") for row in wrapped(note, width, escape=False))


def _broken(kept: bytes, text: Text, width: int) -> Iterator[FlowLine]:
    """The text up to the character where reading stopped, a sign, the rest."""
    whole = kept.decode("utf-8", "backslashreplace")
    at = min(text.error_at + 1, len(whole))
    last = ""
    for row in wrapped(whole[:at], width):
        last = row
        yield row, ""
    yield " " * max(0, cell_len(last) - 1) + "^", "bad"
    words = f"{safe_text(text.error, 200)} at character {text.error_at}"
    yield from ((row, "bad") for row in wrapped(words, width, escape=False))
    yield from ((row, "") for row in wrapped(whole[at:], width))


def _cut(text: bytes) -> bytes:
    """The beginning of a long text, not cut inside a character."""
    if len(text) <= SHOWN:
        return text
    end = SHOWN
    while end > SHOWN - 4 and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[:end]


def _lines(text: bytes) -> Iterator[str]:
    """A text by its line feeds, which stay (and show)."""
    return iter(io.StringIO(text.decode("utf-8", "backslashreplace"), newline="\n"))


def _pretty(text: bytes) -> Iterator[str]:
    """Tokens on lines of their own with blanks before them; no token is changed, also not of broken JSON."""
    line, level, opened = "", 0, False
    for start, end in json_spans.tokens(text):
        token = text[start:end].decode("utf-8", "backslashreplace")
        if token in "]}":
            level = max(0, level - 1)
            if not opened:
                yield line
                line = _indent(level)
        elif opened:
            yield line
            line = _indent(level)
        opened = token in "[{"
        level += opened
        line += token
        if token == ":":
            line += " "
        elif token == ",":
            yield line
            line = _indent(level)
    yield line


def _indent(level: int) -> str:
    return "  " * min(level, DEEPEST)


def _escaped(piece: str) -> str:
    """A piece of a text. Combining marks at its beginning are shown as escapes: how many stand before them is not known."""
    at = 0
    while at < len(piece) and unicodedata.category(piece[at]) in ("Mn", "Me", "Mc"):
        at += 1
    return piece[:at].encode("ascii", "backslashreplace").decode() + safe_text(piece[at:])


def wrapped(text: str, width: int, escape: bool = True) -> Iterator[str]:
    """A text in rows of at most ``width`` cells, escaped; at least one row."""
    at, rest, none = 0, "", True
    while at < len(text):
        piece = text[at : at + max(1, width - cell_len(rest))]
        at += len(piece)
        rest += piece if not escape or (piece.isascii() and piece.isprintable()) else _escaped(piece)
        if cell_len(rest) >= width:
            *rows, rest = chop_cells(rest, width)
            yield from rows
            if cell_len(rest) >= width:
                yield rest
                rest = ""
            none = False
    if rest or none:
        yield rest
