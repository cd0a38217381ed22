"""Owns the way from a rule's hits to findings: guards, one finding per cause, counts, numbers."""

import re
from collections.abc import Callable

from msgspec import structs

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import Hit, Rule, Rules
from ocpp_proxy.checks.state import CAUSES, Cause, Scope
from ocpp_proxy.model import Blame, Finding, Severity
from ocpp_proxy.records import Found, Record

_INDEX = re.compile(r"\[\d+\]")
_POWERS = frozenset(10**power for power in range(1, 12))
OURS = frozenset({"injected", "modified", "translated"})        # verdicts of frames the proxy made
EVIDENCE = 8                            # frame_ids a finding names at most


class Judge:
    """Runs rules on the context and appends their findings to a stream.

    A cause that is seen again only counts; the finding is given again, with its count, at powers of ten and when its
    link ends. ``number`` gives the next finding_id. ``failures``: rules that raised, which is our fault and is shown.
    """

    def __init__(self, context: Context, severities: dict[str, Severity | None], number: Callable[[], int]) -> None:
        self.context = context
        self.severities = severities
        self.number = number
        self.failures = 0

    def run(self, rules: Rules, out: list[Record]) -> bool:
        """Let rules judge the context; True when any of them found something (also a cause seen before)."""
        found, context = False, self.context
        for rule in rules:
            context.code = rule.code
            context.scope = context.station if rule.scope == "station" else context.link
            try:
                for hit in rule.check(context):
                    if not any(guard(context, hit) for guard in rule.unless):
                        self.add(rule, hit, out)
                        found = True
            except (AttributeError, KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
                self.failures += 1
                self.add(rule, Hit(f"the rule itself failed: {type(error).__name__}", blame="proxy", cause="failure"), out)
        return found

    def add(self, rule: Rule, hit: Hit, out: list[Record]) -> None:
        """Turn a hit into a finding, or count it."""
        context = self.context
        scope = context.scope
        blame: Blame = hit.blame or rule.blame
        frame = context.frame
        if frame is not None and frame.verdict in OURS and blame == frame.sender.value:
            blame = "proxy"                             # it speaks in that side's place
        key = f"{rule.code}:{blame}:{hit.cause or _INDEX.sub('[]', hit.path)}"
        evidence = hit.evidence or ((frame.frame_id,) if frame is not None else ())
        cause = scope.causes.get(key)
        if cause is None:
            message = context.message
            number = hit.msg_no if hit.msg_no is not None else message.msg_no if message is not None else None
            severity = self.severities[rule.code]
            if severity is None or severity is rule.severity:               # a severity the user set stays
                severity = rule.severity if hit.severity is None else hit.severity
            finding = Finding(
                self.number(), rule.code, severity, blame, context.link.link.link_id,
                context.link.link.identity or context.station.identity, hit.at_ns or context.now, hit.message, number,
                evidence[:EVIDENCE], hit.path, rule.spec,
            )
            self._keep(scope, key, Cause(finding), out)
            out.append(Found(finding))
            return
        cause.count += 1
        cause.last = evidence
        if cause.count in _POWERS:
            cause.told = cause.count
            out.append(_again(cause))

    def _keep(self, scope: Scope, key: str, cause: Cause, out: list[Record]) -> None:
        if len(scope.causes) >= CAUSES:
            old = scope.causes.pop(next(iter(scope.causes)))
            scope.overflow += 1
            if old.count > old.told:
                out.append(_again(old))
        scope.causes[key] = cause

    def settle(self, scope: Scope, out: list[Record]) -> None:
        """Give every finding of a scope whose count has grown since it was last given (its link ends)."""
        for cause in scope.causes.values():
            if cause.count > cause.told:
                cause.told = cause.count
                out.append(_again(cause))


def _again(cause: Cause) -> Found:
    finding = cause.finding
    evidence = finding.evidence + tuple(frame for frame in cause.last[-1:] if frame not in finding.evidence)
    return Found(structs.replace(finding, count=cause.count, evidence=evidence))
