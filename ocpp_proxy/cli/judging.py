"""The rules over a file: with the settings it was recorded with, and with care for what its masks hide.

A capture says in its ``meta`` which rules judged it live, and by notes where they changed; with those, judging it again
gives the findings it holds. What the user sets now comes first. Findings that rest on masked values cannot be made again:
they are carried over.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.checks.settings import RULE_SET, Settings
from ocpp_proxy.cli.printing import talk
from ocpp_proxy.cli.settings import DEFAULT
from ocpp_proxy.cli.settings import Settings as Merged
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.assemble import Ids
from ocpp_proxy.core.ruling import KIND as RULES
from ocpp_proxy.core.ruling import Stated, known, read
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields.registry import findings_of
from ocpp_proxy.model import Finding, Severity
from ocpp_proxy.records import Derived, Found, FrameSeen, MessageSeen, Note, Record
from ocpp_proxy.records import Source as Undecoded
from ocpp_proxy.source import Source

_INDEX = re.compile(r"\[\d+\]")


class Judged(Struct):
    """What the rules found, and the frames and messages in which a value is masked."""

    findings: list[Finding]
    frames: set[int]
    messages: set[int]

    def masked(self, finding: Finding) -> bool:
        """Whether the finding rests on something that is masked."""
        return finding.msg_no in self.messages or not self.frames.isdisjoint(finding.evidence)


Told = tuple[object, ...]
See = Callable[[Record], None]


class Hidden(Struct):
    """What masks change: findings ``lost``, findings ``made``, and ``held`` ones whose cause they hide now and then."""

    lost: list[Finding]
    made: set[Told]
    held: dict[Told, Finding]


async def judged(source: Source, merged: Merged, see: See | None = None) -> list[Finding]:
    """The findings of a file: the rules run over its records, the very code that runs live. ``see`` is shown all of it."""
    facts = facts_of(source)
    live = recorded(facts, source.title)
    then, now = wanted(live, None), wanted(live, merged)
    as_then = now == then and (not facts.get("rules_change") or over(Stated(), merged) == Stated())
    again = await _judge(source, then, see if as_then else None)
    if not again.frames or not facts:
        return again.findings if as_then else (await _judge(source, now, see, merged)).findings
    hidden = difference(again, await _stored(source), facts.get("rules_version") == RULE_SET)
    fresh = again if as_then else await _judge(source, now, see, merged)
    return carried(fresh.findings, hidden, REGISTRY.severities(now), now.severities)


def facts_of(source: Source) -> Mapping[str, str]:
    """What a capture says about itself; nothing for a trace."""
    from ocpp_proxy_captures import CaptureSource

    return source.reader.facts() if isinstance(source, CaptureSource) else {}


def recorded(facts: Mapping[str, str], title: str) -> Stated:
    """The rule settings a capture was judged with at its beginning; says so when the rules have changed since."""
    version = facts.get("rules_version", RULE_SET)
    if version != RULE_SET:
        talk(f"{title}: was recorded with rule set {safe_text(version, 20)}, is judged with rule set {RULE_SET}:"
             " findings may differ from those it holds")
    try:
        change = facts.get("rules_change", "")
        found = (read(change).before if change else None) or read(facts.get("rules_settings", "{}"))
    except msgspec.DecodeError as error:
        talk(f"{title}: its rule settings cannot be read ({safe_text(str(error), 100)}): judged with the settings of now")
        return Stated()
    return known(found, REGISTRY)


def over(live: Stated, merged: Merged | None) -> Stated:
    """What the user sets now, else what was set when it was recorded."""
    if merged is None:
        return live
    seconds = merged.config.call_seconds if merged.origins.get("call_seconds", DEFAULT) != DEFAULT else live.call_seconds
    return structs.replace(live, call_seconds=seconds, rules={**live.rules, **merged.config.rules})


def wanted(live: Stated, merged: Merged | None) -> Settings:
    """The settings to judge with, up to the first note of others."""
    stated = over(live, merged)
    return Settings(call_seconds=stated.call_seconds, severities=stated.rules)


def difference(again: Judged, before: Sequence[Finding], same_rules: bool) -> Hidden:
    """What masks change in the findings: judged again with the settings of then, a capture would give those it holds.

    Where the rules have changed too, only what rests on a masked value counts.
    """
    made = {_told(one): one for one in again.findings}
    held = {_told(one): one for one in before}
    changed = {told for told, one in held.items() if told in made and _seen(one) != _seen(made[told])}
    return Hidden(
        [one for told, one in held.items() if told not in made and (same_rules or again.masked(one))],
        {told for told, one in made.items() if told not in held and (same_rules or again.masked(one))},
        {told: held[told] for told in changed if same_rules},
    )


def carried(
    fresh: Sequence[Finding], hidden: Hidden, severities: Mapping[str, Severity | None], set_now: Mapping[str, str],
) -> list[Finding]:
    """The findings as they would be without masks: those that masks hide are put back, those that masks make are left out."""
    found: list[Finding] = []
    for finding in hidden.lost:
        severity = severities.get(finding.code, finding.severity)
        if severity is not None:
            found.append(structs.replace(finding, severity=severity) if finding.code in set_now else finding)
    causes = {_cause(finding) for finding in found}
    for finding in fresh:
        told = _told(finding)
        before = hidden.held.get(told)
        if before is not None:
            found.append(structs.replace(finding, count=before.count, evidence=before.evidence))
        elif told not in hidden.made and _cause(finding) not in causes:
            found.append(finding)
    return sorted(found, key=lambda finding: finding.time_ns)


def _told(finding: Finding) -> Told:
    """What tells a finding from all others: it is raised once for each cause, at one moment."""
    return finding.code, finding.blame, finding.link_id, finding.time_ns, finding.msg_no, finding.path, finding.message


def _seen(finding: Finding) -> Told:
    return finding.count, finding.evidence


def _cause(finding: Finding) -> Told:
    return finding.code, finding.blame, finding.identity, _INDEX.sub("[]", finding.path)


async def _judge(source: Source, settings: Settings, see: See | None = None, merged: Merged | None = None) -> Judged:
    analyser = Analyser(settings, Ids(), None)
    found: dict[int, Finding] = {}
    result = Judged([], set(), set())
    out: list[Record] = []
    async for record in _sources(source, merged):
        masked = isinstance(record, FrameSeen) and record.frame.masked
        if isinstance(record, FrameSeen) and masked:
            result.frames.add(record.frame.frame_id)
        analyser.feed(record, out)
        for seen in out:
            if see is not None:
                see(seen)
            if isinstance(seen, Found):
                found[seen.finding.finding_id] = seen.finding
            elif masked and isinstance(seen, MessageSeen):
                result.messages.add(seen.message.msg_no)
        out.clear()
    result.findings = list(found.values())
    return result


async def _stored(source: Source) -> list[Finding]:
    """The findings a file holds, by number."""
    found: dict[int, Finding] = {}
    async for batch in source.follow(None):
        for line in batch:
            found.update((finding.finding_id, finding) for finding in findings_of(line))
    return [found[number] for number in sorted(found)]


async def _sources(source: Source, merged: Merged | None) -> AsyncIterator[Undecoded]:
    """What came in; what was derived from it is derived anew. What the user sets now comes before what notes state."""
    async for batch in source.records():
        for record in batch:
            if isinstance(record, Note) and record.kind == RULES and merged is not None:
                stated = over(read(record.text), merged)
                yield structs.replace(record, text=msgspec.json.encode(stated).decode())
            elif not isinstance(record, Derived):
                yield record
