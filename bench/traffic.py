"""A day of OCPP 1.6 traffic as a relay appends it to its spool: one segment as bytes, every frame with its own mask key.

Per station: boot, status, authorize, a transaction with meter values of 8 samples every minute, heartbeats. Nothing in it
is wrong, so what is measured is the judging, not the reporting.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from ocpp_proxy.wire.spool import (
    CSMS,
    STATION,
    Head,
    Kind,
    Open,
    Segment,
    encode_body,
    record_header,
    segment_header,
    start_crc,
)
from tests.peers.websocket import TEXT, frame, request, switching

START = int(datetime(2026, 11, 22, 16, tzinfo=UTC).timestamp()) * 10**9
STEP = 1_000_000                                        # ns of record time between two frames
SEGMENT = Segment(0, b"bench boot id 01", 1, 0x5EED, 1, START, START)
SAMPLES = (
    ("Energy.Active.Import.Register", "Wh", None), ("Power.Active.Import", "W", None), ("Current.Import", "A", "L1"),
    ("Current.Import", "A", "L2"), ("Current.Import", "A", "L3"), ("Voltage", "V", "L1-N"), ("Voltage", "V", "L2-N"),
    ("Voltage", "V", "L3-N"),
)
Said = tuple[int, str]                                  # who says it, the text


def _stamp(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _values(time_ns: int, number: int) -> str:
    samples = ",".join(
        f'{{"value":"{number * 100 + at}.{at}0","context":"Sample.Periodic","format":"Raw","measurand":"{measurand}",'
        f'"unit":"{unit}"' + (f',"phase":"{phase}"}}' if phase else "}")
        for at, (measurand, unit, phase) in enumerate(SAMPLES)
    )
    return f'[{{"timestamp":"{_stamp(time_ns)}","sampledValue":[{samples}]}}]'


def _begin(station: int, now: str) -> Iterator[tuple[str, str, str]]:
    """The first Calls of a station: action, payload, answer."""
    status = f'"errorCode":"NoError","timestamp":"{now}"'
    accepted = '{"idTagInfo":{"status":"Accepted"}}'
    yield ("BootNotification", '{"chargePointVendor":"Vendor","chargePointModel":"Wallbox 22"}',
           f'{{"status":"Accepted","currentTime":"{now}","interval":300}}')
    yield "StatusNotification", f'{{"connectorId":1,"status":"Preparing",{status}}}', "{}"
    yield "Authorize", f'{{"idTag":"TAG{station:05d}"}}', accepted
    yield ("StartTransaction", f'{{"connectorId":1,"idTag":"TAG{station:05d}","meterStart":0,"timestamp":"{now}"}}',
           f'{{"transactionId":{4711 + station},"idTagInfo":{{"status":"Accepted"}}}}')
    yield "StatusNotification", f'{{"connectorId":1,"status":"Charging",{status}}}', "{}"


def talk(station: int, clock: list[int]) -> Iterator[Said]:
    """What a station and the CSMS say, without end. ``clock[0]`` is the record time now."""
    number = 0
    first = list(_begin(station, _stamp(clock[0])))
    while True:
        if number < len(first):
            action, payload, answer = first[number]
        elif number % 8 in (3, 6):
            action, payload, answer = "Heartbeat", "{}", f'{{"currentTime":"{_stamp(clock[0])}"}}'
        else:
            ids = f'"connectorId":1,"transactionId":{4711 + station}'
            action, payload, answer = "MeterValues", f'{{{ids},"meterValue":{_values(clock[0], number)}}}', "{}"
        yield STATION, f'[2,"{station:04d}-{number:08d}","{action}",{payload}]'
        yield CSMS, f'[3,"{station:04d}-{number:08d}",{answer}]'
        number += 1


def segment(messages: int, stations: int, seed: int = 1) -> bytes:
    """A segment with so many messages of so many stations, interleaved frame by frame."""
    dice, start, seq, clock = random.Random(seed), start_crc(SEGMENT.salt), 0, [START]
    out = bytearray(segment_header(SEGMENT))

    def append(kind: Kind, direction: int, link: int, offset: int, data: bytes) -> None:
        nonlocal seq
        seq += 1
        clock[0] += STEP
        out.extend(record_header(start, kind, direction, seq, clock[0], clock[0], link, offset, data))
        out.extend(data)

    offsets: dict[tuple[int, int], int] = {}
    for link in range(1, stations + 1):
        asked, answered = request(f"/ocpp/BENCH{link:04d}"), switching()
        append(Kind.OPEN, STATION, link, 0, encode_body(Open(f"192.0.2.{link % 250}:5{link:04d}", "0.0.0.0:9000")))
        head = Head(asked, len(asked), target=f"/ocpp/BENCH{link:04d}", identity=f"BENCH{link:04d}", upstream="ws://csms/ocpp")
        append(Kind.HEAD, STATION, link, 0, encode_body(head))
        append(Kind.HEAD, CSMS, link, 0, encode_body(Head(answered, len(answered), status=101)))
        offsets[link, STATION], offsets[link, CSMS] = len(asked), len(answered)
    talks = [talk(link, clock) for link in range(1, stations + 1)]
    for number in range(messages):
        link = number % stations + 1
        side, text = next(talks[link - 1])
        data = frame(TEXT, text.encode(), key=dice.randbytes(4) if side == STATION else b"")
        append(Kind.IN, side, link, offsets[link, side], data)
        offsets[link, side] += len(data)
        if number % 250 == 0:
            append(Kind.BEAT, 0, 0, 0, b"")
    return bytes(out)
