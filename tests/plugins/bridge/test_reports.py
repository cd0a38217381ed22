"""Reports of a 1.6 station's device model: what they hold, their pages, one at a time."""

import json
from typing import Any

import pytest
from ocpp_proxy_plugins.bridge.model_up import ABSENT
from ocpp_proxy_plugins.bridge.reports_up import MOST_BYTES, MOST_ROWS, paged
from ocpp_proxy_plugins.bridge.tables import keys, made_up, variables

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.modelled import every_key, setting, station16, variable

Rows = dict[str, dict[str, Any]]
CORE = [one for one in every_key() if keys().get(one["key"]) is not None and keys()[one["key"]].profile == "Core"]


def name(row: dict[str, Any]) -> str:
    component, what = row["component"], row["variable"]
    evse = component.get("evse", {})
    where = "".join(f"/{evse[one]}" for one in ("id", "connectorId") if one in evse)
    return f"{component['name']}{where}.{what['name']}" + (f"[{what['instance']}]" if "instance" in what else "")


def pages(link: Bridged) -> list[dict[str, Any]]:
    """All pages of the report that is under way, each answered."""
    found = []
    while "NotifyReport" in link.open[CSMS].values():
        assert len(link.open[CSMS]) == 1
        found.append(link.answer(CSMS, {}, "NotifyReport").payload)
    return found


def report(link: Bridged, base: str = "FullInventory", number: int = 7) -> Rows:
    message = link.call(CSMS, "GetBaseReport", {"requestId": number, "reportBase": base})
    assert link.answered(message).payload == {"status": "Accepted"}
    told = pages(link)
    assert [one["seqNo"] for one in told] == list(range(len(told)))
    assert [one["tbc"] for one in told] == [True] * (len(told) - 1) + [False]
    assert {one["requestId"] for one in told} == {number} and len({one["generatedAt"] for one in told}) == 1
    rows = [row for one in told for row in one.get("reportData", [])]
    found = {name(row): row for row in rows}
    assert len(found) == len(rows)
    link.settled()
    return found


def value(row: dict[str, Any]) -> Any:
    return row["variableAttribute"][0].get("value")


def mutability(row: dict[str, Any]) -> Any:
    return row["variableAttribute"][0]["mutability"]


def required(components: set[str]) -> set[str]:
    return {str(at) for at, found in variables().items() if found.required and at.component in components}


def test_s19_a_full_report_has_all_that_2_0_1_requires() -> None:
    found = report(station16())
    plain = {row.partition("/")[0] if "/" not in row else row for row in found}
    absent = {one.partition(".")[0] for one in ABSENT}
    assert required({at.component for at in variables()} - absent - {"EVSE", "Connector"}) <= plain
    for evse in (1, 2):
        for one in required({"EVSE", "Connector"}):
            component, _, what = one.partition(".")
            assert f"{component}/{evse}{'/1' if component == 'Connector' else ''}.{what}" in found
    assert {str(one.place) for one in made_up()} <= plain and set(ABSENT) <= plain
    for made in made_up():
        assert value(found[str(made.place)]) is not None and mutability(found[str(made.place)]) == "ReadOnly"
    assert mutability(found["Bridge16.VendorThing"]) == "ReadWrite" and value(found["Bridge16.VendorThing"]) == "v"
    assert mutability(found["SecurityCtrlr.BasicAuthPassword"]) == "WriteOnly"
    assert value(found["FiscalMetering.Model"]) == "EM24"


def test_s19_pages_are_small_and_one_at_a_time() -> None:
    link = station16([*every_key(), *(setting(f"Vendor{n}", "v" * 400) for n in range(40))])
    link.call(CSMS, "GetBaseReport", {"requestId": 7, "reportBase": "FullInventory"})
    told = pages(link)
    counts = [len(one["reportData"]) for one in told]
    assert max(counts) == MOST_ROWS and min(counts[:-1]) < MOST_ROWS
    assert max(len(json.dumps(one, separators=(",", ":"))) for one in told) <= MOST_BYTES


def test_a_row_that_fills_a_page_has_it_alone() -> None:
    found = list(paged([{"a": 1}, {"b": "x" * MOST_BYTES}, {"c": 1}]))
    assert [list(one[0]) for one in found] == [["a"], ["b"], ["c"]] and list(paged([])) == [[]]


