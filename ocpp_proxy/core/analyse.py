"""The analyser: source records in, the whole stream out. Messages, exchanges, transactions and findings follow their frame.

Pure and restartable: time comes with the records, all state is structs. After ``restore`` of what ``changed`` gave, the
output goes on as if nothing had happened. This file takes the records apart; messages are ``core.conversation``'s.
"""

from collections.abc import Mapping

from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.checks.registry import Registry
from ocpp_proxy.checks.state import LIVE_LINKS, LinkState, cut
from ocpp_proxy.core.conversation import Conversation
from ocpp_proxy.core.exchanges import abandoned
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.ruling import KIND as RULES
from ocpp_proxy.core.ruling import PIECE, Ruling
from ocpp_proxy.model import Frame, Opcode
from ocpp_proxy.records import (
    Audited,
    Beat,
    Found,
    FrameSeen,
    Gap,
    Handshake,
    LinkClosed,
    LinkOpened,
    Lost,
    Note,
    PluginFinding,
    Record,
    Source,
)
from ocpp_proxy.wire.http import parse_request

_TEXT = Opcode.TEXT                     # looked up once: this runs for every frame
_CONTROL = (Opcode.PING, Opcode.PONG, Opcode.CLOSE)
_HTTP = (Opcode.HTTP_REQ, Opcode.HTTP_RES)
_OWN_ANSWER = frozenset({"upstream_failed", "head_refused", "plain_upstream_refused", "refused"})


class Analyser:
    """Judges a stream of source records."""

    def __init__(self, settings: Settings, ids: Ids, masker: Masker | None, registry: Registry = REGISTRY) -> None:
        self._core = Conversation(settings, ids, masker, registry)
        self._ruling = Ruling(self._core, registry)
        self._message = self._core.message

    @property
    def failures(self) -> int:
        """How often a rule itself failed: a fault of ours, always 0."""
        return self._core.judge.failures

    @property
    def beat(self) -> int:
        """The time of the last Beat, 0 before the first."""
        return self._core.beat

    def feed(self, record: Source, out: list[Record]) -> None:
        """Append the record (its secrets masked) and then what follows from it. What was due before comes first."""
        core = self._core
        if isinstance(record, FrameSeen):
            frame = record.frame
            if frame.time_ns > core.now:
                core.now = frame.time_ns
                if core.deadlines.next_ns <= core.now:
                    core.fire(out)
            if frame.opcode is _TEXT and frame.fin and not frame.faults:
                self._message(record, frame, frame.text or frame.payload, out)
            else:
                self._frame(record, frame, out)
            return
        if isinstance(record, Gap) or (isinstance(record, Note) and record.kind == "suspended"):
            self._blind(record)                     # before anything that fell due meanwhile is judged
        core.advance(record.link.opened_ns if isinstance(record, LinkOpened) else record.time_ns, out)
        match record:
            case LinkOpened():
                self._opened(record, out)
            case Handshake():
                self._handshake(record, out)
            case Note():
                self._note(record, out)
            case LinkClosed():
                self._closed(record, out)
            case PluginFinding():
                record = core.masker.found(record) if core.masker is not None else record
                out.append(record)
                out.append(Found(core.foreign(record)))
            case Beat():
                core.beat = record.time_ns
                out.append(record)
            case Gap():
                out.append(record)
            case Lost() | Audited():
                out.append(core.masker.told(record) if core.masker is not None else record)

    # ---- frames that are no plain message ----

    def _frame(self, record: FrameSeen, frame: Frame, out: list[Record]) -> None:
        core = self._core
        if frame.opcode in _HTTP:
            self._http(record, frame, out)
        elif frame.opcode in _CONTROL:
            out.append(record)
            self._control(frame, out)
        else:
            core.part(record, frame, out)

    def _http(self, record: FrameSeen, frame: Frame, out: list[Record]) -> None:
        core = self._core
        link = core.link_of(frame)
        masked = core.masker.head(frame) if core.masker is not None else frame
        out.append(record if masked is frame else FrameSeen(masked))
        if frame.opcode is Opcode.HTTP_REQ and frame.header:
            head = parse_request(frame.header)
            link.authorized = head.get(b"authorization") is not None
            link.own_answer = False

    def _control(self, frame: Frame, out: list[Record]) -> None:
        core = self._core
        link = core.link_of(frame)
        core.begin("control", link, frame=frame)
        if frame.opcode is not Opcode.CLOSE:
            link.last_ns = core.now
        elif link.closing is None:
            link.close_code = int.from_bytes(frame.payload[:2], "big") if len(frame.payload) >= 2 else 1005
            for leg in link.legs:
                leg.closing = frame.sender
            station = core.station_of(link)
            if link.link.link_id in station.links:
                station.links[link.link.link_id] = True
        core.run("control", out)
        core.rearm(link)

    # ---- links ----

    def _blind(self, record: Gap | Note) -> None:
        """The capture misses something here: silence since then proves nothing."""
        at_ns = max(record.time_ns, record.ended_ns) if isinstance(record, Gap) else record.time_ns
        for link_id, link in self._core.links.items():
            if record.link_id in (0, link_id):
                for leg in link.legs:
                    leg.blind_ns = max(leg.blind_ns, at_ns)
                self._core.dirty.add(link_id)

    def _opened(self, record: LinkOpened, out: list[Record]) -> None:
        core = self._core
        link = core.add_link(record.link)
        out.append(record)
        core.begin("link", link, record)
        core.run("link", out)

    def _handshake(self, record: Handshake, out: list[Record]) -> None:
        core = self._core
        if record.link.protocol_guessed and not record.request_frame:
            return                                      # our own guess, read back from a capture: it is made anew
        link = core.links.get(record.link.link_id) or core.add_link(record.link)
        core.rename(link, record.link)
        out.append(record)
        if record.request_frame:                        # a log without handshakes says nothing about them
            core.begin("handshake", link, record)
            core.run("handshake", out)
        if record.link.status == 101:
            for leg in link.legs:
                links = core.station_of(leg).links
                links[record.link.link_id] = False
                cut(links, LIVE_LINKS)

    def _note(self, record: Note, out: list[Record]) -> None:
        core = self._core
        if record.kind == RULES:
            self._ruling.noted(record, out)
            return
        out.append(record)
        link = core.links.get(record.link_id) or LinkState()
        if record.kind in _OWN_ANSWER:
            link.own_answer = True
        core.begin("note", link, record)
        core.run("note", out)

    def _closed(self, record: LinkClosed, out: list[Record]) -> None:
        core = self._core
        link = core.links.get(record.link_id)
        if link is None:
            out.append(record)
            return
        for leg in link.legs:
            core.release(leg, 0, None, out)
            core.release(leg, 1, None, out)
        out.append(record)
        for leg in link.legs:
            abandoned(leg.directions, record.link_id, out)
        core.begin("closed", link, record)
        core.run("closed", out)
        for leg in link.legs:
            core.judge.settle(leg, out)
        core.drop_link(link, out)

    # ---- state ----

    def changed(self) -> dict[str, bytes | None]:
        """State pieces changed since the last call: key -> bytes, None: forget it. Keys start with ``n/``."""
        return self._core.changed() | self._ruling.changed()

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Take over what ``changed`` gave."""
        self._ruling.restore(pieces)
        self._core.restore({name: piece for name, piece in pieces.items() if name != PIECE})


