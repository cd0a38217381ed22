"""Meter samples are the same whichever way they are unpacked; captures of schema 1 are read and written on."""

import shutil
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from ocpp_proxy_captures import readings
from ocpp_proxy_captures.database import resource
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.readings import Kinds
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Record
from tests.captures.capture_streams import call

DEMO = Path(__file__).parents[2] / "captures" / "samples" / "demo.duckdb"       # of schema 1
STAMP = b'"timestamp":"2026-01-05T10:00:00.25Z"'
DEFINITION = "SELECT * FROM ({}) ORDER BY ALL".format(resource("samples.sql").replace("{source}", "wire"))


def values(*samples: bytes, before: bytes = b'"connectorId":1,', behind: bytes = b"", stamp: bytes = STAMP) -> bytes:
    return b'{%s"meterValue":[{%s,"sampledValue":[%s]}]%s}' % (before, stamp, b",".join(samples), behind)


def sample(number: bytes, phase: bytes = b"L1", unit: bytes = b"A") -> bytes:
    return b'{"value":%s,"measurand":"Current.Import","phase":"%s","unit":"%s"}' % (number, phase, unit)


PLAIN = {
    "one number": values(b'{"value":"1.50"}'),
    "no quotes": values(b'{"value":12.5,"measurand":"Voltage","unitOfMeasure":{"unit":"V","multiplier":0}}'),
    "phases differ in a digit": values(sample(b'"1"', b"L1"), sample(b'"-2.75"', b"L2"), sample(b'"3"', b"L3")),
    "phases in another order": values(sample(b'"1"', b"L3"), sample(b'"2"', b"L2"), sample(b'"3"', b"L1")),
    "kWh and kW": values(b'{"value":"0.1","unit":"kWh"}', b'{"value":"7.3","unitOfMeasure":{"unit":"kW"}}', b'{"value":"5"}'),
    "zeros": values(b'{"value":"007.50"}', b'{"value":"-0"}', b'{"value":"0.000000001"}', b'{"value":"999999999999.9999"}'),
    "null and empty": values(b'{"value":"1","unit":null,"phase":"","context":"","location":null,"measurand":""}'),
    "what no column is for": values(b'{"value":"1","format":"Raw","signed":{"value":null,"x":[1]}}'),
    "members around": values(b'{"value":"1"}', before=b'"seqNo":7,"info":{"a":[{}]},', behind=b',"evse":{"id":2}'),
    "no time": values(b'{"value":"1"}', stamp=b'"timestamp":""'),
    "odd time": values(b'{"value":"1"}', stamp=b'"timestamp":"now"'),
    "brackets in text": values(b'{"value":"1","unit":"}]}]"}'),
    "a blank": values(b'{"value": "1"}'),
    "blanks": b'{"meterValue": [{"timestamp": "x", "sampledValue": [{"value": "1"}, {"value": 2}]}]}',
    "transactionData": values(b'{"value":"1"}').replace(b"meterValue", b"transactionData"),
}
ODD = {
    "two blanks": values(b'{"value":  "1"}'), "blank before": values(b'{"value":"1"}').replace(b":[{", b": [{"),
    "text": values(b'{"value":"1"}', b'{"value":"much"}'), "no value": values(b'{"value":"1"}', b'{"unit":"A"}'),
    "two points": values(b'{"value":"1.2.3"}'), "exponent": values(b'{"value":"1e3"}'),
    "blank in it": values(b'{"value":" 5"}'),
    "long": values(b'{"value":"%s"}' % (b"9" * 400)), "digits behind the point": values(b'{"value":"0.%s"}' % (b"3" * 30)),
    "multiplier": values(b'{"value":3,"unitOfMeasure":{"unit":"Wh","multiplier":3}}'),
    "name twice": values(b'{"value":"1","value":"2"}'), "unit twice": values(b'{"value":"1","unit":"A","unit":"V"}'),
    "null": values(b'{"value":"1"}', b"null"), "a list": values(b'{"value":"1"}', b"[1]"), "nothing": values(),
    "escaped": values(b'{"value":"1","unit":"\\u0041"}'),
    "escaped name": b'{"meter\\u0056alue":[{%s,"sampledValue":[{"value":"1"}]}]}' % STAMP,
    "two entries": b'{"meterValue":[{%s,"sampledValue":[{"value":"1"}]},{%s,"sampledValue":[{"value":"2"}]}]}' % (STAMP, STAMP),
    "time behind": b'{"meterValue":[{"sampledValue":[{"value":"1"}],%s}]}' % STAMP,
    "time twice": values(b'{"value":"1"}', stamp=STAMP + b"," + STAMP),
    "both": values(b'{"value":"1"}', behind=b',"transactionData":[{%s,"sampledValue":[{"value":"2"}]}]' % STAMP),
    "twice": values(b'{"value":"1"}', behind=b',"meterValue":[{%s,"sampledValue":[{"value":"2"}]}]' % STAMP),
    "deeper": b'{"a":{"meterValue":[{%s,"sampledValue":[{"value":"1"}]}]}}' % STAMP,
    "in a list": b'{"a":[{"meterValue":[{%s,"sampledValue":[{"value":"1"}]}]}]}' % STAMP,
    "time not ASCII": values(b'{"value":"1"}', stamp='"timestamp":"٣"'.encode()),
    "more in the entry": values(b'{"value":"1"}').replace(b"]}]", b'],"x":"}]}]"}]'), "a word": b'{"meterValue":"none"}',
    "a number of a name": values(b'{"myvalue":"5","value":"x"}'), "no object": b'["meterValue"]',
}


