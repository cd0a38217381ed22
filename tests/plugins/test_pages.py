"""Every plugin that comes along has a page with all its options and a conversation that is played; every hook is used there."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct, structs

from ocpp_proxy.api import Observer, Plugin
from ocpp_proxy.core.seats import HOOKS, hooks_of
from ocpp_proxy.plugins import GROUP, load
from ocpp_proxy.testing import play

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "plugins"
NAMES = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP])
KINDS = {name: load(name) for name in NAMES}
PLAYED = [name for name in NAMES if not issubclass(KINDS[name], Observer)]


def environment() -> dict[str, str]:
    paths = [str(ROOT / name) for name in ("", "tui", "captures", "plugins")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text()


def conversations(text: str) -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.search(r"^(?:[<>] |open)", block, re.MULTILINE)]


def example(name: str) -> tuple[Any, str]:
    """The options (the first indented settings) and the conversation of the part Example; quirks has one for each profile."""
    text = page(name).split("## Example\n")[1]
    settings = re.search(r"(?:^    .*\n|^\n(?=    ))+", text[text.index("    ["):], re.MULTILINE)
    assert settings is not None
    values = tomllib.loads(re.sub(r"^    ", "", settings[0], flags=re.MULTILINE))["plugins"][name]
    values.pop("on_error", None)
    return values, conversations(text)[0]


def named(kind: Any) -> Iterator[str]:
    """The names of an option struct's fields, and of those inside of it."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        for field in structs.fields(kind):
            yield field.encode_name
            yield from named(field.type)
    else:
        for inner in get_args(kind):
            yield from named(inner)


def test_every_page_is_of_a_plugin_and_linked() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(NAMES)
    index = (ROOT / "docs" / "plugins.md").read_text()
    assert [name for name in NAMES if f"(plugins/{name}.md)" not in index] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_in_its_page(name: str) -> None:
    text = page(name)
    told = set(re.findall(r"`(\w+)`|^    (?:.*\{)?(\w+) = ", text, re.MULTILINE))
    assert [option for option in named(KINDS[name].Options) if option not in {word for words in told for word in words}] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_plugin_has_tests_and_conversations(name: str) -> None:
    assert (ROOT / "tests" / "plugins" / f"test_{name}.py").is_file()
    assert name not in PLAYED or conversations(page(name))


def played(name: str, kind: type[Plugin]) -> None:
    if name == "quirks":
        profile = "no-subprotocol"
        options, conversation = {"profiles": [profile]}, conversations(page(name).split(f"\n### {profile}\n")[1])[0]
    else:
        options, conversation = example(name)
    play(kind, conversation, options=msgspec.convert(options, kind.Options, strict=False))


@pytest.mark.parametrize("name", PLAYED)
def test_the_example_of_a_page_is_played(name: str) -> None:
    kind = KINDS[name]
    assert issubclass(kind, Plugin)
    played(name, kind)


def test_every_hook_has_a_user_whose_example_calls_it() -> None:
    called: set[str] = set()

    def noting(hook: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            called.add(hook)
            return original(*arguments)
        return noted

    for name in PLAYED:
        kind = KINDS[name]
        assert issubclass(kind, Plugin)
        played(name, type(kind.__name__, (kind,), {hook: noting(hook, getattr(kind, hook)) for hook in hooks_of(kind)}))
    assert set(HOOKS) - called == set()


def test_the_page_from_nothing_to_a_plugin_works(tmp_path: Path) -> None:
    """As a reader does it: both files written, then the commands."""
    code = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "plugins.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text(code[0])
    (tmp_path / "test_mine.py").write_text(code[1])
    shown = subprocess.run(
        [sys.executable, "-m", "ocpp_proxy", "plugins", "./mine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False, env=environment(),
    )
    assert shown.returncode == 0 and "on_call" in shown.stdout and "vendor" in shown.stdout, shown.stderr
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_mine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False, env=environment(),
    )
    assert tested.returncode == 0 and "1 passed" in tested.stdout, tested.stdout
