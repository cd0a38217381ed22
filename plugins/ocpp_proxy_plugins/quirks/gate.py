"""Which repairs a kind of message meets, and the quick look at its raw payload that nearly all messages do not pass."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from ocpp_proxy_plugins.quirks.profile import Profile
from ocpp_proxy_plugins.quirks.repairs import ON_ERRORS, Action, Repair

Look = Callable[[bytes], object]
Task = tuple[Profile, tuple[tuple[Look, Repair], ...]]


def _always(raw: bytes) -> bool:
    return True


@lru_cache(maxsize=1024)
def look(sign: str | None) -> Look:
    """What tells whether a payload has the sign of a repair."""
    if sign is None:
        return _always
    if sign.startswith("="):
        literal = sign[1:].encode()
        return lambda raw: literal in raw
    return re.compile(b'"(?:' + sign.encode() + b")").search


@lru_cache(maxsize=1024)
def look_for_any(signs: frozenset[str | None]) -> tuple[Look, ...]:
    """The same for any of them: literals, and one regular expression."""
    if None in signs:
        return (_always,)
    literals = [sign for sign in signs if sign is not None and sign.startswith("=")]
    patterns = sorted(sign for sign in signs if sign is not None and not sign.startswith("="))
    joined = [f"(?:{')|(?:'.join(patterns)})"] if patterns else []
    return tuple(look(sign) for sign in (*literals, *joined))


class Gate:
    """The repairs for messages of one sender, kind and action. ``opens``: whether one of them may have something to do."""

    __slots__ = ("_looks", "tasks")

    def __init__(self, profiles: Iterable[Profile], error: bool, known: bool) -> None:
        """``error``: it is a CALLERROR. ``known``: the version of the link knows the action."""
        tasks: list[Task] = []
        signs: set[str | None] = set()
        for profile in profiles:
            fitting = [
                repair for repair in profile.repairs
                if isinstance(repair, ON_ERRORS) == error and not (known and isinstance(repair, Action))
            ]
            if fitting:
                tasks.append((profile, tuple((look(repair.sign()), repair) for repair in fitting)))
                signs.update(repair.sign() for repair in fitting)
        self.tasks = tuple(tasks)
        self._looks = look_for_any(frozenset(signs))

    def opens(self, raw: bytes) -> bool:
        """The quick look."""
        return any(look(raw) for look in self._looks)
