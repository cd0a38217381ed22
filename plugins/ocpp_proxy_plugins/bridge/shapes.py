"""Owns the shapes that code makes: tokens here, meter values in the modules of the two directions."""

from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import islice
from typing import Any

from ocpp_proxy_plugins.bridge.converters import NOTHING, Convert, Notes
from ocpp_proxy_plugins.bridge.forms import MOST_UNKNOWN

_METER: Mapping[str, str] = {"1.6": "meter_up", "2.0.1": "meter_down"}      # by the version they come in
_OF_TOKEN = ("idToken", "type")


def token(value: Any, notes: Notes, path: str) -> Any:
    """idTag -> idToken."""
    if not isinstance(value, str):
        notes.lost(path, "not a text")
        return NOTHING
    return notes.token(value)


def tag(value: Any, notes: Notes, path: str) -> Any:
    """idToken -> idTag. The type is the token store's business; an idToken that has no idTag is nothing."""
    if not isinstance(value, dict) or not isinstance(value.get("idToken"), str):
        notes.lost(path, "not a token")
        return NOTHING
    if len(value) > len(_OF_TOKEN):
        for name in islice(value, MOST_UNKNOWN):
            if name not in _OF_TOKEN:
                notes.lost(f"{path}.{name[:60]}", "no such field in OCPP 1.6")
    return notes.tag(value, path) or NOTHING


def meter(source: str) -> Convert:
    """A list of meterValue of that version -> of the other; an empty one is nothing. The module is loaded when first needed."""
    found: list[Callable[[list[Any], Notes, str], list[Any]]] = []

    def convert(value: Any, notes: Notes, path: str) -> Any:
        if not isinstance(value, list):
            notes.lost(path, "not a list")
            return NOTHING
        if not found:
            found.append(import_module(f"{__package__}.{_METER[source]}").meter_values)
        return found[0](value, notes, path) or NOTHING

    return convert


def code_shape(name: str, source: str) -> Convert:
    """A shape made by code, of what comes in that version. Raises ``KeyError`` for one there is not."""
    if name == "meter":
        return meter(source)
    return {("token", "1.6"): token, ("token", "2.0.1"): tag}[name, source]
