"""Meter samples of plain messages, without a JSON tree each: what a message says besides its numbers is read only once.

Stations send the same text again and again with other numbers in it. So the text around the numbers is the key to what
they are (a ``kind``, a row for each place in ``reading_kinds``), and a message becomes one row: when, its kind, its numbers.
Whatever is not that plain (several time stamps, escapes, multipliers, odd numbers) is left to ``samples.sql``, which
is the definition of the rows, the same for both ways.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from ocpp_proxy.model import Frame, Message
from ocpp_proxy_captures.wire_table import NO_MESSAGE, text, whole_numbers

SAMPLED = frozenset({"MeterValues", "StopTransaction", "TransactionEvent"})      # the Calls samples.sql unpacks
MOST_BYTES = 4 << 20        # of texts that are remembered; a peer may send a new one in every message
MOST_KINDS = 10_000         # of one file: its stations hardly have a hundred
LARGEST = 16 << 10          # a payload that is looked at here
_NAMES = ("meterValue", "transactionData")
_ENDS = b"}]}]"
_BEGINS = tuple(             # up to the time stamp, and behind it; as most encoders write it, and as Python's does
    (f'"{name}":{blank}[{{"timestamp":{blank}"'.encode(), f'",{blank}"sampledValue":{blank}[{{'.encode())
    for blank in ("", " ") for name in _NAMES)
_split = re.compile(rb'"value": ?"?(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)(?=[",}])').split
_UNITS = {"kWh": ("Wh", 1000.0), "kW": ("W", 1000.0)}
_FITS = range(-(1 << 63), 1 << 63)

Place = tuple[str, str | None, str, str | None, str]                # measurand, phase, context, location, unit


class Template(Struct, frozen=True, gc=False):
    """What the numbers of a text are. ``factors``: what they are multiplied with; None: nothing."""

    kind: int
    factors: tuple[float, ...] | None


class Kinds:
    """The kinds of readings of one file, and the texts they are known by."""

    def __init__(self, rows: Sequence[tuple[int, int, Any, Any, Any, Any, Any]] = ()) -> None:
        places: dict[int, list[Place]] = {}
        for kind, _, *place in sorted(rows):
            places.setdefault(kind, []).append((place[0], place[1], place[2], place[3], place[4]))
        self._known = {tuple(said): kind for kind, said in places.items()}
        self._unsaved: list[tuple[Place, ...]] = []
        self._templates: dict[bytes, Template | None] = {}
        self._around: dict[tuple[bytes, bytes], bool] = {}
        self._bytes = 0
        self._last: list[bytes] = []
        self._template = Template(0, None)

    def saved(self) -> None:
        """The rows of all kinds are in the file."""
        self._unsaved.clear()

    def table(self) -> pa.Table | None:
        """The rows of kinds that are not in the file yet."""
        rows = [(self._known[said], at, *place) for said in self._unsaved for at, place in enumerate(said, 1)]
        if not rows:
            return None
        kind, at, *columns = zip(*rows, strict=True)
        names = ("measurand", "phase", "context", "location", "unit")
        return pa.table({"kind": pa.array(kind, pa.int32()), "place": pa.array(at, pa.int32())} | {
            name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})

    def read(self, payload: bytes) -> tuple[bytes, Template, list[bytes]] | None:
        """Time stamp, what its numbers are, the numbers; None: the payload is not plain."""
        for begin, then in _BEGINS:
            start = payload.find(begin)
            if start >= 0:
                return self._read(payload, start, start + len(begin), then)
        return None

    def _read(self, payload: bytes, start: int, at: int, then: bytes) -> tuple[bytes, Template, list[bytes]] | None:
        stop = payload.find(b'"', at)
        end = payload.rfind(_ENDS, stop) + len(_ENDS)
        if end < len(_ENDS) or not payload.startswith(then, stop) or len(payload) > LARGEST:
            return None
        around = payload[:start], payload[end:]
        known = self._around.get(around)
        stamp = payload[at:stop]
        if not (self._surround(around) if known is None else known) or not stamp.isascii():
            return None
        parts = _split(payload[stop:end])
        rest, numbers = parts[::2], parts[1::2]
        if rest == self._last:              # nearly always: stations of one make
            return stamp, self._template, numbers
        key = b"".join(rest)
        template = self._templates[key] if key in self._templates else self._learn(key, payload[start:end], numbers)
        if template is None:
            return None
        self._last, self._template = rest, template
        return stamp, template, numbers

    def _remember(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MOST_BYTES:
            self._templates.clear()
            self._around.clear()
            self._bytes = size

    def _surround(self, around: tuple[bytes, bytes]) -> bool:
        """Whether these are what may stand before and behind the readings in an object, which has no other readings."""
        before, behind = around
        self._remember(len(before) + len(behind) + 100)
        both = before + behind
        plain = b"\\" not in both and not any(name.encode() in both for name in _NAMES)
        if plain:
            try:
                plain = all(isinstance(orjson.loads(half), dict) for half in (before + b'"":0}', b'{"":0' + behind))
            except orjson.JSONDecodeError:
                plain = False
        self._around[around] = plain
        return plain

    def _learn(self, key: bytes, readings: bytes, numbers: list[bytes]) -> Template | None:
        self._remember(len(key) + 100)
        places = _places(readings[readings.index(b"[") :], [number.decode() for number in numbers])
        template = None
        if places is not None:
            said = tuple(place for place, _ in places)
            if said not in self._known and len(self._known) < MOST_KINDS:
                self._known[said] = len(self._known)
                self._unsaved.append(said)
            if said in self._known:
                factors = tuple(factor for _, factor in places)
                template = Template(self._known[said], factors if set(factors) != {1.0} else None)
        self._templates[key] = template
        return template


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands twice")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _places(readings: bytes, numbers: list[str]) -> list[tuple[Place, float]] | None:
    """What each number says and its factor, when every sample has its number from this list, in their order."""
    if b"\\" in readings:
        return None
    try:
        entries = json.loads(readings, object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    if len(entries) != 1 or not isinstance(entries[0], dict) or entries[0].keys() != {"timestamp", "sampledValue"}:
        return None
    samples = entries[0]["sampledValue"]
    if not all(isinstance(sample, dict) for sample in samples) or [sample.get("value") for sample in samples] != numbers:
        return None
    places = [_place(sample) for sample in samples]
    return [place for place in places if place is not None] if None not in places else None


def _place(sample: dict[str, Any]) -> tuple[Place, float] | None:
    unit_of = sample.get("unitOfMeasure", {})
    words = [sample.get(name) for name in ("measurand", "phase", "context", "location", "unit")]
    if not isinstance(unit_of, dict) or unit_of.get("multiplier", "0") != "0":
        return None
    words.append(unit_of.get("unit"))
    if not all(word is None or isinstance(word, str) for word in words):
        return None
    measurand, phase, context, location, unit, other = words
    unit = other if unit is None else unit
    unit, factor = _UNITS.get(unit, (unit, 1.0)) if unit is not None else ("Wh", 1.0)
    return (
        "Energy.Active.Import.Register" if measurand is None else measurand, phase,
        "Sample.Periodic" if context is None else context, location, unit), factor


def readings(frames: Sequence[Frame], messages: Sequence[Message], kinds: Kinds) -> tuple[pa.Table | None, list[int]]:
    """Rows of ``readings``, and the ``msg_no`` of the messages that ``samples.sql`` has to unpack."""
    rows: list[tuple[int, int | None, bytes, int, int]] = []
    numbers: list[bytes] = []
    scaled: list[tuple[int, tuple[float, ...]]] = []
    odd: list[int] = []
    for at, message in enumerate(messages):
        if message.action not in SAMPLED or message is NO_MESSAGE or message.mtype != 2 or frames[at].verdict == "translated":
            continue
        payload = message.payload
        read = kinds.read(payload)
        evse = message.evse_id if message.evse_id is not None else message.connector_id
        if read is None or (evse is not None and evse not in _FITS):
            if b"\\" in payload or any(name.encode() in payload for name in _NAMES):
                odd.append(message.msg_no)
            continue
        stamp, template, found = read
        if template.factors is not None:
            scaled.append((len(numbers), template.factors))
        numbers += found
        rows.append((message.msg_no, evse, stamp, template.kind, len(numbers)))
    return _table(rows, numbers, scaled) if rows else None, odd


def _table(
    rows: list[tuple[int, int | None, bytes, int, int]], numbers: list[bytes], scaled: list[tuple[int, tuple[float, ...]]],
) -> pa.Table:
    msg_no, evse, stamps, kind, ends = zip(*rows, strict=True)
    amounts = pa.array(numbers, pa.string()).cast(pa.float64())
    if scaled:
        factors = [1.0] * len(numbers)
        for start, some in scaled:
            factors[start : start + len(some)] = some
        amounts = pc.multiply(amounts, pa.array(factors, pa.float64()))
    return pa.table({
        "msg_no": whole_numbers(list(msg_no)), "evse": pa.array(evse, pa.int64()), "sampled_at": text(stamps),
        "kind": pa.array(kind, pa.int32()), "amounts": pa.ListArray.from_arrays(pa.array((0, *ends), pa.int32()), amounts),
    })
