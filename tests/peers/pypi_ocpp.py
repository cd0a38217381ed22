"""Both roles of PyPI ``ocpp`` on ``websockets``, OCPP 1.6 and 2.0.1: what each side saw."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

from ocpp import v16, v201
from ocpp.routing import on
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.peers.doubles import LOOPBACK
from tests.peers.raw_peers import free_port

NOW = "2026-11-22T16:00:00Z"
PING = 0.3                                              # seconds between pings of both sides: they are traffic too


class Csms16(v16.ChargePoint):                          # type: ignore[misc]  # the package is untyped
    @on("BootNotification")                             # type: ignore[untyped-decorator]
    def boot(self, **fields: Any) -> Any:
        return v16.call_result.BootNotification(current_time=NOW, interval=300, status="Accepted")

    @on("MeterValues")                                  # type: ignore[untyped-decorator]
    def meter(self, **fields: Any) -> Any:
        return v16.call_result.MeterValues()


class Station16(v16.ChargePoint):                       # type: ignore[misc]
    @on("Reset")                                        # type: ignore[untyped-decorator]
    def reset(self, **fields: Any) -> Any:
        return v16.call_result.Reset(status="Rejected")


class Csms201(v201.ChargePoint):                        # type: ignore[misc]
    @on("BootNotification")                             # type: ignore[untyped-decorator]
    def boot(self, **fields: Any) -> Any:
        return v201.call_result.BootNotification(current_time=NOW, interval=300, status="Accepted")

    @on("TransactionEvent")                             # type: ignore[untyped-decorator]
    def event(self, **fields: Any) -> Any:
        return v201.call_result.TransactionEvent()


class Station201(v201.ChargePoint):                     # type: ignore[misc]
    @on("Reset")                                        # type: ignore[untyped-decorator]
    def reset(self, **fields: Any) -> Any:
        return v201.call_result.Reset(status="Rejected")


def _calls16(call: ModuleType, number: int) -> Any:
    values = [{"timestamp": NOW, "sampledValue": [{"value": f"{number}.10", "measurand": "Current.Import", "unit": "A"}]}]
    return call.MeterValues(connector_id=1, meter_value=values)


def _calls201(call: ModuleType, number: int) -> Any:
    return call.TransactionEvent(
        event_type="Updated", timestamp=NOW, trigger_reason="MeterValuePeriodic", seq_no=number,
        transaction_info={"transaction_id": "T1"},
    )


ROLES: dict[str, tuple[Any, Any, Any, Any]] = {      # package, station, CSMS, what it sends again and again
    "ocpp1.6": (v16, Station16, Csms16, _calls16),
    "ocpp2.0.1": (v201, Station201, Csms201, _calls201),
}


class Play:
    """A CSMS that waits, and stations that dial through whatever port they are given."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.module, self.station_role, self.csms_role, self.reading = ROLES[protocol]
        self.port = free_port()
        self.csms_saw: list[object] = []
        self.station_saw: list[object] = []

    async def _link(self, link: ServerConnection) -> None:
        assert link.request is not None
        charger = self.csms_role(link.request.path.rsplit("/", 1)[-1], link)
        reader = asyncio.create_task(_reading(charger))
        reset = self.module.call.Reset(type="Soft" if self.protocol == "ocpp1.6" else "OnIdle")
        self.csms_saw.append((await charger.call(reset)).status)
        await reader

    @contextlib.asynccontextmanager
    async def csms(self) -> AsyncIterator[None]:
        """The CSMS, listening."""
        async with serve(self._link, LOOPBACK, self.port, subprotocols=[Subprotocol(self.protocol)], ping_interval=PING):
            yield

    async def station(self, port: int, identity: str, readings: int) -> None:
        """A station that boots and sends readings; it closes when the CSMS has had its own answer."""
        url = f"ws://{LOOPBACK}:{port}/ocpp/{identity}"
        async with connect(url, subprotocols=[Subprotocol(self.protocol)], ping_interval=PING, open_timeout=60) as link:
            await self._talk(link, identity, readings)

    async def _talk(self, link: ClientConnection, identity: str, readings: int) -> None:
        station = self.station_role(identity, link)
        reader = asyncio.create_task(_reading(station))
        call = self.module.call
        if self.protocol == "ocpp1.6":
            boot = call.BootNotification(charge_point_vendor="V", charge_point_model="M")
        else:
            boot = call.BootNotification(charging_station={"vendor_name": "V", "model": "M"}, reason="PowerUp")
        self.station_saw.append((await station.call(boot)).status)
        for number in range(readings):
            self.station_saw.append(type(await station.call(self.reading(call, number))).__name__)
        while not self.csms_saw:                        # the CSMS calls too
            await asyncio.sleep(0.01)
        await link.close(1000, "done")
        await reader


async def _reading(end: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        await end.start()
