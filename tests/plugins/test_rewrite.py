"""Rewrite: each operation, which messages, what stays byte for byte, what is refused when it is loaded."""

import json
import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_proxy_plugins.rewrite import MOST_LOST, Operation, Rewrite

from ocpp_proxy.api import Side
from ocpp_proxy.model import PluginError
from ocpp_proxy.plugins import configured
from ocpp_proxy.testing import Played, Stage, play


def do(*steps: dict[str, Any], **rule: Any) -> dict[str, Any]:
    return {"rules": [{"do": list(steps), **rule}]}


def after(payload: Any, *steps: dict[str, Any], told: str = "") -> Any:
    """The payload as it leaves; ``told``: the losses, in order."""
    played = run(payload, *steps)
    assert " ".join(f"{one.what} {one.path}" for one in played.losses) == told
    return json.loads(played.sent[0][1])[3]


def run(payload: Any, *steps: dict[str, Any]) -> Played:
    stage = Stage([Rewrite], options=do(*steps))
    stage.send(Side.STATION, json.dumps([2, "1", "DataTransfer", payload]))
    assert not stage.played.findings
    return stage.played


METER = {"meterValue": [{"sampledValue": [{"value": "1.25", "unit": "kWh"}, {"value": 7}]}]}
CASES: list[tuple[Any, dict[str, Any], Any, str]] = [
    ({"a": 1}, {"op": "set", "path": "$.a", "value": 2}, {"a": 2}, "invented $.a"),
    ({"a": 1}, {"op": "set", "path": "$.a", "value": 1}, {"a": 1}, ""),
    ({"a": 1}, {"op": "set", "path": "$.a", "value": True}, {"a": True}, "invented $.a"),
    ({}, {"op": "set", "path": "$.x.y", "value": [1]}, {"x": {"y": [1]}}, "invented $.x.y"),
    ({}, {"op": "set", "path": "$.t", "value": "$now"}, {"t": "2027-01-15T08:00:00.000Z"}, "invented $.t"),
    ({}, {"op": "set", "path": "$.who", "value": "$identity"}, {"who": "CP1"}, "invented $.who"),
    ({"a": None}, {"op": "set", "path": "$.a", "value": 5, "missing": True}, {"a": None}, ""),
    ({"l": [{"a": 1}, {}]}, {"op": "set", "path": "$.l[*].a", "value": 5, "missing": True}, {"l": [{"a": 1}, {"a": 5}]},
     "invented $.l[1].a"),
    ({"a": 1, "b": 2}, {"op": "delete", "path": "$.a"}, {"b": 2}, "dropped $.a"),
    ({"l": [1, 2, 3]}, {"op": "delete", "path": "$.l[*]"}, {"l": []}, "dropped $.l[2] dropped $.l[1] dropped $.l[0]"),
    ({"idtag": "A"}, {"op": "move", "path": "$.idtag", "to": "idTag"}, {"idTag": "A"}, ""),
    ({"l": [{"a": 1}, {"a": 2}]}, {"op": "move", "path": "$.l[*].a", "to": "b"}, {"l": [{"b": 1}, {"b": 2}]}, ""),
    ({"a": {"b": 1}}, {"op": "move", "path": "$.a.b", "to": "$.c.d"}, {"a": {}, "c": {"d": 1}}, ""),
    ({"l": [{"a": 1}, {"a": 2}]}, {"op": "move", "path": "$.l[*].a", "to": "$.c", "keep": True},
     {"l": [{"a": 1}, {"a": 2}], "c": 1}, ""),
    ({"a": "Ver 1.2"}, {"op": "replace", "path": "$.a", "pattern": r"^Ver (\d+)", "with": r"\1"}, {"a": "1.2"}, ""),
    ({"a": 5}, {"op": "replace", "path": "$.a", "pattern": "5", "with": "6"}, {"a": 5}, ""),
    ({"s": "Idle", "t": 1}, {"op": "map", "path": "$.*".replace(".*", "[*]"), "values": {"Idle": "Available", "1": 2}},
     {"s": "Available", "t": 2}, ""),
    ({"s": "Odd"}, {"op": "map", "path": "$.s", "values": {"Idle": "Available"}, "otherwise": "Faulted"}, {"s": "Faulted"}, ""),
    (METER, {"op": "scale", "path": '$..sampledValue[?unit=="kWh"].value', "factor": 1000, "unit": "Wh"},
     {"meterValue": [{"sampledValue": [{"value": "1250", "unit": "Wh"}, {"value": 7}]}]}, ""),
    ({"v": 1.26, "unitOfMeasure": {"unit": "kW"}}, {"op": "scale", "path": "$.v", "factor": 2, "digits": 1, "unit": "W"},
     {"v": 2.5, "unitOfMeasure": {"unit": "W"}}, "shortened $.v"),
    ({"v": 212}, {"op": "scale", "path": "$.v", "factor": 0.5, "offset": -6}, {"v": 100}, ""),
    ({"v": "0.1"}, {"op": "scale", "path": "$.v", "factor": 3}, {"v": "0.3"}, ""),
    ({"v": "NaN", "w": "1e400", "x": "abc", "y": True}, {"op": "scale", "path": "$[*]", "factor": 3},
     {"v": "NaN", "w": "1e400", "x": "abc", "y": True}, ""),
    ({"a": "abcdef", "b": "ab"}, {"op": "truncate", "path": "$[*]", "length": 3}, {"a": "abc", "b": "ab"}, "shortened $.a"),
    ({"l": [1, 2]}, {"op": "truncate", "path": "$.l", "length": 1}, {"l": [1]}, "shortened $.l"),
    ({"a": "5", "b": "5.5", "c": 7.0}, {"op": "convert", "path": "$[*]", "to": "integer"}, {"a": 5, "b": "5.5", "c": 7}, ""),
    ({"a": "5", "b": "5.5"}, {"op": "convert", "path": "$[*]", "to": "number"}, {"a": 5, "b": 5.5}, ""),
    ({"a": 5, "b": True, "c": {}}, {"op": "convert", "path": "$[*]", "to": "text"}, {"a": "5", "b": "true", "c": {}}, ""),
    ({"a": "True", "b": 0, "c": "x"}, {"op": "convert", "path": "$[*]", "to": "boolean"},
     {"a": True, "b": False, "c": "x"}, ""),
]


