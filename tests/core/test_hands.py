"""Acting by hand on an onion: breakpoints, decisions about what is held, Calls by hand, other plugins; without a socket."""

from collections.abc import Generator

import pytest

from ocpp_proxy.api import (
    PASS,
    Answer,
    Ask,
    Call,
    CallError,
    CallResult,
    Closing,
    Context,
    Decision,
    Drop,
    Hold,
    Malformed,
    Plugin,
    Replace,
    Reply,
    Send,
    Side,
    Verdict,
)
from ocpp_proxy.core.hands import TOO_MANY, Breakpoint, Hands, Outcome
from ocpp_proxy.core.lanes import MOST_KEPT
from ocpp_proxy.core.matching import matcher
from ocpp_proxy.core.seats import Installed
from ocpp_proxy.testing import START_NS, Stage, _entropy

BEAT = '[2,"1","Heartbeat",{}]'
DONE = '[3,"1",{"currentTime":"x"}]'
STATUS = '[2,"7","StatusNotification",{"connectorId":1}]'


class Mark(Plugin):
    """Writes a mark into Calls, and takes it out of answers."""

    closed: list[Closing] = []          # noqa: RUF012  # of all links of a test

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({**call.json(), "mark": 1}))

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        return Replace(CallResult.of({**answer.json(), "seen": call.json()}))

    def on_close(self, context: Context, closing: Closing) -> None:
        self.closed.append(closing)


