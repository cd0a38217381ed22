"""The way every Call takes: opening, answers, what is asked twice, what cannot be read, what has no counterpart."""

import json
from typing import Any

import pytest
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.testing import Stage
from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, UP, Bridged

TIME = "2026-11-23T08:00:00.000Z"


@pytest.mark.parametrize(("offered", "options", "to_csms", "told"), [
    (["ocpp1.6"], {}, "ocpp2.0.1", "ocpp1.6"),
    (["ocpp2.0.1"], {"station": "2.0.1", "csms": "1.6"}, "ocpp1.6", "ocpp2.0.1"),
    ([], {"assume": True}, "ocpp2.0.1", ""),
    (["OCPP1.6"], {}, "ocpp2.0.1", "OCPP1.6"),
])
def test_each_side_is_offered_its_own_version(offered: list[str], options: dict[str, Any], to_csms: str, told: str) -> None:
    stage = Stage([Bridge], options=options)
    stage.open(offered)
    assert stage.said[-1] == f"=> open {to_csms}"
    stage.agree(to_csms)
    assert stage.said[-1] == f"<= agree {told}".rstrip()


def test_s58_where_both_speak_the_csms_version_nothing_is_bridged() -> None:
    stage = Stage([Bridge])
    stage.open(["ocpp2.0.1", "ocpp1.6"])
    assert stage.said[-1] == "=> open ocpp2.0.1"
    stage.agree("ocpp2.0.1")
    stage.send(STATION, '[2,"1","Heartbeat",{}]')
    assert stage.said[-1] == '=> [2,"1","Heartbeat",{}]'


def test_a_csms_that_chooses_another_version_than_it_was_offered_ends_the_link() -> None:
    stage = Stage([Bridge])
    stage.open(["ocpp1.6"])
    stage.agree("ocpp2.1")
    stage.send(STATION, '[2,"1","Heartbeat",{}]')
    assert stage.played.disconnected and stage.played.findings[0][0] == "bridge-version"


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_s03_heartbeat_gives_the_time_of_the_csms(direction: str) -> None:
    link = Bridged(direction)
    asked = link.call(STATION, "Heartbeat")
    assert link.calls(CSMS) == [{}]
    link.answer(CSMS, {"currentTime": TIME})
    assert link.answered(asked).payload == {"currentTime": TIME}
    link.settled()


def test_an_unknown_action_is_answered_and_goes_nowhere() -> None:
    link = Bridged()
    assert link.answered(link.call(STATION, "Frobnicate")).code == "NotImplemented"
    assert link.calls(CSMS) == [] and link.findings == ["unknown"]


def test_a_text_that_is_no_message_goes_nowhere() -> None:
    link = Bridged()
    link.stage.send(STATION, '{"not": "a message"}')
    link.stage.send(STATION, '[2,1,"Heartbeat",{]')
    assert link.stage.played.sent == [] and link.findings == ["unreadable", "unreadable"]


def test_an_answer_to_nothing_goes_nowhere() -> None:
    link = Bridged()
    link.stage.send(STATION, '[3,"77",{}]')
    assert link.stage.played.sent == []


def test_n05_the_same_call_again_while_it_is_under_way_is_answered_once() -> None:
    link = Bridged()
    link.call(STATION, "Heartbeat", message_id="a")
    link.call(STATION, "Heartbeat", message_id="a")
    assert len(link.calls(CSMS)) == 1
    link.answer(CSMS, {"currentTime": TIME})
    link.settled()


def test_n05_another_call_under_an_id_in_use_is_refused_and_the_first_is_answered() -> None:
    link = Bridged()
    link.stage.send(STATION, '[2,"a","Heartbeat",{}]')
    link.stage.send(STATION, '[2,"a","DataTransfer",{"vendorId":"x"}]')
    assert '"ProtocolError"' in link.stage.played.sent[-1][1]
    link.stage.send(CSMS, '[3,"$1",{"currentTime":"' + TIME + '"}]')
    assert link.stage.played.sent[-1][1] == f'[3,"a",{{"currentTime":"{TIME}"}}]'


