"""What the engine does for plugins beside their verdicts: random bytes, its own rules on one message, the loss ledger."""

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

from msgspec import Struct, structs

from ocpp_proxy.api import Answer, Call, CallError, CallResult, Loss, Message, NotJson, Send
from ocpp_proxy.model import Finding, Side
from ocpp_proxy.spec.terms import secret_places, secret_spans

MOST_LOST = 256                             # entries of the loss ledger that one hook may make
MOST_TEXT = 4_000                           # characters of an exception's text that are looked at
SHORTEST = 4                                # a shorter credential is no secret, and would be found in every word
HIDDEN = "(secret)"
_LOSSES = get_args(Loss)
_ANSWERS = (CallResult, CallError)

Judging = Callable[[str, Side, Message, str, int], Sequence[Finding]]
"""The rules for single messages: OCPP version, sender, message, action (of an answer: its Call's), record time in ns."""


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
    if what not in _LOSSES:
        raise ValueError(f"a loss is {', '.join(_LOSSES)}, not {what!r}")
    message = hand.message
    if type(message) is Call:               # the usual case
        return Lost(hand.sender or Side.STATION, plugin, message.action, message.message_id, path, str(what), reason)
    return Lost(hand.sender or Side.STATION, plugin, hand.action, hand.message_id, path, str(what), reason)


def named(message: Message, message_id: str) -> Message:
    """The message under its id, which is the engine's business."""
    if isinstance(message, Call | Send | Answer) and message.message_id != message_id:
        return structs.replace(message, message_id=message_id)
    return message


def words_of(error: BaseException, about: Sequence[Any] = ()) -> str:
    """Type, text and the innermost place of an exception. The text may quote a peer: it is cut, and without what looks like a
    credential or is one in the messages it is ``about``.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else ""
    try:
        text = _discreet(str(error)[:MOST_TEXT], about)[:200]
    except Exception:                       # a foreign __str__
        text = "?"
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def _discreet(text: str, about: Sequence[Any]) -> str:
    """Without credentials."""
    for secret in sorted(_secrets(about), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for start, end in reversed(secret_spans(text)):
        text = text[:start] + HIDDEN + text[end:]
    return text


def _secrets(about: Sequence[Any]) -> set[str]:
    """The credentials in messages, also as they stand in JSON and in Python's quotes."""
    action = next((one.action for one in about if isinstance(one, Call | Send)), "")
    found = set[str]()
    for one in about:
        if isinstance(one, Call | CallResult | CallError | Send):
            with contextlib.suppress(NotJson):
                for place in secret_places(action, isinstance(one, _ANSWERS), one.json()):
                    if isinstance(place.value, str) and len(place.value) >= SHORTEST:
                        found |= _spellings(place.value)
    return found


def _spellings(value: str) -> set[str]:
    """A text as it may stand in another: bare, in JSON, and each of them in the quotes of Python, as text or bytes."""
    bare = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    quoted = {shown for one in bare for shown in (repr(one)[1:-1], repr(one.encode("utf-8", "replace"))[2:-1])}
    return bare | quoted | {shown.replace("'", "\\'") for shown in quoted}
