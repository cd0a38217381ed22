"""Texts as messages that plugins see, and back. The payload is not decoded here: a plugin does that, if it wants to.

Only what is an OCPP-J message of an ordinary shape is shown to plugins; everything else passes (``read`` gives None).
"""

import re

import msgspec

from ocpp_proxy.api import Call, CallError, CallResult, Message, Send
from ocpp_proxy.wire.envelope import MAX_INLINE
from ocpp_proxy.wire.hostile import too_deep
from ocpp_proxy.wire.ocppj import canonical_prefix, decode

_ID = rb'"([ !#-\[\]-~]{1,36})"'              # printable ASCII but for quotes and backslashes
call_of = re.compile(rb"\[2," + _ID + rb',"([A-Za-z0-9]{1,64})",(?=\{)').match
result_of = re.compile(rb"\[3," + _ID + rb",(?=\{)").match
"""What stands before the payload of an ordinary Call (id, action) and CallResult (id): the text has to end in ``}]``, too."""
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_STRANGE = frozenset((
    "id_not_string", "id_null", "payload_null", "payload_not_object", "shape", "size", "depth", "utf8",
    "surrogate",
))


def read(text: bytes) -> Call | CallResult | CallError | Send | None:
    """The message of a text."""
    if text[-2:] == b"}]":
        found = call_of(text)
        if found is not None:
            message_id, action = found.groups()
            return Call(text[found.end() : -1], action.decode(), message_id.decode())
        found = result_of(text)
        if found is not None:
            return CallResult(text[found.end() : -1], found[1].decode())
    return _odd(text)


def _odd(text: bytes) -> Call | CallResult | CallError | Send | None:
    seen = decode(text)
    if not _STRANGE.isdisjoint(seen.faults):
        return None
    match seen.mtype:
        case 2:
            return Call(seen.payload, seen.action, seen.message_id)
        case 3:
            return CallResult(seen.payload, seen.message_id)
        case 4:
            return CallError(seen.payload or b"{}", seen.error_code, seen.error_desc, seen.message_id)
        case 6:
            return Send(seen.payload, seen.action, seen.message_id)
    return None


def doubtful(message: Message) -> bool:
    """Whether the payload may be no JSON: a quick look, ``malformed`` of the text says for sure."""
    payload = message.payload
    if not payload.isascii() or (len(payload) < MAX_INLINE and too_deep(b"[" + payload)):      # the text nests one deeper
        return True
    try:
        _skip(payload)
    except (msgspec.MsgspecError, RecursionError):
        return True
    return False


def malformed(text: bytes) -> bool:
    """Whether a text is no OCPP-J message: no JSON, no array of an ordinary shape, a type that does not exist."""
    seen = decode(text)
    return not seen.mtype or not _STRANGE.isdisjoint(seen.faults)


def is_result_error(text: bytes) -> bool:
    """Whether a text is a CALLRESULTERROR (OCPP 2.1), which plugins do not see."""
    return decode(text).mtype == 5


def unreadable(text: bytes) -> tuple[str, CallResult | CallError | None]:
    """Of a text that is no message: the id it names, and as good as it can be told the answer it is; None: it is a Call."""
    seen = decode(text)
    match seen.mtype:
        case 2 | 6:
            return seen.message_id, None
        case 3:
            return seen.message_id, CallResult(seen.payload, seen.message_id)
        case 4:
            return seen.message_id, CallError(seen.payload, seen.error_code, seen.error_desc, seen.message_id)
    shown = msgspec.json.encode(text.decode("utf-8", "replace"))
    return seen.message_id, CallError(shown, "unreadable", "the answer is no OCPP-J message", seen.message_id)


def write(message: Message, message_id: str) -> bytes:
    """The text of a message under an id of the engine's. Raises ``TypeError`` or ``ValueError`` when its values are none."""
    if type(message.payload) is not bytes:
        raise TypeError(f"the payload is {type(message.payload).__name__}, not bytes")
    if isinstance(message, Call):           # no ``match``: for every message that is changed
        start = canonical_prefix(2, message_id, _word(message.action))
    elif isinstance(message, CallResult):
        start = canonical_prefix(3, message_id, "")
    elif isinstance(message, CallError):
        start = canonical_prefix(4, message_id, "", _word(message.code), _word(message.description))
    elif isinstance(message, Send):
        start = canonical_prefix(6, message_id, _word(message.action))
    else:
        return message.payload
    return b"".join((start, message.payload, b"]"))


def _word(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text")
    return text
