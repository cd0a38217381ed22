"""What a bridge made of messages, as ``tail`` shows it: beneath what it was made from, with the fields that were not carried.

The loss ledger names a message before the message comes; its entries wait here for the translation they are about.
"""

from collections.abc import Iterable

from msgspec import Struct

from ocpp_proxy.core.rows import TRANSLATED
from ocpp_proxy.fields.registry import Links, link_of
from ocpp_proxy.model import Message
from ocpp_proxy.records import Line, Lost, MessageSeen

RECEIVED = 10_000                           # messages remembered that something may be made from
WAITING = 1_000                             # entries of the ledger that wait for their translation
PATIENCE = 200                              # lines they wait for it
MADE = (TRANSLATED, "injected")             # verdicts of what takes entries of the ledger
Key = tuple[int, str]                       # link and message id


class Origin(Struct, frozen=True):
    """What was received: enough to name it."""

    msg_no: int
    frame_id: int
    message_id: str
    action: str
    protocol: str


class Translation(Struct, frozen=True):
    """What is known of a message that a bridge made: ``origin`` None: it was not seen. ``beneath``: it came just before."""

    origin: Origin | None
    losses: tuple[Lost, ...]
    beneath: bool = False


class Translations:
    """Learns from the lines in their order."""

    def __init__(self) -> None:
        self._received: dict[int, Origin] = {}              # by frame
        self._waiting: dict[Key, list[tuple[int, Line]]] = {}
        self._count = self._lines = 0
        self._last = 0                                      # the frame of the last message

    def holds(self, line: Line, links: Links) -> bool:
        """Whether a line is an entry of the ledger that is shown with the translation it is about."""
        link = links.get(link_of(line))
        if not isinstance(line.record, Lost) or link is None or not link.csms_protocol or self._count >= WAITING:
            return False
        lost = line.record
        self._waiting.setdefault((lost.link_id, lost.message_id), []).append((self._lines, line))
        self._count += 1
        return True

    def overdue(self, all_of: bool = False) -> list[Line]:
        """Entries whose translation did not come."""
        late = [key for key, held in self._waiting.items() if all_of or self._lines - held[0][0] > PATIENCE]
        return [line for key in late for line in self._taken(key)]

    def of(self, line: Line) -> Translation | None:
        """What is known of a line that a bridge made; None: it is none. Takes the entries of the ledger about it."""
        self._lines += 1
        frame = line.frame
        if not isinstance(line.record, MessageSeen) or frame is None:
            return None
        message = line.record.message
        last, self._last = self._last, frame.frame_id
        if frame.verdict not in MADE:
            if frame.verdict:
                self._remember(message)
            return None
        origin = self._received.get(frame.cause[-1]) if frame.cause else None
        about = message.message_id if message.mtype != 2 else origin.message_id if origin is not None else ""
        lost = tuple(one.record for one in self._taken((message.link_id, about)) if isinstance(one.record, Lost))
        if frame.verdict != TRANSLATED and not lost:
            return None
        return Translation(origin, lost, origin is not None and last == origin.frame_id)

    def _remember(self, message: Message) -> None:
        self._received[message.frame_id] = Origin(
            message.msg_no, message.frame_id, message.message_id, message.action, message.protocol)
        if len(self._received) > RECEIVED:
            del self._received[next(iter(self._received))]

    def _taken(self, key: Key) -> list[Line]:
        held = self._waiting.pop(key, [])
        self._count -= len(held)
        return [line for _, line in held]


def ledger(losses: Iterable[Lost]) -> list[dict[str, str]]:
    """Entries of the ledger as objects."""
    return [{"what": lost.what, "path": lost.path, "reason": lost.reason} for lost in losses]
