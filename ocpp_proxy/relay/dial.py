"""Dials the CSMS: resolves per dial, tries the addresses 250 ms apart (RFC 8305), speaks TLS where the URL says so.

A failure is a value with a reason: dns, refused, timeout, loop, tls, closed.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay import route, tls
from ocpp_proxy.relay.environment import Environment, is_own_address
from ocpp_proxy.relay.leg import tune

STAGGER = 0.25
Address = tuple[int, str, int, tuple[Any, ...]]     # family, address, port, sockaddr


class Failure(Struct, frozen=True):
    """Why the CSMS could not be reached: ``reason`` of NOTE upstream_failed, and what the system said."""

    reason: str
    detail: str

    @property
    def text(self) -> str:
        """``reason: detail``."""
        return f"{self.reason}: {self.detail}"


async def dial(env: Environment, factory: Callable[[], asyncio.Protocol], upstream: route.Upstream) -> Failure | None:
    """Connect a protocol to a CSMS within ``limits.dial_seconds``; gives the failure, or None when it is connected."""
    seconds = env.config.limits.dial_seconds
    where = upstream.origin
    try:
        async with asyncio.timeout(seconds):
            found = await _connect(env, upstream)
            if isinstance(found, Failure):
                return found
            return await _attach(env, found, factory, seconds, upstream)
    except TimeoutError:
        return Failure("timeout", f"{where} did not answer the connection within {seconds:g} s")


async def _connect(env: Environment, upstream: route.Upstream) -> socket.socket | Failure:
    host, port = route.connect_address(env.config.connect_to, upstream.host, upstream.port)
    addresses = await _resolve(env.loop, host, port)
    if isinstance(addresses, Failure):
        return addresses
    if any(calls_itself(address[1], address[2], env.listeners) for address in addresses):
        return Failure("loop", f"{host} port {port} is this proxy: the proxy would call itself")
    found = await _race(env.loop, addresses)
    if isinstance(found, socket.socket):
        return found
    words = os.strerror(found.errno) if found.errno else str(found)
    if found.errno == errno.ETIMEDOUT:
        return Failure("timeout", f"{host} port {port}: {words}")
    return Failure("refused", f"{host} port {port}: {words}")


async def _attach(
    env: Environment, sock: socket.socket, factory: Callable[[], asyncio.Protocol], seconds: float, upstream: route.Upstream,
) -> Failure | None:
    try:
        if upstream.secure:
            if env.upstream_tls is None:                # the configured CSMS is none of wss
                env.upstream_tls = tls.upstream_context(env.config.tls)
            await env.loop.create_connection(
                factory, sock=sock, ssl=env.upstream_tls, server_hostname=upstream.host, ssl_handshake_timeout=seconds + 1,
            )
        else:
            await env.loop.create_connection(factory, sock=sock)
    except ConfigError as error:
        sock.close()
        return Failure("tls", str(error))
    except OSError as error:                # ssl.SSLError is one
        sock.close()
        return Failure("tls" if upstream.secure else "closed", tls.why(error))
    except asyncio.CancelledError:
        sock.close()
        raise
    return None


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Address] | Failure:
    try:
        flags = socket.AI_NUMERICHOST if route.is_address(host) else 0
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        return Failure("dns", f"{host}: {error.strerror or error}")
    except UnicodeError:
        return Failure("dns", f"{host} is no host name")
    by_family: dict[int, list[Address]] = {}
    for family, _, _, _, sockaddr in found:
        by_family.setdefault(family, []).append((family, str(sockaddr[0]), port, sockaddr))
    lists = list(by_family.values())
    return [address for group in zip_longest(*lists) for address in group if address is not None]


async def _race(loop: asyncio.AbstractEventLoop, addresses: list[Address]) -> socket.socket | OSError:
    """The first connection that comes about, or the last error."""
    if len(addresses) == 1:
        return await _attempt(loop, addresses[0])
    waiting, tasks = list(addresses), set[asyncio.Task[socket.socket | OSError]]()
    winner: socket.socket | None = None
    error = OSError(errno.EHOSTUNREACH, "no address")
    try:
        while winner is None and (waiting or tasks):
            if waiting:
                tasks.add(loop.create_task(_attempt(loop, waiting.pop(0))))
            done, tasks = await asyncio.wait(
                tasks, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                result = task.result()
                if isinstance(result, OSError):
                    error = result
                elif winner is None:
                    winner = result
                else:
                    result.close()
    finally:
        for task in tasks:
            task.cancel()
    return winner or error


async def _attempt(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket | OSError:
    try:
        sock = socket.socket(address[0], socket.SOCK_STREAM)
    except OSError as error:
        return error
    tune(sock)
    try:
        await loop.sock_connect(sock, address[3])
    except OSError as error:
        sock.close()
        return error
    except asyncio.CancelledError:
        sock.close()
        raise
    return sock


def calls_itself(address: str, port: int, listeners: list[tuple[str, int]]) -> bool:
    """Whether a dial to this address would land on one of our own listeners."""
    for host, own_port in listeners:
        if port == own_port and (address == host or (host in ("", "0.0.0.0", "::") and is_own_address(address))):
            return True
    return False
