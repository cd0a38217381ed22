"""The demo through the real processes: it ends by itself, loses nothing, and finds what the checked-in list says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocpp_proxy.demo.report import table, verdict

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = ROOT / "captures" / "samples" / "demo-findings.json"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("demo")
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    environment = {**os.environ, "OCPP_PROXY_RUNTIME": str(runtime), "XDG_STATE_HOME": str(folder / "state")}
    capture = folder / "demo.duckdb"
    command = [sys.executable, "-m", "ocpp_proxy", "demo", "--headless", "--seconds", "1", "--capture", str(capture)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done, capture


def test_it_ends_with_nothing_lost(played: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, capture = played
    assert done.returncode == 0, done.stderr
    assert ", 0 lost" in done.stdout, done.stdout
    assert "HTTP 426 in mirror mode, 101 in lenient mode" in done.stdout
    assert not capture.with_name(capture.name + ".wal").exists()


def test_its_findings_are_the_checked_in_ones(played: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, capture = played
    command = [sys.executable, "-m", "ocpp_proxy", "check", str(capture), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    found = table(json.loads(line) for line in done.stdout.splitlines())
    assert [list(row) for row in found] == json.loads(EXPECTED.read_text())


def test_the_sample_capture_gives_the_same_findings() -> None:
    command = [sys.executable, "-m", "ocpp_proxy", "check", str(EXPECTED.with_name("demo.duckdb")), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    found = table(json.loads(line) for line in done.stdout.splitlines())
    assert [list(row) for row in found] == json.loads(EXPECTED.read_text())


def test_the_verdict_names_whose_fault_it_is() -> None:
    rows = [
        {"blame": "csms", "identity": "CP1", "code": "X01", "message": "transactionId is -1"},
        {"blame": "station", "identity": "CP1", "code": "V05", "message": "Hz"},
    ]
    assert verdict(rows) == [
        "the charger's fault:", "  CP1          V05  Hz", "the CSMS's fault:", "  CP1          X01  transactionId is -1",
    ]


def test_the_verdict_obeys_no_peer() -> None:
    hostile = {"blame": "csms", "identity": "CP\x1b[2J", "code": "X01", "message": "a\nFAKE LINE\x1b]0;t\x07"}
    lines = verdict([hostile])
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
