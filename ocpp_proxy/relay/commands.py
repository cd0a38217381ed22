"""The connection to the hub by which a person acts. Comes back by itself; a hub that is away holds up nothing."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec

from ocpp_proxy.model import ConfigError, PluginError
from ocpp_proxy.relay.acts import Acts
from ocpp_proxy.wire import command
from ocpp_proxy.wire.command import Hello, Request, Response

SOCKET_PATH = 103                       # bytes of a socket's path that every system takes
WAITS = (0.05, 0.1, 0.2, 0.5, 1.0)      # seconds between attempts; the last one repeats
MOST_OPEN = 2048                        # requests that are being answered
LOOK_SECONDS = 1.0                      # between two looks at the files of plugins and configuration


class Commands:
    """See the module."""

    def __init__(self, folder: Path, acts: Acts, worker: int, incarnation: int) -> None:
        self._fd = -1                       # the folder, where its path is too long for a socket
        self._path = self._short(folder)
        self._acts, self._worker, self._incarnation = acts, worker, incarnation
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to look for the hub, and at the files."""
        works = [self._watch()]
        if self._path and hasattr(asyncio, "open_unix_connection"):
            works.append(self._connect())
        self._tasks = {asyncio.ensure_future(work) for work in works}

    def _short(self, folder: Path) -> str:
        """The path of the socket as the system takes it; empty: there is no such way."""
        path = folder / command.SOCKET
        if len(os.fsencode(path)) <= SOCKET_PATH:
            return str(path)
        if not Path("/proc/self/fd").is_dir():
            return ""
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{path.name}"

    async def stop(self) -> None:
        """End it: nobody can decide any more about what breakpoints hold."""
        self._acts.let_go()
        tasks = [*self._tasks, *self._open]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _connect(self) -> None:
        attempt = 0
        while True:
            with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
                reader, writer = await asyncio.open_unix_connection(self._path)
                attempt = 0
                try:
                    await self._serve(reader, writer)
                finally:
                    self._acts.alone(True)
                    writer.close()
            await asyncio.sleep(WAITS[min(attempt, len(WAITS) - 1)])
            attempt += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(command.pack(Request(0, Hello(self._worker, self._incarnation, self._acts.points))))
        self._acts.alone(False)
        take = command.Reader()
        while data := await reader.read(1 << 16):
            for message in take.feed(data):
                self._answer(command.request(message), writer)

    def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST_OPEN:
            writer.write(command.pack(Response(request.number, f"{MOST_OPEN} requests wait for their answers already")))
            return
        task = asyncio.ensure_future(self._do(request, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _do(self, request: Request, writer: asyncio.StreamWriter) -> None:
        error, data = "", b""
        try:
            result = self._deed(request.body)
            data = msgspec.msgpack.encode(await result if isinstance(result, Awaitable) else result)
        except (ConfigError, PluginError) as refused:
            error = str(refused) or "refused"
        except TimeoutError:
            error = "the link did not become free for it"
        except Exception as fault:          # a fault of ours ends this request and nothing else
            error = f"{type(fault).__name__}: {fault}"
        if request.number and not writer.is_closing():
            try:
                packed = command.pack(Response(request.number, error, data))
            except ValueError as large:
                packed = command.pack(Response(request.number, str(large)))
            writer.write(packed)

    def _deed(self, body: command.Body) -> Any:
        acts = self._acts
        match body:
            case command.Find():
                return acts.find(body.identity)
            case command.ListHeld():
                return acts.held()
            case command.Settle():
                return acts.settle(body)
            case command.Arm():
                return acts.arm(body)
            case command.Inject():
                return acts.inject(body)
            case command.Disconnect():
                return acts.disconnect(body)
            case command.Plugins():
                return acts.plugins()
            case command.Switch():
                return acts.switch(body)
            case command.Reload():
                return acts.reload(body.who)
        raise ConfigError(f"{type(body).__name__} is nothing for a worker")

    async def _watch(self) -> None:
        """Look at the files once a second; a disk that hangs holds up this thread and nothing else."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self._acts.stale):
                    await self._acts.reload("proxy")
            except Exception as error:      # a fault of ours, or of code that was loaded: it looks again all the same
                self._acts.fault(f"{type(error).__name__}: {error}")
