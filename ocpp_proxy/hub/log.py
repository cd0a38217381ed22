"""Structured logs on stderr: one JSON object a line, key=value at a terminal. Nothing is logged per message.

What supervisor and recorder log goes into a file of the instance folder too, and beside it what the relay noted about the
whole proxy. It outlives them, and is what ``/v1/log`` reads.
"""

import logging
import sys
import time
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from msgspec import Struct, structs

from ocpp_proxy.core.said import said
from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub.log_file import LINE, LogFile
from ocpp_proxy.records import Audited, Beat, Gap, Note, Record
from ocpp_proxy.source import LogLine

FLOOD_NS = 10_000_000_000                   # in which notes of one kind are lines of their own only up to FLOOD_LINES
FLOOD_LINES = 5


class Listener:
    """Puts what is noted about the whole proxy into its log. Of a flood (dials refused) the log has the number."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._floods: dict[str, _Flood] = {}    # by kind: a fixed few
        self._now = 0

    def feed(self, stream: Iterable[Record]) -> None:
        """Take records; those that say nothing here cost a look."""
        for record in [record for record in stream if type(record) in _HEARD]:      # few, and this runs once per record
            if isinstance(record, Beat):
                self._now = max(self._now, record.time_ns)
            elif (line := said(record)) is not None:
                self._now = max(self._now, line.time_ns)
                self._hear(record.kind if isinstance(record, Note) else type(record).__name__, line)
        for kind, flood in list(self._floods.items()):
            if self._now - flood.since_ns >= FLOOD_NS:
                del self._floods[kind]
                if flood.count > FLOOD_LINES:
                    more = flood.count - FLOOD_LINES
                    self._file.write(structs.replace(flood.last, text=f"{more} more like it, the last: {flood.last.text}"))

    def _hear(self, kind: str, line: LogLine) -> None:
        flood = self._floods.setdefault(kind, _Flood(line.time_ns, line))
        flood.count += 1
        flood.last = line
        if flood.count <= FLOOD_LINES:
            self._file.write(line)


_HEARD = frozenset((Beat, Note, Gap, Audited))


class _Flood(Struct):
    """Notes of one kind since ``since_ns``."""

    since_ns: int
    last: LogLine
    count: int = 0


def configure(process: str, stream: TextIO | None = None, instance: Path | None = None) -> None:
    """Set logging up for this process; ``process`` stands in every line. ``instance``: whose log file gets them as well."""
    out = stream or sys.stderr
    plain = out.isatty()
    structlog.configure(
        processors=[
            _named(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _safe,
            *([_kept(LogFile(instance))] if instance is not None else []),
            *([_only_what_is_wrong] if plain else []),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]) if plain
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


def logger() -> structlog.typing.FilteringBoundLogger:
    """The logger of this process."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log


def _safe(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Text that a charger chose may stand in any value: nothing that a terminal would obey leaves here."""
    for key, value in event.items():
        if isinstance(value, str | bytes):
            event[key] = safe_text(value, LINE)
        elif not isinstance(value, int | float | None):
            event[key] = safe_text(str(value), LINE)
    return event


def _named(process: str) -> structlog.typing.Processor:
    """Whose line it is, of all threads."""
    def name(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event
    return name


def _kept(file: LogFile) -> structlog.typing.Processor:
    """A copy of every line into the file."""
    def keep(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        rest = "".join(f" {key}={value}" for key, value in event.items() if key not in _APART)
        file.write(LogLine(time.time_ns(), str(event["level"]), str(event.get("process", "")), f"{event['event']}{rest}"))
        return event
    return keep


def _only_what_is_wrong(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """At a terminal the card and the lines of `run` tell what goes on; only what is wrong comes on top."""
    if event["level"] in ("debug", "info"):
        raise structlog.DropEvent
    return event


_APART = ("timestamp", "level", "event", "process")
