"""What a charger says reaches a real terminal escaped, on every screen: 14 kinds of payload in every field, all bytes read.

The application writes escape sequences of its own, so each kind carries a marker that only it can have brought.
"""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

from tests.tui.tmux import ROOT

MARK = "PROBE"
KINDS = {                                   # kind -> what is sent, what must never come out
    "clear and title": ("\x1b[2J\x1b]0;PROBE1\x07", "\x1b]0;PROBE1"),
    "clipboard": ("\x1b]52;c;UFJPQkUy\x07", "\x1b]52;c;UFJPQkUy"),
    "hyperlink": ("\x1b]8;;http://evil/PROBE3\x1b\\x", "\x1b]8;;http://evil/PROBE3"),
    "C1 clear": ("\u009b2JPROBE4", "\u009b"),
    "C1 colour": ("\u009b31mPROBE5", "\u009b31m"),
    "bidi": ("\u202ePROBE6", "\u202e"),
    "carriage return": ("PROBE7\rCP-OK", "PROBE7\r"),
    "backspace": ("PROBE8\b\bls", "PROBE8\b"),
    "newline": ("PROBE9\nFAKE", "PROBE9\n"),
    "NUL": ("PROBE12\0b", "PROBE12\0"),
    "combining": ("PROBE13" + "\u0301" * 200, "\u0301" * 5),
}
KEPT = {                                    # kinds that must come out as they were sent, not obeyed
    "markup": "[red]PROBE10[/red]", "broken markup": "[/PROBE11]", "emoji": ":skull:PROBE14",
}
KEYS = [
    *("t", "t", "G", "k", "k", "\r", "j", "j", "r", "p", "x", "\x1b", "T", "=", "F"), *("2", "j", "\r", "u"),
    *("3", "j", "\r", "\r"), *("4", "j"), *("5", "\r"), "6", *("?", "\x1b"), "1",
    *("/", "PROBE", "\r", "F", "\x06", "PROBE", "\r", "n", "g", "y", "b", "\x1b"),
]


def test_no_payload_acts_on_the_terminal(tmp_path: Path) -> None:
    trace = tmp_path / "hostile.jsonl"
    trace.write_text("".join(json.dumps(line) + "\n" for line in _lines()))
    seen = _run(tmp_path, [str(trace)], KEYS)
    for kind, (_, forbidden) in KINDS.items():
        assert forbidden.encode() not in seen, kind
    assert seen.count(MARK.encode()) > 50       # they were on the screen, in their escaped form
    for kind, text in KEPT.items():
        assert text.encode() in seen, kind
    assert b"\\x1b]0;PROBE1" in seen and b"\\u202ePROBE6" in seen


def _lines() -> list[dict[str, object]]:
    """A trace in which every kind stands in every field that a peer can choose."""
    lines: list[dict[str, object]] = []
    for at, text in enumerate([*(sent for sent, _ in KINDS.values()), *KEPT.values()]):
        boot = {"chargePointVendor": text, "chargePointModel": text, "firmwareVersion": text, text: text}
        calls: list[tuple[str, str, object]] = [
            ("cp-to-csms", f"b{at}", [2, f"{text}b{at}", "BootNotification", boot]),
            ("csms-to-cp", f"b{at}", [3, f"{text}b{at}", {"status": text, "currentTime": text, "interval": 5}]),
            ("cp-to-csms", f"a{at}", [2, f"a{at}", text, {"idTag": text}]),
            ("csms-to-cp", f"a{at}", [4, f"a{at}", text, text, {text: text}]),
            ("cp-to-csms", f"s{at}", [2, f"s{at}", "StartTransaction",
                                      {"connectorId": 1, "idTag": text, "meterStart": 0, "timestamp": text}]),
            ("csms-to-cp", f"s{at}", [3, f"s{at}", {"transactionId": at + 1, "idTagInfo": {"status": "Accepted"}}]),
            ("cp-to-csms", f"n{at}", [2, f"n{at}", "StatusNotification",
                                      {"connectorId": 1, "errorCode": text, "status": text, "info": text}]),
        ]
        for step, (direction, _, message) in enumerate(calls):
            lines.append({
                "timestamp": f"2026-05-01T10:{at:02d}:{step:02d}.000Z", "direction": direction,
                "chargePointId": f"{text}CP{at}",
                "ocppVersion": "1.6", "raw": json.dumps(message, ensure_ascii=False)})
    return lines


def _run(folder: Path, arguments: list[str], keys: list[str]) -> bytes:
    """Run the screen on a pty of 100 x 40, press the keys one after the other; all bytes that came out."""
    environment = {
        **os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures", "plugins")),
    }
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "ocpp_proxy", "tui", *arguments], environment)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    seen = bytearray()
    try:
        _read(fd, seen, 60.0, b"Traffic")
        for key in keys:
            for one in ([key] if len(key) == 1 or key.startswith("\x1b") else key):
                os.write(fd, one.encode())
            _read(fd, seen, 0.5)
        os.write(fd, b"q")
        _read(fd, seen, 10.0, b"\x1b[?1049l")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
    return bytes(seen)


def _read(fd: int, seen: bytearray, seconds: float, until: bytes = b"") -> None:
    """Read until a text has come, or what is being painted has come to rest."""
    deadline, start = time.monotonic() + seconds, len(seen)
    while time.monotonic() < deadline:
        ready, _, _ = select.select([fd], [], [], 0.12)
        if not ready:
            if not until and len(seen) > start:
                return
            continue
        try:
            data = os.read(fd, 65536)
        except OSError:                         # the other end is closed
            return
        if not data:
            return
        seen += data
        if until and until in seen[start:]:
            return
