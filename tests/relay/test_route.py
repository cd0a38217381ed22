"""Routing, as tables: targets, Host, identity, --connect-to, loops, allow-list."""

import pytest

from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay import dial, route
from ocpp_proxy.relay.route import Names, Upstream, parse_upstream

TARGETS = [
    # upstream, charger's target, target the CSMS gets
    ("ws://csms", b"/CP1", b"/CP1"),
    ("ws://csms/", b"/ocpp/CP1?a=1", b"/ocpp/CP1?a=1"),
    ("ws://csms", b"//CP1", b"//CP1"),
    ("ws://csms", b"/CP 1", b"/CP 1"),
    ("ws://csms", b"/", b"/"),
    ("ws://csms/ocpp", b"/CP1", b"/ocpp/CP1"),
    ("ws://csms/ocpp/", b"/CP1", b"/ocpp/CP1"),
    ("ws://csms/ocpp", b"/other/path/CP1", b"/ocpp/CP1"),
    ("ws://csms/ocpp", b"/CP%2F1?x=%20", b"/ocpp/CP%2F1?x=%20"),
    ("ws://csms/ocpp", b"/CP1/", b"/ocpp/CP1/"),
    ("ws://csms/ocpp", b"//CP1", b"/ocpp/CP1"),
    ("ws://csms/ocpp", b"/", b"/ocpp"),
    ("ws://csms/ocpp/CP1", b"/CP1", b"/ocpp/CP1"),
    ("ws://csms/ocpp/CP1", b"/CP2", b"/ocpp/CP1/CP2"),
    ("ws://csms/ocpp?k=v", b"/CP1?a=1", b"/ocpp/CP1?k=v&a=1"),
    ("ws://csms/ocpp?k=v", b"/CP1", b"/ocpp/CP1?k=v"),
    ("ws://csms/o/{identity}/ws", b"/x/CP1?a", b"/o/CP1/ws?a"),
    ("ws://csms/o?id={identity}", b"/x/CP1", b"/o?id=CP1"),
    ("ws://csms/new/{path}", b"/x/CP1", b"/new/x/CP1"),
    ("ws://csms/ocpp", b"http://proxy:9000/x/CP1", b"/ocpp/CP1"),
]


@pytest.mark.parametrize(("upstream", "target", "wanted"), TARGETS)
def test_the_target_the_csms_gets(upstream: str, target: bytes, wanted: bytes) -> None:
    assert route.upstream_target(parse_upstream(upstream), target) == wanted


IDENTITIES = [
    (b"/CP1", "", "", ("CP1", "path")),
    (b"/ocpp/CP%201/?q=1", "user", "cn", ("CP 1", "path")),
    (b"/caf\xc3\xa9", "", "", ("café", "path")),
    (b"/", "user", "cn", ("user", "basic")),
    (b"/?x=1", "", "cn", ("cn", "certificate")),
    (b"*", "", "", ("192.168.8.57", "peer")),
    (b"", "", "", ("192.168.8.57", "peer")),
    (b"/..%2F..%2Fetc", "", "", ("../../etc", "path")),
]


@pytest.mark.parametrize(("target", "basic", "certificate", "wanted"), IDENTITIES)
def test_the_identity_and_where_it_comes_from(target: bytes, basic: str, certificate: str, wanted: tuple[str, str]) -> None:
    assert route.identity_of(target, basic, certificate, "192.168.8.57") == wanted


