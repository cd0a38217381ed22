"""A whole session of PyPI ``ocpp``, OCPP 1.6: boot, card, transaction with meter values, end, and a command of the CSMS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ocpp import v16
from ocpp.routing import on
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.peers.doubles import LOOPBACK
from tests.peers.raw_peers import free_port

NOW = "2026-11-22T16:00:00Z"
PROTOCOL = Subprotocol("ocpp1.6")
READINGS = 5


class System(v16.ChargePoint):                          # type: ignore[misc]  # the package is untyped
    """A CSMS that checks what it gets against the schemas, as the package does, and notes it."""

    def __init__(self, identity: str, link: ServerConnection, saw: list[tuple[str, dict[str, Any]]]) -> None:
        super().__init__(identity, link)
        self.saw = saw

    def _noted(self, action: str, fields: dict[str, Any]) -> None:
        self.saw.append((action, fields))

    @on("BootNotification")                             # type: ignore[untyped-decorator]
    def boot(self, **fields: Any) -> Any:
        self._noted("BootNotification", fields)
        return v16.call_result.BootNotification(current_time=NOW, interval=300, status="Accepted")

    @on("Authorize")                                    # type: ignore[untyped-decorator]
    def authorize(self, **fields: Any) -> Any:
        self._noted("Authorize", fields)
        return v16.call_result.Authorize(id_tag_info={"status": "Accepted"})

    @on("StatusNotification")                           # type: ignore[untyped-decorator]
    def status(self, **fields: Any) -> Any:
        self._noted("StatusNotification", fields)
        return v16.call_result.StatusNotification()

    @on("StartTransaction")                             # type: ignore[untyped-decorator]
    def start_transaction(self, **fields: Any) -> Any:
        self._noted("StartTransaction", fields)
        return v16.call_result.StartTransaction(transaction_id=4711, id_tag_info={"status": "Accepted"})

    @on("MeterValues")                                  # type: ignore[untyped-decorator]
    def meter(self, **fields: Any) -> Any:
        self._noted("MeterValues", fields)
        return v16.call_result.MeterValues()

    @on("StopTransaction")                              # type: ignore[untyped-decorator]
    def stop_transaction(self, **fields: Any) -> Any:
        self._noted("StopTransaction", fields)
        return v16.call_result.StopTransaction(id_tag_info={"status": "Accepted"})


class Lenient(System):
    """A CSMS that takes what the charger really sends."""

    @on("BootNotification", skip_schema_validation=True)    # type: ignore[untyped-decorator]
    def boot(self, **fields: Any) -> Any:
        return System.boot(self, **fields)

    @on("MeterValues", skip_schema_validation=True)     # type: ignore[untyped-decorator]
    def meter(self, **fields: Any) -> Any:
        return System.meter(self, **fields)


class Charger(v16.ChargePoint):                         # type: ignore[misc]
    """A station that answers a Reset."""

    @on("Reset")                                        # type: ignore[untyped-decorator]
    def reset(self, **fields: Any) -> Any:
        return v16.call_result.Reset(status="Accepted")


class Session:
    """What both sides saw. ``port``: where the CSMS waits; ``resets``: whether it resets the charger in the end."""

    def __init__(self, system: type[System] = System, resets: bool = True) -> None:
        self.port = free_port()
        self._system, self._resets = system, resets
        self.csms_saw: list[tuple[str, dict[str, Any]]] = []
        self.reset: list[str] = []
        self.station_saw: list[Any] = []

    async def _link(self, link: ServerConnection) -> None:
        assert link.request is not None
        system = self._system(link.request.path.rsplit("/", 1)[-1], link, self.csms_saw)
        reader = asyncio.create_task(_reading(system))
        while self._resets and not any(action == "StopTransaction" for action, _ in self.csms_saw):
            await asyncio.sleep(0.01)
        if self._resets:
            self.reset.append((await system.call(v16.call.Reset(type="Soft"))).status)
        await reader

    @contextlib.asynccontextmanager
    async def csms(self) -> AsyncIterator[None]:
        """The CSMS, listening."""
        async with serve(self._link, LOOPBACK, self.port, subprotocols=[PROTOCOL]):
            yield

    async def station(self, port: int) -> None:
        """The whole session, seen from the station. What its meter values say is no valid 1.6 (``Hz``)."""
        async with connect(f"ws://{LOOPBACK}:{port}/ocpp/CP1", subprotocols=[PROTOCOL], open_timeout=60) as link:
            charger = Charger("CP1", link)
            reader = asyncio.create_task(_reading(charger))
            for call in _calls():
                self.station_saw.append(await charger.call(call, suppress=False, skip_schema_validation=True))
            while not self.reset:
                await asyncio.sleep(0.01)
            await link.close(1000, "done")
            await reader


def _calls() -> Iterator[Any]:
    yield v16.call.BootNotification(charge_point_vendor="acme", charge_point_model="A wallbox of a long name")
    yield v16.call.Authorize(id_tag="04A2B3C4")
    yield v16.call.StatusNotification(connector_id=1, error_code="NoError", status="Preparing")
    yield v16.call.StartTransaction(connector_id=1, id_tag="04A2B3C4", meter_start=0, timestamp=NOW)
    for number in range(READINGS):
        samples = [{"value": f"{number}.25", "unit": "kWh"}, {"value": "49.97", "measurand": "Frequency", "unit": "Hz"}]
        yield v16.call.MeterValues(
            connector_id=1, transaction_id=4711, meter_value=[{"timestamp": NOW, "sampledValue": samples}],
        )
    yield v16.call.StopTransaction(meter_stop=4250, timestamp=NOW, transaction_id=4711, id_tag="04A2B3C4")


async def _reading(end: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        await end.start()
