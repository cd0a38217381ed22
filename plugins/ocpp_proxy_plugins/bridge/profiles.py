"""The charging profiles that a station accepted: 1.6 cannot list them, so the bridge does (errata 3.37: they stay)."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Profile

MOST_PROFILES = 200
MOST_BYTES = 98_304                         # of all of them
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
    found = newest((*others, profile))
    if len(found) <= len(others):
        text = f"the station has more than {MOST_PROFILES} charging profiles, or long ones: the oldest are no longer listed"
        desk.find("profiles", text, "info", "proxy")
    desk.keep(profiles=found)


def newest(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    """As many of the newest as are kept."""
    room, first = MOST_BYTES, len(profiles)
    while first > max(0, len(profiles) - MOST_PROFILES) and len(profiles[first - 1].payload) <= room:
        first -= 1
        room -= len(profiles[first].payload)
    return tuple(profiles[first:])


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
    purpose = str(profile.get("chargingProfilePurpose"))[:60]
    return Profile(profile_id, evse, purpose, level, msgspec.json.encode(profile), tid)
