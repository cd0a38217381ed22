"""What a capture says in sum: its chargers, findings by rule, transactions and their curves. SQL in ``summary_queries/``.

``core.overview`` gives the same answers from a stream; what is read out of payloads is read by the same code. Times are to the
microsecond, as the columns keep them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from ocpp_proxy.core.curve import Told, curve
from ocpp_proxy.core.meter import read
from ocpp_proxy.core.seen_chargers import LENGTH, boot_of, by_place, loads, place_of, rate, status_of
from ocpp_proxy.core.seen_findings import group, ranked
from ocpp_proxy.core.seen_transactions import reason_of
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, Sample
from ocpp_proxy_captures import rebuild
from ocpp_proxy_captures.database import Connection, fetched, resource
from ocpp_proxy_captures.gate import aside

MESSAGES = 20_000                           # of one transaction that its curve is made of, the newest
ORDERS = 10_000                             # about charging profiles, the newest
_NAMES = ("links", "seen", "traffic", "answers", "found_on")


class Summaries(ABC):
    """Summaries of what ``reading`` reads. Every method blocks."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A cursor for one statement after the other."""

    def chargers(self) -> list[Charger]:
        """All chargers, by identity."""
        with self.reading() as con:
            links, seen, traffic, answers, found = (
                {row[0]: row[1:] for row in _rows(con, name, {})} for name in _NAMES)
            boots, connectors = _latest(con)
        out = []
        for identity in sorted(links.keys() | traffic.keys()):
            status, opened_ns, protocol, remote, connections, is_open, outage_ns = links.get(identity, _NO_LINK)
            messages, errors, lately, guessed, age_us = traffic.get(identity, (0, 0, 0, None, 0))
            p95_us, unanswered = answers.get(identity, (None, 0))
            out.append(Charger(
                identity, "refused" if status != 101 else "open" if is_open else "closed", protocol or guessed or "",
                remote or "", by_place(connectors.get(identity, {})), opened_ns,
                max(seen.get(identity, (0,))[0] * 1000, opened_ns), messages, rate(lately, age_us),
                None if p95_us is None else p95_us / 1000, errors + unanswered, max(0, connections - 1), outage_ns / 1e9,
                *boots.get(identity, ("", "", "")), *found.get(identity, (0, -1)),
            ))
        return out

    def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """The findings by rule, worst and most frequent first; of one charger if named."""
        with self.reading() as con:
            rows = _rows(con, "groups", {"identity": identity})
        return ranked([
            group(code, level, blame, count, tuple(names or ()), first, last, message, spec_ref)
            for code, level, blame, count, names, first, last, message, spec_ref in rows])

    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """The newest findings as last given, newest first, each with the line that showed it first."""
        with self.reading() as con:
            rows = _rows(con, "findings", {"code": code, "identity": identity, "limit": limit})
            if not rows:
                return []
            where = rebuild.among("no", sorted(row[0] for row in rows))
            found = {row[0]: rebuild.finding(row) for row in fetched(con.execute(rebuild.found_sql(where)))}
        return [FoundAt(found[no], line_no) for no, line_no, _ in rows]

    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """Transactions, newest start first."""
        with self.reading() as con:
            rows = _rows(con, "transactions", {"identity": identity, "limit": limit})
        return [
            Charging(tx_id, name, protocol, evse, connector, started_ns, stopped_ns, kwh, id_token,
                     reason_of(reason[:LENGTH], stopped_ns), missing)
            for tx_id, name, protocol, evse, connector, started_ns, stopped_ns, kwh, id_token, reason, missing in rows]

    def curve(self, charging: Charging) -> list[Sample]:
        """The meter values of a transaction and the limit set for it, in order of time."""
        with self.reading() as con:
            told = _told(con, charging)
            orders = _rows(con, "orders", {"identity": charging.identity, "limit": ORDERS})[::-1]
        return curve(charging, told, [(time_ns, action, _json(payload)) for time_ns, action, payload in orders])


class SourceSummaries(ABC):
    """The same for a ``source.Source``: in another thread."""

    @property
    @abstractmethod
    def reader(self) -> Summaries:
        """The blocking interface."""

    async def chargers(self) -> list[Charger]:
        """All chargers, by identity."""
        return await aside(self.reader.chargers)

    async def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """The findings by rule, worst and most frequent first; of one charger if named."""
        return await aside(self.reader.finding_groups, identity)

    async def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """The newest findings, newest first; of one rule, one charger if named."""
        return await aside(self.reader.findings, code, identity, limit)

    async def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """Transactions, newest start first."""
        return await aside(self.reader.transactions, identity, limit)

    async def curve(self, charging: Charging) -> list[Sample]:
        """The meter values of a transaction and the limit set for it, in order of time."""
        return await aside(self.reader.curve, charging)


_NO_LINK = (101, 0, "", "", 0, False, 0)


@cache
def _sql(name: str) -> str:
    return resource(f"summary_queries/{name}.sql")


def _rows(con: Connection, name: str, values: Mapping[str, str | int]) -> list[tuple[Any, ...]]:
    return fetched(con.execute(_sql(name), dict(values)))


def _latest(con: Connection) -> tuple[dict[str, tuple[str, str, str]], dict[str, dict[str, str]]]:
    """What each charger said last of itself, and of its connectors, the last to report last."""
    latest = _rows(con, "latest", {})
    if not latest:
        return {}, {}
    payloads = _payloads(con, sorted(row[3] for row in latest))
    boots: dict[str, tuple[str, str, str]] = {}
    connectors: dict[str, dict[str, str]] = {}
    for identity, evse, connector, msg_no in latest:
        payload = _json(payloads.get(msg_no))
        if connector is None:
            boots[identity] = boot_of(payload)
        else:
            connectors.setdefault(identity, {})[place_of(evse, connector)] = status_of(payload)
    return boots, connectors


def _payloads(con: Connection, numbers: list[int]) -> dict[int, str | None]:
    return dict(fetched(con.execute(
        f"SELECT msg_no, CAST(payload AS VARCHAR) FROM messages WHERE {rebuild.among('msg_no', numbers)}")))


def _told(con: Connection, charging: Charging) -> list[Told]:
    """What belongs to this transaction. In 1.6 ids are used again: one begins with its start and ends with the next."""
    rows = _rows(con, "told", {"identity": charging.identity, "tx_id": charging.tx_id, "limit": MESSAGES})[::-1]
    starts = {row[0]: row[4] for row in rows if row[2] == 3 and row[4] is not None}      # answer: Call
    out: list[Told] = []
    low, high = 0, 1 << 63
    if starts:
        where = rebuild.among("msg_no", sorted(starts.values()))
        begun = dict(con.execute(f"SELECT msg_no, epoch_us(ts) * 1000 FROM wire WHERE {where}").fetchall())
        same = [no for no, call_no in starts.items() if begun.get(call_no) == charging.started_ns]
        low = same[-1] if same else max(starts) if charging.started_ns else 0
        high = min((no for no in starts if no > low), default=high)
        if low:
            call_no = starts[low]
            asked = _json(_payloads(con, [call_no]).get(call_no))
            out.append(Told(begun.get(call_no, 0), read("StartTransaction", asked).points))
    for msg_no, time_ns, mtype, action, _, payload in rows:
        if mtype == 2 and low < msg_no < high:
            out.append(Told(time_ns, read(action, _json(payload)).points))
    return out


def _json(payload: str | None) -> object:
    return None if payload is None else loads(payload.encode())
