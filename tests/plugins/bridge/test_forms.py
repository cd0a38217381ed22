"""Forms: what is carried and how; that everything else is told; that what a plain form makes of a full message is valid."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocpp_proxy_plugins.bridge.check_fields import joined
from ocpp_proxy_plugins.bridge.converters import NOTHING, number, renamed, text, time, whole_number
from ocpp_proxy_plugins.bridge.forms import Constant, Form, Rule, merged, steps
from ocpp_proxy_plugins.bridge.rows import DOWN, UP, of_target, read
from ocpp_proxy_plugins.bridge.schema import covers, fields
from ocpp_proxy_plugins.bridge.tables import CODE, Entry, book, converter

from ocpp_proxy.model import Side
from ocpp_proxy.spec.schemas import check
from tests.plugins.bridge.messages import TIME, Ledger, full

STATION, CSMS = Side.STATION, Side.CSMS


def form(*rows: tuple[str, str, str], dropped: dict[str, str] | None = None, constants: tuple[Constant, ...] = ()) -> Form:
    """A form of written rows, to OCPP 2.0.1."""
    rules = [Rule(steps(source), steps(target), converter(how.removeprefix("else "), "1.6"), "", how.startswith("else "))
             for source, target, how in rows]
    return Form([*rules, *(Rule(steps(path), (), None, why) for path, why in (dropped or {}).items())], constants, "2.0.1")


def carried(made: Form, source: Any, **values: Any) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """What a form makes of a payload, and what it told."""
    ledger = Ledger()
    return made.carry(source, ledger, values), ledger.told


def test_fields_are_carried_into_objects_that_are_made_for_them() -> None:
    made = form(("a", "x.y", "same"), ("b", "x.z.deep", "int"), ("c.d", "top", "same"))
    assert carried(made, {"a": "1", "b": 2.0, "c": {"d": True}}) == ({"x": {"y": "1", "z": {"deep": 2}}, "top": True}, [])
    assert carried(made, {}) == ({}, [])


def test_the_items_of_a_list_are_carried_one_by_one() -> None:
    made = form(("list[].a", "other[].b.c", "same"), ("list[].d", "other[].d", "int"))
    assert carried(made, {"list": [{"a": 1, "d": "2"}, {"a": 3, "odd": 1}, 5]}) == (
        {"other": [{"b": {"c": 1}, "d": 2}, {"b": {"c": 3}}]},
        [("list[1].odd", "no such field in OCPP 2.0.1", "dropped"), ("list[2]", "not an object", "dropped")],
    )
    assert carried(made, {"list": {"a": 1}}) == ({}, [("list", "not a list", "dropped")])
    assert carried(form(("a[]", "b[]", "int")), {"a": [1, "x", 3]}) == ({"b": [1, 3]}, [("a[1]", "no integer", "dropped")])


def test_where_the_target_has_fewer_lists_only_the_first_item_is_carried() -> None:
    made = form(("many[].a", "one.a", "same"), ("many[].inner[].b", "one.inner[].b", "same"))
    assert carried(made, {"many": [{"a": 1, "inner": [{"b": 1}, {"b": 2}]}, {"a": 2}, {}]}) == (
        {"one": {"a": 1, "inner": [{"b": 1}, {"b": 2}]}},
        [("many[1]", "only the first can be carried", "dropped"), ("many[2]", "only the first can be carried", "dropped")],
    )
    assert carried(made, {"many": []}) == ({}, [("many", "not a list, or an empty one", "dropped")])


def test_where_the_target_has_more_lists_they_get_one_item() -> None:
    made = form(("one.a", "many[].a", "same"), ("one.inner[].b", "many[].inner[].b", "same"), ("flat", "texts[]", "same"))
    assert carried(made, {"one": {"a": 1, "inner": [{"b": 1}, {"b": 2}]}, "flat": "x"}) == (
        {"many": [{"a": 1, "inner": [{"b": 1}, {"b": 2}]}], "texts": ["x"]}, [])


def test_everything_that_is_not_carried_is_told() -> None:
    made = form(("a.b", "a", "same"), ("by.code", "", "code"), dropped={"gone": "why"})
    source = {"a": {"b": 1, "customData": {}}, "by": {"code": 1, "x": 2}, "gone": 3, "nothing": 4, "customData": {}}
    unknown = "no such field in OCPP 2.0.1"
    assert carried(made, source) == ({"a": 1}, [
        ("a.customData", unknown, "dropped"), ("by.x", unknown, "dropped"), ("gone", "why", "dropped"),
        ("nothing", unknown, "dropped"), ("customData", unknown, "dropped"),
    ])
    assert carried(made, {"a": None, "by": 5}) == ({}, [("a", "null", "dropped"), ("by", "not an object", "dropped")])
    assert carried(made, ["a"]) == ({}, [("", "not an object", "dropped")])


def test_of_very_many_unknown_fields_some_are_told_and_the_others_counted() -> None:
    told = carried(form(("a", "a", "same")), {"x" * 1000 + str(at): at for at in range(1000)})[1]
    assert len(told) == 21
    assert max(len(path) for path, _, _ in told) == 60
    assert told[-1] == ("*", "no such field in OCPP 2.0.1: 980 more", "dropped")


def test_a_spare_field_fills_what_no_other_does() -> None:
    made = form(("first", "x.y", "same"), ("second", "x.y", "else same"))
    assert carried(made, {"second": "2"}) == ({"x": {"y": "2"}}, [])
    told = [("second", "x.y holds another value", "dropped")]
    assert carried(made, {"second": "2", "first": "1"}) == ({"x": {"y": "1"}}, told)
    assert carried(made, {"second": None}) == ({}, [("second", "null", "dropped")])


def test_made_values_win_and_are_merged_deep() -> None:
    made = form(("a", "x.y", "same"), ("b", "x.z", "same"), ("list[].a", "list[].a", "same"))
    source = {"a": 1, "b": 2, "list": [{"a": 1}]}
    assert carried(made, source, x={"y": 9, "w": {"v": 1}}, list=[{"n": 1}], k=0)[0] == {
        "x": {"y": 9, "z": 2, "w": {"v": 1}}, "list": [{"n": 1}], "k": 0}
    assert carried(made, source, x=None, list=None)[0] == {}
    below, above = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged(below, above) == {"a": {"b": 1, "c": 2}}
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_invented_values_are_told_and_constants_are_not() -> None:
    made = form(("a", "x.a", "same"), constants=(Constant(("x", "a"), "i", "nobody knows"), Constant(("k",), "c")))
    assert carried(made, {}) == ({"k": "c", "x": {"a": "i"}}, [("x.a", "nobody knows", "invented")])
    assert carried(made, {"a": "1"}) == ({"k": "c", "x": {"a": "1"}}, [])
    assert carried(made, {}, x={"a": "known"}, k="other") == ({"k": "other", "x": {"a": "known"}}, [])


@pytest.mark.parametrize(("given", "made"), [
    ("2026-05-04T10:20:30Z", "2026-05-04T10:20:30.000Z"),
    ("2026-05-04T10:20:30.125Z", "2026-05-04T10:20:30.125Z"),
    ("2026-05-04T10:20:30.5Z", "2026-05-04T10:20:30.500Z"),
    ("2026-05-04T10:20:30.123456789Z", "2026-05-04T10:20:30.123Z"),
    ("2026-05-04t12:20:30+02:00", "2026-05-04T10:20:30.000Z"),
    ("2026-05-04T12:20:30+0200", "2026-05-04T10:20:30.000Z"),
    ("2026-05-04 10:20:30z", "2026-05-04T10:20:30.000Z"),
    ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
])
def test_times_become_utc_with_milliseconds(given: str, made: str) -> None:
    ledger = Ledger()
    assert time(given, ledger, "t") == made
    assert ledger.told == []


def test_a_time_without_a_zone_is_utc_and_what_is_no_time_is_dropped() -> None:
    ledger = Ledger()
    assert time("2026-05-04T10:20:30", ledger, "t") == "2026-05-04T10:20:30.000Z"
    assert ledger.told == [("t", "no time zone: taken as UTC", "invented")]
    odds: list[Any] = ["", "now", "2026-13-04T10:20:30Z", "2026-05-04", 5, None, [], "0001-01-01T00:00:00+14:00", "9" * 60]
    for odd in odds:
        ledger = Ledger()
        assert time(odd, ledger, "t") is NOTHING
        assert ledger.told == [("t", "no date and time", "dropped")]


def test_numbers_and_texts() -> None:
    ledger = Ledger()
    assert [whole_number(value, ledger, "n") for value in (3, 3.0, "3", "-3.0")] == [3, 3, 3, -3]
    assert [number(value, ledger, "n") for value in (3, 3.5, "3", "3.5", "1e3")] == [3, 3.5, 3, 3.5, 1000.0]
    assert text(3)("abc", ledger, "t") == "abc"
    assert text(3)(12, ledger, "t") == "12"
    assert renamed({"a": "b"})("a", ledger, "t") == "b"
    assert renamed({"a": "b"})("c", ledger, "t") == "c"
    assert ledger.told == []
    assert text(3)("abcd", ledger, "t") == "abc"
    assert ledger.told.pop() == ("t", "at most 3 characters", "shortened")
    neither: list[Any] = [True, None, "x", "", "1_0", float("nan"), float("inf"), "9" * 400, {}, "nan", "inf"]
    for odd in (*neither, 3.5):
        assert whole_number(odd, ledger, "n") is NOTHING
    for odd in neither:
        assert number(odd, ledger, "n") is NOTHING
    no_texts: list[Any] = [True, None, {}, []]
    for odd in no_texts:
        assert text(3)(odd, ledger, "t") is NOTHING
    assert len(ledger.told) == 12 + 11 + 4


def test_values_of_a_list_go_by_their_table() -> None:
    ledger = Ledger()
    kind = converter("enum Reset201>16", "2.0.1")
    assert kind is not None
    assert kind("Immediate", ledger, "type") == "Hard"
    odds: list[Any] = ["OnIdle", "Warm", 5, []]
    assert [kind(odd, ledger, "type") is NOTHING for odd in odds] == [True] * 4
    assert [reason for _, reason, _ in ledger.told][1:] == ["not a value in OCPP 1.6"] * 3
    assert "Scheduled" in ledger.told[0][1]                                # what is handled says how


def test_rules_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="several places"):
        form(("a[].b", "x[].b", "same"), ("a[].c", "y[].c", "same"))
    with pytest.raises(ValueError, match="needs a target"):
        form(("a", "", "same"))


def every() -> Iterator[tuple[str, Entry, str]]:
    """Every form there is: direction, entry, target."""
    for direction in (UP, DOWN):
        for entry in book(direction).actions.values():
            yield from ((direction, entry, target) for target in entry.targets)


def halves(direction: str, entry: Entry, target: str) -> Iterator[tuple[Form, str, str, bool, str, str]]:
    """Form, version and action of its source, whether it is an answer, version and action of its target."""
    ours = book(direction).version(entry.sender)
    theirs = book(direction).version(entry.sender.other)
    yield entry.requests[target], ours, entry.name, False, theirs, target
    yield entry.answers[target], theirs, target, True, ours, entry.name


@pytest.mark.parametrize(("direction", "entry", "target"), list(every()), ids=lambda one: getattr(one, "name", one))
def test_what_a_form_makes_of_a_full_message_is_valid(direction: str, entry: Entry, target: str) -> None:
    for made, version, action, answer, other, goal in halves(direction, entry, target):
        source = full(version, action, answer)
        _without_meters(source)
        before = deepcopy(source)
        found = check(other, goal, answer, made.carry(source, Ledger()))
        assert source == before
        if entry.plain:
            assert found == ()
        assert [fault for fault in found if fault.kind != "required"] == []


@pytest.mark.parametrize(("direction", "entry", "target"), list(every()), ids=lambda one: getattr(one, "name", one))
def test_a_field_that_is_not_carried_is_in_the_ledger(direction: str, entry: Entry, target: str) -> None:
    """Taking a field away changes what is made, or the ledger names what it was in; but for those that handlers carry."""
    for made, version, action, answer, _, _ in halves(direction, entry, target):
        by_code = handled(direction, entry, target, answer)
        for path in fields(version, action, answer).leaves():
            if covers(by_code, path) or path.startswith(("meterValue", "transactionData")):
                continue
            with_it, without_it = full(version, action, answer), full(version, action, answer)
            _remove(without_it, path)
            results = []
            for source in (with_it, without_it):
                _without_meters(source)
                ledger = Ledger()
                results.append((made.carry(source, ledger), ledger.told))
            named = {lost.replace("[0]", "[]") for lost, _, _ in results[0][1]}
            assert results[0][0] != results[1][0] or covers(named, path), f"{action}: {path} is gone without a word"


def handled(direction: str, entry: Entry, target: str, answer: bool) -> set[str]:
    """Source paths that a handler carries, or that another message of the same Call carries."""
    way = UP if direction == UP else DOWN
    row = next(row for row in read().actions(way) if (row.name, row.sender) == (entry.name, entry.sender.value))
    version = book(direction).version(entry.sender.other if answer else entry.sender)
    if answer:
        lines = [(of_target(path, target, row.targets), how) for path, _, how in row.answer]
        return _by_code(version, [(path, how) for path, how in lines if path is not None])
    here = {path for path, goal, how in row.request if of_target(goal, target, row.targets) is not None and how != CODE}
    others = {path for path, _, _ in row.request if path not in here}
    return others | _by_code(version, [(path, how) for path, _, how in row.request])


def _by_code(version: str, lines: list[tuple[str, str]]) -> set[str]:
    """Paths that code carries, those inside of shapes too."""
    found = {path for path, how in lines if how == CODE}
    for shape in read().shapes:
        for path, how in lines:
            if (f"@{shape.name}", version) == (how, shape.source):
                found |= _by_code(version, [(joined(path, inner), inner_how) for inner, _, inner_how in shape.fields if inner])
    return found


def _remove(source: Any, path: str) -> None:
    *above, last = path.replace("[]", ".[]").split(".")
    for step in above:
        source = source[0] if step == "[]" else source[step]
    del source[last]


def _without_meters(source: dict[str, Any]) -> None:
    """Meter values are the business of their own modules, and of their tests."""
    source.pop("meterValue", None)


def test_nothing_a_peer_sends_makes_a_form_raise() -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(TIME),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8,
    )

    known = [half for one in every() for half in halves(*one)]

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(range(len(known))), st.lists(values, min_size=1, max_size=4))
    def carry(at: int, given_values: list[Any]) -> None:
        made, version, action, answer, _, _ = known[at]
        names = [name for name in [*full(version, action, answer), "customData"] if name != "meterValue"]
        source = {name: given_values[place % len(given_values)] for place, name in enumerate(names)}
        assert isinstance(made.carry(source, Ledger()), dict)

    carry()
