"""What the schemas say of a field, by its path; and paths themselves."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.spec import installed, schemas
from ocpp_proxy.spec.field_help import FieldHelp, field_help
from ocpp_proxy.spec.json_path import Step, steps, written


def help_at(version: str, action: str, answer: bool, path: str) -> FieldHelp | None:
    taken = steps(path)
    assert taken is not None
    return field_help(version, action, answer, taken)


def test_units_of_1_6_word_for_word() -> None:
    found = help_at("1.6", "MeterValues", False, "$.meterValue[3].sampledValue[0].unit")
    assert found == FieldHelp("string", "", (
        "Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V", "K", "Celcius", "Celsius", "Fahrenheit",
        "Percent", "Hertz"), required=False)


def test_lengths_bounds_and_what_is_required() -> None:
    assert help_at("1.6", "BootNotification", False, "$.chargePointVendor") == FieldHelp("string", max_length=20, required=True)
    assert help_at("1.6", "BootNotification", True, "$.currentTime") == FieldHelp("string", "date-time", required=True)
    limit = help_at("1.6", "SetChargingProfile", False, "$.csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit")
    assert limit == FieldHelp("number", multiple_of=0.1, required=True)
    assert help_at("1.6", "MeterValues", False, "$.meterValue") == FieldHelp("array", least_items=1, required=True)
    assert help_at("1.6", "MeterValues", False, "$") == FieldHelp("object")


def test_types_are_looked_up_and_described_in_2_0_1_and_2_1() -> None:
    trigger = help_at("2.0.1", "TransactionEvent", False, "$.triggerReason")
    assert trigger is not None and trigger.type_name == "TriggerReasonEnumType" and trigger.required
    assert trigger.description.startswith("Reason the Charging Station sends this message") and "ResetCommand" in trigger.enum
    unit = help_at("2.0.1", "MeterValues", False, "$.meterValue[0].sampledValue[0].unitOfMeasure.unit")
    assert unit is not None and (unit.max_length, unit.default) == (20, "Wh")
    assert 'Unit of the value. Default = "Wh"' in unit.description and "\r" not in unit.description
    kind = help_at("2.1", "SetChargingProfile", False, "$.chargingProfile.chargingProfilePurpose")
    assert kind is not None and "LocalGeneration" in kind.enum


def test_2_0_differs_from_2_0_1() -> None:
    older, newer = (help_at(version, "TransactionEvent", False, "$.triggerReason") for version in ("2.0", "2.0.1"))
    assert older is not None and newer is not None
    assert "ResetCommand" in newer.enum and "ResetCommand" not in older.enum


@pytest.mark.parametrize(("version", "action", "answer", "path"), [
    ("1.5", "MeterValues", False, "$"), ("1.2", "Heartbeat", False, "$"), ("9", "Heartbeat", False, "$"),
    ("1.6", "NoSuchAction", False, "$"), ("1.6", "MeterValues", False, "$.noSuchField"), ("1.6", "MeterValues", False, "$[0]"),
    ("1.6", "MeterValues", False, "$.connectorId.deeper"), ("1.6", "MeterValues", False, "$.connectorId[0]"),
    ("2.1", "NotifyPeriodicEventStream", True, "$"),
])
def test_unknown_is_none(version: str, action: str, answer: bool, path: str) -> None:
    assert help_at(version, action, answer, path) is None


def _fields(node: Any, root: dict[str, Any], path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every path of a schema, by a walk of its own."""
    if not isinstance(node, dict) or len(path) > 5:
        return
    reference = node.get("$ref")
    if isinstance(reference, str):
        node = root["definitions"][reference.split("/")[-1]]
    yield path
    for name, inner in node.get("properties", {}).items():
        yield from _fields(inner, root, (*path, name))
    if "items" in node:
        yield from _fields(node["items"], root, (*path, 0))


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_every_field_of_every_schema_has_help(version: str) -> None:
    count = 0
    for (action, answer), name in list(schemas.messages(version).items())[::7]:
        schema = installed.schema(version, name)
        for path in _fields(schema, schema):
            found = field_help(version, action, answer, path)
            assert found is not None and (found.type or found == FieldHelp(required=found.required)), (name, path)
            count += 1
    assert count > 40


@pytest.mark.parametrize(("path", "taken"), [
    ("$", ()), ("$.a.b", ("a", "b")), ("$.a[0][12].b", ("a", 0, 12, "b")), ('$["a b"].c', ("a b", "c")),
    ('$["x\\"]"]', ('x"]',)),
    ("$[]", None), ("$.a[*]", None), ("", None), ("a.b", None), ("$a", None), ('$["open', None), ("$.", None),
])
def test_paths_are_read(path: str, taken: tuple[Step, ...] | None) -> None:
    assert steps(path) == taken


@given(st.lists(st.text(st.characters()) | st.integers(0, 10**9 - 1), max_size=6))
def test_what_is_written_is_read_again_and_is_ascii(path: list[Step]) -> None:
    assert steps(written(path)) == tuple(path)
    assert written(path).isascii()
