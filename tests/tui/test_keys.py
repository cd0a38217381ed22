"""Keys: every one has a name and a place in the documents, other keys can be given, names that do not exist are told."""

import asyncio
import importlib
import pkgutil
from pathlib import Path

import ocpp_proxy_tui
import pytest
from ocpp_proxy_tui.app import ProxyApp, names
from ocpp_proxy_tui.screens.help import HelpScreen
from ocpp_proxy_tui.settings import Settings, load, save_view
from textual.binding import Binding
from textual.dom import DOMNode

from ocpp_proxy.cli.printing import render
from ocpp_proxy.model import ConfigError
from tests.tui.sources import MemorySource


def test_every_class_that_binds_keys_is_known_and_every_key_has_a_name_and_says_what_it_does() -> None:
    known = names()
    for info in pkgutil.walk_packages(ocpp_proxy_tui.__path__, "ocpp_proxy_tui."):
        for one in vars(importlib.import_module(info.name)).values():
            if isinstance(one, type) and issubclass(one, DOMNode) and one.__module__.startswith("ocpp_proxy_tui"):
                for binding in one.__dict__.get("BINDINGS", ()):
                    assert isinstance(binding, Binding), one
                    assert binding.id in known, f"{one.__name__}: {binding.key}"
                    assert binding.description, f"{one.__name__}: {binding.key}"


def test_an_action_gets_other_keys(tmp_path: Path) -> None:
    async def main() -> None:
        app = ProxyApp(MemorySource(), Settings(keys={"app.help": "f1"}), tmp_path / "view.toml", render)
        async with app.run_test() as pilot:
            await pilot.press("question_mark")
            assert not isinstance(app.screen, HelpScreen)
            await pilot.press("f1")
            assert isinstance(app.screen, HelpScreen)
    asyncio.run(main())


def test_an_unknown_action_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no action app\.helf; did you mean app\.help"):
        ProxyApp(MemorySource(), Settings(keys={"app.helf": "f1"}), tmp_path / "view.toml", render)


@pytest.mark.parametrize(("text", "told"), [
    ("hz = 5\nrowss = 3\n", r"tui\.toml:2:rowss: .*did you mean rows"),
    ("hz = 'quick'\n", r"tui\.toml:1:hz: Expected `float`"),
    ("\nrows = 5\n", r"tui\.toml:2:rows: "),
    ("hz = \n", r"tui\.toml: "),
])
def test_what_is_wrong_in_the_settings_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "tui.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=told):
        load(file, tmp_path / "view.toml")


def test_the_view_is_kept_and_the_user_s_own_settings_win(tmp_path: Path) -> None:
    view, own = tmp_path / "state" / "view.toml", tmp_path / "tui.toml"
    save_view(view, Settings(columns=["time", "action"], detail="hex", follow=False))
    own.write_text('detail = "raw"\n[keys]\n"app.help" = "f1"\n')
    settings = load(own, view)
    assert (settings.columns, settings.detail, settings.follow) == (["time", "action"], "raw", False)
    assert settings.keys == {"app.help": "f1"}
