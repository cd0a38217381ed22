"""Meter values of 2.0.1 as 1.6 has them: numbers become texts, units those of 1.6, signed data a sample of its own."""

from decimal import Decimal, InvalidOperation
from typing import Any

from ocpp_proxy_plugins.bridge.converters import NOTHING, Notes, time
from ocpp_proxy_plugins.bridge.tables import enum

MOST_SIGNED = 2500                          # characters of signed data (2.0.1 SignedMeterValueType)
MOST_SHAPES = 500
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
_LISTS = {
    "context": enum("Context"), "measurand": enum("Measurand201>16"), "phase": enum("Phase"), "location": enum("Location"),
}
_SHAPES: dict[tuple[str | None, ...], tuple[dict[str, Any], int, int]] = {}
"""Kinds of samples that were carried whole: what they become, the power of ten, and how many members they have."""

_OWN = ("value", "unitOfMeasure", "signedMeterValue")
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
    value = sample.get("value") if isinstance(sample, dict) else None
    if type(value) is not float and type(value) is not int:
        notes.lost(path, "its value is no number")
        return
    key = _key(sample)
    shape = _SHAPES.get(key) if key is not None else None
    if shape is not None and shape[2] == len(sample) and (text := written(value, shape[1])):
        out.append({**shape[0], "value": text})         # nearly always: of this kind was one before
        return
    made: dict[str, Any] = {"value": value}
    if not _carried(sample, made, notes, path):
        return
    measure, signed = sample.get("unitOfMeasure"), sample.get("signedMeterValue")
    exponent = _unit(measure, made, notes, path) if measure is not None else 0
    made["value"] = text = written(value, exponent) if exponent is not None else ""
    if text:
        out.append(made)
        if signed is not None:
            _sign(signed, made, notes, f"{path}.signedMeterValue", out)
        elif key is not None and exponent is not None and len(made) == len(sample) and len(_SHAPES) < MOST_SHAPES:
            _SHAPES[key] = made, exponent, len(sample)
    elif exponent is not None:
        notes.lost(path, "its value is no number")


def _key(sample: dict[str, Any]) -> tuple[str | None, ...] | None:
    """What a sample is besides its value; None: nothing usual."""
    get = sample.get
    measure = get("unitOfMeasure")
    if measure is None:
        unit = None
    elif type(measure) is dict and len(measure) == 1:
        unit = measure.get("unit")
    else:
        return None
    key = get("context"), get("measurand"), get("phase"), get("location"), unit
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _carried(sample: dict[str, Any], made: dict[str, Any], notes: Notes, path: str) -> bool:
    """Puts what has the same name in 1.6 into ``made``; whether there is a sample of it at all."""
    for name, said in sample.items():
        table = _LISTS.get(name)
        if table is not None:
            if type(said) is str and said in table:
                made[name] = said
            elif name == "measurand":
                notes.lost(path, "OCPP 1.6 has no such measurand")
                return False
            else:
                notes.lost(f"{path}.{name}", "not a value in OCPP 1.6")
        elif name not in _OWN:
            notes.lost(f"{path}.{name[:60]}", "no such field in OCPP 1.6")
    return True


def _unit(measure: Any, made: dict[str, Any], notes: Notes, path: str) -> int | None:
    """Puts the unit of 1.6 into ``made``, and gives the power of ten; None: the value cannot be told in 1.6."""
    if not isinstance(measure, dict):
        notes.lost(f"{path}.unitOfMeasure", "not an object")
        return 0
    unit = measure.get("unit")
    found = scale(unit, measure["multiplier"]) if "multiplier" in measure else scale(unit)
    if found is None:
        notes.lost(path, f"OCPP 1.6 has no unit {str(unit)[:20]} with that multiplier")
        return None
    if found[0]:
        made["unit"] = found[0]
    elif unit:
        notes.lost(f"{path}.unitOfMeasure.unit", "OCPP 1.6 has no unit for it and means Hertz")
    if len(measure) > 1 and (len(measure) > 2 or "multiplier" not in measure):
        _others(measure, ("unit", "multiplier"), notes, f"{path}.unitOfMeasure")
    return found[1]


def scale(unit: object, multiplier: object = 0) -> tuple[str, int] | None:
    """Unit of 1.6 (empty: none) and power of ten of a unit of 2.0.1; None: there is none like it."""
    if multiplier == 0 and type(unit) is str and unit in UNITS:
        return UNITS[unit]                              # nearly always
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
