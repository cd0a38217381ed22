"""Discovery, loading, options, choice per link; every mistake says what, where and how to go on."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from msgspec import Struct

from ocpp_proxy import api
from ocpp_proxy.api import PASS, Ask, Call, Context, Decision, Plugin, Side
from ocpp_proxy.cli import settings
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.run import as_settings
from ocpp_proxy.cli.verify import verify
from ocpp_proxy.config import Config, LinkMatch, LinkRule
from ocpp_proxy.core.seats import HOOKS
from ocpp_proxy.model import ConfigError, PluginError
from ocpp_proxy.plugins import GROUP, chains, configured, describe, known, load, name_of
from ocpp_proxy.testing import play

ROOT = Path(__file__).resolve().parents[1]
GOOD = """
from msgspec import Struct
from ocpp_proxy.api import PASS, Plugin

class Mine(Plugin):
    '''Does nothing.'''
    version = "3"
    versions = frozenset({"1.6"})

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        speed: float = 1.0
        words: tuple[str, ...] = ()

    def on_call(self, context, sender, call):
        return PASS
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    return str(path)


def test_the_plugins_that_come_along_enter_by_entry_point() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    found = known()
    assert {name: found[name].value for name in points} == points
    folder = ROOT / "plugins" / "ocpp_proxy_plugins"
    packages = [init.parent for init in folder.glob("*/__init__.py")]
    assert set(points) == {path.stem for path in [*folder.glob("[a-z]*.py"), *packages]}


def test_every_hook_has_a_user_that_comes_along() -> None:
    assert {*HOOKS, "see", "end"} == {hook for name in known() for hook in describe(name).hooks}


def test_all_that_a_plugin_may_use_is_in_the_page() -> None:
    words = set(re.findall(r"\w+", (ROOT / "docs" / "plugins.md").read_text()))
    kinds = [getattr(api, name) for name in api.__all__]
    own = [kind for kind in kinds if isinstance(kind, type) and kind.__module__ == api.__name__]
    fields = {field for kind in own if issubclass(kind, Struct) for field in kind.__struct_fields__}
    others = [vars(kind) for kind in own if not issubclass(kind, Struct)]
    members = {name for names in others for name in {*names, *names.get("__annotations__", {})}}
    assert len(fields) > 20 and len(members) > 20
    assert sorted({*api.__all__, *fields, *(name for name in members if not name.startswith("_"))} - words) == []


def test_every_hook_is_in_the_page() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    assert [hook for hook in HOOKS if f"| `{hook}(" not in page] == []


def test_a_file_is_loaded_under_a_private_name(mine: str) -> None:
    kind = load(mine)
    assert (kind.__name__, name_of(mine)) == ("Mine", "mine")
    assert kind.__module__.startswith("_ocpp_proxy_plugin_mine_") and "mine" not in sys.modules
    assert str(Path(mine).parent) not in sys.path
    described = describe(mine)
    assert (described.version, described.hooks, described.options) == ("3", ("on_call",), ("speed=1.0", "words=[]"))


BAD = {
    "import nothing_like_it": "cannot be loaded: ModuleNotFoundError",
    "def x(:": ":1: cannot be loaded: SyntaxError",
    "x = 1": "has to define one subclass of ocpp_proxy.api.Plugin or Observer, but has none",
    GOOD + "\nclass Other(Mine): pass": "but has Mine, Other",
    GOOD.replace("on_call", "on_cal"): "on_cal is no hook: did you mean on_call?",
    GOOD.replace("speed:", "on_error:"): "Options may not name on_error",
    GOOD + "\nMine.State = dict": "State has to be a msgspec.Struct",
    GOOD + "\nclass Needs(Struct):\n    a: int\nMine.State = Needs": "State() fails, every field needs a default: TypeError",
    GOOD + "\nMine.state_version = 0": "state_version has to be a whole number from 1 on",
    "raise SystemError": "cannot be loaded: SystemError",
}


@pytest.mark.parametrize("code", BAD, ids=range(len(BAD)))
def test_what_cannot_be_a_plugin_says_why(tmp_path: Path, code: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(code)
    with pytest.raises(PluginError) as told:
        load(str(path))
    assert BAD[code] in str(told.value) and str(told.value).startswith(f"plugin {path}")
    assert describe(str(path)).error == str(told.value)


def test_wrong_names_get_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="did you mean throttle"):
        load("throttel")
    with pytest.raises(PluginError, match=r"installed: .*throttle"):
        load("zzz")
    with pytest.raises(PluginError, match="no such file"):
        load(str(tmp_path / "none.py"))


