"""The patient half of message decoding: every OCPP-J text that is not canonical, from a blank to a bomb.

Works on a copy of equal length in which a byte order mark is blanks and, where the text is not UTF-8, every high byte is
``?``: so every position holds in the original, and slices of it stay byte-identical.
"""

import re

import msgspec
import orjson
from msgspec import UNSET

from ocpp_proxy.wire.envelope import MAX_ID, MAX_INLINE, Envelope
from ocpp_proxy.wire.hostile import explain, lenient, silent, too_deep

_BOM = b"\xef\xbb\xbf"
_ASCII = bytes(range(128)) + b"?" * 128
_START = re.compile(
    rb'\s*\[\s*"?([2-6])"?\s*,\s*"([^"\\\x00-\x1f]{0,1024})"\s*(?:,\s*"([^"\\\x00-\x1f]{0,128})"\s*)?,\s*',
)
_END = re.compile(rb"\s*\]\s*\Z")
_BETWEEN = re.compile(rb"[\s,]*")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|,', re.DOTALL)
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
MAX_ELEMENTS = 64            # an array with more is no message, and not worth cutting up
_PAYLOAD_AT = {2: 3, 3: 2, 4: 4, 5: 4, 6: 3}        # place of the payload; the array ends behind it


def odd(text: bytes) -> Envelope:
    """Decode a message of any kind. Never raises."""
    if len(text) > MAX_INLINE:
        return _large(text)
    faults: dict[str, None] = {}
    clean = text
    if text.startswith(_BOM):
        faults["bom"] = None
        clean = b"   " + text[3:]
    try:
        clean.decode()
    except UnicodeDecodeError:
        faults["utf8"] = None
        clean = clean.translate(_ASCII)
    if too_deep(clean):
        return _unreadable(text, clean, (*faults, "depth"), "nested too deep", -1)
    try:
        value = orjson.loads(clean)
        more = silent(clean, value)
    except orjson.JSONDecodeError as error:
        read = lenient(clean)
        if read is None or not read[1]:
            return _unreadable(text, clean, (*faults, explain(clean)), error.msg, error.pos)
        value, more = read
    faults.update(dict.fromkeys(more))
    if not isinstance(value, list):
        return Envelope(0, payload=text, faults=(*faults, "shape"))
    return _array(text, clean, value, faults)


def canonical_prefix(mtype: int, message_id: str, action: str, error_code: str = "", error_desc: str = "") -> bytes:
    """The text before the payload as a message has it that was written without blanks and escapes."""
    parts: tuple[object, ...] = (mtype, message_id)
    if mtype in (2, 6):
        parts = mtype, message_id, action
    elif mtype in (4, 5):
        parts = mtype, message_id, error_code, error_desc
    return orjson.dumps(parts)[:-1] + b","


def _array(text: bytes, clean: bytes, values: list[object], faults: dict[str, None]) -> Envelope:
    """The envelope of a JSON array."""
    spans = _spans(clean, len(values)) if 2 <= len(values) <= MAX_ELEMENTS else []
    if not spans or len(spans) != len(values):
        return Envelope(0, payload=text, faults=(*faults, "shape"))
    mtype = _type(values[0], faults)
    place = _PAYLOAD_AT.get(mtype, 2)
    texts = [_text(value, clean, span) for value, span in zip(values[:place], spans, strict=False)]
    message_id = _id(values[1], texts[1], faults)
    texts += [""] * 4
    if not mtype:
        return Envelope(0, message_id, payload=text, faults=tuple(faults))
    _shape(mtype, values, place, faults)
    action = texts[2] if mtype in (2, 6) else ""
    code, desc = (texts[2], texts[3]) if mtype in (4, 5) else ("", "")
    if place >= len(values):
        return Envelope(mtype, message_id, action, b"", UNSET, text, b"", code, desc, tuple(faults))
    start, end = spans[place]
    prefix, suffix = text[:start], text[end:]
    if suffix == b"]" and "surrogate" not in faults and prefix == canonical_prefix(mtype, message_id, action, code, desc):
        prefix = suffix = b""
    value = UNSET if "surrogate" in faults else values[place]
    return Envelope(mtype, message_id, action, text[start:end], value, prefix, suffix, code, desc, tuple(faults))


