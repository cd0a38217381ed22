"""What is under way on a link: open Calls of each direction, what waits for a quiet moment, and how much may be kept.

OCPP-J (1.6 section 4.1.1, 2.x part 4 section 4.1.1) allows a side one unanswered Call at a time. A charger that breaks that
rule by itself is let; we do not break it for one: a Call of ours waits for a quiet direction, and Calls that come while ours
is under way wait for its end.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, field

from ocpp_proxy.api import Call, Message, Verdict
from ocpp_proxy.core.seats import Seat, Told
from ocpp_proxy.model import Side

MOST_KEPT = 64                              # messages of a link that are held, or wait
MOST_BYTES = 1 << 20
MOST_OPEN = 256                             # Calls of one direction whose answers are expected
EXPIRES_NS = 300_000_000_000                # after which nobody expects one any more
QUIET_NS = 2_000_000_000                    # how long a Call of ours waits for the answers to others
MOST_ASKS = 128                             # Calls that a plugin makes about one message
MOST_WORK = 4096                            # and in work that it began
MOST_WISHES = 64                            # messages that plugins may send, or work they may begin, because of one event
NO_CALL = Call()                            # what work is about

Stop = tuple[Seat, Call | None]             # a seat on the way; of an answer: with the Call as that seat saw it


class Room:
    """How much one link keeps. ``refused`` counts what found no room; that is told the first time, and when it doubles."""

    __slots__ = ("_tell", "bytes", "count", "refused")

    def __init__(self, tell: Callable[[Told], None] = lambda told: None) -> None:
        self.count = self.bytes = self.refused = 0
        self._tell = tell

    def take(self, size: int, plugin: str = "") -> bool:
        """Keep a message of that size, if there is room. ``plugin``: whose it is."""
        if self.count < MOST_KEPT and self.bytes + size <= MOST_BYTES:
            self.count += 1
            self.bytes += size
            return True
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:
            text = f"plugin {plugin}: the link keeps {self.count} messages, no more are held; {self.refused} went on at once"
            self._tell(Told("plugin-overflow", "warning", "proxy", text))
        return False

    def give(self, size: int) -> None:
        """It is kept no longer."""
        self.count -= 1
        self.bytes -= size


class Journey(Struct, eq=False):
    """A message on its way. ``sender``: the side it comes from, also when we made it; ``at``: its place, 0 when we did.

    ``text``: as received, empty when we made it. ``plugin`` and ``reason``: of the last change.
    """

    sender: Side
    message: Message
    message_id: str
    path: Sequence[Stop]
    text: bytes = b""
    at: int = 0
    opcode: int = 1
    step: int = 0
    changed: bool = False
    plugin: str = ""
    reason: str = ""
    seen: list[Stop] = field(default_factory=list)      # of a Call: who will see its answer
    asked: "Asked | None" = None                        # of a Call of ours
    call: "Open | None" = None                          # of an answer
    asks: int = 0
    made: str = "injected"                              # why it is there, where we made it (``model.VERDICTS``)
    answer: tuple[Side, int] | None = None              # who gave the last answer to a Call about it, and its place
    free: bool = False                                  # no message: work that a plugin began

    @property
    def size(self) -> int:
        """Bytes it takes while it is kept."""
        return len(self.text) or len(self.message.payload)

    @property
    def at_hand(self) -> tuple[Any, ...]:
        """What the hook of the last seat is about, as its arguments behind the context."""
        if self.free:
            return ()
        saw = self.path[self.step - 1][1] if self.step else None
        return None, self.sender, self.message, saw


class Asked(Struct, eq=False):
    """A Call of a plugin's own. ``journey``: the message that waits for its answer (None: a ``send``), with its hook."""

    seat: Seat
    due_ns: int
    message_id: str
    sender: Side
    journey: Journey | None = None
    running: object = None
    done: bool = False


class Open(Struct, eq=False):
    """A Call that went out and is not answered."""

    message_id: str
    until_ns: int
    seen: list[Stop]
    asked: Asked | None = None


class Held(Struct, eq=False):
    """A message that a plugin holds, and what it wants then."""

    due_ns: int
    journey: Journey
    seat: Seat
    then: Verdict
    since_ns: int = 0
    number: int = 0                                     # by which a person names it
    reason: str = ""


class Waiting(Struct, eq=False):
    """A Call of ours that waits for a quiet direction, at most until ``due_ns``."""

    due_ns: int
    journey: Journey


def earliest(held: "Sequence[Held]", asks: "Sequence[Asked]", lanes: "Iterable[Lane]", tick_ns: int) -> int:
    """What is due next of all that; ``tick_ns`` and the result: 0 for never."""
    due = [one.due_ns for one in held]
    due += [one.due_ns for one in asks]
    due += [lane.waiting[0].due_ns for lane in lanes if lane.waiting and lane.own is None]
    if tick_ns:
        due.append(tick_ns)
    return min(due, default=0)


class Lane:
    """The Calls of one direction. ``own``: the one of ours under way; ``queue``: received ones that wait for its end."""

    __slots__ = ("count", "open", "own", "queue", "waiting")

    def __init__(self) -> None:
        self.open: dict[str, list[Open]] = {}
        self.count = 0
        self.own: Open | None = None
        self.queue: deque[Journey] = deque()
        self.waiting: deque[Waiting] = deque()

    def add(self, call: Open, now_ns: int) -> None:
        """A Call goes out. Old ones are forgotten: their answers will pass unseen."""
        known = self.open.get(call.message_id)
        if known is None:
            self.open[call.message_id] = [call]
        else:
            known.append(call)
        self.count += 1
        if call.asked is not None:
            self.own = call
        while self.count > 1:
            oldest = next((calls[0] for calls in self.open.values() if calls[0] is not self.own), None)
            if oldest is None or (oldest.until_ns > now_ns and self.count <= MOST_OPEN):
                break
            self.pop(oldest.message_id)

    def pop(self, message_id: str) -> Open | None:
        """The oldest open Call of that id, no longer open; None when there is none."""
        found = self.open.pop(message_id, None)
        if found is None:
            return None
        call = found[0]
        if len(found) > 1:
            self.open[message_id] = found[1:]
        self.count -= 1
        if call is self.own:
            self.own = None
        return call