def test_every_key_with_a_variable_is_in_the_full_report() -> None:
    found = report(station16())
    for key in keys().values():
        if key.home is not None and key.field == "Actual":
            row = found[str(key.home)]
            assert mutability(row) == {"R": "ReadOnly", "W": "WriteOnly"}.get(key.access, "ReadWrite")
            data = variables().get(key.home)
            if data is not None and data.type not in ("passwordString", "identifierString"):
                assert row["variableCharacteristics"]["dataType"] == data.type
    assert found["SampledDataCtrlr.TxUpdatedInterval"]["variableCharacteristics"]["unit"] == "s"
    assert value(found["SmartChargingCtrlr.RateUnit"]) == "A,W"
    assert "Voltage" in found["AlignedDataCtrlr.Measurands"]["variableCharacteristics"]["valuesList"].split(",")


def test_a_station_with_the_core_only_has_no_other_controllers() -> None:
    listed = [{**one, "value": "Core"} if one["key"] == "SupportedFeatureProfiles" else one for one in CORE]
    found = report(station16(listed))
    for component in ("SmartChargingCtrlr", "LocalAuthListCtrlr", "ReservationCtrlr"):
        mine = [row for row in found if row.startswith(component)]
        assert mine == [f"{component}.Available"] and value(found[mine[0]]) == "false"
    assert required({"AlignedDataCtrlr", "TxCtrlr", "OCPPCommCtrlr", "SecurityCtrlr", "AuthCtrlr"}) <= set(found)
    assert value(found["SecurityCtrlr.SecurityProfile"]) is None            # nothing tells it


def test_a_configuration_report_has_what_can_be_set() -> None:
    found = report(station16(), "ConfigurationInventory")
    assert {mutability(row) for row in found.values()} == {"ReadWrite", "WriteOnly"}
    assert "OCPPCommCtrlr.HeartbeatInterval" in found and "TxCtrlr.TxStartPoint" not in found


def test_a_summary_says_how_all_is() -> None:
    link = station16()
    link.call(STATION, "StatusNotification", {"connectorId": 2, "errorCode": "GroundFailure", "status": "Faulted"})
    link.answer(CSMS, {}, "StatusNotification")
    link.answer(CSMS, {}, "NotifyEvent")
    found = report(link, "SummaryInventory")
    assert {one: value(row) for one, row in found.items()} == {
        f"{place}.{what}": said for place, state, wrong in (
            ("ChargingStation", "Available", "false"), ("EVSE/1", "Available", "false"),
            ("Connector/1/1", "Available", "false"), ("EVSE/2", "Faulted", "true"), ("Connector/2/1", "Faulted", "true"),
        ) for what, said in (("AvailabilityState", state), ("Problem", wrong))}


def test_a_second_report_waits_for_nothing_and_is_rejected() -> None:
    link = station16()
    link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    for action, more in (("GetBaseReport", {"reportBase": "SummaryInventory"}), ("GetReport", {})):
        message = link.call(CSMS, action, {"requestId": 2, **more})
        assert link.answered(message).payload["status"] == "Rejected"
    assert {one["requestId"] for one in pages(link)} == {1}
    assert len(report(link, "SummaryInventory", 3)) == 10


@pytest.mark.parametrize("how", ["error", "silence", "gone"])
def test_a_report_ends_when_a_page_is_not_answered(how: str) -> None:
    link = station16()
    link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    link.answer(CSMS, {}, "NotifyReport")
    if how == "error":
        link.error(CSMS, "InternalError", action="NotifyReport")
    elif how == "silence":
        link.wait(31)
    else:
        link.stage.gone(CSMS)
    link.wait(60)
    assert len(link.calls(CSMS, "NotifyReport")) == 2
    if how == "error":
        assert link.findings == ["report"]
        assert report(link)


def test_a_new_link_has_no_report_under_way() -> None:
    link = station16()
    link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    link.again()
    link.wait(60)
    assert len(link.calls(CSMS, "NotifyReport")) == 1
    assert "Bridge16.VendorThing" in report(link)           # what was told is kept


def test_a_station_of_which_nothing_is_known_is_asked_first() -> None:
    link = Bridged()
    message = link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    link.answer(STATION, {"configurationKey": every_key()}, "GetConfiguration")
    assert link.answered(message).payload["status"] == "Accepted"
    assert "Bridge16.VendorThing" in {name(row) for one in pages(link) for row in one["reportData"]}


