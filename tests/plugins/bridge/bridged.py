"""A bridged link driven by hand, without a socket: what each side says and is told, every frame checked.

Each frame that leaves is valid in the version of the side it goes to, and the invariants hold all the time:

I1 numbers of the events sent for a transaction are 0..n without a gap; I2 one integer id for one text id; I3 one Started,
at most one Ended, nothing behind it; I4 every Call is answered exactly once; I5 one Call of ours at a time towards a side;
I6 times are those of the source (or now). When the test is over (``conftest``): I7 the energy of each transaction that began
and ended on both sides is the same there (``energies``); I8 what is dropped stands in the ledger (``ledger``).
"""

import json
from datetime import datetime
from operator import itemgetter
from typing import Any

from msgspec import Struct, field, structs
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.api import Side
from ocpp_proxy.core.services import Lost
from ocpp_proxy.spec.schemas import check
from ocpp_proxy.testing import START_NS, Stage

STATION, CSMS = Side.STATION, Side.CSMS
UP, DOWN = "1.6:2.0.1", "2.0.1:1.6"
_TIMES = ("timestamp", "currentTime", "expiryDate", "expiryDateTime")


class Told(Struct):
    """A frame that one side is told. ``kind``: 2, 3 or 4. ``action``: of an answer that of its Call."""

    kind: int
    message_id: str
    action: str
    payload: dict[str, Any]
    code: str = ""


class Said(Struct):
    """A message that one side sent. ``link`` and ``number``: as of ``Made``; ``first``: what was made before it came.

    ``action``: of an answer that of its Call, which is ``told``.
    """

    side: Side
    action: str
    message_id: str
    payload: dict[str, Any]
    link: int
    number: int
    first: int
    told: Told | None = None


class Made(Struct):
    """A frame that ``side`` was told on that ``link`` (dialled one after the other). ``cause``: of which message; 0: none."""

    side: Side
    told: Told
    link: int
    cause: int


class Events(Struct):
    """The transaction events of one uid, as the 2.0.1 CSMS saw them."""

    seqs: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    sent: dict[int, dict[str, Any]] = field(default_factory=dict)


LINKS: list["Bridged"] = []                  # of the test that runs


