"""The stream as it would be without masking, for observers that ask for it: masked records exchanged for what came in.

What was masked is few, so this costs next to nothing; and nothing at all while nobody asks (``on``).
"""

from collections.abc import Sequence

from msgspec import structs

from ocpp_proxy.model import Frame, Message
from ocpp_proxy.records import Audited, FrameSeen, Lost, MessageSeen, PluginFinding, Record, Source
from ocpp_proxy.wire.ocppj import decode

KEPT_FRAMES = 1_000                         # fragments whose message has not ended yet; the oldest stay masked
KEPT_BYTES = 4 << 20


class Tap:
    """Collects the unmasked stream while it is ``on``; ``take`` gives what came since."""

    def __init__(self) -> None:
        self.on = False
        self._out: list[Record] = []
        self._kept: dict[int, Frame] = {}
        self._bytes = 0

    def take(self) -> list[Record]:
        """The records since the last call."""
        out, self._out = self._out, []
        return out

    def feed(self, source: Source, made: Sequence[Record]) -> None:
        """Take what the analyser made of a source record."""
        own = source.frame if isinstance(source, FrameSeen) else None
        shown = own is None
        for record in made:
            match record:
                case FrameSeen(frame):
                    mine = own is not None and frame.frame_id == own.frame_id
                    original = own if mine else self._forget(frame.frame_id)
                    shown = shown or mine
                    self._out.append(FrameSeen(original) if original is not None and frame.masked else record)
                case MessageSeen(message) if message.masked:
                    self._out.append(MessageSeen(_bare(message, own)))
                case Lost() | Audited() | PluginFinding() if isinstance(source, Lost | Audited | PluginFinding):
                    self._out.append(source)
                case _:
                    self._out.append(record)
        if not shown and own is not None:
            self._keep(own)                 # a fragment: it is given out, masked or not, with the end of its message

    def _forget(self, frame_id: int) -> Frame | None:
        frame = self._kept.pop(frame_id, None) if self._kept else None
        self._bytes -= len(frame.payload) if frame is not None else 0
        return frame

    def _keep(self, frame: Frame) -> None:
        self._kept[frame.frame_id] = frame
        self._bytes += len(frame.payload)
        while len(self._kept) > KEPT_FRAMES or self._bytes > KEPT_BYTES:
            self._forget(next(iter(self._kept)))


def _bare(message: Message, frame: Frame | None) -> Message:
    """The message of a frame, as it came."""
    if frame is None or frame.frame_id != message.frame_id or frame.masked:
        return message
    envelope = decode(frame.text or frame.payload)
    return structs.replace(message, payload=envelope.payload, error_code=envelope.error_code, error_desc=envelope.error_desc,
                           prefix=envelope.prefix, suffix=envelope.suffix, masked=False)
