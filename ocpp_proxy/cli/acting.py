"""The commands that act on the traffic of a running proxy by hand; each act stands in the capture's audit.

They work where the proxy was started with ``--allow-inject``.
"""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, SOURCE, Texts, arg, opt

FROM = Annotated[str | None, opt("--source", "SOURCE", "Which running proxy, where several run: unix:PATH or HOST:PORT.")]
HELD = Annotated[str, arg("ID", "Of the held message, as `held` lists it.")]
PAYLOAD = Annotated[str | None, arg("JSON", "The payload, or - for stdin; without it $EDITOR opens.")]
FORCE = Annotated[bool, opt("--force", None, "Also when the schema of the version speaks against it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (intercept, held, release, drop, edit, reply, inject, disconnect):
        app.command()(command)


def intercept(
    words: Annotated[Texts, arg("FILTER [SOURCE]", "Which messages to hold, in the filter language; with --list or --off only"
                                                   " SOURCE.")] = None,
    identity: Annotated[str, opt("--identity", "PATTERN", "Of these chargers only; * and ? as in file names.")] = "*",
    show: Annotated[bool, opt("--list", None, "Show the intercepts that are set.")] = False,
    off: Annotated[int | None, opt("--off", "ID", "Take one away; what it holds goes on.")] = None,
    json: JSON = False,
) -> None:
    """Hold the messages that pass a filter, until someone decides (held, release, drop, edit, reply) or their time is over."""
    import asyncio

    from ocpp_proxy.cli import acts

    asyncio.run(acts.intercept(words or [], identity, show, off, json))


def held(
    source: SOURCE = None,
    follow: Annotated[bool, opt("--follow", None, "Go on as messages are held and leave.", "-f")] = False,
    json: JSON = False,
) -> None:
    """List the messages that are held, the next to go on by itself first."""
    import asyncio

    from ocpp_proxy.cli import holding

    asyncio.run(holding.held(source, follow, json))


def release(held_id: HELD, source: FROM = None, json: JSON = False) -> None:
    """Let a held message go on as it came."""
    import asyncio

    from ocpp_proxy.cli import holding

    asyncio.run(holding.settle(source, held_id, "release", json))


def drop(held_id: HELD, source: FROM = None, json: JSON = False) -> None:
    """Let a held message go no further; a dropped Call gets no answer."""
    import asyncio

    from ocpp_proxy.cli import holding

    asyncio.run(holding.settle(source, held_id, "drop", json))


def edit(
    held_id: HELD, payload: PAYLOAD = None, force: FORCE = False, source: FROM = None, json: JSON = False,
) -> None:
    """Let a held message go on with another payload; without JSON the one it has is opened in $EDITOR."""
    import asyncio

    from ocpp_proxy.cli import holding

    asyncio.run(holding.edit(source, held_id, payload, force, json))


def reply(
    held_id: HELD, payload: PAYLOAD = None,
    error: Annotated[str, opt("--error", "CODE", "Answer with a CALLERROR of this code; JSON is its details then.")] = "",
    description: Annotated[str, opt("--description", "TEXT", "The description of the CALLERROR.")] = "",
    force: FORCE = False, source: FROM = None, json: JSON = False,
) -> None:
    """Answer a held Call; it goes no further. Without JSON the fields of its answer are opened in $EDITOR."""
    import asyncio

    from ocpp_proxy.cli import holding

    asyncio.run(holding.reply(source, held_id, payload, holding.Answer(error, description, force), json))


def inject(
    words: Annotated[list[str], arg("[SOURCE] IDENTITY ACTION [JSON]", "To which charger's link, what, and its payload (- for"
                                                                       " stdin; without it {}).")],
    to: Annotated[str, opt("--to", "station|csms", "Which side gets the Call; default the charger.")] = "station",
    force: FORCE = False,
    seconds: Annotated[float, opt("--seconds", "N", "Wait for the answer so long; default 30.", min=0.1, max=600)] = 30.0,
    json: JSON = False,
) -> None:
    """Send a Call of your own, wait for its answer and print that. The other side sees neither.

    Exit code 0: answered, 1: a CALLERROR, no answer in time, or the link ended.
    """
    import asyncio

    from ocpp_proxy.cli import acts

    raise typer.Exit(asyncio.run(acts.inject(words, to, force, seconds, json)))


def disconnect(
    words: Annotated[list[str], arg("[SOURCE] IDENTITY", "Which charger.")],
    code: Annotated[int | None, opt("--code", "N", "Send a Close frame with this code first.", min=1000, max=4999)] = None,
    reset: Annotated[bool, opt("--reset", None, "Break both connections off (TCP reset).")] = False,
    json: JSON = False,
) -> None:
    """End a charger's link, on both sides."""
    import asyncio

    from ocpp_proxy.cli import acts

    asyncio.run(acts.disconnect(words, code or 0, reset, json))