class Holder(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Hold(5, Drop("later"), "a plugin's reason") if call.action == "Heartbeat" else PASS


class Asker(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        answer = yield Ask(Side.STATION, Call.of("GetConfiguration", {}))
        return Replace(call.carrying({"asked": answer is not None}))


@pytest.fixture(autouse=True)
def forget() -> None:
    Mark.closed.clear()


class Desk(Stage):
    """A link at which a person acts. ``came``: outcomes of what was injected."""

    def __init__(self, *plugins: type[Plugin]) -> None:
        super().__init__([])
        self.hands = Hands(self.chain(*plugins), "CP1", "1.6", _entropy(), now_ns=START_NS)
        self.onion = self.hands
        self.came: list[Outcome] = []
        self.points: list[Breakpoint] = []

    @staticmethod
    def chain(*plugins: type[Plugin]) -> list[Installed]:
        return [Installed(kind.__name__.lower(), kind) for kind in plugins]

    def stop_at(self, *texts: str) -> None:
        self.points = [Breakpoint(number, matcher(text), f"breakpoint {number}") for number, text in enumerate(texts, 1)]
        self.hands.arm(self.points, self._now_ns)
        self._collect()

    def decide(self, verdict: Replace | Drop | Reply | None, number: int = 1) -> bool:
        found = self.hands.decide(number, verdict, "anna", self._now_ns)
        self._collect()
        return found

    def inject(self, side: Side, message: Call | Send, seconds: float = 30.0) -> str:
        message_id = self.hands.inject(side, message, "anna", seconds, self.came.append, self._now_ns)
        self._collect()
        return message_id

    def reseat(self, *plugins: type[Plugin]) -> None:
        self.hands.reseat(self.chain(*plugins), self._now_ns)
        self._collect()

    def heard(self) -> list[str]:
        """What came out since the last time."""
        said, self.said[:] = list(self.said), []
        return said


def test_a_breakpoint_holds_what_passes_its_filter_and_nothing_else() -> None:
    desk = Desk()
    desk.stop_at("action == Heartbeat")
    desk.send(Side.STATION, BEAT)
    desk.send(Side.STATION, STATUS)
    assert desk.heard() == [f"=> {STATUS}"]
    (held,) = desk.hands.held()
    assert (held.side, held.mtype, held.action, held.message_id, held.text, held.by, held.reason) == (
        Side.STATION, 2, "Heartbeat", "1", BEAT.encode(), "hand", "breakpoint 1")
    assert [point.held for point in desk.points] == [1]


def test_what_is_held_goes_on_by_itself_before_its_time_out() -> None:
    desk = Desk()
    desk.stop_at("action == Heartbeat")
    desk.send(Side.STATION, BEAT)
    assert desk.hands.held()[0].until_ns == START_NS + 28_000_000_000
    desk.wait(27.9)
    assert desk.heard() == []
    desk.wait(0.2)
    assert desk.heard() == [f"=> {BEAT}"]
    assert not desk.decide(Drop("too late"))


def test_a_changed_time_out_counts_from_the_next_message_on() -> None:
    desk = Desk()
    desk.stop_at("action == Heartbeat")
    desk.hands.call_time(8_000_000_000)
    desk.send(Side.STATION, BEAT)
    assert desk.hands.held()[0].until_ns == START_NS + 6_000_000_000


def test_an_answer_is_held_no_longer_than_its_call_is_waited_for() -> None:
    desk = Desk()
    desk.stop_at("mtype == 3")
    desk.send(Side.STATION, BEAT)
    desk.wait(20)
    desk.send(Side.CSMS, DONE)
    assert desk.heard() == [f"=> {BEAT}"]
    assert [(held.action, held.until_ns) for held in desk.hands.held()] == [("Heartbeat", START_NS + 28_000_000_000)]
    desk.wait(8.1)
    assert desk.heard() == [f"<= {DONE}"]


@pytest.mark.parametrize(("verdict", "said"), [
    (None, f"=> {BEAT}"),
    (Replace(Call(b'{"a":1}', "Heartbeat", "1")), '=> [2,"1","Heartbeat",{"a":1}]'),
    (Reply(CallResult(b'{"a":2}')), '<= [3,"1",{"a":2}]'),
    (Reply(CallError(b"{}", "NotSupported", "no")), '<= [4,"1","NotSupported","no",{}]'),
    (Drop("unwanted"), ""),
], ids=["release", "edit", "reply", "reply with an error", "drop"])
def test_a_person_decides_about_a_held_call(verdict: Replace | Drop | Reply | None, said: str) -> None:
    desk = Desk()
    desk.stop_at("action == Heartbeat")
    desk.send(Side.STATION, BEAT)
    assert desk.decide(verdict)
    assert desk.heard() == ([said] if said else [])
    assert not desk.hands.holds
    assert not desk.decide(verdict)
    desk.wait(60)
    assert desk.heard() == []


def test_an_edited_call_passes_the_plugins_behind_and_its_answer_too() -> None:
    desk = Desk(Mark)
    desk.stop_at("action == Heartbeat and mtype == 2")
    desk.send(Side.STATION, BEAT)
    desk.decide(Replace(Call(b'{"a":1}', "Heartbeat", "1")))
    desk.send(Side.CSMS, DONE)
    assert desk.heard() == [
        '=> [2,"1","Heartbeat",{"a":1,"mark":1}]', '<= [3,"1",{"currentTime":"x","seen":{"a":1}}]']


def test_what_a_plugin_holds_can_be_decided_too() -> None:
    desk = Desk(Holder)
    desk.send(Side.STATION, BEAT)
    desk.send(Side.STATION, BEAT.replace('"1"', '"2"'))
    assert [(held.by, held.reason) for held in desk.hands.held()] == [("holder", "a plugin's reason")] * 2
    desk.decide(Replace(Call(b"{}", "Heartbeat", "1")))
    desk.decide(None, 2)                                    # what the plugin wanted then: drop
    assert desk.heard() == [f"=> {BEAT}"]


def test_a_breakpoint_taken_away_lets_go_of_what_it_holds_and_only_of_that() -> None:
    desk = Desk()
    desk.stop_at("action == Heartbeat", "action == StatusNotification")
    desk.send(Side.STATION, BEAT)
    desk.send(Side.STATION, STATUS)
    desk.hands.arm(desk.points[1:], START_NS)
    desk._collect()
    assert desk.heard() == [f"=> {BEAT}"]
    assert [held.action for held in desk.hands.held()] == ["StatusNotification"]


def test_a_text_that_is_no_message_can_be_held_and_put_right() -> None:
    desk = Desk()
    desk.stop_at("not mtype == CALL")
    desk.send(Side.STATION, '[2,"1","Heartbeat",{}')
    desk.send(Side.STATION, BEAT)
    assert desk.heard() == [f"=> {BEAT}"]
    assert [(held.mtype, held.text) for held in desk.hands.held()] == [(0, b'[2,"1","Heartbeat",{}')]
    assert desk.decide(Replace(Malformed(b'[2,"1","Heartbeat",{}]')))
    assert desk.heard() == [f"=> {BEAT}"]


def test_a_full_link_holds_no_more_and_says_so() -> None:
    desk = Desk()
    desk.stop_at("action == Heartbeat")
    for number in range(MOST_KEPT + 1):
        desk.send(Side.STATION, BEAT.replace('"1"', f'"{number}"'))
    assert desk.heard() == ["! plugin-overflow", f'=> [2,"{MOST_KEPT}","Heartbeat",{{}}]'][::-1]
    assert len(desk.hands.held()) == MOST_KEPT


@pytest.mark.parametrize("side", list(Side))
def test_an_injected_call_passes_no_plugin_and_its_answer_goes_to_who_asked(side: Side) -> None:
    desk = Desk(Mark)
    desk.stop_at("action == Reset")
    arrow = "<=" if side is Side.STATION else "=>"
    message_id = desk.inject(side, Call.of("Reset", {"type": "Soft"}))
    assert desk.heard() == [f'{arrow} [2,"$1","Reset",{{"type":"Soft"}}]']
    desk.wait(1.5)
    desk.send(side, '[3,"$1",{"status":"Accepted"}]')
    assert desk.heard() == []
    (outcome,) = desk.came
    assert (outcome.what, outcome.message_id, outcome.took_ns) == ("result", message_id, 1_500_000_000)
    assert outcome.answer is not None
    assert outcome.answer.json() == {"status": "Accepted"}
    desk.send(side, '[3,"$1",{"status":"Accepted"}]')       # once more: it is known as ours
    assert desk.heard() == []


def test_outcomes_of_what_is_injected() -> None:
    desk = Desk()
    desk.inject(Side.STATION, Call.of("Reset", {}), 3)
    desk.send(Side.STATION, '[4,"$1","NotSupported","no",{}]')
    desk.inject(Side.STATION, Call.of("Reset", {}), 3)
    desk.wait(4)
    desk.inject(Side.CSMS, Send(b"{}", "NotifyPeriodicEventStream"))
    desk.inject(Side.STATION, Call.of("Reset", {}), 3)
    desk.end()
    assert [outcome.what for outcome in desk.came] == ["error", "timeout", "sent", "closed"]
    error = desk.came[0].answer
    assert isinstance(error, CallError)
    assert (error.code, error.description) == ("NotSupported", "no")


def test_an_injected_call_waits_for_a_quiet_direction_and_two_seconds_at_most() -> None:
    desk = Desk()
    desk.send(Side.CSMS, '[2,"c","GetConfiguration",{}]')
    desk.inject(Side.STATION, Call.of("Reset", {}))
    assert len(desk.heard()) == 1
    desk.wait(1)
    desk.send(Side.STATION, '[3,"c",{}]')
    assert desk.heard() == ['=> [3,"c",{}]', '<= [2,"$1","Reset",{}]']
    desk.send(Side.STATION, '[3,"$1",{}]')
    desk.send(Side.CSMS, '[2,"d","GetConfiguration",{}]')
    desk.inject(Side.STATION, Call.of("Reset", {}))
    desk.wait(2.1)
    assert desk.heard() == ['<= [2,"d","GetConfiguration",{}]', '<= [2,"$2","Reset",{}]']


def test_injected_calls_that_wait_are_bounded() -> None:
    desk = Desk()
    for _ in range(MOST_KEPT + 3):
        desk.inject(Side.STATION, Call.of("Reset", {}))
    assert [(outcome.what, outcome.reason) for outcome in desk.came] == [("refused", TOO_MANY)] * 2
    for number in range(MOST_KEPT + 1):
        desk.send(Side.STATION, f'[3,"${number + 1}",{{}}]')
    assert [outcome.what for outcome in desk.came[2:]] == ["result"] * (MOST_KEPT + 1)
    assert len({outcome.message_id for outcome in desk.came}) == MOST_KEPT + 3


def test_a_plugin_that_comes_sees_the_calls_from_now_on() -> None:
    desk = Desk()
    desk.send(Side.STATION, BEAT)
    desk.reseat(Mark)
    desk.send(Side.CSMS, DONE)
    desk.send(Side.STATION, BEAT)
    assert desk.heard() == [f"=> {BEAT}", f"<= {DONE}", '=> [2,"1","Heartbeat",{"mark":1}]']


def test_a_plugin_that_goes_still_sees_the_answers_to_what_it_saw() -> None:
    desk = Desk(Mark)
    desk.send(Side.STATION, BEAT)
    desk.reseat()
    assert Mark.closed == []
    desk.send(Side.STATION, STATUS)
    desk.send(Side.CSMS, DONE)
    desk.send(Side.CSMS, '[3,"7",{}]')
    assert desk.heard() == [
        '=> [2,"1","Heartbeat",{"mark":1}]', f"=> {STATUS}", '<= [3,"1",{"currentTime":"x","seen":{}}]', '<= [3,"7",{}]']
    desk.wait(2)
    assert Mark.closed == [Closing(None, "switched off")]
    assert desk.hands.due_ns() == 0


def test_a_plugin_that_goes_lets_go_of_what_it_holds() -> None:
    desk = Desk(Holder)
    desk.send(Side.STATION, STATUS)
    desk.send(Side.STATION, BEAT.replace("Heartbeat", "DataTransfer"))
    desk.send(Side.STATION, BEAT)
    desk.heard()
    desk.reseat()
    desk.wait(10)
    assert desk.heard() == []                               # as it wanted: dropped
    assert desk.hands.room.count == 0


def test_a_plugin_that_goes_asks_no_longer() -> None:
    desk = Desk(Asker, Mark)
    desk.send(Side.STATION, BEAT)
    assert desk.heard() == ['<= [2,"$1","GetConfiguration",{}]']
    desk.reseat(Mark)
    assert desk.heard() == ['=> [2,"1","Heartbeat",{"mark":1}]']
    desk.send(Side.STATION, '[3,"$1",{}]')
    assert desk.heard() == []
    assert desk.hands.room.count == 0


def test_the_end_of_a_link_lets_go_of_what_is_held_of_that_side() -> None:
    desk = Desk()
    desk.stop_at("mtype == 2")
    desk.send(Side.STATION, BEAT)
    desk.end()
    assert desk.heard() == [f"=> {BEAT}"]


@pytest.mark.parametrize("mends", [False, True])
@pytest.mark.parametrize(("text", "what", "payload", "code"), [
    ('[3,"ID",[]]', "result", b"[]", ""),
    ('[3,"ID",null]', "result", b"null", ""),
    ('[3,"ID"]', "result", b"", ""),
    ('[4,"ID","NotSupported"]', "error", b"", "NotSupported"),
    ('[4,"ID",5,5,5]', "error", b"5", "5"),
    ('[3,"ID",{"status":]', "error", b'"[3,\\"ID\\",{\\"status\\":]"', "unreadable"),
    ('[7,"ID",{}]', "error", b'"[7,\\"ID\\",{}]"', "unreadable"),
])
def test_an_answer_of_no_ordinary_shape_to_a_call_by_hand_goes_to_who_asked_too(
    mends: bool, text: str, what: str, payload: bytes, code: str,
) -> None:
    desk = Desk()
    if mends:
        desk.stop_at("action == Other")         # texts that are no messages are looked at
    made = desk.inject(Side.STATION, Call.of("Reset", {"type": "Soft"}))
    desk.heard()
    desk.send(Side.STATION, text.replace("ID", made))
    assert desk.heard() == []
    (came,) = desk.came
    assert came.answer is not None
    given = came.answer.payload.replace(made.encode(), b"ID")
    assert (came.what, given, getattr(came.answer, "code", "")) == (what, payload, code)
    desk.send(Side.STATION, text.replace("ID", made))           # a second time, and nobody waits
    assert desk.heard() == []
    desk.send(Side.STATION, text.replace("ID", "other"))
    assert desk.heard() == ["=> " + text.replace("ID", "other")]
    desk.inject(Side.STATION, Call.of("Reset", {"type": "Soft"}))
    assert len(desk.heard()) == 1               # the direction is quiet


def test_a_plugin_gets_no_answer_where_its_call_is_answered_by_no_message() -> None:
    desk = Desk(Asker)
    desk.send(Side.STATION, BEAT)
    (asked,) = desk.heard()
    desk.send(Side.STATION, f'[3,"{asked.split(chr(34))[1]}",[]]')
    assert desk.heard() == ['=> [2,"1","Heartbeat",{"asked":false}]']
