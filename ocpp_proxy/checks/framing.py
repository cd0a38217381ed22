"""Findings R of a single message: JSON, shape, type, message id, duplicate keys."""

from ocpp_proxy.checks.connection import after_hole
from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.payload import fits_elsewhere, of_kinds
from ocpp_proxy.checks.registry import JSON_VERSIONS, Hit, Hits, at, rule
from ocpp_proxy.model import Severity
from ocpp_proxy.spec.errata import NULL_IS_EMPTY
from ocpp_proxy.wire.envelope import MAX_DEPTH

_NO_JSON = {
    "not_json": "not JSON", "bom": "a byte order mark stands before the message", "depth": f"nested deeper than {MAX_DEPTH}",
    "surrogate": "holds half of a surrogate pair, which is no character",
}
_IDS = {
    "id_not_string": "the message id is not a string", "id_empty": "the message id is empty",
    "id_long": "the message id has more than 36 characters", "id_null": "the message id is null",
}


def not_ocpp(context: Context, hit: Hit) -> bool:
    """The link negotiated a subprotocol that is not OCPP's."""
    return bool(context.link.link.protocol) and not context.link.version


@rule(
    "R01", "not JSON", severity=Severity.ERROR, blame="either", on=("envelope",), unless=(not_ocpp, after_hole),
    spec="OCPP-J 1.6, 4.2",
    remedy="A fault of the sender's software: the message names the place; report it with the frame.",
)
def not_json(context: Context) -> Hits:
    """The text is not valid JSON, so the receiver can neither read nor answer it."""
    for name, words in _NO_JSON.items():
        if name in context.notes:
            detail = f": {context.why}" if context.why and name == "not_json" else ""
            yield Hit(f"{words}{detail}", blame=at(context.sender), cause=name)


def null_is_empty(context: Context, hit: Hit) -> bool:
    """1.x tolerates null for an empty payload."""
    return hit.cause == "null" and context.link.version in NULL_IS_EMPTY


@rule(
    "R02", "wrong array shape", severity=Severity.ERROR, blame="either", on=("envelope",), unless=(not_ocpp, null_is_empty),
    spec="OCPP-J 1.6, 4.2",
    remedy="A fault of the sender's OCPP library: report it with the frame.",
)
def wrong_shape(context: Context) -> Hits:
    """The message is JSON, but not the array its type asks for (CALL 4, CALLRESULT 3, CALLERROR 5 elements)."""
    if "shape" in context.notes:
        yield Hit("the array has not the elements of its message type", blame=at(context.sender), cause="shape")
    if "payload_null" in context.notes:
        yield Hit("the payload is null, an empty one is {}", blame=at(context.sender), cause="null")


def in_2_1(context: Context, hit: Hit) -> bool:
    """2.1 has the types 5 and 6."""
    return hit.fact in (5, 6) and context.link.version == "2.1"


@rule(
    "R03", "unknown MessageTypeId", severity=Severity.ERROR, blame="either", on=("envelope",), unless=(not_ocpp, in_2_1),
    spec="OCPP-J 1.6",
    remedy="Negotiate ocpp2.1, or keep the sender to types 2, 3 and 4.",
)
def unknown_type(context: Context) -> Hits:
    """The first element is no message type of this version (5 and 6 exist in 2.1 only); the receiver ignores it."""
    mtype = context.message.mtype if context.message is not None else 0
    if mtype in (5, 6):
        yield Hit(f"message type {mtype} does not exist in {context.link.version or 'this version'}", blame=at(context.sender),
                  cause=str(mtype), fact=mtype)
    elif "type_unknown" in context.notes:
        yield Hit("the message type is none of 2, 3, 4", blame=at(context.sender), cause="type")
    elif "type_not_integer" in context.notes:
        yield Hit("the message type is not written as an integer", blame=at(context.sender), cause="integer")


def answers_unreadable(context: Context, hit: Hit) -> bool:
    """An error about a message whose id could not be read cannot name it."""
    message = context.message
    return message is not None and message.mtype == 4 and context.direction(message.sender.other).unreadable


def echo(context: Context, hit: Hit) -> bool:
    """An answer has to repeat the id of its Call."""
    return context.call is not None


@rule(
    "R04", "bad messageId", severity=Severity.ERROR, blame="either", on=("envelope",), unless=(answers_unreadable, echo),
    spec="OCPP-J 1.6",
    remedy="A fault of the sender's OCPP library: ids are JSON strings, best a UUID.",
)
def bad_id(context: Context) -> Hits:
    """The message id is no string of 1 to 36 characters; receivers drop the message or answer with another id."""
    for name, words in _IDS.items():
        if name in context.notes:
            yield Hit(words, blame=at(context.sender), cause=name)


@rule(
    "R16", "duplicate keys or unknown properties", severity=Severity.WARNING, blame="either", on=("envelope", "faults"),
    unless=(fits_elsewhere,), versions=("", *JSON_VERSIONS), spec="official JSON schema",
    remedy="Sender: remove it; vendor data belongs into DataTransfer or, in 2.x, customData.",
)
def extra_properties(context: Context) -> Hits:
    """A property stands twice (parsers disagree which counts) or the schema does not know it (strict ones refuse it)."""
    if context.event == "envelope":
        if "duplicate_keys" in context.notes:
            yield Hit("a property stands twice in one object", blame=at(context.sender), cause="twice")
        return
    for fault in of_kinds(context, "additional"):
        yield Hit(f"{fault.path[2:]}: {fault.message}", path=fault.path, blame=at(context.sender))
