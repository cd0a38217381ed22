"""Copies what chargers send to further CSMSs: one WebSocket per charger and CSMS, with message ids of its own.

An observer: whatever a further CSMS does, the traffic between charger and CSMS does not know of it. Its own Calls are answered
here, never by the charger.
"""

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct

from ocpp_proxy.api import Dialled, Handshake, LinkClosed, MessageSeen, Observer, ObserverContext, Record
from ocpp_proxy.model import Frame, Message, Side

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0        # seconds before dialling again; doubled each time, give or take a half
LINGER_SECONDS = 10.0                       # in which what is queued still goes out after the charger has left
KEPT = 200                                  # transactions of a charger that are remembered
MOST_LINKS = 100_000                        # links whose charger is remembered
MOST_CHARGERS = 10_000                      # chargers whose transactions are, also after they have left
REFUSAL = "NotSupported", "this connection is a copy of a charger's messages; nothing reaches the charger"
_OF_TRANSACTIONS = ("StopTransaction", "MeterValues")
_encode = msgspec.json.encode


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """A further CSMS. ``url``: ``ws://`` or ``wss://``, the identity is put behind it; user and password may stand in it.

    ``allow``: actions that are copied; empty: all. ``respond``: payloads to answer its Calls with, by action; the others get
    a CALLERROR NotSupported. ``headers``: more of them for its request.
    """

    url: str
    allow: tuple[str, ...] = ()
    respond: dict[str, dict[str, Any]] = {}
    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{_shown(self.url)}: a target is ws://HOST/PATH or wss://HOST/PATH")


class Mirror(Observer):
    """Copies what chargers send to further CSMSs, read-only; their Calls are answered here."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``targets``: the further CSMSs. ``queue``, ``queue_bytes``: messages of one charger that wait for one of them; then
        the oldest are dropped. ``call_seconds``: how long an answer is waited for."""

        targets: tuple[Target, ...]
        queue: Annotated[int, Meta(ge=1)] = 1000
        queue_bytes: Annotated[int, Meta(ge=1)] = 1 << 20
        call_seconds: Annotated[float, Meta(gt=0)] = 30.0

    def __init__(self) -> None:
        self._chargers: dict[str, _Charger] = {}
        self._places: list[_Place] = []
        self._injected = 0                          # the last frame that is not the charger's own
        self._links: dict[int, str] = {}
        self._known: dict[str, _Transactions] = {}

    @property
    def dropped(self) -> int:
        """Messages that were not copied, up to now."""
        return sum(place.dropped for place in self._places)

    async def see(self, context: ObserverContext, records: Sequence[Record]) -> None:
        """Queue what is to be copied; nothing is waited for."""
        if not self._places:
            self._places = [_Place(target, context) for target in context.options.targets]
        for record in records:
            match record:
                case MessageSeen(message):
                    self._message(message)
                case Handshake(link=link) if link.status == 101 and link.identity:
                    self._open(link.link_id, link.identity, link.protocol)
                case LinkClosed(link_id=link_id):
                    self._close(link_id)
                case _:
                    frame = getattr(record, "frame", None)
                    if isinstance(frame, Frame) and frame.verdict in ("injected", "translated"):
                        self._injected = frame.frame_id

    async def end(self, context: ObserverContext) -> None:
        """Say how many were lost; what is open is closed by the recorder."""
        for place in self._places:
            if place.dropped:
                place.say(f"{place.dropped} messages were not copied")

    def _open(self, link_id: int, identity: str, protocol: str) -> "_Charger":
        """A charger is there; on a new link of its own the queue of the old one goes on."""
        before = self._chargers.get(identity)
        queues = [copy.leave() for copy in before.copies] if before is not None else [_Queue() for _ in self._places]
        known = self._known.setdefault(identity, _Transactions(len(self._places)))
        _bound(self._known, MOST_CHARGERS)
        charger = self._chargers[identity] = _Charger(link_id, known)
        self._links[link_id] = identity
        _bound(self._links, MOST_LINKS)
        for number, (place, queue) in enumerate(zip(self._places, queues, strict=True)):
            charger.copies.append(_Copy(place, identity, protocol, queue, (known, number)))
        return charger

    def _close(self, link_id: int) -> None:
        identity = self._links.pop(link_id, "")
        charger = self._chargers.get(identity)
        if charger is None or charger.link_id != link_id:
            return
        charger.link_id = 0                         # its queues are here until they are empty, or its next link has them
        for copy in charger.copies:
            copy.task.add_done_callback(partial(self._gone, identity, charger))
            copy.finish()

    def _gone(self, identity: str, charger: "_Charger", _: asyncio.Task[None]) -> None:
        if self._chargers.get(identity) is charger and all(copy.task.done() for copy in charger.copies):
            del self._chargers[identity]

    def _message(self, message: Message) -> None:
        identity = message.identity
        if message.sender is Side.CSMS:
            charger = self._chargers.get(identity)
            if charger is not None and message.action == "StartTransaction" and message.mtype == 3 and message.call_no:
                charger.transactions.learn(message.call_no, message.payload)
        elif message.mtype in (2, 6) and identity and message.frame_id != self._injected:
            charger = self._chargers.get(identity)
            if charger is None or not charger.link_id:
                charger = self._open(message.link_id, identity, message.protocol)
            if charger.link_id == message.link_id:
                for copy in charger.copies:
                    copy.put(message)


