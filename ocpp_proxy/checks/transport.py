"""Findings T of the opening handshake: subprotocol, upgrade headers, path, credentials, answers other than 101."""

from collections.abc import Mapping

from msgspec import Struct

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import Hit, Hits, rule
from ocpp_proxy.model import Blame, Severity
from ocpp_proxy.records import Handshake
from ocpp_proxy.spec.versions import lookup
from ocpp_proxy.wire.credentials import CREDENTIALS
from ocpp_proxy.wire.http import PROBLEMS

RFC_HANDSHAKE = "RFC 6455, 4.1"
_STATION: Blame = "station"
_FAULTS = ("not_basic", "credentials_unreadable", "user_empty", "user_not_identity", "password_empty")


def plain_request(context: Context, hit: Hit) -> bool:
    """The request asks for no WebSocket at all (SOAP, a browser, a health check)."""
    return isinstance(context.record, Handshake) and not context.record.upgrade


def _frames(record: Handshake) -> tuple[int, ...]:
    return tuple(frame for frame in (record.request_frame, record.response_frame) if frame)


def _problems(record: Handshake, code: str, severity: Severity | None = None) -> list[Hit]:
    words = {problem.partition(":")[0]: problem for problem in record.problems}
    return [
        Hit(PROBLEMS[name][1], cause=name, evidence=_frames(record), severity=severity)
        for name in words if PROBLEMS.get(name, ("", ""))[0] == code
    ]


@rule(
    "T01", "no Sec-WebSocket-Protocol", severity=Severity.ERROR, blame="station", on=("handshake",), unless=(plain_request,),
    spec="OCPP-J 1.6, 3.1.2",
    remedy="Set the OCPP version in the charger, update its firmware, or let the proxy add it with --handshake lenient.",
)
def no_subprotocol(context: Context) -> Hits:
    """The station asked for a WebSocket without naming an OCPP version; many CSMS refuse that with 400."""
    record = context.record
    if isinstance(record, Handshake) and not record.link.offered:
        status = f"; the CSMS answered {record.link.status}" if record.link.status else ""
        yield Hit(f"the request has no Sec-WebSocket-Protocol{status}", evidence=_frames(record))


def agreed(context: Context, hit: Hit) -> bool:
    """The CSMS chose one of the offered names, spelt as registered."""
    record = context.record
    if not isinstance(record, Handshake) or record.link.status != 101 or record.link.protocol not in record.link.offered:
        return False
    spoken = lookup(record.link.protocol)
    return spoken is not None and not spoken.wrong_case


@rule(
    "T02", "no common or wrongly spelt subprotocol", severity=Severity.ERROR, blame="either", on=("handshake",),
    unless=(agreed,), spec="OCPP-J 1.6, 3.1.2",
    remedy="Enable the same OCPP version on both sides; names are lower case.",
)
def no_common_subprotocol(context: Context) -> Hits:
    """Station and CSMS did not agree on an OCPP version, or a name is not spelt as registered (ocpp1.6)."""
    record = context.record
    if not isinstance(record, Handshake) or not record.link.offered:
        return
    link = record.link
    spoken = [lookup(name) for name in link.offered]
    offered = ", ".join(link.offered)[:120]
    exact = any(name is not None and not name.wrong_case for name in spoken)
    if not exact:
        yield Hit(f"the station offers no name of an OCPP version as registered: {offered}", blame="station",
                  cause="offered", evidence=_frames(record))
    elif link.status == 101 and not link.protocol:
        yield Hit(f"the CSMS chose none of the offered names: {offered}", cause="none", evidence=_frames(record))
    elif link.status == 101:
        yield Hit(f"the CSMS chose {link.protocol[:40]}, the station offered {offered}", blame="csms", cause="chosen",
                  evidence=_frames(record))


