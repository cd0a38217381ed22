"""Structured logs on stderr: one JSON object a line, key=value at a terminal. Nothing is logged per message."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from ocpp_proxy.escape import safe_text

LINE = 2000                                 # characters of one value


def configure(process: str, stream: TextIO | None = None) -> None:
    """Set logging up for this process; ``process`` (``relay``, ``recorder``) stands in every line."""
    out = stream or sys.stderr
    plain = out.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _safe,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]) if plain
            else structlog.processors.JSONRenderer(),
        ],
        # At a terminal the card and the lines of `run` tell what goes on; only what is wrong comes on top.
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if plain else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)


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
