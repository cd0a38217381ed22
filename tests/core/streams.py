"""Source records for tests of the analyser: one link with its handshake, frames from texts, and random streams."""

import random

import msgspec

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.model import Exchange, Finding, Frame, Link, Message, Opcode, Side, Transaction
from ocpp_proxy.records import (
    Audited,
    Beat,
    ExchangeDone,
    Found,
    FrameSeen,
    Gap,
    Handshake,
    LinkClosed,
    LinkOpened,
    Lost,
    MessageSeen,
    Note,
    Record,
    Source,
    TransactionChanged,
)

START = 1_767_323_040_000_000_000       # 2026-01-02T03:04:00Z
SECOND = 1_000_000_000


class Feed:
    """Builds source records of one or more links; every frame comes 10 ms after the one before."""

    def __init__(self) -> None:
        self.now, self.frames = START, 0
        self.records: list[Source] = []

    def begin(self, link_id: int = 1, identity: str = "CP1", protocol: str = "ocpp1.6", status: int = 101) -> None:
        self.records.append(LinkOpened(Link(link_id, self.now, "192.168.8.57:4711")))
        offered = (protocol,) if protocol else ()
        self.records.append(Handshake(self.now, Link(
            link_id, self.now, "192.168.8.57:4711", identity=identity, identity_source="path", target=f"/{identity}",
            upstream="ws://127.0.0.1:9/", protocol=protocol, offered=offered, status=status,
        ), request_frame=self.frames + 1, response_frame=self.frames + 2))
        self.frames += 2

    def send(self, sender: Side, sent: bytes | str, link_id: int = 1, **facts: object) -> Frame:
        self.now += SECOND // 100
        self.frames += 1
        payload = sent.encode() if isinstance(sent, str) else sent
        frame = Frame(self.frames, link_id, self.frames, self.now, self.now, sender, Opcode.TEXT, b"\x81", b"", payload)
        frame = msgspec.structs.replace(frame, **facts)
        self.records.append(FrameSeen(frame))
        return frame

    def station(self, sent: bytes | str, link_id: int = 1, **facts: object) -> Frame:
        return self.send(Side.STATION, sent, link_id, **facts)

    def csms(self, sent: bytes | str, link_id: int = 1, **facts: object) -> Frame:
        return self.send(Side.CSMS, sent, link_id, **facts)

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.records.append(Beat(self.now))

    def close(self, link_id: int = 1, how: str = "fin", by: Side | None = Side.STATION) -> None:
        self.records.append(LinkClosed(self.now, link_id, how, by))


def play(records: list[Source], masker: Masker | None = None, settings: Settings | None = None) -> list[Record]:
    """The whole output of an analyser; it must not have failed anywhere."""
    analyser = Analyser(settings or Settings(), Ids(), masker)
    out: list[Record] = []
    for record in records:
        analyser.feed(record, out)
    assert analyser.failures == 0
    return out


def messages(out: list[Record]) -> list[Message]:
    return [record.message for record in out if isinstance(record, MessageSeen)]


def exchanges(out: list[Record]) -> list[Exchange]:
    return [record.exchange for record in out if isinstance(record, ExchangeDone)]


def findings(out: list[Record]) -> list[Finding]:
    return [record.finding for record in out if isinstance(record, Found)]


def transactions(out: list[Record]) -> list[Transaction]:
    return [record.transaction for record in out if isinstance(record, TransactionChanged)]


