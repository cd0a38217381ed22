"""The part of the control API that acts: held messages, breakpoints, Calls by hand, the end of links, plugins.

Who may do what is ``guard``'s; here is what is asked and what is answered.
"""

from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub.acting import Acts, Do, Known
from ocpp_proxy.hub.answers import answer
from ocpp_proxy.hub.asking import encode
from ocpp_proxy.hub.bodies import MISSING
from ocpp_proxy.hub.guard import ACTING, ROLE, acting, who_asks
from ocpp_proxy.model import ConfigError, Side

NO_ACTS = "this recorder has no connection to relays"


class Settle(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/held/{held_id}``."""

    do: Do
    payload: Any = None
    code: str = ""
    description: str = ""
    force: bool = False


class SetIntercept(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/intercepts``."""

    filter: str = ""
    identity: str = "*"


class Inject(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/inject``. ``force``: also what the schema forbids."""

    identity: str
    to: Side
    action: str
    payload: Any = {}
    force: bool = False
    seconds: float = 30.0


class Disconnect(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/disconnect``. ``code`` 0: FIN without a Close frame."""

    identity: str
    code: int = 0
    reset: bool = False


class Switch(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/plugins``. ``options`` null: those configured."""

    plugin: str
    on: bool
    identity: str = "*"
    options: dict[str, Any] | None = None


class Said(Struct):
    """What came of it, in words."""

    said: list[str]


class ActRoutes:
    """``acts`` None: nobody can act here."""

    def __init__(self, acts: Acts | None, allowed: bool) -> None:
        self._acts, self._allowed = acts, allowed

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.get("/v1/held", self._held), web.post("/v1/held/{held_id}", self._settle),
            web.get("/v1/intercepts", self._intercepts), web.post("/v1/intercepts", self._intercept),
            web.delete("/v1/intercepts/{intercept_id}", self._unintercept), web.post("/v1/inject", self._inject),
            web.get("/v1/open_links", self._open_links), web.post("/v1/disconnect", self._disconnect),
            web.get("/v1/plugins", self._plugins),
            web.post("/v1/plugins", self._switch), web.post("/v1/reload", self._reload),
        ]

    def may(self, request: web.Request) -> bool:
        """Whether who asks could change traffic: the role allows it, and the proxy was started so."""
        return self._allowed and self._acts is not None and request.get(ROLE) == ACTING

    def _reading(self) -> Acts:
        if self._acts is None:
            raise web.HTTPNotFound(text=NO_ACTS)
        return self._acts

    def _doing(self, request: web.Request) -> Acts:
        """Who does it, where acting is allowed. Raises ``HTTPForbidden``."""
        acting(request, self._allowed)
        return self._reading()

    async def _held(self, request: web.Request) -> web.Response:
        return _known(await self._reading().held(bare=request.get(ROLE) == ACTING))

    async def _open_links(self, request: web.Request) -> web.Response:
        return _known(await self._reading().open_links(request.query.get("identity", "")))

    async def _settle(self, request: web.Request) -> web.Response:
        acts = self._doing(request)
        asked = msgspec.json.decode(await request.read(), type=Settle)
        await acts.settle(
            request.match_info["held_id"], asked.do, asked.payload, who_asks(request), code=asked.code,
            description=asked.description, force=asked.force)
        return answer(b"{}")

    async def _intercepts(self, request: web.Request) -> web.Response:
        return _known(await self._reading().intercepts())

    async def _intercept(self, request: web.Request) -> web.Response:
        acts = self._doing(request)
        asked = msgspec.json.decode(await request.read(), type=SetIntercept)
        return answer(encode(await acts.intercept(asked.filter, asked.identity, who_asks(request))))

    async def _unintercept(self, request: web.Request) -> web.Response:
        acts = self._doing(request)
        text = request.match_info["intercept_id"]
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise ConfigError(f"breakpoint {text[:100]!r}: a number is wanted")
        await acts.unintercept(int(text), who_asks(request))
        return answer(b"{}")

    async def _inject(self, request: web.Request) -> web.Response:
        acts = self._doing(request)
        asked = msgspec.json.decode(await request.read(), type=Inject)
        came = await acts.inject(
            asked.identity, asked.to, asked.action, asked.payload, who_asks(request), force=asked.force, seconds=asked.seconds)
        return answer(encode(came))

    async def _disconnect(self, request: web.Request) -> web.Response:
        acts = self._doing(request)
        asked = msgspec.json.decode(await request.read(), type=Disconnect)
        await acts.disconnect(asked.identity, asked.code, asked.reset, who_asks(request))
        return answer(b"{}")

    async def _plugins(self, request: web.Request) -> web.Response:
        return _known(await self._reading().plugins())

    async def _switch(self, request: web.Request) -> web.Response:
        acts = self._doing(request)
        asked = msgspec.json.decode(await request.read(), type=Switch)
        said = await acts.switch(asked.plugin, asked.on, asked.identity, asked.options, who_asks(request))
        return answer(encode(Said(said)))

    async def _reload(self, request: web.Request) -> web.Response:
        acting(request, True)               # a reload does what the files of this user say: also without --allow-inject
        return answer(encode(Said((await self._reading().reload(who_asks(request))).split("\n"))))


def _known(found: Known[Any]) -> web.Response:
    """What the relay workers that answer know; the header says which do not."""
    known, missing = found
    made = answer(encode(known))
    if missing:
        made.headers[MISSING] = safe_text("; ".join(missing), 500).encode("ascii", "backslashreplace").decode()
    return made
