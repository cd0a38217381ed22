"""The summaries of a stream without a capture: what they say, and that they stay within their bounds."""

import json

import pytest

from ocpp_proxy.core import seen_chargers, seen_findings, seen_transactions
from ocpp_proxy.core.overview import Overview
from ocpp_proxy.core.seen_transactions import Runs
from ocpp_proxy.model import Finding, Severity
from ocpp_proxy.records import Found
from ocpp_proxy.source import Charger
from tests.core.streams import SECOND, START, Feed, play

BOOT = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1.2"}


def overview(feed: Feed) -> Overview:
    made = Overview()
    made.feed(play(feed.records))
    return made


def call(feed: Feed, action: str, payload: object, answer: object = None, link_id: int = 1, csms: bool = False) -> None:
    """A Call with its answer 10 ms later."""
    key, ask, reply = f"m{feed.frames}", feed.csms if csms else feed.station, feed.station if csms else feed.csms
    ask(json.dumps([2, key, action, payload]), link_id)
    reply(json.dumps([3, key, answer if answer is not None else {}]), link_id)


def only(feed: Feed) -> Charger:
    (charger,) = overview(feed).chargers()
    return charger


def test_a_charger() -> None:
    feed = Feed()
    feed.begin()
    call(feed, "BootNotification", BOOT, {"currentTime": "2026-01-02T03:04:00Z", "interval": 300, "status": "Accepted"})
    for connector, status in ((2, "Available"), (1, "Charging"), (2, "Faulted")):
        call(feed, "StatusNotification", {"connectorId": connector, "errorCode": "NoError", "status": status})
    feed.station('[2,"e","Heartbeat",{}]')
    feed.csms('[4,"e","InternalError","",{}]')
    charger = only(feed)
    assert (charger.identity, charger.state, charger.protocol) == ("CP1", "open", "ocpp1.6")
    assert charger.remote == "192.168.8.57:4711"
    assert (charger.vendor, charger.model, charger.firmware) == ("V", "M", "1.2")
    assert list(charger.connectors.items()) == [("1", "Charging"), ("2", "Faulted")]
    assert (charger.messages, charger.rate, charger.errors, charger.p95_ms) == (10, 60.0, 1, 10.0)    # in its first ten seconds
    assert (charger.opened_ns, charger.last_seen_ns) == (START, START + 9 * SECOND // 100)


def test_connectors_of_2x_and_what_is_no_status() -> None:
    feed = Feed()
    feed.begin(protocol="ocpp2.0.1")
    station = {"vendorName": "W", "model": "N", "firmwareVersion": 5}
    call(feed, "BootNotification", {"reason": "PowerUp", "chargingStation": station})
    call(feed, "StatusNotification", {"evseId": 2, "connectorId": 1, "connectorStatus": "Occupied"})
    call(feed, "StatusNotification", {"evseId": 1, "connectorId": 1, "connectorStatus": {}})
    charger = only(feed)
    assert charger.connectors == {"2/1": "Occupied"} and (charger.vendor, charger.model, charger.firmware) == ("W", "N", "")


def test_a_call_without_answer_is_an_error_after_a_while_and_none_if_it_comes_late() -> None:
    feed = Feed()
    feed.begin()
    feed.station('[2,"a","Heartbeat",{}]')
    feed.wait(29)
    assert only(feed).errors == 0
    feed.wait(2)
    assert only(feed).errors == 1
    feed.csms('[3,"a",{}]')
    assert only(feed).errors == 0
    feed.station('[2,"b","Heartbeat",{}]')
    feed.close()
    assert only(feed).errors == 1


def test_states_reconnects_and_outages() -> None:
    feed = Feed()
    feed.begin(1)
    assert only(feed).state == "open"
    feed.close(1)
    feed.wait(20)
    assert only(feed).state == "closed"
    feed.begin(2, status=404)
    feed.close(2)
    assert only(feed).state == "refused"
    feed.wait(10)
    feed.begin(3)
    feed.begin(4)                           # before the other has ended: no outage
    feed.close(3)
    charger = only(feed)
    assert (charger.state, charger.reconnects, charger.outage_s) == ("open", 2, 30.0)


def test_a_guessed_protocol_is_no_connection() -> None:
    feed = Feed()
    feed.begin(protocol="")
    call(feed, "BootNotification", BOOT)
    charger = only(feed)
    assert (charger.protocol, charger.reconnects, charger.state) == ("ocpp1.6", 0, "open")


def test_the_rate_is_of_the_five_minutes_before_the_last_message() -> None:
    feed = Feed()
    feed.begin()
    for _ in range(10):
        call(feed, "Heartbeat", {})
    feed.wait(400)
    call(feed, "Heartbeat", {})
    assert only(feed).rate == 2 / 5


def found(number: int, code: str, identity: str, count: int = 1, blame: str = "station", level: int = 2) -> Found:
    return Found(Finding(number, code, Severity(level), "csms" if blame == "csms" else "station", 1, identity, number * 1000,
                         f"text {number}", None, (), "", "clause", count))


def test_groups_count_what_is_given_again_once() -> None:
    made = Overview()
    made.feed([found(1, "R05", "A"), found(2, "R05", "B", blame="csms", level=3)])
    made.feed([found(1, "R05", "A", 10), found(3, "P1", "B")])
    first, second = made.finding_groups()
    assert (first.code, first.count, first.chargers, first.blame, first.severity) == ("R05", 11, ("A", "B"), "either", 3)
    assert (first.title, first.message, first.first_ns, first.last_ns) == ("messageId used again", "text 2", 1000, 2000)
    assert (second.code, second.title, second.spec_ref) == ("P1", "text 3", "clause")
    (of_a,) = made.finding_groups("A")
    assert (of_a.count, of_a.chargers, of_a.blame, of_a.message) == (10, ("A",), "station", "text 1")
    assert [one.finding.finding_id for one in made.findings()] == [3, 2, 1]
    assert [one.finding.count for one in made.findings("R05", "A")] == [10]
    assert len(made.findings(limit=2)) == 2


def test_findings_are_bounded_and_go_on_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_findings, "KEPT", 2)
    monkeypatch.setattr(seen_findings, "TALLIES", 3)
    monkeypatch.setattr(seen_findings, "CODES", 2)
    made = Overview()
    made.feed([found(number, "R05", f"CP{number}") for number in range(1, 6)])
    made.feed([found(1, "R05", "CP1", 10), found(1, "R05", "CP1", 37), found(8, "R06", "CP1"), found(9, "R07", "CP1")])
    assert [one.finding.finding_id for one in made.findings("R05")] == [5, 1]
    assert made.finding_groups()[0].count == 5 + 36 and len(made.finding_groups()[0].chargers) == 3
    assert {group.code for group in made.finding_groups()} == {"R05", "R06"}
    assert made.forgotten == 3 + 1 + 1


