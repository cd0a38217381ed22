"""The control API of a running proxy: HTTP on a Unix socket, or on TCP with a token. Read-only.

``GET /v1/links`` · ``GET /v1/lines`` · ``GET /v1/follow`` (NDJSON of ``sinks.Batch``) · ``GET /v1/records`` (NDJSON of
record lists) · ``POST /v1/query`` · ``GET /healthz`` · ``GET /metrics``. Errors are ``{"error": "..."}``.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from ocpp_proxy.fields import Filter, parse
from ocpp_proxy.hub import guard
from ocpp_proxy.hub.commits import aside
from ocpp_proxy.hub.instance import join_address, split_address
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.queries import AT_ONCE, MAX_LINES, QUERY_SECONDS, History, Queries, cut
from ocpp_proxy.hub.sinks import Batch, Live
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import Record

FOLLOWERS = 64
MAX_BODY = 1 << 20
T = TypeVar("T")


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/query``."""

    query: str
    parameters: dict[str, str] = {}


class Control:
    """Serves one recorder. ``health`` gives the body of /healthz and whether all is well."""

    def __init__(
        self, live: Live, metrics: Metrics, store: object | None, health: Callable[[], tuple[bool, Mapping[str, Any]]],
    ) -> None:
        self._live, self._metrics, self._health = live, metrics, health
        self._queries = store if isinstance(store, Queries) else None
        self._history = store if isinstance(store, History) else None
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, token: str) -> str:
        """Begin to serve at a socket path or ``HOST:PORT``; the address it got. Raises ``OSError``, ``ConfigError``."""
        app = web.Application(middlewares=[guard.errors, guard.middleware(address, token)], client_max_size=MAX_BODY)
        app.add_routes([
            web.get("/v1/links", self._links), web.get("/v1/lines", self._lines), web.get("/v1/follow", self._follow),
            web.get("/v1/records", self._records), web.post("/v1/query", self._query),
            web.get("/healthz", self._healthz), web.get("/metrics", self._scrape),
        ])
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        if address.startswith("/"):
            Path(address).unlink(missing_ok=True)
            mask = os.umask(0o177)
            try:
                await web.UnixSite(self._runner, address).start()
            finally:
                os.umask(mask)
            return address
        host, port = split_address(address)
        await web.TCPSite(self._runner, host, port, reuse_address=True).start()
        return join_address(host, self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End: followers come to their end, nothing new is taken."""
        self._live.end()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _links(self, request: web.Request) -> web.Response:
        known = {link.link_id: link for link in await self._of_store(History.links)} if self._history else {}
        known.update(self._live.links)
        return _json([known[key] for key in sorted(known)])

    async def _lines(self, request: web.Request) -> web.Response:
        where = _where(request)
        after, limit = _number(request, "after", 0), min(_number(request, "limit", 1000), MAX_LINES)
        if self._history is not None:
            return _json(await self._of_store(History.page, where, after, limit))
        return _json(self._live.page(where, after, limit))

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        where = _where(request)
        if len(self._live.subscribers) >= FOLLOWERS:
            raise web.HTTPServiceUnavailable(text=f"{FOLLOWERS} readers follow already; end one of them")
        subscriber = self._live.subscribe(where)
        try:
            async def batches() -> AsyncIterator[Batch]:
                while (batch := await subscriber.take()) is not None:
                    yield batch
            return await _stream(request, batches())
        finally:
            self._live.leave(subscriber)

    async def _records(self, request: web.Request) -> web.StreamResponse:
        if self._history is None:
            raise web.HTTPNotFound(text="this proxy stores nothing (--no-capture): there are only live lines")
        stream: Iterator[list[Record]] = self._history.records()

        async def batches() -> AsyncIterator[list[Record]]:
            while (batch := await self._wait(next, stream, None)) is not None:
                yield batch
        return await _stream(request, batches())

    async def _query(self, request: web.Request) -> web.Response:
        if self._queries is None:
            raise web.HTTPNotFound(text="this proxy stores nothing (--no-capture): there is nothing to query")
        ask = msgspec.json.decode(await request.read(), type=Ask)
        return _json(cut(await self._wait(self._queries.query, ask.query, ask.parameters)))

    async def _healthz(self, request: web.Request) -> web.Response:
        well, body = self._health()
        return _json(body, 200 if well else 503)

    async def _scrape(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _of_store(self, method: Callable[..., T], *arguments: Any) -> T:
        return await self._wait(getattr(self._history, method.__name__), *arguments)

    async def _wait(self, function: Callable[..., T], *arguments: Any) -> T:
        """Ask the store beside its commits, for a bounded time: a hung store holds up no other answer."""
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                await self._asking.acquire()
                answer = asyncio.ensure_future(aside(function, *arguments))
                answer.add_done_callback(self._answered)
                return await asyncio.shield(answer)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text=f"the capture has not answered within {QUERY_SECONDS:.0f} s") from None

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        self._asking.release()              # only now: calls that hang are bounded too
        if not answer.cancelled():
            answer.exception()


async def _stream(request: web.Request, batches: AsyncIterator[Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    try:
        async for batch in batches:
            await response.write(msgspec.json.encode(batch) + b"\n")
        await response.write_eof()
    except ConnectionError:
        pass                                # the reader has gone
    return response


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _where(request: web.Request) -> Filter | None:
    text = request.query.get("filter", "")
    return parse(text) if text.strip() else None


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ConfigError(f"{name}: a whole number is wanted, not {text!r}")
    return int(text)


