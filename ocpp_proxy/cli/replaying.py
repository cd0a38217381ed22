"""The body of ``replay``: picks the link, dials or listens, drives ``core.replaying``, prints what differs."""

import asyncio
import contextlib
import os
import re
import ssl
import time
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote

from msgspec import Struct, to_builtins
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import ascii_json, talk
from ocpp_proxy.cli.tailing import all_lines
from ocpp_proxy.core.replaying import Difference, Played, Player
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError, Link, Message, Side
from ocpp_proxy.records import MessageSeen
from ocpp_proxy.source import Source

Socket = ClientConnection | ServerConnection
MOST_MESSAGES = 1_000_000
MAX_SIZE = 16 << 20                         # bytes of a message
DIAL_SECONDS = 30.0
_LISTEN = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[\w.-]*):)?(\d{1,5})")


class Play(Struct, frozen=True):
    """What the person asked for; fields as the options of the command."""

    role: str
    to: str
    listen: str
    identity: str
    link: int | None
    call_as: str
    speed: float
    rebase_time: bool
    upstream_ca: str


async def run(capture: str, play: Play, expect: bool, json: bool) -> int:
    """Play; 1 when ``expect`` and something differs. Raises ``ConfigError``, ``CaptureError``, ``ConnectionError``."""
    side = _checked(play)
    source = await open_source(capture)
    try:
        known, made = await _by_link(source, play.identity)
        link = _chosen(await source.links(), known, play)
        messages = known[link.link_id]
    finally:
        await source.close()
    if any(message.masked for message in messages):
        talk("some messages hold masked secrets: their pseudonyms are sent (a capture with --keep-secrets has the real ones)")
    protocol = safe_text(link.protocol, 40) or "no subprotocol"
    talk(f"link {link.link_id} of {safe_text(link.identity)}, {protocol}: {len(messages)} messages")
    player = Player(messages, side, os.urandom, speed=play.speed, rebase_time=play.rebase_time, made=made)
    played = await (_as_station if side is Side.STATION else _as_csms)(player, link, play)
    report(played, json)
    return 1 if expect and played.differences else 0


def _checked(play: Play) -> Side:
    if play.role not in ("station", "csms"):
        raise ConfigError(f"--as {play.role}: the side to play is station or csms")
    if play.speed < 0:
        raise ConfigError(f"--speed {play.speed:g}: 0 (as fast as the peer answers) or more")
    if play.role == "station" and (not play.to or play.listen):
        raise ConfigError("--as station needs --to URL: ocpp-proxy replay CAPTURE --as station --to ws://csms.example/ocpp")
    if play.role == "csms" and (not play.listen or play.to):
        raise ConfigError("--as csms needs --listen HOST:PORT: ocpp-proxy replay CAPTURE --as csms --listen 127.0.0.1:9000")
    return Side.STATION if play.role == "station" else Side.CSMS


async def _by_link(source: Source, identity: str) -> tuple[dict[int, list[Message]], set[int]]:
    """The messages of the source by link, in order; msg_nos of those that plugins or persons made.

    Of a link with a bridge those of the station's leg.
    """
    far = {(link.link_id, link.csms_protocol) for link in await source.links() if link.csms_protocol}
    found: dict[int, list[Message]] = {}
    made = set[int]()
    count = 0
    async for page in all_lines(source):
        seen = [line.record.message for line in page if isinstance(line.record, MessageSeen)]
        made |= {line.record.message.msg_no for line in page
                 if isinstance(line.record, MessageSeen) and line.frame is not None and line.frame.verdict == "injected"}
        messages = [message for message in seen if (not identity or message.identity == identity)
                    and (not far or (message.link_id, message.protocol) not in far)]
        for message in messages:
            found.setdefault(message.link_id, []).append(message)
        count += len(messages)
        if count > MOST_MESSAGES:
            raise ConfigError(f"there are more than {MOST_MESSAGES} messages; export a part first, or give --identity")
    return found, made


def _chosen(links: list[Link], known: dict[int, list[Message]], play: Play) -> Link:
    talked = [link for link in links if link.link_id in known]
    if play.link is not None:
        found = [link for link in talked if link.link_id == play.link]
        if not found:
            numbers = ", ".join(str(link.link_id) for link in talked[:20])
            raise ConfigError(f"--link {play.link}: no such link with messages; there are {numbers or 'none'}")
        return found[0]
    identities = sorted({link.identity for link in talked})
    if play.identity and play.identity not in identities:
        everybody = sorted({link.identity for link in links if link.identity})
        raise ConfigError(f"--identity {play.identity}: no messages of such a charger; there are {_few(everybody)}")
    if not play.identity and len(identities) > 1:
        raise ConfigError(f"the capture has several chargers; say which by --identity: {_few(identities)}")
    mine = [link for link in talked if not play.identity or link.identity == play.identity]
    if not mine:
        raise ConfigError("the capture has no messages to play")
    return max(mine, key=lambda link: len(known[link.link_id]))


