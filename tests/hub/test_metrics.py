"""Metrics count what passed; a peer cannot grow the series. Logs are one line each, with nothing a terminal obeys."""

import io
import json
import random
from pathlib import Path

import pytest

from ocpp_proxy.hub import log, sinks
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.model import Exchange, Finding, Frame, Link, Message, Opcode, Severity, Side
from ocpp_proxy.records import (
    Audited,
    Beat,
    ExchangeDone,
    Found,
    FrameSeen,
    Gap,
    Handshake,
    LinkClosed,
    LinkOpened,
    Lost,
    MessageSeen,
    Note,
    Record,
)
from tests.hub.doubles import message


def call(action: str, protocol: str = "ocpp1.6", mtype: int = 2, code: str = "") -> MessageSeen:
    return MessageSeen(Message(1, 1, 1, "CP", 5, Side.STATION, mtype, "m", action, protocol, b"{}", error_code=code))


def scrape(metrics: Metrics) -> dict[str, float]:
    lines = metrics.render().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_records_are_counted_by_what_they_are(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, lambda: {"ocpp_spool_bytes": ("Bytes.", 12.0)})
    link = Link(1, 1, "10.0.0.1:1", protocol="ocpp1.6", status=101)
    done = Exchange(1, 1, "CP", "ocpp1.6", Side.STATION, "Heartbeat", "m", 0, 2, 30_000_000, "ok")
    lost = Exchange(2, 1, "CP", "ocpp1.6", Side.CSMS, "Reset", "n", 0, None, None, "unanswered")
    stream: list[Record] = [
        LinkOpened(Link(1, 1, "10.0.0.1:1")), LinkOpened(Link(2, 1, "10.0.0.1:2")), Handshake(2, link),
        *message(1, 1, 5, b"{}"), call("Heartbeat", mtype=4, code="InternalError"), ExchangeDone(done), ExchangeDone(lost),
        Gap(1, 0, 3, 7, 5, 0, "disk full"), Lost(1, 1, "bridge", "Heartbeat", "m", "$.a", "dropped", ""),
        Audited(1, 1, "anna", "inject"),
        Found(Finding(1, "R05", Severity.ERROR, "station", 1, "CP", 5, "text")), LinkClosed(9, 2, "rst", Side.STATION),
    ]
    metrics.count(stream)
    metrics.committed(0.02)
    got = scrape(metrics)
    assert got['ocpp_connections{protocol="ocpp1.6"}'] == 1
    assert got['ocpp_connects_total{status="101"}'] == 1
    assert got['ocpp_disconnects_total{by="station",how="rst"}'] == 1
    assert got['ocpp_frames_total{opcode="text",sender="station"}'] == 1
    assert got['ocpp_bytes_total{sender="station"}'] == 2
    assert got['ocpp_messages_total{action="Heartbeat",protocol="ocpp1.6",sender="station",type="call"}'] == 1
    assert got['ocpp_call_errors_total{action="Heartbeat",code="InternalError"}'] == 1
    assert got['ocpp_exchange_seconds_count{action="Heartbeat",responder="csms"}'] == 1
    assert got['ocpp_exchange_seconds_bucket{action="Heartbeat",le="0.05",responder="csms"}'] == 1
    assert got['ocpp_exchange_seconds_bucket{action="Heartbeat",le="0.025",responder="csms"}'] == 0
    assert got['ocpp_unanswered_total{action="Reset"}'] == 1
    assert got['ocpp_findings_total{rule="R05",severity="error"}'] == 1
    assert (got["ocpp_gaps_total"], got["ocpp_gap_records_total"]) == (1, 5)
    assert got['ocpp_losses_total{plugin="bridge",what="dropped"}'] == got['ocpp_acts_total{act="inject"}'] == 1
    assert got["ocpp_spool_bytes"] == 12
    assert got["ocpp_capture_commit_seconds_count"] == 1
    assert got['ocpp_build_info{version="0.1.0"}'] == 1


def test_a_hostile_peer_cannot_grow_the_series(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, dict)
    for n in range(500):
        metrics.count([
            call(f"Evil{n}"), call(f"Evil{n}", ""), call("Heartbeat", f"proto{n}"), call("Heartbeat", mtype=4, code=f"Code{n}"),
            Handshake(1, Link(1, 1, "x", protocol=f"p{n}", status=n * 1000)),
            ExchangeDone(Exchange(1, 1, "CP", "ocpp1.6", Side.CSMS, f"Act{n}", "m", 0, 2, 1, "ok")),
        ])
    assert len(scrape(metrics)) < 40


def test_the_relays_numbers_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "relay-0.json").write_text('{"turn_max_seconds": 0.004, "text": "x", "bad name": 1}')
    (tmp_path / "relay-1.json").write_text("{")
    got = scrape(Metrics(tmp_path, dict))
    assert {name: value for name, value in got.items() if "relay" in name} == {'ocpp_relay_turn_max_seconds{worker="0"}': 0.004}


