"""The bridge between near versions, OCPP 2.1 and 2.0.1: the verdicts on Calls, answers and SENDs of both sides.

Message ids stay, and payloads that the other version allows keep their bytes. Every other goes as its form has it, checked by
the gate; what cannot be said is answered here. Nothing is remembered but the names of long tokens.
"""

from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

from msgspec import structs

from ocpp_proxy.api import (
    Answer,
    Call,
    CallError,
    CallResult,
    Context,
    Drop,
    Loss,
    NotJson,
    Replace,
    Reply,
    Send,
    Side,
    Verdict,
)
from ocpp_proxy.spec import actions, schemas
from ocpp_proxy.spec.faults import Fault
from ocpp_proxy.spec.field_help import members
from ocpp_proxy_plugins.bridge import tokens
from ocpp_proxy_plugins.bridge.gate import fit
from ocpp_proxy_plugins.bridge.near_forms import Carried, Refused, form
from ocpp_proxy_plugins.bridge.near_rows import NEW, ItemsRow, beyond, near, spoken
from ocpp_proxy_plugins.bridge.plain import NO_EQUIVALENT

MOST_LOSSES = 200                           # told one by one of one message; the rest is counted
MOST_NAMES = 1000                           # of the newest long tokens
MOST_TOKEN, MOST_KIND = 255, 20             # OCPP 2.1 IdTokenType; what is longer stands for nobody
TYPES = frozenset(("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"))
"""The types of an idToken of OCPP 2.0.1."""
_NAMED = b'"~'                              # how a short name begins in a message
_CODES = {"type": "TypeConstraintViolation", "required": "OccurrenceConstraintViolation",
          "minItems": "OccurrenceConstraintViolation", "maxItems": "OccurrenceConstraintViolation"}


class Message:
    """One that goes over: ledger and tokens. ``source``: the version it comes in; ``silent``: it was told already."""

    def __init__(self, context: Context, source: str, *, silent: bool = False) -> None:
        self.context, self.source, self.target = context, source, beyond(source)
        self._silent = silent
        self._told: set[tuple[str, str, str]] = set()

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """An entry of the loss ledger."""
        entry = path, reason, what
        if self._silent or entry in self._told:
            return
        self._told.add(entry)
        if len(self._told) < MOST_LOSSES:
            self.context.lost(path, reason, what)
        elif len(self._told) == MOST_LOSSES:
            self.context.lost("$", "and further losses of this message, which are not told one by one", what)

    def token(self, token: dict[str, Any], path: str) -> dict[str, Any]:
        """An idToken as the other side knows it: by a short name, if it has no place for it; or what such a name stands for."""
        text, kind = token.get("idToken"), token.get("type")
        if not isinstance(text, str) or not isinstance(kind, str):
            return token
        if self.source != NEW:
            aliases: Mapping[str, tuple[str, str]] = self.context.state.aliases
            known = aliases.get(text) or aliases.get(text.upper())
            return token if known is None else {**token, "type": known[0], "idToken": known[1]}
        long, strange = len(text) > tokens.TOKEN_LENGTH, kind not in TYPES
        if not long and not strange:
            return token
        return self._named(token, text, kind, path, cut=long and not strange)

    def _named(self, token: dict[str, Any], text: str, kind: str, path: str, *, cut: bool) -> dict[str, Any]:
        how = self.context.options.long_tokens
        if how == "reject" or len(text) > MOST_TOKEN or len(kind) > MOST_KIND:
            raise Refused(f"{path}.idToken", "a token that OCPP 2.0.1 has no place for")
        if how == "truncate" and cut:
            self.lost(f"{path}.idToken", f"at most {tokens.TOKEN_LENGTH} characters", "shortened")
            return {**token, "idToken": text[: tokens.TOKEN_LENGTH]}
        name = tokens.alias(kind, text)
        why = f"{len(text)} characters" if cut else f"no tokens of this type in OCPP {self.target}"
        self.lost(f"{path}.idToken", f"{why}: a short name stands for it", "shortened")
        kept = self.context.state
        known: Mapping[str, tuple[str, str]] = kept.aliases
        if known.get(name) != (kind, text):
            others = islice(known.items(), max(0, len(known) - MOST_NAMES + 1), None)
            self.context.keep(structs.replace(kept, aliases={**dict(others), name: (kind, text)}))
        return {**token, "idToken": name, "type": kind if kind in TYPES else "Central"}


