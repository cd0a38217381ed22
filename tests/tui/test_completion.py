"""Completion of filters: names, operators, values, at the end and before what stands behind; what is known of a field."""

import pytest
from ocpp_proxy_tui.completion import candidates, completed
from ocpp_proxy_tui.known import Known

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.fields import FIELDS, parse
from ocpp_proxy.model import Link

VALUES = {"action": ["Reset", "Heartbeat", "Authorize"], "identity": ["CP 1", "CP-2", "CP-21"]}


def values(field: str) -> list[str]:
    return VALUES.get(field, [])


@pytest.mark.parametrize(("text", "first"), [
    ("act", ["action"]), ("action == ", ["Authorize", "Heartbeat", "Reset"]), ("action == H", ["Heartbeat"]),
    ("action == h", ["Heartbeat"]), ('identity == "CP', ['"CP 1"', "CP-2", "CP-21"]), ("identity == CP-", ["CP-2", "CP-21"]),
    ("action in [Reset, A", ["Authorize"]), ("action != R", ["Reset"]), ("action contains Hea", ["Heartbeat"]),
    ("action ", ["==", "!=", "~", "contains", "in ["]), ("ms ", ["==", "!=", ">", ">=", "<", "<=", "in ["]),
    ("severity >= w", ["warning"]), ("mtype == CALLR", ["CALLRESULT", "CALLRESULTERROR"]), ("kind == pi", ["ping"]),
    ("ms > 5 ", ["and", "or"]), ("ms > 5 and sev", ["severity"]), ("(act", ["action"]), ("action == Nothing", []),
    ("nothing == ", []), ("xyz", []),
])
def test_candidates(text: str, first: list[str]) -> None:
    assert candidates(text, values) == first


def test_an_empty_word_may_become_every_field() -> None:
    assert candidates("", values) == sorted([*FIELDS, "not"])
    assert candidates("ms > 5 and ", values) == sorted([*FIELDS, "not"])


@pytest.mark.parametrize(("text", "after"), [
    ("act", "action "), ("action == H", "action == Heartbeat "), ("identity == C", "identity == C"),
    ("identity == CP-", "identity == CP-2"), ("action == reset", "action == Reset "), ("xyz", "xyz"), ("", ""),
    ('identity == "CP ', 'identity == "CP '),
])
def test_completed_as_far_as_all_agree(text: str, after: str) -> None:
    assert completed(text, values) == after


@pytest.mark.parametrize("text", ["action == H", "act", "mtype == CALLE", "identity == CP-21"])
def test_what_is_completed_is_of_the_language(text: str) -> None:
    done = completed(text, values)
    parse(done + ("== Reset" if done == "action " else ""))


def test_what_is_known() -> None:
    links: dict[int, Link] = {}
    known = Known(links)
    assert set(known.values("identity")) == set()
    links[1] = Link(1, 0, "192.0.2.1:1", identity="CP1")
    links[2] = Link(2, 0, "192.0.2.1:2")
    assert set(known.values("identity")) == {"CP1"}     # links that come later count
    assert {"BootNotification", "TransactionEvent", "StartTransaction"} <= set(known.values("action"))
    assert set(known.values("rule")) == set(REGISTRY.rules) and "ocpp1.6" in set(known.values("protocol"))
    assert list(known.values("ms")) == []
