"""The tables of the bridge: they fit the official schemas, and the check sees it when they do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ocpp_proxy_plugins.bridge.check import faults
from ocpp_proxy_plugins.bridge.rows import DOWN, UP, Tables, read
from ocpp_proxy_plugins.bridge.tables import Place, book, converter, enum, errors, keys, made_up, names, place, variables

from ocpp_proxy.model import Side
from ocpp_proxy.spec import actions
from ocpp_proxy.spec.errors import CODES

ROOT = Path(__file__).resolve().parents[3]
Raw = dict[str, Any]


def of(raw: Raw, way: str, sender: str, name: str) -> Raw:
    """A row of a raw table."""
    return next(row for row in raw[way] if (row["sender"], row["name"]) == (sender, name))


def shape(raw: Raw, name: str, source: str) -> Raw:
    return next(row for row in raw["shapes"] if (row["name"], row["source"]) == (name, source))


def line(row: Raw, source: str, part: str = "request") -> list[str]:
    """A row's line, as a list that may be changed."""
    at = next(at for at, one in enumerate(row[part]) if one[0] == source)
    row[part] = [list(one) for one in row[part]]
    found: list[str] = row[part][at]
    return found


def without(row: Raw, source: str, part: str = "request") -> None:
    row[part] = [one for one in row[part] if one[0] != source]


def key(raw: Raw, name: str) -> Raw:
    return next(row for row in raw["keys"] if row["name"] == name)


def start(raw: Raw) -> Raw:
    return of(raw, "up", "station", "StartTransaction")


def boot(raw: Raw) -> Raw:
    return of(raw, "down", "station", "BootNotification")