class Bridged:
    """See the module. ``direction``: ``UP`` or ``DOWN``; ``options``: further ones; ``state``: what it finds stored."""

    def __init__(self, direction: str = UP, options: dict[str, Any] | None = None, state: Any = None) -> None:
        LINKS.append(self)
        station, _, csms = direction.partition(":")
        self.versions = {STATION: station, CSMS: csms}
        self._options = {"station": station, "csms": csms, **(options or {})}
        self.told: dict[Side, list[Told]] = {STATION: [], CSMS: []}
        self.open: dict[Side, dict[str, str]] = {STATION: {}, CSMS: {}}      # Calls of ours to that side: id -> action
        self.asked: dict[Side, dict[str, str]] = {STATION: {}, CSMS: {}}     # Calls of that side not answered: id -> action
        self.events: dict[str, Events] = {}
        self.tids: dict[int, str] = {}
        self.times: set[int] = set()
        self.ended = 0
        self._count = 0
        self._seen = 0
        self.said: list[Said] = []
        self.made: list[Made] = []
        self.lost: list[tuple[int, Lost]] = []
        self._links = 0
        self.heard: list[tuple[str, dict[str, Any]]] = []      # Calls of the station
        self._clock_ns = START_NS
        self.stage = self._linked(state)

    def _linked(self, state: Any) -> Stage:
        self._found = state
        stage = Stage([Bridge], options=self._options, version=self.versions[STATION], state=state)
        stage.open([f"ocpp{self.versions[STATION]}"])
        assert stage.said[-1] == f"=> open ocpp{self.versions[CSMS]}"
        stage.agree(f"ocpp{self.versions[CSMS]}")
        assert stage.said[-1] == f"<= agree ocpp{self.versions[STATION]}"
        self._seen = self._noted = 0
        self._links += 1
        return stage

    # ---- what happens ----

    def call(self, side: Side, action: str, payload: dict[str, Any] | None = None, message_id: str = "") -> str:
        """A side sends a Call; gives its id."""
        self._count += 1
        message_id = message_id or f"m{self._count}"
        self.asked[side][message_id] = action
        if side is STATION:
            self.heard.append((action, payload or {}))
        self._note_times(payload)
        self._say(side, action, message_id, payload or {}, [2, message_id, action, payload or {}])
        return message_id

    def answer(self, side: Side, payload: dict[str, Any] | None = None, action: str = "") -> Told:
        """A side answers the Call of ours that it was told last (of that action); gives that Call."""
        told = self._asked_of(side, action)
        self._say(side, told.action, told.message_id, payload or {}, [3, told.message_id, payload or {}], told)
        return told

    def error(self, side: Side, code: str, text: str = "", action: str = "") -> Told:
        """A side answers it with a CALLERROR."""
        told = self._asked_of(side, action)
        self.stage.send(side, json.dumps([4, told.message_id, code, text, {}]))
        self._look()
        return told

    def _say(
        self, side: Side, action: str, message_id: str, payload: dict[str, Any], frame: list[Any], told: Told | None = None,
    ) -> None:
        number, first = self.stage.received + 1, len(self.made)
        self.said.append(Said(side, action, message_id, payload, self._links, number, first, told))
        self.stage.send(side, json.dumps(frame))
        self._look()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.stage.wait(seconds)
        self._look()

    def again(self, options: dict[str, Any] | None = None) -> None:
        """The link ends (killed, or lost), and the charger dials again: only what is stored is known."""
        state = self.stage.played.state.get("bridge", self._found)
        self._options |= options or {}
        self.open = {STATION: {}, CSMS: {}}
        self.asked = {STATION: {}, CSMS: {}}
        self.stage = self._linked(state)

    # ---- what is to be seen ----

    def last(self, side: Side, action: str = "", kind: int = 0) -> Told:
        """What a side was told last (of that action and kind)."""
        return next(one for one in reversed(self.told[side]) if action in ("", one.action) and kind in (0, one.kind))

    def calls(self, side: Side, action: str = "") -> list[dict[str, Any]]:
        """The payloads of the Calls a side got."""
        return [one.payload for one in self.told[side] if one.kind == 2 and action in ("", one.action)]

    def answered(self, message_id: str) -> Told:
        """The answer to a Call."""
        return next(one for side in self.told for one in self.told[side] if one.kind != 2 and one.message_id == message_id)

    @property
    def state(self) -> Any:
        """The State kept last."""
        return self.stage.played.state.get("bridge", self._found)

    @property
    def findings(self) -> list[str]:
        """Codes of what was found, without the plugin's name."""
        return [code.removeprefix("bridge-") for code, _ in self.stage.played.findings]

    def losses(self, what: str = "") -> list[str]:
        """Paths in the loss ledger."""
        return [one.path for one in self.stage.played.losses if what in ("", one.what)]

    def energies(self) -> tuple[float, float]:
        """Wh of all transactions, as the station told them and as the CSMS was told; each has begun and ended there."""
        told = [(one.action, one.payload) for one in self.told[CSMS] if one.kind == 2]
        return energy(self.versions[STATION], self.heard), energy(self.versions[CSMS], told)

    def same_energy(self, less: float = 0) -> None:
        """I7, at the end; ``less``: by how many Wh, at most, for registers that 1.6 rounds."""
        station, csms = self.energies()
        assert station > 0 and abs(station - csms) <= less, f"I7: {station} Wh at the station, {csms} Wh at the CSMS"

    def settled(self) -> None:
        """At the end: every Call of either side was answered (I4), no Call of ours is open."""
        assert self.asked == {STATION: {}, CSMS: {}}, f"not answered: {self.asked}"
        assert self.open == {STATION: {}, CSMS: {}}, f"still open: {self.open}"

    # ---- checks ----

    def _look(self) -> None:
        played = self.stage.played
        for (sender, text), cause in zip(played.sent[self._seen :], played.causes[self._seen :], strict=True):
            self._frame(sender.other, json.loads(text), cause)
        self._seen = len(played.sent)
        self.lost += [(self._links, one) for one in played.losses[self._noted :]]
        self._noted = len(played.losses)
        kept = self.stage.played.state.get("bridge")
        if kept is not None:
            for tx in kept.charging.transactions:
                if tx.tid <= 0:
                    continue                # not known to the CSMS yet, or it gives no numbers
                assert self.tids.setdefault(tx.tid, tx.uid) == tx.uid, f"I2: {tx.tid} is {self.tids[tx.tid]} and {tx.uid}"
        assert not self.stage.played.disconnected, f"the bridge ended the link: {self.stage.played.findings}"

    def _frame(self, side: Side, frame: list[Any], cause: int) -> None:
        kind, message_id = frame[0], frame[1]
        if kind == 2:
            told = Told(2, message_id, frame[2], frame[3])
            assert message_id.startswith("$"), f"a Call passed through: {frame}"
            assert not self.open[side], f"I5: {told.action} while {self.open[side]} is open"
            self.open[side][message_id] = told.action
        else:
            assert message_id in self.asked[side], f"I4: an answer to nothing open: {frame}"
            action = self.asked[side].pop(message_id)
            told = Told(kind, message_id, action, frame[2] if kind == 3 else frame[4], frame[2] if kind == 4 else "")
        if kind != 4:
            faults = check(self.versions[side], told.action, kind == 3, told.payload)
            assert not faults, f"invalid for OCPP {self.versions[side]}: {told} {faults}"
        self.told[side].append(told)
        self.made.append(Made(side, structs.replace(told, payload=json.loads(json.dumps(told.payload))), self._links, cause))
        self._invariants(side, told)

    def _asked_of(self, side: Side, action: str) -> Told:
        told = next(
            (one for one in reversed(self.told[side]) if one.kind == 2 and action in ("", one.action)
             and one.message_id in self.open[side]), None)
        assert told is not None, f"no Call {action} is open towards the {side}: it was told {self.told[side]}"
        del self.open[side][told.message_id]
        return told

    def _invariants(self, side: Side, told: Told) -> None:
        if side is CSMS and told.kind == 2 and told.action == "TransactionEvent":
            self._event(told.payload)
        if side is STATION and told.kind == 3 and told.action == "StartTransaction":
            tid = told.payload["transactionId"]
            assert 0 < tid < 1 << 31
        if told.kind == 2 and told.action in ("TransactionEvent", "MeterValues", "StartTransaction", "StopTransaction"):
            self._times(told.payload)

    def _event(self, payload: dict[str, Any]) -> None:
        uid = payload["transactionInfo"]["transactionId"]
        events = self.events.setdefault(uid, Events())
        if payload["seqNo"] in events.seqs:         # one that is sent again is the same one
            assert payload == events.sent[payload["seqNo"]], f"I1: {payload['seqNo']} is another event than before"
            return
        assert payload["seqNo"] == len(events.seqs), f"I1: {payload['seqNo']} behind {events.seqs}"
        assert "Ended" not in events.types, "I3: an event behind Ended"
        assert (payload["eventType"] == "Started") == (not events.types), f"I3: {payload['eventType']} behind {events.types}"
        events.sent[payload["seqNo"]] = payload
        events.seqs.append(payload["seqNo"])
        events.types.append(payload["eventType"])

    def _note_times(self, value: Any) -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                if name in _TIMES and isinstance(one, str):
                    self.times.add(instant(one))
                self._note_times(one)
        elif isinstance(value, list):
            for one in value:
                self._note_times(one)

    def _times(self, value: Any) -> None:
        """I6."""
        if isinstance(value, dict):
            for name, one in value.items():
                if name == "timestamp":
                    at = instant(one)
                    now = self.stage.now_ns // 1_000_000
                    assert at in self.times or at == now, f"I6: {one} is no time that was said"
                self._times(one)
        elif isinstance(value, list):
            for one in value:
                self._times(one)


