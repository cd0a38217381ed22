"""Four places, one order, each value with its origin; mistakes with file, line and the nearest known key."""

import json
import sys
from pathlib import Path

import msgspec
import pytest

from ocpp_proxy.cli import settings
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.run import as_settings
from ocpp_proxy.cli.verify import split_listen, verify
from ocpp_proxy.config import Config
from ocpp_proxy.model import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "proxy.toml"
    path.write_text('upstream = "wss://file/"\nlisten = ["1", "2"]\n\n[limits]\nhead_seconds = 5\n\n[rules]\nR05 = "off"\n')
    return path


def test_a_later_place_wins_and_the_origin_is_known(file: Path) -> None:
    environment = {"OCPP_PROXY_LISTEN": "3, 4", "OCPP_PROXY_LIMITS_HEAD_HEADERS": "7", "OCPP_PROXY_RULES_V01": "error"}
    merged = settings.load(str(file), environment, {"listen": ["5"], "handshake": None, "tls.keylog": "k"})
    assert merged.config.upstream == "wss://file/"
    assert merged.config.listen == ("5",)
    assert (merged.config.limits.head_seconds, merged.config.limits.head_headers) == (5.0, 7)
    assert merged.config.rules == {"R05": "off", "V01": "error"}
    assert merged.config.handshake == "mirror"
    assert merged.origins["upstream"] == f"{file}:1"
    assert merged.origins["limits.head_seconds"] == f"{file}:5"
    assert merged.origins["rules.R05"] == f"{file}:8"
    assert merged.origins["limits.head_headers"] == "OCPP_PROXY_LIMITS_HEAD_HEADERS"
    assert merged.origins["listen"] == "command line"
    assert merged.origins["handshake"] == "default"
    assert settings.load(str(file), environment, {}).config.listen == ("3", "4")


def test_the_file_can_be_named_by_the_environment(file: Path) -> None:
    assert settings.load(None, {"OCPP_PROXY_CONFIG": str(file)}, {}).config.upstream == "wss://file/"


