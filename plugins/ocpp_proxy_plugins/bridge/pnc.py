"""Messages of 2.0.1 that 1.6 carries inside DataTransfer: Plug & Charge and costs, as the white papers of the OCA have it."""

import json
from collections.abc import Generator
from typing import Any

import msgspec

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.work import Got

VENDOR = "org.openchargealliance.iso15118pnc"
COSTS = "org.openchargealliance.costmsg"
MOST_TEXT = 1 << 20                         # characters of a text that is read


def text(value: Any) -> str:
    """A value as the text that a DataTransfer of 1.6 holds."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def value(data: object) -> dict[str, Any] | None:
    """The object in a DataTransfer; None: there is none."""
    if isinstance(data, dict):
        return data
    if not isinstance(data, str) or len(data) > MOST_TEXT:
        return None
    try:
        found = msgspec.json.decode(data)    # what the messages around it may hold, and no more
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def wrapped(
    desk: Desk, side: Side, action: str, payload: dict[str, Any],
) -> Generator[Ask, Answer | None, dict[str, Any] | None]:
    """Ask a 1.6 side by DataTransfer; gives the answer inside, None where it does not know it or refuses."""
    message = {"vendorId": VENDOR, "messageId": action, "data": text(payload)}
    got: Got = yield from desk.ask(side, "DataTransfer", message)
    if got.status != "Accepted" or got.payload is None:
        desk.lost("$", f"by DataTransfer {action}: {got.status or got.why or 'refused'}")
        return None
    found = value(got.payload.get("data"))
    return found if found is not None else {"status": "Accepted"}


def unwrapped(
    desk: Desk, side: Side, action: str, data: object, **made: Any,
) -> Generator[Ask, Answer | None, dict[str, Any]]:
    """Ask a 2.0.1 side what a DataTransfer holds; gives the answer to that DataTransfer."""
    payload = value(data)
    if payload is None:
        return {"status": "Rejected"}
    got: Got = yield from desk.ask(side, action, {**payload, **made})
    if got.payload is None:
        desk.lost("$.data", f"{action}: {got.why}")
        return {"status": "Rejected"}
    return {"status": "Accepted", "data": text(got.payload)}
