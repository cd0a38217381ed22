"""``Source``: the one interface for live traffic and for files. tail, query, check, export and the TUI take nothing else.

Also what its answers are made of. Texts in them are a peer's, not escaped. Times are ns since the epoch; 0: never.
"""

from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from ocpp_proxy.fields import Filter
from ocpp_proxy.model import Finding, Link, Severity, Side
from ocpp_proxy.records import Line, Record, Row

View = Literal["exchanges", "frames"]


class Table(Struct, frozen=True):
    """The result of a query: column names and rows of plain JSON values. ``cut``: more rows existed than were sent."""

    columns: list[str]
    rows: list[list[Any]]
    cut: bool = False


class Charger(Struct, frozen=True):
    """One charger, as known at the last record time of the source.

    ``state``: ``open``, ``closed`` or ``refused`` (its last handshake got no 101). ``connectors``: their last status, by
    number (``1``; 2.x ``EVSE/connector``). ``rate``: messages a minute over the last five
    minutes before its last message, or since its first one where that is less.
    ``p95_ms``: of all its answered Calls, both directions. ``errors``: CALLERRORs and unanswered Calls. ``reconnects``: links
    after the first. ``outage_s``: seconds between a close and the next link, all together. ``level``: worst finding, -1: none.
    """

    identity: str
    state: Literal["open", "closed", "refused"]
    protocol: str = ""
    remote: str = ""
    connectors: dict[str, str] = {}
    opened_ns: int = 0
    last_seen_ns: int = 0
    messages: int = 0
    rate: float = 0.0
    p95_ms: float | None = None
    errors: int = 0
    reconnects: int = 0
    outage_s: float = 0.0
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    findings: int = 0
    level: int = -1


class FindingGroup(Struct, frozen=True):
    """All findings of one rule. ``count``: how often it was seen; ``title``: what it is about; ``message``: of the newest."""

    code: str
    severity: Severity
    blame: str
    title: str
    spec_ref: str
    count: int
    chargers: tuple[str, ...]
    first_ns: int
    last_ns: int
    message: str


class FoundAt(Struct, frozen=True):
    """One finding and where it is shown. ``number``: the ordinal of its line in the capture, 0: not known."""

    finding: Finding
    number: int = 0


class Charging(Struct, frozen=True):
    """One charging transaction. ``kwh``: by its meter values; ``missing``: sequence numbers that never came (2.x)."""

    tx_id: str
    identity: str
    protocol: str = ""
    evse: int | None = None
    connector: int | None = None
    started_ns: int = 0
    stopped_ns: int = 0
    kwh: float | None = None
    id_token: str = ""
    reason: str = ""
    missing: int | None = None


class Sample(Struct, frozen=True):
    """One point of a transaction's curve: ``power`` in W, ``energy`` in Wh, ``soc`` in %, ``limit`` in W or A (``unit``)."""

    time_ns: int
    quantity: Literal["power", "energy", "soc", "limit"]
    value: float
    unit: str


class Bookmark(Struct, frozen=True):
    """A mark that a person put on a message, kept in the capture."""

    msg_no: int
    time_ns: int
    note: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()


class LogLine(Struct, frozen=True):
    """What the proxy itself says. ``level``: info, warning or error; ``process``: relay, recorder, supervisor or audit."""

    time_ns: int
    level: str
    process: str
    text: str


class Source(Protocol):
    """A running proxy, a capture file or folder, or a trace.

    ``stored``: what has passed can be asked for again (all but ``--no-capture``). Where it is False, ``numbers`` is empty and
    the summaries cover what the proxy still remembers; ``query`` and ``bookmark`` raise ``ConfigError``.
    """

    live: bool
    stored: bool
    title: str

    async def links(self) -> list[Link]:
        """All links, oldest first."""

    async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """Up to ``limit`` lines that pass the filter, behind the first ``after`` lines that pass (0: from the start)."""

    def follow(self, where: Filter | None, last: int = 0) -> AsyncIterator[list[Line]]:
        """Lines as they come, in batches, from now on, after up to ``last`` of the newest. On a file: all, then it ends."""

    def records(self) -> AsyncIterator[list[Record]]:
        """The stored stream in order, in batches: what ``check`` and ``export`` run on."""

    async def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        """The ordinals (``array('q')``) of all stored rows of a view that pass, ascending: behind ordinal ``after``, and before
        the line of message ``before_message`` (0: to the end)."""

    async def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        """The rows with these ordinals (ascending), whole: with their answers and findings."""

    async def row_lines(self, view: View, number: int) -> list[Line]:
        """The lines of one row with their frames: of an exchange the Call, its answer and what came later to it."""

    async def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        """The ordinal of the row that shows a message or a frame (an answer: that of its exchange); 0: none."""

    async def chargers(self) -> list[Charger]:
        """All chargers, by identity."""

    async def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """The findings by rule, worst and most frequent first; of one charger if named."""

    async def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """The newest findings, newest first; of one rule, one charger if named."""

    async def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """Transactions, newest start first."""

    async def curve(self, charging: Charging) -> list[Sample]:
        """The meter values of a transaction and the limit set for it, in order of time."""

    async def bookmarks(self) -> list[Bookmark]:
        """All bookmarks, in order of their messages."""

    async def bookmark(self, mark: Bookmark) -> None:
        """Store a bookmark; it replaces one on the same message. ``time_ns`` 0, no note, no tags: takes it away."""

    async def log(self, after_ns: int = 0) -> list[LogLine]:
        """What the proxy itself said since then, oldest first, up to a bound."""

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        """A canned query by name, or SQL (which runs in a locked-down child process)."""

    async def close(self) -> None:
        """Let go of it."""


