"""The floors hold, and the guard notices when they do not: planted violations in a copy of the tree must fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "ocpp_proxy": "ocpp_proxy",
    "ocpp_proxy_tui": "tui/ocpp_proxy_tui",
    "ocpp_proxy_captures": "captures/ocpp_proxy_captures",
    "ocpp_proxy_plugins": "plugins/ocpp_proxy_plugins",
}

PLANTED = [
    ("core imports relay", "ocpp_proxy/core/planted.py", "import ocpp_proxy.relay\n", "Floors"),
    ("checks imports a clock", "ocpp_proxy/checks/planted.py", "import time\n", "Floors 0-3"),
    ("core reaches duckdb through an unlisted module", "ocpp_proxy/core/planted.py",
     "import ocpp_proxy.planted2\n", "Floors 0-3"),
    ("wire imports its sibling api floor", "ocpp_proxy/wire/planted.py", "import ocpp_proxy.spec\n", "Floors"),
    ("hub knows captures", "ocpp_proxy/hub/planted.py", "import ocpp_proxy_captures\n", "Floors"),
    ("a plugin imports core", "plugins/ocpp_proxy_plugins/planted.py", "import ocpp_proxy.core\n", "Plugins"),
    ("relay imports the tui inside a function", "ocpp_proxy/relay/planted.py",
     "def late() -> None:\n    import ocpp_proxy_tui\n", "Relay and hub"),
    ("relay imports duckdb", "ocpp_proxy/relay/planted.py", "import duckdb\n", "The relay does no"),
]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(tree / part) for part in (".", "tui", "captures", "plugins"))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=110)


def copy_tree(target: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", target)
    for folder in PACKAGES.values():
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_floors_are_kept() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(("path", "code", "contract"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_planted_violation_is_caught(tmp_path: Path, path: str, code: str, contract: str) -> None:
    tree = copy_tree(tmp_path)
    (tree / path).write_text('"""Planted."""\n' + code)
    (tree / "ocpp_proxy/planted2.py").write_text('"""Planted."""\nimport duckdb\n')
    result = lint(tree)
    assert result.returncode != 0, result.stdout
    assert any(contract in line and "BROKEN" in line for line in result.stdout.splitlines()), result.stdout


def test_planted_cycle_is_caught(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    (tree / "ocpp_proxy/wire/one.py").write_text('"""Planted."""\nimport ocpp_proxy.wire.two\n')
    (tree / "ocpp_proxy/wire/two.py").write_text('"""Planted."""\nimport ocpp_proxy.wire.one\n')
    result = lint(tree)
    assert result.returncode != 0, result.stdout
    assert "No cycles between siblings BROKEN" in result.stdout
