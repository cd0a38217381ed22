"""Faults: each kind, what it is made on, probability and seed."""

from typing import Any, get_args

import msgspec
import pytest
from ocpp_proxy_plugins.faults import Faults, Kind

from ocpp_proxy.api import Side
from ocpp_proxy.testing import Stage, play

BEAT = '[2,"1","Heartbeat",{}]'
CASES: dict[Kind, str] = {
    "delay": f"> {BEAT}\n+1.9s\n+0.1s\n=> {BEAT}",
    "drop": f"> {BEAT}",
    "duplicate": f"""
        > {BEAT}
        => {BEAT}
        < [3,"1",{{}}]
        <= [3,"1",{{}}]
        => [2,"$1","Heartbeat",{{}}]
        < [3,"$1",{{}}]
    """,
    "error": f"> {BEAT}\n<= [4,\"1\",\"InternalError\",\"made by the proxy\",{{}}]",
    "disconnect": f"> {BEAT}\nx",
    "reset": f"> {BEAT}\nx",
}


def rules(**values: Any) -> dict[str, Any]:
    return {"rules": [{"seconds": 2, **values}]}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind(kind: Kind) -> None:
    play(Faults, CASES[kind], options=rules(kind=kind, action="Heart*"))
    play(Faults, f"> {BEAT}\n=> {BEAT}", options=rules(kind=kind, action="Boot*"))
    play(Faults, f"> {BEAT}\n=> {BEAT}", options=rules(kind=kind, sender="csms"))
    play(Faults, f"> {BEAT}\n=> {BEAT}", options=rules(kind=kind, message="answer"))
    play(Faults, f"> {BEAT}\n=> {BEAT}", options=rules(kind=kind, probability=0))


def test_every_kind_has_a_case() -> None:
    assert set(CASES) == set(get_args(Kind))


def test_an_answer_becomes_an_error_and_a_send_is_dropped() -> None:
    play(Faults, f'> {BEAT}\n=> {BEAT}\n< [3,"1",{{}}]\n<= [4,"1","GenericError","made by the proxy",{{}}]',
         options=rules(kind="error", message="answer", action="Heartbeat", code="GenericError"))
    play(Faults, '> [6,"1","NotifyPeriodicEventStream",{}]', options=rules(kind="drop", message="send"), version="2.1")


def test_jitter_reorders() -> None:
    stage = Stage([Faults], options=rules(kind="delay", seconds=1, jitter_seconds=5))
    for number in range(12):
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
    stage.wait(6)
    left = [int(text.split('"')[1]) for _, text in stage.played.sent]
    assert sorted(left) == list(range(12)) and left != sorted(left)


def dropped(seed: int, identity: str) -> list[bool]:
    stage = Stage([Faults], options={**rules(kind="drop", probability=0.5), "seed": seed}, identity=identity)
    out = []
    for number in range(200):
        stage.said.clear()
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
        out.append(not stage.said)
    return out


def test_the_same_seed_makes_the_same_choices() -> None:
    assert dropped(1, "CP1") == dropped(1, "CP1")
    assert len({tuple(dropped(*about)) for about in ((1, "CP1"), (2, "CP1"), (1, "CP2"))}) == 3
    assert 60 < sum(dropped(1, "CP1")) < 140


def test_a_wrong_rule_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        play(Faults, "", options=rules(kind="explode"))
