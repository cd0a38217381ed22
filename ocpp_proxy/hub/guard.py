"""Who may speak to the control API: this user on the Unix socket; on TCP whoever has a token, and no web page.

Two roles: ``acting`` (the Unix socket; on TCP the token) may change traffic where the proxy was started with
``--allow-inject``; ``reading`` (on TCP the other token) changes nothing, not even a bookmark.

A page in the engineer's browser can reach a loopback port under a name of its own (DNS rebinding) or from its own
origin: the Host must be one of ours, and an Origin that is not ours is refused.
"""

import hmac
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import msgspec
from aiohttp import web

from ocpp_proxy.hub.instance import split_address
from ocpp_proxy.hub.log import logger
from ocpp_proxy.model import CaptureError, ConfigError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


ACTING, READING = "acting", "reading"
ROLE, WHO = web.RequestKey("role", str), web.RequestKey("who", str)
NOT_ALLOWED = (
    "this proxy was started without --allow-inject, so nobody changes traffic by hand; start it with `ocpp-proxy run"
    " --allow-inject`, or with allow_inject = true in its configuration"
)
READ_ONLY = "this token only reads; acting takes the other one (`token` in instance.json)"


def acting(request: web.Request, allowed: bool) -> None:
    """Refuse who only reads, and everybody where acting is not allowed. Raises ``HTTPForbidden``."""
    if request.get(ROLE, READING) != ACTING:
        raise web.HTTPForbidden(text=READ_ONLY)
    if not allowed:
        raise web.HTTPForbidden(text=NOT_ALLOWED)


def who_asks(request: web.Request) -> str:
    """The user or address behind a request, for the audit."""
    found: str = request.get(WHO, "")
    return found


def middleware(address: str, token: str, read_token: str = "") -> Any:
    """The check in front of every endpoint, for a socket path or a TCP address."""
    by_tcp = not address.startswith("/")
    host = split_address(address)[0] if by_tcp else ""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden(text="the control API does not speak to web pages")
        if not by_tcp:
            if not _same_user(request):
                raise web.HTTPForbidden(text="the control API belongs to another user")
            request[ROLE], request[WHO] = ACTING, _user(request)
            return await handler(request)
        if not names_us(request.headers.get("Host", ""), host):
            raise web.HTTPForbidden(text="the Host of this request is not this proxy")
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        role = next((role for role, one in ((ACTING, token), (READING, read_token)) if one and hmac.compare_digest(
            given, b"Bearer " + one.encode())), "")
        if not role:
            wanted = "the token of instance.json is wanted: Authorization: Bearer TOKEN"
            raise web.HTTPUnauthorized(text=wanted, headers={"WWW-Authenticate": "Bearer"})
        request[ROLE], request[WHO] = role, f"{role} token from {request.remote or '?'}"
        return await handler(request)

    return check


def names_us(value: str, host: str) -> bool:
    """Whether a Host header is an address or the name we listen on. A foreign *name* is what rebinding needs."""
    name = value.rsplit(":", 1)[0] if not value.endswith("]") else value
    name = name.strip("[]").lower()
    if name in ("localhost", host.lower()):
        return True
    try:
        given = ip_address(name)
    except ValueError:
        return False
    try:
        bound = ip_address(host)
    except ValueError:
        return given.is_loopback
    return given == bound or bound.is_unspecified or (given.is_loopback and bound.is_loopback)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal as ``{"error": text}`` with the status that fits."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return _refusal(refusal.status, refusal.text or refusal.reason, refusal.headers.get("WWW-Authenticate"))
    except (ConfigError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return _refusal(400, str(error))
    except CaptureError as error:
        return _refusal(503, str(error))
    except ConnectionError:
        raise
    except Exception as error:              # a store is foreign code; one answer fails, the API goes on
        logger().error("a question to the capture failed", path=request.path, reason=f"{type(error).__name__}: {error}")
        return _refusal(500, f"{type(error).__name__}: {error}")


def _refusal(status: int, text: str, authenticate: str | None = None) -> web.Response:
    headers = {"WWW-Authenticate": authenticate} if authenticate else {}
    return web.Response(
        body=msgspec.json.encode({"error": text}), status=status, content_type="application/json", headers=headers,
    )


def _same_user(request: web.Request) -> bool:
    """Whether the peer on the Unix socket is this user or root. Without SO_PEERCRED the 0700 folder has to do."""
    uid = _uid(request)
    return uid in (0, os.geteuid()) if uid is not None else not hasattr(socket, "SO_PEERCRED")


def _uid(request: web.Request) -> int | None:
    """Of the process at the other end of the Unix socket; None: the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    peer = request.transport.get_extra_info("socket") if request.transport is not None else None
    if option is None or peer is None:
        return None
    uid: int = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))[1]
    return uid


def _user(request: web.Request) -> str:
    uid = _uid(request)
    try:
        return pwd.getpwuid(os.geteuid() if uid is None else uid).pw_name
    except KeyError:
        return f"uid {uid}"