def _few(identities: list[str]) -> str:
    return ", ".join(safe_text(one) for one in identities[:20]) or "none"


async def _as_station(player: Player, link: Link, play: Play) -> Played:
    name = quote(play.call_as or link.identity, safe="")
    url = play.to.rstrip("/")
    url = url if url.rsplit("/", 1)[-1] == name else f"{url}/{name}"
    context = None
    if url.startswith("wss:"):
        try:
            context = ssl.create_default_context(cafile=play.upstream_ca or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"--upstream-ca {play.upstream_ca}: {error}") from None
    try:
        socket = await connect(
            url, subprotocols=[Subprotocol(link.protocol)] if link.protocol else None, ping_interval=None, proxy=None,
            ssl=context, open_timeout=DIAL_SECONDS, max_size=MAX_SIZE, compression=None,
        )
    except InvalidURI as error:
        raise ConfigError(f"--to {play.to}: {error}") from None
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise ConnectionError(f"{url}: {error or type(error).__name__}") from None
    try:
        return await _drive(player, socket)
    finally:
        await socket.close()


async def _as_csms(player: Player, link: Link, play: Play) -> Played:
    found = _LISTEN.fullmatch(play.listen)
    if found is None:
        raise ConfigError(f"--listen {play.listen}: write HOST:PORT, as 127.0.0.1:9000")
    over: asyncio.Future[Played] = asyncio.get_running_loop().create_future()
    taken: list[str] = []

    async def station(socket: ServerConnection) -> None:
        path = socket.request.path if socket.request is not None else "/"
        name = unquote(path.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
        if taken:
            talk(f"{safe_text(name)} dialled and was sent away: {safe_text(taken[0])} plays already")
            await socket.close(1008, "another charger plays already")
            return
        taken.append(name)
        talk(f"{safe_text(name)} connected")
        played = await _drive(player, socket)
        await socket.close()
        if not over.done():
            over.set_result(played)

    host = (found[1] or "").strip("[]") or None
    try:
        server = await serve(
            station, host, int(found[2]), subprotocols=[Subprotocol(link.protocol)] if link.protocol else None,
            ping_interval=None, max_size=MAX_SIZE, compression=None,
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--listen {play.listen}: {error}") from None
    async with server:
        port = next(iter(server.sockets)).getsockname()[1]
        talk(f"listening on {host or '*'}:{port}; waiting for the charger")
        return await over


async def _drive(player: Player, socket: Socket) -> Played:
    """Until all is said and the captured time is over, or the peer ends the connection."""
    player.begin(time.time_ns())
    texts = aiter(_texts(socket))
    coming = asyncio.ensure_future(anext(texts))
    try:
        with contextlib.suppress(ConnectionClosed, StopAsyncIteration):
            while True:
                now = time.time_ns()
                for out in player.tick(now):
                    await socket.send(out, text=True)
                if player.complete or (player.done and now >= player.ends_ns):
                    break
                due = player.due_ns() or player.ends_ns
                await asyncio.wait({coming}, timeout=max(0.0, (due - time.time_ns()) / 1e9))
                if coming.done():
                    for out in player.receive(coming.result(), time.time_ns()):
                        await socket.send(out, text=True)
                    coming = asyncio.ensure_future(anext(texts))
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionClosed, StopAsyncIteration):
            await coming
    return player.finish()


async def _texts(socket: Socket) -> AsyncIterator[bytes]:
    async for text in socket:
        yield text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def report(played: Played, json: bool) -> None:
    """What differs, a line each, and the counts."""
    for difference in played.differences:
        print(ascii_json(to_builtins(difference)) if json else _line(difference))
    talk(
        f"{played.sent} messages sent, {played.answered} answers to them, {played.served} Calls of the peer answered; "
        + (f"{len(played.differences) + played.more} differences" if played.differences else "no difference")
    )


def _line(one: Difference) -> str:
    action = safe_text(one.action or "-", 40)
    live, captured = safe_text(one.live, 120) or "nothing", safe_text(one.captured, 120) or "nothing"
    where = f"message {one.msg_no}: " if one.msg_no else ""
    match one.kind:
        case "answer":
            return f"{where}{action}: answer {safe_text(one.path, 80)}: {captured} in the capture, {live} now"
        case "no_answer":
            return f"{where}{action}: answered in the capture, not now"
        case "missing_call":
            return f"{where}{action}: the peer sent it in the capture, not now"
        case "unexpected_call":
            return f"{action}: the peer sends it now, not in the capture: {live}"
    return f"an answer to nothing: {live}"
