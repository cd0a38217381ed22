"""What the hub and a relay worker say to each other: msgpack structs behind their length, on a Unix stream socket.

The relay connects to ``command.sock`` of its instance and says ``Hello``; the hub sends ``Request``; the relay answers each by
a ``Response``. What one side loses with the other it does without: the relay's own timers let go of what it holds.
"""

import struct

import msgspec
from msgspec import Struct

from ocpp_proxy.model import Side

SOCKET = "command.sock"
MOST = 4 << 20                          # bytes of one message
_LENGTH = struct.Struct(">I")


class Breaking(Struct, frozen=True):
    """A breakpoint as it is sent to the workers; ``held`` on the way back: how many messages it has held there."""

    number: int
    filter: str
    identity: str = "*"
    who: str = ""
    held: int = 0


class Hello(Struct, frozen=True, tag="hello"):
    """A worker is there. ``incarnation``: of its spool; ``points``: the breakpoints it has, from a hub before this one."""

    worker: int
    incarnation: int
    points: tuple[Breaking, ...] = ()


class Find(Struct, frozen=True, tag="find"):
    """The open links of a charger, newest last: ``list[OpenLink]``."""

    identity: str


class OpenLink(Struct, frozen=True):
    """A link in a tunnel. ``version``: OCPP version of the charger's side, empty: unknown; ``csms_version``: of the CSMS's
    where a plugin bridges the two, else empty.
    """

    number: int
    identity: str
    version: str
    opened_ns: int
    csms_version: str = ""


class ListHeld(Struct, frozen=True, tag="held"):
    """What is held: ``HeldList``."""


class Holding(Struct, frozen=True):
    """One message that is held. ``link`` and ``number`` name it in its worker. ``text``: as it would go on, in ``version``."""

    link: int
    number: int
    identity: str
    version: str
    side: Side
    mtype: int
    action: str
    message_id: str
    text: bytes
    since_ns: int
    until_ns: int
    by: str
    reason: str = ""


class HeldList(Struct, frozen=True):
    """The answer to ``ListHeld``."""

    held: tuple[Holding, ...]
    points: tuple[Breaking, ...]


class Settle(Struct, frozen=True, tag="settle"):
    """Decide about a held message. ``do``: release, drop, edit or reply; ``payload``: JSON."""

    link: int
    number: int
    do: str
    who: str
    payload: bytes = b""
    code: str = ""
    description: str = ""


class Arm(Struct, frozen=True, tag="arm"):
    """All breakpoints there are from now on. ``action`` and ``detail`` go into the audit; empty: nothing was done by hand."""

    points: tuple[Breaking, ...]
    who: str = ""
    action: str = ""
    detail: str = ""


class Inject(Struct, frozen=True, tag="inject"):
    """Send a Call (``send``: a SEND) to a side of a link: ``Came``."""

    link: int
    to: Side
    action: str
    payload: bytes
    seconds: float
    who: str
    send: bool = False


class Came(Struct, frozen=True):
    """What came of it; ``outcome`` as ``source.Injected``, ``payload``: JSON."""

    outcome: str
    message_id: str
    payload: bytes = b""
    code: str = ""
    description: str = ""
    took_ns: int = 0


class Disconnect(Struct, frozen=True, tag="disconnect"):
    """End a link: by RST, or by FIN with a Close frame of ``code`` before it where that is not 0."""

    link: int
    code: int
    reset: bool
    who: str


class Plugins(Struct, frozen=True, tag="plugins"):
    """The plugins: ``list[Sitting]``."""


class Sitting(Struct, frozen=True):
    """A plugin of a worker; the hub reads it as ``source.PluginState``, whose fields it has."""

    name: str
    origin: str
    identity: str = "*"
    by: str = "config"
    version: str = ""
    hooks: tuple[str, ...] = ()
    links: int = 0
    off: int = 0
    error: str = ""


class Switch(Struct, frozen=True, tag="switch"):
    """Enable or disable a plugin: ``list[str]``, what could not be done on open links. ``options``: JSON, empty: configured."""

    plugin: str
    on: bool
    identity: str
    who: str
    options: bytes = b""


class Reload(Struct, frozen=True, tag="reload"):
    """Read the configuration of the instance and the plugin files again: ``list[str]``, what changed and what did not."""

    who: str


Body = Hello | Find | ListHeld | Settle | Arm | Inject | Disconnect | Plugins | Switch | Reload


class Request(Struct, frozen=True):
    """``number`` 0: no answer is wanted."""

    number: int
    body: Body


class Response(Struct, frozen=True):
    """``error``: a text for the person; else ``data`` holds the answer (msgpack)."""

    number: int
    error: str = ""
    data: bytes = b""


def pack(message: Request | Response) -> bytes:
    """A message as it travels. Raises ``ValueError`` when it is too large."""
    data = msgspec.msgpack.encode(message)
    if len(data) > MOST:
        raise ValueError(f"a message of {len(data)} bytes is more than {MOST}")
    return _LENGTH.pack(len(data)) + data


class Reader:
    """Bytes as they come, taken apart into the bytes of messages. ``feed`` raises ``ValueError`` on what is too large."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now."""
        held, out = self._held, list[bytes]()
        held += data
        while len(held) >= _LENGTH.size:
            size = _LENGTH.unpack_from(held)[0]
            if size > MOST:
                raise ValueError(f"a message of {size} bytes is more than {MOST}")
            if len(held) < _LENGTH.size + size:
                break
            out.append(bytes(held[_LENGTH.size : _LENGTH.size + size]))
            del held[: _LENGTH.size + size]
        return out


def request(data: bytes) -> Request:
    """A request as it came. Raises ``msgspec.DecodeError``."""
    return msgspec.msgpack.decode(data, type=Request)


def response(data: bytes) -> Response:
    """A response as it came. Raises ``msgspec.DecodeError``."""
    return msgspec.msgpack.decode(data, type=Response)
