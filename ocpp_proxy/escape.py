"""The only way from a peer's text to a terminal, a log line, an error text or a CSV cell: everything invisible gets visible.

Identities, vendors, reasons, header values and payloads are chosen by whoever connects. An escape sequence in them can
clear the screen, write the clipboard or forge a line. ``safe_text`` lets only printable characters through.
"""

import re
import unicodedata
from functools import lru_cache

MARKS = 4                                   # combining marks in a row that are still text; more cover neighbouring rows
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0\u2800"       # letters by their category, blanks by their look
_MARKED = re.compile(r"[^\x00-\u02ff]")     # below U+0300 there are no combining marks
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class SafeText(str):
    """Text that may be shown: printable characters only, the rest as escapes. Made by ``safe_text`` alone."""

    __slots__ = ()


def safe_text(value: str | bytes, limit: int | None = None) -> SafeText:
    r"""Make a peer's text fit to be shown on one line.

    Control characters (newline and TAB too), DEL, C1, bidi controls and isolates, zero-width and tag characters, line and
    paragraph separators, odd blanks, private and unassigned code points, lone surrogates and more than ``MARKS``
    combining marks in a row become ``\n``, ``\x1b``, ``\u202e``, ``\U000e0041``. Bytes that are no UTF-8 become ``\xNN``
    (a C1 code point is ``\u009b``, so the two differ). A backslash stays as it is: what is shown is for reading; the
    evidence is the bytes. With ``limit`` the result has at most that many characters and ends in ``…`` when cut.
    """
    if limit is not None:
        value = value[: 4 * (limit + 1)] if isinstance(value, bytes) else value[: limit + 1]
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    if not text.isprintable() or _MARKED.search(text):
        pieces = _pieces(text)
    elif limit is None or len(text) <= limit:
        return SafeText(text)
    else:
        pieces = list(text)
    return SafeText("".join(pieces) if limit is None else _cut(pieces, limit))


def csv_cell(value: object) -> str:
    """Make a value fit for a CSV file that a spreadsheet opens: text that it would run as a formula gets a ``'`` before it.

    Numbers stay numbers, also negative ones; None is an empty cell.
    """
    if value is None:
        return ""
    text = safe_text(str(value))
    if text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if char > "\u02ff" and unicodedata.category(char) in ("Mn", "Me", "Mc") else 0
        if marks > MARKS or not char.isprintable() or char in _BLANK_LETTERS:
            pieces.append(_escape(char))
        else:
            pieces.append(char)
    return pieces


@lru_cache(maxsize=1024)
def _escape(char: str) -> str:
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _cut(pieces: list[str], limit: int) -> str:
    """Join pieces up to ``limit`` characters, never cutting an escape in two."""
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    room, taken = limit - 1, 0
    for piece in pieces:
        if len(piece) > room:
            break
        room -= len(piece)
        taken += 1
    return ("".join(pieces[:taken]) + "…") if limit > 0 else ""
