"""Memory of the relay per idle connection whose two legs are TLS, each leg having said something.

    python -m bench.tls_idle --links 400 --rounds 3

Station and CSMS are in this process. Each link sends one Heartbeat and gets its answer, so that buffers that are made for the
first bytes are there.
"""

import argparse
import asyncio
import ssl
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench.processes import LOOPBACK, PYTHON, end, environment, free_ports, remove, resident, settle, spawn, stages, wait_said
from tests.peers.websocket import TEXT, frame, mask_key, request, switching

CALL, ANSWER = b'[2,"1","Heartbeat",{}]', b'[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]'
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def certify(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A CA and a server's certificates; what a CSMS and a station need of them."""
    made = [PYTHON, "-m", "ocpp_proxy", "cert", "--ip", LOOPBACK, "-o", str(folder)]
    subprocess.run(made, check=True, env=environment(folder), stdout=subprocess.DEVNULL)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server-ec.pem", folder / "server-ec.key")
    return server, ssl.create_default_context(cafile=str(folder / "ca.pem"))


def command(folder: Path, port: int, upstream: int) -> list[str]:
    """The proxy, TLS on both sides."""
    return [
        PYTHON, "-m", "ocpp_proxy", "run", f"wss://{LOOPBACK}:{upstream}/ocpp", "--listen", f"{LOOPBACK}:{port}",
        "--tls-cert", str(folder / "server-ec.pem"), "--tls-key", str(folder / "server-ec.key"),
        "--upstream-ca", str(folder / "ca.pem"), "--capture", str(folder / "c.duckdb"),
    ]


async def csms(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one upgrade, and every Call after it alike."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(switching())
    while await reader.read(4096):
        writer.write(frame(TEXT, ANSWER))
    writer.close()


async def connect(port: int, number: int, context: ssl.SSLContext) -> Ends:
    """A link that is up, behind its first exchange."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
    writer.write(request(f"/ocpp/CP{number}"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(frame(TEXT, CALL, key=mask_key(number)))
    assert (await reader.readexactly(len(frame(TEXT, ANSWER)))).endswith(ANSWER)
    return reader, writer


async def measure(links: int) -> float:
    """KiB a leg."""
    folder = Path(tempfile.mkdtemp(prefix="ocpp-bench-"))
    upstream, port = free_ports(2)
    server, client = certify(folder)
    proxy = None
    listening = await asyncio.start_server(csms, LOOPBACK, upstream, ssl=server, backlog=links)
    try:
        proxy = spawn(command(folder, port, upstream), 1, folder, "product")
        await asyncio.to_thread(wait_said, proxy, "listening", folder / "product.log")
        (relay,) = [pid for pid, stage in stages(proxy.pid).items() if stage == "relay"]
        first = [await connect(port, number, client) for number in range(20)]       # what every process makes once
        await asyncio.to_thread(settle, [relay], 20)
        before = resident(relay)
        rest = [await connect(port, number, client) for number in range(20, 20 + links)]
        await asyncio.to_thread(settle, [relay], 20)
        grown = resident(relay) - before
        for _, writer in first + rest:
            writer.transport.abort()
        return grown / links / 2 / 1024
    finally:
        listening.close()
        await asyncio.to_thread(end, proxy)
        remove(folder)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seen = [asyncio.run(measure(options.links)) for _ in range(options.rounds)]
    print(f"TLS on both sides, {options.links} idle links, {options.rounds} rounds: relay "
          f"{statistics.median(seen):.1f} KiB ({min(seen):.1f}-{max(seen):.1f}) a leg")


if __name__ == "__main__":
    main()
