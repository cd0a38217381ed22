"""What plugins decide about a charger that dials, put into the heads that pass; ``handshake`` asks before it dials the CSMS."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from ocpp_proxy.api import Opening
from ocpp_proxy.core.entering import Entered
from ocpp_proxy.core.seats import Installed, hooks_of
from ocpp_proxy.model import ConfigError, IdentitySource
from ocpp_proxy.relay import route
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.link import Link
from ocpp_proxy.relay.plugged import Plugged
from ocpp_proxy.wire.http import RequestHead, ResponseHead, text_of
from ocpp_proxy.wire.http_edit import rewrite

ELSEWHERE = "leads to another CSMS than this connection does; dial again"
_PROTOCOL = b"Sec-WebSocket-Protocol"


class Dial(Struct, frozen=True):
    """A request that plugins are asked about: its head as received and as read, and where its identity is from."""

    raw: bytes
    head: RequestHead
    source: IdentitySource


def ask(link: Link, dial: Dial, identity: str, then: Callable[[Entered], None]) -> bool:
    """Ask the plugins of the link about a charger that dials; ``then`` gets what they decided, at once or when their States
    are read and stored. False: none wants to be asked.

    They are those of the version that it offers first; another one that is agreed in the end may have others.
    """
    plugged = _plugged(link, dial.head.offered, identity)
    if plugged is None:
        return False
    target = route.upstream_target(link.env.upstream, dial.head.target)
    headers: dict[str, str] = {}
    for name, value in dial.head.headers:
        known = headers.get(text_of(name).lower())
        headers[text_of(name).lower()] = text_of(value) if known is None else f"{known}, {text_of(value)}"
    plugged.enter(
        Opening(
            identity, dial.source, dial.head.target_text, dial.head.offered, headers, link.remote,
            link.env.upstream.origin + text_of(target),
        ), _cannot, then,
    )
    return True


def _plugged(link: Link, offered: Sequence[str], identity: str) -> Plugged | None:
    env = link.env
    if link.plugged is None and env.chain is not None:
        first = next((name for name in offered if version(env, name)), "")
        chain = env.chain(identity, first)
        if chain is not None and any(map(_wants, chain.installed)):
            link.plugged = Plugged(link, chain, identity, env.limit)
            link.plugged.load()
    return link.plugged if link.plugged is not None and link.plugged.onion.opens else None


def _wants(one: Installed) -> bool:
    """Whether it may want to be asked: the others are made when the link is open."""
    return not isinstance(one.make, type) or "on_open" in hooks_of(one.make)


def version(env: Environment, protocol: str) -> str:
    """The OCPP version of a subprotocol; empty: unknown."""
    if env.chooser is not None:
        return env.chooser.version(protocol)
    return protocol.removeprefix("ocpp") if protocol.startswith("ocpp") else ""


def _cannot(url: str) -> str:
    try:
        route.parse_upstream(url)
    except ConfigError as error:
        return str(error)
    return ""


def led(link: Link, upstream: route.Upstream, entered: Entered) -> tuple[route.Upstream, Entered]:
    """Where the charger is led; a refusal when this link already has a connection that leads elsewhere."""
    to = route.parse_upstream(entered.upstream) if entered.upstream else link.env.upstream
    if link.csms is None or to == upstream or entered.status:
        return to, entered
    return upstream, Entered(status=503, plugin=entered.plugin or "(none)", reason=ELSEWHERE)


def offer(sent: bytes, head: RequestHead, entered: Entered) -> tuple[bytes, tuple[str, ...]]:
    """The request head with the subprotocols that plugins offer, and what was done, in words."""
    words = [f"plugin {entered.plugin}: leads to {entered.upstream}"] if entered.upstream else []
    if entered.offer is None or entered.offer == head.offered:
        return sent, tuple(words)
    names, before = ", ".join(entered.offer), ", ".join(head.offered)
    words.append(f"plugin {entered.offered_by}: offers {names or 'no subprotocol'} instead of {before or 'none'}")
    return _with_protocol(sent, names), tuple(words)


def answer(sent: bytes, head: ResponseHead, entered: Entered) -> tuple[bytes, tuple[str, ...]]:
    """The 101 with the subprotocol that plugins answer, and what was done, in words."""
    if entered.answer is None or entered.answer == head.protocol:
        return sent, ()
    said = entered.answer or "no subprotocol"
    words = (f"plugin {entered.answered_by}: answers {said} instead of {head.protocol or 'none'}",)
    return _with_protocol(sent, entered.answer), words


def _with_protocol(raw: bytes, value: str) -> bytes:
    """A head whose subprotocols are this one text; several headers of that name become one."""
    raw = rewrite(raw, remove=[_PROTOCOL])
    return rewrite(raw, add=[(_PROTOCOL, value.encode("latin-1"))]) if value else raw
