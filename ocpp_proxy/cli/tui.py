"""``ocpp-proxy tui``: the terminal UI, on a running proxy or on a file."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import SOURCE, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tui)


def tui(
    source: SOURCE = None,
    filter: Annotated[str | None, opt("--filter", "EXPR", "Begin with this filter.")] = None,
    settings: Annotated[str | None, opt("--settings", "FILE", "Keys, theme, speed; default tui.toml.")] = None,
    hz: Annotated[float | None, opt("--hz", "N", "Repaints a second at most; default 10, over SSH 5.", min=0.2, max=60)] = None,
    ascii: Annotated[bool, opt("--ascii", None, "Only ASCII characters of our own.")] = False,
    read_only: Annotated[bool, opt("--read-only", None, "Nothing that acts on traffic, also where it is allowed.")] = False,
    theme: Annotated[str | None, opt("--theme", "NAME", "ocpp, ocpp-light, ansi-dark, nord ...")] = None,
) -> None:
    """See traffic, chargers, findings, transactions on one screen. Without a terminal: the lines of `tail`."""
    import asyncio

    from ocpp_proxy.cli.viewing import view

    raise typer.Exit(asyncio.run(view(source, filter, settings, hz, ascii, theme, read_only)))
