"""Which proxies run on this machine and answer. Blocking and light: the supervisor asks so too."""

import http.client
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub.instance import Instance, split_address
from ocpp_proxy.model import ConfigError

PROBE_SECONDS = 2.0


def find_instances(bases: Path | Iterable[Path] | None = None) -> list[Instance]:
    """The proxies that run and answer, oldest first. ``bases`` None: every place this user may look."""
    places = instances.search_bases() if bases is None else [bases] if isinstance(bases, Path) else list(bases)
    found: dict[str, Instance] = {}
    for base in places:
        try:
            folders = sorted(folder for folder in base.iterdir() if folder.is_dir())
        except OSError:
            continue
        for folder in folders:
            known = instances.read(folder)
            if known is not None and _lives(known.pid) and answers(known):
                found[os.path.realpath(folder)] = known
    return sorted(found.values(), key=lambda known: known.started_ns)


def answers(instance: Instance, seconds: float = PROBE_SECONDS) -> bool:
    """Whether the control API of an instance answers (also when it says that all is not well)."""
    connection = _Connection(instance, seconds)
    try:
        connection.request("GET", "/healthz", headers={"Authorization": f"Bearer {instance.token}"})
        return connection.getresponse().status in (200, 503)
    except (OSError, http.client.HTTPException, ConfigError):
        return False
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """http.client over a socket path or to a TCP address."""

    def __init__(self, instance: Instance, seconds: float) -> None:
        host, port = split_address(instance.control) if instance.by_tcp else ("localhost", 80)
        super().__init__(host, port, timeout=seconds)
        self._path = "" if instance.by_tcp else instance.control

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def health(instance: Instance, seconds: float = PROBE_SECONDS) -> tuple[bool, list[str]]:
    """Whether all is well with an instance, and what is not. Raises ``OSError`` when it does not answer."""
    status, body = told(instance, seconds)
    problems = [str(one) for one in body.get("problems", ())]
    return status == 200, problems or ([] if status == 200 else [f"it answers {status}"])


def told(instance: Instance, seconds: float = PROBE_SECONDS) -> tuple[int, dict[str, Any]]:
    """Status and body of /healthz. Raises ``OSError`` when nothing answers, or not so."""
    connection = _Connection(instance, seconds)
    try:
        connection.request("GET", "/healthz", headers={"Authorization": f"Bearer {instance.token}"})
        response = connection.getresponse()
        body = json.loads(response.read())
        if not isinstance(body, dict):
            raise ValueError("no object")
        return response.status, body
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def main() -> int:
    """``python -m ocpp_proxy.hub.probe``, for a container's health check: 0 all is well, 1 it is not, 3 no proxy answers."""
    running = find_instances()
    if not running:
        print("no proxy answers")
        return 3
    code = 0
    for one in running:
        try:
            well, problems = health(one)
        except OSError as error:
            well, problems = False, [str(error)]
        code = code if well else 1
        print(f"{', '.join(one.listen)}: " + (safe_text("; ".join(problems), 2000) if problems else "all is well"))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
