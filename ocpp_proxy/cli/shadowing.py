"""The body of ``bridge shadow``: a captured or live stream through the bridge, with nothing sent.

The bridge runs as it would between the charger and a CSMS of the other version. What the CSMS of the source answered is
answered here by that CSMS of the other version, carried over by the tables of the other direction (between near versions by
those of the answer); what only the bridge asks is answered with the least that the schema allows. Calls of the CSMS are left
out: the other CSMS would send its own.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct, field
from ocpp_proxy_plugins.bridge import Bridge
from ocpp_proxy_plugins.bridge.near_forms import Refused
from ocpp_proxy_plugins.bridge.near_forms import form as near_form
from ocpp_proxy_plugins.bridge.tables import book

from ocpp_proxy.cli.bridging import DIRECTIONS
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import ascii_json, stamp, talk
from ocpp_proxy.cli.run import BRIDGES
from ocpp_proxy.cli.settings import environment, load
from ocpp_proxy.cli.tailing import all_lines
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError, Message, Side
from ocpp_proxy.records import MessageSeen, Record
from ocpp_proxy.source import Source
from ocpp_proxy.spec.forms import skeleton
from ocpp_proxy.spec.schemas import check
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy.testing import Stage

MOST_STATIONS = 10_000
MOST_OPEN = 64                              # Calls of one charger whose answers are awaited
MOST_STEPS = 100                            # Calls of the bridge about one of the charger
"""Bounds of what is remembered."""


class Wish(Struct, frozen=True):
    """What is asked for. ``direction``: STATION:CSMS."""

    direction: str = DIRECTIONS[0]
    identity: str = ""
    config: str | None = None
    follow: bool = False
    json: bool = False


class Made(Struct, frozen=True):
    """A Call that the bridge would send. ``to``: csms, or station."""

    to: str
    action: str
    payload: Any


class Step(Struct):
    """One Call of a charger and what would become of it."""

    time_ns: int
    identity: str
    action: str
    message_id: str
    made: list[Made] = field(default_factory=list)
    losses: list[tuple[str, str, str]] = field(default_factory=list)     # what, path, reason
    findings: list[tuple[str, str]] = field(default_factory=list)


class _Notes:
    """The ledger of what is carried back: nobody is told."""

    def lost(self, path: str, reason: str, what: Any = "dropped") -> None:
        """Nothing."""

    def token(self, id_tag: str) -> dict[str, Any]:
        """As it is."""
        return {"idToken": id_tag, "type": "Central"}

    def tag(self, id_token: dict[str, Any], path: str) -> str:
        """As it is, cut."""
        return str(id_token.get("idToken", ""))[:20]


class _NearNotes:
    """The same of what is carried back between near versions."""

    def lost(self, path: str, reason: str, what: Any = "dropped") -> None:
        """Nothing."""

    def token(self, token: dict[str, Any], path: str) -> dict[str, Any]:
        """As it is."""
        return token


class Shadow:
    """The bridge over a stream. ``options``: of the plugin."""

    def __init__(self, direction: str, options: dict[str, Any]) -> None:
        self.station, _, self.csms = direction.partition(":")
        self._near = direction not in DIRECTIONS
        self._back = {} if self._near else book(f"{self.csms}:{self.station}").actions
        self._options = {**options, "station": self.station, "csms": self.csms}
        self._stages: dict[str, tuple[Stage, int]] = {}
        self._open: dict[tuple[int, str], Message] = {}
        self.skipped = 0                    # Calls of the CSMS
        self.full = 0                       # Calls of chargers beyond what is remembered

    def see(self, record: Record) -> Iterator[Step]:
        """Take a record; gives what became of the Calls that are answered with it."""
        if not isinstance(record, MessageSeen) or version_of(record.message.protocol) != self.station:
            return
        message = record.message
        if message.mtype == 2:
            if message.sender is Side.CSMS:
                self.skipped += 1
            elif len(self._open) < MOST_OPEN * max(1, len(self._stages)):
                self._open[message.link_id, message.message_id] = message
            else:
                self.full += 1
        elif message.sender is Side.CSMS:
            call = self._open.pop((message.link_id, message.message_id), None)
            if call is not None:
                yield self._played(call, message)

    def rest(self) -> Iterator[Step]:
        """The Calls that were never answered."""
        for call in list(self._open.values()):
            yield self._played(call, None)
        self._open.clear()

    def _stage(self, call: Message) -> tuple[Stage, int] | None:
        known = self._stages.get(call.identity)
        if known is not None and known[1] == call.link_id:
            return known
        if known is None and len(self._stages) >= MOST_STATIONS:
            return None
        state = known[0].played.state.get("bridge") if known is not None else None
        stage = Stage([Bridge], options=self._options, identity=call.identity, version=self.station, state=state,
                      now_ns=call.time_ns)
        stage.open([f"ocpp{self.station}"])
        stage.agree(f"ocpp{self.csms}")
        self._stages[call.identity] = stage, call.link_id
        return self._stages[call.identity]

    def _played(self, call: Message, answer: Message | None) -> Step:
        step = Step(call.time_ns, call.identity, call.action, call.message_id)
        found = self._stage(call)
        if found is None:
            step.findings.append(("shadow-full", f"more than {MOST_STATIONS} chargers: this one is left out"))
            return step
        stage = found[0]
        stage.wait(max(0, call.time_ns - stage.now_ns) / 1e9)
        stage.played.sent.clear()
        stage.played.losses.clear()
        stage.played.findings.clear()
        try:
            payload = json.loads(call.payload)
        except ValueError:
            payload = {}
        stage.send(Side.STATION, json.dumps([2, call.message_id, call.action, payload]))
        self._answer(stage, step, answer)
        step.losses += [(one.what, one.path, one.reason) for one in stage.played.losses]
        step.findings += stage.played.findings
        if stage.played.disconnected:
            del self._stages[call.identity]
        return step

    def _answer(self, stage: Stage, step: Step, answer: Message | None) -> None:
        """Answer the bridge's Calls until it has no more."""
        at = 0
        while at < len(stage.played.sent) and len(step.made) < MOST_STEPS:
            sender, text = stage.played.sent[at]
            at += 1
            frame = json.loads(text)
            if frame[0] != 2:
                continue
            step.made.append(Made(sender.other.value, frame[2], frame[3]))
            if sender is Side.CSMS:         # a Call towards the station: nobody is there
                stage.send(Side.STATION, json.dumps([4, frame[1], "NotSupported", "a shadow asks no station", {}]))
            elif answer is not None and answer.mtype == 4:
                code = answer.error_code or "GenericError"
                stage.send(Side.CSMS, json.dumps([4, frame[1], code, answer.error_desc, {}]))
            elif answer is not None:
                stage.send(Side.CSMS, json.dumps([3, frame[1], self._carried(step.action, frame[2], answer.payload)]))

    def _carried(self, action: str, target: str, payload: bytes) -> dict[str, Any]:
        """The answer that a CSMS of the other version would give."""
        try:
            said = json.loads(payload)
        except ValueError:
            said = {}
        if self._near:
            made = _nearly(self.station, target, said)
        else:
            row = self._back.get((Side.STATION, target))
            form = row.answers.get(action) if row is not None else None
            made = form.carry(said, _Notes()) if form is not None else {}
        if check(self.csms, target, True, made):
            made = {**skeleton(self.csms, target, True), **made}
        return made


