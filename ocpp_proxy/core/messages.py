"""From frames to whole messages: joining fragments, inflating, and what a frame then says about its message."""

from ocpp_proxy.core.link_state import Direction, OpenMessage
from ocpp_proxy.model import Frame, Opcode
from ocpp_proxy.wire.deflate import Inflater
from ocpp_proxy.wire.frames import BINARY, CAP, CONTINUATION, RAW, TEXT, WireFrame

NO_TEXT = frozenset((
    "too_large", "partial", "bomb", "inflate", "undecodable", "continuation_without_start", "reserved_opcode", "unreadable",
))
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION)


def message_text(frame: Frame) -> bytes | None:
    """The whole message that ends with this frame; None when none ends here or it could not be put together."""
    if not frame.fin or frame.opcode not in _DATA or frame.raw:
        return None
    if frame.faults and not NO_TEXT.isdisjoint(frame.faults):
        return None
    return frame.text or frame.payload


def follow(direction: Direction, frame: WireFrame, inflater: Inflater | None) -> tuple[bytes, tuple[str, ...]]:
    """Add a frame to the direction's message. Gives ``Frame.text`` and faults that only the whole message shows."""
    if frame.raw:
        return b"", _raw(direction, frame, inflater)
    opcode = frame.opcode
    if opcode > BINARY:
        return b"", ()
    if "resync" in frame.faults:
        direction.message = None
        if inflater is not None:
            inflater.lose("gap")
    compressed = inflater is not None and frame.header[0] & 0x40 != 0
    if opcode != CONTINUATION:
        if frame.fin:
            direction.message = None
            return _whole(OpenMessage(opcode, compressed, parts=[frame.payload]), inflater, False)
        direction.message = OpenMessage(opcode, compressed)
    message = direction.message
    if message is None:
        return b"", ()
    message.size += len(frame.payload)
    if message.size > CAP and not message.cut:
        message.cut, message.parts = "too_large", []
    if not message.cut:
        _add(message.parts, frame.payload)
    if not frame.fin:
        return b"", ()
    direction.message = None
    return _whole(message, inflater, True)


def _add(parts: list[bytes], payload: bytes) -> None:
    if parts and len(parts[-1]) < 4096:         # endless small fragments must not make a list of bytes
        parts[-1] += payload
    else:
        parts.append(payload)


def _raw(direction: Direction, frame: WireFrame, inflater: Inflater | None) -> tuple[str, ...]:
    """A piece of a frame that is not read: its message can never be decoded, nor what was compressed behind it."""
    if frame.opcode > BINARY:
        return ()
    fault = frame.faults[0]
    if frame.opcode in (TEXT, BINARY):
        direction.message = OpenMessage(frame.opcode, inflater is not None and frame.raw[0] & 0x40 != 0)
    message = direction.message
    if message is not None:
        message.cut, message.parts = fault, []
        if frame.fin:
            direction.message = None
    if inflater is not None and (frame.opcode == RAW or (message is not None and message.compressed)):
        inflater.lose(fault)
    return ()


def _whole(message: OpenMessage, inflater: Inflater | None, joined: bool) -> tuple[bytes, tuple[str, ...]]:
    if message.cut:
        if message.compressed and inflater is not None:
            inflater.lose(message.cut)
        return b"", (message.cut,)
    text = message.parts[0] if len(message.parts) == 1 else b"".join(message.parts)
    if message.compressed and inflater is not None:
        text, fault = inflater.inflate(text)
        if fault:
            return text, (fault,)
    elif not joined:
        return b"", ()
    if message.opcode == TEXT and not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return text, ("text_utf8",)
    return text, ()
