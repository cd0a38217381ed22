"""idTag of 1.6 and idToken of 2.0.1: the same text where it fits, else a short name that stays the same for ever.

An idTag has up to 20 characters and no case; an idToken up to 36, and a type.
"""

import re
from base64 import b32encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

TAG_LENGTH = 20
TOKEN_LENGTH, KIND_LENGTH = 36, 20          # 2.0.1 IdTokenType; what is longer stands for nobody
_HEX = re.compile(r"[0-9A-Fa-f]+").fullmatch
_EMAID = re.compile(r"[A-Za-z]{2}-?[A-Za-z0-9]{3}-?[A-Za-z0-9]{9}(?:-?[A-Za-z0-9])?").fullmatch
_UID_LENGTHS = (8, 14, 20)                  # hex digits of a 4, 7 or 10 byte UID (ISO 14443)


def alias(kind: str, token: str) -> str:
    """The idTag that stands for a token too long for one: the same wherever it is made, never a cut token."""
    return "~" + b32encode(sha256(f"{kind}|{token}".encode()).digest()).decode()[:18]


def kind_of(tag: str, kinds: Mapping[str, str]) -> str:
    """The type of a token of which only its text is known. ``kinds``: pattern -> type, first match wins."""
    for pattern, kind in kinds.items():
        if re.fullmatch(pattern, tag):
            return kind
    if _HEX(tag) and len(tag) in _UID_LENGTHS:
        return "ISO14443"
    return "eMAID" if _EMAID(tag) else "Central"


def token_of(tag: str, aliases: Mapping[str, tuple[str, str]], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The idToken of an idTag."""
    known = aliases.get(tag) or aliases.get(tag.upper())
    if known is not None:
        return {"idToken": known[1], "type": known[0]}
    return {"idToken": tag, "type": kind_of(tag, kinds)}


def same(one: str, other: str) -> bool:
    """Whether two idTags are one: 1.6 compares without case (CiString20)."""
    return one.casefold() == other.casefold()
