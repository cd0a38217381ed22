"""A filter on rows: an exchange is asked as a whole, every other row exactly as its line."""

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ocpp_proxy import model, records
from ocpp_proxy.core.rows import begin, whole
from ocpp_proxy.fields import compile, parse
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import Line, Row
from tests.test_fields import CALL, ERROR, FINDINGS, LINES, LINK, MEANING, SECOND, T0

LINKS = {7: LINK}
RESULT = structs.replace(ERROR, mtype=3, payload=b'{"status":"Accepted"}', error_code="", error_desc="", tx_id="99")
SPOILT = model.Message(3, 12, 7, "CP1", T0 + 2 * SECOND, model.Side.STATION, 5, "id-1", "MeterValues", "ocpp2.1",
                       b'{"why":"enum"}', call_no=1, error_code="FormatViolation", error_desc="no such value")
LATE = Line(records.Found(model.Finding(9, "R07", model.Severity.ERROR, "csms", 7, "CP1", T0, "never answered", msg_no=1)))
ONLY_CALL = structs.replace(CALL, tx_id="")


def seen(message: model.Message, *findings: model.Finding) -> Line:
    """The line of a message."""
    return Line(records.MessageSeen(message), findings)


EXCHANGES: dict[str, list[Line]] = {
    "pending": [seen(CALL)],
    "ok": [seen(ONLY_CALL, FINDINGS[0]), seen(RESULT)],
    "error": [LINES["call"], LINES["error"]],
    "spoilt": [seen(CALL), seen(RESULT), seen(SPOILT)],
    "unanswered": [seen(CALL), LATE],
    "late": [seen(CALL), LATE, seen(RESULT)],
}


def made(lines: Sequence[Line]) -> Row:
    """The row of some lines."""
    row = whole(lines, LINKS, 5)
    assert row is not None
    return row


def passing(text: str) -> str:
    """The names of the exchanges that pass, blank-separated, in order; lines are given only to those who said they ask."""
    test = compile_rows(parse(text), LINKS)
    return " ".join(
        name for name, lines in EXCHANGES.items() if test(made(lines), partial(_given, lines, test.needs_lines)))


def _given(lines: Sequence[Line], needed: bool) -> Sequence[Line]:
    assert needed
    return lines


ALL = " ".join(EXCHANGES)
EXCHANGE_MEANING = {
    "": ALL,
    "outcome == pending": "pending",
    "outcome in [ok, error]": "ok error spoilt late",
    "outcome == unanswered": "unanswered",
    "not outcome == ok": "pending error spoilt unanswered",
    "ms > 500": "ok error spoilt late",
    "ms < 501": "",
    "not ms > 500": "pending unanswered",
    "severity >= error": "error unanswered late",
    "severity < error": "ok",
    "rule == R05": "ok error",
    "rule == R07": "unanswered late",
    "rule != R07": "ok error",
    "blame in [station]": "error",
    "blame != csms": "",
    "error == InternalError": "error",
    'error != ""': "error spoilt",
    "error contains violation": "spoilt",
    "side == station": ALL,
    "side == csms": "",
    "time > 2026-01-01T10:00:00Z": "",
    "time == 2026-01-01T10:00:00Z": ALL,
    "action == MeterValues and message_id ~ '^id-' & token ~ '^p_' connector == 1": ALL,
    "evse == 1": "",
    "tx == 42": "pending error spoilt unanswered late",
    "tx == 99": "ok",
    "mtype == CALL": ALL,
    "mtype == CALLRESULT": "ok spoilt late",
    "mtype == CALLERROR": "error",
    "mtype == CALLRESULTERROR": "spoilt",
    "mtype in [CALLERROR, CALLRESULTERROR]": "error spoilt",
    "mtype > 2": "ok error spoilt late",
    "not mtype == CALLERROR": "pending ok spoilt unanswered late",
    f"size == {len(CALL.payload)}": "pending unanswered",
    f"size == {len(CALL.payload) + len(RESULT.payload)}": "ok late",
    "kind == message": ALL,
    "kind == finding": "",
    "identity == CP1 and protocol == ocpp1.6 and link == 7": ALL,
    "opcode == text": "error",
    "payload.connectorId == 1": ALL,
    "payload.status == Accepted": "ok spoilt late",
    "not payload.status == Accepted": "pending error unanswered",
    "payload.status == Accepted and payload.connectorId == 1": "ok spoilt late",
    "payload.why ~ enum": "spoilt",
    'payload contains "accepted"': "ok spoilt late",
    "text contains 'out of order'": "error",
    "accepted": "ok spoilt late",
    "'never answered'": "unanswered late",
    "METERVALUES": ALL,
    "not metervalues": "",
    "not accepted": "pending error unanswered",
    "outcome == ok or enum": "ok spoilt late",
}


