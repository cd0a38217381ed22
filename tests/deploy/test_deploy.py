"""``deploy/``: what stands there is understood by those it is for, and fits the product and each other.

The image is not built here: that needs a Docker daemon.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ocpp_proxy.cli.settings import load
from ocpp_proxy.config import Config
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub import probe
from ocpp_proxy.plugins import either, rule_of
from ocpp_proxy.supervisor import RECORDER_SECONDS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "ocpp-proxy.service"


# ---- systemd ----

def analyzed(tmp_path: Path, text: str, *words: str) -> tuple[int, str]:
    """What systemd-analyze says of a unit."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "ocpp-proxy.service"
    path.write_text(text)
    done = subprocess.run([tool, *words, str(path)], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def unit() -> str:
    """The unit, with a program that is there."""
    text, found = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    assert found == 1
    return text


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    assert analyzed(tmp_path, unit(), "verify", "--man=no") == (0, "")
    assert "Unknown" in analyzed(tmp_path, unit().replace("KillMode=", "KilMode="), "verify", "--man=no")[1]
    code, said = analyzed(tmp_path, unit(), "security", "--offline=true", "--threshold=20")
    assert code == 0, said                                                  # exposure of at most 2.0 of 10; it is 1.6


def test_the_unit_gives_the_folders_and_the_time_that_the_proxy_needs() -> None:
    settings: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            settings.setdefault(key, []).append(value)
    assert settings["StateDirectory"] == settings["RuntimeDirectory"] == ["ocpp-proxy"] and settings["Environment"] == [
        "XDG_STATE_HOME=%S"]
    assert settings["RuntimeDirectoryPreserve"] == ["yes"] and settings["KillMode"] == ["mixed"]
    # the links drain, then the recorder has its time
    assert int(settings["TimeoutStopSec"][0]) > Config().limits.drain_seconds + 5 + RECORDER_SECONDS
    assert settings["ExecStart"][0].split()[1:] == ["run", "--config", "/etc/ocpp-proxy/ocpp-proxy.toml"]


# ---- containers ----

def dockerfile() -> list[tuple[str, str]]:
    """Instructions and what follows them, in order."""
    found = []
    for line in (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            assert word in ("FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
                            "ENTRYPOINT", "CMD"), line
            found.append((word, rest))
    return found


def compose() -> dict[str, Any]:
    """``compose.yaml``: maps, and lists of plain values, by their indentation; that is all of YAML that stands there."""
    root: dict[str, Any] = {}
    stack: list[tuple[int, Any]] = [(-1, root)]
    lines = [line for line in (DEPLOY / "compose.yaml").read_text().splitlines() if line.strip() and not line.startswith("#")]
    for at, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        while stack[-1][0] >= indent:
            stack.pop()
        holder, text = stack[-1][1], line.strip()
        if text.startswith("- "):
            assert isinstance(holder, list), line
            holder.append(text[2:].strip('"'))
            continue
        key, sign, value = text.partition(":")
        assert sign and isinstance(holder, dict) and key not in holder and (not value or value[0] == " "), line
        if value.strip():
            holder[key] = value.strip().strip('"') if value.strip() != "{}" else {}
        else:
            below = lines[at + 1].lstrip() if at + 1 < len(lines) else ""
            holder[key] = [] if below.startswith("- ") else {}
            stack.append((indent, holder[key]))
    return root


def test_the_image_is_slim_runs_as_nobody_and_holds_what_is_there() -> None:
    lines = dockerfile()
    stages = [rest for word, rest in lines if word == "FROM"]
    assert all("-slim" in one for one in stages) and len(stages) == 2
    for rest in (rest for word, rest in lines if word == "COPY" and not rest.startswith("--from")):
        assert all((ROOT / one).exists() for one in rest.split()[:-1]), rest
    packages = re.search(r"packages = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    copied = {one for word, rest in lines if word == "COPY" for one in rest.split()[:-1]}
    assert packages and {one.strip(' "').split("/")[0] for one in packages[1].split(",")} <= copied
    last = [word for word, _ in lines]
    words = dict(lines)
    assert words["USER"].split(":")[0].isdigit() and words["USER"][0] != "0" and last.index("USER") < last.index("ENTRYPOINT")
    assert words["ENTRYPOINT"] == '["ocpp-proxy"]' and '"ocpp_proxy.hub.probe"' in words["HEALTHCHECK"]
    assert words["CMD"] == '["run", "--config", "/etc/ocpp-proxy/ocpp-proxy.toml"]'


def test_compose_and_image_speak_of_the_same_port_volume_and_file() -> None:
    words, service = dict(dockerfile()), compose()["services"]["ocpp-proxy"]
    assert service["ports"] == [f"{words['EXPOSE']}:{words['EXPOSE']}"] and words["EXPOSE"] in Config().listen
    state, config = service["volumes"]
    assert state == f"state:{words['VOLUME']}" and "state" in compose()["volumes"]
    assert config == "./ocpp-proxy.toml:/etc/ocpp-proxy/ocpp-proxy.toml:ro" and (DEPLOY / "ocpp-proxy.toml").exists()
    folders = dict(pair.split("=", 1) for pair in words["ENV"].split())
    assert folders["OCPP_PROXY_RUNTIME"].startswith(words["VOLUME"])
    assert words["VOLUME"] == f"{folders['XDG_STATE_HOME']}/ocpp-proxy"
    assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"} and service["read_only"] == "true"
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {one for word, rest in dockerfile() if word == "COPY" and "--from" not in rest for one in rest.split()[:-1]}
    assert copied <= {line[1:].split("/")[0] for line in ignored if line.startswith("!")}


# ---- both ----

def test_the_configuration_that_comes_along_bridges_the_one_charger() -> None:
    config = load(str(DEPLOY / "ocpp-proxy.toml"), {}, {}).config
    assert [rule_of(config, *link) is not None for link in (("CP7", "1.6"), ("CP7", "2.0.1"), ("CP8", "1.6"))] == [
        True, False, False]
    installed = either("bridge", config.plugins["bridge"])
    assert isinstance(installed, tuple) and installed[0].on_error == "close"


def test_the_probe_of_a_container_is_red_when_nothing_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(probe, "find_instances", lambda: [])
    assert (probe.main(), capsys.readouterr().out) == (3, "no proxy answers\n")
    found = instances.Instance("a", 1, str(tmp_path), ("0.0.0.0:9000",), control=str(tmp_path / "none.sock"))
    monkeypatch.setattr(probe, "find_instances", lambda: [found])
    assert probe.main() == 1 and capsys.readouterr().out.startswith("0.0.0.0:9000: ")
    for well, said, code in ((True, "all is well", 0), (False, "state: worker 0: disk full", 1)):
        problems: list[str] = [] if well else [said]
        monkeypatch.setattr(probe, "health", lambda one, well=well, problems=problems: (well, problems))
        assert (probe.main(), capsys.readouterr().out) == (code, f"0.0.0.0:9000: {said}\n")
