"""The surface that strangers build on is frozen: names, fields with their defaults, signatures of hooks and context."""

import inspect

import msgspec
import pytest

from ocpp_proxy import api
from ocpp_proxy.core.seats import HOOKS, SeatContext

FIELDS = {
    "Call": "payload action message_id", "CallResult": "payload message_id", "CallError": "payload code description message_id",
    "Send": "payload action message_id", "Pass": "", "Replace": "message reason", "Drop": "reason", "Reply": "answer reason",
    "Hold": "seconds then reason", "Ask": "side call seconds", "Closing": "by how",
}
HOOK_ARGUMENTS = {
    "on_call": "self context sender call", "on_answer": "self context sender answer call",
    "on_send": "self context sender send", "on_tick": "self context now_ns", "on_close": "self context closing",
}
CONTEXT = {
    "send": "self side message reason", "find": "self code message severity blame", "disconnect": "self reason reset",
}
FACTS = {"identity", "versions", "now_ns", "options"}


def test_the_names_are_these() -> None:
    assert api.__all__ == [
        "PASS", "Answer", "Ask", "Call", "CallError", "CallResult", "Closing", "Context", "Decision", "Drop", "Hold", "Message",
        "NotJson", "Pass", "Plugin", "Replace", "Reply", "Send", "Side", "Verdict",
    ]
    own = {name for name in dir(api) if getattr(getattr(api, name), "__module__", "") == api.__name__}
    assert {name for name in own if not name.startswith("_")} <= set(api.__all__)


@pytest.mark.parametrize("name", FIELDS)
def test_the_fields_of_a_struct_are_these(name: str) -> None:
    kind = getattr(api, name)
    assert " ".join(field.name for field in msgspec.structs.fields(kind)) == FIELDS[name]
    assert kind.__struct_config__.frozen


def test_hooks_and_their_arguments_are_these() -> None:
    hooks = {name for name in vars(api.Plugin) if name.startswith("on_")}
    assert hooks == set(HOOKS) == set(HOOK_ARGUMENTS)
    for name, arguments in HOOK_ARGUMENTS.items():
        assert " ".join(inspect.signature(getattr(api.Plugin, name)).parameters) == arguments


def test_the_context_offers_this() -> None:
    offered = {name for name in vars(api.Context) if not name.startswith("_")}
    assert offered == set(CONTEXT) and FACTS <= set(api.Context.__annotations__) == FACTS
    for name, arguments in CONTEXT.items():
        for kind in (api.Context, SeatContext):
            assert " ".join(inspect.signature(getattr(kind, name)).parameters) == arguments


def test_json_of_no_json() -> None:
    for payload in (b"{", b"", b"\xff", b"[" * 100_000):
        with pytest.raises(api.NotJson):
            api.Call(payload).json()
    assert api.Call.of("A", {"a": 1}).carrying({"b": 2}) == api.Call(b'{"b":2}', "A")
