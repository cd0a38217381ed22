"""Owns the names of the protocol versions: subprotocol tokens, versions, families."""

from msgspec import Struct

SUBPROTOCOLS = {
    "ocpp1.2": "1.2",
    "ocpp1.5": "1.5",
    "ocpp1.6": "1.6",
    "ocpp2.0": "2.0",
    "ocpp2.0.1": "2.0.1",
    "ocpp2.1": "2.1",
}
"""Registered subprotocol token -> version."""

VERSIONS = tuple(SUBPROTOCOLS.values())
"""All versions, oldest first."""

FAMILIES = {version: f"{version[0]}.x" for version in VERSIONS}
"""Version -> "1.x" or "2.x"; versions of one family share their message shapes."""


class Spoken(Struct, frozen=True, gc=False):
    """What a subprotocol token means. ``wrong_case``: the token is not spelt as registered (``OCPP1.6``)."""

    version: str
    subprotocol: str
    wrong_case: bool


_SPOKEN = {token: Spoken(version, token, False) for token, version in SUBPROTOCOLS.items()}


def lookup(subprotocol: str) -> Spoken | None:
    """The version behind one subprotocol token, in any letter case and with blanks around it; None if it is not OCPP's."""
    exact = _SPOKEN.get(subprotocol)
    if exact is not None:
        return exact
    token = subprotocol.strip()
    known = _SPOKEN.get(token.lower())
    if known is None or known.subprotocol == token:
        return known
    return Spoken(known.version, known.subprotocol, True)


def version_of(subprotocol: str) -> str:
    """The version of a subprotocol token in any letter case ("ocpp1.6" -> "1.6"), or "" if it is not OCPP's."""
    spoken = lookup(subprotocol)
    return spoken.version if spoken else ""
