"""What got lost and what people did, from the spool to the stream: whole, on their link, without secrets."""

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.fields import compile, parse
from ocpp_proxy.fields.registry import kind_of
from ocpp_proxy.model import Side
from ocpp_proxy.records import Audited, Gap, Lost, MessageSeen, Note, Record, lines
from ocpp_proxy.wire.spool import AuditBody, Kind, LossBody
from tests.core.feeds import STATION, Relay, wire_frame

LOSS = LossBody("bridge", "Heartbeat", "m1", "$.customData", "dropped", "1.6 has no place for it")
ACT = AuditBody("anna", "inject", 'Reset {"type":"Soft"}', "result")


def told(relay: Relay, masker: Masker | None = None) -> list[Record]:
    return Pipeline(Settings(), Ids(), masker).feed(relay.records)


def ledger() -> Relay:
    relay = Relay()
    relay.tunnel(1)
    relay.body(Kind.LOSS, 1, STATION, LOSS)
    relay.data(1, STATION, wire_frame(b'[2,"m1","Heartbeat",{}]'))
    relay.body(Kind.AUDIT, 1, STATION, ACT)
    relay.body(Kind.AUDIT, 0, STATION, AuditBody("bob", "reload"))
    return relay


def test_both_are_records_of_their_link() -> None:
    out = told(ledger())
    times = {record.kind: record.time_ns for record in ledger().records}
    lost, act, reload = [record for record in out if isinstance(record, Lost | Audited)]
    assert lost == Lost(times[Kind.LOSS], 1, "bridge", "Heartbeat", "m1", "$.customData", "dropped", "1.6 has no place for it")
    assert isinstance(act, Audited) and isinstance(reload, Audited)
    assert act == Audited(act.time_ns, 1, "anna", "inject", 'Reset {"type":"Soft"}', "result")
    assert (reload.time_ns, reload.link_id, reload.who, reload.action) == (times[Kind.AUDIT], 0, "bob", "reload")
    assert not any(isinstance(record, Note) for record in out)


def test_a_body_that_cannot_be_read_is_one_lost_record() -> None:
    relay = Relay()
    relay.add(Kind.LOSS, 0, 0, b"\x91\x01")
    relay.add(Kind.AUDIT, 0, 0, b"words")
    out = told(relay)
    assert [type(record) for record in out] == [Gap, Gap]
    assert all(isinstance(record, Gap) and record.frames == 1 and "cannot be decoded" in record.reason for record in out)


def test_they_are_lines_of_their_own_and_take_no_finding_or_message_apart() -> None:
    found = list(lines(told(ledger())))
    assert [kind_of(line) for line in found][-4:] == ["loss", "message", "audit", "audit"]
    message = found[-3]
    assert isinstance(message.record, MessageSeen) and message.frame is not None and message.frame.sender is Side.STATION


@pytest.mark.parametrize(("text", "kinds"), [
    ("kind == audit", ["audit", "audit"]), ("kind == loss", ["loss"]),
    ("(kind == loss or kind == audit) and link == 1", ["loss", "audit"]),
    ("text contains customdata", ["loss"]), ("reload", ["audit"]), ("kind == audit and identity == CP1", ["audit"]),
    ("action == Heartbeat", ["message"]),
])
def test_filters_find_them(text: str, kinds: list[str]) -> None:
    out = told(ledger())
    links = {shake.link.link_id: shake.link for shake in out if hasattr(shake, "link")}
    where = parse(text)
    assert where is not None
    passes = compile(where, links)
    assert [kind_of(line) for line in lines(out) if passes(line)] == kinds


@pytest.mark.parametrize("detail", [
    'ChangeConfiguration {"key":"AuthorizationKey","value":"hunter2"}',
    'SetVariables {"setVariableData":[{"attributeValue":"hunter2","component":{"name":"SecurityCtrlr"},'
    '"variable":{"name":"BasicAuthPassword"}}]}',
    '{"configurationKey":[{"value":"hunter2","key":"AuthorizationKey","readonly":false}]}',
    '{"setVariableData":[{"attributeValue":"hunter2","variable":{"name":"BasicAuthPassw',
    "GetDiagnostics {\"location\":\"ftp://bob:hunter2@files.example/x\"}",
])
def test_no_secret_in_their_words(detail: str) -> None:
    relay = Relay()
    relay.tunnel(1)
    relay.body(Kind.AUDIT, 1, STATION, AuditBody("anna", "inject", detail, detail))
    relay.body(Kind.LOSS, 1, STATION, LossBody("bridge", "X", "m1", "$.a", "dropped", detail))
    masked = [record for record in told(relay, Masker(b"key")) if isinstance(record, Lost | Audited)]
    assert len(masked) == 2
    assert "hunter2" not in repr(masked)
    assert "hunter2" in repr([record for record in told(relay) if isinstance(record, Lost | Audited)])


@pytest.mark.parametrize("detail", ["Reset {}", "{", "a { b } c", '{"type":"Soft","n":[1,2]}', "\x1b[2J", "disconnect", ""])
def test_words_without_a_secret_stay_as_they_are(detail: str) -> None:
    act = Audited(1, 1, "anna", "inject", detail, detail)
    assert Masker(b"key").told(act) == act
