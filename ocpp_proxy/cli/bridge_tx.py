"""The body of ``bridge tx``: the transactions that the bridge remembers, and what a person does to them.

It works on the file of States, without a link: what the CSMS has to hear is owed to it, and sent at the next connection.
``--json``: one object a line, version 1: keys are only ever added.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field
from ocpp_proxy_plugins.bridge import Bridge, by_hand
from ocpp_proxy_plugins.bridge.kept import Event, Kept, Tx
from ocpp_proxy_plugins.bridge.transactions import every

from ocpp_proxy.api import Side
from ocpp_proxy.cli import state_file
from ocpp_proxy.cli.acts import told
from ocpp_proxy.cli.bridging import DIRECTIONS
from ocpp_proxy.cli.line_json import VERSION
from ocpp_proxy.cli.printing import ascii_json, render, talk
from ocpp_proxy.config import Config
from ocpp_proxy.core.masking import veiled
from ocpp_proxy.core.seats import MOST_STATE
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError, Finding
from ocpp_proxy.source import Table

VERBS = ("list", "adopt", "close", "retry")
NAME = "bridge"
_ORDER = {"waiting": 1, "ended": 2}         # the others are open, and come first


class Wish(Struct, frozen=True):
    """What is asked for; as the options of the command."""

    verb: str
    identity: str = ""
    number: str = ""
    direction: str = ""
    connector: int = 0
    uid: str = ""
    token: str = ""
    retry: bool = False
    state: str | None = None
    config: str | None = None
    json: bool = False


class Detached(Struct):
    """A plugin's ``Context`` without a link: what is kept is stored by who made it, nothing can be sent."""

    identity: str
    options: Any
    state: Any
    now_ns: int
    versions: Mapping[Side, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def keep(self, state: Any) -> None:
        """Have another State."""
        self.state = state

    def find(self, code: str, message: str, *, severity: str = "info", blame: str = "proxy") -> None:
        """Told to the person."""
        self.said.append(f"{severity}: {message}")

    def lost(self, path: str, reason: str, what: str = "dropped") -> None:
        """Told to the person."""
        self.said.append(f"{what} {path}: {reason}")

    def random(self, count: int) -> bytes:
        """Random bytes."""
        return os.urandom(count)

    def begin(self, work: Any, reason: str = "") -> None:
        """There is nobody to ask."""
        work.close()

    def send(self, side: Side, message: Any, reason: str = "") -> None:
        """There is no link."""
        raise RuntimeError("there is no link to send on")

    def disconnect(self, reason: str = "", *, reset: bool = False) -> None:
        """There is no link."""

    def findings(self, message: Any) -> Sequence[Finding]:
        """There is no message."""
        return ()

    def matches(self, where: str, sender: Side, message: Any, call: Any = None) -> bool:
        """There is no message."""
        return False


async def run(wish: Wish) -> None:
    """Do it. Raises ``ConfigError`` where it cannot be done, and says how it can."""
    if wish.verb not in VERBS:
        raise ConfigError(f"bridge tx {safe_text(wish.verb, 40)}: write {', '.join(VERBS)}")
    if wish.verb != "list" and (not wish.identity or not wish.number):
        raise ConfigError(f"say which: bridge tx {wish.verb} IDENTITY TID")
    where = state_file.found(wish.state, wish.config)
    if wish.verb == "list":
        _list(where, wish)
        return
    done: list[str] = []

    def deed(state: Any) -> Any:
        options = options_of(where.config, wish, state)
        context = Detached(wish.identity, options, state, time.time_ns())
        done.append(_done(wish, by_hand.desk_of(context, f"bridge tx {wish.verb}")))
        if len(msgspec.msgpack.encode(context.state)) > MOST_STATE:
            raise ConfigError(f"the State of charger {wish.identity} would be larger than {MOST_STATE} bytes")
        done.extend(context.said)
        return context.state

    await state_file.change(where, NAME, Bridge, wish.identity, deed, make=wish.verb == "adopt")
    for text in done[1:]:
        talk(safe_text(text, 500))
    text = f"{safe_text(wish.identity, 60)}, transaction {safe_text(wish.number, 60)}: {done[0]}"
    told(wish.json, text, identity=wish.identity, transaction=wish.number, did=wish.verb, what=done[0])


def options_of(config: Config, wish: Wish, kept: Kept) -> Any:
    """The options of the bridge, as configured; the direction is that of the State. Raises ``ConfigError``."""
    values = {name: value for name, value in config.plugins.get(NAME, {}).items() if name != "on_error"}
    if wish.direction not in ("", *DIRECTIONS):
        raise ConfigError(f"--bridge {safe_text(wish.direction, 40)}: write {' or '.join(DIRECTIONS)}")
    stored = by_hand.direction_of(kept)
    if wish.direction and stored not in ("", wish.direction):
        raise ConfigError(f"--bridge {wish.direction}: what is stored of charger {wish.identity} is of {stored}")
    if direction := wish.direction or stored:
        values["station"], _, values["csms"] = direction.partition(":")
    try:
        options = msgspec.convert(values, Bridge.Options, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"plugins.{NAME}: {error}") from None
    if options.near:
        raise ConfigError(f"between {options.station} and {options.csms} the bridge remembers no transactions")
    return options


def _done(wish: Wish, desk: Any) -> str:
    try:
        if wish.verb == "adopt":
            if not wish.number.isascii() or not wish.number.isdigit() or len(wish.number) > 10:
                raise ValueError(f"{wish.number}: the number of the transaction in OCPP 1.6 is wanted")
            return by_hand.adopt(desk, int(wish.number), wish.uid, wish.connector, wish.token)
        again = by_hand.retry(desk, wish.number) if wish.retry or wish.verb == "retry" else 0
        sent = f"{again} message{'s' * (again != 1)} put aside will be sent again"
        if wish.verb == "retry" or (wish.retry and by_hand.find(desk.kept, wish.number).stopped):
            if not again:
                raise ValueError(f"transaction {wish.number}: nothing of it was put aside")
            return sent
        closed = by_hand.close(desk, wish.number)
        return f"{closed}; {sent}" if again else closed
    except ValueError as error:
        raise ConfigError(f"charger {wish.identity}: {error}") from None


# ---- the list ----

def _list(where: state_file.Where, wish: Wish) -> None:
    if wish.state is None and not where.path.exists():
        talk(f"{where.path}: the bridge has stored nothing yet")
        return
    known = state_file.states(where.path, NAME, Bridge)
    if wish.identity and wish.identity not in known:
        raise ConfigError(f"charger {wish.identity}: the bridge remembers nothing of it in {where.path}")
    rows = [
        (identity, kept, tx) for identity, kept in known.items() if wish.identity in ("", identity)
        for tx in every(kept.charging) if wish.number in ("", str(tx.tid), tx.uid)
    ]
    rows.sort(key=lambda one: _ORDER.get(one[2].state, 0))
    if wish.json:
        for row in rows:
            print(ascii_json(_object(*row)))
    elif rows:
        for line in render(_table(rows), "text"):
            print(line)
    if not rows:
        talk(f"{where.path}: the bridge remembers no transactions")


def _owed(kept: Kept, tx: Tx) -> Iterator[Event]:
    """What the CSMS has not taken of it."""
    return (one for one in kept.charging.outbox if (one.uid == tx.uid if one.uid else one.tid == tx.tid))


def _object(identity: str, kept: Kept, tx: Tx) -> dict[str, Any]:
    return {
        "v": VERSION, "identity": identity, "tid": tx.tid or None, "uid": tx.uid, "connector": tx.connector or None,
        "evse": tx.evse or None, "evse_connector": tx.evse_connector or None, "state": tx.state, "token": veiled(tx.id_tag),
        "next_seq": tx.next_seq, "started": tx.started or None, "stopped": tx.stopped or None, "wh": tx.register,
        "flags": list(tx.flags), "owed": [
            {"action": one.action, "event": one.kind or None, "state": _state(one), "attempts": one.attempts}
            for one in _owed(kept, tx)
        ],
    }


def _table(rows: list[tuple[str, Kept, Tx]]) -> Table:
    columns = [
        "charger", "tid", "uid", "connector", "EVSE", "state", "token", "next seq", "started", "flags", "owed to the CSMS",
    ]
    return Table(columns, [[
        identity, tx.tid or None, tx.uid, tx.connector or None, f"{tx.evse}/{tx.evse_connector}" if tx.evse else "", tx.state,
        veiled(tx.id_tag), tx.next_seq, tx.started, " ".join(tx.flags),
        ", ".join(_told(one) for one in _owed(kept, tx)),
    ] for identity, kept, tx in rows])


def _state(event: Event) -> str:
    return "parked" if event.parked else event.state


def _told(event: Event) -> str:
    times = f" ({event.attempts} times)" if event.attempts else ""
    return f"{event.kind or event.action} {_state(event)}{times}"
