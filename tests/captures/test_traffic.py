"""Rows of a capture: the same as the live list makes of the lines, whatever the filter, the view and the cut into segments."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocpp_proxy_captures.conditions import EVERYTHING
from ocpp_proxy_captures.database import segments
from ocpp_proxy_captures.envelope import short_header
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.rows_sql import exchanges

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.fields import parse
from ocpp_proxy.model import Opcode
from ocpp_proxy.records import FrameSeen, MessageSeen, Record
from ocpp_proxy.source import View
from tests.captures.capture_streams import call, fill, stream
from tests.captures.row_oracle import Oracle, opened
from tests.captures.test_filters import FILTERS

DEMO = Path(__file__).resolve().parents[2] / "captures" / "samples" / "demo.duckdb"
VIEWS: tuple[View, View] = ("exchanges", "frames")
MORE = (
    "outcome == ok", "outcome == error", "outcome == unanswered", "outcome in [pending, unanswered]", "not outcome == ok",
    "mtype == CALLRESULT", "mtype == CALLERROR", "not mtype == CALLERROR", "mtype > 4", "error != ''",
    "not error == GenericError",
    "error contains INTERNAL", "error ~ '^(Int|Gen)'", "size > 200 and size < 300", "not size > 100", "ms > 20 and ms <= 100",
    "not ms > 30", "rule == R07", "rule in [R07, B04]", "rule ~ '^[RB]'", "not rule ~ R", "rule != R07", "severity == error",
    "severity in [error, hint]", "blame == csms or blame == station", "not blame == csms", "tx ~ .", "not tx == '1'",
    "payload contains accepted", "not payload contains accepted", "payload.status == Accepted",
    "not payload.status == Accepted", "text contains 'accepted'", "not text contains accepted", "accepted", "not accepted",
    "heartbeat and not accepted", "payload ~ '[0-9]{4}-'",
    "kind == finding", "kind == message and action ~ Data", "action contains trans", "opcode == text", "not opcode == text",
    "identity ~ CP", "message_id ~ '[0-4]$'", "answer", "protocol == ocpp1.6 and side == csms", "time > 2026-01-05",
    "' '", "'\"status\"'",
    "payload.status ~ Acc or ms > 5 and not (severity > info or tx == 1)", "payload.connectorId >= 0 and outcome == ok",
    "payload.connectorId != 1", "not payload.connectorId > 1", "payload.status != Accepted",
    "payload.currentTime < 2026-01-05T12",
    "payload.idTagInfo.status == Accepted", "not payload.idTagInfo.status == Accepted", "payload.meterStart > 10.5",
    "payload.interval == '300'", "payload.transactionId >= 1",
)


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[FileReader, Oracle]]:
    reader, oracle = opened(DEMO)
    yield reader, oracle
    reader.close()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileReader, Oracle]]:
    path = tmp_path_factory.mktemp("rows") / "a.duckdb"
    fill(path, stream(1500, seed=5))
    reader, oracle = opened(path)
    yield reader, oracle
    reader.close()


def agree(both: tuple[FileReader, Oracle], text: str) -> None:
    """The capture's numbers are those of the rows that pass."""
    reader, oracle = both
    for view in VIEWS:
        assert list(reader.numbers(view, parse(text))) == oracle.numbers(view, text), view


@pytest.mark.parametrize("text", [*FILTERS, *MORE])
def test_stored_rows_pass_as_live_ones(demo: tuple[FileReader, Oracle], text: str) -> None:
    agree(demo, text)


@pytest.mark.parametrize("text", [*FILTERS, *MORE])
def test_rows_of_many_stations_too(synthetic: tuple[FileReader, Oracle], text: str) -> None:
    agree(synthetic, text)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(("and", "or")), inner)
    return inner.map("not ({})".format) | pairs.map(lambda pair: f"({pair[0]}) {pair[1]} ({pair[2]})")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.recursive(st.sampled_from([text for text in (*FILTERS, *MORE) if text]), _joined, max_leaves=4))
def test_any_filter_lets_the_same_rows_through(demo: tuple[FileReader, Oracle], text: str) -> None:
    agree(demo, text)


