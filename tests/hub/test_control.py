"""The control API: what it answers, to whom, and that one slow or hanging party holds up nobody else."""

import asyncio
import io
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from ocpp_proxy.fields import Filter, parse
from ocpp_proxy.hub import asking, guard, sinks
from ocpp_proxy.hub import control as control_module
from ocpp_proxy.hub.client import LiveSource, answers, find_instances
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.instance import Instance, write
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.queries import AT_ONCE
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.model import CaptureError, ConfigError, Link
from ocpp_proxy.records import Line, LinkOpened, MessageSeen, Note, Record
from ocpp_proxy.source import Table
from tests.hub.doubles import message


def well() -> tuple[bool, Mapping[str, Any]]:
    return True, {"status": "ok", "listen": ["[::]:9000"], "upstream": "ws://c"}


class Answers:
    """A store that answers."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def query(self, query: str, parameters: Mapping[str, str]) -> Table:
        self.go.wait()
        if query == "nonsense":
            raise ConfigError("no such query: nonsense; did you mean overview?")
        if query == "broken":
            raise CaptureError("the file is damaged")
        return Table(["n"], [[n] for n in range(int(parameters.get("rows", "2")))])

    def links(self) -> list[Link]:
        return [Link(1, 5, "10.0.0.1:1", identity="OLD")]

    def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        return [Line(Note(after, limit, "refused", text=where.text if where else ""))]

    def records(self) -> Iterator[list[Record]]:
        yield [LinkOpened(Link(1, 5, "10.0.0.1:1"))]
        yield list(message(1, 1, 7, b"{}"))


def served(
    folder: Path, during: Callable[[LiveSource, Live], Awaitable[None]], store: object | None = None, address: str = "",
) -> None:
    """Serve on a socket in ``folder`` (or at ``address``) while ``during`` runs."""
    async def play() -> None:
        live = Live()
        control = Control(live, Metrics(folder, dict), store, well)
        got = await control.start(address or str(folder / "control.sock"), "secret")
        source = LiveSource(got, "secret")
        try:
            async with asyncio.timeout(60):
                await during(source, live)
        finally:
            await source.close()
            await control.stop()
    asyncio.run(play())


def test_everything_a_store_knows_comes_over(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        live.publish([LinkOpened(Link(2, 9, "10.0.0.2:1"))])
        assert [link.link_id for link in await source.links()] == [1, 2]
        lines = await source.page(parse("action == Heartbeat"), 3, 4)
        assert [line.record for line in lines] == [Note(3, 4, "refused", text="action == Heartbeat")]
        batches = [batch async for batch in source.records()]
        assert [[type(record).__name__ for record in batch] for batch in batches] == [
            ["LinkOpened"], ["FrameSeen", "MessageSeen"],
        ]
        assert (await source.query("overview", {"rows": "3"})).rows == [[0], [1], [2]]

    served(tmp_path, during, Answers())


def test_too_many_rows_are_cut_and_said_to_be(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        table = await source.query("all", {"rows": "100001"})
        assert len(table.rows) == 100_000
        assert table.cut
        assert not (await source.query("all", {"rows": "100000"})).cut

    served(tmp_path, during, Answers())


def test_mistakes_come_back_as_what_they_are(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        with pytest.raises(ConfigError, match="did you mean overview"):
            await source.query("nonsense", {})
        with pytest.raises(CaptureError, match="the file is damaged"):
            await source.query("broken", {})
        async with source._request("GET", "/v1/lines", params={"filter": "action ==="}) as response:
            assert response.status == 400
        async with source._request("GET", "/v1/lines", params={"after": "-1"}) as response:
            assert (response.status, "whole number" in await response.text()) == (400, True)
        async with source._request("POST", "/v1/query", data=b"{}") as response:
            assert response.status == 400
        async with source._request("POST", "/v1/query", data=io.BytesIO(b"x" * (2 << 20))) as response:
            assert response.status == 413
        async with source._request("DELETE", "/v1/links") as response:
            assert response.status == 405

    served(tmp_path, during, Answers())


def test_without_a_store_there_are_live_lines_and_no_queries(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        live.publish([*message(1, 1, 5, b"{}"), *message(2, 1, 6, b"{}")])
        lines = await source.page(None, 1, 10)
        assert [line.record.message.msg_no for line in lines if isinstance(line.record, MessageSeen)] == [2]
        with pytest.raises(ConfigError, match="stores nothing"):
            await source.query("overview", {})
        with pytest.raises(ConfigError, match="stores nothing"):
            async for _ in source.records():
                pass

    served(tmp_path, during)


def test_followers_get_what_passes_their_filter_until_the_end(tmp_path: Path) -> None:
    async def play() -> None:
        live = Live()
        control = Control(live, Metrics(tmp_path, dict), None, well)
        source = LiveSource(await control.start(str(tmp_path / "control.sock"), ""))
        got: list[Line] = []

        async def follow() -> None:
            async for batch in source.follow(parse("message_id == 3 or message_id == 5")):
                got.extend(batch)

        follower = asyncio.create_task(follow())
        async with asyncio.timeout(60):
            while not live.subscribers:
                await asyncio.sleep(0.01)
            for n in range(1, 7):
                live.publish(message(n, 1, n, b"{}"))
            while len(got) < 2:
                await asyncio.sleep(0.01)
            await control.stop()
            await follower
        assert [line.record.message.msg_no for line in got if isinstance(line.record, MessageSeen)] == [3, 5]
        assert not live.subscribers
        await source.close()

    asyncio.run(play())


@pytest.mark.parametrize("where", [None, "identity == CP1"])
def test_a_follower_that_begins_with_old_lines_misses_none_and_gets_none_twice(tmp_path: Path, where: str | None) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        live.publish([record for n in range(1, 3001) for record in message(n, 1, n, b"{}")])
        got: list[int] = []

        async def follow() -> None:
            async for batch in source.follow(parse(where) if where else None, 1000):
                got.extend(line.record.message.msg_no for line in batch if isinstance(line.record, MessageSeen))
                if got[-1] == 6000:
                    return

        following = asyncio.create_task(follow())
        for n in range(3001, 6001):
            live.publish(message(n, 1, n, b"{}"))
            if n % 20 == 0:
                await asyncio.sleep(0)
        await following
        assert got == list(range(got[0], 6001))
        assert 2001 <= got[0] <= 5001

    served(tmp_path, during)


def test_a_reader_that_does_not_read_loses_lines_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sinks, "QUEUE_LINES", 100)

    async def during(source: LiveSource, live: Live) -> None:
        stuck_reader, stuck_writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        stuck_writer.write(b"GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n")
        await stuck_writer.drain()
        stuck_reader._transport.pause_reading()     # type: ignore[attr-defined]    # the kernel's buffers fill up
        while not live.subscribers:
            await asyncio.sleep(0.01)
        (stuck,) = live.subscribers
        for n in range(1, 8001):
            live.publish(message(n, 1, n, b'"%s"' % (b"x" * 500)))
            if n % 50 == 0:
                await asyncio.sleep(0)
        assert stuck.dropped > 1000
        assert len(stuck._queue.lines) <= 100
        assert len(await source.page(None, 7990, 100)) == 10        # others are answered
        stuck_reader._transport.resume_reading()    # type: ignore[attr-defined]
        read = b""
        while b'"dropped":0' not in read.rsplit(b"\n", 2)[-1] and f'"msg_no":{8000}'.encode() not in read:
            read += await stuck_reader.read(1 << 20)
        dropped = sum(
            msgspec.json.decode(line[line.index(b"{"):], type=sinks.Batch).dropped
            for line in read.split(b"\n") if line.startswith(b'{"lines"') and line.rstrip().endswith(b"}")
        )
        assert dropped == stuck.dropped
        stuck_writer.close()
        while live.subscribers:
            live.publish(message(9000, 1, 1, b"{}"))
            await asyncio.sleep(0.01)
        assert live.dropped == dropped

    served(tmp_path, during)


def test_the_number_of_followers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "FOLLOWERS", 2)

    async def during(source: LiveSource, live: Live) -> None:
        live.subscribe(None)
        live.subscribe(None)
        with pytest.raises(CaptureError, match="2 readers follow already"):
            async for _ in source.follow(None):
                pass

    served(tmp_path, during)


def test_a_query_that_hangs_is_answered_for_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "QUERY_SECONDS", 0.2)
    store = Answers()
    store.go.clear()

    async def during(source: LiveSource, live: Live) -> None:
        before = threading.active_count()
        for _ in range(AT_ONCE + 2):
            with pytest.raises(CaptureError, match="has not answered"):
                await source.query("overview", {})
        assert threading.active_count() - before <= AT_ONCE
        assert (await source.health())["status"] == "ok"
        store.go.set()

    served(tmp_path, during, store)


def test_on_tcp_only_the_token_opens_and_no_web_page_gets_in(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        base = source._base
        right = {"Authorization": "Bearer secret"}
        port = base.rsplit(":", 1)[1]
        for headers, status in (
            (right, 200),
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "secret"}, 401),
            ({**right, "Host": "rebind.example"}, 403),
            ({**right, "Host": f"rebind.example:{port}"}, 403),
            ({**right, "Host": f"localhost:{port}"}, 200),
            ({**right, "Host": "192.0.2.1"}, 403),
            ({**right, "Origin": "http://evil.example"}, 403),
            ({**right, "Origin": "null"}, 403),
            ({**right, "Sec-Fetch-Site": "cross-site"}, 403),
        ):
            for path in ("/v1/links", "/healthz", "/metrics", "/v1/follow" if status != 200 else "/v1/lines"):
                async with aiohttp.ClientSession() as session, session.get(base + path, headers=headers) as response:
                    assert response.status == status, (headers, path)
        wrong = LiveSource(base.removeprefix("http://"), "wrong")
        with pytest.raises(ConfigError, match="set OCPP_PROXY_TOKEN"):
            await wrong.links()
        await wrong.close()

    served(tmp_path, during, address="127.0.0.1:0")


def test_nothing_that_answers_is_told_in_our_words(tmp_path: Path) -> None:
    async def ask(control: str) -> str:
        source = LiveSource(control)
        try:
            with pytest.raises(CaptureError) as caught:
                await source.links()
        finally:
            await source.close()
        return str(caught.value)

    path = tmp_path / "gone.sock"
    assert asyncio.run(ask(str(path))).endswith("it does not answer (No such file or directory); is it still running?")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))               # bound, but nobody listens any more
        assert asyncio.run(ask(str(path))).endswith("it does not answer (Connection refused); is it still running?")


@pytest.mark.parametrize(("value", "host", "good"), [
    ("127.0.0.1:9100", "127.0.0.1", True), ("localhost", "127.0.0.1", True), ("[::1]:9100", "::1", True),
    ("evil.example", "0.0.0.0", False), ("192.168.8.2:9100", "0.0.0.0", True), ("192.168.8.2", "192.168.8.2", True),
    ("192.168.8.3", "192.168.8.2", False), ("proxy.lan:9100", "proxy.lan", True), ("", "127.0.0.1", False),
    ("127.0.0.1.evil.example", "127.0.0.1", False),
])
def test_which_hosts_are_ours(value: str, host: str, good: bool) -> None:
    assert guard.names_us(value, host) is good


def test_the_socket_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def during(source: LiveSource, live: Live) -> None:
        path = tmp_path / "control.sock"
        assert oct(path.stat().st_mode)[-3:] == "600"
        await source.links()
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        if os.getuid() != 0:
            with pytest.raises(ConfigError, match="another user"):
                await source.links()
        async with source._request("GET", "/v1/links", headers={"Origin": "http://evil.example"}) as response:
            assert response.status == 403

    served(tmp_path, during)


def test_another_uid_is_refused() -> None:
    class Peer:
        def getsockopt(self, *_: object) -> bytes:
            return struct.pack("3i", 1, 12345, 12345)

    class Transport:
        def get_extra_info(self, name: str) -> Peer:
            return Peer()

    class Request:
        transport = Transport()

    assert not guard._same_user(Request())  # type: ignore[arg-type]    # only its transport is looked at


def test_a_stale_socket_is_replaced_and_a_dead_proxy_is_not_found(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    folder.mkdir()
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    write(Instance("abc", os.getpid(), str(folder), control=str(path)))
    assert find_instances(tmp_path) == []

    async def during(source: LiveSource, live: Live) -> None:
        found = await asyncio.to_thread(find_instances, tmp_path)
        assert [instance.name for instance in found] == ["abc"]
        connected = await LiveSource.connect(str(path))
        assert connected.title == "live [::]:9000 -> ws://c"
        await connected.close()

    served(folder, during)
    assert find_instances(tmp_path) == []
    write(Instance("abc", 2**22 + 5, str(folder), control=str(path)))
    assert find_instances(tmp_path) == []


def test_connecting_to_nothing_says_so(tmp_path: Path) -> None:
    async def play() -> None:
        with pytest.raises(ConnectionError, match="is it still running"):
            await LiveSource.connect(str(tmp_path / "nothing.sock"))
    asyncio.run(play())
    assert not answers(Instance("x", 1, str(tmp_path), control="127.0.0.1:1"))
