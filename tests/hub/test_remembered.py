"""Without a capture: rows and lines of what is still held, summaries of what passed, nothing to scroll in."""

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.overview import Overview
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.fields import parse
from ocpp_proxy.hub import recording, sinks
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.hub.remembered import Remembered
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.model import ConfigError, Finding, Frame, Link, Message, Opcode, Severity, Side
from ocpp_proxy.records import Beat, Found, FrameSeen, Handshake, LinkOpened, Lost, MessageSeen, Record
from ocpp_proxy.source import Bookmark
from tests.core.bridged import session
from tests.hub.doubles import SqliteStore
from tests.hub.test_recording import recorded, until
from tests.hub.writing import Writer

LINK = Link(1, 1, "10.0.0.1:1", identity="CP1", protocol="ocpp1.6", status=101)


def said(number: int, mtype: int, call_no: int | None = None, action: str = "Heartbeat") -> list[Record]:
    """Message ``number`` in frame ``1000 + number``."""
    side = Side.STATION if mtype == 2 else Side.CSMS
    frame = Frame(1000 + number, 1, number, number, number, side, Opcode.TEXT, payload=b"[]")
    message = Message(
        number, frame.frame_id, 1, "CP1", number, side, mtype, str(call_no or number), action, "ocpp1.6", b"{}",
        call_no=call_no)
    return [FrameSeen(frame), MessageSeen(message)]


def head(frame_id: int, opcode: Opcode) -> FrameSeen:
    return FrameSeen(Frame(frame_id, 1, frame_id, 1, 1, Side.STATION, opcode, header=b"GET /CP1 HTTP/1.1\r\n"))


def late(number: int, msg_no: int) -> Found:
    """A finding that stands alone, on a Call."""
    return Found(Finding(number, "R07", Severity.WARNING, "csms", 1, "CP1", 50, "no answer", msg_no, (1000 + msg_no,)))


STREAM: list[Record] = [
    LinkOpened(LINK), head(1, Opcode.HTTP_REQ), head(2, Opcode.HTTP_RES), Handshake(2, LINK, 1, 2),     # lines 1 to 4
    *said(1, 2), *said(2, 2), *said(3, 3, 1), head(3, Opcode.PING), late(1, 2), *said(4, 4, 2),         # lines 5 to 10
]


def test_rows_of_lines_that_are_held() -> None:
    live = Live()
    live.publish(STREAM)
    memory = Remembered(live, 30.0)
    assert [memory.number_of("exchanges", msg_no=number) for number in range(6)] == [0, 5, 6, 5, 6, 0]
    assert [memory.number_of("frames", msg_no=number) for number in range(6)] == [0, 5, 6, 7, 10, 0]
    assert [memory.number_of("exchanges", frame_id=number) for number in (1, 2, 3, 1001, 1003, 9)] == [4, 4, 0, 5, 5, 0]
    assert [memory.number_of("frames", frame_id=number) for number in (1, 2, 3, 1001, 1003, 9)] == [2, 3, 8, 5, 7, 0]
    first, second = memory.rows("exchanges", [5, 6, 11])
    assert (first.number, first.msg_no, first.answer_no, first.outcome, first.identity) == (5, 1, 3, "ok", "CP1")
    assert (second.number, second.answer_no, second.outcome, second.codes) == (6, 4, "error", ("R07",))
    assert [row.number for row in memory.rows("frames", [5, 7])] == [5, 7]
    assert [type(line.record).__name__ for line in memory.row_lines("exchanges", 6)] == ["MessageSeen", "Found", "MessageSeen"]
    assert len(memory.row_lines("frames", 6)) == 1
    assert memory.row_lines("frames", 11) == memory.row_lines("frames", 0) == []
    assert len(memory.numbers("frames", None)) == 0
    memory.end()


def test_what_was_lost_of_a_message_is_shown_with_its_exchange() -> None:
    live = Live()
    live.publish([*STREAM, *(Lost(9, link_id, "bridge", "Heartbeat", "2", "$.a", "dropped", "") for link_id in (1, 2))])
    memory = Remembered(live, 30.0)
    shown = [type(line.record).__name__ for line in memory.row_lines("exchanges", 6)]
    assert shown == ["MessageSeen", "Found", "MessageSeen", "Lost"]
    assert len(memory.row_lines("frames", 6)) == 1 and len(memory.row_lines("exchanges", 5)) == 2
    memory.end()


