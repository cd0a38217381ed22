"""Owns what a user can set about the rules, and the version of the rule set that judged a capture."""

from msgspec import Struct, field

from ocpp_proxy.spec.faults import Grade

RULE_SET = "1"
"""Rises when a rule changes what it finds in the same traffic; stands in a capture's ``meta``."""

OFF = "off"


class Settings(Struct, frozen=True):
    """Thresholds and severities of the rules. Times in seconds of record time.

    ``severities``: finding code -> off, hint, info, warning, error or critical; codes not named keep their default.
    ``grade``: the strictness of the schema rules ("official" includes what errata allow, "field" is structure only).
    """

    call_seconds: float = 30.0              # R07: a Call unanswered for so long
    pong_seconds: float = 30.0              # T13
    start_seconds: float = 120.0            # X10, until the station's own ConnectionTimeOut is seen
    storm_connects: int = 10                # T16: more connects than this ...
    storm_seconds: float = 600.0            # ... in this time
    retry_count: int = 3                    # R09: the same Call so often ...
    retry_seconds: float = 60.0             # ... in this time, without a result
    certificate_days: float = 30.0          # T10
    grade: Grade = "errata"
    severities: dict[str, str] = field(default_factory=dict)
    rule_set: str = RULE_SET
