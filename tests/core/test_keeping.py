"""States of plugins: what a hook kept is stored before what it decided or sent happens, and undone when it cannot be."""

from collections.abc import Generator
from typing import Any

import msgspec
import pytest
from msgspec import Struct, structs

from ocpp_proxy.api import (
    PASS,
    Answer,
    Ask,
    Call,
    CallResult,
    Closing,
    Context,
    Decision,
    Drop,
    Plugin,
    Replace,
    Reply,
    Side,
    Verdict,
)
from ocpp_proxy.core import session
from ocpp_proxy.core.acts import End, Leave
from ocpp_proxy.core.keeping import Row, Stored
from ocpp_proxy.core.onion import Onion
from ocpp_proxy.core.seats import Installed, OnError, Told
from ocpp_proxy.testing import play

BEAT = b'[2,"1","Heartbeat",{}]'


class Counter(Plugin):
    """Counts Calls, and answers, drops or changes them as their action says."""

    state_version = 2

    class State(Struct, frozen=True):
        count: int = 0
        last: str = ""

    @classmethod
    def migrate(cls, version: int, values: Any) -> Any:
        return cls.State(values["calls"], "migrated")

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        count = context.state.count + 1
        context.keep(structs.replace(context.state, count=count, last=call.action))
        match call.action:
            case "Reply":
                return Reply(CallResult.of({"count": count}))
            case "Drop":
                return Drop("counted")
            case "Change":
                return Replace(call.carrying({"count": count}))
            case "Send":
                context.send(Side.CSMS, Call.of("Heartbeat", {}))
            case "Ask":
                return self._ask(context, call)
            case "Raise":
                raise ValueError("after keep")
        return PASS

    def _ask(self, context: Context, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        context.keep(structs.replace(context.state, last="asking"))
        answer = yield Ask(Side.CSMS, Call.of("Status", {}))
        context.keep(structs.replace(context.state, last="asked"))
        return Reply(answer) if answer is not None else PASS

    def on_tick(self, context: Context, now_ns: int) -> None:
        context.keep(structs.replace(context.state, last="tick"))
        context.send(Side.STATION, Call.of("Tick", {}))

    def on_close(self, context: Context, closing: Closing) -> None:
        context.keep(structs.replace(context.state, last="closed"))


class Quiet(Counter):
    """As ``Counter``, without ticks."""

    on_tick = Plugin.on_tick


def onion(*kinds: type[Plugin], on_error: OnError = "pass") -> Onion:
    drawn = iter(range(1, 1000))
    return Onion(
        [Installed(kind.__name__.lower(), kind, on_error=on_error) for kind in kinds], "CP1", "1.6",
        lambda count: next(drawn).to_bytes(count, "big"),
    )


def state(under: Onion, place: int = 0) -> Any:
    return under.seats[place].context.state


def call(action: str, number: str = "1") -> bytes:
    return f'[2,"{number}","{action}",{{}}]'.encode()


def told(under: Onion) -> list[str]:
    return [act.code for act in under.actions if isinstance(act, Told)]


def test_nothing_of_a_hook_happens_before_its_state_is_stored() -> None:
    """The verdict waits, and what the hook sent; the row is there to be stored meanwhile."""
    under = onion(Quiet)
    assert under.receive(Side.STATION, call("Send"), 10, 1) is session.WAIT
    assert under.actions == [] and under.states.waiting
    assert under.states.rows() == [Row("quiet", 2, msgspec.msgpack.encode({"count": 1, "last": "Send"}))]
    under.stored("", 2)
    assert not under.states.waiting and under.states.verdict is session.PASS
    under.receive(Side.CSMS, b'[3,"1",{}]', 20, 3)
    assert [act.what for act in under.actions if isinstance(act, Leave)] == ["injected"]


@pytest.mark.parametrize(("action", "verdict", "made"), [
    ("Change", session.Replace(b'[2,"1","Change",{"count":1}]', "", "quiet"), []),
    ("Drop", session.Drop("counted", "quiet"), []),
    ("Reply", session.Drop("", "quiet", "answered"), [b'[3,"1",{"count":1}]']),
])
def test_the_decision_counts_once_the_state_is_stored(action: str, verdict: session.Verdict, made: list[bytes]) -> None:
    under = onion(Quiet)
    assert under.receive(Side.STATION, call(action), 10, 1) is session.WAIT
    under.stored("", 2)
    assert under.states.verdict == verdict
    assert [act.text for act in under.actions if isinstance(act, Leave)] == made


@pytest.mark.parametrize("action", ["Change", "Drop", "Reply", "Send", "Ask"])
def test_a_state_that_cannot_be_stored_lets_the_message_pass_and_is_forgotten(action: str) -> None:
    under = onion(Quiet)
    assert under.receive(Side.STATION, call(action), 10, 1) is session.WAIT
    before = state(under)
    rounds = 0
    while under.states.waiting:
        under.stored("disk full", 2)
        rounds += 1
    assert isinstance(under.states.verdict, session.Pass) and rounds == 1
    assert state(under) == Quiet.State() != before
    assert told(under) == ["plugin-state"] and "disk full (on_error = pass)" in under.actions[-1].message  # type: ignore[union-attr]
    assert not [act for act in under.actions if isinstance(act, Leave)]
    assert under.receive(Side.STATION, call("Change", "2"), 20, 3) is session.WAIT
    under.stored("", 4)
    changed: session.Verdict = session.Replace(b'[2,"2","Change",{"count":1}]', "", "quiet")
    assert under.states.verdict == changed


@pytest.mark.parametrize(("on_error", "ends"), [("drop", 0), ("close", 1)])
def test_on_error_says_what_becomes_of_the_message(on_error: OnError, ends: int) -> None:
    under = onion(Quiet, on_error=on_error)
    under.receive(Side.STATION, call("Other"), 10, 1)
    under.stored("locked", 2)
    assert isinstance(under.states.verdict, session.Drop) and under.states.verdict.what == "dropped"
    assert len([act for act in under.actions if isinstance(act, End)]) == ends


def test_failures_are_told_each_time_their_number_doubles() -> None:
    under = onion(Quiet)
    for number in range(20):
        under.receive(Side.STATION, call("Other", str(number)), number + 1, 1)
        under.stored("disk full", 2)
    assert told(under).count("plugin-state") == 5           # 1, 2, 4, 8, 16


def test_several_plugins_keep_one_after_the_other() -> None:
    """The second sees the message only once what the first kept is stored."""
    under = onion(Quiet, Counter)
    assert under.receive(Side.STATION, call("Change"), 10, 1) is session.WAIT
    assert [row.plugin for row in under.states.rows()] == ["quiet"] and state(under, 1).count == 0
    under.stored("", 2)
    assert [row.plugin for row in under.states.rows()] == ["counter"] and state(under, 1).count == 1
    under.stored("", 3)
    assert not under.states.waiting and isinstance(under.states.verdict, session.Replace)


def test_a_hook_that_asks_keeps_at_each_step() -> None:
    """Before the Call of its own leaves, and before its verdict counts."""
    under = onion(Quiet)
    assert under.receive(Side.STATION, call("Ask"), 10, 1) is session.WAIT
    assert state(under).last == "Ask"
    under.stored("", 2)
    assert under.states.waiting and state(under).last == "asking" and under.actions == []
    under.stored("", 3)
    assert under.states.verdict == session.Drop("asks the csms", "quiet", "held")
    [asked] = [act for act in under.actions if isinstance(act, Leave)]
    under.actions.clear()
    number = msgspec.json.decode(asked.text)[1]
    assert isinstance(under.receive(Side.CSMS, f'[3,"{number}",{{"a":1}}]'.encode(), 20, 4), session.Drop)
    assert state(under).last == "asked" and under.states.waiting
    assert not [act for act in under.actions if isinstance(act, Leave)]
    under.stored("", 5)
    assert [act.text for act in under.actions if isinstance(act, Leave)] == [b'[3,"1",{"a":1}]']


def test_what_a_tick_sends_waits_too() -> None:
    under = onion(Counter)
    under.tick(2_000_000_000)
    assert under.states.waiting and under.actions == []
    under.stored("", 2_000_000_001)
    assert [type(act) for act in under.actions] == [Leave]
    under.actions.clear()
    under.tick(4_000_000_000)
    under.stored("disk full", 4_000_000_001)
    assert told(under) == ["plugin-state"] and len(under.actions) == 1


def test_what_is_kept_at_the_end_is_there_to_be_stored() -> None:
    under = onion(Quiet)
    under.close(Closing(Side.STATION, "fin"), 5)
    assert under.states.rows() == [Row("quiet", 2, msgspec.msgpack.encode({"count": 0, "last": "closed"}))]


def test_a_hook_that_fails_has_kept_nothing() -> None:
    under = onion(Quiet)
    assert under.receive(Side.STATION, call("Raise"), 10, 1) is session.PASS
    assert not under.states.waiting and state(under) == Quiet.State() and told(under) == ["plugin-failed"]


class Wrong(Plugin):
    """Keeps what is no State of its own."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        context.keep({"count": 1})
        return PASS


class Endless(Quiet):
    """Keeps too much."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        context.keep(self.State(1, "x" * (1 << 20)))
        return PASS


@pytest.mark.parametrize("kind", [Wrong, Endless])
def test_what_cannot_be_kept_is_the_fault_of_the_hook(kind: type[Plugin]) -> None:
    under = onion(kind)
    assert under.receive(Side.STATION, BEAT, 10, 1) is session.PASS
    assert told(under) == ["plugin-failed"] and not under.states.waiting


def test_a_state_of_another_version_is_migrated_and_put_aside() -> None:
    under = onion(Quiet)
    under.states.restore({"quiet": Stored(1, msgspec.msgpack.encode({"calls": 7}))})
    assert state(under) == Quiet.State(7, "migrated") and told(under) == []
    under.receive(Side.STATION, BEAT, 10, 1)
    assert [row.aside for row in under.states.rows()] == [True]
    under.stored("", 2)
    under.receive(Side.STATION, BEAT, 20, 3)
    assert [row.aside for row in under.states.rows()] == [False]


@pytest.mark.parametrize(("stored", "code"), [
    (Stored(3, msgspec.msgpack.encode({"count": 7})), "plugin-state"),                  # a newer version of the plugin
    (Stored(2, b"\xc1 nonsense"), "plugin-state"),
    (Stored(2, msgspec.msgpack.encode({"count": "seven"})), "plugin-state"),
    (Stored(1, msgspec.msgpack.encode({"others": 7})), "plugin-failed"),                # migrate raises KeyError
])
def test_a_state_that_cannot_be_used_is_told_and_the_plugin_begins_anew(stored: Stored, code: str) -> None:
    under = onion(Quiet)
    under.states.restore({"quiet": stored})
    assert state(under) == Quiet.State() and told(under) == [code]
    under.receive(Side.STATION, BEAT, 10, 1)
    assert [row.aside for row in under.states.rows()] == [True]


@pytest.mark.parametrize(("on_error", "ends"), [("pass", 0), ("drop", 1), ("close", 1)])
def test_states_that_cannot_be_read_end_the_link_where_a_plugin_may_not_fail_openly(on_error: OnError, ends: int) -> None:
    under = onion(Quiet, on_error=on_error)
    under.states.restore({}, "database is locked")
    assert told(under) == ["plugin-state"] and len([act for act in under.actions if isinstance(act, End)]) == ends


def test_play_begins_with_a_state_and_shows_the_last_one() -> None:
    """Also with one that another version stored."""
    played = play(Quiet, """
        > [2,"1","Change",{}]
        => [2,"1","Change",{"count":5}]
        > [2,"2","Reply",{}]
        <= [3,"2",{"count":6}]
    """, state=Quiet.State(4))
    assert played.state == {"quiet": Quiet.State(6, "Reply")}
    played = play(Quiet, '> [2,"1","Drop",{}]', state=(1, {"calls": 2}))
    assert played.state == {"quiet": Quiet.State(3, "Drop")}
    assert play(Quiet, "").state == {}