@pytest.mark.parametrize(("payload", "step", "expected", "told"), CASES)
def test_each_operation(payload: Any, step: dict[str, Any], expected: Any, told: str) -> None:
    assert json.dumps(after(payload, step, told=told), sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_every_operation_has_a_case() -> None:
    assert {case[1]["op"] for case in CASES} == {kind.__struct_config__.tag for kind in get_args(Operation)}


def test_operations_go_in_order_and_rules_see_what_those_before_left() -> None:
    steps = {"op": "move", "path": "$.a", "to": "b"}, {"op": "convert", "path": "$.b", "to": "integer"}
    assert after({"a": "1"}, *steps) == {"b": 1}
    rules = [
        {"where": "payload.a == 1", "do": [{"op": "set", "path": "$.a", "value": 2}], "reason": "first"},
        {"where": "payload.a == 2", "do": [{"op": "set", "path": "$.b", "value": 3}]},
    ]
    play(Rewrite, """
        > [2,"1","DataTransfer",{"a":1}]
        ~ invented $.a
        ~ invented $.b
        => [2,"1","DataTransfer",{"a":2,"b":3}]
    """, options={"rules": rules})


def test_what_no_rule_hits_leaves_as_its_original_bytes() -> None:
    odd = '[2, "1","DataTransfer" ,{"a" : 1.50,"a":2}]'
    for options in (do({"op": "delete", "path": "$.b"}), do({"op": "delete", "path": "$.a"}, where="action == Other"), {}):
        assert play(Rewrite, f"> {odd}\n=> {odd}", options=options).sent[0][1] == odd
    broken = '[2,"1","DataTransfer",{"a":}]'
    assert play(Rewrite, f"> {broken}\n=> {broken}", options=do({"op": "delete", "path": "$.a"})).findings == []


def test_properties_that_no_rule_names_leave_as_their_original_bytes() -> None:
    stage = Stage([Rewrite], options=do({"op": "set", "path": "$.a.x", "value": 2}, {"op": "delete", "path": "$.b[0]"}))
    stage.send(Side.STATION, (
        '[2,"1","DataTransfer",{"keep":{ "v": 8.10, "v": 1e400 },"a":{"x": 1.0},"b":[1, 2], "n":12345678901234567890123}]'))
    assert stage.played.sent[0][1] == (
        '[2,"1","DataTransfer",{"keep":{ "v": 8.10, "v": 1e400 },"a":{"x":2},"b":[2],"n":12345678901234567890123}]')


@pytest.mark.parametrize(("payload", "step", "expected", "told"), CASES)
def test_what_a_rule_does_not_decode_makes_no_difference(
    payload: Any, step: dict[str, Any], expected: Any, told: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    if isinstance(payload, dict):
        payload = {"first": [{"unit": "kWh"}], **payload, "unit": "kWh", "z": 0}
    lazy = run(payload, step)
    monkeypatch.setattr("ocpp_proxy_plugins.rewrite._touched", lambda steps: None)
    whole = run(payload, step)
    assert json.loads(lazy.sent[0][1]) == json.loads(whole.sent[0][1])
    assert lazy.losses == whole.losses


@pytest.mark.parametrize(("kinds", "unused"), [
    (("call",), "on_answer on_malformed on_send"), (("error", "send"), "on_call on_malformed"),
    (("any",), "on_malformed"), (("any", "malformed"), ""), ((), "on_answer on_call on_malformed on_send"),
])
def test_hooks_that_no_rule_is_about_are_unused(kinds: tuple[Any, ...], unused: str) -> None:
    steps: dict[str, Any] = {"malformed": {"op": "replace", "path": "$", "pattern": "a", "with": "b"}}
    rules = [{"message": kind, "do": [steps.get(kind, {"op": "delete", "path": "$.a"})]} for kind in kinds]
    installed, _ = configured("rewrite", {"rules": rules})
    assert " ".join(sorted(Rewrite.unused(installed.options))) == unused


def test_which_messages() -> None:
    mark = {"op": "set", "path": "$.m", "value": 1}
    play(Rewrite, """
        > [2,"1","Heartbeat",{}]
        => [2,"1","Heartbeat",{}]
        < [3,"1",{}]
        ~ invented $.m
        <= [3,"1",{"m":1}]
        < [2,"2","Reset",{}]
        <= [2,"2","Reset",{}]
        > [3,"2",{}]
        => [3,"2",{}]
    """, options=do(mark, where="action == Heartbeat", sender="csms"))
    play(Rewrite, """
        > [2,"1","Heartbeat",{}]
        => [2,"1","Heartbeat",{}]
        < [4,"1","InternalError","no",{}]
        ~ invented $.m
        <= [4,"1","InternalError","no",{"m":1}]
    """, options=do(mark, message="error"))
    play(Rewrite, """
        > [6,"1","NotifyPeriodicEventStream",{}]
        ~ invented $.m
        => [6,"1","NotifyPeriodicEventStream",{"m":1}]
        > [2,"2","Heartbeat",{}]
        => [2,"2","Heartbeat",{}]
    """, options=do(mark, message="send"), version="2.1")


def test_very_many_losses_are_told_up_to_a_bound() -> None:
    played = run({"l": ["abc"] * 300}, {"op": "truncate", "path": "$.l[*]", "length": 1})
    assert len(played.losses) == MOST_LOST and json.loads(played.sent[0][1])[3] == {"l": ["a"] * 300}


@pytest.mark.parametrize(("options", "said"), [
    (do({"op": "sett", "path": "$.a"}), "Invalid value 'sett' - at $.rules[0].do[0].op"),
    (do({"op": "set", "path": "$.a"}), "missing required field value - at $.rules[0].do[0]"),
    (do({"op": "delete", "path": "a"}), "a path begins with $"),
    (do({"op": "delete", "path": "$.a["}), "cannot read the path '$.a[' from '['"),
    (do({"op": "delete", "path": "$"}), "the path $ is all of the payload"),
    (do({"op": "replace", "path": "$", "pattern": "a", "with": ""}), "the path $ alone is for message"),
    (do({"op": "set", "path": "$.a[*]", "value": 1, "missing": True}), "has to end in a name"),
    (do({"op": "move", "path": "$.a", "to": "$.b[0]"}), "a name, or a path that ends in one"),
    (do({"op": "replace", "path": "$.a", "pattern": "(", "with": ""}), "pattern '('"),
    (do({"op": "replace", "path": "$.a", "pattern": "(a+)+$", "with": ""}), "a repeat inside a repeat"),
    (do({"op": "replace", "path": "$.a", "pattern": "a", "with": r"\2"}), "invalid group reference"),
    (do({"op": "truncate", "path": "$.a", "length": -1}), "length: 0 or more - at $.rules[0].do[0]"),
    (do({"op": "scale", "path": "$.a", "factor": 1e16}), "below 1e15"),
    (do({"op": "delete", "path": "$.a"}, message="malformed"), "of a malformed text only"),
    (do({"op": "delete", "path": "$.a"}, where="acton == x"), "plugins.rewrite.rules[0].where: filter, column 1: unknown"),
    (do({"op": "delete", "path": "$.a"}, where="ms > 5"), "ms is known only later"),
    (do({"op": "delete", "path": "$.a", "pth": 1}), "pth"),
])
def test_a_wrong_rule_is_refused_when_it_is_loaded(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=re.escape(said)) as told:
        configured("rewrite", options)
    assert str(told.value).startswith("plugins.rewrite")


def test_a_text_that_is_no_message_is_repaired_by_pattern() -> None:
    repair = do({"op": "replace", "path": "$", "pattern": r'"configurationKey":\]', "with": '"configurationKey":[]'},
                message="malformed", where="text contains configurationKey")
    play(Rewrite, """
        < [2,"1","GetConfiguration",{}]
        <= [2,"1","GetConfiguration",{}]
        > [3,"1",{"configurationKey":]}]
        => [3,"1",{"configurationKey":[]}]
        > [3,"2",{"unknownKey":]}]
        => [3,"2",{"unknownKey":]}]
        > [2,"3","Heartbeat",{}]
        => [2,"3","Heartbeat",{}]
    """, options=repair)


NAMES = st.sampled_from(["a", "b", "unit", "unitOfMeasure"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1e9999", "-0", "9" * 39, "1e-29", "Infinity", " 7 "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PATHS = ["$.a", "$[*]", "$..a", "$.a[*].b", "$.a[0]", "$.a[-1].b", '$.a[?b=="1"].unit', "$.b.a"]


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(PATHS), st.sampled_from([case[1] for case in CASES]))
def test_no_payload_makes_an_operation_fail(payload: dict[str, Any], path: str, step: dict[str, Any]) -> None:
    stage = Stage([Rewrite], options=do({**step, "path": "$.a.b" if step.get("missing") else path}))
    stage.send(Side.STATION, json.dumps([2, "1", "DataTransfer", payload]))
    assert stage.played.findings == []
    (_, text), = stage.played.sent
    assert text.startswith('[2, "1"') or json.loads(text)[:3] == [2, "1", "DataTransfer"]
