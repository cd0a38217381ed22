"""GetVariables and SetVariables of a 2.0.1 CSMS on a 1.6 station: its keys, and what the bridge knows itself.

Every item is answered, in the order asked, before the deadline: what there was no time for is Rejected with the reason
``deadline``.
"""

from collections.abc import Generator, Mapping
from typing import Any

from msgspec import Struct

from ocpp_proxy.api import Answer, Ask
from ocpp_proxy_plugins.bridge import values
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.device_up import MOST_KEY, Said, ask_keys, by_name, device, renewed
from ocpp_proxy_plugins.bridge.model_up import ROTATION, VENDOR, Model, Row, access, homes, model
from ocpp_proxy_plugins.bridge.pace import DEADLINE, Pace
from ocpp_proxy_plugins.bridge.spots import of, shaped
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

MOST_READ = 2500                            # characters of a value that is read (2.0.1 GetVariableResultType)
MOST_WRITTEN = 500                          # and of one that is written (1.6 ChangeConfiguration)
UNKNOWN_VALUE = "BridgeUnknownValue"
OWN = "the setting belongs to the connection between station and proxy (option link_settings)"


class Outcome(Struct, frozen=True):
    """Of one item: its status, why it is no better, and its value."""

    status: str
    reason: str = ""
    why: str = ""
    value: str | None = None


def get_variables(desk: Desk, payload: dict[str, Any]) -> Work:
    """What a key holds is asked of the station, many at once."""
    wanted = payload.get("getVariableData")
    if not shaped(wanted):
        return Refusal("FormatViolation", "getVariableData is a list of components and variables")
    _leftovers(desk, payload, "getVariableData")
    here = model(desk)
    found = [_readable(here, item) for item in wanted]
    names = dict.fromkeys(one.key for one in found if isinstance(one, Row) and one.key)
    said = yield from ask_keys(desk, list(names), Pace(desk))
    results = []
    for item, one in zip(wanted, found, strict=True):
        outcome = _read(one, said) if isinstance(one, Row) else one
        result = _result(item, outcome)
        if outcome.value is not None:
            result["attributeValue"] = outcome.value
        results.append(result)
    return {"getVariableResult": results}


def _leftovers(desk: Desk, payload: dict[str, Any], name: str) -> None:
    """Tell what is carried nowhere: what vendors add."""
    for field in payload.keys() - {name}:
        desk.lost(f"$.{field[:60]}", "no such field in OCPP 1.6")
    for at, item in enumerate(payload[name]):
        for path, holder in (("", item), (".component", item["component"]), (".variable", item["variable"])):
            if "customData" in holder:
                desk.lost(f"$.{name}[{at}]{path}.customData", "no such field in OCPP 1.6")


def _readable(here: Model, item: Mapping[str, Any]) -> Row | Outcome:
    row = resolve(here, item)
    if isinstance(row, Outcome):
        return row
    if item.get("attributeType", "Actual") != "Actual":
        return Outcome("NotSupportedAttributeType")
    if row.mutability == "WriteOnly":
        return Outcome("Rejected", "WriteOnly", "it can only be written")
    return row


def _read(row: Row, said: Said) -> Outcome:
    value = row.value
    if row.key:
        if row.key not in said.settings:
            if said.failed is not None and not said.failed.timeout:
                return Outcome("Rejected", "InternalError", f"the station: {said.failed.why}")
            return Outcome("Rejected", DEADLINE, "the station did not answer in time")
        setting = said.settings[row.key]
        if setting is None:
            return Outcome("UnknownVariable", "NotFound", f"the station has no {row.key}")
        value = row.read(setting)
        if value is None and row.known is None:
            value = ""
    if value is None:
        return Outcome("Rejected", UNKNOWN_VALUE, "OCPP 1.6 does not tell it")
    if len(value) > MOST_READ:
        return Outcome("Rejected", "TooLargeElement", f"{len(value)} characters")
    return Outcome("Accepted", value=value)


def resolve(here: Model, item: Mapping[str, Any]) -> Row | Outcome:
    """The row that an item is about; else why there is none. Keys that the station did not name are tried all the same."""
    spot = of(item)
    at, evse = spot.place, spot.evse
    if item["component"].get("instance"):
        return Outcome("UnknownComponent", "NotFound")
    row = here.rows.get(spot.id)
    key = homes().get(spot.id) if row is None or row.empty else None
    if key is not None and key.home is not None:
        return Row(key.home, None, access(key, None), key=key.name, known=key)
    if row is not None:
        return row
    vendor = at.component.casefold() == VENDOR.casefold() and not evse
    if vendor and at.instance is None and len(at.variable) <= MOST_KEY and at.variable.casefold() not in by_name():
        return Row(at, None, "ReadWrite", key=at.variable)
    if vendor or (at.component.casefold(), evse, spot.conn) in here.components:
        return Outcome("UnknownVariable", "NotFound")
    return Outcome("UnknownComponent", "NotFound")


