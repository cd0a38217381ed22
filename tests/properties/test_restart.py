"""The pipeline: any batches, and a kill with restore at every record, give the records of the uninterrupted run."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.records import Found, FrameSeen, Handshake, Record
from ocpp_proxy.wire.spool import SpoolRecord
from tests.properties.traffic import mixed

MASKERS = pytest.mark.parametrize("masker", [None, Masker(b"k" * 32)], ids=["plain", "masked"])


def fresh(masker: Masker | None = None) -> Pipeline:
    return Pipeline(Settings(), Ids(), masker)


def in_batches(spool: list[SpoolRecord], cuts: list[int], kill: bool, masker: Masker | None) -> list[Record]:
    """Feed the stream cut at these places; with ``kill`` only the stored pieces outlive a cut, in any order."""
    stored: dict[str, bytes] = {}
    pipeline, out = fresh(masker), list[Record]()
    for start, end in zip([0, *cuts], [*cuts, len(spool)], strict=True):
        out += pipeline.feed(spool[start:end])
        if not kill:
            continue
        for key, piece in pipeline.changed().items():
            if piece is None:
                stored.pop(key, None)
            else:
                stored[key] = piece
        pipeline = fresh(masker)
        pieces = list(stored.items())
        random.Random(end).shuffle(pieces)
        pipeline.restore(dict(pieces))
    return out


@pytest.mark.parametrize("seed", range(6))
@MASKERS
def test_killed_at_every_record(seed: int, masker: Masker | None) -> None:
    spool = mixed(seed)
    assert in_batches(spool, list(range(1, len(spool))), True, masker) == fresh(masker).feed(spool)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), kill=st.booleans(), cuts=st.sets(st.integers(1, 300), max_size=12))
def test_any_batches_killed_between_them(seed: int, kill: bool, cuts: set[int]) -> None:
    spool = mixed(seed, 120, 0.5)
    places = sorted(cut for cut in cuts if cut < len(spool))
    assert in_batches(spool, places, kill, None) == fresh().feed(spool)


def test_the_traffic_holds_all_kinds_of_records_and_findings() -> None:
    """Otherwise the tests above would prove little."""
    out = [record for seed in range(6) for record in fresh().feed(mixed(seed))]
    kinds = {type(record).__name__ for record in out}
    assert kinds == {
        "LinkOpened", "Handshake", "FrameSeen", "MessageSeen", "ExchangeDone", "TransactionChanged", "Found", "Note", "Gap",
        "LinkClosed", "Beat", "Lost", "Audited",
    }
    assert len({record.finding.code for record in out if isinstance(record, Found)}) >= 30
    made = [record.frame for record in out if isinstance(record, FrameSeen) and record.frame.verdict == "translated"]
    assert {(frame.sender.value, len(frame.cause) > 0) for frame in made} == {
        ("station", True), ("csms", True), ("csms", False)}         # and Calls of a bridge's own
    assert any(len(frame.cause) > 1 for frame in made)              # of a message in fragments
    assert {(record.link.protocol, record.link.csms_protocol) for record in out if isinstance(record, Handshake)} >= {
        ("ocpp1.6", "ocpp2.0.1"), ("ocpp2.0.1", "ocpp1.6"), ("ocpp1.6", ""), ("ocpp2.0.1", "")}
