"""A session as a user has it, in a real terminal: the demo, following, filters, a finding's message, a file, quitting."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.tui.tmux import ROOT, terminal

SAMPLE = ROOT / "captures" / "samples" / "demo.duckdb"


def test_demo_follow_filter_finding_message_quit(tmp_path: Path) -> None:
    capture = tmp_path / "demo.duckdb"
    with terminal(tmp_path) as window:
        window.command("demo", "--capture", str(capture))
        window.see("1 Traffic")
        window.see("BootNotification")
        window.see("following")
        window.see("CS-MODERN")
        window.type("k")                            # the cursor moves: nothing below moves any more
        window.see("new below")
        window.type("space")
        window.see("following")
        window.type("/", "action == StartTransaction and identity == CP-HEALTHY", "Enter")
        window.until(lambda screen: _rows(screen) == {("CP-HEALTHY", "StartTransaction")}, "only its StartTransactions")
        window.type("F")
        window.type("3")
        window.see("whose fault")
        window.see("X01")
        window.type("/", "code == X01", "Enter")       # which rule stands first depends on how busy the machine is
        window.see("transactionId is -1")
        window.press("Enter", "go to them")      # down to the findings of the rule, then to the message of one
        window.see("exchanges ")
        window.type("2")
        window.see("last seen")
        window.type("6")
        window.see("listening")
        window.type("q")
        window.see("0 lost")
        window.see("the network's fault:")
        window.command("tui", str(capture))
        window.see("CP-AUTEL")
        window.type("q")
        window.see("ready>")


def test_run_with_the_screen_goes_on_when_that_is_left(tmp_path: Path) -> None:
    with terminal(tmp_path) as window:
        window.command("run", "simulate", "--listen", "127.0.0.1:0", "--capture", str(tmp_path / "c.duckdb"), "--tui")
        window.see("1 Traffic")
        window.type("q")
        window.see("the proxy goes on")
        window.see("waiting: no TCP connection yet")
        window.type("C-c")
        window.see("capture is closed")
        window.see("ready>")


def test_a_killed_screen_leaves_the_proxy_running(tmp_path: Path) -> None:
    with terminal(tmp_path) as window:
        window.command("run", "simulate", "--listen", "127.0.0.1:0", "--capture", str(tmp_path / "c.duckdb"), "--tui")
        window.see("1 Traffic")
        for pid in _screens(tmp_path):
            os.kill(pid, signal.SIGKILL)
        window.type("", "Enter")
        window.see("the proxy goes on")
        window.type("C-c")
        window.see("ready>")


def test_without_a_terminal_it_prints_the_lines_of_tail(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "ocpp_proxy", "tui", str(SAMPLE)], capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL, env=environment)
    assert done.returncode == 0, done.stderr
    assert "BootNotification" in done.stdout and "\x1b" not in done.stdout
    assert "no terminal here" in done.stderr


def _rows(screen: str) -> set[tuple[str, str]]:
    """Charger and action of the rows of Traffic."""
    return set(re.findall(r"^\s*\d\d:\d\d:\d\d\.\d{3} (\S+) +─▶ +(?:\S+ +)?([A-Z]\w+) ", screen, re.MULTILINE))


def _screens(folder: Path) -> list[int]:
    """The terminal UIs that run below this folder's state."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"tui" in command and f"XDG_STATE_HOME={folder}/state".encode() in environment:
                found.append(int(entry.name))
    return found
