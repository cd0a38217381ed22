"""The template that strangers copy: its test passes and can fail, its metadata fits, installed it is found by its name."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "plugins" / "template"
PROJECT = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = [str(folder), *(str(ROOT / name) for name in ("", "tui", "captures", "plugins"))]
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


def test_its_test_passes_and_finds_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
    plugin = folder / "ocpp_proxy_interval.py"
    plugin.write_text(plugin.read_text().replace('"interval": context.options.seconds', '"interval": 1'))
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 1 and "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr


def test_its_metadata_fits_the_project() -> None:
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    project = PROJECT["project"]
    assert project["dependencies"] == [own["name"]]
    assert project["requires-python"] == own["requires-python"]
    (file,) = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    (point,) = project["entry-points"]["ocpp_proxy.plugins"].values()
    assert point.split(":")[0] == Path(file).stem and (TEMPLATE / file).is_file()
    assert (TEMPLATE / project["readme"]).is_file()


def test_installed_it_is_found_by_its_name(tmp_path: Path) -> None:
    """As an installer leaves it: the module, and a folder with what pyproject.toml says."""
    project = PROJECT["project"]
    shutil.copy(TEMPLATE / "ocpp_proxy_interval.py", tmp_path)
    info = tmp_path / f"ocpp_proxy_interval-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["ocpp_proxy.plugins"]
    (info / "entry_points.txt").write_text("[ocpp_proxy.plugins]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    done = run(tmp_path, "-m", "ocpp_proxy", "plugins", "interval", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["name"], row["hooks"]) == ("interval", "on_answer on_close") and "ocpp-proxy-interval" in row["origin"]
