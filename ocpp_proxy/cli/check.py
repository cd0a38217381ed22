"""``ocpp-proxy check``: what is wrong, and whose fault it is. Exit code 1 when a finding is an error or worse."""

import typer

from ocpp_proxy.cli.options import CONFIG, JSON, SOURCE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(source: SOURCE = None, config: CONFIG = None, json: JSON = False) -> None:
    """Judge a capture, a trace or the live traffic with all rules; findings grouped by whose fault they are."""
    import asyncio

    from ocpp_proxy.cli import checking, settings
    from ocpp_proxy.cli.verify import verify

    merged = settings.load(config, settings.environment(), {})
    verify(merged, need_upstream=False)
    raise typer.Exit(asyncio.run(checking.check(source, merged, json)))
