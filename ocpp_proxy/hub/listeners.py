"""The listening sockets of `run`: which addresses `--listen` names, and what to do when one cannot be had."""

import errno
import os
import shutil
import socket
import sys
from collections.abc import Sequence

from msgspec import Struct

from ocpp_proxy.model import ConfigError

BACKLOG = 4096                              # the kernel cuts it to its own limit


class Listener(Struct, frozen=True):
    """One listening socket. ``address`` is ``HOST:PORT`` as bound, ``[::]:9000`` for every interface."""

    socket: socket.socket
    address: str
    port: int


def listen(wanted: Sequence[str]) -> list[Listener]:
    """Bind ``[HOST:]PORT`` each; a port alone means every interface, IPv4 and IPv6. Raises ``ConfigError``."""
    found: list[Listener] = []
    try:
        for entry in wanted:
            host, port = _split(entry)
            for family, address in _addresses(entry, host, port):
                found.append(_bind(entry, family, address))
        if not found:
            raise ConfigError("listen: no address is given; use --listen 9000")
    except BaseException:
        for listener in found:
            listener.socket.close()
        raise
    return found


def _split(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise ConfigError(f"listen {entry!r}: [HOST:]PORT is wanted, as 9000, 192.168.8.2:9000 or [::1]:9000")
    return host.strip("[]"), int(port)


def _addresses(entry: str, host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    if not host:
        return [(socket.AF_INET6 if _has_ipv6() else socket.AF_INET, ("", port))]
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"listen {entry!r}: {host} is no address of this machine: {error.strerror}") from error
    return list(dict.fromkeys((int(family), (str(address[0]), port)) for family, _, _, _, address in infos))


def _bind(entry: str, family: int, address: tuple[str, int]) -> Listener:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "" else 1)
        made.bind(address)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ConfigError(f"listen {entry!r}: {_remedy(error, address)}") from error
    host, port = made.getsockname()[:2]
    return Listener(made, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", port)


def _remedy(error: OSError, address: tuple[str, int]) -> str:
    """What stands in the way, and the command that removes it on this system."""
    host, port = address
    if error.errno == errno.EADDRINUSE:
        show = f"ss -ltnp 'sport = :{port}'" if shutil.which("ss") else f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
        return f"port {port} is in use by another program; see which: {show}; stop it, or use --listen {port + 1}"
    if error.errno in (errno.EACCES, errno.EPERM) and port < 1024:
        return f"port {port} needs a right that this user does not have; {_right(port)}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; see which are: {'ip -br addr' if shutil.which('ip') else 'ifconfig'}"
    return error.strerror or str(error)


def _right(port: int) -> str:
    if not sys.platform.startswith("linux"):
        return f"run it with sudo, or listen on 9000 and let the firewall redirect port {port} to it"
    if "INVOCATION_ID" in os.environ:
        return "give it to the systemd unit: AmbientCapabilities=CAP_NET_BIND_SERVICE (then: sudo systemctl daemon-reload)"
    return f"run: sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}"


def _has_ipv6() -> bool:
    """Whether this machine can bind an IPv6 socket (a kernel booted without it cannot)."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        return error.errno == errno.EADDRNOTAVAIL and os.path.exists("/proc/net/if_inet6")
    return True
