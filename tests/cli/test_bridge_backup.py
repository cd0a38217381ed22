"""``ocpp-proxy bridge backup`` and ``restore``: what is put back is what was saved, and no number is given twice."""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.by_hand import AHEAD

from ocpp_proxy.cli import places
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.relay import state_store
from tests.cli.test_bridge_tx import charging, charging_down, leases, state, stored
from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.test_up_charging import ACCEPTED, END, LATER


@pytest.fixture(autouse=True)
def _nobody_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "search_bases", lambda: [tmp_path / "run"])


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    return run_app(["bridge", *map(str, words)]), capsys.readouterr().err


def begun(link: Bridged, at: str, connector: int = 2) -> int:
    """A further transaction; its number."""
    asked = link.call(STATION, "StartTransaction", {"connectorId": connector, "idTag": "B", "timestamp": at, "meterStart": 0})
    link.answer(CSMS, ACCEPTED, "TransactionEvent")
    return int(link.answered(asked).payload["transactionId"])


def saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Bridged, int, Path]:
    """A charger that charges, with an end that is owed; the file, and its backup beside it."""
    link, tid = charging()
    link.call(STATION, "StopTransaction", {"transactionId": tid, "timestamp": END, "meterStop": 5000})
    path = stored(tmp_path / "s", CP1=link.state, CP2=charging_down().state)
    assert said(capsys, "backup", tmp_path / "b", "--state", path)[0] == 0
    return link, tid, path


def put(path: Path, new: Any, identity: str = "CP1") -> None:
    """What the relay stores."""
    assert stored(path, **{identity: new}) == path


def test_what_was_saved_is_there_again_and_no_number_is_given_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, tid, path = saved(tmp_path, capsys)
    before, other = state(path), state(path, "CP2")
    link.answer(CSMS, {}, "TransactionEvent")
    since = begun(link, LATER)                                              # behind the backup
    put(path, link.state)
    newest = state(path).charging
    assert said(capsys, "restore", tmp_path / "b", "--state", path)[0] == 0
    after = state(path)
    assert after.charging.transactions == before.charging.transactions and after.charging.outbox == before.charging.outbox
    assert (after.charging.next_tid, after.charging.next_number) == (newest.next_tid, newest.next_number) != (
        before.charging.next_tid, before.charging.next_number)
    rest = structs.replace(after, charging=before.charging)
    assert rest == before and state(path, "CP2") == other
    assert leases(path) == {"CP1": ("restore", 3), "CP2": ("restore", 2)}
    again = Bridged(state=after)
    again.events, again.times = link.events, link.times
    again.call(STATION, "Heartbeat")
    again.answer(CSMS, {"currentTime": END}, "Heartbeat")
    again.wait(2)
    again.answer(CSMS, {}, "TransactionEvent")                              # what is owed goes first
    assert begun(again, "2027-02-01T00:00:00Z") > since == tid + 1


def test_the_file_that_was_there_stays_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, _, path = saved(tmp_path, capsys)
    link.answer(CSMS, {}, "TransactionEvent")
    put(path, link.state)
    newest = state(path)
    said(capsys, "restore", tmp_path / "b", "--state", path)
    [aside] = tmp_path.glob("s.2*")
    assert state(aside) == newest and aside.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*-wal")) and not (tmp_path / "s.restoring").exists()


