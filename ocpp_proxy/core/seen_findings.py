"""Findings by rule and charger, counted as they come, with the newest of each rule. Bounded; what falls out is counted."""

from msgspec import Struct, field

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.model import Finding, Severity
from ocpp_proxy.source import FindingGroup, FoundAt

CODES = 1_000                               # rules told apart
TALLIES = 100_000                           # rule and charger, counted apart
KEPT = 1_000                                # newest findings of a rule that are kept whole


class _Tally(Struct):
    """The findings of one rule on one charger."""

    count: int = 0
    level: int = 0
    blames: set[str] = field(default_factory=set)
    first_ns: int = 0
    last_ns: int = 0
    newest: int = 0
    message: str = ""
    spec_ref: str = ""

    def join(self, other: "_Tally") -> None:
        """Add another's."""
        self.first_ns = min(self.first_ns, other.first_ns) if self.count else other.first_ns
        self.count += other.count
        self.level = max(self.level, other.level)
        self.blames |= other.blames
        self.last_ns = max(self.last_ns, other.last_ns)
        if other.newest >= self.newest:
            self.newest, self.message, self.spec_ref = other.newest, other.message, other.spec_ref


class SeenFindings:
    """Takes findings in, in the order of the stream. ``forgotten``: findings no longer kept whole (they stay counted)."""

    def __init__(self) -> None:
        self.forgotten = 0
        self._tallies: dict[str, dict[str, _Tally]] = {}
        self._kept: dict[str, dict[int, Finding]] = {}
        self._tally_count = 0

    def add(self, finding: Finding) -> None:
        """A finding, or one given again with its count."""
        kept = self._kept.get(finding.code)
        if kept is None:
            if len(self._kept) >= CODES:
                self.forgotten += 1
                return
            kept = self._kept[finding.code] = {}
        before = kept.get(finding.finding_id)
        told = before.count if before is not None else _told(finding.count)
        kept[finding.finding_id] = finding
        if len(kept) > KEPT:
            del kept[next(iter(kept))]
            self.forgotten += 1
        self._tally(finding).join(_Tally(
            finding.count - told, finding.severity.value, {finding.blame}, cut(finding.time_ns), cut(finding.time_ns),
            finding.finding_id, finding.message, finding.spec_ref))

    def _tally(self, finding: Finding) -> _Tally:
        of_code = self._tallies.setdefault(finding.code, {})
        identity = finding.identity
        if identity not in of_code and self._tally_count >= TALLIES:
            identity = ""                   # counted, but for no charger
        if identity not in of_code:
            of_code[identity] = _Tally()
            self._tally_count += 1
        return of_code[identity]

    def groups(self, identity: str = "") -> list[FindingGroup]:
        """As ``source.Source.finding_groups``."""
        found = []
        for code, of_code in self._tallies.items():
            whole = _Tally()
            for one, tally in of_code.items():
                if not identity or one == identity:
                    whole.join(tally)
            if whole.count:
                names = tuple(sorted(one for one in of_code if one and (not identity or one == identity)))
                blame = next(iter(whole.blames)) if len(whole.blames) == 1 else "either"
                found.append(group(code, whole.level, blame, whole.count, names, whole.first_ns, whole.last_ns, whole.message,
                                   whole.spec_ref))
        return ranked(found)

    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """As ``source.Source.findings``; their lines are not known."""
        of_rules = [self._kept.get(code, {})] if code else list(self._kept.values())
        found = [finding for kept in of_rules for finding in kept.values() if not identity or finding.identity == identity]
        found.sort(key=lambda finding: -finding.finding_id)
        return [FoundAt(finding) for finding in found[:limit]]


def group(
    code: str, level: int, blame: str, count: int, chargers: tuple[str, ...], first_ns: int, last_ns: int, message: str,
    spec_ref: str,
) -> FindingGroup:
    """A group with what the rule is about; a code of no rule (a plugin's) keeps the text of its newest finding."""
    rule = REGISTRY.rules.get(code)
    title, spec = (rule.title, rule.spec) if rule is not None else (message, spec_ref)
    return FindingGroup(code, Severity(level), blame, title, spec, count, chargers, first_ns, last_ns, message)


def ranked(groups: list[FindingGroup]) -> list[FindingGroup]:
    """Worst and most frequent first."""
    return sorted(groups, key=lambda one: (-one.severity, -one.count, one.code))


def cut(time_ns: int) -> int:
    """A time to the microsecond, as the capture's columns keep it."""
    return time_ns // 1000 * 1000


def _told(count: int) -> int:
    """The count a finding was given with before, of one that is not kept: they are given at powers of ten."""
    return 10 ** (len(str(count - 1)) - 1) if count > 1 else 0
