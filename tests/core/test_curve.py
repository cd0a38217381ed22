"""The curve of a transaction: points of meter values, the station's clock, the limit that profiles set."""

import pytest

from ocpp_proxy.core import limits
from ocpp_proxy.core.curve import Told, curve
from ocpp_proxy.core.meter import NOTHING, Point, read
from ocpp_proxy.source import Charging, Sample

S = 1_000_000_000
T0 = 1_767_323_040 * S                      # 2026-01-02T03:04:00Z
TX = Charging("7", "CP1", "ocpp1.6", None, 1, T0, T0 + 3600 * S)
TX2 = Charging("X", "CP1", "ocpp2.0.1", 1, 1, T0, T0 + 3600 * S)
Order = tuple[int, str, object]


def at(seconds: float) -> str:
    """A stamp so many seconds into the transaction."""
    minutes, rest = divmod(int(seconds) + 4 * 60, 60)
    return f"2026-01-02T{3 + minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}Z"


def values(*samples: object, stamp: str = at(0)) -> dict[str, object]:
    return {"meterValue": [{"timestamp": stamp, "sampledValue": list(samples)}]}


def told(action: str, payload: object) -> list[tuple[str, float, str]]:
    return [(point.quantity, point.value, point.unit) for point in read(action, payload).points]


