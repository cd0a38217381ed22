"""Owns ``docs/findings.md``: made from the registry, so that it cannot drift from the rules."""

from ocpp_proxy.checks.registry import JSON_VERSIONS, REGISTRY, V1, V2, Registry, Rule
from ocpp_proxy.checks.settings import RULE_SET

FAMILIES = {
    "T": "Transport and handshake", "R": "Messages and calls", "V": "Payloads", "C": "Clocks and time stamps",
    "B": "Boot and registration", "X": "Transactions", "M": "Metering",
}
_HEAD = f"""# Findings

What the analyzer recognises, rule set {RULE_SET}. This page is made by `python -m ocpp_proxy.checks`.

A finding carries its code, a severity, whose fault the evidence says it is, the frames it rests on, a JSON path where there
is one, and the clause of the specification, where there is one. It is raised once per cause and counted after that. Blame
`either` becomes the sender of the frame. Severities: critical (money, safety), error (something fails), warning (against the
specification or good practice; traffic survives), info, hint. Change or switch off a code in the configuration:

```toml
[rules]
R08 = "info"
T16 = "off"
```
"""


def page(registry: Registry = REGISTRY) -> str:
    """The whole page."""
    parts = [_HEAD]
    for letter, title in FAMILIES.items():
        rules = [rule for code, rule in sorted(registry.rules.items()) if code.startswith(letter)]
        if rules:
            parts.append(f"## {letter}: {title}\n")
            parts.extend(_entry(rule) for rule in rules)
    return "\n".join(parts)


def _entry(rule: Rule) -> str:
    facts = f"{rule.severity.label} · blame: {rule.blame} · {_versions(rule.versions)}"
    spec = f" · {rule.spec}" if rule.spec else " · no clause: experience"
    unless = [" ".join((guard.__doc__ or "").split()).rstrip(".") for guard in rule.unless]
    not_when = f"Not raised when: {'; '.join(text[:1].lower() + text[1:] for text in unless)}.\n" if unless else ""
    return f"### {rule.code} {rule.title}\n\n{facts}{spec}\n\n{rule.means} *What to do:* {rule.remedy}\n\n{not_when}"


def _versions(versions: tuple[str, ...]) -> str:
    if not versions or set(JSON_VERSIONS) <= set(versions):
        return "all versions"
    if versions == V1:
        return "1.x"
    return "2.x" if versions == V2 else ", ".join(versions)