def warm(direction: str) -> None:
    """Schemas and forms before there is a link: in the hook of a first message it would take too long."""
    for version in direction.split(":"):
        schemas.warm(version)
        for action in actions.known(version):
            form(version, action, False)
            form(version, action, True)


# ---- Calls ----

def called(context: Context, sender: Side, call: Call) -> Verdict:
    """What becomes of a Call."""
    version = spoken(context.options.direction, sender)
    action = call.action
    try:
        payload = call.json()
    except NotJson as error:
        return _error("FormatViolation", f"the payload is no JSON: {error}")
    if not isinstance(payload, dict):
        return _error("FormatViolation", "the payload is no object")
    if actions.direction(version, action) not in (sender, "both") or action not in actions.known(version):
        text = f"{action} is no action of OCPP {version} from this side"
        context.find("unknown", text, severity="warning", blame="station" if sender is Side.STATION else "csms")
        return _error("NotImplemented", text)
    message = Message(context, version)
    if action not in actions.known(message.target):
        return _local(message, sender, action, payload)
    try:
        return _said(message, sender, call, payload)
    except Refused as refused:
        return _refused(message, action, refused)


def _said(message: Message, sender: Side, call: Call, payload: dict[str, Any]) -> Verdict:
    carried = _carried(message, call.action, False, payload, call.payload)
    if carried is None:
        return Replace(call)
    row = near().way(message.source).items.get(call.action)
    if row is not None and carried.refused and not carried.payload.get(row.list):
        return Reply(CallResult.of(_results(row, payload, carried.refused, [])))
    made, faults = fit(message.target, call.action, False, carried.payload, message)
    if not faults:
        return Replace(call.carrying(made))
    text = _invalid(message, call.action, faults, sender)
    return _error(_CODES.get(faults[0].kind, "PropertyConstraintViolation"), text)


def _carried(message: Message, action: str, answer: bool, payload: dict[str, Any], text: bytes) -> Carried | None:
    """The payload in the other version, not checked yet; None: it goes as it came. Raises ``Refused``."""
    is_valid = schemas.validator(message.target, action, answer)
    way = form(message.source, action, answer)
    if is_valid is None or way is None:
        raise Refused("$", f"OCPP {message.target} has no such message")
    try:
        if is_valid(payload) and not (message.source != NEW and message.context.state.aliases and _NAMED in text):
            return None
    except ValueError:
        pass                                            # it holds what JSON cannot: the gate says so
    return way.carry(payload, message)


def _local(message: Message, sender: Side, action: str, payload: dict[str, Any]) -> Verdict:
    """The answer to a Call that only the sender's version has."""
    where = f"OCPP {message.target} has no {action}"
    message.lost("$", f"{where}: answered by the bridge")
    row = near().way(message.source).local.get(action)
    if row is None or row.answer is None or message.context.options.strict:
        return _error(row.error if row is not None and row.error else "NotSupported", where)
    made = {
        name: payload.get(value[1:], "") if isinstance(value, str) and value.startswith("$") else value
        for name, value in row.answer.items()
    }
    made = _reasoned(message.source, action, made, where)
    made, faults = fit(message.source, action, True, made, message)
    return Reply(CallResult.of(made)) if not faults else _error("NotSupported", where)


def _refused(message: Message, action: str, refused: Refused) -> Verdict:
    """The answer to a Call that the other version cannot say."""
    why = f"{refused.path} {refused.why}"
    message.lost(refused.path, f"{refused.why}: the message is refused")
    answer = _refusal(message.source, message.source, action, why)
    if answer is None or message.context.options.strict:
        return _error("PropertyConstraintViolation", why)
    return Reply(CallResult.of(answer), "the other version cannot say it")


def _refusal(source: str, version: str, action: str, why: str) -> dict[str, Any] | None:
    """The status for what a side of version ``source`` cannot say in the other, as an answer of ``version``."""
    answer = near().way(source).refusal.get(action)
    return None if answer is None else _reasoned(version, action, dict(answer), why)


