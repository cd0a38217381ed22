"""I8 of whole conversations: each value that a side sent is in what was made of it, or told as lost, or used up on purpose.

What is made of a message: what left because of it, and its answer. A value that says something (a text, a large number) may
also be in what left later, or is still owed: events wait for those before them. The tables name what code looks at (rows with
``code``), and what it makes of it has to be there; what is not in the tables, or becomes nothing, is in ``USED``.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from msgspec import Struct, field
from ocpp_proxy_plugins.bridge.rows import read

from ocpp_proxy.api import Side
from ocpp_proxy.spec.schemas import check
from tests.plugins.bridge.bridged import STATION, Bridged, Made, Said, instant

TAKEN = (None, "Accepted", "Scheduled", "RebootRequired", "Unlocked", "NoTransaction", "AcceptedCanceled")
_TOKEN = "the type follows from the token's text, or is kept with its alias"
_MODEL = "kept: the device model of the charger"
_OWN = "the bridge asked by itself, and looks at it"
_DOES = "decides what is done"
_KNOWN = "told when its transaction was first, or kept with it"
USED = {
    "2.0.1 call Authorize": {"idToken": "a token that 1.6 has no tag for is answered here"},
    "2.0.1 call TransactionEvent": {
        "eventType": _DOES, "triggerReason": "why this is told now: the kind of message says so", "idToken": _TOKEN,
        "transactionInfo.chargingState": "kept: what Occupied means", "evse": "kept: where it is", "seqNo": "kept",
        "meterValue[].sampledValue[].context": "of the register at the start or end: meterStart, meterStop",
        "meterValue[].sampledValue[].measurand": "as the context",
        "meterValue[].sampledValue[].unitOfMeasure": "as the context, in Wh",
        "transactionInfo.transactionId": "kept, with the number that the CSMS gave",
    },
    "2.0.1 call NotifyReport": {"": _MODEL},
    "2.0.1 call MeterValues": {"evseId": "a report without a value that 1.6 has"},
    "2.0.1 answer GetVariables": {"": _MODEL},
    "2.0.1 answer SetVariables": {"": _OWN},
    "2.0.1 answer GetBaseReport": {"": _OWN},
    "2.0.1 answer GetReport": {"": _OWN},
    "2.0.1 answer GetLog": {"status": "no file name is its refusal in 1.6"},
    "2.0.1 answer RequestStopTransaction": {"status": _OWN},
    "2.0.1 answer TriggerMessage": {"status": "of several connectors the worst counts"},
    "2.0.1 answer Authorize": {
        "idTokenInfo.groupIdToken.type": _TOKEN, "idTokenInfo.evseId": "elsewhere the token is Invalid",
        "idTokenInfo.status": "Invalid on another EVSE",
    },
    "2.0.1 answer TransactionEvent": {
        "idTokenInfo.evseId": "elsewhere the token is Invalid", "idTokenInfo.status": "Invalid on another EVSE",
        "idTokenInfo.groupIdToken.type": _TOKEN,
    },
    "2.0.1 answer Heartbeat": {"currentTime": _OWN},
    "2.0.1 call GetBaseReport": {"": "names the pages"},
    "2.0.1 call GetReport": {"": "names the pages"},
    "2.0.1 call GetChargingProfiles": {"": "names the report"},
    "2.0.1 call GetTransactionStatus": {"transactionId": _DOES},
    "2.0.1 call RequestStartTransaction": {"idToken.type": _TOKEN},
    "2.0.1 call ReserveNow": {"idToken.type": _TOKEN},
    "2.0.1 call Reset": {"type": _DOES},
    "2.0.1 call SendLocalList": {
        "localAuthorizationList[].idToken.type": _TOKEN, "localAuthorizationList[].idTokenInfo.groupIdToken.type": _TOKEN,
        "versionNumber": "pieces have versions of their own",
    },
    "2.0.1 call SetVariables": {"setVariableData": "each has its own status in the answer"},
    "2.0.1 call TriggerMessage": {"requestedMessage": _DOES},
    "1.6 call DataTransfer": {"vendorId": _DOES, "messageId": _DOES},
    "1.6 call StatusNotification": {"errorCode": "NoError is no problem", "connectorId": "of a CSMS that knows no events"},
    "1.6 call MeterValues": {
        "connectorId": "that of its transaction", "meterValue[].sampledValue[].format": "Raw is a number",
        "meterValue[].sampledValue[].unit": "Hertz is Hz",
    },
    "1.6 call ChangeConfiguration": {"key": "names component and variable", "value": "a key in hexadecimal digits"},
    "1.6 call ExtendedTriggerMessage": {"connectorId": "what is of the whole station has none"},
    "1.6 call TriggerMessage": {"connectorId": "what is of the whole station has none", "requestedMessage": _DOES},
    "1.6 call Reset": {"type": _DOES},
    "1.6 answer StartTransaction": {"idTagInfo": _KNOWN},
    "1.6 answer StopTransaction": {"idTagInfo": _KNOWN},
    "1.6 answer ChangeAvailability": {"status": "of several connectors the worst counts"},
    "1.6 answer DataTransfer": {"status": _OWN},
    "1.6 answer DeleteCertificate": {"status": "it may be one of another kind"},
    "1.6 answer GetInstalledCertificateIds": {"certificateHashData": "each is told once"},
    "1.6 answer GetCompositeSchedule": {"status": _DOES},
    "1.6 answer GetConfiguration": {"": _MODEL},
    "1.6 answer RemoteStopTransaction": {"status": _OWN},
    "1.6 answer Reset": {"status": _OWN},
    "1.6 answer SendLocalList": {"status": _OWN},
}
"""Version, kind and action -> path (with what is below it; empty: all) -> why it is in no message."""


class Conversation(Struct):
    """A link. ``values`` and ``places``: where what was made holds a value, and a field of an action, for the last time.

    ``because``: what was made of a message (link and number); ``answers``: to whom, and to which Call.
    ``lost``: paths in the ledger, of a message, of none (empty), of all ("*").
    """

    link: Bridged
    values: dict[Any, int] = field(default_factory=dict)
    places: dict[tuple[str, str], int] = field(default_factory=dict)
    because: dict[tuple[int, int], list[Made]] = field(default_factory=dict)
    answers: dict[tuple[int, Side, str], list[Made]] = field(default_factory=dict)
    lost: dict[tuple[int, str], set[str]] = field(default_factory=dict)


def unaccounted(link: Bridged) -> list[str]:
    """Every value of the conversation that is nowhere, with its message and path."""
    talk = Conversation(link)
    for at, one in enumerate(link.made):
        for path, value in leaves(one.told.payload):
            talk.values.update(dict.fromkeys(forms(value), at))
            talk.places[one.told.action, _general(path)] = at
    if link.state is not None:
        for owed in link.state.charging.outbox:         # told once it is due
            for _, value in leaves(json.loads(owed.payload)):
                talk.values.update(dict.fromkeys(forms(value), len(link.made)))
    for number, entry in link.lost:
        for message_id in ("*", entry.message_id):
            talk.lost.setdefault((number, message_id), set()).add(entry.path)
    for one in link.made:
        talk.because.setdefault((one.link, one.cause), []).append(one)
        if one.told.kind != 2:
            talk.answers.setdefault((one.link, one.side, one.told.message_id), []).append(one)
    before: set[str] = set()
    found = []
    for said in link.said:
        if (name := _name(said)) not in before:         # said again: known again
            found += [f"{said.side} {said.action} {said.message_id}: {where}" for where in _missing(talk, said)]
        before |= {name, _name(said, ("info", "vendorErrorCode", "vendorId"))}
    return found


def _name(said: Said, less: tuple[str, ...] = ()) -> str:
    """What a message that is said again is known by; ``less``: without these."""
    left = ("offline", *(("timestamp", *less) if said.action == "StatusNotification" else ()))
    about = {name: one for name, one in said.payload.items() if name not in left}
    if said.action == "TransactionEvent" and said.told is None and isinstance(about.get("transactionInfo"), dict):
        about = {"uid": about["transactionInfo"].get("transactionId"), "seqNo": about.get("seqNo")}
    text = json.dumps([said.side, said.action, about, said.message_id if said.told else ""], sort_keys=True)
    return text.lower() if said.action == "StartTransaction" else text


def _missing(talk: Conversation, said: Said) -> Iterator[str]:
    link = talk.link
    if check(link.versions[said.side], said.action, said.told is not None, said.payload):
        return                              # junk: other tests
    own = list(talk.because.get((said.link, said.number), ()))
    if said.told is None:
        own += talk.answers.get((said.link, said.side, said.message_id), ())
    if said.told is None and (not own or any(_refuses(one) for one in own)):
        return                              # the sender was told that nothing came of it, or waits
    near: set[Any] = set().union(*(forms(value) for one in own for _, value in leaves(one.told.payload)))
    lost = talk.lost.get((said.link, "*" if said.told is not None else said.message_id), set())
    lost |= talk.lost.get((said.link, ""), set())
    aliases = link.state.aliases if link.state is not None else {}
    for path, value in leaves(said.payload):
        found = forms(value)
        if isinstance(value, str) and value in aliases:
            found |= {aliases[value][1]}
        if value == "" or found & near or (not _small(value) and any(talk.values.get(one, -1) >= said.first for one in found)):
            continue
        if not _told(lost, path) and not _used(talk, said, _general(path)):
            yield f"{path} = {value!r}"


def _general(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path.removeprefix("$."))


def _refuses(one: Made) -> bool:
    return one.told.kind == 4 or (one.told.kind == 3 and one.told.payload.get("status") not in TAKEN)


def _told(lost: set[str], path: str) -> bool:
    """Whether the ledger has it, or what it is in; the time of values, when it has those."""
    if path.endswith("].timestamp"):
        path = path.removesuffix("timestamp") + "sampledValue[0]"
    return any(one in ("$", path) or path.startswith((f"{one}.", f"{one}[")) for one in lost)


def _used(talk: Conversation, said: Said, path: str) -> bool:
    """Whether code looks at it: as the tables say, with what it makes of it made; or by ``USED``."""
    versions = talk.link.versions
    own = USED.get(f"{versions[said.side]} {'answer' if said.told else 'call'} {said.action}", {})
    if any(_in(path, above) for above in own):
        return True
    direction = f"{versions[STATION]}:{versions[STATION.other]}"
    return any(
        _in(path, source) and (not target or any(
            one == action and _in(place, target) and at >= said.first for (one, place), at in talk.places.items()))
        for source, action, target in _by_code(direction, said.side.value, said.action, said.told is not None)
    )


def _in(path: str, above: str) -> bool:
    return not above or path == above or path.startswith((f"{above}.", f"{above}["))


@cache
def _by_code(direction: Any, sender: str, action: str, answer: bool) -> list[tuple[str, str, str]]:
    """Source path, target action and path of the rows that code carries; meter values are always compared."""
    found = []
    for row in read().actions(direction):
        if answer and row.sender != sender and action in row.targets:
            for source, target, how in row.answer:
                name, _, path = source.rpartition(":")
                if how == "code" and name in ("", action):
                    found.append((path, row.name, target))
        elif not answer and row.sender == sender and row.name == action:
            for source, target, how in row.request:
                name, _, path = target.rpartition(":")
                if how == "code" and not source.startswith("meterValue"):
                    found.append((source, name or row.targets[0], path))
    return found


def leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Path and value of everything in a payload."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, f"{path}.{name}")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from leaves(one, f"{path}[{at}]")
    else:
        yield path, value


@cache
def _counterparts() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in read().enums.values():
        for value, other in row.table.items():
            found.setdefault(value, set()).add(other)
    for table in read().names.values():
        for value, other in table.items():
            found.setdefault(value, set()).add(other)
            found.setdefault(other, set()).add(value)
    return found


@lru_cache(maxsize=20_000, typed=True)
def forms(value: Any) -> frozenset[Any]:
    """What a value may have become: another word of a table, another way to write a time or number, another unit."""
    if isinstance(value, bool) or value is None:
        return frozenset((value, str(value).lower()))
    found: set[Any] = set()
    if isinstance(value, str):
        found = {value, value.lower(), *value.split(" | "), *_counterparts().get(value, ())}
        if value[4:5] == "-":
            with suppress(ValueError):
                found.add(("ms", instant(value)))
        if value[:1] in ("{", "["):         # JSON in a text
            with suppress(ValueError):
                found.update(*(forms(one) for _, one in leaves(json.loads(value))))
    with suppress(ValueError, OverflowError):
        number = float(value)
        found |= {round(number * scale, 6) for scale in (1, 1000, 0.001)} | {float(round(number)), float(int(number))}
    return frozenset(found)


def _small(value: Any) -> bool:
    """Whether it may be anywhere by chance."""
    if isinstance(value, bool) or value is None:
        return True
    with suppress(ValueError):
        return abs(float(value)) < 100
    return False
