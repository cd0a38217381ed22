"""Large bytes of a link's state, stored chunk by chunk: a commit writes what is new, not a whole window or frame again.

A chunk never changes once it is there, so it is known by identity. Keys: ``a/b/<link_id>/<slot>/<number>``; the slot says
of which direction (0, 1) and what: ``r`` the begun frame, ``m`` the open message, ``w`` the inflate window.
"""

from collections.abc import Mapping

from ocpp_proxy.core.link_state import Direction, LinkState

SMALL = 4096                # bytes of a slot that stay inside the link's own piece
PREFIX = "a/b/"
_SLOTS = ("0r", "0m", "0w", "1r", "1m", "1w")
Slot = tuple[int, str]


class Pieces:
    """Which chunks are stored under which numbers."""

    def __init__(self) -> None:
        self._stored: dict[Slot, list[tuple[int, bytes]]] = {}

    def split(self, state: LinkState, out: dict[str, bytes | None]) -> list[list[bytes]]:
        """Take the large chunks out of a link's state; ``out`` gets those that are new, and None for those gone.

        Gives what ``join`` needs to put them back.
        """
        taken = []
        for slot in _SLOTS:
            chunks = _get(state.directions[int(slot[0])], slot[1])
            large = sum(map(len, chunks)) >= SMALL
            self._store((state.link.link_id, slot), chunks if large else [], out)
            taken.append(chunks)
            if large:
                _put(state.directions[int(slot[0])], slot[1], [])
        return taken

    def join(self, state: LinkState, taken: list[list[bytes]]) -> None:
        """Put back what ``split`` took out."""
        for slot, chunks in zip(_SLOTS, taken, strict=True):
            _put(state.directions[int(slot[0])], slot[1], chunks)

    def forget(self, link_id: int, out: dict[str, bytes | None]) -> None:
        """The link is gone."""
        for slot in _SLOTS:
            self._store((link_id, slot), [], out)

    def restore(self, state: LinkState) -> None:
        """Put what ``load`` found back into a link's state."""
        for slot in _SLOTS:
            stored = self._stored.get((state.link.link_id, slot))
            if stored:
                _put(state.directions[int(slot[0])], slot[1], [chunk for _, chunk in stored])

    def load(self, pieces: Mapping[str, bytes]) -> None:
        """Take up stored chunks; keys of others are passed over."""
        for key, chunk in pieces.items():
            if key.startswith(PREFIX):
                link_id, slot, number = key[len(PREFIX) :].split("/")
                self._stored.setdefault((int(link_id), slot), []).append((int(number), chunk))
        for stored in self._stored.values():
            stored.sort()

    def _store(self, slot: Slot, chunks: list[bytes], out: dict[str, bytes | None]) -> None:
        before = self._stored.pop(slot, None)
        if before is None and not chunks:
            return
        numbers = {id(chunk): number for number, chunk in before or ()}
        following = before[-1][0] + 1 if before else 0
        now = []
        for chunk in chunks:
            number = numbers.pop(id(chunk), -1)
            if number < 0:
                number, following = following, following + 1
                out[f"{PREFIX}{slot[0]}/{slot[1]}/{number}"] = chunk
            now.append((number, chunk))
        out.update((f"{PREFIX}{slot[0]}/{slot[1]}/{number}", None) for number in numbers.values())
        if now:
            self._stored[slot] = now


def _get(direction: Direction, what: str) -> list[bytes]:
    if what == "r":
        return direction.reader.parts if direction.reader is not None else []
    if what == "m":
        return direction.message.parts if direction.message is not None else []
    return direction.inflater.chunks if direction.inflater is not None else []


def _put(direction: Direction, what: str, chunks: list[bytes]) -> None:
    if what == "r" and direction.reader is not None:
        direction.reader.parts = chunks
    elif what == "m" and direction.message is not None:
        direction.message.parts = chunks
    elif what == "w" and direction.inflater is not None:
        direction.inflater.chunks = chunks
