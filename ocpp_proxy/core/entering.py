"""A charger dials: its plugins are asked, from station to CSMS, before the CSMS is dialled.

Each sees as ``offered`` what those before it offer. The first ``Refuse`` or ``Redirect`` decides; of several ``answer`` the one
nearest to the station counts, of several ``upstream`` the one nearest to the CSMS. A plugin that fails lets it in as
it is, or refuses it, as ``on_error`` says.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, structs

from ocpp_proxy.api import Admit, Opening, Redirect, Refuse
from ocpp_proxy.core.seats import FAILED, Seat, words

FAILED_STATUS = 503
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}").fullmatch      # RFC 9110 5.6.2
MOST_OFFERED = 32


class Entered(Struct, frozen=True):
    """What they decided. ``offer`` and ``answer`` as ``api.Admit``, each with who said so last.

    ``status``: of a refusal, else 0, with ``plugin`` and ``reason``; ``upstream``: where it is led instead, by ``plugin``.
    """

    offer: tuple[str, ...] | None = None
    offered_by: str = ""
    answer: str | None = None
    answered_by: str = ""
    status: int = 0
    upstream: str = ""
    plugin: str = ""
    reason: str = ""

    def protocol(self, chosen: str) -> str:
        """The subprotocol that the station is told, where the CSMS chose this one."""
        return chosen if self.answer is None else self.answer


def enter(
    seats: Iterable[Seat], opening: Opening, cannot: Callable[[str], str], after: Callable[[Seat], object],
) -> Entered:
    """Ask them. ``cannot``: why a URL is no upstream (empty: it is one); ``after`` is called behind each hook."""
    entered = Entered()
    for seat in seats:
        if "on_open" not in seat.hooks or seat.off:
            continue
        offered = entered.offer if entered.offer is not None else opening.offered
        seat.opening = True
        given = seat.call("on_open", seat.plugin.on_open, seat.context, structs.replace(opening, offered=offered))
        seat.opening = False
        why = "" if given is FAILED else _unfit(given, cannot)
        if why:
            given = seat.fail(why)
        after(seat)
        match given:
            case Admit():
                entered = _admitted(entered, given, seat.name)
            case Refuse():
                return structs.replace(entered, status=given.status, plugin=seat.name, reason=words(given.reason))
            case Redirect():
                return structs.replace(entered, upstream=given.upstream, plugin=seat.name)
            case _ if seat.on_error != "pass":
                return structs.replace(entered, status=FAILED_STATUS, plugin=seat.name, reason="the plugin failed")
    return entered


def _admitted(entered: Entered, given: Admit, name: str) -> Entered:
    if given.offer is not None:
        entered = structs.replace(entered, offer=given.offer, offered_by=name)
    if given.answer is not None and entered.answer is None:
        entered = structs.replace(entered, answer=given.answer, answered_by=name)
    if given.upstream:
        entered = structs.replace(entered, upstream=given.upstream, plugin=name)
    return entered


def _is_token(name: object) -> bool:
    return isinstance(name, str) and _TOKEN(name) is not None


def _unfit(given: Any, cannot: Callable[[str], str]) -> str:
    """Why that is no answer to a charger that dials; empty when it is one."""
    match given if issubclass(type(given), (Admit, Refuse, Redirect)) else None:      # isinstance would ask the object
        case Admit():
            offer, answer = given.offer, given.answer
            why = cannot(given.upstream) if given.upstream and isinstance(given.upstream, str) else ""
            if why or not isinstance(given.upstream, str):
                return f"gave an Admit that leads nowhere: {why or 'it is no text'}"
            fits = offer is None or (type(offer) is tuple and len(offer) <= MOST_OFFERED and all(map(_is_token, offer)))
            if fits and (answer is None or answer == "" or _is_token(answer)):
                return ""
            return f"gave an Admit of {offer!r} and {answer!r}, which are no subprotocols"
        case Refuse():
            fits = type(given.status) is int and 400 <= given.status <= 599
            return "" if fits else f"gave a Refuse with status {given.status!r}, which is not one from 400 to 599"
        case Redirect():
            why = cannot(given.upstream) if isinstance(given.upstream, str) else "it is no text"
            return f"gave a Redirect: {why}" if why else ""
    return f"gave {type(given).__name__} to a charger that dials"
