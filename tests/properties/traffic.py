"""Owns mixed traffic as a relay would append it: several stations with scripts of real use, and everything that goes wrong.

One seed gives one stream of spool records. ``Traffic.wire`` is what each link's two peers sent, byte for byte.
"""

import random
from collections.abc import Iterator

from ocpp_proxy.wire.spool import AuditBody, Disposition, End, GapBody, Head, Kind, LossBody, NoteBody, SpoolRecord, encode_body
from tests.core.feeds import CSMS, DEFLATE, STATION, Deflater, Relay, wire_frame
from tests.core.streams import ACT, ANSWERS, CALLS, LOSS, ODD, SECOND, START
from tests.properties.scripts import Step, script, translated

HEAD = (
    "GET /{name} HTTP/1.1\r\nHost: csms\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
NOTES = (("peer_vanished", ""), ("upstream_failed", "dns: csms"), ("tls_hello", "sni=csms"), ("plugin", "held"))
SPOKEN = (              # what the station speaks, and what its CSMS does where there is a bridge between them
    ("ocpp2.0.1", ""), ("ocpp1.6", ""), ("", ""), ("ocpp1.6", "ocpp2.0.1"), ("ocpp2.0.1", ""), ("ocpp2.0.1", "ocpp1.6"))
TRANSLATED = encode_body(Disposition((), "translated", "bridge"))


def _subprotocol(name: str) -> str:
    return f"Sec-WebSocket-Protocol: {name}\r\n" if name else ""


class Line:
    """One open link of the traffic: what it is, what it says next."""

    def __init__(self, name: str, protocol: str, packed: bool, steps: Iterator[Step]) -> None:
        self.name, self.protocol, self.steps = name, protocol, steps
        self.deflaters = (Deflater(), Deflater()) if packed else None
        self.open: list[tuple[int, str]] = []           # Calls that may still be answered: caller, id


class Traffic(Relay):
    """Builds the stream. ``pick`` decides everything."""

    def __init__(self, seed: int) -> None:
        super().__init__(0, 7 + seed)
        self.pick = random.Random(seed)
        self.now = START
        self.lines: dict[int, Line] = {}
        self.count = 0
        self.wire: dict[tuple[int, int], bytes] = {}

    def data(self, link: int, direction: int, data: bytes) -> None:
        """Bytes that were received, now and then in pieces."""
        self.wire[link, direction] = self.wire.get((link, direction), b"") + data
        pieces = self.pick.choice((1, 1, 1, 2, 3)) if len(data) > 3 else 1
        cuts = sorted(self.pick.sample(range(1, len(data)), pieces - 1)) if pieces > 1 else []
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self.add(Kind.IN, link, direction, data[start:end])
            if end != len(data) and self.pick.random() < 0.2:
                self.beat()

    def head(self, link: int, direction: int, raw: bytes, **facts: object) -> None:
        """A head, as the relay reads it."""
        self.wire[link, direction] = self.wire.get((link, direction), b"") + raw
        values = {"identity": self.lines[link].name, "upstream": "ws://csms/", "target": f"/{self.lines[link].name}", **facts}
        self.body(Kind.HEAD, link, direction, Head(raw, len(raw), **values), len(raw))  # type: ignore[arg-type]  # by name

    def dial(self) -> None:
        """A station connects; not every one gets its 101."""
        self.count += 1
        link, number = self.count, self.count % len(SPOKEN)
        (protocol, other), packed = SPOKEN[number], self.pick.random() < 0.4
        name = f"CP{number}"
        steps = translated if other else script
        self.lines[link] = Line(name, protocol, packed, steps(name, protocol, self.pick, lambda: self.now))
        self.open(link)
        secret = "Authorization: Basic Q1AwOmh1bnRlcjI=\r\n" if self.pick.random() < 0.2 else ""
        raw, passed = (HEAD.format(name=name, offer=_subprotocol(spoken) + secret).encode() for spoken in (protocol, other))
        self.head(link, STATION, raw, **({"sent": passed} if other else {}))
        if self.pick.random() < 0.1:
            self.plain(link)
            return
        rest = (DEFLATE if packed else b"") + b"\r\n"
        raw, passed = (SWITCHED + _subprotocol(spoken).encode() + rest for spoken in (other or protocol, protocol))
        self.head(link, CSMS, raw, status=101, **({"sent": passed} if other else {}))

    def soap(self) -> None:
        """A station that speaks SOAP: a request with a body, its answer, the end."""
        self.count += 1
        link = self.count
        self.lines[link] = Line("CP9", "", False, iter(()))
        self.open(link)
        body = b"<soap/>" * 20
        self.head(link, STATION, b"POST /CP9 HTTP/1.1\r\nHost: csms\r\nContent-Length: %d\r\n\r\n" % len(body))
        self.data(link, STATION, body)
        self.head(link, CSMS, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", status=200)
        self.data(link, CSMS, b"ok\n")
        self.close(link)

    def plain(self, link: int) -> None:
        """The CSMS answers in HTTP, with a body, and the link ends."""
        self.head(link, CSMS, b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", status=404)
        self.data(link, CSMS, b"not found")
        self.close(link)

    def close(self, link: int) -> None:
        """The link ends, one way or another."""
        first = self.pick.choice((STATION, CSMS))
        if self.pick.random() < 0.5 and self.lines[link].open:
            self.data(link, first, wire_frame(b"\x03\xe8bye", opcode=8, mask=self.mask(first)))
        how = self.pick.choice(("fin", "rst", "timeout"))
        for direction in (first, 1 - first):
            total = self.offsets.get((link, direction), 0)
            self.body(Kind.END, link, direction, End(total, total, 0, how, direction == first))
        del self.lines[link]

    def mask(self, side: int) -> bytes:
        """Stations mask."""
        return self.pick.randbytes(4) if side == STATION else b""

    def say(self, link: int, side: int, text: bytes, becomes: bytes = b"") -> None:
        """A message. ``becomes``: its translation, which leaves instead."""
        frames = self.framed(link, side, text)
        at = self.offsets.get((link, side), 0) + sum(map(len, frames))
        if becomes:
            self.add(Kind.DISP, link, side, TRANSLATED, at=at)
        for frame in frames:
            self.data(link, side, frame)
        if becomes:
            self.make(link, side, becomes, at)

    def make(self, link: int, side: int, text: bytes, at: int = 0) -> None:
        """A message of the bridge leaves for the side opposite ``side``, made from the one that ended at ``at``."""
        self.add(Kind.DISP, link, side, TRANSLATED, at=at)
        self.add(Kind.OUT, link, side, wire_frame(text, mask=self.mask(side)), at=at)

    def framed(self, link: int, side: int, text: bytes) -> list[bytes]:
        """The frames of a message: compressed, fragmented with a ping in between, or plain."""
        line, form = self.lines[link], self.pick.random()
        payload, rsv = text, 0
        if line.deflaters is not None and form < 0.9:
            payload, rsv = line.deflaters[side].message(text), 0x40
        if form >= 0.2 or len(payload) <= 4:
            return [wire_frame(payload, rsv=rsv, mask=self.mask(side))]
        at = self.pick.randrange(1, len(payload))
        begun = [wire_frame(payload[:at], fin=False, rsv=rsv, mask=self.mask(side))]
        if form < 0.1:
            begun.append(wire_frame(b"p", opcode=9, mask=self.mask(side)))
        return [*begun, wire_frame(payload[at:], opcode=0, mask=self.mask(side))]

    def step(self, link: int) -> None:
        """The next of the link's script; the link ends with it."""
        step = next(self.lines[link].steps, None)
        if step is None:
            self.close(link)
            return
        self.now += round(step.wait * SECOND)
        if step.wait >= 1:
            self.beat()
        if step.text:
            self.say(link, step.side, step.text, step.becomes)
        else:
            self.make(link, step.side, step.becomes)

    def noise(self, link: int) -> None:
        """Something no station should do."""
        side, kind = self.pick.choice((STATION, CSMS)), self.pick.random()
        key = f"n{self.pick.randrange(6)}"
        if kind < 0.25:
            body = self.pick.choice(CALLS)
            self.say(link, side, f'[2,"{key}",{body % 1 if "%d" in body else body}]'.encode())
            self.lines[link].open.append((side, key))
        elif kind < 0.5:
            self.say(link, side, f'[3,"{key}",{self.pick.choice(ANSWERS)}]'.encode())
        elif kind < 0.7:
            self.say(link, side, self.pick.choice(ODD))
        elif kind < 0.8:
            opcode = self.pick.choice((2, 9, 10))
            self.data(link, side, wire_frame(b"x", opcode=opcode, mask=self.pick.choice((b"", b"abcd"))))
        elif kind < 0.83:
            self.body(Kind.LOSS, link, side, LossBody("bridge", "Heartbeat", key, "$.customData", *LOSS))
        elif kind < 0.86:
            about = self.pick.choice((link, 0))
            self.body(Kind.AUDIT, about, 0, AuditBody("anna", "inject", *ACT))
        elif kind < 0.9:
            note, text = self.pick.choice(NOTES)
            self.note(self.pick.choice((link, 0)), note, text)
        elif kind < 0.97:
            self.gap(link, side)
        else:
            self.reborn()

    def reborn(self) -> None:
        """The relay is killed and started again; the clock was set back by a minute meanwhile."""
        self.beat()
        self.now -= self.pick.choice((0, 60)) * SECOND
        self.incarnation += 1000
        self.seq, self.lines, self.offsets = 0, {}, {}
        self.beat()

    def gap(self, link: int, side: int) -> None:
        """Records that found no room: counted, and bytes of a direction are missing."""
        if self.pick.random() < 0.5:
            self.body(Kind.NOTE, 0, 0, NoteBody("suspended", "60"))
            self.now += 60 * SECOND
            return
        started, missing = self.now, self.pick.randrange(1, 40)
        self.seq += 2
        self.offsets[link, side] = self.offsets.get((link, side), 0) + missing
        self.now += self.pick.choice((0, 3)) * SECOND
        self.body(Kind.GAP, 0, 0, GapBody(self.seq - 1, self.seq, 2, missing, "spool limit", started))

    def play(self, length: int, noise: float, links: int = 4) -> list[SpoolRecord]:
        """``length`` steps on up to ``links`` links at once; ``noise`` is the part of them that no script asks for."""
        for _ in range(length):
            if len(self.lines) < links and (not self.lines or self.pick.random() < 0.2):
                self.dial() if self.pick.random() < 0.9 else self.soap()
                continue
            link = self.pick.choice(list(self.lines))
            if self.pick.random() < noise:
                self.noise(link)
            else:
                self.step(link)
        self.now += 100 * SECOND
        self.beat()
        return self.records


def mixed(seed: int, length: int = 150, noise: float = 0.25) -> list[SpoolRecord]:
    """Traffic of one seed. The last links stay open, and a beat lets fall due what waited."""
    return Traffic(seed).play(length, noise)

