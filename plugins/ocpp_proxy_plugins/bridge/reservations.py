"""Reservations, both ways. A 1.6 station never tells that one is over: the bridge watches for it (2.0.1 H04)."""

from datetime import datetime
from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_TAG, Reservation
from ocpp_proxy_plugins.bridge.plain import refused, told_why
from ocpp_proxy_plugins.bridge.remote_down import has
from ocpp_proxy_plugins.bridge.work import Background, Work

MOST_RESERVATIONS = 100
LAST_NS = (1 << 63) - 1                     # of the year 2262: what is never over


def _until(text: object) -> int:
    """A time of a message in ns since the epoch; 0: it is none."""
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = datetime.fromisoformat(f"{text}+00:00")
        return min(int(moment.timestamp()) * 1_000_000_000, LAST_NS)
    except (ValueError, OverflowError):
        return 0


def _kept(desk: Desk, reservation: Reservation) -> tuple[Reservation, ...]:
    """Remember it; gives what was remembered before (one of the same number is replaced)."""
    before = desk.kept.reservations
    others = [one for one in before if one.reservation_id != reservation.reservation_id]
    desk.keep(reservations=(*others, reservation)[-MOST_RESERVATIONS:])
    return before


def _forget(desk: Desk, reservation_id: object) -> None:
    if any(one.reservation_id == reservation_id for one in desk.kept.reservations):
        desk.keep(reservations=tuple(one for one in desk.kept.reservations if one.reservation_id != reservation_id))


def reserve_up(desk: Desk, payload: dict[str, Any]) -> Work:
    """Without an EVSE connector 0: any."""
    evse, token = payload.get("evseId"), payload.get("idToken")
    number = 0 if evse is None else desk.connector(evse) if type(evse) is int else None
    if number is None:
        return told_why(desk, {"status": "Rejected"}, "the station has no such EVSE", "UnknownEvse")
    if payload.get("connectorType") is not None:
        desk.lost("$.connectorType", "connectors of OCPP 1.6 have no type")
    tag = desk.tag(token) if isinstance(token, dict) else ""
    if not tag:
        return told_why(desk, {"status": "Rejected"}, "the token has no counterpart in OCPP 1.6", "InvalidValue")
    made = desk.carry(payload, connectorId=number, idTag=tag)
    reservation_id = made.get("reservationId")
    if type(reservation_id) is int:
        _kept(desk, Reservation(reservation_id, number, _until(payload.get("expiryDateTime")), tag[:MOST_TAG]))
    got = yield from desk.ask(Side.STATION, "ReserveNow", made)
    if got.status != "Accepted":
        _forget(desk, reservation_id)
    if got.payload is None:
        return refused(desk, got)
    return told_why(desk, desk.carry_answer(got.payload), "the station refuses it")


def reserve_down(desk: Desk, payload: dict[str, Any]) -> Work:
    """Connector 0 is no EVSE."""
    connector, reservation_id = payload.get("connectorId"), payload.get("reservationId")
    made: dict[str, Any] = {}
    if connector != 0:
        if not isinstance(connector, int) or not has(desk, connector):
            return {"status": "Rejected"}
        made["evseId"] = desk.evse(connector)[0]
    if type(reservation_id) is int:
        until = _until(payload.get("expiryDate"))
        _kept(desk, Reservation(reservation_id, connector or 0, until, str(payload.get("idTag", ""))[:MOST_TAG]))
    got = yield from desk.ask(Side.STATION, "ReserveNow", desk.carry(payload, **made))
    if got.status != "Accepted":
        _forget(desk, reservation_id)
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def cancel(desk: Desk, payload: dict[str, Any]) -> Work:
    """As it comes; it is over when the station says so."""
    got = yield from desk.ask(Side.STATION, "CancelReservation", desk.carry(payload))
    if got.status == "Accepted":
        _forget(desk, payload.get("reservationId"))
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def tick_up(desk: Desk) -> None:
    """One whose time is over, and whose connector is Reserved no longer, has expired."""
    for one in desk.kept.reservations:
        if not one.until_ns or one.until_ns > desk.now_ns:
            continue
        if one.connector in [known.number for known in desk.kept.connectors if known.status == "Reserved"]:
            continue
        _forget(desk, one.reservation_id)
        desk.begin(_expired(desk.aside("ReserveNow"), one.reservation_id), "a reservation expired")


def tick_down(desk: Desk) -> None:
    """The station tells; what it did not tell of within an hour is forgotten."""
    for one in desk.kept.reservations:
        if one.until_ns and one.until_ns + 3_600_000_000_000 < desk.now_ns:
            _forget(desk, one.reservation_id)


def _expired(desk: Desk, reservation_id: int) -> Background:
    yield from desk.ask(Side.CSMS, "ReservationStatusUpdate", {
        "reservationId": reservation_id, "reservationUpdateStatus": "Expired"})


UP_CSMS = {"ReserveNow": reserve_up, "CancelReservation": cancel}
UP_TICKS = (tick_up,)
DOWN_CSMS = {"ReserveNow": reserve_down, "CancelReservation": cancel}
DOWN_TICKS = (tick_down,)
