"""``ocpp-proxy plugins``: the installed plugins and those of files: what they are, and what is wrong with them."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, Texts, arg


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plugins)


def plugins(
    names: Annotated[Texts, arg("[NAME|FILE]...", "These plugins only; a file is given as ./FILE.py.")] = None,
    json: JSON = False,
) -> None:
    """List the installed plugins (entry points ocpp_proxy.plugins), or those named: version, hooks, options, origin.

    Loads them to look. Exit code 1 when one cannot be loaded.
    """
    from ocpp_proxy.cli.printing import render, talk
    from ocpp_proxy.plugins import describe, known
    from ocpp_proxy.source import Table

    found = [describe(word) for word in (names or known())]
    if not found:
        talk("no plugins installed")
        return
    for one in found:
        if one.error:
            talk(one.error)
    rows: list[list[object]] = [
        [one.name, one.version, " ".join(one.hooks), " ".join(one.options), one.origin, one.about or one.error] for one in found
    ]
    table = Table(["name", "version", "hooks", "options", "origin", "about"], rows)
    for line in render(table, "json" if json else "text"):
        print(line)
    if any(one.error for one in found):
        raise typer.Exit(1)