@pytest.mark.parametrize("gone", [False, True])
def test_what_root_restores_belongs_to_the_service(gone: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, path = saved(tmp_path, capsys)
    uid, gid = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(tmp_path if gone else path, uid, gid)
    if gone:
        path.unlink()
    assert said(capsys, "restore", tmp_path / "b", "--state", path)[0] == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (uid, gid)


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_without_the_newest_numbers_many_are_left_out(lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, path = saved(tmp_path, capsys)
    before = state(path).charging
    if lost == "gone":
        path.unlink()
    else:
        path.write_bytes(b"no database any more, but a text" * 200)
        Path(f"{path}-wal").write_bytes(b"x" * 100)
    code, text = said(capsys, "restore", tmp_path / "b", "--state", path)
    assert code == 0 and "not known" in text
    after = state(path).charging
    assert (after.next_tid, after.next_number) == (before.next_tid + AHEAD, before.next_number + AHEAD)
    assert after.transactions == before.transactions
    assert state(path, "CP2").charging.next_tid == 0                        # it gives none
    assert len(list(tmp_path.glob("s.2*"))) == (lost == "damaged") and not Path(f"{path}-wal").exists()


def test_chargers_that_came_later_keep_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "s", CP1=Bridge.State())
    assert said(capsys, "backup", tmp_path / "b", "--state", path)[0] == 0
    late = charging()[0].state
    put(path, late, "CP3")
    said(capsys, "restore", tmp_path / "b", "--state", path)
    after = state(path, "CP3").charging
    assert (after.next_tid, after.transactions) == (late.charging.next_tid, ())
    assert leases(path) == {"CP1": ("restore", 2), "CP3": ("restore", 2)}


def test_a_backup_is_made_while_the_file_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "s", CP1=charging()[0].state)
    database = state_store.connect(path)                                    # a relay has it open, in the midst of a commit
    database.execute("BEGIN IMMEDIATE")
    database.execute("DELETE FROM state")
    assert said(capsys, "backup", tmp_path / "b", "--state", path)[0] == 0
    database.close()
    assert state(tmp_path / "b") == state(path) and (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    code, text = said(capsys, "backup", tmp_path / "b", "--state", path)
    assert code == 2 and "is there already" in text


def test_nothing_is_put_back_under_a_proxy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither one that is found, nor one that has the file open and cannot be found."""
    monkeypatch.setattr(state_store, "LOCKED_SECONDS", 0.01)
    _, _, path = saved(tmp_path, capsys)
    bytes_ = path.read_bytes()
    database = state_store.connect(path)
    database.execute("SELECT * FROM lease").fetchall()
    code, text = said(capsys, "restore", tmp_path / "b", "--state", path)
    assert code == 2 and "a process has it open" in text
    database.close()
    folder = tmp_path / "run" / "a"
    folder.mkdir(parents=True)
    instances.write(instances.Instance("a", os.getpid(), str(folder), ("127.0.0.1:9000",)))
    (folder / "config.json").write_text(json.dumps({"state": str(path)}))
    held = instances.lock(folder)
    code, text = said(capsys, "restore", tmp_path / "b")                    # the file is the proxy's
    os.close(held)
    assert code == 2 and "a proxy runs on it (127.0.0.1:9000)" in text
    assert path.read_bytes() == bytes_ and not list(tmp_path.glob("s.*"))


@pytest.mark.parametrize(("name", "code", "why"), [
    ("none", 2, "there is no such file"), ("s", 2, "it is the file itself"), ("text", 2, "not one of ours"),
    ("torn", 4, "torn"),
])
def test_what_is_no_backup(name: str, code: int, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, path = saved(tmp_path, capsys)
    (tmp_path / "text").write_text("no database" * 100)
    torn = bytearray((tmp_path / "b").read_bytes())
    torn[5000:9000] = b"x" * 4000
    (tmp_path / "torn").write_bytes(torn)
    for made in ("text", "torn"):
        (tmp_path / made).chmod(0o600)
    before = state(path)
    got, text = said(capsys, "restore", tmp_path / name, "--state", path)
    assert got == code and why in text
    assert state(path) == before and not list(tmp_path.glob("s.*"))


def test_a_backup_is_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path, capsys)
    database = sqlite3.connect(f"file:{tmp_path / 'b'}?immutable=1", uri=True)
    try:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("PRAGMA application_id").fetchone() == (state_store.APPLICATION,)
    finally:
        database.close()
    assert sorted(one.name for one in tmp_path.glob("b*")) == ["b"]
