"""``ocpp-proxy chargers``, ``tx`` and ``findings``: the lists of the screens, as text or JSON lines."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, SOURCE, opt

IDENTITY = Annotated[str, opt("--identity", "ID", "Of this charger only.")]
_FILTER = "Only those that pass; the names are in docs/reference/fields.md, for example '"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (chargers, tx, findings):
        app.command()(command)


def chargers(
    source: SOURCE = None,
    filter: Annotated[str, opt("--filter", "EXPR", _FILTER + "state == open and errors > 0'.")] = "",
    json: JSON = False,
) -> None:
    """List the chargers: state, connectors, traffic, latency, errors, outages, firmware."""
    import asyncio

    from ocpp_proxy.cli import listing

    asyncio.run(listing.chargers(source, filter, json))


def tx(
    source: SOURCE = None, identity: IDENTITY = "",
    filter: Annotated[str, opt("--filter", "EXPR", _FILTER + "kwh > 10 and state == ended'.")] = "",
    json: JSON = False,
) -> None:
    """List the charging transactions, the newest first: start, duration, kWh, token, reason, gaps."""
    import asyncio

    from ocpp_proxy.cli import listing

    asyncio.run(listing.transactions(source, identity, filter, json))


def findings(
    source: SOURCE = None, identity: IDENTITY = "",
    code: Annotated[str, opt("--code", "CODE", "The findings of this rule one by one, the newest first.")] = "",
    filter: Annotated[str, opt("--filter", "EXPR", _FILTER + "severity >= error and blame == station'.")] = "",
    json: JSON = False,
) -> None:
    """List the findings by rule: severity, blame, how often, on which chargers; with --code each of them."""
    import asyncio

    from ocpp_proxy.cli import listing

    asyncio.run(listing.findings(source, identity, code, filter, json))
