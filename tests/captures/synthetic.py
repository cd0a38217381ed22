"""Owns synthetic captures: a day of 1.6 and 2.0.1 stations as one record stream, from a seed, with known faults in it.

Links of exponential length (mean 8 h) with close codes 1000, 1006, 1011; heartbeats every 200-400 s; 0.2 % of the Calls
unanswered; latency log-normal (median 40 ms); clocks wrong by 0, +1 h or -7 s; 10 % of the tokens Invalid; 2 % of the
transactions never stopped; 0.1 % of the meter samples back by 5 kWh; 0.3 % of the seqNo steps skip one; 1 % of the
heartbeats are followed by a fault. Station frames carry random mask keys; message ids are UUIDs.
"""

import heapq
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec import Struct, structs
from ocpp_proxy_captures.envelope import short_header

from ocpp_proxy.model import Finding, Frame, Link, Message, Opcode, Severity, Side
from ocpp_proxy.records import Beat, Found, FrameSeen, Handshake, LinkClosed, LinkOpened, MessageSeen, Note, Record

START_NS = 1_767_571_200_000_000_000       # 2026-01-05 00:00 UTC
SECOND = 1_000_000_000
SLICE = 900                                 # seconds made at once
Json = dict[str, Any]
MODELS = (("ABB", "Terra", "1.6.6"), ("Alfen", "Eve", "5.8.1-4123"), ("Wallbox", "Pulsar", "6.1.2"), ("Kempower", "S", "4.2"))


class _Event(Struct):
    """One Call with its answer, or a change of the link."""

    at_ns: int
    station: "_Station"
    what: str                               # open, close, call
    side: Side = Side.STATION
    action: str = ""
    payload: bytes = b"{}"
    answer: bytes | None = b"{}"
    evse: int | None = None
    connector: int | None = None
    tx: str = ""
    answer_tx: str = ""
    token: str = ""


