"""OCPP-J messages: text to envelope, with every deviation named. Never raises; the payload stays a slice of the text.

The quick way is for canonical Calls and CallResults (``[2,"id","Action",{..}]``, ``[3,"id",{..}]``); whatever is not like
that goes through ``wire.ocppj_odd``. Source: OCPP-J 1.6 section 4, OCPP 2.0.1 and 2.1 part 4 section 4.
"""

import re

import orjson

from ocpp_proxy.wire.envelope import FAULTS, MAX_DEPTH, MAX_INLINE, NOT_STRICT, Envelope, Refused
from ocpp_proxy.wire.hostile import explain, silent, too_deep
from ocpp_proxy.wire.ocppj_odd import canonical_prefix, odd

__all__ = ["FAULTS", "NOT_STRICT", "Envelope", "Refused", "canonical_prefix", "decode", "load", "rebuild"]

_ID = rb'"([^"\\\x00-\x1f\x7f-\xff]{1,36})"'
_CANONICAL = re.compile(rb'\[(?:2,' + _ID + rb',"([A-Za-z0-9]{1,64})"|3,' + _ID + rb"),(?=\{)").match
_loads, _dumps = orjson.loads, orjson.dumps


def decode(text: bytes) -> Envelope:
    """Decode one message. Any bytes give an envelope."""
    found = _CANONICAL(text)
    if found is None or not text.endswith(b"}]") or (len(text) > 2 * MAX_DEPTH and too_deep(text)):
        return odd(text)
    payload = text[found.end() : -1]
    called, action, answered = found.groups()
    if payload == b"{}":                        # Heartbeats and most answers
        if called is None:
            return Envelope(3, answered.decode(), "", payload, {})
        return Envelope(2, called.decode(), action.decode(), payload, {})
    try:
        value = _loads(payload)
    except orjson.JSONDecodeError:
        return odd(text)
    faults = () if _dumps(value) == payload else silent(payload, value)
    if called is None:
        return Envelope(3, answered.decode(), "", payload, value, b"", b"", "", "", faults)
    return Envelope(2, called.decode(), action.decode(), payload, value, b"", b"", "", "", faults)


def load(payload: bytes) -> object:
    """Decode a payload under the caps; a ``Refused`` value when it is too large, too deep or not JSON. Never raises."""
    if len(payload) > MAX_INLINE:
        return Refused("size")
    if len(payload) > MAX_DEPTH and too_deep(payload):
        return Refused("depth")
    try:
        return _loads(payload)
    except orjson.JSONDecodeError as error:
        return Refused(explain(payload), error.msg, error.pos)


def rebuild(
    mtype: int, message_id: str, action: str, payload: bytes, prefix: bytes = b"", suffix: bytes = b"",
    error_code: str = "", error_desc: str = "",
) -> bytes:
    """The text of a message, byte for byte, from what an envelope (or a stored message) holds."""
    if prefix:
        return prefix + payload + suffix
    if not mtype:
        return payload
    return canonical_prefix(mtype, message_id, action, error_code, error_desc) + payload + b"]"
