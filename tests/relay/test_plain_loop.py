"""Without uvloop: the same relay on asyncio's own loop."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest

from ocpp_proxy.config import Config, TlsConfig
from ocpp_proxy.relay import worker
from tests.relay.certificates import Authority
from tests.relay.stage import PATIENCE, SWITCH, UPGRADE, ends, stage, stream


def test_the_worker_falls_back_to_asyncio_s_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    loop = worker.fast_loop()
    assert type(loop).__module__.startswith("asyncio.")
    loop.close()


def test_tunnel_half_close_and_reset_on_the_plain_loop(tmp_path: Path) -> None:
    async def body() -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith("asyncio.")
        async with stage(tmp_path) as s:
            station, csms = await s.tunnel()
            for number in range(20):
                await station.send(b"up%02d" % number)
                assert await csms.read(4) == b"up%02d" % number
                await csms.send(b"dn%02d" % number)
                assert await station.read(4) == b"dn%02d" % number
            station.half_close()
            assert await csms.rest() == b"" and csms.ended == "fin"
            await csms.send(b"last")
            csms.close()
            assert await station.rest() == b"last"
            near, far = await s.tunnel()
            near.reset()
            assert await far.rest() == b"" and far.ended == "rst"
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == UPGRADE + b"".join(b"up%02d" % number for number in range(20))
            assert stream(records, 1) == SWITCH + b"".join(b"dn%02d" % number for number in range(20)) + b"last"
            assert [end.how for end in ends(records)] == ["fin", "fin"]
            assert [end.how for end in ends(records, 2)] == ["rst", "rst"]

    asyncio.run(body())


def test_a_peer_that_does_not_read_holds_the_other_back_on_the_plain_loop(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station, csms = await s.tunnel()
            leg = s.relay.env.links[1].csms  # type: ignore[attr-defined]  # Member is what the relay needs of a link
            sent, most = 0, 0
            while sent < 64 << 20:
                try:
                    await asyncio.wait_for(station.loop.sock_sendall(station.sock, b"x" * 65536), 0.5)
                except TimeoutError:
                    break
                finally:
                    await asyncio.sleep(0)          # sending alone may take no turn of the loop
                    most = max(most, leg.transport.get_write_buffer_size())
                sent += 65536
            assert sent < 64 << 20 and 0 < most <= 512 << 10
            station.half_close()
            assert len(await csms.rest()) >= sent

    asyncio.run(body())


def test_wss_on_the_plain_loop(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("server")

    def talk(port: int) -> bytes:
        context = ssl.create_default_context(cafile=str(authority.path))
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, context.wrap_socket(
            sock, server_hostname="127.0.0.1",
        ) as secure:
            secure.sendall(UPGRADE + b"\x81\x80abcd")
            got, deadline = b"", time.monotonic() + PATIENCE
            while len(got) < len(SWITCH) + 2 and time.monotonic() < deadline:
                got += secure.recv(4096)
            return got

    async def body() -> None:
        async with stage(tmp_path / "run", Config(host="preserve", tls=TlsConfig(cert=(pem,)))) as s:
            talking = asyncio.create_task(asyncio.to_thread(talk, s.port))
            csms = await s.accept()
            assert await csms.head() == UPGRADE
            await csms.send(SWITCH + b"\x81\x00")
            assert await csms.read(6) == b"\x81\x80abcd"
            assert await talking == SWITCH + b"\x81\x00"
            csms.close()
            await s.no_links()
            assert stream(s.records(), 0) == UPGRADE + b"\x81\x80abcd"

    asyncio.run(body())
