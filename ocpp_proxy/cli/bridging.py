"""The bodies of ``bridge explain``, ``check`` and ``token-alias``."""

from ocpp_proxy_plugins.bridge import check as checking
from ocpp_proxy_plugins.bridge import explain as explaining
from ocpp_proxy_plugins.bridge.tokens import TAG_LENGTH, alias

from ocpp_proxy.cli.printing import ascii_json, talk
from ocpp_proxy.cli.run import BRIDGES
from ocpp_proxy.model import ConfigError

DIRECTIONS = ("1.6:2.0.1", "2.0.1:1.6")
"""Those of ``BRIDGES`` that are not between near versions: of them transactions are remembered."""


def direction_of(source: str, target: str) -> str | None:
    """The direction of ``--from`` and ``--to``, of which one may be missing; None: both. Raises ``ConfigError``."""
    if not source and not target:
        return None
    for direction in BRIDGES:
        station, _, csms = direction.partition(":")
        if source in ("", station) and target in ("", csms):
            return direction
    raise ConfigError(f"--from {source or '?'} --to {target or '?'}: the bridge is between 1.6 and 2.0.1, or 2.0.1 and 2.1")


def explained(action: str, source: str, target: str) -> str:
    """What becomes of an action. Raises ``ConfigError`` for one that neither version has."""
    try:
        return explaining.explain(action, direction_of(source, target))
    except ValueError as error:
        raise ConfigError(f"bridge explain: {error}") from None


def check(json: bool) -> int:
    """Print what is wrong with the tables; 1 when something is."""
    faults = checking.faults()
    for fault in faults:
        print(ascii_json({"fault": fault}) if json else fault)
    talk(f"{len(faults)} faults in the tables of the bridge" if faults else "the tables fit the official schemas")
    return 1 if faults else 0


def token_alias(token: str, kind: str) -> str:
    """The idTag of a token."""
    return token if len(token) <= TAG_LENGTH else alias(kind, token)
