"""What a handler works with: the Call at hand, what is kept, both sides, the loss ledger, tokens and connectors.

One desk for each Call or piece of background work; what lives as long as the link is its ``Session``. Behind every ``yield``
other hooks may have run: ``kept`` is read anew, never held over one.
"""

from collections.abc import Generator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count, islice
from typing import Any, Literal, cast

from msgspec import Struct, field, structs

from ocpp_proxy.api import Answer, Ask, Call, CallError, Context, Loss, NotJson, Side
from ocpp_proxy.model import Blame
from ocpp_proxy_plugins.bridge import tokens
from ocpp_proxy_plugins.bridge.gate import fit
from ocpp_proxy_plugins.bridge.kept import Connector, Kept
from ocpp_proxy_plugins.bridge.options import Options
from ocpp_proxy_plugins.bridge.tables import Book, Entry, book, enum
from ocpp_proxy_plugins.bridge.work import Background, Got

MOST_LOSSES = 200                           # told one by one of one message; the rest is counted
LEAST_SECONDS = 1.0                         # what a Call of ours is given at least
MOST_CONNECTORS = 1000
MOST_ALIASES = 1000                         # of the newest tokens; an alias can be made again, its token cannot be told from it


AGAIN_NS = 30_000_000_000                   # how long an answered Call is known again: some chargers always use one id


class Answered(Struct, frozen=True):
    """A Call of this link, and its answer once it has one."""

    call: Call
    answer: Answer | None = None
    at_ns: int = 0

    def same(self, call: Call) -> bool:
        """Whether that is the same Call."""
        return self.call.action == call.action and self.call.payload == call.payload

    def again(self, call: Call, now_ns: int) -> bool:
        """Whether that is this one repeated, its answer lost; a Call of another content under its id is a new one."""
        return self.answer is not None and now_ns - self.at_ns < AGAIN_NS and self.same(call)