def _type(value: object, faults: dict[str, None]) -> int:
    if type(value) is int and 2 <= value <= 6:
        return value
    if value in ("2", "3", "4", "5", "6") or (type(value) is float and value in (2.0, 3.0, 4.0, 5.0, 6.0)):
        faults["type_not_integer"] = None
        return int(value)
    faults["type_unknown"] = None
    return 0


def _text(value: object, clean: bytes, span: tuple[int, int]) -> str:
    """An element as text: a string's value, the JSON text of anything else."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()        # a lone surrogate becomes ?
    return clean[slice(*span)].decode()


def _id(value: object, text: str, faults: dict[str, None]) -> str:
    """The message id as text, judged."""
    if value is None:
        faults["id_null"] = None
    elif not isinstance(value, str):
        faults["id_not_string"] = None
    elif not value:
        faults["id_empty"] = None
    elif len(value) > MAX_ID:
        faults["id_long"] = None
    return text


def _shape(mtype: int, values: list[object], place: int, faults: dict[str, None]) -> None:
    """Judge number and types of the elements behind the id."""
    if mtype in (4, 5) and len(values) == place:
        faults["details"] = None
    elif len(values) != place + 1:
        faults["shape"] = None
    if not all(isinstance(value, str) for value in values[2:place]):
        faults["shape"] = None
    if place < len(values) and not isinstance(values[place], dict):
        if mtype in (4, 5):
            faults["details"] = None
        else:
            faults["payload_null" if values[place] is None else "payload_not_object"] = None


def _spans(clean: bytes, count: int) -> list[tuple[int, int]]:
    """Where the elements of a JSON array begin and end."""
    try:
        raws = [bytes(raw) for raw in _raws(clean)]
    except (msgspec.MsgspecError, RecursionError):
        raws = []
    if len(raws) != count:
        return _scan(clean)
    spans, at = [], clean.index(b"[") + 1
    for raw in raws:
        found = _BETWEEN.match(clean, at)
        start = found.end() if found else at
        at = start + len(raw)
        spans.append((start, at))
    return spans


def _scan(clean: bytes) -> list[tuple[int, int]]:
    """The same for texts only the tolerant decoder takes."""
    cuts, level = [], 0
    for token in _TOKEN.finditer(clean):
        first = token[0]
        if first in (b"[", b"{"):
            level += 1
            if level == 1:
                cuts.append(token.end())
        elif first in (b"]", b"}"):
            level -= 1
            if level == 0:
                cuts.append(token.start())
        elif first == b"," and level == 1:
            cuts += [token.start(), token.end()]
    spans = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=True):
        piece = clean[start:end]
        spans.append((start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())))
    return [] if len(spans) == 1 and spans[0][0] >= spans[0][1] else spans


def _unreadable(text: bytes, clean: bytes, faults: tuple[str, ...], error: str, at: int) -> Envelope:
    """Not decodable: the whole text, with the id and action its beginning shows."""
    found = _START.match(clean)
    if found is None:
        return Envelope(0, payload=text, faults=faults, error=error, error_at=at)
    action = found[3].decode() if found[1] in b"26" and found[3] else ""
    return Envelope(0, found[2].decode(), action, text, faults=faults, error=error, error_at=at)


def _large(text: bytes) -> Envelope:
    """Over the cap: only the first bytes are read; the payload is cut out unread."""
    head = text[:4096]
    found = _START.match(head)
    end = _END.search(text, len(text) - 64)
    if found is None or end is None or found[1] not in b"236" or (found[1] == b"3") == bool(found[3]):
        return Envelope(0, payload=text, faults=("size",))
    mtype, start, stop = int(found[1]), found.end(), end.start()
    message_id, action = found[2].decode("utf-8", "replace"), (found[3] or b"").decode("utf-8", "replace")
    faults = ("size", *(["id_empty"] if not message_id else ["id_long"] if len(message_id) > MAX_ID else []))
    prefix, suffix = text[:start], text[stop:]
    if suffix == b"]" and prefix == canonical_prefix(mtype, message_id, action):
        prefix = suffix = b""
    return Envelope(mtype, message_id, action, text[start:stop], UNSET, prefix, suffix, "", "", faults)
