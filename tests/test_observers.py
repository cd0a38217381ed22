"""Observers beside plugins: found and configured alike, handed to the recorder, never to a link."""

from pathlib import Path

import pytest

from ocpp_proxy.api import Observer
from ocpp_proxy.cli import recorder
from ocpp_proxy.config import Config, LinkMatch, LinkRule
from ocpp_proxy.core.watching import Watcher
from ocpp_proxy.hub import instance
from ocpp_proxy.hub.watchers import Finder
from ocpp_proxy.model import PluginError
from ocpp_proxy.plugins import chains, configured, describe, load, observers

FILE = '''"""An observer."""
from msgspec import Struct
from ocpp_proxy.api import Observer, Where
class Seer(Observer):
    """Sees."""
    version = "7"
    unmasked = True
    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        limit: int = 3
        where: Where = ""
    async def see(self, context, records):
        pass
'''


@pytest.fixture
def word(tmp_path: Path) -> str:
    (tmp_path / "seer.py").write_text(FILE)
    return str(tmp_path / "seer.py")


def test_it_is_loaded_and_described_like_a_plugin(word: str) -> None:
    assert issubclass(load(word), Observer)
    told = describe(word)
    assert (told.name, told.version, told.hooks, told.options) == ("seer", "7", ("see",), ("limit=3", 'where=""'))
    assert told.error == ""


def test_the_recorder_has_it_and_no_link(word: str) -> None:
    config = Config(enable=("throttle", word), plugins={"seer": {"limit": 5}})
    (one,) = observers(config)
    assert (one.name, one.options.limit, one.unmasked, one.wanted) == ("seer", 5, True, None)
    assert isinstance(one.make(), Observer)
    chain = chains(config)("CP1", "ocpp1.6")
    assert chain is not None and [installed.name for installed in chain.installed] == ["throttle"]
    assert chains(Config(enable=(word,)))("CP1", "ocpp1.6") is None


def test_rules_choose_its_links_and_the_first_that_matches_decides(word: str) -> None:
    rules = (LinkRule(LinkMatch(identity="ACME-9*"), ()), LinkRule(LinkMatch("ACME-*", "1.6"), (word,)))
    (one,) = observers(Config(links=rules))
    assert one.wanted is not None
    assert [one.wanted(*link) for link in (("ACME-1", "1.6"), ("ACME-1", "2.0.1"), ("ACME-91", "1.6"), ("X", "1.6"))] == [
        True, False, False, False]
    (everywhere,) = observers(Config(links=rules, enable=(word,)))
    assert everywhere.wanted is None and everywhere.key == one.key           # one that runs goes on, with other links


def test_what_changed_has_another_key(word: str) -> None:
    keys = [observers(Config(enable=(word,), plugins=plugins))[0].key for plugins in ({}, {"seer": {"limit": 4}}, {})]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(("options", "text"), [
    ({"limits": 4}, "plugins.seer: limits: no such option: did you mean limit?"),
    ({"on_error": "drop"}, "plugins.seer: on_error: no such option"),
    ({"where": "actoin == X"}, "plugins.seer.where"),
])
def test_wrong_options_are_named(word: str, options: dict[str, object], text: str) -> None:
    config = Config(enable=(word,), plugins={"seer": options})
    for load_all in (observers, chains):
        with pytest.raises(PluginError) as told:
            load_all(config)
        assert text in str(told.value)


def test_it_is_no_plugin_of_a_link(word: str) -> None:
    with pytest.raises(PluginError, match="is an observer"):
        configured(word, {})


def test_a_recorder_records_without_observers_that_cannot_be_loaded(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[list[Watcher], list[str]]] = []

    def main(folder: Path, store: object, config: Config, alive_fd: int, finder: Finder) -> int:
        given.append(finder.find(config))
        return 0

    monkeypatch.setattr("ocpp_proxy.hub.recorder.main", main)
    monkeypatch.setattr(recorder, "open_store", lambda config: None)
    (tmp_path / "other.py").write_text(FILE)
    monkeypatch.setattr(instance, "read_config", lambda folder: Config(enable=(word, str(tmp_path / "other.py"))))
    assert recorder.main(["--instance", str(tmp_path), "--alive-fd", "-1"]) == 0
    Path(word).write_text("raise ValueError('late')")
    assert recorder.main(["--instance", str(tmp_path), "--alive-fd", "-1"]) == 0
    assert [[one.name for one in watchers] for watchers, _ in given] == [["seer", "other"], ["other"]]
    assert given[0][1] == [] and "ValueError: late" in given[1][1][0]
