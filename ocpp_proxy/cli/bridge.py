"""``ocpp-proxy bridge``: what it does with an action, its tables checked, its transactions, what another CSMS would see."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import CONFIG, JSON, arg, opt

DIRECTION = Annotated[str, opt("--bridge", "STATION:CSMS", "1.6:2.0.1 (default) or 2.0.1:1.6.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        help="The version bridge: what it does, what it remembers, what another CSMS would see.",
    )
    group.command()(explain)
    group.command()(check)
    group.command()(shadow)
    group.command("token-alias")(token_alias)
    app.add_typer(group, name="bridge")


def explain(
    action: Annotated[str, arg("ACTION", "An action of either version.")],
    source: Annotated[str, opt("--from", "VERSION", "The station's version: 1.6 or 2.0.1; default: both ways.")] = "",
    target: Annotated[str, opt("--to", "VERSION", "The CSMS's version.")] = "",
) -> None:
    """What becomes of an action: its fields one by one, what is made, what is lost and why, the answer."""
    from ocpp_proxy.cli import bridging

    print(bridging.explained(action, source, target), end="")


def check(json: JSON = False) -> None:
    """The tables of the bridge against the official schemas. Exit code 1 when something is wrong."""
    from ocpp_proxy.cli import bridging

    raise typer.Exit(bridging.check(json))


def token_alias(
    token: Annotated[str, arg("TOKEN", "An idToken of 2.0.1.")],
    kind: Annotated[str, opt("--type", "TYPE", "Its type: Central (default), eMAID, ISO14443 ...")] = "Central",
) -> None:
    """The idTag that a 1.6 side gets for a token, to register it there."""
    from ocpp_proxy.cli import bridging

    print(bridging.token_alias(token, kind))


def shadow(
    source: Annotated[str, arg("SOURCE", "Capture file or folder, JSONL trace, or a running proxy.")],
    bridge: DIRECTION = "1.6:2.0.1",
    identity: Annotated[str, opt("--identity", "ID", "Only this charger.")] = "",
    config: CONFIG = None,
    follow: Annotated[bool, opt("--follow", None, "Go on with what comes (a running proxy).", "-f")] = False,
    json: JSON = False,
) -> None:
    """Translate what chargers said without sending anything: what would a CSMS of the other version see? Exit code 1 when
    something could not be translated.
    """
    import asyncio

    from ocpp_proxy.cli import shadowing

    raise typer.Exit(asyncio.run(shadowing.run(source, shadowing.Wish(bridge, identity, config, follow, json))))