def fill(path: Path, payloads: list[bytes], at: int = 0) -> None:
    out: list[Record] = []
    for number, payload in enumerate(payloads, at + 1):
        text = b'[2,"m%d","MeterValues",%s]' % (number, payload)
        out += call(number, text, b"\x81", message_id=f"m{number}", action="MeterValues", payload=payload)
    store = open_store(path, Position)
    try:
        store.commit(out, [], {})
    finally:
        store.close()


def asked(path: Path, *sql: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        return [con.execute(one).fetchall() for one in sql]


def as_text(rows: list[Any]) -> list[str]:
    return [repr(row) for row in rows]                  # -0.0 is not 0.0


def test_both_ways_give_the_same_samples(tmp_path: Path) -> None:
    """Every text twice: when it comes first, and when what it says is known."""
    texts = [*PLAIN.items(), *ODD.items()] * 2
    fill(tmp_path / "a.duckdb", [text for _, text in texts])
    samples, definition, plain = asked(
        tmp_path / "a.duckdb", "SELECT * FROM samples ORDER BY ALL", DEFINITION, "SELECT msg_no FROM readings ORDER BY msg_no")
    assert as_text(samples) == as_text(definition)
    assert [texts[number - 1][0] for (number,) in plain] == [*PLAIN, *PLAIN]


def test_texts_that_differ_in_anything_but_their_numbers_are_told_apart(tmp_path: Path) -> None:
    dice = Random(1)
    texts = [*PLAIN.values(), *ODD.values()]
    for _ in range(400):                                # any byte put in, taken out or made another
        text = bytearray(dice.choice(texts))
        at = dice.randrange(len(text))
        text[at : at + dice.randrange(2)] = dice.choice((b"", b"9", b'"', b"L", b"}", b",", b"meterValue", b"\\u0031", b"."))
        texts.append(bytes(text))
    fill(tmp_path / "a.duckdb", texts)
    samples, definition, plain = asked(
        tmp_path / "a.duckdb", "SELECT * FROM samples ORDER BY ALL", DEFINITION, "SELECT count(*) FROM readings")
    assert as_text(samples) == as_text(definition)
    assert plain[0][0] > len(PLAIN) + 10 and len(samples) > plain[0][0] + 50


def test_kinds_are_stored_once_and_go_on_with_the_file(tmp_path: Path) -> None:
    first, second = PLAIN["one number"], PLAIN["phases in another order"]
    fill(tmp_path / "a.duckdb", [first, first, second])
    fill(tmp_path / "a.duckdb", [second, first, PLAIN["phases differ in a digit"]], 10)
    kinds, used = asked(
        tmp_path / "a.duckdb", "SELECT kind, place, phase FROM reading_kinds ORDER BY ALL",
        "SELECT kind FROM readings ORDER BY msg_no")
    assert kinds == [(0, 1, None), (1, 1, "L3"), (1, 2, "L2"), (1, 3, "L1"), (2, 1, "L1"), (2, 2, "L2"), (2, 3, "L3")]
    assert [kind for (kind,) in used] == [0, 0, 1, 1, 0, 2]


def test_kinds_of_a_commit_that_failed_are_stored_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "a.duckdb", Position)
    text = PLAIN["one number"]
    records = call(1, b"x", b"\x81", action="MeterValues", payload=text)
    with monkeypatch.context() as broken:
        broken.setattr("ocpp_proxy_captures.writer._SET_PROGRESS", "SELECT no_such_column, ?")
        with pytest.raises(CaptureError):
            store.commit(records, [], {})
    store.commit(call(1, b"x", b"\x81"), [], {})
    store.commit(call(2, b"x", b"\x81", action="MeterValues", payload=text), [], {})
    store.close()
    assert asked(tmp_path / "a.duckdb", "SELECT msg_no, value FROM samples") == [[(2, 1.5)]]


def test_what_is_remembered_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MOST_BYTES", 20_000)
    monkeypatch.setattr(readings, "MOST_KINDS", 50)
    kinds, most = Kinds(), 0            # a text counts for 100 bytes more than it has
    for number in range(500):
        found = kinds.read(values(b'{"value":"1","measurand":"%d"}' % number, before=b'"connectorId":%d,' % number))
        assert (found is not None) == (number < 50), "a kind too many is left to SQL"
        most = max(most, len(kinds._templates) + len(kinds._around))
    assert 100 < most < 200
    table = kinds.table()
    assert table is not None and len(table) == 50


def test_a_capture_of_schema_1_is_read_as_it_is_and_written_on(tmp_path: Path) -> None:
    old = tmp_path / "old.duckdb"
    shutil.copy(DEMO, old)
    old.chmod(0o600)
    reader = FileReader(old)
    with reader.reading() as con:
        before = con.execute("SELECT * FROM samples ORDER BY ALL").fetchall()
        top = con.execute("SELECT max(msg_no) FROM messages").fetchall()[0][0]
    reader.close()
    version, kept = asked(old, "SELECT value FROM meta WHERE key = 'schema_version'", "SELECT * FROM samples ORDER BY ALL")
    assert version == [("1",)] and kept == before and len(before) > 20
    fill(old, [PLAIN["one number"], ODD["text"]], top)
    version, odd, after, new = asked(
        old, "SELECT value FROM meta WHERE key = 'schema_version'",
        f"SELECT * FROM odd_samples WHERE msg_no <= {top} ORDER BY ALL",
        f"SELECT * FROM samples WHERE msg_no <= {top} ORDER BY ALL",
        f"SELECT value FROM samples WHERE msg_no > {top} ORDER BY ALL")
    assert version == [("2",)] and odd == after == before and new == [(1.0,), (1.5,), (None,)]
