"""TLS on both legs: one port for ws and wss, suites, versions, refusals with their reason, certificates."""

import asyncio
import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ocpp_proxy.config import Config, TlsConfig
from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay import hello, tls
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Kind
from tests.relay.certificates import Authority
from tests.relay.odd import ROWS
from tests.relay.stage import PATIENCE, SWITCH, UPGRADE, Stage, ends, heads, notes, of, play, stage, stream

OCPP_SUITES = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-GCM-SHA384",
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    yield Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> TlsConfig:
    return TlsConfig(cert=(authority.issue("rsa", kind="rsa"), authority.issue("ec")))


def client(authority: Authority, **changes: object) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path))
    for name, value in changes.items():
        if name == "ciphers":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(str(value))
        elif name == "cert":
            context.load_cert_chain(str(value))
    return context


async def dial(s: Stage, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    dialling = asyncio.open_connection("127.0.0.1", s.port, ssl=context, server_hostname="127.0.0.1")
    return await asyncio.wait_for(dialling, PATIENCE)


def day(authority: Authority, days: int) -> str:
    return (authority.now + datetime.timedelta(days=days)).replace(microsecond=0).isoformat()


async def quit_(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("name", ROWS)
def test_odd_handshakes_over_tls_and_plain_on_one_port(
    tmp_path: Path, authority: Authority, server: TlsConfig, name: str,
) -> None:
    head, frames = ROWS[name]

    async def body() -> None:
        async with stage(tmp_path, Config(host="preserve", tls=server)) as s:
            reader, writer = await dial(s, client(authority))
            writer.write(head + frames)
            csms = await s.accept()
            assert await csms.read(len(head)) == head
            await csms.send(SWITCH + b"\x81\x00")
            assert await reader.readexactly(len(SWITCH) + 2) == SWITCH + b"\x81\x00"
            assert await csms.read(len(frames)) == frames
            csms.close()
            assert await reader.read() == b""
            await quit_(writer)
            plain, far = await s.tunnel()
            plain.close()
            far.close()
            await s.no_links()
            records = s.records()
            assert stream(records, 0) == head + frames and stream(records, 0, 2) == UPGRADE
            opened = spool.decode_body(of(records, Kind.OPEN, link=1)[0])
            assert isinstance(opened, spool.Open) and opened.tls is not None and opened.tls.version == "TLSv1.3"
            (note,) = notes(records, 1)
            assert note.kind == "tls_hello" and "TLS1.3" in note.text and "TLS_AES_256_GCM_SHA384" in note.text

    play(body())


@pytest.mark.parametrize("suite", OCPP_SUITES)
def test_the_four_suites_ocpp_demands(tmp_path: Path, authority: Authority, server: TlsConfig, suite: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(tls=server)) as s:
            _, writer = await dial(s, client(authority, ciphers=suite))
            writer.write(UPGRADE)
            await (await s.accept()).head()
            assert writer.get_extra_info("cipher")[0] == suite
            opened = spool.decode_body(of(s.records(), Kind.OPEN)[0])
            assert isinstance(opened, spool.Open) and opened.tls is not None
            assert (opened.tls.version, opened.tls.cipher) == ("TLSv1.2", suite)
            await quit_(writer)

    play(body())


def old(version: int) -> bytes:
    """A ClientHello of a client that speaks nothing above ``version``."""
    suites = bytes.fromhex("c02bc02f009c002f")
    body = version.to_bytes(2, "big") + bytes(32) + b"\0" + len(suites).to_bytes(2, "big") + suites + b"\x01\x00"
    return b"\x16\x03\x01" + (len(body) + 4).to_bytes(2, "big") + b"\x01" + len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize(("version", "name"), [(0x0301, "TLS1.0"), (0x0302, "TLS1.1")])
def test_old_versions_are_refused_with_their_reason(tmp_path: Path, server: TlsConfig, version: int, name: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(tls=server)) as s:
            station = await s.dial()
            await station.send(old(version))
            assert (await station.rest())[:1] == b"\x15"        # an alert
            station.close()
            await s.no_links()
            records = s.records()
            first, second = notes(records, 1)
            assert first.kind == "tls_hello" and f"versions={name}," in first.text
            assert second.kind == "tls_failed" and "UNSUPPORTED_PROTOCOL" in second.text
            assert stream(records, 0) == old(version) and ends(records)[0].unsent == len(old(version))

    play(body())


def test_a_charger_that_does_not_trust_our_certificate(tmp_path: Path, server: TlsConfig) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(tls=server)) as s:
            def distrust() -> None:         # a thread: uvloop's client would not send the alert
                sock = socket.create_connection(("127.0.0.1", s.port), PATIENCE)
                with sock, pytest.raises(ssl.SSLCertVerificationError):
                    ssl.create_default_context().wrap_socket(sock, server_hostname="127.0.0.1")

            await asyncio.to_thread(distrust)
            await s.no_links()
            assert [note.kind for note in notes(s.records(), 1)] == ["tls_hello", "tls_failed"]
            assert "does not know the CA" in notes(s.records(), 1)[1].text

    play(body())


def test_tls_without_a_certificate_of_ours(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as s:
            station = await s.dial()
            await station.send(old(0x0303))
            assert await station.rest() == b""
            station.close()
            await s.no_links()
            assert [note.kind for note in notes(s.records())] == ["tls_hello", "tls_on_plain"]
            assert stream(s.records(), 0) == old(0x0303)

    play(body())


def test_a_hello_in_pieces_and_a_connection_that_says_nothing(tmp_path: Path, server: TlsConfig) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(tls=server)) as s:
            station = await s.dial()
            data = old(0x0301)
            for at in range(0, len(data), 16):
                await station.send(data[at : at + 16])
                await asyncio.sleep(0.01)
            assert (await station.rest())[:1] == b"\x15"
            silent, cut = await s.dial(), await s.dial()
            silent.close()
            await cut.send(data[:20])
            cut.close()
            station.close()
            await s.no_links()
            records = s.records()
            assert [note.kind for note in notes(records, 1)] == ["tls_hello", "tls_failed"]
            assert stream(records, 0, 1) == data
            assert [note.kind for note in notes(records, 2)] == ["no_head"]
            assert [note.kind for note in notes(records, 3)] == ["tls_hello", "tls_failed"]
            assert stream(records, 0, 3) == data[:20] and notes(records, 3)[0].text.endswith("incomplete")

    play(body())


def test_a_station_certificate_is_demanded_and_named(tmp_path: Path, authority: Authority, server: TlsConfig) -> None:
    settings = TlsConfig(cert=server.cert, client_ca=str(authority.path))
    good = authority.issue("station", cn="CP-CERT", client=True)
    stranger = Authority(tmp_path, "stranger").issue("stranger-leaf", client=True)

    async def body() -> None:
        async with stage(tmp_path / "run", Config(host="preserve", tls=settings)) as s:
            _, writer = await dial(s, client(authority, cert=good))
            writer.write(UPGRADE.replace(b"/CP1", b"/"))
            await (await s.accept()).head()
            assert (heads(s.records())[0].identity, heads(s.records())[0].identity_source) == ("CP-CERT", "certificate")
            (told,) = [note.text for note in notes(s.records(), 1) if note.kind == "station_certificate"]
            assert told == f"CP-CERT; not_after={day(authority, 5)} < test CA; not_after={day(authority, 10)}"
            await quit_(writer)
            for cert in (None, stranger):
                with suppress(OSError):
                    reader, writer = await dial(s, client(authority, cert=cert) if cert else client(authority))
                    writer.write(UPGRADE)
                    with suppress(OSError):
                        assert await reader.read() == b""
                    await quit_(writer)
            plain = await s.dial()
            await plain.send(UPGRADE)
            answer = await plain.rest()
            head, _, words = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ") and b"Content-Length: %d\r\n" % len(words) in head
            plain.close()
            await s.until(lambda: len(of(s.records(), Kind.END, link=4)) == 2)
            records = s.records()
            assert "sent no certificate" in notes(records, 2)[-1].text
            assert notes(records, 3)[-1].kind == "tls_failed" and "certificate refused" in notes(records, 3)[-1].text
            assert [note.kind for note in notes(records, 4)] == ["http_on_tls"]
            (out,) = of(records, Kind.OUT)
            assert (out.link, out.direction, out.data) == (4, spool.CSMS, answer)

    play(body())


def test_addresses_outside_allow_from_are_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(allow_from=("192.0.2.0/24",))) as s:
            station = await s.dial()
            assert await station.rest() == b""
            station.close()
            await s.no_links()
            assert [note.text for note in notes(s.records())] == ["127.0.0.1 is not in allow_from"]

    play(body())


