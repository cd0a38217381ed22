"""Shows one side pseudonyms for tokens, serial numbers and people, and puts the real values back on the way to the other.

A pseudonym is the value enciphered under the key, in the same form (length, digits, case), so nothing is stored, the same
value is the same pseudonym everywhere, and what comes back is deciphered: a permutation of all values of one form, by a
Feistel network with cycle walking.
"""

import re
from functools import lru_cache
from hashlib import shake_256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, structs

from ocpp_proxy.api import (
    PASS,
    Answer,
    Call,
    Context,
    Drop,
    Malformed,
    Message,
    NotJson,
    Plugin,
    Replace,
    Send,
    Side,
    Verdict,
    Where,
)
from ocpp_proxy.spec.selection import select
from ocpp_proxy.spec.sensitive import personal_places, secret_places, secret_spans

Category = Literal["token", "vehicle", "station", "customer", "certificate", "free"]
RETURNING = frozenset(("token", "vehicle", "station"))
"""Categories whose values the other side sends back; the others are only hidden."""

MOST = 500                                  # characters of a value that is enciphered; longer ones become ``redacted``
ROUNDS = 8
_DIGITS, _UPPER, _LOWER = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_FORMS = tuple((re.compile(f"[{alphabet}]+"), alphabet) for alphabet in (_DIGITS, _DIGITS + "ABCDEF", _DIGITS + "abcdef"))


class Redact(Plugin):
    """Shows one side pseudonyms instead of tokens, serial numbers and people; what it sends back is put right again."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``key``: any text of 16 characters or more; the same key gives the same pseudonyms. ``towards``: who sees them.

        ``fields``: which values; ``paths``: further places, put right again too; ``secrets``: passwords and keys as well;
        ``where``: in which messages; ``unreadable``: what becomes of messages that cannot be read.
        """

        key: Annotated[str, Meta(min_length=16)]
        towards: Literal["csms", "station"] = "csms"
        fields: tuple[Category, ...] = ("token", "vehicle", "station", "customer")
        paths: tuple[str, ...] = ()
        secrets: bool = True
        where: Where = ""
        unreadable: Literal["drop", "pass"] = "drop"

        def __post_init__(self) -> None:
            for path in self.paths:
                select(path)

    def on_call(self, context: Context, sender: Side, call: Call) -> Verdict:
        """Calls."""
        return self._verdict(context, sender, call, call.action)

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
        """Answers; of a CALLERROR its details."""
        return self._verdict(context, sender, answer, call.action, call)

    def on_send(self, context: Context, sender: Side, send: Send) -> Verdict:
        """SENDs."""
        return self._verdict(context, sender, send, send.action)

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Verdict:
        """Who cannot read it cannot redact it."""
        return Drop("cannot be redacted") if _hides(context, sender) and context.options.unreadable == "drop" else PASS

    def _verdict(self, context: Context, sender: Side, message: Message, action: str, call: Call | None = None) -> Verdict:
        options = context.options
        if not context.matches(options.where, sender, message, call):
            return PASS
        try:
            payload = message.json()
        except NotJson:
            return Drop("cannot be redacted") if _hides(context, sender) and options.unreadable == "drop" else PASS
        count = _changed(payload, options, action, call is not None, _hides(context, sender))
        if not count:
            return PASS
        what = "redacted" if _hides(context, sender) else "put right"
        return Replace(structs.replace(message, payload=msgspec.json.encode(payload)), f"{count} values {what}")


def _hides(context: Context, sender: Side) -> bool:
    return bool(sender.other == context.options.towards)


def _changed(payload: Any, options: Any, action: str, answer: bool, hide: bool) -> int:
    """Change a payload; how many values."""
    count = 0
    places: list[Any] = [
        place for place in personal_places(payload)
        if place.how in options.fields and (hide or place.how in RETURNING) and not _of_certificate(place.holder)
    ]
    for path in options.paths:
        places += select(path).places(payload)
    done: set[tuple[int, str | int]] = set()
    for place in places:
        at = (id(place.holder), place.key)
        new = _of_value(options.key, place.value, hide)
        if at in done or new == place.value:
            continue
        done.add(at)
        place.put(new)
        count += 1
    return count + (_secrets(payload, options, action, answer) if hide and options.secrets else 0)


def _secrets(payload: Any, options: Any, action: str, answer: bool) -> int:
    """Hide passwords; they never come back."""
    places = secret_places(action, answer, payload)
    for place in places:
        value = place.value
        if place.how == "text" and isinstance(value, str):
            for start, end in reversed(secret_spans(value)):
                value = value[:start] + str(_of_value(options.key, value[start:end], True)) + value[end:]
            place.put(value)
        else:
            place.put(_of_value(options.key, value, True) if isinstance(value, str | int) else "redacted")
    return len(places)


def _of_certificate(holder: Any) -> bool:
    """The number of a certificate is what both sides work out themselves."""
    return isinstance(holder, dict) and "issuerKeyHash" in holder


def _of_value(key: str, value: object, hide: bool) -> object:
    if isinstance(value, str):
        return pseudonym(key, value, hide)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(pseudonym(key, str(value), hide, True))
    return value


@lru_cache(maxsize=8192)
def pseudonym(key: str, text: str, hide: bool = True, number: bool = False) -> str:
    """The pseudonym of a text, or (``hide`` false) the text of one. Letters and digits of ASCII change, nothing else.

    ``number``: the text is a whole number's, and has to remain one.
    """
    if len(text) > MOST:
        return "redacted" if hide else text
    alphabets = _alphabets(text)
    size = 1
    for alphabet in alphabets:
        size *= len(alphabet)
    if size == 1:
        return text
    value = _number(text, alphabets)
    bits = max(2, (size - 1).bit_length())
    while True:                             # a walk along one cycle of the permutation, back into the values of this form
        value = _step(key, value, (bits + 1) // 2, hide)
        if value < size:
            made = _text(value, alphabets)
            if _alphabets(made) == alphabets and (not number or str(int(made)) == made):
                return made


def _alphabets(text: str) -> list[str]:
    """Of each character, what it may become."""
    for form, alphabet in _FORMS:
        if form.fullmatch(text):
            return [alphabet] * len(text)
    return [next((known for known in (_DIGITS, _UPPER, _LOWER) if char in known), char) for char in text]


def _number(text: str, alphabets: list[str]) -> int:
    number = 0
    for char, alphabet in zip(text, alphabets, strict=True):
        number = number * len(alphabet) + alphabet.index(char)
    return number


def _text(number: int, alphabets: list[str]) -> str:
    made: list[str] = []
    for alphabet in reversed(alphabets):
        number, index = divmod(number, len(alphabet))
        made.append(alphabet[index])
    return "".join(reversed(made))


def _step(key: str, number: int, half: int, forward: bool) -> int:
    """Once through the network, on numbers of two halves of so many bits."""
    mask = (1 << half) - 1
    left, right = number >> half, number & mask
    for turn in range(ROUNDS) if forward else reversed(range(ROUNDS)):
        if forward:
            left, right = right, left ^ (_mixed(key, turn, right, half) & mask)
        else:
            left, right = right ^ (_mixed(key, turn, left, half) & mask), left
    return left << half | right


def _mixed(key: str, turn: int, value: int, half: int) -> int:
    count = (half + 7) // 8
    text = key.encode()
    return int.from_bytes(shake_256(b"%d:%b:%d:%d:%d" % (len(text), text, turn, half, value)).digest(count), "big")
