"""The stream without masks, for who asks: frame by frame and message by message what a pipeline without a masker gives."""

import pytest

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.tap import KEPT_BYTES, KEPT_FRAMES, Tap
from ocpp_proxy.model import Opcode
from ocpp_proxy.records import FrameSeen, MessageSeen, Record
from tests.core.feeds import CSMS, Relay, wire_frame
from tests.core.streams import Feed
from tests.properties.traffic import mixed

MASKER = Masker(b"key")


def parts(out: list[Record]) -> tuple[list[Record], list[Record]]:
    """Frames by their number (masked fragments come later), and all the rest in order."""
    frames = sorted((record for record in out if isinstance(record, FrameSeen)), key=lambda seen: seen.frame.frame_id)
    return list(frames), [record for record in out if not isinstance(record, FrameSeen)]


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_a_pipeline_without_a_masker_gives(seed: int) -> None:
    tap, spool = Tap(), mixed(seed, 300)
    tap.on = True
    masked = Pipeline(Settings(), Ids(), MASKER, tap=tap)
    out: list[Record] = []
    tapped: list[Record] = []
    for at in range(0, len(spool), 37):
        out += masked.feed(spool[at : at + 37])
        tapped += tap.take()
    plain = Pipeline(Settings(), Ids(), None).feed(spool)
    assert "secret_" in repr(out)
    assert parts(tapped)[0] == parts(plain)[0]
    assert [record for record in parts(tapped)[1] if isinstance(record, MessageSeen)] == [
        record for record in plain if isinstance(record, MessageSeen)]
    assert len(tapped) == len(out)
    assert out == Pipeline(Settings(), Ids(), MASKER).feed(spool)       # and the stream itself is not touched by it
    assert tap.take() == []


def test_nobody_asks_nothing_is_kept() -> None:
    tap, relay = Tap(), Relay()
    relay.tunnel(1)
    relay.data(1, CSMS, wire_frame(b'[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]'))
    pipeline = Pipeline(Settings(), Ids(), MASKER, tap=tap)
    assert "hunter2" not in repr(pipeline.feed(relay.records))
    assert tap.take() == []


def test_fragments_that_never_end_are_kept_within_bounds() -> None:
    for size, count in ((10, 3 * KEPT_FRAMES), (KEPT_BYTES // 10, 40)):
        tap, feed = Tap(), Feed()
        tap.on = True
        feed.begin()
        for _ in range(count):
            feed.csms(b"x" * size, opcode=Opcode.CONTINUATION, fin=False)
        analyser = Analyser(Settings(), Ids(), MASKER)
        for record in feed.records:
            out: list[Record] = []
            analyser.feed(record, out)
            tap.feed(record, out)
            assert len(tap._kept) <= KEPT_FRAMES and tap._bytes <= KEPT_BYTES
        assert tap._bytes == sum(len(frame.payload) for frame in tap._kept.values())
