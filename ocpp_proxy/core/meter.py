"""What the meter values in a message say about power, energy, state of charge and the limit offered: 1.6 and 2.x alike."""

from msgspec import Struct

from ocpp_proxy.checks.stamps import seconds_of
from ocpp_proxy.checks.values import dig, number, text

ENERGY = "Energy.Active.Import.Register"
METERED = frozenset(("MeterValues", "StopTransaction", "TransactionEvent"))
_QUANTITIES = {
    "Power.Active.Import": ("power", "W"), ENERGY: ("energy", "Wh"), "SoC": ("soc", "%"),
    "Power.Offered": ("limit", "W"), "Current.Offered": ("limit", "A"),
}
_UNITS = {"kW": ("W", 1000.0), "kWh": ("Wh", 1000.0), "Percent": ("%", 1.0)}
_PHASES = ({"L1", "L2", "L3"}, {"L1-N", "L2-N", "L3-N"})
_OUTLET = ("", "Outlet")


class Point(Struct, frozen=True, gc=False):
    """A value of one of the five quantities. ``stamp_ns``: the station's own time stamp, 0: none."""

    stamp_ns: int
    quantity: str
    value: float
    unit: str


class _Value(Struct, gc=False):
    measurand: str
    phase: str
    location: str
    value: float
    unit: str


def points(action: str, payload: object) -> list[Point]:
    """The points in the payload of a message of ``METERED``, or of a StartTransaction; of nothing else any.

    Without a total the phases are summed up. Values at the outlet come before those of another place.
    """
    if not isinstance(payload, dict):
        return []
    at = stamp(payload.get("timestamp"))
    if action == "StartTransaction":
        return _register(at, payload.get("meterStart"))
    found: list[Point] = []
    for entry_at, values in _entries(action, payload):
        for measurand, (quantity, unit) in _QUANTITIES.items():
            value = _total([value for value in values if value.measurand == measurand and value.unit == unit])
            if value is not None:
                found.append(Point(entry_at or at, quantity, value, unit))
    return found + (_register(at, payload.get("meterStop")) if action == "StopTransaction" else [])


def registers(action: str, payload: object) -> list[float]:
    """The readings of the energy register without a phase, in Wh."""
    if not isinstance(payload, dict):
        return []
    return [value.value for _, values in _entries(action, payload) for value in values
            if value.measurand == ENERGY and not value.phase]


def stamp(value: object) -> int:
    """A time stamp in ns, to the microsecond; 0 when it cannot be read."""
    seconds = seconds_of(value) if isinstance(value, str) else None
    return 0 if seconds is None or not 0 < seconds < 9e9 else round(seconds * 1_000_000) * 1000


def _entries(action: str, payload: dict[str, object]) -> list[tuple[int, list[_Value]]]:
    if action not in METERED:
        return []
    entries = payload.get("meterValue")
    entries = payload.get("transactionData") if entries is None else entries
    found = []
    for entry in entries if isinstance(entries, list) else ():
        values = entry.get("sampledValue") if isinstance(entry, dict) else None
        if isinstance(values, list):
            read = [_value(value) for value in values if isinstance(value, dict)]
            found.append((stamp(entry.get("timestamp")), [value for value in read if value is not None]))
    return found


def _value(sample: dict[str, object]) -> _Value | None:
    value = number(sample.get("value"))
    about = sample.get("unitOfMeasure")                 # 2.x
    power = number(dig(about, "multiplier")) or 0.0
    if value is None or abs(power) > 30:
        return None
    measurand = text(sample.get("measurand")) or ENERGY
    told = text(sample.get("unit")) or text(dig(about, "unit")) or _QUANTITIES.get(measurand, ("", "Wh"))[1]
    unit, factor = _UNITS.get(told, (told, 1.0))
    return _Value(measurand, text(sample.get("phase")), text(sample.get("location")), value * 10.0**power * factor, unit)


def _total(values: list[_Value]) -> float | None:
    outlet = [value for value in values if value.location in _OUTLET]
    values = outlet or values
    whole = [value.value for value in values if not value.phase]
    if whole:
        return whole[-1]
    for names in _PHASES:
        phases = {value.phase: value.value for value in values if value.phase in names}
        if phases:
            return sum(phases.values())
    return None


def _register(at: int, value: object) -> list[Point]:
    wh = number(value)
    return [] if wh is None else [Point(at, "energy", wh, "Wh")]
