"""The reference pages are what the program is."""

import subprocess
import sys
from pathlib import Path

import pytest

from ocpp_proxy.cli.reference import PAGES
from ocpp_proxy.cli.setting_docs import DOCS
from ocpp_proxy.cli.settings import leaves
from ocpp_proxy.fields import FIELDS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name: str) -> None:
    again = f"write them anew: {sys.executable} -m ocpp_proxy.cli.reference docs/reference"
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), again


def test_every_setting_is_explained_and_no_other() -> None:
    assert set(DOCS) == {leaf.key for leaf in leaves()}


def test_the_pages_name_everything() -> None:
    assert all(f"| `{name}` |" in PAGES["fields.md"]() for name in FIELDS)
    for command in ("run", "tail", "query", "check", "export", "doctor", "cert", "plugins", "version", "demo", "config show"):
        assert f"\n## ocpp-proxy {command}\n" in PAGES["cli.md"]()
    assert "--upstream URL" in PAGES["cli.md"]()


def test_the_script_writes_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "ocpp_proxy.cli.reference", str(tmp_path)], check=True, timeout=60)
    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)
