"""What ``check`` suggests: the quirk profiles that would repair what it found.

Computed, not guessed: the plugin runs with the profile over the offending message, with what it knows of the charger, and
the rules judge what comes out. A profile is named when the finding is gone then.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from msgspec import Struct, field, structs
from ocpp_proxy_plugins.quirks import PROFILES, Profile, Quirks

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.model import Finding, Frame, Link, Message, Opcode, Side
from ocpp_proxy.records import Found, FrameSeen, Handshake, LinkClosed, LinkOpened, MessageSeen, Record
from ocpp_proxy.relay import lenient
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy.testing import Stage
from ocpp_proxy.wire.http import parse_request
from ocpp_proxy.wire.http_edit import rewrite
from ocpp_proxy.wire.ocppj import rebuild

MOST_TRIED = 200                            # findings tried of one code in one check; what is beyond is not counted
MOST_CALLS = 64                             # Calls remembered of a link, for answers that come later
MOST_STATIONS = 10_000
REPLACED, TRANSLATED = "replaced", "translated"
Told = tuple[object, ...]
_INDEX = re.compile(r"\[\d+\]")


class _Link(Struct):
    """What is known of a link: its last request head and handshake, open Calls, and by connector the last start."""

    head: bytes = b""
    shake: Handshake | None = None
    calls: dict[int, Message] = field(default_factory=dict)
    starts: dict[int, tuple[Message, Message]] = field(default_factory=dict)


class Suggester:
    """Is shown the stream, record by record, and says at the end which profile would repair which finding.

    ``repaired``: what tells a finding (``told_of``) -> names of profiles. ``tried``: how many findings were tried, by code.
    """

    def __init__(self) -> None:
        self.repaired: dict[Told, tuple[str, ...]] = {}
        self.tried = Counter[str]()             # by code: one that comes all the time hides no other
        self._links: dict[int, _Link] = {}
        self._boots: dict[str, Message] = {}
        self._last: Message | None = None
        self._call: Message | None = None               # that the last message answers
        self._replaced = False                          # the last frame was, by a plugin; or it is what a bridge made
        self._translated = False

    def see(self, record: Record) -> None:
        """One record of the stream, in order."""
        if isinstance(record, FrameSeen):
            frame = record.frame
            self._translated = frame.verdict == TRANSLATED
            self._replaced = self._translated or frame.verdict == REPLACED
            if frame.opcode is Opcode.HTTP_REQ and frame.header:
                self._of(frame.link_id).head = frame.header
        elif isinstance(record, MessageSeen):
            self._message(record.message)
        elif isinstance(record, Found):
            self.found(record.finding)
        elif isinstance(record, Handshake):
            self._of(record.link.link_id).shake = record
        elif isinstance(record, LinkClosed):
            self._links.pop(record.link_id, None)

    def found(self, finding: Finding) -> None:
        """A finding, raised on the record seen last."""
        profiles = _by_code().get(finding.code, ())
        if not profiles or self.tried[finding.code] >= MOST_TRIED:
            return
        link, message = self._of(finding.link_id), self._last
        names: list[str] = []
        if message is not None and message.msg_no == finding.msg_no:
            if self._replaced:                          # a plugin has its say about it already
                return
            self.tried[finding.code] += 1
            spoken = [one for one in profiles if not one.offers and not one.setting]
            names = [one.name for one in spoken if self._repairs(one, finding, message, link)]
        elif finding.msg_no is None and link.shake is not None and not link.shake.repairs:
            self.tried[finding.code] += 1
            names = [one.name for one in profiles if _opens(one, finding, link.head, link.shake)]
        if names:
            self.repaired[told_of(finding)] = tuple(names)

    def _message(self, message: Message) -> None:
        link = self._links.get(message.link_id) or self._of(message.link_id)
        self._last = message
        self._call = call = link.calls.pop(message.call_no, None) if message.call_no is not None else None
        if message.mtype == 2:
            link.calls[message.msg_no] = message
            if len(link.calls) > MOST_CALLS:
                del link.calls[next(iter(link.calls))]
            if message.action == "BootNotification" and message.sender is Side.STATION and not self._translated and (
                    len(self._boots) < MOST_STATIONS):
                self._boots[message.identity] = message
        elif (call is not None and message.mtype == 3 and message.action == "StartTransaction"
              and call.connector_id is not None and len(link.starts) < MOST_CALLS):
            link.starts[call.connector_id] = (call, message)

    def _of(self, link_id: int) -> _Link:
        return self._links.setdefault(link_id, _Link())

    def _repairs(self, profile: Profile, finding: Finding, message: Message, link: _Link) -> bool:
        """Whether the message goes on without the finding when this profile has seen it."""
        version = version_of(message.protocol)
        stage = Stage([Quirks], options={"profiles": [profile.name]}, identity=message.identity or "?", version=version)
        boot = self._boots.get(message.identity)
        before = [boot] if boot is not None and boot.msg_no != message.msg_no else []
        before += [one for start in link.starts.values() for one in start]
        if self._call is not None:
            before.append(self._call)
        elif not message.mtype:                         # broken: it may answer any Call of the other side
            before += [call for call in link.calls.values() if call.sender is not message.sender]
        for one in before:
            stage.send(one.sender, text_of(one))
        done = len(stage.played.sent)
        original = text_of(message)
        stage.send(message.sender, original)
        left = [text for sender, text in stage.played.sent[done:] if sender is message.sender]
        if len(left) != 1 or left[0] == original:
            return False
        past = [(one.sender, text_of(one)) for one in before]
        came, went = (_found(finding, message, [*past, (message.sender, text)]) for text in (original, left[0]))
        return came and not went


@cache
def _by_code() -> Mapping[str, tuple[Profile, ...]]:
    """The profiles by the codes they detect, those first that cannot do harm."""
    found: dict[str, list[Profile]] = {}
    for profile in sorted(PROFILES.values(), key=lambda profile: (not profile.harmless, profile.name)):
        for code in profile.detects:
            found.setdefault(code, []).append(profile)
    return {code: tuple(profiles) for code, profiles in found.items()}


def _found(finding: Finding, message: Message, texts: list[tuple[Side, str]]) -> bool:
    """Whether the rules find the same in the last of these texts of a link."""
    link = Link(1, message.time_ns, "", identity=message.identity, protocol=message.protocol, status=101)
    analyser, out = Analyser(Settings(), Ids(), None), list[Record]()
    analyser.feed(LinkOpened(link), out)
    analyser.feed(Handshake(message.time_ns, link), out)
    for number, (sender, text) in enumerate(texts, 1):
        out.clear()
        frame = Frame(number, 1, number, message.time_ns, 0, sender, Opcode.TEXT, payload=text.encode())
        analyser.feed(FrameSeen(frame), out)
    place = _INDEX.sub("[]", finding.path)
    again = [one.finding for one in out if isinstance(one, Found)]
    return any(one.code == finding.code and _INDEX.sub("[]", one.path) == place for one in again)


def _opens(profile: Profile, finding: Finding, head: bytes, shake: Handshake) -> bool:
    """Whether the handshake would be without the finding."""
    if not profile.setting:
        return profile.admits(shake.link.offered) is not None
    read = parse_request(head)
    repairs = lenient.repair(read, "", bytes(16))
    sent = rewrite(
        head, target=lenient.clean_target(read.target)[0], version=repairs.version, replace=repairs.replace, add=repairs.add,
        crlf=repairs.crlf,
    )
    again, out = parse_request(sent), list[Record]()
    link = structs.replace(shake.link, target=again.target_text, offered=again.offered)
    analyser = Analyser(Settings(), Ids(), None)
    analyser.feed(Handshake(shake.time_ns, link, 1, problems=again.problems), out)
    left = {(one.finding.code, one.finding.message) for one in out if isinstance(one, Found)}
    return sent != head and (finding.code, finding.message) not in left


def text_of(message: Message) -> str:
    """The text of a message as it was sent; what is no UTF-8 in it replaced."""
    raw = rebuild(
        message.mtype, message.message_id, message.action, message.payload, message.prefix, message.suffix,
        message.error_code, message.error_desc,
    )
    return raw.decode("utf-8", "replace")


def told_of(finding: Finding) -> Told:
    """What tells a finding from all others."""
    return finding.code, finding.blame, finding.link_id, finding.time_ns, finding.msg_no, finding.path, finding.message


def advice(findings: Iterable[Finding], repaired: Mapping[Told, Sequence[str]]) -> list[str]:
    """The lines below the report: each profile, how many findings it would repair, and how to run it."""
    counts: dict[str, dict[str, int]] = {}
    for finding in findings:
        for name in repaired.get(told_of(finding), ()):
            codes = counts.setdefault(name, {})
            codes[finding.code] = codes.get(finding.code, 0) + 1
    lines = []
    for name, codes in sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        shown = ", ".join(sorted(codes))
        care = "" if PROFILES[name].harmless else " (read about it first)"
        how = PROFILES[name].setting or f"--plugin quirks:profiles={name}"
        who = how if PROFILES[name].setting else f"quirks profile {name}"
        lines.append(f"{who} would repair {sum(codes.values())} of these ({shown}): ocpp-proxy run {how}{care}")
    plugged = [name for name in sorted(counts) if not PROFILES[name].setting]
    if len(plugged) > 1:
        names = "+".join(plugged)
        lines.append(f"all of them: ocpp-proxy run --plugin quirks:profiles={names}")
    return lines