def test_wss_in_and_plain_ws_out_to_another_host_is_refused(tmp_path: Path, authority: Authority, server: TlsConfig) -> None:
    async def body() -> None:
        async with stage(tmp_path, Config(tls=server), "ws://192.0.2.1:{port}") as s:
            reader, writer = await dial(s, client(authority))
            writer.write(UPGRADE)
            assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
            await quit_(writer)
            await s.no_links()
            assert [note.kind for note in notes(s.records(), 1)] == ["tls_hello", "plain_upstream_refused"]

    play(body())


class TlsCsms:
    """A CSMS that answers every upgrade with a 101, over TLS, in a thread (so that its handshake never blocks the loop)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port: int = self.listener.getsockname()[1]
        self.context = context
        self.head = b""
        self.subject: object = None
        self.sni: list[str | None] = []
        context.sni_callback = lambda sock, name, context: self.sni.append(name)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        with suppress(OSError):
            sock, _ = self.listener.accept()
            with sock, self.context.wrap_socket(sock, server_side=True) as secure:
                self.subject = secure.getpeercert()
                while b"\r\n\r\n" not in self.head and (data := secure.recv(4096)):
                    self.head += data
                secure.sendall(SWITCH + b"\x81\x00")
                secure.recv(10)

    def close(self) -> None:
        self.listener.close()
        self.thread.join(PATIENCE)


@asynccontextmanager
async def tls_csms(pem: str, client_ca: str = "") -> AsyncIterator[TlsCsms]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    csms = TlsCsms(context)
    try:
        yield csms
    finally:
        await asyncio.to_thread(csms.close)


def test_a_verified_upstream_with_a_client_certificate(tmp_path: Path, authority: Authority) -> None:
    async def body() -> None:
        settings = TlsConfig(upstream_ca=str(authority.path), client_cert=authority.issue("proxy", cn="proxy", client=True))
        async with tls_csms(authority.issue("csms", hosts=("localhost",)), str(authority.path)) as csms:
            config = Config(upstream=f"wss://localhost:{csms.port}/ocpp", tls=settings, connect_to=("localhost::127.0.0.1",))
            async with stage(tmp_path, config) as s:
                station = await s.dial()
                await station.send(UPGRADE.replace(b"127.0.0.1", b"127.0.0.1:%d" % s.port))
                assert await station.read(len(SWITCH) + 2) == SWITCH + b"\x81\x00"
                assert csms.head.startswith(b"GET /ocpp/CP1 HTTP/1.1\r\nHost: localhost:%d\r\n" % csms.port)
                assert csms.sni == ["localhost"] and "proxy" in str(csms.subject)
                (answer,) = heads(s.records(), 1)
                assert answer.csms_tls is not None and answer.csms_tls.version == "TLSv1.3"
                assert answer.csms_tls.sni == "localhost" and answer.csms_tls.subject == "localhost"
                assert [(note.kind, note.text) for note in notes(s.records())] == [
                    ("own_certificate", f"proxy; not_after={day(authority, 5)}"),
                    ("upstream_certificate",
                     f"localhost; not_after={day(authority, 5)} < test CA; not_after={day(authority, 10)}"),
                ]
                station.close()
                await s.no_links()

    play(body())


BAD = {
    "expired": ({"days": (-5, -2)}, "certificate has expired"),
    "not yet valid": ({"days": (2, 5)}, "not yet valid"),
    "wrong name": ({"hosts": ("other.example",)}, "IP address mismatch"),
    "self-signed": ({"self_signed": True}, "self-signed certificate"),
    "wrong key usage": ({"client": True}, "unsuitable certificate purpose"),
    "unknown CA": ({}, "unable to get local issuer certificate"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_upstream_certificates_are_refused_with_a_named_reason(tmp_path: Path, authority: Authority, name: str) -> None:
    options, reason = BAD[name]
    issuer = Authority(tmp_path, "other CA") if name == "unknown CA" else authority
    pem = issuer.issue("bad-" + name.replace(" ", "-"), **options)  # type: ignore[arg-type]  # one table, several types

    async def body() -> None:
        async with tls_csms(pem) as csms:
            config = Config(upstream=f"wss://127.0.0.1:{csms.port}", tls=TlsConfig(upstream_ca=str(authority.path)))
            async with stage(tmp_path / "run", config) as s:
                station = await s.dial()
                await station.send(UPGRADE)
                answer = await station.rest()
                assert answer.startswith(b"HTTP/1.1 502 ") and reason.encode() in answer
                station.close()
                await s.no_links()
                assert notes(s.records())[0].text.startswith("tls: certificate refused: ") and csms.head == b""

    play(body())


def test_files_that_cannot_be_used_are_named(tmp_path: Path, authority: Authority, server: TlsConfig) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for settings, words in (
        (TlsConfig(cert=("/no/such.pem",)), "cannot read /no/such.pem"),
        (TlsConfig(cert=(str(broken),)), "no certificate with its key"),
        (TlsConfig(cert=server.cert, client_ca=str(broken)), "holds no CA"),
        (TlsConfig(cert=server.cert, ciphers="NOPE"), "names no usable suite"),
        (TlsConfig(client_ca=str(authority.path)), "no tls.cert"),
        (TlsConfig(cert=server.cert, keylog="/no/such/file"), "cannot write"),
    ):
        with pytest.raises(ConfigError, match=words):
            tls.server_context(settings)
    with pytest.raises(ConfigError, match="cannot read"):
        tls.upstream_context(TlsConfig(upstream_ca="/no/such.pem"))
    assert tls.server_context(TlsConfig()) is None


def test_the_keylog_is_private(tmp_path: Path, server: TlsConfig) -> None:
    path = tmp_path / "keys.log"
    assert tls.server_context(TlsConfig(cert=server.cert, keylog=str(path))) is not None
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigError, match="cannot write"):
        tls.server_context(TlsConfig(cert=server.cert, keylog=str(tmp_path / "link")))


def test_any_prefix_of_a_hello_is_read_without_fault() -> None:
    data = old(0x0303)
    for at in range(len(data)):
        assert not hello.parse(data[:at]).complete
    whole = hello.parse(data)
    assert whole.complete and whole.versions == ("TLS1.2",) and whole.suites[0] == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
