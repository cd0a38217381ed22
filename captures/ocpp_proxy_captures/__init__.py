"""The capture: DuckDB store, reader, canned queries, importers and exporters."""

from contextlib import suppress
from pathlib import Path

from ocpp_proxy.model import CaptureError
from ocpp_proxy.source import Source
from ocpp_proxy.wire.frames import use_xor
from ocpp_proxy_captures.canned import query_list
from ocpp_proxy_captures.exporters.export import export
from ocpp_proxy_captures.importers.trace import TraceSource
from ocpp_proxy_captures.reader import CaptureSource
from ocpp_proxy_captures.repair import repair
from ocpp_proxy_captures.writer import DuckStore, open_store

__all__ = [
    "CaptureError", "CaptureSource", "DuckStore", "TraceSource", "export", "open_source", "open_store", "query_list", "repair",
]
TRACES = (".jsonl", ".ndjson")

with suppress(ImportError):                     # the compiled one, where it was built: every reader of frames gains
    from websockets.speedups import apply_mask

    use_xor(apply_mask)


def open_source(path: str | Path) -> Source:
    """Open a capture file, a folder of segments, or a trace. Raises ``CaptureError``."""
    return TraceSource(path) if Path(path).suffix in TRACES else CaptureSource(path)
