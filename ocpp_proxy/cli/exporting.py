"""The body of ``export``: which part, which form, and that no file is overwritten by mistake."""

from collections.abc import Sequence
from pathlib import Path

from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import talk
from ocpp_proxy.fields import And, Compare, Filter, Node, parse
from ocpp_proxy.model import ConfigError

FORMS = (".jsonl", ".txt", ".duckdb")


def part(identities: Sequence[str], begin: str | None, end: str | None) -> Filter:
    """The part to export as a filter. Raises ``ConfigError`` for a text that is no time."""
    terms: list[Node] = [Compare("identity", "in", tuple(identities))] if identities else []
    for option, sign, text in (("--from", ">=", begin), ("--to", "<=", end)):
        if text is None:
            continue
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        try:
            terms.append(parse(f'time {sign} "{quoted}"').root)
        except ConfigError:
            raise ConfigError(f"{option} {text}: no time; write 2026-05-01T10:00:00Z") from None
    return Filter("", And(tuple(terms)))


async def export(text: str | None, out: str, where: Filter, redact: bool, force: bool) -> None:
    """Write the part of the source to ``out``. Raises ``ConfigError``, ``CaptureError``."""
    import ocpp_proxy_captures

    target = Path(out)
    if target.suffix not in FORMS:
        raise ConfigError(f"-o {out}: the ending says the form: {', '.join(FORMS)}")
    if target.exists() and not force:
        raise ConfigError(f"-o {out}: exists already; --force overwrites it")
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"-o {out}: there is no folder {target.absolute().parent}")
    source = await open_source(text)
    try:
        count = await ocpp_proxy_captures.export(source, target, where, redact)
    finally:
        await source.close()
    talk(f"{count} messages written to {out}" + (", redacted" if redact else ""))
