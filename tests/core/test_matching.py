"""Filters of messages in flight: they mean what they mean on the recorded line, and refuse what is known only later."""

import re
from typing import Any

import pytest
from msgspec import Struct

from ocpp_proxy.api import Call, CallError, CallResult, Malformed, Message, Send, Side, Where
from ocpp_proxy.checks import Settings
from ocpp_proxy.core import matching
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.matching import LATER, check, matcher, matches
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.plugin_text import read
from ocpp_proxy.fields import LINES, compile, parse
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import Line, MessageSeen
from tests.core.feeds import Relay, wire_frame

START = Call(b'{"connectorId":2,"idTag":"AB12","meterStart":7,"timestamp":"2026-01-01T00:00:00Z"}', "StartTransaction", "m1")
EVENT = Call(
    b'{"eventType":"Started","evse":{"id":3,"connectorId":1},"transactionInfo":{"transactionId":"t-9"},'
    b'"idToken":{"idToken":"AB12","type":"ISO14443"}}', "TransactionEvent", "m2",
)
METER = Call(
    b'{"connectorId":1,"meterValue":[{"sampledValue":[{"value":"5"}]},{"sampledValue":[{"value":"70","unit":"Wh"}]}]}',
    "MeterValues", "m3",
)
STATION, CSMS = Side.STATION, Side.CSMS


def passes(where: str, message: Message, sender: Side = STATION, version: str = "1.6", call: Call | None = None) -> bool:
    return matcher(where).passes("CP-1", version, sender, message, call)


@pytest.mark.parametrize(("where", "message", "expected"), [
    ("", START, True),
    ("action == StartTransaction", START, True),
    ("action == StopTransaction", START, False),
    ("action in [MeterValues, StartTransaction] and side == station", START, True),
    ("action == MeterValues or action == StartTransaction", START, True),
    ("action == MeterValues or connector == 2", START, True),
    ("side == csms", START, False), ('action == ""', START, False), ('action == ""', Malformed(b"x"), False),
    ("action in [MeterValues, StartTransaction] and action == StartTransaction", START, True),
    ("not side == csms", START, True),
    ("action == MeterValues and action == StartTransaction", START, False),
    ("identity ~ '^CP' and protocol == ocpp1.6 and mtype == CALL and kind == message", START, True),
    ("connector == 2 and token == AB12", START, True),
    ("connector > 2", START, False),
    ("message_id == m1 and size > 10", START, True),
    ("startt", START, True),
    ("payload.meterValue[*].sampledValue[*].value > 60", METER, True),
    ("payload.meterValue[*].sampledValue[*].value > 70", METER, False),
    ("payload contains Wh", METER, True),
    ("text ~ 'unit.:.Wh'", METER, True),
    ("mtype == SEND and action ~ Periodic", Send(b"{}", "NotifyPeriodicEventStream", "m"), True),
    ("payload.id == 1", Send(b'{"id":1}', "NotifyPeriodicEventStream", "m"), True),
    ("text contains configurationKey", Malformed(b'[3,"1",{"configurationKey":]}]'), True),
    ("mtype == CALL", Malformed(b"[2]"), False),
])
def test_what_passes(where: str, message: Message, expected: bool) -> None:
    assert passes(where, message) is expected


def test_2_x_keys_and_an_unknown_version() -> None:
    assert passes("evse == 3 and connector == 1 and tx == t-9 and token == AB12", EVENT, version="2.0.1")
    assert not passes("evse == 3", EVENT, version="")
    assert passes("not evse == 3 and not protocol ~ .", EVENT, version="")


def test_an_answer_is_asked_with_its_call() -> None:
    answer = CallResult(b'{"transactionId":5,"idTagInfo":{"status":"Blocked"}}', "m1")
    where = "action == StartTransaction and mtype == CALLRESULT and payload.idTagInfo.status == Blocked and tx == 5"
    assert passes(where, answer, CSMS, call=START)
    assert not passes(where, answer, CSMS)
    error = CallError(b"{}", "NotSupported", "not here", "m1")
    assert passes("error == NotSupported and action == StartTransaction and text contains 'not here'", error, CSMS, call=START)
    assert not passes("connector == 2", error, CSMS, call=START)


@pytest.mark.parametrize("payload", [
    b"", b"{", b"\xff\xfe", b'"\\ud800"', b"[" * 5000, b'{"connectorId":' + b"9" * 5000 + b"}", b'{"connectorId":[]}', b"null",
])
@pytest.mark.parametrize("where", [
    "connector == 2", "payload.connectorId > 2", "payload ~ x", "text contains x", "connectorid", "payload.a[*].b ~ '.*'",
])
def test_no_payload_raises(payload: bytes, where: str) -> None:
    for message in (Call(payload, "StartTransaction", "m"), CallResult(payload, "m"), Malformed(payload)):
        assert passes(where, message) in (True, False)


