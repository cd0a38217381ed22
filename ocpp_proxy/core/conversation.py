"""Owns what follows from messages: decode, mask, validate, pair, follow, judge. One pass, in stream order."""

from zlib import crc32

import msgspec
from msgspec import UNSET, structs

from ocpp_proxy.checks import Settings
from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.judge import Judge
from ocpp_proxy.checks.registry import Dispatch, Registry, Rules
from ocpp_proxy.checks.state import KEPT_PAYLOAD, RECENT_IDS, LinkState, OpenCall, StationState
from ocpp_proxy.core.copies import COPIES, ORIGINALS, Copies
from ocpp_proxy.core.exchanges import again, answered, done, expired, opened
from ocpp_proxy.core.legs import called, leg_of
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker, blanked, masked_frame
from ocpp_proxy.core.memory import Memory
from ocpp_proxy.core.messages import message_text
from ocpp_proxy.core.plans import NO_KEYS, Plan, Plans, faults_of
from ocpp_proxy.core.transactions import follow
from ocpp_proxy.model import Finding, Frame, Message, Opcode, Severity, Side
from ocpp_proxy.records import FrameSeen, Handshake, MessageSeen, PluginFinding, Record
from ocpp_proxy.spec import guess
from ocpp_proxy.spec.faults import GRADES, Fault
from ocpp_proxy.wire.ocppj import Envelope, decode

HELD_BYTES = 1 << 20                    # of a fragmented message held back until it is known to hold no secret
SURE = 50                               # votes for a version after which an action of it is not asked about again
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION)
_frame_of = msgspec.msgpack.Decoder(Frame).decode
_SIDES = (Side.STATION, Side.CSMS)
_CSMS = Side.CSMS


