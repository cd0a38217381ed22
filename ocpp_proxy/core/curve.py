"""A transaction's power, energy and state of charge over time, and the limit set for it.

Times: the station's stamps, moved by the error of its clock, which is the least that a message of the transaction came after
its newest stamp. So values that were stored and sent later keep their distances. The limit is what profiles set (``limits``),
or for a unit in which they set none what the station says it offers (Power.Offered, Current.Offered).
"""

from collections.abc import Iterable
from typing import Literal, cast

from msgspec import Struct

from ocpp_proxy.core.limits import limits
from ocpp_proxy.core.meter import Point
from ocpp_proxy.source import Charging, Sample

Quantity = Literal["power", "energy", "soc", "limit"]


class Told(Struct, frozen=True, gc=False):
    """The points of one message and when it came."""

    time_ns: int
    points: tuple[Point, ...]


def curve(charging: Charging, told: Iterable[Told], orders: Iterable[tuple[int, str, object]]) -> list[Sample]:
    """The samples in order of time. ``orders``: time, action, payload of the accepted orders to its charger, in their order."""
    told = [one for one in told if one.points]
    late = min((one.time_ns - max(point.stamp_ns for point in one.points) for one in told
                if any(point.stamp_ns for point in one.points)), default=0)
    found: dict[tuple[int, str, str], float] = {}
    for one in told:
        for point in one.points:
            time_ns = point.stamp_ns + late if point.stamp_ns else one.time_ns
            found[time_ns, point.quantity, point.unit] = point.value
    times = [charging.started_ns, charging.stopped_ns, *(time_ns for time_ns, _, _ in found)]
    begin = charging.started_ns or min(filter(None, times), default=0)
    set_for_it = limits(charging, orders, begin, charging.stopped_ns or max(times))
    units = {sample.unit for sample in set_for_it}
    measured = [Sample(time_ns, cast(Quantity, quantity), value, unit) for (time_ns, quantity, unit), value in found.items()
                if quantity != "limit" or unit not in units]
    return sorted([*measured, *set_for_it], key=lambda sample: sample.time_ns)
