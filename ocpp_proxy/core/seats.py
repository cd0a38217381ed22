"""A plugin on one link: its context, its hooks, and the guard around each call of them.

What a plugin does wrong is told (``Told``), counted as a strike, and never reaches the link as an exception. After
``STRIKES`` of them it is switched off on this link.
"""

from collections.abc import Callable, Mapping, Sequence
from types import GeneratorType
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.api import (
    PASS,
    Answer,
    Ask,
    Call,
    CallError,
    CallResult,
    Drop,
    Hold,
    Loss,
    Malformed,
    Message,
    NotJson,
    Pass,
    Plugin,
    Replace,
    Reply,
    Send,
    Verdict,
)
from ocpp_proxy.core.plugin_text import write
from ocpp_proxy.core.services import LOSSES, MOST_LOST, Concealing, Judging, Lost, as_it_is, hand_of, loss, unjudged, words_of
from ocpp_proxy.model import Blame, Finding, Side

STRIKES = 5
MOST_WORDS = 1000                           # characters of a reason or finding
MOST_STATE = 1 << 20                        # bytes of a State as stored
MOST_ASK_SECONDS = 600                      # an answer may be waited for
MOST_TOLD = 20                              # findings of a plugin's own that one hook may raise
OnError = Literal["pass", "drop", "close"]
HOOKS = ("on_open", "on_call", "on_answer", "on_send", "on_malformed", "on_control", "on_tick", "on_gone", "on_close")


class HookTimeout(BaseException):
    """A hook took too long. No ``Exception``, so that a plugin does not catch it by accident."""


class Limit(Protocol):
    """Ends a hook that takes too long, by raising ``HookTimeout`` in it."""

    def number(self, plugin: str) -> int:
        """What ``enter`` calls that plugin."""

    def about(self, link: int, direction: int, identity: bytes, seq: int, offset: int, size: int, data: bytes, /) -> None:
        """These bytes of a charger's link are at hand, and may be shown to plugins. ``seq``: of the spool's last record."""

    def enter(self, plugin: int) -> None:
        """A hook of that plugin begins."""

    def leave(self) -> None:
        """It is over."""


class NoLimit:
    """Hooks take what they take: for tests and offline use."""

    def number(self, plugin: str) -> int:
        """Nothing."""
        return 0

    def about(self, link: int, direction: int, identity: bytes, seq: int, offset: int, size: int, data: bytes, /) -> None:
        """Nothing."""

    def enter(self, plugin: int) -> None:
        """Nothing."""

    def leave(self) -> None:
        """Nothing."""


Matches = Callable[[str, str, str, Side, Message, Call | None], bool]
"""``core.matching.matches``: filter, identity, version, sender, message, its Call."""


class Installed(Struct, frozen=True):
    """A plugin as configured: how to make one for a link, and what becomes of messages it fails on.

    ``matches``, ``judge`` and ``conceal`` are handed in by who configures: the relay without plugins loads no filters and no
    rules.
    """

    name: str
    make: Callable[[], Plugin]
    options: Any = None
    on_error: OnError = "pass"
    matches: Matches | None = None
    judge: Judging = unjudged
    conceal: Concealing = as_it_is


class Chain(Struct, frozen=True):
    """The plugins of one link, in the order of the configuration, and the OCPP version it speaks (empty: unknown)."""

    installed: tuple[Installed, ...]
    version: str = ""


class Told(Struct, frozen=True, gc=False):
    """A finding of a plugin, or about one."""

    code: str
    severity: str
    blame: Blame
    message: str


class Wish(Struct, frozen=True):
    """What a hook asked for: an entry of the loss ledger, ``work`` to begin, a message to ``side``, or the end of the link."""

    seat: "Seat"
    side: Side | None
    message: Call | Send | None
    reason: str
    reset: bool = False
    lost: Lost | None = None
    work: "GeneratorType[Ask, Any, Any] | None" = None
    place: tuple[Side, int] | None = None   # of the message that work goes on with: its sender, and where it ends


