"""The charging profiles that a station accepted: 1.6 cannot list them, so the bridge does (errata 3.37: they stay)."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Profile

MOST_PROFILES = 200
_REFUSED = ("PropertyConstraintViolation", "NotSupported", "NotImplemented", "OccurenceConstraintViolation",
            "OccurrenceConstraintViolation", "TypeConstraintViolation", "FormationViolation", "FormatViolation")


def is_refusal(code: str) -> bool:
    """Whether a CALLERROR to a profile says no more than Rejected does (1.6 errata 3.38, 3.39)."""
    return code in _REFUSED


def current(desk: Desk, tids: Iterable[int]) -> list[Profile]:
    """Those that are in force: profiles of a transaction end with it. ``tids``: of those that run."""
    running = set(tids)
    return [one for one in desk.kept.profiles if not one.tid or one.tid in running]


def remembered(desk: Desk, profile: Profile, tids: Iterable[int]) -> None:
    """Accepted: it takes the place of the one with its number, and of the one at its place (1.6, 3.13.2)."""
    place = profile.evse, profile.purpose, profile.stack_level, profile.tid
    others = [
        one for one in current(desk, tids)
        if one.profile_id != profile.profile_id and (one.evse, one.purpose, one.stack_level, one.tid) != place
    ]
    if len(others) >= MOST_PROFILES:
        text = f"the station has more than {MOST_PROFILES} charging profiles: the oldest is no longer listed"
        desk.find("profiles", text, "info", "proxy")
    desk.keep(profiles=(*others[-MOST_PROFILES + 1 :], profile))


def chosen(
    profiles: Sequence[Profile], *, ids: Sequence[int] = (), evse: object = None, purpose: object = None, level: object = None,
) -> list[Profile]:
    """Those that all that is given fits."""
    return [
        one for one in profiles
        if (not ids or one.profile_id in ids) and evse in (None, one.evse) and purpose in (None, one.purpose)
        and level in (None, one.stack_level)
    ]


def cleared(desk: Desk, gone: Sequence[Profile]) -> None:
    """The station has these no longer."""
    if gone:
        desk.keep(profiles=tuple(one for one in desk.kept.profiles if one not in gone))


def made(evse: int, profile: dict[str, Any], tid: int = 0) -> Profile | None:
    """What is remembered of a 2.0.1 profile; None: it is none."""
    profile_id, level = profile.get("id"), profile.get("stackLevel")
    if type(profile_id) is not int or type(level) is not int:
        return None
    return Profile(profile_id, evse, str(profile.get("chargingProfilePurpose")), level, msgspec.json.encode(profile), tid)
