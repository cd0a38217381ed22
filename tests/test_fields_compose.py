"""Filter texts that are put together mean what they say, whatever a charger is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.fields import And, Compare, Or, comparison, joined, of_charger, parse, quoted


@given(st.text(min_size=1, max_size=30))
def test_a_comparison_with_any_text_reads_back_as_that_text(value: str) -> None:
    assert parse(comparison("identity", value)).root == Compare("identity", "==", value)


@given(st.text(max_size=30))
def test_a_quoted_value_reads_back(value: str) -> None:
    assert parse(f"payload.a contains {quoted(value)}").root == Compare("payload.a", "contains", value)


@pytest.mark.parametrize(("first", "second", "expected"), [
    ("", "", ""),
    ("action == Heartbeat", "", "action == Heartbeat"),
    ("action == Heartbeat", "ms > 5", "action == Heartbeat and ms > 5"),
    ("action == Heartbeat or ms > 5", "connector == 1", "(action == Heartbeat or ms > 5) and connector == 1"),
])
def test_two_filters_are_joined(first: str, second: str, expected: str) -> None:
    assert joined(first, second) == expected


def test_or_does_not_escape_the_charger() -> None:
    found = of_charger("CP 7", parse("ms > 5 or action == Reset"))
    assert found is not None
    assert isinstance(found.root, And)
    assert found.root.items[0] == Compare("identity", "==", "CP 7")
    assert isinstance(found.root.items[1], Or)


def test_no_charger_leaves_the_filter() -> None:
    where = parse("ms > 5")
    assert of_charger("", where) is where
    assert of_charger("", None) is None
