"""A link whose legs speak two OCPP versions: what is decoded, judged and paired on which leg, live and read back."""

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.model import Finding
from ocpp_proxy.records import ExchangeDone, Found, FrameSeen, Handshake, MessageSeen, Note, Record, TransactionChanged
from ocpp_proxy.wire.spool import Head, Kind, SpoolRecord
from tests.core.bridged import BOOT, MASK, START, Bridged, other_way, session
from tests.core.feeds import ANSWER, CSMS, STATION, Relay, wire_frame


def played(spool: list[SpoolRecord], restart: bool = False) -> list[Record]:
    pipeline, out, stored = Pipeline(Settings(), Ids(), None), list[Record](), dict[str, bytes]()
    for record in spool:
        out += pipeline.feed([record])
        if restart:
            for key, piece in pipeline.changed().items():
                if piece is None:
                    stored.pop(key, None)
                else:
                    stored[key] = piece
            pipeline = Pipeline(Settings(), Ids(), None)
            pipeline.restore(stored)
    return out


def findings(out: list[Record]) -> list[Finding]:
    return [record.finding for record in out if isinstance(record, Found)]


def test_each_message_is_of_the_version_of_its_leg_and_nothing_is_found_wrong() -> None:
    out = played(session())
    (shake,) = [record.link for record in out if isinstance(record, Handshake)]
    assert (shake.protocol, shake.csms_protocol, shake.offered) == ("ocpp1.6", "ocpp2.0.1", ("ocpp1.6",))
    said = [(one.sender.value, one.mtype, one.action, one.protocol) for one in
            (record.message for record in out if isinstance(record, MessageSeen))]
    assert said[4:12] == [
        ("csms", 2, "RequestStartTransaction", "ocpp2.0.1"), ("csms", 2, "RemoteStartTransaction", "ocpp1.6"),
        ("station", 3, "RemoteStartTransaction", "ocpp1.6"), ("station", 3, "RequestStartTransaction", "ocpp2.0.1"),
        ("station", 2, "StartTransaction", "ocpp1.6"), ("station", 2, "TransactionEvent", "ocpp2.0.1"),
        ("csms", 3, "TransactionEvent", "ocpp2.0.1"), ("csms", 3, "StartTransaction", "ocpp1.6"),
    ]
    assert len(said) == 16 and findings(out) == []
    assert not [record for record in out if isinstance(record, Note)]


def test_calls_and_answers_are_paired_on_their_leg_with_the_latency_of_each() -> None:
    out = played(session())
    messages = {record.message.msg_no: record.message for record in out if isinstance(record, MessageSeen)}
    done = [record.exchange for record in out if isinstance(record, ExchangeDone)]
    assert [(one.action, one.caller.value, one.protocol, one.outcome) for one in done] == [
        ("BootNotification", "station", "ocpp2.0.1", "ok"), ("BootNotification", "station", "ocpp1.6", "ok"),
        ("RemoteStartTransaction", "csms", "ocpp1.6", "ok"), ("RequestStartTransaction", "csms", "ocpp2.0.1", "ok"),
        ("TransactionEvent", "station", "ocpp2.0.1", "ok"), ("StartTransaction", "station", "ocpp1.6", "ok"),
        ("TransactionEvent", "station", "ocpp2.0.1", "ok"), ("StopTransaction", "station", "ocpp1.6", "ok"),
    ]
    for one in done:
        assert one.answer_no is not None and messages[one.answer_no].call_no == one.call_no
        assert messages[one.call_no].protocol == messages[one.answer_no].protocol == one.protocol
        assert messages[one.answer_no].latency_ns == messages[one.answer_no].time_ns - messages[one.call_no].time_ns
    assert done[0].answered_ns is not None and done[1].answered_ns is not None and done[0].answered_ns < done[1].answered_ns


def test_translated_frames_name_the_frame_they_were_made_from() -> None:
    frames = {record.frame.frame_id: record.frame for record in played(session()) if isinstance(record, FrameSeen)}
    made = [frame for frame in frames.values() if frame.verdict == "translated"]
    assert len(made) == 8 and all(frame.cause == (frame.frame_id - 1,) for frame in made)
    assert {frames[frame.cause[0]].verdict for frame in made} == {"replaced"}
    assert all(frames[frame.cause[0]].sender is frame.sender for frame in made)