def test_a_log_line_is_one_line_of_json_and_harmless() -> None:
    stream = io.StringIO()
    log.configure("recorder", stream)
    log.logger().info("refused", identity="CP\x1b[2J\nFAKE {}", raw=b"\x9b31m", number=5, many=["\x1b]0;x\x07"])
    log.logger().debug("never shown")
    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line and "\\u001b" not in line
    event = json.loads(line)
    assert event["event"] == "refused"
    assert event["process"] == "recorder"
    assert event["level"] == "info"
    assert event["number"] == 5
    assert event["identity"] == "CP\\x1b[2J\\nFAKE {}"


def test_the_ring_and_the_links_are_bounded() -> None:
    live = Live()
    for n in range(1, sinks.RING_LINES + 101):
        live.publish(message(n, 1, n, b"{}"))
    assert len(live._ring.lines) == sinks.RING_LINES
    assert live._ring.dropped == 100
    assert live.line_count == sinks.RING_LINES + 100
    (first,) = live.page(None, 0, 1)
    assert isinstance(first.record, MessageSeen) and first.record.message.msg_no == 101
    (after,) = live.page(None, 5000, 1)
    assert isinstance(after.record, MessageSeen) and after.record.message.msg_no == 5001
    for n in range(sinks.KEPT_LINKS + 50):
        live.publish([LinkOpened(Link(n, n, "x")), LinkClosed(n, n, "fin")])
    assert len(live.links) == sinks.KEPT_LINKS


def test_large_lines_are_bounded_in_bytes() -> None:
    live = Live()
    for n in range(1, 21):
        live.publish(message(n, 1, n, b"x" * (4 << 20)))
    assert len(live._ring.lines) <= 5
    assert live._ring.dropped >= 15


def test_lines_made_late_are_those_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "RING_LINES", 40)
    finding = Finding(1, "R05", Severity.ERROR, "station", 1, "CP", 5, "text", msg_no=1, evidence=(1,))
    exchange = ExchangeDone(Exchange(1, 1, "CP", "ocpp1.6", Side.STATION, "Heartbeat", "m", 0, 2, 30_000_000, "ok"))
    dice = random.Random(5)
    for _ in range(60):
        late, at_once = Live(), Live()
        at_once.subscribe(None)
        number = 0
        for _ in range(dice.randrange(40)):
            stream: list[Record] = []
            for _ in range(dice.randrange(12)):
                number += 1
                size = dice.choice((2, 2, 2, 2, 3000, 20_000))
                stream += [*message(number, 1, number, b"x" * size), exchange, Beat(number)]
                if dice.random() < 0.05:
                    stream += dice.choice(([Found(finding)], [Note(6, 1, "refused")], [LinkOpened(Link(number, number, "x"))]))
            late.publish(stream)
            at_once.publish(stream)
            if dice.random() < 0.1:
                assert late.page(None, 3, 20) == at_once.page(None, 3, 20)
        assert list(late.ring) == list(at_once.ring)
        assert (late.line_count, late._ring.dropped) == (at_once.line_count, at_once._ring.dropped)
        assert late.open_links == at_once.open_links


def test_records_whose_lines_are_made_late_are_bounded() -> None:
    live = Live()
    for n in range(1, 3 * sinks.RING_LINES):
        live.publish(message(n, 1, n, b"{}"))
        live.publish([Beat(n)])
    assert len(live._ring._late) == sinks.RING_LINES
    fragment = Frame(1, 1, 1, 1, 1, Side.STATION, Opcode.TEXT, fin=False)
    live.publish([*message(1, 1, 1, b"{}"), *[FrameSeen(fragment)] * 1000])     # frames that make no lines are not kept
    assert live._ring._late[-1].records == () and len(live._ring._late[-1].made) == 1


def test_findings_stay_with_their_line(tmp_path: Path) -> None:
    live = Live()
    finding = Finding(1, "R05", Severity.ERROR, "station", 1, "CP", 5, "text", msg_no=1, evidence=(1,))
    live.publish([*message(1, 1, 5, b"{}"), Found(finding), Note(6, 1, "refused")])
    lines = live.page(None, 0, 10)
    assert [line.findings for line in lines] == [(finding,), ()]


def test_a_batch_of_exchanges_falls_into_its_buckets_whatever_its_order(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, dict)
    seconds = (70.0, 0.005, 0.006, 0.03, 0.0, 60.0)
    for batch in (seconds[:4], seconds[4:]):
        metrics.count([
            ExchangeDone(Exchange(1, 1, "CP", "ocpp1.6", Side.CSMS, "Reset", "m", 0, 2, round(one * 1e9), "ok"))
            for one in batch
        ])
    got = scrape(metrics)
    bounds = {"0.005": 2, "0.01": 3, "0.025": 3, "0.05": 4, "30.0": 4, "60.0": 5, "+Inf": 6}
    assert {le: got[f'ocpp_exchange_seconds_bucket{{action="Reset",le="{le}",responder="station"}}'] for le in bounds} == bounds
    assert got['ocpp_exchange_seconds_sum{action="Reset",responder="station"}'] == sum(seconds)
