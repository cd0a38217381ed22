"""The canned queries: one file each in ``queries/``, with a name, a question and parameters that have defaults."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files

from msgspec import Struct

from ocpp_proxy.model import ConfigError

_NAME = re.compile(r"-- name: (\d\d_(\w+))  (.+)")
_PARAMETER = re.compile(r"-- parameter: (\w+) = (.*?)  (.+)")


class Parameter(Struct, frozen=True):
    """A named parameter of a query."""

    name: str
    default: str
    doc: str


class Canned(Struct, frozen=True):
    """A canned query. ``number`` is its full name (``01_overview``), ``name`` what people type (``overview``)."""

    number: str
    name: str
    question: str
    sql: str
    parameters: tuple[Parameter, ...]

    def values(self, given: Mapping[str, str]) -> dict[str, str]:
        """The defaults with what was given. Raises ``ConfigError`` for a parameter that the query does not have."""
        known = {parameter.name: parameter.default for parameter in self.parameters}
        for name in given:
            if name not in known:
                have = ", ".join(f"{p.name}={p.default}" for p in self.parameters) or "none"
                raise ConfigError(f"query {self.name}: has no parameter {name!r} (it has: {have})")
        return {**known, **given}


@lru_cache(maxsize=1)
def queries() -> tuple[Canned, ...]:
    """All canned queries, in order."""
    folder = files("ocpp_proxy_captures").joinpath("queries")
    texts = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".sql")}
    return tuple(_read(texts[name]) for name in sorted(texts))


def find(name: str) -> Canned | None:
    """The query of that name, with or without its number."""
    return next((query for query in queries() if name in (query.name, query.number)), None)


def unknown(name: str) -> ConfigError:
    """What to say about a name that is none."""
    close = get_close_matches(name, [query.name for query in queries()], 1)
    hint = f"did you mean {close[0]}?" if close else "see `ocpp-proxy query --list`"
    return ConfigError(f"no query {name!r}: {hint}")


def query_list() -> list[tuple[str, str, str]]:
    """Name, question and parameters with their defaults of every canned query."""
    return [(query.name, query.question, ", ".join(f"{p.name}={p.default}" for p in query.parameters)) for query in queries()]


def _read(text: str) -> Canned:
    lines = text.splitlines()
    name = _NAME.fullmatch(lines[0])
    if name is None:
        raise ValueError(f"no query name in {lines[0]!r}")
    parameters = tuple(Parameter(*match.groups()) for match in map(_PARAMETER.fullmatch, lines) if match)
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip().removesuffix(";")
    return Canned(name[1], name[2], name[3], sql, parameters)
