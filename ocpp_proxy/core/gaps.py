"""Behind a gap: the boundaries the relay names in its GAP record, and which of them is known to hold."""

from msgspec import structs

from ocpp_proxy.core.link_state import Direction, LinkState, OpenMessage
from ocpp_proxy.wire.deflate import Inflater
from ocpp_proxy.wire.frames import TEXT
from ocpp_proxy.wire.spool import Boundary

KEPT = 8                    # premises of one direction

def name(state: LinkState, boundary: Boundary) -> None:
    """The relay names a boundary of a link; those of an earlier gap, never reached, are forgotten."""
    direction = state.directions[boundary.direction]
    direction.resume = [*(one for one in direction.resume if one.end == boundary.end), boundary][-KEPT:]


def known_boundary(direction: Direction, offset: int) -> Boundary | None:
    """The boundary whose premise is true: a frame does begin where it says. ``offset``: where bytes come again.

    Up to the first lost byte frames were read, so it is known where the next one begins; nothing is guessed here.
    """
    named, direction.resume = direction.resume, []
    if direction.reader is None:
        return None
    ahead = direction.reader.ahead()
    begins, inside = (direction.offset + ahead[0], ahead[1]) if ahead is not None else (-1, False)
    for boundary in named:
        if boundary.end != offset:
            continue
        if boundary.opening:
            return boundary
        if begins in boundary.starts:
            told = boundary.starts.index(begins) < boundary.sure
            return structs.replace(boundary, inside=boundary.inside if told else inside)
    return None


def resume(direction: Direction, boundary: Boundary, inflater: Inflater | None) -> None:
    """The reader is in step again at the boundary; what was lost is not: a message around it is partial."""
    reader = direction.reader
    if reader is None or not reader.lost:
        return                              # the hole lay inside one frame
    reader.resume(boundary.rest, boundary.first, boundary.head, boundary.inside, boundary.closed)
    direction.message = OpenMessage(TEXT, False, cut="partial") if boundary.inside else None
    if inflater is not None:
        inflater.lose("gap")
