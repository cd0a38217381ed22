"""``ocpp-proxy bridge tx``: on real files of States, and what the bridge makes of them at the next connection."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.by_hand import direction_of

from ocpp_proxy.cli import places, state_file
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.bridge_tx import NAME
from ocpp_proxy.config import Config
from ocpp_proxy.core.keeping import Row
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay import state_store
from ocpp_proxy.wire.command import OpenLink
from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged, Events, instant
from tests.plugins.bridge.test_up_charging import ACCEPTED, END, START, started

UID = "5b1ad2a0-tx"
AT = "2027-01-15T08:00:00Z"


@pytest.fixture(autouse=True)
def _nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "search_bases", lambda: [])


def stored(path: Path, **states: Any) -> Path:
    """A file with these States, as a relay leaves it."""
    database = state_store.connect(path)
    for identity, state in states.items():
        epoch = state_store.take_lease(database, identity, "0-1")
        body = msgspec.msgpack.encode(state)
        state_store.store(database, identity, epoch, Row(NAME, Bridge.state_version, body))
    database.close()
    return path


def state(path: Path, identity: str = "CP1") -> Any:
    return state_file.states(path, NAME, Bridge)[identity]


def leases(path: Path) -> dict[str, tuple[str, int]]:
    database = sqlite3.connect(path)
    try:
        return {identity: (worker, epoch) for identity, worker, epoch in database.execute("SELECT * FROM lease")}
    finally:
        database.close()


def tx(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, what stands on stdout, what on stderr."""
    capsys.readouterr()
    code = run_app(["bridge", "tx", *words, "--state", str(path), "--json"])
    out = capsys.readouterr()
    return code, [json.loads(line) for line in out.out.splitlines()], out.err


def charging() -> tuple[Bridged, int]:
    """A 1.6 charger that charges, its transaction's number."""
    link = Bridged()
    return link, started(link)


def event(kind: str, seq: int, **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind, "timestamp": AT, "triggerReason": "Authorized", "seqNo": seq,
        "transactionInfo": {"transactionId": UID}, "evse": {"id": 1, "connectorId": 1}, **more,
    }


def charging_down() -> Bridged:
    """A 2.0.1 charger that charges on a 1.6 CSMS, its transaction 77 there."""
    link = Bridged(DOWN)
    token = {"idToken": "04AABBCC", "type": "ISO14443"}
    info = {"transactionId": UID, "chargingState": "Charging"}
    link.call(STATION, "TransactionEvent", event("Started", 0, idToken=token, transactionInfo=info))
    link.answer(CSMS, {"transactionId": 77, "idTagInfo": {"status": "Accepted"}}, "StartTransaction")
    return link


# ---- list ----

def test_what_is_remembered_is_listed_the_open_ones_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, tid = charging()
    over, ended = charging()
    over.call(STATION, "StopTransaction", {"transactionId": ended, "timestamp": END, "meterStop": 5000})
    over.answer(CSMS, {}, "TransactionEvent")
    path = stored(tmp_path / "s", CP0=over.state, CP1=link.state)
    code, found, _ = tx(capsys, path, "list")
    assert code == 0 and [(one["identity"], one["tid"], one["state"], one["next_seq"]) for one in found] == [
        ("CP1", tid, "open", 1), ("CP0", ended, "ended", 2),
    ]
    kept = link.state.charging.transactions[0]
    assert found[0] | {"flags": 0} == {
        "v": 1, "identity": "CP1", "tid": tid, "uid": kept.uid, "connector": 1, "evse": 1, "evse_connector": 1, "state": "open",
        "token": "04…CC", "next_seq": 1, "started": kept.started, "stopped": None, "wh": None, "flags": 0, "owed": [],
    }
    assert [one["identity"] for one in tx(capsys, path, "list", "CP0")[1]] == ["CP0"]
    assert tx(capsys, path, "list", "CP0", str(tid + 1))[1] == []
    run_app(["bridge", "tx", "list", "--state", str(path)])
    assert "04AABBCC" not in (text := capsys.readouterr().out) and kept.uid in text
    assert leases(path) == {"CP0": ("0-1", 1), "CP1": ("0-1", 1)}          # who looks takes nothing