def test_chargers_are_bounded_those_away_longest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_chargers, "CHARGERS", 3)
    monkeypatch.setattr(seen_chargers, "LINKS", 3)
    feed = Feed()
    feed.begin(1, "STAYS")
    for link in range(2, 8):
        feed.begin(link, f"CP{link}")
        call(feed, "Heartbeat", {}, link_id=link)
        feed.close(link)
    made = overview(feed)
    assert [one.identity for one in made.chargers()] == ["CP6", "CP7", "STAYS"] and made.forgotten == 4


def test_latencies_connectors_and_open_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_chargers, "LATENCIES", 4)
    monkeypatch.setattr(seen_chargers, "CONNECTORS", 2)
    monkeypatch.setattr(seen_chargers, "WAITING", 2)
    feed = Feed()
    feed.begin()
    feed.station('[2,"slow","Heartbeat",{}]')
    feed.wait(5)
    feed.csms('[3,"slow",{}]')
    for connector in range(1, 6):
        call(feed, "StatusNotification", {"connectorId": connector, "errorCode": "NoError", "status": "Available"})
    for number in range(4):
        feed.station(f'[2,"w{number}","Heartbeat",{{}}]')
    charger = only(feed)
    assert (charger.p95_ms, list(charger.connectors), charger.errors) == (10.0, ["4", "5"], 2)


def start(feed: Feed, tx: int, meter: int = 1000, connector: int = 1) -> None:
    asked = {"connectorId": connector, "idTag": "T", "meterStart": meter, "timestamp": "2026-01-02T03:04:00Z"}
    call(feed, "StartTransaction", asked, {"transactionId": tx, "idTagInfo": {"status": "Accepted"}})


