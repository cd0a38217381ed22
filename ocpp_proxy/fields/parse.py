r"""The filter language: text to tree, with errors that point at the column.

``action == "MeterValues" and ms > 500 and severity >= warning`` · ``not``/``!`` · ``and``/``&`` · ``or``/``|`` ·
``field ~ "pattern"`` · ``field contains text`` · ``field in [a, b]`` · parentheses · bare words (substring) ·
two terms side by side are joined by ``and`` · quotes ``"…"`` or ``'…'`` with ``\"`` and ``\\``.
"""

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from ocpp_proxy.fields.patterns import matcher
from ocpp_proxy.fields.registry import LINES, MTYPES, Field, Vocabulary
from ocpp_proxy.fields.tree import And, Compare, Filter, Node, Not, Op, Or, Scalar, Word
from ocpp_proxy.model import ConfigError, Severity

MAX_TEXT = 4096                             # characters of a filter
MAX_DEPTH = 40                              # of nested not and parentheses
PATH = re.compile(r"payload(\.[^.\[\]\s]+(\[(\d{1,6}|\*)\])*)+")
NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,3})?")
_GRAMMAR = r"""
    start: any?
    any: all (_OR all)*
    all: term (_AND? term)*
    ?term: _NOT term          -> negate
         | "(" any ")"
         | WORD OP value      -> compare
         | WORD _IN "[" [value ("," value)*] "]" -> within
         | value              -> word
    value: WORD | STRING
    _OR.2: /\|\|?|or(?![^\s"'()\[\],=!<>~&|])/i
    _AND.2: /&&?|and(?![^\s"'()\[\],=!<>~&|])/i
    _NOT.2: /!(?!=)|not(?![^\s"'()\[\],=!<>~&|])/i
    _IN.2: /in(?=\s*\[)/i
    OP.2: /==|!=|<=|>=|<|>|~|=|contains(?![^\s"'()\[\],=!<>~&|])/i
    STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
    WORD: /[^\s"'()\[\],=!<>~&|]+(\[(\d+|\*)\][^\s"'()\[\],=!<>~&|]*)*/
    %ignore /\s+/
"""


class _Wrong(Exception):
    """What is wrong, and the token that shows where."""

    def __init__(self, token: Token, what: str) -> None:
        super().__init__(what)
        self.token, self.what = token, what


def parse(text: str, words: Vocabulary = LINES) -> Filter:
    """Parse a filter; the empty text lets everything through. ``words``: the names it can use, those of traffic or of a list.

    Raises ``ConfigError`` with the column and a caret line.
    """
    if len(text) > MAX_TEXT:
        raise ConfigError(f"filter: longer than {MAX_TEXT} characters ({len(text)})")
    try:
        root = cast(Node, _Build(words).transform(_parser.parse(text)))
    except VisitError as error:
        wrong = error.orig_exc
        if not isinstance(wrong, _Wrong):
            raise
        raise _error(text, wrong.token.start_pos or 0, len(wrong.token), wrong.what) from None
    except UnexpectedInput as error:
        raise _syntax(text, error) from None
    except RecursionError:
        raise ConfigError(f"filter: nested deeper than {MAX_DEPTH}") from None
    if _depth(root) > MAX_DEPTH:
        raise ConfigError(f"filter: nested deeper than {MAX_DEPTH}")
    return Filter(text, root)


class _Build(Transformer[Token, Any]):
    """Makes the nodes, bottom up, and checks names and values where their column is still known."""

    def __init__(self, words: Vocabulary) -> None:
        super().__init__()
        self._words = words

    def start(self, children: list[Node]) -> Node:
        return children[0] if children else And(())

    def any(self, children: list[Node]) -> Node:
        return children[0] if len(children) == 1 else Or(tuple(children))

    def all(self, children: list[Node]) -> Node:
        return children[0] if len(children) == 1 else And(tuple(children))

    def negate(self, children: list[Node]) -> Node:
        return Not(children[0])

    def word(self, children: list[Token]) -> Node:
        return Word(_text(children[0]))

    def value(self, children: list[Token]) -> Token:
        return children[0]

    def compare(self, children: list[Token]) -> Node:
        name, op, value = children
        word = "==" if op == "=" else str(op).lower()
        known = _name(name, self._words)
        return Compare(known, cast(Op, word), _literal(self._words.fields.get(known), known, word, value, op))

    def within(self, children: list[Token | None]) -> Node:
        name, *values = (child for child in children if child is not None)
        known = _name(name, self._words)
        literals = [_literal(self._words.fields.get(known), known, "in", value, value) for value in values]
        return Compare(known, "in", tuple(literals))


