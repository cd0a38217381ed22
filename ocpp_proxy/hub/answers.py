"""The part of the control API that screens are made of: rows of a traffic list, summaries, bookmarks, the proxy's log.

Answers come from the store, or without one from what this recorder remembers. Only ``POST /v1/bookmarks`` changes
anything, and only in the capture.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import msgspec
from aiohttp import web
from msgspec import structs

from ocpp_proxy.fields import Filter, parse
from ocpp_proxy.hub.asking import Asking, encode
from ocpp_proxy.hub.bodies import packed
from ocpp_proxy.hub.guard import acting
from ocpp_proxy.hub.log_file import LogFile
from ocpp_proxy.hub.queries import FILTER_SECONDS, MAX_LINES, MAX_ROWS, Known, Marks, Rows, Summaries
from ocpp_proxy.model import ConfigError
from ocpp_proxy.source import Bookmark, Charging, View

NO_CAPTURE = "this proxy stores nothing (--no-capture)"
CANNOT = "the capture of this proxy cannot answer that"
VIEWS = ("exchanges", "frames")
Ask = Callable[[Callable[[], bytes]], Awaitable[bytes]]


class Which(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/rows``."""

    view: View
    numbers: list[int]


class Answers:
    """Answers for one recorder. ``memory`` stands in for a store that cannot answer; None: there is no stand-in."""

    def __init__(self, store: object | None, memory: Known | None, asking: Asking, said: LogFile | None = None) -> None:
        self._asking, self._said = asking, said
        self._rows: Rows | None = store if isinstance(store, Rows) else memory
        self._summaries: Summaries | None = store if isinstance(store, Summaries) else memory
        self._marks = store if isinstance(store, Marks) else None
        self._ask_rows: Ask = asking.beside if isinstance(store, Rows) else _at_once
        # A filter that reads every payload takes long: the rows that are shown are not to wait for it.
        self._ask_numbers: Ask = Asking(None, store, FILTER_SECONDS).beside if isinstance(store, Rows) else _at_once
        self._ask_summaries: Ask = (
            asking.beside if isinstance(store, Summaries) or memory is None else Asking(memory.thread).in_order)

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.get("/v1/numbers", self._numbers), web.get("/v1/rows", self._get_rows), web.post("/v1/rows", self._post_rows),
            web.get("/v1/row_lines", self._row_lines), web.get("/v1/number_of", self._number_of),
            web.get("/v1/chargers", self._chargers), web.get("/v1/finding_groups", self._finding_groups),
            web.get("/v1/findings", self._findings), web.get("/v1/transactions", self._transactions),
            web.post("/v1/curve", self._curve), web.get("/v1/bookmarks", self._bookmarks),
            web.post("/v1/bookmarks", self._bookmark), web.get("/v1/log", self._log),
        ]

    async def _numbers(self, request: web.Request) -> web.Response:
        view, where = _view(request), where_of(request)
        after, before = whole_number(request, "after", 0), whole_number(request, "before_message", 0)
        rows = self._known_rows()
        body = await self._ask_numbers(lambda: packed(rows.numbers(view, where, after, before)))
        return web.Response(body=body, content_type="application/octet-stream")

    async def _get_rows(self, request: web.Request) -> web.Response:
        words = request.query.get("numbers", "")
        try:
            numbers = [int(word) for word in words.split(",")] if words else []
        except ValueError:
            raise ConfigError(f"numbers: whole numbers with commas between them are wanted, not {words[:100]!r}") from None
        return await self._whole(_view(request), numbers)

    async def _post_rows(self, request: web.Request) -> web.Response:
        which = msgspec.json.decode(await request.read(), type=Which)
        return await self._whole(which.view, which.numbers)

    async def _whole(self, view: View, numbers: list[int]) -> web.Response:
        if len(numbers) > MAX_LINES:
            raise ConfigError(f"numbers: at most {MAX_LINES} at once")
        _within(numbers, "numbers")
        rows = self._known_rows()
        return answer(await self._ask_rows(lambda: encode(rows.rows(view, numbers))))

    async def _row_lines(self, request: web.Request) -> web.Response:
        view, number = _view(request), whole_number(request, "number", 0)
        rows = self._known_rows()
        return answer(await self._ask_rows(lambda: encode(rows.row_lines(view, number))))

    async def _number_of(self, request: web.Request) -> web.Response:
        view, message, frame = _view(request), whole_number(request, "msg_no", 0), whole_number(request, "frame_id", 0)
        rows = self._known_rows()
        return answer(await self._ask_rows(lambda: encode({"number": rows.number_of(view, message, frame)})))

    async def _chargers(self, request: web.Request) -> web.Response:
        known = self._known_summaries()
        return answer(await self._ask_summaries(lambda: encode(known.chargers())))

    async def _finding_groups(self, request: web.Request) -> web.Response:
        known, identity = self._known_summaries(), request.query.get("identity", "")
        return answer(await self._ask_summaries(lambda: encode(known.finding_groups(identity))))

    async def _findings(self, request: web.Request) -> web.Response:
        known, code, identity = self._known_summaries(), request.query.get("code", ""), request.query.get("identity", "")
        limit = min(whole_number(request, "limit", 1000), MAX_ROWS)
        return answer(await self._ask_summaries(lambda: encode(known.findings(code, identity, limit))))

    async def _transactions(self, request: web.Request) -> web.Response:
        known, identity = self._known_summaries(), request.query.get("identity", "")
        limit = min(whole_number(request, "limit", 10_000), MAX_ROWS)
        return answer(await self._ask_summaries(lambda: encode(known.transactions(identity, limit))))

    async def _curve(self, request: web.Request) -> web.Response:
        charging = msgspec.json.decode(await request.read(), type=Charging)
        _within(structs.astuple(charging), "curve")
        known = self._known_summaries()
        return answer(await self._ask_summaries(lambda: encode(known.curve(charging))))

    async def _bookmarks(self, request: web.Request) -> web.Response:
        marks = self._marks
        if marks is None:
            return answer(b"[]")
        return answer(await self._asking.beside(lambda: encode(marks.bookmarks())))

    async def _bookmark(self, request: web.Request) -> web.Response:
        acting(request, True)
        if self._marks is None:
            raise web.HTTPNotFound(text=f"{NO_CAPTURE}: there is nothing that a bookmark could be kept in")
        mark = msgspec.json.decode(await request.read(), type=Bookmark)
        _within((mark.msg_no, mark.time_ns), "bookmark")
        await self._asking.in_order(self._marks.bookmark, mark)
        return answer(b"{}")

    async def _log(self, request: web.Request) -> web.Response:
        after, said = whole_number(request, "after_ns", 0), self._said
        return answer(encode(said.since(after)) if said is not None else b"[]")

    def _known_rows(self) -> Rows:
        if self._rows is None:
            raise web.HTTPNotFound(text=CANNOT)
        return self._rows

    def _known_summaries(self) -> Summaries:
        if self._summaries is None:
            raise web.HTTPNotFound(text=CANNOT)
        return self._summaries


async def _at_once(question: Callable[[], bytes]) -> bytes:
    return question()


def answer(body: bytes, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=body, status=status, content_type="application/json")


def where_of(request: web.Request) -> Filter | None:
    """The parameter ``filter``; None when it is empty. Raises ``ConfigError``."""
    text = request.query.get("filter", "")
    return parse(text) if text.strip() else None


def whole_number(request: web.Request, name: str, default: int) -> int:
    """A whole number among the parameters. Raises ``ConfigError``."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) >= 1 << 63:
        raise ConfigError(f"{name}: a whole number is wanted, not {text[:100]!r}")
    return int(text)


def _within(values: Sequence[object], name: str) -> None:
    """Refuse numbers that no capture can hold. Raises ``ConfigError``."""
    for value in values:
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise ConfigError(f"{name}: {str(value)[:30]}: a whole number of 64 bits is wanted")


def _view(request: web.Request) -> View:
    view = request.query.get("view", "exchanges")
    if view not in VIEWS:
        raise ConfigError(f"view: exchanges or frames is wanted, not {view[:100]!r}")
    return cast(View, view)