def test_transactions_of_16() -> None:
    feed = Feed()
    feed.begin()
    call(feed, "MeterValues", {"connectorId": 2, "transactionId": 5, "meterValue": [{"timestamp": "2026-01-02T03:04:00Z",
         "sampledValue": [{"value": "1", "unit": "kWh"}, {"value": "3000"}, {"value": "9", "phase": "L1"}]}]})
    start(feed, 7)
    call(feed, "StopTransaction", {"transactionId": 7, "meterStop": 3500, "timestamp": "2026-01-02T05:04:00Z"})
    start(feed, 7, 3500)
    again, ended, before = overview(feed).transactions()
    assert (ended.tx_id, ended.connector, ended.evse, ended.kwh, ended.reason) == ("7", 1, None, 2.5, "Local")
    assert ended.missing is None
    assert ended.stopped_ns - ended.started_ns == 2 * SECOND // 100 and ended.protocol == "ocpp1.6" and ended.id_token == "T"
    assert (again.tx_id, again.stopped_ns, again.kwh, again.reason) == ("7", 0, None, "")
    assert (before.tx_id, before.started_ns, before.kwh, before.connector) == ("5", 0, 2.0, 2)
    assert overview(feed).transactions(limit=1) == [again] and overview(feed).transactions("CP2") == []


def event(feed: Feed, what: str, seq: int, wh: int, **info: object) -> None:
    call(feed, "TransactionEvent", {
        "eventType": what, "timestamp": "2026-01-02T03:04:00Z", "triggerReason": "Authorized", "seqNo": seq,
        "transactionInfo": {"transactionId": "X", **info}, "evse": {"id": 2, "connectorId": 1},
        "meterValue": [{"timestamp": "2026-01-02T03:04:00Z", "sampledValue": [{"value": wh}]}]})


def test_transactions_of_2x() -> None:
    feed = Feed()
    feed.begin(protocol="ocpp2.0.1")
    event(feed, "Started", 0, 100)
    event(feed, "Updated", 4, 600)
    event(feed, "Updated", 2, 300)
    (running,) = overview(feed).transactions()
    assert (running.evse, running.connector, running.kwh, running.missing, running.stopped_ns) == (2, 1, 0.5, 2, 0)
    event(feed, "Ended", 5, 1100, stoppedReason="EVDisconnected")
    (ended,) = overview(feed).transactions()
    assert (ended.kwh, ended.missing, ended.reason) == (1.0, 2, "EVDisconnected") and ended.stopped_ns > ended.started_ns > 0


def test_sequence_numbers_in_any_order_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Runs().missing is None
    runs = Runs()
    for value in (5, 1, 3, 2, 3, 9):
        runs.add(value)
    assert runs.ranges == [(1, 3), (5, 5), (9, 9)] and runs.missing == 4
    monkeypatch.setattr(seen_transactions, "RUNS", 2)
    runs.add(20)
    assert len(runs.ranges) == 2 and runs.missing == 14


def test_transactions_points_and_orders_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("TRANSACTIONS", 3), ("POINTS", 2), ("ALL_POINTS", 4), ("PENDING", 1), ("KEPT_ORDERS", 2)):
        monkeypatch.setattr(seen_transactions, name, most)
    feed = Feed()
    feed.begin()
    for tx in range(1, 6):
        start(feed, tx)
        for second in range(3):
            call(feed, "MeterValues", {"connectorId": 1, "transactionId": tx, "meterValue": [
                {"timestamp": f"2026-01-02T03:04:0{second}Z", "sampledValue": [{"value": "1"}]}]})
    made = overview(feed)
    known = made.transactions()
    assert [one.tx_id for one in known] == ["5", "4", "3"]
    assert [len(made.curve(one)) for one in known] == [2, 2, 0]
    assert made.forgotten == 2 + 5 * 2 + 3 * 2
    for number in range(5):
        call(feed, "SetChargingProfile", {"connectorId": number}, {"status": "Accepted"}, csms=True)
    before, made = made.forgotten, overview(feed)
    assert made.forgotten == before + 3
