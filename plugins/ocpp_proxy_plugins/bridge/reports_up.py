"""Reports of a 1.6 station's device model to a 2.0.1 CSMS: accepted at once, then told page by page.

One page is under way at a time, and one report of a link; it ends when a page is not answered.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.device_up import device, discover, fetched
from ocpp_proxy_plugins.bridge.model_up import VALUES, Row, model
from ocpp_proxy_plugins.bridge.plain import told_why
from ocpp_proxy_plugins.bridge.spots import each
from ocpp_proxy_plugins.bridge.tables import Place, Variable, variables
from ocpp_proxy_plugins.bridge.work import Background, Refusal, Work

MOST_ROWS = 25                              # of a page
MOST_BYTES = 8192                           # of a page
FRESH_NS = 300_000_000_000                  # how old the values of a report may be
_RUNNING = "reports.running"                # in ``Session.notes``: the requestId of the report that is under way
_ENVELOPE = 200                             # bytes of a page besides its rows
_LISTS = ("OptionList", "SequenceList", "MemberList")
_PLAIN = {"passwordString": "string", "identifierString": "string"}
Wanted = Callable[[Row], bool]


def get_base_report(desk: Desk, payload: dict[str, Any]) -> Work:
    """ConfigurationInventory: what can be set; SummaryInventory: how station, EVSEs and connectors are; else all."""
    kinds: dict[str, Wanted] = {
        "ConfigurationInventory": lambda row: row.mutability != "ReadOnly",
        "SummaryInventory": lambda row: row.place.variable in ("AvailabilityState", "Problem"),
        "FullInventory": lambda row: True,
    }
    base = payload.get("reportBase")
    wanted = kinds.get(base) if isinstance(base, str) else None
    if wanted is None:
        return told_why(desk, {"status": "NotSupported"}, "no such report", "UnsupportedParam")
    return (yield from _report(desk, payload, wanted))


def get_report(desk: Desk, payload: dict[str, Any]) -> Work:
    """The variables asked for, of the components that fit the criteria."""
    return (yield from _report(desk, payload, _chosen(desk, payload)))


def _report(desk: Desk, payload: dict[str, Any], wanted: Wanted) -> Work:
    request_id = payload.get("requestId")
    if type(request_id) is not int:
        return Refusal("OccurrenceConstraintViolation", "requestId is missing")
    if _RUNNING in desk.link.notes:
        return told_why(desk, {"status": "Rejected"}, "another report is under way", "TooManyElements")
    if not fetched(desk):
        desk.link.notes[_RUNNING] = request_id
        try:
            yield from discover(desk)
        finally:
            del desk.link.notes[_RUNNING]
    if not any(map(wanted, model(desk).rows.values())):
        return told_why(desk, {"status": "EmptyResultSet"}, "no variable is like that", "NotFound")
    desk.link.notes[_RUNNING] = request_id
    desk.begin(_pages(desk.aside("NotifyReport"), request_id, wanted), "the pages of the report")
    return {"status": "Accepted"}


def _pages(desk: Desk, request_id: int, wanted: Wanted) -> Background:
    try:
        if fetched(desk) and desk.now_ns - device(desk).at_ns > FRESH_NS:
            yield from discover(desk)
        now = desk.now()
        pages = list(paged([_data(row) for row in model(desk).rows.values() if wanted(row)]))
        for seq, page in enumerate(pages):
            message = {"requestId": request_id, "generatedAt": now, "seqNo": seq, "tbc": seq + 1 < len(pages)}
            if page:
                message["reportData"] = page
            got = yield from desk.ask(Side.CSMS, "NotifyReport", message)
            if got.payload is None:
                text = f"report {request_id} ended at page {seq + 1} of {len(pages)}: {got.why}"
                desk.find("report", text[:300], "warning", "csms")
                return
    finally:
        desk.link.notes.pop(_RUNNING, None)


def paged(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows in pages of at most ``MOST_ROWS`` and ``MOST_BYTES``; at least one page."""
    page: list[dict[str, Any]] = []
    size = _ENVELOPE
    for row in rows:
        length = len(msgspec.json.encode(row)) + 1
        if page and (len(page) == MOST_ROWS or size + length > MOST_BYTES):
            yield page
            page, size = [], _ENVELOPE
        page.append(row)
        size += length
    yield page


# ---- rows ----

def _data(row: Row) -> dict[str, Any]:
    """A row as a report has it."""
    at = row.place
    component: dict[str, Any] = {"name": at.component}
    if row.evse:
        component["evse"] = {"id": row.evse, **({"connectorId": row.conn} if row.conn else {})}
    attribute: dict[str, Any] = {"type": "Actual", "mutability": row.mutability}
    if row.value is not None and row.mutability != "WriteOnly" and len(row.value) <= 2500:
        attribute["value"] = row.value
    return {
        "component": component,
        "variable": {"name": at.variable, **({"instance": at.instance} if at.instance is not None else {})},
        "variableAttribute": [attribute],
        "variableCharacteristics": _characteristics(row),
    }


def _characteristics(row: Row) -> dict[str, Any]:
    at = row.place
    known = variables().get(at) or variables().get(Place("*", at.variable)) or Variable(at, _guessed(row), "", False)
    kind = _PLAIN.get(known.type, known.type)
    found: dict[str, Any] = {"dataType": kind, "supportsMonitoring": False}
    if known.unit:
        found["unit"] = known.unit.partition(",")[0]
    if row.most is not None:
        found["maxLimit"] = row.most
    if kind in _LISTS:
        found["valuesList"] = (VALUES.get(at.variable) or row.value or "")[:1000]
    return found


def _guessed(row: Row) -> str:
    """The type of what is no standard variable; a vendor's key may hold anything."""
    kind = "" if row.known is None else row.known.type
    return {"bool": "boolean", "int": "integer"}.get(kind, "string")


# ---- GetReport ----

def _chosen(desk: Desk, payload: dict[str, Any]) -> Wanted:
    criteria = [one for one in each(payload.get("componentCriteria")) if isinstance(one, str)]
    named = [one for one in each(payload.get("componentVariable")) if isinstance(one, dict)]
    flags = {row.id: row.value for row in model(desk).rows.values()}

    def fits(row: Row) -> bool:
        if criteria and not any(_is(flags, row, name) for name in criteria):
            return False
        return not named or any(_names(one, row) for one in named)

    return fits


def _is(flags: dict[Any, str | None], row: Row, name: str) -> bool:
    """Whether its component is Active, Available, Enabled; without such a variable it is. Problem has to be said."""
    component, evse, conn = row.id[:3]
    value = flags.get((component, evse, conn, name.casefold(), ""))
    return value == "true" if value is not None else name != "Problem"


def _names(wish: dict[str, Any], row: Row) -> bool:
    """Whether that is what was named; what was not named may be any."""
    component, variable = wish.get("component"), wish.get("variable")
    if not isinstance(component, dict) or str(component.get("name")).casefold() != row.id[0] or component.get("instance"):
        return False
    evse = component.get("evse")
    if isinstance(evse, dict) and (evse.get("id") != row.evse or evse.get("connectorId", row.conn) != row.conn):
        return False
    if not isinstance(variable, dict):
        return True
    instance = variable.get("instance")
    return str(variable.get("name")).casefold() == row.id[3] and instance in (None, row.place.instance)


UP_CSMS = {"GetBaseReport": get_base_report, "GetReport": get_report}
