"""The addresses of this machine, with the names of their interfaces, and the URLs to type into a charger."""

import array
import contextlib
import ipaddress
import socket
import struct
import sys
from pathlib import Path

from msgspec import Struct


class Address(Struct, frozen=True):
    """One own address that is not loopback."""

    text: str
    interface: str

    def host(self) -> str:
        """As it stands in a URL."""
        return f"[{self.text}]" if ":" in self.text else self.text


def own_addresses() -> list[Address]:
    """All own addresses but loopback and link-local IPv6 (no charger has a field for a scope), IPv4 first."""
    found = [*_ipv4(), *_ipv6()]
    if not found:
        found = _by_name()
    return list(dict.fromkeys(found))


def charger_urls(listen: str, addresses: list[Address], tls: bool) -> list[tuple[str, str, str]]:
    """``(interface, URL the id is appended to, URL with the id)`` for one listener: what to type into the charger."""
    from ocpp_proxy.cli.verify import split_listen

    host, port = split_listen(listen) or ("", 0)
    scheme, usual = ("wss", 443) if tls else ("ws", 80)
    tail = "" if port == usual else f":{port}"
    fits = addresses if host in ("", "0.0.0.0", "::") else [Address(host, _interface_of(host, addresses))]
    if host == "0.0.0.0":
        fits = [address for address in fits if ":" not in address.text]
    urls = [(address.interface, f"{scheme}://{address.host()}{tail}/") for address in fits]
    return [(interface, url, url + "<id>") for interface, url in urls]


def _interface_of(host: str, addresses: list[Address]) -> str:
    known = {address.text: address.interface for address in addresses}
    return known.get(host, "lo" if host in ("127.0.0.1", "::1", "localhost") else "")


def _ipv4() -> list[Address]:
    """By the SIOCGIFADDR of each interface (Linux)."""
    if not sys.platform.startswith("linux"):
        return []
    import fcntl

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        size = 64 * 40
        buffer = array.array("B", bytes(size))
        with contextlib.suppress(OSError):
            told = fcntl.ioctl(asked, 0x8912, struct.pack("iL", size, buffer.buffer_info()[0]))      # SIOCGIFCONF
            length = struct.unpack("iL", told)[0]
            data = buffer.tobytes()
            for at in range(0, length, 40):
                name = data[at : at + 16].split(b"\0")[0].decode(errors="replace")
                address = socket.inet_ntoa(data[at + 20 : at + 24])
                if not address.startswith("127."):
                    found.append(Address(address, name))
    return found


def _ipv6() -> list[Address]:
    try:
        rows = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []
    found = []
    for row in rows:
        digits, _, _, scope, _, name = row.split()
        if scope == "00":                   # global
            found.append(Address(str(ipaddress.IPv6Address(bytes.fromhex(digits))), name))
    return found


def _by_name() -> list[Address]:
    """What the resolver says of our own name: the fallback where interfaces cannot be listed."""
    with contextlib.suppress(OSError):
        texts = {str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None)}
        return [Address(text, "") for text in sorted(texts) if not ipaddress.ip_address(text.split("%")[0]).is_loopback]
    return []
