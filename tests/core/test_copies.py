"""Changed messages through the whole pipeline: one message each, masked, the same after any restart and read back."""

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.checks.state import LinkState
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.copies import MOST_REPLACED
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.model import Finding, Frame, Side
from ocpp_proxy.records import ExchangeDone, Found, FrameSeen, MessageSeen, Record
from ocpp_proxy.wire.spool import Disposition, Kind, SpoolRecord, encode_body
from tests.core.feeds import CSMS, STATION, Relay, wire_frame
from tests.core.streams import Feed

MASK = b"\x11\x22\x33\x44"
SECRET = b'[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s"}]'


def changed(relay: Relay, direction: int, received: bytes, sent: bytes) -> None:
    """What the relay appends for a message that leaves changed."""
    mask = MASK if direction == STATION else b""
    data = wire_frame(received, mask=mask)
    at = relay.offsets[1, direction] + len(data)
    relay.add(Kind.DISP, 1, direction, encode_body(Disposition((), "replaced", "marker", "why")), at=at)
    relay.data(1, direction, data)
    relay.add(Kind.OUT, 1, direction, wire_frame(sent, mask=mask), at=at)


def traffic() -> list[SpoolRecord]:
    relay = Relay()
    relay.tunnel(1)
    status = b'[2,"a","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"%s"}]'
    changed(relay, STATION, status % b"Available", status % b"Free")
    relay.data(1, CSMS, wire_frame(b'[3,"a",{}]'))
    changed(relay, CSMS, SECRET % b"open-sesame", SECRET % b"other-secret")
    changed(relay, STATION, b'[3,"1",{"status":"Accepted"}]', b'[3,"1",{"status":"accepted"}]')
    changed(relay, STATION, b'[2,"b","Heartbeat",{}]', b'[2,"b","Heartbeat",{"x":1}]')
    relay.data(1, CSMS, wire_frame(b'[3,"b",{"currentTime":"2026-01-02T03:04:05Z"}]'))
    relay.end(1)
    return relay.records


def played(spool: list[SpoolRecord], restart: bool = False, masker: Masker | None = None) -> list[Record]:
    pipeline, out, stored = Pipeline(Settings(), Ids(), masker), list[Record](), dict[str, bytes]()
    for record in spool:
        out += pipeline.feed([record])
        if restart:
            for key, piece in pipeline.changed().items():
                if piece is None:
                    stored.pop(key, None)
                else:
                    stored[key] = piece
            pipeline = Pipeline(Settings(), Ids(), masker)
            pipeline.restore(stored)
    return out


def findings(out: list[Record]) -> list[Finding]:
    return [record.finding for record in out if isinstance(record, Found)]


def test_a_changed_message_is_one_message_and_its_new_faults_are_the_proxys() -> None:
    out = played(traffic())
    messages = [record.message for record in out if isinstance(record, MessageSeen)]
    assert [(message.mtype, message.message_id) for message in messages] == [
        (2, "a"), (3, "a"), (2, "1"), (3, "1"), (2, "b"), (3, "b"),
    ]
    done = [record.exchange for record in out if isinstance(record, ExchangeDone)]
    assert [(exchange.message_id, exchange.outcome) for exchange in done] == [("a", "ok"), ("1", "ok"), ("b", "ok")]
    frames = {record.frame.frame_id: record.frame for record in out if isinstance(record, FrameSeen)}
    copies = [frame for frame in frames.values() if frame.verdict == "modified"]
    assert [frames[frame.cause[-1]].verdict for frame in copies] == ["replaced"] * 4
    told = [(finding.code, finding.blame, finding.msg_no) for finding in findings(out) if finding.code != "T20"]
    assert told == [("V01", "proxy", 1), ("V01", "proxy", 4), ("R16", "proxy", 5)]
    assert [finding.evidence for finding in findings(out)][:3] == [
        (frame.frame_id,) for frame in (copies[0], copies[2], copies[3])
    ]


@pytest.mark.parametrize("masker", [None, Masker(b"k" * 32)], ids=["plain", "masked"])
def test_a_restart_at_every_record_changes_nothing_and_neither_does_reading_back(masker: Masker | None) -> None:
    out = played(traffic(), masker=masker)
    assert played(traffic(), True, masker) == out
    again, analyser = list[Record](), Analyser(Settings(), Ids(), None)
    for record in out:
        if not isinstance(record, MessageSeen | ExchangeDone | Found):
            analyser.feed(record, again)    # type: ignore[arg-type]  # what is left are source records
    assert findings(again) == findings(out)


def test_secrets_are_masked_in_what_left_too() -> None:
    out = played(traffic(), masker=Masker(b"k" * 32))
    held = [record.frame for record in out if isinstance(record, FrameSeen) and b"AuthorizationKey" in record.frame.payload]
    assert [(frame.verdict, frame.masked) for frame in held] == [("replaced", True), ("modified", True)]
    assert not [frame for frame in held if b"secret" in frame.payload.replace(b"secret_", b"") or b"sesame" in frame.payload]


def test_what_is_remembered_of_replaced_messages_is_bounded() -> None:
    feed, analyser, out = Feed(), Analyser(Settings(), Ids(), None), list[Record]()
    feed.begin()
    for number in range(MOST_REPLACED + 5):
        feed.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]', verdict="replaced")
    for record in feed.records:
        analyser.feed(record, out)
    (link,) = analyser._core.links.values()
    assert isinstance(link, LinkState) and len(link.replaced) == MOST_REPLACED
    originals = [record.frame for record in out if isinstance(record, FrameSeen)]
    late = _sent(analyser, feed, originals[0])
    assert [type(record) for record in late] == [FrameSeen]         # forgotten: stored, not judged
    assert [type(record) for record in _sent(analyser, feed, originals[-1])] == [FrameSeen, Found]


def _sent(analyser: Analyser, feed: Feed, original: Frame) -> list[Record]:
    feed.send(Side.STATION, '[2,"x","Heartbeat",{"x":1}]', verdict="modified", cause=(original.frame_id,))
    out: list[Record] = []
    analyser.feed(feed.records[-1], out)
    return out


def test_what_a_plugin_made_a_message_of_pairs_without_blaming_anybody() -> None:
    """The received text was no message (R01); what left for it was one, so its answer has a Call, and its Call an answer."""
    relay = Relay()
    relay.tunnel(1)
    changed(relay, STATION, b'[2,"a","Heartbeat",{"x":}]', b'[2,"a","Heartbeat",{}]')
    relay.data(1, CSMS, wire_frame(b'[3,"a",{"currentTime":"2026-01-02T03:04:05Z"}]'))
    relay.data(1, CSMS, wire_frame(b'[2,"b","GetConfiguration",{}]'))
    changed(relay, STATION, b'[3,"b",{"configurationKey":]}]', b'[3,"b",{"configurationKey":[]}]')
    relay.now += 120 * 10**9
    relay.data(1, STATION, wire_frame(b'[2,"c","Heartbeat",{}]', mask=MASK))
    assert [finding.code for finding in findings(played(relay.records))] == ["R01"]
    once_more = [finding.code for finding in findings(played([*relay.records, *_answer_again(relay)]))]
    assert once_more == ["R01", "R06"]


def _answer_again(relay: Relay) -> list[SpoolRecord]:
    before = len(relay.records)
    relay.data(1, CSMS, wire_frame(b'[3,"a",{"currentTime":"2026-01-02T03:04:05Z"}]'))
    return relay.records[before:]
