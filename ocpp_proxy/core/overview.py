"""The summaries of a stream as it passes, for a proxy without a capture: the same answers that a capture gives, bounded.

Until a bound is reached, both are equal. ``forgotten`` counts what no longer fits: chargers, findings, transactions with
their points. The p95 is of the newest answers of a charger (``seen_chargers.LATENCIES``).
"""

from collections.abc import Iterable

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.seen_chargers import ASKED as OF_CHARGERS
from ocpp_proxy.core.seen_chargers import SeenChargers, loads
from ocpp_proxy.core.seen_findings import SeenFindings
from ocpp_proxy.core.seen_transactions import ASKED as OF_TRANSACTIONS
from ocpp_proxy.core.seen_transactions import SeenTransactions
from ocpp_proxy.model import Link, Message
from ocpp_proxy.records import (
    Beat,
    ExchangeDone,
    Found,
    FrameSeen,
    Handshake,
    LinkClosed,
    LinkOpened,
    MessageSeen,
    Record,
)
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, Sample


class Overview:
    """Feed it the whole stream in order; ask it at any time. For one thread. ``call_seconds``: as the rules have it."""

    def __init__(self, call_seconds: float = Settings().call_seconds) -> None:
        self._chargers = SeenChargers(call_seconds)
        self._findings = SeenFindings()
        self._transactions = SeenTransactions()
        self._now = 0
        self._far: dict[int, str] = {}      # links with a bridge: the protocol of the CSMS's leg

    @property
    def forgotten(self) -> int:
        """How many chargers, findings, transactions and points are no longer remembered."""
        return self._chargers.forgotten + self._findings.forgotten + self._transactions.forgotten

    def feed(self, records: Iterable[Record]) -> None:
        """Take in what passes next."""
        for record in records:
            match record:
                case FrameSeen(frame):
                    self._reached(frame.time_ns)
                    self._chargers.frame(frame)
                case MessageSeen(message):
                    self._message(message)
                case ExchangeDone(exchange):
                    self._chargers.answered(exchange)
                case Found(finding):
                    self._chargers.found(finding)
                    self._findings.add(finding)
                case LinkOpened(link):
                    self._reached(link.opened_ns)
                    self._chargers.opened(link)
                    self._legs(link)
                case Handshake():
                    self._reached(record.time_ns)
                    self._chargers.shaken(record)
                    self._legs(record.link)
                case LinkClosed(time_ns=time_ns, link_id=link_id):
                    self._reached(time_ns)
                    self._chargers.closed(link_id, time_ns)
                    self._far.pop(link_id, None)
                case Beat(time_ns):
                    self._reached(time_ns)
                case _:
                    pass

    def _legs(self, link: Link) -> None:
        if link.csms_protocol:
            self._far[link.link_id] = link.csms_protocol

    def _reached(self, time_ns: int) -> None:
        self._now = max(self._now, time_ns)

    def _message(self, message: Message) -> None:
        action = message.action
        if not message.identity:            # of a link whose head was lost: nobody's
            return
        if self._far and self._far.get(message.link_id) == message.protocol:
            self._chargers.message(message, None, far=True)         # a translation, or what one was made from
            return
        if action in OF_TRANSACTIONS:
            payload = loads(message.payload) if message.mtype in (2, 3) else None
            self._transactions.message(message, payload)
        else:
            payload = loads(message.payload) if message.mtype == 2 and action in OF_CHARGERS else None
        self._chargers.message(message, payload)

    def chargers(self) -> list[Charger]:
        """As ``source.Source.chargers``."""
        return self._chargers.chargers(self._now)

    def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """As ``source.Source.finding_groups``."""
        return self._findings.groups(identity)

    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """As ``source.Source.findings``; ``number`` is 0."""
        return self._findings.findings(code, identity, limit)

    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """As ``source.Source.transactions``."""
        return self._transactions.transactions(identity, limit)

    def curve(self, charging: Charging) -> list[Sample]:
        """As ``source.Source.curve``."""
        return self._transactions.curve(charging)
