"""The supervisor of `run`: holds the listening sockets, starts relay and recorder, restarts them, ends them in order.

Small and without asyncio: it must outlive what it watches. Works as PID 1.
"""

import contextlib
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from types import FrameType

import msgspec
from msgspec import Struct, structs

from ocpp_proxy import __version__
from ocpp_proxy.config import Config
from ocpp_proxy.core.isolation import isolated
from ocpp_proxy.core.reloading import RELOAD_FILE, Reloaded, taken
from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.hub.listeners import Listener, listen
from ocpp_proxy.hub.log_file import LogFile
from ocpp_proxy.hub.probe import answers
from ocpp_proxy.hub.segments import has_writer
from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay import hook_mark
from ocpp_proxy.source import LogLine

RELAY, RECORDER = "ocpp_proxy.cli.relay_worker", "ocpp_proxy.cli.recorder"
BACK_OFF = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before a restart; the last one repeats
WELL_SECONDS = 2.0                          # a child that lived so long starts anew without waiting
READY_SECONDS = 20.0                        # how long the recorder may take to answer before we say `listening`
RECORDER_SECONDS = 60.0                     # what the recorder has to drain and checkpoint in
START_ATTEMPTS = 4                          # deaths before anything answered, until we give up
FATAL = (2, 3, 4)                           # exit codes that a restart cannot mend
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Event(Struct, frozen=True):
    """What ``on_event`` is told. ``kind``: note, started, listening, died, stopping, stopped."""

    kind: str
    text: str = ""
    instance: Instance | None = None
    pid: int = 0


def run(config: Config, on_event: Callable[[Event], None], again: Callable[[Config], Config] | None = None) -> int:
    """Run the proxy until SIGTERM, SIGINT or the end of its terminal; the exit code. Raises ``ConfigError`` before anything
    is started.

    Call it in the main thread. ``on_event`` is called here and must come back soon. ``again`` reads the configuration anew
    (SIGHUP), is given the one that holds, and raises ``ConfigError`` when it is wrong.
    """
    return Supervisor(config, on_event, again=again).run()