@rule(
    "T05", "upgrade request not as RFC 6455 asks", severity=Severity.ERROR, blame="station", on=("handshake",),
    unless=(plain_request,), spec=RFC_HANDSHAKE,
    remedy="Update the charger's firmware, or repair the request on its way with --handshake lenient.",
)
def bad_upgrade(context: Context) -> Hits:
    """A header that makes a request a WebSocket upgrade is missing or wrong; most CSMS answer 400 or 426."""
    record = context.record
    return _problems(record, "T05") if isinstance(record, Handshake) else ()


@rule(
    "T06", "wrong path", severity=Severity.ERROR, blame="station", on=("handshake",), unless=(plain_request,),
    spec="OCPP-J 1.6",
    remedy="Enter the CSMS address without trailing or double slashes; the charger appends its identity, percent-encoded.",
)
def wrong_path(context: Context) -> Hits:
    """The request target is not a clean path that ends with the station's identity."""
    record = context.record
    if not isinstance(record, Handshake):
        return
    severity = Severity.WARNING if record.link.status == 101 else None
    yield from _problems(record, "T06", severity)
    path = record.link.target.partition("?")[0]
    if path.endswith("/") and path.strip("/"):
        yield Hit("the path ends with a slash behind the identity", cause="end", evidence=_frames(record), severity=severity)
    elif path and not path.strip("/"):
        yield Hit("the path names no identity", cause="identity", evidence=_frames(record), severity=severity)


@rule(
    "T07", "credentials refused (401)", severity=Severity.ERROR, blame="either", on=("handshake",), unless=(plain_request,),
    spec="OCPP-J 1.6; OCPP 1.6 security whitepaper",
    remedy="Set the charger's AuthorizationKey (BasicAuthPassword) to the value the CSMS has for this identity.",
)
def unauthorized(context: Context) -> Hits:
    """The CSMS answered 401: it wants HTTP Basic credentials whose user is the identity, and got none or others."""
    record = context.record
    if not isinstance(record, Handshake) or record.link.status != 401:
        return
    facts = dict.fromkeys(record.problems)
    fault = next((fact for fact in _FAULTS if fact in facts), "")
    if not context.link.authorized:
        words, blame, cause = "the station sent no credentials", _STATION, "none"
    elif fault:
        words, blame, cause = CREDENTIALS[fault], _STATION, fault
    else:
        words, blame, cause = _refusal(facts), None, "refused"
    yield Hit(f"401: {words}", blame=blame, cause=cause, evidence=_frames(record))


def _refusal(facts: Mapping[str, None]) -> str:
    """What the CSMS may have against credentials that are well formed."""
    words = "the CSMS does not accept the credentials"
    if "user_is_identity" in facts:
        words += "; their user is the identity, so it has another password for it, or does not know it"
    if "password_hex" in facts:
        words += "; the password is 40 hexadecimal digits, a CSMS may want the 20 bytes they spell (or the other way round)"
    elif "password_bytes" in facts:
        words += "; the password is raw bytes, a CSMS may want them as hexadecimal digits (or the other way round)"
    return words


class Leg(Struct, frozen=True):
    """One leg of a link, for the guards of T08."""

    tls: bool
    host: str


def over_tls(context: Context, hit: Hit) -> bool:
    """The leg is encrypted."""
    return isinstance(hit.fact, Leg) and hit.fact.tls


def loopback(context: Context, hit: Hit) -> bool:
    """The leg never leaves the machine."""
    return isinstance(hit.fact, Leg) and (hit.fact.host.startswith(("127.", "localhost", "[::1]", "::1", "unix")))


