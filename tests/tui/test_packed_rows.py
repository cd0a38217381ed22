"""Rows put together as columns say what they said before."""

import random
from collections.abc import Iterator

import pytest
from msgspec import structs
from ocpp_proxy_tui.packed_rows import Glance, PackedRows, Shared

from ocpp_proxy.fields import FIELDS, parse
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.model import Side
from ocpp_proxy.records import Line, Row

FILTERS = {
    "action": "== Reset", "identity": "== CP1", "protocol": "== ocpp1.6", "side": "== csms", "kind": "== note", "link": "< 3",
    "evse": "== 1", "connector": "!= 2", "tx": 'contains "7"', "token": '!= ""', "outcome": "== ok", "error": '!= ""',
    "rule": "== R05", "blame": "!= csms", "severity": ">= error", "verdict": "== replaced", "opcode": "== text",
    "message_id": "contains 7", "ms": "> 20.5", "size": ">= 100", "time": "> 2026-01-01T00:00:00Z", "mtype": "== CALL",
    "text": "contains a", "payload": "contains a",
}


def rows(count: int, seed: int = 3) -> list[Row]:
    """Rows of all sorts; every field has a value that is not its default somewhere."""
    dice = random.Random(seed)
    return [Row(
        0, dice.choice(("exchange", "message", "note", "handshake")), dice.randrange(1 << 62), dice.randrange(5),
        dice.randrange(1 << 40), dice.randrange(1 << 40), dice.choice(("", "CP1", "CP2")), dice.choice(("", "ocpp1.6")),
        dice.choice((None, *Side)), dice.randrange(7), dice.choice(("", "Reset", "Heartbeat")),
        "".join(dice.choices("a7é\U0001f50c", k=dice.randrange(40))), dice.choice((None, 0, 1)), dice.choice((None, 0, 2)),
        dice.choice(("", "17", "4711")), dice.choice(("", "TAG")), dice.randrange(1 << 40),
        dice.choice((None, 0.0, 20.125, 21.0)),
        dice.choice(("", "pending", "ok", "error", "unanswered")), dice.choice(("", "InternalError")), dice.randrange(-1, 4),
        dice.choice(((), ("R05",), ("R05", "R07"))), dice.choice(((), ("csms",), ("station",))), dice.choice((0, 99, 1 << 33)),
        dice.choice(("", "text")), dice.choice(("", "says this")), dice.choice(((), ("replaced",))),
        dice.choice(((), ("Reset",)))) for _ in range(count)]


def nothing() -> Iterator[Line]:
    """No lines."""
    return iter(())


def test_every_field_of_a_row_comes_back() -> None:
    told = rows(300)
    packed = PackedRows(told, Shared(1_000))
    assert [packed.row(at) for at in range(300)] == told
    for name in Row.__struct_fields__:
        if name != "number":                # a new field has to be among those above
            assert len({getattr(row, name) for row in told}) > 1, name


def test_a_glance_says_the_same_one_row_after_the_other() -> None:
    told = rows(50)
    packed = PackedRows(told, Shared(1_000))
    names = [name for name in Row.__struct_fields__ if name not in ("number", "summary")]
    seen = [[getattr(glance, name) for name in names] for glance in packed.glances(10, 99)]
    assert seen == [[getattr(row, name) for name in names] for row in told[10:]]
    assert all(isinstance(glance, Glance) for glance in packed.glances(0, 3))


@pytest.mark.parametrize("field", FIELDS)
def test_a_filter_finds_the_same_rows_packed_and_by_what_they_have_in_common(field: str) -> None:
    test = compile_rows(parse(f"{field} {FILTERS[field]}"))
    told = rows(200)
    packed = PackedRows(told, Shared(1_000))
    expected = [test(row, list) for row in told]
    assert [test(glance, list) for glance in packed.glances(0, 200, test.alike)] == expected
    assert test.needs_lines or 0 < sum(expected) < 200
    assert test.alike is (field not in ("message_id", "ms", "size", "time", "mtype", "text", "payload"))


@pytest.mark.parametrize("text", ["heartbeat", "payload.a == 1", "action == Reset and ms > 1", "not size > 3"])
def test_what_a_row_has_alone_is_asked_of_itself(text: str) -> None:
    assert not compile_rows(parse(text)).alike
    assert compile_rows(parse("action == Reset or not severity >= error")).alike


def test_a_row_that_changed_is_told_as_it_is_now() -> None:
    told = rows(64)
    packed = PackedRows(told, Shared(1_000))
    now = structs.replace(told[7], outcome="error", ms=3.5, answer_no=12, size=77, level=3, codes=("R99",), tx="99")
    packed.put(7, now)
    assert packed.row(7) == now and packed.row(8) == told[8]
    packed.put(7, structs.replace(now, ms=None))
    assert packed.row(7).ms is None


def test_where_a_message_an_answer_or_a_frame_is_shown() -> None:
    told = [Row(0, "note", 1, 1), Row(0, "exchange", 2, 1, 5, 50, answer_no=9), Row(0, "exchange", 3, 1, 6, 60)]
    packed = PackedRows(told, Shared(10))
    assert [packed.place_of(*asked) for asked in ((5, 0), (9, 0), (6, 0), (0, 60), (0, 0), (7, 7))] == [1, 1, 2, 2, None, None]
    assert packed.first_message(("exchange",)) == 5 and packed.first_message(("message",)) == 0


def test_what_is_alike_is_kept_once_and_so_many_at_most() -> None:
    shared = Shared(2)
    row = Row(0, "exchange", 1, 1, action="Reset")
    first = shared.of(row)
    assert shared.of(structs.replace(row, time_ns=2, msg_no=3, ms=1.0)) is first
    for link in range(2, 9):
        shared.of(structs.replace(row, link_id=link))
        assert len(shared._known) <= 2
