"""The body of ``query``: which word is the source, which the question; did-you-mean for names."""

from difflib import get_close_matches
from pathlib import Path

from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError
from ocpp_proxy.source import Table


def ready() -> Table:
    """The ready queries: name, what it answers, its parameters."""
    import ocpp_proxy_captures

    return Table(["name", "answers", "parameters"], [list(row) for row in ocpp_proxy_captures.query_list()])


async def ask(words: list[str], parameters: list[str]) -> Table:
    """Run ``[SOURCE] NAME|SQL``."""
    if not words or len(words) > 2:
        raise ConfigError("what is the question? ocpp-proxy query [SOURCE] NAME|SQL, for example: ocpp-proxy query overview"
                          " (--list names them; SQL in quotes)")
    *where, question = words
    check_question(question)
    source = await open_source(where[0] if where else None)
    try:
        return await source.query(question, pairs(parameters))
    finally:
        await source.close()


def check_question(question: str) -> None:
    """A single word has to be a ready query. Raises ``ConfigError`` with the nearest name."""
    if len(question.split()) != 1:
        return
    if Path(question).exists():
        name = safe_text(question)
        raise ConfigError(f"what is the question to {name}? For example: ocpp-proxy query {name} overview")
    names = [str(row[0]) for row in ready().rows]
    if question not in names:
        close = get_close_matches(question, names, 1)
        hint = f"did you mean {close[0]}?" if close else "`ocpp-proxy query --list` names them; SQL has to be in quotes"
        raise ConfigError(f"no ready query {question!r}: {hint}")


def pairs(parameters: list[str]) -> dict[str, str]:
    """``k=v`` texts as a table. Raises ``ConfigError``."""
    wrong = [text for text in parameters if "=" not in text]
    if wrong:
        raise ConfigError(f"--param {wrong[0]}: write --param name=value")
    return dict(text.split("=", 1) for text in parameters)
