"""Owns what stands in ``tables/*.toml``, as it is written there: structs, read once, compiled elsewhere (``tables``)."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct

Direction = Literal["1.6:2.0.1", "2.0.1:1.6"]
Kind = Literal["translate", "choose", "split", "fanout", "merge", "fsm", "optional", "local"]
Rows = tuple[tuple[str, str, str], ...]
"""Source path, target path, how. ``[]`` is the items of a list; ``Target:path`` names one of several targets."""

FOLDER = "ocpp_proxy_plugins.bridge"
UP: Direction = "1.6:2.0.1"
DOWN: Direction = "2.0.1:1.6"
VERSIONS = ("1.6", "2.0.1")


class ActionRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One action of one side. The page of the tables (``tables/actions_up.toml``, its head) says what the parts mean."""

    name: str
    sender: Literal["station", "csms"]
    kind: Kind
    targets: tuple[str, ...] = ()
    request: Rows = ()
    made: dict[str, str] = {}
    fixed: dict[str, Any] = {}
    invented: dict[str, Any] = {}
    dropped: dict[str, str] = {}
    answer: Rows = ()
    answer_made: dict[str, str] = {}
    answer_fixed: dict[str, Any] = {}
    answer_dropped: dict[str, str] = {}
    local: dict[str, Any] | None = None
    note: str = ""


class ShapeRow(Struct, frozen=True, forbid_unknown_fields=True):
    """An object that many actions share. ``source``: the version it comes in. ``code``: made by code, not by its fields."""

    name: str
    source: Literal["1.6", "2.0.1"]
    fields: Rows = ()
    dropped: dict[str, str] = {}
    made: dict[str, str] = {}
    code: bool = False
    note: str = ""


class EnumRow(Struct, frozen=True, forbid_unknown_fields=True):
    """Where each value of a list goes. ``source``/``target``: the fields ("1.6 Reset: type", "2.0.1 Reset answer: status").

    ``same``: values that keep their names; ``values``: those that do not; ``handled``: those that have no counterpart, and why.
    """

    source: str
    target: str
    same: tuple[str, ...] = ()
    values: dict[str, str] = {}
    handled: dict[str, str] = {}

    @property
    def table(self) -> dict[str, str]:
        """Every value that has a counterpart."""
        return {**{value: value for value in self.same}, **self.values}


class CodeRow(Struct, frozen=True, forbid_unknown_fields=True):
    """Error codes of one version as those of the other; parts as in ``EnumRow``."""

    same: tuple[str, ...] = ()
    values: dict[str, str] = {}

    @property
    def table(self) -> dict[str, str]:
        """Every code."""
        return {**{value: value for value in self.same}, **self.values}


class KeyRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A configuration key of OCPP 1.6 and its home in the device model of 2.0.1; the head of ``keys.toml`` says more."""

    name: str
    profile: str
    access: Literal["R", "RW", "W", "RW/R"]
    type: str
    home: str = ""
    field: Literal["Actual", "maxLimit", "count", "derived", "constant"] = "Actual"
    codec: Literal[
        "same", "measurands", "phase rotation", "rate units", "connectors", "feature profiles", "password", "constant",
    ] = "same"
    also_set: tuple[str, ...] = ()
    owner: Literal["station", "link"] = "station"
    note: str = ""


class MadeUpRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A variable that OCPP 2.0.1 wants and 1.6 does not have. ``value``: what it is always; empty: ``note`` says from what."""

    variable: str
    value: str = ""
    note: str = ""


class VariableRow(Struct, frozen=True, forbid_unknown_fields=True):
    """What OCPP 2.0.1 says of a variable (part 2, appendices 1.4). ``required``: where its component exists."""

    type: str
    unit: str = ""
    required: bool = False


class Tables(Struct, forbid_unknown_fields=True):
    """All tables."""

    up: list[ActionRow]
    down: list[ActionRow]
    shapes: list[ShapeRow]
    enums: dict[str, EnumRow]
    names: dict[str, dict[str, str]]
    errors: dict[str, CodeRow]
    keys: list[KeyRow]
    made_up: list[MadeUpRow]
    variables: dict[str, dict[str, VariableRow]]

    def actions(self, direction: Direction) -> list[ActionRow]:
        """Those of one direction."""
        return self.up if direction == UP else self.down


@cache
def read() -> Tables:
    """The tables that come along. Raises ``ValueError`` for what is no table."""
    enums, keys = _toml("enums"), _toml("keys")
    parts = {
        "up": _toml("actions_up")["action"], "down": _toml("actions_down")["action"], "shapes": _toml("shapes")["shape"],
        "enums": enums["enum"], "names": enums["names"], "errors": enums["errors"],
        "keys": keys["key"], "made_up": keys["made_up"], "variables": keys["variables"],
    }
    return msgspec.convert(parts, Tables)


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(files(FOLDER).joinpath("tables", f"{name}.toml").read_text(encoding="utf-8"))


def sender_version(direction: Direction, sender: str) -> str:
    """The version the sender of a Call speaks."""
    station, csms = direction.split(":")
    return station if sender == "station" else csms


def other(version: str) -> str:
    """The other of the two versions."""
    return VERSIONS[1] if version == VERSIONS[0] else VERSIONS[0]


def of_target(path: str, target: str, targets: tuple[str, ...]) -> str | None:
    """The path without the name of its target, if it is for this one; a path without a name is for all of them."""
    name, colon, rest = path.partition(":")
    if not colon or name not in targets:
        return path
    return rest if name == target else None
