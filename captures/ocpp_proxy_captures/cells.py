"""Values of DuckDB as plain JSON values: the cells of a result table."""

import math
from datetime import UTC, date, datetime, time, timedelta
from typing import Any


def plain(value: Any) -> Any:
    """A JSON value for a cell. Times become ISO 8601 in UTC, durations ``[D day(s), ]H:MM:SS``, bytes hexadecimal."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    try:
        return float(value) if type(value).__name__ == "Decimal" else str(value)
    except (ValueError, OverflowError):
        return str(value)


def moment(value: datetime) -> str:
    """A point in time as ``2026-01-05T10:00:00.123456Z``; without a zone as it is."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
