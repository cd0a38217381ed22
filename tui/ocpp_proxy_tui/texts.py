"""Rows as text for the clipboard and for files: as on the wire, pretty, as a command, as lines of a trace.

What writes traces is loaded when it is first needed: it brings DuckDB, 60 MB that looking at live traffic does not need.
"""

import getpass
import importlib
import os
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ocpp_proxy.fields import comparison, text_of
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import Line, MessageSeen, Row
from ocpp_proxy.source import Source

FORMS = {".jsonl": ("trace", "trace_line"), ".txt": ("text", "text_line")}


def raw(lines: Sequence[Line]) -> str:
    """The texts of the messages as they were on the wire, one a line; of other lines what they say."""
    return "\n".join(_raw(line).decode("utf-8", "backslashreplace") for line in lines)


def pretty(lines: Sequence[Line]) -> str:
    """The same with JSON indented, where it is JSON."""
    return "\n".join(_pretty(_raw(line)) for line in lines)


def command(source: Source, row: Row) -> str:
    """A command line that shows the row: ``ocpp-proxy tail`` with a filter."""
    moment = datetime.fromtimestamp(row.time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    begin, end = (f'"{moment}.{fraction:06d}Z"' for fraction in _around(row.time_ns))
    parts = [f"link == {row.link_id}"] if row.link_id else []
    if row.message_id:
        parts.append(comparison("message_id", row.message_id))
    else:
        parts += [f"kind == {row.kind}", f"time >= {begin}", f"time <= {end}"]
    where = [] if source.live else [source.title]
    return shlex.join(["ocpp-proxy", "tail", *where, "--filter", " and ".join(parts)])


def user() -> str:
    """Who looks at it, as the system names him; empty where he has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def form(target: Path) -> None:
    """Check a file name for a selection. Raises ``ConfigError``: another ending, it exists, no such folder."""
    if target.suffix not in FORMS:
        raise ConfigError(f"{target}: the ending says the form: .jsonl (opens again as SOURCE) or .txt")
    if target.exists():
        raise ConfigError(f"{target}: exists already")
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"{target}: there is no folder {target.absolute().parent}")


def save(target: Path, lines: Sequence[Line]) -> int:
    """Write the messages of these lines into a new file, as ``export`` writes them; gives their number. Raises ``OSError``."""
    write = _of_captures("exporters." + FORMS[target.suffix][0], FORMS[target.suffix][1])
    written = [text for line in lines if (text := write(line)) is not None]
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.writelines(written)
    return len(written)


def _raw(line: Line) -> bytes:
    if not isinstance(line.record, MessageSeen):
        return text_of(line).encode("utf-8", "backslashreplace")
    if line.frame is not None:
        return line.frame.text or line.frame.payload
    spelled: bytes = _of_captures("redact", "spelled")(line.record.message)
    return spelled


def _pretty(text: bytes) -> str:
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return text.decode("utf-8", "backslashreplace")


def _of_captures(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"ocpp_proxy_captures.{module}"), name)


def _around(time_ns: int) -> tuple[int, int]:
    """The microseconds of a second before and behind a time."""
    micro = time_ns % 1_000_000_000 // 1000
    return micro, min(micro + 1, 999_999)