def test_a_translation_made_from_something_of_the_other_side_names_none() -> None:
    relay = Bridged()
    relay.begin()
    relay.make(CSMS, b'[2,"own","Reset",{"type":"Soft"}]')
    relay.make(CSMS, b'[2,"other","Reset",{"type":"Hard"}]', what="injected")
    frames = [record.frame for record in played(relay.records) if isinstance(record, FrameSeen)][2:]
    assert [(frame.verdict, frame.cause) for frame in frames] == [("translated", ()), ("injected", ())]


def test_a_transaction_is_one_of_the_stations_leg() -> None:
    told = [record.transaction for record in played(session()) if isinstance(record, TransactionChanged)]
    assert {(one.tx_id, one.protocol) for one in told} == {("17", "ocpp1.6")}
    assert (told[-1].meter_start, told[-1].meter_stop, told[-1].reason) == (100, 1100, "EVDisconnected")


def test_a_restart_at_every_record_changes_nothing_and_neither_does_reading_back() -> None:
    out = played(session())
    assert played(session(), True) == out
    again, analyser = list[Record](), Analyser(Settings(), Ids(), None)
    for record in out:
        if not isinstance(record, MessageSeen | ExchangeDone | Found | TransactionChanged):
            analyser.feed(record, again)
    assert again == out


def test_a_translation_that_is_wrong_is_the_proxys_fault_by_the_version_of_its_leg() -> None:
    relay = Bridged()
    relay.begin()
    relay.call(STATION, "b", ("BootNotification", "BootNotification"), (BOOT[0], BOOT[0], BOOT[2], b'{"status":"Fine"}'))
    assert [(one.code, one.blame, one.msg_no) for one in findings(played(relay.records))] == [
        ("T04", "proxy", 2), ("R14", "csms", 3), ("V01", "proxy", 4), ("V03", "proxy", 4), ("V03", "proxy", 4)]


def test_calls_on_both_legs_at_once_are_no_overlap_and_one_nobody_answers_is_the_side_that_was_asked() -> None:
    relay = Bridged()
    relay.begin()
    relay.call(STATION, "b", ("BootNotification", "BootNotification"), BOOT)
    at = relay.take(STATION, b'[2,"a","StartTransaction",' + START[0] + b"]", "translated")
    relay.make(STATION, b'[2,"own","TransactionEvent",' + START[1] + b"]", at)
    relay.now += 60_000_000_000
    relay.make(CSMS, b'[4,"a","InternalError","",{}]', what="injected")
    relay.beat()
    out = played(relay.records)
    assert [(one.code, one.blame, one.msg_no) for one in findings(out)] == [
        ("R07", "csms", 5), ("R07", "csms", 6), ("R06", "proxy", 7)]
    assert played(relay.records, True) == out
    done = [record.exchange for record in out if isinstance(record, ExchangeDone)]
    assert [(one.message_id, one.outcome) for one in done[2:]] == [("a", "error")]


def test_what_passes_a_bridge_as_it_is_finds_its_call_on_the_other_leg() -> None:
    relay = Bridged()
    relay.begin()
    relay.data(1, STATION, wire_frame(b'[2,"h","Heartbeat",{}]', mask=b"abcd"))
    relay.data(1, CSMS, wire_frame(b'[3,"h",{"currentTime":"2026-01-02T03:04:05Z"}]'))
    out = played(relay.records)
    (done,) = [record.exchange for record in out if isinstance(record, ExchangeDone)]
    assert (done.message_id, done.outcome, done.protocol) == ("h", "ok", "ocpp1.6")
    assert [record.message.protocol for record in out if isinstance(record, MessageSeen)] == ["ocpp1.6", "ocpp2.0.1"]
    assert findings(out) == []


def test_a_copy_on_a_bridged_link_is_judged_by_the_version_of_where_it_goes() -> None:
    relay = Bridged()
    relay.begin()
    at = relay.take(STATION, b'[2,"b","BootNotification",' + BOOT[0] + b"]", "replaced")
    relay.make(STATION, b'[2,"b","BootNotification",' + BOOT[1] + b"]", at, "replaced")
    relay.data(1, CSMS, wire_frame(b'[3,"b",' + BOOT[2] + b"]"))
    out = played(relay.records)
    assert findings(out) == []
    assert [record.exchange.outcome for record in out if isinstance(record, ExchangeDone)] == ["ok"]