def test_lines_that_have_left_the_ring_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "RING_LINES", 4)
    live = Live()
    live.publish(STREAM)
    memory = Remembered(live, 30.0)
    assert memory.number_of("exchanges", msg_no=1) == 0
    assert memory.row_lines("exchanges", 5) == []
    assert memory.rows("exchanges", [5]) == []
    assert memory.number_of("exchanges", msg_no=3) == 7     # its Call has gone: it is a row of its own
    assert [row.msg_no for row in memory.rows("exchanges", [7])] == [3]
    memory.end()


def test_a_proxy_without_a_capture_answers_all_that_it_can(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "spool")
    for number in range(3):
        writer.append(b'{"n":%d}' % number)

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: recorder._live.line_count >= 3)
        assert (await source.health())["stored"] is False
        assert source.stored is False
        chargers = await source.chargers()
        assert sum(charger.messages for charger in chargers) == 3
        assert await source.finding_groups() == []
        assert await source.findings() == []
        assert await source.transactions() == []
        number = await source.number_of("exchanges", msg_no=2)
        assert [row.msg_no for row in await source.rows("exchanges", [number])] == [2]
        (line,) = await source.row_lines("exchanges", number)
        assert isinstance(line.record, MessageSeen)
        assert line.record.message.payload == b'{"n":1}'
        assert len(await source.numbers("exchanges", parse("action == Heartbeat"))) == 0
        assert await source.bookmarks() == []
        with pytest.raises(ConfigError, match="stores nothing"):
            await source.bookmark(Bookmark(2, 1, "x"))
        with pytest.raises(ConfigError, match="stores nothing"):
            await source.query("overview", {})

    assert recorded(tmp_path, None, during) == 0


@pytest.mark.parametrize(("call_seconds", "errors"), [(5.0, 1), (60.0, 0)])
def test_a_call_is_unanswered_after_the_time_of_the_rules(call_seconds: float, errors: int) -> None:
    async def play() -> None:
        live = Live()
        memory = Remembered(live, call_seconds)
        memory.feed([Handshake(1, LINK, 0, 0), *said(1, 2), Beat(20_000_000_000)])
        await until(lambda: not memory.waiting)
        (charger,) = await memory.thread.call(memory.chargers)
        assert (charger.messages, charger.errors) == (1, errors)
        memory.end()

    asyncio.run(play())


def test_a_proxy_with_a_capture_remembers_nothing_beside_it(tmp_path: Path) -> None:
    async def during(recorder: Recorder, source: LiveSource) -> None:
        assert recorder._memory is None
        assert (await source.health())["stored"] is True
        assert source.stored is True

    assert recorded(tmp_path, SqliteStore(tmp_path / "rows.sqlite"), during) == 0


def test_summaries_that_lag_let_the_spool_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have not taken in is bounded; all of it comes in the end."""
    monkeypatch.setattr(recording, "PENDING_ROWS", 100)
    monkeypatch.setattr(recording, "READ_ITEMS", 10)
    go = threading.Event()
    fed: list[Record] = []

    def feed(self: Overview, stream: Iterable[Record]) -> None:
        go.wait()
        fed.extend(stream)

    monkeypatch.setattr(Overview, "feed", feed)
    writer = Writer(tmp_path / "spool")
    for number in range(500):
        writer.append(b"%d" % number)
    writer.die()

    async def during(recorder: Recorder, source: LiveSource) -> None:
        memory = recorder._memory
        assert memory is not None
        await until(lambda: memory.waiting >= 100)
        for _ in range(20):
            await asyncio.sleep(0)
            assert (await source.health())["lines"] < 100       # it answers, and reads no further
        assert memory.waiting <= 100 + 20
        go.set()
        await until(lambda: memory.waiting == 0 and recorder._live.line_count == 500)

    assert recorded(tmp_path, None, during) == 0
    assert sum(isinstance(record, MessageSeen) for record in fed) == 500


def test_summaries_that_break_do_not_stop_the_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: Overview, stream: Iterable[Record]) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Overview, "feed", feed)
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: recorder._live.line_count >= 1)
        assert await source.chargers() == []

    assert recorded(tmp_path, None, during) == 0


def test_messages_of_the_other_leg_of_a_bridge_are_shown_by_the_row_of_what_they_were_made_from() -> None:
    live = Live()
    stream = Pipeline(Settings(), Ids(), None).feed(session())
    live.publish(stream)
    remembered = Remembered(live, 30.0)
    for record in stream:
        if isinstance(record, MessageSeen) and record.message.action == "TransactionEvent":
            (row,) = remembered.rows("exchanges", [remembered.number_of("exchanges", record.message.msg_no)])
            assert row.action in ("StartTransaction", "StopTransaction") and row.verdicts == ("replaced", "translated")
            assert row.made == ("TransactionEvent",)
    remembered.end()
