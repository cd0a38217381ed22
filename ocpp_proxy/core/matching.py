"""Filters of messages in flight: the filter language on what a plugin or a breakpoint has before it, not yet a record.

The same text means here what it means on the line that the message becomes, so a filter can be tried on a capture first.
What is known of a message only later (``ms``, ``severity`` ...) is refused when the filter is made. Not for the relay to
import: it is given ``matches`` by who loads the plugins.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args, get_origin

from msgspec import Struct, structs

from ocpp_proxy.api import Call, CallError, CallResult, Malformed, Message, Send, Where
from ocpp_proxy.core.plans import NO_KEYS, Hot, reader
from ocpp_proxy.fields import LINES, And, Compare, Filter, Node, Not, Or, Word, compile, parse
from ocpp_proxy.model import ConfigError, Side
from ocpp_proxy.model import Message as Seen
from ocpp_proxy.records import Line, MessageSeen
from ocpp_proxy.spec.terms import keys
from ocpp_proxy.spec.versions import SUBPROTOCOLS
from ocpp_proxy.wire.ocppj import load

LATER = frozenset(("ms", "outcome", "severity", "rule", "blame", "opcode", "time", "link", "verdict"))
"""Fields of traffic that a message in flight has not."""

MOST_KNOWN = 4096
LONGEST = 64                # letters of an action that something is remembered of; those of OCPP have half as many
_HOT = frozenset(("evse", "connector", "tx", "token"))
_NAMES = ", ".join(name for name in LINES.fields if name not in LATER)
_TOKENS = {version: token for token, version in SUBPROTOCOLS.items()}
_MTYPES: dict[type, int] = {Call: 2, CallResult: 3, CallError: 4, Send: 6, Malformed: 0}


class Match:
    """A filter, ready to be asked. ``text``: as it was written."""

    __slots__ = ("_actions", "_decided", "_hot", "_sides", "_test", "text")

    def __init__(self, where: Filter) -> None:
        self.text = where.text
        self._decided = _decided(where.root)
        self._test = compile(where)
        self._hot = any(isinstance(leaf, Compare) and leaf.field in _HOT for leaf in _leaves(where.root))
        self._actions = _demanded(where.root, "action")
        self._sides = _demanded(where.root, "side")

    def settled(self, sender: Side, action: str) -> bool | None:
        """Whether all messages of that action from there pass; None: it depends on more."""
        if self._actions is not None and action not in self._actions:
            return False
        if self._sides is not None and sender.value not in self._sides:
            return False
        return True if self._decided else None

    def passes(self, identity: str, version: str, sender: Side, message: Message, call: Call | None = None) -> bool:
        """Whether a message passes. ``version``: the sender's (``1.6``; empty: unknown); ``call``: what an answer answers.

        Never raises, whatever the message holds.
        """
        about = message if isinstance(message, Call | Send) else call
        action = about.action if about is not None else ""
        settled = self.settled(sender, action)
        if settled is not None:
            return settled
        mtype = _MTYPES[type(message)]
        evse, connector, tx_id, token = _hot(version, action, mtype, message.payload) if self._hot else NO_KEYS
        error = (message.code, message.description) if isinstance(message, CallError) else ("", "")
        message_id = "" if isinstance(message, Malformed) else message.message_id
        return self._test(Line(MessageSeen(Seen(
            0, 0, 0, identity, 0, sender, mtype, message_id, action, _TOKENS.get(version, ""), message.payload,
            None, None, *error, evse, connector, tx_id, token,
        ))))


@lru_cache(maxsize=256)
def matcher(text: str) -> Match:
    """The filter of a text. Raises ``ConfigError``: no filter, or it asks what a message in flight has not."""
    where = parse(text)
    for leaf in _leaves(where.root):
        if isinstance(leaf, Compare) and leaf.field in LATER:
            raise _later(text, leaf.field)
    return Match(where)


def matches(
    where: str, identity: str, version: str, sender: Side, message: Message, call: Call | None = None,
) -> bool:
    """Whether a message passes the filter of a text. Raises ``ConfigError`` as ``matcher``."""
    known = None
    if type(message) is Call and len(message.action) <= LONGEST:
        known = _settled(where, sender, message.action)
    return matcher(where).passes(identity, version, sender, message, call) if known is None else known


@lru_cache(MOST_KNOWN)                      # a charger may send any action
def _settled(where: str, sender: Side, action: str) -> bool | None:
    return matcher(where).settled(sender, action)


def _leaves(node: Node) -> list[Word | Compare]:
    match node:
        case And(items) | Or(items):
            return [leaf for item in items for leaf in _leaves(item)]
        case Not(item):
            return _leaves(item)
        case _:
            return [node]


def _demanded(node: Node, field: str) -> frozenset[object] | None:
    """The values one of which ``field`` has to have for the filter to pass; None when it says nothing as plain as that."""
    match node:
        case Compare(name, "==" | "in", value) if name == field:
            return frozenset(value if isinstance(value, tuple) else (value,))
        case And(items):
            found = [values for values in (_demanded(item, field) for item in items) if values is not None]
            return frozenset.intersection(*found) if found else None
        case Or(items):
            each = [_demanded(item, field) for item in items]
            return None if None in each else frozenset().union(*(values for values in each if values is not None))
        case _:
            return None


def _decided(node: Node) -> bool:
    """Whether action and side are all that the filter asks, and every one of its terms demands a value of them."""
    if isinstance(node, And):
        return all(map(_decided, node.items))
    if not isinstance(node, Compare) or node.field not in ("action", "side") or node.op not in ("==", "in"):
        return False
    return "" not in (node.value if isinstance(node.value, tuple) else (node.value,))


@lru_cache(maxsize=1024)
def _reader(version: str, action: str, answer: bool) -> Callable[[object], Hot] | None:
    return reader(keys(version, action, answer))


def _hot(version: str, action: str, mtype: int, payload: bytes) -> Hot:
    read = _reader(version, action, mtype == 3) if version and mtype in (2, 3, 6) and len(action) <= LONGEST else None
    return read(load(payload)) if read is not None else NO_KEYS


def _later(text: str, field: str) -> ConfigError:
    """Points at the name, as the parser does."""
    names = [name for name, known in LINES.names.items() if known == field]
    found = re.search(rf"(?<![\w.])({'|'.join(map(re.escape, names))})\s*(?=[=!<>~]|contains\b|in\b)", text, re.IGNORECASE)
    at, width = (found.start(1), len(found[1])) if found else (0, 1)
    start = max(0, at - 60)
    shown = "".join(char if char.isprintable() else " " for char in text)[start : at + 40]
    return ConfigError(
        f"filter, column {at + 1}: {field} is known only later: a message in flight has {_NAMES} and payload.PATH\n"
        f"  {shown}\n  {' ' * (at - start)}{'^' * width}"
    )


def check(options: object, place: str) -> None:
    """Make all filters (fields of type ``api.Where``) in a plugin's options, at any depth. ``place``: what to call them.

    Raises ``ConfigError`` that begins with where the one stands that is none.
    """
    if not isinstance(options, Struct):
        return
    for field in structs.fields(type(options)):
        _check(field.type, getattr(options, field.name), f"{place}.{field.encode_name}")


def _check(kind: Any, value: object, place: str) -> None:
    if isinstance(value, Struct):
        check(value, place)
    elif isinstance(value, str):
        if kind == Where or Where in get_args(kind):
            try:
                matcher(value)
            except ConfigError as error:
                raise ConfigError(f"{place}: {error}") from None
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _check(_inside(kind, Mapping, -1), item, f"{place}.{name}")
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            _check(_inside(kind, Sequence, 0), item, f"{place}[{index}]")


def _inside(kind: Any, family: type, argument: int) -> Any:
    """The type of what a container holds; of a union, that of its first container of this family."""
    for one in (kind, *get_args(kind)):
        origin = get_origin(one)
        if isinstance(origin, type) and issubclass(origin, family) and get_args(one):
            return get_args(one)[argument]
    return Any