class Keep(Struct, frozen=True, gc=False):
    """A State that a hook kept, as a msgpack map; ``before``: the State until then."""

    body: bytes
    before: Any


class Failed(Struct, frozen=True, gc=False):
    """What a guarded call gives instead of a result."""


FAILED = Failed()


def hooks_of(kind: type[Plugin]) -> frozenset[str]:
    """The hooks that a plugin overrides."""
    return frozenset(name for name in HOOKS if getattr(kind, name) is not getattr(Plugin, name))


def words(text: object) -> str:
    """A text of a plugin as it can be stored: no lone surrogates, not endless."""
    if type(text) is str and len(text) <= MOST_WORDS and text.isascii():
        return text
    try:
        return str(text)[:MOST_WORDS].encode("utf-8", "replace").decode()
    except Exception:                       # a foreign __str__
        return f"({type(text).__name__} without a text)"


class Now:
    """Record time, shared by all seats of a link."""

    __slots__ = ("ns",)

    def __init__(self, ns: int = 0) -> None:
        self.ns = ns


class SeatContext:
    """``api.Context``."""

    __slots__ = ("_entropy", "_now", "_seat", "identity", "options", "state", "versions")

    def __init__(
        self, seat: "Seat", identity: str, versions: Mapping[Side, str], options: Any, now: Now,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._entropy = entropy
        self._seat = seat
        self._now = now
        self.identity = identity
        self.versions = versions
        self.options = options
        self.state: Any = None

    @property
    def now_ns(self) -> int:
        """Record time, ns since the epoch."""
        return self._now.ns

    def send(self, side: Side, message: Call | Send, reason: str = "") -> None:
        """Send a message of the plugin's own."""
        self._check_open()
        if not isinstance(side, Side) or not isinstance(message, Call | Send):
            raise TypeError("send takes a Side and a Call or Send")
        write(message, "")                  # what cannot be written is this plugin's fault, here and now
        self._seat.wishes.append(Wish(self._seat, side, message, words(reason)))

    def find(self, code: str, message: str, *, severity: str = "info", blame: Blame = "proxy") -> None:
        """Raise a finding of the plugin's own."""
        seat = self._seat
        if seat.told_now < MOST_TOLD:
            seat.told_now += 1
            seat.tell(Told(f"{seat.name}-{code}", severity, blame, message))

    def keep(self, state: Any) -> None:
        """Have another State."""
        kind = self._seat.kind.State
        if kind is Plugin.State or type(state) is not kind:
            raise TypeError(f"keep takes a {kind.__qualname__}, not {type(state).__name__}; a plugin names its own State")
        body = msgspec.msgpack.encode(state)
        if len(body) > MOST_STATE:
            raise ValueError(f"a State of {len(body)} bytes is more than {MOST_STATE}")
        self._seat.keeps.append(Keep(body, self.state))
        self.state = state

    def matches(self, where: str, sender: Side, message: Message, call: Call | None = None) -> bool:
        """Whether a message passes a filter."""
        if not where:
            return True
        matches = self._seat.matches
        if matches is None:
            raise RuntimeError("filters were not handed to this plugin (core.seats.Installed.matches)")
        return matches(where, self.identity, self.versions[sender], sender, message, call)

    def begin(self, work: Any, reason: str = "") -> None:
        """Begin work of the plugin's own."""
        self._begin(work, reason, None)

    def follow(self, work: Any, reason: str = "") -> None:
        """Begin work that goes on with the message at hand."""
        message, sender, at = self._seat.place
        about = self._seat.at_hand
        self._begin(work, reason, (sender, at) if at and len(about) > 2 and about[2] is message else None)

    def _begin(self, work: Any, reason: str, place: "tuple[Side, int] | None") -> None:
        self._check_open()
        if type(work) is not GeneratorType:
            raise TypeError(f"begin takes a generator that yields Ask, not {type(work).__name__}")
        self._seat.wishes.append(Wish(self._seat, None, None, words(reason), work=work, place=place))

    def random(self, count: int) -> bytes:
        """Random bytes."""
        return self._entropy(count)

    def lost(self, path: str, reason: str, what: Loss = "dropped") -> None:
        """An entry of the loss ledger."""
        seat = self._seat
        seat.lost_now += 1
        if seat.lost_now > MOST_LOST:
            raise ValueError(f"more than {MOST_LOST} losses in one hook")
        hand = seat.at_hand
        fit = type(path) is str and path[:1] == "$" and type(what) is str and what in LOSSES
        if fit and len(hand) == 3 and type(hand[2]) is Call:        # the usual case
            entry = Lost(hand[1], seat.name, hand[2].action, hand[2].message_id, path, what, words(reason))
        else:
            entry = loss(hand_of(hand), seat.name, path, words(reason), what)
        seat.wishes.append(Wish(seat, None, None, "", lost=entry))

    def findings(self, message: Message) -> Sequence[Finding]:
        """What the engine's own rules say of a message."""
        sender, version, action = hand_of(self._seat.at_hand).judged(message)
        return self._seat.judge(self.versions[version], sender, message, action, self._now.ns)

    def disconnect(self, reason: str = "", *, reset: bool = False) -> None:
        """End both connections."""
        self._check_open()
        self._seat.wishes.append(Wish(self._seat, None, None, words(reason), bool(reset)))


    def _check_open(self) -> None:
        if self._seat.opening:
            raise RuntimeError("the link is not open yet: on_open decides by what it returns")


class Seat:
    """One plugin of one link. ``wishes`` is shared by all seats of the link, so that their order is kept."""

    __slots__ = (
        "_enter", "_leave", "_number", "_tell", "aside", "at_hand", "conceal", "context", "gone", "hooks", "index", "judge",
        "keeps", "kind", "lost_now", "matches", "name", "off", "on_answer", "on_call", "on_error", "on_send", "opening",
        "place", "plugin", "strikes", "told_now", "wishes",
    )

    def __init__(
        self, index: int, installed: Installed, identity: str, versions: Mapping[Side, str], wishes: list[Wish],
        tell: Callable[[Told], None], limit: Limit, now: Now, entropy: Callable[[int], bytes],
    ) -> None:
        self.index = index
        self.name = installed.name
        self.on_error: OnError = installed.on_error
        self.matches = installed.matches
        self.judge: Judging = installed.judge
        self.conceal: Concealing = installed.conceal
        self.at_hand: tuple[Any, ...] = ()  # arguments of the hook that runs
        self.place: tuple[Any, Side, int] = None, Side.STATION, 0      # message of the last hook that asks, where it ends
        self.wishes = wishes
        self.keeps: list[Keep] = []         # of the hook that runs; shared by the seats of a link
        self.aside = False                  # the stored State is to be put aside when another is kept
        self._tell = tell
        self.strikes = self.told_now = self.lost_now = 0
        self.off = False
        self.opening = False                # the charger is only dialling: nothing can be sent
        self.gone = False                   # taken away: sees only the answers to what it saw
        self._enter, self._leave = limit.enter, limit.leave
        self._number = limit.number(installed.name)
        self.context = SeatContext(self, identity, versions, installed.options, now, entropy)
        made = self.call("its constructor", installed.make)
        self.plugin = made if isinstance(made, Plugin) else Plugin()
        if not isinstance(made, Plugin | Failed):
            self.fail("is no Plugin")
        plugin = self.plugin
        self.kind = type(plugin)
        made = self.call("its State", self.kind.State) if self.kind.State is not Plugin.State else None
        self.context.state = made if made is not FAILED else None
        hooks = hooks_of(self.kind)
        made = self.call("unused", lambda: hooks.difference(self.kind.unused(installed.options)))
        self.hooks: frozenset[str] = made if made is not FAILED else hooks
        self.on_call = plugin.on_call if "on_call" in self.hooks else None
        self.on_answer = plugin.on_answer if "on_answer" in self.hooks else None
        self.on_send = plugin.on_send if "on_send" in self.hooks else None

    def tell(self, told: Told) -> None:
        """Pass on a finding, its texts made storable."""
        self._tell(structs.replace(told, code=words(told.code), severity=words(told.severity), message=words(told.message)))

    def call(self, what: str, hook: Callable[..., Any] | None, *arguments: Any) -> Any:
        """Call a hook; ``FAILED`` when it did not come to an end of its own. Lets ``NotJson`` become ``PASS``."""
        self.told_now = self.lost_now = 0
        self.at_hand = arguments
        try:
            self._enter(self._number)
            try:
                return hook(*arguments) if hook is not None else PASS
            except BaseException as error:      # SystemExit, KeyboardInterrupt ... raised by a plugin end nothing else either
                return self._raised(what, error, arguments)
            finally:
                self._leave()
        except HookTimeout:                 # in the moment between its end and ``leave``
            return self._overstayed(what)

    def called(self, sender: Side, call: Call) -> Any:
        """As ``call``, of ``on_call``: without a list of arguments, nearly every message comes through here or ``answered``."""
        hook: Any = self.on_call
        context = self.context
        self.told_now = self.lost_now = 0
        self.at_hand = (context, sender, call)
        try:
            self._enter(self._number)
            try:
                return hook(context, sender, call)
            except BaseException as error:
                return self._raised("on_call", error, self.at_hand)
            finally:
                self._leave()
        except HookTimeout:
            return self._overstayed("on_call")

    def answered(self, sender: Side, answer: Answer, call: Call | None) -> Any:
        """As ``call``, of ``on_answer``."""
        hook: Any = self.on_answer
        context = self.context
        self.told_now = self.lost_now = 0
        self.at_hand = (context, sender, answer, call)
        try:
            self._enter(self._number)
            try:
                return hook(context, sender, answer, call)
            except BaseException as error:
                return self._raised("on_answer", error, self.at_hand)
            finally:
                self._leave()
        except HookTimeout:
            return self._overstayed("on_answer")

    def _raised(self, what: str, error: BaseException, arguments: tuple[Any, ...]) -> Pass | Failed:
        if isinstance(error, NotJson):
            return PASS
        if isinstance(error, HookTimeout):
            return self.fail(f"{what} took too long and was interrupted", "slow")
        return self.fail(f"{what} raised {words_of(error, arguments, self.conceal)}")

    def step(self, running: "GeneratorType[Ask, Any, Verdict]", answer: Any, *at_hand: Any) -> Any:
        """Go on with a hook that asked: its next ``Ask``, or its verdict, or ``FAILED``. ``at_hand``: its arguments."""
        self.told_now = self.lost_now = 0
        self.at_hand = at_hand
        try:
            self._enter(self._number)
            try:
                return running.send(answer)
            except StopIteration as stop:
                return stop.value
            except NotJson:
                return PASS
            except HookTimeout:
                return self.fail("a hook that asked took too long and was interrupted", "slow")
            except BaseException as error:
                return self.fail(f"a hook that asked raised {words_of(error, [*at_hand, answer], self.conceal)}")
            finally:
                self._leave()
        except HookTimeout:
            return self._overstayed("a hook that asked")

    def _overstayed(self, what: str) -> Failed:
        self._leave()
        return self.fail(f"{what} took too long and was interrupted", "slow")

    def end(self, running: "GeneratorType[Ask, Any, Verdict]") -> None:
        """Let go of a hook that waits."""
        self.call("a hook that was ended", running.close)
        self.forget()

    def fail(self, what: str, code: str = "failed") -> Failed:
        """Count and tell a failure; what the hook kept is as if it had not been."""
        self.forget()
        self.strikes += 1
        self.tell(Told(f"plugin-{code}", "error", "proxy", f"plugin {self.name}: {what} (on_error = {self.on_error})"))
        if self.strikes == STRIKES:
            self.off = True
            rest = "all it would see is dropped" if self.on_error == "drop" else "switched off on this link"
            self.tell(Told("plugin-off", "error", "proxy", f"plugin {self.name}: {STRIKES} failures: {rest}"))
        return FAILED

    def forget(self) -> None:
        """What the hook that runs kept counts no more, nor what it lost."""
        if self.lost_now:
            mine = [wish for wish in self.wishes if wish.seat is self and wish.lost is not None][-self.lost_now :]
            self.wishes[:] = [wish for wish in self.wishes if not any(wish is each for each in mine)]
        if self.keeps:
            self.context.state = self.keeps[0].before
            self.keeps.clear()

    def unfit(self, verdict: Any, message: Message) -> str:
        """Why that is no verdict on this message; empty when it is one."""
        if not issubclass(type(verdict), _VERDICTS):    # isinstance would ask the object
            return f"gave {type(verdict).__name__}, which is no verdict"
        try:
            return self._unfit(verdict, message)
        except Exception as error:              # what stands in it is not what it seems
            return f"gave a {type(verdict).__name__} that cannot be read: {words_of(error, [message], self.conceal)}"

    def _unfit(self, verdict: Any, message: Message) -> str:
        match verdict:
            case Pass() | Drop():
                return ""
            case Replace():
                return _unlike(verdict.message, message)
            case Reply():
                answer = verdict.answer
                if type(message) is Malformed and type(answer) is CallError and not answer.message_id:
                    return "gave a Reply to a Malformed that names no message_id"
                if type(message) is not Call and not (type(message) is Malformed and type(answer) is CallError):
                    return "gave a Reply where no Call came"
                return _unwritable(answer) if type(answer) in _ANSWERS else "gave a Reply that is no CallResult or CallError"
            case Hold():
                if type(verdict.seconds) not in (int, float) or not 0 <= verdict.seconds < 1e9:
                    return f"gave a Hold of {verdict.seconds!r} seconds"
                return "gave a Hold inside a Hold" if isinstance(verdict.then, Hold) else self.unfit(verdict.then, message)
            case Ask():
                if not isinstance(verdict.side, Side) or type(verdict.call) is not Call:
                    return "gave an Ask that names no Side or no Call"
                if type(verdict.seconds) not in (int, float) or not 0 <= verdict.seconds <= MOST_ASK_SECONDS:
                    return f"gave an Ask of {verdict.seconds!r} seconds: at most {MOST_ASK_SECONDS}"
                return _unwritable(verdict.call)
        return f"gave {type(verdict).__name__}, which is no verdict"


_ANSWERS = (CallResult, CallError)
_VERDICTS = (Pass, Drop, Replace, Reply, Hold, Ask)


def carried(verdict: Any, message: Call | Answer) -> Call | CallResult | None:
    """What a verdict puts in the place of a message, under its id, where all of it is fit at a glance: the usual case."""
    given: Any = verdict.message if type(verdict) is Replace else None
    if type(given) is Call:
        fit = type(message) is Call and type(given.action) is str and given.action.isascii()
    else:
        fit = type(given) is CallResult and type(message) in _ANSWERS
    if not fit or type(given.payload) is not bytes:
        return None
    fitting: Call | CallResult = given
    return fitting if given.message_id is message.message_id else structs.replace(fitting, message_id=message.message_id)


def _unlike(given: Any, message: Message) -> str:
    if type(given) is Call and type(message) is Call and given.action is message.action and type(given.payload) is bytes:
        return ""                           # the usual case: another payload, as ``carrying`` makes it
    if type(message) is Malformed:
        fitting: tuple[type, ...] = (Malformed, Call, CallResult, CallError, Send)
        if type(given) in fitting[1:] and not (isinstance(given.message_id, str) and given.message_id):
            return f"replaced a Malformed by a {type(given).__name__} without a message_id"
    else:
        fitting = _ANSWERS if type(message) in _ANSWERS else (type(message),)
    if type(given) not in fitting:
        return f"replaced a {type(message).__name__} by a {type(given).__name__}"
    return _unwritable(given)


def _unwritable(message: Message) -> str:
    try:
        write(message, "")
    except (TypeError, ValueError) as error:
        return f"gave a message that cannot be written: {error}"
    return ""
