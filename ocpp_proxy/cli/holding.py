"""The bodies of ``held``, ``release``, ``drop``, ``edit`` and ``reply``."""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from ocpp_proxy.cli.acts import acting, json_of, tell_missing, told
from ocpp_proxy.cli.line_json import VERSION
from ocpp_proxy.cli.printing import ascii_json, render, stamp, talk
from ocpp_proxy.core.by_hand import Subject, pretty
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError
from ocpp_proxy.source import Acting, Held, Source, Table

AGAIN_SECONDS = 0.5                         # between two looks of `held -f`
_TYPES = {0: "?", 2: "Call", 3: "Result", 4: "Error", 5: "ResultError", 6: "Send"}


class Answer(Struct, frozen=True):
    """How a Call is to be answered: with a CALLERROR where ``code`` is given."""

    code: str = ""
    description: str = ""
    force: bool = False


async def held(text: str | None, follow: bool, json: bool) -> None:
    """Print what is held; with ``follow`` what comes and goes, too."""
    async with acting(text) as (_, actor):
        found = await actor.held()
        if json:
            for one in found:
                print(ascii_json(held_object(one)), flush=True)
        elif found:
            for line in render(held_table(found, time.time_ns()), "text"):
                print(line, flush=True)
        elif not follow:
            talk("nothing is held")
        missing = tell_missing(actor)
        known = {one.held_id: one for one in found}
        while follow:
            await asyncio.sleep(AGAIN_SECONDS)
            now = {one.held_id: one for one in await actor.held()}
            missing = tell_missing(actor, missing)
            for held_id, one in now.items():
                if held_id not in known:
                    _came(one, json)
            for held_id in known.keys() - now.keys():
                _went(held_id, json)
            known = now


def _came(one: Held, json: bool) -> None:
    row = held_table([one], time.time_ns()).rows[0]
    text = ascii_json(held_object(one)) if json else "  ".join(safe_text(str(cell)) for cell in row)
    print(text, flush=True)


def _went(held_id: str, json: bool) -> None:
    print(ascii_json({"v": VERSION, "id": held_id, "gone": True}) if json else f"{safe_text(held_id, 40)}  gone", flush=True)


def held_object(one: Held) -> dict[str, Any]:
    """A held message as an object."""
    return {
        "v": VERSION, "id": one.held_id, "identity": one.identity, "link": one.link_id, "side": one.side.value,
        "mtype": one.mtype, "action": one.action, "message_id": one.message_id, "text": one.text, "since": stamp(one.since_ns),
        "until": stamp(one.until_ns), "by": one.by, "reason": one.reason or None,
    }


def held_table(found: Sequence[Held], now_ns: int) -> Table:
    """Held messages as text; ``goes on in``: seconds."""
    return Table(["id", "goes on in", "charger", "from", "type", "action", "held by", "text"], [[
        one.held_id, f"{max(0, one.until_ns - now_ns) / 1e9:.0f} s", one.identity, one.side.value, _TYPES.get(one.mtype, "?"),
        one.action, one.by, one.text,
    ] for one in found])


async def settle(text: str | None, held_id: str, do: Literal["release", "drop"], json: bool) -> None:
    """Release or drop."""
    async with acting(text) as (_, actor):
        await actor.settle(held_id, do)
    _done(held_id, "released" if do == "release" else "dropped", json)


async def edit(text: str | None, held_id: str, payload: str | None, force: bool, json: bool) -> None:
    """Let it go on with another payload."""
    async with acting(text) as (source, actor):
        subject = await _subject(source, actor, held_id)
        given, force = _written(subject, subject.payload, payload, force, False)
        await actor.settle(held_id, "edit", given, force=force)
    _done(held_id, "released, edited", json)


async def reply(text: str | None, held_id: str, payload: str | None, answer: Answer, json: bool) -> None:
    """Answer a Call."""
    async with acting(text) as (source, actor):
        subject = await _subject(source, actor, held_id)
        if subject.held.mtype != 2:
            raise ConfigError(f"{safe_text(held_id, 40)} is no Call: only a Call can be answered")
        if answer.code:
            given, force = json_of(payload) if payload else {}, answer.force
        else:
            given, force = _written(subject, pretty(subject.answer), payload, answer.force, True)
        await actor.settle(held_id, "reply", given, code=answer.code, description=answer.description, force=force)
    _done(held_id, "answered", json)


async def _subject(source: Source, actor: Acting, held_id: str) -> Subject:
    for one in await actor.held():
        if one.held_id == held_id:
            return Subject.of(one, {link.link_id: link for link in await source.links()})
    raise ConfigError(f"{safe_text(held_id, 40)} is not held (any more); `ocpp-proxy held` lists what is")


def _written(subject: Subject, before: str, payload: str | None, force: bool, answer: bool) -> tuple[Any, bool]:
    """The payload that was given or written in the editor, and whether it is to go in spite of the schema."""
    if payload is not None:
        given = json_of(payload)
        against = [] if force else subject.objections(given, answer)
        if against:
            raise ConfigError("\n  ".join(("the schema speaks against it (--force sends it all the same):", *against)))
        return given, force
    from ocpp_proxy_tui.editor import edited

    text = before
    while True:
        new = edited(text)
        if new is None or new.strip() == before.strip():
            raise ConfigError(f"nothing was changed; {safe_text(subject.held.held_id, 40)} is still held")
        try:
            given = json_of(new)
            against = subject.objections(given, answer)
        except ConfigError as error:
            given, against = None, [str(error)]
        if not against or (given is not None and force):
            return given, force
        for line in against:
            talk(f"  {safe_text(line, 300)}")
        choice = _ask("e: edit again" + (", s: send all the same" if given is not None else "") + ", q: leave it held? ")
        if choice == "s" and given is not None:
            return given, True
        if choice != "e":
            raise ConfigError(f"{safe_text(subject.held.held_id, 40)} is still held")
        text = new


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower()[:1]


def _done(held_id: str, what: str, json: bool) -> None:
    told(json, f"{safe_text(held_id, 40)}: {what}", id=held_id, done=what)
