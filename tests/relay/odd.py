"""The 18 odd handshakes and first frames chargers send, as bytes (baseline and 17 deviations)."""

import struct

from tests.relay.stage import KEY

CALL = b'[2,"1","Heartbeat",{}]'


def head(
    *, line: bytes = b"GET /CP1 HTTP/1.1", eol: bytes = b"\r\n", key: bytes = KEY, drop: tuple[bytes, ...] = (),
    change: tuple[tuple[bytes, bytes], ...] = (), host: bytes = b"127.0.0.1",
) -> bytes:
    """A request head: the baseline, with headers dropped or changed."""
    headers = {
        b"Host": host, b"Upgrade": b"websocket", b"Connection": b"Upgrade", b"Sec-WebSocket-Key": key,
        b"Sec-WebSocket-Version": b"13", b"Sec-WebSocket-Protocol": b"ocpp1.6",
    }
    headers.update(change)
    return eol.join([line, *(name + b": " + value for name, value in headers.items() if name not in drop), b"", b""])


def frame(text: bytes = CALL, first: int = 0x81, mask: bytes | None = b"\x01\x02\x03\x04") -> bytes:
    """One frame, masked unless ``mask`` is None."""
    bit = 0x80 if mask is not None else 0
    size = bytes([bit | len(text)]) if len(text) < 126 else bytes([bit | 126]) + struct.pack(">H", len(text))
    if mask is None:
        return bytes([first]) + size + text
    return bytes([first]) + size + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))


# name -> (head, first frames)
ROWS: dict[str, tuple[bytes, bytes]] = {
    "00 baseline": (head(), frame()),
    "01 no Connection": (head(drop=(b"Connection",)), frame()),
    "02 Connection keep-alive": (head(change=((b"Connection", b"keep-alive"),)), frame()),
    "03 Upgrade in mixed case": (head(change=((b"Upgrade", b"WebSocket"),)), frame()),
    "04 no Upgrade": (head(drop=(b"Upgrade",)), frame()),
    "05 no subprotocol": (head(drop=(b"Sec-WebSocket-Protocol",)), frame()),
    "06 OCPP1.6 in upper case": (head(change=((b"Sec-WebSocket-Protocol", b"OCPP1.6"),)), frame()),
    "07 double slash": (head(line=b"GET //CP1 HTTP/1.1"), frame()),
    "08 blank in the path": (head(line=b"GET /CP 1 HTTP/1.1"), frame()),
    "09 no version": (head(drop=(b"Sec-WebSocket-Version",)), frame()),
    "10 HTTP/1.0": (head(line=b"GET /CP1 HTTP/1.0"), frame()),
    "11 bare LF": (head(eol=b"\n"), frame()),
    "12 short key": (head(key=b"abc"), frame()),
    "13 not masked": (head(), frame(mask=None)),
    "14 RSV1": (head(), frame(first=0xC1)),
    "15 binary": (head(), frame(first=0x82)),
    "16 invalid UTF-8": (head(), frame(b'[2,"1","DataTransfer",{"vendorId":"caf\xe9"}]')),
    "17 two fragments": (head(), frame(CALL[:8], first=0x01) + frame(CALL[8:], first=0x80)),
}

