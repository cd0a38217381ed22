"""The frame of the command line: the card, help that loads nothing heavy, errors as one text and an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocpp_proxy import __version__, plugins
from ocpp_proxy.cli import run
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.model import CaptureError, ConfigError, PluginError

HEAVY = {"textual", "duckdb", "aiohttp", "structlog", "pyarrow", "lark", "cryptography", "jsonschema_rs", "asyncio"}
COMMANDS = [
    "run", "demo", "tail", "chargers", "tx", "findings", "query", "check", "export", "doctor", "cert", "config", "plugins",
    "intercept", "held", "release", "drop", "edit", "reply", "inject", "disconnect",
    "version",
]


def ocpp_proxy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ocpp_proxy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_alone_it_prints_a_card_of_eight_lines() -> None:
    done = ocpp_proxy()
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 8, "")


def test_without_upstream_one_example_and_exit_2() -> None:
    done = ocpp_proxy("run")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "ocpp-proxy run wss://csms.example/ocpp" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = ("import sys; from ocpp_proxy.cli.app import run_app; code = run_app(sys.argv[1:]);"
            f"loaded = {HEAVY!r} & set(sys.modules); sys.exit(str(loaded) if loaded else code)")
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ocpp-proxy")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {command} " in said for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["version"]) == 0
    assert capsys.readouterr().out == f"ocpp-proxy {__version__}\n"


@pytest.mark.parametrize(("error", "code", "told"), [
    (ConfigError("a\n  b"), 2, "ocpp-proxy: a\n  b\n"), (PluginError("p"), 2, "ocpp-proxy: p\n"),
    (CaptureError("c"), 4, "ocpp-proxy: c\n"), (ConnectionRefusedError("r"), 3, "ocpp-proxy: r\n"),
    (KeyboardInterrupt(), 130, ""),
])
def test_errors_become_one_text_and_an_exit_code(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(run, "as_settings", lambda _: fail())
    assert run_app(["run", "ws://x/"]) == code
    assert capsys.readouterr().err == told


def test_a_wrong_command_and_a_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["rnu"]) == 2
    assert "Did you mean 'run'?" in capsys.readouterr().err
    assert run_app(["tail", "--fliter", "x"]) == 2
    assert "--filter" in capsys.readouterr().err


def test_a_plugin_that_cannot_be_loaded_is_listed_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    info = tmp_path / "demo_plugin-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-plugin\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\nzz-demo = module_that_would_fail:Plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_app(["plugins"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].split()[:3] == ["zz-demo", "demo-plugin:", "module_that_would_fail:Plugin"]
    assert said.err.startswith("plugin zz-demo (module_that_would_fail:Plugin): cannot be loaded: ModuleNotFoundError")


def test_no_plugins_is_said_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(plugins, "GROUP", "ocpp_proxy.no_such_group")
    assert run_app(["plugins"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no plugins installed\n")


def test_a_closed_pipe_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run([sys.executable, "-m", "ocpp_proxy", "config", "schema"], stdout=closed, stderr=subprocess.PIPE,
                              text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr


def test_an_error_that_quotes_a_peer_obeys_no_escape(tmp_path: Path) -> None:
    hostile = "SELECT (chr(27) || ']0;owned' || chr(7) || chr(27) || '[2J')::INTEGER"
    sample = Path(__file__).resolve().parents[2] / "captures" / "samples" / "demo.duckdb"
    done = subprocess.run(
        [sys.executable, "-m", "ocpp_proxy", "query", str(sample), hostile], capture_output=True, check=False, timeout=60,
    )
    assert done.returncode == 2
    assert b"owned" in done.stderr
    assert b"\x1b" not in done.stderr and b"\x07" not in done.stderr
