"""Questions to a capture: beside each other, ended from another thread, or to make room for the next file."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ocpp_proxy_captures import gate, rebuild
from ocpp_proxy_captures.database import Connection, fetched
from ocpp_proxy_captures.gate import Ending, Gate, aside
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader, Reader
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Record
from tests.captures.capture_streams import fill, pieces, small_store, stored, stream

ENDLESS = "SELECT count(*) FROM range(1000000000000) a(x) WHERE hash(x) % 7 = 3"
WAIT_S = 30.0


class Asked:
    """A question that runs in a thread of its own until something ends it."""

    def __init__(self, question: Callable[[threading.Event], object]) -> None:
        self.error: CaptureError | None = None
        self._begun = threading.Event()
        self._question = question
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        assert self._begun.wait(WAIT_S)

    def over(self) -> str:
        """Wait for its end; what it raised."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return str(self.error)

    def _ask(self) -> None:
        try:
            self._question(self._begun)
        except CaptureError as error:
            self.error = error


def endless(reader: Reader, ending: Ending | None = None) -> Asked:
    """A statement that would run for hours."""
    def question(begun: threading.Event) -> None:
        if ending is not None:
            with ending, reader.reading() as con:
                begun.set()
                con.execute(ENDLESS).fetchall()
        with reader.reading() as con:
            begun.set()
            con.execute(ENDLESS).fetchall()
    return Asked(question)


@contextmanager
def opened(path: Path) -> Iterator[FileReader]:
    fill(path, stream(300))
    reader = FileReader(path)
    try:
        yield reader
    finally:
        reader.close()


def test_a_question_that_is_ended_raises_and_no_other_does(tmp_path: Path) -> None:
    with opened(tmp_path / "a.duckdb") as reader:
        ending, other = reader.ending(), reader.ending()
        first, second = endless(reader, ending), endless(reader, other)
        while not first.error:              # between the begin of a cursor and its statement an interrupt is lost
            ending.end()
            first._thread.join(0.02)
        assert first.over() == gate.ENDED and second.error is None
        assert len(reader.numbers("frames", None)) > 300
        while not second.error:
            other.end()
            second._thread.join(0.02)


def test_what_was_ended_asks_nothing_more(tmp_path: Path) -> None:
    with opened(tmp_path / "a.duckdb") as reader:
        ending = reader.ending()
        ending.end()
        with ending, pytest.raises(CaptureError, match="was ended"):
            reader.numbers("frames", None)
        assert len(reader.numbers("frames", None)) > 300


def test_nobody_waits_any_more(tmp_path: Path) -> None:
    begun, over = threading.Event(), threading.Event()

    def question(reader: Reader) -> None:
        try:
            while True:
                with reader.reading() as con:
                    begun.set()
                    con.execute(ENDLESS).fetchall()
        finally:
            over.set()

    async def play(reader: Reader) -> None:
        task = asyncio.create_task(aside(question, reader))
        await asyncio.to_thread(begun.wait, WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(over.wait, WAIT_S)

    with opened(tmp_path / "a.duckdb") as reader:
        asyncio.run(play(reader))


def test_a_living_store_answers_many_beside_each_other(tmp_path: Path) -> None:
    store = small_store(tmp_path / "a.duckdb")
    store.commit(stream(300), (), {})
    met = threading.Barrier(3, timeout=WAIT_S)

    def question(begun: threading.Event) -> None:
        with store.reading() as con:
            begun.set()
            met.wait()                      # three cursors at once, or it breaks
            assert con.execute("SELECT count(*) FROM messages").fetchall()[0][0] >= 300

    asked = [Asked(question) for _ in range(2)]
    with store.reading():
        met.wait()
    assert [one.over() for one in asked] == ["None", "None"]
    store.close()


def test_the_next_segment_waits_for_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PATIENCE_S", 0.05)
    records = stream(600)
    store = open_store(tmp_path / "capture", Position, CaptureConfig(rotate_messages=200))
    parts = list(pieces(records, 900))
    store.commit(parts[0][:20], (), {})
    first = store.file
    asked = [endless(store), endless(store)]
    store.commit([*parts[0][20:], *(record for part in parts[1:] for record in part)], (), {})
    assert store.file != first
    assert {one.over() for one in asked} == {gate.MOVED}
    with store.reading() as con:
        assert con.execute("SELECT count(*) FROM messages").fetchall()[0][0] >= 600
    store.close()


def test_the_stream_of_a_living_store_can_be_read_in_any_threads_while_it_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuild, "WINDOW", 300)
    records = stream(1500)
    store = open_store(tmp_path / "capture", Position, CaptureConfig(rotate_messages=400))
    parts = list(pieces(records, 500))
    for part in parts[:4]:
        store.commit(part, (), {})
    batches, seen = store.everything(), list[list[Record]]()

    def following(begun: threading.Event) -> None:
        begun.set()
        batch = next(batches, None)
        if batch is not None:
            seen.append(batch)

    for part in parts[4:]:
        assert Asked(following).over() == "None"
        before = store.file
        store.commit(part, (), {})
    assert len(parts) > 5 and store.file != before
    seen += batches
    expected = [record for part in parts[:4] for record in part]
    assert [record for batch in seen for record in batch] == stored(expected)
    store.close()


def test_alone_keeps_newcomers_out() -> None:
    one, order, inside = Gate(), list[str](), threading.Event()

    def question(begun: threading.Event) -> None:
        begun.set()
        with one.inside():
            order.append("question")
            inside.set()

    with one.cleared():
        asked = Asked(question)
        assert not inside.wait(0.05)
        order.append("alone")
    asked.over()
    assert order == ["alone", "question"]


@pytest.mark.parametrize(("most", "count"), [(0, 0), (256, 256), (300, 300), (1000, 700)])
def test_rows_are_fetched_in_pieces(most: int, count: int) -> None:
    asked: list[int] = []

    class Answered:
        def __init__(self) -> None:
            self.left = [(number,) for number in range(700)]

        def fetchmany(self, size: int) -> list[tuple[int]]:
            asked.append(size)
            some, self.left = self.left[:size], self.left[size:]
            return some

    answered: Any = Answered()
    con: Connection = answered
    assert fetched(con, most) == [(number,) for number in range(count)]
    assert max(asked, default=0) <= 256
