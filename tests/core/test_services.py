"""What the context does for a plugin besides verdicts: the loss ledger, the engine's rules on one message, random bytes."""

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
    Malformed,
    Plugin,
    Replace,
    Reply,
    Side,
    Verdict,
)
from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.services import MOST_LOST
from ocpp_proxy.core.single import Single
from ocpp_proxy.records import Found, PluginFinding
from ocpp_proxy.testing import Stage, play
from ocpp_proxy.wire.spool import ForeignFinding, Kind
from tests.core.feeds import Relay

BOOT = '{"chargePointVendor":"V","chargePointModel":"M"}'


class Losing(Plugin):
    """Loses a field of each Call and answer; fails where the action says so."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        if call.action == "Ask":
            return self.ask(context, call)
        context.lost("$.a", "no such field there")
        if call.action == "Fail":
            raise RuntimeError
        if call.action == "Much":
            for _ in range(MOST_LOST):
                context.lost("$.b", "")
        if call.action == "Odd":
            context.lost("b", "")
        return PASS if call.action == "Keep" else Replace(call.carrying({}))

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        context.lost("$.c[0]", "too long", "shortened")
        return PASS

    def ask(self, context: Context, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        yield Ask(Side.CSMS, Call.of("Other", {}), 5)
        context.lost("$.d", "made up", "invented")
        return PASS


def test_losses_name_the_message_at_hand_and_come_before_what_leaves() -> None:
    played = play(Losing, """
        > [2,"1","Boot",{"a":1}]
        ~ dropped $.a
        => [2,"1","Boot",{}]
        < [3,"1",{}]
        ~ shortened $.c[0]
        <= [3,"1",{}]
        > [2,"2","Ask",{}]
        => [2,"$1","Other",{}]
        < [3,"$1",{}]
        ~ invented $.d
        => [2,"2","Ask",{}]
    """)
    assert [(one.sender, one.plugin, one.action, one.message_id, one.reason) for one in played.losses] == [
        (Side.STATION, "losing", "Boot", "1", "no such field there"), (Side.CSMS, "losing", "Boot", "1", "too long"),
        (Side.STATION, "losing", "Ask", "2", "made up"),
    ]


@pytest.mark.parametrize("action", ["Fail", "Much", "Odd"])
def test_a_hook_that_fails_has_lost_nothing(action: str) -> None:
    played = play(Losing, f"""
        > [2,"1","Keep",{{}}]
        ~ dropped $.a
        => [2,"1","Keep",{{}}]
        > [2,"2","{action}",{{"a":1}}]
        => [2,"2","{action}",{{"a":1}}]
        ! plugin-failed
    """)
    assert len(played.losses) == 1


class Judged(Plugin):
    """Repairs nothing, says what the rules say: of what came, of an answer it would make, of an answer that came."""

    def __init__(self) -> None:
        self.said: list[list[str]] = []

    def note(self, context: Context, message: Call | CallResult | CallError | Malformed) -> None:
        self.said.append([f"{found.code} {found.blame} {found.path}".strip() for found in context.findings(message)])

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        self.note(context, call)
        if call.action == "BootNotification":
            self.note(context, CallResult.of({"status": "Maybe"}))
            self.note(context, Malformed.of("[2,"))
            self.note(context, Malformed.of('[2,"1","Nonsense",{}]'))
            return Reply(CallError())
        return PASS

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        self.note(context, answer)
        return PASS


def test_the_rules_judge_what_came_and_what_would_be_sent() -> None:
    plugin = Judged()
    play(plugin, f"""
        > [2,"1","BootNotification",{BOOT}]
        <= [4,"1","InternalError","",{{}}]
        > [2,"2","Heartbeat",{{}}]
        => [2,"2","Heartbeat",{{}}]
        < [3,"2",{{"currentTime":7}}]
        <= [3,"2",{{"currentTime":7}}]
    """)
    assert plugin.said == [
        [], ["V01 csms $.status", "V03 csms $.currentTime", "V03 csms $.interval"], ["R01 station"], ["R10 station"], [],
        ["V04 csms $.currentTime"],
    ]


def test_nothing_is_remembered_and_severities_are_those_of_the_settings() -> None:
    judge = Single(Settings(severities={"V03": "hint"}))
    call = Call.of("BootNotification", {"chargePointVendor": "", "chargePointModel": "M"})
    first = judge("1.6", Side.STATION, call, "", 1)
    assert first == judge("1.6", Side.STATION, call, "", 1)
    assert [(found.code, found.severity.label, found.evidence) for found in first] == [("V03", "hint", ())]
    assert judge("", Side.STATION, call, "", 1) == []                                   # no version, no schema
    assert [found.code for found in judge("2.0.1", Side.STATION, call, "", 1)] == ["T04"]


def test_random_bytes_are_those_of_every_play() -> None:
    drawn: list[bytes] = []

    class Drawing(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            drawn.append(context.random(100))
            return PASS

    for _ in range(2):
        play(Drawing, '> [2,"1","A",{}]\n=> [2,"1","A",{}]\n> [2,"2","A",{}]\n=> [2,"2","A",{}]')
    assert drawn[:2] == drawn[2:] and drawn[0] != drawn[1] and {len(one) for one in drawn} == {100}


SECRETS = (
    '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hun\\u00e4ter2"}]', '[3,"1",{"status":"Accepted"}]',
    '[2,"2","GetConfiguration",{}]',
    """[3,"2",{"configurationKey":[{"key":"AuthorizationKey","readonly":true,"value":"hunter3's"}]}]""")


@pytest.mark.parametrize("how", [
    lambda message: ValueError(message.json()), lambda message: KeyError(message.payload),
    lambda message: RuntimeError(f"cannot do {message.json()} with wss://me:hunter2@csms/"),
    lambda message: LookupError("x" * 150 + str(message.json())),
])
def test_what_a_failing_plugin_says_holds_no_secret_of_the_message(how: Callable[[Any], Exception]) -> None:
    class Leaking(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            raise how(call)

        def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
            raise how(answer)

    stage = Stage([Leaking])
    for place, text in enumerate(SECRETS):
        stage.send((Side.CSMS, Side.STATION)[place % 2], text)
    told = [message for _, message in stage.played.findings if "raised" in message]
    assert len(told) == 4 and not any(part in message for message in told for part in ("hunt", "ter2", "ter3", "hun\u00e4"))
    assert any("(secret)" in message for message in told) and all(" at test_services.py:" in message for message in told)


def test_what_plugins_find_is_masked_like_what_persons_do() -> None:
    relay = Relay()
    relay.tunnel(1)
    text = 'mine: {"key":"AuthorizationKey","value":"hunter2"} of wss://me:hunter2@csms/'
    relay.body(Kind.FINDING, 1, 0, ForeignFinding("mine-1", "error", "proxy", text))
    found = Pipeline(Settings(), Ids(), Masker(b"key")).feed(relay.records)
    told = [repr(record) for record in found if isinstance(record, PluginFinding | Found)]
    assert len(told) == 2 and not any("hunter2" in one for one in told) and all("mine:" in one for one in told)
    bare = Pipeline(Settings(), Ids(), None).feed(relay.records)
    assert any(isinstance(record, PluginFinding) and record.message == text for record in bare)
