"""Each check of the doctor fails where it should, and says what to do."""

import contextlib
import importlib.metadata
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from msgspec import structs

from ocpp_proxy.cli import certificates, checkup, checkup_upstream
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.checkup import Outcome
from ocpp_proxy.config import CaptureConfig, Config, SpoolConfig, TlsConfig

CHOSEN = "HTTP/1.1 101 Switching Protocols\r\nDate: {now}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_PROXY_RUNTIME", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.make(tmp_path_factory.mktemp("tls"), ["localhost"], ["127.0.0.1"])


@contextlib.contextmanager
def peer(answer: str, files: certificates.Files | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives one fixed answer; gives its port and what it was sent."""
    heads: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if files:
        context.load_cert_chain(files.ec, files.ec_key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve() -> None:
            with contextlib.suppress(OSError):
                taken, _ = server.accept()
                with taken, context.wrap_socket(taken, server_side=True) if files else contextlib.nullcontext(taken) as stream:
                    heads.append(stream.recv(65536))
                    stream.sendall(answer.replace("{now}", format_datetime(datetime.now(UTC), usegmt=True)).encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heads
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def ask(answer: str, files: certificates.Files | None = None, ca: bool = True, scheme: str = "") -> dict[str, Outcome]:
    with peer(answer, files) as (port, _):
        config = Config(upstream=f"{scheme or ('wss' if files else 'ws')}://127.0.0.1:{port}/ocpp",
                        tls=TlsConfig(upstream_ca=str(files.ca) if files and ca else ""))
        return {outcome.name: outcome for outcome in checkup_upstream.run(config, "CP 1")}


def only(outcomes: Iterator[Outcome]) -> Outcome:
    found = list(outcomes)
    assert len(found) == 1, found
    return found[0]


def test_versions() -> None:
    assert only(checkup.versions(Config())).state == "ok"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    first = next(checkup.versions(Config(), missing))
    assert (first.state, first.remedy) == ("failed", "pip install --force-reinstall ocpp-proxy")
    old = next(checkup.versions(Config(), lambda name: "0.1"))
    assert old.state == "failed" and old.remedy == "pip install 'duckdb>=1.5.5'"


def test_clock() -> None:
    assert only(checkup.clock(Config())).state == "ok"
    stopped = only(checkup.clock(Config(), lambda: 0.0))
    assert stopped.state == "failed" and "1970-01-01" in stopped.text and "set-ntp" in stopped.remedy


def test_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = only(checkup.ports(Config(listen=(f"127.0.0.1:{port}",))))
        assert busy.state == "failed" and f"sport = :{port}" in busy.remedy
    assert only(checkup.ports(Config(listen=(f"127.0.0.1:{port}",)))).state == "ok"
    foreign = only(checkup.ports(Config(listen=("203.0.113.1:9000",))))
    assert foreign.state == "failed" and "no such address" in foreign.text


def test_a_port_without_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str, port: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkup, "_try_listen", refuse)
    refused = only(checkup.ports(Config(listen=("443",))))
    assert refused.state == "failed" and refused.remedy == "sudo sysctl net.ipv4.ip_unprivileged_port_start=443"


@pytest.mark.parametrize("check", [checkup.disk, checkup.spool])
def test_room(check: Callable[..., Iterator[Outcome]], tmp_path: Path) -> None:
    def free(size: int) -> Outcome:
        return only(check(Config(), lambda folder: size))

    assert (free(1 << 40).state, free(1 << 40).remedy) == ("ok", "")
    least = checkup.CAPTURE_ROOM if check is checkup.disk else checkup.SPOOL_ROOM
    assert (free(least).state, free(least - 1).state, free(least // 10 - 1).state) == ("ok", "warning", "failed")
    assert free(1000).remedy


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    stored = only(checkup.disk(Config(capture=CaptureConfig(path=str(tmp_path / "x.duckdb")))))
    assert stored.state == "failed" and "--no-capture" in stored.remedy
    spooled = only(checkup.spool(Config(spool=SpoolConfig(dir=str(tmp_path)))))
    assert spooled.state == "failed" and "spool.dir" in spooled.remedy


def test_no_capture_needs_no_room() -> None:
    assert list(checkup.disk(Config(capture=CaptureConfig(off=True)))) == []


def test_dns() -> None:
    outcomes = checkup_upstream.run(Config(upstream="wss://nowhere.invalid/"), "CP1")
    assert [(outcome.name, outcome.state) for outcome in outcomes] == [("dns", "failed")]
    assert "--connect-to nowhere.invalid:443:ADDRESS" in outcomes[0].remedy


def test_connect_to_replaces_dns() -> None:
    with peer(CHOSEN) as (port, _):
        config = Config(upstream=f"ws://nowhere.invalid:{port}/", connect_to=(f"nowhere.invalid:{port}:127.0.0.1",))
        assert [outcome.state for outcome in checkup_upstream.run(config, "CP1")] == ["ok"] * 4


def test_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    outcomes = checkup_upstream.run(Config(upstream=f"ws://127.0.0.1:{port}/"), "CP1")
    assert (outcomes[-1].name, outcomes[-1].state) == ("tcp", "failed") and "firewall" in outcomes[-1].remedy


def test_all_is_well_and_the_charger_is_played_well() -> None:
    with peer(CHOSEN) as (port, heads):
        config = Config(upstream=f"ws://127.0.0.1:{port}/ocpp/?a=b")
        outcomes = checkup_upstream.run(config, "CP 1")
    assert [(one.name, one.state) for one in outcomes] == [("dns", "ok"), ("tcp", "ok"), ("clock", "ok"), ("subprotocol", "ok")]
    assert heads[0].startswith(b"GET /ocpp/CP%201?a=b HTTP/1.1\r\n")
    assert b"Sec-WebSocket-Protocol: ocpp2.1, ocpp2.0.1, ocpp1.6\r\n" in heads[0]


def test_tls(files: certificates.Files) -> None:
    assert ask(CHOSEN, files)["tls"].state == "ok"
    unknown = ask(CHOSEN, files, ca=False)
    assert unknown["tls"].state == "failed" and "--upstream-ca" in unknown["tls"].remedy
    assert "subprotocol" not in unknown
    plain = ask("HTTP/1.1 400 Bad Request\r\n\r\n", scheme="wss")
    assert plain["tls"].state == "failed" and "ws://" in plain["tls"].remedy


def test_tls_for_another_name(tmp_path: Path) -> None:
    other = certificates.make(tmp_path, ["other.example"], [])
    refused = ask(CHOSEN, other)["tls"]
    assert refused.state == "failed" and "another address" in refused.remedy


def test_tls_that_expires_soon_and_that_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "VALID", timedelta(days=10))
    assert ask(CHOSEN, certificates.make(tmp_path / "soon", [], ["127.0.0.1"]))["tls"].state == "warning"
    monkeypatch.setattr(certificates, "VALID", timedelta(days=-1))
    expired = ask(CHOSEN, certificates.make(tmp_path / "over", [], ["127.0.0.1"]))["tls"]
    assert expired.state == "failed" and "expired" in expired.text and "renew" in expired.remedy


ANSWERS = {
    "HTTP/1.1 101 Switching Protocols\r\n\r\n": ("subprotocol", "warning", "chooses no subprotocol"),
    "HTTP/1.1 401 Unauthorized\r\n\r\n": ("subprotocol", "warning", "credentials"),
    "HTTP/1.1 404 Not Found\r\n\r\n": ("subprotocol", "warning", "404"),
    "HTTP/1.1 500 \x1b[2JOops\r\n\r\n": ("subprotocol", "failed", "500 \\x1b[2JOops"),
    "SSH-2.0-OpenSSH\r\n\r\n": ("handshake", "failed", "no HTTP"),
    "": ("handshake", "failed", "no HTTP"),
    "HTTP/1.1 101 x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n": ("clock", "warning", "differ by"),
}


@pytest.mark.parametrize(("answer", "told"), ANSWERS.items())
def test_what_the_csms_answers(answer: str, told: tuple[str, str, str]) -> None:
    name, state, words = told
    outcome = ask(answer)[name]
    assert outcome.state == state and words in outcome.text and outcome.remedy


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run_app(["doctor", "--listen", listen, "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows if row["state"] == "failed"] == ["port"]
    assert all(set(row) == {"name", "state", "text", "remedy"} for row in rows)
    assert run_app(["doctor", "--listen", listen]) in (0, 1)
    assert "ok   port" in capsys.readouterr().out


def test_a_remedy_stands_under_what_it_mends(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = checkup.run(structs.replace(Config(), listen=("203.0.113.1:9000",)))
    assert [one.remedy for one in outcomes if one.state == "failed"] == ["see `ip address`"]
    assert run_app(["doctor", "--listen", "203.0.113.1:9000"]) == 1
    assert "                 -> see `ip address`" in capsys.readouterr().out
