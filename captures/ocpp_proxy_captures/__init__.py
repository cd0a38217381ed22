"""The capture: DuckDB store, reader, canned queries, importers and exporters."""

from pathlib import Path

from ocpp_proxy.model import CaptureError
from ocpp_proxy.source import Source
from ocpp_proxy_captures.canned import query_list
from ocpp_proxy_captures.reader import CaptureSource
from ocpp_proxy_captures.writer import DuckStore, open_store

__all__ = ["CaptureError", "CaptureSource", "DuckStore", "Source", "open_source", "open_store", "query_list"]


def open_source(path: str | Path) -> Source:
    """Open a capture file or folder. Raises ``CaptureError``."""
    return CaptureSource(path)
