"""Findings: a rule is a small function with a code; one file per family. Live and offline run the same rules."""

from ocpp_proxy.checks import (
    boot,
    calls,
    clocks,
    connection,
    framing,
    metering,
    notes,
    payload,
    transactions,
    transport,
)
from ocpp_proxy.checks.registry import REGISTRY
from ocpp_proxy.checks.settings import RULE_SET, Settings

FAMILIES = (transport, notes, connection, framing, calls, payload, clocks, boot, transactions, metering)
"""The files that hold rules; importing them fills ``REGISTRY``."""

__all__ = ["FAMILIES", "REGISTRY", "RULE_SET", "Settings"]
