"""What the engine does for plugins beside their verdicts: random bytes, its own rules on one message, the loss ledger."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

from msgspec import Struct, structs

from ocpp_proxy.api import Answer, Call, CallError, CallResult, Loss, Message, Send
from ocpp_proxy.model import Finding, Side

MOST_LOST = 256                             # entries of the loss ledger that one hook may make
MOST_TEXT = 4_000                           # characters of an exception's text that are looked at
LOSSES = get_args(Loss)
_ANSWERS = (CallResult, CallError)

Judging = Callable[[str, Side, Message, str, int], Sequence[Finding]]
"""The rules for single messages: OCPP version, sender, message, action (of an answer: its Call's), record time in ns."""

Concealing = Callable[[str, Sequence[Any]], str]
"""A text without the credentials in it; messages that it may quote."""


def as_it_is(text: str, about: Sequence[Any]) -> str:
    """Where nobody knows what is a credential."""
    return text


def unjudged(version: str, sender: Side, message: Message, action: str, now_ns: int) -> Sequence[Finding]:
    """Where nobody judges."""
    return ()


class Lost(Struct, frozen=True, gc=False):
    """An entry of the loss ledger, as ``records.Lost``. ``sender``: of the message at hand, the station where there is none."""

    sender: Side
    plugin: str
    action: str
    message_id: str
    path: str
    what: str
    reason: str


class AtHand(Struct, frozen=True, gc=False):
    """What a hook is about: a message, who sent it, and of an answer its Call. All None: about no message."""

    sender: Side | None = None
    message: Message | None = None
    call: Call | None = None

    @property
    def action(self) -> str:
        """Of the message, or of the Call it answers."""
        about = self.call or self.message
        return about.action if isinstance(about, Call | Send) else ""

    @property
    def message_id(self) -> str:
        """Of the message."""
        return getattr(self.message, "message_id", "")

    def judged(self, message: Message) -> tuple[Side, Side, str]:
        """Whose rules a message meets: its sender, the side whose version it is in, and its action.

        The one at hand is in its sender's version; any other was made for the side it would go to.
        """
        hand, came = self.message, self.sender or Side.STATION
        if isinstance(message, _ANSWERS):
            sender = came if hand is None or isinstance(hand, _ANSWERS) else came.other
            action = self.action
        else:
            sender = came.other if isinstance(hand, _ANSWERS) else came
            action = message.action if isinstance(message, Call | Send) else ""
        return sender, sender if message is hand or hand is None else sender.other, action


NOTHING = AtHand()


def hand_of(arguments: tuple[Any, ...]) -> AtHand:
    """What a hook is about, by its arguments: context, sender, message, Call."""
    if len(arguments) == 3 and type(arguments[2]) is Call:      # the usual case
        return AtHand(arguments[1], arguments[2])
    if len(arguments) < 3 or not isinstance(arguments[2], Message):
        return NOTHING
    return AtHand(*arguments[1:])


def loss(hand: AtHand, plugin: str, path: object, reason: str, what: object) -> Lost:
    """The entry. Raises ``TypeError`` or ``ValueError`` for what is none."""
    if not isinstance(path, str) or not path.startswith("$"):
        raise ValueError(f"the path of a loss is like $.a[0].b, not {path!r}")
    if what not in LOSSES:
        raise ValueError(f"a loss is {', '.join(LOSSES)}, not {what!r}")
    return Lost(hand.sender or Side.STATION, plugin, hand.action, hand.message_id, path, str(what), reason)


def named(message: Message, message_id: str) -> Message:
    """The message under its id, which is the engine's business."""
    if isinstance(message, Call | Send | Answer) and message.message_id != message_id:
        return structs.replace(message, message_id=message_id)
    return message


def words_of(error: BaseException, about: Sequence[Any] = (), conceal: Concealing = as_it_is) -> str:
    """Type, text and the innermost place of an exception. It may quote a peer, who sent what it is ``about``: it is cut."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else ""
    try:
        text = conceal(str(error)[:MOST_TEXT], about)[:200]
    except Exception:                       # a foreign __str__
        text = "?"
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"
