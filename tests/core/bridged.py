"""Spool records of a bridged link as the relay appends them: a 1.6 station, a CSMS of 2.0.1, and what is said for whom."""

from ocpp_proxy.wire.spool import Disposition, Head, Kind, LossBody, SpoolRecord, encode_body
from tests.core.feeds import ANSWER, CSMS, REQUEST, STATION, Relay, wire_frame

MASK = b"\x11\x22\x33\x44"
START = (
    b'{"connectorId":1,"idTag":"AABB","meterStart":100,"timestamp":"2026-01-02T03:04:00Z","reservationId":7}',
    b'{"eventType":"Started","timestamp":"2026-01-02T03:04:00.000Z","triggerReason":"Authorized","seqNo":0,'
    b'"transactionInfo":{"transactionId":"uid-1"},"evse":{"id":1,"connectorId":1},"idToken":{"idToken":"AABB","type":"ISO14443"},'
    b'"meterValue":[{"timestamp":"2026-01-02T03:04:00.000Z","sampledValue":[{"value":100,"context":"Transaction.Begin"}]}]}',
    b'{"idTokenInfo":{"status":"Accepted"},"updatedPersonalMessage":{"format":"UTF8","content":"hello"}}',
    b'{"transactionId":17,"idTagInfo":{"status":"Accepted"}}',
)
REMOTE = (
    b'{"idToken":{"idToken":"AABB","type":"ISO14443"},"remoteStartId":5,"evseId":1}', b'{"idTag":"AABB","connectorId":1}',
    b'{"status":"Accepted"}', b'{"status":"Accepted"}',
)
STOP = (
    b'{"transactionId":17,"meterStop":1100,"timestamp":"2026-01-02T03:34:00Z","reason":"EVDisconnected"}',
    b'{"eventType":"Ended","timestamp":"2026-01-02T03:34:00.000Z","triggerReason":"EVCommunicationLost","seqNo":1,'
    b'"transactionInfo":{"transactionId":"uid-1","stoppedReason":"EVDisconnected"},'
    b'"meterValue":[{"timestamp":"2026-01-02T03:34:00.000Z","sampledValue":[{"value":1100,"context":"Transaction.End"}]}]}',
    b"{}", b"{}",
)
BOOT = (
    b'{"chargePointVendor":"V","chargePointModel":"M"}',
    b'{"reason":"PowerUp","chargingStation":{"vendorName":"V","model":"M"}}',
    b'{"currentTime":"2026-01-02T03:04:00.000Z","interval":300,"status":"Accepted"}',
    b'{"currentTime":"2026-01-02T03:04:00.000Z","interval":300,"status":"Accepted"}',
)


class Bridged(Relay):
    """A relay with a bridge on its links."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def begin(self, link: int = 1, station: bytes = b"ocpp1.6", csms: bytes = b"ocpp2.0.1") -> None:
        """A link up to its 101: the station is told its own subprotocol."""
        self.open(link)
        request, raw, told = (head.replace(b"ocpp1.6", name) for head, name in (
            (REQUEST, station), (ANSWER + b"\r\n", csms), (ANSWER + b"\r\n", station)))
        self.body(Kind.HEAD, link, STATION, Head(
            request, len(request), REQUEST.replace(b"ocpp1.6", csms), identity="CP1", upstream="ws://csms/", target="/CP1"),
            len(request))
        self.body(Kind.HEAD, link, CSMS, Head(raw, len(raw), told, status=101), len(raw))

    def take(self, direction: int, text: bytes, what: str, link: int = 1, reason: str = "") -> int:
        """A message is received, with what becomes of it; gives where it ends."""
        data = wire_frame(text, mask=MASK if direction == STATION else b"")
        at = self.offsets[link, direction] + len(data)
        self.add(Kind.DISP, link, direction, encode_body(Disposition((), what, "bridge", reason)), at=at)
        self.data(link, direction, data)
        return at

    def make(self, direction: int, text: bytes, at: int = 0, what: str = "translated", link: int = 1) -> None:
        """A message of ours leaves, made from the one that ended at ``at``."""
        self.add(Kind.DISP, link, direction, encode_body(Disposition((), what, "bridge")), at=at)
        self.add(Kind.OUT, link, direction, wire_frame(text, mask=MASK if direction == STATION else b""), at=at)

    def lost(self, action: str, message_id: str, path: str, what: str, why: str, direction: int = STATION) -> None:
        """An entry of the loss ledger."""
        self.add(Kind.LOSS, 1, direction, encode_body(LossBody("bridge", action, message_id, path, what, why)))

    def call(
        self, direction: int, message_id: str, actions: tuple[str, str], texts: tuple[bytes, ...], link: int = 1,
    ) -> None:
        """A Call, its translation, the answer to that, and the translation of this one."""
        self.asked += 1
        own = f"own-{self.asked}"
        at = self.take(direction, f'[2,"{message_id}","{actions[0]}",'.encode() + texts[0] + b"]", "translated", link)
        self.make(direction, f'[2,"{own}","{actions[1]}",'.encode() + texts[1] + b"]", at, link=link)
        back = 1 - direction
        at = self.take(back, f'[3,"{own}",'.encode() + texts[2] + b"]", "translated", link)
        self.make(back, f'[3,"{message_id}",'.encode() + texts[3] + b"]", at, link=link)


def turned(texts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The same for a station of 2.0.1 and a CSMS of 1.6."""
    return texts[1], texts[0], texts[3], texts[2]


def other_way() -> list[SpoolRecord]:
    """A 2.0.1 station on a 1.6 CSMS."""
    relay = Bridged()
    relay.begin(1, b"ocpp2.0.1", b"ocpp1.6")
    relay.call(STATION, "b", ("BootNotification", "BootNotification"), turned(BOOT))
    relay.call(CSMS, "r", ("RemoteStartTransaction", "RequestStartTransaction"), turned(REMOTE))
    relay.call(STATION, "a", ("TransactionEvent", "StartTransaction"), turned(START))
    relay.call(STATION, "s", ("TransactionEvent", "StopTransaction"), turned(STOP))
    relay.beat()
    return relay.records


def session() -> list[SpoolRecord]:
    """A boot, a session that the CSMS starts, its end; with entries of the loss ledger."""
    relay = Bridged()
    relay.begin()
    relay.call(STATION, "b", ("BootNotification", "BootNotification"), BOOT)
    relay.call(CSMS, "r", ("RequestStartTransaction", "RemoteStartTransaction"), REMOTE)
    relay.lost("StartTransaction", "a", "$.reservationId", "dropped", "2.0.1 names none there")
    relay.lost("StartTransaction", "a", "$.triggerReason", "invented", "1.6 does not say why")
    relay.call(STATION, "a", ("StartTransaction", "TransactionEvent"), START)
    relay.call(STATION, "s", ("StopTransaction", "TransactionEvent"), STOP)
    relay.beat()
    return relay.records