SEEDS: dict[str, tuple[Callable[[Raw], object], str]] = {
    "a target field that is misspelt": (
        lambda raw: line(start(raw), "reservationId").__setitem__(1, "reservation"), "reservation is no field of OCPP 2.0.1"),
    "a source field that is misspelt": (
        lambda raw: line(start(raw), "reservationId").__setitem__(0, "reserve"), "reserve is no field of OCPP 1.6"),
    "a source field that goes nowhere": (
        lambda raw: of(raw, "down", "station", "TransactionEvent")["dropped"].pop("cableMaxCurrent"),
        "cableMaxCurrent is neither carried nor dropped"),
    "a source field that one of two targets does not carry": (
        lambda raw: of(raw, "up", "csms", "UpdateFirmware")["dropped"].pop("UpdateFirmware:firmware.signature"),
        "UpdateFirmware: firmware.signature is neither carried nor dropped"),
    "an answer field that goes nowhere": (
        lambda raw: of(raw, "down", "csms", "Reset")["answer_dropped"].pop("statusInfo"),
        "statusInfo.reasonCode is neither carried nor dropped"),
    "a required field that comes from nowhere": (
        lambda raw: of(raw, "up", "station", "StopTransaction")["made"].pop("triggerReason"),
        "triggerReason is required and comes from nowhere"),
    "a required answer field that comes from nowhere": (
        lambda raw: start(raw).__setitem__("answer_made", {}), "transactionId is required and comes from nowhere"),
    "a dropped field that does not exist": (
        lambda raw: of(raw, "up", "station", "BootNotification")["dropped"].update(meter="x"), "dropped meter is no field"),
    "a field both carried and dropped": (
        lambda raw: start(raw)["dropped"].update(idTag="x"), "idTag is carried and dropped"),
    "a target filled twice": (
        lambda raw: line(of(raw, "up", "station", "BootNotification"), "chargeBoxSerialNumber").__setitem__(2, "same"),
        "chargingStation.serialNumber is filled 2 times"),
    "a made field that does not exist": (
        lambda raw: start(raw)["made"].update(cause="x"), "made cause is no field of OCPP 2.0.1"),
    "a constant that is no value of its list": (
        lambda raw: of(raw, "down", "csms", "GetDiagnostics")["fixed"].update(logType="Diagnostics"),
        "Diagnostics is no value of logType"),
    "a constant of the wrong type": (
        lambda raw: of(raw, "up", "station", "StatusNotification")["fixed"].update({"NotifyEvent:seqNo": "0"}),
        "'0' is no integer"),
    "an action that is missing": (
        lambda raw: raw["up"].remove(of(raw, "up", "csms", "Reset")), "Reset of the csms is there 0 times"),
    "an action that is there twice": (
        lambda raw: raw["down"].append(of(raw, "down", "station", "Heartbeat")), "Heartbeat of the station is there 2 times"),
    "an action of the other side": (
        lambda raw: of(raw, "up", "station", "Heartbeat").__setitem__("sender", "csms"), "the csms sends no Heartbeat"),
    "a target that does not exist": (
        lambda raw: of(raw, "up", "station", "Heartbeat").__setitem__("targets", ["Beat"]), "sends no Beat in OCPP 2.0.1"),
    "a path that names no target": (
        lambda raw: line(start(raw), "timestamp").__setitem__(1, "Event:timestamp"), "Event is none of the targets"),
    "a local answer with an illegal status": (
        lambda raw: of(raw, "up", "csms", "SetDisplayMessage")["local"].update(status="Nope"), "local answer: $.status"),
    "a local answer that lacks a field": (
        lambda raw: of(raw, "down", "station", "NotifyEVChargingNeeds").__setitem__("local", {}), "missing, is required"),
    "no local answer": (
        lambda raw: of(raw, "up", "csms", "ClearVariableMonitoring").update(answer_made={}), "there is no local answer"),
    "an enum table without a value": (
        lambda raw: raw["enums"]["AuthStatus201>16"]["values"].pop("NoCredit"), "NoCredit goes nowhere"),
    "an enum table with a value of neither": (
        lambda raw: raw["enums"]["StopReason16>201"]["values"].update(HardReset="HardReset"), "HardReset is no value of 2.0.1"),
    "an enum table of other fields": (
        lambda raw: line(of(raw, "up", "csms", "UnlockConnector"), "status", "answer").__setitem__(2, "enum ResetSt201>16"),
        "the table says nothing of"),
    "an enum table there is not": (
        lambda raw: line(of(raw, "up", "csms", "Reset"), "type").__setitem__(2, "enum Reset"), "no such table"),
    "values of a list without a table": (
        lambda raw: line(of(raw, "up", "station", "FirmwareStatusNotification"), "status").__setitem__(2, "text 10"),
        "values of a list go by a table"),
    "values carried as they are that are not there": (
        lambda raw: line(of(raw, "down", "csms", "Reset"), "type").__setitem__(2, "same"), "no values there: Hard, Soft"),
    "a handled value without a reason": (
        lambda raw: raw["enums"]["Reset201>16"]["handled"].update(OnIdle=""), "nothing says why OnIdle"),
    "a converter there is not": (
        lambda raw: line(start(raw), "timestamp").__setitem__(2, "clock"), "no such converter"),
    "a text that may be too long": (
        lambda raw: line(boot(raw), "chargingStation.vendorName").__setitem__(2, "same"),
        "may be longer than 20 characters"),
    "a text that may be no URI": (
        lambda raw: of(raw, "up", "csms", "GetLog").update(request=[
            [*one[:2], "same"] if one[1] == "GetDiagnostics:location" else one
            for one in of(raw, "up", "csms", "GetLog")["request"]]),
        "may be no uri"),
    "a text cut at another length": (
        lambda raw: line(boot(raw), "chargingStation.vendorName").__setitem__(2, "text 50"),
        "at most 20 characters"),
    "a number carried as a text": (
        lambda raw: line(start(raw), "reservationId").__setitem__(2, "text 20"), "integer does not become integer by it"),
    "an object carried as a value": (
        lambda raw: line(start(raw), "connectorId").__setitem__(2, "same"), "only single values are carried by it"),
    "a time carried as it is": (
        lambda raw: line(start(raw), "timestamp").__setitem__(2, "same"), "a time needs the converter time"),
    "a shape there is not": (
        lambda raw: line(start(raw), "idTag").__setitem__(2, "@badge"), "no such shape"),
    "a shape without a field of the source": (
        lambda raw: shape(raw, "token info", "2.0.1")["dropped"].pop("language1"), "idTokenInfo.language1 is neither carried"),
    "a shape without a required field": (
        lambda raw: without(shape(raw, "profile", "1.6"), "stackLevel", "fields"), "chargingProfile.stackLevel is required"),
    "a list in two places": (
        lambda raw: line(shape(raw, "profile", "1.6"), "chargingSchedule.chargingSchedulePeriod[].limit", "fields").__setitem__(
            1, "chargingSchedule[].salesTariff.salesTariffEntry[].ePriceLevel"), "one list goes to several places"),
    "names that cannot be read backwards": (
        lambda raw: raw["names"]["SecurityEvent"].update(Another="CsmsFailedToAuthenticate"), "cannot be read backwards"),
    "an error code that goes nowhere": (
        lambda raw: raw["errors"]["2.0.1"]["values"].pop("RpcFrameworkError"), "RpcFrameworkError goes nowhere"),
    "an error code of the other version": (
        lambda raw: raw["errors"]["1.6"]["values"].update(FormationViolation="FormationViolation"),
        "FormationViolation is no code of OCPP 2.0.1"),
    "a key without its home": (
        lambda raw: key(raw, "AllowOfflineTxForUnknownId").update(home="AuthCtrlr.Offline"), "Offline is no variable"),
    "two keys in one home": (
        lambda raw: raw["keys"].append({**raw["keys"][0], "name": "Another"}), "is the home of AllowOfflineTxForUnknownId"),
    "a key that is there twice": (lambda raw: raw["keys"].append(raw["keys"][0]), "is there 2 times"),
    "a key of the wrong type": (
        lambda raw: key(raw, "HeartbeatInterval").update(type="bool"), "a bool does not fit OCPPCommCtrlr.HeartbeatInterval"),
    "a further place that does not exist": (
        lambda raw: key(raw, "ClockAlignedDataInterval").update(also_set=["AlignedDataCtrlr.Nope"]), "Nope is no variable"),
    "a vendor's key under another name": (
        lambda raw: key(raw, "BlinkRepeat").update(home="Bridge16.Blink"), "it keeps its name"),
    "a made-up variable that does not exist": (
        lambda raw: raw["made_up"].append({"variable": "TxCtrlr.TxPoint", "value": "x"}), "TxCtrlr.TxPoint: no variable"),
    "a made-up variable from nowhere": (
        lambda raw: raw["made_up"][0].update(value="", note=""), "nothing says from what"),
}


