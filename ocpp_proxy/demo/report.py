"""What the demo says at its end: which messages reached the capture, what was wrong, and whose fault each was."""

from collections.abc import Iterable
from typing import Any

from ocpp_proxy.escape import safe_text

FAULT = {
    "station": "the charger's fault", "csms": "the CSMS's fault", "network": "the network's fault",
    "either": "either side's fault", "proxy": "the proxy's own",
}


def table(findings: Iterable[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Distinct findings as (identity, code, severity, blame), sorted: what the checked-in list holds."""
    return sorted({(row["identity"], row["code"], row["severity"], row["blame"]) for row in findings})


def verdict(findings: list[dict[str, Any]]) -> list[str]:
    """The closing lines: per side, what it did wrong and on which charger."""
    lines: list[str] = []
    for blame, title in FAULT.items():
        rows = [row for row in findings if row["blame"] == blame]
        if not rows:
            continue
        lines.append(f"{title}:")
        seen = {(row["identity"], row["code"], row["message"]) for row in rows}
        lines += [
            f"  {safe_text(identity):<12} {safe_text(code)}  {safe_text(message)}" for identity, code, message in sorted(seen)
        ]
    return lines