def _reasoned(version: str, action: str, answer: dict[str, Any], why: str) -> dict[str, Any]:
    """A status and its reason, where the schema has one."""
    if "status" in answer and _explains(version, action):
        return {**answer, "statusInfo": {"reasonCode": NO_EQUIVALENT, "additionalInfo": why[:512]}}
    return answer


@cache
def _explains(version: str, action: str) -> bool:
    return "statusInfo" in members(version, action, True, ())


# ---- messages of many requests ----

def _results(
    row: ItemsRow, asked: dict[str, Any], refused: Mapping[int, Refused], given: list[Any],
) -> dict[str, Any]:
    """The results of all requests, in their order: those of the other side, and of the refused ones ours."""
    rest, out = iter(given), list[Any]()
    for at, one in enumerate(asked[row.list]):
        if at in refused:
            known = {name: one[name] for name in row.same if name in one}
            info = {"reasonCode": NO_EQUIVALENT, "additionalInfo": refused[at].why[:512]}
            out.append({**known, **row.status, row.info: info})
        else:
            out += islice(rest, 1)
    return {row.results: [*out, *rest]}


def _completed(message: Message, call: Call, payload: dict[str, Any]) -> dict[str, Any]:
    """An answer, with the results of those requests that did not go over."""
    row = near().way(message.target).items.get(call.action)
    given = payload.get(row.results) if row is not None else None
    if row is None or not isinstance(given, list):
        return payload
    again = Message(message.context, message.target, silent=True)       # the Call, as it came
    asked = call.json()
    carried = _carried(again, call.action, False, asked, call.payload)
    if carried is None or not carried.refused:
        return payload
    return {**payload, **_results(row, asked, carried.refused, given)}


# ---- answers, SENDs ----

def answered(context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
    """What becomes of an answer to a Call that went over. ``call``: as it came."""
    if isinstance(answer, CallError):
        return Replace(answer)
    message = Message(context, spoken(context.options.direction, sender))
    try:
        payload = answer.json()
        if not isinstance(payload, dict):
            return _no_answer("the payload of the answer is no object")
        return _told(message, sender, answer, call, payload)
    except NotJson as error:
        return _no_answer(f"the payload of the answer is no JSON: {error}")


def _told(message: Message, sender: Side, answer: CallResult, call: Call, payload: dict[str, Any]) -> Verdict:
    whole = _completed(message, call, payload)
    try:
        carried = _carried(message, call.action, True, whole, answer.payload)
    except Refused as refused:
        message.lost(refused.path, f"{refused.why}: the answer is refused")
        made = _refusal(message.source, message.target, call.action, f"{refused.path} {refused.why}")
        return Replace(answer.carrying(made)) if made is not None else _no_answer(f"{refused.path} {refused.why}")
    if carried is None:
        return Replace(answer if whole is payload else answer.carrying(whole))
    made, faults = fit(message.target, call.action, True, carried.payload, message)
    if not faults:
        return Replace(answer.carrying(made))
    return _no_answer(_invalid(message, f"the answer to {call.action}", faults, sender))


def sent(context: Context, sender: Side, send: Send) -> Verdict:
    """A SEND goes nowhere: OCPP 2.0.1 knows none."""
    version = spoken(context.options.direction, sender)
    why = near().way(version).send.get(send.action, f"OCPP {beyond(version)} has no {send.action[:64]}")
    context.lost("$", why)
    return Drop(why)


def _invalid(message: Message, what: str, faults: tuple[Fault, ...], sender: Side) -> str:
    """Found: it cannot be made valid; in words."""
    text = f"{what} cannot be made valid for OCPP {message.target}: {faults[0].path} {faults[0].message}"
    message.context.find("invalid", text, severity="error", blame="station" if sender is Side.STATION else "csms")
    return text


def _error(code: str, text: str) -> Reply:
    return Reply(CallError(b"{}", code, text[:255]))


def _no_answer(text: str) -> Replace:
    return Replace(CallError(b"{}", "InternalError", text[:255]))