def test_rows_are_those_of_the_live_list(demo: tuple[FileReader, Oracle], synthetic: tuple[FileReader, Oracle]) -> None:
    for reader, oracle in (demo, synthetic):
        for view in VIEWS:
            numbers = reader.numbers(view, None)
            assert list(numbers) == list(oracle.rows[view]) and numbers.typecode == "q"
            made = reader.rows(view, numbers)
            assert made == list(oracle.rows[view].values())
            assert reader.rows(view, numbers[-3:]) == made[-3:] and reader.rows(view, [10**9]) == []


def test_the_lines_of_a_row_have_their_frames(demo: tuple[FileReader, Oracle]) -> None:
    reader, oracle = demo
    for view in VIEWS:
        for number, want in list(oracle.lines[view].items())[::7]:
            assert reader.row_lines(view, number) == want
    several = [want for want in oracle.lines["exchanges"].values() if len(want) > 2]
    assert several and all(line.frame for want in several for line in want if isinstance(line.record, MessageSeen))


def test_a_part_of_the_rows(demo: tuple[FileReader, Oracle]) -> None:
    reader, oracle = demo
    for view in VIEWS:
        every = list(oracle.rows[view])
        assert list(reader.numbers(view, None, after=every[10])) == every[11:]
        later = list(oracle.rows[view].values())[40:]
        before = next(row for row in later if row.msg_no and row.kind in ("exchange", "message"))
        assert list(reader.numbers(view, None, 0, before.msg_no)) == [number for number in every if number < before.number]
        assert list(reader.numbers(view, None, 0, 10**9)) == every
        some = oracle.numbers(view, "severity >= info")
        assert list(reader.numbers(view, parse("severity >= info"), some[1], before.msg_no)) == [
            number for number in some if some[1] < number < before.number]


def test_every_message_and_frame_has_its_row(demo: tuple[FileReader, Oracle]) -> None:
    reader, oracle = demo
    for view in VIEWS:
        for number, of_row in list(oracle.lines[view].items())[::3]:
            for line in of_row:
                if isinstance(line.record, MessageSeen):
                    assert reader.number_of(view, msg_no=line.record.message.msg_no) == number
                    assert reader.number_of(view, frame_id=line.record.message.frame_id) == number
                elif isinstance(line.record, FrameSeen):
                    assert reader.number_of(view, frame_id=line.record.frame.frame_id) == number
        assert reader.number_of(view) == reader.number_of(view, msg_no=10**6) == reader.number_of(view, frame_id=10**6) == 0
    heads = [line.record.frame.frame_id for [line] in oracle.lines["frames"].values()
             if isinstance(line.record, FrameSeen) and line.record.frame.opcode == "http_req"]
    shown = [oracle.rows["exchanges"][reader.number_of("exchanges", frame_id=head)].kind for head in heads]
    assert shown == ["handshake"] * len(heads) != []


@pytest.mark.parametrize("cut", range(0, 10, 3))
def test_segments_answer_as_one_file(tmp_path: Path, cut: int) -> None:
    records = stream(1200, seed=3)
    one, many = tmp_path / "one.duckdb", tmp_path / "many"
    fill(one, records, 60 + 41 * cut)
    fill(many, records, 60 + 41 * cut, CaptureConfig(rotate_messages=250 + 31 * cut))
    assert len(segments(many)) >= 3
    whole, parts = FileReader(one), FileReader(many)
    for view in VIEWS:
        for text in ("", "ms > 50", "outcome == unanswered", "payload.status == Accepted", "severity >= info or not heartbeat"):
            numbers = whole.numbers(view, parse(text))
            assert parts.numbers(view, parse(text)) == numbers, text
            assert parts.rows(view, numbers[::3]) == whole.rows(view, numbers[::3])
        assert parts.row_lines(view, numbers[5]) == whole.row_lines(view, numbers[5])
    whole.close()
    parts.close()


