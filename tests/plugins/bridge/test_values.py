"""The values of keys and variables, there and back; how variables are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_proxy_plugins.bridge import values
from ocpp_proxy_plugins.bridge.spots import Spot, identity, of, written
from ocpp_proxy_plugins.bridge.tables import Place, enum, keys

KEYS = keys()
MEASURANDS = sorted(enum("Measurand16>201"))
PHASES = ["", ".L1", ".L2", ".L3", ".N", ".L1-N", ".L1-L2", ".L3-L1"]
NAMES = st.builds(lambda name, phase: name + phase, st.sampled_from(MEASURANDS), st.sampled_from(PHASES))


@given(st.lists(NAMES, max_size=12, unique=True))
def test_a_list_with_phases_comes_back(names: list[str]) -> None:
    text = ",".join(names)
    key = KEYS["MeterValuesSampledData"]
    carried = values.up(key, text)
    assert carried is not None and not any(one.endswith((".L1", ".N", ".L1-L2")) for one in carried.split(","))
    assert len(values.items(carried)) == len(set(values.items(carried)))
    back = values.down(key, carried, values.phases(text))
    assert back is not None
    plain = {values.measurand(one) for one in names if values.measurand(one) != one}
    assert set(values.items(back)) == {one for one in names if one not in plain}        # by phase means not as a whole


@given(st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=8))
def test_what_is_remembered_is_of_the_newest_list(old: list[str], new: list[str]) -> None:
    found = values.phases(",".join(new), values.phases(",".join(old)))
    said = {values.measurand(one) for one in new}
    assert {one for one in found if values.measurand(one) in said} == {one for one in new if values.measurand(one) != one}
    assert {one for one in found if values.measurand(one) not in said} == {
        one for one in old if values.measurand(one) != one and values.measurand(one) not in said}


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=16, max_size=20))
def test_a_password_comes_back(text: str) -> None:
    key = KEYS["AuthorizationKey"]
    digits = values.down(key, text)
    assert digits is not None and len(digits) == 2 * len(text) and values.up(key, digits) == text


@pytest.mark.parametrize("text", ["short", "x" * 21, "ä" * 11, ""])
def test_a_password_that_is_no_key_of_1_6(text: str) -> None:
    assert values.down(KEYS["AuthorizationKey"], text) is None


@pytest.mark.parametrize("digits", ["", "zz" * 16, "00" * 16, "41" * 15, "41" * 41, "414"])
def test_a_key_of_1_6_that_is_no_password(digits: str) -> None:
    assert values.up(KEYS["AuthorizationKey"], digits) is None


@pytest.mark.parametrize(("name", "old", "new"), [
    ("ChargingScheduleAllowedChargingRateUnit", "Current, Power", "A,W"), ("LocalPreAuthorize", "TRUE", "true"),
    ("LocalPreAuthorize", "yes", "yes"), ("HeartbeatInterval", "300", "300"), ("CpoName", " Acme ", " Acme "),
    ("SecurityProfile", "2", "2"), ("SecurityProfile", "0", None),
])
def test_values_up(name: str, old: str, new: str | None) -> None:
    assert values.up(KEYS[name], old) == new


def test_rate_units_and_flags_down() -> None:
    assert values.down(KEYS["ChargingScheduleAllowedChargingRateUnit"], "W,A") == "Power,Current"
    assert values.down(KEYS["LocalPreAuthorize"], "False") == "false"


@pytest.mark.parametrize(("text", "found"), [
    ("0.RST, 1.RTS,12.Unknown", {0: "RST", 1: "RTS", 12: "Unknown"}), ("RST", {0: "RST"}), ("", {}), (" , ", {}),
])
def test_rotations(text: str, found: dict[int, str]) -> None:
    assert values.rotations(text) == found
    assert values.rotations(values.rotation_list(found)) == found


@given(st.integers(1, 100))
def test_lengths_of_lists_come_back(count: int) -> None:
    assert values.count_of(values.characters(count)) == count
    longest = max(MEASURANDS, key=len)
    assert len(",".join([longest] * count)) <= values.characters(count) and len(longest) == values.LONGEST_MEASURAND


@pytest.mark.parametrize(("name", "spot"), [
    ("A.B", Spot(Place("A", "B"))), ("A.B[c d]", Spot(Place("A", "B", "c d"))),
    ("EVSE@3.Power", Spot(Place("EVSE", "Power"), 3)),
    ("Connector@1/2.A.B", Spot(Place("Connector", "A.B"), 1, 2)), ("A", None), (".B", None), ("A.", None), ("A@x.B", None),
    ("A.B[]", None), ("A" * 51 + ".B", None), ("", None),
])
def test_a_variable_as_the_name_of_a_key(name: str, spot: Spot | None) -> None:
    assert written(name) == spot
    if spot is not None:
        assert of(spot.item()) == spot


def test_names_have_no_case() -> None:
    assert identity(Place("txctrlr", "TXSTARTPOINT")) == identity(Place("TxCtrlr", "TxStartPoint", ""))
