"""What works on this Python and not on another one that users have."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for part in ("ocpp_proxy", "tui", "captures", "plugins") for path in (ROOT / part).rglob("*.py"))
POSSESSIVE = re.compile(r"\(\?>|(?<!\\)\)(?:[*+?]|\{[0-9, ]+\})\+")
NUMBERED = re.compile(r"\b(?:VALUES|WHERE|SET)\b.*\?[0-9]", re.DOTALL)
# Nothing it repeats can begin to match and then not, but at the end of the text, where what has to follow is missing, too.
SAFE = {rb'"(?:[^"\\]++|\\.)*+"'}


def texts() -> list[tuple[str, str | bytes]]:
    """All string literals, and the file of each."""
    return [
        (path.relative_to(ROOT).as_posix(), node.value)
        for path in FILES for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    ]


def plain(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


def test_no_possessive_group() -> None:
    """Before Python 3.11.5 one goes wrong where what it repeats begins to match and then does not. Debian 12 has 3.11.2."""
    assert [(file, text) for file, text in texts() if text not in SAFE and POSSESSIVE.search(plain(text))] == []


def test_no_numbered_placeholder() -> None:
    """sqlite3 refuses a sequence for them since Python 3.14."""
    assert [(file, text) for file, text in texts() if NUMBERED.search(plain(text))] == []


@pytest.mark.parametrize(("pattern", "text"), [
    (POSSESSIVE, r"(?:a|b\d)*+"), (POSSESSIVE, r"(?:\.\d++)?+"), (POSSESSIVE, "(ab){1,5}+"), (POSSESSIVE, "(?>ab|a)"),
    (NUMBERED, "INSERT INTO a VALUES (?1, ?2)"), (NUMBERED, "UPDATE a SET b = ?2"),
])
def test_what_is_looked_for_is_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


@pytest.mark.parametrize("text", [r"[^a]++\d*+(?:ab)*x+", r"\(a\)*+"])
def test_what_is_no_group_is_not(text: str) -> None:
    assert not POSSESSIVE.search(text)
