"""Spool records in, the stream out: the same for any batches and for any place of a restart."""

import random

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.records import ExchangeDone, Found, FrameSeen, Gap, MessageSeen, Record
from ocpp_proxy.wire.spool import SpoolRecord
from tests.core.feeds import CSMS, DEFLATE, STATION, Deflater, Relay, wire_frame

MASK = b"\x01\x02\x03\x04"


def traffic() -> list[SpoolRecord]:
    """Three links: a plain one, a compressed one, one whose upstream fails; frames cut anywhere."""
    relay, pick = Relay(), random.Random(3)
    relay.tunnel(1)
    relay.tunnel(2, DEFLATE)
    relay.open(3)
    relay.request(3)
    relay.note(3, "upstream_failed", "dns: csms.example")
    deflate = {STATION: Deflater(), CSMS: Deflater()}
    for number in range(40):
        call = f'[2,"{number}","Authorize",{{"idTag":{"5" if number % 7 == 0 else chr(34) + "TAG" + chr(34)}}}]'.encode()
        answer = f'[3,"{number}",{{"idTagInfo":{{"status":"Accepted"}}}}]'.encode()
        for link in (1, 2):
            for direction, text in ((STATION, call), (CSMS, answer)):
                payload, rsv = (deflate[direction].message(text), 0x40) if link == 2 else (text, 0)
                data = wire_frame(payload, mask=MASK if direction == STATION else b"", rsv=rsv)
                cut = pick.randrange(len(data) + 1)
                relay.data(link, direction, data[:cut])
                relay.data(link, direction, data[cut:])
        if number % 5 == 0:
            relay.now += 40_000_000_000
            relay.beat()
    relay.end(3)
    relay.end(1, how="rst")
    relay.beat()
    return relay.records


def play(records: list[SpoolRecord], masker: Masker | None, cuts: set[int], kill: bool) -> tuple[list[Record], int]:
    """Feed in batches that end at ``cuts``; with ``kill`` each batch goes to a new pipeline, restored from what was stored."""
    stored: dict[str, bytes] = {}
    pipeline = Pipeline(Settings(), Ids(), masker)
    out: list[Record] = []
    start = 0
    for end in [*sorted(cuts), len(records)]:
        out += pipeline.feed(records[start:end])
        start = end
        changed = pipeline.changed()
        for key, piece in changed.items():
            stored.pop(key, None)
            if piece is not None:
                stored[key] = piece
        if kill:
            pipeline = Pipeline(Settings(), Ids(), masker)
            pipeline.restore(stored)
    return out, pipeline.beat


@pytest.mark.parametrize("masker", [None, Masker(b"key")], ids=["plain", "masked"])
@pytest.mark.parametrize("kill", [False, True], ids=["batches", "kills"])
def test_batches_and_kills_change_nothing(masker: Masker | None, kill: bool) -> None:
    records = traffic()
    whole = play(records, masker, set(), False)
    assert play(records, masker, set(range(1, len(records))), kill) == whole
    for seed in range(10):
        cuts = set(random.Random(seed).sample(range(1, len(records)), 12))
        assert play(records, masker, cuts, kill) == whole


def test_the_stream_holds_what_was_on_the_wire_and_what_follows() -> None:
    records = traffic()
    out, beat = play(records, None, set(), False)
    assert beat == records[-1].time_ns
    assert len([record for record in out if isinstance(record, MessageSeen)]) == 160
    assert len([record for record in out if isinstance(record, ExchangeDone)]) == 80
    codes = [record.finding.code for record in out if isinstance(record, Found) and record.finding.count == 1]
    assert sorted(set(codes)) == ["T15", "T20", "T24", "V04"]
    frames = [record.frame.frame_id for record in out if isinstance(record, FrameSeen)]
    assert frames == sorted(set(frames))


def test_a_hole_of_the_spool_is_in_the_stream() -> None:
    pipeline = Pipeline(Settings(), Ids(), None)
    gap = Gap(5, 0, 10, 12, 3, 100, "damaged")
    assert pipeline.lost(0, gap) == [gap]
