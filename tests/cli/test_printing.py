"""What stands on the screen and in files: one line a line, columns, and nothing a peer could act with."""

import csv
import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ocpp_proxy import model, records
from ocpp_proxy.cli import tailing
from ocpp_proxy.cli.line_json import line_object
from ocpp_proxy.cli.printing import ascii_json, line_text, render, stamp
from ocpp_proxy.cli.tailing import Printer
from ocpp_proxy.model import Severity, Side
from ocpp_proxy.records import Line
from ocpp_proxy.source import Table

T0 = 1_767_261_600_123_456_789
LINK = model.Link(7, T0, "10.0.0.5:4711", identity="CP1", protocol="ocpp1.6", status=101, target="/CP1",
                  upstream="wss://c/CP1", handshake_ms=12.4)
CALL = model.Message(1, 10, 7, "CP1", T0, Side.STATION, 2, "id-1", "MeterValues", "ocpp1.6", b'{"connectorId":1}',
                     connector_id=1)
ERROR = model.Message(2, 11, 7, "CP1", T0, Side.CSMS, 4, "id-1", "MeterValues", "ocpp1.6", b"{}", latency_ns=501_000_000,
                      error_code="InternalError", error_desc="no")
FINDING = model.Finding(1, "R05", Severity.ERROR, "csms", 7, "CP1", T0, "late", msg_no=2, path="$.a", spec_ref="3.2", count=3)
FRAME = model.Frame(12, 7, 3, T0, 0, Side.STATION, model.Opcode.PING, payload=b"hello")
HTTP = structs.replace(FRAME, opcode=model.Opcode.HTTP_REQ, header=b"POST /soap HTTP/1.1\r\nHost: x\r\n\r\n", payload=b"<x/>")

SHOWN = {
    '-> Call   MeterValues        connector 1 {"connectorId":1}': Line(records.MessageSeen(CALL)),
    "<- Error  MeterValues        501 ms InternalError no {}": Line(records.MessageSeen(ERROR)),
    "-> Result Boot               EVSE 2 {}": Line(records.MessageSeen(
        structs.replace(CALL, mtype=3, action="Boot", connector_id=None, evse_id=2, payload=b"{}"))),
    "-> close 1000 done": Line(records.FrameSeen(
        structs.replace(FRAME, opcode=model.Opcode.CLOSE, payload=b"\x03\xe8done"))),
    "✗ R05 error, csms: late at $.a (3 times)": Line(records.Found(FINDING)),
    "-> ping hello": Line(records.FrameSeen(FRAME)),
    "-> http_req POST /soap HTTP/1.1": Line(records.FrameSeen(HTTP)),
    "-- /CP1 -> wss://c/CP1: 101 ocpp1.6, 12 ms": Line(records.Handshake(T0, LINK)),
    "-- /CP1: 401 refused, 12 ms, repaired: Connection added": Line(records.Handshake(
        T0, structs.replace(LINK, status=401, protocol="", upstream=""), repairs=("Connection added",))),
    "-- request without an answer: /CP1": Line(records.Handshake(T0, structs.replace(LINK, status=0))),
    "-- connected from 10.0.0.5:4711": Line(records.LinkOpened(LINK)),
    "-- closed (rst) by the csms, close code 1006 bye, 5 bytes not handed over": Line(
        records.LinkClosed(T0, 7, "rst", Side.CSMS, 1006, "bye", 2, 3)),
    "-- GAP: 4 records, 100 bytes are missing: full disk": Line(records.Gap(T0, 0, 1, 5, 4, 100, "full disk")),
    "-- loss: bridge dropped $.customData of StatusNotification m1: 1.6 has no place for it": Line(records.Lost(
        T0, 7, "bridge", "StatusNotification", "m1", "$.customData", "dropped", "1.6 has no place for it")),
    "-- audit: anna inject Reset {}: result": Line(records.Audited(T0, 7, "anna", "inject", "Reset {}", "result")),
    "-- audit: anna reload": Line(records.Audited(T0, 7, "anna", "reload")),
    "-- tls failed: no cipher": Line(records.Note(T0, 7, "tls_failed", text="no cipher")),
}