# ---- close ----

def test_a_transaction_that_never_ends_is_closed_and_told_at_the_next_connection(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    link, tid = charging()
    path = stored(tmp_path / "s", CP1=link.state)
    code, done, said = tx(capsys, path, "close", "CP1", str(tid))
    assert code == 0 and done[0]["what"] == "its end is told as TransactionEvent Ended, number 1" and "invented" in said
    assert leases(path)["CP1"] == ("hand", 2)
    row = tx(capsys, path, "list")[1][0]
    owed = {"action": "TransactionEvent", "event": "Ended", "state": "new", "attempts": 0}
    assert (row["state"], row["owed"]) == ("ended", [owed])
    assert tx(capsys, path, "close", "CP1", str(tid))[0] == 2              # once

    again = Bridged(state=state(path))
    again.events = link.events
    again.call(STATION, "Heartbeat")
    again.answer(CSMS, {"currentTime": START}, "Heartbeat")
    again.times.add(instant(row["stopped"]))
    again.wait(2)
    told = again.last(CSMS, "TransactionEvent").payload
    assert (told["eventType"], told["seqNo"], told["offline"], told["triggerReason"]) == ("Ended", 1, True, "AbnormalCondition")
    assert told["transactionInfo"]["stoppedReason"] == "Other"
    assert [sample["value"] for value in told["meterValue"] for sample in value["sampledValue"]] == [1000]
    again.answer(CSMS, {}, "TransactionEvent")
    stop = again.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 5000})
    assert again.answered(stop).payload == {} and len(again.calls(CSMS, "TransactionEvent")) == 1     # it came too late
    again.settled()


def test_the_end_of_a_transaction_of_a_2_0_1_charger_is_told_as_stop_transaction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    link = charging_down()
    path = stored(tmp_path / "s", CP1=link.state)
    code, done, _ = tx(capsys, path, "close", "CP1", "77")
    assert code == 0 and done[0]["what"] == "its end is told as StopTransaction at 0 Wh"
    row = tx(capsys, path, "list")[1][0]
    assert (row["uid"], row["state"]) == (UID, "ending") and [one["action"] for one in row["owed"]] == ["StopTransaction"]
    assert "has ended already" in tx(capsys, path, "close", "CP1", UID)[2]

    again = Bridged(DOWN, state=state(path))
    again.times.add(instant(row["stopped"]))
    again.call(STATION, "Heartbeat")
    again.answer(CSMS, {"currentTime": AT}, "Heartbeat")
    again.wait(12)                                                          # what the station has to say comes first
    told = again.answer(CSMS, {}, "StopTransaction")
    assert told.action == "StopTransaction" and again.last(CSMS, "StopTransaction").payload["transactionId"] == 77
    assert again.state.charging.outbox == () and again.state.charging.transactions == ()


def test_one_that_the_csms_never_heard_of_is_closed_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = Bridged(DOWN)
    link.call(STATION, "TransactionEvent", event("Started", 0, triggerReason="CablePluggedIn"))
    path = stored(tmp_path / "s", CP1=link.state)
    assert tx(capsys, path, "list")[1][0]["state"] == "waiting"
    code, done, _ = tx(capsys, path, "close", "CP1", UID)
    assert code == 0 and "never told" in done[0]["what"]
    assert [(one["state"], one["owed"]) for one in tx(capsys, path, "list")[1]] == [("ended", [])]


# ---- retry ----

def test_what_was_put_aside_is_sent_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, tid = charging()
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 5000})
    link.error(CSMS, "InternalError", action="TransactionEvent")
    for _ in range(2):
        link.wait(200)
        link.error(CSMS, "InternalError", action="TransactionEvent")
    path = stored(tmp_path / "s", CP1=link.state)
    owed = tx(capsys, path, "list")[1][0]["owed"]
    assert [(one["event"], one["state"], one["attempts"]) for one in owed] == [("Ended", "parked", 3)]
    for words in (("retry",), ("close", "--retry")):
        copy = stored(tmp_path / words[0], CP1=link.state)
        code, done, _ = tx(capsys, copy, words[0], "CP1", str(tid), *words[1:])
        assert code == 0 and done[0]["what"] == "1 message put aside will be sent again"
        assert tx(capsys, copy, words[0], "CP1", str(tid), *words[1:])[0] == 2          # nothing is put aside now
        assert tx(capsys, copy, "list")[1][0]["owed"] == [
            {"action": "TransactionEvent", "event": "Ended", "state": "sent", "attempts": 0}]


