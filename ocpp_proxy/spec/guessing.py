"""Owns the guess of the version from action names and payload shapes, where no subprotocol was negotiated."""

from ocpp_proxy.spec import actions, schemas

_CANDIDATES = ("1.6", "2.0", "2.0.1", "2.1")
_JUDGED_AS = {"2.0": schemas.CLOSED_2_0}
_LIKELY = ("1.6", "2.0.1", "2.1", "2.0")
"""Most used first: decides between versions of one family that fit equally well."""


def fits(action: str, answer: bool, payload: object) -> tuple[str, ...]:
    """The versions (of 1.6, 2.0, 2.0.1, 2.1) whose schema of the action the payload fits at grade "errata", oldest first.

    2.0 allows unknown properties, and so would take nearly everything: here it must do without them.
    """
    return tuple(version for version in _CANDIDATES if _misfit(version, action, answer, payload) == 0)


def guess(action: str, payload: object, answer: bool = False) -> str | None:
    """The version a message most likely is of ("1.6", "2.0", "2.0.1", "2.1"), or None when it could be of both families.

    The best fit wins; within a family the most used version. A payload that fits nothing is judged by its fewest faults.
    """
    misfits = {version: _misfit(version, action, answer, payload) for version in _LIKELY}
    known = {version: count for version, count in misfits.items() if count is not None}
    if not known:
        return None
    best = min(known.values())
    winners = [version for version in _LIKELY if known.get(version) == best]
    return winners[0] if len({version[0] for version in winners}) == 1 else None


def _misfit(version: str, action: str, answer: bool, payload: object) -> int | None:
    """How many faults at grade "errata" the payload has in a version; None when the version has no such message."""
    judged = _JUDGED_AS.get(version, version)
    name = actions.plain(version, action)
    if name != action and name in actions.known(version):
        return 0                                      # a signed message: its payload is a JWS, the same in 2.0.1 and 2.1
    if schemas.validator(judged, action, answer) is None:
        return None
    return sum(fault.grade != "official" for fault in schemas.check(judged, action, answer, payload))
