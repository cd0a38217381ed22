"""One message under repair: where its values are, what was done to them, and who is told."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from ocpp_proxy.api import Context, Loss, Message
from ocpp_proxy.spec.selection import Selection, select
from ocpp_proxy_plugins.quirks.stamps import Stamps

MOST = 2000                                 # places that one repair changes in one message
DEPTH = 40                                  # steps into a payload
MOST_LOST = 100                             # losses told of one message
Place = tuple[Any, Any, str]                # holder, key, JSON path


class Work:
    """One message under repair. ``value``: its payload, changed in place. ``notes``: what was done, for the capture."""

    def __init__(
        self, context: Context, message: Message, value: Any, stamps: Stamps, transactions: dict[int, int],
    ) -> None:
        self.context = context
        self.message = message
        self.value = value
        self.stamps = stamps
        self.transactions = transactions
        self.profile = ""
        self.notes: dict[str, None] = {}
        self._lost = 0

    def begin(self, profile: str) -> None:
        """The repairs of this profile come now."""
        self.profile, self.notes = profile, {}

    def note(self, path: str, what: str) -> None:
        """Say what was changed where."""
        self.notes[f"{path[2:] or 'payload'} {what}"] = None

    def lose(self, path: str, what: Loss) -> None:
        """Say that something is not carried as it came: for the capture, and for the loss ledger."""
        self.note(path, what)
        self._lost += 1
        if self._lost <= MOST_LOST:
            self.context.lost(path, f"quirk profile {self.profile}", what)

    @property
    def told(self) -> str:
        """What was done, in few words."""
        told = list(self.notes)
        return "; ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")


def places(value: Any, path: str) -> list[Place]:
    """The places that a path names and that exist, at most ``MOST``."""
    return [(place.holder, place.key, place.path) for place in _selection(path).places(value)[:MOST]]


@cache
def _selection(path: str) -> Selection:
    return select(path)


def inside(value: Any, at: str, depth: int = DEPTH) -> Iterator[tuple[Any, str]]:
    """All objects of a payload, down to ``DEPTH``: no message of OCPP is that deep."""
    if depth and isinstance(value, dict):
        yield value, at
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                yield from inside(inner, f"{at}.{name}", depth - 1)
    elif depth and isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from inside(inner, f"{at}[{index}]", depth - 1)