@pytest.mark.parametrize(("text", "line"), SHOWN.items(), ids=SHOWN)
def test_each_kind_of_line(text: str, line: Line) -> None:
    first = line_text(line, {7: LINK})
    assert first.endswith(text)
    identity = "-" if isinstance(line.record, records.Gap) else "CP1"
    assert first.split()[1] == identity
    assert first[8:12] == ".123"


def test_findings_stand_below_their_line() -> None:
    first, second = line_text(Line(records.MessageSeen(ERROR), (FINDING,)), {}).split("\n")
    assert "Error" in first
    assert second.strip() == "✗ R05 error, csms: late at $.a (3 times)"


def test_colour_is_asked_for_and_never_the_only_sign() -> None:
    plain = line_text(Line(records.MessageSeen(ERROR), (FINDING,)), {}, colour=False)
    assert "\x1b" not in plain
    assert "\x1b[31m✗ R05 error\x1b[0m" in line_text(Line(records.MessageSeen(ERROR), (FINDING,)), {}, colour=True)


NASTY = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["\x1b[2J", "\n", "\u202e", "\x9b2J", "\ud800", "a\rb", "\u2028", "\x7f"])
CELLS = NASTY | st.integers() | st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(NASTY, NASTY, NASTY)
def test_nothing_a_peer_sends_acts_on_the_screen(one: str, two: str, three: str) -> None:
    link = structs.replace(LINK, identity=one, target=two, upstream=three, remote=one, protocol=two)
    raw = two.encode("utf-8", "replace")
    lines = [
        Line(records.MessageSeen(
            structs.replace(CALL, identity=one, action=two, payload=raw, error_code=one, error_desc=three)),
             (structs.replace(FINDING, message=one, path=two, code=three),)),
        Line(records.FrameSeen(structs.replace(FRAME, payload=raw))),
        Line(records.FrameSeen(structs.replace(HTTP, header=raw))),
        Line(records.Handshake(T0, link, repairs=(one,), problems=(two,))), Line(records.LinkOpened(link)),
        Line(records.LinkClosed(T0, 7, one, None, 0, two)), Line(records.Note(T0, 7, "no_head", text=one, identity=three)),
        Line(records.Gap(T0, 0, 1, 2, 1, 0, two)), Line(records.Lost(T0, 7, one, two, three, one, two, three)),
        Line(records.Audited(T0, 7, one, two, three, one)),
    ]
    for line in lines:
        shown = line_text(line, {7: link})
        assert all(part.isprintable() for part in shown.split("\n"))
        assert shown.count("\n") == len(line.findings)
        text = ascii_json(line_object(line, {7: link}))
        assert text.isascii() and text.isprintable()
        json.loads(text)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2)))
def test_tables_are_safe_in_every_form(rows: list[list[Any]]) -> None:
    table = Table(["a\n", "b"], rows)
    for form in ("text", "json", "csv", "md"):
        lines = list(render(table, form))
        assert all(line.isprintable() for line in lines)
        assert len(lines) == len(rows) + {"text": 2, "json": 0, "csv": 1, "md": 2}[form]


def test_table_forms() -> None:
    table = Table(["name", "n"], [["CP|1", 5], ["=1+1", None], ["long name", 1.5]])
    assert list(render(table, "text")) == ["name         n", "---------  ---", "CP|1         5", "=1+1", "long name  1.5"]
    assert list(render(table, "md")) == ["| name | n |", "|---|---|", "| CP\\|1 | 5 |", "| =1+1 |  |", "| long name | 1.5 |"]
    assert [json.loads(line) for line in render(table, "json")] == [
        {"name": "CP|1", "n": 5}, {"name": "=1+1", "n": None}, {"name": "long name", "n": 1.5}]
    assert list(csv.reader(io.StringIO("\n".join(render(table, "csv"))))) == [
        ["name", "n"], ["CP|1", "5"], ["'=1+1", ""], ["long name", "1.5"]]


@given(st.text())
def test_json_gives_back_what_was_put_in(text: str) -> None:
    assert json.loads(ascii_json({"a": text})) == {"a": text}


