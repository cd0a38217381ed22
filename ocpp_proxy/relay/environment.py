"""What all links of one relay share: configuration, the turn, the route, the TLS contexts, who is connected."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from ocpp_proxy.config import Config
from ocpp_proxy.core.seats import Chain, Limit, NoLimit
from ocpp_proxy.model import TlsInfo
from ocpp_proxy.relay import route, validity
from ocpp_proxy.relay.choosing import Chooser
from ocpp_proxy.relay.state_store import StateStore
from ocpp_proxy.relay.turn import Turn
from ocpp_proxy.wire.spool import Kind, NoteBody


class Member(Protocol):
    """A link, as the relay sees it."""

    number: int

    def shut(self, how: str) -> None:
        """End it from our side."""

    def abort(self, how: str) -> None:
        """End it from our side, at once."""

    def not_sent(self, direction: int, count: int) -> None:
        """Bytes of that direction could not be handed over."""


class Environment:
    """Shared by all links. ``links`` is by number; ``half_open`` holds those without a complete head, oldest first."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop, turn: Turn, listeners: list[tuple[str, int]]) -> None:
        """Raises ``ConfigError`` when the upstream or a network cannot be read."""
        self.config = config
        self.loop = loop
        self.turn = turn
        self.listeners = listeners
        self.upstream = route.parse_upstream(config.upstream)
        self.networks = route.parse_networks(config.allow_from)
        route.connect_address(config.connect_to, "", 0)         # a rule that cannot be read is named at start
        self.names = route.Names(_own_names(), frozenset(port for _, port in listeners), is_own_address)
        self.server_tls: ssl.SSLContext | None = None
        self.upstream_tls: ssl.SSLContext | None = None
        self.told = validity.Told()
        self.links: dict[int, Member] = {}
        self.half_open: dict[int, Member] = {}
        self.accepted = self.refused = self.failed_writes = 0
        self.draining = False
        self.framing = False                # whether new tunnels may be switched to frame mode
        self.chain: Callable[[str, str], Chain | None] | None = None     # identity, subprotocol: the plugins of a link
        self.limit: Limit = NoLimit()       # of their hooks
        self.chooser: Chooser | None = None     # where plugins can be switched while links are open
        self.states: StateStore             # of their States
        self.on_plugged: Callable[[Any], None] = lambda plugged: None      # a link has plugins, or a person's hands
        self.on_link_closed: Callable[[], None] = lambda: None

    def note(self, kind: str, text: str = "", link: int = 0, direction: int = 0, identity: str = "") -> None:
        """Append a NOTE."""
        self.turn.body(Kind.NOTE, direction, link, NoteBody(kind, text, identity))

    def certificate(self, kind: str, text: str, link: int = 0, direction: int = 0) -> None:
        """Note a chain of certificates, unless it was noted within a day."""
        if text and self.told.news(f"{kind} {text}", self.loop.time()):
            self.note(kind, text, link, direction)

    def forget(self, number: int) -> None:
        """A link is over."""
        self.links.pop(number, None)
        self.half_open.pop(number, None)
        self.on_link_closed()


def is_own_address(address: str) -> bool:
    """Whether an address belongs to this machine: only then something can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, f"{name}.local", "localhost"} - {""})


def tls_of(transport: asyncio.BaseTransport) -> TlsInfo | None:
    """What a TLS leg agreed on; None on plain TCP."""
    found = transport.get_extra_info("ssl_object")
    if found is None:
        return None
    cipher = found.cipher()
    subject = subject_of(found.getpeercert())
    return TlsInfo(found.version() or "", cipher[0] if cipher else "", found.server_hostname or "", subject)


def subject_of(certificate: object) -> str:
    """The CN of a peer certificate as ``getpeercert`` gives it; empty without one."""
    if not isinstance(certificate, dict):
        return ""
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""