def test_n05_the_same_call_again_behind_its_answer_gets_that_answer_again() -> None:
    link = Bridged()
    link.call(STATION, "Heartbeat", message_id="a")
    link.answer(CSMS, {"currentTime": TIME})
    link.call(STATION, "Heartbeat", message_id="a")
    assert len(link.calls(CSMS)) == 1
    link.settled()
    link.wait(31)
    link.call(STATION, "Heartbeat", message_id="a")       # a charger that always uses one id
    assert len(link.calls(CSMS)) == 2
    link.answer(CSMS, {"currentTime": TIME})
    link.settled()


def test_a_csms_that_does_not_answer_is_answered_for_by_the_deadline() -> None:
    link = Bridged()
    asked = link.call(STATION, "Heartbeat")
    link.wait(30)
    assert link.answered(asked).code == "GenericError"


def test_an_answer_that_cannot_be_made_valid_is_an_error_to_who_asked() -> None:
    link = Bridged()
    asked = link.call(STATION, "Heartbeat")
    link.answer(CSMS, {"currentTime": 7})
    assert link.answered(asked).code == "InternalError" and link.findings == ["invalid"]


def test_s60_each_side_may_call_while_the_other_waits() -> None:
    link = Bridged()
    up = link.call(STATION, "Heartbeat")
    down = link.call(CSMS, "ClearCache")
    link.answer(STATION, {"status": "Accepted"})
    link.answer(CSMS, {"currentTime": TIME})
    assert link.answered(up).kind == link.answered(down).kind == 3
    link.settled()


def test_a_connector_that_is_learned_gets_no_number_of_the_topology() -> None:
    link = Bridged(DOWN, {"topology": {"1": (7, 1), "3": (8, 1)}})
    numbers = []
    for evse in (1, 7, 2, 8, 1):
        link.call(STATION, "StatusNotification", {
            "timestamp": TIME, "connectorStatus": "Available", "evseId": evse, "connectorId": 1})
        while link.open[CSMS]:
            numbers.append(link.answer(CSMS, {}).payload["connectorId"])
    assert [number for number in numbers if number] == [2, 1, 4, 3, 2]


def test_nothing_of_a_charger_without_a_subprotocol_passes_untranslated() -> None:
    stage = Stage([Bridge], options={"assume": True}, version="")
    stage.open([])
    stage.agree("ocpp2.0.1")
    stage.send(STATION, '[3,"77",{}]')
    assert stage.played.sent == []
    stage.send(STATION, '[2,"1","Authorize",{"idTag":"AB"}]')
    assert '"idToken":{"idToken":"AB","type":"Central"}' in stage.played.sent[-1][1]


def test_a_charger_without_a_subprotocol_is_not_taken_for_one_of_ours_unless_it_is_said() -> None:
    stage = Stage([Bridge], version="")
    stage.open([])
    assert stage.said[-1] == "=> open"


@pytest.mark.parametrize(("direction", "code"), [(UP, "FormationViolation"), (DOWN, "FormatViolation")])
@pytest.mark.parametrize("payload", ['{"a":' * 3000 + "1" + "}" * 3000, '{"a":}', "[]", '{"a":1', '{"a":NaN}x'])
def test_a_call_that_cannot_be_read_is_answered_where_its_id_can(direction: str, code: str, payload: str) -> None:
    link = Bridged(direction)
    link.stage.send(STATION, f'[2,"7","DataTransfer",{payload}]')
    ((sender, text),) = link.stage.played.sent
    frame = json.loads(text)
    assert sender is CSMS and frame[:3] == [4, "7", code] and frame[4] == {} and not link.stage.played.disconnected
    assert link.findings == ["unreadable"]


@pytest.mark.parametrize("text", ['[2,7,"DataTransfer",{"a":}]', '[2,"","DataTransfer",{"a":}]', '[3,"7",{"a":}]', "[2,"])
def test_what_names_no_id_or_is_no_call_has_no_answer(text: str) -> None:
    link = Bridged()
    link.stage.send(STATION, text)
    assert link.stage.played.sent == [] and link.findings == ["unreadable"]
