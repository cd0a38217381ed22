"""The texts of a replay: ids of the peer put in, time stamps moved, two payloads compared. All other bytes stay."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from ocpp_proxy.checks.stamps import is_unset
from ocpp_proxy.model import Message
from ocpp_proxy.wire.json_spans import name_of, tokens
from ocpp_proxy.wire.ocppj import rebuild

IDS = frozenset(("transactionId", "remoteStartId", "requestId", "reservationId"))
"""Properties whose value one side makes up and the other repeats."""

MOST_DIFFERENCES = 20                       # of one payload
MOST_SHOWN = 200                            # characters of a value
_STAMP = re.compile(rb'"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)?"')
_STAMPED = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?")
Names = dict[tuple[str, bytes], bytes]
"""Property and JSON text of its value in the capture, to the JSON text of what it is now."""


def learn(captured: object, live: object, names: Names) -> None:
    """Note which ids the peer has given anew: those at the same place of both values."""
    todo = [(captured, live)]
    while todo:
        one, other = todo.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            for key in one.keys() & other.keys():
                if key in IDS and one[key] != other[key] and not isinstance(one[key], dict | list):
                    names[key, _text(one[key])] = _text(other[key])
                todo.append((one[key], other[key]))
        elif isinstance(one, list) and isinstance(other, list):
            todo += zip(one, other, strict=False)


def moved(payload: bytes, names: Names, shift_ns: int) -> bytes:
    """A payload with the ids of now, and its time stamps later by ``shift_ns`` (those of a clock never set stay)."""
    if not shift_ns and not any(old in payload for _, old in names):
        return payload
    parts, at, name = [], 0, ""
    spans = list(tokens(payload))
    for (start, end), behind in zip(spans, [*spans[1:], (0, 0)], strict=True):
        token = payload[start:end]
        if payload[behind[0] : behind[1]] == b":":
            name = name_of(token)
            continue
        new = names.get((name, token))
        if new is None and shift_ns and token[:1] == b'"':
            new = _later(token, shift_ns)
        if new is not None:
            parts += [payload[at:start], new]
            at = end
    return b"".join([*parts, payload[at:]])


def _later(token: bytes, shift_ns: int) -> bytes | None:
    """A time stamp in quotes, as long and in the zone it was in; None when it is none."""
    found = _STAMP.fullmatch(token)
    if found is None or is_unset(token[1:-1].decode()):
        return None
    whole, fraction, zone = found[1].decode(), (found[2] or b"").decode(), (found[3] or b"").decode()
    try:
        then = datetime.fromisoformat(whole + ("Z" if zone in ("", "z", "Z") else zone))
        digits = len(fraction) - 1
        nanos = int((fraction[1:] + "000000000")[:9]) if fraction else 0
        seconds, nanos = divmod(nanos + shift_ns, 1_000_000_000)
        then += timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    text = then.replace(tzinfo=None).isoformat(timespec="seconds")
    return f'"{text}{"." + f"{nanos:09d}".ljust(digits, "0")[:digits] if fraction else ""}{zone}"'.encode()


def answer_text(answer: Message, message_id: str) -> bytes:
    """A captured answer as the answer to another Call."""
    return rebuild(
        answer.mtype, message_id, "", answer.payload, error_code=answer.error_code, error_desc=answer.error_desc,
    )


def differences(captured: object, live: object) -> list[tuple[str, str, str]]:
    """(path, captured, live) of what differs, as JSON texts; times and ids made up anew do not count."""
    found: list[tuple[str, str, str]] = []
    for path, one, other in _walk(captured, live):
        if len(found) == MOST_DIFFERENCES:
            break
        found.append((path, _shown(one), _shown(other)))
    return found


class _Missing:
    """A member that one of the two has not."""


_MISSING = _Missing()


def _walk(captured: object, live: object) -> Iterator[tuple[str, object, object]]:
    todo: list[tuple[str, str, object, object]] = [("$", "", captured, live)]
    while todo:
        path, name, one, other = todo.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            keys = [*one, *(key for key in other if key not in one)]
            todo += [(f"{path}.{key}", key, one.get(key, _MISSING), other.get(key, _MISSING)) for key in reversed(keys)]
        elif isinstance(one, list) and isinstance(other, list):
            count = max(len(one), len(other))
            padded = [[*items, *[_MISSING] * (count - len(items))] for items in (one, other)]
            todo += [(f"{path}[{index}]", name, padded[0][index], padded[1][index]) for index in reversed(range(count))]
        elif not _same(name, one, other):
            yield path, one, other


def _same(name: str, one: object, other: object) -> bool:
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if one == other:
        return True
    if isinstance(one, str) and isinstance(other, str) and _STAMPED.fullmatch(one) and _STAMPED.fullmatch(other):
        return True
    made_up = name in IDS and not isinstance(one, _Missing) and not isinstance(other, _Missing)
    return made_up and type(one) is type(other)


def _shown(value: object) -> str:
    if isinstance(value, _Missing):
        return ""
    return json.dumps(value)[:MOST_SHOWN]


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