def test_a_silent_station_is_reported_as_far_as_it_is_known() -> None:
    link = Bridged()
    message = link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    link.wait(29)
    assert link.answered(message).payload["status"] == "Accepted"
    found = {name(row) for one in pages(link) for row in one["reportData"]}
    assert {"TxCtrlr.TxStartPoint", "EVSE/1.AvailabilityState", "TxCtrlr.EVConnectionTimeOut"} <= found


def test_old_values_are_asked_for_anew() -> None:
    link = station16()
    link.wait(400)
    link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    fresh = [{**one, "value": "77"} if one["key"] == "HeartbeatInterval" else one for one in every_key()]
    link.answer(STATION, {"configurationKey": fresh}, "GetConfiguration")
    rows = {name(row): row for one in pages(link) for row in one["reportData"]}
    assert value(rows["OCPPCommCtrlr.HeartbeatInterval"]) == "77"


def chosen(link: Bridged, **wish: Any) -> set[str]:
    message = link.call(CSMS, "GetReport", {"requestId": 9, **wish})
    if link.answered(message).payload["status"] == "EmptyResultSet":
        return set()
    assert link.answered(message).payload == {"status": "Accepted"}
    return {name(row) for one in pages(link) for row in one["reportData"]}


def test_a_report_of_what_is_named() -> None:
    link = station16()
    heartbeat = variable("OCPPCommCtrlr", "HeartbeatInterval")
    assert chosen(link, componentVariable=[heartbeat]) == {"OCPPCommCtrlr.HeartbeatInterval"}
    assert chosen(link, componentVariable=[{"component": {"name": "evse"}, "variable": {"name": "availabilitystate"}}]) == {
        "EVSE/1.AvailabilityState", "EVSE/2.AvailabilityState"}
    second = chosen(link, componentVariable=[{"component": {"name": "EVSE", "evse": {"id": 2}}}])
    assert {one.partition(".")[0] for one in second} == {"EVSE/2"}
    items = variable("DeviceDataCtrlr", "ItemsPerMessage")
    assert chosen(link, componentVariable=[items]) == {
        f"DeviceDataCtrlr.ItemsPerMessage[{one}]" for one in ("GetVariables", "GetReport", "SetVariables")}
    one = variable("DeviceDataCtrlr", "ItemsPerMessage", (), "GetReport")
    assert chosen(link, componentVariable=[one, heartbeat]) == {
        "DeviceDataCtrlr.ItemsPerMessage[GetReport]", "OCPPCommCtrlr.HeartbeatInterval"}
    assert chosen(link, componentVariable=[variable("Nowhere", "X")]) == set()


def test_a_report_of_components_by_how_they_are() -> None:
    link = station16()
    available = chosen(link, componentCriteria=["Available"])
    assert "ReservationCtrlr.NonEvseSpecific" in available and "TxCtrlr.TxStartPoint" in available
    assert not any(one.startswith("MonitoringCtrlr") for one in available)
    assert chosen(link, componentCriteria=["Problem"]) == set()
    link.call(STATION, "StatusNotification", {"connectorId": 2, "errorCode": "GroundFailure", "status": "Faulted"})
    link.answer(CSMS, {}, "StatusNotification")
    link.answer(CSMS, {}, "NotifyEvent")
    broken = chosen(link, componentCriteria=["Problem"])
    assert {one.partition(".")[0] for one in broken} == {"EVSE/2", "Connector/2/1"}
    both = chosen(link, componentCriteria=["Problem"], componentVariable=[{"component": {"name": "Connector"}}])
    assert {one.partition(".")[0] for one in both} == {"Connector/2/1"}


def test_a_report_that_is_being_prepared_is_under_way() -> None:
    link = Bridged()
    first = link.call(CSMS, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    second = link.call(CSMS, "GetBaseReport", {"requestId": 2, "reportBase": "FullInventory"})
    assert link.answered(second).payload["status"] == "Rejected"
    link.answer(STATION, {"configurationKey": every_key()}, "GetConfiguration")
    assert link.answered(first).payload["status"] == "Accepted" and {one["requestId"] for one in pages(link)} == {1}
    link.settled()