class Session(Struct):
    """What lives as long as the link. ``opened_ns``: of the first message; ``in_flight``: numbers of outbox events under way.

    ``notes``: what handlers remember until the link ends, each under a name of its own.
    """

    book: Book
    opened_ns: int = 0
    in_flight: set[int] = field(default_factory=set)
    answered: dict[tuple[Side, str], Answered] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class Desk:
    """``sender`` and ``action``: of the Call at hand (background work: the station, none). ``deadline_ns``: of its answer."""

    __slots__ = ("action", "context", "deadline_ns", "link", "options", "sender", "told")

    def __init__(
        self, context: Context, link: Session, sender: Side = Side.STATION, action: str = "", deadline_ns: int = 0,
    ) -> None:
        self.context = context
        self.link = link
        self.options: Options = context.options
        self.sender = sender
        self.action = action
        self.deadline_ns = deadline_ns
        self.told: set[tuple[str, str, str]] = set()

    # ---- state and time ----

    @property
    def kept(self) -> Kept:
        """What is remembered of this charger, as it is now."""
        return cast(Kept, self.context.state)

    def keep(self, **changes: Any) -> None:
        """Remember these fields of ``Kept`` instead: stored before anything that is asked or answered after it leaves."""
        self.context.keep(structs.replace(self.kept, **changes))

    @property
    def now_ns(self) -> int:
        """Record time, ns since the epoch."""
        return self.context.now_ns

    def now(self) -> str:
        """The time as messages have it (RFC 3339, UTC, milliseconds)."""
        return stamp(self.context.now_ns)

    # ---- what is told ----

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """A field that was not carried as it came. ``path``: in the message at hand; of an invented one in what was made."""
        if not path.startswith("$"):
            path = f"$.{path}" if path else "$"
        entry = path, reason, what
        if entry in self.told:              # one message may become several
            return
        self.told.add(entry)
        if len(self.told) < MOST_LOSSES:
            self.context.lost(path, reason, what)
        elif len(self.told) == MOST_LOSSES:
            self.context.lost("$", "and further losses of this message, which are not told one by one", what)

    def find(
        self, code: str, message: str, severity: Literal["info", "warning", "error"] = "warning", blame: Blame = "either",
    ) -> None:
        """A finding ``bridge-CODE``."""
        self.context.find(code, message, severity=severity, blame=blame)

    # ---- the two sides ----

    def version(self, side: Side) -> str:
        """The OCPP version that side speaks."""
        return self.options.station if side is Side.STATION else self.options.csms

    def left(self) -> float:
        """Seconds until the Call at hand is to be answered; in background work those of any Call."""
        if not self.deadline_ns:
            return self.options.answer_seconds
        return max(LEAST_SECONDS, (self.deadline_ns - self.now_ns) / 1e9)

    def ask(
        self, side: Side, action: str, payload: dict[str, Any], seconds: float | None = None,
    ) -> Generator[Ask, Answer | None, Got]:
        """A Call of ours: ``got = yield from desk.ask(...)``. Nothing leaves that its side's schema does not allow."""
        version = self.version(side)
        payload, faults = fit(version, action, False, payload, self)
        if faults:
            text = f"{action} cannot be made valid for OCPP {version}: {faults[0].path} {faults[0].message}"
            self.find("invalid", text, "error", "proxy")
            return Got(fault=text)
        if 0 < self.deadline_ns <= self.now_ns:
            return Got(timeout=True)        # whoever asked waits no longer
        answer = yield Ask(side, Call.of(action, payload), self.left() if seconds is None else seconds)
        if answer is None:
            return Got(timeout=True)
        if isinstance(answer, CallError):
            return Got(error=answer)
        try:
            found = answer.json()
        except NotJson as error:
            return Got(fault=f"the answer to {action} is no JSON: {error}")
        return Got(payload=found) if isinstance(found, dict) else Got(fault=f"the answer to {action} is no object")

    def begin(self, work: Background, reason: str = "") -> None:
        """Begin work of our own behind this hook; it works with a desk of its own (``aside``)."""
        self.context.begin(work, reason)

    def follow(self, work: Background, reason: str = "") -> None:
        """As ``begin``, of what is made from the Call at hand."""
        self.context.follow(work, reason)

    def aside(self, action: str = "") -> "Desk":
        """A desk for background work: no Call at hand, no deadline."""
        return Desk(self.context, self.link, action=action)

    # ---- tables ----

    def entry(self, action: str = "", sender: Side | None = None) -> Entry:
        """The row of an action in the tables; of the Call at hand by default."""
        return self.link.book.actions[sender or self.sender, action or self.action]

    def carry(self, payload: dict[str, Any], target: str = "", **made: Any) -> dict[str, Any]:
        """The Call at hand as one of the other version, losses told. ``made``: what the tables do not carry, by its name."""
        entry = self.entry()
        return entry.requests[target or entry.targets[0]].carry(payload, self, made)

    def carry_answer(self, payload: dict[str, Any], target: str = "", **made: Any) -> dict[str, Any]:
        """The other side's answer as one to the Call at hand, losses told."""
        entry = self.entry()
        return entry.answers[target or entry.targets[0]].carry(payload, self, made)

    def enum(self, table: str, value: object) -> str | None:
        """The counterpart of a value in one of the enum tables; None: there is none."""
        return enum(table).get(value) if isinstance(value, str) else None

    # ---- tokens ----

    def token(self, id_tag: str) -> dict[str, Any]:
        """The idToken of an idTag."""
        return tokens.token_of(id_tag, self.kept.aliases, self.options.kinds)

    def tag(self, id_token: dict[str, Any], path: str = "idToken") -> str:
        """The idTag of an idToken; of a long one a short name, remembered. Empty: there is none, or it is refused."""
        token, kind = id_token.get("idToken"), id_token.get("type")
        if not isinstance(token, str) or not isinstance(kind, str) or kind == "NoAuthorization" or not token:
            return self.options.anonymous
        kept = self.kept
        if len(token) > tokens.TAG_LENGTH:
            if self.options.long_tokens == "reject":
                return ""
            name = tokens.alias(kind, token) if self.options.long_tokens == "alias" else token[: tokens.TAG_LENGTH]
            self.lost(f"{path}.idToken", f"{len(token)} characters: a short name stands for it", "shortened")
        else:
            name = token
            if tokens.kind_of(token, self.options.kinds) == kind:
                return name                 # told again from its text alone
        known = kept.aliases
        if known.get(name) != (kind, token) and len(token) <= tokens.TOKEN_LENGTH and len(kind) <= tokens.KIND_LENGTH:
            others = known.items() if len(known) < MOST_ALIASES else islice(known.items(), len(known) - MOST_ALIASES + 1, None)
            self.keep(aliases={**dict(others), name: (kind, token)})
        return name

    # ---- connectors ----

    def evse(self, connector: int) -> tuple[int, int]:
        """EVSE and connector of 2.0.1 of a connector of 1.6 (from 1 on)."""
        for known in self.kept.connectors:
            if known.number == connector:
                return known.evse, known.conn
        return self.options.topology.get(str(connector), (connector, 1))

    def connector(self, evse: int, conn: int | None = None) -> int | None:
        """The connector of 1.6; without ``conn`` the first of the EVSE. None: nothing is known of it."""
        for known in sorted(self.kept.connectors, key=lambda one: (one.evse, one.conn)):
            if known.evse == evse and conn in (None, known.conn):
                return known.number
        for number, place in self.options.topology.items():
            if place[0] == evse and conn in (None, place[1]):
                return int(number)
        if self.options.station == "1.6" and conn in (None, 1) and evse > 0 and str(evse) not in self.options.topology:
            return evse
        return None

    def known(self, evse: int, conn: int) -> Connector:
        """A connector of a 2.0.1 station, numbered from now on when it is new: never another number again."""
        kept = self.kept
        for one in kept.connectors:
            if (one.evse, one.conn) == (evse, conn):
                return one
        taken = {*(one.number for one in kept.connectors), *(int(number) for number in self.options.topology)}
        number = self.connector(evse, conn) or next(number for number in count(1) if number not in taken)
        made = Connector(number, evse, conn)
        if len(kept.connectors) < MOST_CONNECTORS:
            self.keep(connectors=(*kept.connectors, made))
        return made

    def changed(self, connector: Connector) -> None:
        """Remember a connector as it is now, in its place."""
        others = [one for one in self.kept.connectors if one.number != connector.number]
        self.keep(connectors=tuple(sorted([*others, connector], key=lambda one: one.number)))


@lru_cache(maxsize=256)
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(time_ns: int) -> str:
    """A time as messages have it."""
    return f"{_seconds(time_ns // 1_000_000_000)}.{time_ns // 1_000_000 % 1000:03d}Z"


def session(options: Options) -> Session:
    """What a link begins with."""
    return Session(book(options.direction))
