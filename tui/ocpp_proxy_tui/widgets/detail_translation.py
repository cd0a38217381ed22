"""What a bridge made of a message: both payloads beside each other, with the fields that were lost or invented marked."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET, Struct
from rich.cells import cell_len, chop_cells

from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import Frame
from ocpp_proxy.source import Source
from ocpp_proxy.spec.json_path import Step, steps, written
from ocpp_proxy.wire import ocppj
from ocpp_proxy_tui.look import Look

LINES = 1_000               # of one payload that are shown
LOSSES = 200                # entries of the ledger that are shown
SIGNS = {"dropped": "-", "shortened": "~", "invented": "+"}
ROLES = {"dropped": "bad", "shortened": "bad", "invented": "name"}
Pieces = list[tuple[str, str]]
_Said = tuple[str, str]     # a line and what became of it: a key of SIGNS, or empty


class Loss(Struct, frozen=True):
    """An entry of the loss ledger. ``path``: of the message received; of an invented field, in the message made."""

    what: str
    path: str
    reason: str


async def losses_of(source: Source, frame: Frame, call: int) -> tuple[Loss, ...]:
    """What was not carried when a message was translated: it is in the capture alone. Raises ``ConfigError``, ``CaptureError``.

    ``call``: number of the last frame of the Call that it is about. Entries stand before what they are about: those of the
    Call before its last translation, those of its answer behind that.
    """
    made = f"(SELECT coalesce(max(no), 0) FROM frames WHERE link_id = {frame.link_id} AND verdict = 'translated'" \
           f" AND list_contains(cause, {call}))"
    bounds = f"no < {made}" if call in (frame.frame_id, *frame.cause) else \
        f"no > {made} AND no < (SELECT max(no) FROM frames WHERE frame_id = {frame.frame_id})"
    table = await source.query(
        f"SELECT what, path, reason FROM losses WHERE link_id = {frame.link_id} AND frame_id = {call} AND {bounds}"
        f" ORDER BY no LIMIT {LOSSES}", {})
    return tuple(Loss(*(str(value or "") for value in row)) for row in table.rows)


async def received_for(source: Source, frame: Frame) -> str:
    """The text that a translated frame was made from. Raises ``ConfigError``, ``CaptureError``."""
    table = await source.query(f"SELECT TRY(decode(payload)) FROM frames WHERE frame_id = {frame.cause[-1]}", {})
    return str(table.rows[0][0]) if table.rows and table.rows[0][0] is not None else ""


def rows(
    received: bytes, sent: str, losses: Sequence[Loss], versions: tuple[str, str], width: int, look: Look,
) -> Iterator[Pieces]:
    """The lines: which action became which, the entries of the ledger, the two payloads beside each other.

    ``versions``: the subprotocols of both; empty: not known.
    """
    before, after = ocppj.decode(received), ocppj.decode(sent.encode("utf-8", "backslashreplace"))
    names = [f"{safe_text(one.action, 60)} {safe_text(version.removeprefix('ocpp'), 20)}".strip()
             for one, version in zip((before, after), versions, strict=True)]
    became = f"{names[0]} {'->' if look.ascii else '→'} {names[1]}".strip() if all(names) else ""
    yield [(became if before.action and after.action else f"the answer to it  {became}".rstrip(), "word")]
    for loss in losses:
        yield [(f"{SIGNS.get(loss.what, '?')} {safe_text(loss.path, 120)} {safe_text(loss.what, 20)}:"
                f" {safe_text(loss.reason, 200)}", ROLES.get(loss.what, ""))]
    lost = {loss.path: loss.what for loss in losses if loss.what != "invented"}
    invented = {loss.path: loss.what for loss in losses if loss.what == "invented"}
    yield from _beside(_said(before.value, lost), _said(after.value, invented), width, look)


def _said(value: Any, marked: dict[str, str]) -> list[_Said]:
    """A payload line by line, each with what became of the field it is part of."""
    if value is UNSET:
        return []
    known = {path: what for path, what in ((written(steps(name) or ()), what) for name, what in marked.items())}
    out: list[_Said] = []
    _walk(value, (), "", "", known, out)
    return [*out[:LINES], *([(f"({len(out) - LINES} more lines)", "")] if len(out) > LINES else [])]


def _walk(value: Any, path: tuple[Step, ...], begin: str, what: str, marked: dict[str, str], out: list[_Said]) -> None:
    what = marked.get(written(path), what)
    indent = "  " * len(path)
    if isinstance(value, dict | list) and value and len(out) <= LINES:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        out.append((f"{indent}{begin}{opening}", what))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            name = f"{json.dumps(str(key), ensure_ascii=False)}: " if isinstance(value, dict) else ""
            _walk(item, (*path, key), name, what, marked, out)
        out.append((indent + closing, what))
    else:
        out.append((f"{indent}{begin}{json.dumps(value, ensure_ascii=False)}", what))


def _beside(before: Sequence[_Said], after: Sequence[_Said], width: int, look: Look) -> Iterator[Pieces]:
    half = max(10, (width - 3) // 2)
    middle = " | " if look.ascii else " │ "
    lefts, rights = (_wrapped(side, half) for side in (before, after))
    for at in range(max(len(lefts), len(rights))):
        one, left = lefts[at] if at < len(lefts) else ("", "")
        other, right = rights[at] if at < len(rights) else ("", "")
        yield [(one + " " * (half - cell_len(one)), ROLES.get(left, "")), (middle, "dim"), (other, ROLES.get(right, ""))]


def _wrapped(said: Sequence[_Said], half: int) -> list[_Said]:
    return [
        (f"{SIGNS.get(what, ' ')} {piece}", what)
        for line, what in said for piece in (chop_cells(safe_text(line, 4_000), half - 2) or [""])]
