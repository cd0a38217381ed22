"""One side of a link played again: order, answers, ids and times put in, and where the peer does otherwise."""

import itertools
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.core.replay_text import differences, learn, moved
from ocpp_proxy.core.replaying import Difference, Player
from ocpp_proxy.model import Message, Side

S, C = Side.STATION, Side.CSMS
T0 = 1_767_225_600_000_000_000              # 2026-01-01T00:00:00Z
NOW = T0 + 86_400_000_000_000


def entropy() -> Callable[[int], bytes]:
    drawn = itertools.count()
    return lambda count: sha256(str(next(drawn)).encode()).digest()[:count]


class Link:
    """A link as a capture has it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add(self, after: float, sender: Side, mtype: int, action: str, payload: Any, call: int | None = None) -> int:
        number = len(self.messages) + 1
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.messages.append(Message(
            number, number, 1, "CP1", T0 + int(after * 1e9), sender, mtype, f"m{number}", action, "ocpp1.6", text,
            call_no=call,
        ))
        return number

    def call(self, after: float, sender: Side, action: str, payload: Any, answer: Any) -> None:
        number = self.add(after, sender, 2, action, payload)
        if answer is not None:
            self.add(after + 0.1, sender.other, 3, action, answer, number)

    def player(self, side: Side, **options: Any) -> Player:
        player = Player(self.messages, side, entropy(), **options)
        player.begin(NOW)
        return player


def said(texts: list[bytes]) -> list[Any]:
    return [json.loads(text) for text in texts]


def answer(text: bytes, payload: Any) -> bytes:
    return json.dumps([3, json.loads(text)[1], payload]).encode()


def charging() -> Link:
    link = Link()
    booted = {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}
    link.call(0, S, "BootNotification", {"chargePointVendor": "V"}, booted)
    link.call(10, S, "StartTransaction", {"timestamp": "2026-01-01T00:00:10Z", "meterStart": 0}, {"transactionId": 17})
    link.call(12, C, "RemoteStopTransaction", {"transactionId": 17}, {"status": "Accepted"})
    link.call(20, S, "StopTransaction", {"transactionId": 17, "timestamp": "2026-01-01T00:00:20.250+02:00", "meterStop": 5}, {})
    return link


def test_as_station_calls_leave_one_at_a_time_at_their_distances() -> None:
    player = charging().player(S)
    [boot] = player.tick(NOW)
    assert json.loads(boot)[2:] == ["BootNotification", {"chargePointVendor": "V"}]
    assert player.tick(NOW + 15_000_000_000) == []              # the one before is not answered
    [start] = player.receive(answer(boot, {"status": "Accepted", "currentTime": "x", "interval": 300}), NOW + 15_000_000_000)
    assert json.loads(start)[2] == "StartTransaction"           # overdue: it leaves as soon as it may
    assert player.receive(answer(start, {"transactionId": 99}), NOW + 16_000_000_000) == []
    assert player.due_ns() == NOW + 20_000_000_000
    [stop] = player.tick(NOW + 20_000_000_000)
    assert json.loads(stop)[3]["transactionId"] == 99           # the id the peer gave now
    ids = {json.loads(text)[1] for text in (boot, start, stop)}
    assert len(ids) == 3 and ids.isdisjoint({"m1", "m3", "m7"})


def test_a_call_of_the_peer_gets_the_answer_of_the_capture() -> None:
    link = Link()
    for value in ("a", "b"):
        link.call(1, C, "GetConfiguration", {"key": ["x"]}, {"configurationKey": [], "unknownKey": [value]})
    player = link.player(S)
    given_now = [said(player.receive(b'[2,"%d","GetConfiguration",{}]' % number, NOW))[0] for number in range(3)]
    assert [one[:2] for one in given_now] == [[3, "0"], [3, "1"], [3, "2"]]
    assert [one[2]["unknownKey"] for one in given_now] == [["a"], ["b"], ["b"]]          # the third: as the last one
    assert said(player.receive(b'[2,"9","Reset",{}]', NOW)) == [[4, "9", "NotImplemented", "not in the capture", {}]]
    assert [(one.kind, one.action) for one in player.finish().differences] == [
        ("unexpected_call", "GetConfiguration"), ("unexpected_call", "Reset")]


def test_a_call_that_nobody_answered_then_is_not_answered_now() -> None:
    link = Link()
    link.call(1, C, "Reset", {"type": "Hard"}, None)
    player = link.player(S)
    assert player.receive(b'[2,"1","Reset",{"type":"Hard"}]', NOW) == [] and player.finish().differences == []


def test_where_the_peer_does_otherwise_is_told() -> None:
    player = charging().player(S, call_ns=5_000_000_000)
    [boot] = player.tick(NOW)
    player.receive(answer(boot, {"status": "Pending", "currentTime": "2026-01-02T00:00:00Z", "retry": 1}), NOW)
    [start] = player.tick(NOW + 10_000_000_000)
    player.receive(b'[4,"%s","InternalError","",{}]' % json.loads(start)[1].encode(), NOW + 10_000_000_000)
    [stop] = player.tick(NOW + 20_000_000_000)
    assert player.tick(NOW + 24_000_000_000) == [] and not player.done
    assert player.tick(NOW + 25_000_000_000) == [] and player.done
    player.receive(answer(stop, {}), NOW + 26_000_000_000)
    played = player.finish()
    assert played.differences == [
        Difference("answer", 1, "BootNotification", "$.status", '"Accepted"', '"Pending"'),
        Difference("answer", 1, "BootNotification", "$.interval", "300", ""),
        Difference("answer", 1, "BootNotification", "$.retry", "", "1"),
        Difference("answer", 3, "StartTransaction", "$", '{"transactionId": 17}', "InternalError"),
        Difference("no_answer", 7, "StopTransaction"),
        Difference("unexpected_answer", 0, "", live=answer(stop, {}).decode()),
        Difference("missing_call", 5, "RemoteStopTransaction"),
    ]
    assert (played.sent, played.answered, played.served) == (3, 2, 0)


def test_as_csms_its_calls_leave_and_the_charger_is_answered() -> None:
    player = charging().player(C, speed=2.0)
    assert player.tick(NOW) == [] and player.due_ns() == NOW + 6_000_000_000
    [[_, _, given_id]] = said(player.receive(b'[2,"7","StartTransaction",{"meterStart":3}]', NOW))
    assert given_id == {"transactionId": 17}
    [stop] = player.tick(NOW + 6_000_000_000)
    assert json.loads(stop)[2:] == ["RemoteStopTransaction", {"transactionId": 17}]
    player.receive(answer(stop, {"status": "Rejected"}), NOW)
    assert player.done and not player.complete                  # the charger has not booted and not stopped
    assert player.ends_ns == NOW + 10_050_000_000
    assert [one.kind for one in player.finish().differences] == ["answer", "missing_call", "missing_call"]


def test_as_fast_as_the_peer_answers() -> None:
    player = charging().player(S, speed=0)
    out = player.tick(NOW)
    seen = []
    while out:
        [text] = out
        seen.append(json.loads(text)[2])
        out = player.receive(answer(text, {}), NOW)
    assert seen == ["BootNotification", "StartTransaction", "StopTransaction"]
    assert player.ends_ns == NOW + 5_000_000_000                # the Call of the peer may still come


def test_times_are_moved_to_now_and_nothing_else() -> None:
    link = charging()
    player = link.player(S, speed=0, rebase_time=True)
    [boot] = player.tick(NOW)
    [start] = player.receive(answer(boot, {}), NOW + 3_000_000_000)
    assert json.loads(start)[3]["timestamp"] == "2026-01-02T00:00:03Z"
    [stop] = player.receive(answer(start, {"transactionId": 17}), NOW + 4_500_000_000)
    assert json.loads(stop)[3]["timestamp"] == "2026-01-02T00:00:04.750+02:00"
    payload = b'{"a":6.10, "timestamp" : "1970-01-01T00:00:01Z","b":"2026-01-01","2026-01-01T00:00:00Z":1}'
    assert moved(payload, {}, 5_000_000_000) == payload         # a clock never set, a day, a name: all as they are
    assert moved(b'["2026-01-01T00:00:00"]', {}, 1_000_000_000) == b'["2026-01-01T00:00:01"]'


def test_ids_of_the_peer_are_put_in_where_they_stand_and_only_there() -> None:
    names: dict[tuple[str, bytes], bytes] = {}
    live = {"transactionId": 2, "x": [{"requestId": "b"}], "status": 2}
    learn({"transactionId": 1, "x": [{"requestId": "a"}], "status": 1}, live, names)
    assert names == {("transactionId", b"1"): b"2", ("requestId", b'"a"'): b'"b"'}
    payload = b'{ "transactionId":1,"connectorId":1 ,"n":{"transactionId":1.0},"requestId":"a","v":["a",1]}'
    assert moved(payload, names, 0) == payload.replace(b':1,', b':2,', 1).replace(b'"a",', b'"b",', 1)


def test_what_is_no_message_is_sent_as_it_was() -> None:
    link = Link()
    link.add(0, S, 0, "", b'{"configurationKey":]')
    assert link.player(S).tick(NOW) == [b'{"configurationKey":]']


def test_times_and_ids_made_up_anew_are_no_difference() -> None:
    one = {"currentTime": "2026-01-01T00:00:00Z", "transactionId": 1, "a": [1, {"b": True}], "c": 1}
    other = {"currentTime": "2027-01-01T00:00:00.5Z", "transactionId": 2, "a": [1, {"b": 1}, 3], "c": 1.0}
    assert differences(one, other) == [("$.a[1].b", "true", "1"), ("$.a[2]", "", "3")]
    assert differences({"transactionId": 1}, {"transactionId": "1"}) == [("$.transactionId", "1", '"1"')]


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(st.sampled_from(["transactionId", "a", "b"]), inner, max_size=3), max_leaves=10)


@given(values, values)
def test_equal_payloads_do_not_differ_and_nothing_raises(one: Any, other: Any) -> None:
    assert differences(one, one) == []
    names: dict[tuple[str, bytes], bytes] = {}
    learn(one, other, names)
    text = json.dumps(one).encode()
    assert json.loads(moved(text, {}, 10**9)) == one            # nothing in it is a time stamp
    json.loads(moved(text, names, 10**18))


@given(st.binary(max_size=60))
def test_any_bytes_of_the_peer_are_taken(text: bytes) -> None:
    player = charging().player(S)
    player.tick(NOW)
    player.receive(text, NOW)
    player.finish()


def test_a_peer_that_goes_on_with_what_the_capture_does_not_have_is_not_waited_for() -> None:
    link = Link()
    link.call(0, C, "Heartbeat", {}, {"currentTime": "x"})
    link.call(1, C, "StatusNotification", {}, {})
    player = link.player(S)
    for second in range(100):
        player.receive(b'[2,"%d","Heartbeat",{}]' % second, NOW + second * 1_000_000_000)
    assert not player.complete and player.done
    assert player.ends_ns == NOW + 5_000_000_000                # the first one only was still to come


def test_what_the_proxy_said_itself_is_not_expected_of_the_peer() -> None:
    link = Link()
    link.call(0, S, "Heartbeat", {}, {"currentTime": "2026-01-02T00:00:00Z", "by": "a plugin"})
    link.call(1, C, "Reset", {"type": "Hard"}, {"status": "Accepted"})
    link.call(2, S, "StartTransaction", {}, {"transactionId": 5})
    link.call(3, S, "StopTransaction", {"transactionId": 5}, {"idTagInfo": {}})
    player = link.player(S, made={2, 3, 6, 8})
    [beat] = player.tick(NOW)
    player.receive(answer(beat, {"currentTime": "2026-01-02T00:00:00Z"}), NOW)
    [start] = player.tick(NOW + 2_000_000_000)
    player.receive(answer(start, {"transactionId": 77}), NOW + 2_000_000_000)
    [stop] = player.tick(NOW + 3_000_000_000)
    assert json.loads(stop)[3] == {"transactionId": 77}                 # the peer's own id all the same
    assert player.finish().differences == []                            # neither the Reset nor an answer


def test_a_peer_that_goes_on_and_on_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy.core.replaying.MOST_TOLD", 3)
    player = Link().player(S)
    for number in range(10):
        player.receive(b'[2,"%d","Reset",{}]' % number, NOW)
    played = player.finish()
    assert (len(played.differences), played.more) == (3, 7)
