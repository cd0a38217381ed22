"""Times and numbers as the screens write them."""

from datetime import UTC, datetime


def moment(time_ns: int) -> str:
    """Local date and time to the second; empty for 0."""
    return f"{_local(time_ns):%m-%d %H:%M:%S}" if time_ns else ""


def clock(time_ns: int) -> str:
    """Local time of day with milliseconds; empty for 0."""
    return f"{_local(time_ns):%H:%M:%S}.{time_ns // 1_000_000 % 1000:03d}" if time_ns else ""


def stamp(time_ns: int) -> str:
    """Local date and time with milliseconds; empty for 0."""
    return f"{_local(time_ns):%m-%d} {clock(time_ns)}" if time_ns else ""


def span(seconds: float) -> str:
    """``1d 02:03:04``, ``02:03:04``, ``3.4 s``; empty for 0."""
    if seconds <= 0:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + f"{hours:02d}:{minutes:02d}:{rest:02d}"


def number(value: float | None, digits: int = 0) -> str:
    """A number with thousands set apart; empty for None."""
    return "" if value is None else f"{value:,.{digits}f}"


def _local(time_ns: int) -> datetime:
    try:
        return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).astimezone()
