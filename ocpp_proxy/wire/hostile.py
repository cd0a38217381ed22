"""Hostile JSON: what the decoder refuses or changes in silence, named. Bounded by the caps of ``wire.envelope``."""

import json
import re

import orjson

from ocpp_proxy.wire.envelope import MAX_DEPTH, MAX_INLINE

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL).finditer
_DIGITS = bytes(byte in b"0123456789" for byte in range(256))      # 19 digits in a row by two quick passes over the text
_BIG = b"\1" * 19
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


def too_deep(text: bytes) -> bool:
    """True when the text nests deeper than ``MAX_DEPTH``, or is over ``MAX_INLINE`` (then nobody counted)."""
    if len(text) > MAX_INLINE:
        return True
    # replace: half of what count takes
    if 2 * len(text) - len(text.replace(b"[", b"")) - len(text.replace(b"{", b"")) <= MAX_DEPTH:
        return False
    level = 0
    for token in _TOKENS(text):
        first = text[token.start()]
        if first in b"[{":
            level += 1
            if level > MAX_DEPTH:
                return True
        elif first in b"]}":
            level -= 1
    return False


def silent(text: bytes, value: object) -> tuple[str, ...]:
    """Faults orjson passes over in silence: keys named twice, integers outside 64 bits (which become decimals).

    Quick for texts whose only oddity is a blank or an escape; called when ``value`` does not encode to the same bytes.
    """
    try:
        keys = orjson.dumps(value).count(b'":')
    except orjson.JSONEncodeError:
        keys = -1
    if keys == text.count(b'":') and b'" ' not in text and b"\\u0022" not in text and _BIG not in text.translate(_DIGITS):
        return ()
    read = lenient(text)
    return read[1] if read else ()


def explain(text: bytes) -> str:
    """Why orjson refused: nan, big_number, surrogate, utf8 or not_json."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return "utf8"
    read = lenient(text)
    return read[1][0] if read and read[1] else "not_json"


_LONGEST = 20               # digits, with a sign, of an integer of 64 bits


class _Hooks:
    """Collects what the tolerant decoder meets."""

    def __init__(self) -> None:
        self.faults: dict[str, None] = {}

    def pairs(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            self.faults["duplicate_keys"] = None
        return found

    def integer(self, digits: str) -> int | float:
        value = int(digits) if len(digits) <= _LONGEST else None
        if value is None or not _LOWEST <= value <= _HIGHEST:
            self.faults["big_number"] = None
            return self.decimal(digits)             # 0 when it has too many digits for that, too
        return value

    def decimal(self, digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            self.faults["big_number"] = None
            return 0.0
        return value

    def constant(self, _: str) -> None:
        self.faults["nan"] = None


def lenient(text: bytes) -> tuple[object, tuple[str, ...]] | None:
    """Decode what only a tolerant decoder takes, and name why; None when it is no JSON at all. UTF-8 only.

    NaN and Infinity become None, endless numbers 0. A text with a lone surrogate has the fault ``surrogate``.
    """
    hooks = _Hooks()
    try:
        value = json.loads(
            text.decode(), object_pairs_hook=hooks.pairs, parse_int=hooks.integer, parse_float=hooks.decimal,
            parse_constant=hooks.constant,
        )
    except (ValueError, RecursionError):
        return None
    if b"\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            hooks.faults["surrogate"] = None
    return value, tuple(hooks.faults)
