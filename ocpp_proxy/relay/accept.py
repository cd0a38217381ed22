"""Takes connections from the listeners: limits, allow-list, first byte (TLS or not), then hands over to the HTTP phase.

Accepting stops before descriptors run out, so the loop never spins on EMFILE; dials then wait in the backlog. A new dial
over the half-open quota pushes out the oldest connection that has sent no complete head.
"""

import asyncio
import contextlib
import resource
import socket
import sys
import time

from msgspec import structs

from ocpp_proxy.relay import hello, route, tls, validity
from ocpp_proxy.relay.environment import Environment, tls_of
from ocpp_proxy.relay.handshake import HttpPhase
from ocpp_proxy.relay.leg import tune
from ocpp_proxy.relay.link import Link
from ocpp_proxy.wire.http_edit import mask_authorization
from ocpp_proxy.wire.spool import CSMS, STATION, Kind

AT_ONCE = 64                                # connections taken per listener and loop turn
RESERVE = 64                                # descriptors that are never given to links
OPEN_SECONDS = 1.0                          # a connection that stays silent that long is shown without its TLS
HELLO_POLL = 0.02
HTTP_ON_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 49\r\nConnection: close\r\n\r\n"
    b"ocpp-proxy: this port speaks TLS only, use wss://"
)


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one; gives the limit that now holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


