"""Messages with every field of their schema, and a ledger that remembers: for the tests of the tables."""

from functools import cache
from typing import Any

import msgspec

from ocpp_proxy.api import Loss
from ocpp_proxy.spec.field_help import FieldHelp, field_help, members
from ocpp_proxy.spec.json_path import Step

TIME = "2026-05-04T10:20:30.125Z"
URI = "https://example.org/x"
SPECIAL = {
    "idToken": "AB12", "idTag": "AB12", "parentIdTag": "CD34", "additionalIdToken": "EF56",
    "location": URI, "remoteLocation": URI,
}


class Ledger:
    """``Notes`` that keep what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        self.told.append((path, reason, what))

    def token(self, id_tag: str) -> dict[str, Any]:
        return {"idToken": id_tag, "type": "Central"}

    def tag(self, id_token: dict[str, Any], path: str) -> str:
        return str(id_token["idToken"])

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.told]


def full(version: str, action: str, answer: bool = False) -> dict[str, Any]:
    """A valid payload that has every field (but customData), lists with one item; a new one at each call."""
    made: dict[str, Any] = msgspec.json.decode(_full(version, action, answer))
    return made


@cache
def _full(version: str, action: str, answer: bool) -> bytes:
    return msgspec.json.encode(_object((version, action, answer), ()))


def _object(key: tuple[str, str, bool], steps: tuple[Step, ...]) -> dict[str, Any]:
    names = [name for name in members(*key, steps) if name != "customData"]
    return {name: _value(key, (*steps, name)) for name in names}


def _value(key: tuple[str, str, bool], steps: tuple[Step, ...]) -> Any:
    known = field_help(*key, steps)
    assert known is not None
    if field_help(*key, (*steps, 0)) is not None:
        return [_value(key, (*steps, 0))]
    if members(*key, steps):
        return _object(key, steps)
    return _plain(known, str(steps[-1]))


def _plain(known: FieldHelp, name: str) -> Any:
    if known.enum:
        return known.enum[0]
    if known.format == "date-time":
        return TIME
    if known.type in ("integer", "number"):
        return 7
    if known.type == "boolean":
        return True
    text = SPECIAL.get(name, URI if known.format == "uri" else f"a {name}")
    return text[: known.max_length]
