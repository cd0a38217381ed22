"""Back-pressure on TLS legs: a peer that does not read holds the other side back, with little of it in our memory."""

import array
import asyncio
import fcntl
import socket
import ssl
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from ocpp_proxy.config import Config, TlsConfig
from tests.relay.certificates import Authority
from tests.relay.stage import PATIENCE, SWITCH, UPGRADE, bound, ends, play, stage

HELD = 512 << 10                            # bytes of one direction in user space, at most
BLOCK = b"x" * 65536
FAR_TOO_MUCH = 64 << 20


def queued(sock: socket.socket, which: int) -> int:
    """Bytes in the kernel's send (TIOCOUTQ) or receive queue of a socket."""
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), which, count)
    return count[0]


def push(sock: socket.socket) -> int:
    """Send until nothing is taken for a while; gives how much was."""
    sock.settimeout(0.7)
    sent = 0
    with suppress(TimeoutError, ssl.SSLWantWriteError):
        while sent < FAR_TOO_MUCH:
            sent += sock.send(BLOCK)
    return sent


def head(sock: socket.socket) -> bytes:
    sock.settimeout(PATIENCE)
    got = b""
    while not got.endswith(b"\r\n\r\n") and (data := sock.recv(1)):
        got += data
    return got


def drain(sock: socket.socket, size: int) -> int:
    """Read ``size`` bytes, all of them x."""
    sock.settimeout(PATIENCE)
    got = 0
    while got < size and (data := sock.recv(1 << 18)):
        assert data.count(b"x") == len(data)
        got += len(data)
    return got


def dialled(port: int, context: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    made = context.wrap_socket(sock, server_hostname="127.0.0.1") if context else sock
    made.sendall(UPGRADE)
    return made


def accepted(listener: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    listener.settimeout(PATIENCE)
    sock, _ = listener.accept()
    sock.settimeout(PATIENCE)
    made = context.wrap_socket(sock, server_side=True) if context else sock
    head(made)
    made.sendall(SWITCH)
    return made


@pytest.mark.parametrize("up", [True, False], ids=["charger sends", "CSMS sends"])
@pytest.mark.parametrize("legs", ["wss to ws", "ws to wss", "wss to wss"])
def test_a_peer_that_does_not_read_holds_the_other_back(tmp_path: Path, legs: str, up: bool) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("leaf")
    came, went = legs.split(" to ")
    client = ssl.create_default_context(cafile=str(authority.path)) if came == "wss" else None
    server = None
    if went == "wss":
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
    settings = TlsConfig(cert=(pem,) if client else (), upstream_ca=str(authority.path))

    async def body() -> None:
        with bound() as listener:
            upstream = f"{went}://127.0.0.1:{listener.getsockname()[1]}"
            async with stage(tmp_path / "run", Config(host="preserve", upstream=upstream, tls=settings)) as s:
                csms_task = asyncio.create_task(asyncio.to_thread(accepted, listener, server))
                station = await asyncio.to_thread(dialled, s.port, client)
                csms = await csms_task
                await asyncio.to_thread(head, station)
                sender, reader = (station, csms) if up else (csms, station)
                sent = await asyncio.to_thread(push, sender)
                assert sent < FAR_TOO_MUCH, "the sender was never held back"
                link = s.relay.env.links[1]
                near, far = (link.station, link.csms) if up else (link.csms, link.station)  # type: ignore[attr-defined]
                inner, outer = (leg.transport.get_extra_info("socket") for leg in (near, far))
                in_kernel = queued(sender, termios.TIOCOUTQ) + queued(inner, termios.FIONREAD)
                in_kernel += queued(outer, termios.TIOCOUTQ) + queued(reader, termios.FIONREAD)
                assert sent - in_kernel <= HELD
                got = asyncio.create_task(asyncio.to_thread(drain, reader, sent))
                assert await got == sent    # it goes on, and nothing is missing
                station.close()
                csms.close()
                await s.no_links()
                assert ends(s.records())[int(not up)].read >= sent

    play(body())
