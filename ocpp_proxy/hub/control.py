"""The control API of a running proxy: HTTP on a Unix socket, or on TCP with a token. docs/reference/control-api.md lists it.

Here: links, lines, what is followed, records, query, health, metrics. The rest is in ``answers``.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from ocpp_proxy.hub import guard, openapi
from ocpp_proxy.hub.act_routes import ActRoutes
from ocpp_proxy.hub.acting import Acts
from ocpp_proxy.hub.answers import NO_CAPTURE, Answers, answer, where_of, whole_number
from ocpp_proxy.hub.asking import Asking, encode
from ocpp_proxy.hub.bodies import Ask
from ocpp_proxy.hub.commits import StoreThread
from ocpp_proxy.hub.instance import join_address, split_address
from ocpp_proxy.hub.log_file import LogFile
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.queries import MAX_LINES, Known, Queries, Stream, cut
from ocpp_proxy.hub.sinks import Live

FOLLOWERS = 64
MAX_BODY = 1 << 20


class Control:
    """Serves one recorder. ``health`` gives the body of /healthz and whether all is well."""

    def __init__(
        self, live: Live, metrics: Metrics, store: object | None, health: Callable[[], tuple[bool, Mapping[str, Any]]],
        *, memory: Known | None = None, thread: StoreThread | None = None, said: LogFile | None = None,
        acts: Acts | None = None, allow_inject: bool = False,
    ) -> None:
        """``thread``: where the store commits; ``memory``: what answers without a store; ``said``: the proxy's log;
        ``acts``: what is done to traffic, where that is allowed."""
        self._live, self._metrics, self._health = live, metrics, health
        self._queries = store if isinstance(store, Queries) else None
        self._stream = store if isinstance(store, Stream) else None
        self._asking = Asking(thread, store)
        self._long = Asking(None, store)    # queries and whole captures take long: screens are not to wait for them
        self._answers = Answers(store, memory, self._asking, said)
        self._acts = ActRoutes(acts, allow_inject)
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, token: str, read_token: str = "") -> str:
        """Begin to serve at a socket path or ``HOST:PORT``; the address it got. Raises ``OSError``, ``ConfigError``."""
        checks = [guard.errors, guard.middleware(address, token, read_token)]
        app = web.Application(middlewares=checks, client_max_size=MAX_BODY)
        app.add_routes([
            web.get("/v1/links", self._links), web.get("/v1/lines", self._lines), web.get("/v1/follow", self._follow),
            web.get("/v1/records", self._records), web.post("/v1/query", self._query),
            web.get("/healthz", self._healthz), web.get("/metrics", self._scrape), web.get("/v1/openapi.json", self._openapi),
            *self._answers.routes(), *self._acts.routes(),
        ])
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0,
                                     handler_cancellation=True)
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
        stream = self._stream
        known = {link.link_id: link for link in await self._asking.beside(stream.links)} if stream else {}
        known.update(self._live.links)
        return answer(encode([known[key] for key in sorted(known)]))

    async def _lines(self, request: web.Request) -> web.Response:
        where = where_of(request)
        after, limit = whole_number(request, "after", 0), min(whole_number(request, "limit", 1000), MAX_LINES)
        stream = self._stream
        if stream is None:
            await self._live.settle()
            return answer(encode(self._live.page(where, after, limit)))
        return answer(await self._asking.beside(lambda: encode(stream.page(where, after, limit))))

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        where, last = where_of(request), whole_number(request, "last", 0)
        if last:
            await self._live.settle()
        if len(self._live.subscribers) >= FOLLOWERS:
            raise web.HTTPServiceUnavailable(text=f"{FOLLOWERS} readers follow already; end one of them")
        subscriber = self._live.subscribe(where, last)
        try:
            async def batches() -> AsyncIterator[bytes]:
                while (batch := await subscriber.take()) is not None:
                    yield self._live.encoded(batch)
                    await asyncio.sleep(0)  # a long queue is not emptied in one turn
            return await _send(request, batches())
        finally:
            self._live.leave(subscriber)

    async def _records(self, request: web.Request) -> web.StreamResponse:
        if self._stream is None:
            raise web.HTTPNotFound(text=f"{NO_CAPTURE}: there are only live lines")
        stream = self._stream.records()

        def following() -> bytes:
            batch = next(stream, None)
            return b"" if batch is None else encode(batch) + b"\n"

        async def batches() -> AsyncIterator[bytes]:
            while text := await self._long.beside(following):
                yield text
        return await _send(request, batches())

    async def _query(self, request: web.Request) -> web.Response:
        queries = self._queries
        if queries is None:
            raise web.HTTPNotFound(text=f"{NO_CAPTURE}: there is nothing to query")
        ask = msgspec.json.decode(await request.read(), type=Ask)
        return answer(await self._long.beside(lambda: encode(cut(queries.query(ask.query, ask.parameters)))))

    async def _openapi(self, request: web.Request) -> web.Response:
        return answer(openapi.document())

    async def _healthz(self, request: web.Request) -> web.Response:
        well, body = self._health()
        return answer(encode({**body, "may_act": self._acts.may(request)}), 200 if well else 503)

    async def _scrape(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def _send(request: web.Request, batches: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    try:
        async for batch in batches:
            await response.write(batch)
        await response.write_eof()
    except ConnectionError:
        pass                                # the reader has gone
    return response
