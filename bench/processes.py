"""Processes of a measurement: started on a core, told apart by stage, their CPU time and memory read from /proc."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
LOOPBACK = "127.0.0.1"
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
STAGES = {                                  # by what the command line names
    "ocpp_proxy.relay": "relay", "ocpp_proxy.cli.relay_worker": "relay", "ocpp_proxy.cli.recorder": "recorder",
}


def built(folder: Path) -> Path:
    """Compile ``wsload.c``; the program."""
    program = folder / "wsload"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", str(program), str(BENCH / "wsload.c")], check=True)
    return program


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process under test: this checkout's code, state and spool in folders of its own.

    The spool goes to /dev/shm where there is one: that is where a service has it (ARCHITECTURE.md).
    """
    shared = Path("/dev/shm")
    runtime = (shared if shared.is_dir() else folder) / folder.name
    runtime.mkdir(mode=0o700, exist_ok=True)
    return {
        **os.environ, "PATH": SEARCH, "OCPP_PROXY_RUNTIME": str(runtime), "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tui", "captures", "plugins")),
    }


def remove(folder: Path) -> None:
    """Remove a folder and the runtime folder that ``environment`` made for it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(Path("/dev/shm") / folder.name, ignore_errors=True)


def spawn(command: list[str], core: int, folder: Path, name: str) -> "subprocess.Popen[bytes]":
    """Start a process on a core; what it says goes to ``folder/name.log``."""
    cores = os.sched_getaffinity(0)
    pinned = ["taskset", "-c", str(core)] if core in cores else []
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([*pinned, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(folder))


def end(process: "subprocess.Popen[bytes] | None", seconds: float = 30) -> bool:
    """SIGTERM, and SIGKILL when that does not help in time; whether it ended by itself."""
    if process is None or process.poll() is not None:
        return True
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Free ports below the ephemeral range, none twice."""
    found: list[int] = []
    for port in range(15000 + random.randrange(10000), 32000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free port below 32000")


def wait_listening(process: "subprocess.Popen[bytes]", port: int, log: Path, seconds: float = 30) -> None:
    """Wait until somebody listens. Raises RuntimeError with the end of the log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port), 1).close()
            return
        time.sleep(0.02)
    said = log.read_text(errors="replace")[-1500:] if log.exists() else ""
    raise RuntimeError(f"{process.args!r} does not listen on {port} (exit code {process.poll()}): {said}")


def wait_said(process: "subprocess.Popen[bytes]", word: str, log: Path, seconds: float = 60) -> None:
    """Wait until a process has said a word. Raises RuntimeError with the end of its log."""
    deadline = time.monotonic() + seconds
    while word not in log.read_text(errors="replace"):
        if time.monotonic() > deadline or process.poll() is not None:
            said = log.read_text(errors="replace")[-1500:]
            raise RuntimeError(f"{process.args!r} never said {word} (exit code {process.poll()}): {said}")
        time.sleep(0.05)


def tree(pid: int) -> list[int]:
    """The process and its descendants, itself first."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found += tree(int(child))
    return found


def stage_of(pid: int, root: int) -> str:
    """relay, recorder, supervisor; a program without such parts is all relay."""
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        for module, stage in STAGES.items():
            if module in line:
                return stage
        if "ocpp_proxy" in line:
            return "supervisor"
    return "relay" if pid == root else "other"


def stages(root: int) -> dict[int, str]:
    """The processes of the tree by stage."""
    return {pid: stage_of(pid, root) for pid in tree(root)}


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads that still live, from schedstat (nanosecond precision)."""
    total = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError):
            total += int(stat.read_text().split()[0])
    return total / 1e9


def resident(pid: int) -> int:
    """Resident bytes."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def move(pid: int, core: int) -> None:
    """Put all threads of a process on a core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(task.name), {core})


def settle(pids: list[int], seconds: float = 120) -> bool:
    """Wait until the processes use less than 4 % of a core for a second: what lagged has caught up."""
    deadline, calm = time.monotonic() + seconds, 0
    before = sum(cpu_seconds(pid) for pid in pids)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        after = sum(cpu_seconds(pid) for pid in pids)
        calm = calm + 1 if after - before < 0.02 else 0
        before = after
        if calm == 2:
            return True
    return False


PYTHON = sys.executable
