"""Who may act: the socket's user and the acting token, where the proxy allows it; the reading token changes nothing."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from ocpp_proxy.hub import openapi
from ocpp_proxy.hub.acting import Acts
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.commanding import NO_WORKER, Commanding
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.guard import NOT_ALLOWED, READ_ONLY
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.model import ConfigError


def served(folder: Path, during: Callable[[str], Awaitable[None]], allowed: bool = True) -> None:
    """Serve on TCP."""
    async def body() -> None:
        acts = Acts(folder, Commanding(folder), dict)
        control = Control(
            Live(), Metrics(folder, dict), None, lambda: (True, {"status": "ok"}), acts=acts, allow_inject=allowed)
        try:
            await during(await control.start("127.0.0.1:0", "acting-token", "reading-token"))
        finally:
            await control.stop()
    asyncio.run(body())


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a relay that will not come."""
    monkeypatch.setattr("ocpp_proxy.hub.commanding.COME_SECONDS", 0.02)


async def asked(address: str, token: str, route: openapi.Route, **headers: str) -> tuple[int, str]:
    path = route.path.replace("{held_id}", "0.1.1").replace("{intercept_id}", "1")
    given = {"Authorization": f"Bearer {token}", **headers}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.request(
        route.method, f"http://{address}{path}", headers=given, data=b"{}" if route.method == "post" else None,
    ) as response:
        return response.status, (await response.json())["error"] if response.status >= 400 else ""


@pytest.mark.parametrize("route", [route for route in openapi.ROUTES if route.acts], ids=lambda route: route.path)
def test_the_reading_token_changes_nothing(tmp_path: Path, route: openapi.Route) -> None:
    async def during(address: str) -> None:
        assert await asked(address, "reading-token", route) == (403, READ_ONLY)
        assert (await asked(address, "acting-token", route))[1] != READ_ONLY
        assert (await asked(address, "no-token", route))[0] == 401

    served(tmp_path, during)


@pytest.mark.parametrize("route", [
    route for route in openapi.ROUTES if route.acts and route.path not in ("/v1/bookmarks", "/v1/reload")
], ids=lambda route: route.path)
def test_nobody_acts_where_it_was_not_allowed(tmp_path: Path, route: openapi.Route) -> None:
    async def during(address: str) -> None:
        assert await asked(address, "acting-token", route) == (403, NOT_ALLOWED)

    served(tmp_path, during, allowed=False)


@pytest.mark.parametrize("token", ["reading-token", "acting-token"])
def test_both_tokens_read(tmp_path: Path, token: str) -> None:
    async def during(address: str) -> None:
        source = LiveSource(address, token)
        try:
            assert await source.held() == []
            assert source.missing == "relay worker 0: it is not connected"
            assert await source.intercepts() == []
            assert await source.plugins() == []
            assert await source.links() == []
        finally:
            await source.close()

    served(tmp_path, during)


@pytest.mark.parametrize(("token", "allowed", "may"), [
    ("acting-token", True, True), ("reading-token", True, False), ("acting-token", False, False)])
def test_who_asks_is_told_whether_acts_are_allowed(tmp_path: Path, token: str, allowed: bool, may: bool) -> None:
    async def during(address: str) -> None:
        source = await LiveSource.connect(address, token)
        await source.close()
        assert source.may_act is may

    served(tmp_path, during, allowed)


def test_web_pages_do_not_act(tmp_path: Path) -> None:
    inject = next(route for route in openapi.ROUTES if route.path == "/v1/inject")

    async def during(address: str) -> None:
        assert (await asked(address, "acting-token", inject, Origin="http://evil.example"))[0] == 403
        assert (await asked(address, "acting-token", inject, Host="evil.example"))[0] == 403

    served(tmp_path, during)


def test_without_a_relay_it_is_said(tmp_path: Path) -> None:
    async def during(address: str) -> None:
        source = LiveSource(address, "acting-token")
        try:
            with pytest.raises(ConfigError, match=re.escape(NO_WORKER)):
                await source.intercept("action == Heartbeat")
            assert await source.intercepts() == []
            with pytest.raises(ConfigError, match="column 1"):
                await source.intercept("severity == error")
            with pytest.raises(ConfigError, match="there is none of that id"):
                await source.settle("0.1.1", "release")
        finally:
            await source.close()

    served(tmp_path, during)
