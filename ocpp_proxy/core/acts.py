"""What the plugins of a link want done besides their verdicts on messages, in order."""

from msgspec import Struct

from ocpp_proxy.core.seats import Told
from ocpp_proxy.core.services import Lost
from ocpp_proxy.model import Side


class Leave(Struct, frozen=True, gc=False):
    """A message leaves now, as if ``sender`` had sent it. ``what``: injected, translated, or of a kept one: released, replaced.

    ``at``: the place of the message it was made from, in what that side sent; 0: none.
    """

    sender: Side
    text: bytes
    what: str
    plugin: str
    reason: str
    at: int = 0
    opcode: int = 1


class Remark(Struct, frozen=True, gc=False):
    """What became of a message that was kept, when it does not leave."""

    sender: Side
    at: int
    what: str
    plugin: str
    reason: str


class End(Struct, frozen=True, gc=False):
    """Both connections are to be ended."""

    plugin: str
    reason: str
    reset: bool = False


Action = Leave | Remark | Told | End | Lost
