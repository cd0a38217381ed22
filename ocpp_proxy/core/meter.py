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
    """A sample of one of the measurands above, in the unit of its quantity."""

    measurand: str
    phase: str
    location: str
    value: float
    unit: str


class Reading(Struct, frozen=True, gc=False):
    """What a message says: its points, and the readings of the energy register without a phase, in Wh."""

    points: tuple[Point, ...] = ()
    registers: tuple[float, ...] = ()


NOTHING = Reading()


def read(action: str, payload: object) -> Reading:
    """What the payload of a message of ``METERED`` says, or of a StartTransaction; nothing else says any.

    Without a total the phases are summed up. Values at the outlet come before those of another place.
    """
    if not isinstance(payload, dict):
        return NOTHING
    if action == "StartTransaction":
        return Reading(_register(stamp(payload.get("timestamp")), payload.get("meterStart")))
    if action not in METERED:
        return NOTHING
    found: list[Point] = []
    registers: list[float] = []
    for entry_at, values in _entries(payload):
        for measurand, (quantity, unit) in _QUANTITIES.items():
            some = [value for value in values if value.measurand == measurand]
            if some:
                total = _total(some)
                if total is not None:
                    found.append(Point(entry_at or stamp(payload.get("timestamp")), quantity, total, unit))
                if measurand == ENERGY:
                    registers += [value.value for value in some if not value.phase]
    stopped = _register(stamp(payload.get("timestamp")), payload.get("meterStop")) if action == "StopTransaction" else ()
    return Reading((*found, *stopped), tuple(registers))


def stamp(value: object) -> int:
    """A time stamp in ns, to the microsecond; 0 when it cannot be read."""
    seconds = seconds_of(value) if isinstance(value, str) else None
    return 0 if seconds is None or not 0 < seconds < 9e9 else round(seconds * 1_000_000) * 1000


def _entries(payload: dict[str, object]) -> list[tuple[int, list[_Value]]]:
    entries = payload.get("meterValue")
    entries = payload.get("transactionData") if entries is None else entries
    found = []
    for entry in entries if isinstance(entries, list) else ():
        values = entry.get("sampledValue") if isinstance(entry, dict) else None
        if isinstance(values, list):
            found.append((stamp(entry.get("timestamp")), [one for one in map(_value, values) if one is not None]))
    return found


def _value(sample: object) -> _Value | None:
    """A sample; None when it is of another measurand or unit, or no number."""
    if not isinstance(sample, dict):
        return None
    measurand = sample.get("measurand")
    measurand = ENERGY if measurand is None else measurand
    quantity = _QUANTITIES.get(measurand) if isinstance(measurand, str) else None
    value = number(sample.get("value")) if quantity is not None else None
    if value is None or quantity is None:
        return None
    about, told = sample.get("unitOfMeasure"), sample.get("unit")           # 2.x, 1.6
    if about is not None:
        told = told or dig(about, "unit")
        power = number(dig(about, "multiplier"))
        if power:
            if abs(power) > 30:
                return None
            value *= 10.0**power
    unit, factor = _UNITS.get(told, (told, 1.0)) if isinstance(told, str) and told else (quantity[1], 1.0)
    if unit != quantity[1]:
        return None
    return _Value(measurand, text(sample.get("phase")), text(sample.get("location")), value * factor, unit)


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


def _register(at: int, value: object) -> tuple[Point, ...]:
    wh = number(value)
    return () if wh is None else (Point(at, "energy", wh, "Wh"),)