def test_quantities_units_and_multipliers() -> None:
    assert told("MeterValues", values(
        {"value": "1.5", "unit": "kWh"}, {"value": "7.2", "measurand": "Power.Active.Import", "unit": "kW"},
        {"value": "55", "measurand": "SoC", "unit": "Percent"}, {"value": "16", "measurand": "Current.Offered", "unit": "A"},
        {"value": "1", "measurand": "Voltage"}, {"value": "nonsense"}, 5, None,
    )) == [("power", 7200.0, "W"), ("energy", 1500.0, "Wh"), ("soc", 55.0, "%"), ("limit", 16.0, "A")]
    assert told("TransactionEvent", values(
        {"value": 1.5, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W", "multiplier": 3}},
        {"value": 2, "measurand": "Power.Offered", "unitOfMeasure": {"multiplier": 99}},
    )) == [("power", 1500.0, "W")]


def test_phases_are_summed_where_there_is_no_total_and_the_outlet_comes_first() -> None:
    def power(value: int, phase: str = "", location: str = "") -> dict[str, object]:
        more = {"phase": phase} if phase else {}
        return {"value": str(value), "measurand": "Power.Active.Import", **more, **({"location": location} if location else {})}
    phases = [power(1, "L1"), power(2, "L2"), power(3, "L3"), power(90, "L1-L2"), power(90, "N")]
    assert told("MeterValues", values(*phases)) == [("power", 6.0, "W")]
    assert told("MeterValues", values(*phases, power(7))) == [("power", 7.0, "W")]
    assert told("MeterValues", values(power(1, "L1-N"), power(2, "L2-N"))) == [("power", 3.0, "W")]
    assert told("MeterValues", values(power(9, location="Inlet"), power(7, location="Outlet"))) == [("power", 7.0, "W")]
    assert told("MeterValues", values(power(9, location="Inlet"))) == [("power", 9.0, "W")]


def test_start_and_stop_are_points_of_the_register() -> None:
    assert read("StartTransaction", {"meterStart": 5, "timestamp": at(0)}).points == (Point(T0, "energy", 5.0, "Wh"),)
    stop = {"meterStop": 9, "timestamp": at(60), "transactionData": values({"value": "6"}, stamp=at(30))["meterValue"]}
    reading = read("StopTransaction", stop)
    assert reading.points == (Point(T0 + 30 * S, "energy", 6.0, "Wh"), Point(T0 + 60 * S, "energy", 9.0, "Wh"))
    assert reading.registers == (6.0,)


@pytest.mark.parametrize("payload", [
    None, [], "x", {}, {"meterValue": 5}, {"meterValue": [5, {"sampledValue": 5}, {"sampledValue": [{}]}]},
    {"meterValue": [{"timestamp": 5, "sampledValue": [{"value": "NaN"}, {"value": True}, {"value": "1e400"}]}]},
])
def test_what_is_no_meter_value(payload: object) -> None:
    assert read("MeterValues", payload) == NOTHING == read("Heartbeat", {"meterStart": 5})


def test_times_are_the_stations_less_the_error_of_its_clock() -> None:
    hour = 3600 * S
    samples = curve(TX, [
        Told(T0 + 12 * S, (Point(T0 + hour + 10 * S, "power", 1.0, "W"),)),
        Told(T0 + 21 * S, (Point(T0 + hour + 20 * S, "power", 2.0, "W"),)),
        Told(T0 + 500 * S, (Point(T0 + hour + 30 * S, "power", 3.0, "W"), Point(T0 + hour + 40 * S, "power", 4.0, "W"))),
        Told(T0 + 501 * S, (Point(0, "power", 5.0, "W"),)),
    ], [])
    assert [((one.time_ns - T0) // S, one.value) for one in samples] == [(11, 1.0), (21, 2.0), (31, 3.0), (41, 4.0), (501, 5.0)]


def old(
    connector: int, level: int, purpose: str, *periods: tuple[int, float], number: int = 1, unit: str = "A",
    duration: int | None = None, start: str = "", **more: object,
) -> object:
    schedule: dict[str, object] = {"chargingRateUnit": unit, "chargingSchedulePeriod": [
        {"startPeriod": seconds, "limit": value} for seconds, value in periods]}
    if duration is not None:
        schedule["duration"] = duration
    if start:
        schedule["startSchedule"] = start
    return {"connectorId": connector, "csChargingProfiles": {
        "chargingProfileId": number, "stackLevel": level, "chargingProfilePurpose": purpose, "chargingProfileKind": "Relative",
        "chargingSchedule": schedule, **more}}


def steps(orders: list[Order], tx: Charging = TX, unit: str = "A") -> list[tuple[int, int, float]]:
    """From, until (seconds into the transaction), limit."""
    found = [one for one in limits.limits(tx, orders, T0, T0 + 3600 * S) if one.unit == unit]
    assert all(one.quantity == "limit" for one in found)
    pairs = list(zip(found[::2], found[1::2], strict=True))
    assert all(low.value == high.value for low, high in pairs)
    return [((low.time_ns - T0) // S, (high.time_ns - T0) // S, low.value) for low, high in pairs]


def put(seconds: float, payload: object) -> Order:
    return T0 + int(seconds * S), limits.SET, payload


def clear(seconds: float, **criteria: object) -> Order:
    return T0 + int(seconds * S), limits.CLEAR, criteria


def test_periods_of_a_default_profile() -> None:
    default = put(-100, old(0, 0, "TxDefaultProfile", (0, 16), (600, 10), duration=1200))
    assert steps([default]) == [(0, 600, 16), (600, 1200, 10)]
    assert steps([put(-100, old(2, 0, "TxDefaultProfile", (0, 16)))]) == []
    assert steps([put(-100, old(0, 0, "SomethingElse", (0, 16)))]) == []


def test_a_transactions_own_profile_comes_before_the_default_and_the_cap_holds() -> None:
    orders = [
        put(-100, old(0, 0, "TxDefaultProfile", (0, 16), number=1)),
        put(600, old(1, 0, "TxProfile", (0, 8), number=2, duration=1200)),
        put(900, old(0, 0, "ChargePointMaxProfile", (0, 6), number=3, chargingProfileKind="Absolute", start=at(900))),
    ]
    assert steps(orders) == [(0, 600, 16), (600, 900, 8), (900, 3600, 6)]
    watts = put(900, old(0, 0, "ChargePointMaxProfile", (0, 6000), number=3, unit="W"))
    assert steps([*orders[:2], watts]) == [(0, 600, 16), (600, 1200, 8), (1200, 3600, 16)]
    assert steps([*orders[:2], watts], unit="W") == [(900, 3600, 6000)]


def test_the_higher_level_and_the_connectors_own_come_first() -> None:
    low, high = old(0, 0, "TxDefaultProfile", (0, 16), number=1), old(0, 3, "TxDefaultProfile", (0, 20), number=2, duration=60)
    own = old(1, 0, "TxDefaultProfile", (0, 13), number=3)
    assert steps([put(-9, low), put(-8, high)]) == [(0, 60, 20), (60, 3600, 16)]
    assert steps([put(-9, own), put(-8, low)]) == [(0, 3600, 13)]


def test_profiles_are_replaced_and_cleared() -> None:
    first, second = old(1, 0, "TxProfile", (0, 16), number=1), old(1, 0, "TxProfile", (0, 8), number=9)
    other = old(1, 1, "TxProfile", (0, 6), number=1)
    assert steps([put(0, first), put(100, second)]) == [(0, 100, 16), (100, 3600, 8)]
    assert steps([put(0, first), put(100, other), clear(200, id=1)]) == [(0, 100, 16), (100, 200, 6)]
    assert steps([put(0, first), clear(100, id=5), clear(200, connectorId=1)]) == [(0, 200, 16)]
    assert steps([put(0, first), clear(100, stackLevel=1), clear(300)]) == [(0, 300, 16)]
    assert steps([put(0, first), clear(100, chargingProfilePurpose="TxDefaultProfile")]) == [(0, 3600, 16)]


def test_a_profile_of_another_transaction_does_not_count() -> None:
    assert steps([put(60, old(1, 0, "TxProfile", (0, 16), transactionId=8))]) == []
    assert steps([put(60, old(1, 0, "TxProfile", (0, 16), transactionId=7))]) == [(60, 3600, 16)]
    assert steps([put(-60, old(1, 0, "TxProfile", (0, 16)))]) == []


def test_days_and_validity() -> None:
    daily = old(0, 0, "TxDefaultProfile", (0, 16), (1200, 10), chargingProfileKind="Recurring", recurrencyKind="Daily",
                start=at(600).replace("2026-01-02", "2025-12-24"), duration=1800)
    assert steps([put(-9, daily)]) == [(600, 1800, 16), (1800, 2400, 10)]
    valid = old(0, 0, "TxDefaultProfile", (0, 16), validFrom=at(60), validTo=at(120))
    assert steps([put(-9, valid)]) == [(60, 120, 16)]


def new(place: int, purpose: str, *periods: tuple[int, float | None], number: int = 1, **more: object) -> object:
    rows = [{"startPeriod": start, **({} if value is None else {"limit": value})} for start, value in periods]
    return {"evseId": place, "chargingProfile": {
        "id": number, "stackLevel": 0, "chargingProfilePurpose": purpose, "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": rows}], **more}}


def test_profiles_of_2x() -> None:
    orders = [
        put(-60, new(0, "ChargingStationMaxProfile", (0, 9000), number=1)),
        put(0, new(1, "TxProfile", (0, 11000), (60, None), number=2, transactionId="X")),
        clear(1800, chargingProfileCriteria={"chargingProfilePurpose": "ChargingStationMaxProfile"}),
        clear(2400, chargingProfileId=2),
    ]
    assert steps(orders, TX2, "W") == [(0, 1800, 9000), (1800, 2400, 11000)]


def test_offered_counts_where_no_profile_sets_a_limit() -> None:
    offered = Told(T0 + 60 * S, (Point(0, "limit", 32.0, "A"), Point(0, "limit", 7000.0, "W")))
    assert [(one.value, one.unit) for one in curve(TX, [offered], [])] == [(32.0, "A"), (7000.0, "W")]
    found = curve(TX, [offered], [put(-9, old(0, 0, "TxDefaultProfile", (0, 16)))])
    assert [(one.value, one.unit) for one in found] == [(16.0, "A"), (7000.0, "W"), (16.0, "A")]
    assert found[0] == Sample(T0, "limit", 16.0, "A")


@pytest.mark.parametrize("payload", [
    None, [], {}, {"connectorId": 1}, {"connectorId": 1, "csChargingProfiles": 5}, {"evseId": 1, "chargingProfile": {}},
    {"connectorId": 1, "csChargingProfiles": {"chargingSchedule": {"chargingSchedulePeriod": [5, {"limit": "x"}]}}},
])
def test_what_is_no_profile(payload: object) -> None:
    assert steps([put(0, payload), (T0, limits.CLEAR, payload)]) == []


def test_a_schedule_of_endless_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEPS", 10)
    endless = old(0, 0, "TxDefaultProfile", *((second, float(second)) for second in range(100)))
    assert len(steps([put(-9, endless)])) == 10