def test_options_are_checked(mine: str) -> None:
    installed, versions = configured(mine, {"speed": "2.5", "on_error": "close"})
    assert (installed.name, installed.options.speed, installed.on_error, sorted(versions)) == ("mine", 2.5, "close", ["1.6"])
    for values, told in (
        ({"sped": 1}, "plugins.mine: sped: no such option: did you mean speed?"), ({"speed": "fast"}, "plugins.mine: Expected"),
        ({"zz": 1}, "it has: speed, words"), ({"on_error": "stop"}, "'stop' is none of pass, drop, close"),
    ):
        with pytest.raises(PluginError) as error:
            configured(mine, values)
        assert told in str(error.value)


def test_the_first_rule_that_matches_counts(mine: str) -> None:
    config = Config(
        enable=("throttle",), plugins={"throttle": {"every_seconds": 5}},
        links=(LinkRule(LinkMatch("ACME-*", "1.6"), (mine, "throttle")), LinkRule(LinkMatch("ACME-*"), ("faults",))),
    )
    choose = chains(config)

    def names(identity: str, protocol: str) -> list[str]:
        chain = choose(identity, protocol)
        return [one.name for one in chain.installed] if chain is not None else []

    assert names("ACME-1", "ocpp1.6") == ["throttle", "mine"]
    assert names("ACME-1", "OCPP2.0.1") == names("ACME-1", "") == ["throttle", "faults"]
    assert names("other", "ocpp1.6") == ["throttle"]
    chain = choose("x", "ocpp2.0.1")
    assert chain is not None and (chain.version, chain.installed[0].options.every_seconds) == ("2.0.1", 5.0)
    only = chains(Config(enable=(mine,)))
    assert only("x", "ocpp2.0.1") is None and only("x", "ocpp1.6") is not None


def test_the_settings_file_and_the_command_line_together(tmp_path: Path, mine: str) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text("""
upstream = "ws://csms.example/"
enable = ["faults"]
[plugins.throttle]
every_seconds = 30
latest = false
[[links]]
match = {identity = "A*"}
plugins = ["throttle"]
""")
    flags = as_settings({"plugin": [f"{mine}:speed=2,words=a", "throttle:every_seconds=10"]})
    merged = settings.load(str(path), {}, flags)
    assert merged.config.enable == (mine, "throttle")
    assert merged.config.plugins == {"throttle": {"every_seconds": "10", "latest": False}, "mine": {"speed": "2", "words": "a"}}
    assert merged.config.links == (LinkRule(LinkMatch("A*"), ("throttle",)),)
    assert merged.origins["links"] == f"{path}:7"
    verify(merged)
    variable = {"OCPP_PROXY_LINKS": '[{"plugins":["faults"]}]'}
    assert settings.load(None, variable, {}).config.links == (LinkRule(plugins=("faults",)),)


@pytest.mark.parametrize(("text", "told"), [
    ('enable = ["throttel"]', "did you mean throttle?"), ('enable = ["./none.py"]', "no such file: ./none.py"),
    ("[plugins.throttel]\nx = 1", "plugins: plugin throttel: there is none of that name: did you mean throttle?"),
    ('[[links]]\nmatch = {identiy = "x"}', "identiy"), ('plugins = ["throttle"]', "plugins: expected object, got array"),
])
def test_mistakes_are_told_before_anything_starts(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text('upstream = "ws://csms.example/"\n' + text)
    with pytest.raises(ConfigError) as error:
        verify(settings.load(str(path), {}, {}))
    assert told in str(error.value)


def test_a_plugin_pair_without_a_sign_is_refused() -> None:
    with pytest.raises(ConfigError, match="write NAME:KEY=VALUE"):
        as_settings({"plugin": ["throttle:fast"]})


def test_the_command_shows_them(mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["plugins", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    throttle = next(row for row in rows if row["name"] == "throttle")
    assert throttle["hooks"] == "on_call on_tick on_close" and "every_seconds=60.0" in throttle["options"]
    bad = tmp_path / "bad.py"
    bad.write_text("x = 1")
    assert run_app(["plugins", mine, str(bad), "--json"]) == 1
    shown = capsys.readouterr()
    assert [json.loads(line)["name"] for line in shown.out.splitlines()] == ["mine", "bad"]
    assert "has to define one subclass" in shown.err


def test_names_are_listed_without_importing_them() -> None:
    code = "import sys; from ocpp_proxy.plugins import known; known(); sys.exit('ocpp_proxy_plugins' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(("seconds", "waits"), [(600, True), (600.5, False), (1e300, False)])
def test_the_time_that_an_answer_is_waited_for_is_bounded(seconds: float, waits: bool) -> None:
    class Asking(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            yield Ask(Side.CSMS, Call.of("Authorize", {"idTag": "t"}), seconds)
            return PASS

    came = '=> [2,"$1","Authorize",{"idTag":"t"}]' if waits else '=> [2,"1","Heartbeat",{}]\n! plugin-failed'
    played = play(Asking, f'> [2,"1","Heartbeat",{{}}]\n{came}')
    assert [message for _, message in played.findings] == (
        [] if waits else [f"plugin asking: gave an Ask of {seconds!r} seconds: at most 600 (on_error = pass)"])
