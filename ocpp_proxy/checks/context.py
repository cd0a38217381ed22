"""Owns what a rule sees: the record at hand, its link and station, the Call of an answer, its own memory, deadlines."""

from typing import TypeVar

from msgspec import Struct, convert

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.checks.stamps import Read
from ocpp_proxy.checks.state import Direction, LinkState, OpenCall, Scope, StationState, Tx
from ocpp_proxy.model import Frame, Message, Side
from ocpp_proxy.records import Record
from ocpp_proxy.spec.schemas import Fault

Memory = TypeVar("Memory", bound=Struct)
NO_LINK = LinkState()


class Context:
    """One per analyser, refilled for each record. Rules read it and keep nothing of it.

    ``payload`` is the decoded payload (None when it could not be decoded); never change it. ``call`` is the Call an answer
    belongs to, or the one whose time is up. ``transaction`` is what core.transactions matched to the message.
    """

    __slots__ = (
        "call", "code", "due_key", "elsewhere", "event", "faults", "frame", "link", "message", "notes", "now", "payload",
        "record", "scope", "settings", "stamps", "station", "transaction", "why",
    )

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now = 0                                    # time of the record (of the deadline, on "due")
        self.event = ""
        self.record: Record | None = None
        self.link: LinkState = NO_LINK
        self.station: StationState = StationState()
        self.scope: Scope = NO_LINK                     # link or station: where the rule at hand remembers
        self.code = ""                                  # of the rule at hand
        self.frame: Frame | None = None
        self.message: Message | None = None
        self.payload: object = None
        self.faults: tuple[Fault, ...] = ()
        self.notes: tuple[str, ...] = ()                # faults of the envelope (wire.ocppj)
        self.call: OpenCall | None = None
        self.transaction: Tx | None = None
        self.why = ""                                   # event detail: "late", "again" or "unknown" answer; "retry"
        self.due_key = ""
        self.elsewhere: tuple[str, ...] | None = None   # versions the payload fits, once a rule has asked
        self.stamps: list[Read] | None = None           # of the message, once a rule has asked

    def fill(self, message: Message, frame: Frame, link: LinkState, station: StationState, now: int) -> None:
        """Take a message; what else is known of it is set behind this."""
        self.record, self.message, self.frame, self.link, self.station = None, message, frame, link, station
        self.now = now
        self.call = self.transaction = self.stamps = self.elsewhere = None
        self.why = ""

    def memory(self, kind: type[Memory]) -> Memory:
        """The rule's own state at its scope (link or station), made on first use."""
        found = self.scope.memory.get(self.code)
        if not isinstance(found, kind):
            found = kind() if found is None else convert(found, kind)
            self.scope.memory[self.code] = found
        return found

    def set_deadline(self, key: str, seconds: float) -> None:
        """Ask for a "due" event ``seconds`` from now, at the rule's scope."""
        self.scope.remember_deadline(f"{self.code}:{key}", self.now + int(seconds * 1e9))

    def object(self) -> dict[str, object]:
        """The payload when it is an object, else an empty one."""
        return self.payload if isinstance(self.payload, dict) else {}

    @property
    def sender(self) -> Side:
        """Who sent the message or frame at hand."""
        if self.message is not None:
            return self.message.sender
        return self.frame.sender if self.frame is not None else Side.STATION

    def direction(self, side: Side) -> Direction:
        """The Calls of one side."""
        return self.link.directions[side is Side.CSMS]
