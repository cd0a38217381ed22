"""``ocpp-proxy demo``: a day with simulated chargers and a simulated CSMS, through the real processes."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    headless: Annotated[bool, opt("--headless", None, "No screen, no live lines; only the story and the verdict.")] = False,
    seconds: Annotated[float, opt("--seconds", "N", "How long the chargers talk on; default 3.", min=0.0)] = 3.0,
    capture: Annotated[str | None, opt("--capture", "FILE", "Where to keep the capture.")] = None,
    seed: Annotated[int, opt("--seed", "N", "The same seed gives the same traffic; default 1.")] = 1,
) -> None:
    """Play simulated chargers against a simulated CSMS, the real proxy between; ends with whose fault each fault is.

    At a terminal it opens the terminal UI; quit that (q) to come to the end.
    """
    import tempfile
    from pathlib import Path

    from ocpp_proxy.cli.printing import talk
    from ocpp_proxy.cli.running import lent
    from ocpp_proxy.cli.terminal import at_terminal
    from ocpp_proxy.demo.play import conclusion, play

    path = Path(capture).absolute() if capture else Path(tempfile.mkdtemp(prefix="ocpp-proxy-demo-")) / "demo.duckdb"
    if not headless and at_terminal():
        with lent() as terminal:
            result = play(path, seed, seconds, show=False, say=talk, watcher=terminal)
    else:
        result = play(path, seed, seconds, show=not headless, say=talk)
    for line in conclusion(result, path):
        print(line)