@pytest.mark.parametrize(("text", "names"), EXCHANGE_MEANING.items(), ids=EXCHANGE_MEANING.keys())
def test_an_exchange_is_asked_as_a_whole(text: str, names: str) -> None:
    assert passing(text) == names


@pytest.mark.parametrize("text", [
    "action == A and ms > 5", "outcome == ok", "rule != R05 or severity > info", "mtype == CALL",
    "mtype != CALL and kind == message", "not (identity ~ a) size > 1", "time > 2026-01-01", "mtype > 2"])
def test_filters_on_fields_need_no_lines(text: str) -> None:
    assert not compile_rows(parse(text)).needs_lines


@pytest.mark.parametrize("text", [
    "word", "text ~ a", "payload contains b", "ms > 5 and not payload.a == 1", "mtype == CALLERROR"])
def test_filters_on_texts_need_lines(text: str) -> None:
    assert compile_rows(parse(text)).needs_lines


def alone(line: Line) -> Row:
    """The row of a line in a list of frames."""
    row = begin(line, LINKS)
    if row.kind == "exchange":
        row.kind, row.outcome = "message", ""
    return row


def same(text: str) -> None:
    """Every line passes as its row does."""
    where = parse(text)
    of_line, of_row = compile(where, LINKS), compile_rows(where, LINKS)
    for name, line in {**LINES, "result": seen(RESULT), "odd": seen(structs.replace(CALL, mtype=0, action=""))}.items():
        assert of_row(alone(line), partial(_given, [line], of_row.needs_lines)) == of_line(line), name


@pytest.mark.parametrize("text", [text for text, names in MEANING.items() if names is not None] + [
    "outcome == ok", "outcome == error", "not outcome == pending", "size == 0", "size < 1", "mtype != 2", "mtype == CALLRESULT",
    "side == station or link == 0", 'identity == ""', "protocol != x", "evse != 2", "error ~ ^", "tx contains 4",
    "severity != hint"])
def test_a_row_of_one_line_is_asked_as_the_line(text: str) -> None:
    same(text)


_ATOM = st.sampled_from([text for text, names in MEANING.items() if names is not None and text])


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(("and", "or")), inner)
    return inner.map("not ({})".format) | pairs.map(lambda pair: f"({pair[0]}) {pair[1]} ({pair[2]})")


@given(st.recursive(_ATOM, _joined, max_leaves=5))
def test_rows_of_one_line_agree_with_lines_whatever_the_filter(text: str) -> None:
    same(text)


def test_links_may_grow_and_nothing_passes_everything() -> None:
    links: dict[int, model.Link] = {}
    ping = begin(LINES["ping"], {})
    test = compile_rows(parse("identity == CP1 protocol == ocpp1.6"), links)
    assert not test(ping, list)
    links[7] = LINK
    assert test(ping, list) and compile_rows(None)(ping, list) and not compile_rows(None).needs_lines


def test_a_bad_pattern_is_a_user_s_error() -> None:
    where = parse("action ~ a")
    assert isinstance(where.root, type(parse("action ~ b").root))
    with pytest.raises(ConfigError):
        compile_rows(structs.replace(where, root=structs.replace(where.root, value="(a")))
