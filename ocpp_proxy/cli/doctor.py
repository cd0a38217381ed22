"""``ocpp-proxy doctor``: what is wrong with this machine and the way to the CSMS, each with its remedy; repairs captures."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import CONFIG, JSON, Texts, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    upstream: Annotated[str | None, opt("--upstream", "URL", "The CSMS to look at; default from the settings.")] = None,
    listen: Annotated[Texts, opt("--listen", "[HOST:]PORT", "The port to look at.")] = None,
    identity: Annotated[str, opt("--identity", "ID", "Ask the CSMS as this charger.")] = "ocpp-proxy-doctor",
    config: CONFIG = None,
    json: JSON = False,
    repair: Annotated[str | None, opt("--repair", "FILE", "Repair this capture, and nothing else.")] = None,
) -> None:
    """Check port, DNS, TLS, clock, subprotocols, disk and versions. Exit code 1 when a check fails."""
    from ocpp_proxy.cli import checkup, checkup_upstream, settings
    from ocpp_proxy.cli.printing import ascii_json, talk
    from ocpp_proxy.cli.verify import SIMULATE, verify

    if repair:
        from ocpp_proxy.cli import repairing

        print(repairing.repair(repair))
        return
    merged = settings.load(config, settings.environment(), {"upstream": upstream, "listen": listen or None})
    verify(merged, need_upstream=False)
    outcomes = checkup.run(merged.config)
    if merged.config.upstream not in ("", SIMULATE):
        outcomes += checkup_upstream.run(merged.config, identity)
    for outcome in outcomes:
        if json:
            print(ascii_json(outcome))
        else:
            print(f"{checkup.MARKS[outcome.state]} {outcome.name:<14} {outcome.text}")
            if outcome.remedy:
                print(f"{'':17}-> {outcome.remedy}")
    if not merged.config.upstream:
        talk("no upstream given: DNS, TLS and subprotocols were not looked at (--upstream URL)")
    raise typer.Exit(1 if any(outcome.state == "failed" for outcome in outcomes) else 0)
