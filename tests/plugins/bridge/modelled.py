"""A 1.6 station with configuration keys, and a 2.0.1 station with variables, whose models are known: for their tests."""

from collections.abc import Callable, Mapping
from typing import Any

from ocpp_proxy_plugins.bridge.tables import keys

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged

TIME = "2027-01-15T08:00:00.000Z"
BOOT = {
    "chargePointVendor": "Acme", "chargePointModel": "One", "chargeBoxSerialNumber": "S1", "firmwareVersion": "1.2",
    "meterType": "EM24", "meterSerialNumber": "M7",
}
BOOT_201 = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two"}}
VALUES = {
    "bool": "true", "int": "5", "text": "some", "list": "A,B", "measurands": "Energy.Active.Import.Register,Voltage",
    "phase rotation": "0.RST,1.RTS,2.RTS", "rate units": "Current,Power", "password": "", "feature profiles":
    "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger", "connectors": "2",
}
ACCEPTED = {"status": "Accepted", "currentTime": TIME, "interval": 300}


def setting(name: str, value: str | None = None, readonly: bool = False) -> dict[str, Any]:
    """One configurationKey."""
    return {"key": name, "readonly": readonly, **({} if value is None else {"value": value})}


def every_key() -> list[dict[str, Any]]:
    """All keys of the standard, as a station may answer them."""
    found = []
    for name, key in keys().items():
        value = VALUES.get(key.codec) or VALUES[key.type]
        found.append(setting(name, None if key.access == "W" else value, key.access == "R"))
    return [{**one, "value": "58"} if one["key"] == "GetConfigurationMaxKeys" else one for one in found] + [
        setting("GetConfigurationMaxKeysOfVendor", "x"), setting("VendorThing", "v")]


def station16(listed: list[dict[str, Any]] | None = None, **options: Any) -> Bridged:
    """A link whose 1.6 station has booted and told its keys."""
    link = Bridged(options=options)
    boot16(link)
    link.answer(STATION, {"configurationKey": every_key() if listed is None else listed}, "GetConfiguration")
    return link


def boot16(link: Bridged, status: str = "Accepted") -> None:
    """It boots; a while later it is asked."""
    link.call(STATION, "BootNotification", BOOT)
    link.answer(CSMS, {**ACCEPTED, "status": status}, "BootNotification")
    link.wait(1.5)


def variable(component: str, name: str, evse: tuple[int, ...] = (), instance: str = "", **more: Any) -> dict[str, Any]:
    """Component and variable of an item."""
    where: dict[str, Any] = {"name": component}
    if evse:
        where["evse"] = dict(zip(("id", "connectorId"), evse, strict=False))
    return {"component": where, "variable": {"name": name, **({"instance": instance} if instance else {})}, **more}


def written(place: str, **more: Any) -> dict[str, Any]:
    """The same of "Component.Variable[Instance]"."""
    component, _, name = place.partition(".")
    name, _, instance = name.partition("[")
    return variable(component, name, (), instance.removesuffix("]"), **more)


def asked(link: Bridged, action: str, items: list[dict[str, Any]]) -> str:
    """The CSMS asks for or sets variables; gives the id."""
    return link.call(CSMS, action, {f"{action[0].lower()}{action[1:-1]}Data": items})


def results(link: Bridged, message_id: str) -> list[dict[str, Any]]:
    """The results of one of these."""
    payload = link.answered(message_id).payload
    found: list[dict[str, Any]] = payload.get("getVariableResult") or payload["setVariableResult"]
    return found


def serve(link: Bridged, said: Mapping[str, str | None], most: int = 1000) -> int:
    """The 1.6 station answers every GetConfiguration that is open from these values; gives how many there were."""
    count = 0
    while "GetConfiguration" in link.open[STATION].values():
        names = link.last(STATION, "GetConfiguration").payload["key"]
        assert len(names) <= most
        link.answer(STATION, {
            "configurationKey": [setting(name, said[name]) for name in names if name in said],
            "unknownKey": [name for name in names if name not in said]}, "GetConfiguration")
        count += 1
    return count


Held = Mapping[tuple[str, str, str], str | None]


def station201(
    rows: list[dict[str, Any]], held: Held | None = None, **options: Any,
) -> Bridged:
    """A link whose 2.0.1 station has booted and told its inventory; it answers from ``held`` what was not in it."""
    link = Bridged(DOWN, options)
    boot201(link)
    number = link.answer(STATION, {"status": "Accepted"}, "GetBaseReport").payload["requestId"]
    pages = [rows[at : at + 30] for at in range(0, len(rows), 30)] or [[]]
    for seq, page in enumerate(pages):
        link.call(STATION, "NotifyReport", {
            "requestId": number, "generatedAt": TIME, "seqNo": seq, "tbc": seq + 1 < len(pages),
            **({"reportData": page} if page else {})})
    serve201(link, held or {})
    return link


def boot201(link: Bridged) -> None:
    """It boots; the bridge's other wishes are refused."""
    link.call(STATION, "BootNotification", BOOT_201)
    link.answer(CSMS, ACCEPTED, "BootNotification")
    link.answer(CSMS, {}, "StatusNotification")
    serve201(link, {})
    link.wait(1.5)


def row(
    place: str, value: str | None, mutability: str = "ReadWrite", evse: tuple[int, ...] = (), most: int = 0,
) -> dict[str, Any]:
    """A row of a report."""
    attribute = {"mutability": mutability, **({} if value is None else {"value": value})}
    found = written(place, variableAttribute=[attribute])
    if evse:
        found["component"]["evse"] = dict(zip(("id", "connectorId"), evse, strict=False))
    if most:
        found["variableCharacteristics"] = {"dataType": "string", "supportsMonitoring": False, "maxLimit": most}
    return found


def serve201(link: Bridged, held: Held, set_as: Callable[[dict[str, Any]], str] = lambda item: "Rejected") -> None:
    """The 2.0.1 station answers every GetVariables and SetVariables that is open."""
    while (action := next(iter(link.open[STATION].values()), "")) in ("GetVariables", "SetVariables"):
        items = next(iter(link.last(STATION, action).payload.values()))
        found = []
        for item in items:
            same = {name: item[name] for name in ("component", "variable")}
            if action == "SetVariables":
                found.append({**same, "attributeStatus": set_as(item)})
                continue
            at = item["component"]["name"], item["variable"]["name"], item["variable"].get("instance", "")
            value = held.get(at)
            result = {**same, "attributeStatus": "Accepted" if at in held else "UnknownVariable"}
            found.append(result if value is None else {**result, "attributeValue": value})
        link.answer(STATION, {f"{action[0].lower()}{action[1:-1]}Result": found}, action)
