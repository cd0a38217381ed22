"""What passes at a glance: answers that no plugin wants to see. A changed Call keeps what stands before its payload."""

from ocpp_proxy.api import PASS, Answer, Call, Context, Decision, Malformed, Plugin, Replace, Side
from ocpp_proxy.core import session
from ocpp_proxy.testing import Stage, play

STATION, CSMS = Side.STATION, Side.CSMS


class Calls(Plugin):
    """Wants to see Calls only; sends one of its own about a Boot."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        if call.action == "Boot":
            context.send(STATION, Call.of("Reset", {}))
        return PASS


class Answers(Calls):
    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        context.find("seen", call.action)
        return PASS


class Other(Plugin):
    """Another payload, and of a Beat another action."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(Call(b'{"other":1}', "Heartbeat" if call.action == "Beat" else call.action))


def test_an_answer_that_nobody_wants_to_see_passes_once_and_its_call_is_open_no_longer() -> None:
    stage = Stage([Calls])
    lane = stage.onion._lanes[STATION]
    assert not stage.onion.passes(CSMS, b'[3,"1",{}]')                  # no Call of that id is open
    assert stage.onion.receive(STATION, b'[2,"1","Heartbeat",{}]', 20, 1) is session.QUIET and lane.count == 1
    assert not stage.onion.passes(STATION, b'[3,"1",{}]')               # the other side's
    assert not stage.onion.passes(CSMS, b'[3,"1",{}] ')                 # of another shape: looked at by ``receive``
    assert not stage.onion.passes(CSMS, b'[4,"1","InternalError","",{}]')
    assert not stage.onion.passes(CSMS, b'[2,"1","Reset",{}]')
    assert stage.onion.passes(CSMS, b'[3,"1",{"currentTime":"x"}]')
    assert (lane.count, lane.open) == (0, {}) and not stage.onion.passes(CSMS, b'[3,"1",{}]')


def test_an_answer_that_a_plugin_wants_to_see_does_not_pass_at_a_glance() -> None:
    stage = Stage([Answers, Calls])
    stage.onion.receive(STATION, b'[2,"1","Heartbeat",{}]', 20, 1)
    assert not stage.onion.passes(CSMS, b'[3,"1",{}]')
    play(Answers, """
        > [2,"1","Heartbeat",{}]
        => [2,"1","Heartbeat",{}]
        < [3,"1",{}]
        <= [3,"1",{}]
        ! answers-seen
    """)


def test_an_answer_to_a_call_of_ours_does_not_pass_at_a_glance_nor_one_that_a_call_waits_for() -> None:
    played = play(Calls, """
        > [2,"1","Boot",{}]
        => [2,"1","Boot",{}]
        <= [2,"$1","Reset",{}]
        < [2,"7","Clear",{}]
        > [3,"$1",{}]
        <= [2,"7","Clear",{}]
        > [3,"7",{}]
        => [3,"7",{}]
        < [3,"1",{}]
        <= [3,"1",{}]
    """)
    assert len(played.sent) == 5


def test_two_calls_of_one_id_are_answered_one_by_one() -> None:
    stage = Stage([Calls])
    for at in (20, 40):
        stage.onion.receive(STATION, b'[2,"1","Heartbeat",{}]', at, 1)
    assert not stage.onion.passes(CSMS, b'[3,"1",{}]')
    assert stage.onion.receive(CSMS, b'[3,"1",{}]', 10, 1) is session.QUIET
    assert stage.onion.passes(CSMS, b'[3,"1",{}]') and stage.onion._lanes[STATION].count == 0


def test_a_changed_call_keeps_what_stood_before_its_payload_and_one_of_another_shape_or_action_is_written_anew() -> None:
    texts = {
        b'[2,"1 x","Boot",{"a":1}]': b'[2,"1 x","Boot",{"other":1}]',
        b'[2,"2","Beat",{"a":[1,{}]}]': b'[2,"2","Heartbeat",{"other":1}]',
        b'[2, "3" ,"Boot",{"a":1}]': b'[2,"3","Boot",{"other":1}]',
        b'[2,"\\u0034","Boot",{"a":1}] ': b'[2,"4","Boot",{"other":1}]',
    }
    stage = Stage([Other])
    for at, (text, expected) in enumerate(texts.items(), 1):
        verdict = stage.onion.receive(STATION, text, at, 1)
        assert isinstance(verdict, session.Replace) and verdict.text == expected


def test_an_ordinary_message_stays_quiet_where_a_plugin_mends_broken_texts() -> None:
    class Mends(Calls):
        def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
            return Replace(Malformed(b'[2,"m","Heartbeat",{}]'))

    onion = Stage([Mends]).onion
    assert onion.receive(STATION, b'[2,"1","Heartbeat",{}]', 20, 1) is session.QUIET
    assert onion.receive(CSMS, b'[3,"1",{}]', 10, 2) is session.QUIET
    mended = onion.receive(STATION, b'[2,"m","Heartbeat",{}', 40, 3)
    assert isinstance(mended, session.Replace) and mended.text == b'[2,"m","Heartbeat",{}]'
