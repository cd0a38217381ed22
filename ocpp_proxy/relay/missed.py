"""What a gap swallows is followed by frame headers, so that the GAP record can say where each link stands behind it.

Only while there is a gap: nothing of this costs anything before. The relay does not know where frames begin, the reader of
the spool does, up to the first lost byte. So the relay follows several premises ("a frame begins at this byte", at starts
of lost chunks), and the reader takes the one that it knows to be true; if none is, it looks for itself as before. Premises
that meet at the start of a chunk are one from there on.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ocpp_proxy.wire.frame_tracker import AS_BEFORE, FrameTracker
from ocpp_proxy.wire.frames import KNOWN
from ocpp_proxy.wire.spool import STATION, Boundary, Head, Kind, decode_as

CHAINS = 8                                  # premises followed in one direction: the least confirmed, oldest goes first
STARTS = 64                                 # kept of each: the frame that was cut seldom takes more chunks
DIRECTIONS = 4096                           # followed in one gap
ALL_STARTS = 16_384                         # of all directions: some 100 KB in the GAP record


class _Chain:
    """A premise and where it leads. ``starts``: chunks that begin where, on this premise, a frame does; the first ones.

    ``hits``: how many chunks ended where one of its frames ended. ``inside``: in a fragmented message, whichever of the
    first ``sure`` starts it was; from the others on no frame told.
    """

    __slots__ = ("hits", "inside", "opening", "starts", "sure", "tracker")

    def __init__(self, opening: bool) -> None:
        self.starts: list[int] = []
        self.opening, self.hits, self.tracker = opening, 0, FrameTracker()
        self.inside, self.sure = False, 0

    def begin(self, start: int) -> None:
        """A frame may begin here."""
        self.settle()
        self.starts.append(start)
        self.tracker.inside, self.tracker.boundary = AS_BEFORE, False

    def settle(self) -> None:
        """What the frames since the last start say about ``inside``."""
        if self.tracker.inside != AS_BEFORE:
            self.inside, self.sure = bool(self.tracker.inside), len(self.starts)

    @property
    def between(self) -> bool:
        """Between two frames."""
        return not self.tracker.rest and not self.tracker.head


class _Direction:
    """``end``: byte behind the last lost one. ``opening``: these are the first bytes behind a head."""

    __slots__ = ("chains", "end", "opening")

    def __init__(self, end: int, opening: bool) -> None:
        self.chains: list[_Chain] = []
        self.end, self.opening = end, opening


class Missed:
    """The directions that lose bytes in one gap. ``left_out``: records of directions beyond the bound."""

    def __init__(self) -> None:
        self.left_out = 0
        self._starts = 0
        self._directions: dict[tuple[int, int], _Direction] = {}

    def lose(self, turn: Iterable[Sequence[Any]]) -> None:
        """Records of a turn (kind, direction, link, offset, data, ...) are not appended."""
        for kind, direction, link, offset, data, *_ in turn:
            if kind == Kind.IN:
                self._bytes(link, direction, offset, data)
            elif kind == Kind.HEAD:
                head = decode_as(data, Head)
                self._directions.pop((link, direction), None)
                self._of(link, direction, offset + head.size, opening=True)
            elif kind == Kind.END:
                self._directions.pop((link, direction), None)

    def boundaries(self) -> tuple[Boundary, ...]:
        """Where the directions stand, by premise."""
        for followed in self._directions.values():
            for chain in followed.chains:
                chain.settle()
        return tuple(
            Boundary(
                link, direction, tuple(chain.starts), followed.end, chain.tracker.rest, chain.tracker.first,
                chain.tracker.head, chain.inside, chain.sure, chain.tracker.closed, chain.opening,
            )
            for (link, direction), followed in self._directions.items() for chain in followed.chains
        )

    def _of(self, link: int, direction: int, offset: int, opening: bool = False) -> _Direction | None:
        followed = self._directions.get((link, direction))
        if followed is None or followed.end != offset:
            if len(self._directions) >= DIRECTIONS:
                self.left_out += 1
                return None
            followed = self._directions[link, direction] = _Direction(offset, opening)
        return followed

    def _bytes(self, link: int, direction: int, offset: int, data: bytes) -> None:
        followed = self._of(link, direction, offset)
        if followed is None or not data:
            return
        chains = followed.chains
        on = next((chain for chain in chains if chain.between), None)
        if on is None and (not chains or _plausible(data, direction)):
            on = _Chain(followed.opening)
            chains.append(on)
            if len(chains) > CHAINS:
                chains.remove(min(chains, key=lambda chain: (chain.hits, chain.starts[:1])))
        if on is not None and len(on.starts) < STARTS and self._starts < ALL_STARTS:
            on.begin(offset)
            self._starts += 1
        for chain in chains:
            chain.tracker.feed(data)
            chain.hits += chain.between
        followed.chains = [chain for chain in chains if not chain.tracker.broken and (chain.starts or chain.opening)]
        followed.end, followed.opening = offset + len(data), False


def _plausible(data: bytes, direction: int) -> bool:
    """Whether a chunk may begin with a frame: no reserved bits nor opcodes, masked if and only if the station sent it."""
    if data[0] & 0x30 or data[0] & 15 not in KNOWN:
        return False
    return len(data) < 2 or (data[1] > 127) is (direction == STATION)
