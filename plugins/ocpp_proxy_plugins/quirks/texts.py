"""The repairs of texts that are no OCPP-J message. A mend counts only when one comes out of it."""

import json
import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

LONGEST = 1_000_000                         # bytes; longer texts are left alone
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")
_SAID = re.compile(rb'\s*\[\s*"?([1-6])"?\s*,\s*(?:"[^"]{0,200}"|[^",]{1,50})\s*(?:,\s*"([A-Za-z]{1,64})")?')
_PLACE = {2: 3, 3: 2, 4: 4, 6: 3}           # where the payload of a message type stands


class Empty(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="empty_value"):
    """A property without a value: of ``lists`` it is an empty list, others are left out."""

    lists: tuple[str, ...] = ()

    def apply(self, text: str) -> str:
        """The text, mended."""
        for name in self.lists:
            text = re.sub(rf'("{re.escape(name)}"\s*:)\s*([,\]}}])', _empty_list, text)
        text = re.sub(r'"[A-Za-z]{1,50}"\s*:\s*,\s*', "", text)
        return re.sub(r',?\s*"[A-Za-z]{1,50}"\s*:\s*(?=[}\]])', "", text)


def _empty_list(found: re.Match[str]) -> str:
    """``:]`` is a list that lost its opening bracket."""
    return f"{found[1]}[{']' if found[2] == ']' else ']' + found[2]}"


class Close(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="close"):
    """Close what was opened and not closed, innermost first."""

    def apply(self, text: str) -> str:
        """The text, mended."""
        waiting: list[str] = []
        out, at = [], 0
        for token in _TOKEN.finditer(text):
            mark = token[0]
            if mark in "[{":
                waiting.append("]" if mark == "[" else "}")
            elif mark in "]}":
                missing = _missing(waiting, mark)
                if missing is None:
                    return text
                out += [text[at : token.start()], missing, mark]
                at = token.end()
        return "".join(out) + text[at:] + "".join(reversed(waiting))


def _missing(waiting: list[str], mark: str) -> str | None:
    """What has to be closed before this bracket closes its own; None when it closes nothing."""
    missing = ""
    while waiting:
        wanted = waiting.pop()
        if wanted == mark:
            return missing
        missing += wanted
    return None


class Control(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="control"):
    """Escape control characters inside of strings."""

    def apply(self, text: str) -> str:
        """The text, mended."""
        return _STRING.sub(lambda string: _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", string[0]), text)


class Mark(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="mark"):
    """Leave a byte order mark out."""

    def apply(self, text: str) -> str:
        """The text, mended."""
        return text.removeprefix("\ufeff")


class Latin(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="latin1"):
    """Read bytes that are no UTF-8 as ISO 8859-1 (the decoding itself is ``decoded``)."""

    def apply(self, text: str) -> str:
        """The text, mended."""
        return text


class DecimalComma(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="number_comma"):
    """A decimal point for the comma in a bare number: ``:6,5`` before ``,`` or a bracket."""

    def apply(self, text: str) -> str:
        """The text, mended."""
        return re.sub(r'(:\s*-?[0-9]+),([0-9]+)(?=\s*[,}\]])', r"\1.\2", text)


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="envelope"):
    """Complete the array of a message. ``parts``: type (1 or a text of a CALL), id (a number as text), payload (missing or
    null), error (elements missing)."""

    parts: tuple[str, ...]

    def apply(self, text: str) -> str:
        """The text, mended."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False) if self._mended(found) else text

    def _mended(self, found: Any) -> bool:
        if not isinstance(found, list) or not 2 <= len(found) <= 5:
            return False
        before = json.dumps(found)
        if "type" in self.parts and (found[0] in ("2", "3", "4") or (found[0] == 1 and len(found) == 4)):
            found[0] = int(found[0]) if isinstance(found[0], str) else 2
        if type(found[0]) is not int or found[0] not in _PLACE:
            return False
        mtype, place = found[0], _PLACE[found[0]]
        if "id" in self.parts and type(found[1]) is int:
            found[1] = str(found[1])
        if "error" in self.parts and mtype == 4 and len(found) >= 3 and isinstance(found[2], str):
            found += ["", {}][len(found) - 3 :]
            found[3] = found[3] if isinstance(found[3], str) else ""
        if "payload" in self.parts and mtype != 4:
            if len(found) == place:
                found.append({})
            elif len(found) == place + 1 and found[place] is None:
                found[place] = {}
        return json.dumps(found) != before


Mend = Empty | Close | Control | Mark | Latin | DecimalComma | Envelope


def said(raw: bytes) -> tuple[str, str]:
    """What a text seems to be: "call" with its action, "answer", or "" when it cannot be told."""
    found = _SAID.match(raw)
    if found is None:
        return "", ""
    if found[1] in (b"3", b"4", b"5"):
        return "answer", ""
    return "call", found[2].decode() if found[2] else ""


def decoded(raw: bytes, mends: Iterable[Mend]) -> str | None:
    """The text of bytes; None when they are no UTF-8 and no mend takes them as something else."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1") if any(isinstance(mend, Latin) for mend in mends) else None


def mended(raw: bytes, mends: tuple[Mend, ...]) -> str | None:
    """What the mends make of a text: an OCPP-J message, or None."""
    text = decoded(raw, mends) if len(raw) <= LONGEST else None
    if text is None:
        return None
    for mend in mends:
        text = mend.apply(text)
    return text if text.encode("utf-8", "replace") != raw and _is_message(text) else None


def _is_message(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, list) or not found or type(found[0]) is not int or found[0] not in _PLACE:
        return False
    place = _PLACE[found[0]]
    return len(found) == place + 1 and isinstance(found[1], str) and isinstance(found[place], dict)
