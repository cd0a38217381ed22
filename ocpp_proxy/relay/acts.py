"""What a person does to the links of this worker. Every deed is an AUDIT record before anything of it is sent.

All raise ``ConfigError`` or ``PluginError`` with a text for the person; what was refused stands in the audit, too.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from ocpp_proxy.api import Answer, Call, CallError, CallResult, Drop, Message, Replace, Reply, Send
from ocpp_proxy.config import Config
from ocpp_proxy.core.hands import HAND, Breakpoint, Hands, Outcome
from ocpp_proxy.core.isolation import part_of
from ocpp_proxy.core.reloading import RULES, rules_text
from ocpp_proxy.core.seats import Chain, Installed, words
from ocpp_proxy.model import ConfigError, PluginError, Side
from ocpp_proxy.relay.choosing import Chooser
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.link import Link
from ocpp_proxy.relay.plugged import Plugged
from ocpp_proxy.relay.take_over import take_over
from ocpp_proxy.wire import command
from ocpp_proxy.wire.command import Breaking, Came, HeldList, Holding, OpenLink, Sitting
from ocpp_proxy.wire.spool import STATION, AuditBody, Disposition, ForeignFinding, Kind

GONE = "this link is over"
NOT_HELD = "it is not held any more"
SPARE_SECONDS = 5.0                     # how long an answer is waited for behind its time
MOST_REASONS = 20
MOST_LISTED, MOST_SHOWN = 4096, 2 << 20     # held messages that are listed, and bytes of their texts


class Acts:
    """See the module. ``folder``: of the instance, where ``config.json`` lies."""

    def __init__(self, env: Environment, chooser: Chooser, folder: Path, worker: int = 0) -> None:
        self._env = env
        self._chooser = chooser
        self._worker = worker
        self._reloading = asyncio.Lock()
        self._file = folder / "config.json"
        self._read_at = self._stamp()
        self._points: tuple[tuple[Breaking, Breakpoint], ...] = ()
        env.chooser, env.chain, env.on_plugged = chooser, self.chain, self._begun
        env.framing = env.framing or env.config.allow_inject
        for state in chooser.states():
            if state.error:
                self.fault(state.error)

    # ---- links ----

    def chain(self, identity: str, protocol: str) -> Chain | None:
        """The plugins of a new link; with none of them where a breakpoint waits for it."""
        chain = self._chooser.chain(identity, protocol)
        return chain or (Chain((), self._chooser.version(protocol)) if self._points_of(identity) else None)

    def find(self, identity: str) -> list[OpenLink]:
        """The links of a charger."""
        return [OpenLink(link.number, identity, self._version(link), link.since_ns, _beyond(link)) for link in self._links()
                if link.identity == identity]

    def _version(self, link: Link) -> str:
        """The OCPP version of the charger; where it was told no subprotocol, the one that was agreed with the CSMS for it."""
        told = self._chooser.version(link.protocol)
        return told or (link.plugged.onion.versions[Side.CSMS] if link.plugged is not None else "")

    def _links(self) -> Iterator[Link]:
        """Links that are tunnels."""
        for link in list(self._env.links.values()):
            if isinstance(link, Link) and link.since_ns and not link.how:
                yield link

    def _link(self, number: int) -> Link:
        found = next((link for link in self._links() if link.number == number), None)
        if found is None:
            raise ConfigError(GONE)
        return found

    def _audit(self, who: str, action: str, detail: str = "", outcome: str = "", link: int = 0) -> None:
        body = AuditBody(words(who), action, words(detail), words(outcome))
        self._env.turn.body(Kind.AUDIT, STATION, link, body)

    async def _taken(self, link: Link, who: str, action: str, detail: str) -> Plugged:
        try:
            return await take_over(link)
        except ConfigError as error:
            self._audit(who, action, detail, f"refused: {error}", link.number)
            raise

    # ---- breakpoints ----

    @property
    def points(self) -> tuple[Breaking, ...]:
        """The breakpoints, with what they have held here."""
        return tuple(structs.replace(said, held=point.held) for said, point in self._points)

    async def arm(self, asked: command.Arm) -> list[str]:
        """Have these breakpoints from now on; on which links they are not, and why."""
        before = {structs.replace(said, held=0): (said, point) for said, point in self._points}     # a number may come again
        asked = structs.replace(asked, points=tuple(structs.replace(said, held=0) for said in asked.points))
        self._points = tuple(before.get(said) or (said, self._point(said)) for said in asked.points)
        if asked.action:
            self._audit(asked.who, asked.action, asked.detail)
        reasons = list[str]()
        waiting = list[Link]()
        for link in self._links():
            if link.plugged is not None:
                link.plugged.act(self._arming(link.identity))
            elif self._points_of(link.identity):
                waiting.append(link)
        for done in await asyncio.gather(*(take_over(link) for link in waiting), return_exceptions=True):
            if isinstance(done, BaseException):
                reasons.append(str(done))
        if reasons:
            self._audit(asked.who, asked.action or "intercept", asked.detail, "; ".join(reasons[:MOST_REASONS]))
        return reasons

    def let_go(self) -> None:
        """The proxy ends: no breakpoint is set any more, and what they hold goes on while the links are drained."""
        if self._points:
            self._points = ()
            self._audit("proxy", "unintercept", "all: the proxy ends")
            for link in self._links():
                if link.plugged is not None:
                    link.plugged.act(self._arming(link.identity))

    def _point(self, said: Breaking) -> Breakpoint:
        return Breakpoint(said.number, self._chooser.matcher(said.filter), f"intercept {said.number} of {said.who}")

    def _points_of(self, identity: str) -> list[Breakpoint]:
        return [point for said, point in self._points if fnmatchcase(identity, said.identity)]

    def _arming(self, identity: str) -> Callable[[Hands, int], None]:
        return lambda onion, now_ns: onion.arm(self._points_of(identity), now_ns)

    def _begun(self, plugged: Plugged) -> None:
        link = plugged.link
        if isinstance(link, Link) and (points := self._points_of(link.identity)):
            plugged.onion.arm(points, plugged.now())

    def alone(self, alone: bool) -> None:
        """Without a hub nobody could decide: nothing more is held by breakpoints, what is held goes on in its time."""
        for _, point in self._points:
            point.live = not alone

    # ---- what is held ----

    def held(self) -> HeldList:
        """The messages that are held, the next to go on first: as many as can be told, and texts as far as they can."""
        out = list[Holding]()
        for link in self._links():
            if link.plugged is None or not link.plugged.onion.holds:
                continue
            out += [Holding(
                link.number, one.number, link.identity, one.version or self._version(link), one.side, one.mtype, one.action,
                one.message_id, one.text, one.since_ns, one.until_ns, one.by, one.reason,
            ) for one in link.plugged.onion.held()]
        return HeldList(_tellable(out), self.points)

    async def settle(self, asked: command.Settle) -> None:
        """Decide about one."""
        link = self._link(asked.link)
        if link.plugged is None:
            raise ConfigError(NOT_HELD)
        await self._deed(link.plugged, lambda onion, now_ns: self._settle(link, onion, asked, now_ns))

    def _settle(self, link: Link, onion: Hands, asked: command.Settle, now_ns: int) -> None:
        found = onion.held_message(asked.number)
        if found is None:
            raise ConfigError(NOT_HELD)
        verdict = _verdict(asked, found)
        message_id = getattr(found, "message_id", "")
        self._audit(asked.who, asked.do, f"{type(found).__name__} {message_id}", link=link.number)
        onion.decide(asked.number, verdict, asked.who, now_ns)

    async def _deed(self, plugged: Plugged, deed: Callable[[Hands, int], None]) -> None:
        """Do it, once the link is free for it; raises what it raises."""
        done: asyncio.Future[ConfigError | None] = self._env.loop.create_future()

        def act(onion: Hands, now_ns: int) -> None:
            refused = None
            try:
                deed(onion, now_ns)
            except ConfigError as error:
                refused = error
            if not done.done():
                done.set_result(refused)

        plugged.act(act)
        async with asyncio.timeout(SPARE_SECONDS):
            refused = await done
        if refused is not None:
            raise refused

    # ---- Calls by hand, and the end ----

    async def inject(self, asked: command.Inject) -> Came:
        """Send a Call, and wait for what comes of it."""
        link = self._link(asked.link)
        detail = f"{asked.action} to {asked.to}"
        plugged = await self._taken(link, asked.who, "inject", detail)
        if not all(framing.open for framing in link.framing):
            self._audit(asked.who, "inject", detail, "refused: the link is closing", link.number)
            raise ConfigError(f"charger {link.identity}: the link is closing")
        came: asyncio.Future[Outcome] = self._env.loop.create_future()
        message = (Send if asked.send else Call)(asked.payload, asked.action)

        def done(outcome: Outcome) -> None:
            self._audit(asked.who, "inject", f"{detail} {outcome.message_id}", outcome.reason or outcome.what, link.number)
            if not came.done():
                came.set_result(outcome)

        def inject(onion: Hands, now_ns: int) -> None:
            if self._env.links.get(link.number) is not link:        # it ended while something was stored
                came.set_result(Outcome("closed", ""))
                return
            self._audit(asked.who, "inject", detail, link=link.number)
            onion.inject(asked.to, message, asked.who, asked.seconds, done, now_ns)

        plugged.act(inject)
        try:
            async with asyncio.timeout(asked.seconds + SPARE_SECONDS):
                outcome = await came
        except TimeoutError:
            return Came("timeout", "")
        if outcome.what == "refused":
            raise ConfigError(f"charger {link.identity}: {outcome.reason}")
        return _came(outcome)

    async def disconnect(self, asked: command.Disconnect) -> None:
        """End a link."""
        link = self._link(asked.link)
        detail = "reset" if asked.reset else f"code {asked.code}" if asked.code else "fin"
        plugged = await self._taken(link, asked.who, "disconnect", detail) if asked.code and not asked.reset else None
        self._audit(asked.who, "disconnect", detail, link=link.number)
        if plugged is not None:
            await self._deed(plugged, lambda onion, now_ns: onion.close_frames(asked.code.to_bytes(2, "big"), asked.who))
        turn = self._env.turn
        turn.body(Kind.DISP, STATION, link.number, Disposition((), "disconnected", HAND, words(asked.who)))
        turn.flush()
        (link.abort if asked.reset else link.shut)("error")

    # ---- plugins ----

    def plugins(self) -> list[Sitting]:
        """The plugins, and on how many links they sit now."""
        sits, off = Counter[str](), Counter[str]()
        for link in self._links():
            for seat in link.plugged.onion.seats if link.plugged is not None else ():
                sits[seat.name] += 1
                off[seat.name] += seat.off
        return [structs.replace(state, links=sits[state.name], off=off[state.name]) for state in self._chooser.states()]

    async def switch(self, asked: command.Switch) -> list[str]:
        """Enable or disable a plugin; on which open links it could not be."""
        action = "enable" if asked.on else "disable"
        detail = f"{asked.plugin} for {asked.identity}"
        options = msgspec.json.decode(asked.options) if asked.options else None
        async with self._reloading:             # what is being read again counts with what is there now
            try:
                if asked.on:
                    await asyncio.to_thread(self._chooser.warm, asked.plugin, options)
                self._chooser.switch(asked.plugin, asked.on, asked.identity, options, asked.who)
            except (ConfigError, PluginError) as error:
                self._audit(asked.who, action, detail, f"refused: {error}")
                raise
            self._audit(asked.who, action, detail)
        return await self._reseat(asked.who, action, detail)

    async def reload(self, who: str) -> list[str]:
        """Read the configuration and the plugin files again; what changed, and what could not be."""
        async with self._reloading:
            said = await self._reload(who)
        return said + await self._reseat(who, "reload", "")

    async def _reload(self, who: str) -> list[str]:
        config, failed = await asyncio.to_thread(self._read_config)
        changed, refused = (await asyncio.to_thread(self._chooser.read, config))()
        failed += refused
        if config is not None:
            self._env.config = structs.replace(
                self._env.config, call_seconds=config.call_seconds, enable=config.enable, links=config.links,
                plugins=config.plugins, rules=config.rules)
            self._env.note(RULES, rules_text(config))
            for link in self._links():
                if link.plugged is not None:
                    link.plugged.onion.call_time(int(config.call_seconds * 1e9))
        self._audit(who, "reload", "", "; ".join(changed + failed))
        for text in failed:
            self.fault(text)
        return changed + failed

    def _read_config(self) -> tuple[Config | None, list[str]]:
        """The configuration as it is now, or why it cannot be had. Blocks: for a thread."""
        self._read_at = self._stamp()
        try:
            return part_of(msgspec.json.decode(self._file.read_bytes(), type=Config), self._worker), []
        except (OSError, msgspec.DecodeError) as error:
            return None, [f"{self._file}: {error}"]

    def fault(self, text: str) -> None:
        """A finding about what could not be read again."""
        self._env.turn.body(Kind.FINDING, STATION, 0, ForeignFinding("plugin-reload", "error", "proxy", words(text)))

    def stale(self) -> bool:
        """Whether the configuration or a plugin file changed since it was read. Blocks: for a thread."""
        return self._stamp() != self._read_at or self._chooser.stale()

    async def _reseat(self, who: str, action: str, detail: str) -> list[str]:
        """Give every open link the plugins that it is to have now; where not, and why."""
        reasons = [reason for reason in await asyncio.gather(*map(self._chain, list(self._links()))) if reason]
        if reasons:
            self._audit(who, action, detail, "; ".join(reasons[:MOST_REASONS]))
        return reasons

    async def _chain(self, link: Link) -> str:
        if self._wanted(link) == (link.plugged.onion.installed if link.plugged is not None else ()):
            return ""
        try:
            plugged = await take_over(link)
        except ConfigError as error:
            return str(error)
        if not link.how:
            plugged.reseat_when_free(self._wanted(link))        # it may have changed meanwhile
        return ""

    def _wanted(self, link: Link) -> Sequence[Installed]:
        chain = self.chain(link.identity, link.protocol)
        return chain.installed if chain is not None else ()

    def _stamp(self) -> Sequence[int]:
        try:
            facts = self._file.stat()
        except OSError:
            return ()
        return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _beyond(link: Link) -> str:
    """The OCPP version of the CSMS where a plugin bridges it and another; else empty."""
    onion = link.plugged.onion if link.plugged is not None else None
    return onion.versions[Side.CSMS] if onion is not None and onion.translating else ""


def _tellable(held: list[Holding]) -> tuple[Holding, ...]:
    """What fits into one answer to the hub."""
    held.sort(key=lambda one: one.until_ns)
    room, out = MOST_SHOWN, list[Holding]()
    for one in held[:MOST_LISTED]:
        room -= len(one.text)
        out.append(one if room >= 0 else structs.replace(one, text=b"", reason=f"{one.reason} ({len(one.text)} bytes)"))
        room += len(one.text) if room < 0 else 0
    return tuple(out)


def _verdict(asked: command.Settle, message: Message) -> Replace | Drop | Reply | None:
    match asked.do:
        case "release":
            return None
        case "drop":
            return Drop(asked.who)
        case "edit":
            if isinstance(message, CallError):
                code, description = asked.code or message.code, asked.description or message.description
                return Replace(structs.replace(message, payload=asked.payload, code=code, description=description), asked.who)
            return Replace(structs.replace(message, payload=asked.payload), asked.who)
        case "reply" if isinstance(message, Call):
            answer: Answer = CallResult(asked.payload)
            if asked.code:
                answer = CallError(asked.payload, asked.code, asked.description)
            return Reply(answer, asked.who)
        case "reply":
            raise ConfigError("only a Call can be answered; edit or drop this message instead")
    raise ConfigError(f"{asked.do}: release, drop, edit or reply is wanted")


def _came(outcome: Outcome) -> Came:
    answer: Any = outcome.answer
    if answer is None:
        return Came(outcome.what, outcome.message_id, took_ns=outcome.took_ns)
    code, description = (answer.code, answer.description) if isinstance(answer, CallError) else ("", "")
    return Came(outcome.what, outcome.message_id, answer.payload, code, description, outcome.took_ns)
