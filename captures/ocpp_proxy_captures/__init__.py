"""The capture: DuckDB store, reader, canned queries, importers and exporters."""