@pytest.mark.parametrize(("where", "said"), [
    ("action = Boot and severity >= warning", "filter, column 19: severity is known only later"),
    ("not (sev == error)", "filter, column 6: severity is known only later"),
    ('text ~ "ms" and ms > 5', "filter, column 17: ms is known only later"),
    ("outcome == ok", "outcome is known only later: a message in flight has identity, action"),
    ("acton == Boot", "unknown field acton: did you mean action?"),
    ("action ==", "the filter ends too early"),
])
def test_what_is_no_filter_here(where: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        matcher(where)


def test_every_field_of_traffic_is_known_or_known_only_later() -> None:
    for name, field in LINES.fields.items():
        value = {"number": "1", "severity": "error", "time": "2026-01-01", "mtype": "CALL"}.get(field.type, "x")
        where = f"{name} == {field.choices[0] if field.type == 'choice' else value}"
        if name in LATER:
            with pytest.raises(ConfigError):
                matcher(where)
        else:
            matcher(where)


def test_the_same_text_makes_the_filter_once() -> None:
    assert matcher("action == A") is matcher("action == A")
    assert matches("action == Boot*", "CP", "1.6", STATION, START) is False


TEXTS = [
    (0, b'[2,"m1","StartTransaction",' + START.payload + b"]"),
    (1, b'[3,"m1",{"transactionId":5,"idTagInfo":{"status":"Accepted"}}]'),
    (0, b'[2,"m3","MeterValues",' + METER.payload + b"]"),
    (1, b'[4,"m3","NotSupported","no \\u00e4",{}]'),
    (1, b'[2,"m4","Reset",{"type":"Soft"}]'),
    (0, b'[3,"m4",{"status":"Accepted"}]'),
    (0, b'[2,"m5","Vendor.Own",{"connectorId":1}]'),
]
FILTERS = [
    "action == StartTransaction", "connector == 2", "connector >= 1", "tx == 5", "token == AB12", "not tx == 5",
    "mtype == CALL", "mtype in [CALLRESULT, CALLERROR]",
    "error == NotSupported", "side == csms", "accepted", "CP1",
    "size > 20",
    "protocol != x", "text contains 'no '", "payload.type == Soft",
    "payload.meterValue[*].sampledValue[0].value != 5", "payload ~ '^.\"status'",
    "message_id == m4 and kind == message", "identity == CP1", "evse == 1", "action ~ '[.]'",
]


def test_a_filter_means_what_it_means_on_the_recorded_line() -> None:
    relay = Relay()
    relay.tunnel(1)
    for direction, text in TEXTS:
        relay.data(1, direction, wire_frame(text, mask=b"" if direction else b"\x01\x02\x03\x04"))
    relay.beat()
    seen = Pipeline(Settings(), Ids(), None).feed(relay.records)
    lines = [Line(record) for record in seen if isinstance(record, MessageSeen)]
    assert len(lines) == len(TEXTS)
    calls: dict[str, Call] = {}
    for line, (direction, text) in zip(lines, TEXTS, strict=True):
        message = read(text)
        assert message is not None
        if isinstance(message, Call):
            calls[message.message_id] = message
        call = None if isinstance(message, Call) else calls[message.message_id]
        for where in FILTERS:
            here = matcher(where).passes("CP1", "1.6", (STATION, CSMS)[direction], message, call)
            assert here is compile(parse(where))(line), (where, text)


class Rule(Struct, frozen=True):
    where: Where = ""
    note: str = "severity == error"


class Options(Struct, frozen=True):
    where: Where = ""
    rules: tuple[Rule, ...] = ()
    lists: list[Where] = []
    tables: dict[str, Where | None] = {}
    maybe: list[Rule] | None = None
    other: Any = None


def test_filters_in_options_are_checked_where_they_stand() -> None:
    check(Options("action == A", (Rule("tx == 1"),), ["side == csms"], {"a": "x", "b": None}, [Rule()], "ms > 5"), "p")
    for options, place in (
        (Options("ms > 5"), "plugins.p.where: filter, column 1"),
        (Options(rules=(Rule(), Rule("acton == x"))), "plugins.p.rules[1].where: filter, column 1: unknown field acton"),
        (Options(lists=["", "a =="]), "plugins.p.lists[1]: filter"),
        (Options(tables={"a": "ms > 1"}), "plugins.p.tables.a: filter"),
        (Options(maybe=[Rule("(")]), "plugins.p.maybe[0].where: filter"),
    ):
        with pytest.raises(ConfigError, match=re.escape(place)):
            check(options, "plugins.p")


def test_what_a_filter_says_of_all_calls_of_an_action_is_worked_out_once_and_no_more_than_so_many_are_known() -> None:
    known = matching._settled
    known.cache_clear()
    plain, deep = "action == MeterValues and side == station", "action == MeterValues and connector == 1"
    for _ in range(2):
        assert matches(plain, "CP", "1.6", STATION, METER) and not matches(plain, "CP", "1.6", CSMS, METER)
        assert not matches(plain, "CP", "1.6", STATION, START) and not matches(deep, "CP", "1.6", STATION, START)
        assert matches(deep, "CP", "1.6", STATION, METER)
        assert not matches(deep, "CP", "1.6", STATION, Call(b'{"connectorId":2}', "MeterValues"))
    assert (known.cache_info().misses, known.cache_info().hits) == (5, 7)
    for number in range(matching.MOST_KNOWN + 10):
        assert not matches(plain, "CP", "1.6", STATION, Call(b"{}", f"Odd{number}"))
    assert known.cache_info().currsize == matching.MOST_KNOWN


def test_of_an_action_without_end_nothing_is_remembered() -> None:
    """A charger chooses it: four thousand of a megabyte each would be all the memory there is."""
    matches("connector == 1", "CP", "1.6", STATION, METER)
    before = [cache.cache_info().currsize for cache in (matching._settled, matching._reader)]
    for number in range(3):
        call = Call(b'{"connectorId":1}', "A" * 1000 + str(number))
        assert matches(f'action == "{call.action}"', "CP", "1.6", STATION, call)
        assert not matches("connector == 1", "CP", "1.6", STATION, call)
    assert [cache.cache_info().currsize for cache in (matching._settled, matching._reader)] == before
