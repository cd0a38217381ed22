"""Owns the questions about actions: which a version knows, who sends them, which are a SEND, what was meant.

An action is the name on the wire, without "Request". Signed messages of 2.0.1 and 2.1 ("BootNotification-Signed",
part 4 chapter 7) are their plain action here.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from ocpp_proxy.model import Side
from ocpp_proxy.spec.action_table import ACTIONS

Direction = Side | Literal["both"]

SIGNED = "-Signed"
"""Suffix of the action of a signed message (2.0.1 and 2.1)."""

_DIRECTIONS: Mapping[str, Direction] = {"station": Side.STATION, "csms": Side.CSMS, "both": "both"}


class ActionTable:
    """The actions of all versions, made from data of the shape of ``action_table.ACTIONS``. Immutable after creation."""

    def __init__(self, data: Mapping[str, Mapping[str, str]]) -> None:
        self.directions: dict[str, dict[str, Direction]] = {
            version: {name: _DIRECTIONS[sender] for sender in _DIRECTIONS for name in rows.get(sender, "").split()}
            for version, rows in data.items()
        }
        self.names = {version: frozenset(table) for version, table in self.directions.items()}
        self.sends = {version: frozenset(rows.get("send", "").split()) for version, rows in data.items()}

    def direction(self, version: str, action: str) -> Direction | None:
        """Who sends the request: a ``Side``, "both", or None when the version does not know the action."""
        table = self.directions.get(version)
        if table is None:
            return None
        found = table.get(action)
        if found is None and action.endswith(SIGNED):
            return table.get(plain(version, action))
        return found

    def known(self, version: str) -> frozenset[str]:
        """All actions of a version; empty for an unknown version."""
        return self.names.get(version, frozenset())

    def is_send(self, version: str, action: str) -> bool:
        """True when the action is a SEND (type 6, never answered); only 2.1 has such."""
        return action in self.sends.get(version, ())

    def versions(self, action: str) -> tuple[str, ...]:
        """The versions that know the action, oldest first."""
        return tuple(version for version, names in self.names.items() if plain(version, action) in names)

    def did_you_mean(self, version: str, action: str) -> str:
        """The known action this was probably meant to be (wrong case first, then a near spelling), or ""."""
        names = self.known(version)
        if action in names or len(action) > 80:
            return ""
        lower = action.lower()
        for suffix in ("", "request", "req", "response", "conf"):
            for name in names:
                if lower == name.lower() + suffix:
                    return name
        near = get_close_matches(action, sorted(names), 1, 0.8)
        return near[0] if near else ""


def plain(version: str, action: str) -> str:
    """The action without the "-Signed" of a signed message, where the version has signed messages."""
    return action.removesuffix(SIGNED) if version in ("2.0.1", "2.1") else action


TABLE = ActionTable(ACTIONS)
"""The actions of the published versions."""

direction = TABLE.direction
known = TABLE.known
is_send = TABLE.is_send
versions = TABLE.versions
did_you_mean = TABLE.did_you_mean
