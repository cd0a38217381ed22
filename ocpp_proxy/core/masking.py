"""Owns the masking of credentials: what must not reach a capture becomes a keyed pseudonym, ``secret_`` and 8 hex digits.

The same secret gives the same pseudonym under one key, so equality can still be seen. Only messages that may hold a
secret are looked into; everything else keeps its bytes. What was masked is marked: it is no longer what was on the wire.
"""

import hashlib
import hmac
import re
from copy import deepcopy

import orjson
from msgspec import UNSET, structs

from ocpp_proxy.model import Frame
from ocpp_proxy.records import Audited, Lost, PluginFinding
from ocpp_proxy.spec import actions
from ocpp_proxy.spec.terms import may_hold_secrets, secret_places, secret_spans
from ocpp_proxy.wire.http_edit import mask_authorization
from ocpp_proxy.wire.ocppj import Envelope

_TEXT = re.compile(rb'("(?:[^"\\]|\\.)*")(\s*:)?', re.DOTALL)      # a string; followed by a colon it is a name, no value
_SOAP_KEY = re.compile(
    rb"(<(?:\w+:)?key>\s*(?:AuthorizationKey|\w*[Pp]assword\w*)\s*</(?:\w+:)?key>(?:(?!</?(?:\w+:)?key>).)*?<(?:\w+:)?value>)([^<]+)",
    re.DOTALL,
)


class Masker:
    """Replaces credentials. ``key``: secret of the capture, any bytes; pseudonyms of two keys have nothing in common."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def pseudonym(self, secret: str) -> str:
        """The stand-in for a secret."""
        digest = hmac.new(self._key, secret.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
        return f"secret_{digest[:8]}"

    def message(self, text: bytes, envelope: Envelope, action: str) -> bytes | None:
        """The text of a message without its credentials; None when there are none. ``action`` also for answers."""
        answer = envelope.mtype not in (2, 6)
        if envelope.mtype in (2, 3, 6) and envelope.value is not UNSET:
            if not actions.versions(action):
                action = ""                             # a misspelt or unknown action: every rule is tried
            if not may_hold_secrets(action, answer):
                return None
            payload = self._payload(envelope, action, answer)
            if payload is None:
                return None
            start = len(envelope.prefix) if envelope.prefix else len(text) - 1 - len(envelope.payload)
            return text[:start] + payload + text[start + len(envelope.payload) :]
        if envelope.mtype in (4, 5) and not (may_hold_secrets(action, False) or may_hold_secrets(action, True)):
            return None
        return self.text(text)

    def text(self, raw: bytes) -> bytes | None:
        """Any text without what looks like a credential in it; None when nothing does."""
        words = raw.decode("latin-1")               # one character a byte: positions and all other bytes stay
        spans = secret_spans(words)
        if not spans:
            return None
        parts, at = [], 0
        for start, end in spans:
            parts += [words[at:start], self.pseudonym(words[start:end])]
            at = end
        return "".join([*parts, words[at:]]).encode("latin-1")

    def found(self, record: PluginFinding) -> PluginFinding:
        """A finding of a plugin, without what looks like a credential in its words."""
        message = self._words(record.message)
        return record if message == record.message else structs.replace(record, message=message)

    def told(self, record: Audited | Lost) -> Audited | Lost:
        """What a person did, or what got lost, without what looks like a credential in its words."""
        if isinstance(record, Lost):
            return structs.replace(record, reason=self._words(record.reason))
        return structs.replace(record, detail=self._words(record.detail), outcome=self._words(record.outcome))

    def _words(self, words: str) -> str:
        before, brace, after = words.partition("{")
        payload = self._told_payload(brace + after) if brace else ""
        clean = self.text((before + payload).encode("utf-8", "surrogatepass"))
        return before + payload if clean is None else clean.decode("utf-8", "surrogatepass")

    def _told_payload(self, text: str) -> str:
        """A payload in a sentence: nobody says of which action. One that is cut may hold anything: it is left out."""
        try:
            value = orjson.loads(text)
        except ValueError:
            return "{…" if '"' in text else text
        places = [place for place in secret_places("", False, value) if place.value not in ("", None)]
        for place in places:
            place.put(self._new(place.value, place.how))
        return orjson.dumps(value).decode() if places else text

    def _payload(self, envelope: Envelope, action: str, answer: bool) -> bytes | None:
        places = [place for place in secret_places(action, answer, envelope.value) if place.value not in ("", None)]
        if not places:
            return None
        if "duplicate_keys" in envelope.faults or any(not isinstance(place.value, str) for place in places):
            value = deepcopy(envelope.value)        # a value the decoder let win hides others: write it anew
            for place in secret_places(action, answer, value):
                place.put(self._new(place.value, place.how))
            return orjson.dumps(value)
        changes = {str(place.value): self._new(place.value, place.how) for place in places}
        return _TEXT.sub(lambda found: found[0] if found[2] else _swap(found[1], changes), envelope.payload)

    def _new(self, value: object, how: str) -> str:
        words = value if isinstance(value, str) else orjson.dumps(value).decode()
        if how == "value":
            return self.pseudonym(words)
        parts, at = [], 0
        for start, end in secret_spans(words):
            parts += [words[at:start], self.pseudonym(words[start:end])]
            at = end
        return "".join([*parts, words[at:]])

    def head(self, frame: Frame) -> Frame:
        """An HTTP head (and its body bytes) without credentials."""
        header = mask_authorization(frame.header) if frame.header else b""
        text = mask_authorization(frame.text) if frame.text else b""
        payload = _SOAP_KEY.sub(self._soap, frame.payload) if b"key>" in frame.payload else frame.payload
        if header == frame.header and text == frame.text and payload == frame.payload:
            return frame
        return structs.replace(frame, header=header, text=text, payload=payload, masked=True)

    def _soap(self, found: re.Match[bytes]) -> bytes:
        return found[1] + self.pseudonym(found[2].decode("latin-1")).encode()


def _swap(token: bytes, changes: dict[str, str]) -> bytes:
    try:
        old = orjson.loads(token) if b"\\" in token else token[1:-1].decode()
    except (ValueError, UnicodeDecodeError):
        return token
    new = changes.get(old)
    return token if new is None else orjson.dumps(new)


def masked_frame(frame: Frame, text: bytes) -> Frame:
    """The frame that ends a message, with the masked text of the message in place of its own."""
    if frame.text:
        return structs.replace(frame, payload=b"", text=text, masked=True)
    return structs.replace(frame, payload=text, masked=True)


def blanked(frame: Frame) -> Frame:
    """A fragment of a message that holds a secret, or that could not be looked into: without its payload."""
    return structs.replace(frame, payload=b"", text=b"", masked=True)


def veiled(token: str) -> str:
    """A charging token as a screen shows it that others may see: enough to tell two apart, not enough to copy one."""
    return f"{token[:2]}…{token[-2:]}" if len(token) > 6 else "…" if token else ""