def _result(item: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Component and variable as they were asked for, and the status."""
    result: dict[str, Any] = {"attributeStatus": outcome.status}
    if "attributeType" in item:
        result["attributeType"] = item["attributeType"]
    for name in ("component", "variable"):
        result[name] = {field: value for field, value in item[name].items() if field != "customData"}
    if outcome.reason:
        info = {"reasonCode": outcome.reason[:20]}
        if outcome.why:
            info["additionalInfo"] = outcome.why[:512]
        result["attributeStatusInfo"] = info
    return result


# ---- writing ----

def set_variables(desk: Desk, payload: dict[str, Any]) -> Work:
    """One ChangeConfiguration after the other, in the order asked."""
    wanted = payload.get("setVariableData")
    if not shaped(wanted):
        return Refusal("FormatViolation", "setVariableData is a list of components, variables and values")
    _leftovers(desk, payload, "setVariableData")
    here = model(desk)
    pace = Pace(desk)
    results = []
    for at, item in enumerate(wanted):
        row = _writable(desk, here, item)
        outcome = row if isinstance(row, Outcome) else (yield from _written(desk, pace, row, item["attributeValue"]))
        if outcome.status == "Rejected" and outcome.reason == DEADLINE:
            desk.lost(f"$.setVariableData[{at}]", outcome.why)
        results.append(_result(item, outcome))
    return {"setVariableResult": results}


def _writable(desk: Desk, here: Model, item: Mapping[str, Any]) -> Row | Outcome:
    """The row that may be written; else why the station is not asked."""
    row = resolve(here, item)
    if isinstance(row, Outcome):
        return row
    if item.get("attributeType", "Actual") != "Actual":
        return Outcome("NotSupportedAttributeType")
    if row.known is not None and row.known.owner == "link" and desk.options.link_settings == "refuse":
        return Outcome("Rejected", "NotEnabled", OWN)
    if row.mutability == "ReadOnly" or not row.key:
        return Outcome("Rejected", "ReadOnly", "it cannot be written")
    value = item.get("attributeValue")
    if not isinstance(value, str):
        return Outcome("Rejected", "InvalidValue", "no text")
    return row


def _written(desk: Desk, pace: Pace, row: Row, value: str) -> Generator[Ask, Answer | None, Outcome]:
    if row.known is not None and row.known.name == ROTATION and device(desk).value(row.key) is None and not pace.over:
        yield from ask_keys(desk, [row.key], pace)          # it holds those of the other connectors too
    text = _text(desk, row, value)
    if text is None:
        return Outcome("Rejected", "InvalidValue", "OCPP 1.6 has no such value")
    if len(text) > MOST_WRITTEN:
        return Outcome("Rejected", "TooLargeElement", f"OCPP 1.6 has at most {MOST_WRITTEN} characters")
    if pace.over:
        return Outcome("Rejected", DEADLINE, "there was no time to ask the station: it was not set")
    got = yield from pace.ask("ChangeConfiguration", {"key": row.key, "value": text})
    return _changed(desk, row, text, got)


def _text(desk: Desk, row: Row, value: str) -> str | None:
    """The value of the key, if the variable is to have this one."""
    if row.known is None:
        return value
    if row.known.name == ROTATION:
        held = values.rotations(device(desk).value(row.key) or "")
        return values.rotation_list({**held, row.number: value})
    return values.down(row.known, value, device(desk).phases.get(row.known.name, ()))


def _changed(desk: Desk, row: Row, text: str, got: Got) -> Outcome:
    if got.timeout:
        return Outcome("Rejected", DEADLINE, "the station did not answer in time: whether it was set is not known")
    if got.payload is None:
        return Outcome("Rejected", "InternalError", f"the station: {got.why}")
    status = desk.enum("Set16>201", got.status)
    if status in ("Accepted", "RebootRequired"):
        renewed(desk, row.key, text)
        return Outcome(status)
    if status == "UnknownVariable":
        return Outcome(status, "NotFound", f"the station has no {row.key}")
    return Outcome("Rejected", "InvalidValue" if got.status == "Rejected" else "Unspecified", "the station refuses it")


UP_CSMS = {"GetVariables": get_variables, "SetVariables": set_variables}
