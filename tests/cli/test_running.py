"""What ``run`` refuses before it starts anything, and what its card says."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from msgspec import structs

from ocpp_proxy import model, records
from ocpp_proxy.cli import display, running
from ocpp_proxy.cli.addresses import Address, charger_urls, own_addresses
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.card import card
from ocpp_proxy.cli.running import refuse_own_listener, refuse_unwritable
from ocpp_proxy.config import CaptureConfig, Config, LinkRule, TlsConfig
from ocpp_proxy.fields import Filter, parse
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import Line
from ocpp_proxy.supervisor import Event

ADDRESSES = [Address("192.168.8.2", "wlan0"), Address("fd00::2", "eth0")]
LINK = model.Link(1, 1, "192.168.8.57:1234", identity="CP1")
INSTANCE = Instance("x", 1, "/run/x", ("[::]:9000",), "wss://csms/", "/var/cap", "/run/x/control.sock")


@pytest.mark.parametrize(("listen", "tls", "urls"), [
    ("[::]:9000", False, ["ws://192.168.8.2:9000/", "ws://[fd00::2]:9000/"]),
    ("9000", True, ["wss://192.168.8.2:9000/", "wss://[fd00::2]:9000/"]),
    ("0.0.0.0:80", False, ["ws://192.168.8.2/"]), ("0.0.0.0:443", True, ["wss://192.168.8.2/"]),
    ("192.168.8.2:9000", False, ["ws://192.168.8.2:9000/"]), ("[fd00::2]:1", False, ["ws://[fd00::2]:1/"]),
    ("127.0.0.1:5", False, ["ws://127.0.0.1:5/"]),
])
def test_the_urls_to_type_in(listen: str, tls: bool, urls: list[str]) -> None:
    found = charger_urls(listen, ADDRESSES, tls)
    assert [plain for _, plain, _ in found] == urls
    assert all(full == plain + "<id>" for _, plain, full in found)


def test_an_address_comes_with_its_interface() -> None:
    assert [interface for interface, _, _ in charger_urls("9000", ADDRESSES, False)] == ["wlan0", "eth0"]
    assert charger_urls("192.168.8.2:1", ADDRESSES, False)[0][0] == "wlan0"


def test_own_addresses_are_not_loopback() -> None:
    assert all(address.text not in ("127.0.0.1", "::1") for address in own_addresses())


def test_the_card_says_all_that_counts() -> None:
    config = Config(upstream="wss://csms/", listen=("9000",))
    text = "\n".join(card(config, INSTANCE, ADDRESSES, False))
    for words in ("listening on [::]:9000", "wlan0    ws://192.168.8.2:9000/   or   ws://192.168.8.2:9000/<id>",
                  "leads to   wss://csms/", "host       auto", "handshake  mirror", "capture    /var/cap", "beyond 10 GiB",
                  "/run/x/control.sock"):
        assert words in text
    both = "\n".join(card(structs.replace(config, tls=TlsConfig(cert=("x",), key=("y",))), INSTANCE, ADDRESSES, False))
    assert "ws://192.168.8.2:9000/" in both and "wss://192.168.8.2:9000/" in both


def test_the_card_names_the_ports_of_isolated_rules() -> None:
    rules = (LinkRule(plugins=("throttle",)), LinkRule(plugins=("./a.py", "faults"), isolate=True, listen="9001"))
    lines = card(Config(links=rules), structs.replace(INSTANCE, isolated=("[::]:9001",)), ADDRESSES, False)
    assert [line for line in lines if "isolated" in line] == ["  isolated   [::]:9001: ./a.py, faults"]
    assert not any("isolated" in line for line in card(Config(), INSTANCE, ADDRESSES, False))


def test_the_card_without_network_capture_or_csms() -> None:
    lonely = "\n".join(card(Config(), structs.replace(INSTANCE, capture=""), [], True))
    assert "no address but loopback" in lonely and "none (--no-capture)" in lonely and "simulated CSMS" in lonely
    assert "one file" in "\n".join(card(Config(), structs.replace(INSTANCE, capture="/x/a.duckdb"), [], False))


@pytest.mark.parametrize("upstream", ["ws://127.0.0.1:9000/", "ws://localhost:9000/x", "ws://[::1]:9000/"])
def test_an_upstream_that_is_this_proxy_is_refused(upstream: str) -> None:
    with pytest.raises(ConfigError, match="would call itself"):
        refuse_own_listener(Config(upstream=upstream, listen=("9000",)))


def test_an_upstream_that_is_the_port_of_an_isolated_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="would call itself"):
        refuse_own_listener(Config(upstream="ws://localhost:9001/", links=(LinkRule(isolate=True, listen="9001"),)))


@pytest.mark.parametrize("upstream", ["ws://127.0.0.1:9001/", "ws://203.0.113.9:9000/", "wss://localhost/"])
def test_another_port_or_machine_is_not(upstream: str) -> None:
    refuse_own_listener(Config(upstream=upstream, listen=("9000",)))


def test_own_address_as_upstream_is_refused() -> None:
    for address in own_addresses():
        with pytest.raises(ConfigError, match="would call itself"):
            refuse_own_listener(Config(upstream=f"wss://{address.host()}/", listen=("443",)))


def test_captures_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "folder.duckdb").mkdir()
    (tmp_path / "file").write_text("")
    wrong = {"none/x.duckdb": "there is no folder", "folder.duckdb": "is a folder", "file": r"ends in \.duckdb",
             "file/x": "cannot write"}
    for name, told in wrong.items():
        with pytest.raises(ConfigError, match=told):
            refuse_unwritable(Config(capture=CaptureConfig(path=str(tmp_path / name))))
    for name in ("x.duckdb", "new", "new/deep"):
        refuse_unwritable(Config(capture=CaptureConfig(path=str(tmp_path / name))))


def test_a_place_without_the_right_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="this user cannot write it"):
        refuse_unwritable(Config(capture=CaptureConfig(path=str(tmp_path / "x.duckdb"))))


@pytest.mark.parametrize(("arguments", "told"), [
    (["run", "csms.example"], "did you mean wss://csms.example?"),
    (["run", "ws://127.0.0.1:9000/"], "would call itself"),
    (["run", "ws://x/", "--capture", "/nowhere/a.duckdb"], "there is no folder"),
    (["run", "ws://x/", "--handshake", "strict"], "handshake"),
    (["run", "ws://x/", "--set", "limits.linx=5"], "did you mean limits.links?"),
    (["run", "wss://x/", "--client-cert", "/etc/hostname", "--client-key", "/etc/hostname"], "--allow-from NETWORK"),
    (["run", "ws://x/", "--listen", "203.0.113.1:9000"], "203.0.113.1"),
])
def test_what_run_refuses(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OCPP_PROXY_RUNTIME", str(tmp_path))
    assert run_app(arguments) == 2
    said = capsys.readouterr()
    assert told in said.err and said.out == ""


def test_waiting_says_how_far_the_first_charger_got() -> None:
    said: list[str] = []
    waiting = display.Waiting(said.append)
    waiting.begin()
    assert "no TCP connection yet" in said[0] and "ocpp-proxy doctor" in said[0]
    opened = model.Link(1, 1, "192.168.8.57:1234")
    waiting.see([Line(records.LinkOpened(opened)), Line(records.LinkOpened(opened))], 100.0)
    waiting.remind(101.0)
    assert len(said) == 1
    for now in (102.0, 103.0):
        waiting.remind(now)
        assert len(said) == 2 and "192.168.8.57 connected, no request" in said[1]
    other = Line(records.LinkOpened(structs.replace(opened, remote="[::9]:1")))
    waiting.see([other, Line(records.Handshake(1, opened))], 104.0)
    waiting.remind(200.0)
    assert waiting.over and len(said) == 2


def test_a_port_scan_does_not_flood_the_screen() -> None:
    said: list[str] = []
    waiting = display.Waiting(said.append)
    waiting.see([Line(records.LinkOpened(model.Link(1, 1, f"10.0.{n // 250}.{n % 250}:1"))) for n in range(1000)], 0.0)
    waiting.remind(100.0)
    assert len(said) == display.HOSTS


def test_the_card_comes_again_when_an_address_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    seen = iter([ADDRESSES, ADDRESSES, ADDRESSES[:1]])
    monkeypatch.setattr(display, "own_addresses", lambda: next(seen))
    monkeypatch.setattr(display, "LOOK_SECONDS", 0)
    shown = display.Display(INSTANCE, lambda: ["the card"], lines=False)
    with pytest.raises(RuntimeError):           # the addresses have run out
        asyncio.run(shown._watch_addresses())
    assert capsys.readouterr().err == "the addresses of this machine have changed:\nthe card\n"


def test_a_display_that_breaks_is_not_seen_as_a_broken_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[Address]:
        raise OSError("no interfaces")

    monkeypatch.setattr(display, "own_addresses", fail)
    shown = display.Display(INSTANCE, lambda: [], lines=False)
    shown.start()
    shown.stop(30)
    assert not shown.is_alive()


def test_after_the_screen_only_what_comes_then_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[object, ...]] = []

    class Recorded:
        def __init__(self, *given: object) -> None:
            made.append(given)

        def start(self) -> None:
            """Nothing to follow here."""

    monkeypatch.setattr(running, "Display", Recorded)
    show = running.Show(Config("ws://csms/"), False, None)
    before = time.time_ns()
    show.event(Event("listening", instance=INSTANCE))
    show._left()
    assert [given[3] == 0 for given in made] == [True, False]       # at the start all lines, then those from now on
    assert before <= int(str(made[1][3])) <= time.time_ns()


@pytest.mark.parametrize(("since_ns", "links", "told"), [
    (0, [LINK], 1), (0, [], 1), (5_000_000_000, [LINK], 0), (5_000_000_000, [], 1),
])
def test_who_left_the_screen_is_not_told_that_nobody_has_come_where_somebody_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], since_ns: int, links: list[model.Link], told: int,
) -> None:
    async def known(source: LiveSource) -> list[model.Link]:
        return links

    async def followed(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(LiveSource, "links", known)
    monkeypatch.setattr(display, "follow_source", followed)
    shown = display.Display(INSTANCE, lambda: [], True, since_ns)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(shown._follow())
    assert capsys.readouterr().err.count("no TCP connection yet") == told


def test_the_display_asks_for_lines_since_the_time_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Asked(LiveSource):
        def __init__(self) -> None:
            """No connection."""

        async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
            asked.append(where)
            return []

    asyncio.run(display.Display(INSTANCE, lambda: [], False, 5_000_000_000)._missed(Asked()))
    assert asked == [parse('time > "1970-01-01T00:00:05.000000Z"')]
