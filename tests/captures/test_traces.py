"""Exports and traces: nothing is lost out and in again; a redacted export tells nobody's name; bad lines are named."""

import asyncio
import json
from pathlib import Path

import pytest
from ocpp_proxy_captures import TraceSource, export, open_source
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_captures.redact import Redactor

from ocpp_proxy.fields import parse
from ocpp_proxy.model import CaptureError, ConfigError, Frame, Link, Message, Opcode, Side
from ocpp_proxy.records import FrameSeen, LinkOpened, MessageSeen, Record
from tests.captures.capture_streams import fill, stored, stream


def capture(tmp_path: Path) -> tuple[Path, list[Record]]:
    """A capture with messages that JSON cannot say in any other way than raw."""
    records: list[Record] = stream(300)
    frames = [record for record in records if isinstance(record, FrameSeen)]
    number = frames[-1].frame.frame_id
    for text in (b"no json \xff", b'[2, "spaced" , "Heartbeat", {}]', b'[3,"5",{"configurationKey":]}]', b"\x1b]0;x\x07"):
        number += 1
        at = 1_767_700_000_000_000_000 + number
        records.append(FrameSeen(Frame(number, 1, number, at, at, Side.CSMS, Opcode.TEXT, b"\x81\x05", b"", text)))
        records.append(MessageSeen(Message(number, number, 1, "CP-00002", at, Side.CSMS, 0, "", "", "ocpp1.6", text)))
    fill(tmp_path / "a.duckdb", records)
    return tmp_path / "a.duckdb", records


def run_export(path: Path, target: Path, where: str = "", redact: bool = False) -> int:
    async def work() -> int:
        source = open_source(path)
        try:
            return await export(source, target, parse(where), redact)
        finally:
            await source.close()
    return asyncio.run(work())


def texts(path: Path) -> list[tuple[str, int, bytes]]:
    """Sender, time and text of every message of a source."""
    async def work() -> list[tuple[str, int, bytes]]:
        source = open_source(path)
        try:
            pages = [record for batch in [batch async for batch in source.records()] for record in batch]
        finally:
            await source.close()
        return [(r.frame.sender.value, r.frame.time_ns, r.frame.text or r.frame.payload) for r in pages
                if isinstance(r, FrameSeen) and r.frame.opcode is Opcode.TEXT]
    return asyncio.run(work())


@pytest.mark.parametrize("ending", [".jsonl", ".duckdb"])
def test_an_export_opens_as_a_source_again_with_every_message(tmp_path: Path, ending: str) -> None:
    path, records = capture(tmp_path)
    target = tmp_path / f"out{ending}"
    assert run_export(path, target) == sum(isinstance(record, MessageSeen) for record in records)
    assert texts(target) == texts(path) and len(texts(target)) > 300
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.duckdb", target.name]


def test_a_capture_exported_whole_is_the_same_capture(tmp_path: Path) -> None:
    records = stream(400)
    fill(tmp_path / "a.duckdb", records)
    run_export(tmp_path / "a.duckdb", tmp_path / "b.duckdb")
    reader = FileReader(tmp_path / "b.duckdb")
    got = [record for batch in reader.everything() for record in batch]
    reader.close()
    assert got == stored(records)


