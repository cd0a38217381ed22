"""Time stamps that are spelt otherwise than RFC 3339 asks, and the zone that a charger leaves out."""

import re
from datetime import UTC, datetime

from msgspec import Struct

QUARTER = 900                               # s: zones are multiples of it
CLOSE = 300                                 # s between a stamp and its arrival, for its clock to be believed
FURTHEST = 14 * 3600                        # s: no zone is further from UTC
UNSET_YEAR = 2010                           # OCPP is younger: an earlier stamp is a clock that was never set
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.,]\d+)?")
_SPELT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt\s]\s*(\d\d:\d\d)(:\d\d)?(?:[.,](\d+))?\s*([Zz]|[+-]\d\d(?::?\d\d)?)")


class Stamps(Struct):
    """What is known of a charger's clock. ``zone_seconds``: its local time less UTC; None: not known yet."""

    zone_seconds: int | None = None


def repaired(text: str, to: str, now_ns: int, stamps: Stamps) -> str | None:
    """The stamp as it has to be; None when this repair has nothing to say about it."""
    text = text[:64]
    match to:
        case "zone":
            return _zoned(text, now_ns, stamps)
        case "rfc3339":
            return _spelt(text)
        case "now":
            unset = text[:4].isdecimal() and text.isascii() and int(text[:4]) < UNSET_YEAR
            return _utc(datetime.fromtimestamp(now_ns / 1e9, UTC)) if unset else None
    parsed = _parsed(text)
    return _utc(parsed) if parsed is not None and parsed.tzinfo is not None else None


def _zoned(text: str, now_ns: int, stamps: Stamps) -> str | None:
    """Local time with its offset. A stamp that arrives live tells the zone; without one, it is taken as UTC."""
    parsed = _parsed(text.replace(",", ".")) if _NAIVE.fullmatch(text) else None
    if parsed is None or parsed.year < UNSET_YEAR:
        return None
    ahead = parsed.replace(tzinfo=UTC).timestamp() - now_ns / 1e9
    zone = round(ahead / QUARTER) * QUARTER
    if abs(ahead - zone) <= CLOSE and abs(zone) <= FURTHEST:
        stamps.zone_seconds = zone
    minutes = (stamps.zone_seconds or 0) // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return text.replace(" ", "T").replace(",", ".") + (f"{sign}{minutes // 60:02}:{minutes % 60:02}" if minutes else "Z")


def _spelt(text: str) -> str | None:
    """The same instant, spelt as RFC 3339 asks."""
    found = _SPELT.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, seconds, fraction, zone = found.groups()
    zone = "Z" if zone in "Zz" else f"{zone[:3]}:{zone[3:].lstrip(':') or '00'}"
    right = f"{day}T{clock}{seconds or ':00'}{'.' + fraction if fraction else ''}{zone}"
    return right if _parsed(right) is not None else None


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _utc(moment: datetime) -> str | None:
    try:
        return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    except OverflowError:                       # the first and the last day there are
        return None