@rule(
    "T08", "credentials over plain ws", severity=Severity.WARNING, blame="either", on=("handshake",),
    unless=(over_tls, loopback), spec="OCPP 1.6 security whitepaper",
    remedy="Use wss (security profile 2), or keep this leg inside a VPN.",
)
def plain_credentials(context: Context) -> Hits:
    """HTTP Basic credentials cross a leg without TLS: anyone on that network can read them."""
    record = context.record
    if not isinstance(record, Handshake) or not context.link.authorized:
        return
    link = record.link
    yield Hit("credentials without TLS between station and proxy", blame="station", cause="station",
              evidence=_frames(record)[:1], fact=Leg(link.station_tls is not None, link.remote))
    if link.upstream:
        scheme, _, host = link.upstream.rpartition("://")
        yield Hit("credentials without TLS between proxy and CSMS", blame="csms", cause="csms", evidence=_frames(record)[:1],
                  fact=Leg(scheme in ("wss", "https"), host))


def switched(context: Context, hit: Hit) -> bool:
    """101: the tunnel is up."""
    return hit.fact == 101


def credentials_refused(context: Context, hit: Hit) -> bool:
    """401 is T07."""
    return hit.fact == 401


def proxy_answered(context: Context, hit: Hit) -> bool:
    """The proxy itself had to answer: the CSMS was not reached (T24) or the head was refused (T26)."""
    return context.link.own_answer


@rule(
    "T25", "CSMS answered other than 101", severity=Severity.ERROR, blame="csms", on=("handshake",),
    unless=(plain_request, switched, credentials_refused, proxy_answered), spec=RFC_HANDSHAKE,
    remedy="404: identity or path unknown to the CSMS; 3xx: use the address it names; 5xx: look at the CSMS's own log.",
)
def not_switched(context: Context) -> Hits:
    """The CSMS did not open the WebSocket: it refused, redirected or failed; the status says which."""
    record = context.record
    if isinstance(record, Handshake) and (record.link.status == 101 or record.link.status >= 200):
        status = record.link.status
        yield Hit(f"the CSMS answered {status}", cause=str(status), evidence=_frames(record), fact=status)


class Connects(Struct):
    """Times of a station's last connects."""

    times: list[int] = []


def calm(context: Context, hit: Hit) -> bool:
    """Not more connects than the limit within the time."""
    settings, times = context.settings, context.memory(Connects).times
    return len(times) <= settings.storm_connects or times[-1] - times[0] > settings.storm_seconds * 1e9


@rule(
    "T16", "reconnect storm", severity=Severity.WARNING, blame="network", on=("handshake",), unless=(calm,),
    spec="OCPP 2.0.1 Part 4", memory=Connects, scope="station",
    remedy="Look at what ends the connections (signal, NAT time-out, refusals) and at the charger's retry back-off.",
)
def reconnect_storm(context: Context) -> Hits:
    """The station connects again and again within minutes, so the connection does not hold."""
    record = context.record
    if not isinstance(record, Handshake):
        return
    times = context.memory(Connects).times
    if record.upgrade:
        times.append(context.now)
    del times[: -(context.settings.storm_connects + 1)]
    minutes = context.settings.storm_seconds / 60
    yield Hit(f"more than {context.settings.storm_connects} connects in {minutes:g} minutes", evidence=_frames(record))


def old_is_closing(context: Context, hit: Hit) -> bool:
    """A Close frame was seen on the older connection: only its TCP end is still on the way."""
    return hit.fact is True


def identity_guessed(context: Context, hit: Hit) -> bool:
    """The identity is only the peer's address: several chargers may stand behind it."""
    return context.link.link.identity_source == "peer"


@rule(
    "T15", "second live connection of one identity", severity=Severity.WARNING, blame="either", on=("handshake",),
    unless=(old_is_closing, identity_guessed), scope="station",
    remedy="Expected after a network loss; if it stays so, two chargers share an identity, or the old one is never closed.",
)
def duplicate_connection(context: Context) -> Hits:
    """A connection for this identity was opened while an older one was still up."""
    record = context.record
    if not isinstance(record, Handshake) or record.link.status != 101:
        return
    for other, closing in context.station.links.items():
        if other != record.link.link_id:
            yield Hit(f"link {other} of this identity is still open", cause="live", evidence=_frames(record), fact=closing)