class Acceptor:
    """Accepts on inherited, listening sockets. ``most`` is how many links may live at once."""

    def __init__(self, env: Environment, listeners: list[socket.socket], descriptors: int) -> None:
        self.env = env
        self.listeners = listeners
        fitting = max(1, (descriptors - RESERVE) // 2)
        self.most = min(fitting, env.config.limits.links or fitting)
        self.paused = True
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._said = 0.0
        env.on_link_closed = self._room
        for listener in listeners:
            listener.setblocking(False)

    def start(self) -> None:
        """Take connections."""
        self.paused = False
        for listener in self.listeners:
            self.env.loop.add_reader(listener.fileno(), self._ready, listener)

    def stop(self) -> None:
        """Take no more; dials wait in the backlog of the listener."""
        if not self.paused:
            self.paused = True
            for listener in self.listeners:
                self.env.loop.remove_reader(listener.fileno())

    async def close(self) -> None:
        """Stop, and end what is still being looked at."""
        self.env.on_link_closed = lambda: None
        self.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ready(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if len(self.env.links) >= self.most:
                self._full(f"{self.most} links, the limit of this relay")
                return
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:         # gone before it was taken
                continue
            except OSError as error:        # EMFILE, ENFILE, ENOBUFS: someone else holds the descriptors
                self._full(error.strerror or str(error))
                self.env.loop.call_later(0.5, self._room)
                return
            self._take(sock, address, listener)

    def _full(self, why: str) -> None:
        """Stop accepting until a link ends; say so at most once a second."""
        self.stop()
        self.env.refused += 1
        now = time.monotonic()
        if now - self._said >= 1:
            self._said = now
            self.env.note("refused", f"accepting paused: {why}")
            print(f"ocpp-proxy relay: accepting paused: {why}", file=sys.stderr, flush=True)

    def _room(self) -> None:
        if self.paused and not self.env.draining and len(self.env.links) < self.most:
            self.start()

    def _take(self, sock: socket.socket, address: tuple[str, int], listener: socket.socket) -> None:
        env = self.env
        self._number += 1
        env.accepted += 1
        host, port = str(address[0]), address[1]
        name = f"[{host}]" if ":" in host else host
        link = Link(env, self._number, f"{name}:{port}", _name(listener))
        env.half_open[link.number] = link
        if len(env.half_open) > env.config.limits.half_open:
            oldest = next(iter(env.half_open))
            env.half_open.pop(oldest)
            env.refused += 1
            env.note("refused", f"pushed out: more than {env.config.limits.half_open} connections without a request", oldest)
            env.links[oldest].shut("refused")
        tune(sock)
        task = env.loop.create_task(self._admit(link, sock, host))
        self._tasks.add(task)
        link.admission = task
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, link: Link, sock: socket.socket, host: str) -> None:
        """From an accepted socket to a station leg with its HTTP phase."""
        env = self.env
        try:
            if not route.allowed(env.networks, host):
                link.open()
                env.note("refused", f"{host} is not in allow_from", link.number)
                link.how = "refused"
            elif env.server_tls is None:
                link.open()
                await self._attach(link, sock, host, False)
                return
            else:
                await self._tls_or_not(link, sock, host)
                return
        except (OSError, asyncio.CancelledError) as error:
            link.how = link.how or ("rst" if isinstance(error, OSError) else "shutdown")
        if link.station.closed:
            sock.close()
            link.finish()

    async def _attach(self, link: Link, sock: socket.socket, host: str, secure: bool) -> None:
        HttpPhase(link, host)
        context = self.env.server_tls if secure else None
        seconds = self.env.config.limits.head_seconds if secure else None
        await self.env.loop.connect_accepted_socket(lambda: link.station, sock, ssl=context, ssl_handshake_timeout=seconds)

    async def _tls_or_not(self, link: Link, sock: socket.socket, host: str) -> None:
        """Look at the first bytes without taking them: 0x16 begins a TLS handshake."""
        env = self.env
        opening = env.loop.call_later(OPEN_SECONDS, link.open)
        try:
            async with asyncio.timeout(env.config.limits.head_seconds):
                first = await _peek(env.loop, sock)
        except TimeoutError:
            first = b""
            link.how = "timeout"
        except OSError:
            first = b""
            link.how = "rst"
        finally:
            opening.cancel()
        if first[:1] == b"\x16":
            await self._handshake(link, sock, host, first)
        elif first and not env.config.tls.client_ca:
            link.open()
            await self._attach(link, sock, host, False)
        else:
            link.open()
            if first:
                self._http_on_tls(link, sock)
            else:
                if not link.how:
                    link.how, link.first = "fin", STATION
                env.note("no_head", f"{link.how}, 0 bytes seen", link.number)
            sock.close()
            link.finish()

    def _http_on_tls(self, link: Link, sock: socket.socket) -> None:
        """Plain HTTP where a station certificate is demanded: answered 400, recorded."""
        data = b""
        with contextlib.suppress(OSError):
            data = sock.recv(self.env.config.limits.head_bytes)
        shown = data if self.env.config.capture.keep_secrets else mask_authorization(data)
        link.record(STATION, Kind.IN, shown, len(shown))
        link.not_sent(STATION, len(shown))
        self.env.note("http_on_tls", "plain HTTP where a station certificate is demanded", link.number)
        self.env.turn.add(Kind.OUT, CSMS, link.number, 0, HTTP_ON_TLS)
        self.env.turn.flush()
        with contextlib.suppress(OSError):
            sock.send(HTTP_ON_TLS)
            sock.shutdown(socket.SHUT_WR)
        link.how = "refused"

    async def _handshake(self, link: Link, sock: socket.socket, host: str, first: bytes) -> None:
        env = self.env
        error: Exception | None = None
        offered = hello.parse(first)
        spare = sock.dup()                  # the loop closes a failed connection without the alert that says why
        try:
            link.station.on_made = lambda: self._secured(link, offered)
            await self._attach(link, sock, host, True)
        except OSError as found:            # ssl.SSLError is one; TimeoutError too
            error = found
            with contextlib.suppress(OSError):
                spare.send(tls.alert(env.server_tls, first))
        finally:
            spare.close()
        if error is None:
            return
        sock.close()
        link.open()
        link.record(STATION, Kind.IN, first, len(first))
        link.not_sent(STATION, len(first))
        env.note("tls_hello", offered.text, link.number)
        env.note("tls_failed", tls.why(error), link.number)
        link.how = "error"
        link.finish()

    def _secured(self, link: Link, offered: hello.ClientHello) -> None:
        """The TLS handshake is done; runs before the first byte inside it is read."""
        found = tls_of(link.station.transport)
        link.station_tls = found and structs.replace(found, sni=offered.sni)
        link.open()
        self.env.note("tls_hello", offered.text, link.number)
        shown = validity.chain_text(validity.peer_chain(link.station.transport))
        if shown:
            self.env.note("station_certificate", shown, link.number)


async def _peek(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """The first bytes of a connection, left in the socket: one byte, or a whole TLS record if it begins one."""
    data = b""
    while not data:
        try:
            data = sock.recv(hello.MAX_HELLO, socket.MSG_PEEK)
            if not data:
                return b""
        except BlockingIOError:
            await _readable(loop, sock)
    while data[:1] == b"\x16" and len(data) < min(hello.wanted(data), hello.MAX_HELLO):
        await asyncio.sleep(HELLO_POLL)     # readable already: waiting for readiness would spin
        more = sock.recv(hello.MAX_HELLO, socket.MSG_PEEK)
        if len(more) == len(data) and _ended(sock):
            return data
        data = more
    return data


def _ended(sock: socket.socket) -> bool:
    """Whether the peer has closed its direction (a peeked socket does not show it while bytes are left)."""
    state = getattr(socket, "TCP_INFO", None)
    if state is None:
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, state, 1)[0] not in (1, 2, 3)     # ESTABLISHED, SYN_SENT, SYN_RECV


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready = loop.create_future()
    loop.add_reader(sock.fileno(), _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
