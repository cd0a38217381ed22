"""What may come next in a filter: names, operators, values. Works on the text before the cursor."""

import re
from collections.abc import Callable, Iterable, Sequence

from ocpp_proxy.fields import LINES, Field, Vocabulary, quoted
from ocpp_proxy.fields.parse import MAX_TEXT
from ocpp_proxy.fields.registry import MTYPES
from ocpp_proxy.model import Severity

Values = Callable[[str], Iterable[str]]
_TAIL = re.compile(r"""(?:^|[\s()!&|])([^\s"'()\[\],=!<>~&|]*)$""")         # a word that is being typed
_VALUE = re.compile(
    r"""(?<![\w.\[\]*])([A-Za-z_][\w.\[\]*]*)\s*(==|!=|<=|>=|=|<|>|\bcontains\s|\bin\s*\[(?:[^\]]*,)?)\s*("?[^\s"'()\[\],]*)$""")
_OPERATOR = re.compile(r"(?:^|[\s(!&|])([A-Za-z_][\w.\[\]*]*)\s+$")
_JOINING = ("and", "or")


def candidates(text: str, values: Values, words: Vocabulary = LINES) -> list[str]:
    """What the word at the end of ``text`` can become, best first; of an empty word what may stand there."""
    if len(text) > MAX_TEXT:                # no filter any more, as `parse` says: do not search through a pasted page
        return []
    value = _VALUE.search(text)
    if value is not None:
        field = words.fields.get(words.names.get(value[1].lower(), ""))
        begun = value[3].lstrip('"')
        return [offer for offer in _values(field, value[1], values) if offer.lower().lstrip('"').startswith(begun.lower())]
    before = _OPERATOR.search(text)
    if before is not None and before[1].lower() in words.names:
        return _operators(words.fields[words.names[before[1].lower()]])
    if text.rstrip() != text and text.strip() and not re.search(r"(\b(and|or|not)|[!&|(])\s*$", text, re.IGNORECASE):
        return list(_JOINING)
    tail = _TAIL.search(text)
    word = tail[1].lower() if tail else ""
    names = sorted(name for name in (*words.fields, "not") if name.startswith(word))
    return [name for name in names if name != word]


def completed(text: str, values: Values, offers: Sequence[str] | None = None, words: Vocabulary = LINES) -> str:
    """The text with its last word completed as far as all candidates agree."""
    found = candidates(text, values, words) if offers is None else list(offers)
    if not found:
        return text
    value = _VALUE.search(text)
    tail = _TAIL.search(text)
    word = value[3] if value else tail[1] if tail else ""
    rest = found[0][: _agreed([offer.lower() for offer in found])]
    if len(rest) < len(word.lstrip('"')) or not rest:
        return text
    return text[: len(text) - len(word)] + rest + (" " if len(found) == 1 else "")


def _agreed(offers: Sequence[str]) -> int:
    """How many characters all of them begin with."""
    first, last = min(offers), max(offers)
    return next((at for at, char in enumerate(first) if last[at] != char), len(first))


def _values(field: Field | None, name: str, values: Values) -> list[str]:
    if field is None:
        return []
    if field.type == "severity":
        return [severity.label for severity in Severity]
    if field.type == "mtype":
        return list(MTYPES)
    if field.choices:
        return list(field.choices)
    return [quoted(value) for value in sorted(set(values(field.name)))]


def _operators(field: Field) -> list[str]:
    if field.type in ("number", "severity", "time"):
        return ["==", "!=", ">", ">=", "<", "<=", "in ["]
    return ["==", "!=", "~", "contains", "in ["]
