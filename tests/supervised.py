"""A supervised proxy for tests, as processes: ``python -m tests.supervised`` runs the supervisor with these children.

``relay``: answers every dial with its pid, spools what it reads, and writes what happens to it into ``order``.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from pathlib import Path

import msgspec

from ocpp_proxy.config import Config
from ocpp_proxy.supervisor import Event, Supervisor
from tests.hub import doubles
from tests.hub.writing import Writer


def note(folder: Path, text: str) -> None:
    """Append a line to the story of this run."""
    with (folder / "order").open("a") as file:
        file.write(text + "\n")


def argument(name: str) -> str:
    """The value of a command line option."""
    return sys.argv[sys.argv.index(name) + 1]


def relay() -> int:
    """The stand-in of the relay."""
    folder = Path(argument("--instance"))
    worker = int(argument("--worker"))
    name = f"relay-{worker}" if worker else "relay"
    listeners = [socket.socket(fileno=int(fd)) for fd in argument("--listen-fds").split(",")]
    alive = int(argument("--alive-fd"))
    stop, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.write(wake, b"x") and None)
    if (folder / "refuse").exists():
        print("relay: the certificate cannot be read", file=sys.stderr)
        return 2
    if (folder / "crash").exists():
        return 1
    writer = Writer(folder / "spool", worker)
    while True:
        fds = [listener.fileno() for listener in listeners]
        ready, _, _ = select.select([*fds, alive, stop], [], [])
        if alive in ready or stop in ready:
            note(folder, f"{name} {'orphaned' if alive in ready else 'told'}")
            writer.append(b"last words")
            writer.die()
            note(folder, f"{name} ended")
            return 0
        for listener in listeners:
            with contextlib.suppress(BlockingIOError):
                dial, _ = listener.accept()
                writer.append(b"dial")
                dial.setblocking(True)
                dial.sendall(b"%d" % os.getpid())
                dial.close()


def recorder() -> int:
    """The recorder of the doubles; says when it ended."""
    folder = Path(argument("--instance"))
    code = doubles.main()
    note(folder, "recorder ended")
    return code


def supervisor() -> int:
    """The real supervisor; events go to stdout, one JSON object a line."""
    def tell(event: Event) -> None:
        print(msgspec.json.encode(event).decode(), flush=True)

    config = msgspec.json.decode(argument("--config"), type=Config)
    return Supervisor(config, tell, ("tests.supervised_relay", "tests.supervised_recorder")).run()


if __name__ == "__main__":
    sys.exit(supervisor())
