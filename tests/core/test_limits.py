"""What stays within its bounds whatever peers and plugins do: open Calls, the time of hooks, a link that is over."""

from ocpp_proxy.api import PASS, Ask, Call, Closing, Context, Decision, Plugin, Side
from ocpp_proxy.core.hands import Hands, Outcome
from ocpp_proxy.core.lanes import MOST_KEPT, MOST_OPEN
from ocpp_proxy.core.seats import HookTimeout, Installed, NoLimit
from ocpp_proxy.testing import START_NS, Stage, _entropy

BEAT = b'[2,"1","Heartbeat",{}]'


class Patient(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return self.ask() if call.action == "Ask" else PASS

    def ask(self) -> Decision:
        yield Ask(Side.CSMS, Call.of("Any", {}), 600)
        return PASS


def test_open_calls_are_bounded_while_one_of_ours_is_never_answered() -> None:
    stage = Stage([Patient])
    stage.send(Side.STATION, '[2,"a","Ask",{}]')
    for number in range(MOST_OPEN + MOST_KEPT + 100):
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
    lane = stage.onion._lanes[Side.STATION]
    assert lane.own is not None and lane.count <= MOST_OPEN + 1
    assert lane.count == sum(map(len, lane.open.values()))


class Late(NoLimit):
    """Its signal comes when the hook is over already."""

    def __init__(self) -> None:
        self.late = False

    def leave(self) -> None:
        if self.late:
            self.late = False
            raise HookTimeout


class Asking(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return self.ask() if call.action == "Ask" else PASS

    def ask(self) -> Decision:
        self.limit.late = True
        return PASS
        yield Ask(Side.CSMS, call=Call.of("Any", {}))

    limit = Late()


def test_a_hook_interrupted_in_the_moment_of_its_end_does_not_end_more_than_itself() -> None:
    hands = Hands([Installed("asking", Asking)], "CP1", "1.6", _entropy(), limit=Asking.limit, now_ns=START_NS)
    for number, action in ((1, b"Heartbeat"), (2, b"Ask")):
        Asking.limit.late = action == b"Heartbeat"
        text = BEAT.replace(b"Heartbeat", action)
        assert hands.receive(Side.STATION, text, 1, START_NS) == PASS_ON
        assert hands.seats[0].strikes == number


PASS_ON = Hands([], "CP1", "1.6", _entropy()).receive(Side.STATION, BEAT, 1, START_NS)


def test_on_a_link_that_is_over_nothing_is_waited_for() -> None:
    came = list[Outcome]()
    hands = Hands([], "CP1", "1.6", _entropy(), now_ns=START_NS)
    hands.close(Closing(None, "fin"), START_NS)
    hands.inject(Side.STATION, Call.of("Reset", {}), "anna", 30, came.append, START_NS)
    assert [one.what for one in came] == ["closed"]
    hands.reseat([Installed("asking", Asking)], START_NS)
    assert hands.seats == [] and hands.actions == []
