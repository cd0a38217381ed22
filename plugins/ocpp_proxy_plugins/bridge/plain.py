"""Actions that need no state: carried over by their table, or answered here because the other version lacks them."""

from functools import cache
from typing import Any

from ocpp_proxy.spec.field_help import members
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.tables import errors
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

NO_EQUIVALENT = "BridgeNoEquiv"             # reasonCode, up to 20 characters (2.0.1 StatusInfoType)


def carry_over(desk: Desk, payload: dict[str, Any]) -> Work:
    """The Call as its table has it, and the answer back."""
    target = desk.entry().targets[0]
    got = yield from desk.ask(desk.sender.other, target, desk.carry(payload, target))
    if got.payload is None:
        return refused(desk, got)
    return desk.carry_answer(got.payload, target)


def answer_here(desk: Desk, payload: dict[str, Any]) -> Work:
    """The answer of the table: the other version has nothing like it."""
    row = desk.entry()
    where = f"OCPP {desk.version(desk.sender.other)} has no {desk.action}"
    desk.lost("$", f"{where}: answered by the bridge")
    if desk.options.strict:
        return Refusal("NotSupported", where)
    return told_why(desk, dict(row.local or {}), where)
    yield


def told_why(desk: Desk, answer: dict[str, Any], why: str, code: str = NO_EQUIVALENT) -> dict[str, Any]:
    """An answer with its ``statusInfo``, where the sender's version has one (2.x, answers with a ``status``)."""
    version = desk.version(desk.sender)
    good = answer.get("status") in ("Accepted", "Scheduled", "Unlocked", None)
    if version != "1.6" and not good and "statusInfo" not in answer and _explains(version, desk.action):
        return {**answer, "statusInfo": {"reasonCode": code, "additionalInfo": why[:512]}}
    return answer


@cache
def _explains(version: str, action: str) -> bool:
    """Whether answers to an action have a ``statusInfo``."""
    return "statusInfo" in members(version, action, True, ())


def refused(desk: Desk, got: Got) -> Refusal:
    """A CALLERROR for who asked: the one of the other side in the sender's words, or why there was no answer."""
    if got.error is not None:
        code = errors(desk.version(desk.sender.other)).get(got.error.code, "GenericError")
        return Refusal(code, got.error.description)
    return Refusal("GenericError" if got.timeout else "InternalError", got.why)
