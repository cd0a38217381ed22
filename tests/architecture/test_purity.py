"""Floors 0-3 open no file and read no clock, also where an import linter cannot see it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = (
    "model.py", "records.py", "api.py", "config.py", "fields", "escape.py", "source.py", "wire", "spec", "checks", "core",
)
# The one file that reads the installed schemas and our own data files (lazily, cached).
MAY_READ_FILES = {"ocpp_proxy/spec/installed.py"}
CLOCKS = {"now", "today", "utcnow", "time_ns", "monotonic", "perf_counter"}
FILES = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "listdir", "iterdir", "glob", "rglob"}


def pure_files() -> list[Path]:
    roots = [ROOT / "ocpp_proxy" / name for name in PURE]
    return sorted(path for root in roots if root.exists() for path in ([root] if root.is_file() else root.rglob("*.py")))


def calls(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Attribute(attr=name) | ast.Name(id=name):
                    found.append((name, node.lineno))
    return found


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_clock_and_no_file(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    banned = CLOCKS if name in MAY_READ_FILES else CLOCKS | FILES
    assert [(call, line) for call, line in calls(path) if call in banned] == []


def test_the_guard_sees_a_planted_clock(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("from datetime import datetime\nat = datetime.now()\ntext = open('x').read()\n")
    assert {name for name, _ in calls(planted)} & CLOCKS
    assert {name for name, _ in calls(planted)} & FILES


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['ocpp-proxy', '--help']\nfrom ocpp_proxy.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'textual', 'duckdb', 'aiohttp', 'structlog', 'pyarrow'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert result.stderr.strip().splitlines()[-1] == "[]"
    assert "run" in result.stdout
