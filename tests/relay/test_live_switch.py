"""Breakpoints, Calls by hand and plugins put on a link in the midst of its traffic: nothing is lost, doubled or changed.

Any chunks, fragments, compression, any moment; messages that are held and overtaken included.
"""

import asyncio
import contextlib
import json
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate

from ocpp_proxy.api import Call, Context, Decision, Plugin, Replace, Side
from ocpp_proxy.cli.choosing import Choosing
from ocpp_proxy.config import Config
from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.records import FrameSeen, Source
from ocpp_proxy.relay.acts import Acts
from ocpp_proxy.relay.link import Link
from ocpp_proxy.wire import command
from ocpp_proxy.wire.command import Breaking
from tests.relay.stage import Peer, Stage, play, stage, until
from tests.relay.test_frame_mode import message, texts, tunnel

Deed = Literal["hold", "inject", "plugin"]
MESSAGE = st.tuples(st.sampled_from(["Heartbeat", "MeterValues", "DataTransfer"]), st.integers(0, 200), st.integers(1, 4))


class Mark(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({**call.json(), "mark": 1}))


class Always(Choosing):
    """``Mark`` on every link, as soon as ``on``."""

    on = False

    def chain(self, identity: str, protocol: str) -> Chain | None:
        return Chain((Installed("mark", Mark),), "1.6") if self.on else None


@asynccontextmanager
async def acting() -> AsyncIterator[tuple[Stage, Acts, Always]]:
    config = Config(host="preserve", allow_inject=True)
    with tempfile.TemporaryDirectory() as place:
        async with stage(Path(place), config) as theatre:
            choosing = Always(config)
            yield theatre, Acts(theatre.relay.env, choosing, Path(place)), choosing


async def put(deed: Deed, theatre: Stage, acts: Acts, choosing: Always, number: int) -> Any:
    """Do it; gives what came of an inject."""
    if deed == "hold":
        return await acts.arm(command.Arm((Breaking(1, "action == Heartbeat", "*", "anna"),), "anna", "intercept"))
    if deed == "inject":
        return await acts.inject(command.Inject(number, Side.CSMS, "DataTransfer", b'{"vendorId":"ours"}', 5.0, "anna"))
    choosing.on = True
    return await acts._reseat("anna", "enable", "mark")


async def answer(csms: Peer, compressed: bool) -> None:
    """The CSMS answers what was injected, once it is there."""
    while True:
        for text in texts(csms.got, compressed):
            if b'"ours"' in text:
                await csms.send(message(b'[3,"%s",{"status":"Accepted"}]' % json.loads(text)[1].encode(), None, False))
                return
        await csms.more()


def wires(drawn: list[tuple[str, int, int]], compressed: bool) -> tuple[list[bytes], bytes]:
    """The messages and their bytes."""
    extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
    said = [b'[2,"%d","%s",{"data":"%s"}]' % (number, action.encode(), b"x" * size)
            for number, (action, size, _) in enumerate(drawn)]
    return said, b"".join(message(text, extension, True, pieces) for text, (_, _, pieces) in zip(said, drawn, strict=True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(MESSAGE, min_size=1, max_size=12), st.sampled_from(["hold", "inject", "plugin"]), st.booleans(),
    st.integers(0, 99), st.integers(0, 1 << 30),
)
def test_any_moment_is_good(drawn: list[tuple[str, int, int]], deed: Deed, compressed: bool, share: int, seed: int) -> None:
    said, data = wires(drawn, compressed)
    rng = random.Random(seed)

    async def body() -> None:
        async with acting() as (theatre, acts, choosing):
            station, csms, link = await tunnel(theatre, compressed)
            at, done, answering = 0, None, None
            while at < len(data) or done is None:
                if done is None and at >= len(data) * share // 100:
                    done = asyncio.ensure_future(put(deed, theatre, acts, choosing, link.number))
                    answering = asyncio.ensure_future(answer(csms, compressed)) if deed == "inject" else None
                end = at + rng.randint(1, 60)
                await station.send(data[at:end])
                at = min(end, len(data))
                await asyncio.sleep(0)
            came = await done
            if answering is not None:
                await answering
                assert came.outcome == "result"
            await release(theatre, acts, link, rng, len(said), csms, compressed)
            station.half_close()
            while await csms.more():
                pass
            got = texts(csms.got, compressed)
            judge(deed, said, got)
            remembered(theatre, got)

    play(body())


async def release(theatre: Stage, acts: Acts, link: Link, rng: random.Random, count: int, csms: Peer, compressed: bool) -> None:
    """Let go of what is held, in any order, once all messages are there."""
    def whole() -> bool:
        with contextlib.suppress(BlockingIOError):              # at once: a read that is cancelled may have taken something
            csms.got += csms.sock.recv(1 << 18)
        return len(texts(csms.got, compressed)) + len(acts.held().held) >= count

    await until(whole)
    held = [one.number for one in acts.held().held]
    rng.shuffle(held)
    for number in held:
        await acts.settle(command.Settle(link.number, number, "release", "anna"))
    await until(lambda: not acts.held().held)


def judge(deed: Deed, said: list[bytes], got: list[bytes]) -> None:
    """Each message once and as it was said, but for what a plugin does; what was not held in its order."""
    if deed == "hold":
        assert sorted(got) == sorted(said)
        assert [text for text in got if b"Heartbeat" not in text] == [text for text in said if b"Heartbeat" not in text]
    elif deed == "inject":
        assert [text for text in got if b'"ours"' not in text] == said
        assert len(got) == len(said) + 1
    else:
        marked = [b'"mark":1' in text for text in got]
        assert marked == sorted(marked)                         # from one message on, all
        assert [json.loads(text)[1] for text in got] == [json.loads(text)[1] for text in said]
        assert [text for text, mark in zip(got, marked, strict=True) if not mark] == said[: marked.count(False)]


def remembered(theatre: Stage, got: list[bytes]) -> None:
    """What the capture says we made is what reached the CSMS, each once."""
    out, assembler = list[Source](), Assembler(Ids())
    for record in theatre.records():
        assembler.feed(record, out)
    made = [record.frame.payload for record in out if isinstance(record, FrameSeen) and record.frame.sender is Side.STATION
            and record.frame.verdict in ("modified", "injected")]
    assert len(made) == len(set(made))
    assert [text for text in got if text in made] == made


def test_a_number_that_comes_again_is_another_breakpoint(tmp_path: Path) -> None:
    """A hub that set one and was not told so forgets it, and gives its number to the next."""
    async def body() -> None:
        async with acting() as (theatre, acts, _):
            station, csms, _ = await tunnel(theatre, False)
            for action in ("Heartbeat", "MeterValues"):
                point = Breaking(1, f"action == {action}", "*", "anna", held=7)
                await acts.arm(command.Arm((point,), "anna", "intercept"))
            for text in (b'[2,"1","MeterValues",{}]', b'[2,"2","Heartbeat",{}]'):
                await station.send(message(text, None, True))
            while not texts(csms.got, False) and await csms.more():
                pass
            assert texts(csms.got, False) == [b'[2,"2","Heartbeat",{}]']
            assert [(said.filter, said.held) for said in acts.points] == [("action == MeterValues", 1)]
            again = Breaking(1, "action == MeterValues", "*", "anna")
            await acts.arm(command.Arm((again,)))
            assert [said.held for said in acts.points] == [1]           # the same one goes on

    play(body())
