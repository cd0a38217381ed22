"""The hub's end of the connections to relay workers: they dial in, are asked, and answer. Bounded; a worker may be away."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from ocpp_proxy.hub.instance import SOCKET_PATH
from ocpp_proxy.model import ConfigError
from ocpp_proxy.wire import command
from ocpp_proxy.wire.command import Body, Hello, Request, Response

T = TypeVar("T")
ANSWER_SECONDS = 15.0                   # a switch to frame mode may take 10
LIST_SECONDS = 3.0                      # for what is only listed: what others hold is not to wait for one that hangs
COME_SECONDS = 2.0                      # a worker that was away is back within one
MOST_ASKED = 4096                       # requests to one worker that wait for their answer
NO_WORKER = "no relay worker has connected: look into the log (`ocpp-proxy tui`, or log.ndjson in the instance folder)"


class Gone(ConfigError):
    """The relay ended, or its connection, while it was asked; whether it did it is not known."""


class Worker:
    """One relay worker that dialled in."""

    def __init__(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        self.number, self.incarnation, self.points = hello.worker, hello.incarnation, hello.points
        self._writer = writer
        self._asked: dict[int, asyncio.Future[Response | None]] = {}
        self._next = 1

    async def ask(self, body: Body, kind: type[T], seconds: float = ANSWER_SECONDS) -> T:
        """Ask it, and give its answer. Raises ``ConfigError`` with what it says, or that it does not answer.

        ``Gone`` when it ended meanwhile.
        """
        if len(self._asked) >= MOST_ASKED:
            raise ConfigError(f"{MOST_ASKED} requests wait for answers of the relay already")
        number, self._next = self._next, self._next + 1
        answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._writer.write(command.pack(Request(number, body)))
            async with asyncio.timeout(seconds):
                response = await answer
        except (TimeoutError, OSError, ValueError) as error:
            raise ConfigError(f"the relay does not answer: {str(error) or f'nothing came within {seconds:.0f} s'}") from error
        finally:
            del self._asked[number]
        if response is None:
            raise Gone("the relay ended while it was being asked")
        if response.error:
            raise ConfigError(response.error)
        return msgspec.msgpack.decode(response.data, type=kind)

    def answered(self, response: Response) -> None:
        """It answers."""
        waiting = self._asked.get(response.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(response)

    def gone(self) -> None:
        """It is gone: who waits is told."""
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_result(None)
        self._writer.close()


class Commanding:
    """``workers``: those connected now, by number; ``expected``: how many there are to be. ``on_hello`` is awaited for each one
    that comes.
    """

    def __init__(self, folder: Path, expected: int = 1) -> None:
        self._expected = expected
        self._came = asyncio.Condition()
        self._path = folder / command.SOCKET
        self._server: asyncio.Server | None = None
        self._fd = -1                       # the folder, where its path is too long for a socket
        self.workers: dict[int, Worker] = {}
        self.on_hello: Callable[[Worker], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Take connections; without a socket (path too long, another system) nobody can act. Raises ``OSError``."""
        path = self._short()
        if not path or not hasattr(asyncio, "start_unix_server"):
            return
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path)
        finally:
            os.umask(mask)

    def _short(self) -> str:
        """The path of the socket as the system takes it; empty: there is no such way."""
        if len(os.fsencode(self._path)) <= SOCKET_PATH:
            return str(self._path)
        if not Path("/proc/self/fd").is_dir():
            return ""
        self._fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{self._path.name}"

    async def stop(self) -> None:
        """End it; the workers go on without a hub."""
        if self._server is not None:
            self._server.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        for worker in list(self.workers.values()):
            worker.gone()
        self.workers.clear()

    async def each(self) -> list[Worker]:
        """The workers, by number; those that are away have a moment to come back. Raises ``ConfigError`` when there is none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COME_SECONDS), self._came:
                await self._came.wait_for(lambda: len(self.workers) >= self._expected)
        if not self.workers:
            raise ConfigError(NO_WORKER)
        return [self.workers[number] for number in sorted(self.workers)]

    async def asked(self, body: Body, kind: type[T], seconds: float = 0.0) -> tuple[list[tuple[Worker, T]], list[str]]:
        """The answers of those that give one, by number; of the others which is missing, and why."""
        living = [self.workers[number] for number in sorted(self.workers)]
        asking = [worker.ask(body, kind, seconds or LIST_SECONDS) for worker in living]
        found = await asyncio.gather(*asking, return_exceptions=True)
        answers, missing = list[tuple[Worker, T]](), list[str]()
        for worker, one in zip(living, found, strict=True):
            if isinstance(one, ConfigError):
                missing.append(f"relay worker {worker.number}: {one}")
            elif isinstance(one, BaseException):
                raise one
            else:
                answers.append((worker, one))
        away = [number for number in range(self._expected) if number not in {worker.number for worker in living}]
        return answers, missing + [f"relay worker {number}: it is not connected" for number in away]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker: Worker | None = None
        take = command.Reader()
        try:
            while data := await reader.read(1 << 18):
                for message in take.feed(data):
                    if worker is None:
                        worker = self._hello(message, writer)
                        async with self._came:
                            self._came.notify_all()
                        if self.on_hello is not None:
                            greeting = asyncio.ensure_future(self.on_hello(worker))
                            greeting.add_done_callback(_heard)
                    else:
                        worker.answered(command.response(message))
        except (OSError, ValueError, msgspec.DecodeError):
            pass                            # it dials again
        finally:
            if worker is not None:
                if self.workers.get(worker.number) is worker:
                    del self.workers[worker.number]
                worker.gone()
            with contextlib.suppress(OSError):
                writer.close()

    def _hello(self, message: bytes, writer: asyncio.StreamWriter) -> Worker:
        body = command.request(message).body
        if not isinstance(body, Hello):
            raise ValueError("no Hello")
        before = self.workers.get(body.worker)
        if before is not None:
            before.gone()
        worker = self.workers[body.worker] = Worker(body, writer)
        return worker


def _heard(greeting: "asyncio.Future[None]") -> None:
    """A worker that went away while it was greeted dials again."""
    if not greeting.cancelled():
        greeting.exception()
