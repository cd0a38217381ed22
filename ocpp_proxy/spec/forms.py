"""Owns what a person fills in to write a message: the fields of its schema, texts to payload, what speaks against it."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

from ocpp_proxy.model import Side
from ocpp_proxy.spec import actions, schemas
from ocpp_proxy.spec.field_help import FieldHelp, field_help, members
from ocpp_proxy.spec.json_path import Step, written

DEEPEST = 8                 # objects within objects that become fields; what is deeper is written as JSON
OBJECTIONS = 20             # that are told
FREE = ("customData",)      # carries anything, and nobody types it into a form
_WHOLE = re.compile(r"-?\d{1,18}")
_DECIMAL = re.compile(r"-?\d+\.\d+(?:[eE][+-]?\d+)?|-?\d+[eE][+-]?\d+")
_WORDS = {"true": True, "false": False}

COMMON = (
    "Reset", "TriggerMessage", "GetConfiguration", "ChangeConfiguration", "GetVariables", "SetVariables",
    "RemoteStartTransaction", "RequestStartTransaction", "RemoteStopTransaction", "RequestStopTransaction",
    "SetChargingProfile", "ClearChargingProfile", "UnlockConnector", "ChangeAvailability", "ClearCache", "DataTransfer",
    "GetCompositeSchedule", "GetBaseReport", "GetDiagnostics", "GetLog", "UpdateFirmware",
)
"""What is sent to a charger by hand most often, of all versions."""


class Blank(Struct, frozen=True):
    """One field to fill in. ``path``: where it goes (``0``: the first item of a list). ``needed``: it and all objects above it
    are required; ``deep``: an object above it is optional, so it is asked for only on demand. ``base``: the objects above it
    that are required, which are sent also when nothing in them is filled in."""

    path: tuple[Step, ...]
    help: FieldHelp
    needed: bool
    deep: bool
    base: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """The path as findings write it, without ``$.``."""
        return written(self.path).removeprefix("$").removeprefix(".")


def common(version: str, csms: str = "") -> list[tuple[str, Side]]:
    """The commands to offer for a version and whom each is sent to: the common ones, the others to the charger, those to the
    CSMS; ``csms``: the version of that side where it has another."""
    known = sorted(actions.known(version))
    beyond = csms or version
    station = [name for name in known if actions.direction(version, name) in (Side.CSMS, "both")]
    others = [name for name in sorted(actions.known(beyond)) if actions.direction(beyond, name) in (Side.STATION, "both")]
    first = [name for name in COMMON if name in station]
    rest = [name for name in station if name not in first]
    return [*((name, Side.STATION) for name in (*first, *rest)), *((name, Side.CSMS) for name in others)]


def blanks(version: str, action: str, answer: bool = False) -> tuple[Blank, ...]:
    """The fields of a message, the required ones of each object first; () where there is no schema, or it has no field."""
    found: list[Blank] = []
    _add(found, (version, action, answer), (), ())
    return tuple(found)


def _add(found: list[Blank], key: tuple[str, str, bool], path: tuple[Step, ...], base: tuple[Step, ...]) -> None:
    needed = path == base
    for name in members(*key, path):
        inner: tuple[Step, ...] = (*path, name)
        known = field_help(*key, inner)
        if known is None or name in FREE:
            continue
        must = needed and bool(known.required)
        if known.type == "array" and members(*key, (*inner, 0)):
            inner = (*inner, 0)
        if members(*key, inner) and len(inner) < DEEPEST:
            _add(found, key, inner, inner if must else base)
        else:
            found.append(Blank(inner, known, must, not needed, base))


def payload_of(fields: Sequence[Blank], texts: Mapping[tuple[Step, ...], str]) -> dict[str, object]:
    """The payload that the texts make. Empty texts are left out (``""`` is an empty text); what does not fit a field's type is
    kept as text, for ``objections`` to tell."""
    made: dict[str, object] = {}
    for blank in fields:
        _put(made, blank.base)
        text = texts.get(blank.path, "").strip()
        if text:
            _put(made, blank.path, value_of(blank.help, text))
    return made


def value_of(known: FieldHelp, text: str) -> object:
    """A typed text as the value of a field: a number, true or false, a list of texts (commas between), JSON, a text."""
    if text == '""':
        return ""
    if known.type in ("integer", "number"):
        return int(text) if _WHOLE.fullmatch(text) else float(text) if _DECIMAL.fullmatch(text) else text
    if known.type == "boolean":
        return _WORDS.get(text.lower(), text)
    if known.type == "string":
        return text
    if text[0] in "[{" or known.type != "array":
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _put(made: dict[str, object], path: Sequence[Step], value: object = None) -> None:
    """Put a value at a path; None: only see to it that there is an object."""
    holder: object = made
    for step, below in pairwise((*path, "")):
        if not isinstance(holder, dict) or not isinstance(step, str):
            continue
        if below == "" and value is not None:
            holder[step] = value
            return
        inner = holder.setdefault(step, [{}] if isinstance(below, int) else {})
        holder = inner[0] if isinstance(inner, list) else inner


def skeleton(version: str, action: str, answer: bool = False) -> dict[str, object]:
    """A payload to begin with: every required field, empty, with the first of its values, or 0."""
    made: dict[str, object] = {}
    for blank in blanks(version, action, answer):
        _put(made, blank.base)
        if blank.needed:
            _put(made, blank.path, _first(blank.help))
    return made


def _first(known: FieldHelp) -> object:
    if known.enum:
        return known.enum[0]
    empty: dict[str, object] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return empty.get(known.type, "")


def objections(version: str, action: str, answer: bool, payload: object, sender: Side | None = None) -> list[str]:
    """What speaks against sending this, in words: nothing, or each fault of the schema; unknown actions, and Calls that
    ``sender`` never sends (None: not looked at). Nothing is known of versions without schemas."""
    if not actions.known(version):
        return []
    direction = actions.direction(version, action)
    if direction is None:
        near = actions.did_you_mean(version, action)
        return [f"OCPP {version} has no {action}" + (f"; did you mean {near}?" if near else "")]
    if not answer and sender is not None and direction not in (sender, "both"):
        return [f"in OCPP {version} {action} is sent by the {'charger' if direction is Side.STATION else 'CSMS'}"]
    found = schemas.check(version, action, answer, payload)
    return [f"{fault.path}: {fault.message}" for fault in found[:OBJECTIONS]]
