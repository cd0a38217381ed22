"""Observers are switched in the running recorder: by the configuration, by a changed file, by hand; the others run on."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from ocpp_proxy.api import ObserverContext
from ocpp_proxy.cli.watching import Finding
from ocpp_proxy.config import Config, LinkMatch, LinkRule
from ocpp_proxy.core.watching import Switched
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub import watchers as module
from ocpp_proxy.hub.acting import Acts
from ocpp_proxy.hub.commanding import Commanding
from ocpp_proxy.hub.observing import Observing
from ocpp_proxy.hub.watchers import Watchers, remembered
from ocpp_proxy.model import ConfigError, Link
from ocpp_proxy.plugins import observers
from ocpp_proxy.records import LinkClosed
from tests.hub.test_observing import Seer, beats, one, run
from tests.hub.test_recording import until

FILE = """
from msgspec import Struct
from ocpp_proxy.api import Observer
class Seer(Observer):
    version = "%s"
    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        limit: int = 3
    async def see(self, context, records):
        pass
"""
LINKS = {number: Link(number, 1, "", identity=identity, protocol="ocpp1.6", status=101)
         for number, identity in enumerate(("A-1", "A-2", "B"), 1)}


@pytest.fixture
def word(tmp_path: Path) -> str:
    (tmp_path / "seer.py").write_text(FILE % "1")
    return str(tmp_path / "seer.py")


def written(folder: Path, config: Config) -> Config:
    (folder / "config.json").write_bytes(msgspec.json.encode(config))
    return config


def made(folder: Path, config: Config) -> tuple[Watchers, Observing]:
    finder = Finding(remembered(folder))
    observing = Observing(first=finder.find(written(folder, config))[0], instance=folder)
    observing.begin()
    return Watchers(folder, config, finder, observing, lambda: LINKS), observing


def options(observing: Observing) -> list[int]:
    return [watch.watcher.options.limit for watch in observing.watches]


def hand(word: str, on: bool = True, identity: str = "*", **given: int) -> Switched:
    return Switched(word, on, identity, given or None, "anna")


def test_a_changed_configuration_switches_them_and_leaves_alone_what_stays(tmp_path: Path, word: str) -> None:
    async def work() -> None:
        (tmp_path / "other.py").write_text(FILE % "1")
        other = str(tmp_path / "other.py")
        watchers, observing = made(tmp_path, Config(enable=(word, other)))
        first, second = observing.watches
        rule = LinkRule(LinkMatch("A-*"), (word,))
        written(tmp_path, Config(enable=(other,), links=(rule,), plugins={"other": {"limit": 5}}))
        assert await watchers.again() == []
        assert first in observing.watches                   # of other links now, and the same
        assert first.watcher.wanted is not None and (first.watcher.wanted("A-1", "1.6"), first.watcher.wanted("B", "1.6")) == (
            True, False)
        assert second not in observing.watches and sorted(options(observing)) == [3, 5]
        written(tmp_path, Config())
        assert await watchers.again() == [] and observing.watches == []
        (tmp_path / "config.json").write_text("{")
        assert "config.json" in (await watchers.again())[0]
        await observing.end()

    run(work())


def test_a_changed_file_is_noticed_and_a_broken_one_leaves_the_one_before(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)

    async def work() -> None:
        watchers, observing = made(tmp_path, Config(enable=(word,)))
        (before,) = observing.watches
        looking = asyncio.ensure_future(watchers.run())
        Path(word).write_text(FILE % "20")
        await until(lambda: bool(observing.watches) and observing.watches != [before])
        (after,) = observing.watches
        assert getattr(after.watcher.make, "version", "") == "20"
        finder = watchers._finder
        Path(word).write_text("nonsense(")
        await until(lambda: not finder.stale())
        written(tmp_path, Config(enable=(word,), plugins={"seer": {"limit": 7}}))
        await until(lambda: observing.watches == [])        # with other options it cannot be had
        looking.cancel()
        await observing.end()

    told = [str(line.get("reason")) for line in run(work())]
    assert any("SyntaxError" in reason and reason.endswith("the one before goes on") for reason in told)
    assert told[-1].endswith("recording without it") or any(reason.endswith("recording without it") for reason in told)


def test_by_hand_and_the_next_recorder_of_the_run_remembers(tmp_path: Path, word: str) -> None:
    known = instances.Instance(name="x", pid=1, folder=str(tmp_path), listen=(), upstream="", capture="", control="", token="",
                               started_ns=7, version="")
    instances.write(known)

    async def work() -> None:
        watchers, observing = made(tmp_path, Config())
        assert await watchers.switch(hand(word, limit=9)) and options(observing) == [9]
        (running,) = observing.watches
        assert await watchers.switch(hand(word, False, "A-*")) and observing.watches == [running]
        wanted = running.watcher.wanted
        assert wanted is not None and not wanted("A-1", "1.6") and wanted("B", "")
        again, next_ = made(tmp_path, Config())             # the recorder was started again
        assert options(next_) == [9]
        assert await again.switch(hand(word, False)) and next_.watches == []
        assert not await again.switch(hand("throttle"))     # no observer
        assert not await again.switch(hand("nothing", False))
        await asyncio.gather(observing.end(), next_.end())
        instances.write(structs.replace(known, started_ns=8))
        assert remembered(tmp_path) == ()                   # another run of the proxy

    run(work())


def test_one_that_everybody_has_is_not_run_twice(word: str) -> None:
    config = Config(enable=(word.replace("seer.py", "./seer.py"),))
    assert len(observers(config, [hand(word, identity="A-*")])) == 1
    assert len(observers(config, [hand(word, identity="A-*", limit=9)])) == 2


def test_the_control_api_switches_and_reloads_them(tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy.hub.commanding.COME_SECONDS", 0.0)

    async def work() -> None:
        watchers, observing = made(tmp_path, Config())
        acts = Acts(tmp_path, Commanding(tmp_path), dict, watchers=watchers)
        with pytest.raises(ConfigError, match="no relay worker"):
            await acts.switch(word, True, "*", None, "anna")
        assert observing.watches == []
        written(tmp_path, Config(enable=(word,)))
        await acts.reload("anna")
        assert options(observing) == [3]
        assert await acts.switch(word, False, "*", None, "anna") == [] and observing.watches == []
        await observing.end()

    run(work())


def test_one_of_the_same_name_begins_when_the_one_before_has_ended() -> None:
    order: list[str] = []

    def noting(name: str, hold: asyncio.Event | None = None) -> Seer:
        class Noting(Seer):
            async def see(self, context: ObserverContext, records: object) -> None:
                order.append(f"{name} sees")

            async def end(self, context: ObserverContext) -> None:
                await asyncio.sleep(0)
                order.append(f"{name} ends")
        return Noting()

    async def work() -> None:
        observing = Observing()
        observing.set([one(noting("old"), key="1")])
        observing.feed(beats(1))
        await until(lambda: order == ["old sees"])
        observing.set([one(noting("new"), key="2")])
        observing.feed(beats(1))                            # waits for it
        await until(lambda: len(order) == 3)
        observing.set([one(noting("newer"), key="3")])
        observing.set([])                                   # before it could begin
        await observing.end()

    run(work())
    assert order == ["old sees", "old ends", "new sees", "new ends"]


def test_of_a_link_that_is_taken_from_it_it_sees_the_end() -> None:
    seer, other = Seer(), Seer()
    def wanted(identity: str, version: str) -> bool:
        return identity.startswith("A")

    async def work() -> None:
        observing = Observing()
        observing.set([one(seer, key="s"), one(other, key="o", wanted=wanted)], LINKS)
        observing.set([one(seer, key="s", wanted=wanted), one(other, key="o", wanted=lambda *about: False)], LINKS, 5)
        await until(lambda: len(seer.seen) == 1 and len(other.seen) == 2)
        await observing.end()

    run(work())
    assert seer.seen == [LinkClosed(5, 3, "left")]
    assert other.seen == [LinkClosed(5, 1, "left"), LinkClosed(5, 2, "left")]
