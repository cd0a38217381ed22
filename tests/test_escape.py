"""What a peer can send never reaches a terminal as anything but printable text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.escape import MARKS, SafeText, csv_cell, safe_text

KINDS = {
    "clear screen": ("\x1b[2J", "\\x1b[2J"),
    "window title": ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    "clipboard write": ("\x1b]52;c;cm0gLXJm\x07", "\\x1b]52;c;cm0gLXJm\\x07"),
    "hyperlink": ("\x1b]8;;http://evil/\x1b\\x", "\\x1b]8;;http://evil/\\x1b\\x"),
    "C1 clear": ("\x9b2J", "\\u009b2J"),
    "C1 colour": ("\x9b31m", "\\u009b31m"),
    "bidi override": ("CP\u202e1", "CP\\u202e1"),
    "carriage return": ("CP-BAD\rCP-OK", "CP-BAD\\rCP-OK"),
    "backspace": ("rm\b\bls", "rm\\x08\\x08ls"),
    "newline": ("a\nFAKE", "a\\nFAKE"),
    "markup": ("[red]x[/red]", "[red]x[/red]"),
    "broken markup": ("[/nope]", "[/nope]"),
    "NUL": ("a\0b", "a\\x00b"),
    "combining flood": ("a" + "\u0301" * 200, "a" + "\u0301" * MARKS + "\\u0301" * (200 - MARKS)),
    "emoji code": (":skull:", ":skull:"),
    "DEL": ("\x7f", "\\x7f"),
    "zero-width": ("CP\u200b1\u2060\ufeff", "CP\\u200b1\\u2060\\ufeff"),
    "bidi isolates": ("\u2066\u2067\u2068\u2069", "\\u2066\\u2067\\u2068\\u2069"),
    "bidi marks": ("\u200e\u200f\u061c", "\\u200e\\u200f\\u061c"),
    "tag characters": ("\U000e0041", "\\U000e0041"),
    "line and paragraph separator": ("\u2028\u2029", "\\u2028\\u2029"),
    "NEL": ("\x85", "\\u0085"),
    "terminal reset": ("\x1bc", "\\x1bc"),
    "DCS, APC": ("\x1bPq\x1b_x", "\\x1bPq\\x1b_x"),
    "lone surrogate": ("\ud800", "\\ud800"),
    "BEL, VT, FF": ("\x07\x0b\x0c", "\\x07\\x0b\\x0c"),
    "TAB": ("a\tb", "a\\tb"),
    "odd blanks": ("a\xa0b\u3000\u3164\xad", "a\\u00a0b\\u3000\\u3164\\u00ad"),
    "invalid UTF-8": (b"CP\xff\x9b1", "CP\\xff\\x9b1"),
    "surrogate in UTF-8": (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    "text of every day": ("Ladesäule Nr. 5 – 22 kW ✓ 充电桩", "Ladesäule Nr. 5 – 22 kW ✓ 充电桩"),
    "UTF-8 bytes": ("Ladesäule".encode(), "Ladesäule"),
    "decomposed letters stay": ("e\u0301a\u0308", "e\u0301a\u0308"),
}


@pytest.mark.parametrize(("sent", "shown"), KINDS.values(), ids=KINDS.keys())
def test_every_kind_is_shown_as_visible_text(sent: str | bytes, shown: str) -> None:
    assert safe_text(sent) == shown
    assert isinstance(safe_text(sent), SafeText)


@given(st.text(st.characters()) | st.binary())
def test_any_input_is_one_printable_line_that_can_be_written(value: str | bytes) -> None:
    shown = safe_text(value)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    run = 0
    for char in shown:
        run = run + 1 if unicodedata.category(char) in ("Mn", "Me", "Mc") else 0
        assert run <= MARKS


@given(st.text(st.characters()) | st.binary(), st.integers(0, 40))
def test_a_limit_is_kept_and_a_cut_is_marked(value: str | bytes, limit: int) -> None:
    whole, cut = safe_text(value), safe_text(value, limit)
    assert len(cut) <= limit
    assert cut == whole if len(whole) <= limit else limit == 0 or cut.endswith("…")
    assert whole.startswith(cut.removesuffix("…")) or len(whole) <= limit


def test_a_cut_never_splits_an_escape() -> None:
    assert safe_text("ab\x1bcd", 5) == "ab…"
    assert safe_text("ab\x1bcdef", 7) == "ab\\x1b…"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("+1+cmd", "'+1+cmd"), ("-2+3", "'-2+3"), ("@SUM(A1)", "'@SUM(A1)"),
        (" =1+1", "' =1+1"), ("＝1", "'＝1"), ("\t=1", "\\t=1"), ("CP1", "CP1"), (-5, "-5"), ("-5.25", "-5.25"), ("+49", "+49"),
        (None, ""), (True, "True"), ("a\x1b[2J", "a\\x1b[2J"),
    ],
)
def test_a_spreadsheet_runs_no_formula_of_a_peer(value: object, cell: str) -> None:
    assert csv_cell(value) == cell
