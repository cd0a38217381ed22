"""Owns where things are in the payloads: keys to index by, time stamps; and hands on what is sensitive, as data tables.

Which of the named paths a message really has is read from its schema, so a new action or version needs no line here.
Versions 1.2 and 1.5 have no schemas; their messages are those of 1.6, as far as this goes.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ocpp_proxy.spec import schemas
from ocpp_proxy.spec.difference import flatten
from ocpp_proxy.spec.paths import EACH, Path, first, parse, places
from ocpp_proxy.spec.sensitive import (
    Category,
    Place,
    is_secret_name,
    may_hold_secrets,
    personal_places,
    secret_places,
    secret_spans,
)

__all__ = [
    "EACH", "Category", "Keys", "Path", "Place", "Stamp", "first", "is_secret_name", "keys", "may_hold_secrets",
    "personal_places", "places", "secret_places", "secret_spans", "stamps",
]

KEY_PATHS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "1.x": {
        "connector_id": ("connectorId",),
        "tx_id": ("transactionId", "csChargingProfiles.transactionId", "chargingProfile.transactionId"),
        "id_token": ("idTag",),
    },
    "2.x": {
        "evse_id": ("evse.id", "evseId", "reservation.evse.id", "chargingProfileCriteria.evseId", "schedule.evseId"),
        "connector_id": ("evse.connectorId", "connectorId", "reservation.evse.connectorId"),
        "tx_id": ("transactionInfo.transactionId", "transactionId", "transactionData.id", "chargingProfile.transactionId"),
        "id_token": ("idToken.idToken",),
    },
}
"""Family -> key -> where it may be, first match wins."""

CLOCK_NAMES = frozenset({"timestamp", "currentTime", "generatedAt", "basetime"})
"""Time stamps by the sender's clock: at, or not long before, the time of sending."""

PLANNED = frozenset({("AFRRSignal", "timestamp")})
"""(action, name) of ``CLOCK_NAMES`` that are a time to come after all."""

STAMPS_1_5: Mapping[tuple[str, bool], tuple[Path, ...]] = {("MeterValues", False): (parse("values[].timestamp"),)}
"""Time stamps of 1.2 and 1.5 that 1.6 has under another name."""


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


Leaf = tuple[Path, dict[str, object]]

_leaves: dict[tuple[str, str, bool], tuple[Leaf, ...]] = {}
_keys: dict[tuple[str, str, bool], Keys] = {}
_stamps: dict[tuple[str, str, bool], tuple[Stamp, ...]] = {}
_NO_KEYS = Keys()


def keys(version: str, action: str, answer: bool) -> Keys:
    """Where evse_id, connector_id, tx_id and id_token are; ``Keys()`` with empty paths for messages without any."""
    found = _keys.get((version, action, answer))
    if found is not None:
        return found
    leaves = dict(leaf_fields(version, action, answer))
    if not leaves:
        return _NO_KEYS
    table = KEY_PATHS[f"{version[0]}.x"]
    found = Keys(**{key: tuple(path for path in map(parse, table[key]) if path in leaves) for key in table})
    _keys[version, action, answer] = found
    return found


def stamps(version: str, action: str, answer: bool) -> tuple[Stamp, ...]:
    """The time stamp fields of a message, in schema order."""
    found = _stamps.get((version, action, answer))
    if found is not None:
        return found
    leaves = leaf_fields(version, action, answer)
    if not leaves:
        return ()
    paths = [path for path, field in leaves if field.get("format") == "date-time"]
    if version in ("1.2", "1.5"):
        paths.extend(STAMPS_1_5.get((action, answer), ()))
    found = tuple(Stamp(path, path[-1] in CLOCK_NAMES and (action, path[-1]) not in PLANNED) for path in paths)
    _stamps[version, action, answer] = found
    return found


def leaf_fields(version: str, action: str, answer: bool) -> tuple[Leaf, ...]:
    """(path, schema) of every field of a message that is not an object or a list; () when there is no schema."""
    judged = "1.6" if version in ("1.2", "1.5") else version
    key = (judged, action, answer)
    if key not in _leaves:
        if (action, answer) not in schemas.messages(judged):
            return ()
        schema = schemas.raw(judged, action, answer)
        _leaves[key] = tuple(_leaf_fields(flatten(schema, schema, frozenset()), ()))
    return _leaves[key]


def _leaf_fields(node: dict[str, object], path: Path) -> Iterator[Leaf]:
    properties, items = node.get("properties"), node.get("items")
    if isinstance(properties, dict):
        for name, inner in properties.items():
            yield from _leaf_fields(inner, (*path, name))
    elif isinstance(items, dict):
        yield from _leaf_fields(items, (*path, EACH))
    elif path:
        yield path, node
