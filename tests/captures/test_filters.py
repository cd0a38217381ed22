"""A page of a capture holds exactly the lines that the filter's own predicate lets through."""

from collections.abc import Iterator
from typing import get_args

import pytest
from ocpp_proxy_captures.conditions import EVERYTHING
from ocpp_proxy_captures.fields_sql import candidates
from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.fields import FIELDS, compile, parse
from ocpp_proxy.records import Line, lines
from ocpp_proxy.source import View
from tests.captures.capture_streams import call, fill, stored, stream

FILTERS = (
    'action == "Heartbeat" and ms > 100', "severity >= warning", "not severity >= warning", "rule == B02", "rule != B02",
    "GroundFailure", "heartbeat", 'identity ~ "CP-0000[1-3]"', "kind == close", "kind in [note, opened]", "side == csms",
    "side != csms", "payload.connectorId == 1", "payload.status == Faulted", "time > 2026-01-05T01:00:00Z and size > 500",
    "text contains faulted", "tx != x", "opcode == text", "evse == 1", "not CP-00001", "mtype == CALLERROR",
    "message_id contains ab",
    "blame == station", "blame != station", "identity in [CP-00001, CP-00002]", "protocol == ocpp1.6",
    "error == InternalError",
    "payload.meterValue[*].sampledValue[*].measurand == SoC", "token == TAG000123", "link == 3",
    "link in [1, 2] or not kind == message",
    'payload ~ "(?i)faulted"', "not payload.connectorId == 1", 'action ~ "^(Boot|Heart)"', 'text ~ "keep-alive"',
    "ms <= 20", "",
    "not (ms > 50 or severity > info)", "connector > 0", 'identity == ""', "time <= 2026-01-05T00:30:00Z",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileReader, list[Line]]]:
    records = stream(2500, seed=5)
    path = tmp_path_factory.mktemp("capture") / "a.duckdb"
    fill(path, records)
    reader = FileReader(path)
    yield reader, list(lines(stored(records)))
    reader.close()


@pytest.mark.parametrize("text", FILTERS)
def test_stored_lines_answer_as_live_ones(both: tuple[FileReader, list[Line]], text: str) -> None:
    reader, every = both
    where = parse(text)
    passes = compile(where, {link.link_id: link for link in reader.links()})
    want = [line for line in every if passes(line)]
    assert reader.page(where, 0, 1_000_000) == want
    assert reader.page(where, 5, 7) == want[5:12]


def test_pages_without_a_filter(both: tuple[FileReader, list[Line]]) -> None:
    reader, every = both
    assert reader.page(None, 0, 50) == every[:50] and reader.page(None, 777, 30) == every[777:807]
    assert reader.page(None, len(every), 10) == []


def test_most_filters_spare_rows() -> None:
    assert sum(candidates(parse(text)) != EVERYTHING for text in FILTERS) >= 30
    assert {"identity", "payload", "severity"} <= set(FIELDS)


ODD = (
    b'{"a":1}', b'{"a":2}', b'{"a":NaN}', b'{"a":1,"b":NaN}', b'{"a":1,}', b'{"a": 1 , }', b'{"a":2,"b":[1,]}',
    b'{"a":1,"b":-Infinity}', b'{"a":1,"b":inf}', b'{"a":1,"a":2}', b'{"a":2,"a":1}', b'{"\\u0061":1}', b'{"a":"1"}',
    b'{"a":"x"}', b'{"a":1.0}', b'{"a":1e0}', b'{"a":"1e0"}', b'{"a":true}', b'{"a":null}', b'{"b":{"a":1}}',
    b'{"a":{"a":1}}', b'{"a":[1]}', b'{"info":"nan","a":1}', b"{}",
)


@pytest.fixture(scope="module")
def spelt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileReader, list[Line]]]:
    records = [
        record for at, payload in enumerate(ODD, 1)
        for record in call(at, b'[2,"m%d","Heartbeat",%s]' % (at, payload), b"\x81\xff", b"mask", payload=payload)]
    path = tmp_path_factory.mktemp("odd") / "a.duckdb"
    fill(path, records)
    reader = FileReader(path)
    yield reader, list(lines(records))
    reader.close()


@pytest.mark.parametrize("text", [
    "payload.a == 1", "payload.a != 1", "not payload.a == 1", "not payload.a != 1", "payload.a > 1", "payload.a == x",
    "payload.a != x", "not payload.a == x", 'payload.a == "1"', "payload.b.a == 1", "payload.a.a == 1",
    "not payload.a.a == 1", "payload.a == true",
])
def test_payloads_of_any_spelling_answer_as_live_ones(spelt: tuple[FileReader, list[Line]], text: str) -> None:
    reader, every = spelt
    where = parse(text)
    want = [line for line in every if compile(where, {})(line)]
    assert reader.page(where, 0, 1_000) == want
    for view in get_args(View):
        assert len(reader.numbers(view, where)) == len(want)
