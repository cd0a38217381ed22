"""The limit that charging profiles set for one transaction, over its time. 1.6 (K: SmartCharging) and 2.x (Part 2, K).

Modelled: SetChargingProfile and ClearChargingProfile that were accepted, from their answer on; a profile replaced by one of
its id, or in 1.6 of its purpose, level and connector; stack levels; TxProfile before TxDefaultProfile, a connector's before
the station's; the maximum of the station as a cap where both have one unit; Absolute, Relative, Recurring, duration,
validFrom and validTo. Not modelled: profiles that came with a remote start, those set before the capture began, limits of
others than the CSMS (local controllers, load management), the station's loss of profiles when it restarts, the conversion
between A and W (each unit is a series of its own), numbers of phases, the second and third schedule of a profile (ISO 15118),
discharging and set points of 2.1, and clocks that are wrong: times in profiles are taken as they are.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from ocpp_proxy.checks.values import dig, number, text
from ocpp_proxy.core.meter import stamp
from ocpp_proxy.source import Charging, Sample

SET, CLEAR = "SetChargingProfile", "ClearChargingProfile"
ORDERS = frozenset((SET, CLEAR))
STEPS = 5_000                               # pieces of schedules that are looked at
_CAPS = frozenset(("ChargePointMaxProfile", "ChargingStationMaxProfile"))
_CYCLES = {"Daily": 86_400_000_000_000, "Weekly": 604_800_000_000_000}
_SECOND = 1_000_000_000
_EVER = 1 << 63


class Order(Struct, frozen=True, gc=False):
    """A SetChargingProfile or ClearChargingProfile that the station accepted. ``payload``: of the Call, as JSON."""

    time_ns: int
    action: str
    payload: bytes


class _Profile(Struct):
    """A profile and from when to when the station had it. ``place``: connector (1.6) or EVSE, 0: the station."""

    place: int
    number: float | None
    purpose: str
    level: float
    kind: str
    cycle_ns: int
    tx_id: str
    from_ns: int
    until_ns: int
    start_ns: int
    duration_ns: int
    unit: str
    periods: tuple[tuple[int, float], ...]
    set_ns: int
    old: bool


class _Piece(Struct, frozen=True):
    """A time with one limit."""

    from_ns: int
    until_ns: int
    value: float
    profile: _Profile

    @property
    def rank(self) -> tuple[float, bool, int]:
        """Which of several of one purpose counts."""
        return self.profile.level, self.profile.place > 0, self.profile.set_ns


def limits(charging: Charging, orders: Iterable[tuple[int, str, object]], begin_ns: int, end_ns: int) -> list[Sample]:
    """The limits between two times: a point where each begins and one where it ends. ``orders``: time, action, payload."""
    pieces: list[_Piece] = []
    for profile in _kept(orders):
        if _applies(profile, charging, begin_ns, end_ns):
            pieces += _pieces(profile, begin_ns, end_ns, STEPS - len(pieces))
    return _samples(_sweep(pieces))


def _kept(orders: Iterable[tuple[int, str, object]]) -> list[_Profile]:
    """All profiles, each until it was replaced or cleared."""
    held: list[_Profile] = []
    for time_ns, action, payload in orders:
        if action == SET:
            new = _profile(time_ns, payload)
            if new is not None:
                _end(held, time_ns, [one for one in held if _replaces(new, one)])
                held.append(new)
        else:
            _end(held, time_ns, [one for one in held if _cleared(payload, one)])
    return held


def _end(held: Sequence[_Profile], time_ns: int, which: Iterable[_Profile]) -> None:
    for profile in which:
        profile.until_ns = min(profile.until_ns, time_ns)


def _replaces(new: _Profile, one: _Profile) -> bool:
    if one.until_ns <= new.set_ns:
        return False
    if new.number is not None and new.number == one.number:
        return True
    same = (new.purpose, new.level, new.place, new.tx_id) == (one.purpose, one.level, one.place, one.tx_id)
    return new.old and same


def _cleared(payload: object, one: _Profile) -> bool:
    wanted = number(dig(payload, "id")) if one.old else number(dig(payload, "chargingProfileId"))
    if wanted is not None:
        return wanted == one.number
    about = payload if one.old else dig(payload, "chargingProfileCriteria")
    place, level = number(dig(about, "connectorId" if one.old else "evseId")), number(dig(about, "stackLevel"))
    purpose = text(dig(about, "chargingProfilePurpose"))
    return (place is None or place == one.place) and (level is None or level == one.level) and purpose in ("", one.purpose)


def _profile(time_ns: int, payload: object) -> _Profile | None:
    """The profile in a SetChargingProfile; None when there is none in it that can be read."""
    about = dig(payload, "csChargingProfiles")
    old = isinstance(about, dict)
    about = about if old else dig(payload, "chargingProfile")
    schedule = dig(about, "chargingSchedule")
    schedule = schedule[0] if isinstance(schedule, list) and schedule else schedule
    place = number(dig(payload, "connectorId" if old else "evseId"))
    rows = dig(schedule, "chargingSchedulePeriod")
    if place is None or not isinstance(rows, list):
        return None
    read = [(number(dig(row, "startPeriod")), number(dig(row, "limit"))) for row in rows[:STEPS]]
    periods = sorted((int(start * _SECOND), limit) for start, limit in read if start is not None and limit is not None)
    tx_id, duration = dig(about, "transactionId"), number(dig(schedule, "duration"))
    return _Profile(
        int(place), number(dig(about, "chargingProfileId" if old else "id")), text(dig(about, "chargingProfilePurpose")),
        number(dig(about, "stackLevel")) or 0.0, text(dig(about, "chargingProfileKind")),
        _CYCLES.get(text(dig(about, "recurrencyKind")), 0), "" if tx_id is None else str(tx_id),
        max(time_ns, stamp(dig(about, "validFrom"))), stamp(dig(about, "validTo")) or _EVER,
        stamp(dig(schedule, "startSchedule")), _EVER if duration is None else int(duration * _SECOND),
        text(dig(schedule, "chargingRateUnit")), tuple(periods), time_ns, old,
    )


def _applies(profile: _Profile, charging: Charging, begin_ns: int, end_ns: int) -> bool:
    ours = charging.evse if charging.evse is not None else charging.connector
    if profile.purpose in _CAPS:
        return profile.place in (0, ours)
    if profile.purpose == "TxDefaultProfile":
        return profile.place in (0, ours)
    if profile.purpose != "TxProfile":
        return False
    if profile.tx_id:
        return profile.tx_id == charging.tx_id and profile.set_ns <= end_ns
    return profile.place == ours and begin_ns <= profile.set_ns <= end_ns


def _pieces(profile: _Profile, begin_ns: int, end_ns: int, most: int) -> list[_Piece]:
    """The limits of a profile within the times of the transaction."""
    first, last = max(begin_ns, profile.from_ns), min(end_ns, profile.until_ns)
    start, cycle = profile.start_ns or begin_ns, profile.cycle_ns if profile.kind == "Recurring" else 0
    if profile.kind == "Relative":
        start = begin_ns
    elif profile.kind == "Dynamic":
        start = profile.set_ns
    if cycle:
        start += (first - start) // cycle * cycle
    found: list[_Piece] = []
    while start < last and len(found) < most:
        over = start + min(cycle or _EVER, profile.duration_ns)
        ends = [*(start + at for at, _ in profile.periods[1:]), over]
        for (at, value), end in zip(profile.periods, ends, strict=False):
            low, high = max(first, start + at), min(last, over, end)
            if low < high:
                found.append(_Piece(low, high, value, profile))
        if not cycle:
            break
        start += cycle
    return found[:most]


def _sweep(pieces: list[_Piece]) -> list[tuple[int, int, dict[str, float]]]:
    """Time after time: from, until, and what counts then, by unit."""
    found: list[tuple[int, int, dict[str, float]]] = []
    pieces = sorted(pieces, key=lambda piece: piece.from_ns)
    edges = sorted({edge for piece in pieces for edge in (piece.from_ns, piece.until_ns)})
    now: list[_Piece] = []
    at = 0
    for low, high in pairwise(edges):
        while at < len(pieces) and pieces[at].from_ns <= low:
            now.append(pieces[at])
            at += 1
        now = [piece for piece in now if piece.until_ns > low]
        found.append((low, high, _counts(now)))
    return found


def _counts(now: list[_Piece]) -> dict[str, float]:
    found: dict[str, float] = {}
    caps = [piece for piece in now if piece.profile.purpose in _CAPS]
    own = [piece for piece in now if piece.profile.purpose == "TxProfile"] or [
        piece for piece in now if piece.profile.purpose == "TxDefaultProfile"]
    for some in (own, caps):
        if some:
            chosen = max(some, key=lambda piece: piece.rank)
            unit = chosen.profile.unit
            found[unit] = min(found.get(unit, chosen.value), chosen.value)
    return found


def _samples(times: list[tuple[int, int, dict[str, float]]]) -> list[Sample]:
    """A point at both ends of every time in which the limit of a unit stays the same."""
    found: list[Sample] = []
    for unit in sorted({unit for _, _, counts in times for unit in counts}):
        runs: list[list[float]] = []        # from, until, value
        for low, high, counts in times:
            value = counts.get(unit)
            if value is None:
                continue
            if runs and runs[-1][1] == low and runs[-1][2] == value:
                runs[-1][1] = high
            else:
                runs.append([low, high, value])
        for low_ns, high_ns, value in runs:
            found += [Sample(int(low_ns), "limit", value, unit), Sample(int(high_ns), "limit", value, unit)]
    return found
