"""What the analyser makes of frames: messages, exchanges, transactions, guesses; order, numbers, hostile input."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ocpp_proxy.checks import Settings
from ocpp_proxy.checks.state import EXPIRED_CALLS
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.memory import STATIONS
from ocpp_proxy.model import Opcode, Side
from ocpp_proxy.records import Beat, Found, Gap, Handshake, LinkClosed, Note, PluginFinding, Record
from tests.core.streams import SECOND, START, Feed, exchanges, findings, messages, play, transactions

BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
START_TX = '[2,"s","StartTransaction",{"connectorId":2,"idTag":"TAG","meterStart":1000,"timestamp":"2026-01-02T03:04:00Z"}]'


def feed_16() -> Feed:
    feed = Feed()
    feed.begin()
    return feed


def codes(out: list[Record]) -> list[str]:
    return [finding.code for finding in findings(out)]


# ---- messages and order ----


def test_order_of_what_follows_a_frame() -> None:
    feed = feed_16()
    feed.station(START_TX)
    feed.csms('[3,"s",{"transactionId":-1,"idTagInfo":{"status":"Accepted"}}]')
    names = [type(record).__name__ for record in play(feed.records)]
    assert names[2:] == ["FrameSeen", "MessageSeen", "FrameSeen", "MessageSeen", "ExchangeDone", "TransactionChanged", "Found"]


def test_message_fields_and_hot_keys() -> None:
    feed = feed_16()
    feed.station(START_TX)
    feed.csms('[3,"s",{"transactionId":77,"idTagInfo":{"status":"Accepted"}}]')
    call, answer = messages(play(feed.records))
    assert (call.msg_no, call.frame_id, call.mtype, call.action, call.protocol) == (1, 3, 2, "StartTransaction", "ocpp1.6")
    assert (call.connector_id, call.id_token, call.tx_id, call.evse_id) == (2, "TAG", "", None)
    assert (answer.msg_no, answer.call_no, answer.action, answer.tx_id) == (2, 1, "StartTransaction", "77")
    assert answer.latency_ns == SECOND // 100
    assert call.payload == b'{"connectorId":2,"idTag":"TAG","meterStart":1000,"timestamp":"2026-01-02T03:04:00Z"}'


def test_hot_keys_of_2_x() -> None:
    feed = Feed()
    feed.begin(protocol="ocpp2.0.1")
    feed.station(
        '[2,"1","TransactionEvent",{"eventType":"Started","timestamp":"2026-01-02T03:04:00Z","triggerReason":"Authorized",'
        '"seqNo":0,"transactionInfo":{"transactionId":"T1"},"evse":{"id":3,"connectorId":1},'
        '"idToken":{"idToken":"TAG","type":"ISO14443"}}]'
    )
    (message,) = messages(play(feed.records))
    assert (message.evse_id, message.connector_id, message.tx_id, message.id_token) == (3, 1, "T1", "TAG")


@pytest.mark.parametrize(("text", "code"), [
    (b'[2,"1","Heartbeat",' + b"[" * 100_000, "R01"), (b'[2,"1","DataTransfer",' + b"[" * 2000 + b"]" * 2000 + b"]", "R01"),
    (b"[" + b"[]," * 2_000_000, "T18"), (b'[2,"1","Heartbeat",{"a":NaN}]', "V07"), (b'[2,"1","Heartbeat",{"a":1e400}]', "V07"),
    (b'[2,"1","Authorize",{"idTag":"\\ud800"}]', "R01"), (b'[2,"1","Heartbeat",{"a":' + b"9" * 6000 + b"}]", "V07"),
])
def test_hostile_payloads_become_a_message_and_a_finding(text: bytes, code: str) -> None:
    feed = feed_16()
    feed.station(text)
    feed.station('[2,"2","Heartbeat",{}]')
    out = play(feed.records)
    assert len(messages(out)) == 2
    assert code in codes(out)


@pytest.mark.parametrize(("frame", "told", "rows"), [
    ({"sent": b'[2,"1","DataTransfer",{"data":"' + b"x" * (2 << 20) + b'"}]'},
     "a payload of 2,097,163 bytes: over 1 MiB it is stored, not validated", [("DataTransfer", "1")]),
    ({"sent": b"", "raw": b"\x81\xff" + (5_000_000).to_bytes(8, "big") + b"1234[", "faults": ("too_large",), "fin": False},
     "a message of 5,000,000 bytes: over 4 MiB it is stored, not decoded", []),
    ({"sent": b"x", "faults": ("too_large",)}, "a message: over 4 MiB it is stored, not decoded", []),
    ({"sent": b"z" * 4711, "text": b"[2,", "faults": ("bomb",)},
     "a compressed message of over 4 MiB of text (4,711 bytes on the wire): it is not decoded", []),
])
def test_what_is_too_large_to_decode_is_told_once_with_its_size(frame: Any, told: str, rows: list[tuple[str, str]]) -> None:
    feed = feed_16()
    feed.station(**frame)
    out = play(feed.records)
    assert [(finding.code, finding.message) for finding in findings(out)] == [("T18", told)]
    assert [(message.action, message.message_id) for message in messages(out)] == rows



# ---- exchanges ----


def test_ids_are_paired_per_direction() -> None:
    """Crossing Calls with the same id are legal, each answer finds its own."""
    feed = feed_16()
    feed.station('[2,"1","Heartbeat",{}]')
    feed.csms('[2,"1","ClearCache",{}]')
    feed.station('[3,"1",{"status":"Accepted"}]')
    feed.csms('[3,"1",{"currentTime":"2026-01-02T03:04:00Z"}]')
    out = play(feed.records)
    assert [(done.action, done.caller, done.call_no, done.answer_no) for done in exchanges(out)] == [
        ("ClearCache", Side.CSMS, 2, 3), ("Heartbeat", Side.STATION, 1, 4),
    ]
    assert codes(out) == []


def test_links_do_not_share_calls() -> None:
    feed = feed_16()
    feed.begin(2, "CP2")
    feed.station('[2,"1","Heartbeat",{}]', 1)
    feed.csms('[3,"1",{"currentTime":"2026-01-02T03:04:00Z"}]', 2)
    out = play(feed.records)
    assert exchanges(out) == []
    assert codes(out) == ["R06"]


def test_open_calls_end_unanswered_with_their_link() -> None:
    feed = feed_16()
    feed.station('[2,"1","Heartbeat",{}]')
    feed.csms('[2,"2","ClearCache",{}]')
    feed.station(b"\x03\xe8", opcode=Opcode.CLOSE)
    feed.close()
    out = play(feed.records)
    assert [(done.call_no, done.outcome, done.answer_no) for done in exchanges(out)] == [
        (1, "unanswered", None), (2, "unanswered", None),
    ]
    assert codes(out) == []
    closed = next(index for index, record in enumerate(out) if isinstance(record, LinkClosed))
    assert all(type(record).__name__ == "ExchangeDone" for record in out[closed + 1 :])


def test_a_time_limit_is_stamped_with_its_own_time_and_comes_before_the_next_record() -> None:
    feed = feed_16()
    call = feed.station('[2,"1","Heartbeat",{}]')
    feed.now += 100 * SECOND
    feed.station('[2,"2","Authorize",{"idTag":"A"}]')
    out = play(feed.records)
    (found,) = findings(out)
    assert (found.code, found.time_ns, found.evidence, found.msg_no) == ("R07", call.time_ns + 30 * SECOND, (call.frame_id,), 1)
    assert type(out[out.index(Found(found)) + 1]).__name__ == "FrameSeen"


def test_deadlines_of_several_links_come_in_the_order_of_their_times() -> None:
    feed = feed_16()
    for link in (3, 2, 4):
        feed.begin(link, f"CP{link}")
        feed.station('[2,"1","Heartbeat",{}]', link)
    feed.wait(40)
    found = findings(play(feed.records))
    assert [finding.link_id for finding in found] == [3, 2, 4]
    assert [finding.time_ns for finding in found] == sorted(finding.time_ns for finding in found)


def test_a_late_answer_still_closes_its_exchange() -> None:
    feed = feed_16()
    feed.station('[2,"1","Heartbeat",{}]')
    feed.wait(45)
    feed.csms('[3,"1",{"currentTime":"2026-01-02T03:04:00Z"}]')
    out = play(feed.records)
    assert codes(out) == ["R07", "R06"]
    assert [(done.outcome, done.answer_no) for done in exchanges(out)] == [("ok", 2)]


def test_every_call_has_exactly_one_exchange_even_if_too_many_expire() -> None:
    feed = feed_16()
    for number in range(EXPIRED_CALLS + 10):
        feed.station(f'[2,"{number}","Heartbeat",{{}}]')
    feed.wait(60)
    feed.close()
    done = exchanges(play(feed.records))
    assert sorted(exchange.call_no for exchange in done) == list(range(1, EXPIRED_CALLS + 11))
    assert {exchange.outcome for exchange in done} == {"unanswered"}


def test_a_send_is_never_waited_for() -> None:
    feed = Feed()
    feed.begin(protocol="ocpp2.1")
    feed.station('[6,"1","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-01-02T03:04:00Z","data":[{"t":0,"v":"1"}]}]')
    feed.wait(60)
    out = play(feed.records)
    assert exchanges(out) == []
    assert codes(out) == []


def test_a_callresulterror_belongs_to_the_call_it_rejects() -> None:
    feed = Feed()
    feed.begin(protocol="ocpp2.1")
    feed.station('[2,"1","Heartbeat",{}]')
    feed.csms('[3,"1",{"currentTime":"2026-01-02T03:04:00Z"}]')
    feed.station('[5,"1","FormatViolation","",{}]')
    out = play(feed.records)
    last = messages(out)[-1]
    assert (last.mtype, last.action, last.call_no, last.error_code) == (5, "Heartbeat", 1, "FormatViolation")
    assert codes(out) == []


# ---- transactions ----


def test_start_and_stop_of_1_6() -> None:
    feed = feed_16()
    feed.station(START_TX)
    feed.csms('[3,"s",{"transactionId":77,"idTagInfo":{"status":"Accepted"}}]')
    feed.station('[2,"e","StopTransaction",{"transactionId":77,"meterStop":5000,"timestamp":"2026-01-02T04:04:00Z","reason":"Remote"}]')
    began, ended = transactions(play(feed.records))
    assert (began.tx_id, began.started_ns, began.stopped_ns, began.meter_start) == ("77", START, None, 1000.0)
    assert (ended.tx_id, ended.started_ns, ended.stopped_ns, ended.meter_stop, ended.reason) == (
        "77", START, START + 3600 * SECOND, 5000.0, "Remote",
    )
    assert (ended.connector_id, ended.id_token, ended.identity) == (2, "TAG", "CP1")


def test_a_stop_with_minus_one_ends_the_latest_open_start() -> None:
    feed = feed_16()
    feed.station(START_TX)
    feed.station('[2,"e","StopTransaction",{"transactionId":-1,"meterStop":5000,"timestamp":"2026-01-02T03:04:01Z"}]')
    (ended,) = transactions(play(feed.records))
    assert (ended.tx_id, ended.meter_start, ended.meter_stop, ended.reason) == ("-1", 1000.0, 5000.0, "Local")


def test_a_transaction_goes_on_over_a_reconnect() -> None:
    feed = feed_16()
    feed.station(START_TX)
    feed.csms('[3,"s",{"transactionId":77,"idTagInfo":{"status":"Accepted"}}]')
    feed.close(1, "shutdown")
    feed.begin(2)
    feed.station('[2,"e","StopTransaction",{"transactionId":77,"meterStop":5000,"timestamp":"2026-01-02T03:05:00Z"}]', 2)
    out = play(feed.records)
    meters = [(tx.tx_id, tx.meter_start, tx.meter_stop) for tx in transactions(out)]
    assert meters == [("77", 1000.0, None), ("77", 1000.0, 5000.0)]
    assert codes(out) == []


def test_transaction_events_of_2_x() -> None:
    feed = Feed()
    feed.begin(protocol="ocpp2.0.1")
    for number, (kind, energy) in enumerate((("Started", 100), ("Updated", 200), ("Ended", 300))):
        feed.station(
            f'[2,"{number}","TransactionEvent",{{"eventType":"{kind}","timestamp":"2026-01-02T03:0{4 + number}:00Z",'
            f'"triggerReason":"Trigger","seqNo":{number},"transactionInfo":{{"transactionId":"T1"}},"evse":{{"id":1}},'
            f'"meterValue":[{{"timestamp":"2026-01-02T03:04:00Z","sampledValue":[{{"value":{energy},'
            f'"unitOfMeasure":{{"unit":"kWh"}}}}]}}]}}]'
        )
        feed.csms(f'[3,"{number}",{{}}]')
    began, ended = transactions(play(feed.records))
    assert (began.meter_start, began.meter_stop, began.stopped_ns) == (100_000.0, None, None)
    assert (ended.meter_start, ended.meter_stop, ended.stopped_ns) == (100_000.0, 300_000.0, START + 120 * SECOND)


# ---- the version ----


def test_without_a_subprotocol_the_version_is_guessed_and_told() -> None:
    feed = Feed()
    feed.begin(protocol="")
    feed.station(BOOT)
    out = play(feed.records)
    handshakes = [record for record in out if isinstance(record, Handshake)]
    assert [(shake.link.protocol, shake.link.protocol_guessed) for shake in handshakes] == [("", False), ("ocpp1.6", True)]
    assert messages(out)[0].protocol == "ocpp1.6"
    assert type(out[-1]).__name__ == "Handshake"


def test_a_wrong_guess_is_given_up_as_messages_come() -> None:
    feed = Feed()
    feed.begin(protocol="")
    feed.station(BOOT)
    for number in range(3):
        feed.station(
            f'[2,"t{number}","TransactionEvent",{{"eventType":"Started","timestamp":"2026-01-02T03:04:00Z",'
            f'"triggerReason":"Authorized","seqNo":0,"transactionInfo":{{"transactionId":"T"}}}}]'
        )
    shakes = [record.link.protocol for record in play(feed.records) if isinstance(record, Handshake)]
    assert shakes == ["", "ocpp1.6", "ocpp2.0.1"]


def test_a_guess_read_back_from_a_capture_is_made_anew() -> None:
    feed = Feed()
    feed.begin(protocol="")
    feed.station(BOOT)
    first = play(feed.records)
    kept = [record for record in first if type(record).__name__ in ("LinkOpened", "Handshake", "FrameSeen")]
    assert play(kept) == first      # type: ignore[arg-type]


def test_a_negotiated_version_is_never_guessed_about() -> None:
    feed = Feed()
    feed.begin(protocol="mqtt")
    feed.station(BOOT)
    assert len([record for record in play(feed.records) if isinstance(record, Handshake)]) == 1


# ---- the rest ----


def test_foreign_findings_are_numbered() -> None:
    feed = feed_16()
    feed.station("[2,1]")
    feed.records.append(PluginFinding(feed.now, 1, "P01", "error", "proxy", "a plugin failed", (3,)))
    found = findings(play(feed.records))[-1]
    assert (found.code, found.severity.label, found.identity, found.evidence) == ("P01", "error", "CP1", (3,))
    assert found.finding_id == len(findings(play(feed.records)))


def test_records_of_unknown_links_go_through() -> None:
    feed = Feed()
    feed.station('[2,"1","Heartbeat",{}]', 9)
    feed.records += [Note(feed.now, 8, "upstream_failed", None, "dns: x"), Gap(feed.now, 0, 1, 2, 1, 0, "x"), Beat(feed.now)]
    feed.close(7)
    assert len(messages(play(feed.records))) == 1


def test_numbers_go_on_where_a_capture_left_off() -> None:
    ids = Ids(msg_no=500, finding_id=40)
    out: list[Record] = []
    feed = feed_16()
    feed.station('[2,1,"Heartbeat",{}]')
    analyser = Analyser(Settings(), ids, None)
    for record in feed.records:
        analyser.feed(record, out)
    assert messages(out)[0].msg_no == 500
    assert findings(out)[0].finding_id == 40
    assert (ids.msg_no, ids.finding_id) == (501, 41)


def test_stations_are_bounded() -> None:
    analyser = Analyser(Settings(), Ids(), None)
    feed, out = Feed(), list[Record]()
    for number in range(1, STATIONS + 6):
        feed.begin(number, f"CP{number}")
        feed.close(number)
    for record in feed.records:
        analyser.feed(record, out)
    core = analyser._core
    assert len(core.stations) == STATIONS
    assert core.overflow == 5
    assert core.links == {}
    assert core.deadlines.armed == {}


def certificate(days: float) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.fromtimestamp(START / 1e9, UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CP1")])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=900)).not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode().replace("\n", "\\n")


@pytest.mark.parametrize(("days", "expected"), [(5, ["T10"]), (-5, ["T10"]), (300, [])])
def test_a_certificate_on_its_way_is_looked_into(days: float, expected: list[str]) -> None:
    feed = feed_16()
    feed.csms(f'[2,"1","CertificateSigned",{{"certificateChain":"{certificate(days)}"}}]')
    assert codes(play(feed.records)) == expected
