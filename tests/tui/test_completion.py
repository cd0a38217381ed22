"""What the filter line offers, and that it looks for it in steps that do not grow with the square of what was pasted."""

from ocpp_proxy_tui import completion

from ocpp_proxy.fields.parse import MAX_TEXT


def values(field: str) -> list[str]:
    return ["MeterValues", "Heartbeat"] if field == "action" else []


def test_names_operators_values_and_what_joins_are_offered() -> None:
    assert completion.candidates("ident", values) == ["identity"]
    assert completion.candidates("action ", values)[:2] == ["==", "!="]
    assert completion.candidates("action == M", values) == ["MeterValues"]
    assert completion.candidates("ms > 5 and action == M", values) == ["MeterValues"]
    assert completion.candidates("action in [Heartbeat, M", values) == ["MeterValues"]
    assert completion.candidates("action == MeterValues ", values) == ["and", "or"]
    assert completion.completed("ms > 5 and action == M", values) == "ms > 5 and action == MeterValues "


def test_a_pasted_page_is_not_searched_through() -> None:
    assert completion.candidates("x" * (MAX_TEXT + 1), values) == []
    assert completion.candidates("action == M" + " " * MAX_TEXT, values) == []
    assert completion.completed("x" * (MAX_TEXT + 1), values) == "x" * (MAX_TEXT + 1)
    text = "xaction == M"
    assert completion._VALUE.match(text) is not None
    assert [at for at in range(1, len(text)) if completion._VALUE.match(text, at)] == []    # no start inside a word
