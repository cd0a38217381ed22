"""Paths that choose places in a payload: what each step reaches, what is made, what is refused."""

from typing import Any

import pytest

from ocpp_proxy.spec.paths import MOST
from ocpp_proxy.spec.selection import select

PAYLOAD: dict[str, Any] = {
    "connectorId": 1, "odd name": 2,
    "meterValue": [
        {"timestamp": "t0", "sampledValue": [{"value": "1", "unit": "kWh"}, {"value": "2"}]},
        {"timestamp": "t1", "sampledValue": [{"value": "3", "unit": "Wh", "more": {"deep": True}}]},
    ],
}


@pytest.mark.parametrize(("path", "values"), [
    ("$.connectorId", [1]), ("$.missing", []), ('$["odd name"]', [2]), ("$.meterValue[0].timestamp", ["t0"]),
    ("$.meterValue[-1].timestamp", ["t1"]), ("$.meterValue[2].timestamp", []), ("$.meterValue[*].timestamp", ["t0", "t1"]),
    ("$.meterValue.timestamp", ["t0", "t1"]), ("$..timestamp", ["t0", "t1"]), ("$..value", ["1", "2", "3"]),
    ('$..sampledValue[?unit=="kWh"].value', ["1"]), ('$..sampledValue[?unit!="kWh"].value', ["2", "3"]),
    ("$..sampledValue[?unit].value", ["1", "3"]), ("$..sampledValue[?more.deep==true].value", ["3"]),
    ("$..sampledValue[?more.deep==1].value", []), ("$[?connectorId==1].connectorId", [1]),
    ("$[?connectorId==2].connectorId", []),
    ("$.meterValue[0][*]", ["t0", PAYLOAD["meterValue"][0]["sampledValue"]]), ("$", []), ("$.connectorId.x[0]", []),
])
def test_what_a_path_reaches(path: str, values: list[Any]) -> None:
    assert [place.value for place in select(path).places(PAYLOAD)] == values


def test_places_know_where_they_are_and_are_changed() -> None:
    payload = {"a": [{"b": 1}, {"b": 2}, {"c d": 3}]}
    places = select("$.a[*][*]").places(payload)
    assert [place.path for place in places] == ["$.a[0].b", "$.a[1].b", '$.a[2]["c d"]']
    places[0].put(5)
    places[1].remove()
    for place in reversed(select("$.a[*]").places(payload)):
        if not place.value:
            place.remove()
    assert payload == {"a": [{"b": 5}, {"c d": 3}]}


def test_slots_make_what_is_missing() -> None:
    payload: dict[str, Any] = {"a": [{}, {"x": {"y": 1}}], "text": "t"}
    for place in select("$.a[*].x.y").slots(payload):
        place.put(7)
    for place in select("$.new.inner").slots(payload):
        place.put(8)
    assert select("$.text.more").slots(payload) == []
    assert payload == {"a": [{"x": {"y": 7}}, {"x": {"y": 7}}], "text": "t", "new": {"inner": 8}}


@pytest.mark.parametrize(("path", "said"), [
    ("a.b", "a path begins with $"), ("$.a[", "from '['"), ("$.a..", "from '..'"), ("$.a[?x=5]", "cannot read"),
    ("$.a[?x==1e]", "no JSON value"), ("$ .a", "cannot read"),
])
def test_what_is_no_path_says_where(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[").replace("$", r"\$").replace("..", r"\.\.")):
        select(path)


def test_a_payload_of_very_many_places_is_bounded() -> None:
    assert len(select("$.a[*].b").places({"a": [{"b": 1}] * (MOST + 5)})) <= MOST
    deep: Any = 1
    for _ in range(3000):
        deep = {"a": deep}
    assert len(select("$..a").places(deep)) == 3000