@pytest.mark.parametrize(("told", "chosen", "spoken"), [
    ("ocpp1.6", "ocpp2.0.1", ("ocpp1.6", "ocpp2.0.1")), ("ocpp1.6", "OCPP1.6", ("OCPP1.6", "")),
    ("", "ocpp1.6", ("ocpp1.6", "")), ("ocpp1.6", "", ("", "")), ("ocpp1.6", "strange", ("strange", "")),
    ("ocpp1.6", "ocpp1.6", ("ocpp1.6", "")),
])
def test_only_two_versions_are_a_bridge(told: str, chosen: str, spoken: tuple[str, str]) -> None:
    def head(protocol: str) -> bytes:
        line = f"Sec-WebSocket-Protocol: {protocol}\r\n".encode() if protocol else b""
        return ANSWER.replace(b"Sec-WebSocket-Protocol: ocpp1.6\r\n", line) + b"\r\n"

    relay = Relay()
    relay.open(1)
    relay.request(1)
    relay.body(Kind.HEAD, 1, CSMS, Head(head(chosen), len(head(chosen)), head(told), status=101), len(head(chosen)))
    (shake,) = [record.link for record in played(relay.records) if isinstance(record, Handshake)]
    assert (shake.protocol, shake.csms_protocol) == spoken


def test_the_other_way_round() -> None:
    out = played(other_way())
    assert findings(out) == []
    told = [record.transaction for record in out if isinstance(record, TransactionChanged)]
    assert {(one.tx_id, one.protocol) for one in told} == {("uid-1", "ocpp2.0.1")}
    assert (told[-1].meter_start, told[-1].meter_stop) == (100, 1100)
    assert [one.exchange.outcome for one in out if isinstance(one, ExchangeDone)] == ["ok"] * 8
    assert played(other_way(), True) == out


def replaced(relay: Bridged, direction: int, text: bytes, made: bytes, reason: str = "") -> None:
    """A message leaves as another one, as a verdict of a plugin has it."""
    at = relay.take(direction, text, "replaced", reason=reason)
    relay.add(Kind.OUT, 1, direction, wire_frame(made, mask=MASK if direction == STATION else b""), at=at)


def test_what_replaces_a_message_between_two_versions_is_a_translation_under_the_same_id() -> None:
    relay = Bridged()
    relay.begin(1, b"ocpp2.1", b"ocpp2.0.1")
    replaced(relay, STATION, b'[2,"h","Heartbeat",{}]', b'[2,"h","Heartbeat",{}]')
    now = b'[3,"h",{"currentTime":"2026-01-02T03:04:05Z"}]'
    replaced(relay, CSMS, now, now)
    replaced(relay, CSMS, b'[2,"c","ClearCache",{}]', b'[2,"c","ClearCache",{}]')
    replaced(relay, STATION, b'[3,"c",{"status":"Accepted"}]', b'[3,"c",{"status":"Accepted"}]')
    relay.beat()
    out = played(relay.records)
    assert not findings(out) and not [record for record in out if isinstance(record, Note)]
    frames = {record.frame.frame_id: record.frame for record in out if isinstance(record, FrameSeen)}
    made = [frame for frame in frames.values() if frame.verdict == "translated"]
    assert len(made) == 4 and all(frame.cause == (frame.frame_id - 1,) for frame in made)
    done = [record.exchange for record in out if isinstance(record, ExchangeDone)]
    assert [(one.action, one.protocol, one.outcome) for one in done] == [
        ("Heartbeat", "ocpp2.0.1", "ok"), ("Heartbeat", "ocpp2.1", "ok"),
        ("ClearCache", "ocpp2.1", "ok"), ("ClearCache", "ocpp2.0.1", "ok")]
    assert played(relay.records, True) == out


def test_what_replaces_a_message_of_one_version_is_a_copy_of_it() -> None:
    relay = Bridged()
    relay.begin(1, b"ocpp2.1", b"ocpp2.1")
    replaced(relay, STATION, b'[2,"h","Heartbeat",{}]', b'[2,"h","Heartbeat",{}]')
    out = played(relay.records)
    assert [record.frame.verdict for record in out if isinstance(record, FrameSeen)][2:] == ["replaced", "modified"]
    assert [record.kind for record in out if isinstance(record, Note)] == ["plugin"]


def test_why_a_translation_is_another_one_is_noted() -> None:
    relay = Bridged()
    relay.begin(1, b"ocpp2.1", b"ocpp2.0.1")
    replaced(relay, STATION, b'[2,"h","Heartbeat",{}]', b'[2,"h","Heartbeat",{}]', "as asked")
    assert ["as asked" in record.text for record in played(relay.records) if isinstance(record, Note)] == [True]
