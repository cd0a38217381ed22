"""The proxies the peers are put around: started as processes of their own, stopped in order, their memory summed up."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.peers.raw_peers import LOOPBACK, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PRODUCT = (
    "{python} -m ocpp_proxy run ws://127.0.0.1:{upstream} --listen 127.0.0.1:{listen} --host preserve"
    " --capture {folder}/c.duckdb"
)
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

HAPROXY = """
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen peers
  bind 127.0.0.1:{listen}
  server csms 127.0.0.1:{upstream}
"""

NGINX = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2;
  fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  map $http_upgrade $hop {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{listen};
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $hop;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


class Target:
    """A running proxy: dial ``port``; it leads to the CSMS."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.port, self.process = port, process

    def memory(self) -> int:
        """Resident bytes of the process and all its descendants; 0 for a direct connection."""
        return sum(_resident(pid) for pid in tree(self.process.pid)) if self.process else 0

    def steady(self, seconds: float = 20) -> None:
        """Wait until the memory has not grown by a megabyte for a second."""
        deadline, since, before = time.monotonic() + seconds, time.monotonic(), self.memory()
        while time.monotonic() < min(deadline, since + 1):
            time.sleep(0.05)
            if (now := self.memory()) > before + (1 << 20):
                since, before = time.monotonic(), now


def tree(pid: int) -> list[int]:
    """The process and its descendants, itself first."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found += tree(int(child))
    return found


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return 0


def installed(program: str) -> bool:
    """Whether the program can be found."""
    return shutil.which(program, path=PATH) is not None


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process under test: its state and runtime folders lie in ``folder``."""
    return {
        **os.environ, "PATH": PATH, "OCPP_PROXY_RUNTIME": str(folder / "runtime"), "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures", "plugins")),
    }


@contextlib.contextmanager
def started(command: list[str], listen: int, folder: Path) -> Iterator[Target]:
    """Start a proxy, wait until it listens, and end it afterwards."""
    (folder / "runtime").mkdir(mode=0o700, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(folder), cwd=folder,
        )
    try:
        _wait_listening(process, listen, folder)
        yield Target(listen, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)                                # a capture that is not closed is no evidence
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_listening(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port), 1).close()
            return
        time.sleep(0.02)
    said = (folder / "log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{process.args!r} does not listen on {port} (exit code {process.poll()}): {said}")


def haproxy(upstream: int, folder: Path) -> contextlib.AbstractContextManager[Target]:
    """HAProxy in tcp mode."""
    return _configured(["haproxy", "-db", "-f"], HAPROXY, upstream, folder)


def nginx(upstream: int, folder: Path) -> contextlib.AbstractContextManager[Target]:
    """nginx as an HTTP proxy with the usual WebSocket lines."""
    return _configured(["nginx", "-p", str(folder), "-c"], NGINX, upstream, folder)


def _configured(command: list[str], template: str, upstream: int, folder: Path) -> contextlib.AbstractContextManager[Target]:
    listen = free_port()
    (folder / "conf").write_text(template.format(listen=listen, upstream=upstream, folder=folder))
    return started([*command, str(folder / "conf")], listen, folder)


def double(kind: str, upstream: int, folder: Path) -> contextlib.AbstractContextManager[Target]:
    """A proxy of ``doubles.py``."""
    listen = free_port()
    return started([sys.executable, str(HERE / "doubles.py"), kind, str(listen), str(upstream)], listen, folder)


def under_test(upstream: int, folder: Path, *options: str) -> contextlib.AbstractContextManager[Target]:
    """The product, or what OCPP_PROXY_UNDER_TEST names (a command with {listen} and {upstream})."""
    listen = free_port()
    line = os.environ.get("OCPP_PROXY_UNDER_TEST", PRODUCT)
    names = {"listen": listen, "upstream": upstream, "folder": folder, "python": sys.executable}
    command = [part.format(**names) for part in shlex.split(line)]
    return started([*command, *options], listen, folder)