# ---- adopt ----

def test_a_transaction_from_before_the_bridge_is_adopted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "s", CP1=Bridge.State())
    code, done, _ = tx(capsys, path, "adopt", "CP1", "4711", "--connector", "2", "--token", "04AABBCC")
    assert code == 0 and "TransactionEvent Started" in done[0]["what"]
    row = tx(capsys, path, "list")[1][0]
    assert (row["tid"], row["connector"], row["evse"], row["state"]) == (4711, 2, 2, "pending")
    again = Bridged(state=state(path))
    again.times.add(instant(row["started"]))
    again.call(STATION, "StopTransaction", {"transactionId": 4711, "timestamp": END, "meterStop": 5000})
    again.answer(CSMS, ACCEPTED, "TransactionEvent")
    again.answer(CSMS, {}, "TransactionEvent")
    begun, over = again.calls(CSMS, "TransactionEvent")
    assert (begun["eventType"], begun["evse"], over["eventType"]) == ("Started", {"id": 2, "connectorId": 1}, "Ended")
    assert begun["transactionInfo"]["transactionId"] == row["uid"] == over["transactionInfo"]["transactionId"]
    again.settled()


def test_what_is_adopted_before_anything_was_stored_makes_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run_app(["bridge", "tx", "list"]) == 0 and "stored nothing yet" in capsys.readouterr().err
    path = tmp_path / "ocpp-proxy" / "plugins.sqlite"
    assert run_app(["bridge", "tx", "close", "CP1", "4711"]) == 2 and not path.exists()
    path.parent.mkdir(mode=0o700)
    uid = 12345 if os.geteuid() == 0 else os.geteuid()
    os.chown(path.parent, uid, -1)
    assert run_app(["bridge", "tx", "adopt", "CP1", "4711", "--uid", "u"]) == 0
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (uid, 0o600)
    assert [one.tid for one in state(path).charging.transactions] == [4711]


def test_one_that_the_csms_knows_is_adopted_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "s", CP1=Bridge.State())
    assert tx(capsys, path, "adopt", "CP1", "4711", "--uid", "uid-of-the-csms")[0] == 0
    assert tx(capsys, path, "adopt", "CP1", "4711")[0] == 2                 # it is known now
    kept = state(path).charging
    assert kept.outbox == ()
    assert [(one.tid, one.uid, one.state) for one in kept.transactions] == [(4711, "uid-of-the-csms", "open")]
    again = Bridged(state=state(path))
    again.events["uid-of-the-csms"] = Events([0], ["Started"])
    again.call(STATION, "StopTransaction", {"transactionId": 4711, "timestamp": END, "meterStop": 5000})
    again.answer(CSMS, {}, "TransactionEvent")
    assert again.calls(CSMS, "TransactionEvent")[0]["transactionInfo"]["transactionId"] == "uid-of-the-csms"
    again.settled()


def test_a_2_0_1_charger_s_transaction_is_adopted_under_both_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "s", CP1=Bridge.State())
    code, _, error = tx(capsys, path, "adopt", "CP1", "77", "--bridge", DOWN)
    assert code == 2 and "--uid" in error
    assert tx(capsys, path, "adopt", "CP1", "77", "--uid", UID, "--connector", "1", "--bridge", DOWN)[0] == 0
    again = Bridged(DOWN, state=state(path))
    asked = again.call(STATION, "TransactionEvent", event("Ended", 9, triggerReason="EVDeparted"))
    again.answer(CSMS, {}, "StopTransaction")
    assert again.calls(CSMS, "StopTransaction")[0]["transactionId"] == 77 and again.answered(asked).kind == 3


# ---- what is refused ----