class _Transactions:
    """Ids of a charger's 1.6 transactions: what its CSMS and the further ones gave, by the Call that began each."""

    def __init__(self, places: int) -> None:
        self._calls: dict[Any, int] = {}
        self._given: list[dict[int, Any]] = [{} for _ in range(places)]

    def learn(self, call_no: int, answer: bytes) -> None:
        """The charger's CSMS answered a StartTransaction."""
        if (given := _transaction(answer)) is not None:
            self._calls[given] = call_no
            _bound(self._calls, KEPT)

    def give(self, place: int, call_no: int, answer: bytes) -> None:
        """A further CSMS did."""
        if (given := _transaction(answer)) is not None:
            self._given[place][call_no] = given
            _bound(self._given[place], KEPT)

    def at(self, place: int, payload: bytes) -> bytes:
        """A payload with the id that this further CSMS knows, where it has another."""
        given = self._given[place].get(self._calls.get(_transaction(payload), 0))
        return payload if given is None else _encode({**msgspec.json.decode(payload), "transactionId": given})


class _Charger:
    """A charger whose messages are being copied."""

    def __init__(self, link_id: int, transactions: _Transactions) -> None:
        self.link_id = link_id
        self.copies: list[_Copy] = []
        self.transactions = transactions


class _Place:
    """A further CSMS with what is said of it in the log: once when it is away, once when it is back."""

    def __init__(self, target: Target, context: ObserverContext) -> None:
        self.target = target
        self.context = context
        self.dropped = 0
        self.down = False
        self.refused: set[str] = set()

    def say(self, text: str) -> None:
        """A line in the log."""
        self.context.log(f"mirror {_shown(self.target.url)}: {text}")

    def drop(self, count: int = 1) -> None:
        """Messages that will not be copied."""
        if count and not self.dropped:
            self.say("messages are being dropped: it is away or too slow")
        self.dropped += count

    def reached(self) -> None:
        """It answers."""
        if self.down:
            self.down = False
            self.say(f"is back; {self.dropped} messages were not copied so far")

    def missed(self, identity: str, why: object) -> None:
        """It does not."""
        if not self.down:
            self.down = True
            self.say(f"cannot be reached for {identity}: {why}; tried again from time to time")

    def refuse(self, action: str) -> None:
        """It called the charger."""
        if action not in self.refused and len(self.refused) < KEPT:
            self.refused.add(action)
            self.say(f"calls {action[:60]}: answered here, the charger knows nothing of it")


