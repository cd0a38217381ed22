"""Mirror: what reaches a further CSMS, with which ids; what it sends back; what becomes of it when it is slow or away."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from ocpp_proxy_plugins import mirror
from ocpp_proxy_plugins.mirror import Mirror, Target

from ocpp_proxy.api import Dialled
from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.model import PluginError
from ocpp_proxy.plugins import either
from ocpp_proxy.records import Record
from tests.core.streams import Feed
from tests.hub.test_recording import until

BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
BEAT = '[2,"h","Heartbeat",{}]'
URL = "ws://second.example/ocpp"


class Link:
    """A connection to a further CSMS: what came there, and what it says."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.got: list[Any] = []
        self.closed = False
        self.deaf = False                   # sending fails
        self.says: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.answers: Callable[[str, Any], Any] | None = lambda action, payload: {}

    async def send(self, text: bytes) -> None:
        if self.deaf:
            raise ConnectionResetError("gone")
        message = msgspec.json.decode(text)
        self.got.append(message)
        if message[0] == 2 and self.answers is not None:
            self.say([3, message[1], self.answers(message[2], message[3])])

    def say(self, message: Any) -> None:
        self.says.put_nowait(message if isinstance(message, bytes) else msgspec.json.encode(message))

    async def receive(self) -> bytes | None:
        return await self.says.get()

    async def close(self) -> None:
        self.closed = True

    def actions(self) -> list[str]:
        return [message[2] for message in self.got if message[0] in (2, 6)]


class Lab:
    """The observer's context, whose world it is: ``refuse`` dials that fail come first."""

    dropped = 0

    def __init__(self, targets: Sequence[Target], **options: Any) -> None:
        self.options = Mirror.Options(tuple(targets), **options)
        self.mirror = Mirror()
        self.links: list[Link] = []
        self.dials: list[tuple[str, tuple[str, ...], Mapping[str, str]]] = []
        self.said: list[str] = []
        self.refuse: deque[str] = deque()
        self.prepare: Callable[[Link], None] = lambda link: None
        self.agree = ""
        self.feed = Feed()
        self.analyser = Analyser(Settings(), Ids(), None)

    async def dial(self, url: str, *, offer: Sequence[str] = (), headers: Mapping[str, str] | None = None) -> Dialled:
        self.dials.append((url, tuple(offer), dict(headers or {})))
        await asyncio.sleep(0)
        if self.refuse:
            raise ConnectionRefusedError(self.refuse.popleft())
        link = Link(self.agree or (offer[0] if offer else ""))
        self.prepare(link)
        self.links.append(link)
        return link

    def log(self, text: str) -> None:
        self.said.append(text)

    async def show(self) -> None:
        """Let the observer see what the feed has."""
        out: list[Record] = []
        for record in self.feed.records:
            self.analyser.feed(record, out)
        self.feed.records.clear()
        await self.mirror.see(self, out)


def run(work: Callable[[Lab], Awaitable[None]], *targets: Target, **options: Any) -> Lab:
    lab = Lab(targets or (Target(URL),), **options)

    async def main() -> None:
        await work(lab)
        await lab.mirror.end(lab)
    asyncio.run(main())
    return lab


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(mirror, "LONGEST_WAIT", 0.004)


