"""Mirror with a real second CSMS, PyPI ``ocpp``: it gets the charger's session; one that dies is dialled again."""

import asyncio
from typing import Any, ClassVar

import pytest
from ocpp import v16, v201
from ocpp.routing import on
from ocpp_proxy_plugins import mirror
from websockets.asyncio.server import ServerConnection, basic_auth, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ocpp_proxy.config import Config
from ocpp_proxy.hub.observing import Observing
from ocpp_proxy.model import Side
from ocpp_proxy.plugins import observers
from tests.core.streams import Feed, play
from tests.hub.test_recording import until
from tests.peers.doubles import LOOPBACK

NOW = "2026-11-22T16:00:00Z"
SAID: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ocpp1.6": [
        ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}), ("Heartbeat", {}),
        ("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": NOW}),
        ("StopTransaction", {"transactionId": 7, "meterStop": 9, "timestamp": NOW}),
    ],
    "ocpp2.0.1": [
        ("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}), ("Heartbeat", {}),
        ("TransactionEvent", {"eventType": "Started", "timestamp": NOW, "triggerReason": "CablePluggedIn", "seqNo": 0,
                              "transactionInfo": {"transactionId": "T1"}}),
    ],
}
ANSWERS = {"StartTransaction": '{"transactionId":7,"idTagInfo":{"status":"Accepted"}}'}


class Second16(v16.ChargePoint):                        # type: ignore[misc]  # the package is untyped
    """What a second CSMS of 1.6 saw."""

    saw: ClassVar[list[Any]] = []

    @on("BootNotification")                             # type: ignore[untyped-decorator]
    def boot(self, **fields: Any) -> Any:
        self.saw.append(("BootNotification", fields))
        return v16.call_result.BootNotification(current_time=NOW, interval=300, status="Accepted")

    @on("Heartbeat")                                    # type: ignore[untyped-decorator]
    def beat(self, **fields: Any) -> Any:
        self.saw.append(("Heartbeat", fields))
        return v16.call_result.Heartbeat(current_time=NOW)

    @on("StartTransaction")                             # type: ignore[untyped-decorator]
    def begin(self, **fields: Any) -> Any:
        self.saw.append(("StartTransaction", fields))
        return v16.call_result.StartTransaction(transaction_id=4711, id_tag_info={"status": "Accepted"})

    @on("StopTransaction")                              # type: ignore[untyped-decorator]
    def finish(self, **fields: Any) -> Any:
        self.saw.append(("StopTransaction", fields))
        return v16.call_result.StopTransaction()


class Second201(v201.ChargePoint):                      # type: ignore[misc]
    """Of 2.0.1."""

    saw: ClassVar[list[Any]] = []

    @on("BootNotification")                             # type: ignore[untyped-decorator]
    def boot(self, **fields: Any) -> Any:
        self.saw.append(("BootNotification", fields))
        return v201.call_result.BootNotification(current_time=NOW, interval=300, status="Accepted")

    @on("Heartbeat")                                    # type: ignore[untyped-decorator]
    def beat(self, **fields: Any) -> Any:
        self.saw.append(("Heartbeat", fields))
        return v201.call_result.Heartbeat(current_time=NOW)

    @on("TransactionEvent")                             # type: ignore[untyped-decorator]
    def event(self, **fields: Any) -> Any:
        self.saw.append(("TransactionEvent", fields))
        return v201.call_result.TransactionEvent()


ROLES: dict[str, tuple[Any, Any]] = {"ocpp1.6": (v16, Second16), "ocpp2.0.1": (v201, Second201)}


async def waiting(link: ServerConnection) -> None:
    """A second CSMS of 1.6 at work."""
    try:
        await Second16("ACME-1", link).start()
    except ConnectionClosed:
        return


def session(protocol: str) -> Feed:
    """A charger's session with its own CSMS."""
    feed = Feed()
    feed.begin(1, "ACME-1", protocol)
    for number, (action, payload) in enumerate(SAID[protocol]):
        text = mirror._encode(payload).decode()
        feed.station(f'[2,"{number}","{action}",{text}]')
        feed.csms(f'[3,"{number}",{ANSWERS.get(action, "{}")}]')
    return feed


@pytest.mark.parametrize("protocol", ROLES)
def test_a_real_csms_gets_the_session(protocol: str) -> None:
    module, role = ROLES[protocol]
    role.saw = []
    paths: list[str] = []
    answered: list[Any] = []

    async def charger(link: ServerConnection) -> None:
        assert link.request is not None and link.subprotocol == protocol
        paths.append(link.request.path)
        point = role("ACME-1", link)
        reading = asyncio.ensure_future(point.start())
        try:
            await point.call(module.call.ClearCache(), suppress=False)
        except Exception as error:                      # a CALLERROR, as the package raises it
            answered.append(type(error).__name__)
        try:
            await reading
        except ConnectionClosed:
            return

    async def work() -> None:
        auth = basic_auth(realm="second", credentials=("user", "secret"))
        spoken = [Subprotocol(protocol)]
        async with serve(charger, LOOPBACK, 0, subprotocols=spoken, process_request=auth) as server:
            url = f"ws://user:secret@{LOOPBACK}:{server.sockets[0].getsockname()[1]}/ocpp"
            config = Config(enable=("mirror",), plugins={"mirror": {"targets": [{"url": url}]}})
            observing = Observing(first=observers(config))
            observing.begin()
            feed = session(protocol)
            observing.feed(play(feed.records))
            await until(lambda: len(role.saw) == len(SAID[protocol]) and bool(answered))
            await observing.end()

    asyncio.run(work())
    assert paths == ["/ocpp/ACME-1"]
    assert [action for action, _ in role.saw] == [action for action, _ in SAID[protocol]]
    assert answered == ["NotSupportedError"]
    if protocol == "ocpp1.6":
        assert role.saw[-1][1]["transaction_id"] == 4711        # the id that this CSMS gave


def test_one_that_dies_disturbs_nobody_and_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "FIRST_WAIT", 0.02)
    Second16.saw = []

    async def work() -> None:
        spoken = [Subprotocol("ocpp1.6")]
        feed = session("ocpp1.6")
        records = play(feed.records)
        server = await serve(waiting, LOOPBACK, 0, subprotocols=spoken)
        port = server.sockets[0].getsockname()[1]
        config = Config(enable=("mirror",), plugins={"mirror": {"targets": [{"url": f"ws://{LOOPBACK}:{port}"}]}})
        observing = Observing(first=observers(config))
        observing.begin()
        observing.feed(records)
        await until(lambda: len(Second16.saw) == 4)
        server.close()
        await server.wait_closed()
        feed.records.clear()
        feed.begin(2, "ACME-1")
        feed.send(Side.STATION, '[2,"x","Heartbeat",{}]', 2)
        observing.feed(play(feed.records))
        async with serve(waiting, LOOPBACK, port, subprotocols=spoken):
            await until(lambda: len(Second16.saw) == 5)
            assert observing.gauges()["ocpp_observer_failures"][1] == 0
            await observing.end()

    asyncio.run(work())
    assert Second16.saw[-1][0] == "Heartbeat"
