"""The pictures of the documents are what the application draws; nothing in them is fetched from a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ocpp_proxy.cli.pictures import PICTURES
from tests.tui.tmux import ROOT

FOLDER = ROOT / "docs" / "pictures"
NAMESPACES = {"http://www.w3.org/2000/svg"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, "-m", "ocpp_proxy.cli.pictures", str(folder)], check=True, timeout=110,
                   env={**os.environ, "TERM": "xterm-256color"})
    return folder


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_up_to_date(made: Path, name: str) -> None:
    again = "draw them anew: python -m ocpp_proxy.cli.pictures docs/pictures"
    assert _words(made / f"{name}.svg") == _words(FOLDER / f"{name}.svg"), again


def test_there_are_no_others_and_every_one_is_shown() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.svg" for name in PICTURES}
    shown = (ROOT / "README.md").read_text("utf-8") + (ROOT / "docs" / "tui.md").read_text("utf-8")
    assert all(f"pictures/{name}.svg" in shown for name in PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_fetches_nothing(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text("utf-8")
    assert "font-face" not in text and "@import" not in text and "<script" not in text and "<image" not in text
    assert set(re.findall(r"""(?:xmlns(?::\w+)?|href|src)="(https?:[^"]*)""", text)) <= NAMESPACES
    assert not re.search(r"url\(\s*['\"]?http", text)


def _words(path: Path) -> list[str]:
    """The texts of a picture, in their order."""
    return re.findall(r"<text[^>]*>(.*?)</text>", path.read_text("utf-8"))
