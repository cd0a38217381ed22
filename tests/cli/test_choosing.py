"""Which plugins a link has: configuration, switches by hand, files that change; what cannot be loaded changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocpp_proxy.cli.choosing import Choosing
from ocpp_proxy.cli.relay_worker import Asleep, chooser
from ocpp_proxy.config import Config, LinkMatch, LinkRule
from ocpp_proxy.core.reloading import taken
from ocpp_proxy.model import ConfigError, PluginError
from ocpp_proxy.plugins import MOST_SWITCHED

FILE = """
from msgspec import Struct

from ocpp_proxy.api import Call, Context, Decision, Plugin, Replace, Side


class Mark(Plugin):
    version = "%s"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        word: str = "mark"

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({"by": self.version}))
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    path = tmp_path / "mark.py"
    path.write_text(FILE % "1")
    return path


def names(choosing: Choosing, identity: str, protocol: str = "ocpp1.6") -> list[str]:
    chain = choosing.chain(identity, protocol)
    return [one.name for one in chain.installed] if chain is not None else []


def change(path: Path, text: str) -> None:
    """Another content, at another time."""
    facts = path.stat()
    path.write_text(text)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000))


def test_switches_apply_to_the_chargers_that_match_in_their_order(mark: Path) -> None:
    config = Config(enable=("throttle",), links=(LinkRule(LinkMatch("ACME-*"), ("faults",)),))
    choosing = Choosing(config)
    assert (names(choosing, "ACME-1"), names(choosing, "B")) == (["throttle", "faults"], ["throttle"])
    choosing.switch(str(mark), True, "B*", None, "anna")
    choosing.switch("throttle", False, "ACME-*", None, "anna")
    assert (names(choosing, "ACME-1"), names(choosing, "B")) == (["faults"], ["throttle", "mark"])
    assert [(state.name, state.identity, state.by) for state in choosing.states()] == [
        ("throttle", "*", "config"), ("faults", "ACME-*", "config"), ("mark", "B*", "anna")]
    choosing.switch("throttle", True, "*", None, "anna")                # a later word about all takes back those before
    assert names(choosing, "ACME-1") == ["throttle", "faults"]
    choosing.switch("mark", False, "*", None, "anna")
    assert names(choosing, "B") == ["throttle"]


def test_options_given_by_hand_take_the_place_of_those_configured(mark: Path) -> None:
    choosing = Choosing(Config(enable=(str(mark),), plugins={"mark": {"word": "configured"}}))
    before = choosing.chain("A", "ocpp1.6")
    choosing.switch(str(mark), True, "*", {"word": "by hand"}, "anna")
    after = choosing.chain("A", "ocpp1.6")
    assert before is not None
    assert after is not None
    assert [one.options.word for one in (*before.installed, *after.installed)] == ["configured", "by hand"]
    assert choosing.chain("A", "ocpp1.6") == after


@pytest.mark.parametrize(("plugin", "on", "options", "why"), [
    ("throtle", True, None, "did you mean throttle"), ("throttle", True, {"evry": 1}, "evry: no such option"),
    ("throttle", True, [1], "options are an object"), ("faults", False, None, "it is enabled nowhere"),
], ids=["unknown", "option", "no object", "not enabled"])
def test_what_cannot_be_switched_changes_nothing(plugin: str, on: bool, options: object, why: str) -> None:
    choosing = Choosing(Config(enable=("throttle",)))
    with pytest.raises((ConfigError, PluginError), match=why):
        choosing.switch(plugin, on, "*", options, "anna")
    assert names(choosing, "A") == ["throttle"]


def test_an_observer_is_switched_for_the_recorder_and_sits_on_no_link() -> None:
    choosing = Choosing(Config())
    choosing.switch("mirror", True, "A*", {"targets": [{"url": "ws://second/"}]}, "anna")
    assert choosing.chain("A", "ocpp1.6") is None
    assert [(state.name, state.identity, state.by) for state in choosing.states()] == [("mirror", "A*", "anna")]
    choosing.switch("mirror", False, "*", None, "anna")
    assert choosing.states() == []


def test_a_file_that_changed_is_read_again_and_a_broken_one_is_not(mark: Path) -> None:
    choosing = Choosing(Config(enable=(str(mark),)))
    first = choosing.chain("A", "ocpp1.6")
    assert not choosing.stale()
    assert choosing.read(None)() == ([], [])
    assert choosing.chain("A", "ocpp1.6") == first                      # the same instances stay on their links
    change(mark, FILE % "2")
    assert choosing.stale()
    assert choosing.read(None)() == (["plugin mark: read again"], [])
    assert [state.version for state in choosing.states()] == ["2"]
    assert choosing.chain("A", "ocpp1.6") != first
    change(mark, "nonsense(")
    changed, failed = choosing.read(None)()
    assert changed == []
    assert len(failed) == 1
    assert failed[0].endswith("the one before goes on")
    assert not choosing.stale()                                         # it is not tried again until it changes again
    assert [(state.version, "SyntaxError" in state.error) for state in choosing.states()] == [("2", True)]
    mark.unlink()
    assert len(choosing.read(None)()[1]) == 1
    mark.write_text(FILE % "3")
    assert choosing.read(None)()[0] == ["plugin mark: read again"]
    assert [(state.version, state.error) for state in choosing.states()] == [("3", "")]