MISTAKES = {
    'upsteam = "x"': ":1: upsteam: unknown setting: did you mean upstream?",
    '\n[limits]\nhead_byte = 1': ":3: limits.head_byte: unknown setting: did you mean limits.head_bytes?",
    'keylog = "x"': ":1: keylog: unknown setting: did you mean tls.keylog?",
    'limits = 5': ":1: limits: is a section: write [limits]",
    '[limits]\nhead_bytes = "many"': ":2: limits.head_bytes: expected int, got str",
    'handshake = "strict"': ":1: handshake: invalid enum value 'strict'",
    'listen = "9000"': ":1: listen: expected array, got str",
    '[tls]\ncert = ["a"]\n\nkey = 5': ":4: tls.key: expected array, got int",
    '\n\nx = = 5': ":3: no valid TOML",
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.items(), ids=[text.strip()[:30] for text in MISTAKES])
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings.load(str(path), {}, {})
    assert str(caught.value).startswith(str(path) + told)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text('upsteam = "x"\nhost = "no"\n')
    with pytest.raises(ConfigError) as caught:
        settings.load(str(path), {"OCPP_PROXY_CALL_SECONDS": "soon"}, {"capture.of": "x"})
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["upsteam", "host", "call_seconds", "capture.of"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        settings.load(str(tmp_path / "none.toml"), {}, {})


def test_a_misspelt_variable_is_a_warning_and_foreign_ones_are_none() -> None:
    environment = {"OCPP_PROXY_UPSTREM": "x", "OCPP_PROXY_SERVICE_HOST": "10.0.0.1", "OCPP_PROXY_PORT_9000_TCP": "tcp://x"}
    assert settings.load(None, environment, {}).warnings == [
        "OCPP_PROXY_UPSTREM is no setting and has no effect: did you mean OCPP_PROXY_UPSTREAM?",
    ]


def test_every_setting_has_a_variable_of_its_own() -> None:
    leaves = list(settings.leaves())
    assert len({leaf.variable for leaf in leaves}) == len(leaves) > 30


def test_every_setting_can_be_given_as_text() -> None:
    for leaf in settings.leaves():
        sample = {"capture.off": "true", "rules": "R05=off", "links": "[]", "plugins": "{}"}.get(leaf.key)
        if sample is None:
            sample = leaf.default if isinstance(leaf.default, str) and leaf.default else "1"
        merged = settings.load(None, {}, {leaf.key: sample})
        assert merged.origins[leaf.key] == "command line"


WRONG: dict[str, list[tuple[object, str]]] = {
    "upstream": [("", "for example: ocpp-proxy run wss://"), ("csms.example/x", "did you mean wss://csms.example/x?"),
                 ("ftp://x/", "no valid URL"), ("wss://u:p@x/", "no user and password"), ("ws://x:99999/", "no valid URL"),
                 ("ws://[::1/", "no valid URL")],
    "listen": [(("90000",), "not [HOST:]PORT"), (("host",), "not [HOST:]PORT"), ((), "no port")],
    "links": [([{"isolate": True}], "rule 1: isolate needs a port of its own"),
              ([{}, {"isolate": True, "listen": "host"}], "rule 2: isolate needs a port of its own"),
              ([{"listen": "9001"}], "is for a rule with isolate = true")],
    "allow_from": [(("10.0.0",), "is no network")],
    "connect_to": [(("csms",), "is not HOST:PORT:ADDRESS")],
    "tls.cert": [(("/nowhere.pem",), "0 keys")],
    "tls.client_cert": [("/nowhere.pem", "belong together")],
    "tls.client_ca": [("/nowhere.pem", "client certificate is asked for on TLS only")],
    "tls.upstream_ca": [("/nowhere.pem", "no such file")],
    "limits.head_seconds": [(0, "more than 0")], "limits.links": [(-1, "cannot be negative")],
    "spool.segment_bytes": [(100, "at least 65536")], "call_seconds": [(-1, "more than 0")],
    "rules.r05": [("off", "R05?")], "rules.Q9": [("off", "no finding code")], "rules.R05": [("loud", "none of off, hint")],
}


@pytest.mark.parametrize(("key", "value", "told"), [(key, *case) for key, cases in WRONG.items() for case in cases])
def test_what_types_cannot_say(key: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        verify(settings.load(None, {}, {"upstream": "ws://x/", key: value}))
    assert any(key in line and told in line for line in str(caught.value).splitlines()), str(caught.value)


@pytest.mark.parametrize("flags", [
    {"upstream": "simulate"}, {"upstream": "wss://csms.example:8443/ocpp/{identity}?a=b"},
    {"listen": ["[::1]:9000", "10.0.0.1:80"]}, {"links": [{"isolate": True, "listen": "[::1]:9001"}]},
    {"connect_to": ["csms.example:443:203.0.113.7", "::[::1]:9"]}, {"allow_from": ["192.168.8.0/24", "fd00::/8", "10.1.2.3"]},
])
def test_what_is_right_passes(flags: dict[str, object]) -> None:
    verify(settings.load(None, {}, {"upstream": "ws://x/", **flags}))


def test_a_client_certificate_needs_a_gate(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    flags = {"upstream": "wss://x/", "tls.client_cert": str(pem), "tls.client_key": str(pem)}
    with pytest.raises(ConfigError, match="would be let in at the CSMS"):
        verify(settings.load(None, {}, flags))
    verify(settings.load(None, {}, {**flags, "allow_from": ["10.0.0.0/8"]}))
    verify(settings.load(None, {}, {**flags, "tls.client_ca": str(pem), "tls.cert": [str(pem)], "tls.key": [str(pem)]}))


@pytest.mark.parametrize(("text", "parts"), [
    ("9000", ("", 9000)), (":9000", ("", 9000)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:65535", ("::1", 65535)),
    ("localhost:0", ("localhost", 0)), ("65536", None), ("::1:9000", None), ("", None), ("a b:1", None),
])
def test_listen_forms(text: str, parts: tuple[str, int] | None) -> None:
    assert split_listen(text) == parts


def test_parameters_of_run_become_settings() -> None:
    assert as_settings({"upstream": "u", "no_capture": True, "keep_secrets": False, "listen": None, "tls_cert": ["c"],
                        "setting": ["limits.links=5", "rules.R05 = off"], "config": "f", "status_file": "s"}) == {
        "upstream": "u", "capture.off": True, "tls.cert": ["c"], "limits.links": "5", "rules.R05": " off",
    }
    with pytest.raises(ConfigError, match="two upstreams"):
        as_settings({"upstream": "a", "upstream_option": "b"})
    with pytest.raises(ConfigError, match="key=value"):
        as_settings({"setting": ["x"]})


def test_show_with_origin(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["config", "show", "--origin", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f'upstream = "wss://file/"    # {file}:1' in shown
    assert "[limits]" in shown and "head_bytes = 16384    # default" in shown


def test_what_show_prints_is_a_settings_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["config", "show", "--config", str(file)]) == 0
    again = tmp_path / "again.toml"
    again.write_text(capsys.readouterr().out)
    assert settings.load(str(again), {}, {}).config == settings.load(str(file), {}, {}).config


def test_show_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["config", "show", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"key": "host", "value": "auto", "origin": "default", "variable": "OCPP_PROXY_HOST"} in rows
    assert len(rows) == len(list(settings.leaves()))


def test_check_and_schema(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out.startswith("ok: 4 settings")
    broken = tmp_path / "broken.toml"
    broken.write_text("host = 5\n")
    assert run_app(["config", "check", str(broken)]) == 2
    assert capsys.readouterr().err == f"ocpp-proxy: {broken}:1: host: expected str, got int: 5\n"
    assert run_app(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["$defs"]["Config"]["properties"]) == {field.name for field in msgspec.structs.fields(Config)}
    assert sys.stdout is not None


def test_bridge_is_the_plugin_with_both_versions() -> None:
    assert as_settings({"bridge": "2.0.1:1.6", "plugin": ["redact"]}) == {
        "enable": ["redact", "bridge"], "plugins.bridge.station": "2.0.1", "plugins.bridge.csms": "1.6"}
    with pytest.raises(ConfigError, match=r"--bridge 1\.6:2\.1: write 1\.6:2\.0\.1 or 2\.0\.1:1\.6"):
        as_settings({"bridge": "1.6:2.1"})
