"""A terminal for tests: a tmux server of its own, keys into it, the picture out of it."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 45.0


class Terminal:
    """One window. ``see`` waits for a text on the screen; ``shows`` is the screen now."""

    def __init__(self, socket: Path, columns: int, rows: int, environment: dict[str, str]) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", os.devnull]
        variables = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
        self._run("new-session", "-d", "-s", "t", "-x", str(columns), "-y", str(rows), *variables, "sh")
        self.type("PS1='ready> '", "Enter")

    def type(self, *keys: str) -> None:
        """Press keys, as tmux names them; a text is typed letter by letter."""
        self._run("send-keys", "-t", "t", *keys)

    def command(self, *arguments: str) -> None:
        """Run ``ocpp-proxy`` with these arguments."""
        self.type(f"clear; {sys.executable} -m ocpp_proxy {' '.join(arguments)}", "Enter")

    def shows(self, colours: bool = False) -> str:
        """The screen as text."""
        return self._run("capture-pane", "-p", *(["-e"] if colours else []), "-t", "t")

    def see(self, text: str, seconds: float = SECONDS) -> str:
        """Wait until the screen holds a text; the screen then."""
        return self.until(lambda screen: text in screen, f"{text!r} on the screen", seconds)

    def press(self, key: str, text: str) -> str:
        """Press a key, and again, until the screen holds a text: what the first press did may take a moment to be there."""
        for _ in range(20):
            self.type(key)
            with contextlib.suppress(AssertionError):
                return self.see(text, 2.0)
        return self.see(text, 1.0)

    def gone(self, text: str) -> str:
        """Wait until the screen no longer holds a text."""
        return self.until(lambda screen: text not in screen, f"{text!r} gone from the screen")

    def until(self, holds: Callable[[str], bool], what: str, seconds: float = SECONDS) -> str:
        """Wait until something is true of the screen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            screen = self.shows()
            if holds(screen):
                return screen
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds:.0f} s for {what}; the screen:\n{self.shows()}")

    def close(self) -> None:
        """End it with all that runs in it."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=20)
        return done.stdout


@contextmanager
def terminal(folder: Path, columns: int = 120, rows: int = 36, **more: str) -> Iterator[Terminal]:
    """A terminal in which the proxy's state lies below ``folder``. Skips where there is no tmux."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    (folder / "run").mkdir(exist_ok=True, mode=0o700)
    environment = {
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures", "plugins")),
        "OCPP_PROXY_RUNTIME": str(folder / "run"), "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "HOME": str(folder), **more,
    }
    window = Terminal(folder / "tmux.sock", columns, rows, environment)
    try:
        yield window
    finally:
        window.close()
