"""Where a request goes: upstream URL, request target, Host, identity, --connect-to, --allow-from. Pure functions.

UPSTREAM is what stood in the charger until now: a back end's URL to which the charger appends its identity.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from ocpp_proxy.model import ConfigError, IdentitySource
from ocpp_proxy.wire.http import text_of

_URL = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\[[^\]/?#]*\]|[^:/?#\[\]]*)(?::(\d+))?(/[^?#]*)?(?:\?([^#]*))?(#.*)?", re.DOTALL,
)
_SCHEMES = {"ws": False, "http": False, "wss": True, "https": True}
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Upstream(Struct, frozen=True):
    """A CSMS URL taken apart. ``path`` is empty when the URL has none (a lone ``/`` counts as none)."""

    secure: bool
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def authority(self) -> str:
        """What belongs into Host: the port only when it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}"


class Names(Struct, frozen=True):
    """What this proxy is called: host names (lower case), listen ports, and whether an address is one of ours."""

    hosts: frozenset[str]
    ports: frozenset[int]
    is_own: Callable[[str], bool]


def parse_upstream(text: str) -> Upstream:
    """Take an upstream URL apart; ``ws``, ``wss``, ``http``, ``https`` or no scheme (ws). Raises ``ConfigError``."""
    found = _URL.fullmatch(text.strip())
    scheme = (found[1] or "ws").lower() if found else ""
    if found is None or scheme not in _SCHEMES or not found[2] or found[6] or "@" in found[2] or not text.isascii():
        raise ConfigError(f"upstream {text!r} is no URL like ws://csms.example.com/ocpp (ws:// or wss://, host, port, path)")
    secure = _SCHEMES[scheme]
    port = int(found[3]) if found[3] else 443 if secure else 80
    if not 0 < port < 65536:
        raise ConfigError(f"upstream {text!r}: {port} is no port")
    path = "" if (found[4] or "") == "/" else found[4] or ""
    if re.search(r"[\x00-\x20\x7f]", path + (found[5] or "")):
        raise ConfigError(f"upstream {text!r} holds a blank or a control character; write it percent-encoded")
    return Upstream(secure, found[2].strip("[]"), port, path, found[5] or "")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query (with its ``?``) of a raw request target; an absolute URL loses scheme and authority."""
    found = _ABSOLUTE.match(target)
    path, mark, query = (target[found.end() :] if found else target).partition(b"?")
    return path, mark + query


def last_segment(path: bytes) -> bytes:
    """The last path segment that is not empty, raw: what the charger appended."""
    return path.rstrip(b"/").rpartition(b"/")[2] if path != b"*" else b""


def identity_of(target: bytes, basic_user: str, certificate: str, peer: str) -> tuple[str, IdentitySource]:
    """Who it is: last path segment (unquoted), else Basic user, else certificate CN, else the peer's address (a guess)."""
    segment = last_segment(split_target(target)[0])
    if segment:
        return text_of(unquote_to_bytes(segment)), "path"
    if basic_user:
        return basic_user, "basic"
    if certificate:
        return certificate, "certificate"
    return peer, "peer"


def upstream_target(upstream: Upstream, target: bytes) -> bytes:
    """The target the CSMS gets for the charger's. No upstream path: unchanged; else path + identity, query kept."""
    if not upstream.path and "{" not in upstream.query:
        return target
    path, query = split_target(target)
    segment = last_segment(path)
    own = upstream.path.encode()
    own_query = upstream.query.encode()
    if b"{identity}" in own + own_query or b"{path}" in own + own_query:
        own, own_query = (
            part.replace(b"{identity}", segment).replace(b"{path}", path.lstrip(b"/")) for part in (own, own_query)
        )
    elif segment and last_segment(own) != segment:
        own = own.rstrip(b"/") + b"/" + segment + (b"/" if path.endswith(b"/") else b"")
    if own_query:
        query = b"?" + own_query + (b"&" + query[1:] if len(query) > 1 else b"")
    return (own or b"/") + query


def upstream_host(mode: str, host: bytes | None, upstream: Upstream, names: Names) -> bytes | None:
    """The Host value to send instead of the charger's; None: leave it. ``auto``: only a Host that names this proxy."""
    wanted = upstream.authority.encode()
    if mode == "preserve" or host == wanted:
        return None
    if mode == "rewrite":
        return wanted
    return wanted if host is not None and names_proxy(host, names) else None


def names_proxy(host: bytes, names: Names) -> bool:
    """Whether a Host value means this proxy: one of its addresses, names or listen ports."""
    name, port = split_host(text_of(host))
    if port is not None and port in names.ports:
        return True
    return name.lower().rstrip(".") in names.hosts or (is_address(name) and names.is_own(name))


def split_host(host: str) -> tuple[str, int | None]:
    """``name``, ``name:port`` or ``[v6]:port`` as name and port."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?", host.strip())
    if found is None:
        return host.strip(), None
    return found[1].strip("[]"), int(found[2]) if found[2] else None


@lru_cache(64)
def is_address(text: str) -> bool:
    """Whether it is a literal IP address."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by its spelling."""
    if is_address(host):
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    return host.lower().rstrip(".") == "localhost"


def connect_address(rules: Iterable[str], host: str, port: int) -> tuple[str, int]:
    """Where to dial for ``host:port`` by the first ``HOST:PORT:ADDR[:PORT2]`` that fits (an empty part fits anything).

    Raises ``ConfigError`` on a rule that is none.
    """
    for rule in rules:
        found = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d*):(\[[^\]]*\]|[^:]*|[0-9A-Fa-f:]+:[0-9A-Fa-f:]*)(?::(\d+))?", rule)
        if found is None:
            raise ConfigError(f"connect_to {rule!r} is not HOST:PORT:ADDRESS (an IPv6 address in brackets)")
        name = found[1].strip("[]")
        if (not name or name.lower() == host.lower()) and (not found[2] or int(found[2]) == port):
            return found[3].strip("[]") or host, int(found[4]) if found[4] else port
    return host, port


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of allow_from. Raises ``ConfigError``."""
    out = []
    for text in texts:
        try:
            out.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise ConfigError(f"allow_from {text!r} is no network like 192.168.8.0/24: {error}") from error
    return tuple(out)


def allowed(networks: tuple[Network, ...], address: str) -> bool:
    """Whether a peer address lies in one of the networks; none given: everybody."""
    if not networks:
        return True
    peer = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(peer, "ipv4_mapped", None)
    return any(peer in network or (mapped is not None and mapped in network) for network in networks)
