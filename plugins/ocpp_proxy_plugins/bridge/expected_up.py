"""Owns what a CSMS has triggered and a 1.6 station still has to send: the next such message is told as triggered."""

from ocpp_proxy_plugins.bridge.desk import Desk


def expected(desk: Desk, action: str, connector: int) -> str:
    """Under which name that message was triggered, for that connector or for any; then it is no longer. Empty: it was not.

    ``Kept.expected`` names the action, or ``action:connector``.
    """
    kept = desk.kept.expected
    for name in (f"{action}:{connector}", action) if kept else ():
        if name in kept:
            desk.keep(expected=tuple(one for one in kept if one != name))
            return name
    return ""
