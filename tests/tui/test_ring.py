"""The ring of live rows: bounds, places, lines kept beside rows, answers and late findings."""

import random

import pytest
from ocpp_proxy_tui.chunk import LARGE
from ocpp_proxy_tui.ring import CHUNK, OPEN_CHUNKS, Ring

from ocpp_proxy.core.rows import whole
from ocpp_proxy.model import Link
from ocpp_proxy.records import Found, Line
from ocpp_proxy.source import View
from tests.tui.traffic_lines import LINK, Talk, finding

LINKS: dict[int, Link] = {1: LINK}


def filled(lines: list[Line], limit: int = 100_000, view: View = "exchanges", stored: bool = True) -> Ring:
    ring = Ring(view, limit, LINKS, stored)
    for line in lines:
        ring.add(line)
    return ring


def many(count: int, talk: Talk | None = None) -> list[Line]:
    talk = talk or Talk()
    return [line for at in range(count) for line in talk.pair("MeterValues", b'{"connectorId":%d}' % (at % 7))]


def test_an_exchange_is_one_row_and_its_lines_come_back_packed_or_not() -> None:
    lines = many(CHUNK * (OPEN_CHUNKS + 3))
    ring = filled(lines)
    assert (ring.first, ring.end, ring.changed) == (0, CHUNK * (OPEN_CHUNKS + 3), CHUNK * (OPEN_CHUNKS + 3))
    assert ring.row(0).summary == "" and ring.row(ring.end - 1).summary
    for position in (0, 1, CHUNK - 1, CHUNK, ring.end - 1):
        pair = lines[2 * position:2 * position + 2]
        assert ring.lines(position) == pair
        assert ring.get(position) == whole(pair, LINKS)


def test_the_oldest_chunks_go_and_places_stay() -> None:
    lines = many(5_000)
    ring = filled(lines, limit=1_000)
    assert ring.end == 5_000 and ring.first % CHUNK == 0 and 1_000 <= ring.end - ring.first <= 1_000 + 2 * CHUNK
    assert ring.evicted == ring.first
    assert ring.row(ring.first).msg_no == 2 * ring.first + 1
    with pytest.raises(KeyError):
        ring.row(ring.first - 1)


def test_memory_of_lines_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy_tui.ring.BYTES", 200_000)
    dice = random.Random(5)
    talk = Talk()
    payloads = [b'{"data":"%s"}' % dice.randbytes(200).hex().encode() for _ in range(3_000)]
    lines = [line for payload in payloads for line in talk.pair("DataTransfer", payload)]
    ring = filled(lines)
    assert ring.evicted > 0 and ring.bytes < 200_000 + 2 * CHUNK * OPEN_CHUNKS * 2_500
    assert ring.bytes == sum(chunk.bytes for chunk in ring._chunks.values())


def test_what_is_too_large_is_not_kept_and_said() -> None:
    talk = Talk()
    call = talk.call("DataTransfer", b'{"data":"%s"}' % (b"x" * LARGE))
    ring = filled([call, talk.answer(call, b"{}"), *many(CHUNK * (OPEN_CHUNKS + 2), talk)])
    assert not ring.complete(0) and ring.complete(1)
    assert len(ring.lines(0)) == 1                      # the answer alone
    assert ring.get(0).summary and filled([call]).bytes == 0


def test_medium_lines_are_kept_apart_in_their_order() -> None:
    talk = Talk()
    call = talk.call("DataTransfer", b'{"data":"%s"}' % (b"x" * 9_000))
    answer = talk.answer(call)
    ring = filled([call, answer])
    assert ring.lines(0) == [call, answer] and ring.bytes < 2_000


def test_an_answer_changes_the_row_in_place_however_late() -> None:
    talk = Talk()
    call = talk.call("Reset")
    ring = filled([call, *many(CHUNK * (OPEN_CHUNKS + 2), talk)])
    assert ring.row(0).outcome == "pending"
    changed = ring.changed
    answer = talk.answer(call, b'{"status":"Accepted"}', ms=7)
    ring.add(answer)
    row = ring.get(0)
    assert (row.outcome, row.ms, row.answer_no) == ("ok", 7, talk.msg_no)
    assert row.summary.endswith("status=Accepted") and ring.lines(0) == [call, answer]
    assert ring.changed == changed + 1 and ring.changes[-1] == 0


def test_a_late_finding_joins_its_call_and_is_told_once() -> None:
    talk = Talk()
    call = talk.call("Reset")
    late = talk.late(call)
    ring = filled([call, *many(700, talk), late, late])
    row = ring.row(0)
    assert (row.outcome, row.codes, row.level, ring.end) == ("unanswered", ("R07",), 3, 701)
    assert ring.changed == 701


def test_a_finding_finds_an_answered_call_of_long_ago() -> None:
    talk = Talk()
    lines = [*many(900, talk), talk.ping(), talk.note(), *many(900, talk)]
    ring = filled(lines)
    ring.add(Line(Found(finding("R11", 1001))))
    assert ring.row(500).msg_no == 1001 and ring.row(500).codes == ("R11",)


def test_an_answer_without_its_call_is_a_row_only_where_nothing_is_stored() -> None:
    talk = Talk()
    lines = [talk.answer(talk.call("Reset"))]
    assert filled(lines, stored=True).end == 0
    assert filled(lines, stored=False).end == 1


def test_views_differ_in_pings_and_answers() -> None:
    talk = Talk()
    lines = [talk.ping(), *talk.pair(), talk.note()]
    assert [row.kind for _, row in filled(lines).rows(0, 9)] == ["exchange", "note"]
    frames = filled(lines, view="frames")
    assert [(row.kind, row.outcome, row.mtype) for _, row in frames.rows(0, 9)] == [
        ("ping", "", 0), ("message", "", 2), ("message", "", 3), ("note", "", 0)]


def test_pending_calls_are_bounded_and_older_ones_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy_tui.ring.PENDING", 10)
    talk = Talk()
    calls = [talk.call("Reset") for _ in range(50)]
    ring = filled(calls)
    assert len(ring._pending) == 10
    ring.add(talk.answer(calls[3]))
    assert ring.row(3).outcome == "ok"


def test_cut_lets_go_of_everything_and_goes_on() -> None:
    talk = Talk()
    ring = filled(many(300, talk))
    ring.cut()
    assert (ring.first, ring.end, ring.bytes, ring.evicted) == (300, 300, 0, 300)
    for line in many(300, talk):
        ring.add(line)
    assert (ring.first, ring.end) == (300, 600) and ring.row(300).msg_no == 601 and len(ring.lines(599)) == 2


def test_places_of_messages_answers_and_frames() -> None:
    talk = Talk()
    ring = filled([talk.ping(), *many(10, talk)], view="frames")
    assert ring.position_of(msg_no=4) == 4 and ring.position_of(frame_id=1) == 0 and ring.position_of(msg_no=99) is None
    assert ring.message_from(0) == 1 and ring.message_from(ring.end) == ring.end
