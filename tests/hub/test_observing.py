"""Observers: they see what is theirs, in order and within bounds; what they do wrong reaches nobody."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec import structs
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ocpp_proxy.api import Observer, ObserverContext
from ocpp_proxy.checks import Settings
from ocpp_proxy.core import watching
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.tap import Tap
from ocpp_proxy.core.watching import Sight, Watcher, link_of, size_of
from ocpp_proxy.hub import dialling, watch
from ocpp_proxy.hub import observing as observing_module
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.observing import Observing
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.hub.watch import Watch
from ocpp_proxy.records import Beat, FrameSeen, LinkClosed, LinkOpened, MessageSeen, Record
from tests.core.feeds import CSMS, Relay, wire_frame
from tests.core.streams import Feed, play
from tests.hub.test_recording import recorded, until
from tests.hub.writing import Writer


class Seer(Observer):
    """Keeps what it sees; ``do`` is called with every batch."""

    def __init__(self, do: Callable[[ObserverContext], Coroutine[Any, Any, None]] | None = None) -> None:
        self.seen: list[Record] = []
        self.batches: list[int] = []
        self.ends = 0
        self.do = do
        self.context: ObserverContext | None = None

    async def see(self, context: ObserverContext, records: Sequence[Record]) -> None:
        self.context = context
        self.seen += records
        self.batches.append(len(records))
        if self.do is not None:
            await self.do(context)

    async def end(self, context: ObserverContext) -> None:
        self.ends += 1


def one(observer: Observer, **more: Any) -> Watcher:
    return structs.replace(Watcher("seer", lambda: observer), **more)


def beats(count: int, first: int = 1) -> list[Record]:
    return [Beat(number) for number in range(first, first + count)]


def run(work: Coroutine[Any, Any, None]) -> list[Any]:
    """Run it; what was logged."""
    with structlog.testing.capture_logs() as told:
        asyncio.run(work)
    return told


def test_it_sees_everything_in_order_and_ends() -> None:
    seer = Seer()

    async def work() -> None:
        observing = Observing(first=[one(seer)])
        observing.feed(beats(5))            # before it runs: nobody sees them
        observing.begin()
        for at in range(0, 3000, 100):
            observing.feed(beats(100, at))
        await until(lambda: len(seer.seen) == 3000)
        observing.feed(beats(7, 3000))      # and what is queued at the end
        await observing.end()

    assert run(work()) == []
    assert seer.seen == beats(3007, 0)
    assert max(seer.batches) <= watch.BATCH_RECORDS
    assert seer.ends == 1


def test_a_slow_one_loses_what_finds_no_room_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "QUEUE_RECORDS", 50)
    go, begun = asyncio.Event(), threading.Event()

    async def slow(context: ObserverContext) -> None:
        begun.set()
        await go.wait()

    seer = Seer(slow)

    async def work() -> None:
        observing = Observing(first=[one(seer)])
        observing.begin()
        observing.feed(beats(1, 0))
        await until(begun.is_set)
        for at in range(1, 201, 10):
            observing.feed(beats(10, at))
        assert observing.watches[0].queued == 50
        assert observing.gauges()["ocpp_observer_dropped_records"][1] == 150
        seer.context._loop.call_soon_threadsafe(go.set)         # type: ignore[union-attr]  # its own loop
        await until(lambda: len(seer.seen) == 51)
        assert seer.context is not None and seer.context.dropped == 150
        await observing.end()

    told = run(work())
    assert [line["event"] for line in told] == ["an observer is too slow: records are dropped for it"]
    assert seer.seen == beats(51, 0)


def test_the_queue_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "QUEUE_BYTES", 10_000)
    go = threading.Event()

    async def hang(context: ObserverContext) -> None:
        go.wait()

    feed = Feed()
    for _ in range(20):
        feed.station(b"x" * 1000)

    async def work() -> None:
        observing = Observing(first=[one(Seer(hang))])
        observing.begin()
        observing.feed(beats(1))
        await until(lambda: observing.watches[0].queued == 0)
        observing.feed(play(feed.records))
        taken = observing.watches[0]
        assert taken._bytes <= 10_000 and taken._bytes == sum(size for _, size in taken._queue)
        assert 0 < taken.queued < 10 and taken.dropped >= 10
        go.set()
        await observing.end()

    run(work())


def test_after_five_failures_it_sees_nothing_more() -> None:
    async def fail(context: ObserverContext) -> None:
        faults = (ValueError("no \x1b[2J"), SystemExit(3), asyncio.CancelledError(), KeyError(1), ValueError("x"))
        raise faults[len(bad.batches) - 1]

    bad, good = Seer(fail), Seer()

    async def work() -> None:
        observing = Observing(first=[one(bad, key="bad"), one(good)])
        observing.begin()
        for number in range(8):
            observing.feed(beats(1, number))
            await until(lambda n=number: len(good.seen) == n + 1)       # type: ignore[misc]  # a condition
            await until(lambda n=number: len(bad.seen) == min(n + 1, 5))    # type: ignore[misc]
            await until(lambda: observing.watches[0].failures == len(bad.seen))
        gauges = observing.gauges()
        assert [gauges[f"ocpp_observer{name}"][1] for name in ("s", "s_off", "_failures")] == [1, 1, 5]
        await observing.end()

    told = [line["event"] for line in run(work())]
    assert len(told) == 5 and told[0].startswith("see: ValueError: no ") and " at test_observing.py:" in told[0]
    names = [line.removeprefix("see: ").split(" ")[0].rstrip(":") for line in told]
    assert names == ["ValueError", "SystemExit", "CancelledError", "KeyError", "ValueError"]
    assert told[-1].endswith("; it sees nothing more")
    assert len(bad.seen) == 5 and bad.ends == good.ends == 1


def test_one_that_hangs_stalls_nobody_and_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "END_SECONDS", 1.5)            # the good one ends in it, beside one that takes all it can get
    go = threading.Event()

    async def spin(context: ObserverContext) -> None:
        while not go.is_set():
            pass

    stuck, good = Seer(spin), Seer()

    async def work() -> None:
        observing = Observing(first=[one(stuck, key="stuck"), one(good)])
        observing.begin()
        for at in range(0, 2000, 100):
            observing.feed(beats(100, at))
        await until(lambda: len(good.seen) == 2000)
        await observing.end()

    told = [line["event"] for line in run(work())]
    go.set()
    assert told == ["an observer did not come to an end and was left"]
    assert len(stuck.batches) == 1


def test_one_that_waits_for_ever_is_cancelled_and_may_still_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "DRAIN_SECONDS", 0.05)

    async def wait(context: ObserverContext) -> None:
        await asyncio.Event().wait()

    seer = Seer(wait)

    async def work() -> None:
        observing = Observing(first=[one(seer)])
        observing.begin()
        observing.feed(beats(3))
        await until(lambda: bool(seer.seen))
        await observing.end()

    assert run(work()) == []
    assert seer.ends == 1


def test_what_its_own_tasks_raise_counts_as_its_failure() -> None:
    async def lose(context: ObserverContext) -> None:
        async def later() -> None:
            raise ValueError("in a task")
        await asyncio.wait([asyncio.ensure_future(later())])

    async def leave(context: ObserverContext) -> None:
        async def later() -> None:
            raise SystemExit(2)
        asyncio.get_running_loop().call_soon(exit_now)
        await asyncio.ensure_future(later())

    def exit_now() -> None:
        raise SystemExit(2)

    async def work(seer: Seer) -> None:
        observing = Observing(first=[one(seer)])
        observing.begin()
        observing.feed(beats(1))
        await until(lambda: observing.watches[0].failures > 0)
        await observing.end()

    assert run(work(Seer(lose)))[0]["event"].startswith("a task of its own: ValueError: in a task")
    assert "SystemExit" in run(work(Seer(leave)))[0]["event"]


def test_one_that_cannot_be_made_is_off() -> None:
    def broken() -> Observer:
        raise RuntimeError("no")

    async def work() -> None:
        observing = Observing(first=[Watcher("broken", broken)])
        observing.begin()
        await until(lambda: observing.watches[0].off)
        observing.feed(beats(3))
        assert observing.watches[0].queued == 0
        await observing.end()

    assert run(work())[0]["event"].startswith("cannot be made: RuntimeError: no")


def test_switching_leaves_alone_what_stays() -> None:
    seers = {name: Seer() for name in "abc"}

    def installed(names: Iterable[str]) -> list[Watcher]:
        return [one(seers[name], name=name, key=name) for name in names]

    async def work() -> None:
        observing = Observing()
        observing.set(installed("ab"))
        before = observing.watches
        observing.feed(beats(1, 0))
        await until(lambda: all(seers[name].seen for name in "ab"))
        observing.set(installed("bc"))
        assert observing.watches[0] is before[1] and len(observing.watches) == 2
        observing.feed(beats(1, 1))
        await until(lambda: len(seers["b"].seen) == 2 and bool(seers["c"].seen))
        await observing.end()

    run(work())
    assert [(name, seer.seen, seer.ends) for name, seer in seers.items()] == [
        ("a", beats(1, 0), 1), ("b", beats(2, 0), 1), ("c", beats(1, 1), 1)]


def stream() -> list[Record]:
    feed = Feed()
    feed.begin(1, "ACME-1", "ocpp1.6")
    feed.begin(2, "OTHER", "ocpp1.6")
    feed.begin(3, "ACME-2", "ocpp2.0.1")
    for link_id in (1, 2, 3):
        feed.station('[2,"1","Heartbeat",{}]', link_id)
    feed.wait(1)
    feed.close(1)
    feed.close(2)
    return play(feed.records)


def test_of_the_links_that_a_rule_chooses_only() -> None:
    asked: list[tuple[str, str]] = []

    def wanted(identity: str, version: str) -> bool:
        asked.append((identity, version))
        return identity.startswith("ACME") and version == "1.6"

    seen = Sight(wanted).pick(stream())
    assert asked == [("ACME-1", "1.6"), ("OTHER", "1.6"), ("ACME-2", "2.0.1")]
    assert {link_of(record) for record in seen} == {0, 1}
    assert [type(record).__name__ for record in seen if isinstance(record, MessageSeen | LinkClosed | Beat)] == [
        "MessageSeen", "Beat", "LinkClosed"]
    assert not any(isinstance(record, LinkOpened) for record in seen)       # nobody knows yet who it is
    whole = stream()
    assert Sight(None).pick(whole) is whole
    assert all(size_of(record) >= 200 for record in whole)


def test_a_link_of_before_is_known_by_its_first_message() -> None:
    rest = [record for record in stream() if not hasattr(record, "link")]
    seen = Sight(lambda identity, version: identity == "ACME-1").pick(rest)
    assert [record.message.identity for record in seen if isinstance(record, MessageSeen)] == ["ACME-1"]


def test_secrets_are_for_those_who_ask_only() -> None:
    class Asking(Seer):
        unmasked = True

    asking, other, tap, relay = Asking(), Seer(), Tap(), Relay()
    relay.tunnel(1)
    relay.data(1, CSMS, wire_frame(b'[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]'))
    pipeline = Pipeline(Settings(), Ids(), Masker(b"key"), tap=tap)

    async def work() -> None:
        observing = Observing(tap, [one(asking, key="asking", unmasked=True), one(other)])
        observing.begin()
        assert tap.on
        fed = pipeline.feed(relay.records)
        observing.feed(fed)
        await until(lambda: len(asking.seen) == len(other.seen) == len(fed))
        assert other.seen == fed
        observing.set([one(other)])
        assert not tap.on
        await observing.end()

    run(work())
    assert "secret_" in repr(other.seen) and "hunter2" not in repr(other.seen)
    assert "hunter2" in repr(asking.seen) and not any(
        record.message.masked for record in asking.seen if isinstance(record, MessageSeen))


def test_one_that_ends_the_recorder_is_left_out_after_the_third_time(tmp_path: Path) -> None:
    def begin(seer: Seer, end: bool) -> list[str]:
        async def work() -> None:
            observing = Observing(first=[one(seer)], instance=tmp_path)
            observing.begin()
            observing.feed(beats(1))
            await until(lambda: bool(seer.seen) or not observing.watches)
            if end:
                await observing.end()
            else:                           # as if the process were gone: nothing is put in order
                await asyncio.gather(*(running.end() for running in observing.watches))
        return [line["event"] for line in run(work())]

    seers = [Seer() for _ in range(7)]
    assert [begin(seer, end=False) for seer in seers[:2]] == [[], []]
    assert begin(seers[2], end=True) == []              # one that ends in order clears them
    assert [begin(seer, end=False) for seer in seers[3:6]] == [[], [], []]
    assert begin(seers[6], end=True) == ["recording without observers"]
    assert [bool(seer.seen) for seer in seers] == [True] * 6 + [False]
    assert begin(seers[6], end=True) == [] and seers[6].seen            # and so does a recorder without them


def test_a_recorder_that_lives_long_did_not_end_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing_module, "WELL_SECONDS", 0.01)

    async def work() -> None:
        observing = Observing(first=[one(Seer())], instance=tmp_path)
        observing.begin()
        assert (tmp_path / "observed").read_text() == "1"
        await until(lambda: not (tmp_path / "observed").exists())
        await observing.end()

    run(work())


def test_the_links_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_LINKS", 10)
    sight, feed = Sight(lambda identity, version: True), Feed()
    for link_id in range(1, 50):
        feed.begin(link_id, f"CP{link_id}")
    assert sum(not link_of(record) for record in sight.pick(play(feed.records))) == 0
    assert len(sight._links) <= 10


def test_the_log_of_one_that_talks_too_much_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0] * 1000 + [111.0] * 10)
    monkeypatch.setattr(watch, "monotonic", lambda: next(times))
    done = threading.Event()

    async def talk(context: ObserverContext) -> None:
        for number in range(1000):
            context.log(f"line {number}")
        done.set()

    async def work() -> None:
        taken = Watch(one(Seer(talk)))
        taken.put(beats(1))
        await until(done.is_set)
        await taken.end()

    told = [line["event"] for line in run(work())]
    before, last = [f"line {number}" for number in range(watch.LOG_LINES)], told[watch.LOG_LINES :]
    assert told[: watch.LOG_LINES] == before
    assert last == ["979 more lines of it were left out", "line 999"]


def test_the_recorder_feeds_and_ends_them(tmp_path: Path) -> None:
    seer = Seer()
    writer = Writer(tmp_path / "spool")
    for n in range(25):
        writer.append(b"%d" % n)

    async def during(recorder: Recorder, source: LiveSource) -> None:
        recorder.observing.set([one(seer)])
        writer.append(b"25")
        await until(lambda: any(isinstance(record, FrameSeen) for record in seer.seen))
        writer.die()

    assert recorded(tmp_path, None, during) == 0
    assert [record.frame.payload for record in seer.seen if isinstance(record, FrameSeen)][-1] == b"25"
    assert seer.ends == 1


def test_dialling(tmp_path: Path) -> None:
    async def echo(link: ServerConnection) -> None:
        assert link.request is not None
        await link.send(f"{link.request.headers['X-Test']} {link.subprotocol}")
        async for text in link:
            await link.send(text)

    def refuse(link: ServerConnection, request: Request) -> Response | None:
        return link.respond(401, "no") if request.path == "/no" else None

    said: list[object] = []

    async def talk(context: ObserverContext) -> None:
        url = f"ws://127.0.0.1:{ports[0]}"
        link = await context.dial(url + "/CP1", offer=("ocpp2.0.1", "ocpp1.6"), headers={"X-Test": "yes"})
        said.append(link.protocol)
        said.append(await link.receive())
        await link.send(b'[2,"1","Heartbeat",{}]')
        said.append(await link.receive())
        await link.close()
        said.append(await link.receive())
        for bad in (url + "/no", "ws://127.0.0.1:1", f"wss://127.0.0.1:{ports[0]}", "http://127.0.0.1", "ws://"):
            try:
                await context.dial(bad)
            except OSError as error:
                said.append(f"{type(error).__name__}: {error}")
        try:
            await link.send(b"late")
        except OSError as error:
            said.append(f"{type(error).__name__}: {error}")
        left.append(await context.dial(url + "/left", offer=("ocpp1.6",), headers={"X-Test": "left"}))

    ports: list[int] = []
    left: list[Any] = []
    seer = Seer(talk)

    async def work() -> None:
        spoken = [Subprotocol("ocpp1.6")]
        async with serve(echo, "127.0.0.1", 0, subprotocols=spoken, process_request=refuse) as server:
            ports.append(server.sockets[0].getsockname()[1])
            observing = Observing(first=[one(seer)])
            observing.begin()
            observing.feed(beats(1))
            await until(lambda: bool(left))
            await observing.end()
            await until(lambda: not server.connections)         # what it left open is closed for it

    assert run(work()) == []
    assert said[:4] == ["ocpp1.6", b"yes ocpp1.6", b'[2,"1","Heartbeat",{}]', None]
    assert said[4] == "ConnectionRefusedError: answered 401"
    assert "refused" in str(said[5]).lower() or "connect" in str(said[5]).lower()
    assert str(said[6]).partition(": ")[2] and len(said) == 10
    assert str(said[-1]).startswith("ConnectionResetError: closed with 1000")


def test_dialling_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "DIAL_SECONDS", 0.05)

    async def work() -> None:
        held: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError, match="no answer within"):
            await dialling.dial(f"ws://127.0.0.1:{port}/", (), {})
        for writer in held:
            writer.close()
            await writer.wait_closed()
        server.close()

    run(work())


