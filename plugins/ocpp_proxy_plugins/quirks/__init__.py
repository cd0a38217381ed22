"""Repairs known faults of chargers and CSMSs on the way, by profiles: data in ``profiles/*.toml``."""

from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

from ocpp_proxy.api import (
    PASS,
    Admit,
    Answer,
    Call,
    CallError,
    CallResult,
    Closing,
    Context,
    Entrance,
    Malformed,
    NotJson,
    Opening,
    Plugin,
    Replace,
    Send,
    Side,
    Verdict,
)
from ocpp_proxy.spec import actions
from ocpp_proxy_plugins.quirks.gate import Gate
from ocpp_proxy_plugins.quirks.profile import PROFILES, Profile
from ocpp_proxy_plugins.quirks.repairs import Transaction
from ocpp_proxy_plugins.quirks.stamps import Stamps
from ocpp_proxy_plugins.quirks.texts import mended, said
from ocpp_proxy_plugins.quirks.work import Work

__all__ = ["AUTO", "PROFILES", "Profile", "Quirks"]

AUTO = "auto"
MOST_CONNECTORS = 256                       # of a charger that invents connectors
MOST_GATES = 500                            # of a side that invents actions
LARGEST = 200_000                           # bytes of a payload: repairing a larger one takes longer than a hook may
Key = tuple[Side, str, str]


