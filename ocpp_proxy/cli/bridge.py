"""``ocpp-proxy bridge``: what it does with an action, its tables checked, what another CSMS would see, its transactions."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import CONFIG, JSON, arg, opt

STATE = Annotated[str | None, opt(
    "--state", "FILE", "The file with the States of plugins; default: that of the running proxy, else of the settings.",
)]
DIRECTION = Annotated[str, opt("--bridge", "STATION:CSMS", "1.6:2.0.1 (default), 2.0.1:1.6, 2.1:2.0.1 or 2.0.1:2.1.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        help="The version bridge: what it does, what it remembers, what another CSMS would see.",
    )
    group.command()(explain)
    group.command()(check)
    group.command()(shadow)
    group.command()(tx)
    group.command()(backup)
    group.command()(restore)
    group.command("token-alias")(token_alias)
    app.add_typer(group, name="bridge")


def explain(
    action: Annotated[str, arg("ACTION", "An action of any of these versions.")],
    source: Annotated[str, opt("--from", "VERSION", "The station's version: 1.6 (default: 2.0.1 as well), 2.0.1 or 2.1.")] = "",
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


def tx(
    verb: Annotated[str, arg("list|adopt|close|retry", "What to do.")],
    identity: Annotated[str, arg("[IDENTITY]", "The charger.")] = "",
    number: Annotated[str, arg("[TID]", "The transaction's number in OCPP 1.6, or its id in 2.0.1.")] = "",
    bridge: Annotated[str, opt("--bridge", "STATION:CSMS", "1.6:2.0.1 or 2.0.1:1.6; default: as configured.")] = "",
    connector: Annotated[int, opt("--connector", "N", "adopt: where it runs, the number of OCPP 1.6.")] = 0,
    uid: Annotated[str, opt("--uid", "TEXT", "adopt: its id in OCPP 2.0.1, by which it is known; default: a new one.")] = "",
    token: Annotated[str, opt("--token", "TEXT", "adopt: the idTag that began it.")] = "",
    retry: Annotated[bool, opt("--retry", None, "close: what was put aside is sent again, also if it has ended.")] = False,
    state: STATE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """The transactions that the bridge remembers. adopt: one that began before the bridge was there; close: one that the
    charger will never end; retry: what the CSMS did not take of it and was put aside is sent again.

    The CSMS hears of it at the next connection of that charger, which may not be open meanwhile.
    """
    import asyncio

    from ocpp_proxy.cli import bridge_tx

    wish = bridge_tx.Wish(verb, identity, number, bridge, connector, uid, token, retry, state, config, json)
    asyncio.run(bridge_tx.run(wish))


def backup(file: Annotated[str, arg("FILE", "The new file.")], state: STATE = None, config: CONFIG = None) -> None:
    """Copy the States of all plugins (transactions, what is owed to the CSMS, numbers, names) into a file, also while the
    proxy runs.
    """
    from ocpp_proxy.cli import bridge_backup

    bridge_backup.backup(file, state, config)


def restore(file: Annotated[str, arg("FILE", "The backup.")], state: STATE = None, config: CONFIG = None) -> None:
    """Put a backup in the place of the file with the States, which stays beside it. The proxy may not run. Numbers go on
    behind the newest that are known: none is given twice.
    """
    from ocpp_proxy.cli import bridge_backup

    bridge_backup.restore(file, state, config)