def test_calls_are_copied_in_order_with_ids_of_their_own() -> None:
    async def work(lab: Lab) -> None:
        lab.feed.begin(1, "CP 1/x", "ocpp1.6")
        for text in (BOOT, BEAT, '[6,"s","NotifyPeriodicEventStream",{"id":1}]'):
            lab.feed.station(text)
        lab.feed.csms('[3,"b",{"status":"Accepted","currentTime":"2026-01-02T03:04:05Z","interval":1}]')
        lab.feed.csms('[2,"r","Reset",{"type":"Soft"}]')
        lab.feed.station('[3,"r",{"status":"Accepted"}]')
        await lab.show()
        await until(lambda: len(lab.links) == 1 and len(lab.links[0].got) == 3)
        lab.feed.close(1)
        await lab.show()
        await until(lambda: lab.links[0].closed)

    lab = run(work, Target(URL + "/", headers={"X": "y"}))
    assert lab.dials == [("ws://second.example/ocpp/CP%201%2Fx", ("ocpp1.6",), {"X": "y"})]
    got = lab.links[0].got
    assert [message[0] for message in got] == [2, 2, 6]
    assert [message[2:] for message in got][:2] == [
        ["BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}], ["Heartbeat", {}]]
    ids = [message[1] for message in got]
    assert len(set(ids)) == 3 and not {"b", "h", "s"} & set(ids) and all(len(own) == 36 for own in ids)
    assert lab.said == []


def test_one_call_at_a_time_and_an_answer_is_not_waited_for_for_ever() -> None:
    async def work(lab: Lab) -> None:
        lab.prepare = lambda link: setattr(link, "answers", None)
        lab.feed.begin(1, "CP1")
        for _ in range(3):
            lab.feed.station(BEAT)
        await lab.show()
        await until(lambda: bool(lab.links) and len(lab.links[0].got) == 1)
        link = lab.links[0]
        for wrong in ([3, "other", {}], [4, link.got[0][1]], {"a": 1}, b"\xff", [2, 5, "X", {}], [3]):
            link.say(wrong)                 # of these only the CALLERROR is an answer
        await until(lambda: len(link.got) == 2)
        await until(lambda: len(link.got) == 3)

    run(work, call_seconds=0.02)


def test_actions_that_are_allowed_only() -> None:
    async def work(lab: Lab) -> None:
        lab.feed.begin(1, "CP1")
        for text in (BOOT, BEAT, BOOT, BEAT):
            lab.feed.station(text)
        await lab.show()
        await until(lambda: len(lab.links) == 2 and [len(link.got) for link in lab.links] == [2, 4])

    lab = run(work, Target(URL, allow=("BootNotification",)), Target("ws://third.example"))
    assert [link.actions() for link in lab.links] == [["BootNotification"] * 2, ["BootNotification", "Heartbeat"] * 2]
    assert [dial[0] for dial in lab.dials] == ["ws://second.example/ocpp/CP1", "ws://third.example/CP1"]


def test_its_own_calls_are_answered_here() -> None:
    async def work(lab: Lab) -> None:
        lab.feed.begin(1, "CP1")
        await lab.show()
        await until(lambda: bool(lab.links))
        for number, action in enumerate(("Reset", "TriggerMessage", "Reset")):
            lab.links[0].say([2, str(number), action, {}])
        await until(lambda: len(lab.links[0].got) == 3)

    lab = run(work, Target("wss://user:hunter2@second.example", respond={"TriggerMessage": {"status": "Rejected"}}))
    assert lab.links[0].got == [
        [4, "0", *mirror.REFUSAL, {}], [3, "1", {"status": "Rejected"}], [4, "2", *mirror.REFUSAL, {}]]
    assert lab.said == [
        f"mirror wss://second.example: calls {action}: answered here, the charger knows nothing of it"
        for action in ("Reset", "TriggerMessage")]


def test_what_the_proxy_made_is_not_copied() -> None:
    async def work(lab: Lab) -> None:
        lab.feed.begin(1, "CP1")
        lab.feed.station(BEAT.replace("h", "i"), verdict="injected")
        lab.feed.station(BEAT.replace("h", "j"), verdict="translated")
        lab.feed.station(BOOT, verdict="replaced")          # as the charger sent it
        lab.feed.station(BOOT.replace('"V"', '"W"'), verdict="modified", cause=(lab.feed.frames,))
        lab.feed.station(BEAT)
        await lab.show()
        await until(lambda: bool(lab.links) and len(lab.links[0].got) == 2)

    lab = run(work)
    assert lab.links[0].got[0][3]["chargePointVendor"] == "V" and lab.links[0].actions()[1] == "Heartbeat"


def test_transactions_have_the_id_that_this_csms_gave_them() -> None:
    def answers(action: str, payload: Any) -> Any:
        return {"transactionId": 900 + payload["connectorId"], "idTagInfo": {}} if action == "StartTransaction" else {}

    async def work(lab: Lab) -> None:
        lab.prepare = lambda link: setattr(link, "answers", answers)
        start = '"idTag":"A","meterStart":0,"timestamp":"2026-01-02T03:04:00Z"}]'
        lab.feed.begin(1, "CP1")
        for number in (1, 2):
            lab.feed.station(f'[2,"s{number}","StartTransaction",{{"connectorId":{number},{start}')
            lab.feed.csms(f'[3,"s{number}",{{"transactionId":{number},"idTagInfo":{{"status":"Accepted"}}}}]')
        lab.feed.station('[2,"m","MeterValues",{"connectorId":2,"transactionId":2,"meterValue":[]}]')
        lab.feed.station('[2,"n","MeterValues",{"connectorId":2,"transactionId":77,"meterValue":[]}]')
        lab.feed.close(1)
        lab.feed.begin(2, "CP1")            # the transaction outlives the link
        lab.feed.station('[2,"e","StopTransaction",{"transactionId":1,"meterStop":5,"timestamp":"2026-01-02T04:04:00Z"}]', 2)
        await lab.show()
        await until(lambda: sum(len(link.got) for link in lab.links) >= 5)

    lab = run(work)
    given = {message[2]: message[3].get("transactionId") for link in lab.links for message in link.got}
    assert given["StopTransaction"] == 901
    readings = [message[3]["transactionId"] for link in lab.links for message in link.got if message[2] == "MeterValues"]
    assert readings == [902, 77]


def test_away_it_is_dialled_again_and_told_of_once() -> None:
    async def work(lab: Lab) -> None:
        lab.refuse.extend(["no"] * 5)
        lab.feed.begin(1, "CP1")
        lab.feed.begin(2, "CP2")
        for link_id in (1, 2):
            lab.feed.station(BEAT, link_id)
        await lab.show()
        await until(lambda: len(lab.links) == 2 and all(link.got for link in lab.links))
        assert len(lab.dials) == 7
        lab.links[0].deaf = True
        lab.feed.station(BEAT, 1)
        lab.feed.station(BEAT, 2)
        await lab.show()
        await until(lambda: len(lab.links) == 3 and bool(lab.links[2].got))      # what could not be sent comes again
        lab.links[2].says.put_nowait(None)  # the other side closes
        await until(lambda: len(lab.links) == 4)

    lab = run(work)
    assert [text.split(": ", 1)[1].split(":")[0] for text in lab.said] == [
        "cannot be reached for CP1", "is back; 0 messages were not copied so far"]
    assert lab.mirror.dropped == 0


def test_its_queue_is_bounded_and_the_oldest_go() -> None:
    async def work(lab: Lab) -> None:
        lab.refuse.extend(["no"] * 10_000)
        lab.feed.begin(1, "CP1")
        for number in range(50):
            lab.feed.station(f'[2,"{number}","DataTransfer",{{"vendorId":"{number:03d}"}}]')
        await lab.show()
        (copy,) = lab.mirror._chargers["CP1"].copies
        assert len(copy._queue.messages) == 10 and lab.mirror.dropped == 40
        assert copy._queue.bytes == sum(len(message.payload) for message in copy._queue.messages)
        lab.refuse.clear()
        await until(lambda: bool(lab.links) and len(lab.links[0].got) == 10)

    lab = run(work, queue=10)
    assert [message[3]["vendorId"] for message in lab.links[0].got] == [f"{number:03d}" for number in range(40, 50)]

    async def heavy(lab: Lab) -> None:
        lab.feed.begin(1, "CP1")
        for number in range(5):
            lab.feed.station(f'[2,"{number}","DataTransfer",{{"vendorId":"{"x" * 80}"}}]')
        await lab.show()
        await until(lambda: bool(lab.links) and len(lab.links[0].got) == 2)

    assert run(heavy, queue_bytes=200).mirror.dropped == 3


def test_a_charger_that_leaves_while_it_is_away_costs_what_was_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "LINGER_SECONDS", 0.01)

    async def work(lab: Lab) -> None:
        lab.refuse.extend(["no"] * 10_000)
        lab.feed.begin(1, "CP1")
        lab.feed.station(BEAT)
        lab.feed.close(1)
        await lab.show()
        await until(lambda: lab.mirror._chargers == {})
        assert lab.mirror.dropped == 1 and lab.mirror._links == {}

    run(work)


def test_a_new_link_of_a_charger_takes_over_what_is_queued() -> None:
    async def work(lab: Lab) -> None:
        lab.prepare = lambda link: setattr(link, "answers", None if not lab.links else link.answers)
        lab.feed.begin(1, "CP1")
        for _ in range(3):
            lab.feed.station(BEAT)
        await lab.show()
        await until(lambda: bool(lab.links) and bool(lab.links[0].got))
        lab.feed.begin(2, "CP1", "ocpp2.0.1")
        lab.feed.station(BOOT, 2)
        lab.feed.close(1)                   # noticed late
        await lab.show()
        await until(lambda: len(lab.links) == 2 and len(lab.links[1].got) == 3)
        assert lab.links[0].closed and not lab.links[1].closed

    lab = run(work)
    assert lab.dials[1][1] == ("ocpp2.0.1",)
    assert lab.links[1].actions() == ["Heartbeat", "Heartbeat", "BootNotification"]
    assert lab.mirror.dropped == 0


def test_a_link_of_before_the_recorder_is_taken_up_with_its_next_call() -> None:
    async def work(lab: Lab) -> None:
        lab.feed.begin(7, "CP7")
        await lab.mirror.see(lab, [])
        out: list[Record] = []
        lab.feed.station(BEAT, 7)
        for record in lab.feed.records:
            lab.analyser.feed(record, out)
        await lab.mirror.see(lab, [record for record in out if type(record).__name__ in ("FrameSeen", "MessageSeen")])
        await until(lambda: bool(lab.links) and bool(lab.links[0].got))

    assert run(work).dials == [(f"{URL}/CP7", ("ocpp1.6",), {})]


def test_another_subprotocol_is_no_agreement() -> None:
    async def work(lab: Lab) -> None:
        lab.agree = "ocpp2.0.1"
        lab.feed.begin(1, "CP1", "ocpp1.6")
        lab.feed.station(BEAT)
        await lab.show()
        await until(lambda: len(lab.links) >= 3)
        assert all(link.closed and not link.got for link in lab.links[:2])

    assert "agreed on ocpp2.0.1 where ocpp1.6 was offered" in run(work).said[0]


@pytest.mark.parametrize(("options", "text"), [
    ({}, "targets"), ({"targets": [{"url": "http://x"}]}, "a target is ws://HOST/PATH"),
    ({"targets": [{"url": "ws://u:hunter2@x/?a=1"}]}, "ws://x/?a=1: a target is"), ({"targets": [], "queue": 0}, "queue"),
    ({"targets": [{"url": "ws://x", "alow": []}]}, "targets[0].alow: no such option"),
])
def test_wrong_options_are_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises(PluginError) as told:
        either("mirror", options)
    assert text in str(told.value) and "hunter2" not in str(told.value)


