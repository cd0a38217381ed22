"""Reads a TLS ClientHello: name, versions, suites. Pure; takes any bytes, gives what it understands.

Source: RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2, RFC 6066 section 3 (server_name).
"""

from msgspec import Struct

HANDSHAKE = 0x16
MAX_HELLO = 16 << 10
_VERSIONS = {0x0300: "SSL3", 0x0301: "TLS1.0", 0x0302: "TLS1.1", 0x0303: "TLS1.2", 0x0304: "TLS1.3"}
_SUITES = {                                 # the ones OCPP names, TLS 1.3's, and what old chargers offer
    0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA", 0x000A: "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}


class ClientHello(Struct, frozen=True):
    """What a client offered. ``complete`` is False when the bytes ended early or made no sense."""

    sni: str = ""
    versions: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    complete: bool = False

    @property
    def text(self) -> str:
        """One line: ``sni=..., versions=..., suites=...``."""
        cut = "" if self.complete else ", incomplete"
        return f"sni={self.sni or '-'}, versions={' '.join(self.versions) or '-'}, suites={' '.join(self.suites) or '-'}{cut}"


def wanted(data: bytes) -> int:
    """How many bytes the first TLS record takes, from its first five; 5 when they are not there yet."""
    return 5 + int.from_bytes(data[3:5], "big") if len(data) >= 5 else 5


def parse(data: bytes) -> ClientHello:
    """Read the first flight of a client. Never raises."""
    body, at = b"", 0
    while at + 5 <= len(data) and data[at] == HANDSHAKE and len(body) < MAX_HELLO:
        end = at + wanted(data[at:])
        body += data[at + 5 : end]
        at = end
    size = int.from_bytes(body[1:4], "big")
    if body[:1] != b"\x01":
        return ClientHello()
    reader = _Reader(body[4 : 4 + size])
    legacy = reader.number(2)
    reader.take(32)
    reader.take(reader.number(1))           # session id
    suites = reader.take(reader.number(2))
    reader.take(reader.number(1))           # compression methods
    sni, versions = _extensions(_Reader(reader.take(reader.number(2)))) if reader.rest else ("", [])
    codes = [int.from_bytes(suites[i : i + 2], "big") for i in range(0, len(suites) - 1, 2)]
    return ClientHello(
        sni, tuple(_name(_VERSIONS, code) for code in versions or [legacy] if not _grease(code)),
        tuple(_name(_SUITES, code) for code in codes if not _grease(code) and code != 0x00FF)[:64],
        len(body) >= 4 + size and not reader.short,
    )


def _extensions(reader: "_Reader") -> tuple[str, list[int]]:
    sni, versions = "", list[int]()
    while reader.rest and not reader.short:
        kind, body = reader.number(2), _Reader(reader.take(reader.number(2)))
        if kind == 0:
            body.take(3)                    # list length, name type
            sni = body.take(body.number(2)).decode("latin-1")
        elif kind == 43:
            listed = body.take(body.number(1))
            versions = [int.from_bytes(listed[i : i + 2], "big") for i in range(0, len(listed) - 1, 2)]
    return sni, versions


def _grease(code: int) -> bool:
    """Values clients put in to keep servers tolerant (RFC 8701)."""
    return code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF


def _name(table: dict[int, str], code: int) -> str:
    return table.get(code, f"0x{code:04X}")


class _Reader:
    """Takes bytes from the front; ``short`` once more was asked for than there was."""

    __slots__ = ("_data", "short")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.short = False

    @property
    def rest(self) -> int:
        return len(self._data)

    def take(self, count: int) -> bytes:
        self.short |= count > len(self._data)
        out, self._data = self._data[:count], self._data[count:]
        return out

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")
