"""Redaction for hand-over: personal data become keyed pseudonyms of the same length and kind of characters.

One value has one pseudonym in one export, so equality can still be seen; the key is made for the export and kept nowhere.
What cannot be decoded is replaced character by character, since it may hold anything.
"""

import hashlib
import hmac
import re

import orjson
from msgspec import structs

from ocpp_proxy.model import Frame, Link, Message
from ocpp_proxy.records import Line, MessageSeen
from ocpp_proxy.spec.sensitive import personal_places
from ocpp_proxy.wire import ocppj
from ocpp_proxy_captures.envelope import short_header, short_text

_LOWER, _UPPER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
_WORD = re.compile(rb"[0-9A-Za-z\x80-\xff]+")


class Redactor:
    """Replaces what tells a person, a charger or a place. ``key``: any bytes; two keys have nothing in common."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def word(self, value: str) -> str:
        """The pseudonym: letters become letters, digits digits, the first not 0; everything else stays."""
        stream = self._stream(value, len(value))
        out = []
        for place, (char, byte) in enumerate(zip(value, stream, strict=True)):
            if char.isdigit():
                out.append(_DIGITS[1 + byte % 9] if place == 0 else _DIGITS[byte % 10])
            elif char.isalpha():
                out.append((_UPPER if char.isupper() else _LOWER)[byte % 26])
            else:
                out.append(char)
        return "".join(out)

    def payload(self, payload: bytes) -> bytes:
        """The JSON text with its personal values replaced; scrambled when it cannot be decoded."""
        value = ocppj.load(payload)
        if isinstance(value, ocppj.Refused):
            return self.scrambled(payload)
        holder = [value]
        places = personal_places(holder)
        for place in places:
            place.put(self._value(place.value))
        return orjson.dumps(holder[0]) if places else payload

    def scrambled(self, data: bytes) -> bytes:
        """Bytes with every word replaced; length and punctuation stay."""
        return _WORD.sub(lambda found: self.word(found[0].decode("latin-1")).encode("latin-1", "replace"), data)

    def line(self, line: Line) -> Line | None:
        """The line of a message, redacted; None for lines that are none (heads and notes hold addresses)."""
        if not isinstance(line.record, MessageSeen):
            return None
        message = self.message(line.record.message)
        findings = tuple(structs.replace(
            finding, identity=message.identity, message="(redacted)") for finding in line.findings)
        return Line(MessageSeen(message), findings, self.frame(line.frame, message) if line.frame else None)

    def message(self, message: Message) -> Message:
        """A message without personal data. Its envelope is spelt anew where it held free text."""
        decoded = message.mtype != 0
        return structs.replace(
            message, identity=self.word(message.identity), id_token=self.word(message.id_token),
            message_id=self.word(message.message_id), error_desc=self.word(message.error_desc),
            payload=self.payload(message.payload) if decoded else self.scrambled(message.payload),
            prefix=b"", suffix=b"", masked=True)

    def frame(self, frame: Frame, message: Message) -> Frame:
        """The frame that would have carried the redacted message."""
        text = spelled(message)
        return structs.replace(
            frame, header=short_header(frame.opcode, len(text), bool(frame.mask)), payload=text, raw=b"", text=b"", masked=True)

    def link(self, link: Link) -> Link:
        """A link without addresses and names."""
        return structs.replace(link, identity=self.word(link.identity), remote="", target="", upstream="", listener="",
                               station_tls=None, csms_tls=None)

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.word(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(self.word(str(value)))
        return None

    def _stream(self, value: str, size: int) -> bytes:
        out = b""
        for block in range(0, size, 32):
            text = f"{block}:{value}".encode("utf-8", "surrogatepass")
            out += hmac.new(self._key, text, hashlib.sha256).digest()
        return out[:size]


def spelled(message: Message) -> bytes:
    """The text of a message; where the shortest spelling is not possible, with escapes."""
    if message.mtype == 0 or message.prefix or message.suffix:
        return message.prefix + message.payload + message.suffix
    parts = (message.message_id, message.action, message.error_code, message.error_desc)
    one, two, three, four = (orjson.dumps(part.encode("utf-8", "replace").decode()).decode()[1:-1] for part in parts)
    return short_text(message.mtype, one, two, three, four, message.payload)
