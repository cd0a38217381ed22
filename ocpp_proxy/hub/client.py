"""The other end of the control API: a running proxy as a ``source.Source``, and as ``source.Acting``."""

from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from ocpp_proxy.fields import Filter
from ocpp_proxy.hub.bodies import MISSING, unpacked
from ocpp_proxy.hub.probe import answers, find_instances
from ocpp_proxy.hub.sinks import Batch
from ocpp_proxy.model import CaptureError, ConfigError, Link, Side
from ocpp_proxy.records import Line, MessageSeen, Note, Record, Row
from ocpp_proxy.source import (
    Bookmark,
    Charger,
    Charging,
    FindingGroup,
    FoundAt,
    Held,
    Injected,
    Intercept,
    LogLine,
    PluginState,
    Sample,
    Table,
    View,
)
from ocpp_proxy.wire.command import OpenLink

T = TypeVar("T")

__all__ = ["LiveSource", "answers", "find_instances"]
_NO_TOKEN = "no token, or a wrong one: set OCPP_PROXY_TOKEN to the one in the instance.json of this proxy"


class LiveSource:
    """A running proxy: ``source.Source`` and ``source.Acting``. Make it inside an event loop; every method may raise
    ``CaptureError`` when the proxy is gone.

    ``stored``, and ``may_act`` (whether acts are allowed to who asks), are right once ``connect`` or ``health`` has asked.
    """

    live = True
    stored = True
    may_act = False
    missing = ""
    """Which relay workers the last list of held messages, breakpoints or plugins is without, and why."""

    def __init__(self, control: str, token: str = "", title: str = "") -> None:
        """``control``: a socket path, or ``HOST:PORT`` with the token of its ``instance.json``."""
        self.title = title or f"live {control}"
        connector: aiohttp.BaseConnector
        if control.startswith("/"):
            self._base, connector, headers = "http://localhost", aiohttp.UnixConnector(control), {}
        else:
            self._base, connector = f"http://{control}", aiohttp.TCPConnector()
            headers = {"Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)

    @classmethod
    async def connect(cls, control: str, token: str = "") -> "LiveSource":
        """Connect, and learn what it is. Raises ``ConnectionError`` when nothing answers, ``ConfigError`` when refused."""
        source = cls(control, token)
        try:
            health = await source.health()
        except CaptureError as error:
            await source.close()
            raise ConnectionError(str(error)) from error
        except BaseException:
            await source.close()
            raise
        source.title = f"live {', '.join(health.get('listen', ()))} -> {health.get('upstream', '')}"
        return source

    async def links(self) -> list[Link]:
        """All links, oldest first."""
        return await self._get("/v1/links", {}, list[Link])

    async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """As ``source.Source.page``. Without a capture only the newest lines are there."""
        parameters = {"after": str(after), "limit": str(limit), "filter": _text(where)}
        return await self._get("/v1/lines", parameters, list[Line])

    async def follow(self, where: Filter | None, last: int = 0) -> AsyncIterator[list[Line]]:
        """Lines as they come, after up to ``last`` of those the recorder still holds. Lines lost by a reader that is too slow
        are a Note of kind ``dropped``."""
        async for batch in self._stream("/v1/follow", {"filter": _text(where), "last": str(last)}, Batch):
            yield [_dropped(batch), *batch.lines] if batch.dropped else batch.lines

    async def records(self) -> AsyncIterator[list[Record]]:
        """The stored stream."""
        async for batch in self._stream("/v1/records", {}, list[Record]):
            yield batch

    async def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        """As ``source.Source.numbers``. A line is there once it was committed, within about a second."""
        parameters = {"view": view, "filter": _text(where), "after": str(after), "before_message": str(before_message)}
        async with self._request("GET", "/v1/numbers", params=parameters) as response:
            return unpacked(await _checked(response))

    async def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        """As ``source.Source.rows``, of up to 10,000 numbers."""
        return await self._post("/v1/rows", {"view": view, "numbers": list(numbers)}, list[Row])

    async def row_lines(self, view: View, number: int) -> list[Line]:
        """As ``source.Source.row_lines``."""
        return await self._get("/v1/row_lines", {"view": view, "number": str(number)}, list[Line])

    async def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        """As ``source.Source.number_of``."""
        parameters = {"view": view, "msg_no": str(msg_no), "frame_id": str(frame_id)}
        return (await self._get("/v1/number_of", parameters, dict[str, int]))["number"]

    async def chargers(self) -> list[Charger]:
        """As ``source.Source.chargers``."""
        return await self._get("/v1/chargers", {}, list[Charger])

    async def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """As ``source.Source.finding_groups``."""
        return await self._get("/v1/finding_groups", {"identity": identity}, list[FindingGroup])

    async def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """As ``source.Source.findings``."""
        return await self._get("/v1/findings", {"code": code, "identity": identity, "limit": str(limit)}, list[FoundAt])

    async def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """As ``source.Source.transactions``."""
        return await self._get("/v1/transactions", {"identity": identity, "limit": str(limit)}, list[Charging])

    async def curve(self, charging: Charging) -> list[Sample]:
        """As ``source.Source.curve``."""
        return await self._post("/v1/curve", charging, list[Sample])

    async def bookmarks(self) -> list[Bookmark]:
        """As ``source.Source.bookmarks``; none where nothing is stored."""
        return await self._get("/v1/bookmarks", {}, list[Bookmark])

    async def bookmark(self, mark: Bookmark) -> None:
        """As ``source.Source.bookmark``."""
        await self._post("/v1/bookmarks", mark, dict[str, str])

    async def log(self, after_ns: int = 0) -> list[LogLine]:
        """As ``source.Source.log``: of this instance, also of its runs before, as far as its log file goes back."""
        return await self._get("/v1/log", {"after_ns": str(after_ns)}, list[LogLine])

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        """Ask the running proxy."""
        return await self._post("/v1/query", {"query": query, "parameters": parameters}, Table)

    async def held(self) -> list[Held]:
        """As ``source.Acting.held``."""
        return await self._listed("/v1/held", list[Held])

    async def settle(
        self, held_id: str, do: Literal["release", "drop", "edit", "reply"], payload: Any = None, *, code: str = "",
        description: str = "", force: bool = False,
    ) -> None:
        """As ``source.Acting.settle``."""
        body = {"do": do, "payload": payload, "code": code, "description": description, "force": force}
        await self._post(f"/v1/held/{quote(held_id, safe='')}", body, dict[str, str])

    async def intercepts(self) -> list[Intercept]:
        """As ``source.Acting.intercepts``."""
        return await self._listed("/v1/intercepts", list[Intercept])

    async def intercept(self, filter: str, identity: str = "*") -> Intercept:
        """As ``source.Acting.intercept``."""
        return await self._post("/v1/intercepts", {"filter": filter, "identity": identity}, Intercept)

    async def unintercept(self, intercept_id: int) -> None:
        """As ``source.Acting.unintercept``."""
        async with self._request("DELETE", f"/v1/intercepts/{intercept_id}") as response:
            await _checked(response)

    async def inject(
        self, identity: str, to: Side, action: str, payload: Any, *, force: bool = False, seconds: float = 30.0,
    ) -> Injected:
        """As ``source.Acting.inject``."""
        body = {"identity": identity, "to": to, "action": action, "payload": payload, "force": force, "seconds": seconds}
        return await self._post("/v1/inject", body, Injected)

    async def open_links(self, identity: str) -> list[OpenLink]:
        """The open links of a charger, as the relays have them now; what could not be asked stands in ``missing``."""
        async with self._request("GET", "/v1/open_links", params={"identity": identity}) as response:
            found = msgspec.json.decode(await _checked(response), type=list[OpenLink])
            self.missing = response.headers.get(MISSING, "")
            return found

    async def disconnect(self, identity: str, code: int = 0, reset: bool = False) -> None:
        """As ``source.Acting.disconnect``."""
        await self._post("/v1/disconnect", {"identity": identity, "code": code, "reset": reset}, dict[str, str])

    async def plugins(self) -> list[PluginState]:
        """As ``source.Acting.plugins``."""
        return await self._listed("/v1/plugins", list[PluginState])

    async def switch(self, plugin: str, on: bool, identity: str = "*", options: Any = None) -> None:
        """As ``source.Acting.switch``. Raises ``ConfigError`` also where it takes effect at the next connection only."""
        body = {"plugin": plugin, "on": on, "identity": identity, "options": options}
        said = (await self._post("/v1/plugins", body, dict[str, list[str]]))["said"]
        if said:
            raise ConfigError("done, but not on every open link:\n  " + "\n  ".join(said))

    async def reload(self) -> str:
        """As ``source.Acting.reload``."""
        return "\n".join((await self._post("/v1/reload", {}, dict[str, list[str]]))["said"])

    async def health(self) -> dict[str, Any]:
        """The body of /healthz, also when all is not well."""
        async with self._request("GET", "/healthz") as response:
            body = await (response.read() if response.status == 503 else _checked(response))
            health = msgspec.json.decode(body, type=dict[str, Any])
            self.stored = bool(health.get("stored", health.get("capture")))
            self.may_act = bool(health.get("may_act"))
            return health

    async def close(self) -> None:
        """Let go of the connection."""
        await self._session.close()

    async def _get(self, path: str, parameters: dict[str, str], kind: type[T]) -> T:
        async with self._request("GET", path, params=parameters) as response:
            return msgspec.json.decode(await _checked(response), type=kind)

    async def _listed(self, path: str, kind: type[T]) -> T:
        async with self._request("GET", path) as response:
            found = msgspec.json.decode(await _checked(response), type=kind)
            self.missing = response.headers.get(MISSING, "")
            return found

    async def _post(self, path: str, body: object, kind: type[T]) -> T:
        async with self._request("POST", path, data=msgspec.json.encode(body)) as response:
            return msgspec.json.decode(await _checked(response), type=kind)

    async def _stream(self, path: str, parameters: dict[str, str], kind: type[T]) -> AsyncIterator[T]:
        decode = msgspec.json.Decoder(kind).decode
        async with self._request("GET", path, params=parameters) as response:
            if response.status != 200:
                await _checked(response)
            held = bytearray()
            try:
                async for piece in response.content.iter_any():
                    held += piece
                    if b"\n" in piece:
                        *rows, rest = bytes(held).split(b"\n")
                        held = bytearray(rest)
                        for row in rows:
                            yield decode(row)
            except aiohttp.ClientError as error:
                raise CaptureError(f"{self.title}: it ended while it was being read ({error})") from error

    def _request(self, method: str, path: str, **more: Any) -> "_Request":
        return _Request(self.title, self._session.request(method, self._base + path, **more))


class _Request:
    """A request whose failure to connect is told as what it is."""

    def __init__(self, title: str, request: Any) -> None:
        self._title, self._request = title, request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            response: aiohttp.ClientResponse = await self._request.__aenter__()
        except (aiohttp.ClientError, OSError) as error:
            raise CaptureError(f"{self._title}: it does not answer ({_reason(error)}); is it still running?") from error
        return response

    async def __aexit__(self, *error: object) -> None:
        await self._request.__aexit__(*error)


def _reason(error: Exception) -> str:
    """Why there is no connection, without the library's words around it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    strerror = getattr(cause, "strerror", None)
    return str(strerror or cause)


def _text(where: Filter | None) -> str:
    return where.text if where else ""


def _dropped(batch: Batch) -> Line:
    times = [line.record.message.time_ns for line in batch.lines if isinstance(line.record, MessageSeen)]
    text = f"{batch.dropped} lines were dropped: this reader was too slow for them; they are in the capture"
    return Line(Note(times[0] if times else 0, 0, "dropped", text=text))


async def _checked(response: aiohttp.ClientResponse) -> bytes:
    """The body of a good answer; else the error it tells: what the user can mend is a ``ConfigError``."""
    body = await response.read()
    if response.status == 200:
        return body
    try:
        text = str(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        text = f"HTTP {response.status}"
    if response.status == 401:
        raise ConfigError(_NO_TOKEN)
    raise ConfigError(text) if response.status in (400, 401, 403, 404) else CaptureError(text)