class Held(Struct, frozen=True):
    """A message that is being kept in the proxy. ``by``: the plugin, or ``intercept``; ``text``: all of it, as it came.

    ``until_ns``: when it goes on by itself. ``mtype`` as of OCPP-J (2, 3, 4, 6; 0: no message).
    """

    held_id: str
    link_id: int
    identity: str
    side: Side
    mtype: int
    action: str
    message_id: str
    text: str
    since_ns: int
    until_ns: int
    by: str
    reason: str = ""


class Intercept(Struct, frozen=True):
    """A breakpoint: messages that pass ``filter``, of chargers that match ``identity`` (``*`` and ``?``), are held."""

    intercept_id: int
    filter: str
    identity: str = "*"
    who: str = ""
    held: int = 0                           # messages it has held so far


class Injected(Struct, frozen=True):
    """What came of a Call that a person sent. ``outcome``: result, error, timeout, closed or sent (nobody answers a SEND).

    ``payload``: of the answer (JSON); of an error its details. ``ms``: from sending to the answer.
    """

    outcome: Literal["result", "error", "timeout", "closed", "sent"]
    message_id: str
    payload: Any = None
    code: str = ""
    description: str = ""
    ms: float | None = None


class PluginState(Struct, frozen=True):
    """A plugin of a running proxy. ``identity``: which chargers it was enabled for (``*`` and ``?``); ``by``: ``config`` or who
    enabled it since. ``links``: those it sits on now; ``off``: those it was switched off on, after failures; ``error``: why it
    could not be loaded (the one before goes on)."""

    name: str
    origin: str
    identity: str = "*"
    by: str = "config"
    version: str = ""
    hooks: tuple[str, ...] = ()
    links: int = 0
    off: int = 0
    error: str = ""


class Acting(Protocol):
    """What a person can do to the traffic of a running proxy; every call but ``held``, ``intercepts`` and ``plugins`` stands
    in the capture's audit.

    All raise ``ConfigError`` with a text for the person: started without ``--allow-inject``, a read-only token, no such
    charger or message, a payload that is none.
    """

    async def held(self) -> list[Held]:
        """The messages being kept, the next to go on first."""

    async def settle(self, held_id: str, do: Literal["release", "drop", "edit", "reply"], payload: Any = None, *,
                     code: str = "", description: str = "", force: bool = False) -> None:
        """Decide about one. ``edit``: it goes on with this payload; ``reply``: a Call is answered with this payload, or with
        a CALLERROR when ``code`` is given (then ``payload`` holds the details)."""

    async def intercepts(self) -> list[Intercept]:
        """The breakpoints."""

    async def intercept(self, filter: str, identity: str = "*") -> Intercept:
        """Set one. It ends by ``unintercept`` or with the proxy."""

    async def unintercept(self, intercept_id: int) -> None:
        """Take one away; what it holds goes on."""

    async def inject(self, identity: str, to: Side, action: str, payload: Any, *, force: bool = False,
                     seconds: float = 30.0) -> Injected:
        """Send a Call of our own and wait for its answer. ``force``: also when the schema forbids it."""

    async def disconnect(self, identity: str, code: int = 0, reset: bool = False) -> None:
        """End the link: by FIN on both sides, with a Close frame of ``code`` first where one is given, or by RST."""

    async def plugins(self) -> list[PluginState]:
        """The plugins that are enabled somewhere."""

    async def switch(self, plugin: str, on: bool, identity: str = "*", options: Any = None) -> None:
        """Enable (name or file) for the chargers that match, open links included; or disable."""

    async def reload(self) -> str:
        """Read the configuration and the plugin files again, cutting no link; what changed, or why nothing did."""
