"""Who handles which action, by direction and sender. What has no handler is carried by its table, or answered here.

A new action: a row in ``tables/actions_up.toml`` or ``actions_down.toml`` (their heads say how). That is all for one that is
carried field by field or answered here. One that needs state, several Calls or a choice gets a generator function in the
module of its feature (``_up``: 1.6 station, 2.0.1 CSMS; ``_down``: the reverse), named in that module's ``UP_STATION``,
``UP_CSMS``, ``DOWN_STATION`` or ``DOWN_CSMS``; ``desk`` is what it works with. ``bridge check`` holds the row against
the schemas, and the tests of junk and of generated messages take it up by themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import (
    authorize_up,
    boot_up,
    certificates,
    changes_down,
    charging_down,
    charging_up,
    connectors_up,
    device_down,
    device_up,
    events,
    jobs_down,
    jobs_up,
    lists,
    monitors_up,
    notices_down,
    profiles_down,
    profiles_up,
    readings_up,
    remote_down,
    remote_up,
    reports_up,
    reservations,
    resets,
    starting_down,
    status_down,
    status_up,
    transfer,
    triggers_down,
    variables_down,
    variables_up,
)
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.plain import answer_here, carry_over
from ocpp_proxy_plugins.bridge.tables import book
from ocpp_proxy_plugins.bridge.work import Work

Handler = Callable[[Desk, dict[str, Any]], Work]
UP, DOWN = "1.6:2.0.1", "2.0.1:1.6"

FEATURES: Sequence[Any] = (
    certificates, transfer, connectors_up, lists, profiles_down, profiles_up, reservations,
    authorize_up, boot_up, charging_up, events, jobs_up, readings_up, remote_up, resets, status_up,
    charging_down, jobs_down, notices_down, remote_down, starting_down, status_down, triggers_down,
    device_up, monitors_up, reports_up, variables_up,
    changes_down, device_down, variables_down,
)
"""Modules with ``UP_STATION``, ``UP_CSMS``, ``DOWN_STATION`` and ``DOWN_CSMS`` (action -> handler), ``UP_TICKS`` and
``DOWN_TICKS`` (called about once a second with a desk), ``UP_BEGINNINGS`` and ``DOWN_BEGINNINGS`` (at the first message of a
link), ``UP_CLOSINGS`` and ``DOWN_CLOSINGS`` (at its end: only ``keep`` works there); each has what it needs."""


def _handlers(direction: str, sender: Side, name: str) -> Mapping[str, Handler]:
    """That of its feature, else the plain one of its kind."""
    found: dict[str, Handler] = {}
    for (side, action), row in book(direction).actions.items():
        if side is sender:
            if row.local is not None and row.kind == "local":
                found[action] = answer_here
            elif row.plain:
                found[action] = carry_over
    for feature in FEATURES:
        own: Mapping[str, Handler] = getattr(feature, name, {})
        strange = [action for action in own if (sender, action) not in book(direction).actions]
        if strange:
            raise ValueError(f"{feature.__name__}.{name}: {strange[0]} stands in no table")
        found.update(own)
    return found


class _Handlers(dict[tuple[str, Side], Mapping[str, Handler]]):
    """Compiled when first asked for: a link needs one direction."""

    def __missing__(self, key: tuple[str, Side]) -> Mapping[str, Handler]:
        direction, sender = key
        name = f"{'UP' if direction == UP else 'DOWN'}_{'STATION' if sender is Side.STATION else 'CSMS'}"
        self[key] = found = _handlers(direction, sender, name)
        return found


HANDLERS = _Handlers()
"""(direction, sender) -> action -> handler."""


@cache
def _all(name: str) -> tuple[Callable[[Desk], None], ...]:
    return tuple(chain.from_iterable(getattr(feature, name, ()) for feature in FEATURES))


TICKS = {UP: _all("UP_TICKS"), DOWN: _all("DOWN_TICKS")}
BEGINNINGS = {UP: _all("UP_BEGINNINGS"), DOWN: _all("DOWN_BEGINNINGS")}
CLOSINGS = {UP: _all("UP_CLOSINGS"), DOWN: _all("DOWN_CLOSINGS")}
