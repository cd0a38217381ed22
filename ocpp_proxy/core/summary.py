"""What a payload says in one short line, for lists: its scalar values by name, measured values as a meter shows them."""

from functools import lru_cache
from typing import Any

import orjson

LENGTH = 120                                # characters; more is cut with an ellipsis
READ = 8 << 10                              # bytes of a payload that are looked at; larger ones show their beginning
PARTS = 8
KEPT = 64                                   # of the last payloads it is kept what they say
_SHORT = {                                  # measurands as one says them; others by their own name
    "Energy.Active.Import.Register": "E", "Energy.Active.Export.Register": "E out", "Power.Active.Import": "P",
    "Power.Active.Export": "P out", "Power.Offered": "P offered", "Current.Import": "I", "Current.Export": "I out",
    "Current.Offered": "I offered", "Voltage": "U", "SoC": "SoC", "Frequency": "f", "Temperature": "T",
}
_ORDER = {name: at for at, name in enumerate(_SHORT)}
_FIRST = ("eventType", "triggerReason", "connectorId", "evseId", "transactionId", "status", "seqNo")
_SIGNS = {"Percent": "%", "Celsius": "°C"}
_BARE = frozenset(("eventType", "triggerReason"))       # say what they are by themselves
_DULL = frozenset(("timestamp", "customData", "generatedAt"))   # said when nothing else is
_ABOUT = ("eventData", "monitoringData", "getVariableResult", "setVariableResult", "getVariableData", "setVariableData")
_SAID = ("actualValue", "attributeValue", "attributeStatus", "value")
_METERED = ("meterValue", "transactionData", "values")


def summary(payload: bytes) -> str:
    """``connectorId=1 status=Charging``, ``E=1234 Wh P=11 kW``; of what is no JSON object its text. Not escaped.

    Never raises.
    """
    return payload[:LENGTH].decode("utf-8", "replace") + "…" if len(payload) > READ else _summary(payload)


@lru_cache(KEPT)                            # several lists ask for the same line, and many payloads are alike
def _summary(payload: bytes) -> str:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return _cut(payload[: LENGTH * 4].decode("utf-8", "replace"))
    parts: list[str] = []
    if len(value) > 3:
        value = {**{name: value[name] for name in _FIRST if name in value}, **value}
    _tell(value, parts, 2)
    if not parts:
        parts += [f"{name}={_text(value[name])}" for name in value if name in _DULL]
    return _cut(" ".join(parts))


def _tell(value: dict[str, Any], parts: list[str], depth: int) -> None:
    for name, item in value.items():
        if len(parts) >= PARTS:
            return
        if name in _DULL:
            continue
        if isinstance(item, dict):
            if name == "evse" and "id" in item:
                parts.append("evse=" + "/".join(_text(item[part]) for part in ("id", "connectorId") if part in item))
            elif depth:
                _tell(item, parts, depth - 1)
        elif isinstance(item, list):
            parts.append(_list(name, item))
        else:
            text = item if isinstance(item, str) else _spelled(item)
            parts.append(text if name in _BARE else f"{name}={text}")


def _list(name: str, items: list[Any]) -> str:
    """Measured values by what they measure; events by what they are about; others only by their number."""
    told = ""
    if name in _METERED:
        told = _metered(items)
    elif name in _ABOUT:
        told = _variables(items)
    elif name in ("configurationKey", "key") and items:
        told = " ".join(map(_key, items[:3])) + (f" +{len(items) - 3}" if len(items) > 3 else "")
    return told or f"{name}[{len(items)}]"


def _metered(values: list[Any]) -> str:
    """The newest of the meter values: ``E=1234 Wh P=11 kW SoC=55 %``, without phases but where there is nothing else."""
    samples = _samples(values[-1]) if values else []
    seen: dict[str, str] = {}
    for phased in (False, True):            # a value of the whole before one of a phase
        for sample in samples:
            if isinstance(sample, dict) and bool(sample.get("phase")) == phased:
                name = _text(sample.get("measurand")) or "Energy.Active.Import.Register"
                if name not in seen:
                    seen[name] = f"{_SHORT.get(name, name)}={_text(sample.get('value'))} {_unit(sample, name)}".rstrip()
    ordered = sorted(seen, key=lambda name: _ORDER.get(name, len(_ORDER)))
    more = f" (newest of {len(values)})" if len(values) > 1 else ""
    return " ".join(seen[name] for name in ordered) + more if seen else ""


def _samples(value: Any) -> list[Any]:
    """Of a MeterValue; 1.5 says ``values``, and has ``value`` where later versions have ``sampledValue``."""
    if not isinstance(value, dict):
        return []
    found = value.get("sampledValue", value.get("value"))
    return found if isinstance(found, list) else [found]


def _unit(sample: dict[str, Any], name: str) -> str:
    of_unit = sample.get("unitOfMeasure")
    if isinstance(of_unit, dict):
        power = of_unit.get("multiplier")
        return (f"e{power} " if isinstance(power, int) and power else "") + (_text(of_unit.get("unit")) or "Wh")
    return _SIGNS.get(unit := _text(sample.get("unit")), unit) or ("Wh" if "Energy" in name else "")


def _variables(items: list[Any]) -> str:
    """``Connector.AvailabilityState=Occupied``, up to three of them."""
    told = [_variable(item) for item in items[:3] if isinstance(item, dict)]
    return " ".join(filter(None, told)) + (f" +{len(items) - 3}" if len(items) > 3 else "")


def _variable(item: dict[str, Any]) -> str:
    parts = [_text(part.get("name")) for part in (item.get("component"), item.get("variable")) if isinstance(part, dict)]
    value = next((_text(item[name]) for name in _SAID if name in item), "")
    return ".".join(filter(None, parts)) + (f"={value}" if value else "")


def _key(item: Any) -> str:
    if not isinstance(item, dict):
        return _text(item)
    return f"{_text(item.get('key'))}={_text(item['value'])}" if "value" in item else _text(item.get("key"))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _spelled(value)


def _spelled(value: Any) -> str:
    return orjson.dumps(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
