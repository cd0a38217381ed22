"""``ocpp-proxy plugins``: the installed plugins and those of files, what runs of them, and switching that."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, Texts, arg, opt

VERBS = ("enable", "disable", "reload")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plugins)


def plugins(
    words: Annotated[Texts, arg("[enable|disable|reload] [NAME|FILE]...", "These plugins only; a file is given as"
                                                                         " ./FILE.py.")] = None,
    identity: Annotated[str, opt("--identity", "PATTERN", "enable, disable: for these chargers only; * and ?.")] = "*",
    option: Annotated[Texts, opt("--option", "KEY=VALUE", "enable: an option of the plugin; repeatable.", "-o")] = None,
    source: Annotated[str | None, opt("--source", "SOURCE", "Which running proxy, where several run.")] = None,
    json: JSON = False,
) -> None:
    """List the installed plugins (entry points ocpp_proxy.plugins), or those named: version, hooks, options, origin; and,
    while a proxy runs, where they are enabled in it. Loads them to look. Exit code 1 when one cannot be loaded.

    `plugins enable NAME` and `disable NAME` switch one in the running proxy, open links included; `plugins reload` reads its
    configuration and the plugin files again. Both cut no link.
    """
    from ocpp_proxy.cli import enabling

    verb, names = (words[0], words[1:]) if words and words[0] in VERBS else ("", words or [])
    if verb:
        enabling.act(verb, names, enabling.Choice(identity, tuple(option or ()), source), json)
    elif enabling.show(names, source, json):
        raise typer.Exit(1)
