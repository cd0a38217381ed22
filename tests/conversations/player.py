"""Plays a conversation written as text through the analyser and compares the findings, line by line.

Header lines ``key: value`` (code, protocol, identity, remote, upstream, tls, clock), then parts that begin with ``== title``:
``> text`` a frame of the station, ``< text`` of the CSMS; ``>{binary}``, ``<{ping}``, ``>{close 1009}``, ``>{hex} 5b5d``,
``>{text rsv1,unmasked} x`` other frames (opcode, faults of the frame reader, ``part`` for FIN=0, ``dropped``, ``replaced`` and
the other verdicts of frame mode; ``modified`` is made from the frame before it); ``${A*50}`` repeats.
``@+30s`` record time goes on. ``| line`` a line of a request head, ``= 101 ocpp1.6`` its answer and the handshake; without
them the first frame opens the link. ``note KIND [text]``, ``gap``, ``end HOW [SIDE]``, ``link N [identity]`` another link,
``trace`` one without a handshake (an imported log), ``set KEY VALUE`` a header line for what follows.
``! CODE key=value ...`` findings the line above must raise, exactly these and in this order. ``# comment``.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from difflib import ndiff

from msgspec import Struct, structs

from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.model import Finding, Frame, Link, Opcode, Side, TlsInfo
from ocpp_proxy.records import Beat, Found, FrameSeen, Gap, Handshake, LinkClosed, LinkOpened, Note, Record, Source
from ocpp_proxy.wire.credentials import credential_facts
from ocpp_proxy.wire.http import parse_request
from ocpp_proxy.wire.http_edit import mask_authorization

SIDES = {">": Side.STATION, "<": Side.CSMS}
VERDICTS = ("dropped", "replaced", "answered", "modified", "inflated", "injected")
HEAD = "GET /{} HTTP/1.1|Host: csms|Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==|" \
    "Sec-WebSocket-Version: 13"


class Part(Struct):
    """One part of a conversation: a title and its lines."""

    title: str
    lines: list[str]


class Script(Struct):
    """A conversation file."""

    header: dict[str, str]
    parts: list[Part]


def parse(text: str) -> Script:
    script = Script({}, [])
    for line in text.splitlines():
        if line.startswith("== "):
            script.parts.append(Part(line[3:].strip(), []))
        elif script.parts:
            script.parts[-1].lines.append(line.rstrip("\n"))
        elif line.strip() and not line.startswith("#"):
            key, _, value = line.partition(":")
            script.header[key.strip()] = value.strip()
    return script


class Stage:
    """Turns the lines of a part into source records. Times in ns; 10 ms pass from line to line."""

    def __init__(self, header: dict[str, str]) -> None:
        self.header = header
        self.now = round(datetime.fromisoformat(header.get("clock", "2026-01-02T03:04:00Z")).timestamp() * 1e9)
        self.frames, self.links, self.link = 0, dict[int, Link](), 1
        self.shook: set[int] = set()
        self.head: list[str] = []
        self.asked = b""

    def opened(self) -> Iterator[Source]:
        if self.link not in self.links:
            tls = TlsInfo("TLSv1.2") if "station" in self.header.get("tls", "") else None
            link = Link(self.link, self.now, self.header.get("remote", "192.168.8.57:4711"), station_tls=tls)
            self.links[self.link] = link
            yield LinkOpened(link)

    def records(self, line: str) -> Iterator[Source]:
        self.now += 10_000_000
        word, _, rest = line.partition(" ")
        if line[:1] in SIDES:
            yield from self.opened()
            if self.link not in self.shook:
                yield from self.shake(101, self.header.get("protocol", "ocpp1.6"))
            yield FrameSeen(self.frame(SIDES[line[0]], line[1:]))
        elif word.startswith("@+"):
            self.now += round(float(word[2:-1]) * 1e9)
            yield Beat(self.now)
        elif word == "|":
            self.head.append(rest)
        elif word == "=":
            status, _, protocol = rest.partition(" ")
            yield from self.opened()
            yield from self.shake(int(status), protocol)
        elif word == "note":
            yield from self.opened()
            yield from self.ask()
            kind, _, text = rest.partition(" ")
            yield Note(self.now, self.link, kind, None, text)
        elif word == "gap":
            yield Gap(self.now, 0, 1, 2, 1, 0, "test", self.now)
        elif word == "end":
            how, _, side = rest.partition(" ")
            yield LinkClosed(self.now, self.link, how, Side(side) if side else None)
        elif word == "trace":
            self.shook.add(self.link)
        elif word == "set":
            key, _, value = rest.partition(" ")
            self.header = {**self.header, key: value}
        elif word == "link":
            number, _, identity = rest.partition(" ")
            self.link = int(number)
            self.header = {**self.header, "identity": identity or self.header.get("identity", "CP1")}
        elif line.strip() and not line.startswith("#"):
            raise AssertionError(f"not a line of a conversation: {line}")

    def shake(self, status: int, protocol: str) -> Iterator[Source]:
        """Request head, answer head, handshake, as the assembler gives them."""
        self.shook.add(self.link)
        identity = self.header.get("identity", "CP1")
        offer = f"|Sec-WebSocket-Protocol: {protocol}" if protocol else ""
        if not self.asked:
            self.head = self.head or (HEAD.format(identity) + offer).split("|")
        yield from self.ask()
        head, self.asked = parse_request(self.asked), b""
        name = head.target_text.partition("?")[0].rsplit("/", 1)[-1]
        upstream = self.header.get("upstream", "ws://127.0.0.1:9001/")
        link = structs.replace(
            self.links[self.link], identity=name or "192.168.8.57", identity_source="path" if name else "peer",
            target=head.target_text, upstream=upstream, protocol=protocol if status == 101 else "", offered=head.offered,
            status=status,
        )
        self.links[self.link] = link
        yield self.http(Side.CSMS, Opcode.HTTP_RES, f"HTTP/1.1 {status} x\r\n\r\n".encode())
        facts = credential_facts(head.get(b"authorization"), name) if status == 401 else ()
        yield Handshake(self.now, link, self.frames - 1, self.frames, (), (*head.problems, *facts), head.upgrade)

    def ask(self) -> Iterator[Source]:
        """The request head, once its lines are there."""
        if self.head:
            self.asked, self.head = "\r\n".join([*self.head, "", ""]).encode(), []
            yield self.http(Side.STATION, Opcode.HTTP_REQ, mask_authorization(self.asked))

    def http(self, side: Side, opcode: Opcode, head: bytes) -> FrameSeen:
        self.frames += 1
        return FrameSeen(Frame(self.frames, self.link, self.frames, self.now, self.now, side, opcode, head))

    def frame(self, sender: Side, text: str) -> Frame:
        self.frames += 1
        found = re.fullmatch(r"\{(\w+)(?: ([\w,]+))?\} ?(.*)", text, re.DOTALL)
        kind, option, body = found.groups() if found else ("text", "", text.removeprefix(" "))
        body = re.sub(r"\$\{(.)\*(\d+)\}", lambda repeat: repeat[1] * int(repeat[2]), body)
        payload = bytes.fromhex(body) if kind == "hex" else body.encode()
        if kind == "close":
            payload, option = (int(option).to_bytes(2, "big") if option else b""), ""
        words = (option or "").split(",")
        verdict = next((word for word in words if word in VERDICTS), "")
        opcode = Opcode(kind) if kind in set(Opcode) else Opcode.TEXT
        return Frame(
            self.frames, self.link, self.frames, self.now, self.now, sender, opcode, b"\x81", b"", payload,
            fin="part" not in words, verdict=verdict, cause=(self.frames - 1,) if verdict in ("modified", "inflated") else (),
            faults=tuple(name for name in words if name and name not in ("part", verdict)),
        )


def shown(finding: Finding, like: str) -> str:
    """A finding as an expectation line: as ``like`` where that fits it, else with everything that is known."""
    facts = {"path": finding.path, "blame": finding.blame, "severity": finding.severity.label}
    words = like.split()[1:]
    asked = dict(word.partition("=")[::2] for word in words[1:])
    if words[:1] == [finding.code] and all(facts.get(key) == value for key, value in asked.items()):
        return like
    return " ".join(["!", finding.code, *(f"{key}={value}" for key, value in facts.items() if value), f"# {finding.message}"])


def differences(part: Part, header: dict[str, str], analyser: Analyser) -> str:
    """What a part raises against what it expects, as a diff; empty when they are the same. Repeats of a cause only count."""
    stage, actual, seen = Stage(header), list[str](), set[int]()
    expected = [line for line in part.lines if line.strip() and not line.startswith("#")]
    for index, line in enumerate(expected):
        if line.startswith("!"):
            continue
        actual.append(line)
        wanted = list(_until_other(expected[index + 1 :]))
        out: list[Record] = []
        for source in stage.records(line):
            analyser.feed(source, out)
        for record in out:
            if isinstance(record, Found) and record.finding.finding_id not in seen:
                seen.add(record.finding.finding_id)
                actual.append(shown(record.finding, wanted.pop(0) if wanted else ""))
    return "" if actual == expected else "\n".join(ndiff(expected, actual))


def _until_other(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("!"):
            return
        yield line
