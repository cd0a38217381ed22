"""``Session``: one direction of a link in frame mode, sans-I/O. Bytes in, bytes out, and why they differ.

Messages that nobody changes leave as their original bytes: header, mask key, fragments, compressed or not. In a compressed
direction the receiver's window follows from every compressed message it got, so from the first one that does not leave as
it came, all later compressed ones leave uncompressed (legal: RFC 7692 section 6, RSV1 decides per message).
"""

from collections.abc import Callable
from struct import Struct as Packing

from msgspec import Struct, structs

from ocpp_proxy.wire.deflate import CAP, Inflater
from ocpp_proxy.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RAW,
    TEXT,
    FrameReader,
    WireFrame,
    masked_text,
    plain_text,
    unmask,
    whole_text,
)

CONTROLS = (CLOSE, PING, PONG)
PREFIX = 64                     # bytes that show whose answer a message is
SHOWN = 1000                    # bytes of an answer to a Call of ours that is too large: who asked sees them
MOST_PIECES = 4096              # fragments of a message that is kept: they may be empty
MAX_MESSAGE = 1 << 20           # larger messages pass unseen
MOST_WAITING = 64               # messages of ours that wait for the end of one that passes unseen, piece by piece


class Pass(Struct, frozen=True, gc=False):
    """The message leaves as it came."""


class Replace(Struct, frozen=True, gc=False):
    """Another text leaves in its place. ``quiet``: who gave it knows that nothing else came of the message."""

    text: bytes
    reason: str = ""
    plugin: str = ""
    quiet: bool = False


class Drop(Struct, frozen=True, gc=False):
    """Nothing leaves, or not now. ``what``: dropped, answered, held, or translated (into another OCPP version)."""

    reason: str = ""
    plugin: str = ""
    what: str = "dropped"


class Wait(Struct, frozen=True, gc=False):
    """The verdict is given later, by ``Session.resume``; nothing behind the message is looked at until then."""


PASS, QUIET, WAIT = Pass(), Pass(), Wait()
"""``QUIET`` is a ``Pass`` of which who gave it knows that nothing else came of the message."""
Verdict = Pass | Replace | Drop | Wait


def quiet(verdict: Verdict) -> bool:
    """Whether who gave it knows that nothing else came of the message."""
    return verdict is QUIET or (type(verdict) is Replace and verdict.quiet)


def loud(verdict: Verdict) -> Verdict:
    """The same, but something else did come of the message."""
    if verdict is QUIET:
        return PASS
    return structs.replace(verdict, quiet=False) if type(verdict) is Replace and verdict.quiet else verdict


Transform = Callable[[bytes, int, int], Verdict]
"""Asked with the text of a message, where it ends (as ``Made.at``), and its opcode."""
Watch = Callable[[int, bytes], Drop | None]
"""Asked with opcode and payload of a control frame."""


class Original(Struct, frozen=True, gc=False):
    """Bytes that leave as they came."""

    data: bytes


class Made(Struct, frozen=True, gc=False):
    """Bytes we made. ``what``: replaced, injected, inflated (the same text, no longer compressed) or released (held before).

    ``at``: where the message they were made from ends, in received bytes since the Session began; 0: injected.
    """

    data: bytes
    what: str
    reason: str = ""
    at: int = 0
    plugin: str = ""


class Dropped(Struct, frozen=True, gc=False):
    """A message that does not leave, or not now. ``at``: where it ends, as of ``Made``; ``what`` as of ``Drop``."""

    reason: str
    at: int = 0
    plugin: str = ""
    what: str = "dropped"


class Unseen(Struct, frozen=True, gc=False):
    """A message that passed without being asked about, and why: too_large, control_inside, unreadable, undecodable."""

    reason: str


_SHORT, _MIDDLE, _LONG = Packing(">BB").pack, Packing(">BBH").pack, Packing(">BBQ").pack
Effect = Original | Made | Dropped | Unseen


def text_frame(text: bytes, opcode: int, mask: bytes) -> bytes:
    """One whole frame, minimal length form, masked when ``mask`` (4 bytes) is given."""
    size, bit = len(text), 128 if mask else 0
    if 125 < size < 65536:
        header = _MIDDLE(128 | opcode, bit | 126, size)
    elif size < 126:
        header = _SHORT(128 | opcode, bit | size)
    else:
        header = _LONG(128 | opcode, bit | 127, size)
    return b"".join((header, mask, unmask(text, mask)))


