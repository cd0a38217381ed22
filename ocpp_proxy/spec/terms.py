"""Owns where things are in the payloads: keys to index by, time stamps, secrets and personal data, as data tables.

A path is a tuple of steps from the payload: a property name, or ``EACH`` for every item of a list.
"""

from typing import Literal

from msgspec import Struct

Path = tuple[str, ...]

EACH = "[]"
"""The step "every item of the list"."""


class Keys(Struct, frozen=True, gc=False):
    """Where the index keys of one message are: paths without ``EACH``, to be tried in order; empty: the message has none."""

    evse_id: tuple[Path, ...] = ()
    connector_id: tuple[Path, ...] = ()
    tx_id: tuple[Path, ...] = ()
    id_token: tuple[Path, ...] = ()


class Stamp(Struct, frozen=True, gc=False):
    """A time stamp field. ``clock``: the sender's "now" (event, sample, currentTime); else a planned or stored time."""

    path: Path
    clock: bool


class Place(Struct, gc=False):
    """A value found in a decoded payload: replace it by ``place.holder[place.key] = new``.

    ``how``: "value" (the whole value), "url" (only user:password of the URL), "text" (only what ``SECRET_IN_TEXT`` finds
    in it), for personal data the category ("token", "vehicle", "station", "customer", "certificate", "free").
    """

    holder: dict[str, object] | list[object]
    key: str | int
    value: object
    how: str


def keys(version: str, action: str, answer: bool) -> Keys:
    """Where evse_id, connector_id, tx_id and id_token are; ``Keys()`` with empty paths for messages without any."""
    return Keys()


def stamps(version: str, action: str, answer: bool) -> tuple[Stamp, ...]:
    """The time stamp fields of a message, in schema order."""
    return ()


def places(payload: object, path: Path) -> list[tuple[dict[str, object] | list[object], str | int]]:
    """All (holder, key) that a path names in a decoded payload; a missing or wrongly typed step names nothing."""
    return []


def may_hold_secrets(action: str, answer: bool) -> bool:
    """Cheap gate: False when ``secret_places`` can find nothing in such a message (an empty action: True)."""
    return False


def secret_places(action: str, answer: bool, payload: object) -> list[Place]:
    """The credentials in a decoded payload, in any version; an empty action means every rule is tried."""
    return []


def personal_places(payload: object) -> list[Place]:
    """The personal data in a decoded payload of any version: by property name at any depth, so also in malformed ones."""
    return []


Category = Literal["token", "vehicle", "station", "customer", "certificate", "free"]