CALLS = (
    '"Heartbeat",{}', '"Authorize",{"idTag":"A"}', '"BootNotification",{"chargePointVendor":"V","chargePointModel":""}',
    '"StartTransaction",{"connectorId":1,"idTag":"A","meterStart":5,"timestamp":"2026-01-02T03:04:00Z"}',
    '"StopTransaction",{"transactionId":7,"meterStop":2,"timestamp":"2026-01-02T05:04:00Z"}',
    '"StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"available","timestamp":"1970-01-01T00:00:12Z"}',
    '"MeterValues",{"connectorId":1,"transactionId":0,"meterValue":'
    '[{"timestamp":"2026-01-02T05:04:00Z","sampledValue":[{"value":"%d"}]}]}',
    '"RemoteStartTransaction",{"idTag":"A"}', '"ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2-%d"}',
    '"TransactionEvent",{"eventType":"Started","transactionInfo":{"transactionId":"T%d"}}', '"Nonsense",{}',
    '"TriggerMessage",{"requestedMessage":"Heartbeat"}',
)
ANSWERS = (
    "{}", '{"status":"Accepted"}', '{"transactionId":7,"idTagInfo":{"status":"Invalid"}}', '{"status":"Pending","interval":1}',
    "null",
)
ODD = (
    b"", b"[]", b"\xff\xfe", b"[2,", b'[5,"1","X","",{}]', b'[6,"1","Heartbeat",{}]', b'[2,7,"Heartbeat",{}]', b"{}",
    b'[4,"1","FormatViolation","",{}]', b'[2,"1","Heartbeat"]', b'["2","1","Heartbeat",{}]', b"[" * 600, b'[3,"1",NaN]',
    b'[2,"1","Authorize",{"idTag":"A","idTag":"B"}]',
)
LOSS = ("dropped", 'no place in 1.6: {"password":"hunter2-y"}')
ACT = ('ChangeConfiguration {"key":"AuthorizationKey","value":"hunter2-z"}', "result")
CONTROL = ((Opcode.PING, b""), (Opcode.PONG, b""), (Opcode.CLOSE, b"\x03\xf1"), (Opcode.BINARY, b"[]"))


def random_stream(seed: int, length: int = 200) -> list[Source]:
    """Links of two stations opening, talking well and badly, and ending; time goes on in small and large steps."""
    pick = random.Random(seed)
    feed, live, number = Feed(), list[int](), 0
    for _ in range(length):
        if not live or pick.random() < 0.03:
            number += 1
            protocol = pick.choice(("ocpp1.6", "ocpp1.6", "ocpp2.0.1", "", "mqtt"))
            feed.begin(number, pick.choice(("CP1", "CP2", "")), protocol, pick.choice((101, 101, 101, 404)))
            live.append(number)
        link, side, key = pick.choice(live), pick.choice((Side.STATION, Side.CSMS)), pick.randrange(12)
        kind = pick.random()
        if kind < 0.45:
            body = pick.choice(CALLS)
            feed.send(side, f'[2,"{key}",{body % key if "%d" in body else body}]', link)
        elif kind < 0.75:
            feed.send(side, f'[3,"{key}",{pick.choice(ANSWERS)}]', link)
        elif kind < 0.83:
            feed.send(side, pick.choice(ODD), link, faults=pick.choice(((), ("unmasked",), ("resync",))))
        elif kind < 0.88:
            opcode, payload = pick.choice(CONTROL)
            feed.send(side, payload, link, opcode=opcode)
        elif kind < 0.91:
            feed.send(side, b'[2,"f","ChangeConfiguration",{"key":"Author', link, fin=False)
            feed.send(side, b"izationKey", link, opcode=Opcode.CONTINUATION,
                      text=b'[2,"f","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2-x"}]')
        elif kind < 0.95:
            feed.wait(pick.choice((1, 20, 31, 200, 4000)))
        elif kind < 0.97:
            feed.records.append(pick.choice((
                Gap(feed.now, 0, 1, 2, 1, 0, "test"), Note(feed.now, link, "upstream_failed", None, "dns: x"),
                Note(feed.now, 0, "suspended", None, "60"), Lost(feed.now, link, "bridge", "Heartbeat", str(key), "$.a", *LOSS),
                Audited(feed.now, pick.choice((link, 0)), "anna", "inject", *ACT),
            )))
        else:
            feed.close(link, pick.choice(("fin", "rst", "shutdown")), side)
            live.remove(link)
    return feed.records
