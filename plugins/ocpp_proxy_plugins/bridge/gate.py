"""Owns the gate: nothing leaves the bridge that the official schema of its version does not allow.

What can be repaired without saying something else is repaired, and told in the ledger. Tokens, ids, URLs, certificates and
signed data are never changed; a required field is never left out.
"""

from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Protocol

from ocpp_proxy.api import Loss
from ocpp_proxy.spec.field_help import FieldHelp, field_help
from ocpp_proxy.spec.json_path import Step, steps
from ocpp_proxy.spec.schemas import Fault, check, validator

ROUNDS = 8                                  # a message may have more faults than are told at once
FREE_TEXTS = frozenset({
    "additionalInfo", "chargePointModel", "chargePointVendor", "content", "description", "firmwareVersion", "info", "model",
    "techInfo", "vendorName",
})
"""Fields a person reads; of the others no text is ever cut."""


class Notes(Protocol):
    """Where a repair is told."""

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """An entry of the loss ledger."""


Holder = dict[str, Any] | list[Any]
Repair = Callable[[Fault, Holder, Step, FieldHelp, Notes], bool]


def fit(
    version: str, action: str, answer: bool, payload: dict[str, Any], notes: Notes,
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A payload as its schema allows it, and the faults that are left: () when it may leave.

    A valid payload comes back itself; of any other a copy that is repaired, and shares with it what needed no repair. What the
    errata of OCPP allow is valid. Never raises.
    """
    is_valid = validator(version, action, answer)
    if is_valid is None:
        return payload, (Fault("$", "payload", f"OCPP {version} has no such message", "field"),)
    try:
        if is_valid(payload):
            return payload, ()
    except ValueError:
        return payload, (Fault("$", "payload", "holds what JSON cannot", "field"),)
    faults = _faults(version, action, answer, payload)
    if not faults:
        return payload, ()
    mended = dict(payload)
    copied: dict[int, Holder] = {id(mended): mended}
    for _ in range(ROUNDS):
        done = [_repair(fault, version, action, answer, mended, copied, notes) for fault in faults]
        faults = _faults(version, action, answer, mended)
        if not faults or not any(done):
            break
    return mended, faults


def _faults(version: str, action: str, answer: bool, payload: object) -> tuple[Fault, ...]:
    return tuple(fault for fault in check(version, action, answer, payload) if fault.grade != "official")


def _repair(
    fault: Fault, version: str, action: str, answer: bool, payload: dict[str, Any], copied: dict[int, Holder], notes: Notes,
) -> bool:
    """Whether the fault is mended."""
    repair, path = REPAIRS.get(fault.kind), steps(fault.path)
    if repair is None or not path:
        return False
    holder = _holder(payload, path, copied)
    if holder is None:
        return False
    known = field_help(version, action, answer, [0 if isinstance(step, int) else step for step in path]) or FieldHelp()
    return repair(fault, holder, path[-1], known, notes)


def _holder(payload: dict[str, Any], path: Sequence[Step], copied: dict[int, Holder]) -> Any:
    """What holds the value at a path: copies of ours all the way, that may be changed. None: there is no such place."""
    holder: Any = payload
    for step in path[:-1]:
        inner = holder[step] if _there(holder, step) else None
        if not isinstance(inner, dict | list):
            return None
        if id(inner) not in copied:
            inner = holder[step] = inner.copy()
            copied[id(inner)] = inner
        holder = inner
    return holder if _there(holder, path[-1]) else None


def _there(holder: Holder, step: Step) -> bool:
    return step in holder if isinstance(holder, dict) else isinstance(step, int) and step < len(holder)


def _unknown(fault: Fault, holder: Holder, last: Step, _known: FieldHelp, notes: Notes) -> bool:
    """A property of an object that allows no others is dropped."""
    if not isinstance(holder, dict) or not isinstance(last, str):
        return False
    del holder[last]
    notes.lost(fault.path, "no such field in this version")
    return True


def _value(fault: Fault, holder: Holder, last: Step, known: FieldHelp, notes: Notes) -> bool:
    """An optional field whose value is none of its list is dropped."""
    if known.required is not False or not isinstance(holder, dict) or not isinstance(last, str):
        return False
    del holder[last]
    notes.lost(fault.path, "not a value in this version")
    return True


def _length(fault: Fault, holder: Holder, last: Step, known: FieldHelp, notes: Notes) -> bool:
    """A text for people is cut."""
    if last not in FREE_TEXTS or known.max_length is None or not isinstance(holder, dict) or not isinstance(last, str):
        return False
    holder[last] = str(holder[last])[: known.max_length]
    notes.lost(fault.path, f"at most {known.max_length} characters", "shortened")
    return True


def _multiple(fault: Fault, holder: Holder, last: Step, known: FieldHelp, notes: Notes) -> bool:
    """A number is rounded down: a limit is never raised."""
    value = holder[last]                                                  # type: ignore[index]
    if not isinstance(value, int | float) or known.multiple_of is None:
        return False
    step = Decimal(str(known.multiple_of))
    rounded = (Decimal(str(value)) / step).to_integral_value(ROUND_FLOOR) * step
    holder[last] = float(rounded)                                         # type: ignore[index]
    notes.lost(fault.path, f"rounded down to {known.multiple_of}", "shortened")
    return True


def _empty(fault: Fault, holder: Holder, last: Step, known: FieldHelp, _notes: Notes) -> bool:
    """An optional list without an item says nothing: it is left out."""
    if known.required is not False or not isinstance(holder, dict) or holder[str(last)] != []:
        return False
    del holder[str(last)]
    return True


REPAIRS: dict[str, Repair] = {
    "additional": _unknown, "enum": _value, "maxLength": _length, "multipleOf": _multiple, "minItems": _empty,
}
