"""Owns the meter values of 1.6 as 2.0.1 has them: numbers instead of texts, units as objects, signed data as it is."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from ocpp_proxy_plugins.bridge.converters import NOTHING, Notes, time
from ocpp_proxy_plugins.bridge.tables import enum

MOST_SIGNED = 2500                          # characters of signedMeterData (2.0.1 SignedMeterValueType)
MOST_UNIT = 20
MOST_DIGITS = 64
EXACT = 15                                  # digits that a float holds
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch
MOST_NUMBER = 1 << 63                       # what JSON readers hold as an integer
VENDOR = "ocpp-proxy.bridge16"              # vendorId of customData (option ``extra_data``)
_NO_SAMPLE = "no value in OCPP 2.0.1"
_KNOWN = frozenset(("value", "context", "format", "measurand", "phase", "location", "unit"))
_LISTS = {
    "context": enum("Context"), "measurand": enum("Measurand16>201"), "phase": enum("Phase"), "location": enum("Location"),
}
_MEASURANDS = _LISTS["measurand"]
_OBJECTS: dict[str, dict[str, str]] = {unit: {"unit": unit} for unit in (
    "Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V", "Celsius", "Fahrenheit", "K", "Percent",
    "Hz",
)} | {"Celcius": {"unit": "Celsius"}, "Hertz": {"unit": "Hz"}}


def meter_values(values: list[Any], notes: Notes, path: str) -> list[Any]:
    """meterValue of 1.6 -> meterValue of 2.0.1; without the samples that 2.0.1 cannot hold, and so perhaps empty."""
    made: list[dict[str, Any]] = []
    options = getattr(notes, "options", None)
    for at, value in enumerate(values):
        here = f"{path}[{at}]"
        if not isinstance(value, dict):
            notes.lost(here, "not an object")
            continue
        extra: list[Any] | None = [] if options is not None and options.extra_data else None
        samples = _samples(value.get("sampledValue"), notes, f"{here}.sampledValue", extra)
        if len(value) > 2:
            for name in value.keys() - {"timestamp", "sampledValue"}:
                notes.lost(f"{here}.{name[:60]}", "no such field in OCPP 2.0.1")
        if samples:
            stamp = time(value["timestamp"], notes, f"{here}.timestamp") if value.get("timestamp") else NOTHING
            made.append({"timestamp": stamp, "sampledValue": samples} if stamp is not NOTHING else {"sampledValue": samples})
            if extra:
                made[-1]["customData"] = {"vendorId": VENDOR, "sampledValue": extra}
        elif extra:
            notes.lost(f"{here}.sampledValue", f"{_NO_SAMPLE}, and nothing else to tell them with")
    return made


def dated(values: list[Any], now: str, notes: Notes, path: str) -> str:
    """Give those without a time that of now; the newest time of all."""
    newest = ""
    for at, value in enumerate(values):
        if "timestamp" not in value:
            value["timestamp"] = now
            notes.lost(f"{path}[{at}].timestamp", "the station says no time", "invented")
        newest = max(newest, value["timestamp"])
    return newest


def context(values: list[Any]) -> str:
    """That of the first sample; periodic where none is said."""
    found: str = values[0]["sampledValue"][0].get("context", "Sample.Periodic")
    return found


def register(value: int | float, context: str, timestamp: str) -> dict[str, Any]:
    """The energy register in Wh as a meter value."""
    sample = {"value": value, "context": context, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
    return {"timestamp": timestamp, "sampledValue": [sample]}


def has_register(values: list[Any], meter: int | float, context: str) -> bool:
    """Whether the values hold that register already."""
    for value in values:
        for sample in value["sampledValue"]:
            if (
                sample.get("context") == context and "phase" not in sample and "signedMeterValue" not in sample
                and sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
                and sample.get("location", "Outlet") == "Outlet"
            ):
                scale = 1000 if sample.get("unitOfMeasure", {}).get("unit") == "kWh" else 1
                if Decimal(str(sample["value"])) * scale == Decimal(str(meter)):
                    return True
    return False


def number(text: Any) -> int | float | None:
    """A number from its text, exactly where JSON and floats can; None: it is none."""
    if type(text) is not str:
        if type(text) is int:
            return text if abs(text) < MOST_NUMBER else None
        return text if type(text) is float else None
    if len(text) <= EXACT and _PLAIN(text):                             # the usual case
        plain = float(text)
        return int(plain) if plain.is_integer() else plain
    if len(text) > MOST_DIGITS or "_" in text:
        return None
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    if not found.is_finite() or found.adjusted() > 300:
        return None
    whole = int(found) if found.adjusted() < 16 else None
    return whole if whole is not None and whole == found else float(found)


def _samples(samples: Any, notes: Notes, path: str, extra: list[Any] | None) -> list[dict[str, Any]]:
    """``extra``: where samples go whose measurand 2.0.1 does not have; None: they are dropped."""
    if not isinstance(samples, list):
        notes.lost(path, "not a list")
        return []
    made = []
    for at, sample in enumerate(samples):
        if extra is not None and isinstance(sample, dict) and sample.get("measurand") in ("Temperature", "RPM"):
            extra.append(sample)
            continue
        found = _sample(sample, notes, path, at)
        if found is not None:
            made.append(found)
    return made


def _sample(sample: Any, notes: Notes, path: str, at: int) -> dict[str, Any] | None:
    """One sampledValue; None: it cannot be carried."""
    if not isinstance(sample, dict):
        notes.lost(f"{path}[{at}]", "not an object")
        return None
    text = sample.get("value")
    measurand = sample.get("measurand")
    if measurand is not None and (measurand.__class__ is not str or measurand not in _MEASURANDS):
        notes.lost(f"{path}[{at}]", f"{_NO_SAMPLE}: measurand {str(measurand)[:60]}")
        return None
    made: dict[str, Any]
    if sample.get("format") == "SignedData":
        if not isinstance(text, str) or len(text) > MOST_SIGNED:
            notes.lost(f"{path}[{at}]", f"signed data is at most {MOST_SIGNED} characters, and is never changed")
            return None
        made = {"value": 0, "signedMeterValue": _signed(text)}
        notes.lost(f"{path}[{at}].value", "signed data: the number is in it", "invented")
    else:
        value = number(text)
        if value is None:
            notes.lost(f"{path}[{at}]", f"{_NO_SAMPLE}: {str(text)[:60]!r} is no number")
            return None
        made = {"value": value}
        if isinstance(text, str) and len(text) > EXACT and Decimal(text.strip()) != Decimal(str(value)):
            notes.lost(f"{path}[{at}].value", f"as a number it is {value}", "shortened")
    for name, said in sample.items():
        table = _LISTS.get(name)
        if table is not None:
            kept = table.get(said) if said.__class__ is str else None
            if kept is None:
                notes.lost(f"{path}[{at}].{name}", "not a value in OCPP 2.0.1")
            else:
                made[name] = kept
        elif name not in _KNOWN:
            notes.lost(f"{path}[{at}].{name[:60]}", "no such field in OCPP 2.0.1")
    unit = _unit(sample.get("unit"), measurand, notes, path, at)
    if unit is not None:
        made["unitOfMeasure"] = unit
    return made


def _unit(unit: Any, measurand: Any, notes: Notes, path: str, at: int) -> dict[str, str] | None:
    if unit is None:
        return _OBJECTS["Hz"] if measurand == "Frequency" else None
    known = _OBJECTS.get(unit) if unit.__class__ is str else None
    if known is not None:
        return known
    if not isinstance(unit, str) or not 0 < len(unit) <= MOST_UNIT:
        notes.lost(f"{path}[{at}].unit", f"a unit is a text of 1 to {MOST_UNIT} characters")
        return None
    return {"unit": unit}


def _signed(data: str) -> dict[str, str]:
    """Which method signed it 1.6 does not say; an OCMF text says what it is."""
    encoding = "OCMF" if data.startswith("OCMF|") else ""
    return {"signedMeterData": data, "signingMethod": "", "encodingMethod": encoding, "publicKey": ""}