def test_a_changed_configuration_is_taken_whole_or_not_at_all() -> None:
    choosing = Choosing(Config(enable=("throttle",)))
    assert choosing.read(Config(enable=("faults",), rules={"R05": "off"}))() == (["changed: enable, rules"], [])
    assert names(choosing, "A") == ["faults"]
    _, failed = choosing.read(Config(enable=("throttle", "nothing")))()
    assert failed[0].endswith("the configuration before goes on")
    assert names(choosing, "A") == ["faults"]


def test_switches_are_bounded() -> None:
    choosing = Choosing(Config(enable=("throttle",)))
    for number in range(MOST_SWITCHED):
        choosing.switch("throttle", False, f"CP{number}", None, "anna")
    with pytest.raises(ConfigError, match="plugins are switched already"):
        choosing.switch("throttle", False, "CPx", None, "anna")
    choosing.switch("throttle", False, "*", None, "anna")               # in their place
    assert names(choosing, "A") == []


def test_a_proxy_without_plugins_wakes_only_when_it_gets_some() -> None:
    asleep = chooser(Config())
    assert isinstance(asleep, Asleep)
    assert asleep.chain("A", "ocpp1.6") is None
    assert (asleep.version("ocpp1.6"), asleep.states(), asleep.stale()) == ("1.6", [], False)
    assert asleep.read(Config(enable=("throttle",)))() == (["changed: enable"], [])
    chain = asleep.chain("A", "ocpp1.6")
    assert chain is not None
    assert [one.name for one in chain.installed] == ["throttle"]
    assert isinstance(chooser(Config(allow_inject=True)), Choosing)


def test_a_relay_where_nothing_can_be_changed_loads_no_rules_and_schemas() -> None:
    code = "import sys; from ocpp_proxy.cli import relay_worker; from ocpp_proxy.config import Config;" \
        "relay_worker.chooser(Config()).version('ocpp1.6'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ocpp_proxy.relay.acts" in loaded
    assert {"jsonschema_rs", "ocpp_proxy.checks", "ocpp_proxy.plugins", "aiohttp", "duckdb"}.isdisjoint(loaded)


def test_what_a_running_proxy_takes_over() -> None:
    before = Config(upstream="ws://a", enable=("throttle",))
    assert taken(before, before) == (before, "the configuration has not changed")
    fresh = Config(upstream="ws://b", call_seconds=5, enable=())
    assert taken(before, fresh) == (
        Config(upstream="ws://a", call_seconds=5, enable=()),
        "changed: call_seconds, enable; needs a restart: upstream")
    isolated = Config(upstream="ws://a", enable=("throttle",), links=(LinkRule(isolate=True, listen="9001"),))
    assert taken(before, isolated) == (
        before, "needs a restart: links (isolated rules have come, gone, or listen elsewhere)")


def test_a_configuration_whose_options_do_not_fit_what_was_switched_on_changes_nothing() -> None:
    """Else no new link could have its plugins."""
    choosing = Choosing(Config())
    choosing.switch("throttle", True, "*", None, "anna")
    before = choosing.chain("A", "ocpp1.6")
    changed, failed = choosing.read(Config(plugins={"throttle": {"nonsense": 1}}))()
    assert (changed, len(failed)) == ([], 1) and "nonsense: no such option" in failed[0]
    assert choosing.chain("A", "ocpp1.6") == before is not None
    assert choosing.read(Config(plugins={"throttle": {"every_seconds": 7}}))()[1] == []
    after = choosing.chain("A", "ocpp1.6")
    assert after is not None and after.installed[0].options.every_seconds == 7


def test_a_process_that_begins_while_a_plugin_file_is_broken_does_without_until_it_is_mended(mark: Path) -> None:
    mark.write_text("nonsense(")
    with pytest.raises(PluginError, match="SyntaxError"):
        Choosing(Config(enable=(str(mark),)))
    with pytest.raises(PluginError, match="SyntaxError"):
        Choosing(Config(enable=(str(mark),), plugins={"mark": {"on_error": "drop"}}), again=True)
    choosing = Choosing(Config(enable=(str(mark), "throttle")), again=True)
    assert names(choosing, "A") == ["throttle"]
    assert [(state.name, "links are without it" in state.error) for state in choosing.states()] == [
        ("mark", True), ("throttle", False)]
    with pytest.raises(PluginError, match="SyntaxError"):
        choosing.switch(str(mark), True, "*", None, "anna")
    change(mark, "still nonsense(")
    assert choosing.stale()
    (failed,) = choosing.read(None)()[1]
    assert failed.endswith("links are without it")
    change(mark, FILE % "2")
    assert choosing.read(None)() == (["plugin mark: read again"], [])
    assert names(choosing, "A") == ["mark", "throttle"]
    assert [state.error for state in choosing.states()] == ["", ""]
