"""Whose hook was running when a relay ended: readable by who comes after it, whatever ended it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocpp_proxy.api import PASS, Call, Context, Decision, Plugin, Side
from ocpp_proxy.core.onion import Onion
from ocpp_proxy.core.seats import Installed
from ocpp_proxy.core.session import text_frame
from ocpp_proxy.relay import hook_mark
from ocpp_proxy.relay.hook_mark import MOST_NAMES, OTHER, HookMark
from ocpp_proxy.relay.watchdog import Watchdog
from ocpp_proxy.wire.frames import TEXT

BEAT = b'[2,"1","Heartbeat",{}]'


class Looks(Plugin):
    """Remembers what the file says while its hook runs."""

    seen: list[str] = []                # noqa: RUF012  # of all seats of a test
    path = Path()

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        self.seen.append(hook_mark.left(self.path))
        return PASS


def test_the_file_names_the_plugin_while_its_hook_runs(tmp_path: Path) -> None:
    Looks.path, Looks.seen[:] = hook_mark.path_of(tmp_path, 3), []
    watchdog = Watchdog(HookMark(Looks.path))
    try:
        onion = Onion([Installed("first", Looks), Installed("sécond", Looks)], "CP1", "1.6", bytes, limit=watchdog)
        onion.receive(Side.STATION, BEAT, 1, 1)
        assert hook_mark.left(Looks.path) == ""
    finally:
        watchdog.close()
    assert Looks.seen == ["first", "sécond"]
    assert Looks.path.name == "relay-3.hook" and Looks.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("end", "code"), [
    ("os._exit(9)", 9), ("os.kill(os.getpid(), 9)", -signal.SIGKILL), ("os.abort()", -signal.SIGABRT),
])
def test_it_outlives_the_process(tmp_path: Path, end: str, code: int) -> None:
    path = tmp_path / "relay-0.hook"
    text = f"""
import os, sys, pathlib
from ocpp_proxy.relay.hook_mark import HookMark
mark = HookMark(pathlib.Path(sys.argv[1]))
mark.number("other")
mark.cells[0] = mark.number("mine")
{end}
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path)}
    assert subprocess.run([sys.executable, "-c", text, str(path)], check=False, env=environment).returncode == code
    assert hook_mark.left(path) == "mine"
    HookMark(path)
    assert hook_mark.left(path) == ""


def test_more_names_than_there_is_room_for(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    mark = HookMark(path)
    numbers = [mark.number(f"p{number}") for number in range(MOST_NAMES + 2)]
    assert numbers[:2] == [1, 2] and numbers[-3:] == [MOST_NAMES, OTHER, OTHER] and mark.number("p1") == 2
    mark.cells[0] = MOST_NAMES
    assert hook_mark.left(path) == f"p{MOST_NAMES - 1}"
    mark.cells[0] = OTHER
    assert hook_mark.left(path) == "(one of many)"
    assert HookMark(path).number("x" * hook_mark.SIZE) == OTHER


def test_without_a_file_it_marks_nothing_and_fails_nowhere(tmp_path: Path) -> None:
    mark = HookMark(tmp_path / "no" / "such")
    mark.cells[0] = mark.number("mine")
    assert hook_mark.left(tmp_path / "no" / "such") == "" and HookMark().number("mine") == 1
    (tmp_path / "empty").touch()
    assert hook_mark.left(tmp_path / "empty") == ""


@pytest.mark.parametrize(("text", "words"), [
    (b'[2,"17","StopTransaction",{"idTag":"secret"}]', "StopTransaction 17 of CP1"),
    (b' [ 3 , "x-1" , {}]', "the answer to x-1 of CP1"),
    (b"no message", "one of CP1"), (b"", "one of CP1"), (b'[2,"%s","Long",{}]' % (b"1" * 60), f"Long {'1' * 60} of CP1"),
    (b'[2,"3","Large","%s"]' % (b"y" * 70_000), "Large 3 of CP1"),
])
@pytest.mark.parametrize("mask", [b"", b"mask"])
def test_the_last_message_is_named_without_what_it_carried(tmp_path: Path, text: bytes, words: str, mask: bytes) -> None:
    path = tmp_path / "mark"
    assert hook_mark.last_shown(path) == ""
    watchdog = Watchdog(HookMark(path))
    try:
        for data in (text_frame(b'[2,"0","Before",{}]' * 100, TEXT, mask), text_frame(text, TEXT, mask)):
            watchdog.about(5, 0, b"CP1", 3, 9, len(data), data)
        watchdog.number("mine")
    finally:
        watchdog.close()
    assert hook_mark.last_shown(path) == words
    HookMark(path)
    assert hook_mark.last_shown(path) == ""


def test_a_worker_is_stuck_when_one_hook_runs_on_and_nothing_else_happens(tmp_path: Path) -> None:
    """Not while it runs none, shows another message, or counts; nor one that never began, or that follows one that died."""
    stuck, other, now = hook_mark.Stuck(tmp_path, 1), hook_mark.Stuck(tmp_path, 1), 0.0

    def passes(seconds: float = hook_mark.STUCK_SECONDS - 1) -> bool:
        nonlocal now
        now += seconds
        assert not other.look(os.getpid() + 1, now)
        return stuck.look(os.getpid(), now)

    assert not passes(100)
    stats, mark = tmp_path / "relay-1.json", HookMark(hook_mark.path_of(tmp_path, 1))
    watchdog = Watchdog(mark)
    try:
        stats.touch()
        assert not passes(100) and not passes(100)
        mark.cells[0] = mark.number("mine")
        assert not passes(100) and not passes()
        watchdog.about(5, 0, b"CP1", 3, 9, len(BEAT), BEAT)
        assert not passes() and not passes()
        os.utime(stats, ns=(1, 1))
        assert not passes() and not passes()
        mark.cells[0] = mark.number("other")
        assert not passes() and not passes() and passes(1) and passes(0)
        mark.cells[0] = 0
        assert not passes(0) and not passes(100)
    finally:
        watchdog.close()