class Session:
    """Frames of one direction, from a message boundary on.

    ``masked``: the sender is the station, so what we make is masked too, with keys from ``entropy``. ``inflater``: of this
    direction, fed from its first byte on, or None where no compression was agreed. ``watch``: asked about control frames.
    ``ours``: asked by its first bytes (None: compressed) whether a message may answer a Call of ours; such a one never streams.
    """

    __slots__ = (
        "_ahead", "_at", "_behind", "_compressed", "_entropy", "_inflater", "_masked", "_open", "_parts", "_plain", "_reader",
        "_size", "_stopped", "_streaming", "_swallowed", "_waiting", "_whole", "diverged", "ours", "transform", "watch",
    )

    def __init__(
        self, transform: Transform, *, masked: bool, inflater: Inflater | None, entropy: Callable[[int], bytes],
        watch: Watch | None = None, ours: Callable[[bytes | None], bool] = lambda first: False,
    ) -> None:
        self.transform = transform
        self.watch = watch
        self.ours = ours
        self._masked = masked
        self._whole = masked_text if masked else plain_text
        self._inflater = inflater
        self._entropy = entropy
        self._reader = FrameReader(masked, inflater is not None)
        self._plain = False                     # as ``_begins`` last said
        self._at = 0                            # received bytes up to the end of the last frame
        self._open: list[bytes] = []            # wire bytes of the message that has begun
        self._parts: list[bytes] = []           # its payloads
        self._size = 0
        self._compressed = False
        self._streaming = False                 # it passes unseen, piece by piece
        self._swallowed: bytes | None = None    # it is too large and goes nowhere: how it begins
        self._waiting: list[Made] = []          # injected messages that wait for a boundary
        self._ahead: list[Made] = []            # messages that leave before the control frame that is being watched
        self._stopped: tuple[bytes, int] | None = None      # text and opcode of the message whose verdict is awaited
        self._behind: list[WireFrame] = []      # frames received behind it
        self.diverged = False

    @property
    def boundary(self) -> bool:
        """Whether another whole message may leave now."""
        if self._reader.skip and self._swallowed is None:       # inside a frame that passes in pieces
            return False
        return not (self._streaming or self._stopped or self._reader.closed or self._reader.unreadable)

    @property
    def stopped(self) -> bool:
        """Whether the verdict on a message is awaited: ``resume`` before anything else is fed."""
        return self._stopped is not None

    @property
    def ended(self) -> bool:
        """Whether no further message may leave at all: behind a Close, or where nobody can read the stream."""
        return self._reader.closed or self._reader.unreadable

    def feed(self, data: bytes) -> list[Effect]:
        """Take received bytes; gives what leaves, in order."""
        verdict = self.ask(data)
        return self.take(data) if verdict is None else self.obey(data, verdict)

    def ask(self, data: bytes) -> Verdict | None:
        """The verdict on data that are just one whole text message, and nothing was begun: the usual case. ``obey`` it.

        None: they are not, nobody was asked, and ``take`` takes them.
        """
        if not self._plain and not self._begins():
            return None
        text = self._whole(data)
        if text is None:
            return None
        self._at = at = self._at + len(data)
        return self.transform(text, at, TEXT)

    def _begins(self) -> bool:
        """Whether the next byte begins a message that nobody has to decompress; true until ``take`` is called."""
        self._plain = self._inflater is None and not self._open and not self._streaming and self._reader.fresh
        self._plain = self._plain and self._swallowed is None
        return self._plain

    def obey(self, data: bytes, verdict: Verdict) -> list[Effect]:
        """What leaves for the data that were just asked about."""
        if isinstance(verdict, Pass):
            return [Original(data)]
        if isinstance(verdict, Wait):
            self._plain = False
            self._open, self._compressed, self._stopped = [data], False, (whole_text(data, self._masked) or b"", TEXT)
            return []
        out: list[Effect] = []
        self._change(verdict, TEXT, out)
        return out

    def made(self, verdict: Replace) -> tuple[bytes, int]:
        """The frame that leaves for data just asked about, when they were just one message, and where that ends."""
        return text_frame(verdict.text, TEXT, self._entropy(4) if self._masked else b""), self._at

    def take(self, data: bytes) -> list[Effect]:
        """As ``feed``, frame by frame."""
        self._plain = False
        frames: list[WireFrame] = []
        self._reader.feed(data, frames)
        return self._frames(frames, [])

    def resume(self, verdict: Verdict) -> list[Effect]:
        """Give the verdict that was awaited; goes on as ``feed``."""
        assert self._stopped is not None
        (text, opcode), self._stopped = self._stopped, None
        out: list[Effect] = []
        self._obey(verdict, text, opcode, out)
        if self._stopped is None:
            self._over()
            self._release(out)
            behind, self._behind = self._behind, []
            self._frames(behind, out)
        return out

    def _frames(self, frames: list[WireFrame], out: list[Effect]) -> list[Effect]:
        for place, frame in enumerate(frames, 1):
            self._at += len(frame.wire)
            self._frame(frame, out)
            if self._stopped is not None:
                self._behind = frames[place:]
                break
            self._release(out)
        return out

    def inject(
        self, text: bytes, reason: str, *, plugin: str = "", what: str = "injected", at: int = 0, opcode: int = TEXT,
    ) -> list[Effect]:
        """Send a message of our own, or one that was held, in this direction, at the next boundary. Never compressed."""
        if len(self._waiting) >= MOST_WAITING:
            return [Dropped(f"{MOST_WAITING} messages wait for the end of another already", at, plugin)]
        self._waiting.append(Made(self._make(text, opcode), what, reason, at, plugin))
        out: list[Effect] = []
        self._release(out)
        return out

    def ahead(
        self, text: bytes, reason: str, *, plugin: str = "", what: str = "released", at: int = 0, opcode: int = TEXT,
    ) -> None:
        """Send a message before the control frame that ``watch`` is being asked about: behind a Close none can."""
        self._ahead.append(Made(self._make(text, opcode), what, reason, at, plugin))

    def end(self, *, whole: bool = False) -> list[Effect]:
        """The sender is gone: what is still held leaves as it came. Bytes of a frame that is not whole included.

        ``whole``: but for a message that is not whole, which goes nowhere.
        """
        rest = b"".join([*self._open, *self._reader.parts])
        if self._swallowed is not None or (not self._streaming and not self._compressed and self.ours(self._beginning())):
            rest = b""
        out: list[Effect] = []
        if rest:
            out.append(Dropped("the message was not whole when its sender went", self._at) if whole else Original(rest))
        self._open, self._reader.parts = [], []
        out += [Dropped("the direction ended inside another message", made.at, made.plugin) for made in self._waiting]
        self._waiting = []
        return out

    def _release(self, out: list[Effect]) -> None:
        if self._waiting and self.boundary:
            out.extend(self._waiting)
            self._waiting = []

    def _frame(self, frame: WireFrame, out: list[Effect]) -> None:
        if frame.opcode not in (CONTINUATION, TEXT, BINARY):
            self._beside(frame, out)
            return
        if frame.raw:
            self._piece(frame, out)
            return
        if frame.opcode != CONTINUATION:
            self._compressed = self._inflater is not None and bool(frame.header[0] & 0x40)
        self._open.append(frame.wire)
        self._keep(frame.payload)
        large = self._size > MAX_MESSAGE or len(self._open) > MOST_PIECES
        if large and not self._streaming and self._swallowed is None and not self._must_rewrite() and not self._mine():
            self._too_large(self._beginning(), out)
        if self._swallowed is not None:
            self._open = []
        if frame.fin:
            self._message(out)
        elif self._streaming:
            self._flush(out)

    def _piece(self, frame: WireFrame, out: list[Effect]) -> None:
        """A piece of a frame over the cap. Held back until it is seen whose answer it is, if it is one."""
        if frame.opcode != CONTINUATION:
            self._compressed = self._inflater is not None and bool(frame.raw[0] & 0x40)
        if self._compressed and self._inflater is not None:
            self._inflater.lose("too_large")
        self._open.append(frame.raw)
        self._size += len(frame.raw)
        if not self._streaming and self._swallowed is None:
            first = self._beginning()
            if len(first) < PREFIX and self._reader.skip:
                return
            self._too_large(first, out)
        if self._swallowed is not None:
            self._open = []
        self._flush(out)
        if frame.fin:
            self._message(out)

    def _beginning(self) -> bytes:
        """How the text of the message at hand begins, if that is no compressed one."""
        if self._parts or self._compressed:
            return b"".join(self._parts[:PREFIX])[:SHOWN]
        raw = b"".join([*self._open, *self._reader.parts])[: SHOWN + 14]
        if len(raw) < 2:
            return b""
        key = 2 + (0, 2, 8)[max(0, (raw[1] & 127) - 125)]
        return (unmask(raw[key + 4 :], raw[key : key + 4]) if raw[1] & 128 else raw[key:])[:SHOWN]

    def _too_large(self, first: bytes, out: list[Effect]) -> None:
        """The message cannot be kept: it passes unseen, but for what nobody is to see or could decompress."""
        if self._must_rewrite() or (not self._compressed and self.ours(first[:PREFIX])):
            self._swallowed, self._parts = first, []
        else:
            self._stream("too_large", out)

    def _gone(self, out: list[Effect]) -> None:
        """The end of a message that goes nowhere: who asked for it is told."""
        verdict: Verdict = Drop("cannot be decompressed behind a changed message")
        if not self._compressed:
            verdict = self.transform(self._swallowed or b"", self._at, TEXT)
        reason, plugin = (verdict.reason, verdict.plugin) if isinstance(verdict, Drop) else ("too large", "")
        out.append(Dropped(reason, self._at, plugin))

    def _keep(self, payload: bytes) -> None:
        """Keep a piece for decoding; of what streams on unseen only where the window needs it, and bounded."""
        self._size += len(payload)
        if self._swallowed is not None:
            return
        if self._streaming and (not self._compressed or self._size > CAP):
            self._parts = []
            if self._compressed and self._inflater is not None:
                self._inflater.lose("too_large")
            return
        self._parts.append(payload)

    def _beside(self, frame: WireFrame, out: list[Effect]) -> None:
        """A control frame, or bytes no reader can read. Inside an open message the order is kept: the message streams on."""
        if self.watch is not None and frame.opcode in CONTROLS and not frame.raw:
            drop = self.watch(frame.opcode, frame.payload)
            ahead, self._ahead = self._ahead, []
            if self._streaming:             # inside a message nothing can leave
                out.extend(Dropped("a Close came inside another message", made.at, made.plugin) for made in ahead)
            else:
                out.extend(ahead)
            if drop is not None:
                out.append(Dropped(drop.reason, self._at, drop.plugin))
                return
        if self._open and not self._must_rewrite() and (frame.raw or not self._mine()):
            self._stream("control_inside" if frame.opcode != RAW and not frame.raw else "unreadable", out)
        out.append(Original(frame.wire))

    def _mine(self) -> bool:
        """Whether the message that has begun may be the answer to a Call of ours: nothing of it leaves before it is whole."""
        if self._size > CAP or len(self._open) > MOST_PIECES:
            return False
        return self.ours(None if self._compressed else b"".join(self._parts[:PREFIX])[:PREFIX])

    def _must_rewrite(self) -> bool:
        return self.diverged and self._compressed

    def _stream(self, reason: str, out: list[Effect]) -> None:
        self._streaming = True
        out.append(Unseen(reason))
        self._flush(out)

    def _flush(self, out: list[Effect]) -> None:
        if self._open:
            out.append(Original(b"".join(self._open)))
            self._open = []

    def _message(self, out: list[Effect]) -> None:
        if self._swallowed is not None:
            self._gone(out)
            self._over()
            return
        opcode = self._first_opcode()
        text, fault = b"".join(self._parts), ""
        if self._compressed and self._inflater is not None:
            text, fault = self._inflater.inflate(text)
        if fault and self._must_rewrite():
            out.append(Dropped("cannot be decompressed behind a changed message", self._at))
        elif self._streaming or fault:
            if not self._streaming:
                out.append(Unseen("undecodable"))
            self._flush(out)
        else:
            self._judge(text, opcode, out)
        if self._stopped is None:
            self._over()

    def _over(self) -> None:
        """The message is dealt with."""
        self._open, self._parts, self._size, self._streaming, self._swallowed = [], [], 0, False, None

    def _first_opcode(self) -> int:
        return self._open[0][0] & 15 if self._open and not self._streaming else TEXT

    def _judge(self, text: bytes, opcode: int, out: list[Effect]) -> None:
        if len(text) <= MAX_MESSAGE or self.ours(text[:PREFIX]):
            verdict = self.transform(text, self._at, opcode)
        else:
            verdict = PASS
            out.append(Unseen("too_large"))
        self._obey(verdict, text, opcode, out)

    def _obey(self, verdict: Verdict, text: bytes, opcode: int, out: list[Effect]) -> None:
        if isinstance(verdict, Wait):
            self._stopped = text, opcode
        elif not isinstance(verdict, Pass):
            self._change(verdict, opcode, out)
        elif self._must_rewrite():
            out.append(Made(self._make(text, opcode), "inflated", "", self._at))
        else:
            self._flush(out)

    def _change(self, verdict: Replace | Drop, opcode: int, out: list[Effect]) -> None:
        self.diverged = self.diverged or self._compressed
        if isinstance(verdict, Replace):
            out.append(Made(self._make(verdict.text, opcode), "replaced", verdict.reason, self._at, verdict.plugin))
        else:
            out.append(Dropped(verdict.reason, self._at, verdict.plugin, verdict.what))

    def _make(self, text: bytes, opcode: int) -> bytes:
        return text_frame(text, opcode, self._entropy(4) if self._masked else b"")