class _Queue:
    """Messages that wait, within bounds of number and bytes."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.bytes = 0

    def put(self, message: Message, most: int, most_bytes: int) -> int:
        """Queue one; how many of the oldest had to go for it."""
        self.messages.append(message)
        self.bytes += len(message.payload)
        gone = 0
        while len(self.messages) > most or self.bytes > most_bytes:
            self.take()
            gone += 1
        return gone

    def take(self) -> Message:
        """The oldest."""
        message = self.messages.popleft()
        self.bytes -= len(message.payload)
        return message


    def put_back(self, message: Message) -> None:
        """It could not be sent: it is the next again."""
        self.messages.appendleft(message)
        self.bytes += len(message.payload)

    def clear(self) -> int:
        """Let go of all; how many there were."""
        count = len(self.messages)
        self.messages.clear()
        self.bytes = 0
        return count


class _Copy:
    """One charger's connection to one further CSMS."""

    def __init__(
        self, place: _Place, identity: str, protocol: str, queue: _Queue, known: tuple[_Transactions, int],
    ) -> None:
        self.place, self.identity, self.protocol = place, identity, protocol
        self._queue = queue
        self._transactions, self._number = known
        self._left = self._talked = False
        self._wake = asyncio.Event()
        self._last = False
        self._waiting: tuple[str, asyncio.Future[Any]] | None = None
        self.task = asyncio.ensure_future(self._run())

    def put(self, message: Message) -> None:
        """Queue a message; when there are too many the oldest go."""
        options, allow = self.place.context.options, self.place.target.allow
        if not allow or message.action in allow:
            self.place.drop(self._queue.put(message, options.queue, options.queue_bytes))
            self._wake.set()

    def finish(self) -> None:
        """The charger has left: send what is queued, then close."""
        self._last = True
        self._wake.set()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self.task.cancel)

    def leave(self) -> _Queue:
        """End at once; gives what was not sent."""
        self._left = True
        self.task.cancel()
        return self._queue

    async def _run(self) -> None:
        try:
            await self._dialling()
        finally:
            if not self._left:                      # then the queue has another owner
                self.place.drop(self._queue.clear())

    async def _dialling(self) -> None:
        target, wait = self.place.target, FIRST_WAIT
        url = f"{target.url.rstrip('/')}/{quote(self.identity, safe='')}"
        while True:
            try:
                link = await self._dial(url, target)
            except OSError as error:
                self.place.missed(self.identity, error)
            else:
                self.place.reached()
                if await self._talk(link):
                    return
                wait = FIRST_WAIT if self._talked else wait
            if self._last:
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, LONGEST_WAIT)

    async def _dial(self, url: str, target: Target) -> Dialled:
        link = await self.place.context.dial(url, offer=(self.protocol,) if self.protocol else (), headers=target.headers)
        if link.protocol not in (self.protocol, ""):
            await link.close()
            raise OSError(f"agreed on {link.protocol} where {self.protocol or 'nothing'} was offered")
        return link

    async def _talk(self, link: Dialled) -> bool:
        """Send and read until one side ends; whether all is done."""
        self._talked = False
        reading = asyncio.ensure_future(self._read(link))
        sending = asyncio.ensure_future(self._send(link))
        try:
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            return sending.done() and sending.exception() is None
        finally:
            for task in (reading, sending):
                task.cancel()
            await asyncio.gather(reading, sending, return_exceptions=True)
            await link.close()

    async def _send(self, link: Dialled) -> None:
        while True:
            while not self._queue.messages:
                if self._last:
                    return
                self._wake.clear()
                await self._wake.wait()
            message = self._queue.take()
            message_id = str(uuid4())
            plain = message.action not in _OF_TRANSACTIONS
            body = message.payload if plain else self._transactions.at(self._number, message.payload)
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._waiting = (message_id, answer) if message.mtype == 2 else None
            try:
                await link.send(b"[%d,%s,%s,%s]" % (message.mtype, _encode(message_id), _encode(message.action), body))
            except OSError:
                self._queue.put_back(message)
                raise
            if message.mtype == 2:
                await asyncio.wait((answer,), timeout=self.place.context.options.call_seconds)
                if answer.done() and message.action == "StartTransaction":
                    self._transactions.give(self._number, message.msg_no, answer.result())
                answer.cancel()

    async def _read(self, link: Dialled) -> None:
        while (text := await link.receive()) is not None:
            match _decoded(text):
                case [2, str(message_id), str(action), _]:
                    await link.send(self._answered(message_id, action))
                case [3 | 4 as mtype, str(message_id), *rest]:
                    self._talked = True
                    if self._waiting is not None and self._waiting[0] == message_id and not self._waiting[1].done():
                        self._waiting[1].set_result(_encode(rest[0]) if mtype == 3 and rest else b"")

    def _answered(self, message_id: str, action: str) -> bytes:
        self.place.refuse(action)
        payload = self.place.target.respond.get(action)
        if payload is not None:
            return _encode([3, message_id, payload])
        return _encode([4, message_id, *REFUSAL, {}])


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _transaction(payload: bytes) -> Any:
    """``transactionId`` of a payload; None where it has none."""
    values = _decoded(payload)
    given = values.get("transactionId") if isinstance(values, Mapping) else None
    return given if isinstance(given, int | str) else None


def _bound(known: dict[Any, Any], most: int) -> None:
    if len(known) > most:
        del known[next(iter(known))]


def _shown(url: str) -> str:
    """A URL without user and password."""
    scheme, sign, rest = url.partition("://")
    return f"{scheme}{sign}{rest.rpartition('@')[2]}"[:200]
