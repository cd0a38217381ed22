"""Filters of chargers, findings, transactions, the log and results: what each name means, and what a mistake is told."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ocpp_proxy.fields import LINES, Vocabulary, compile, parse
from ocpp_proxy.fields.lists import (
    CHARGERS,
    FINDINGS,
    LISTS,
    LOG,
    TRANSACTIONS,
    compile_items,
    expression,
    of_found,
    of_group,
    of_table,
)
from ocpp_proxy.model import ConfigError, Finding, Severity
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, LogLine

S = 1_000_000_000
DAY = 1_767_225_600 * S                     # 2026-01-01
FLEET = [
    Charger("CP1", "open", "ocpp1.6", "192.0.2.1:9", {"1": "Charging", "2": "Faulted"}, DAY, DAY + S, 1200, 12.5, 34.0, 0, 1,
            3725.0, "Acme", "X1", "1.0.3", 3, 3),
    Charger("CP2", "closed", "ocpp2.0.1", messages=4, errors=7, last_seen_ns=DAY + 60 * S, connectors={"1/1": "Available"}),
    Charger("", "refused", remote="192.0.2.9:1"),
]
GROUPS = [
    FindingGroup("R05", Severity.WARNING, "csms", "late answers", "1.6 §4", 12, ("CP1", "CP2"), DAY, DAY + 9 * S, "took 31 s"),
    FindingGroup("V01", Severity.ERROR, "station", "wrong enum", "", 1, ("CP2",), DAY, DAY, "Foo is none"),
]
EACH = [
    FoundAt(Finding(1, "R05", Severity.WARNING, "csms", 1, "CP1", DAY, "took 31 s")),
    FoundAt(Finding(2, "R05", Severity.WARNING, "csms", 2, "CP2", DAY + S, "took 40 s", path="$.a")),
]
SESSIONS = [
    Charging("42", "CP1", "ocpp1.6", None, 1, DAY, DAY + 3600 * S, 11.5, "p_secret", "Local", None),
    Charging("ab-1", "CP2", "ocpp2.0.1", 1, 2, DAY + S, 0, None, "", "", 2),
]
SAID = [LogLine(DAY, "info", "relay", "started"), LogLine(DAY + S, "error", "recorder", "disk full")]
COLUMNS = ["action", "Times", "count(*)", "odd"]
ROWS: list[list[Any]] = [["Reset", 3, 1, None], ["Heartbeat", None, 2, True], ["Boot", 1.5, 3, "x"]]


def passing(text: str, words: Vocabulary, items: Sequence[Any], made: Callable[[Any], Any] = lambda item: item) -> list[int]:
    test = compile_items(parse(text, words), words)
    return [at for at, item in enumerate(items) if test(made(item))]


@pytest.mark.parametrize(("text", "rows"), [
    ("", [0, 1, 2]), ("identity == CP1", [0]), ("not identity == CP1", [1, 2]), ("state != open", [1, 2]), ("errors > 0", [1]),
    ("version ~ 2", [1]), ("vendor == Acme and model == X1 and firmware == 1.0.3", [0]), ("vendor != Acme", []),
    ("status == Faulted", [0]), ("status != Faulted", [1]), ("messages in [4, 5]", [1]), ("rate >= 12.5", [0]),
    ("p95 > 30", [0]),
    ("severity >= error", [0]), ("severity < error", []), ("findings == 0", [1, 2]), ("reconnects == 1", [0]),
    ("outage > 3600", [0]), ("seen >= 2026-01-01T00:00:30Z", [1]), ("opened > 2020-01-01", [0]), ("192.0.2", [0, 2]),
    ("charging or refused", [0, 2]), ("remote contains 0.2.9", [2]), ("nothing", []),
])
def test_chargers(text: str, rows: list[int]) -> None:
    assert passing(text, CHARGERS, FLEET) == rows


@pytest.mark.parametrize(("text", "groups", "each"), [
    ("", [0, 1], [0, 1]), ("code == R05", [0], [0, 1]), ("severity >= error", [1], []), ("blame in [csms, either]", [0],
    [0, 1]),
    ("identity == CP1", [0], [0]), ("identity == CP2", [0, 1], [1]), ("count > 10", [0], [0, 1]), ("chargers == 2", [0],
    [0, 1]),
    ("late", [0], [0, 1]), ("clause contains 1.6", [0], []), ('message contains "40 s"', [], [1]),
    ("message contains $.a", [], [1]),
    ("time > 2026-01-01T00:00:05Z", [0], []),
])
def test_findings_by_rule_and_each(text: str, groups: list[int], each: list[int]) -> None:
    assert passing(text, FINDINGS, GROUPS, of_group) == groups
    assert passing(text, FINDINGS, EACH, lambda one: of_found(one, GROUPS[0])) == each


def test_of_a_finding_alone_the_count_is_its_own() -> None:
    assert passing("count == 1 and chargers == 1", FINDINGS, EACH, of_found) == [0, 1]
    assert passing("late", FINDINGS, EACH, of_found) == []


@pytest.mark.parametrize(("text", "rows"), [
    ("identity == CP1", [0]), ('tx == "42"', [0]), ("tx == 42", [0]), ("kwh > 10", [0]), ("kwh <= 10", []),
    ("state == running", [1]),
    ("duration >= 3600", [0]), ("token == p_secret", [0]), ("reason == Local", [0]), ("missing > 0", [1]), ("evse == 1", [1]),
    ("connector == 1", [0]), ("started > 2026-01-01T00:00:00Z", [1]), ("stopped < 2027-01-01", [0]),
    ("version == ocpp1.6", [0]),
    ("AB-", [1]),
])
def test_transactions(text: str, rows: list[int]) -> None:
    assert passing(text, TRANSACTIONS, SESSIONS) == rows


@pytest.mark.parametrize(("text", "rows"), [
    ("level == error", [1]), ("process == relay", [0]), ("text contains DISK", [1]), ("full", [1]), ("time > 2026-01-01", [1]),
])
def test_log(text: str, rows: list[int]) -> None:
    assert passing(text, LOG, SAID) == rows


@pytest.mark.parametrize(("text", "rows"), [
    ("times > 2", [0]), ("TIMES != 3", [2]), ("action ~ ^B", [2]), ("heart", [1]), ("odd == true", [1]), ("odd != x", [1]),
])
def test_results_have_the_names_of_their_columns(text: str, rows: list[int]) -> None:
    words = of_table(COLUMNS, ROWS)
    assert list(words.fields) == ["action", "times", "odd"] and words.fields["times"].type == "number"
    assert passing(text, words, ROWS) == rows


@pytest.mark.parametrize(("words", "item", "field", "text"), [
    (CHARGERS, FLEET[0], "identity", "identity == CP1"), (CHARGERS, FLEET[0], "rate", "rate >= 12.5"),
    (CHARGERS, FLEET[0], "severity", "severity >= error"), (CHARGERS, FLEET[1], "severity", None),
    (CHARGERS, FLEET[0], "status", "status == Charging"), (CHARGERS, FLEET[2], "status", None),
    (CHARGERS, FLEET[0], "seen", 'seen >= "2026-01-01T00:00:01.000000Z"'), (CHARGERS, FLEET[2], "identity", None),
    (TRANSACTIONS, SESSIONS[0], "tx", 'tx == "42"'), (TRANSACTIONS, SESSIONS[1], "evse", "evse == 1"),
    (TRANSACTIONS, SESSIONS[1], "stopped", None), (LOG, LogLine(10**22, "info", "", ""), "time", None),
])
def test_what_a_value_stands_for_lets_its_item_pass(words: Vocabulary, item: Any, field: str, text: str | None) -> None:
    assert expression(item, words.fields[field]) == text
    assert text is None or passing(text, words, [item]) == [0]


@pytest.mark.parametrize(("words", "text", "told"), [
    (CHARGERS, "vendr == x", "did you mean vendor?"), (CHARGERS, "ms > 5", "chargers have identity, state,"),
    (CHARGERS, "state == opn", "did you mean open?"), (CHARGERS, "payload.a == 1", "unknown field payload.a"),
    (TRANSACTIONS, "kwh > much", "kwh is a number"), (TRANSACTIONS, "token > 1", "token has no order"),
    (FINDINGS, "severity >= bad", "unknown severity bad"), (LOG, "level == warnin", "did you mean warning?"),
    (of_table([], []), "a == 1", "unknown field a"),
])
def test_a_mistake_is_told_with_the_names_of_this_list(words: Vocabulary, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"column \d") as caught:
        parse(text, words)
    assert told in str(caught.value)


def test_examples_are_filters_and_names_are_unambiguous() -> None:
    for words in LISTS:
        parse(words.example, words)
        assert len(words.names) == sum(1 + len(field.aliases) for field in words.fields.values())
        assert all(field.doc for field in words.fields.values())
    compile(parse(LINES.example))
    words = of_table(COLUMNS, ROWS)
    parse(words.example, words)
