"""Rebuilds wire bytes from what is stored: the text of a message from its columns, the header of a frame from its size.

A capture keeps a byte once. A text frame whose text is the shortest spelling of its message has no payload of its own, a
frame with the shortest possible header has no header of its own; both come back from here, byte for byte.
"""

from msgspec import structs

from ocpp_proxy.model import Frame, Opcode
from ocpp_proxy.wire.frames import unmask

OPCODES = {
    Opcode.CONTINUATION: 0, Opcode.TEXT: 1, Opcode.BINARY: 2, Opcode.CLOSE: 8, Opcode.PING: 9, Opcode.PONG: 10,
}
PAYLOAD, TEXT = 1, 2                        # bits of frames.built


def short_text(mtype: int, message_id: str, action: str, error_code: str, error_desc: str, payload: bytes) -> bytes:
    """The shortest spelling of an OCPP-J message. Raises ``UnicodeEncodeError`` for lone surrogates."""
    if mtype in (2, 6):
        return f'[{mtype},"{message_id}","{action}",'.encode() + payload + b"]"
    if mtype == 3:
        return f'[3,"{message_id}",'.encode() + payload + b"]"
    return f'[{mtype},"{message_id}","{error_code}","{error_desc}",'.encode() + payload + b"]"


def short_header(opcode: Opcode, size: int, masked: bool) -> bytes:
    """The header of an unfragmented frame with ``size`` bytes of payload, without the mask key (RFC 6455 section 5.2)."""
    first, bit = 0x80 | OPCODES[opcode], 0x80 if masked else 0
    if size < 126:
        return bytes((first, bit | size))
    if size < 65536:
        return bytes((first, bit | 126)) + size.to_bytes(2)
    return bytes((first, bit | 127)) + size.to_bytes(8)


def wire_bytes(frame: Frame) -> bytes:
    """The exact bytes of the wire of a frame (of an HTTP frame: head and body)."""
    return frame.raw or frame.header + frame.mask + unmask(frame.payload, frame.mask)


def rebuilt(frame: Frame, built: int, text: bytes) -> Frame:
    """The frame with what ``built`` says filled in from ``text``, the text of its message, and with its header."""
    if built & PAYLOAD:
        frame = structs.replace(frame, payload=text)
    if built & TEXT:
        frame = structs.replace(frame, text=text)
    if not frame.header and not frame.raw and frame.opcode in OPCODES:
        frame = structs.replace(frame, header=short_header(frame.opcode, len(frame.payload), bool(frame.mask)))
    return frame
