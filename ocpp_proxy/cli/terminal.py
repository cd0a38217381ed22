"""Lending the terminal to a terminal UI in a process of its own, while this process goes on in silence.

Whatever this process and its children would print meanwhile goes to a file: on the terminal it would spoil the picture.
"""

import contextlib
import os
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

from ocpp_proxy.cli.open_source import TOKEN_VARIABLE, address
from ocpp_proxy.hub.instance import Instance, state_folder

# What a UI that was killed leaves behind: the other screen, a hidden cursor, mouse and paste reports, key protocols.
RESET = b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[?1004l\x1b[<u\x1b[0m\r\n"
END_SECONDS = 3.0                           # a terminal UI that is told to end has so long to give the terminal back


def at_terminal() -> bool:
    """Whether a terminal UI can be shown: a person sits at both ends, and the terminal can do more than print."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Lent:
    """The terminal while it is lent: ``silence`` first, then ``open``, at last ``close``."""

    def __init__(self, log: Path | None = None) -> None:
        self._log = log or state_folder() / "terminal.log"
        self._own = [os.dup(fd) for fd in (0, 1, 2)]
        self._modes = termios.tcgetattr(0)
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: threading.Thread | None = None
        self._lock = threading.Lock()
        self._silent = False

    def silence(self) -> None:
        """From now on what is printed goes to the file; what reads gets nothing."""
        with contextlib.suppress(OSError):
            self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            out = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError:
            out = os.open(os.devnull, os.O_WRONLY)
        nothing = os.open(os.devnull, os.O_RDONLY)
        with self._lock:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, to in ((0, nothing), (1, out), (2, out)):
                os.dup2(to, fd)
            self._silent = True
        os.close(out)
        os.close(nothing)

    def open(self, instance: Instance, left: Callable[[], None] = lambda: None) -> None:
        """Start the UI on a running proxy; ``left`` is called in a thread when it is over and the terminal is ours again."""
        command = [sys.executable, "-m", "ocpp_proxy", "tui", address(instance)]
        environment = {**os.environ, TOKEN_VARIABLE: instance.token} if instance.by_tcp else None
        stdin, stdout, stderr = self._own
        self._child = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment)
        self._waiting = threading.Thread(target=self._wait, args=(left,), name="terminal", daemon=True)
        self._waiting.start()

    @property
    def shown(self) -> bool:
        """Whether the UI is on the screen."""
        return self._child is not None and self._child.poll() is None

    def close(self) -> None:
        """Ask the UI to end, if it still runs; the terminal is ours again."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._waiting is not None and self._waiting is not threading.current_thread():
            self._waiting.join(END_SECONDS)
        self._take_back()

    def _wait(self, left: Callable[[], None]) -> None:
        assert self._child is not None
        if self._child.wait() < 0:          # killed: nobody has put the terminal right
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._own[0], termios.TCSANOW, self._modes)
                os.write(self._own[1], RESET)
        self._take_back()
        left()

    def _take_back(self) -> None:
        with self._lock:
            if self._silent:
                sys.stdout.flush()
                sys.stderr.flush()
                for fd, own in enumerate(self._own):
                    os.dup2(own, fd)
                self._silent = False
