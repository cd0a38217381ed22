"""What a 2.0.1 station says about a transaction, and a link on which it says it to a 1.6 CSMS: for the tests of direction B."""

from typing import Any

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged, Told

UID = "6b1f6c1e-3a52-4a39-8a7d-1d2f6f3f0001"
TOKEN = {"idToken": "04AABBCC", "type": "ISO14443"}
REGISTER = "Energy.Active.Import.Register"
ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


def at(minutes: int) -> str:
    """A time of the transaction."""
    return f"2027-01-15T08:{minutes:02d}:00.000Z"


def sample(value: float, context: str = "", **more: Any) -> dict[str, Any]:
    """A sampledValue; by default of the energy register in Wh."""
    return {"value": value, "measurand": REGISTER, **({"context": context} if context else {}), **more}


def meter(minutes: int, *samples: dict[str, Any]) -> list[dict[str, Any]]:
    """A meterValue list of one time."""
    return [{"timestamp": at(minutes), "sampledValue": list(samples)}]


def event(
    kind: str, seq: int, minutes: int, trigger: str = "", state: str = "", uid: str = UID, info: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A TransactionEvent."""
    usual = {"Started": "Authorized", "Updated": "MeterValuePeriodic", "Ended": "StopAuthorized"}
    return {
        "eventType": kind, "seqNo": seq, "timestamp": at(minutes), "triggerReason": trigger or usual[kind],
        "transactionInfo": {"transactionId": uid, **({"chargingState": state} if state else {}), **(info or {})}, **more,
    }


def linked(options: dict[str, Any] | None = None, state: Any = None) -> Bridged:
    """A link of direction B."""
    return Bridged(DOWN, options, state)


def said(link: Bridged, payload: dict[str, Any]) -> str:
    """The station sends a TransactionEvent; gives its id."""
    return link.call(STATION, "TransactionEvent", payload)


def statuses(link: Bridged) -> list[tuple[int, str]]:
    """Connector and status of each StatusNotification that the CSMS got."""
    return [(one["connectorId"], one["status"]) for one in link.calls(CSMS, "StatusNotification")]


def quiet(link: Bridged) -> None:
    """The CSMS answers the StatusNotifications that are open towards it."""
    while "StatusNotification" in link.open[CSMS].values():
        link.answer(CSMS, {}, "StatusNotification")


def started(
    link: Bridged, tid: int = 77, uid: str = UID, seq: int = 0, evse: int = 1, conn: int = 1, **more: Any,
) -> Told:
    """A transaction begins as in 1.6: authorised, plugged in, 1000 Wh; the answer that the station got."""
    more = {"meterValue": meter(0, sample(1000, "Transaction.Begin")), "idToken": TOKEN, **more}
    asked = said(link, event("Started", seq, 0, state="Charging", uid=uid, evse={"id": evse, "connectorId": conn}, **more))
    link.answer(CSMS, {"transactionId": tid, **ACCEPTED}, "StartTransaction")
    quiet(link)
    return link.answered(asked)
