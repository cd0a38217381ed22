"""Owns what stands in ``tables/near.toml``, between OCPP 2.1 and 2.0.1, as it is written there: structs, read once."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ocpp_proxy.model import Side
from ocpp_proxy_plugins.bridge.rows import FOLDER

NEW, OLD = "2.1", "2.0.1"
NEAR = (f"{NEW}:{OLD}", f"{OLD}:{NEW}")
"""Directions (station:CSMS) between near versions."""

Length = Literal["cut", "text", "item", "refuse", "alias"]


class ValueRow(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the values of a list that the target does not have. The head of the table says what the parts mean."""

    type: str
    to: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    item: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    others: str = ""
    actions: tuple[str, ...] = ()
    why: str = ""

    def of(self, value: str) -> str:
        """``=VALUE``, drop, item, refuse or alias; empty: nothing is said of it."""
        if value in self.to:
            return f"={self.to[value]}"
        for name, values in (("drop", self.drop), ("item", self.item), ("refuse", self.refuse)):
            if value in values:
                return name
        return self.others


class FieldRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A field without which the message cannot be said. ``unless``: the value that says the same as none."""

    name: str
    why: str
    unless: Any = None
    actions: tuple[str, ...] = ()


class ItemsRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of many requests: the list of them, that of their results, what both have; the result of one refused."""

    list: str
    results: str
    same: tuple[str, ...]
    status: dict[str, str]
    info: str


class Way(Struct, frozen=True, forbid_unknown_fields=True):
    """Messages from one of the versions to the other. ``fill``: Type.field -> value, or ``{refuse = why}``."""

    value: tuple[ValueRow, ...] = ()
    length: dict[str, Length] = {}
    number: dict[str, Literal["up", "down", "nearest"]] = {}
    fill: dict[str, Any] = {}
    field: tuple[FieldRow, ...] = ()
    empties: tuple[str, ...] = ()
    items: dict[str, ItemsRow] = {}
    refusal: dict[str, dict[str, Any]] = {}
    local: dict[str, "LocalRow"] = {}
    send: dict[str, str] = {}

    def value_of(self, kind: str, action: str) -> ValueRow | None:
        """The row of a list of values in an action; one for that action alone comes first."""
        rows = [row for row in self.value if row.type == kind and action in (row.actions or (action,))]
        return next((row for row in rows if row.actions), rows[0] if rows else None)

    def field_of(self, name: str, action: str) -> FieldRow | None:
        """The row of a field that only the source has, where it may not be left out."""
        return next((row for row in self.field if row.name == name and action in (row.actions or (action,))), None)


class LocalRow(Struct, frozen=True, forbid_unknown_fields=True):
    """What the bridge answers to a Call that only one version has: a payload, or the code of a CALLERROR."""

    answer: dict[str, Any] | None = None
    error: str = ""


class NearTables(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    down: Way
    up: Way

    def way(self, source: str) -> Way:
        """The messages of a side that speaks this version, towards the other."""
        return self.down if source == NEW else self.up


@cache
def near() -> NearTables:
    """The tables. Raises ``ValueError`` for ones that are not of their shape."""
    text = files(FOLDER).joinpath("tables/near.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), NearTables)


def spoken(direction: str, sender: Side) -> str:
    """The version that a side speaks."""
    station, _, csms = direction.partition(":")
    return station if sender is Side.STATION else csms


def beyond(version: str) -> str:
    """The other of the two versions."""
    return OLD if version == NEW else NEW


def filled(how: Any) -> str | None:
    """Why a field that is required cannot be made up; None: it can."""
    if isinstance(how, Mapping):
        return str(how["refuse"])
    return None
