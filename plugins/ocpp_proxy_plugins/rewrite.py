"""Rewrites messages by rules of the settings file: a filter says which, a path where, an operation what."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from decimal import Context as Arithmetic
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field, structs

from ocpp_proxy.api import (
    PASS,
    Answer,
    Call,
    CallError,
    Context,
    Malformed,
    Message,
    Plugin,
    Replace,
    Send,
    Side,
    Verdict,
    Where,
)
from ocpp_proxy.spec.selection import Place, Selection, select

MOST_TEXT = 500                             # characters of a text that a pattern is tried on
MOST_WHOLE = 65_536                         # characters of a malformed text that patterns are tried on
MOST_LOST = 100                             # losses told of one message
_SERVED = {
    "on_call": ("call", "any"), "on_answer": ("answer", "error", "any"), "on_send": ("send", "any"),
    "on_malformed": ("malformed",),
}
Lose = Callable[..., None]                  # path, reason, what
_properties = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.decode
_REPEATED = re.compile(r"(?<!\\)[+*}]\??(?<!\\)\)[+*{]")
_SUM = Arithmetic(prec=80, rounding=ROUND_HALF_UP)
selected = lru_cache(maxsize=1024)(select)


class At(Struct, frozen=True):
    """What an operation works on. ``payload``: a decoded one; ``lose``: tells a loss."""

    payload: Any
    lose: Lose
    context: Context

    def filled(self, value: Any) -> Any:
        """The value, or what a text stands for."""
        if value == "$now":
            moment = datetime.fromtimestamp(self.context.now_ns / 1e9, UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self.context.identity if value == "$identity" else value


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """One operation. ``path``: where (``spec.selection``)."""

    path: str

    def __post_init__(self) -> None:
        self.check(selected(self.path))

    def check(self, where: Selection) -> None:
        """Raises ``ValueError`` for what cannot be done."""
        if not where.parts:
            raise ValueError("the path $ is all of the payload: name something in it")

    def touches(self) -> frozenset[str] | None:
        """The properties of the payload that it looks at or changes, with all that is in them; None: it may be any."""
        return _first(self.path)

    def apply(self, at: At) -> bool:
        """Do it; gives whether anything changed."""
        changed = False
        for place in reversed(selected(self.path).places(at.payload)):
            changed = self.change(at, place) or changed
        return changed

    def change(self, at: At, place: Place) -> bool:
        """Do it at one place."""
        raise NotImplementedError

    def put(self, at: At, place: Place, value: object) -> bool:
        """Put another value there."""
        if type(place.value) is type(value) and place.value == value:
            return False
        place.put(value)
        return True


class Set(Step, frozen=True, tag="set"):
    """Put ``value`` there; what is missing is made. The texts ``$now`` and ``$identity`` are filled in.

    ``missing``: only where there is nothing.
    """

    value: Any
    missing: bool = False

    def check(self, where: Selection) -> None:
        """The last step has to be a name, or whatever is there."""
        super().check(where)
        if self.missing and not where.plain:
            raise ValueError(f"the path {self.path} has to end in a name: nothing else can be missing")

    def apply(self, at: At) -> bool:
        """Every place, made where it has to be."""
        value, payload, changed = self.value, at.payload, False
        if type(value) is str:
            value = at.filled(value)
        where = selected(self.path)
        holder = payload if len(where.names) == 1 and type(payload) is dict else where.holder(payload)
        if holder is not None:              # the usual case: one place
            name, old = where.names[-1], holder.get(where.names[-1], UNSET)
            if old is not UNSET and (self.missing or (type(old) is type(value) and old == value)):
                return False
            holder[name] = value
            at.lose(where.written, "set by a rule", "invented")
            return True
        for place in where.slots(at.payload):
            there = place.key in place.holder if isinstance(place.holder, dict) else True
            if (there and self.missing) or not self.put(at, place, value):
                continue
            at.lose(place.path, "set by a rule", "invented")
            changed = True
        return changed


class Delete(Step, frozen=True, tag="delete"):
    """Take it away."""

    def change(self, at: At, place: Place) -> bool:
        """Gone."""
        place.remove()
        at.lose(place.path, "deleted by a rule", "dropped")
        return True


class Move(Step, frozen=True, tag="move"):
    """``to``: another name in the same object; or a path (``$.…``): there, and of several the first. ``keep``: a copy."""

    to: str
    keep: bool = False

    def check(self, where: Selection) -> None:
        """Where it goes has to be a name in the end."""
        super().check(where)
        if not self.to or (self.to.startswith("$") and not selected(self.to).plain):
            raise ValueError(f"to = {self.to!r}: a name, or a path that ends in one")

    def touches(self) -> frozenset[str] | None:
        """From and to."""
        there, to = _first(self.path), _first(self.to) if self.to.startswith("$") else frozenset((self.to,))
        return there | to if there is not None and to is not None else None

    def change(self, at: At, place: Place) -> bool:
        """To another name, or place."""
        value = place.value
        if not self.to.startswith("$"):
            if not isinstance(place.holder, dict) or place.key == self.to:
                return False
            slots = [Place(place.holder, self.to, (*place.steps[:-1], self.to))]
        else:
            if place != selected(self.path).places(at.payload)[0]:
                return False
            slots = selected(self.to).slots(at.payload)[:1]
        if not slots:
            return False
        if not self.keep:
            place.remove()
        return self.put(at, slots[0], value) or not self.keep


class Substitute(Step, frozen=True, tag="replace"):
    """In a text of up to 500 characters: what ``pattern`` (Python's ``re``) finds becomes ``with``, which may hold ``\\1``."""

    pattern: str
    with_: str = field(name="with")

    def check(self, where: Selection) -> None:
        """The pattern has to compile, and not to be one that takes for ever on some texts."""
        if _REPEATED.search(self.pattern):
            raise ValueError(f"pattern {self.pattern!r}: a repeat inside a repeat can take for ever on some texts")
        try:
            re.compile(self.pattern).sub(self.with_, "")
            re.compile(f"{self.pattern}|").sub(self.with_, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"pattern {self.pattern!r} with {self.with_!r}: {error}") from None

    def change(self, at: At, place: Place) -> bool:
        """Texts only."""
        value = place.value
        if not isinstance(value, str) or len(value) > MOST_TEXT:
            return False
        return self.put(at, place, re.sub(self.pattern, self.with_, value))


class Map(Step, frozen=True, tag="map"):
    """One value for another: ``values`` by its text (numbers, true, false and null as in JSON); ``otherwise``: all others."""

    values: dict[str, Any]
    otherwise: Any = UNSET

    def change(self, at: At, place: Place) -> bool:
        """Look it up."""
        value = place.value
        if isinstance(value, dict | list):
            return False
        name = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        new = self.values.get(name, self.otherwise)
        return new is not UNSET and self.put(at, place, new)


class Scale(Step, frozen=True, tag="scale"):
    """A number, or a text that is one, times ``factor`` plus ``offset``, rounded to ``digits`` behind the point.

    ``unit``: put into ``unit`` beside it (2.x: ``unitOfMeasure.unit``).
    """

    factor: float = 1.0
    offset: float = 0.0
    digits: int | UnsetType = UNSET
    unit: str = ""

    def check(self, where: Selection) -> None:
        """Sane numbers."""
        super().check(where)
        sane = abs(self.factor) < 1e15 and abs(self.offset) < 1e15
        if not sane or (self.digits is not UNSET and not 0 <= self.digits <= 12):
            raise ValueError("factor and offset below 1e15, digits from 0 to 12")

    def touches(self) -> frozenset[str] | None:
        """The unit may stand beside it."""
        return super().touches() if not self.unit else None

    def change(self, at: At, place: Place) -> bool:
        """What is no number stays."""
        value = place.value
        number = _number(value)
        if number is None:
            return False
        exact = _SUM.add(_SUM.multiply(number, Decimal(str(self.factor))), Decimal(str(self.offset)))
        digits = min(12, -int(_SUM.normalize(exact).as_tuple().exponent)) if self.digits is UNSET else self.digits
        result = _SUM.quantize(exact, Decimal(1).scaleb(-max(0, digits)))
        if result != exact:
            at.lose(place.path, f"rounded from {exact}", "shortened")
        text = f"{result:f}"
        new: object = text if isinstance(value, str) else int(result) if result == int(result) else float(result)
        changed = self.put(at, place, new)
        return self._unit(at, place) or changed

    def _unit(self, at: At, place: Place) -> bool:
        if not self.unit or not isinstance(place.holder, dict):
            return False
        of_measure = place.holder.get("unitOfMeasure")
        holder, steps = place.holder, place.steps[:-1]
        if isinstance(of_measure, dict):
            holder, steps = of_measure, (*steps, "unitOfMeasure")
        return self.put(at, Place(holder, "unit", (*steps, "unit")), self.unit)


class Truncate(Step, frozen=True, tag="truncate"):
    """Cut a text to ``length`` characters, a list to so many items."""

    length: int

    def check(self, where: Selection) -> None:
        """No negative lengths."""
        super().check(where)
        if self.length < 0:
            raise ValueError("length: 0 or more")

    def change(self, at: At, place: Place) -> bool:
        """Only what is longer."""
        value = place.value
        if not isinstance(value, str | list) or len(value) <= self.length:
            return False
        at.lose(place.path, f"cut from {len(value)} to {self.length}", "shortened")
        return self.put(at, place, value[: self.length])


class Convert(Step, frozen=True, tag="convert"):
    """To another type, where that loses nothing: ``"5"`` to 5, 5 to ``"5"``, ``"true"`` to true."""

    to: Literal["integer", "number", "text", "boolean"]

    def change(self, at: At, place: Place) -> bool:
        """What is nothing of that kind stays."""
        value = place.value
        if value is None or isinstance(value, dict | list):
            return False
        if self.to == "text":
            return self.put(at, place, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        if self.to == "boolean":
            new = {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
            return new is not None and self.put(at, place, new)
        number = _number(value)
        if number is None or (self.to == "integer" and number != int(number)):
            return False
        return self.put(at, place, int(number) if number == int(number) else float(number))


Operation = Set | Delete | Move | Substitute | Map | Scale | Truncate | Convert


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """``do``, in order, to the messages that pass ``where``. ``message``: of which kind; ``reason``: stands in the capture."""

    do: tuple[Operation, ...]
    where: Where = ""
    sender: Literal["station", "csms", "any"] = "any"
    message: Literal["call", "answer", "error", "send", "malformed", "any"] = "any"
    reason: str = ""

    def __post_init__(self) -> None:
        if self.message == "malformed" and any(not isinstance(step, Substitute) or step.path != "$" for step in self.do):
            raise ValueError('of a malformed text only {op = "replace", path = "$", ...} can be done')
        if self.message != "malformed" and any(step.path == "$" for step in self.do):
            raise ValueError('the path $ alone is for message = "malformed"')


class Meant(Struct, frozen=True):
    """A rule for a kind of message. ``touches``: the properties that are decoded for it (None: all of them); the others
    leave as they came, to the byte."""

    rule: Rule
    reason: str
    touches: frozenset[str] | None

    def decoded(self, message: Message) -> Any:
        """The payload, as far as the rule looks into it. Raises ``NotJson``."""
        if self.touches is None:
            return message.json()
        try:
            payload: dict[str, Any] = _properties(message.payload)
            for name in self.touches:
                if name in payload:
                    payload[name] = _value(payload[name])
        except (ValueError, RecursionError):
            return message.json()           # no object; or no JSON at all
        return payload


class Rewrite(Plugin):
    """Rewrites messages by declarative rules: set, delete, move, replace, map, scale, truncate, convert."""

    version = "1"

    class Options(Struct, frozen=True, forbid_unknown_fields=True):
        """``rules``: in order; each sees a message as those before it left it."""

        rules: tuple[Rule, ...] = ()

    def __init__(self) -> None:
        self._rules: dict[tuple[Side, str], tuple[bool, list[Meant]]] = {}

    @classmethod
    def unused(cls, options: Any) -> set[str]:
        """The hooks for kinds of messages that no rule is about."""
        kinds = {rule.message for rule in options.rules}
        return {hook for hook, served in _SERVED.items() if kinds.isdisjoint(served)}

    def on_call(self, context: Context, sender: Side, call: Call) -> Verdict:
        """Calls."""
        return self._rewritten(context, sender, call, "call")

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Verdict:
        """Answers; of a CALLERROR its details."""
        return self._rewritten(context, sender, answer, "error" if isinstance(answer, CallError) else "answer", call)

    def on_send(self, context: Context, sender: Side, send: Send) -> Verdict:
        """SENDs."""
        return self._rewritten(context, sender, send, "send")

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Verdict:
        """Texts that are no message: their text by pattern."""
        whole, reasons = text.payload.decode("utf-8", "surrogateescape"), []
        for number, rule in enumerate(context.options.rules, 1):
            if rule.message == "malformed" and rule.sender in (sender, "any") and context.matches(rule.where, sender, text):
                before = whole
                for step in rule.do:
                    if isinstance(step, Substitute) and len(whole) <= MOST_WHOLE:
                        whole = re.sub(step.pattern, step.with_, whole)
                if whole != before:
                    reasons.append(rule.reason or f"rule {number}")
        return Replace(Malformed(whole.encode("utf-8", "surrogateescape")), ", ".join(reasons)) if reasons else PASS

    def _meant(self, context: Context, sender: Side, kind: str) -> tuple[bool, list[Meant]]:
        """Whether they cannot tell more than ``MOST_LOST`` losses of a message, and the rules for such messages."""
        rules = [
            Meant(rule, rule.reason or f"rule {number}", _touched(rule.do))
            for number, rule in enumerate(context.options.rules, 1)
            if rule.message in (kind, "any") and rule.sender in (sender, "any")
        ]
        steps = [step for meant in rules for step in meant.rule.do]
        return len(steps) <= MOST_LOST and all(isinstance(step, Set) and selected(step.path).names for step in steps), rules

    def _rewritten(self, context: Context, sender: Side, message: Message, kind: str, call: Call | None = None) -> Verdict:
        found = self._rules.get((sender, kind))
        if found is None:
            found = self._rules[sender, kind] = self._meant(context, sender, kind)
        few, rules = found
        lose: Lose | None = None
        reasons: list[str] = []
        for meant in rules:
            rule = meant.rule
            if not context.matches(rule.where, sender, message, call):
                continue
            lose = lose or (context.lost if few else _bounded(context))
            at = At(meant.decoded(message), lose, context)
            changed = False
            for step in rule.do:            # all of them, not only up to the first that hits
                changed = step.apply(at) or changed
            if changed:
                if type(message) is Call:
                    message = Call(msgspec.json.encode(at.payload), message.action, message.message_id)
                else:
                    message = structs.replace(message, payload=msgspec.json.encode(at.payload))
                reasons.append(meant.reason)
        return Replace(message, ", ".join(reasons)) if reasons else PASS


def _first(path: str) -> frozenset[str] | None:
    """The property of the payload that a path begins with; None: it may be any."""
    first = selected(path).parts[:1]
    return frozenset(part for part in first if isinstance(part, str)) or None


def _touched(steps: Sequence[Step]) -> frozenset[str] | None:
    found = [step.touches() for step in steps]
    return frozenset[str]().union(*(names for names in found if names is not None)) if None not in found else None


def _bounded(context: Context) -> Lose:
    """Tells the first losses of a message."""
    told = 0

    def lose(path: str, reason: str, what: Any) -> None:
        nonlocal told
        told += 1
        if told <= MOST_LOST:
            context.lost(path, reason, what)

    return lose


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None
