"""The two legs of a bridged link: on which one a message was said, and which one's Call an answer belongs to."""

from ocpp_proxy.checks.judge import OURS
from ocpp_proxy.checks.state import Direction, LinkState
from ocpp_proxy.core.exchanges import knows


def leg_of(link: LinkState, place: int, verdict: str) -> LinkState:
    """The leg that a message in that direction was said on: the sender's if it was received, the other one if we made it."""
    far = link.far
    return far if far is not None and (place == 1) != (verdict in OURS) else link


def called(link: LinkState, leg: LinkState, place: int, message_id: str) -> LinkState:
    """The leg with the Call of that side that an answer on ``leg`` belongs to: the same, unless the Call passed as it was."""
    if knows(leg.directions[place], message_id):
        return leg
    return next((other for other in link.legs if knows(other.directions[place], message_id)), leg)


def caller(link: LinkState, place: int, message_id: str) -> Direction:
    """The Calls of that side, on the leg where one of that id was made."""
    return called(link, link, place, message_id).directions[place]
