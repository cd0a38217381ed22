"""Meter values of 2.0.1 as 1.6 has them: numbers become texts, units those of 1.6, signed data a sample of its own."""

from decimal import Decimal, InvalidOperation
from typing import Any

from ocpp_proxy_plugins.bridge.converters import NOTHING, Notes, time
from ocpp_proxy_plugins.bridge.tables import enum

MOST_SIGNED = 2500                          # characters of signed data (2.0.1 SignedMeterValueType)
MOST_EXPONENT = 30                          # of a multiplier; no meter has more
UNITS: dict[str, tuple[str, int]] = {
    **{unit: (unit, 0) for unit in (
        "Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V", "K", "Celsius", "Fahrenheit", "Percent",
    )},
    "mWh": ("Wh", -3), "MWh": ("kWh", 3), "GWh": ("kWh", 6), "Mvarh": ("kvarh", 3),
    "mW": ("W", -3), "MW": ("kW", 3), "MVA": ("kVA", 3), "Mvar": ("kvar", 3),
    "mA": ("A", -3), "kA": ("A", 3), "mV": ("V", -3), "kV": ("V", 3),
    "Celcius": ("Celsius", 0), "°C": ("Celsius", 0), "C": ("Celsius", 0), "%": ("Percent", 0),
    "": ("", 0), "Hz": ("", 0), "Hertz": ("", 0), "mHz": ("", -3), "kHz": ("", 3),
}
"""Unit of 2.0.1 (a free text) -> that of 1.6, empty where it has none and means it anyway, and the power of ten between."""

_SMALL = {unit.lower(): found for unit, found in reversed(UNITS.items()) if not unit.startswith(("m", "M"))}
_CONTEXTS, _PHASES, _LOCATIONS = enum("Context"), enum("Phase"), enum("Location")
_MEASURANDS = enum("Measurand201>16")
_FIELDS = (("context", _CONTEXTS), ("measurand", _MEASURANDS), ("phase", _PHASES), ("location", _LOCATIONS))
_KNOWN = frozenset(("value", "context", "measurand", "phase", "location", "unitOfMeasure", "signedMeterValue"))
_SIGNED = ("signingMethod", "encodingMethod", "publicKey", "customData")


def meter_values(values: list[Any], notes: Notes, path: str) -> list[dict[str, Any]]:
    """A list of MeterValueType as 1.6 has it; what it has no place for is told and left out."""
    made = []
    for at, value in enumerate(values):
        where = f"{path}[{at}]"
        if not isinstance(value, dict) or not isinstance(value.get("sampledValue"), list):
            notes.lost(where, "no meter value")
            continue
        samples: list[dict[str, Any]] = []
        for index, sample in enumerate(value["sampledValue"]):
            _sample(sample, notes, f"{where}.sampledValue[{index}]", samples)
        moment = time(value.get("timestamp"), notes, f"{where}.timestamp") if samples else NOTHING
        if len(value) > 2:
            _others(value, ("timestamp", "sampledValue"), notes, where)
        if moment is not NOTHING:
            made.append({"timestamp": moment, "sampledValue": samples})
    return made


def _sample(sample: Any, notes: Notes, path: str, out: list[dict[str, Any]]) -> None:
    if not isinstance(sample, dict) or type(sample.get("value")) not in (int, float):
        notes.lost(path, "its value is no number")
        return
    measurand = sample.get("measurand")
    if measurand is not None and (not isinstance(measurand, str) or measurand not in _MEASURANDS):
        notes.lost(path, "OCPP 1.6 has no such measurand")
        return
    made: dict[str, Any] = {"value": ""}
    for name, table in _FIELDS:
        value = sample.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or value not in table:
            notes.lost(f"{path}.{name}", "not a value in OCPP 1.6")
        else:
            made[name] = value
    unit, exponent = _unit(sample, notes, path)
    if unit is None:
        return
    if unit:
        made["unit"] = unit
    made["value"] = text = written(sample["value"], exponent)
    if not text:
        notes.lost(path, "its value is no number")
        return
    out.append(made)
    signed = sample.get("signedMeterValue")
    if signed is not None:
        _sign(signed, made, notes, f"{path}.signedMeterValue", out)
    if not _KNOWN.issuperset(sample):
        _others(sample, _KNOWN, notes, path)


def _unit(sample: dict[str, Any], notes: Notes, path: str) -> tuple[str | None, int]:
    """Unit of 1.6 and power of ten; None: the value cannot be told in 1.6."""
    measure = sample.get("unitOfMeasure")
    if measure is None:
        return "", 0
    if not isinstance(measure, dict):
        notes.lost(f"{path}.unitOfMeasure", "not an object")
        return "", 0
    unit, multiplier = measure.get("unit"), measure.get("multiplier", 0)
    found = scale(unit, multiplier)
    if found is None:
        notes.lost(path, f"OCPP 1.6 has no unit {str(unit)[:20]}" if multiplier == 0 else "no unit and multiplier of OCPP 1.6")
        return None, 0
    if unit and not found[0]:
        notes.lost(f"{path}.unitOfMeasure.unit", "OCPP 1.6 has no unit for it and means Hertz")
    if len(measure) > 2 or "customData" in measure:
        _others(measure, ("unit", "multiplier"), notes, f"{path}.unitOfMeasure")
    return found


def scale(unit: object, multiplier: object = 0) -> tuple[str, int] | None:
    """Unit of 1.6 (empty: none) and power of ten of a unit of 2.0.1; None: there is none like it."""
    if type(multiplier) is not int or not -MOST_EXPONENT <= multiplier <= MOST_EXPONENT:
        return None
    if unit is None:
        return "", multiplier
    if not isinstance(unit, str):
        return None
    found = UNITS.get(unit) or _SMALL.get(unit.lower())
    return (found[0], found[1] + multiplier) if found is not None else None


def written(value: int | float, exponent: int = 0) -> str:
    """The shortest decimal text of a number times a power of ten; empty for what is no number."""
    if exponent == 0:
        text = repr(value)
        if "e" not in text and "n" not in text:                           # neither 1e-07 nor inf nor nan
            return text[:-2] if text.endswith(".0") else text
    try:
        text = format(Decimal(repr(value)).scaleb(exponent), "f")
    except (InvalidOperation, OverflowError):
        return ""
    if "n" in text or "N" in text:
        return ""
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _sign(signed: Any, sample: dict[str, Any], notes: Notes, path: str, out: list[dict[str, Any]]) -> None:
    data = signed.get("signedMeterData") if isinstance(signed, dict) else None
    if not isinstance(data, str):
        notes.lost(path, "no signed data")
        return
    if len(data) > MOST_SIGNED:
        notes.lost(f"{path}.signedMeterData", f"more than {MOST_SIGNED} characters: {data}")
        return
    out.append({**sample, "value": data, "format": "SignedData"})
    for name in _SIGNED:
        if signed.get(name):
            notes.lost(f"{path}.{name}", "no such field in OCPP 1.6")


def _others(holder: dict[str, Any], known: Any, notes: Notes, path: str) -> None:
    for name in holder:
        if name not in known:
            notes.lost(f"{path}.{name[:60]}", "no such field in OCPP 1.6")