class Child:
    """One child process: how to start it, and when to do so again. ``module`` is run with ``-m`` and ``arguments``.

    ``held_back``: signals it gets only once it asks for them (blocked at its start).
    """

    def __init__(
        self, name: str, module: str, arguments: list[str], pass_fds: tuple[int, ...], held_back: set[signal.Signals],
    ) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.code: int | None = None        # of the last death
        self.deaths = 0                     # in a row
        self.all_deaths = 0
        self.next_start = 0.0
        self.started_at = 0.0
        self._command = [sys.executable, "-P", "-m", module, *arguments]
        self._pass_fds = pass_fds
        self._held_back = held_back

    def start(self) -> None:
        """Start it, in a session of its own: the terminal's ^C is for the supervisor alone."""
        places = os.pathsep.join(os.path.abspath(place) for place in sys.path if os.path.isdir(place or "."))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._held_back)
        try:
            self.process = subprocess.Popen(
                self._command, pass_fds=self._pass_fds, start_new_session=True, stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": places},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.started_at = monotonic()

    @property
    def alive(self) -> bool:
        """Whether it runs, as of the last ``reap``."""
        return self.process is not None

    def reap(self) -> bool:
        """Whether it died since the last look."""
        if self.process is None or self.process.poll() is None:
            return False
        self.code, self.process = self.process.returncode, None
        self.all_deaths += 1
        self.deaths = 1 if monotonic() - self.started_at >= WELL_SECONDS else self.deaths + 1
        self.next_start = monotonic() + BACK_OFF[min(self.deaths, len(BACK_OFF)) - 1]
        return True

    def send(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """See the module. ``modules``: what the children run (relay, recorder)."""

    def __init__(
        self, config: Config, on_event: Callable[[Event], None], modules: tuple[str, str] = (RELAY, RECORDER),
        again: Callable[[Config], Config] | None = None,
    ) -> None:
        self._again = again
        self._hangups = 0                   # SIGHUP that was not looked at yet
        self._terminal = _has_terminal()
        self._config = config
        self._on_event = on_event
        self._log: LogFile | None = None    # as soon as there is a folder
        self._modules = modules
        self._relays: list[Child] = []      # by worker
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """See ``run``."""
        with contextlib.ExitStack() as stack:
            shares = []                     # the listeners of each worker
            for wanted in (self._config.listen, *((rule.listen,) for rule in isolated(self._config))):
                shares.append(listen(wanted))
                for listener in shares[-1]:
                    stack.callback(listener.socket.close)
            self._known = self._prepare(shares, stack)
            read_end, write_end = os.pipe()
            stack.callback(os.close, write_end)     # our death, or this, is EOF at the children
            folder = self._known.folder
            for worker, listeners in enumerate(shares):
                fds = tuple(listener.socket.fileno() for listener in listeners)
                self._relays.append(Child(
                    f"relay-{worker}" if worker else "relay", self._modules[0],
                    ["--instance", folder, "--worker", str(worker), "--listen-fds", ",".join(map(str, fds)),
                     "--alive-fd", str(read_end)],
                    (*fds, read_end), set(),
                ))
            self._recorder = Child(
                "recorder", self._modules[1], ["--instance", folder, "--alive-fd", str(read_end)], (read_end,),
                {signal.SIGTERM},
            )
            stack.callback(os.close, read_end)
            with self._watching():
                code = self._supervise()
                return code if code is not None else self._end([listener for share in shares for listener in share])

    def _prepare(self, shares: list[list[Listener]], stack: contextlib.ExitStack) -> Instance:
        """The instance folder with its lock and its two files."""
        config, listeners = self._config, shares[0]
        capture = instances.capture_path(config)
        base = instances.runtime_base()
        if config.spool.dir:
            base = instances.Base(Path(config.spool.dir).expanduser().absolute())
        if base.stalls:
            self._tell(Event("note", f"the spool lies on a disk ({base.path}): a disk that hangs can hold up the traffic"))
        folder = instances.private_folder(base.path / instances.instance_name(capture, listeners[0].port))
        stack.callback(os.close, instances.lock(folder))
        instances.point_to(folder)
        self._log = LogFile(folder)
        self._write_config(folder)
        known = Instance(
            name=folder.name, pid=os.getpid(), folder=str(folder), listen=tuple(entry.address for entry in listeners),
            upstream=config.upstream, capture=capture, control=instances.control_address(folder, config.control),
            token=secrets.token_urlsafe(24), started_ns=time.time_ns(), version=__version__,
            isolated=tuple(entry.address for share in shares[1:] for entry in share[:1]), read_token=secrets.token_urlsafe(24),
        )
        for stale in folder.glob("relay-*.json"):       # what workers of an earlier run counted
            stale.unlink()
        instances.write(known)
        stack.callback((folder / "instance.json").unlink, missing_ok=True)
        return known

    def _write_config(self, folder: Path) -> None:
        """For the children: merged, with the places that follow from it."""
        config, capture = self._config, instances.capture_path(self._config)
        settings = structs.replace(
            config, capture=structs.replace(config.capture, path=capture), state=instances.state_path(config, capture),
        )
        instances.write_private(folder / "config.json", msgspec.json.encode(settings))

    def _read_again(self) -> None:
        """Take over what a running proxy can of the configuration as it is now; the relays look for it by themselves."""
        self._hangups = 0
        folder = Path(self._known.folder)
        try:
            fresh = self._again(self._config) if self._again is not None else self._config
            self._config, text = taken(self._config, fresh)
            self._write_config(folder)
        except (ConfigError, OSError) as error:
            text = f"the configuration goes on as it was: {error}"
        self._tell(Event("note", f"reload: {text}"))
        with contextlib.suppress(OSError):
            instances.write_private(folder / RELOAD_FILE, msgspec.json.encode(Reloaded(time.time_ns(), text)))

    def _tell(self, event: Event) -> None:
        if self._log is not None:
            level = "warning" if event.kind in ("died", "note") else "info"
            pid = f" (pid {event.pid})" if event.pid else ""
            self._log.write(LogLine(time.time_ns(), level, "supervisor", f"{event.kind}: {event.text}{pid}".rstrip(": ")))
        self._on_event(event)

    def _supervise(self) -> int | None:
        """Keep all children running until told to stop (None), or one cannot be started at all (its exit code)."""
        since = monotonic()                 # nothing has died
        ready = False
        stuck = [hook_mark.Stuck(Path(self._known.folder), worker) for worker in range(len(self._relays))]
        while not self._signals:
            if self._hangups:
                self._read_again()
            for relay, watch in zip(self._relays, stuck, strict=True):
                if relay.process is not None and watch.look(relay.process.pid, monotonic()):
                    relay.send(signal.SIGKILL)      # no signal that Python looks at reaches it any more
            for child in (self._recorder, *self._relays):
                if child.reap():
                    since = monotonic()
                    self._tell(Event("died", f"{child.name} ended with {_how(child.code)}{self._during(child)}"))
                    if not ready and (child.code in FATAL or child.all_deaths > START_ATTEMPTS):
                        self._end_children(hard=False)
                        return child.code if child.code in FATAL else 1
                if not child.alive and monotonic() >= child.next_start:
                    child.start()
                    assert child.process is not None
                    self._tell(Event("started", child.name, pid=child.process.pid))
            if not ready and (self._answers() or monotonic() - since > READY_SECONDS):
                ready = True
                self._tell(Event("listening", ", ".join(self._known.listen), instances.read(Path(self._known.folder))))
                _notify("READY=1\nSTATUS=listening")
            waits = [child.next_start - monotonic() for child in (*self._relays, self._recorder) if not child.alive]
            self._wait(max(0.0, min([1.0 if ready else 0.1, *waits])))
        return None

    def _during(self, child: Child) -> str:
        """Whose hook was running when a relay ended."""
        if child not in self._relays:
            return ""
        plugin = hook_mark.left(hook_mark.path_of(Path(self._known.folder), self._relays.index(child)))
        return f" in a hook of plugin {safe_text(plugin, 100)}" if plugin else ""

    def _answers(self) -> bool:
        """Whether all are at work: each relay holds a segment of the spool, the recorder answers questions."""
        known = instances.read(Path(self._known.folder))
        spool = Path(self._known.folder, "spool")
        if known is None or not all(has_writer(spool, worker) for worker in range(len(self._relays))):
            return False
        return answers(known, 0.5)

    def _end(self, listeners: list[Listener]) -> int:
        """The order: no new dials, the relays drain, the recorder drains and checkpoints."""
        self._tell(Event("stopping"))
        _notify("STOPPING=1")
        for listener in listeners:
            listener.socket.close()
        return self._end_children(hard=True)

    def _end_children(self, hard: bool) -> int:
        first = len(self._signals)
        code = 0
        drain = self._config.limits.drain_seconds + 5.0
        for relay in self._relays:
            relay.send(signal.SIGTERM)
        deadline = monotonic() + drain
        for child in (*self._relays, self._recorder):
            if child is self._recorder:
                if not child.alive and hard:
                    child.start()           # it died at a bad time: what the spool holds is still to be stored
                child.send(signal.SIGTERM)
                deadline = monotonic() + RECORDER_SECONDS
            while child.alive and not child.reap():
                if monotonic() >= deadline or (child is not self._recorder and len(self._signals) > first):
                    child.send(signal.SIGKILL)      # asked twice, or it does not end
                self._wait(0.2)
            if child.code not in (0, None, -signal.SIGTERM):    # the last: told before it could listen, so with no link
                code = 1
        self._tell(Event("stopped"))
        return code

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Signals wake the selector; as PID 1 orphans are reaped too."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._selector.register(reader, selectors.EVENT_READ)
        before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGCHLD)}
        wake = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        try:
            yield
        finally:
            for child in (*self._relays, self._recorder):
                child.send(signal.SIGKILL)
                if child.process is not None:
                    child.process.wait()
            signal.set_wakeup_fd(wake)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            reader.close()
            writer.close()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self._terminal == _has_terminal():
            self._hangups += 1              # not because our terminal has gone: the configuration is to be read again
        else:
            self._signals.append(number)

    def _wait(self, seconds: float) -> None:
        """Until a signal or a child's death, at most so long."""
        for key, _ in self._selector.select(seconds):
            with contextlib.suppress(BlockingIOError):
                while key.fileobj.recv(512):        # type: ignore[union-attr]    # it is the socket registered above
                    pass
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        """As PID 1 every orphan of the container is ours; our own children are left to their own ``poll``."""
        ours = {child.process.pid for child in (*self._relays, self._recorder) if child.process is not None}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in ours:
                return
            os.waitpid(found.si_pid, 0)


def _has_terminal() -> bool:
    """Whether there is a terminal that this process belongs to."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _notify(text: str) -> None:
    """Tell systemd (sd_notify), if it asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)
