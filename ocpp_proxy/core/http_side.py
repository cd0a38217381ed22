"""The HTTP half of a link: heads waiting for answers, what a handshake brought, when a tunnel begins."""

from typing import cast

from msgspec import structs

from ocpp_proxy.core.link_state import Asked, Direction, LinkState, Seen
from ocpp_proxy.model import IdentitySource, Side
from ocpp_proxy.records import Handshake
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy.wire.deflate import InflaterState, agreement
from ocpp_proxy.wire.frames import FrameReader
from ocpp_proxy.wire.http import parse_request, parse_response
from ocpp_proxy.wire.http_body import BodyReader
from ocpp_proxy.wire.spool import Head


def begin_body(state: LinkState, direction: Direction, head: Head) -> bool:
    """Set up the reader of the body behind a head; True when there is none."""
    if direction.side is Side.STATION:
        request_head = parse_request(head.raw)
        direction.body = BodyReader(request_head.body, request_head.length)
    else:
        response = parse_response(head.raw, state.asked[0].method if state.asked else "GET")
        direction.body = BodyReader(response.body, response.length)
    return direction.body.ended


MAX_ASKED = 256             # requests of one link that wait for an answer


def request(state: LinkState, head: Head, frame_id: int, stamp: Seen) -> list[Handshake]:
    """A request head came: remember it until its answer, and note what it says about the link.

    Gives the handshakes of requests that waited so long that nobody will answer them.
    """
    read = parse_request(head.raw)
    problems = tuple(dict.fromkeys((*head.problems, *read.problems, *read.ambiguous)))
    state.asked.append(Asked(frame_id, stamp.mono_ns, read.method, read.upgrade, problems, head.repairs))
    state.link = structs.replace(
        state.link, identity=head.identity, identity_source=cast(IdentitySource, head.identity_source),
        upstream=head.upstream, target=head.target or read.target_text, offered=read.offered,
        csms_tls=head.csms_tls or state.link.csms_tls,
    )
    late, state.asked = state.asked[:-MAX_ASKED], state.asked[-MAX_ASKED:]
    return _unanswered(state, late, stamp)


def answer(state: LinkState, head: Head, frame_id: int, stamp: Seen) -> Handshake | None:
    """An answer head came. None for an interim answer (1xx other than 101); a 101 opens the tunnel."""
    read = parse_response(head.raw, state.asked[0].method if state.asked else "GET")
    status = head.status or read.status
    if 100 <= status < 200 and status != 101:
        return None
    asked = state.asked.pop(0) if state.asked else None
    problems = (*(asked.problems if asked else ()), *head.problems, *read.problems, *read.ambiguous)
    protocol, csms_protocol = _spoken(head, read.protocol)
    state.link = structs.replace(
        state.link, protocol=protocol, csms_protocol=csms_protocol, extensions=read.extensions, status=status,
        handshake_ms=round((stamp.mono_ns - asked.mono_ns) / 1e6, 3) if asked else 0.0,
        csms_tls=head.csms_tls or state.link.csms_tls,
    )
    if status == 101:
        open_tunnel(state, read.extensions)
    return Handshake(
        stamp.time_ns, state.link, asked.frame_id if asked else 0, frame_id,
        (*(asked.repairs if asked else ()), *head.repairs), tuple(dict.fromkeys(problems)), asked is None or asked.upgrade,
    )


def _spoken(head: Head, chosen: str) -> tuple[str, str]:
    """The subprotocol the station was told and the one the CSMS chose, where these are two OCPP versions: then a bridge stands
    between. Else the one that was chosen; a station that was told none speaks what was agreed for it.
    """
    told = parse_response(head.sent).protocol if head.sent else ""
    known, other = version_of(told), version_of(chosen)
    return (told, chosen) if known and other and known != other else (chosen, "")


def open_tunnel(state: LinkState, extensions: str) -> None:
    """From here on both directions are frames."""
    agreed = agreement(extensions)
    for direction in state.directions:
        station = direction.side is Side.STATION
        direction.reader = FrameReader(station, agreed is not None)
        direction.body = None
        if agreed is not None:
            takeover = agreed.station_takeover if station else agreed.csms_takeover
            direction.inflater = InflaterState(takeover)


def assume_tunnel(state: LinkState) -> bool:
    """Bytes are missing where an answer head should be: decide that both directions are frames from here on.

    So after an upgrade request, and on a link of which no head was seen; False: HTTP goes on.
    """
    headless = not state.asked and all(direction.body is None for direction in state.directions)
    if not headless and not any(asked.upgrade for asked in state.asked):
        return False
    open_tunnel(state, "")
    for direction in state.directions:
        direction.inflater = InflaterState(True, lost="gap")
        if direction.reader is not None:
            direction.reader.deflate = True
    return True


def unanswered(state: LinkState, stamp: Seen) -> list[Handshake]:
    """What a link's end says about requests that never got an answer."""
    return _unanswered(state, state.asked, stamp)


def _unanswered(state: LinkState, waiting: list[Asked], stamp: Seen) -> list[Handshake]:
    link = structs.replace(state.link, status=0)
    return [
        Handshake(stamp.time_ns, link, asked.frame_id, 0, asked.repairs, asked.problems, asked.upgrade) for asked in waiting
    ]