class Conversation(Memory):
    """All links' messages. ``judge`` runs the rules on ``context``."""

    def __init__(self, settings: Settings, ids: Ids, masker: Masker | None, registry: Registry) -> None:
        super().__init__(settings, ids)
        self.settings = settings
        self.masker = masker
        self.context = Context(settings)
        self.dispatch = Dispatch(registry, settings)
        self.plans = Plans(self.dispatch)
        self._plans = self.plans.tables                 # asked first: this runs for every message
        self.judge = Judge(self.context, self.dispatch.severities, self.number)
        self.copies = Copies(self.plans, masker, self.context, self.judge, self.dispatch)
        self._counted = GRADES[GRADES.index(settings.grade) :]
        self._last: Message | None = None

    def number(self) -> int:
        """The next finding_id."""
        self.ids.finding_id += 1
        return self.ids.finding_id - 1

    # ---- time ----

    def advance(self, time_ns: int, out: list[Record]) -> None:
        """Record time goes on; what falls due up to then comes first."""
        self.now = max(self.now, time_ns)
        if self.deadlines.next_ns <= self.now:
            self.fire(out)

    def fire(self, out: list[Record]) -> None:
        """Judge everything that is due, each at its own time."""
        now = self.now
        while (due := self.deadlines.pop(now)) is not None:
            self.now, (link_id, name) = due
            link = self.links.get(link_id)
            station = self.stations.get(name)
            if link is not None:
                if link.far is None and not (link.deadlines or link.directions[0].waiting or link.directions[1].waiting):
                    continue                            # all it waited for has come
                for leg in link.legs:
                    self._ring_link(leg, out)
                self._arm((link_id, ""), link)
            elif station is not None:
                self.dirty_stations.add(name)
                self._ring_rules(station, self._any_link(name, station), out)
                self._arm((0, name), station)
        self.now = now

    def _any_link(self, name: str, station: StationState) -> LinkState:
        link = self.links.get(max(station.links, default=0)) or LinkState()
        return next((leg for leg in link.legs if leg.station == name), link)

    def _ring_link(self, link: LinkState, out: list[Record]) -> None:
        self.dirty.add(link.link.link_id)
        due = [
            (call.time_ns, call.msg_no, place, call)
            for place, direction in enumerate(link.directions)
            for call in direction.waiting.values() if call.time_ns + self.limit_ns <= self.now
        ]
        for _, _, place, call in sorted(due, key=lambda item: item[:2]):
            expired(link.directions[place], call, link.link.link_id, _SIDES[place], out)
            self.begin("unanswered", link)
            self.context.call, self.context.why = call, _SIDES[place].value
            self.run("unanswered", out, link.version)
        self._ring_rules(link, link, out)

    def _ring_rules(self, scope: LinkState | StationState, link: LinkState, out: list[Record]) -> None:
        for name in sorted(name for name, at_ns in scope.deadlines.items() if at_ns <= self.now):
            del scope.deadlines[name]
            code, _, key = name.partition(":")
            rule = self.dispatch.rules.get(code)
            if rule is None:
                continue
            self.begin("due", link)
            if isinstance(scope, StationState):
                self.context.station = scope
            self.context.due_key = key
            self.judge.run((rule,), out)

    # ---- the rules' view ----

    def begin(self, event: str, link: LinkState, record: Record | None = None, frame: Frame | None = None) -> None:
        """Fill the context for a record that is no message."""
        context = self.context
        context.event, context.record, context.frame, context.link = event, record, frame, link
        context.station = StationState()
        if link.link.link_id:
            context.station = self.station_of(link)
            self.dirty.add(link.link.link_id)
        context.now = self.now
        context.message = context.call = context.transaction = context.payload = None
        context.stamps = context.elsewhere = None
        context.faults, context.notes, context.why = (), (), ""

    def run(self, event: str, out: list[Record], version: str = "") -> bool:
        """Let the rules of an event judge the context."""
        rules = self.dispatch.of(event, version)
        if not rules:
            return False
        self.context.event = event
        found = self.judge.run(rules, out)
        if event in ("note", "handshake"):
            self.rearm(self.context.link)
        return found

    def foreign(self, record: PluginFinding) -> Finding:
        """Number a finding that came from outside the rules."""
        words = {severity.label: severity for severity in Severity}
        link = self.links.get(record.link_id)
        return Finding(
            self.number(), record.code, words.get(record.severity, Severity.WARNING), record.blame, record.link_id,
            link.link.identity if link is not None else "", record.time_ns, record.message, None, record.evidence,
        )

    def drop_link(self, link: LinkState, out: list[Record]) -> None:
        """A link has ended: its counts are told, its state is forgotten."""
        link_id = link.link.link_id
        for leg in link.legs:
            station = self.station_of(leg)
            station.links.pop(link_id, None)
            self.judge.settle(station, out)
            if leg.station.startswith("#"):
                self.forget(leg.station)
        del self.links[link_id]
        self.dirty.add(link_id)
        self.deadlines.disarm((link_id, ""))

    # ---- frames that are parts of messages ----

    def part(self, record: FrameSeen, frame: Frame, out: list[Record]) -> None:
        """A fragment, a binary frame, a frame with faults, bytes nobody can read."""
        link = self.link_of(frame)
        place = 1 if frame.sender is Side.CSMS else 0
        if place and link.far is not None:
            link = link.far
        direction = link.directions[place]
        if self.masker is not None and not frame.fin and not frame.raw and frame.opcode in _DATA:
            direction.held.append(msgspec.msgpack.encode(frame))
            direction.held_bytes += len(frame.payload)
            if direction.held_bytes > HELD_BYTES:
                self.release(link, place, True, out)
            return
        text = message_text(frame)
        self._last = None
        if text is not None:
            self.message(record, frame, text, out)
        else:
            if direction.held and frame.fin:
                self.release(link, place, None, out)
            out.append(record)
        self._frame_rules(link, frame, self._last, out)

    def _frame_rules(self, link: LinkState, frame: Frame, message: Message | None, out: list[Record]) -> None:
        if frame.faults or frame.opcode is Opcode.BINARY:
            self.begin("frame", link, frame=frame)
            self.context.message = message
            self.run("frame", out)

    def release(self, link: LinkState, place: int, secret: bool | None, out: list[Record]) -> None:
        """Give the fragments of one side that were held back; without their payload when the message holds a secret.

        None: the message will never be whole; then what there is of it is looked into.
        """
        direction = link.directions[place]
        if not direction.held:
            return
        frames = [_frame_of(piece) for piece in direction.held]
        direction.held, direction.held_bytes = [], 0
        if secret is None and self.masker is not None:
            joined = b"".join(frame.payload for frame in frames)
            secret = bool(frames[0].header[:1] and frames[0].header[0] & 0x40) or self.masker.text(joined) is not None
        for frame in frames:
            out.append(FrameSeen(blanked(frame) if secret else frame))
            self._frame_rules(link, frame, None, out)

    # ---- messages ----

    def message(self, record: FrameSeen, frame: Frame, text: bytes, out: list[Record]) -> None:
        """A whole message has come with this frame."""
        link = self.links.get(frame.link_id) or self.link_of(frame)
        self.dirty.add(frame.link_id)
        place = 1 if frame.sender is _CSMS else 0
        verdict = frame.verdict
        if verdict and verdict in COPIES:
            self.copies.sent(record, text, link, self.station_of(link), place, self.now, out)
            return
        whole, link = link, link if link.far is None else leg_of(link, place, verdict)
        self.dirty_stations.add(link.station)
        link.last_ns = self.now
        if not link.first_ns:
            link.first_ns = self.now
        envelope = decode(text)
        mtype = envelope.mtype
        if mtype == 2 or mtype == 6:
            self._call(record, frame, text, envelope, link, place, out)
        elif mtype:
            calls = link if whole.far is None else called(whole, link, 1 - place, envelope.message_id)
            self._answer(record, frame, text, envelope, link, calls, place, out)
        else:
            self._unreadable(record, frame, text, envelope, link, place, out)
        link.directions[place].unreadable = not mtype
        if verdict and verdict in ORIGINALS and self._last is not None:
            self.copies.replaced(whole, self._last, envelope, place)

    def _call(
        self, record: FrameSeen, frame: Frame, text: bytes, envelope: Envelope, link: LinkState, place: int, out: list[Record],
    ) -> None:
        news = self._guess(link, envelope) if not link.version or link.link.protocol_guessed else None
        plan = self._plans[link.version][place].get(envelope.action) or self.plans.of(link.version, place, envelope.action)
        shown = envelope
        if plan.secret and self.masker is not None:
            record, shown = self._masked(record, frame, text, envelope, plan.action)
        payload = envelope.value if envelope.value is not UNSET else None
        message = self._make(frame, shown, link, plan, payload, None, plan.action, shown is not envelope)
        if link.directions[place].held:
            self.release(link, place, shown is not envelope, out)
        out.append(record)
        out.append(MessageSeen(message))
        faults = () if plan.is_valid is None or payload is None else faults_of(plan, link.version, False, payload)
        station = self.stations.get(link.station) or self.station_of(link)
        todo: list[tuple[str, str]] = []
        pending, call = self._register(message, envelope, shown, link, station, place, plan, faults, frame.verdict, todo, out)
        transaction = follow(message, payload, None, station, out if not link.is_far else []) if plan.follow else None
        if not plan.known:
            todo.append(("stranger", ""))
        if station.registration and place == 0:
            todo.append(("unregistered", ""))
        if faults:
            todo.append(("faults", ""))
        if todo or plan.rules:
            self._fill(message, frame, link, station, payload, faults, envelope.faults)
            self.context.call, self.context.transaction = pending, transaction
            if self._judge(todo, link.version, plan.rules, "call", link, out) and call is not None:
                call.found = True
        if news is not None:
            out.append(news)

    def _register(
        self, message: Message, envelope: Envelope, shown: Envelope, link: LinkState, station: StationState, place: int,
        plan: Plan, faults: tuple[Fault, ...], verdict: str, todo: list[tuple[str, str]], out: list[Record],
    ) -> tuple[OpenCall | None, OpenCall | None]:
        """Note the Call's id and open it. Gives the Call that was pending before it, and the one it is now."""
        direction = link.directions[place]
        crc = crc32(envelope.payload, plan.seed)
        message_id, waiting = message.message_id, direction.waiting
        recent = station.recent[place]
        before = recent.get(message_id)
        if envelope.faults or message.mtype == 6:
            todo.append(("envelope", envelope.error))
        if before is not None:
            todo.append(("reused", again(direction, message_id) if before == crc else ""))
        else:
            recent[message_id] = crc
            if len(recent) > RECENT_IDS:
                del recent[next(iter(recent))]
        pending = next(reversed(waiting.values())) if waiting else None
        if pending is not None:
            todo.append(("overlap", "retry" if pending.message_id == message_id and pending.crc == crc else ""))
        if message.mtype == 6:
            return pending, None
        if verdict != "injected":
            if crc == direction.last_crc and not direction.last_ok:
                todo.append(("repeat", ""))
            direction.last_crc, direction.last_ok = crc, False
        call = OpenCall(
            message.msg_no, message.frame_id, self.now, plan.action, message_id, message.identity, message.protocol, crc,
            bool(faults) and any(fault.grade in self._counted for fault in faults), False, 0,
            shown.payload if plan.keep and len(shown.payload) <= KEPT_PAYLOAD else b"", message.time_ns,
            bool(faults) and any(fault.kind == "required" and fault.grade in self._counted for fault in faults), verdict,
        )
        if not waiting:
            self.deadlines.arm((message.link_id, ""), self.now + self.limit_ns)
        if pending is None:
            waiting[message_id] = call
        else:
            opened(direction, call, message.link_id, message.sender, out)
        return pending, call

    def _answer(
        self, record: FrameSeen, frame: Frame, text: bytes, envelope: Envelope, link: LinkState, calls: LinkState, place: int,
        out: list[Record],
    ) -> None:
        mtype = envelope.mtype
        direction = calls.directions[place if mtype == 5 else 1 - place]         # of the side that called
        given = mtype == 3 and frame.verdict != "dropped"                       # its caller gets a result
        call, why = answered(direction, envelope.message_id, given) if mtype != 5 else (None, "")
        before = direction.answered.get(envelope.message_id)
        if mtype == 5 and before is None:
            why = "unknown"
        action = before.action if before is not None else ""
        plan = self._plans[link.version][place + 2].get(action) or self.plans.of(link.version, place + 2, action)
        shown = envelope
        if self.masker is not None and (plan.secret or mtype > 3):
            record, shown = self._masked(record, frame, text, envelope, plan.action)
        payload = envelope.value if envelope.value is not UNSET else None
        message = self._make(
            frame, shown, link, plan if mtype == 3 else None, payload, call, plan.action, shown is not envelope,
            before.msg_no if mtype == 5 and before is not None else None,
        )
        if link.directions[place].held:
            self.release(link, place, shown is not envelope, out)
        out.append(record)
        out.append(MessageSeen(message))
        if call is not None:
            out.append(done(call, message, _SIDES[1 - place], "ok" if mtype == 3 else "error"))
            if mtype == 3 and call.crc == direction.last_crc:
                direction.last_ok = True
        self._weigh_answer(message, frame, envelope, link, plan, payload, call, why, out)

    def _weigh_answer(
        self, message: Message, frame: Frame, envelope: Envelope, link: LinkState, plan: Plan, payload: object,
        call: OpenCall | None, why: str, out: list[Record],
    ) -> None:
        mtype = message.mtype
        checked = mtype == 3 and plan.is_valid is not None and payload is not None
        faults = faults_of(plan, link.version, True, payload) if checked else ()
        station = self.stations.get(link.station) or self.station_of(link)
        told = out if not link.is_far else []           # a transaction is one of the station's leg
        transaction = follow(message, payload, call, station, told) if mtype == 3 and plan.follow and call is not None else None
        todo: list[tuple[str, str]] = []
        if envelope.faults or mtype == 5:
            todo.append(("envelope", envelope.error))
        if why and why != "spare":
            todo.append(("orphan", why))
        if mtype == 3 and call is not None and call.invalid:
            todo.append(("lenient", ""))
        if faults:
            todo.append(("faults", ""))
        if mtype > 3:
            todo.append(("error", ""))
        rules = plan.rules if mtype == 3 and call is not None else ()
        if todo or rules:
            self._fill(message, frame, link, station, payload, faults, envelope.faults)
            self.context.call, self.context.transaction = call, transaction
            self._judge(todo, link.version, rules, "result", link, out)

    def _unreadable(
        self, record: FrameSeen, frame: Frame, text: bytes, envelope: Envelope, link: LinkState, place: int, out: list[Record],
    ) -> None:
        shown = envelope
        if self.masker is not None:
            record, shown = self._masked(record, frame, text, envelope, "")
        message = self._make(frame, shown, link, None, None, None, envelope.action, shown is not envelope)
        if link.directions[place].held:
            self.release(link, place, shown is not envelope, out)
        out.append(record)
        out.append(MessageSeen(message))
        self._fill(message, frame, link, self.station_of(link), None, (), envelope.faults)
        at = f"{envelope.error} at character {envelope.error_at}" if envelope.error_at >= 0 else envelope.error
        self._judge([("envelope", at)], link.version, (), "", link, out)

    # ---- steps of a message ----

    def _make(
        self, frame: Frame, envelope: Envelope, link: LinkState, plan: Plan | None, payload: object, call: OpenCall | None,
        action: str, masked: bool, call_no: int | None = None,
    ) -> Message:
        ids, about = self.ids, link.link
        number = ids.msg_no
        ids.msg_no = number + 1
        evse, connector, tx_id, token = plan.hot(payload) if payload and plan is not None and plan.hot is not None else NO_KEYS
        latency = None
        if call is not None:
            call_no, latency = call.msg_no, frame.time_ns - call.sent_ns
        message = self._last = Message(
            number, frame.frame_id, frame.link_id, about.identity, frame.time_ns, frame.sender, envelope.mtype,
            envelope.message_id, action, about.protocol, envelope.payload, call_no, latency, envelope.error_code,
            envelope.error_desc, evse, connector, tx_id, token, envelope.prefix, envelope.suffix, masked,
        )
        return message

    def _masked(
        self, record: FrameSeen, frame: Frame, text: bytes, envelope: Envelope, action: str,
    ) -> tuple[FrameSeen, Envelope]:
        """The frame and the envelope without credentials; the very same when there are none."""
        masker = self.masker
        if masker is None:
            return record, envelope
        masked = masker.message(text, envelope, action) if envelope.mtype else masker.text(text)
        if masked is None:
            return record, envelope
        return FrameSeen(masked_frame(frame, masked)), decode(masked)

    def _fill(
        self, message: Message, frame: Frame, link: LinkState, station: StationState, payload: object,
        faults: tuple[Fault, ...], notes: tuple[str, ...],
    ) -> None:
        context = self.context
        context.fill(message, frame, link, station, self.now)
        context.payload, context.faults, context.notes = payload, faults, notes

    def _judge(
        self, todo: list[tuple[str, str]], version: str, rules: Rules, event: str, link: LinkState, out: list[Record],
    ) -> bool:
        context, found = self.context, False
        for name, why in todo:
            context.event, context.why = name, why
            found = self.judge.run(self.dispatch.of(name, version), out) or found
        if rules:
            context.event, context.why = event, ""
            found = self.judge.run(rules, out) or found
            if link.deadlines or context.station.deadlines:
                self.rearm(link)
        return found

    def _guess(self, link: LinkState, envelope: Envelope) -> Handshake | None:
        """Without a subprotocol the messages vote for a version; a new winner is told with a Handshake record."""
        about = link.link
        if (about.protocol and not about.protocol_guessed) or envelope.value is UNSET:
            return None
        votes = link.votes
        if votes.get(link.version, 0) < SURE or not self.plans.of(link.version, 0, envelope.action).is_valid:
            vote = guess(envelope.action, envelope.value)
            if vote is None:
                return None
            votes[vote] = votes.get(vote, 0) + 1
        best = max(votes, key=lambda version: (votes[version], version == link.version), default="")
        if not best or best == link.version:
            return None
        link.version = best
        link.link = structs.replace(about, protocol=f"ocpp{best}", protocol_guessed=True)
        return Handshake(self.now, link.link)

