"""The last words of ``run``: what came, what was wrong, where it is, what to do next."""

import asyncio
from collections import Counter
from pathlib import Path

from ocpp_proxy.cli.open_source import connect, open_file
from ocpp_proxy.cli.printing import clock
from ocpp_proxy.cli.tailing import all_lines
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields.registry import findings_of
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import CaptureError, ConfigError, Severity
from ocpp_proxy.records import MessageSeen

_COUNTS = """
SELECT (SELECT count(*) FROM links WHERE opened_at >= {since}), (SELECT count(DISTINCT identity) FROM links
        WHERE opened_at >= {since} AND identity <> ''), (SELECT count(*) FROM messages WHERE ts >= {since}),
       (SELECT count(*) FROM gaps WHERE ended_at >= {since})"""
_FINDINGS = """
SELECT rule, severity, blame, count(*) AS n, any_value(message) FROM findings WHERE ts >= {since}
GROUP BY ALL ORDER BY severity DESC, n DESC, rule LIMIT 8"""


def summary(instance: Instance) -> list[str]:
    """The lines; from the capture, of this run only."""
    if not instance.capture:
        return ["nothing was stored (--no-capture)"]
    try:
        lines = asyncio.run(_ask(instance))
    except (CaptureError, ConfigError, OSError) as error:
        lines = [f"the capture could not be asked: {error}"]
    path = instance.capture
    return [*lines, f"capture: {path}", f"next:    ocpp-proxy check {path}    ocpp-proxy query {path} overview"]


def live_summary(instance: Instance) -> list[str]:
    """The counts of a proxy that stores nothing, while it still runs: of the newest lines, which is all there is."""
    try:
        return asyncio.run(_ask_live(instance))
    except (CaptureError, ConfigError, OSError) as error:
        return [f"the proxy could not be asked: {error}"]


async def _ask_live(instance: Instance) -> list[str]:
    source = await connect(instance)
    lines = messages = 0
    found: Counter[tuple[str, str, str]] = Counter()
    try:
        async for page in all_lines(source):
            lines += len(page)
            messages += sum(isinstance(line.record, MessageSeen) for line in page)
            found.update((one.code, Severity(one.severity).label, one.blame) for line in page for one in findings_of(line))
    finally:
        await source.close()
    head = f"since {clock(instance.started_ns)}, of the last {lines} lines: {messages} messages"
    return [head, *(f"  {code} {severity} ({blame}) {n} times" for (code, severity, blame), n in found.most_common(8))]


async def _ask(instance: Instance) -> list[str]:
    since = f"make_timestamptz({instance.started_ns // 1000})"
    source = open_file(Path(instance.capture))
    try:
        counts = await source.query(_COUNTS.format(since=since), {})
        findings = await source.query(_FINDINGS.format(since=since), {})
    finally:
        await source.close()
    links, chargers, messages, gaps = counts.rows[0]
    lines = [f"since {clock(instance.started_ns)}: {chargers} chargers, {links} connections, {messages} messages"
             + (f", {gaps} GAPS" if gaps else "")]
    lines += [f"  {rule} {severity} ({blame}) {n} times: {safe_text(str(message), 100)}"
              for rule, severity, blame, n, message in findings.rows] or ["  no findings"]
    return lines
