"""The analyser gives the same output whatever the batches are and wherever it is killed and restored."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.records import Record, Source
from tests.core.streams import Feed, findings, play, random_stream

KEY = b"k" * 16


def play_with_kills(records: list[Source], kills: set[int], masker: Masker | None) -> list[Record]:
    """Like ``play``, but before each record named in ``kills`` everything but the stored pieces is forgotten."""
    stored: dict[str, bytes] = {}
    analyser = Analyser(Settings(), Ids(), masker)
    out: list[Record] = []
    for index, record in enumerate(records):
        if index in kills:
            for key, piece in analyser.changed().items():
                if piece is None:
                    stored.pop(key, None)
                else:
                    stored[key] = piece
            analyser = Analyser(Settings(), Ids(), masker)
            shuffled = list(stored.items())
            random.Random(index).shuffle(shuffled)          # a store gives them back in any order
            analyser.restore(dict(shuffled))
        analyser.feed(record, out)
    assert analyser.failures == 0
    return out


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("masker", [None, Masker(KEY)], ids=["plain", "masked"])
def test_killed_before_every_record(seed: int, masker: Masker | None) -> None:
    records = random_stream(seed)
    assert play_with_kills(records, set(range(len(records))), masker) == play(records, masker)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), kills=st.sets(st.integers(0, 199), max_size=8))
def test_killed_anywhere(seed: int, kills: set[int]) -> None:
    records = random_stream(seed)
    expected = play(records)
    assert play_with_kills(records, kills, None) == expected


def test_the_streams_raise_most_kinds_of_findings() -> None:
    """Otherwise the tests above would prove little."""
    codes = {finding.code for seed in range(12) for finding in findings(play(random_stream(seed)))}
    assert len(codes) >= 25, sorted(codes)


def authorize(token: str) -> bytes:
    return f'[2,"1","Authorize",{{"idTag":"{token}"}}]'.encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.text(max_size=60).map(authorize)))
def test_no_bytes_make_it_fail(texts: list[bytes]) -> None:
    feed = Feed()
    feed.begin()
    for text in texts:
        feed.station(text)
        feed.csms(text)
    play(feed.records)
