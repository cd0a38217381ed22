"""The bodies of ``chargers``, ``tx`` and ``findings``. ``--json``: one object a line, version 1: keys are only ever added."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any

from ocpp_proxy.cli.line_json import VERSION, finding_object
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import MARKS, ascii_json, render, stamp, talk
from ocpp_proxy.core.masking import veiled
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import parse
from ocpp_proxy.fields.lists import CHARGERS, FINDINGS, TRANSACTIONS, compile_items, of_found, of_group
from ocpp_proxy.model import ConfigError, Severity
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, Source, Table

EACH = 1_000                                # findings one by one; more are cut, and that is said
SESSIONS = 10_000                           # transactions
LOOKED_AT = 100_000                         # of either by a filter
SHOWN = 5                                   # chargers named in the row of a rule; --json has all


async def chargers(text: str | None, filter: str, json: bool) -> None:
    """Print the chargers of a source that pass the filter."""
    passes = compile_items(parse(filter, CHARGERS), CHARGERS)
    async with _opened(text) as source:
        found = [one for one in await source.chargers() if passes(one)]
    _print(map(charger_object, found), charger_table(found), json, _nothing("no chargers", filter))


async def transactions(text: str | None, identity: str, filter: str, json: bool) -> None:
    """Print the transactions of a source, or of one charger in it, that pass the filter."""
    passes = compile_items(parse(filter, TRANSACTIONS), TRANSACTIONS)
    async with _opened(text) as source:
        known = await source.transactions(identity, LOOKED_AT if filter else SESSIONS)
        if not known:
            await _known(source, identity)
    found = [one for one in known if passes(one)][:SESSIONS]
    _print(map(charging_object, found), charging_table(found), json, _nothing("no transactions", filter))
    _say_cut(len(found), len(known), SESSIONS, "transactions")


async def findings(text: str | None, identity: str, code: str, filter: str, json: bool) -> None:
    """Print the findings of a source by rule, or those of one rule, that pass the filter."""
    passes = compile_items(parse(filter, FINDINGS), FINDINGS)
    async with _opened(text) as source:
        groups = await source.finding_groups(identity)
        if not groups:
            await _known(source, identity)
        if code:
            _check_code(code, groups)
            known = await source.findings(code, identity, LOOKED_AT if filter else EACH)
    if not code:
        groups = [group for group in groups if passes(of_group(group))]
        _print(map(group_object, groups), group_table(groups), json, _nothing("no findings", filter))
        return
    found = [one for one in known if passes(of_found(one))][:EACH]
    _print(map(found_object, found), found_table(found), json, _nothing(f"no findings of {safe_text(code, 20)}", filter))
    _say_cut(len(found), len(known), EACH, "findings")


@asynccontextmanager
async def _opened(text: str | None) -> AsyncIterator[Source]:
    source = await open_source(text)
    try:
        yield source
    finally:
        await source.close()


def _print(objects: Iterable[dict[str, Any]], table: Table, json: bool, nothing: str) -> None:
    if json:
        for one in objects:
            print(ascii_json(one))
    elif table.rows:
        for line in render(table, "text"):
            print(line)
    if not table.rows:
        talk(nothing)


def _nothing(what: str, filter: str) -> str:
    return f"{what} that pass the filter" if filter else what


def _say_cut(count: int, known: int, most: int, what: str) -> None:
    if count >= most:
        talk(f"cut: only the newest {most} {what} are shown")
    elif known >= LOOKED_AT:
        talk(f"cut: only the newest {known} {what} were looked at")


async def _known(source: Source, identity: str) -> None:
    """Nothing was found: raise ``ConfigError`` when there is no such charger, with the nearest name."""
    names = [one.identity for one in await source.chargers()]
    if identity and identity not in names:
        close = get_close_matches(identity, names, 1)
        hint = f"did you mean {safe_text(close[0], 60)}?" if close else "`ocpp-proxy chargers` lists them"
        raise ConfigError(f"no charger {safe_text(identity, 60)} there: {hint}")


def _check_code(code: str, groups: list[FindingGroup]) -> None:
    """Raise ``ConfigError`` for a code that is neither a rule's nor found, with the nearest one."""
    from ocpp_proxy.checks import REGISTRY

    names = [*REGISTRY.rules, *(group.code for group in groups)]
    if code not in names:
        close = get_close_matches(code.upper(), names, 1)
        hint = f"did you mean {safe_text(close[0], 20)}?" if close else "`ocpp-proxy findings` lists what was found"
        raise ConfigError(f"no finding code {safe_text(code, 20)}: {hint}")


