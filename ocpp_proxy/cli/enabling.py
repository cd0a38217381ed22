"""The body of ``plugins``: what is installed beside what runs, and the switching of what runs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ocpp_proxy.cli.acts import acting, tell_missing, told
from ocpp_proxy.cli.line_json import VERSION
from ocpp_proxy.cli.places import running
from ocpp_proxy.cli.printing import ascii_json, render, talk
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.plugins import Described, describe, is_file, known, name_of
from ocpp_proxy.source import PluginState, Table


class Choice(Struct, frozen=True):
    """For whom to switch, how, and in which proxy."""

    identity: str = "*"
    options: tuple[str, ...] = ()
    source: str | None = None


def act(verb: str, names: Sequence[str], choice: Choice, json: bool) -> None:
    """Enable, disable or reload. Raises ``ConfigError``."""
    if verb == "reload":
        if names or choice.options or choice.identity != "*":
            raise ConfigError("plugins reload: takes no names and no options; it reads everything again")
        asyncio.run(_reload(choice.source, json))
        return
    if not names:
        raise ConfigError(f"plugins {verb}: say which: plugins {verb} NAME")
    if verb == "disable" and choice.options:
        raise ConfigError("plugins disable: --option is for enable")
    asyncio.run(_switch(verb == "enable", names, choice, json))


async def _reload(source: str | None, json: bool) -> None:
    async with acting(source) as (_, actor):
        said = await actor.reload()
    told(json, "\n".join(safe_text(line) for line in said.split("\n")), reloaded=True, said=said)


async def _switch(on: bool, names: Sequence[str], choice: Choice, json: bool) -> None:
    options = options_of(choice.options)
    async with acting(choice.source) as (_, actor):
        for name in names:
            word = str(Path(name).absolute()) if is_file(name) else name        # the proxy has its own working folder
            await actor.switch(word, on, choice.identity, options or None)
            what = "enabled" if on else "disabled"
            told(json, f"{safe_text(name, 200)}: {what} for {safe_text(choice.identity, 60)}",
                 plugin=name, identity=choice.identity, done=what)


def options_of(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as options: values that are JSON as JSON, others as text. Raises ``ConfigError``."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--option {safe_text(pair, 60)}: write --option KEY=VALUE")
        try:
            found[key.strip()] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            found[key.strip()] = text
    return found


def show(names: Sequence[str], source: str | None, json: bool) -> bool:
    """Print what is installed or named, beside what runs of it; whether one cannot be loaded."""
    states = asyncio.run(_states(source))
    found = [describe(word) for word in (names or known())]
    told_of = {one.name for one in found}
    if not names and states:                # files, and what is enabled under a name that is not installed here
        found += [_unknown(state) for state in {state.name: state for state in states if state.name not in told_of}.values()]
    for one in found:
        if one.error:
            talk(one.error)
    wrong = [state for state in states or () if state.error and (not names or state.name in told_of)]
    for state in wrong:
        talk(f"plugin {safe_text(state.name, 60)} in the running proxy: {safe_text(state.error, 300)}")
    _print(found, states, json)
    return any(one.error for one in found) or bool(wrong)


def _unknown(state: PluginState) -> Described:
    return Described(name_of(state.name), state.origin, state.version, state.hooks, about="as the running proxy has it")


def _print(found: list[Described], states: list[PluginState] | None, json: bool) -> None:
    if json:
        for one in found:
            running_ = None if states is None else [_state_object(state) for state in states if state.name == one.name]
            print(ascii_json({
                "v": VERSION, "name": one.name, "version": one.version, "hooks": " ".join(one.hooks),
                "options": " ".join(one.options), "origin": one.origin, "about": one.about or one.error, "running": running_}))
    elif found:
        rows: list[list[Any]] = [[
            one.name, one.version, " ".join(one.hooks), " ".join(one.options), *_where(one.name, states), one.origin,
            one.about or one.error] for one in found]
        middle = [] if states is None else ["enabled for"]
        for line in render(Table(["name", "version", "hooks", "options", *middle, "origin", "about"], rows), "text"):
            print(line)
    if not found:
        talk("no plugins installed")


def _state_object(state: PluginState) -> dict[str, Any]:
    return {"identity": state.identity, "by": state.by, "links": state.links, "off": state.off, "error": state.error or None}


def _where(name: str, states: list[PluginState] | None) -> list[str]:
    if states is None:
        return []
    parts = []
    for state in states:
        if state.name == name:
            off = f", off on {state.off} after failures" if state.off else ""
            off += ", ERROR" if state.error else ""
            parts.append(f"{state.identity} by {state.by}: on {state.links} link{'' if state.links == 1 else 's'}{off}")
    return ["; ".join(parts) or "-"]


async def _states(source: str | None) -> list[PluginState] | None:
    """What runs; None where no proxy does, or several and it was not said which."""
    live = [] if source is not None else running()
    if source is None and len(live) != 1:
        if live:
            talk(f"{len(live)} proxies are running: --source shows what is enabled in one of them")
        return None
    try:
        async with acting(source) as (_, actor):
            found = await actor.plugins()
            tell_missing(actor)
            return found
    except (ConfigError, CaptureError, ConnectionError) as error:
        if source is not None:
            raise
        talk(f"what runs cannot be asked: {safe_text(str(error), 200)}")
        return None
