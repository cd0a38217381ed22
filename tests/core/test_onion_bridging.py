"""Plugins between two OCPP versions: work they begin, what their messages were made from, which versions others meet."""

from collections.abc import Generator
from typing import Any

import pytest

from ocpp_proxy.api import Admit, Answer, Ask, Call, CallResult, Context, Decision, Entrance, Opening, Plugin, Reply, Verdict
from ocpp_proxy.core.acts import Leave
from ocpp_proxy.core.lanes import MOST_WISHES
from ocpp_proxy.model import Side
from ocpp_proxy.testing import Stage, play


class Between(Plugin):
    """Heartbeat becomes Pulse, and what answers it Heartbeat's."""

    translates = True
    fails = "close"

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        return Admit(offer=("ocpp2.0.1",), answer="ocpp1.6")

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return self._asked(context, sender, call)

    def _asked(self, context: Context, sender: Side, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        if call.action == "Fail":
            raise RuntimeError("as asked")
        if call.action == "Both":
            context.follow(self._work(context), "and pages")
            return Reply(CallResult.of({}))
        if call.action == "Work":
            context.begin(self._work(context), "pages")
            return Reply(CallResult.of({}))
        answer = yield Ask(sender.other, Call.of("Pulse", {}))
        return Reply(CallResult.of({"at": answer.json() if answer is not None else None}))

    def _work(self, context: Context) -> Generator[Ask, Answer | None, None]:
        for number in range(2):
            answer = yield Ask(Side.CSMS, Call.of("Page", {"number": number}))
            context.find("page", answer.payload.decode() if answer is not None else "no answer")
        context.lost("$.rest", "nobody asked for it")


class Versions(Plugin):
    """Tells the versions it meets."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        context.find("met", f"{context.versions[Side.STATION]}/{context.versions[Side.CSMS]}")
        return super().on_call(context, sender, call)


OPEN = "open ocpp1.6\n=> open ocpp2.0.1\nagree ocpp2.0.1\n<= agree ocpp1.6\n"


def test_a_translated_call_and_its_answer_name_what_they_were_made_from() -> None:
    stage = Stage([Between])
    stage.open(["ocpp1.6"])
    stage.agree("ocpp2.0.1")
    left: list[Leave] = []
    stage.onion.receive(Side.STATION, b'[2,"1","Heartbeat",{}]', 40, 1)
    left += [action for action in stage.onion.actions if isinstance(action, Leave)]
    own = left[0].text.split(b'"')[1].decode()
    stage.onion.actions.clear()
    stage.onion.receive(Side.CSMS, f'[3,"{own}",{{"now":1}}]'.encode(), 70, 2)
    left += [action for action in stage.onion.actions if isinstance(action, Leave)]
    assert [(one.sender, one.what, one.at) for one in left] == [
        (Side.STATION, "translated", 40), (Side.CSMS, "translated", 70)]


def test_what_a_plugin_asks_where_both_sides_speak_one_version_is_injected() -> None:
    stage = Stage([Between])
    stage.onion.receive(Side.STATION, b'[2,"1","Heartbeat",{}]', 40, 1)
    left = [action for action in stage.onion.actions if isinstance(action, Leave)]
    assert [(one.what, one.at) for one in left] == [("injected", 0)]


def test_work_goes_on_by_itself_one_call_after_the_other() -> None:
    played = play(Between, OPEN + """
        > [2,"1","Work",{}]
        <= [3,"1",{}]
        => [2,"$1","Page",{"number":0}]
        < [3,"$1",{"ok":0}]
        ! between-page
        => [2,"$2","Page",{"number":1}]
        < [3,"$2",{"ok":1}]
        ~ dropped $.rest
        ! between-page
    """)
    assert [message for _, message in played.findings] == ['{"ok":0}', '{"ok":1}']


@pytest.mark.parametrize(("action", "causes"), [("Both", [0, 1, 1]), ("Work", [0, 0, 0])])
def test_work_that_follows_a_call_names_it_as_what_it_was_made_from(action: str, causes: list[int]) -> None:
    stage = Stage([Between])
    stage.open(["ocpp1.6"])
    stage.agree("ocpp2.0.1")
    stage.send(Side.STATION, f'[2,"1","{action}",{{}}]')
    stage.send(Side.CSMS, '[3,"$1",{}]')
    assert stage.played.causes == causes and stage.said[-1] == '=> [2,"$2","Page",{"number":1}]'


def test_work_that_fails_ends_the_link_where_the_class_says_so() -> None:
    class Failing(Between):
        def _work(self, context: Context) -> Generator[Ask, Answer | None, None]:
            yield Ask(Side.CSMS, Call.of("Page", {}))
            raise RuntimeError("as asked")

    played = play(Failing, OPEN + """
        > [2,"1","Work",{}]
        <= [3,"1",{}]
        => [2,"$1","Page",{}]
        < [3,"$1",{}]
        ! plugin-failed
        x
    """)
    assert played.disconnected


def test_begin_takes_a_generator() -> None:
    class Wrong(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            work: Any = [1]
            context.begin(work)
            return super().on_call(context, sender, call)

    played = play(Wrong, '> [2,"1","Heartbeat",{}]\n=> [2,"1","Heartbeat",{}]\n! plugin-failed')
    assert "begin takes a generator" in played.findings[0][1]


@pytest.mark.parametrize(("order", "met"), [([Versions, Between], "1.6/1.6"), ([Between, Versions], "2.0.1/2.0.1")])
def test_plugins_meet_the_version_of_their_side_of_a_bridge(order: list[type[Plugin]], met: str) -> None:
    stage = Stage(order)
    stage.open(["ocpp1.6"])
    stage.agree("ocpp2.0.1")
    stage.send(Side.STATION, '[2,"1","Heartbeat",{}]')
    assert [message for _, message in stage.played.findings] == [met]


def test_work_that_begins_work_without_end_is_a_failure_and_ends() -> None:
    class Endless(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            context.begin(self._work(context))
            return super().on_call(context, sender, call)

        def _work(self, context: Context) -> Generator[Ask, Answer | None, None]:
            context.begin(self._work(context))
            return
            yield

    played = play(Endless, '> [2,"1","Heartbeat",{}]\n=> [2,"1","Heartbeat",{}]\n! plugin-failed')
    assert str(MOST_WISHES) in played.findings[0][1]


def test_a_call_result_error_never_passes_between_two_versions() -> None:
    text = '[5,"1","FormatViolation","",{}]'
    play(Between, OPEN + f"> {text}\n< {text}")
    play(Versions, f"> {text}\n=> {text}", version="2.1")
