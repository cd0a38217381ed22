"""Owns validation: a payload against the schema of its version, action and kind (request or answer).

Three grades, strictest first: "official" (the published schema as it is), "errata" (the schema with our overlay of
errata), "field" (structure only: types and required properties). A ``Fault`` carries the most lenient grade at which it
still is one. Values are never changed. Validators are compiled when first asked for, or by ``warm``.
"""

import sys
from collections.abc import Callable, Mapping

import jsonschema_rs

from ocpp_proxy.spec import difference, installed
from ocpp_proxy.spec.bounded import ITEMS, Budget, cut, is_small, property_names
from ocpp_proxy.spec.errata import HINTS, NULL_IS_EMPTY
from ocpp_proxy.spec.faults import GRADES, Fault, Grade, Subject, explain
from ocpp_proxy.spec.sensitive import may_hold_secrets

__all__ = ["GRADES", "Fault", "Grade", "check", "messages", "raw", "validator", "warm"]

IsValid = Callable[[object], bool]
Key = tuple[str, str, bool]

CLOSED_2_0 = "2.0 closed"
"""2.0 with unknown properties forbidden: no published version; only for telling versions apart."""

_compiled: dict[Key, jsonschema_rs.Validator] = {}
_valid: dict[Key, IsValid] = {}
_subjects: dict[Key, Subject] = {}
_listings: dict[str, dict[tuple[str, bool], str]] = {}
_tables: dict[str, dict[str, object]] = {}


def check(version: str, action: str, answer: bool, payload: object) -> tuple[Fault, ...]:
    """All faults of a decoded payload at grade "official", at most 64; empty when valid or when there is no schema.

    Never raises on what a peer sent; a payload JSON cannot hold (lone surrogates) is one fault of kind "payload".
    """
    try:
        is_valid = _valid[version, action, answer]
    except KeyError:
        built = validator(version, action, answer)
        if built is None:
            return ()
        is_valid = built
    try:
        if is_valid(payload):
            return ()
        if payload is None and version in NULL_IS_EMPTY:
            empty = Fault("$", "type", "null for an empty payload", "official", "null")
            return check(version, action, answer, {}) or (empty,)
        return _explain(version, action, answer, payload)
    except ValueError:
        return (Fault("$", "payload", "holds what JSON cannot: it cannot be checked", "field"),)


def validator(version: str, action: str, answer: bool) -> IsValid | None:
    """The bare ``is_valid`` of the schema, for hot loops: it raises ValueError for objects JSON cannot hold.

    None when there is no schema (unknown action, versions 1.2 and 1.5).
    """
    key = (version, action, answer)
    found = _valid.get(key)
    if found is not None:
        return found
    if (action, answer) not in messages(version):
        return None
    schema = raw(version, action, answer)
    draft_4 = "draft-04" in str(schema.get("$schema", ""))
    build = jsonschema_rs.Draft4Validator if draft_4 else jsonschema_rs.Draft6Validator
    compiled = build(schema, validate_formats=True)
    _compiled[key] = compiled
    _valid[key] = compiled.is_valid
    return compiled.is_valid


def warm(version: str) -> int:
    """Compile every schema of a version now; how many there are (1.6: 78, 2.0: 134, 2.0.1: 128, 2.1: 181, others 0)."""
    return sum(validator(version, action, answer) is not None for action, answer in messages(version))


def messages(version: str) -> dict[tuple[str, bool], str]:
    """(action, answer) -> name of the message, for every message of a version that has a schema."""
    listing = _listings.get(version)
    if listing is None:
        family_1 = version == "1.6"
        names = _names_2_0() if version in ("2.0", CLOSED_2_0) else installed.messages(version)
        listing = {_action(name, family_1): name for name in names}
        if version in ("1.6", "2.0", CLOSED_2_0, "2.0.1", "2.1"):      # unknown versions are not remembered
            _listings[version] = listing
    return listing


def raw(version: str, action: str, answer: bool) -> dict[str, object]:
    """The schema itself, as it is compiled. KeyError when there is none."""
    name = messages(version)[(action, answer)]
    if version not in ("2.0", CLOSED_2_0):
        return installed.schema(version, name)
    row = _rows_2_0().get(name, {})
    change = row if isinstance(row, dict) else {}
    base = None if change.get("new") else installed.schema("2.0.1", name)
    without = frozenset(difference.texts(difference.child(_table_2_0(), "everywhere").get("drop")))
    return difference.derive(base, change, without, version == CLOSED_2_0)


def _explain(version: str, action: str, answer: bool, payload: object) -> tuple[Fault, ...]:
    """The faults of an invalid payload, in bounded time: of a huge one those in its cut copy, or else its first one."""
    compiled = _compiled[version, action, answer]
    subject = _subjects.get((version, action, answer))
    if subject is None:
        hints, discreet = _hints(version, action, answer), may_hold_secrets(action, answer)
        subject = _subjects[version, action, answer] = Subject(version, action, answer, hints, discreet)
    if is_small(payload):
        return explain(compiled.iter_errors(payload), subject, payload)
    known = property_names(raw(version, action, answer))
    found = explain(compiled.iter_errors(cut(payload, Budget(ITEMS, known))), subject, payload)
    if found:
        return found
    try:
        compiled.validate(cut(payload, Budget(sys.maxsize, known)))
    except jsonschema_rs.ValidationError as first:
        return explain([first], subject, payload)
    return (Fault("$", "payload", "too large to say what is wrong with it", "errata"),)


def _hints(version: str, action: str, answer: bool) -> Mapping[str, str]:
    """Unknown property -> what is behind it: our own rows, and the names 2.0 had for what 2.0.1 renamed."""
    hints = {name: hint for (*message, name), hint in HINTS.items() if tuple(message) == (version, action, answer)}
    if version in ("2.0.1", "2.1"):
        row = _rows_2_0().get(messages(version)[(action, answer)])
        put = row.get("put") if isinstance(row, dict) else None
        for path in put if isinstance(put, dict) else ():
            hints.setdefault(path.removesuffix("[]").rsplit(".", 1)[-1], f"a field of OCPP 2.0, not of {version}")
    return hints


def _action(name: str, family_1: bool) -> tuple[str, bool]:
    if name.endswith("Response"):
        return name.removesuffix("Response"), True
    return name if family_1 else name.removesuffix("Request"), False


def _table_2_0() -> dict[str, object]:
    if "2.0" not in _tables:
        _tables["2.0"] = installed.differences_2_0()
    return _tables["2.0"]


def _rows_2_0() -> dict[str, object]:
    return difference.child(_table_2_0(), "messages")


def _names_2_0() -> list[str]:
    new = [name for name, row in _rows_2_0().items() if isinstance(row, dict) and row.get("new")]
    return sorted([*installed.messages("2.0.1"), *new])
