"""``ocpp-proxy tail``: one line per message, live or from a file."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, SOURCE, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tail)


def tail(
    source: SOURCE = None,
    filter: Annotated[str | None, opt("--filter", "EXPR", "Only lines that pass, e.g. 'action == Reset or ms > 500'.")] = None,
    follow: Annotated[bool, opt("--follow", None, "Go on with what comes.", "-f")] = False,
    lines: Annotated[int, opt("--lines", "N", "Only the last N lines.", "-n", min=0)] = 0,
    json: JSON = False,
) -> None:
    """Print one line per message, its findings below it."""
    import asyncio

    from ocpp_proxy.cli.tailing import tail_source
    from ocpp_proxy.fields import parse

    where = parse(filter) if filter else None
    asyncio.run(tail_source(source, where, follow, lines, json))
