"""Exports a part of any source: ``.jsonl`` (OCPP trace), ``.txt`` (readable), ``.duckdb`` (a new capture)."""

import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from msgspec import structs

from ocpp_proxy.fields import Filter
from ocpp_proxy.fields import compile as compile_filter
from ocpp_proxy.fields.registry import link_of
from ocpp_proxy.model import CaptureError, ConfigError, Link
from ocpp_proxy.records import Found, FrameSeen, Line, LinkOpened, MessageSeen, Record
from ocpp_proxy.source import Bookmark, Source
from ocpp_proxy_captures.exporters.text import text_line
from ocpp_proxy_captures.exporters.trace import trace_line
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.redact import Redactor
from ocpp_proxy_captures.writer import open_store

PAGE = 2_000
_Writer = Callable[[Line, Bookmark | None, Link | None], bytes | None]
_WRITERS: dict[str, _Writer] = {".jsonl": trace_line, ".txt": text_line}


async def export(source: Source, target: Path, where: Filter | None, redact: bool) -> int:
    """Write the lines of the source that pass the filter to ``target``; gives the number of messages.

    The file appears under its name only when it is complete. Raises ``ConfigError`` for another ending, ``CaptureError``.
    """
    redactor = Redactor(secrets.token_bytes(32)) if redact else None
    draft = target.with_name(f".{target.name}.part{'.duckdb' if target.suffix == '.duckdb' else ''}")
    draft.unlink(missing_ok=True)
    try:
        if target.suffix == ".duckdb":
            count = await _capture(source, draft, where, redactor)
        elif target.suffix in _WRITERS:
            count = await _text(source, draft, where, redactor, _WRITERS[target.suffix])
        else:
            raise ConfigError(f"{target}: the ending says the form: .jsonl, .txt or .duckdb")
        os.replace(draft, target)
    except OSError as error:
        raise CaptureError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return count


async def _text(
    source: Source, target: Path, where: Filter | None, redactor: Redactor | None, write: _Writer,
) -> int:
    count, marks = 0, await _marks(source, redactor)
    links = {link.link_id: link for link in await source.links() if link.csms_protocol}
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        async for batch in _lines(source, where):
            for line in batch:
                shown = redactor.line(line) if redactor else line
                text = write(shown, marks.get(_msg_no(line)), links.get(link_of(line)) if links else None) if shown else None
                if text is not None and shown is not None:
                    file.write(text)
                    count += isinstance(shown.record, MessageSeen)
    return count


async def _capture(source: Source, target: Path, where: Filter | None, redactor: Redactor | None) -> int:
    count, marks = 0, await _marks(source, redactor)
    links = {link.link_id: link for link in await source.links()}
    store = open_store(target, Position, meta={"exported_from": "redacted" if redactor else source.title}, logged=False)
    try:
        async for batch in _lines(source, where):
            out: list[Record] = []
            for line in batch:
                shown = redactor.line(line) if redactor else line
                if shown is not None:
                    out += _opened(shown, links, redactor)
                    out += _unfolded(shown)
                    count += isinstance(shown.record, MessageSeen)
            store.commit(out, (), {})
            for mark in filter(None, (marks.pop(_msg_no(line), None) for line in batch) if marks else ()):
                store.bookmark(mark)
    finally:
        store.close()
    return count


async def _marks(source: Source, redactor: Redactor | None) -> dict[int, Bookmark]:
    """The bookmarks by message; redacted: where they are, not what somebody wrote there."""
    return {
        mark.msg_no: Bookmark(mark.msg_no, mark.time_ns) if redactor else mark
        for mark in await source.bookmarks() if mark.time_ns or not redactor}


def _msg_no(line: Line) -> int:
    return line.record.message.msg_no if isinstance(line.record, MessageSeen) else 0


def _opened(line: Line, links: dict[int, Link], redactor: Redactor | None) -> list[Record]:
    """The opening of a link, before its first line; a part of a capture may begin in the middle of a link."""
    if isinstance(line.record, LinkOpened):
        links.pop(line.record.link.link_id, None)
    link = links.pop(line.record.message.link_id, None) if isinstance(line.record, MessageSeen) else None
    return [] if link is None else [LinkOpened(redactor.link(link) if redactor else link)]


def _unfolded(line: Line) -> list[Record]:
    frame = line.frame
    if frame is not None and not frame.fin:
        frame = structs.replace(frame, fin=True)
    head: list[Record] = [FrameSeen(frame)] if frame is not None else []
    return [*head, line.record, *(Found(finding) for finding in line.findings)]


async def _lines(source: Source, where: Filter | None) -> AsyncIterator[list[Line]]:
    """All lines that pass the filter. Pages of a running proxy are asked for unfiltered: so a position means the same."""
    if not source.live:
        async for batch in source.follow(where):
            yield batch
        return
    passes = compile_filter(where, {link.link_id: link for link in await source.links()})
    after = 0
    before: list[Line] = []
    while page := await source.page(None, after, PAGE):
        if page[0] in before:
            return
        yield [line for line in page if passes(line)]
        after, before = after + len(page), page
