"""Runs SQL that a user typed: in a child process that can reach nothing but the capture, and that can be killed.

``python -m ocpp_proxy_captures.sandbox`` reads one request from standard input and writes one answer; whatever the SQL
does to the process (an abort of DuckDB included), the parent sees a query that failed.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import Table
from ocpp_proxy_captures.cells import plain
from ocpp_proxy_captures.database import attach, check_version, define_views

SECONDS = 30.0
ROWS = 10_000
ANSWER_BYTES = 64 << 20
ADDRESS_SPACE = 2 << 30
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1, "memory_limit": "256MB", "max_temp_directory_size": "0MB",
    "autoload_known_extensions": False, "autoinstall_known_extensions": False, "allow_community_extensions": False,
    "python_enable_replacements": False,
}


def run(paths: Sequence[Path], sql: str, seconds: float = SECONDS, rows: int = ROWS) -> Table:
    """Run SQL on capture files that nobody writes to. Raises ``ConfigError`` when it fails, is refused or takes too long."""
    request = json.dumps({"paths": [str(path.absolute()) for path in paths], "sql": sql, "rows": rows}).encode()
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-m", "ocpp_proxy_captures.sandbox"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment, cwd="/", start_new_session=True,
    ) as child:
        try:
            output, _ = child.communicate(request, timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise ConfigError(f"query: took longer than {seconds:.0f} s and was stopped; ask for a smaller part") from None
        except BaseException:
            child.kill()
            raise
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise ConfigError(f"query failed: its process was ended by {name}")
    return _answer(output)


def _answer(output: bytes) -> Table:
    try:
        answer = json.loads(output)
    except ValueError:
        raise ConfigError("query failed: its process gave no answer (out of memory?)") from None
    if "capture_error" in answer:
        raise CaptureError(answer["capture_error"])
    if "error" in answer:
        raise ConfigError("query: " + answer["error"])
    return Table(answer["columns"], answer["rows"], answer["cut"])


def child() -> None:
    """Answer the request on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.load(sys.stdin)
    try:
        answer = _execute([Path(path) for path in request["paths"]], request["sql"], request["rows"])
    except CaptureError as error:
        answer = {"capture_error": str(error)}
    except (duckdb.Error, ConfigError, MemoryError, OverflowError, ValueError) as error:
        answer = {"error": _told(error)}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)                             # no clean-up: nothing here is worth waiting for


def _execute(paths: Sequence[Path], sql: str, rows: int) -> dict[str, Any]:
    con = _open(paths)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))           # not even an empty log: nothing is written any more
    con.execute(sql)
    columns = [column[0] for column in con.description or []]
    found: list[list[Any]] = []
    size = 0
    while len(found) <= rows and size < ANSWER_BYTES:
        batch = con.fetchmany(min(1000, rows + 1 - len(found)))
        if not batch:
            break
        for row in batch:
            cells = [plain(value) for value in row]
            size += sum(len(cell) if isinstance(cell, str) else 16 for cell in cells)
            if size > ANSWER_BYTES:
                return {"columns": columns, "rows": found[:rows], "cut": True}
            found.append(cells)
    return {"columns": columns, "rows": found[:rows], "cut": len(found) > rows}


def _open(paths: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    """One file: itself, read-only. A folder: its files read-only below views that live in memory."""
    locked = "enable_external_access"
    if len(paths) == 1:
        probe = duckdb.connect(":memory:", config=_SETTINGS)
        attach(probe, paths[0], "capture", read_only=True)
        check_version(probe, paths[0], "capture")
        probe.close()
        con = duckdb.connect(str(paths[0]), read_only=True, config={**_SETTINGS, locked: False})
    else:
        con = duckdb.connect(":memory:", config=_SETTINGS)
        for number, path in enumerate(paths):
            attach(con, path, f"segment_{number}", read_only=True)
            check_version(con, path, f"segment_{number}")
        define_views(con, [f"segment_{number}" for number in range(len(paths))])
        con.execute(f"SET {locked} = false")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET lock_configuration = true")
    return con


def _told(error: BaseException) -> str:
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return "there was not enough memory; ask for a smaller part"
    return str(error).strip() or type(error).__name__


if __name__ == "__main__":
    child()
