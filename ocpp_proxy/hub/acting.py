"""What a person does to the traffic, checked here and done by the relay workers: ``source.Acting``, with who asked.

Raises ``ConfigError`` with a text for the person.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import structs

from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.matching import matcher
from ocpp_proxy.core.reloading import RELOAD_FILE, Reloaded
from ocpp_proxy.core.watching import Switched
from ocpp_proxy.hub.commanding import ANSWER_SECONDS, Commanding, Gone, Worker
from ocpp_proxy.hub.watchers import Watchers
from ocpp_proxy.model import ConfigError, Link, PluginError, Side
from ocpp_proxy.source import Held, Injected, Intercept, PluginState
from ocpp_proxy.spec import actions, schemas
from ocpp_proxy.wire import command
from ocpp_proxy.wire.command import Breaking, Came, HeldList, Holding, OpenLink
from ocpp_proxy.wire.ocppj import decode

MOST_POINTS = 64
MOST_FAULTS = 5
RELOAD_SECONDS = 10.0
Do = Literal["release", "drop", "edit", "reply"]
T = TypeVar("T")
Known = tuple[list[T], list[str]]           # of the workers that answer, and which do not, and why


class Acts:
    """``links``: the known links and which of them are open. ``supervisor``: process id, 0: none.

    ``masker``: of the capture; ``watchers``: the observers.
    """

    def __init__(
        self, folder: Path, commanding: Commanding, links: Callable[[], Mapping[int, Link]], supervisor: int = 0,
        masker: Masker | None = None, watchers: Watchers | None = None,
    ) -> None:
        self._masker, self._watchers = masker, watchers
        self._folder, self._commanding, self._links, self._supervisor = folder, commanding, links, supervisor
        self._points: dict[int, Breaking] = {}
        self._setting = asyncio.Lock()          # breakpoints are set one after the other
        commanding.on_hello = self._greet

    # ---- what is held ----

    async def held(self, bare: bool = True) -> Known[Held]:
        """As ``Acting.held``. Not ``bare``: without the secrets that the capture does not show either."""
        found, missing = await self._commanding.asked(command.ListHeld(), HeldList)
        out = [self._named(worker, one) for worker, answer in found for one in answer.held]
        if not bare and self._masker is not None:
            out = [_masked(one, self._masker) for one in out]
        return sorted(out, key=lambda one: one.until_ns), missing

    def _named(self, worker: Worker, one: Holding) -> Held:
        link_id = max((link.link_id for link in self._links().values()
                       if link.identity == one.identity and link.worker == worker.number), default=0)
        return Held(
            f"{worker.number}.{one.link}.{one.number}.{_tag(worker)}", link_id, one.identity, one.side, one.mtype, one.action,
            one.message_id,
            one.text.decode("utf-8", "replace"), one.since_ns, one.until_ns, "intercept" if one.by == "hand" else one.by,
            one.reason,
        )

    async def settle(
        self, held_id: str, do: Do, payload: Any, who: str, *, code: str = "", description: str = "", force: bool = False,
    ) -> None:
        """As ``Acting.settle``."""
        try:
            *numbers, tag = held_id.split(".")
            number, link, message = map(int, numbers)
            worker = self._commanding.workers[number]
            if tag != _tag(worker):
                raise KeyError(tag)
        except (ValueError, KeyError):
            raise ConfigError(f"held message {held_id}: there is none of that id; `ocpp-proxy held` lists them") from None
        if do in ("edit", "reply"):
            payload = {} if payload is None and do == "reply" else payload
            await self._check_held(worker, link, message, do, payload, code, force)
        body = b"" if payload is None else msgspec.json.encode(payload)
        asked = command.Settle(link, message, do, who, body, code, description)
        try:
            await worker.ask(asked, type(None))
        except ConfigError as error:
            raise ConfigError(f"held message {held_id}: {error}") from None

    async def _check_held(
        self, worker: Worker, link: int, number: int, do: Do, payload: Any, code: str, force: bool,
    ) -> None:
        if payload is None:
            raise ConfigError("edit: a payload is wanted")
        found = await worker.ask(command.ListHeld(), HeldList)
        one = next((one for one in found.held if (one.link, one.number) == (link, number)), None)
        if one is None or force or one.mtype == 0:
            return
        if not isinstance(payload, dict):
            raise ConfigError("the payload of a message is a JSON object (--force sends it all the same)")
        if code or one.mtype == 4:
            return
        _check(one.version, one.action, do == "reply" or one.mtype == 3, payload)

    # ---- breakpoints ----

    async def intercepts(self) -> Known[Intercept]:
        """As ``Acting.intercepts``."""
        held = dict.fromkeys(self._points, 0)
        found, missing = await self._commanding.asked(command.ListHeld(), HeldList)
        for point in (point for _, answer in found for point in answer.points):
            held[point.number] = held.get(point.number, 0) + point.held
        return [_intercept(point, held[number]) for number, point in sorted(self._points.items())], missing

    async def intercept(self, text: str, identity: str, who: str) -> Intercept:
        """As ``Acting.intercept``."""
        matcher(text)
        async with self._setting:
            if len(self._points) >= MOST_POINTS:
                raise ConfigError(f"{MOST_POINTS} breakpoints are set already; take one away first")
            number = max(self._points, default=0) + 1
            point = self._points[number] = Breaking(number, text, identity, who)
            try:
                await self._arm(who, "intercept", f"{number}: {text or 'everything'} of {identity}")
            except ConfigError:
                del self._points[number]
                raise
        return _intercept(point)

    async def unintercept(self, number: int, who: str) -> None:
        """As ``Acting.unintercept``."""
        async with self._setting:
            point = self._points.pop(number, None)
            if point is None:
                raise ConfigError(f"breakpoint {number}: there is none; `ocpp-proxy intercept --list` shows them")
            try:
                await self._arm(who, "unintercept", str(number))
            except ConfigError:
                self._points[number] = point
                raise

    async def _arm(self, who: str, action: str, detail: str) -> None:
        asked = command.Arm(tuple(self._points.values()), who, action, detail)
        await asyncio.gather(*(worker.ask(asked, list[str]) for worker in await self._commanding.each()))

    async def _greet(self, worker: Worker) -> None:
        """A worker came: take over the breakpoints of a hub before this one, and give it those that it lacks."""
        async with self._setting:
            for point in worker.points:
                self._points.setdefault(point.number, structs.replace(point, held=0))
            if {structs.replace(point, held=0) for point in worker.points} != set(self._points.values()):
                await worker.ask(command.Arm(tuple(self._points.values())), list[str])

    # ---- Calls by hand, and the end ----

    async def inject(
        self, identity: str, to: Side, action: str, payload: Any, who: str, *, force: bool = False, seconds: float = 30.0,
    ) -> Injected:
        """As ``Acting.inject``."""
        if not 0 < seconds <= 600:
            raise ConfigError("seconds: more than 0 and at most 600")
        worker, link = await self._find(identity)
        version = (link.csms_version or link.version) if to is Side.CSMS else link.version
        if not force:
            _check_call(version, to, action, payload)
        send = actions.is_send(version, action)
        asked = command.Inject(link.number, to, action, msgspec.json.encode(payload), seconds, who, send)
        try:
            came = await worker.ask(asked, Came, seconds + ANSWER_SECONDS)
        except Gone:                            # with it ended the link; the Call may have been sent
            return Injected("closed", "")
        value = _shown(came.payload)
        outcome: Any = came.outcome
        return Injected(
            outcome, came.message_id, value, came.code, came.description, came.took_ns / 1e6 if came.took_ns else None)

    async def disconnect(self, identity: str, code: int, reset: bool, who: str) -> None:
        """As ``Acting.disconnect``."""
        if code and (not (1000 <= code <= 4999) or code in (1004, 1005, 1006, 1015)):
            raise ConfigError(f"code {code}: no code of a Close frame: 1000 to 1014 or 3000 to 4999")
        if code and reset:
            raise ConfigError("a reset sends no Close frame: give a code or --reset")
        worker, link = await self._find(identity)
        await worker.ask(command.Disconnect(link.number, code, reset, who), type(None))

    async def _find(self, identity: str) -> tuple[Worker, OpenLink]:
        """The newest open link of a charger."""
        await self._commanding.each()
        answers, missing = await self._commanding.asked(command.Find(identity), list[OpenLink])
        found = [(worker, link) for worker, links in answers for link in links]
        if found:
            return max(found, key=lambda pair: pair[1].opened_ns)
        if missing:
            raise ConfigError(f"charger {identity}: not found, but not everyone could be asked: {'; '.join(missing)}")
        known = sorted({link.identity for link in self._links().values() if link.identity})
        if identity in known:
            raise ConfigError(f"charger {identity}: not connected any more")
        close = get_close_matches(identity, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"connected: {', '.join(known[:10]) or 'none'}"
        raise ConfigError(f"charger {identity}: not connected: {hint}")

    async def open_links(self, identity: str) -> Known[OpenLink]:
        """The open links of a charger, as the relays themselves have them: the capture is a little behind."""
        await self._commanding.each()       # one that has just begun is waited for
        answers, missing = await self._commanding.asked(command.Find(identity), list[OpenLink])
        return [link for _, links in answers for link in links], missing

    # ---- plugins ----

    async def plugins(self) -> Known[PluginState]:
        """As ``Acting.plugins``."""
        out: dict[tuple[str, str, str], PluginState] = {}
        found, missing = await self._commanding.asked(command.Plugins(), list[PluginState])
        for state in (state for _, states in found for state in states):
            key = (state.name, state.identity, state.by)
            before = out.get(key)
            out[key] = state if before is None else structs.replace(
                before, links=before.links + state.links, off=before.off + state.off, error=before.error or state.error)
        return list(out.values()), missing

    async def switch(self, plugin: str, on: bool, identity: str, options: Any, who: str) -> list[str]:
        """As ``Acting.switch``; gives on which open links it takes effect at the next connection only, and why."""
        body = b"" if options is None else msgspec.json.encode(options)
        asked = command.Switch(plugin, on, identity, who, body)
        watchers, one = self._watchers, Switched(plugin, on, identity, options, who)
        known = watchers is not None and not on and await watchers.switch(one)
        try:
            said = await self._tell_all(asked)
        except ConfigError:
            if not known:
                raise
            said = []                       # a relay that began anew knows nothing of it
        if watchers is not None and on:
            try:
                await watchers.switch(one)
            except PluginError as error:
                raise ConfigError(str(error)) from error
        return said

    async def _tell_all(self, asked: command.Switch) -> list[str]:
        said = await asyncio.gather(*(worker.ask(asked, list[str]) for worker in await self._commanding.each()))
        return [text for texts in said for text in texts]

    async def reload(self, who: str) -> str:
        """As ``Acting.reload``."""
        texts = [await self._read_again()]
        if self._watchers is not None:
            texts += await self._watchers.again()
        found, missing = await self._commanding.asked(command.Reload(who), list[str], ANSWER_SECONDS)
        texts += [text for _, said in found for text in said] + missing
        return "\n".join(dict.fromkeys(filter(None, texts))) or "nothing changed"

    async def _read_again(self) -> str:
        """Have the supervisor read the configuration."""
        if not self._supervisor:
            return ""
        path = self._folder / RELOAD_FILE
        before = _reloaded(path)
        try:
            os.kill(self._supervisor, signal.SIGHUP)
            async with asyncio.timeout(RELOAD_SECONDS):
                while (found := _reloaded(path)).number == before.number:
                    await asyncio.sleep(0.02)
        except (OSError, TimeoutError):
            return "the configuration was not read again: the supervisor does not answer"
        return found.text


def _tag(worker: Worker) -> str:
    """Part of the ids of what it holds: a relay that was started again counts anew, and means other messages."""
    return f"{worker.incarnation & 0xFFF:03x}"


def _masked(one: Held, masker: Masker) -> Held:
    text = one.text.encode()
    clean = masker.message(text, decode(text), one.action) if one.mtype else masker.text(text)
    return one if clean is None else structs.replace(one, text=clean.decode("utf-8", "replace"))


def _reloaded(path: Path) -> Reloaded:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reloaded)
    except (OSError, msgspec.DecodeError):
        return Reloaded()


def _shown(payload: bytes) -> Any:
    """The values of an answer; one that is no JSON (NaN ...) as its text."""
    try:
        return msgspec.json.decode(payload) if payload else None
    except (msgspec.MsgspecError, RecursionError):
        return payload.decode("utf-8", "replace")


def _intercept(point: Breaking, held: int = 0) -> Intercept:
    return Intercept(point.number, point.filter, point.identity, point.who, held)


def _check_call(version: str, to: Side, action: str, payload: Any) -> None:
    """Whether that is a Call this side may be sent. Raises ``ConfigError``."""
    if not version:
        raise ConfigError(f"{action}: the OCPP version of this charger is not known, nothing can be checked; --force sends it")
    if action not in actions.known(version):
        meant = actions.did_you_mean(version, action)
        hint = f": did you mean {meant}?" if meant else ""
        raise ConfigError(f"{action}: OCPP {version} knows no such action{hint}; --force sends it all the same")
    sender = actions.direction(version, action)
    if sender not in ("both", to.other):
        raise ConfigError(f"{action}: is sent by the {sender}, not to it; --force sends it all the same")
    _check(version, action, False, payload)


def _check(version: str, action: str, answer: bool, payload: Any) -> None:
    faults = schemas.check(version, action, answer, payload) if version and action else ()
    if faults:
        said = [f"{fault.path}: {fault.message}" for fault in faults[:MOST_FAULTS]]
        more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        name = f"{action} {'answer' if answer else ''}".strip()
        raise ConfigError("\n  ".join([f"{name}: not as OCPP {version} has it (--force sends it all the same):", *said, *more]))