def test_the_tables_have_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize("name", SEEDS)
def test_the_check_sees_a_seeded_fault(name: str) -> None:
    seed, said = SEEDS[name]
    raw = msgspec.to_builtins(read())
    seed(raw)
    found = faults(msgspec.convert(raw, Tables))
    assert any(said in fault for fault in found), found


def test_every_action_of_both_versions_has_a_row() -> None:
    for direction, station, csms in ((UP, "1.6", "2.0.1"), (DOWN, "2.0.1", "1.6")):
        known = book(direction)
        assert known.version(Side.STATION) == station
        assert known.version(Side.CSMS) == csms
        assert {name for side, name in known.actions if side is Side.STATION} == {
            name for name in actions.known(station) if actions.direction(station, name) in (Side.STATION, "both")}
        assert {name for side, name in known.actions if side is Side.CSMS} == {
            name for name in actions.known(csms) if actions.direction(csms, name) in (Side.CSMS, "both")}
    assert len(book(UP).actions) + len(book(DOWN).actions) == 105


def test_an_entry_says_what_it_needs() -> None:
    up, down = book(UP).actions, book(DOWN).actions
    heartbeat = up[Side.STATION, "Heartbeat"]
    assert (heartbeat.plain, heartbeat.kind, heartbeat.targets, heartbeat.local) == (True, "translate", ("Heartbeat",), None)
    assert not up[Side.STATION, "StartTransaction"].plain                  # ids
    assert not up[Side.STATION, "BootNotification"].plain                  # the reason is made
    assert not down[Side.STATION, "LogStatusNotification"].plain           # one of two
    assert set(up[Side.STATION, "MeterValues"].requests) == {"TransactionEvent", "MeterValues"}
    local = up[Side.CSMS, "UnpublishFirmware"]
    assert (local.kind, local.local, local.requests) == ("local", {"status": "NoFirmware"}, {})
    with pytest.raises(ValueError, match=r"no direction '1\.6'"):
        book("1.6")


def test_lookups() -> None:
    assert enum("Reset16>201")["Hard"] == "Immediate"
    assert "OnIdle" not in enum("Reset201>16")
    assert names("SecurityEvent16>201")["InvalidCentralSystemCertificate"] == "InvalidCsmsCertificate"
    assert names("SecurityEvent201>16")["InvalidCsmsCertificate"] == "InvalidCentralSystemCertificate"
    assert set(errors("2.0.1").values()) <= CODES["1.6"]
    assert errors("1.6")["FormationViolation"] == errors("1.6")["FormatViolation"] == "FormatViolation"
    with pytest.raises(ValueError, match="no converter 'clock'"):
        converter("clock", "1.6")


def test_keys_and_variables() -> None:
    assert len(keys()) == 58
    interval = keys()["MeterValueSampleInterval"]
    assert interval.home == Place("SampledDataCtrlr", "TxUpdatedInterval")
    assert interval.also_set == (Place("SampledDataCtrlr", "TxEndedInterval"),)
    items = keys()["GetConfigurationMaxKeys"].home
    assert items is not None
    assert str(items) == "DeviceDataCtrlr.ItemsPerMessage[GetVariables]"
    assert place(str(items)) == items
    assert (variables()[items].type, variables()[items].required) == ("integer", True)
    assert keys()["NumberOfConnectors"].home is None
    assert keys()["SecurityProfile"].owner == "link"
    assert len(variables()) == 249
    assert {one.place.component for one in made_up()} >= {"TxCtrlr", "ClockCtrlr", "DeviceDataCtrlr"}
    assert all(one.value or one.note for one in made_up())


def test_each_table_is_read_from_the_package() -> None:
    folder = ROOT / "plugins" / "ocpp_proxy_plugins" / "bridge" / "tables"
    assert {path.name for path in folder.iterdir()} == {
        "actions_up.toml", "actions_down.toml", "enums.toml", "keys.toml", "near.toml", "shapes.toml"}
