"""The filter language: what each form means, what a mistake is told, and that no text breaks the parser."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ocpp_proxy import model, records
from ocpp_proxy.fields import FIELDS, Filter, compile, parse
from ocpp_proxy.fields.registry import KINDS, MTYPES, NAMES, link_of, time_of
from ocpp_proxy.model import ConfigError, Severity, Side
from ocpp_proxy.records import Line

SECOND = 1_000_000_000
T0 = 1_767_261_600 * SECOND                 # 2026-01-01T10:00:00Z
LINK = model.Link(7, T0, "10.0.0.5:4711", identity="CP1", protocol="ocpp1.6", handshake_ms=12.5, target="/ocpp/CP1")
PAYLOAD = (b'{"connectorId":1,"transactionId":-1,"meterValue":[{"timestamp":"2026-01-01T09:59:00Z","sampledValue":'
           b'[{"value":"12.5"},{"value":"80"}]}],"flag":true,"none":null,"7":"seven"}')
CALL = model.Message(1, 10, 7, "CP1", T0, Side.STATION, 2, "id-1", "MeterValues", "ocpp1.6", PAYLOAD,
                     connector_id=1, tx_id="42", id_token="p_9f")
ERROR = model.Message(2, 11, 7, "CP1", T0 + SECOND, Side.CSMS, 4, "id-1", "MeterValues", "ocpp1.6", b"{}", call_no=1,
                      latency_ns=501_000_000, error_code="InternalError", error_desc="out of order")
FINDINGS = (
    model.Finding(1, "R05", Severity.WARNING, "csms", 7, "CP1", T0, "late", msg_no=2),
    model.Finding(2, "V01", Severity.ERROR, "station", 7, "CP1", T0, "enum", msg_no=2),
)
FRAME = model.Frame(12, 7, 3, T0, 0, Side.STATION, model.Opcode.PING, payload=b"hello")

LINES = {
    "call": Line(records.MessageSeen(CALL), frame=structs.replace(FRAME, opcode=model.Opcode.TEXT)),
    "error": Line(records.MessageSeen(ERROR), FINDINGS),
    "ping": Line(records.FrameSeen(FRAME)),
    "close": Line(records.FrameSeen(structs.replace(FRAME, opcode=model.Opcode.CLOSE, payload=b"\x03\xe8done"))),
    "http": Line(records.FrameSeen(structs.replace(FRAME, opcode=model.Opcode.HTTP_REQ, header=b"GET /soap", payload=b"<x/>"))),
    "handshake": Line(records.Handshake(T0, LINK)),
    "note": Line(records.Note(T0, 0, "tls_failed", Side.STATION, "no shared cipher", "CP9")),
    "gap": Line(records.Gap(T0, 0, 1, 5, 4, 100, "full disk", link_id=8)),
    "opened": Line(records.LinkOpened(structs.replace(LINK, identity="", protocol=""))),
    "closed": Line(records.LinkClosed(T0, 7, "rst", Side.CSMS, 1006, "bye")),
    "finding": Line(records.Found(structs.replace(FINDINGS[0], msg_no=None))),
}


def passing(text: str) -> str:
    """The names of the lines that pass, blank-separated, in order."""
    test = compile(parse(text), {7: LINK})
    return " ".join(name for name, line in LINES.items() if test(line))


ALL = " ".join(LINES)
MEANING = {
    "": ALL,
    'action == "MeterValues" and ms > 500 and severity >= warning': "error",
    "action = MeterValues": "call error",
    "action != Heartbeat": "call error",
    "not action == MeterValues": "ping close http handshake note gap opened closed finding",
    "metervalues": "call error",
    "CP1": "call error ping close http handshake opened closed finding",
    "cp9": "note",
    "ID-1": "call error",
    "seven": "call",
    '"out of order"': "error",
    "mtype == CALL": "call",
    "type == 4": "error",
    "mtype in [call, callerror]": "call error",
    "mtype > 2": "error",
    "ms > 501": "",
    "ms >= 501": "error",
    "ms < 100": "handshake",
    "side == csms": "error closed",
    "side == station kind == message": "call",
    "severity == error": "error",
    "severity < error": "finding",
    "rule == R05": "error finding",
    "rule != R05": "",
    "rule != X01": "error finding",
    "rule in [V01, V02]": "error",
    "rule ~ '^V'": "error",
    "finding == V01": "error",
    "blame == station": "error",
    "identity == CP1": "call error ping close http handshake opened closed finding",
    "protocol == ocpp1.6": "call error ping close http handshake opened closed finding",
    "connector == 1 & tx == 42 & token ~ '^p_'": "call",
    "evse == 1": "",
    'error == "InternalError"': "error",
    'error != ""': "error",
    'not error != ""': "call ping close http handshake note gap opened closed finding",
    "size == 5": "ping",
    "opcode in [ping, text]": "call ping",
    "kind in [ping, http, gap]": "ping http gap",
    "kind == finding or kind == opened": "opened finding",
    "link == 8": "gap",
    "time > 2026-01-01T10:00:00Z": "error",
    "time >= '2026-01-01 11:00+01:00'": ALL,
    "time < 2026-01-01T10:00:00": "",
    "text contains '<X/>'": "http",
    'text ~ "GET /so[ap]+"': "http",
    "text ~ '(?i)FULL DISK'": "gap",
    "text contains /ocpp/": "handshake",
    "text == 'rst bye'": "closed",
    "text == '1000 done'": "close",
    "kind == close": "close",
    "payload.connectorId == 1": "call",
    'payload.connectorId == "1"': "call",
    "payload.connectorId != 2": "call",
    "payload.connectorId < 1": "",
    "payload.transactionId == -1": "call",
    "payload.flag == true": "call",
    "payload.flag == 1": "",
    "payload.none == null": "",
    "payload.none != 1": "",
    "payload.missing != 1": "",
    "not payload.missing == 1": ALL,
    "payload.meterValue[0].timestamp < 2026-01-01T10": "call",
    "payload.meterValue[1].timestamp ~ .": "",
    "payload.meterValue[*].sampledValue[*].value > 79": "call",
    "payload.meterValue[*].sampledValue[1].value < 79": "",
    "payload.meterValue[*].sampledValue[*].value != 80": "",
    "payload.meterValue[0].sampledValue[0].value in [12.5, x]": "call",
    "payload.meterValue[0].sampledValue contains '12.5'": "call",
    "payload.7 == seven": "call",
    "payload[0] == 1": None,
    "payload contains connectorid": "call",
    "!(action == MeterValues | ping) closed": "",
    "kind == ping or kind == call or kind == gap": None,
    "kind == ping or kind == gap and link == 8": "ping gap",
    "(kind == ping or kind == gap) and link == 8": "gap",
    "kind == ping && link == 7 || kind == note": "ping note",
    "not kind == message not kind == ping side == station": "close http note",
}


@pytest.mark.parametrize(("text", "names"), MEANING.items(), ids=MEANING.keys())
def test_each_form_lets_the_right_lines_through(text: str, names: str | None) -> None:
    if names is None:
        with pytest.raises(ConfigError):
            parse(text)
    else:
        assert passing(text) == names


MISTAKES = {
    "acton == 1": (1, "did you mean action?"),
    "connectorId == 1": (1, "did you mean connector?"),
    "vendorName == 1": (1, "payload.vendorName"),
    "action == MeterValues and severity >= warnin": (39, "did you mean warning?"),
    "mtype == CALLS": (10, "did you mean CALL?"),
    "kind == message or kind == noet": (28, "did you mean note?"),
    "side == charger": (9, "one of station, csms"),
    "ms > soon": (6, "ms is a number, not soon"),
    "ms > '500 ms'": (6, "ms is a number"),
    "action < Boot": (8, "action has no order"),
    "severity contains arn": (10, "severity is no text"),
    "ms ~ 5": (4, "ms is no text"),
    "time > yesterday": (8, "no time: yesterday"),
    "action ==": (10, "ends too early"),
    "a and": (6, "ends too early"),
    "(a": (3, "ends too early"),
    "== 3": (1, "an operator needs a field name"),
    '"abc': (1, "never closed"),
    "a b) c": (4, "does not belong here"),
    'text ~ "(a"': (8, "no valid pattern"),
    r'text ~ "(a)\\1"': (8, "no valid pattern"),
    "text ~ " + "a" * 501: (8, "longer than 500"),
    "payload.a..b == 2": (1, "cannot read the path"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.items(), ids=[text[:40] for text in MISTAKES])
def test_a_mistake_is_told_with_its_column_and_a_caret(text: str, told: tuple[int, str]) -> None:
    column, words = told
    with pytest.raises(ConfigError) as caught:
        parse(text)
    first, line, caret = str(caught.value).split("\n")
    assert first.startswith(f"filter, column {column}: ")
    assert words in first
    assert line.strip() and caret.index("^") - 2 == min(column - 1, 60)


@pytest.mark.parametrize("text", ["not " * 41 + "a", "(" * 2000 + "a" + ")" * 2000, "not " * 1000 + "a", "x" * 4097])
def test_depth_and_length_are_bounded(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_forty_levels_are_not_too_many() -> None:
    assert compile(parse("not " * 38 + "MeterValues"))(LINES["call"])


_PIECES = st.sampled_from([*NAMES, *KINDS, *MTYPES, "==", "!=", "<", ">=", "~", "contains", "in", "[", "]", ",", "(", ")",
                           "and", "or", "not", "!", "&", "|", '"a"', "'", '"', "1", "-2.5", "payload.a[0]", "(a+)+$", "\x00"])


@given(st.text() | st.lists(_PIECES | st.text(max_size=3), max_size=12).map(" ".join))
def test_the_parser_raises_nothing_but_config_error(text: str) -> None:
    try:
        where = parse(text)
    except ConfigError:
        return
    assert msgspec.json.decode(msgspec.json.encode(where), type=Filter) == where
    test = compile(where)
    for line in LINES.values():
        assert test(line) in (True, False)


@given(st.binary(max_size=60), st.text(max_size=20))
def test_no_payload_breaks_a_test(payload: bytes, identity: str) -> None:
    line = Line(records.MessageSeen(structs.replace(CALL, payload=payload, identity=identity)))
    for text in ("payload.a[*].b > 1", "payload.a contains x", "payload ~ 'a.*b'", "word", 'payload.a != "x"'):
        assert compile(parse(text))(line) in (True, False)


def test_hostile_json_is_missing_not_an_error() -> None:
    for payload in (b'{"a":' + b"[" * 100_000, b'{"a":' + b"9" * 400 + b"}", b'{"a":"\\ud800"}', b'{"a":NaN}'):
        line = Line(records.MessageSeen(structs.replace(CALL, payload=payload)))
        assert compile(parse("payload.a == 1"))(line) is False


def test_an_escaped_key_is_found_too() -> None:
    line = Line(records.MessageSeen(structs.replace(CALL, payload=b'{"\\u0061bc":5}')))
    assert compile(parse("payload.abc == 5"))(line)


def test_a_pattern_cannot_be_made_to_backtrack() -> None:
    line = Line(records.MessageSeen(structs.replace(CALL, payload=b'"' + b"a" * 200_000 + b'b"')))
    test = compile(parse('payload ~ "(a+)+(a|a)*(a|aa)+.*.*.*[$]$"'))      # a backtracking engine would never return
    assert test(line) is False


def test_links_may_grow_while_a_filter_is_used() -> None:
    links: dict[int, model.Link] = {}
    test = compile(parse("identity == CP1"), links)
    assert not test(LINES["ping"])
    links[7] = LINK
    assert test(LINES["ping"])


def test_every_field_is_documented_and_reads_every_kind_of_line() -> None:
    for field in FIELDS.values():
        assert field.doc
        for line in LINES.values():
            field.get(line, {7: LINK})
    assert len(NAMES) == sum(1 + len(field.aliases) for field in FIELDS.values())


def test_every_line_has_its_time_and_link() -> None:
    assert {name: time_of(line) for name, line in LINES.items()} == {
        name: T0 + (SECOND if name == "error" else 0) for name in LINES
    }
    assert {name: link_of(line) for name, line in LINES.items()} == {
        name: {"note": 0, "gap": 8}.get(name, 7) for name in LINES
    }


def test_the_language_reads_no_clock_and_does_no_input() -> None:
    code = ("import sys, ocpp_proxy.fields; bad = {'asyncio', 'duckdb', 'aiohttp', 'sqlite3'} & set(sys.modules);"
            "sys.exit(str(bad) if bad else 0)")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
