"""``ocpp-proxy replay``: one side of a captured link against a real peer."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, arg, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    capture: Annotated[str, arg("CAPTURE", "Capture file or folder, JSONL trace, or a running proxy.")],
    role: Annotated[str, opt("--as", "SIDE", "The side to play: station or csms.")],
    to: Annotated[str | None, opt("--to", "URL", "As station: the CSMS; the identity is put behind it.")] = None,
    listen: Annotated[str | None, opt("--listen", "HOST:PORT", "As CSMS: where the charger dials.")] = None,
    identity: Annotated[str | None, opt("--identity", "ID", "Which charger's link, if the capture has several.")] = None,
    link: Annotated[int | None, opt("--link", "N", "Which link; default: that with the most messages.")] = None,
    call_as: Annotated[str | None, opt("--call-as", "ID", "As station: dial as this identity instead.")] = None,
    speed: Annotated[float, opt("--speed", "X", "2: twice as fast; 0: as fast as the peer answers. Default 1.")] = 1.0,
    rebase_time: Annotated[bool, opt("--rebase-time", None, "Move the time stamps that are sent to now.")] = False,
    expect: Annotated[bool, opt("--expect", None, "Exit 1 if the peer does otherwise than in the capture.")] = False,
    upstream_ca: Annotated[str | None, opt("--upstream-ca", "FILE", "CA of the CSMS's certificate (PEM).")] = None,
    json: JSON = False,
) -> None:
    """Play one side of a captured link against a real peer, and say where the peer answers otherwise."""
    import asyncio

    from ocpp_proxy.cli import replaying

    play = replaying.Play(
        role, to or "", listen or "", identity or "", link, call_as or "", speed, rebase_time, upstream_ca or "")
    raise typer.Exit(asyncio.run(replaying.run(capture, play, expect, json)))
