"""Monitors of a 2.0.1 CSMS on a 1.6 station: there are none, and each item is told so."""

from typing import Any

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.work import Refusal, Work

_NO_MONITORS = "OCPP 1.6 has no monitors"
_SAME = ("type", "severity", "component", "variable")


def set_variable_monitoring(desk: Desk, payload: dict[str, Any]) -> Work:
    """UnsupportedMonitorType for each, in the order asked."""
    items = payload.get("setMonitoringData")
    if not isinstance(items, list):
        return Refusal("OccurrenceConstraintViolation", "setMonitoringData is missing")
    if (refusal := _none(desk)) is not None:
        return refusal
    info = {"reasonCode": "UnsupportedRequest", "additionalInfo": _NO_MONITORS}
    return {"setMonitoringResult": [
        {**{name: item[name] for name in _SAME if name in item}, "status": "UnsupportedMonitorType", "statusInfo": info}
        for item in items if isinstance(item, dict)
    ]}
    yield


def clear_variable_monitoring(desk: Desk, payload: dict[str, Any]) -> Work:
    """NotFound for each."""
    ids = payload.get("id")
    if not isinstance(ids, list):
        return Refusal("OccurrenceConstraintViolation", "id is missing")
    if (refusal := _none(desk)) is not None:
        return refusal
    return {"clearMonitoringResult": [{"id": one, "status": "NotFound"} for one in ids]}
    yield


def _none(desk: Desk) -> Refusal | None:
    desk.lost("$", f"{_NO_MONITORS}: answered by the bridge")
    return Refusal("NotSupported", _NO_MONITORS) if desk.options.strict else None


UP_CSMS = {"SetVariableMonitoring": set_variable_monitoring, "ClearVariableMonitoring": clear_variable_monitoring}
