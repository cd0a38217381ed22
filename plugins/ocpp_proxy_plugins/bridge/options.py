"""The options of the bridge, ``[plugins.bridge]``: which versions, and what operators will want to decide differently."""

from typing import Literal

from msgspec import Struct

from ocpp_proxy_plugins.bridge.near_rows import NEAR
from ocpp_proxy_plugins.bridge.rows import DOWN, UP


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """``station`` and ``csms``: the OCPP versions of the two sides, 1.6 and 2.0.1 or 2.0.1 and 2.1, either way round.

    ``assume``: a charger that offers no subprotocol speaks the station's version. ``answer_seconds``: by when a Call is
    answered, whatever the other side does. ``grace_seconds``: how long one side stays open when the other is lost.
    ``upstream``: the CSMS of bridged chargers where that is another one than that of all.
    ``strict``: what has no counterpart is answered by a CALLERROR NotSupported instead of a status.

    ``long_tokens``: tokens over 20 characters become an alias, are cut (two may become one), or are refused. ``kinds``:
    pattern -> type of idTokens that come from 1.6. ``anonymous``: idTag for 2.0.1 transactions without authorisation;
    empty: such transactions are not told to a 1.6 CSMS.

    ``orphans``: Meter values or an end of an unknown transaction: ``adopt`` (the open one that fits, else make one up),
    ``reject`` (answer the station, tell the CSMS nothing). ``link_settings``: settings that belong to the connection
    between station and proxy (security profile, passwords, ping interval) are refused, or go through.
    ``station_certificates``: a certificate request of the station is refused, or goes to the CSMS. ``unsigned_firmware``:
    a signed update for a station that knows only unsigned ones is refused, or sent unsigned. ``topology``: 1.6 connector ->
    [EVSE, connector] where it is not n -> [n, 1]. ``extra_data``: what 1.6 knows and 2.0.1 does not goes along as customData.
    ``attempts`` and ``attempt_seconds``: of transaction messages, the n-th wait is n times as long.

    Between 2.0.1 and 2.1 only ``assume``, ``upstream``, ``strict`` and ``long_tokens`` (over 36 characters) mean something.
    """

    station: Literal["1.6", "2.0.1", "2.1"] = "1.6"
    csms: Literal["1.6", "2.0.1", "2.1"] = "2.0.1"
    assume: bool = False
    answer_seconds: float = 30.0
    grace_seconds: float = 10.0
    upstream: str = ""
    strict: bool = False
    long_tokens: Literal["alias", "truncate", "reject"] = "alias"
    kinds: dict[str, str] = {}
    anonymous: str = ""
    orphans: Literal["adopt", "reject"] = "adopt"
    link_settings: Literal["refuse", "forward"] = "refuse"
    station_certificates: Literal["refuse", "csms-ca"] = "refuse"
    unsigned_firmware: Literal["refuse", "send"] = "refuse"
    reset_soft: Literal["Immediate", "OnIdle"] = "Immediate"
    topology: dict[str, tuple[int, int]] = {}
    extra_data: bool = False
    attempts: int = 3
    attempt_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.station == self.csms:
            raise ValueError(f"station and csms both speak {self.station}: there is nothing to bridge")
        if self.direction not in (UP, DOWN, *NEAR):
            raise ValueError("the bridge is between 1.6 and 2.0.1, or between 2.0.1 and 2.1")
        if self.upstream and not self.upstream.startswith(("ws://", "wss://")):
            raise ValueError("upstream is a URL that begins with ws:// or wss://")
        if not 1 <= self.answer_seconds <= 300 or not 0 <= self.grace_seconds <= 300:
            raise ValueError("answer_seconds is from 1 to 300, grace_seconds from 0 to 300")
        if not all(key.isdecimal() and min(place) >= 1 for key, place in self.topology.items()):
            raise ValueError('topology is like { "3" = [2, 1] }: connector = [EVSE, connector], from 1 on')
        if len({tuple(place) for place in self.topology.values()}) < len(self.topology):
            raise ValueError("topology leads two connectors to one EVSE and connector")

    @property
    def direction(self) -> str:
        """``1.6:2.0.1`` (A), ``2.0.1:1.6`` (B), ``2.1:2.0.1`` or ``2.0.1:2.1``."""
        return f"{self.station}:{self.csms}"

    @property
    def near(self) -> bool:
        """Whether the two versions are near."""
        return self.direction in NEAR
