"""Frame mode in the capture: which frames a plugin's verdict is about, and which frames ours were made from.

The relay names a message by where its last frame ends in the received bytes of its direction: in the offset of a DISP record,
which comes before the IN record that completes the message, and of the OUT record made from it, which comes behind. An OUT
without such a place was made from nothing: injected.
"""

from collections.abc import Iterator

from msgspec import structs

from ocpp_proxy.core.link_state import Direction, MadeFrom, OpenMessage, Seen, Told
from ocpp_proxy.model import Frame, Link
from ocpp_proxy.records import FrameSeen, Note, Source
from ocpp_proxy.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, WireFrame
from ocpp_proxy.wire.spool import Disposition

CONTROLS = (CLOSE, PING, PONG)
TRANSLATED, REPLACED = "translated", "replaced"
INFLATED = "inflated"           # the same text left, only no longer compressed: nothing became of the message
UNTOLD = (INFLATED, TRANSLATED)                 # what needs no note: the frames and their causes say it all
MOST_TOLD = 256                 # verdicts of messages that have not come yet
MOST_MADE = 64                  # messages remembered for what is made from them
MOST_FRAMES = 64                # frames named of one message: the first ones and the last


def disposed(direction: Direction, at: int, body: Disposition) -> bool:
    """Remember the verdict on the message that will end at ``at``; False when none will (it is a remark, then).

    ``translated`` of a message that has come is said of what comes next: a translation of it (0: of one of the other side).
    """
    if body.what == TRANSLATED and at <= direction.offset:
        direction.translations = [*direction.translations[1 - MOST_TOLD :], at]
        return True
    if direction.reader is None or at <= direction.offset:
        return False
    direction.told[at] = Told(body.what, body.plugin, body.reason)
    if len(direction.told) > MOST_TOLD:
        del direction.told[next(iter(direction.told))]
    return True


def follow_frames(direction: Direction, before: OpenMessage | None, opcode: int, frame_id: int) -> None:
    """Remember the frames of the message that is open now."""
    message = direction.message
    if message is None or (message is before and opcode != CONTINUATION):
        return
    if len(message.frames) >= MOST_FRAMES:
        message.frames[-1] = frame_id
    else:
        message.frames.append(frame_id)


def settle(
    direction: Direction, begun: list[int], wires: list[WireFrame], out: list[Source], link: Link, stamp: Seen,
) -> None:
    """Put the verdicts that were told on the frames just given: ``wires``, the last ones of ``out``.

    ``begun``: frames of the message that was open before them.
    """
    link_id = link.link_id
    first, ids, notes = len(out) - len(wires), begun, list[Note]()
    for place, wire, end in _ends(direction, wires):
        seen = out[first + place]
        if wire.opcode in CONTROLS and end in direction.told and isinstance(seen, FrameSeen):
            judged = direction.told.pop(end)                # a control frame, perhaps inside a message that goes on
            out[first + place] = FrameSeen(structs.replace(seen.frame, verdict=judged.what))
            notes.append(_note(judged, direction, link_id, stamp, seen.frame.frame_id))
            continue
        if not 0 <= wire.opcode <= BINARY or not isinstance(seen, FrameSeen):
            continue
        ids = [*(ids if wire.opcode == CONTINUATION else ()), seen.frame.frame_id]
        told = direction.told.pop(end, None) if wire.fin else None
        if told is not None:
            out[first + place] = FrameSeen(_judged(direction, end, told, seen.frame, ids))
            if told.what not in UNTOLD and (told.what != REPLACED or told.reason or not bridged(link)):
                notes.append(_note(told, direction, link_id, stamp, seen.frame.frame_id))
    for end in [end for end in direction.told if end <= direction.offset]:
        notes.append(_note(direction.told.pop(end), direction, link_id, stamp, 0))      # its frame is lost
    out.extend(notes)


def _ends(direction: Direction, wires: list[WireFrame]) -> Iterator[tuple[int, WireFrame, int]]:
    """Place, frame, and where it ends in the direction."""
    begun = direction.reader.have if direction.reader is not None else 0
    end = direction.offset - begun - sum(len(wire.wire) for wire in wires)
    for place, wire in enumerate(wires):
        end += len(wire.wire)
        yield place, wire, end


def _judged(direction: Direction, end: int, told: Told, frame: Frame, ids: list[int]) -> Frame:
    direction.made_from[end] = MadeFrom(told.what, tuple(ids[: MOST_FRAMES - 1] + ids[MOST_FRAMES - 1 :][-1:]))
    if len(direction.made_from) > MOST_MADE:
        del direction.made_from[next(iter(direction.made_from))]
    if told.what == INFLATED:
        return frame
    return structs.replace(frame, verdict=REPLACED if told.what == TRANSLATED else told.what)


def _note(told: Told, direction: Direction, link_id: int, stamp: Seen, frame_id: int) -> Note:
    words = [told.plugin, told.what, told.reason]
    about = f" (frame {frame_id})" if frame_id else " (a frame the capture misses)"
    return Note(stamp.time_ns, link_id, "plugin", direction.side, ": ".join(word for word in words if word) + about)


def bridged(link: Link) -> bool:
    """Whether its two sides speak two versions: what leaves in place of a message is a translation of it."""
    return bool(link.csms_protocol) and link.csms_protocol != link.protocol


def origin(direction: Direction, at: int, link: Link) -> tuple[str, tuple[int, ...]]:
    """Verdict and cause of frames we made: from the message that ended at ``at``, or (0) from nothing."""
    made = direction.made_from.get(at)
    if at in direction.translations:
        direction.translations.remove(at)
        return TRANSLATED, made.frames if made is not None else ()
    if not at:
        return "injected", ()
    if made is None:
        return "modified", ()                           # what it was made from is lost
    if made.what == INFLATED:
        return INFLATED, made.frames
    return TRANSLATED if made.what == REPLACED and bridged(link) else "modified", made.frames
