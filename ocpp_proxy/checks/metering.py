"""Findings M: energy registers."""

from typing import Any

from msgspec import Struct, field

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import Hit, Hits, rule
from ocpp_proxy.checks.stamps import is_unset, seconds_of
from ocpp_proxy.checks.state import cut
from ocpp_proxy.checks.values import dig, number, text
from ocpp_proxy.model import Severity

REGISTER = "Energy.Active.Import.Register"
_WH = {"Wh": 1.0, "kWh": 1000.0}


class Registers(Struct):
    """Last reading of each register: Wh, instant of the sample (0: unknown), frame."""

    last: dict[str, tuple[float, float, int]] = field(default_factory=dict)


class Reading(Struct, frozen=True, gc=False):
    """One sample of the import register in Wh. ``key`` names the meter it belongs to; the others say where it stands."""

    key: str
    wh: float
    seconds: float
    name: str
    entry: int
    sample: int

    @property
    def path(self) -> str:
        """Its JSON path."""
        return f"$.{self.name}[{self.entry}].sampledValue[{self.sample}].value"


def readings(payload: dict[str, object], name: str, meter: str) -> list[Reading]:
    """The samples of the energy import register in a payload of 1.6 or 2.x."""
    found: list[Reading] = []
    entries = payload.get(name)
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        values = entry.get("sampledValue") if isinstance(entry, dict) else None
        if not isinstance(values, list):
            continue
        instant = -1.0
        for j, value in _registers(values):
            wh = in_wh(value) if value.get("format") != "SignedData" else None
            if wh is None:
                continue
            if instant < 0:
                instant = _instant(entry.get("timestamp"))
            phase, location = value.get("phase"), value.get("location")
            key = f"{meter}|{text(phase)}|{text(location)}" if phase or location else f"{meter}||"
            found.append(Reading(key, wh, instant, name, i, j))
    return found


def _instant(stamp: object) -> float:
    """Seconds since the epoch; 0 when that is not known or before it."""
    if not isinstance(stamp, str) or is_unset(stamp):
        return 0.0
    return max(seconds_of(stamp) or 0.0, 0.0)


def _registers(values: list[Any]) -> list[tuple[int, dict[str, object]]]:
    """Those of these samples that are of the energy import register, with their places."""
    try:
        return [(at, value) for at, value in enumerate(values) if value.get("measurand", REGISTER) == REGISTER]
    except AttributeError:                              # not only objects in there
        objects = [(at, value) for at, value in enumerate(values) if isinstance(value, dict)]
        return [(at, value) for at, value in objects if value.get("measurand", REGISTER) == REGISTER]


def in_wh(sample: dict[str, object]) -> float | None:
    """An energy sample in Wh; None when value or unit cannot be read."""
    about = sample.get("unitOfMeasure")                 # 2.x
    unit = sample.get("unit", dig(about, "unit") if about is not None else None)
    factor = _WH.get(unit if isinstance(unit, str) and unit else "Wh")
    value = number(sample.get("value")) if factor is not None else None
    if value is None or factor is None:
        return None
    if about is None:
        return value * factor
    power = number(dig(about, "multiplier")) or 0.0
    return value * factor * float(10.0**power) if abs(power) <= 12 else None


def delivered_late(context: Context, hit: Hit) -> bool:
    """The sample is older than the one before: stored values delivered out of order, no decrease."""
    return isinstance(hit.fact, tuple) and 0 < hit.fact[0] < hit.fact[1]


@rule(
    "M01", "energy register decreases", severity=Severity.ERROR, blame="station", on=("call",),
    actions=("MeterValues", "StopTransaction", "TransactionEvent"), unless=(delivered_late,), memory=Registers, scope="station",
    remedy="Look for a changed unit (kWh, Wh), a meter reset, or values of another connector; check the meter itself.",
)
def register_decreases(context: Context) -> Hits:
    """The energy meter runs backwards within a transaction, or ends below its start: the session cannot be billed."""
    payload, last = context.object(), context.memory(Registers).last
    message = context.message
    if message is None:
        return
    frame = context.frame.frame_id if context.frame is not None else 0
    if message.action == "StopTransaction":
        stop, tx = number(payload.get("meterStop")), context.transaction
        if stop is not None and tx is not None and tx.meter_start is not None and stop < tx.meter_start:
            yield Hit(f"meterStop {stop:g} Wh lies below meterStart {tx.meter_start:g} Wh", path="$.meterStop", cause="stop",
                      evidence=(tx.frame_id, frame) if tx.frame_id else ())
        return
    place = message.evse_id if message.evse_id is not None else message.connector_id
    for reading in readings(payload, "meterValue", f"{place}|{message.tx_id}"):
        before = last.pop(reading.key, None)
        if before is not None and reading.wh < before[0]:
            yield Hit(f"the register falls from {before[0]:g} to {reading.wh:g} Wh", path=reading.path, cause=reading.key,
                      evidence=(before[2], frame), fact=(reading.seconds, before[1]))
            if reading.seconds and reading.seconds < before[1]:
                last[reading.key] = before
                continue
        last[reading.key] = (reading.wh, reading.seconds, frame)
    cut(last, 32)
