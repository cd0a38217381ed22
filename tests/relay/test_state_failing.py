"""States that cannot be stored: whose they are is told for as long as it lasts, and what follows from them is not sent."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.relay import state_store
from tests.relay.stage import SWITCH, UPGRADE, play, stage, until
from tests.relay.test_frame_mode import message, texts
from tests.relay.test_plugged import reads
from tests.relay.test_state_store import Asked, findings, row, rows


def test_whose_states_fail_is_counted_until_one_can_be_stored_or_the_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_store, "LOCKED_SECONDS", 0.01)
    monkeypatch.setattr(state_store, "MOST_FAILING", 3)

    async def body() -> None:
        asked = Asked(tmp_path / "s")
        for name in ("CP1", "CP2"):
            assert (await asked.open(name)).epoch == 1
        other = sqlite3.connect(tmp_path / "s", isolation_level=None)
        for written in ("by itself", "by a charger"):
            other.execute("BEGIN IMMEDIATE")
            for name in ("CP1", "CP2", "CP2"):
                assert "locked" in await asked.keep(1, row(1), identity=name)
            assert asked.store.failing == {"CP1", "CP2"}
            asked.store.look()              # it is held still
            await until(lambda: not asked.store._waiting, "looked")
            assert "locked" in asked.store.error and asked.store.failing == {"CP1", "CP2"}
            other.rollback()
            if written == "by itself":
                asked.store.look()
                await until(lambda: not asked.store._waiting, "looked")
            else:
                assert (await asked.open("CP3")).epoch == 1
                assert asked.store.failing == {"CP1", "CP2"}            # a lease is not a State
                assert await asked.keep(1, row(2), identity="CP2") == ""
            assert (asked.store.error, asked.store.failing) == ("", set())
        other.execute("BEGIN IMMEDIATE")
        for number in range(5):
            await asked.keep(1, row(1), identity=f"X{number}")
        assert len(asked.store.failing) == 3
        other.close()
        asked.store.close()

    play(body())
    assert [known[1] for known in rows(tmp_path / "s")] == ["CP2"]          # to look stores nothing


def test_of_a_bridged_charger_whose_state_is_not_stored_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The CSMS hears nothing, the link ends; the numbers of the worker say why, and of how many, as long as it lasts."""
    monkeypatch.setattr(state_store, "LOCKED_SECONDS", 0.01)
    installed = (Installed("bridge", Bridge, Bridge.Options(grace_seconds=0), "close"),)
    start = b'[2,"1","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-11-23T08:00:00Z"}]'

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.chain = lambda identity, protocol: Chain(installed, "1.6")
            station = await theatre.dial()
            await station.send(UPGRADE)
            csms = await theatre.accept()
            assert b"ocpp2.0.1" in await csms.head()
            await csms.send(SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            assert (await station.head()).startswith(b"HTTP/1.1 101")
            await station.send(message(b'[2,"0","Heartbeat",{}]', None, True))
            assert b'"Heartbeat"' in (await reads(csms, 1))[0]              # its State has been read
            other = sqlite3.connect(tmp_path / "plugins.sqlite", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            await station.send(message(start, None, True))
            assert [b'"Heartbeat"' in text for text in texts(await csms.rest(), False)] == [True]
            assert texts(await station.rest(), False) == []
            theatre.relay._write_stats()
            said = msgspec.json.decode((tmp_path / "relay-0.json").read_bytes())
            assert said["state_failing"] == 1 and "locked" in said["state_error"]
            assert "its State cannot be stored" in findings(theatre)[0]
            other.close()
            await until(lambda: not theatre.relay.stats().state_error, "the file is well again")      # nobody stored anything
            assert theatre.relay.stats().state_failing == 0

    play(body())
    assert rows(tmp_path / "plugins.sqlite") == []
