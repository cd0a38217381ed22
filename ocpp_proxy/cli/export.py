"""``ocpp-proxy export``: a part of a source as a trace, as readable text, or as a capture file."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import SOURCE, Texts, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    out: Annotated[str, opt("--out", "FILE", "FILE.jsonl (trace), .txt (readable) or .duckdb.", "-o")],
    source: SOURCE = None,
    identity: Annotated[Texts, opt("--identity", "ID", "Only this charger; repeatable.")] = None,
    begin: Annotated[str | None, opt("--from", "T", "From this time (ISO 8601; UTC without a zone).")] = None,
    end: Annotated[str | None, opt("--to", "T", "Up to this time.")] = None,
    redact: Annotated[bool, opt("--redact", None, "Personal data become pseudonyms that stay joinable.")] = False,
    force: Annotated[bool, opt("--force", None, "Overwrite FILE.")] = False,
) -> None:
    """Write messages to a file: an OCPP trace (opens as a SOURCE again), one readable line each, or a capture."""
    import asyncio

    from ocpp_proxy.cli import exporting

    part = exporting.part(identity or [], begin, end)
    asyncio.run(exporting.export(source, out, part, redact, force))