NAMES = Names(frozenset({"laptop", "localhost"}), frozenset({9000}), lambda address: address in ("192.168.8.2", "fe80::1"))
HOSTS = [
    # mode, charger's Host, Host sent on (None: unchanged)
    ("auto", b"192.168.8.2:9000", b"csms.example.com:8080"),
    ("auto", b"192.168.8.2", b"csms.example.com:8080"),
    ("auto", b"[fe80::1]:80", b"csms.example.com:8080"),
    ("auto", b"LAPTOP", b"csms.example.com:8080"),
    ("auto", b"some.name:9000", b"csms.example.com:8080"),
    ("auto", b"some.name", None),
    ("auto", b"10.0.0.9", None),
    ("auto", b"csms.example.com:8080", None),
    ("auto", None, None),
    ("preserve", b"192.168.8.2:9000", None),
    ("rewrite", b"some.name", b"csms.example.com:8080"),
    ("rewrite", None, b"csms.example.com:8080"),
    ("rewrite", b"csms.example.com:8080", None),
]


@pytest.mark.parametrize(("mode", "host", "wanted"), HOSTS)
def test_the_host_the_csms_gets(mode: str, host: bytes | None, wanted: bytes | None) -> None:
    assert route.upstream_host(mode, host, Upstream(False, "csms.example.com", 8080), NAMES) == wanted


def test_upstream_urls() -> None:
    assert parse_upstream("wss://h") == Upstream(True, "h", 443)
    assert parse_upstream("h:9000/p?q") == Upstream(False, "h", 9000, "/p", "q")
    assert parse_upstream("https://[::1]:8443/") == Upstream(True, "::1", 8443)
    assert parse_upstream("ws://[::1]:81").authority == "[::1]:81"
    assert parse_upstream("wss://h").origin == "wss://h"
    for wrong in ("", "ftp://h", "ws://", "ws://h:99999", "ws://h:0", "ws://u:p@h", "ws://h/a b", "ws://h/p#f", "ws://hé"):
        with pytest.raises(ConfigError):
            parse_upstream(wrong)


CONNECT = [
    ((), ("h", 80)),
    (("h:80:10.0.0.1",), ("10.0.0.1", 80)),
    (("H:80:10.0.0.1",), ("10.0.0.1", 80)),
    (("h:81:10.0.0.1",), ("h", 80)),
    (("other:80:10.0.0.1", "::10.0.0.2"), ("10.0.0.2", 80)),
    (("h:80:[::1]",), ("::1", 80)),
    (("h:80:10.0.0.1:8080",), ("10.0.0.1", 8080)),
    ((":80:",), ("h", 80)),
]


@pytest.mark.parametrize(("rules", "wanted"), CONNECT)
def test_connect_to(rules: tuple[str, ...], wanted: tuple[str, int]) -> None:
    assert route.connect_address(rules, "h", 80) == wanted


def test_a_connect_to_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="connect_to 'nonsense'"):
        route.connect_address(("nonsense",), "h", 80)


def test_a_dial_that_would_land_on_our_own_listener() -> None:
    assert dial.calls_itself("127.0.0.1", 9000, [("127.0.0.1", 9000)])
    assert dial.calls_itself("127.0.0.1", 9000, [("0.0.0.0", 9000)])
    assert dial.calls_itself("::1", 9000, [("::", 9000)])
    assert not dial.calls_itself("127.0.0.1", 9001, [("0.0.0.0", 9000)])
    assert not dial.calls_itself("192.0.2.1", 9000, [("0.0.0.0", 9000)])
    assert not dial.calls_itself("127.0.0.2", 9000, [("127.0.0.1", 9000)])


def test_the_allow_list() -> None:
    networks = route.parse_networks(("192.168.8.0/24", "::1"))
    assert route.allowed(networks, "192.168.8.57") and route.allowed(networks, "::ffff:192.168.8.57")
    assert route.allowed(networks, "::1") and not route.allowed(networks, "10.0.0.1")
    assert route.allowed((), "10.0.0.1")
    with pytest.raises(ConfigError, match="allow_from 'x'"):
        route.parse_networks(("x",))


def test_loopback_by_spelling() -> None:
    assert all(map(route.is_loopback, ("localhost", "127.3.2.1", "::1")))
    assert not any(map(route.is_loopback, ("csms", "10.0.0.1", "localhost.evil.com")))
