"""Owns the tokens of a 1.6 station: whether they are authorised, and on which EVSEs (1.6 has no field for that)."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.work import Work

MOST_REMEMBERED = 200                       # tokens of a link that are restricted to some EVSEs
_NOTE = "evses"


def authorize(desk: Desk, payload: dict[str, Any]) -> Work:
    """As its table has it; a token for EVSEs that the station does not have is Invalid."""
    got = yield from desk.ask(Side.CSMS, "Authorize", desk.carry(payload, "Authorize"))
    if got.payload is None:
        return refused(desk, got)
    answer = desk.carry_answer(got.payload, "Authorize")
    evses = _evses(got.payload.get("idTokenInfo"))
    _remember(desk, str(payload.get("idTag")), evses)
    known = {connector.evse for connector in desk.kept.connectors if connector.number}
    if evses and known and known.isdisjoint(evses):
        answer["idTagInfo"] = {"status": "Invalid"}
    return answer


def allowed(desk: Desk, tag: str, evse: int, info: object) -> bool:
    """Whether a token may charge on an EVSE: by what is said of it now, else by what was said when it was authorised.

    ``evse`` 0: nobody knows which.
    """
    evses = _evses(info) or desk.link.notes.get(_NOTE, {}).get(tag.casefold(), ())
    return not evses or not evse or evse in evses


def _evses(info: object) -> tuple[int, ...]:
    """The EVSEs that a token is restricted to; () for all."""
    found = info.get("evseId") if isinstance(info, dict) else None
    return tuple(one for one in found if isinstance(one, int)) if isinstance(found, list) else ()


def _remember(desk: Desk, tag: str, evses: tuple[int, ...]) -> None:
    known: dict[str, tuple[int, ...]] = desk.link.notes.setdefault(_NOTE, {})
    known.pop(tag.casefold(), None)
    if evses:
        known[tag.casefold()] = evses
        while len(known) > MOST_REMEMBERED:
            del known[next(iter(known))]


UP_STATION = {"Authorize": authorize}
