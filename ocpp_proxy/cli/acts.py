"""The bodies of ``intercept``, ``inject`` and ``disconnect``, and what all commands share that act by hand.

``--json``: one object a line, version 1: keys are only ever added.
"""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from ocpp_proxy.cli.line_json import VERSION
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import ascii_json, render, talk
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import CaptureError, ConfigError, Side
from ocpp_proxy.source import Acting, Injected, Intercept, Source, Table

_OUTCOMES = {"error": "CALLERROR", "timeout": "no answer in time", "closed": "the link ended before an answer came",
             "sent": "sent; a SEND has no answer", "result": "CALLRESULT"}


@asynccontextmanager
async def acting(text: str | None) -> AsyncIterator[tuple[Source, Acting]]:
    """A running proxy, to act on. Raises ``ConfigError`` for a file, ``ConnectionError`` when nothing answers (any more)."""
    source = await open_source(text)
    try:
        if not source.live or not hasattr(source, "settle"):
            raise ConfigError(f"{source.title}: only the traffic of a running proxy can be acted on")
        yield source, cast(Acting, source)
    except CaptureError as error:           # no file is read here: the proxy has gone
        raise ConnectionError(str(error)) from error
    finally:
        await source.close()


def tell_missing(actor: Acting, before: str = "") -> str:
    """Say what a list of it is without, unless that is what was said ``before``."""
    missing = str(getattr(actor, "missing", ""))
    if missing and missing != before:
        talk(f"not all of it: {safe_text(missing, 500)}")
    return missing


def json_of(text: str) -> Any:
    """The value of a JSON argument; ``-`` reads stdin. Raises ``ConfigError``."""
    if text == "-":
        text = sys.stdin.read()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ConfigError(f"{safe_text(text, 60)}: not JSON ({error})") from error


def told(json: bool, text: str, **object_: Any) -> None:
    """Say what was done: an object on stdout with ``--json``, else words on stderr."""
    if json:
        print(ascii_json({"v": VERSION, **object_}))
    else:
        talk(text)


async def intercept(words: Sequence[str], identity: str, show: bool, off: int | None, json: bool) -> None:
    """Set, list or take away breakpoints."""
    setting = not show and off is None
    if len(words) > 1 + setting or (setting and not words):
        raise ConfigError('write intercept "FILTER" [SOURCE], intercept --list [SOURCE] or intercept --off ID [SOURCE]')
    rest = words[setting:]
    async with acting(rest[0] if rest else None) as (_, actor):
        if off is not None:
            await actor.unintercept(off)
            told(json, f"intercept {off} is off", intercept=off, off=True)
        elif show:
            _list(await actor.intercepts(), json)
            tell_missing(actor)
        else:
            made = await actor.intercept(words[0], identity)
            talk("`ocpp-proxy held -f` shows what is held; `intercept --off` ends it")
            told(json, f"intercept {made.intercept_id}: {safe_text(made.filter, 200)}", **intercept_object(made))


def _list(found: list[Intercept], json: bool) -> None:
    if json:
        for one in found:
            print(ascii_json({"v": VERSION, **intercept_object(one)}))
    elif found:
        rows: list[list[Any]] = [[one.intercept_id, one.filter, one.identity, one.who, one.held] for one in found]
        for line in render(Table(["id", "filter", "chargers", "set by", "held so far"], rows), "text"):
            print(line)
    if not found:
        talk("no intercepts are set")


def intercept_object(one: Intercept) -> dict[str, Any]:
    """A breakpoint as an object."""
    return {"intercept": one.intercept_id, "filter": one.filter, "identity": one.identity, "who": one.who, "held": one.held}


async def inject(words: Sequence[str], to: str, force: bool, seconds: float, json: bool) -> int:
    """Send a Call, print its answer; the exit code."""
    source, identity, action, text = _injected(list(words))
    if to not in ("station", "csms"):
        raise ConfigError(f"--to {safe_text(to, 40)}: write station or csms")
    payload = json_of(text)
    async with acting(source) as (_, actor):
        answer = await actor.inject(identity, Side(to), action, payload, force=force, seconds=seconds)
    _answered(answer, json)
    return 0 if answer.outcome in ("result", "sent") else 1


def _injected(words: list[str]) -> tuple[str | None, str, str, str]:
    """SOURCE, IDENTITY, ACTION, JSON. Three words are without a SOURCE where the last is JSON, else without a payload."""
    if len(words) == 3 and words[2].lstrip()[:1] in ("{", "[", "-"):
        return None, words[0], words[1], words[2]
    if len(words) == 3:
        return words[0], words[1], words[2], "{}"
    if len(words) == 2:
        return None, words[0], words[1], "{}"
    if len(words) == 4:
        return words[0], words[1], words[2], words[3]
    raise ConfigError("write inject [SOURCE] IDENTITY ACTION [JSON]: inject CP-1 Reset '{\"type\": \"Soft\"}'")


def _answered(answer: Injected, json: bool) -> None:
    if json:
        print(ascii_json({
            "v": VERSION, "outcome": answer.outcome, "message_id": answer.message_id, "payload": answer.payload,
            "error": answer.code or None, "description": answer.description or None,
            "ms": None if answer.ms is None else round(answer.ms, 3),
        }))
        return
    took = "" if answer.ms is None else f" after {answer.ms:.1f} ms"
    code = f" {safe_text(answer.code, 60)}: {safe_text(answer.description, 300)}" if answer.outcome == "error" else ""
    talk(f"{_OUTCOMES[answer.outcome]}{took}{code}")
    if answer.payload is not None and answer.outcome in ("result", "error"):
        print(ascii_json(answer.payload))


async def disconnect(words: Sequence[str], code: int, reset: bool, json: bool) -> None:
    """End a link."""
    if code and reset:
        raise ConfigError("--code and --reset: a reset sends no Close frame; give one of them")
    if not 1 <= len(words) <= 2:
        raise ConfigError("write disconnect [SOURCE] IDENTITY")
    async with acting(words[0] if len(words) == 2 else None) as (_, actor):
        await actor.disconnect(words[-1], code, reset)
    told(json, f"{safe_text(words[-1], 60)}: disconnected", identity=words[-1], disconnected=True)
