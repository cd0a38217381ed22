"""The onion: order, verdicts, ids, asking, holding, one Call at a time, failures; each as a conversation without a socket."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from ocpp_proxy.api import (
    PASS,
    Answer,
    Ask,
    Call,
    CallError,
    CallResult,
    Context,
    Decision,
    Drop,
    Hold,
    Plugin,
    Replace,
    Reply,
    Send,
    Side,
    Verdict,
)
from ocpp_proxy.core.lanes import MOST_ASKS, MOST_KEPT, MOST_OPEN, MOST_WISHES
from ocpp_proxy.core.own_ids import OwnIds
from ocpp_proxy.core.seats import STRIKES
from ocpp_proxy.testing import Stage, play

BEAT = '[2,"1","Heartbeat",{}]'
DONE = '[3,"1",{"currentTime":"x"}]'


class Marking(Plugin):
    """Writes its name behind what it sees."""

    name = "?"

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({**call.json(), "by": call.json().get("by", "") + self.name}))

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        seen = answer.json().get("by", "") + self.name + "(" + call.json().get("by", "") + ")"
        return Replace(CallResult.of({"by": seen}))


class First(Marking):
    name = "a"


class Second(Marking):
    name = "b"


def deciding(decide: Callable[[Call], Decision]) -> Plugin:
    """A plugin of one hook."""
    class Deciding(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            return decide(call)

    return Deciding()


def asking(side: Side, seconds: float = 30.0) -> Plugin:
    def hook(call: Call) -> Generator[Ask, Answer | None, Verdict]:
        if call.action != "StartTransaction":
            return PASS
        answer = yield Ask(side, Call.of("Authorize", {"idTag": "t"}), seconds)
        return Drop("no answer") if answer is None else Replace(call.carrying({"asked": answer.json()}))

    return deciding(hook)


def test_each_plugin_sees_the_call_as_it_saw_it_and_the_order_is_reversed_on_the_way_back() -> None:
    play([First, Second], f"""
        > {BEAT}
        => [2,"1","Heartbeat",{{"by":"ab"}}]
        < [3,"1",{{}}]
        <= [3,"1",{{"by":"b(a)a()"}}]
        < [2,"9","Reset",{{}}]
        <= [2,"9","Reset",{{"by":"ba"}}]
        > [3,"9",{{}}]
        => [3,"9",{{"by":"a(b)b()"}}]
    """)


def test_a_reply_stops_the_call_and_goes_back_through_those_before() -> None:
    replying = deciding(lambda call: Reply(CallResult.of({"by": "x"})))
    play([First, replying, Second], f"> {BEAT}\n<= [3,\"1\",{{\"by\":\"xa()\"}}]")


def test_a_dropped_call_is_gone_and_an_error_is_an_answer() -> None:
    play(deciding(lambda call: Drop("no")), f"> {BEAT}")
    play(deciding(lambda call: Reply(CallError(code="NotSupported", description="d"))),
         f"> {BEAT}\n<= [4,\"1\",\"NotSupported\",\"d\",{{}}]")


def test_a_held_call_is_overtaken_and_leaves_in_time() -> None:
    def hold(call: Call) -> Decision:
        return Hold(5, Replace(call.carrying({"late": True}))) if call.action == "Heartbeat" else PASS

    play(deciding(hold), f"""
        > {BEAT}
        > [2,"2","Other",{{}}]
        => [2,"2","Other",{{}}]
        +4.9s
        +0.2s
        => [2,"1","Heartbeat",{{"late":true}}]
    """)
    play(deciding(lambda call: Hold(5)), f"> {BEAT}\nend\n=> {BEAT}")      # what is held leaves when the link ends
    play(deciding(lambda call: Hold(1e6)), f"> {BEAT}\n+30s\n=> {BEAT}")     # bounded by the time limit of a Call


def test_holding_is_bounded_and_nothing_is_lost() -> None:
    stage = Stage([deciding(lambda call: Hold(20))])
    count = MOST_KEPT + 10
    for number in range(count):
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
    assert (stage.onion.room.count, stage.onion.room.refused) == (MOST_KEPT, 10)
    assert [code for code, _ in stage.played.findings] == ["plugin-overflow"] * 4         # at 1, 2, 4, 8
    stage.wait(20)
    assert (stage.onion.room.count, stage.onion.room.bytes) == (0, 0)
    assert sorted(int(text.split('"')[1]) for _, text in stage.played.sent) == list(range(count))


def test_asking_suspends_only_that_message_and_the_answer_reaches_only_who_asked() -> None:
    play([First, asking(Side.CSMS), Second], """
        > [2,"1","StartTransaction",{}]
        => [2,"$1","Authorize",{"idTag":"t","by":"b"}]
        > [3,"77",{}]
        => [3,"77",{}]
        < [2,"8","Reset",{}]
        <= [2,"8","Reset",{"by":"ba"}]
        < [3,"$1",{}]
        => [2,"1","StartTransaction",{"asked":{"by":"b(t)"},"by":"b"}]
    """.replace("b(t)", "b()"))


def test_no_answer_is_none_and_a_late_one_reaches_nobody() -> None:
    played = play(asking(Side.CSMS, 3), """
        > [2,"1","StartTransaction",{}]
        => [2,"$1","Authorize",{"idTag":"t"}]
        +3s
        < [3,"$1",{}]
        < [4,"$1","GenericError","",{}]
        > [2,"2","Heartbeat",{}]
        => [2,"2","Heartbeat",{}]
    """)
    assert all('"1"' not in text for _, text in played.sent)


def test_a_question_for_the_station_waits_for_a_quiet_direction_but_not_for_ever() -> None:
    play(asking(Side.STATION), """
        < [2,"7","GetConfiguration",{}]
        <= [2,"7","GetConfiguration",{}]
        > [2,"1","StartTransaction",{}]
        > [3,"7",{}]
        => [3,"7",{}]
        <= [2,"$1","Authorize",{"idTag":"t"}]
        > [3,"$1",{"ok":1}]
        => [2,"1","StartTransaction",{"asked":{"ok":1}}]
    """)
    play(asking(Side.STATION), """
        < [2,"7","GetConfiguration",{}]
        <= [2,"7","GetConfiguration",{}]
        > [2,"1","StartTransaction",{}]
        +1.9s
        +0.2s
        <= [2,"$1","Authorize",{"idTag":"t"}]
    """)


def test_calls_that_come_while_ours_is_under_way_wait_in_order() -> None:
    play(asking(Side.CSMS), """
        > [2,"1","StartTransaction",{}]
        => [2,"$1","Authorize",{"idTag":"t"}]
        > [2,"2","Heartbeat",{}]
        > [2,"3","MeterValues",{}]
        < [3,"$1",{}]
        => [2,"2","Heartbeat",{}]
        => [2,"3","MeterValues",{}]
        => [2,"1","StartTransaction",{"asked":{}}]
        < [3,"2",{}]
        <= [3,"2",{}]
    """)


def test_what_waits_leaves_when_the_station_goes() -> None:
    play(asking(Side.CSMS), """
        > [2,"1","StartTransaction",{}]
        => [2,"$1","Authorize",{"idTag":"t"}]
        > [2,"2","Heartbeat",{}]
        end
        => [2,"2","Heartbeat",{}]
    """)


def test_the_same_id_twice_is_answered_twice() -> None:
    play([First], f"""
        > {BEAT}
        => [2,"1","Heartbeat",{{"by":"a"}}]
        > {BEAT}
        => [2,"1","Heartbeat",{{"by":"a"}}]
        < [3,"1",{{}}]
        <= [3,"1",{{"by":"a()"}}]
        < [3,"1",{{}}]
        <= [3,"1",{{"by":"a()"}}]
        < [3,"1",{{}}]
        <= [3,"1",{{}}]
    """)


def test_open_calls_are_bounded() -> None:
    stage = Stage([First])
    for number in range(MOST_OPEN + 20):
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
    stage.said.clear()
    stage.send(Side.CSMS, '[3,"0",{}]')                                     # forgotten: passes unseen
    stage.send(Side.CSMS, f'[3,"{MOST_OPEN + 19}",{{}}]')
    assert stage.said == ['<= [3,"0",{}]', f'<= [3,"{MOST_OPEN + 19}",{{"by":"a()"}}]']


ODD = [
    "[2,\"1\",\"A\",{}", "[]", "{}", "nonsense", '[9,"1","A",{}]', "[2,5,\"A\",{}]", "[2,\"1\",\"A\",null]",
    "[5,\"1\",\"X\",\"\",{}]",
    "[2,\"1\",\"A\",[]]", "[3,\"1\"]", "[4,\"1\"]", "\ufeff[2]",
]


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_message_passes_unseen(text: str) -> None:
    played = play(deciding(lambda call: Drop("seen")), f"> {text}\n=> {text}")
    assert played.findings == []


def test_a_payload_that_is_no_json_is_not_the_plugins_fault() -> None:
    played = play([First] * 2, '> [2,"1","A",{"a":}]\n=> [2,"1","A",{"a":}]')
    assert played.findings == []


def test_an_odd_but_sound_call_is_seen() -> None:
    play([First], '> [ 2 , "1", "A b", {"x": 1} ]\n=> [2,"1","A b",{"x":1,"by":"a"}]')


def test_sends_have_their_own_hook() -> None:
    class Sending(Plugin):
        def on_send(self, context: Context, sender: Side, send: Send) -> Decision:
            context.send(sender.other, Send(b'{"copy":1}', send.action), "a copy")
            return PASS

    play(Sending, '> [6,"1","NotifyPeriodicEventStream",{}]\n=> [6,"1","NotifyPeriodicEventStream",{}]\n'
                  '=> [6,"$1","NotifyPeriodicEventStream",{"copy":1}]', version="2.1")


# ---- failures ----

class Wrong:
    def __str__(self) -> str:
        raise ValueError


def bad_generator(call: Call) -> Any:
    yield "not an Ask"


def returned_ask(call: Call) -> Any:
    return Ask(Side.CSMS, call)


def raising(call: Call) -> Decision:
    raise RuntimeError(Wrong())


def raising_after(call: Call) -> Generator[Ask, Answer | None, Verdict]:
    yield Ask(Side.CSMS, Call.of("X", {}), 1)
    raise RuntimeError("later")


def any_value(value: Any) -> Any:
    """For values that no type allows."""
    return value


def exiting(call: Call) -> Decision:
    raise SystemExit


FAILURES: dict[str, Callable[[Call], Any]] = {
    "raises": raising, "exits": exiting, "None": lambda call: None, "True": lambda call: True, "class": lambda call: Drop,
    "wrong kind": lambda call: Replace(CallResult()), "wrong answer": lambda call: Reply(any_value(Call())),
    "payload": lambda call: Replace(Call(any_value("text"), "A")), "surrogate": lambda call: Replace(Call(b"{}", "\ud800")),
    "hold": lambda call: Hold(-1), "hold text": lambda call: Hold(any_value("5")),
    "hold in hold": lambda call: Hold(1, any_value(Hold(1))), "generator": bad_generator, "ask returned": returned_ask,
    "nan": lambda call: Hold(float("nan")), "error code": lambda call: Reply(CallError(code=any_value(5))),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_plugin_lets_the_original_pass_and_is_switched_off(name: str) -> None:
    stage = Stage([First, deciding(FAILURES[name]), Second])
    for _ in range(STRIKES + 2):
        stage.said.clear()
        stage.send(Side.STATION, BEAT)
        assert stage.said[0] == '=> [2,"1","Heartbeat",{"by":"ab"}]'
    assert [code for code, _ in stage.played.findings] == ["plugin-failed"] * STRIKES + ["plugin-off"]
    assert all("deciding" in message for _, message in stage.played.findings)


def test_on_error_drop_stays_closed_and_close_ends_the_link() -> None:
    stage = Stage([deciding(raising)], on_error="drop")
    for _ in range(STRIKES + 5):
        stage.send(Side.STATION, BEAT)
    assert stage.played.sent == [] and len(stage.played.findings) == STRIKES + 1
    stage = Stage([deciding(raising)], on_error="close")
    stage.send(Side.STATION, BEAT)
    assert stage.played.sent == [] and stage.played.disconnected


def test_a_plugin_that_cannot_be_made_is_told() -> None:
    class Broken(Plugin):
        def __init__(self) -> None:
            raise OSError("no such file")

    told = play(Broken, f"! plugin-failed\n> {BEAT}\n=> {BEAT}").findings[0][1]
    assert told.startswith("plugin broken: its constructor raised OSError: no such file")
    assert play(Broken, "! plugin-failed\nx", on_error="close").disconnected


def test_hooks_without_a_use_are_not_called() -> None:
    class Deaf(First):
        @classmethod
        def unused(cls, options: Any) -> list[Any]:
            return ["on_call"]

    class Failing(First):
        @classmethod
        def unused(cls, options: Any) -> list[Any]:
            return [[]]

    text = '> [2,"1","A",{}]\n=> [2,"1","A",{}]\n< [3,"1",{}]\n<= [3,"1",{"by":"a()"}]'
    assert play(Deaf, text).findings == []
    both = '! plugin-failed\n> [2,"1","A",{}]\n=> [2,"1","A",{"by":"a"}]\n< [3,"1",{}]\n<= [3,"1",{"by":"a()"}]'
    assert [code for code, _ in play(Failing, both).findings] == ["plugin-failed"]


def test_one_that_fails_after_its_answer_lets_the_message_go() -> None:
    play(deciding(raising_after), f"""
        > {BEAT}
        => [2,"$1","X",{{}}]
        < [3,"$1",{{}}]
        ! plugin-failed
        => {BEAT}
    """)


def test_asking_without_end_is_a_failure() -> None:
    def endless(call: Call) -> Generator[Ask, Answer | None, Verdict]:
        while True:
            yield Ask(Side.CSMS, Call.of("X", {}))

    answering = deciding(lambda call: Reply(CallResult()) if call.action == "X" else PASS)
    played = play([deciding(endless), answering], f"> {BEAT}\n! plugin-failed\n=> {BEAT}")
    assert str(MOST_ASKS) in played.findings[0][1]


def test_sending_without_end_is_a_failure() -> None:
    class Echo(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            for _ in range(3):
                context.send(sender.other, Call.of("X", {}))
                context.send(sender, Call.of("X", {}))
            return PASS

    stage = Stage([Echo, Echo])
    stage.send(Side.STATION, BEAT)
    assert any(str(MOST_WISHES) in message for _, message in stage.played.findings)


def test_a_thousand_calls_of_ours_never_collide_and_never_leak() -> None:
    class Injecting(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            context.send(Side.CSMS, Call.of("Injected", {}))
            return PASS

    stage = Stage([Injecting])
    for number in range(1000):
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
        stage.send(Side.CSMS, f'[3,"{number}",{{}}]')
        stage.send(Side.CSMS, f'[3,"${number + 1}",{{}}]')
    to_station = [text for sender, text in stage.played.sent if sender is Side.CSMS]
    assert to_station == [f'[3,"{number}",{{}}]' for number in range(1000)]
    to_csms = [text for sender, text in stage.played.sent if sender is Side.STATION]
    assert len(to_csms) == len(set(to_csms)) == 2000 and stage.onion.room.count == 0


def test_ten_thousand_messages_through_one_that_raises_on_every_tenth() -> None:
    class Raising(Plugin):
        seen = 0

        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            self.seen += 1
            if self.seen % 10 == 0:
                raise KeyError(self.seen)
            return PASS

    stage = Stage([Raising])
    texts = [f'[2,"{number}","Heartbeat",{{}}]' for number in range(10_000)]
    for text in texts:
        stage.send(Side.STATION, text)
    assert [text for _, text in stage.played.sent] == texts
    assert [code for code, _ in stage.played.findings] == ["plugin-failed"] * STRIKES + ["plugin-off"]


def test_own_ids_are_known_again_and_foreign_ones_are_not() -> None:
    ids = OwnIds(lambda count: bytes(range(count)))
    other = OwnIds(lambda count: bytes(range(7, 7 + count)))
    assert len(ids.new()) == 36 and ids.is_own(ids.new())
    assert not ids.is_own(other.new()) and not ids.is_own("1") and not ids.is_own("")


def test_a_reason_that_cannot_be_stored_is_made_so() -> None:
    stage = Stage([deciding(lambda call: Drop("\ud800" * 5000))])
    stage.send(Side.STATION, BEAT)
    assert stage.played.findings == []


def test_the_conversation_player_notices_what_differs() -> None:
    with pytest.raises(AssertionError, match="expected"):
        play(Plugin, f"> {BEAT}")
    with pytest.raises(AssertionError, match="came"):
        play(Plugin, f"> {BEAT}\n=> {DONE}")
    with pytest.raises(ValueError, match="no line"):
        play(Plugin, "hello")
