"""What left in place of a received message (frame mode): no message of its own, but judged, as ours.

An exchange is what its two sides said: the received message is the one that is stored, paired and counted, also when the other
side got something else. A copy shares its id and is linked to it by ``Frame.cause``. Two things are judged by the copy: new
faults in it are the proxy's, and whether an answer fits its Call depends on the Call the answering side really got.
"""

from msgspec import UNSET

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.judge import Judge
from ocpp_proxy.checks.registry import Dispatch
from ocpp_proxy.checks.state import ANSWERED_IDS, KEPT_PAYLOAD, Answered, LinkState, OpenCall, Replaced, StationState, cut
from ocpp_proxy.core.legs import caller, leg_of
from ocpp_proxy.core.masking import Masker, masked_frame
from ocpp_proxy.core.plans import Plans, faults_of
from ocpp_proxy.model import Frame, Message
from ocpp_proxy.records import FrameSeen, Record
from ocpp_proxy.spec.faults import GRADES, Fault
from ocpp_proxy.wire.ocppj import Envelope, decode

ORIGINALS = frozenset({"replaced", "held"})         # verdicts of received messages that something else may leave for
COPIES = frozenset({"modified", "inflated"})        # verdicts of what left for it
MOST_REPLACED = 64                                  # of a link, remembered until their copy comes
_CALLS = (2, 6)


class Copies:
    """Judges what leaves in place of received messages. All it remembers is in ``LinkState.replaced``."""

    def __init__(self, plans: Plans, masker: Masker | None, context: Context, judge: Judge, dispatch: Dispatch) -> None:
        self._plans = plans
        self._masker = masker
        self._context = context
        self._judge = judge
        self._dispatch = dispatch
        self._counted = GRADES[GRADES.index(context.settings.grade) :]

    def replaced(self, link: LinkState, message: Message, envelope: Envelope, place: int) -> None:
        """A message was received for which something else leaves: remember it until that comes."""
        version = leg_of(link, place, "").version
        faulty = bool(envelope.faults) or bool(self._faults(version, message.mtype, message.action, envelope, place))
        link.replaced[message.frame_id] = Replaced(message.msg_no, faulty)
        cut(link.replaced, MOST_REPLACED)

    def sent(
        self, record: FrameSeen, text: bytes, link: LinkState, station: StationState, place: int, now: int, out: list[Record],
    ) -> None:
        """Such a thing left."""
        frame, envelope = record.frame, decode(text)
        mtype, message_id = envelope.mtype, envelope.message_id
        calls = caller(link, place if mtype in (2, 5, 6) else 1 - place, message_id)
        leg = leg_of(link, place, frame.verdict)    # the one it was said on
        answered = calls.answered.get(message_id)
        action = envelope.action if mtype in _CALLS or answered is None else answered.action
        masked = self._mask(text, envelope, action)
        out.append(record if masked is None else FrameSeen(masked_frame(frame, masked)))
        original = link.replaced.get(frame.cause[-1]) if frame.cause else None
        if original is None or frame.verdict == "inflated":
            return                                  # the same text, or nobody knows of what
        shown = envelope if masked is None else decode(masked)
        faults = self._faults(leg.version, mtype, action, envelope, place)
        call = calls.waiting.get(message_id)
        if call is not None and mtype == 2:
            self._got(call, faults, shown)
        elif call is not None:                      # the received answer was no message: this one is given for it
            call.verdict = "answered"
        elif mtype == 2 and answered is None:       # nor was the received Call: the answer to this one is nobody's fault
            calls.answered[message_id] = Answered(original.msg_no, action, 1)
            cut(calls.answered, ANSWERED_IDS)
        if not original.faulty and (faults or envelope.faults):
            message = Message(
                original.msg_no, frame.frame_id, frame.link_id, link.link.identity, frame.time_ns, frame.sender, mtype,
                message_id, action, leg.link.protocol, shown.payload, masked=masked is not None,
            )
            self._found(message, frame, leg, station, envelope, faults, now, out)

    def _mask(self, text: bytes, envelope: Envelope, action: str) -> bytes | None:
        if self._masker is None:
            return None
        return self._masker.message(text, envelope, action) if envelope.mtype else self._masker.text(text)

    def _faults(self, version: str, mtype: int, action: str, envelope: Envelope, place: int) -> tuple[Fault, ...]:
        if mtype not in (2, 3, 6) or envelope.value is UNSET:
            return ()
        plan = self._plans.of(version, place if mtype in _CALLS else place + 2, action)
        return faults_of(plan, version, mtype == 3, envelope.value)

    def _got(self, call: OpenCall, faults: tuple[Fault, ...], shown: Envelope) -> None:
        """The answering side got this, not what the caller sent."""
        counted = [fault for fault in faults if fault.grade in self._counted]
        call.invalid = call.found = bool(counted)
        call.missing = any(fault.kind == "required" for fault in counted)
        if call.payload:
            call.payload = shown.payload if len(shown.payload) <= KEPT_PAYLOAD else b""

    def _found(
        self, message: Message, frame: Frame, link: LinkState, station: StationState, envelope: Envelope,
        faults: tuple[Fault, ...], now: int, out: list[Record],
    ) -> None:
        context = self._context
        context.fill(message, frame, link, station, now)
        context.payload = envelope.value if envelope.value is not UNSET else None
        context.faults, context.notes = faults, envelope.faults
        for event, why in (("envelope", envelope.error if envelope.faults else None), ("faults", "" if faults else None)):
            if why is not None:
                context.event, context.why = event, why
                self._judge.run(self._dispatch.of(event, link.version), out)

