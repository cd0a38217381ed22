"""The state of the assembler: links, their two directions, the message that is being put together. All of it storable."""

from msgspec import Struct, field

from ocpp_proxy.model import Link, Side
from ocpp_proxy.wire.deflate import InflaterState
from ocpp_proxy.wire.frames import FrameReader
from ocpp_proxy.wire.http_body import BodyReader
from ocpp_proxy.wire.spool import SIDES, Boundary, SpoolRecord


class Stamp(Struct, frozen=True, gc=False):
    """When bytes were seen: the relay's sequence number and its two clocks."""

    seq: int
    time_ns: int
    mono_ns: int

    @classmethod
    def of(cls, record: SpoolRecord) -> "Stamp":
        """The stamp of a spool record."""
        return cls(record.seq, record.time_ns, record.mono_ns)


Seen = Stamp | SpoolRecord              # either tells when bytes were seen


class Asked(Struct, gc=False):
    """A request head that waits for its answer."""

    frame_id: int
    mono_ns: int
    method: str
    upgrade: bool
    problems: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()


class OpenMessage(Struct, gc=False):
    """A data message whose last frame has not come. ``cut``: a part of it cannot be had, so it is never decoded."""

    opcode: int
    compressed: bool
    cut: str = ""                       # fault its last frame will carry: too_large, partial
    size: int = 0
    parts: list[bytes] = []
    frames: list[int] = []              # frame_ids of its frames up to now, a bounded number


class Told(Struct, frozen=True, gc=False):
    """What a plugin decided about a message that is about to come (a DISP record)."""

    what: str
    plugin: str
    reason: str


class MadeFrom(Struct, frozen=True, gc=False):
    """A received message from which frames of ours are made: what was decided, and its frames."""

    what: str
    frames: tuple[int, ...]


class Ended(Struct, frozen=True, gc=False):
    """How a direction ended."""

    how: str
    first: bool
    unsent: int


class Direction(Struct, gc=False):
    """One direction of a link. ``offset``: bytes of it seen up to now, heads included."""

    side: Side
    offset: int = 0
    reader: FrameReader | None = None           # set once the link is a tunnel
    body: BodyReader | None = None              # of the last HTTP head
    message: OpenMessage | None = None
    inflater: InflaterState | None = None
    held: list[tuple[Stamp, bytes]] = []        # came before it was known whether a tunnel opens
    ended: Ended | None = None
    kept: int = 0                               # bytes of an unfinished frame and message that count in the budget
    told: dict[int, Told] = {}                  # where a message will end -> what becomes of it (frame mode)
    made_from: dict[int, MadeFrom] = {}         # where a message ended -> what our frames are made from
    translations: list[int] = []                # from where messages ended: translations that come next (0: elsewhere)

    resume: list[Boundary] = []                 # where it may stand behind the gap that was just told

    def weigh(self) -> int:
        """Bytes kept of an unfinished frame and message."""
        begun = self.reader.have if self.reader is not None else 0
        return begun + (self.message.size if self.message is not None and not self.message.cut else 0)


def _directions() -> tuple[Direction, Direction]:
    return Direction(SIDES[0]), Direction(SIDES[1])


class LinkState(Struct, gc=False):
    """One link of one relay worker. ``asked``: request heads without an answer, oldest first."""

    worker: int
    incarnation: int
    number: int                                 # the relay's own number of the link
    link: Link
    directions: tuple[Direction, Direction] = field(default_factory=_directions)
    asked: list[Asked] = []
    close_code: int = 0
    close_reason: str = ""


class WorkerState(Struct, gc=False):
    """A relay worker: which of its lives is current, and how far its clock has come."""

    incarnation: int
    beat_ns: int = 0
    past: list[int] = []                        # the incarnations before it, latest last


class Ids(Struct, gc=False):
    """The next free numbers. A new run on an old capture goes on counting. The analyser uses the last two."""

    link_id: int = 1
    frame_id: int = 1
    msg_no: int = 1
    finding_id: int = 1