def test_lines_of_a_trace_have_the_fields_of_the_format(tmp_path: Path) -> None:
    path, _ = capture(tmp_path)
    run_export(path, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["schemaVersion"] == "1.1" and row["transport"] == "json"
        assert row["direction"] in ("cp-to-csms", "csms-to-cp")
        assert row["messageType"] in ("CALL", "CALLRESULT", "CALLERROR", "UNKNOWN")
        assert ("raw" in row) != ("rawBase64" in row["meta"]["ocppProxy"])
    calls = [row for row in rows if row["messageType"] == "CALL"]
    assert calls[0] | {"meta": 0, "payload": 0, "raw": 0} == {
        "schemaVersion": "1.1", "timestamp": calls[0]["timestamp"], "transport": "json", "direction": "cp-to-csms",
        "messageType": "CALL", "chargePointId": calls[0]["chargePointId"], "ocppVersion": "1.6",
        "messageId": calls[0]["messageId"], "action": "BootNotification", "meta": 0, "payload": 0, "raw": 0}


def test_text_is_one_line_a_message_with_its_findings_and_no_escapes(tmp_path: Path) -> None:
    path, _ = capture(tmp_path)
    count = run_export(path, tmp_path / "out.txt")
    shown = (tmp_path / "out.txt").read_text().splitlines()
    findings = [line for line in shown if line.startswith("    ! ")]
    assert len(shown) - len(findings) == count and findings
    assert all(line.isprintable() for line in shown) and any("\\x1b]0;x\\x07" in line for line in shown)


def test_a_filter_and_another_ending(tmp_path: Path) -> None:
    path, _ = capture(tmp_path)
    assert 0 < run_export(path, tmp_path / "o.jsonl", "identity in [CP-00001]") < 200
    assert {json.loads(line)["chargePointId"] for line in (tmp_path / "o.jsonl").read_text().splitlines()} == {"CP-00001"}
    with pytest.raises(ConfigError, match=r"\.jsonl, \.txt or \.duckdb"):
        run_export(path, tmp_path / "o.xlsx")


@pytest.mark.parametrize("ending", [".jsonl", ".txt", ".duckdb"])
def test_a_redacted_export_tells_no_names(tmp_path: Path, ending: str) -> None:
    names = ("STATION-ONE", "TOKENTOKEN12", "SERIAL4711", "10.9.8.7", "Vandalised by Bob")
    payload = b'{"idTag":"TOKENTOKEN12","chargePointSerialNumber":"SERIAL4711","meterStart":77,"techInfo":"Vandalised by Bob"}'
    broken = b'[2,"2","Authorize",{"idTag":"TOKENTOKEN12"'
    text = b'[2,"STATION-ONE-1","Authorize",' + payload + b"]"
    records: list[Record] = [LinkOpened(Link(1, 5, "10.9.8.7:1", identity="STATION-ONE", target="/STATION-ONE"))]
    for number, (raw, mtype, body) in enumerate(((text, 2, payload), (broken, 0, broken)), 1):
        records.append(FrameSeen(Frame(number, 1, number, number, number, Side.STATION, Opcode.TEXT, b"\x81\x05", b"", raw)))
        records.append(MessageSeen(Message(
            number, number, 1, "STATION-ONE", number, Side.STATION, mtype, "STATION-ONE-1" if mtype else "",
            "Authorize" if mtype else "", "ocpp1.6", body, id_token="TOKENTOKEN12" if mtype else "")))
    fill(tmp_path / "a.duckdb", records)
    target = tmp_path / f"out{ending}"
    assert run_export(tmp_path / "a.duckdb", target, redact=True) == 2
    whole = target.read_bytes()
    if ending == ".duckdb":
        reader = FileReader(target)
        whole += repr([record for batch in reader.everything() for record in batch]).encode() + repr(reader.links()).encode()
        reader.close()
    assert [name for name in names if name.encode() in whole] == []
    assert ending == ".duckdb" or b'"meterStart":77' in whole.replace(b'\\"', b'"')


def test_pseudonyms_keep_length_kind_and_equality_and_change_with_the_key() -> None:
    one, two = Redactor(b"a" * 32), Redactor(b"b" * 32)
    word = one.word("CP-0042/aZ")
    assert len(word) == 10 and word[2] == "-" and word[7] == "/" and word[3] in "0123456789" and word[:2].isupper()
    assert one.word("CP-0042/aZ") == word != two.word("CP-0042/aZ")
    assert one.word("") == ""
    found = json.loads(one.payload(b'{"idTag":"X1","n":5}'))
    assert found == {"idTag": one.word("X1"), "n": 5}
    assert one.payload(b'{ "n" : 5 }') == b'{ "n" : 5 }'


GOLDEN = (
    '{"ts":"2026-11-22T10:00:00.000Z","identity":"CP-BAD-1","sender":"station","raw":"[2,\\"1\\",\\"Heartbeat\\",{}]"}\n'
    '{"ts":"2026-11-22T10:00:00.050Z","identity":"CP-BAD-1","sender":"csms","raw":"[3,\\"1\\",{\\"a\\":]}]"}\n')
FOREIGN = (
    '{"schemaVersion":"1.1","timestamp":"2026-01-02T03:04:05.678Z","transport":"json","direction":"cp-to-csms","messageType":"CALL",'
    '"ocppVersion":"2.0.1","chargePointId":"A","messageId":"7","action":"Heartbeat","payload":{ "x": 1 },"new":[1]}\n'
    "\n"
    '{"schemaVersion":"1.1","timestamp":"2026-01-02T03:04:06Z","transport":"json","direction":"csms-to-cp","messageType":"CALLERROR",'
    '"chargePointId":"A","messageId":"7","error":{"code":"InternalError","description":"so \\"what\\"","details":{"d":2}}}\n')


def test_bare_logs_and_foreign_traces_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(GOLDEN)
    (tmp_path / "b.jsonl").write_text(FOREIGN)
    assert texts(tmp_path / "a.ndjson") == [
        ("station", 1_795_341_600_000_000_000, b'[2,"1","Heartbeat",{}]'),
        ("csms", 1_795_341_600_050_000_000, b'[3,"1",{"a":]}]')]
    assert [text for _, _, text in texts(tmp_path / "b.jsonl")] == [
        b'[2,"7","Heartbeat",{ "x": 1 }]', b'[4,"7","InternalError","so \\"what\\"",{"d":2}]']


def test_a_trace_has_links_lines_and_queries(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(FOREIGN)

    async def work() -> None:
        source = TraceSource(tmp_path / "b.jsonl")
        [link] = await source.links()
        assert (link.identity, link.protocol, link.identity_source) == ("A", "ocpp2.0.1", "trace")
        page = await source.page(parse("mtype == CALLERROR"), 0, 10)
        assert [line.record.message.action for line in page if isinstance(line.record, MessageSeen)] == ["Heartbeat"]
        assert (await source.query("overview", {})).rows[0][2] == 2
        assert await source.log() == []     # no proxy ran: the import is none of its runs
        await source.close()
    asyncio.run(work())


def test_bad_lines_are_counted_and_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = ["{", '{"ts":"never","sender":"csms","raw":"x"}', '{"ts":"2026-01-01T00:00:00Z","sender":"bob","raw":"x"}',
           '{"ts":"2026-01-01T00:00:00Z","sender":"csms"}', '{"sender":"csms","raw":"x"}', "\x1b[2J", "[1]"]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*bad, GOLDEN]))
    source = TraceSource(path)
    assert source.bad == len(bad)
    assert [problem.startswith(f"{path}:{number}: ") for number, problem in enumerate(source.problems, 1)] == [True] * len(bad)
    assert all(problem.isprintable() for problem in source.problems) and "7 lines could not be read" in source.title
    asyncio.run(source.close())
    assert len(texts(path)) == 2


@pytest.mark.parametrize("content", ["", "\n\n", "no trace\nat all\n"])
def test_a_file_without_one_good_line_is_no_trace(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(CaptureError, match=r"a\.jsonl.*No line of it is OCPP trace JSONL"):
        TraceSource(tmp_path / "a.jsonl")
