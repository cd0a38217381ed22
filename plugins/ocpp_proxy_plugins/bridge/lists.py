"""The local authorisation list, both ways: in pieces the station takes, with a version of its own on each side.

A piece behind the first is differential and needs a higher version than the one before, so that the station's version may be
another than the CSMS's. What the CSMS sent is remembered whole (up to a limit): a station that has lost its list gets it again.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import NOTHING
from ocpp_proxy_plugins.bridge.pace import Pace
from ocpp_proxy_plugins.bridge.plain import refused, told_why
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

MOST_REMEMBERED = 2000                      # entries; a longer list is sent, but not remembered
MOST_BYTES = 163_840                        # of all of them
MOST_PIECES = 64
MOST_AT_ONCE = "lists.most"                 # in ``Kept.facts``: how many entries the station takes in one message
ENABLED = "lists.enabled"                   # in ``Kept.facts``: False: the station's list is off
_LIST = "localAuthorizationList"
_SENDING = "lists.sending"                  # in ``Session.notes``: the version of a list that is under way


class Mirror(Struct, frozen=True, omit_defaults=True):
    """``csms``: the version that the CSMS gave; ``station``: the one that the station was given for it.

    ``entries``: by token, JSON in the station's version; None: not remembered.
    """

    csms: int = 0
    station: int = 0
    entries: dict[str, bytes] | None = None


def mirror(desk: Desk) -> Mirror:
    """What is remembered of the list."""
    kept = desk.kept.local_list
    return Mirror() if kept == NOTHING else msgspec.msgpack.decode(kept, type=Mirror)


def _remember(desk: Desk, found: Mirror) -> None:
    desk.keep(local_list=Raw(msgspec.msgpack.encode(found)))


def send_list(desk: Desk, payload: dict[str, Any]) -> Work:
    """In pieces; a station that knows of no such version gets the whole list, where it is remembered."""
    names = _names(desk)
    version = payload.get(names[0])
    if type(version) is not int or version <= 0:
        return told_why(desk, {"status": "Failed"}, "the version of a list is above 0", "InvalidValue")
    if _SENDING in desk.link.notes:
        return told_why(desk, {"status": "Failed"}, "another local list is under way", "TooManyElements")
    desk.link.notes[_SENDING] = version
    try:
        return (yield from _send(desk, payload, version))
    finally:
        del desk.link.notes[_SENDING]


def _send(desk: Desk, payload: dict[str, Any], version: int) -> Work:
    made = desk.carry(payload)
    entries: list[dict[str, Any]] = made.pop(_LIST, None) or []
    before = mirror(desk)
    full = payload.get("updateType") == "Full"
    got, sent = yield from _sent(desk, made, entries, version, before.station if not full else 0)
    after = _merged(desk, before, entries, full)
    if got.status == "VersionMismatch" and not full and after is not None:
        desk.find("local-list", "the station lost its local list: it is sent whole", "info", "station")
        whole = [msgspec.json.decode(one) for one in after.values()]
        got, sent = yield from _sent(desk, {**made, "updateType": "Full"}, whole, version, 0)
    if got.payload is None:
        return refused(desk, got)
    if got.status == "Accepted":
        _remember(desk, Mirror(version, sent, after))
    return told_why(desk, desk.carry_answer(got.payload), "the station refuses it")


def _names(desk: Desk) -> tuple[str, str]:
    """What the version is called by the CSMS, and by the station."""
    return ("versionNumber", "listVersion") if desk.version(Side.STATION) == "1.6" else ("listVersion", "versionNumber")


def _sent(desk: Desk, made: dict[str, Any], entries: list[dict[str, Any]], version: int, at_least: int) -> Any:
    """Send them in pieces; gives the last answer, and the version that the station has then."""
    most = desk.kept.facts.get(MOST_AT_ONCE) or 0
    most = most if type(most) is int and most > 0 else max(1, len(entries))
    pieces = [entries[at : at + most] for at in range(0, len(entries), most)] or [[]]
    if len(pieces) > MOST_PIECES:
        return Got(fault=f"the station takes {most} entries at once: {len(entries)} are too many"), 0
    number = max(version - len(pieces) + 1, at_least + 1, 1)
    name, pace = _names(desk)[1], Pace(desk)
    got = Got()
    for at, piece in enumerate(pieces):
        kind = made.get("updateType") if at == 0 else "Differential"
        message = {**made, name: number + at, "updateType": kind}
        if piece:
            message[_LIST] = piece
        if at and pace.over:
            return Got(timeout=True), 0
        got = yield from pace.ask("SendLocalList", message)
        if got.status != "Accepted":
            break
    return got, number + len(pieces) - 1


def _merged(desk: Desk, before: Mirror, entries: list[dict[str, Any]], full: bool) -> dict[str, bytes] | None:
    """The whole list behind this change; an entry without its information is taken away (1.6, 5.15; 2.0.1 D01)."""
    if before.entries is None and not full and before.csms:
        return None
    found = {} if full else dict(before.entries or {})
    token, info = ("idTag", "idTagInfo") if desk.version(Side.STATION) == "1.6" else ("idToken", "idTokenInfo")
    for entry in entries:
        name = _name(entry.get(token))
        if info in entry:
            found[name] = msgspec.json.encode(entry)
        else:
            found.pop(name, None)
    size = sum(len(name.encode("utf-8", "replace")) + len(one) + 8 for name, one in found.items())
    return found if len(found) <= MOST_REMEMBERED and size <= MOST_BYTES else None


def _name(token: Any) -> str:
    if isinstance(token, dict):
        return f"{token.get('type')}|{token.get('idToken')}"
    return str(token).casefold()


def version_up(desk: Desk, payload: dict[str, Any]) -> Work:
    """0 means no list in 2.0.1, an emptied one has a version (D02); -1 (not supported) is none, too."""
    got = yield from desk.ask(Side.STATION, "GetLocalListVersion", {})
    if got.payload is None:
        return refused(desk, got)
    known, version = mirror(desk), got.payload.get("listVersion")
    if type(version) is not int or version < 0:
        return {"versionNumber": 0}
    if version == known.station or (version == 0 and known.csms and known.entries == {}):
        return {"versionNumber": known.csms}
    return {"versionNumber": version}


def version_down(desk: Desk, payload: dict[str, Any]) -> Work:
    """-1 where the station's list is off (1.6, 5.10)."""
    if desk.kept.facts.get(ENABLED) is False:
        return {"listVersion": -1}
    got = yield from desk.ask(Side.STATION, "GetLocalListVersion", {})
    if got.lacks:
        return {"listVersion": -1}
    if got.payload is None:
        return refused(desk, got)
    known, version = mirror(desk), got.payload.get("versionNumber")
    if version == known.station and known.station:
        return {"listVersion": known.csms}
    return {"listVersion": version} if type(version) is int else Refusal("InternalError", "the station gave no version")


UP_CSMS = {"SendLocalList": send_list, "GetLocalListVersion": version_up}
DOWN_CSMS = {"SendLocalList": send_list, "GetLocalListVersion": version_down}
