"""The surface that strangers build on is frozen: names, fields with their defaults, signatures of hooks and context."""

import inspect
from typing import get_args

import msgspec
import pytest

from ocpp_proxy import api
from ocpp_proxy.core.seats import HOOKS, SeatContext

FIELDS = {
    "Call": "payload action message_id", "CallResult": "payload message_id", "CallError": "payload code description message_id",
    "Send": "payload action message_id", "Pass": "", "Replace": "message reason", "Drop": "reason", "Reply": "answer reason",
    "Hold": "seconds then reason", "Ask": "side call seconds", "Closing": "by how", "Malformed": "payload",
    "Control": "opcode payload", "Opening": "identity identity_source target offered headers remote upstream",
    "Admit": "offer answer upstream", "Refuse": "status reason", "Redirect": "upstream",
}
HOOK_ARGUMENTS = {
    "on_open": "self context opening", "on_malformed": "self context sender text", "on_control": "self context sender frame",
    "on_call": "self context sender call", "on_answer": "self context sender answer call",
    "on_send": "self context sender send", "on_tick": "self context now_ns", "on_gone": "self context side how",
    "on_close": "self context closing",
}
CONTEXT = {
    "send": "self side message reason", "find": "self code message severity blame", "disconnect": "self reason reset",
    "begin": "self work reason", "follow": "self work reason",
    "keep": "self state", "lost": "self path reason what", "findings": "self message", "random": "self count",
    "matches": "self where sender message call",
}
FACTS = {"identity", "versions", "now_ns", "options", "state"}
PROTOCOLS = {
    "Observer": {"see": "self context records", "end": "self context"},
    "ObserverContext": {"dial": "self url offer headers", "log": "self text"},
    "Dialled": {"send": "self text", "receive": "self", "close": "self"},
}
CLASS_FACTS = {
    "Plugin": {"version": str, "state_version": int, "versions": frozenset, "fails": str, "translates": bool},
    "Observer": {"version": str, "unmasked": bool},
}


def test_the_names_are_these() -> None:
    assert api.__all__ == [
        "PASS", "Admit", "Answer", "Ask", "Call", "CallError", "CallResult", "Closing", "Context", "Control", "Decision",
        "Dialled", "Drop", "Entrance", "Handshake", "Hold", "LinkClosed", "LinkOpened", "Loss", "Malformed", "Message",
        "MessageSeen", "NotJson", "Observer", "ObserverContext", "Opening", "Pass", "Plugin", "Record", "Redirect", "Refuse",
        "Replace", "Reply", "Send", "Side", "Verdict", "Where",
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


@pytest.mark.parametrize("name", PROTOCOLS)
def test_methods_and_their_arguments_are_these(name: str) -> None:
    kind = getattr(api, name)
    offered = {method for method, value in vars(kind).items() if not method.startswith("_") and inspect.isfunction(value)}
    assert offered == set(PROTOCOLS[name])
    for method, arguments in PROTOCOLS[name].items():
        assert " ".join(inspect.signature(getattr(kind, method)).parameters) == arguments


@pytest.mark.parametrize("name", CLASS_FACTS)
def test_what_a_class_says_about_itself_is_this(name: str) -> None:
    kind = getattr(api, name)
    declared = {fact for fact in kind.__annotations__ if not fact.startswith("_")}
    assert declared == set(CLASS_FACTS[name])
    assert all(type(getattr(kind, fact)) is expected for fact, expected in CLASS_FACTS[name].items())
    assert inspect.isclass(kind.Options)


def test_further_names_are_these() -> None:
    assert " ".join(inspect.signature(api.Plugin.migrate).parameters) == "version values"
    assert " ".join(inspect.signature(api.Plugin.unused).parameters) == "options"
    assert api.Plugin.State.__struct_fields__ == api.Plugin.Options.__struct_fields__ == ()
    assert get_args(api.Loss) == ("dropped", "shortened", "invented")
    assert get_args(api.Message) == (api.Call, api.CallResult, api.CallError, api.Send, api.Malformed)
    assert get_args(api.Entrance) == (api.Admit, api.Refuse, api.Redirect)
    assert get_args(api.Verdict) == (api.Pass, api.Replace, api.Drop, api.Reply, api.Hold)


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
    for levels in (200, 201, 3000):         # whatever this Python could decode
        for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
            call = api.Call(text.encode())
            if levels > api.DEEPEST:
                with pytest.raises(api.NotJson, match=r"nested deeper than 200|recursion"):
                    call.json()
            else:
                assert call.json()
    wide = b"[" + b",".join([b"[[]]"] * 300) + b"]"
    assert len(api.Call(wide).json()) == 300
    assert api.Call.of("A", {"a": 1}).carrying({"b": 2}) == api.Call(b'{"b":2}', "A")
