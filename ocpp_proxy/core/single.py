"""The engine's rules on one message, without its link's past: what ``Context.findings`` says to a plugin that repairs.

Shape, schema, values and time stamps; what needs other messages (pairs, transactions, clocks that drift) is left out.
"""

from collections.abc import Sequence

from msgspec import UNSET, structs

from ocpp_proxy.api import Malformed, Message
from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.judge import Judge
from ocpp_proxy.checks.registry import BY_ACTION, Dispatch, Rules
from ocpp_proxy.checks.state import LinkState, StationState
from ocpp_proxy.core.plans import Plans, faults_of
from ocpp_proxy.core.plugin_text import write
from ocpp_proxy.model import Finding, Frame, Link, Opcode, Side
from ocpp_proxy.model import Message as Seen
from ocpp_proxy.records import Found, Record
from ocpp_proxy.wire.ocppj import decode

ALONE = frozenset({"C01", "C03", "V03", "V07", "X01"})      # rules by action that look at nothing but the message
_CALLS = (2, 6)


class Single:
    """``services.Judging``. One for all links: it remembers nothing."""

    def __init__(self, settings: Settings) -> None:
        self._context = Context(settings)
        self._dispatch = Dispatch(REGISTRY, settings)
        self._plans = Plans(self._dispatch)
        self._judge = Judge(self._context, self._dispatch.severities, int)

    def __call__(self, version: str, sender: Side, message: Message, action: str, now_ns: int) -> Sequence[Finding]:
        """The findings, in the order of the rules; each without numbers and evidence."""
        text = message.payload if isinstance(message, Malformed) else write(message, message.message_id or "0")
        envelope = decode(text)
        mtype = envelope.mtype
        action = envelope.action or action
        plan = self._plans.of(version, (sender is Side.CSMS) + (0 if mtype in _CALLS else 2), action)
        payload = envelope.value if envelope.value is not UNSET else None
        faults = faults_of(plan, version, mtype == 3, payload) if mtype in (2, 3, 6) and payload is not None else ()
        frame = Frame(0, 0, 0, now_ns, 0, sender, Opcode.TEXT, payload=text)
        seen = Seen(0, 0, 0, "", now_ns, sender, mtype, envelope.message_id, action, f"ocpp{version}", envelope.payload)
        context = self._context
        context.fill(seen, frame, LinkState(link=Link(0, 0, ""), version=version), StationState(), now_ns)
        context.payload, context.faults, context.notes = payload, faults, envelope.faults
        out: list[Record] = []
        at = f"{envelope.error} at character {envelope.error_at}" if envelope.error_at >= 0 else envelope.error
        for event, wanted in (
            ("envelope", bool(envelope.faults) or not mtype), ("stranger", mtype in _CALLS and not plan.known),
            ("faults", bool(faults)), (BY_ACTION[mtype == 3], mtype in (2, 3, 6)),
        ):
            if wanted:
                context.event, context.why = event, at if event == "envelope" else ""
                self._judge.run(self._rules(event, version, plan.rules), out)
        return [structs.replace(found.finding, evidence=(), msg_no=None) for found in out if isinstance(found, Found)]

    def _rules(self, event: str, version: str, by_action: Rules) -> Rules:
        if event in BY_ACTION:
            return tuple(rule for rule in by_action if rule.code in ALONE)
        return self._dispatch.of(event, version)