def _text(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.S) if token.type == "STRING" else str(token)


def _name(token: Token, words: Vocabulary) -> str:
    known = words.names.get(token.lower())
    if known is not None:
        return known
    if words.payload and token.startswith("payload."):
        if PATH.fullmatch(token):
            return str(token)
        raise _Wrong(token, f"cannot read the path {token}: write payload.meterValue[0].timestamp")
    close = get_close_matches(token.lower(), words.names, 1)
    inside = f"; inside the payload write payload.{token}" if words.payload else f": {words.of} have {', '.join(words.fields)}"
    raise _Wrong(token, f"unknown field {token}" + (f": did you mean {close[0]}?" if close else inside))


def _literal(field: Field | None, name: str, op: str, token: Token, op_token: Token) -> Scalar:
    """The value, checked against the field's type and made ready to compare."""
    text = _text(token)
    if field is not None and field.type not in ("text", "choice") and op in ("~", "contains"):
        raise _Wrong(op_token, f"{name} is no text: use ==, !=, <, <=, >, >= or in")
    if op == "~":
        try:
            matcher(text)
        except ConfigError as error:
            raise _Wrong(token, str(error)) from None
        return text
    if field is None:
        if op != "contains" and token.type == "WORD" and NUMBER.fullmatch(text):
            return _number(text)
        return text
    if op == "contains":
        return text
    if field.type in ("text", "choice") and op in ("<", "<=", ">", ">="):
        raise _Wrong(op_token, f"{name} has no order: use ==, !=, ~, contains or in")
    return _typed(field, token, text)


def _typed(field: Field, token: Token, text: str) -> Scalar:
    if field.type == "number":
        if not NUMBER.fullmatch(text):
            raise _Wrong(token, f"{field.name} is a number, not {text}")
        return _number(text)
    if field.type == "severity":
        return int(Severity[_choice(field.name, field.choices, token, text.lower()).upper()])
    if field.type == "mtype":
        if text in ("2", "3", "4", "5", "6"):
            return int(text)
        return MTYPES[_choice(field.name, tuple(MTYPES), token, text.upper())]
    if field.type == "choice":
        return _choice(field.name, field.choices, token, text.lower())
    if field.type == "time":
        return _time(token, text)
    return text


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _choice(name: str, choices: tuple[str, ...], token: Token, text: str) -> str:
    if text in choices:
        return text
    close = get_close_matches(text, choices, 1)
    hint = f"did you mean {close[0]}?" if close else "one of " + ", ".join(choices)
    raise _Wrong(token, f"unknown {name} {text}: {hint}")


def _time(token: Token, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _Wrong(token, f"no time: {text}; write 2026-05-01T10:00:00Z (in quotes, if it has a blank)") from None
    return (past.days * 86400 + past.seconds) * 1_000_000_000 + past.microseconds * 1000


def _depth(root: Node) -> int:
    deepest, waiting = 0, [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(node, And | Or):
            waiting += [(item, depth + 1) for item in node.items]
        elif isinstance(node, Not):
            waiting.append((node.item, depth + 1))
    return deepest


def _syntax(text: str, error: UnexpectedInput) -> ConfigError:
    if isinstance(error, UnexpectedCharacters):
        at = error.pos_in_stream or 0
        if text[at : at + 1] in ("'", '"'):
            return _error(text, at, 1, "this quote is never closed")
        return _error(text, at, 1, "this does not belong here")
    token = error.token if isinstance(error, UnexpectedToken) else None
    if token is None or token.type == "$END" or isinstance(error, UnexpectedEOF):
        return _error(text, len(text), 1, "the filter ends too early: a value or a term is missing")
    if token.type == "OP":
        return _error(text, token.start_pos or 0, len(token), "an operator needs a field name before and a value behind it")
    return _error(text, token.start_pos or 0, len(token), "this does not belong here")


def _error(text: str, at: int, width: int, what: str) -> ConfigError:
    shown = "".join(char if char.isprintable() else " " for char in text)
    start = max(0, at - 60)
    line = shown[start : at + 40]
    what = "".join(char if char.isprintable() else " " for char in what)
    return ConfigError(f"filter, column {at + 1}: {what}\n  {line}\n  {' ' * (at - start)}{'^' * max(1, min(width, 40))}")


_parser = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)
