"""Faults: each kind, what it is made on, probability and seed."""

from typing import Any, get_args

import msgspec
import pytest
from ocpp_proxy_plugins.faults import Faults, Kind

from ocpp_proxy.api import Side
from ocpp_proxy.model import ConfigError
from ocpp_proxy.testing import Stage, play

BEAT = '[2,"1","Heartbeat",{}]'
OTHER = '[2,"2","Authorize",{}]'
LONG = '[2,"1","Heartbeat",{"x":"' + "x" * 1992 + '"}]'
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
    "reorder": f"> {BEAT}\n+1s\n> {OTHER}\n=> {OTHER}\n+1s\n=> {BEAT}",
    "bandwidth": f"> {LONG}\n+1.9s\n+0.1s\n=> {LONG}\n> {LONG}\n> {LONG}\n+3.9s\n=> {LONG}\n+0.1s\n=> {LONG}",
    "corrupt": f'> {BEAT}\n=> [2,"1","Heartbeat",\x05}}]',
    "half_open": f"""
        > {BEAT}
        ! faults-half-open
        < *ping x
        > *pong
        < {OTHER}
        > [2,]
        +2s
        > {OTHER}
        => {OTHER}
        < *ping x
        <= *ping x
    """,
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


def order(kind: Kind) -> list[int]:
    stage = Stage([Faults], options=rules(kind=kind, seconds=1, jitter_seconds=5))
    for number in range(12):
        stage.send(Side.STATION, f'[2,"{number}","Heartbeat",{{}}]')
    stage.wait(6)
    return [int(text.split('"')[1]) for _, text in stage.played.sent]


def test_reorder_reorders_and_delay_does_not() -> None:
    left = order("reorder")
    assert sorted(left) == list(range(12)) and left != sorted(left)
    assert order("delay") == list(range(12))


def test_corrupt_changes_so_many_bytes_of_the_payload_and_no_other() -> None:
    before = '{"vendorId":"abcdefghijklmnopqrstuvwxyz"}'
    for seed in range(20):
        stage = Stage([Faults], options={**rules(kind="corrupt", bytes=5), "seed": seed})
        stage.send(Side.STATION, f'[2,"1","DataTransfer",{before}]')
        (_, text), = stage.played.sent
        assert text.startswith('[2,"1","DataTransfer",') and text.endswith("]") and text.isascii()
        after = text[len('[2,"1","DataTransfer",'):-1]
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 5


def test_where_says_more_than_the_action() -> None:
    one, two = (f'[2,"{number}","StatusNotification",{{"connectorId":{number}}}]' for number in (1, 2))
    play(Faults, f"> {one}\n> {two}\n=> {two}", options=rules(kind="drop", where="connector == 1"))
    play(Faults, f"> {BEAT}\n=> {BEAT}\n< [3,\"1\",{{}}]", options=rules(
        kind="drop", message="answer", where="action == Heartbeat and side == csms"))


def test_pings_are_dropped_and_half_open_lasts_for_ever() -> None:
    play(Faults, f"> *ping a\n< *ping b\n<= *ping b\n> {BEAT}\n=> {BEAT}",
         options=rules(kind="drop", message="control", sender="station"))
    play(Faults, f"> {BEAT}\n! faults-half-open\n+9999s\n> {OTHER}\n< {OTHER}\n> *ping",
         options={"rules": [{"kind": "half_open", "seconds": 0}]})


def test_bandwidth_counts_each_direction_by_itself() -> None:
    answer = f'[3,"2",{{"x":"{"y" * 992}"}}]'
    play(Faults, f"< {OTHER}\n+0.1s\n<= {OTHER}\n> {LONG}\n> {answer}\n+2s\n=> {LONG}\n+1s\n=> {answer}",
         options=rules(kind="bandwidth", message="any"))



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
    for values, said in (
        ({"kind": "explode"}, "explode"), ({"kind": "drop", "probability": 2}, "from 0 to 1"),
        ({"kind": "delay", "seconds": -1}, "0 or more"),
        ({"kind": "bandwidth", "bytes_per_second": 0}, "more than 0"),
        ({"kind": "delay", "message": "control"}, "can only be dropped"),
    ):
        with pytest.raises(msgspec.ValidationError, match=said):
            play(Faults, "", options=rules(**values))
    with pytest.raises(ConfigError, match=r"Faults.rules\[0\].where: filter, column 1: ms is known only later"):
        play(Faults, "", options=rules(kind="drop", where="ms > 5"))