def test_the_object_of_a_message() -> None:
    found = json.loads(ascii_json(line_object(Line(records.MessageSeen(ERROR), (FINDING,)), {})))
    assert found["v"] == 1 and found["kind"] == "message" and found["time"] == "2026-01-01T10:00:00.123456Z"
    assert (found["mtype"], found["ms"], found["error"], found["payload"]) == (4, 501.0, "InternalError", {})
    assert found["findings"][0]["code"] == "R05" and found["findings"][0]["severity"] == "error"


def test_a_payload_over_several_lines_stays_one_line() -> None:
    line = Line(records.MessageSeen(structs.replace(CALL, payload='{\n\t"a": ["ä",\r\n8.10]}'.encode())))
    text = ascii_json(line_object(line, {}))
    assert text.isprintable() and json.loads(text)["payload"] == {"a": ["ä", 8.1]} and "8.10" in text


def test_a_payload_that_is_no_json_is_text() -> None:
    line = Line(records.MessageSeen(structs.replace(CALL, payload=b'{"a":\xff')))
    found = json.loads(ascii_json(line_object(line, {})))
    assert found["text"] == '{"a":\\xff' and "payload" not in found


def test_stamps_are_utc_and_exact() -> None:
    assert stamp(T0) == "2026-01-01T10:00:00.123456Z"
    assert stamp(-1) == "1969-12-31T23:59:59.999999Z"


def test_the_printer_learns_who_a_link_is(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(json=False)
    printer.show([Line(records.FrameSeen(FRAME)), Line(records.Handshake(T0, LINK)), Line(records.FrameSeen(FRAME))])
    day, *lines = capsys.readouterr().out.splitlines()
    assert day.startswith("--- 2026-01-01 (UTC") or day.startswith("--- 2025-12-31 (UTC")
    assert [line.split()[1] for line in lines] == ["-", "CP1", "CP1"]


def test_the_printer_remembers_a_bounded_number_of_links(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tailing, "KEPT_LINKS", 3)
    printer = Printer(json=False)
    printer.show(Line(records.LinkOpened(structs.replace(LINK, link_id=number))) for number in range(10))
    assert list(printer.links) == [7, 8, 9]
    assert len(capsys.readouterr().out.splitlines()) == 11


@pytest.mark.parametrize(("variables", "coloured"), [({}, False), ({"NO_COLOR": "1"}, False)])
def test_a_pipe_gets_no_colour(variables: dict[str, str], coloured: bool) -> None:
    code = "import sys; from ocpp_proxy.cli.printing import colourful; print(colourful(sys.stdout))"
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(coloured)


@pytest.mark.parametrize(("variables", "coloured"), [({"TERM": "xterm"}, "True"), ({"TERM": "xterm", "NO_COLOR": "1"}, "False"),
                                                     ({"TERM": "dumb"}, "False")])
def test_a_terminal_gets_colour_unless_it_does_not_want_it(variables: dict[str, str], coloured: str) -> None:
    code = "import sys; from ocpp_proxy.cli.printing import colourful; print(colourful(sys.stdout))"
    ours, theirs = os.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    with os.fdopen(ours, "rb", buffering=0) as reader:
        subprocess.run([sys.executable, "-c", code], env={**clean, **variables}, stdout=theirs, check=True)
        os.close(theirs)
        assert reader.read(100).decode().strip() == coloured


def test_a_terminal_gets_lines_of_its_width_and_whole_findings() -> None:
    line = Line(records.MessageSeen(ERROR), (FINDING,))
    wide, finding = line_text(line, {}).split("\n")
    cut, same = line_text(line, {}, width=30).split("\n")
    assert len(wide) > 30
    assert cut == wide[:29] + "…"
    assert same == finding


def test_a_finding_counted_again_is_no_new_line(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(json=False)
    first = Line(records.Found(FINDING))
    again = Line(records.Found(structs.replace(FINDING, count=10)))
    other = Line(records.Found(structs.replace(FINDING, finding_id=FINDING.finding_id + 1, count=3)))
    printer.show([first, again, other])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 2
    assert "(3 times)" in lines[1]