def charger_object(one: Charger) -> dict[str, Any]:
    """A charger as an object; what is not known is null."""
    return {
        "v": VERSION, "identity": one.identity, "state": one.state, "protocol": one.protocol or None,
        "remote": one.remote or None, "connectors": one.connectors, "opened": _time(one.opened_ns),
        "last_seen": _time(one.last_seen_ns), "messages": one.messages, "rate": one.rate,
        "p95_ms": None if one.p95_ms is None else round(one.p95_ms, 3), "errors": one.errors, "reconnects": one.reconnects,
        "outage_s": round(one.outage_s, 6), "vendor": one.vendor or None, "model": one.model or None,
        "firmware": one.firmware or None, "findings": one.findings,
        "worst": Severity(one.level).label if one.level >= 0 else None,
    }


def charging_object(one: Charging) -> dict[str, Any]:
    """A transaction as an object."""
    return {
        "v": VERSION, "tx": one.tx_id, "identity": one.identity, "protocol": one.protocol or None, "evse": one.evse,
        "connector": one.connector, "started": _time(one.started_ns), "stopped": _time(one.stopped_ns),
        "kwh": None if one.kwh is None else round(one.kwh, 6), "token": one.id_token or None, "reason": one.reason or None,
        "missing": one.missing,
    }


def group_object(one: FindingGroup) -> dict[str, Any]:
    """The findings of one rule as an object."""
    return {
        "v": VERSION, "code": one.code, "severity": Severity(one.severity).label, "blame": one.blame, "title": one.title,
        "spec_ref": one.spec_ref, "count": one.count, "chargers": list(one.chargers), "first": _time(one.first_ns),
        "last": _time(one.last_ns), "message": one.message,
    }


def found_object(one: FoundAt) -> dict[str, Any]:
    """One finding as an object; ``line``: the ordinal of the line that shows it in the capture."""
    return {"v": VERSION, **finding_object(one.finding), "line": one.number or None}


def charger_table(found: list[Charger]) -> Table:
    """The chargers as text; times in UTC."""
    columns = ["charger", "state", "protocol", "connectors", "last seen (UTC)", "messages", "per min", "p95 ms", "errors",
               "reconnects", "outage", "findings", "vendor, model, firmware"]
    return Table(columns, [[
        one.identity, one.state, one.protocol, ", ".join(f"{place} {status}" for place, status in one.connectors.items()),
        _clock(one.last_seen_ns), one.messages, round(one.rate, 1), None if one.p95_ms is None else round(one.p95_ms, 1),
        one.errors, one.reconnects, _span(one.outage_s) if one.outage_s else "",
        f"{MARKS[Severity(one.level)]} {one.findings}" if one.level >= 0 else "",
        ", ".join(filter(None, (one.vendor, one.model, one.firmware))),
    ] for one in found])


def charging_table(found: list[Charging]) -> Table:
    """The transactions as text."""
    columns = ["started (UTC)", "charger", "transaction", "at", "duration", "kWh", "token", "missing", "reason"]
    return Table(columns, [[
        _clock(one.started_ns) or "before this", one.identity, one.tx_id, _place(one), _duration(one),
        None if one.kwh is None else round(one.kwh, 3), veiled(one.id_token), one.missing or None, one.reason,
    ] for one in found])


def group_table(found: list[FindingGroup]) -> Table:
    """The findings by rule as text."""
    columns = ["code", "severity", "blame", "times", "chargers", "last (UTC)", "what", "clause"]
    return Table(columns, [[
        one.code, f"{MARKS[Severity(one.severity)]} {Severity(one.severity).label}", one.blame, one.count, _some(one.chargers),
        _clock(one.last_ns), one.title, one.spec_ref,
    ] for one in found])


def found_table(found: list[FoundAt]) -> Table:
    """Findings one by one as text."""
    columns = ["time (UTC)", "severity", "blame", "charger", "times", "line", "message"]
    return Table(columns, [[
        _clock(one.finding.time_ns), f"{MARKS[Severity(one.finding.severity)]} {Severity(one.finding.severity).label}",
        one.finding.blame, one.finding.identity, one.finding.count, one.number or None,
        one.finding.message + (f" at {one.finding.path}" if one.finding.path else ""),
    ] for one in found])


def _time(time_ns: int) -> str | None:
    return stamp(time_ns) if time_ns else None


def _clock(time_ns: int) -> str:
    return stamp(time_ns)[:19].replace("T", " ") if time_ns else ""


def _span(seconds: float) -> str:
    """``1:02:03``; of less than ten seconds with tenths."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _duration(one: Charging) -> str:
    if not one.stopped_ns:
        return "runs"
    return _span(max(0.0, (one.stopped_ns - one.started_ns) / 1e9)) if one.started_ns else ""


def _place(one: Charging) -> str:
    return "/".join(str(number) for number in (one.evse, one.connector) if number is not None)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