def energy(version: str, calls: list[tuple[str, dict[str, Any]]]) -> float:
    """Wh of the transactions in these Calls: by meterStart and meterStop, or from the first energy register to the last."""
    distinct = {(action, json.dumps(payload, sort_keys=True)): payload for action, payload in calls}
    if version == "1.6":
        stops: float = sum(payload["meterStop"] for (action, _), payload in distinct.items() if action == "StopTransaction")
        starts: float = sum(payload["meterStart"] for (action, _), payload in distinct.items() if action == "StartTransaction")
        return stops - starts
    registers: dict[str, list[tuple[str, float]]] = {}
    for (action, _), payload in distinct.items():
        if action == "TransactionEvent":
            found = registers.setdefault(payload["transactionInfo"]["transactionId"], [])
            for value in payload.get("meterValue", []):
                found += [(value["timestamp"], watt_hours(one)) for one in value["sampledValue"] if is_register(one)]
    return sum(max(found, key=itemgetter(0))[1] - min(found, key=itemgetter(0))[1] for found in registers.values() if found)


def is_register(sample: dict[str, Any]) -> bool:
    """Whether a sample of 2.0.1 is of the energy register of all phases, at the outlet."""
    name, where = sample.get("measurand", "Energy.Active.Import.Register"), sample.get("location", "Outlet")
    return bool(name == "Energy.Active.Import.Register" and where == "Outlet" and "phase" not in sample)


def watt_hours(sample: dict[str, Any]) -> float:
    """Its value in Wh."""
    unit = sample.get("unitOfMeasure", {})
    scale = 1000 if unit.get("unit") == "kWh" else 1
    return float(sample["value"] * scale * 10 ** unit.get("multiplier", 0))


def instant(text: str) -> int:
    """Milliseconds since the epoch; without a zone UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = datetime.fromisoformat(text + "+00:00")
    return int(moment.timestamp() * 1000)
