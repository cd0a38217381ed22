"""The capture: DuckDB store, reader, canned queries, importers and exporters. DuckDB and Arrow are loaded when first needed."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocpp_proxy.model import CaptureError
from ocpp_proxy.source import Source
from ocpp_proxy.wire.frames import use_xor
from ocpp_proxy_captures.canned import query_list

if TYPE_CHECKING:
    from ocpp_proxy_captures.exporters.export import export
    from ocpp_proxy_captures.importers.trace import TraceSource
    from ocpp_proxy_captures.mending import repair
    from ocpp_proxy_captures.reader import CaptureSource
    from ocpp_proxy_captures.writer import DuckStore, open_store

__all__ = [
    "CaptureError", "CaptureSource", "DuckStore", "TraceSource", "export", "open_source", "open_store", "query_list", "repair",
]
TRACES = (".jsonl", ".ndjson")
_WHERE = {
    "export": "exporters.export", "TraceSource": "importers.trace", "CaptureSource": "reader", "repair": "mending",
    "DuckStore": "writer", "open_store": "writer",
}

with suppress(ImportError):                     # the compiled one, where it was built: every reader of frames gains
    from websockets.speedups import apply_mask

    use_xor(apply_mask)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(name)
    return getattr(import_module(f"ocpp_proxy_captures.{_WHERE[name]}"), name)


def open_source(path: str | Path) -> Source:
    """Open a capture file, a folder of segments, or a trace. Raises ``CaptureError``."""
    source: Source = __getattr__("TraceSource" if Path(path).suffix in TRACES else "CaptureSource")(path)
    return source
