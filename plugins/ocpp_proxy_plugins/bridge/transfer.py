"""DataTransfer, both ways: text in 1.6, any value in 2.0.1; what the other version has a message for becomes that message."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import pnc
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.rows_down import running
from ocpp_proxy_plugins.bridge.work import Work

UPWARDS = ("Authorize", "Get15118EVCertificate", "GetCertificateStatus", "SignCertificate")
DOWNWARDS = ("CertificateSigned", "DeleteCertificate", "GetInstalledCertificateIds", "InstallCertificate", "TriggerMessage")
_COSTS = ("RunningCost", "FinalCost")


def from_1_6_station(desk: Desk, payload: dict[str, Any]) -> Work:
    """Plug & Charge becomes what 2.0.1 has for it; everything else goes as text."""
    action = payload.get("messageId")
    if payload.get("vendorId") == pnc.VENDOR and action in UPWARDS:
        made: dict[str, Any] = {}
        inner = pnc.value(payload.get("data")) or {}
        if action == "SignCertificate":
            made["certificateType"] = "V2GCertificate"
        elif action == "Authorize" and isinstance(inner.get("idToken"), str):
            made["idToken"] = {"idToken": inner["idToken"], "type": "eMAID"}
        return (yield from pnc.unwrapped(desk, Side.CSMS, action, payload.get("data"), **made))
    return (yield from _passed(desk, payload))


def to_2_0_1_station(desk: Desk, payload: dict[str, Any]) -> Work:
    """Costs and Plug & Charge become what 2.0.1 has for them."""
    vendor, action = payload.get("vendorId"), payload.get("messageId")
    if vendor == pnc.VENDOR and action in DOWNWARDS:
        made = {"certificateType": "V2GCertificate"} if action == "CertificateSigned" else {}
        return (yield from pnc.unwrapped(desk, Side.STATION, action, payload.get("data"), **made))
    if vendor == pnc.COSTS and action in _COSTS:
        return (yield from _cost(desk, pnc.value(payload.get("data")) or {}))
    return (yield from _passed(desk, payload))


def _cost(desk: Desk, data: dict[str, Any]) -> Work:
    uid = next((tx.uid for tx in running(desk) if tx.tid == data.get("transactionId")), None)
    cost = data.get("cost")
    if uid is None or type(cost) not in (int, float):
        return {"status": "Rejected"}
    for name in data:
        if name not in ("cost", "transactionId"):
            desk.lost(f"$.data.{name}", "CostUpdated of 2.0.1 has the sum only")
    got = yield from desk.ask(Side.STATION, "CostUpdated", {"totalCost": cost, "transactionId": uid})
    return {"status": "Accepted" if got.payload is not None else "Rejected"}


def _passed(desk: Desk, payload: dict[str, Any]) -> Work:
    """As it is: towards 1.6 as text."""
    other = desk.sender.other
    made: dict[str, Any] = {}
    if "data" in payload:
        made["data"] = pnc.text(payload["data"]) if desk.version(other) == "1.6" else payload["data"]
    got = yield from desk.ask(other, "DataTransfer", desk.carry(payload, **made))
    if got.payload is None:
        return refused(desk, got)
    back: dict[str, Any] = {}
    if "data" in got.payload:
        back["data"] = pnc.text(got.payload["data"]) if desk.version(desk.sender) == "1.6" else got.payload["data"]
    return desk.carry_answer(got.payload, **back)


UP_STATION = {"DataTransfer": from_1_6_station}
UP_CSMS = {"DataTransfer": _passed}
DOWN_STATION = {"DataTransfer": _passed}
DOWN_CSMS = {"DataTransfer": to_2_0_1_station}
