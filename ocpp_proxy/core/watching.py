"""Which records an observer sees: those of the links it is enabled for, and those that are about no link."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ocpp_proxy.api import Observer
from ocpp_proxy.model import Link
from ocpp_proxy.records import (
    ExchangeDone,
    Found,
    FrameSeen,
    Handshake,
    LinkClosed,
    LinkOpened,
    MessageSeen,
    Record,
    TransactionChanged,
)
from ocpp_proxy.spec.versions import version_of

MOST_LINKS = 100_000                        # links remembered; the oldest are decided anew by their next message


class Switched(Struct, frozen=True):
    """What a person switched, for the chargers that match. ``options`` None: those configured."""

    word: str
    on: bool
    identity: str
    options: Mapping[str, Any] | None
    who: str


class Watcher(Struct, frozen=True):
    """An observer as configured: how to make it, and for which links. ``wanted``: by identity and OCPP version; None: all."""

    name: str
    make: Callable[[], Observer]
    options: Any = None
    unmasked: bool = False
    wanted: Callable[[str, str], bool] | None = None
    key: str = ""                           # two of the same key are the same: one that runs is left alone


class Sight:
    """Picks the records of one observer. A link that a rule chooses is seen from its handshake (or first message) on."""

    def __init__(self, wanted: Callable[[str, str], bool] | None) -> None:
        self._wanted = wanted
        self._links: dict[int, bool] = {}

    def pick(self, stream: Sequence[Record]) -> Sequence[Record]:
        """Those it sees, in their order."""
        if self._wanted is None:
            return stream
        return [record for record in stream if self._sees(record, self._wanted)]

    def change(self, wanted: Callable[[str, str], bool] | None, links: Mapping[int, Link]) -> list[int]:
        """Choose anew among the open links; those that it saw and does not see any more."""
        before, known, self._wanted = self._wanted, self._links, wanted
        self._links = {} if wanted is None else {
            link_id: wanted(link.identity, version_of(link.protocol)) for link_id, link in links.items() if link.identity}
        return [link_id for link_id, sees in self._links.items() if not sees and (before is None or known.get(link_id, False))]

    def _sees(self, record: Record, wanted: Callable[[str, str], bool]) -> bool:
        link_id, links = link_of(record), self._links
        if not link_id:
            return True
        if isinstance(record, Handshake):
            links[link_id] = wanted(record.link.identity, version_of(record.link.protocol))
        elif isinstance(record, MessageSeen) and link_id not in links:      # a link from before this process
            links[link_id] = wanted(record.message.identity, version_of(record.message.protocol))
        elif isinstance(record, LinkClosed):
            return links.pop(link_id, False)
        if len(links) > MOST_LINKS:
            del links[next(iter(links))]
        return links.get(link_id, False)


def link_of(record: Record) -> int:
    """The number of the link a record is about; 0: none."""
    match record:
        case FrameSeen(frame):
            return frame.link_id
        case MessageSeen(message):
            return message.link_id
        case ExchangeDone(exchange):
            return exchange.link_id
        case TransactionChanged(transaction):
            return transaction.link_id
        case Found(finding):
            return finding.link_id
        case LinkOpened(link) | Handshake(link=link):
            return link.link_id
        case _:
            return getattr(record, "link_id", 0)


def size_of(record: Record) -> int:
    """About how many bytes of memory a record holds on to."""
    match record:
        case FrameSeen(frame):
            return 200 + len(frame.header) + len(frame.payload) + len(frame.raw) + len(frame.text)
        case MessageSeen(message):
            return 200 + len(message.payload)
        case _:
            return 400
