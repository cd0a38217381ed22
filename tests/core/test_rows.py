"""Rows of a traffic list and what they say in short."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.core.rows import alone, begin, call_of, is_row, whole
from ocpp_proxy.core.summary import LENGTH, READ, summary
from ocpp_proxy.model import Side
from ocpp_proxy.records import Line, LinkClosed, Note
from tests.tui.traffic_lines import LINK, Talk, finding

LINKS = {1: LINK}
SAYS = [
    (b'{"connectorId":1,"status":"Charging","errorCode":"NoError","timestamp":"2026-01-01T00:00:00Z"}',
     "connectorId=1 status=Charging errorCode=NoError"),
    (b'{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":"t","sampledValue":[{"value":"1234"},'
     b'{"value":"9.1","measurand":"Current.Import","unit":"A","phase":"L1"},'
     b'{"value":"11.0","measurand":"Power.Active.Import","unit":"kW"},'
     b'{"value":"55","measurand":"SoC","unit":"Percent"}]}]}',
     "connectorId=1 transactionId=7 E=1234 Wh P=11.0 kW I=9.1 A SoC=55 %"),
    (b'{"eventType":"Updated","timestamp":"t","triggerReason":"MeterValuePeriodic","seqNo":3,"transactionInfo":'
     b'{"transactionId":"abc","chargingState":"Charging"},"evse":{"id":1,"connectorId":2},"meterValue":[{"timestamp":"t",'
     b'"sampledValue":[{"value":11,"measurand":"Power.Active.Import","unitOfMeasure":{"unit":"W","multiplier":3}}]}]}',
     "Updated MeterValuePeriodic seqNo=3 transactionId=abc chargingState=Charging evse=1/2 P=11 e3 W"),
    (b'{"evseId":0,"meterValue":[{"sampledValue":[{"value":1}]},{"sampledValue":[{"value":2}]}]}',
     "evseId=0 E=2 Wh (newest of 2)"),
    (b'{"generatedAt":"t","seqNo":0,"eventData":[{"component":{"name":"Connector"},"variable":{"name":"AvailabilityState"},'
     b'"actualValue":"Occupied"}]}', "seqNo=0 Connector.AvailabilityState=Occupied"),
    (b'{"getVariableResult":['
     b'{"attributeStatus":"Accepted","attributeValue":"42","component":{"name":"A"},"variable":{"name":"B"}},'
     b'{"attributeStatus":"Rejected","component":{"name":"C"},"variable":{"name":"D"}}]}',
     "A.B=42 C.D=Rejected"),
    (b'{"configurationKey":[{"key":"A","readonly":true,"value":"1"},{"key":"B"},{"key":"C"},{"key":"D"}]}', "A=1 B C +1"),
    (b'{"key":["HeartbeatInterval"]}', "HeartbeatInterval"),
    (b'{"key":"HeartbeatInterval","value":"60"}', "key=HeartbeatInterval value=60"),
    (b'{"idTagInfo":{"status":"Accepted","parentIdTag":"P"}}', "status=Accepted parentIdTag=P"),
    (b'{"timestamp":"2026-01-01T00:00:00Z"}', "timestamp=2026-01-01T00:00:00Z"),
    (b'{"currentTime":"2026-01-01T00:00:00Z"}', "currentTime=2026-01-01T00:00:00Z"),
    (b'{"meterValue":[]}', "meterValue[0]"), (b'{"meterValue":[{"sampledValue":5}]}', "meterValue[1]"),
    (b'{"eventData":[1]}', "eventData[1]"), (b"{}", ""), (b"[1,2]", "[1,2]"), (b"no json", "no json"), (b"\xff", "\ufffd"),
]


@pytest.mark.parametrize(("payload", "says"), SAYS, ids=[said[:30] for _, said in SAYS])
def test_a_payload_in_short(payload: bytes, says: str) -> None:
    assert summary(payload) == says


def test_long_payloads_are_cut() -> None:
    assert len(summary(b'{"a":"' + b"x" * 500 + b'"}')) == LENGTH
    assert len(summary(b'{"a":"' + b"x" * READ + b'"}')) == LENGTH + 1


_NAMES = st.sampled_from((
    "meterValue", "sampledValue", "value", "measurand", "unit", "unitOfMeasure", "phase", "eventData", "component", "variable",
    "name", "actualValue", "configurationKey", "key", "transactionData", "values", "evse", "id", "connectorId", "x"))
_JSON = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12)


@given(st.dictionaries(_NAMES, _JSON, max_size=5))
def test_no_shape_of_payload_is_too_odd(value: dict[str, object]) -> None:
    assert len(summary(orjson.dumps(value))) <= LENGTH


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(payload: bytes) -> None:
    assert len(summary(payload)) <= LENGTH


def test_an_exchange_is_its_call_with_what_came_later() -> None:
    talk = Talk()
    call = talk.call("Reset", b'{"type":"Soft"}', findings=(finding("R01", 1),))
    lines = [call, talk.answer(call, b'{"status":"Accepted"}', ms=12, tx_id="7"), talk.late(call, "R11")]
    row = whole(lines, LINKS, 5)
    assert row is not None
    assert (row.number, row.kind, row.action, row.side, row.outcome, row.ms) == (5, "exchange", "Reset", Side.STATION, "ok", 12)
    assert (row.msg_no, row.answer_no, row.tx, row.codes, row.level) == (1, 2, "7", ("R01", "R11"), 3)
    assert row.summary == "type=Soft → status=Accepted" and row.size == 36
    assert [call_of(line) for line in lines] == [0, 1, 1] and whole([], LINKS) is None


def test_errors_and_calls_without_an_answer() -> None:
    talk = Talk()
    call = talk.call("Reset")
    failed = whole([call, talk.answer(call, b"{}", mtype=4, error_code="InternalError", error_desc="no")], LINKS)
    assert failed is not None and (failed.outcome, failed.error, failed.summary) == ("error", "InternalError", " → no")
    silent = whole([call, talk.late(call)], LINKS)
    assert silent is not None and (silent.outcome, silent.codes) == ("unanswered", ("R07",))
    answered = whole([call, talk.late(call), talk.answer(call)], LINKS)
    assert answered is not None and answered.outcome == "ok"        # late, but it came
    refused = whole([call, talk.answer(call), talk.answer(call, b"{}", mtype=5, error_code="X")], LINKS)
    assert refused is not None and (refused.outcome, refused.error) == ("error", "X")


def test_among_frames_a_call_and_its_answer_are_messages() -> None:
    talk = Talk()
    call, answer = talk.pair("Reset")
    assert [(row.kind, row.outcome, row.mtype) for row in (alone(call, LINKS), alone(answer, LINKS))] == [
        ("message", "", 2), ("message", "", 3)]
    assert begin(call, LINKS).kind == "exchange"


def test_what_is_a_row_among_exchanges() -> None:
    talk = Talk()
    assert is_row(talk.call()) and is_row(talk.note()) and not is_row(talk.ping())
    closed = Line(LinkClosed(5, 1, "fin", Side.CSMS, 1001, "going"))
    row = begin(closed, LINKS)
    assert is_row(closed) and (row.summary, row.side, row.identity) == ("fin 1001 going", Side.CSMS, "CP1")
    assert begin(Line(Note(5, 0, "tls_failed", text="why")), LINKS).summary == "tls failed: why"