def _nearly(version: str, action: str, said: Any) -> dict[str, Any]:
    """An answer of that version, in the near one."""
    way = near_form(version, action, True)
    try:
        return way.carry(said, _NearNotes()).payload if way is not None and isinstance(said, dict) else {}
    except Refused:
        return {}


async def run(text: str, wish: Wish) -> int:
    """Print what a CSMS of the other version would see; 1 when something could not be translated."""
    if wish.direction not in BRIDGES:
        raise ConfigError(f"--bridge {wish.direction}: write {' or '.join(BRIDGES)}")
    options = dict(load(wish.config, environment(), {}).config.plugins.get("bridge", {}))
    shadow, source = Shadow(wish.direction, options), await open_source(text)
    sums = Sums()
    try:
        async for batch in _records(source, wish.follow):
            for record in batch:
                _print(shadow.see(record), wish, sums)
        _print(shadow.rest(), wish, sums)
    finally:
        await source.close()
    for line in sums.report(shadow.skipped):
        talk(line)
    if shadow.full:
        talk(f"{shadow.full} Calls of chargers left out: too many were not answered")
    return 1 if sums.failed else 0


async def _records(source: Source, follow: bool) -> Any:
    if follow and source.live:
        async for lines in source.follow(None, 0):
            yield [line.record for line in lines]
        return
    async for lines in all_lines(source):
        yield [line.record for line in lines]


class Sums(Struct):
    """What came of it all."""

    calls: int = 0
    made: int = 0
    here: int = 0
    failed: int = 0
    losses: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, step: Step) -> None:
        """Count a step."""
        self.calls += 1
        sent = sum(one.to == "csms" for one in step.made)
        self.made += sent
        self.here += not sent
        self.failed += any(code in ("bridge-invalid", "bridge-unknown", "plugin-failed") for code, _ in step.findings)
        self.losses.update((step.action, what, path) for what, path, _ in step.losses)

    def report(self, skipped: int) -> Iterator[str]:
        """In words."""
        yield (f"{self.calls} Calls of chargers: {self.made} Calls to the other CSMS, {self.here} answered by the bridge,"
               f" {self.failed} not translated; {skipped} Calls of the CSMS left out")
        for (action, what, path), count in sorted(self.losses.items(), key=lambda one: (-one[1], one[0])):
            yield f"  {count:>6}  {action} {safe_text(path, 100)} {what}"


def _print(steps: Iterable[Step], wish: Wish, sums: Sums) -> None:
    for step in steps:
        if wish.identity and step.identity != wish.identity:
            continue
        sums.add(step)
        if wish.json:
            print(ascii_json({
                "time": stamp(step.time_ns), "identity": step.identity, "action": step.action, "message_id": step.message_id,
                "made": [{"to": one.to, "action": one.action, "payload": one.payload} for one in step.made],
                "losses": [{"what": what, "path": path, "reason": reason} for what, path, reason in step.losses],
                "findings": [{"code": code, "message": message} for code, message in step.findings],
            }))
            continue
        head = f"{stamp(step.time_ns)} {safe_text(step.identity, 40)} {safe_text(step.action, 40)}"
        if not step.made:
            print(f"{head}: answered by the bridge")
        for one in step.made:
            arrow = "->" if one.to == "csms" else "the station would be asked"
            text = json.dumps(one.payload, separators=(",", ":"))
            print(f"{head} {arrow} {safe_text(one.action, 40)} {safe_text(text, 2000)}")
        for what, path, reason in step.losses:
            print(f"    {what} {safe_text(path, 200)}: {safe_text(reason, 300)}")
        for code, message in step.findings:
            print(f"    ! {safe_text(code, 60)} {safe_text(message, 500)}")
