"""Documents cannot drift: what README, docs and ARCHITECTURE name exists, and every command, module and setting is named."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
DOCS = [*PAGES, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]


def commands_in(text: str) -> set[str]:
    """The ocpp-proxy command lines of a page, without what a reader has to fill in."""
    found = re.findall(r"`(ocpp-proxy [^`\n]+)`|^    (ocpp-proxy .+)$", text, re.MULTILINE)
    return {first or second for first, second in found}


def registered() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ocpp_proxy", "--help"], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
    )
    part = done.stdout.split("Commands:")[1]
    return set(re.findall(r"^  ([a-z]+)", part, re.MULTILINE))


def options_of(*command: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ocpp_proxy", *command, "--help"], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "COLUMNS": "200"}, cwd=ROOT,
    )
    return set(re.findall(r"--?[a-z][a-z-]*", done.stdout))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_a_page_names_exists(page: Path) -> None:
    known = registered()
    for line in commands_in(page.read_text()):
        words = shlex.split(line.replace("'", '"') if line.count("'") % 2 else line)
        verb = words[1]
        if verb.startswith("-") or not verb.isalpha() or not verb.islower():
            continue
        assert verb in known, line
        named = {word.split("=")[0] for word in words[2:] if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
        assert named <= options_of(*([verb, words[2]] if verb in ("config", "bridge") else [verb])), line


def test_every_command_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert {verb for verb in registered() if f"ocpp-proxy {verb}" not in text} == set()


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_architecture_names_the_tree() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in sorted(path for path in (ROOT / "ocpp_proxy").iterdir() if path.is_dir() and path.name != "__pycache__"):
        assert f"{folder.name}" in text, folder.name
    for module in sorted((ROOT / "ocpp_proxy").glob("[a-z]*.py")):
        assert module.name in text or module.stem in text, module.name
    for path in re.findall(r"`((?:ocpp_proxy/|captures/|core/|hub/|relay/|wire/|spec/|checks/)[\w/]+(?:\.py|/))`", text):
        prefix = "" if path.startswith(("ocpp_proxy/", "captures/")) else "ocpp_proxy/"
        assert (ROOT / (prefix + path)).exists(), path


def test_decisions_are_numbered_without_holes() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_project_speaks_of_itself_alone() -> None:
    """No paths of a machine and no tracker numbers of its own making in what is shipped."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    if listed.returncode:
        pytest.skip("kernel: not a git checkout")
    for name in listed.stdout.splitlines():
        if name.endswith((".py", ".md", ".toml", ".sql", ".txt", ".c")) and name != "tests/architecture/test_documents.py":
            text = (ROOT / name).read_text()
            assert not re.search(r"/(work|root|farm)/|/tmp/w/", text), name
