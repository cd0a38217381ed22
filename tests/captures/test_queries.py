"""The canned queries: 24, each with a name, deterministic, with parameters; and the views they stand on."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from msgspec import structs
from ocpp_proxy_captures import query_list
from ocpp_proxy_captures.canned import find, queries
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.model import ConfigError, Message, Side
from ocpp_proxy.records import Beat, FrameSeen, LinkClosed, MessageSeen, Note, Record
from tests.captures.capture_streams import call, fill, stream


def shipped_sql() -> dict[str, str]:
    root = files("ocpp_proxy_captures")
    items = [item for folder in (root, root.joinpath("queries")) for item in folder.iterdir()]
    found = {item.name: item for item in items if item.name.endswith(".sql")}
    return {name: item.read_text(encoding="utf-8") for name, item in found.items()}


def test_there_are_26_and_each_names_itself() -> None:
    assert [query.number[:2] for query in queries()] == [f"{number:02d}" for number in range(1, 27)]
    assert {f"{query.number}.sql" for query in queries()} == {name for name in shipped_sql() if name[0].isdigit()}
    assert [row[0] for row in query_list()] == [query.name for query in queries()]
    assert find("overview") is find("01_overview") is not None


def test_no_arrow_operator_in_shipped_sql() -> None:
    """It binds looser than IS and =, so conditions on it say something else than they seem to."""
    assert [name for name, text in shipped_sql().items() if "->" in text] == []
    assert len(shipped_sql()) >= 25


def test_every_query_has_an_order_and_uses_every_parameter() -> None:
    for query in queries():
        order = query.sql.rpartition("ORDER BY")[2]
        assert order and not re.search(r"SELECT|FROM|WHERE", order), query.name
        assert {p.name for p in query.parameters} == set(re.findall(r"\$(\w+)", query.sql)), query.name


def test_the_same_rows_on_every_run_and_most_queries_find_something(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", stream(9000, seed=5))
    reader = FileReader(tmp_path / "a.duckdb")
    first = {query.name: reader.query(query.name, {}) for query in queries()}
    again = {query.name: reader.query(query.number, {}) for query in queries()}
    reader.close()
    assert first == again
    assert sum(bool(table.rows) for table in first.values()) >= 19


@pytest.mark.parametrize(("name", "given", "narrower"), [
    ("overview", {"rows": "2"}, True), ("tx_never_stopped", {"hours": "0"}, False), ("boot_loops", {"boots": "0"}, False),
    ("search", {"pattern": "BootNot(hing)"}, True), ("power_curve", {"session": "no such"}, True),
    ("traffic_rate", {"minutes": "60"}, True), ("clock_skew", {"seconds": "100"}, True),
    ("context_around", {"window": "0"}, True),
])
def test_parameters_change_the_answer(tmp_path: Path, name: str, given: dict[str, str], narrower: bool) -> None:
    fill(tmp_path / "a.duckdb", stream(4000, seed=5))
    reader = FileReader(tmp_path / "a.duckdb")
    default, changed = reader.query(name, {}), reader.query(name, given)
    reader.close()
    assert (len(changed.rows) < len(default.rows)) if narrower else (len(changed.rows) > len(default.rows))


def test_plain_words_find_what_the_same_pattern_finds(tmp_path: Path) -> None:
    """They take a quicker way (text search), up to four of them."""
    fill(tmp_path / "a.duckdb", stream(4000, seed=5))
    reader = FileReader(tmp_path / "a.duckdb")
    for words in ("Faulted", "Faulted|none", "none|rcd", "a_1|b_2|TAG00|c_3", "a_1|b_2|c_3|Kempower", "a|b|c|d_4|Kempower"):
        as_words, as_pattern = (reader.query("search", {"pattern": p, "rows": "5000"}).rows for p in (words, f"({words})"))
        assert as_words == as_pattern and as_words, words
    reader.close()


def test_local_days_follow_the_time_zone(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", stream(6000, seed=5))
    reader = FileReader(tmp_path / "a.duckdb")
    there = reader.query("local_day_kwh", {"zone": "Pacific/Kiritimati"})
    here = reader.query("local_day_kwh", {})
    reader.close()
    assert [row[0] for row in here.rows] == ["2026-01-05"] and "2026-01-06" in [row[0] for row in there.rows]


@pytest.mark.parametrize(("question", "given", "words"), [
    ("overvew", {}, "did you mean overview"), ("overview", {"zone": "x"}, "no parameter 'zone'"),
    ("overview", {"rows": "many"}, "rows='many'"), ("local_day_kwh", {"zone": "Mars/Base"}, "Mars/Base"),
    ("SELECT nothing FROM messages", {}, "nothing"), ("SELECT 1", {"a": "b"}, "parameters belong"),
])
def test_a_wrong_question_is_one_clear_line(tmp_path: Path, question: str, given: dict[str, str], words: str) -> None:
    fill(tmp_path / "a.duckdb", stream(2500))
    reader = FileReader(tmp_path / "a.duckdb")
    with pytest.raises(ConfigError, match=words):
        reader.query(question, given)
    reader.close()


def _tx(number: int, action: str, payload: bytes, answer: bytes = b"{}") -> list[Record]:
    asked = call(2 * number, b"", b"", action=action, payload=payload)[1]
    assert isinstance(asked, MessageSeen)
    reply = Message(2 * number + 1, 2 * number + 1, 1, "CP-1", asked.message.time_ns + 5000, Side.CSMS, 3, "x", action,
                    "ocpp1.6", answer, 2 * number)
    return [asked, MessageSeen(reply)]


def test_a_stop_belongs_to_the_latest_start_when_all_ids_are_the_same(tmp_path: Path) -> None:
    records: list[Record] = []
    for number, meter in enumerate((0, 1000, 2000), 1):
        start = b'{"connectorId":1,"idTag":"T","meterStart":%d,"timestamp":"2026-01-05T00:00:00Z"}' % meter
        records += _tx(2 * number, "StartTransaction", start, b'{"transactionId":-1,"idTagInfo":{"status":"Accepted"}}')
        if number != 2:
            records += _tx(2 * number + 1, "StopTransaction", b'{"transactionId":-1,"meterStop":%d}' % (meter + 700))
    fill(tmp_path / "a.duckdb", records)
    reader = FileReader(tmp_path / "a.duckdb")
    with reader.reading() as con:
        rows = con.execute("SELECT tx_id, meter_start, meter_stop FROM transactions ORDER BY started_at").fetchall()
    reader.close()
    assert rows == [("-1", 0, 700), ("-1", 1000, None), ("-1", 2000, 2700)]


def test_meter_samples_are_unpacked_in_wh_and_w_and_odd_ones_do_no_harm(tmp_path: Path) -> None:
    def values(text: bytes) -> bytes:
        return b'{"connectorId":2,"meterValue":[{"timestamp":"2026-01-05T00:00:00Z","sampledValue":[' + text + b"]}]}"
    payloads = [
        values(b'{"value":"1.5","unit":"kWh"}'),
        values(b'{"value":7,"measurand":"Power.Active.Import","unitOfMeasure":{"unit":"kW"}}'),
        values(b'{"value":3,"unitOfMeasure":{"multiplier":3}}'), values(b'{"value":"NaN?"}'), values(b'"text",null,[1]'),
        b'{"meterValue":"none"}', b'{"meterValue":[{"sampledValue":{"value":1}}]}', b'{"meterValue":[null,5]}', b"[]", b'"x"',
        values(b'{"value":1,"unitOfMeasure":{"multiplier":999999999999999999999}}'),
    ]
    records: list[Record] = []
    for number, payload in enumerate(payloads, 1):
        records += _tx(number, "MeterValues", payload)
    fill(tmp_path / "a.duckdb", records)
    reader = FileReader(tmp_path / "a.duckdb")
    with reader.reading() as con:
        rows = con.execute("""SELECT measurand, value, unit, evse IS NULL, context FROM meter_values WHERE value IS NOT NULL
            ORDER BY msg_no""").fetchall()
    reader.close()
    assert rows[:3] == [
        ("Energy.Active.Import.Register", 1500.0, "Wh", True, "Sample.Periodic"),
        ("Power.Active.Import", 7000.0, "W", True, "Sample.Periodic"),
        ("Energy.Active.Import.Register", 3000.0, "Wh", True, "Sample.Periodic")]


def test_limit_holds_above_unanswered_calls(tmp_path: Path) -> None:
    """DuckDB 2.0.0 drops a LIMIT above a LEFT JOIN whose right side is provably empty."""
    records = [record for number in range(1, 400) for record in call(number, b'[2,"m","Heartbeat",{}]', b"\x81\x00")]
    records.append(LinkClosed(400_000, 1, "fin"))
    fill(tmp_path / "a.duckdb", records)
    reader = FileReader(tmp_path / "a.duckdb")
    assert len(reader.query("unanswered", {"rows": "20"}).rows) == 20
    reader.close()


def _outcomes(path: Path, behind: Record, settings: str = "") -> list[str]:
    """How a Call of second 0 and one of second 100 ended, by a capture that goes on to ``behind``."""
    records = [*call(1, b"", b"", payload=b"{}"), *_late(call(2, b"", b"", payload=b"{}")), behind]
    store = open_store(path, Position, meta={"rules_settings": settings} if settings else None)
    store.commit(records, [], {})
    store.close()
    reader = FileReader(path)
    with reader.reading() as con:
        rows = con.execute("SELECT outcome FROM exchanges ORDER BY call_no").fetchall()
    table = reader.query("latency_percentiles", {}).rows
    reader.close()
    assert table == []
    return [str(outcome) for (outcome,) in rows]


def _late(records: list[Record]) -> list[Record]:
    frame, message = records
    assert isinstance(frame, FrameSeen) and isinstance(message, MessageSeen)
    return [
        FrameSeen(structs.replace(frame.frame, time_ns=100 * SECOND)),
        MessageSeen(structs.replace(message.message, time_ns=100 * SECOND)),
    ]


SECOND = 10**9


@pytest.mark.parametrize(("behind", "settings", "second"), [
    (Beat(129 * SECOND), "", "pending"),
    (Beat(130 * SECOND), "", "unanswered"),
    (Beat(101 * SECOND), '{"call_seconds":0.5}', "unanswered"),
    (Beat(199 * SECOND), '{"call_seconds":100.0}', "pending"),
    (Note(131 * SECOND, 0, "suspended"), "", "unanswered"),
    (LinkClosed(101 * SECOND, 1, "fin"), "", "unanswered"),
    (LinkClosed(101 * SECOND, 2, "fin"), "", "pending"),
])
def test_an_open_call_is_pending_until_its_time_is_up(tmp_path: Path, behind: Record, settings: str, second: str) -> None:
    assert _outcomes(tmp_path / "a.duckdb", behind, settings) == ["unanswered", second]


def test_pending_calls_are_not_counted_as_bad(tmp_path: Path) -> None:
    boot = b'{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"F"}'
    records = [*call(1, b"", b"", action="BootNotification", payload=boot), *_late(call(2, b"", b"")), Beat(101 * SECOND)]
    fill(tmp_path / "a.duckdb", records)
    reader = FileReader(tmp_path / "a.duckdb")
    assert reader.query("compare_firmware", {}).rows == [["F", 1, 2, 100.0]]
    assert [row[3:5] for row in reader.query("actions", {}).rows] == [["unanswered", 1], ["pending", 1]]
    assert len(reader.query("unanswered", {}).rows) == 1
    reader.close()
