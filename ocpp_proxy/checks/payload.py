"""Findings V: payloads against the official schemas, and T04, a payload of another version."""

import re
from operator import itemgetter

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import V1, Hit, Hits, at, rule
from ocpp_proxy.model import Blame, Severity
from ocpp_proxy.spec import actions, fits
from ocpp_proxy.spec.faults import GRADES, Fault

SCHEMA = "official JSON schema"
_LIMITS = frozenset({"maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "multipleOf", "format", "payload"})
_UNIT = re.compile(r"\.unit$")


def counts(context: Context, fault: Fault) -> bool:
    """It is a fault at the strictness that is set."""
    return GRADES.index(fault.grade) >= GRADES.index(context.settings.grade)


def of_kinds(context: Context, *kinds: str) -> list[Fault]:
    """The schema faults of these kinds that count."""
    return [fault for fault in context.faults if fault.kind in kinds and counts(context, fault)]


def _hits(context: Context, faults: list[Fault]) -> list[Hit]:
    secret = context.message is not None and context.message.masked
    action = context.message.action if context.message is not None else ""
    blame: Blame = at(context.sender)
    return [
        Hit(f"{action} {fault.path[2:] or 'payload'}: {fault.message}{_value(fault) if not secret else ''}",
            path=fault.path, blame=blame, cause=f"{action}{_place(fault.path)}", fact=fault)
        for fault in faults
    ]


def _value(fault: Fault) -> str:
    return f" ({fault.value})" if fault.value and not fault.value.startswith("(") else ""


def _place(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def other_versions(context: Context) -> tuple[str, ...]:
    """Versions other than the link's whose schema the payload fits; asked only for messages that have faults."""
    message = context.message
    if message is None or not context.link.version:
        return ()
    if context.elsewhere is None:
        context.elsewhere = tuple(
            version for version in fits(message.action, message.mtype == 3, context.payload) if version != context.link.version
        )
    return context.elsewhere


def _foreign(context: Context) -> bool:
    """The deviation is one of structure, and not one of an action in which everything fits."""
    message = context.message
    if message is None or actions.plain(context.link.version, message.action) == "DataTransfer":
        return False
    if context.event == "stranger":
        return actions.direction(context.link.version, message.action) is None
    return any(fault.kind not in _LIMITS and counts(context, fault) for fault in context.faults)


def fits_elsewhere(context: Context, hit: Hit) -> bool:
    """The payload is one of another version (T04 says so): its single deviations are no news."""
    return _foreign(context) and bool(other_versions(context))


def fits_nowhere(context: Context, hit: Hit) -> bool:
    """No other version takes the payload either."""
    return not hit.fact


@rule(
    "T04", "payload of another version", severity=Severity.ERROR, blame="either", on=("faults", "stranger"),
    unless=(fits_nowhere,),
    remedy="Set the same OCPP version in charger and CSMS; the negotiated one is in the handshake.",
)
def other_version(context: Context) -> Hits:
    """The message does not fit the negotiated OCPP version, but it fits another one."""
    message = context.message
    if message is not None and context.link.version and _foreign(context):
        found = other_versions(context)
        yield Hit(f"{message.action} does not fit {context.link.version}, but {' and '.join(found)}", blame=at(message.sender),
                  cause=message.action, fact=found)


def is_unit(context: Context, hit: Hit) -> bool:
    """Units of 1.6 are V05."""
    return context.link.version in V1 and _UNIT.search(hit.path) is not None


@rule(
    "V01", "value not of the list", severity=Severity.ERROR, blame="either", on=("faults",), unless=(is_unit, fits_elsewhere),
    spec=SCHEMA,
    remedy="Sender: use a listed value, spelt exactly so; the message names the nearest.",
)
def bad_enum(context: Context) -> Hits:
    """An enumerated field has a value (or a letter case) the standard does not have; strict receivers refuse the message."""
    return _hits(context, of_kinds(context, "enum"))


@rule(
    "V02", "string too long", severity=Severity.ERROR, blame="either", on=("faults",), unless=(fits_elsewhere,), spec=SCHEMA,
    remedy="Shorten the value in the sender's settings (model, serial number, info).",
)
def too_long(context: Context) -> Hits:
    """A text is longer than its field; receivers refuse the message or cut the text."""
    return _hits(context, of_kinds(context, "maxLength", "maxItems"))


def no_token_asked(context: Context, hit: Hit) -> bool:
    """An idToken of type NoAuthorization is empty by definition."""
    holder = hit.fact
    return isinstance(holder, dict) and holder.get("type") == "NoAuthorization"


_FILLED = {
    "BootNotification": (
        ("chargePointVendor",), ("chargePointModel",), ("chargingStation", "vendorName"), ("chargingStation", "model"),
    ),
    "Authorize": (("idTag",), ("idToken", "idToken")), "StartTransaction": (("idTag",),), "DataTransfer": (("vendorId",),),
    "RemoteStartTransaction": (("idTag",),), "RequestStartTransaction": (("idToken", "idToken"),),
    "TransactionEvent": (("idToken", "idToken"), ("transactionInfo", "transactionId")), "ChangeConfiguration": (("key",),),
}


@rule(
    "V03", "required field missing or empty", severity=Severity.ERROR, blame="either", on=("faults", "call"),
    actions=tuple(_FILLED), unless=(fits_elsewhere, no_token_asked), spec=SCHEMA,
    remedy="Sender: fill it; an empty vendor or model is often a factory setting.",
)
def missing(context: Context) -> Hits:
    """A field the standard requires is not there, or is an empty text (which the schema lets through)."""
    if context.event == "faults":
        yield from _hits(context, of_kinds(context, "required", "minItems", "minLength"))
        return
    message = context.message
    for steps in _FILLED.get(message.action, ()) if message is not None else ():
        holder: object = context.payload
        for step in steps[:-1]:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and holder.get(steps[-1]) == "":
            path = "$." + ".".join(steps)
            yield Hit(f"{path[2:]} is empty", path=path, blame=at(context.sender), fact=holder)


def tolerated(context: Context, hit: Hit) -> bool:
    """Against the letter of the schema, but allowed by its errata or by the strictness that is set."""
    return isinstance(hit.fact, Fault) and not counts(context, hit.fact)


@rule(
    "V04", "wrong JSON type or range", severity=Severity.ERROR, blame="either", on=("faults",),
    unless=(tolerated, fits_elsewhere), spec=SCHEMA,
    remedy="A fault of the sender's software: strict receivers refuse the message.",
)
def wrong_type(context: Context) -> Hits:
    """A value has another JSON type than the standard asks (number for text), or lies outside of its range."""
    known = ("enum", "required", "additional", "maxLength", "minLength", "maxItems", "minItems", "multipleOf")
    return _hits(context, [
        fault for fault in context.faults
        if fault.kind not in known and not (fault.kind == "format" and is_stamp(fault)) and fault.path + fault.value != "$null"
    ])


def is_stamp(fault: Fault) -> bool:
    """A format fault of a time stamp (C01), not of a URI."""
    return "uri" not in fault.message


@rule(
    "V05", "unit not allowed", severity=Severity.WARNING, blame="station", on=("faults",), unless=(tolerated,), versions=V1,
    spec="OCPP-J 1.6 errata v1.0, 2.1",
    remedy="CSMS: accept it; charger: leave Frequency without a unit, which is right by the errata.",
)
def bad_unit(context: Context) -> Hits:
    """A sampled value has a unit OCPP 1.6 does not list (Hz); strict receivers refuse all values of the message."""
    return _hits(context, [fault for fault in context.faults if fault.kind == "enum" and _UNIT.search(fault.path)])


_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


def signed(context: Context, hit: Hit) -> bool:
    """Signed data are a text, not a number."""
    return isinstance(hit.fact, dict) and hit.fact.get("format") == "SignedData"


@rule(
    "V07", "bad decimal number", severity=Severity.ERROR, blame="either", on=("faults", "envelope", "call"),
    unless=(signed,), actions=("MeterValues", "StopTransaction", "TransactionEvent"), spec="OCPP 1.6, 7",
    remedy="Sender: a decimal point, at most one decimal in charging limits, and no value rather than NaN.",
)
def bad_decimal(context: Context) -> Hits:
    """A number has more decimals than allowed, a decimal comma, or is NaN; receivers read another value or none."""
    if context.event == "call":
        return _commas(context)
    if context.event == "faults":
        return _hits(context, of_kinds(context, "multipleOf"))
    found = []
    if "nan" in context.notes:
        found.append(Hit("NaN or Infinity is no JSON number", blame=at(context.sender), cause="nan"))
    if "big_number" in context.notes:
        found.append(Hit("a number outside 64 bits: readers round or refuse it", blame=at(context.sender), cause="big"))
    return found


_of_sample = itemgetter("value")


def _commas(context: Context) -> Hits:
    """Samples whose value has a decimal comma."""
    found: list[Hit] = []
    held = context.object()
    for name in ("meterValue", "transactionData"):
        entries = held.get(name)
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            values = entry.get("sampledValue") if isinstance(entry, dict) else None
            if not isinstance(values, list):
                continue
            try:
                if "," not in "".join(map(_of_sample, values)):         # so it is in nearly every message
                    continue
            except (TypeError, KeyError):
                pass
            found += _comma_hits(context, f"$.{name}[{i}].sampledValue", values)
    return found


def _comma_hits(context: Context, path: str, values: list[object]) -> Hits:
    for j, value in enumerate(values):
        text = value.get("value") if isinstance(value, dict) else None
        if isinstance(text, str) and "," in text and _COMMA.fullmatch(text[:40]):
            yield Hit(f'value "{text[:40]}" has a decimal comma', path=f"{path}[{j}].value", blame=at(context.sender),
                      fact=value)
