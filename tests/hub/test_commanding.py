"""The hub's end of the connections to relay workers: bounded, and sure of nothing that comes over them."""

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from ocpp_proxy.core.masking import Masker
from ocpp_proxy.hub import acting, commanding
from ocpp_proxy.hub.acting import Acts
from ocpp_proxy.hub.commanding import Commanding, Worker
from ocpp_proxy.model import ConfigError, Side
from ocpp_proxy.relay.acts import MOST_LISTED, _tellable
from ocpp_proxy.source import Injected
from ocpp_proxy.wire import command
from ocpp_proxy.wire.command import Breaking, Came, Find, HeldList, Hello, Holding, OpenLink, Plugins, Request, Response
from tests.relay.stage import until


class FakeRelay:
    """Dials in as a worker; ``asked`` is what it was asked; it answers by ``answers`` (kind of request to data)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.asked: list[command.Body] = []
        self.answers: dict[type, object] = {command.Arm: [], command.ListHeld: HeldList((), ())}
        self.errors: dict[type, str] = {}
        self.silent = False
        self.mute = set[type]()
        self.task = asyncio.ensure_future(self._run())

    @classmethod
    async def dial(cls, folder: Path, hello: Hello) -> "FakeRelay":
        reader, writer = await asyncio.open_unix_connection(str(folder / command.SOCKET))
        writer.write(command.pack(Request(0, hello)))
        return cls(reader, writer)

    async def _run(self) -> None:
        take = command.Reader()
        while data := await self.reader.read(1 << 16):
            for message in take.feed(data):
                request = command.request(message)
                self.asked.append(request.body)
                kind = type(request.body)
                answer = msgspec.msgpack.encode(self.answers.get(kind))
                if not self.silent and kind not in self.mute:
                    self.writer.write(command.pack(Response(request.number, self.errors.get(kind, ""), answer)))

    def close(self) -> None:
        self.task.cancel()
        self.writer.close()


@asynccontextmanager
async def hub(*hellos: Hello) -> AsyncIterator[tuple[Commanding, Acts, list[FakeRelay]]]:
    with tempfile.TemporaryDirectory(prefix="ocpp-") as place:
        made = Commanding(Path(place))
        acts = Acts(Path(place), made, dict)
        await made.start()
        relays = [await FakeRelay.dial(Path(place), hello) for hello in hellos]
        await until(lambda: len(made.workers) == len({hello.worker for hello in hellos}), "all have come")
        try:
            yield made, acts, relays
        finally:
            for relay in relays:
                relay.close()
            await made.stop()


def test_only_this_user_may_dial() -> None:
    async def body() -> None:
        async with hub() as (made, _, _):
            assert stat.S_IMODE(os.stat(made._path).st_mode) == 0o600

    asyncio.run(body())


def test_the_newest_link_of_all_workers_is_acted_on() -> None:
    async def body() -> None:
        async with hub(Hello(0, 1), Hello(1, 2)) as (_, acts, (first, second)):
            first.answers[Find] = [OpenLink(7, "CP1", "1.6", 100)]
            second.answers[Find] = [OpenLink(3, "CP1", "1.6", 200), OpenLink(2, "CP1", "1.6", 50)]
            second.answers[command.Inject] = Came("result", "id", b"{}", took_ns=2_000_000)
            came = await acts.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}, "anna")
            assert (came.outcome, came.ms) == ("result", 2.0)
            assert [body.link for body in second.asked if isinstance(body, command.Inject)] == [3]
            assert not [body for body in first.asked if isinstance(body, command.Inject)]

    asyncio.run(body())


def test_a_worker_that_ends_while_it_is_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commanding, "COME_SECONDS", 0.05)

    async def body() -> None:
        async with hub(Hello(0, 1)) as (made, _, (relay,)):
            relay.silent = True
            asking = asyncio.ensure_future((await made.each())[0].ask(Plugins(), list[str]))
            await until(lambda: bool(relay.asked))
            relay.close()
            with pytest.raises(ConfigError, match="the relay ended"):
                await asking
            with pytest.raises(ConfigError, match="no relay worker has connected"):
                await made.each()

    asyncio.run(body())


def test_a_call_whose_relay_ends_before_the_answer_came_may_have_been_sent() -> None:
    async def body() -> None:
        async with hub(Hello(0, 1)) as (_, acts, (relay,)):
            relay.answers[Find] = [OpenLink(7, "CP1", "1.6", 100)]
            relay.mute.add(command.Inject)
            asking = asyncio.ensure_future(acts.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}, "anna"))
            await until(lambda: any(isinstance(body, command.Inject) for body in relay.asked))
            relay.close()
            assert await asking == Injected("closed", "")

    asyncio.run(body())


def test_a_worker_that_is_away_has_a_moment_to_come() -> None:
    async def body() -> None:
        async with hub() as (made, acts, _):
            asking = asyncio.ensure_future(acts.intercept("action == Reset", "*", "anna"))
            await asyncio.sleep(0)
            late = await FakeRelay.dial(Path(made._path).parent, Hello(0, 1))
            assert (await asking).intercept_id == 1
            late.close()

    asyncio.run(body())


def test_a_worker_that_does_not_answer_is_given_up() -> None:
    async def body() -> None:
        async with hub(Hello(0, 1)) as (made, _, (relay,)):
            relay.silent = True
            with pytest.raises(ConfigError, match="nothing came within"):
                await (await made.each())[0].ask(Plugins(), list[str], 0.05)
            assert (await made.each())[0]._asked == {}

    asyncio.run(body())


def test_requests_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commanding, "MOST_ASKED", 3)

    async def body() -> None:
        async with hub(Hello(0, 1)) as (made, _, (relay,)):
            relay.silent = True
            worker: Worker = (await made.each())[0]
            asked = [asyncio.ensure_future(worker.ask(Plugins(), list[str], 0.2)) for _ in range(3)]
            await until(lambda: len(relay.asked) == 3)
            with pytest.raises(ConfigError, match="3 requests wait"):
                await worker.ask(Plugins(), list[str])
            assert all(isinstance(error, ConfigError) for error in await asyncio.gather(*asked, return_exceptions=True))

    asyncio.run(body())


@pytest.mark.parametrize("data", [b"\xff" * 64, b"\x00\x00\x00\x02{}", command.pack(Request(1, Plugins()))],
                         ids=["too large", "no msgpack", "no hello"])
def test_who_does_not_speak_the_language_is_hung_up_on(data: bytes) -> None:
    async def body() -> None:
        async with hub() as (made, _, _):
            reader, writer = await asyncio.open_unix_connection(str(made._path))
            writer.write(data)
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
            assert made.workers == {}

    asyncio.run(body())


def test_a_worker_that_comes_again_takes_the_place_of_its_former_self() -> None:
    async def body() -> None:
        async with hub(Hello(0, 1)) as (made, _, (old,)):
            fresh = await FakeRelay.dial(Path(made._path).parent, Hello(0, 2))
            await until(lambda: made.workers[0].incarnation == 2)
            await asyncio.wait_for(old.task, 30)
            assert made.workers[0].incarnation == 2
            fresh.close()

    asyncio.run(body())


def test_breakpoints_are_bounded_given_to_workers_that_come_and_kept_by_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "MOST_POINTS", 2)

    async def body() -> None:
        async with hub(Hello(0, 1, (Breaking(4, "mtype == 2", "*", "anna"),))) as (made, acts, (relay,)):
            await until(lambda: bool(acts._points), "taken over")
            assert (await acts.intercept("action == Reset", "*", "bert")).intercept_id == 5
            with pytest.raises(ConfigError, match="2 breakpoints are set already"):
                await acts.intercept("action == Reset", "*", "bert")
            late = await FakeRelay.dial(Path(made._path).parent, Hello(1, 3))
            await until(lambda: bool(late.asked))
            (told,) = [body for body in late.asked if isinstance(body, command.Arm)]
            assert ([point.number for point in told.points], told.action) == ([4, 5], "")
            relay.errors[command.Arm] = "no"
            with pytest.raises(ConfigError, match="no"):
                await acts.unintercept(4, "anna")
            assert [point.intercept_id for point in (await acts.intercepts())[0]] == [4, 5]       # it is still there
            late.close()

    asyncio.run(body())


SECRET = b'[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]'
KEPT = Holding(3, 1, "CP1", "1.6", Side.CSMS, 2, "ChangeConfiguration", "1", SECRET, 0, 1, "hand")


def test_who_only_reads_sees_no_more_of_what_is_held_than_the_capture_shows() -> None:
    async def body() -> None:
        async with hub(Hello(0, 1)) as (_, acts, (relay,)):
            acts._masker = Masker(b"key")
            relay.answers[command.ListHeld] = HeldList((KEPT,), ())
            ((bare,), _), ((shown,), _) = await acts.held(), await acts.held(bare=False)
            assert bare.text.encode() == SECRET
            assert "hunter2" not in shown.text
            assert shown.text.replace(acts._masker.pseudonym("hunter2"), "hunter2") == bare.text

    asyncio.run(body())


def test_what_the_living_workers_hold_is_told_without_those_that_die_or_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commanding, "LIST_SECONDS", 0.7)      # in which the living one answers
    monkeypatch.setattr(commanding, "COME_SECONDS", 0.0)

    async def body() -> None:
        hellos = [Hello(number, number + 1, (Breaking(4, ""),)) for number in range(3)]
        async with hub(*hellos) as (made, acts, (dying, living, hanging)):
            made._expected = 4
            living.answers[command.ListHeld] = HeldList((KEPT,), (Breaking(4, "", held=2),))
            living.answers[Plugins] = [command.Sitting("mine", "./mine.py", links=1)]
            living.answers[Find] = [OpenLink(7, "CP1", "1.6", 100)]
            living.answers[command.Disconnect] = None
            await until(lambda: bool(acts._points), "taken over")
            dying.silent = hanging.silent = True
            asking = asyncio.gather(acts.held(), acts.intercepts(), acts.plugins())
            await until(lambda: len(dying.asked) == 3)
            dying.close()
            (held, missing), (points, _), (plugins, _) = await asking
            assert [one.held_id for one in held] == ["1.3.1.002"]
            assert ([one.held for one in points], [one.links for one in plugins]) == ([2], [1])
            assert [text.partition(":")[0] for text in missing] == [f"relay worker {number}" for number in (0, 2, 3)]
            assert ("ended" in missing[0], "does not answer" in missing[1], "not connected" in missing[2]) == (True,) * 3
            await acts.disconnect("CP1", 0, False, "anna")
            assert [body.link for body in living.asked if isinstance(body, command.Disconnect)] == [7]
            with pytest.raises(ConfigError, match="relay worker 2: the relay does not answer"):
                living.answers[Find] = list[OpenLink]()
                await acts.disconnect("CP1", 0, False, "anna")

    asyncio.run(body())


def test_an_id_of_before_the_relay_started_again_names_nothing() -> None:
    async def body() -> None:
        async with hub(Hello(0, 0x1001)) as (made, acts, (relay,)):
            relay.answers[command.ListHeld] = HeldList((KEPT,), ())
            (one,), _ = await acts.held()
            relay.close()
            await until(lambda: not made.workers)
            again = await FakeRelay.dial(Path(made._path).parent, Hello(0, 0x1002))
            await until(lambda: bool(made.workers))
            with pytest.raises(ConfigError, match="none of that id"):
                await acts.settle(one.held_id, "release", None, "anna")
            assert not [body for body in again.asked if isinstance(body, command.Settle)]
            again.answers[command.ListHeld] = HeldList((KEPT,), ())
            await acts.settle((await acts.held())[0][0].held_id, "release", None, "anna")
            again.close()

    asyncio.run(body())


def test_a_great_deal_that_is_held_can_still_be_listed() -> None:
    held = [structs.replace(KEPT, number=number, until_ns=-number, text=b"x" * 400_000) for number in range(20)]
    told = _tellable(held + [structs.replace(KEPT, text=b"") for _ in range(MOST_LISTED)])
    assert (told[0].number, len(told)) == (19, MOST_LISTED)
    assert [len(one.text) for one in told[:7]] == [400_000] * 5 + [0] * 2
    assert told[6].reason.endswith("(400000 bytes)")
    command.pack(Response(1, "", msgspec.msgpack.encode(HeldList(told, ()))))       # raises nothing
