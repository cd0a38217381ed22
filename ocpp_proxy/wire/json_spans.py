"""JSON text as a tree of spans, read only as far as asked: what each value is and where its bytes stand, nothing decoded.

For showing payloads as they are: numbers keep their digits, a key named twice is there twice, broken text is read up to
where it breaks. Nothing here recurses, and every call looks at a bounded number of bytes. Never raises.
"""

import json
import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Kind = Literal["object", "array", "string", "number", "word", "bad"]

REACH = 1 << 20             # bytes one call skips of nested values before it gives up for now
_BLANK = rb"[ \t\r\n]*+"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_blank = re.compile(_BLANK).match
_string = re.compile(_STRING, re.DOTALL).match
_scalar = re.compile(rb'[^\s,:\[\]{}"]++').match
_number = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?").fullmatch
# Up to the next run of brackets of nested values, or the next 500 values. A lookahead and \1, which give nothing back either:
# before Python 3.11.5 a possessive group goes wrong where what it repeats begins to match and then does not.
_FLAT = rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+){0,500}'      # what holds no brackets, but in strings
_brackets = re.compile(
    rb'(?=((?:[^"\[\]{}]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\}){0,500}))\1([\[{]++|[\]}]++)?",
    re.DOTALL).match
_token = re.compile(_STRING + rb'|[\[\]{},:]|[^\s\[\]{},:"]++|".*', re.DOTALL).finditer
_KINDS: dict[int, Kind] = {0x7B: "object", 0x5B: "array", 0x22: "string"}
_WORDS = (b"true", b"false", b"null")


class Span(Struct, frozen=True, gc=False):
    """A value: ``text[start:end]``. ``end`` -1: an object or array whose end was not looked for, or is not there.

    ``word``: true, false or null. ``bad``: no JSON value (NaN, a lone comma); it reaches as far as nothing can be read.
    """

    kind: Kind
    start: int
    end: int


class Member(Struct, frozen=True, gc=False):
    """A property of an object, or an item of an array (``name`` is then empty bytes). ``name``: as written, in quotes."""

    name: bytes
    value: Span


class Page(Struct, frozen=True, gc=False):
    """Members that were read. ``next``: where to go on, 0: that was all; ``skip``/``level``: inside the last one, so far."""

    members: list[Member]
    next: int = 0
    skip: int = 0
    level: int = 0


def root(text: bytes) -> Span:
    """The value a text begins with; what stands behind it is not looked at."""
    return _value(text, _after_blank(text, 0), len(text))


def page(text: bytes, holder: Span, limit: int, after: Page | None = None, reach: int = REACH) -> Page:
    """Up to ``limit`` members of an object or array, behind those of an earlier page.

    ``reach``: bytes of nested values that are skipped over; a page ends early behind the member where it was used up.
    Where the text breaks off or cannot be read the last member is ``bad``.
    """
    stop = holder.end if holder.end >= 0 else len(text)
    members: list[Member] = []
    if after is None:
        at = _after_blank(text, holder.start + 1)
        if text[at : at + 1] in (b"]", b"}"):
            return Page([])
    elif after.skip:
        at, level = _skip(text, after.skip, after.level, min(stop, after.skip + reach), stop)
        if level:
            return Page([], 0, at, level) if at else _broken(members, stop)
        reach -= at - after.skip
        at = _after_comma(text, at)
    else:
        at = after.next
    while at:
        if len(members) >= limit or (reach <= 0 and members):
            return Page(members, at)
        if at >= stop:
            return _broken(members, stop)
        member = _member(text, at, stop, holder.kind == "object")
        value = member.value
        if value.kind in ("object", "array"):
            at = value.start
            end, level = _skip(text, at + 1, 1, min(stop, at + max(reach, 64)), stop)
            if level:
                members.append(member)
                return Page(members, 0, end, level) if end else Page(members)
            reach -= end - at
            member = Member(member.name, Span(value.kind, at, end))
        members.append(member)
        at = 0 if member.value.kind == "bad" and member.value.end == stop else _after_comma(text, member.value.end)
    return Page(members)


def tokens(text: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of every token in order: strings, brackets, commas, colons, and whatever else stands between blanks."""
    return (token.span() for token in _token(text))


def name_of(name: bytes) -> str:
    """What a name in quotes says; as written where its escapes cannot be read. May hold anything, also lone surrogates."""
    inner = name[1:-1].decode("utf-8", "backslashreplace")
    if "\\" not in inner or len(name) > REACH:
        return inner
    try:
        said = json.loads(f'"{inner}"', strict=False)
    except ValueError:
        return inner
    return said if isinstance(said, str) else inner


def _after_blank(text: bytes, at: int) -> int:
    found = _blank(text, at)
    return found.end() if found else at


def _after_comma(text: bytes, at: int) -> int:
    """Where the next member begins, also when there is no comma before it; 0 when a bracket closes."""
    at = _after_blank(text, at)
    sign = text[at : at + 1]
    if sign == b",":
        return _after_blank(text, at + 1)
    return 0 if sign in (b"]", b"}") else at


def _broken(members: list[Member], stop: int) -> Page:
    """The end of a text that breaks off."""
    members.append(Member(b"", Span("bad", stop, stop)))
    return Page(members)


def _member(text: bytes, at: int, stop: int, named: bool) -> Member:
    """The member that begins here; a ``bad`` one of what cannot be read."""
    if not named:
        return Member(b"", _value(text, at, stop))
    name = _string(text, at, stop)
    if name is None:
        return Member(b"", Span("bad", at, stop))
    colon = _after_blank(text, name.end())
    if text[colon : colon + 1] != b":":
        return Member(name.group(), Span("bad", colon, stop))
    return Member(name.group(), _value(text, _after_blank(text, colon + 1), stop))


def _value(text: bytes, at: int, stop: int) -> Span:
    kind = _KINDS.get(text[at]) if at < stop else None
    if kind == "string":
        found = _string(text, at, stop)
        return Span("string", at, found.end()) if found else Span("bad", at, stop)
    if kind is not None:
        return Span(kind, at, -1)
    found = _scalar(text, at, stop)
    if found is None:
        return Span("bad", at, stop)
    word = found.group()
    if word in _WORDS:
        return Span("word", at, found.end())
    if _number(word):
        return Span("number", at, found.end())
    behind = _after_blank(text, found.end())
    return Span("bad", at, found.end() if text[behind : behind + 1] in (b",", b"]", b"}") else stop)


def _skip(text: bytes, at: int, level: int, reach: int, stop: int) -> tuple[int, int]:
    """Inside ``level`` brackets, go on until the first is closed (where that is, 0) or ``reach`` is passed (where, still open).

    (0, open) when no further bracket can be found before ``stop``: the text is broken.
    """
    while True:
        found = _brackets(text, at, stop)
        if found is None or (found[2] is None and found.end() in (at, stop)):
            return 0, level
        run, at = found[2] or b"", found.end()
        if run[:1] in (b"[", b"{"):
            level += len(run)
        elif level <= len(run):
            return at - len(run) + level, 0
        else:
            level -= len(run)
        if at >= reach:
            return at, level