def test_answers_without_their_call_are_rows(tmp_path: Path) -> None:
    """The first segments were deleted, or an export left Calls out."""
    records = stream(1200, seed=3)
    fill(tmp_path / "many", records, 61, CaptureConfig(rotate_messages=250))
    for path in segments(tmp_path / "many")[:2]:
        path.unlink()
    reader, oracle = opened(tmp_path / "many")
    left = [row for row in oracle.rows["exchanges"].values() if row.kind == "message" and row.mtype == 3]
    for text in ("", "outcome == ok", "mtype == CALLRESULT", "not payload contains a"):
        agree((reader, oracle), text)
    assert reader.rows("exchanges", reader.numbers("exchanges", None)) == list(oracle.rows["exchanges"].values())
    reader.close()
    assert left

    def dropped(record: Record) -> bool:
        return isinstance(record, MessageSeen) and record.message.mtype == 2 and record.message.msg_no % 3 > 0

    holes = [record for record in records if not dropped(record)]
    fill(tmp_path / "holes.duckdb", holes, 60)
    reader, oracle = opened(tmp_path / "holes.duckdb")
    for text in ("", "outcome == ok"):
        agree((reader, oracle), text)
    assert sum(row.kind == "message" and row.mtype == 3 for row in oracle.rows["exchanges"].values()) > 100
    reader.close()


ODD = (
    b'{"a":1}', b'{"a":2,"a":1}', b'{"a":1,"b":{"a":2}}', b'{"b":{"a":1}}', b'{"\\u0061":1}', b'{"a":"1"}', b'{"a":" 1 "}',
    b'{"a":"1e0"}', b'{"a":1.0}', b'{"a":10e-1}', b'{"a":true}', b'{"a":null}', b'{"a":[1]}', b'{"a":{"c":1}}', b'{"a":1,}',
    b'{"a":NaN}', b'{"a":1,"b":NaN}', b'{"a":Infinity}', b'{"a":"inf"}', b'{"a":"0x1"}', b'{"a":"1_0"}',
    b'{"a":12345678901234567890}', b'{"a":-0}', b'{"a":"x\\n"}', b'{"a":"\xc3\xa9"}', b'{"a":"\xff"}', b'{"a":1',
    b'[{"a":1}]', b'"a"', b'{"a":"true"}', b'{"a":"NaN, }"}', b"", b'{"a":' + b"[" * 2000 + b"1" + b"]" * 2000 + b"}",
    b'{"a":1,"pad":"' + b"x" * 20_000 + b'"}', b'{"a" : 1 , "b":2}', b'{"A":1}', b'{"a":"K\xe2\x84\xaa"}',
)


@pytest.mark.parametrize("text", [
    "payload.a == 1", "payload.a != 1", "not payload.a == 1", "payload.a > 0.5", "payload.a <= 1", "payload.a == '1'",
    "payload.a != '1'", "payload.a == 'true'", "payload.a < b", "not payload.a > '0'", "payload.b.a == 1", "payload.a.c == 1",
    "payload.a[0] == 1", "payload.a in [1, x]", "payload.a contains K", "text contains 'kk'", "kk", "not kk",
    "payload ~ '^.{7}$'", "payload != x", "size < 8", "size > 9000", "payload contains nan",
    "text contains '\"a\"'", "payload == '{\"a\":1}'"])
def test_odd_payloads_are_read_alike(odd: tuple[FileReader, Oracle], text: str) -> None:
    agree(odd, text)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileReader, Oracle]]:
    out: list[Record] = []
    for number, payload in enumerate(ODD, 1):
        text = b'[2,"m%d","Heartbeat",%s]' % (number, payload)
        out += call(number, text, short_header(Opcode.TEXT, len(text), False), payload=payload)
    path = tmp_path_factory.mktemp("odd") / "a.duckdb"
    fill(path, out)
    reader, oracle = opened(path)
    assert len(oracle.rows["exchanges"]) == len(ODD)
    yield reader, oracle
    reader.close()


def test_most_filters_spare_rows_and_fields_are_decided_by_sql_alone() -> None:
    asked = {text: exchanges(parse(text)).condition for text in (*FILTERS, *MORE)}
    assert sum(condition == EVERYTHING for condition in asked.values()) < 5
    for text in ("outcome == ok", "ms > 20 and ms <= 100", "severity >= warning", "rule == R07", "tx != x",
                 "mtype == CALLERROR", "error == InternalError", "side != csms"):
        assert asked[text].exact, text
