"""The relay worker: listen, dial, pass bytes on, append to the spool. No JSON, no DuckDB, no log line per message."""