class Quirks(Plugin):
    """Repairs known faults by profiles: broken JSON, spellings, units, time stamps, lengths, transaction ids, handshakes."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``profiles``: names, ``auto`` or none; on a command line joined by ``+``. ``own``: profiles of your own.

        ``auto``: all that are for the charger and cannot do harm. ``everyone``: those named also for other chargers.
        """

        profiles: tuple[str, ...] | str = ()
        own: tuple[Profile, ...] = ()
        everyone: bool = False

        def __post_init__(self) -> None:
            known = {**PROFILES, **{profile.name: profile for profile in self.own}}
            for name in names(self.profiles):
                if name in known and known[name].setting:
                    raise ValueError(f"profiles: {name}: the proxy does this itself, without the plugin: run it with"
                                     f" {known[name].setting}")
                if name != AUTO and name not in known:
                    close = get_close_matches(name, known, 1)
                    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
                    raise ValueError(f"profiles: {name}: no such profile: {hint}")

    class State(Struct, frozen=True):
        """Who the charger is, its clock's zone, and the transactions that are open: connector -> id."""

        vendor: str = ""
        model: str = ""
        firmware: str = ""
        zone_seconds: int | None = None
        transactions: dict[int, int] = {}

    def __init__(self) -> None:
        self._chosen: tuple[Profile, ...] | None = None
        self._follows = False                           # whether transactions matter to one of them
        self._gates: dict[Key, Gate] = {}
        self._repaired: dict[str, int] = {}             # profile -> messages

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        """Offer the CSMS a subprotocol it knows, where the charger offers none or spells it otherwise."""
        for profile in self._profiles(context):
            admitted = profile.admits(opening.offered)
            if admitted is not None:
                self._told(context, profile, f"offers {', '.join(admitted.offer or ())} for {admitted.answer or 'none'}")
                return admitted
        return Admit()

    def on_call(self, context: Context, sender: Side, call: Call) -> Verdict:
        """Repair a Call."""
        if sender is Side.STATION and call.action == "BootNotification":
            self._boot(context, call)
        return self._repair(context, sender, call, call.action)

    def on_send(self, context: Context, sender: Side, send: Send) -> Verdict:
        """Repair a SEND, as a Call."""
        return self._repair(context, sender, send, send.action)

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
        """Repair an answer, and learn the ids of transactions."""
        verdict = self._repair(context, sender, answer, call.action)
        if sender is Side.CSMS and self._follows:
            if call.action == "StartTransaction" and isinstance(answer, CallResult):
                self._started(context, call, answer)
            elif call.action == "StopTransaction":
                self._stopped(context, call)
        return verdict

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Verdict:
        """Make a message of a text that is none, and repair its values as well."""
        kind, action = said(text.payload)
        for profile in self._profiles(context):
            version = context.versions.get(sender, "")
            if not profile.mends or not profile.looks_at(sender, version) or not profile.fits_text(kind, action):
                continue
            made = mended(text.payload, profile.mends)
            if made is not None:
                self._told(context, profile, "made a message of a text that was none")
                return self._further(context, sender, made, f"{profile.name}: made a message of it")
        return PASS

    def _further(self, context: Context, sender: Side, made: str, reason: str) -> Verdict:
        """The values of a Call that was just mended may need repair, too. Answers are not matched to their Call here."""
        raw = msgspec.json.decode(made, type=list[msgspec.Raw])
        if bytes(raw[0]) == b"2":
            call = Call(bytes(raw[3]), msgspec.json.decode(raw[2], type=str))
            verdict = self._repair(context, sender, call, call.action)
            if isinstance(verdict, Replace) and isinstance(verdict.message, Call):
                raw[3], reason = msgspec.Raw(verdict.message.payload), f"{reason} | {verdict.reason}"
                made = msgspec.json.encode(raw).decode()
        return Replace(Malformed.of(made), reason)

    def on_close(self, context: Context, closing: Closing) -> None:
        """Say how much was repaired."""
        for name, count in self._repaired.items():
            if count > 1:
                context.find("repaired", f"{name}: {count} messages of this connection were repaired", blame="proxy")

    # ---- which profiles ----

    def _profiles(self, context: Context) -> tuple[Profile, ...]:
        """The profiles of this link, as far as the charger is known."""
        if self._chosen is None:
            options, state = context.options, context.state
            known = {**PROFILES, **{profile.name: profile for profile in options.own}}
            asked = names(options.profiles)
            mine = [profile for profile in known.values() if profile.is_for(state.vendor, state.model, state.firmware)]
            auto = [profile.name for profile in mine if profile.harmless] if AUTO in asked else []
            fitting = known if options.everyone else {profile.name for profile in mine}
            chosen = dict.fromkeys([*auto, *(name for name in asked if name in fitting)])
            self._chosen = tuple(known[name] for name in chosen)
            self._follows = any(isinstance(repair, Transaction) for one in self._chosen for repair in one.repairs)
            self._gates.clear()
        return self._chosen

    def _gate(self, context: Context, sender: Side, message: Any, action: str) -> Gate:
        """What messages of this kind meet."""
        chosen = self._profiles(context)
        key = (sender, type(message).__name__, action)
        found = self._gates.get(key)
        if found is None:
            if len(self._gates) > MOST_GATES:
                self._gates.clear()
            version = context.versions.get(sender, "")
            kind = "call" if isinstance(message, Call | Send) else "answer"
            fitting = [profile for profile in chosen if profile.looks_at(sender, version) and profile.fits(kind, action)]
            known = action in actions.known(version) if version else True
            found = self._gates[key] = Gate(fitting, isinstance(message, CallError), known)
        return found

    # ---- repairing ----

    def _repair(self, context: Context, sender: Side, message: Any, action: str) -> Verdict:
        gate = self._gate(context, sender, message, action)
        raw = message.payload
        if not gate.tasks or not gate.opens(raw) or len(raw) > LARGEST:
            return PASS
        stamps, reasons = Stamps(context.state.zone_seconds), list[str]()
        work = Work(context, message, message.json(), stamps, context.state.transactions)
        for profile, repairs in gate.tasks:
            work.begin(profile.name)
            for look, repair in repairs:
                if look(raw):
                    repair.apply(work)
            if work.notes:
                raw = msgspec.json.encode(work.value)
                self._told(context, profile, work.told)
                reasons.append(f"{profile.name}: {work.told}")
        if stamps.zone_seconds != context.state.zone_seconds:
            self._keep(context, zone_seconds=stamps.zone_seconds)
        return Replace(msgspec.structs.replace(work.message, payload=raw), " | ".join(reasons)) if reasons else PASS

    def _told(self, context: Context, profile: Profile, what: str) -> None:
        """A finding the first time; how often it was, at the end."""
        count = self._repaired[profile.name] = self._repaired.get(profile.name, 0) + 1
        if count == 1:
            context.find("repaired", f"{profile.name}: {what}", blame="proxy")

    # ---- what is learnt ----

    def _boot(self, context: Context, call: Call) -> None:
        try:
            said = call.json()
        except NotJson:
            return
        said = said.get("chargingStation", said) if isinstance(said, dict) else {}
        if not isinstance(said, dict):
            return
        found = [said.get("chargePointVendor", said.get("vendorName")), said.get("chargePointModel", said.get("model")),
                 said.get("firmwareVersion")]
        vendor, model, firmware = (str(one)[:50] if isinstance(one, str) else "" for one in found)
        if (vendor, model, firmware) != (context.state.vendor, context.state.model, context.state.firmware):
            self._keep(context, vendor=vendor, model=model, firmware=firmware)
            self._chosen = None

    def _started(self, context: Context, call: Call, answer: CallResult) -> None:
        connector, given = _member(call, "connectorId"), _member(answer, "transactionId")
        known = context.state.transactions
        if type(connector) is int and type(given) is int and given > 0 and len(known) < MOST_CONNECTORS:
            self._keep(context, transactions={**known, connector: given})

    def _stopped(self, context: Context, call: Call) -> None:
        ended, known = _member(call, "transactionId"), context.state.transactions
        if ended in known.values():
            self._keep(context, transactions={connector: one for connector, one in known.items() if one != ended})

    @staticmethod
    def _keep(context: Context, **values: Any) -> None:
        context.keep(msgspec.structs.replace(context.state, **values))


def names(profiles: tuple[str, ...] | str) -> tuple[str, ...]:
    """The profiles an option names: a list, or a text with ``+`` between them."""
    given = profiles.split("+") if isinstance(profiles, str) else profiles
    return tuple(name.strip() for name in given if name.strip())


def _member(message: Call | CallResult, name: str) -> Any:
    try:
        value = message.json()
    except NotJson:
        return None
    return value.get(name) if isinstance(value, dict) else None

