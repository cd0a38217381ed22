"""``ocpp-proxy query``: a ready query by name, or SQL, on a file or the running proxy."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import JSON, Texts, arg, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(query)


def query(
    words: Annotated[Texts, arg("SOURCE NAME|SQL", "Where (as in tail, or left out), and a name of --list or SQL.")] = None,
    list_them: Annotated[bool, opt("--list", None, "Name the ready queries.")] = False,
    param: Annotated[Texts, opt("--param", "K=V", "Parameter of the query; repeatable.")] = None,
    json: JSON = False,
    csv: Annotated[bool, opt("--csv", None, "CSV, fit for a spreadsheet.")] = False,
    md: Annotated[bool, opt("--md", None, "A Markdown table.")] = False,
) -> None:
    """Answer a question: a ready query by name (--list), or SQL in a locked-down process."""
    import asyncio

    from ocpp_proxy.cli import querying
    from ocpp_proxy.cli.printing import render, talk

    if json + csv + md > 1:
        raise typer.BadParameter("one of --json, --csv, --md")
    form = "json" if json else "csv" if csv else "md" if md else "text"
    table = querying.ready() if list_them else asyncio.run(querying.ask(words or [], param or []))
    for line in render(table, form):
        print(line)
    if table.cut:
        talk(f"cut: only the first {len(table.rows)} rows are shown; add a LIMIT or a narrower question")
