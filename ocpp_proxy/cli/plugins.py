"""``ocpp-proxy plugins``: the installed plugins, by entry point; none of them is imported."""

import typer

from ocpp_proxy.cli.options import JSON

GROUP = "ocpp_proxy.plugins"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plugins)


def plugins(json: JSON = False) -> None:
    """List the installed plugins (entry points of the group ocpp_proxy.plugins) without loading them."""
    from importlib.metadata import entry_points

    from ocpp_proxy.cli.printing import render, talk
    from ocpp_proxy.source import Table

    rows: list[list[object]] = [
        [point.name, point.value, point.dist.name if point.dist else None, point.dist.version if point.dist else None]
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)
    ]
    if not rows:
        talk("no plugins installed")
        return
    for line in render(Table(["name", "object", "package", "version"], rows), "json" if json else "text"):
        print(line)
