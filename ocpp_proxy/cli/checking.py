"""The body of ``check``: the rules over a source, the findings grouped by whose fault they are."""

from collections.abc import Iterable

from ocpp_proxy.cli.judging import judged
from ocpp_proxy.cli.line_json import finding_object
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import MARKS, ascii_json, stamp, talk
from ocpp_proxy.cli.settings import Settings
from ocpp_proxy.cli.suggesting import Suggester, advice, told_of
from ocpp_proxy.cli.tailing import all_lines
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields.registry import findings_of
from ocpp_proxy.model import Finding, Severity
from ocpp_proxy.records import Found, FrameSeen
from ocpp_proxy.source import Source

SHOWN = 5                                   # examples of one rule and charger; --json has all
FAULT = {
    "station": "the charger's fault", "csms": "the CSMS's fault", "network": "the network's fault",
    "either": "either side's fault", "proxy": "the proxy's own",
}


async def check(text: str | None, settings: Settings, json: bool) -> int:
    """Print the findings of a source; 1 when one is an error or worse, else 0."""
    source, suggester = await open_source(text), Suggester()
    try:
        findings = await (stored(source, suggester) if source.live else judged(source, settings, suggester.see))
    finally:
        await source.close()
    if json:
        for finding in findings:
            names = suggester.repaired.get(told_of(finding), ())
            print(ascii_json({**finding_object(finding), "quirks": list(names)}))
    else:
        for line in [*report(findings), *advice(findings, suggester.repaired)]:
            print(line)
    talk(f"{len(findings)} findings" if findings else "no findings")
    return 1 if any(finding.severity >= Severity.ERROR for finding in findings) else 0


async def stored(source: Source, suggester: Suggester) -> list[Finding]:
    """The findings of a running proxy: it has judged already, with the same rules."""
    found: dict[int, Finding] = {}
    async for page in all_lines(source):
        for line in page:
            if line.frame is not None:
                suggester.see(FrameSeen(line.frame))
            suggester.see(line.record)
            for finding in findings_of(line):
                if finding.finding_id not in found and not isinstance(line.record, Found):
                    suggester.found(finding)
                found[finding.finding_id] = finding
    return list(found.values())


def report(findings: Iterable[Finding]) -> list[str]:
    """The findings as text: by blame, then charger and rule, worst first, with examples."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.blame, finding.identity, finding.code), []).append(finding)
    lines: list[str] = []
    for blame, title in FAULT.items():
        mine = [(key, group) for key, group in groups.items() if key[0] == blame]
        if not mine:
            continue
        lines.append(f"{title}:")
        for (_, identity, code), group in sorted(mine, key=lambda item: (-max(f.severity for f in item[1]), item[0])):
            lines += _group(identity, code, group)
    return lines


def _group(identity: str, code: str, group: list[Finding]) -> list[str]:
    worst = Severity(max(finding.severity for finding in group))
    times = sum(finding.count for finding in group)
    reference = next((finding.spec_ref for finding in group if finding.spec_ref), "")
    head = f"  {MARKS[worst]} {safe_text(code, 8)} {worst.label:<8} {safe_text(identity or '-', 40)}"
    lines = [head + (f", {times} times" if times > 1 else "") + (f"   [{safe_text(reference, 80)}]" if reference else "")]
    for finding in group[:SHOWN]:
        path = f" at {safe_text(finding.path, 60)}" if finding.path else ""
        lines.append(f"       {stamp(finding.time_ns)[:19]}Z  {safe_text(finding.message, 200)}{path}")
    if len(group) > SHOWN:
        lines.append(f"       and {len(group) - SHOWN} more (--json has all)")
    return lines