class _Station:
    """One charger and where it stands."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.rng, self.identity = rng, f"CP-{number:05d}"
        self.new = number % 5 >= 3
        self.protocol = "ocpp2.0.1" if self.new else "ocpp1.6"
        self.vendor = MODELS[number % len(MODELS)]
        self.skew_s = rng.choice((0, 0, 0, 0, 3600, -7))
        self.link = 0
        self.clock_s = 0.0                  # of the day
        self.next_beat, self.next_tx = rng.uniform(5, 300), rng.uniform(0, 6000)
        self.down_s = rng.expovariate(1 / 28800)
        self.meter, self.seq, self.tx = rng.randrange(10_000_000), 0, ""
        self.tx_until = self.tx_next = 0.0
        self.token = ""
        self.up = False

    def stamp(self, at_s: float) -> str:
        moment = datetime.fromtimestamp(START_NS / SECOND + at_s + self.skew_s, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def slice(self, until_s: float) -> Iterator[_Event]:
        """Everything up to ``until_s``."""
        while True:
            at = min(self.next_beat, self.tx_next if self.tx else self.next_tx, self.down_s)
            if at >= until_s:
                return
            if not self.up:
                yield from self._open(max(0.0, at - 3))
            if at == self.down_s:
                yield _Event(_ns(at), self, "close")
                self.up = False
                self.down_s = at + 20 + self.rng.expovariate(1 / 28800)
                for name in ("next_beat", "next_tx", "tx_next"):
                    setattr(self, name, max(getattr(self, name), at + 30))
            elif at == self.next_beat:
                self.next_beat = at + self.rng.uniform(200, 400)
                yield self._call(at, "Heartbeat", {}, {"currentTime": self.stamp(at)})
                if self.rng.random() < 0.01:
                    yield self._fault(at + 1)
            elif self.tx:
                yield from self._sample(at)
            else:
                yield from self._start(at)

    def _open(self, at: float) -> Iterator[_Event]:
        self.up = True
        yield _Event(_ns(at), self, "open")
        vendor, model, firmware = self.vendor
        if self.new:
            boot = {"reason": "PowerUp", "chargingStation": {
                "model": model, "vendorName": vendor, "firmwareVersion": firmware, "serialNumber": self.identity}}
        else:
            boot = {"chargePointVendor": vendor, "chargePointModel": model, "firmwareVersion": firmware,
                    "chargePointSerialNumber": self.identity}
        yield self._call(at + 1, "BootNotification", boot,
                         {"currentTime": self.stamp(at), "interval": 300, "status": "Accepted"})

    def _fault(self, at: float) -> _Event:
        if self.new:
            status: Json = {"timestamp": self.stamp(at), "connectorStatus": "Faulted", "evseId": 1, "connectorId": 1}
            return self._call(at, "StatusNotification", status, {}, 1, 1)
        status = {"connectorId": 1, "errorCode": "GroundFailure", "status": "Faulted", "timestamp": self.stamp(at),
                  "info": "rcd", "vendorErrorCode": f"E{self.rng.randrange(999):03d}"}
        return self._call(at, "StatusNotification", status, {}, None, 1)

    def _start(self, at: float) -> Iterator[_Event]:
        rng = self.rng
        self.token = f"TAG{rng.randrange(2000):06d}"
        verdict = {"status": "Invalid" if rng.random() < 0.1 else "Accepted"}
        self.tx = str(uuid.UUID(int=rng.getrandbits(128))) if self.new else str(rng.randrange(1, 1 << 31))
        self.tx_until = at + rng.uniform(600, 7200)
        self.tx_next, self.seq = at + 5, 0
        yield self._call(at - 2, "Authorize", {"idTag": self.token}, {"idTagInfo": verdict}, token=self.token)
        if self.new:
            yield self._event(at, "Started")
        else:
            start = {"connectorId": 1, "idTag": self.token, "meterStart": self.meter, "timestamp": self.stamp(at)}
            yield structs.replace(
                self._call(at, "StartTransaction", start, {"transactionId": int(self.tx), "idTagInfo": verdict}, None, 1,
                           token=self.token), answer_tx=self.tx)

    def _sample(self, at: float) -> Iterator[_Event]:
        rng = self.rng
        self.meter += rng.randrange(20, 190)
        if at < self.tx_until:
            self.tx_next = at + 60
            if self.new:
                yield self._event(at, "Updated")
            else:
                sample = {"connectorId": 1, "transactionId": int(self.tx), "meterValue": [self._values(at)]}
                yield self._call(at, "MeterValues", sample, {}, None, 1, self.tx)
            return
        if rng.random() >= 0.02:
            if self.new:
                yield self._event(at, "Ended")
            else:
                stop = {"transactionId": int(self.tx), "meterStop": self.meter, "timestamp": self.stamp(at), "reason": "Local"}
                yield self._call(at, "StopTransaction", stop, {"idTagInfo": {"status": "Accepted"}}, tx=self.tx)
        self.tx, self.next_tx = "", at + rng.uniform(300, 9000)

    def _event(self, at: float, what: str) -> _Event:
        self.seq += 2 if self.rng.random() < 0.003 else 1
        info = {"transactionId": self.tx, **({"stoppedReason": "Local"} if what == "Ended" else {})}
        payload = {"eventType": what, "timestamp": self.stamp(at), "triggerReason": "MeterValuePeriodic", "seqNo": self.seq,
                   "transactionInfo": info, "evse": {"id": 1, "connectorId": 1}, "meterValue": [self._values(at)]}
        return self._call(at, "TransactionEvent", payload, {}, 1, 1, self.tx, self.token)

    def _values(self, at: float) -> Json:
        rng, meter = self.rng, self.meter - (5000 if self.rng.random() < 0.001 else 0)
        watts = rng.randrange(3000, 11000)
        samples = [self._value("Energy.Active.Import.Register", meter, "Wh"), self._value("Power.Active.Import", watts, "W"),
                   self._value("SoC", rng.randrange(100), "Percent")]
        for phase in ("L1", "L2", "L3"):
            samples.append({**self._value("Current.Import", watts // 690 + rng.randrange(2), "A"), "phase": phase})
        return {"timestamp": self.stamp(at), "sampledValue": samples}

    def _value(self, measurand: str, value: int, unit: str) -> Json:
        more = {"measurand": measurand, "context": "Sample.Periodic", "location": "Outlet"}
        if self.new:
            return {"value": value, **more, "unitOfMeasure": {"unit": unit}}
        return {"value": str(value), **more, "format": "Raw", "unit": unit}

    def _call(
        self, at: float, action: str, payload: Json, answer: Json, evse: int | None = None, connector: int | None = None,
        tx: str = "", token: str = "",
    ) -> _Event:
        return _Event(_ns(at), self, "call", Side.STATION, action, orjson.dumps(payload),
                      None if self.rng.random() < 0.002 else orjson.dumps(answer), evse, connector, tx, "", token)


def _ns(at_s: float) -> int:
    return START_NS + int(at_s * SECOND)


class _Maker:
    """Numbers and frames what the stations do."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.link_id = self.frame_id = self.msg_no = self.finding_id = self.seq = 0
        self.links: dict[int, Link] = {}

    def frame(self, link: int, time_ns: int, side: Side, payload: bytes, opcode: Opcode = Opcode.TEXT) -> Frame:
        self.frame_id += 1
        self.seq += 1
        mask = self.rng.randbytes(4) if side is Side.STATION else b""
        return Frame(self.frame_id, link, self.seq, time_ns, time_ns - START_NS + self.rng.randrange(900), side, opcode,
                     short_header(opcode, len(payload), bool(mask)), mask, payload)

    def message(
        self, event: _Event, time_ns: int, side: Side, mtype: int, message_id: str, body: bytes, call: Message | None,
    ) -> Iterator[Record]:
        head = f'[2,"{message_id}","{event.action}",' if mtype == 2 else f'[3,"{message_id}",'
        if mtype == 4:
            head = f'[4,"{message_id}","InternalError","",'
        frame = self.frame(event.station.link, time_ns, side, head.encode() + body + b"]")
        yield FrameSeen(frame)
        self.msg_no += 1
        yield MessageSeen(Message(
            self.msg_no, frame.frame_id, event.station.link, event.station.identity, time_ns, side, mtype, message_id,
            event.action, event.station.protocol, body, call.msg_no if call else None,
            time_ns - call.time_ns if call else None, "InternalError" if mtype == 4 else "",
            evse_id=None if call else event.evse, connector_id=None if call else event.connector,
            tx_id=event.answer_tx if call else event.tx, id_token="" if call else event.token))

    def records(self, event: _Event, pending: list[tuple[int, int, _Event, Message]]) -> Iterator[Record]:
        station, rng = event.station, self.rng
        if event.what == "open":
            self.link_id += 1
            station.link = self.link_id
            link = Link(self.link_id, event.at_ns, f"10.0.{self.link_id % 200}.9:{40000 + self.link_id % 9999}")
            yield LinkOpened(link)
            link = structs.replace(link, identity=station.identity, protocol=station.protocol, identity_source="path",
                                   upstream="ws://csms/ocpp", target=f"/ocpp/{station.identity}", status=101,
                                   handshake_ms=rng.uniform(5, 80), offered=(station.protocol,))
            self.links[self.link_id] = link
            yield Handshake(event.at_ns + 40_000_000, link)
        elif event.what == "close":
            code = rng.choice((1000, 1006, 1006, 1011))
            if code == 1000:
                yield FrameSeen(self.frame(station.link, event.at_ns, Side.STATION, b"\x03\xe8", Opcode.CLOSE))
            else:
                yield Note(event.at_ns, station.link, "peer_vanished", Side.STATION, "keep-alive", station.identity)
            yield LinkClosed(event.at_ns + 1000, station.link, "fin" if code == 1000 else "rst", Side.STATION, code)
        else:
            message_id = str(uuid.UUID(int=rng.getrandbits(128)))
            made = list(self.message(event, event.at_ns, event.side, 2, message_id, event.payload, None))
            yield from made
            call = made[-1].message if isinstance(made[-1], MessageSeen) else None
            if call is not None and event.answer is not None:
                late = int(rng.lognormvariate(-3.2, 0.8) * SECOND) + 1_000_000
                heapq.heappush(pending, (event.at_ns + late, call.msg_no, event, call))
            if call is not None and (event.action == "StatusNotification" or rng.random() < 0.002):
                self.finding_id += 1
                rule = "B02" if event.action == "StatusNotification" else "V04"
                yield Found(Finding(
                    self.finding_id, rule, rng.choice(list(Severity)), "station", station.link, station.identity, event.at_ns,
                    "a finding of the generator", call.msg_no, (call.frame_id,), "$.status", "1.6 4.9"))

    def answer(self, due: tuple[int, int, _Event, Message]) -> Iterator[Record]:
        time_ns, _, event, call = due
        failed = self.rng.random() < 0.003
        yield from self.message(event, time_ns, Side.CSMS, 4 if failed else 3, call.message_id,
                                b"{}" if failed else event.answer or b"{}", call)


def batches(messages: int, seed: int = 1, stations: int = 0) -> Iterator[list[Record]]:
    """A day of about ``messages`` messages, in batches of a quarter of an hour. The same seed gives the same stream."""
    count = stations or max(5, messages // 1400)
    maker = _Maker(seed)
    all_stations = [_Station(number, random.Random(seed * 1_000_003 + number)) for number in range(count)]
    pending: list[tuple[int, int, _Event, Message]] = []
    for until in range(SLICE, 86400 + SLICE, SLICE):
        events = [event for station in all_stations for event in station.slice(until)]
        events.sort(key=lambda event: event.at_ns)
        out: list[Record] = []
        for event in events:
            while pending and pending[0][0] <= event.at_ns:
                out += maker.answer(heapq.heappop(pending))
            out += maker.records(event, pending)
        while pending and pending[0][0] <= _ns(until):
            out += maker.answer(heapq.heappop(pending))
        out.append(Beat(_ns(until)))
        yield out
        if maker.msg_no >= messages:
            return
