"""The energy register in meter values of 2.0.1, as whole Wh: what 1.6 wants at the start and at the end of a transaction."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from ocpp_proxy_plugins.bridge.meter_down import scale

REGISTER = "Energy.Active.Import.Register"
BEGIN, END = "Transaction.Begin", "Transaction.End"
_WH = {"unit": "Wh"}
_LARGEST = 1 << 53                          # Wh that are believed


def instant(text: object) -> int | None:
    """Milliseconds since the epoch of a time in a message, without a zone UTC; None: it is none."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def only_register(values: object, at: object) -> bool:
    """Whether there is nothing in them that the register at the start, which is of that time, does not say."""
    every = [(value.get("timestamp"), sample) for value in _dicts(values) for sample in _dicts(value.get("sampledValue"))]
    return len(every) <= 1 and all(
        _is_register(sample) and "signedMeterValue" not in sample and sample.get("context") in (None, BEGIN)
        and instant(moment) == instant(at)
        for moment, sample in every
    )


def begun(values: object, at: object) -> Decimal | None:
    """Wh at the start: what is marked so, else the nearest before that time, else the first behind it."""
    readings = list(_readings(values))
    marked = [wh for context, _, wh in readings if context == BEGIN]
    if marked:
        return marked[0]
    moment = instant(at)
    before = [one for one in readings if moment is None or one[1] is None or one[1] <= moment]
    if before:
        return max(before, key=lambda one: one[1] or 0)[2]
    return min(readings, key=lambda one: one[1] or 0)[2] if readings else None


def ended(values: object) -> Decimal | None:
    """Wh at the end: what is marked so, else the newest."""
    readings = list(_readings(values))
    marked = [wh for context, _, wh in readings if context == END]
    if marked:
        return marked[-1]
    return max(readings, key=lambda one: one[1] or 0)[2] if readings else None


def newest(values: list[Any]) -> float | None:
    """Wh of the register said last; None: none was."""
    for value in reversed(values):
        samples = value.get("sampledValue") if isinstance(value, dict) else None
        for sample in reversed(samples) if isinstance(samples, list) else ():
            if isinstance(sample, dict) and _is_register(sample):
                value, measure = sample.get("value"), sample.get("unitOfMeasure")
                if (measure is None or measure == _WH) and isinstance(value, int | float) and abs(value) < _LARGEST:
                    return float(value)                 # nearly always
                wh = _wh(sample)
                if wh is not None:
                    return float(wh)
    return None


def rounded(wh: Decimal | float) -> int:
    """Whole Wh, half up."""
    return int(Decimal(repr(wh) if isinstance(wh, float) else wh).to_integral_value(ROUND_HALF_UP))


def _readings(values: object) -> Iterator[tuple[object, int | None, Decimal]]:
    """Context, time and Wh of each."""
    for value in _dicts(values):
        for sample in _dicts(value.get("sampledValue")):
            wh = _wh(sample) if _is_register(sample) else None
            if wh is not None:
                yield sample.get("context"), instant(value.get("timestamp")), wh


def _dicts(values: object) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _is_register(sample: dict[str, Any]) -> bool:
    get = sample.get
    return get("measurand", REGISTER) == REGISTER and get("phase") is None and get("location", "Outlet") == "Outlet"


def _wh(sample: dict[str, Any]) -> Decimal | None:
    value, measure = sample.get("value"), sample.get("unitOfMeasure")
    if type(value) not in (int, float):
        return None
    unit, exponent = "Wh", 0
    if isinstance(measure, dict):
        found = scale(measure.get("unit", "Wh"), measure.get("multiplier", 0))
        if found is None or found[0] not in ("Wh", "kWh", ""):
            return None
        unit, exponent = found
    exponent += 3 if unit == "kWh" else 0
    try:
        wh = Decimal(repr(value)).scaleb(exponent) if exponent else Decimal(repr(value))
    except InvalidOperation:
        return None
    return wh if wh.is_finite() and abs(wh) < _LARGEST else None