@pytest.mark.parametrize(("words", "why"), [
    (("look",), "write list, adopt, close, retry"), (("close", "CP1"), "say which"),
    (("close", "CP1", "9"), "none of that number or id"), (("adopt", "CP1", "x"), "the number of the transaction"),
    (("adopt", "CP1", "0"), "from 1 to 2147483647"), (("adopt", "CP1", "5", "--connector", "-1"), "connector -1"),
    (("close", "CP1", "9", "--bridge", "1.6:1.6"), "write 1.6:2.0.1 or"), (("list", "CP9"), "remembers nothing of it"),
    (("close", "CP1", "9", "--bridge", DOWN), "is of 1.6:2.0.1"),
])
def test_what_makes_no_sense_changes_nothing(
    words: tuple[str, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    link, _ = charging()
    path = stored(tmp_path / "s", CP1=link.state)
    code, out, error = tx(capsys, path, *words)
    assert (code, out) == (2, []) and why in error
    assert state(path) == link.state and leases(path) == {"CP1": ("0-1", 1)}


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = tx(capsys, tmp_path / "none", "list")
    assert code == 2 and "no such file" in error and not (tmp_path / "none").exists()
    (tmp_path / "text").write_text("no database, but a text that is long enough to be read as one" * 20)
    (tmp_path / "text").chmod(0o600)
    assert tx(capsys, tmp_path / "text", "list")[0] == 2
    path = stored(tmp_path / "s", CP1=Bridge.State())
    database = sqlite3.connect(path)
    database.execute("UPDATE state SET body = x'ff'")
    database.commit()
    database.close()
    assert tx(capsys, path, "list")[0] == 4


class Running:
    """The running proxy's API."""

    def __init__(self, opened: str, meanwhile: Callable[[], None]) -> None:
        self._opened, self._meanwhile, self.missing = opened, meanwhile, ""

    async def open_links(self, identity: str) -> list[OpenLink]:
        self._meanwhile()
        self.missing = "relay worker 1: it is not connected" if self._opened == "not all" else ""
        return [OpenLink(1, identity, "1.6", 0)] if self._opened == "open" else []

    async def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("opened", "meanwhile", "why"),
    [("open", False, "its link is open"), ("", True, "connected meanwhile"), ("not all", False, "not everyone")])
def test_nothing_is_changed_under_an_open_link(
    opened: str, meanwhile: bool, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither while the proxy says so, nor when the charger connects between the question and the change."""
    path = stored(tmp_path / "s", CP1=Bridge.State())

    def dial() -> None:
        if meanwhile:
            database = state_store.connect(path)
            state_store.take_lease(database, "CP1", "0-1")
            database.close()

    async def connect(control: str, token: str) -> Any:
        return Running(opened, dial)

    monkeypatch.setattr(LiveSource, "connect", connect)
    where = state_file.Where(path, Config(), (Instance("a", os.getpid(), str(tmp_path)),))
    before = state(path)
    with pytest.raises((ConfigError, ConnectionError), match=why):
        asyncio.run(state_file.change(where, NAME, Bridge, "CP1", lambda kept: structs.replace(kept, next_event_id=9)))
    assert state(path) == before and leases(path) == {"CP1": ("0-1", 1 + meanwhile)}


def test_a_file_that_another_process_holds_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_store, "LOCKED_SECONDS", 0.01)
    link, tid = charging()
    path = stored(tmp_path / "s", CP1=link.state)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    code, _, error = tx(capsys, path, "close", "CP1", str(tid))
    database.close()
    assert code == 2 and "another process holds it" in error and state(path) == link.state


def test_directions_are_known_from_what_is_stored() -> None:
    assert [direction_of(one) for one in (charging()[0].state, charging_down().state, Bridge.State())] == [UP, DOWN, ""]


def test_between_near_versions_there_are_no_transactions_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "s", CP1=Bridge.State())
    config = tmp_path / "near.toml"
    config.write_text('[plugins.bridge]\nstation = "2.1"\ncsms = "2.0.1"\n')
    code, _, error = tx(capsys, path, "adopt", "CP1", "5", "--config", str(config))
    assert code == 2 and "between 2.1 and 2.0.1 the bridge remembers no transactions" in error
    assert tx(capsys, path, "list", "--config", str(config))[0] == 0
