"""Putting a live link under plugins or a person's hands: from splice to frame mode, both directions, or not at all.

Until both directions have reached a message boundary everything passes; then, in one moment, both are asked about.
"""

import asyncio

from ocpp_proxy.core.seats import Chain
from ocpp_proxy.core.session import PASS, Verdict
from ocpp_proxy.model import ConfigError
from ocpp_proxy.relay.link import Link
from ocpp_proxy.relay.plugged import Plugged

NEXT_TIME = "takes effect at the next connection: this link was opened without --allow-inject"


def _pass(text: bytes, at: int, opcode: int) -> Verdict:
    return PASS


async def take_over(link: Link) -> Plugged:
    """The plugins of a link, perhaps none; from here on its messages can be held, changed and added to.

    Raises ``ConfigError`` with the reason when that cannot be: no message boundary in time, closing, not prepared for it.
    """
    if link.plugged is not None:
        return link.plugged
    if not link.framing:
        raise ConfigError(f"charger {link.identity}: {NEXT_TIME}")
    if link.taking is None:
        link.taking = asyncio.ensure_future(_switch(link))
    taking = link.taking
    reason = await asyncio.shield(taking)
    if link.taking is taking:
        link.taking = None
    if reason:
        raise ConfigError(f"charger {link.identity}: {reason}")
    if link.plugged is None:
        raise ConfigError(f"charger {link.identity}: the link has ended")
    return link.plugged


async def _switch(link: Link) -> str:
    """Why it cannot be, or empty; ``link.plugged`` is there then."""
    reasons = await asyncio.gather(*(framing.switch(_pass) for framing in link.framing))
    for reason in filter(None, reasons):
        return reason
    if link.env.links.get(link.number) is not link:
        return "the link has ended"
    if link.plugged is None:
        chooser = link.env.chooser
        version = chooser.version(link.protocol) if chooser is not None else ""
        plugged = Plugged(link, Chain((), version), link.identity, link.env.limit)
        for framing, transform in zip(link.framing, plugged.transforms(), strict=True):
            framing.switch(transform)           # at once: both are in frame mode
        link.plugged = plugged
        plugged.begin()
    return ""
