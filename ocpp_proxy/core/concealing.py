"""Takes credentials out of texts that may quote messages: what a plugin raises (``core.services.Concealing``)."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from ocpp_proxy.api import Call, CallError, CallResult, NotJson, Send
from ocpp_proxy.spec.terms import secret_places, secret_spans

SHORTEST = 4                                # a shorter credential is no secret, and would be found in every word
HIDDEN = "(secret)"


def conceal(text: str, about: Sequence[Any]) -> str:
    """The text without what looks like a credential, or is one in the messages it is ``about``."""
    for secret in sorted(_secrets(about), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for start, end in reversed(secret_spans(text)):
        text = text[:start] + HIDDEN + text[end:]
    return text


def _secrets(about: Sequence[Any]) -> set[str]:
    """The credentials in messages, also as they stand in JSON and in Python's quotes."""
    action = next((one.action for one in about if isinstance(one, Call | Send)), "")
    found = set[str]()
    for one in about:
        if isinstance(one, Call | CallResult | CallError | Send):
            with contextlib.suppress(NotJson):
                for place in secret_places(action, isinstance(one, CallResult | CallError), one.json()):
                    if isinstance(place.value, str) and len(place.value) >= SHORTEST:
                        found |= _spellings(place.value)
    return found


def _spellings(value: str) -> set[str]:
    """A text as it may stand in another: bare, in JSON, and each of them in the quotes of Python, as text or bytes."""
    bare = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    quoted = {shown for one in bare for shown in (repr(one)[1:-1], repr(one.encode("utf-8", "replace"))[2:-1])}
    return bare | quoted | {shown.replace("'", "\\'") for shown in quoted}
