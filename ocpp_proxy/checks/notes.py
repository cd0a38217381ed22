"""Findings T that rest on what the relay noted: failed TLS, ports mixed up, no head, CSMS not reached, certificates."""

import importlib
from datetime import UTC, datetime

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import Guard, Hit, Hits, rule
from ocpp_proxy.model import Blame, Severity, Side
from ocpp_proxy.records import Note


def _other_than(kind: str) -> Guard:
    def other(context: Context, hit: Hit) -> bool:
        return isinstance(context.record, Note) and context.record.kind != kind

    other.__doc__ = f"The note is not about {kind}."
    return other


def _note(context: Context, words: str) -> Hits:
    record = context.record
    if isinstance(record, Note):
        text = f": {record.text[:200]}" if record.text else ""
        yield Hit(f"{words}{text}", cause=record.kind)


def not_reached(context: Context, hit: Hit) -> bool:
    """The CSMS was not reached for another reason (T24)."""
    record = context.record
    return isinstance(record, Note) and record.kind == "upstream_failed" and not record.text.startswith("tls")


@rule(
    "T09", "TLS failed", severity=Severity.ERROR, blame="either", on=("note",), unless=(not_reached,), spec="OCPP 2.0.1",
    remedy="`ocpp-proxy doctor` checks chain and name; install the CA in the charger, and look at the alert in the text.",
)
def tls_failed(context: Context) -> Hits:
    """The TLS handshake failed before any HTTP: certificate, name, version or cipher suite do not suit both sides."""
    record = context.record
    if not isinstance(record, Note):
        return
    if record.kind == "tls_failed":
        blame: Blame = "csms" if record.side is Side.CSMS else "either"
        yield Hit(f"TLS failed: {record.text[:200]}", blame=blame, cause=blame)
    elif record.kind == "upstream_failed":
        yield Hit(f"TLS to the CSMS failed: {record.text.partition(': ')[2][:200]}", blame="csms", cause="csms")


def far_away(context: Context, hit: Hit) -> bool:
    """The certificate stays valid for longer than the limit."""
    return isinstance(hit.fact, float) and hit.fact > context.settings.certificate_days


_OWNERS: dict[str, Blame] = {"station_certificate": "station", "upstream_certificate": "csms", "own_certificate": "proxy"}
_PEM = {
    "CertificateSigned": ("certificateChain",), "InstallCertificate": ("certificate",), "Authorize": ("certificate",),
    "SignedUpdateFirmware": ("firmware", "signingCertificate"), "UpdateFirmware": ("firmware", "signingCertificate"),
}


@rule(
    "T10", "certificate expires soon", severity=Severity.WARNING, blame="either", on=("note", "call"), unless=(far_away,),
    actions=tuple(_PEM),
    remedy="Renew it before that day: chargers with an expired chain stop connecting.",
)
def certificate_expires(context: Context) -> Hits:
    """A certificate in use on a TLS leg (its CA's included), or sent in a message, ends within the set number of days."""
    record = context.record
    blame: Blame | None = None
    if isinstance(record, Note):
        blame = _OWNERS.get(record.kind)
        chain, path = noted(record.text) if blame is not None else [], ""
    else:
        steps = _PEM.get(context.message.action if context.message is not None else "", ())
        value: object = context.payload
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        chain = certificates(value) if isinstance(value, str) else []
        path = "$." + ".".join(steps)
    for name, end in chain:
        days = (end.timestamp() - context.now / 1e9) / 86400
        words = f"ended {-days:.0f} days ago" if days < 0 else f"ends in {days:.0f} days"
        yield Hit(f"the certificate {name[:80]} {words}", path=path, blame=blame, cause=f"{path}{name[:80]}",
                  severity=Severity.ERROR if days < 0 else None, fact=days)


def noted(text: str) -> list[tuple[str, datetime]]:
    """Name and end of validity of each certificate of a note (``CN; not_after=2027-01-01T00:00:00+00:00 < CA; ...``)."""
    found = []
    for part in text.split(" < "):
        name, _, stamp = part.partition("; not_after=")
        try:
            end = datetime.fromisoformat(stamp.strip())
        except ValueError:
            continue
        found.append((name, end.replace(tzinfo=UTC) if end.tzinfo is None else end))
    return found


def certificates(pem: str) -> list[tuple[str, datetime]]:
    """Subject and end of validity of each certificate of a PEM chain; what cannot be read is left out."""
    x509 = importlib.import_module("cryptography.x509")     # 30 ms that only TLS is worth
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return []
    return [(certificate.subject.rfc4514_string(), certificate.not_valid_after_utc) for certificate in chain]


@rule(
    "T21", "TLS on a plain port", severity=Severity.ERROR, blame="station", on=("note",), unless=(_other_than("tls_on_plain"),),
    remedy="Use ws:// in the charger, or give the proxy a certificate: `ocpp-proxy cert`, then --tls-cert and --tls-key.",
)
def tls_on_plain(context: Context) -> Hits:
    """The charger began TLS (wss) on a port that has no certificate."""
    return _note(context, "a TLS ClientHello came where no certificate is configured")


@rule(
    "T22", "HTTP on a TLS port", severity=Severity.ERROR, blame="station", on=("note",), unless=(_other_than("http_on_tls"),),
    remedy="Use wss:// in the charger, or listen on a plain port as well.",
)
def http_on_tls(context: Context) -> Hits:
    """The charger sent plain HTTP (ws) to a port that speaks only TLS."""
    return _note(context, "plain HTTP came to a port that speaks only TLS")


@rule(
    "T23", "connected but no request", severity=Severity.WARNING, blame="station", on=("note",),
    unless=(_other_than("no_head"),),
    remedy="A port check does this too; if it is the charger, look for a firewall or modem that cuts the connection.",
)
def no_head(context: Context) -> Hits:
    """A TCP connection was opened, but no complete HTTP request came over it."""
    return _note(context, "no complete request came")


def over_tls_failure(context: Context, hit: Hit) -> bool:
    """A failed TLS handshake with the CSMS is T09."""
    return isinstance(context.record, Note) and context.record.text.startswith("tls")


_REACH: dict[str, tuple[str, Blame]] = {
    "dns": ("the name of the CSMS cannot be resolved", "network"), "refused": ("the CSMS refuses the connection", "csms"),
    "timeout": ("the CSMS does not answer", "network"), "loop": ("the upstream is this proxy itself", "proxy"),
    "closed": ("the CSMS closed the connection without an answer", "csms"), "tls": ("TLS with the CSMS failed", "csms"),
}


@rule(
    "T24", "CSMS not reachable", severity=Severity.ERROR, blame="network", on=("note",),
    unless=(_other_than("upstream_failed"), over_tls_failure),
    remedy="Check name, port and route from this machine with `ocpp-proxy doctor`.",
)
def unreachable(context: Context) -> Hits:
    """The proxy could not open a connection to the CSMS; the charger got 502 or 504."""
    record = context.record
    if isinstance(record, Note):
        reason = record.text.partition(":")[0].strip()
        words, blame = _REACH.get(reason, ("the CSMS cannot be reached", "network"))
        yield Hit(f"{words} ({record.text[:200]})", blame=blame, cause=reason if reason in _REACH else record.kind)


@rule(
    "T26", "ambiguous request head", severity=Severity.ERROR, blame="station", on=("note",),
    unless=(_other_than("head_refused"),), spec="RFC 9112",
    remedy='Update the firmware; with one trusted CSMS, ambiguous_heads = "pass" lets it through.',
)
def ambiguous_head(context: Context) -> Hits:
    """Two parsers could read the request head differently, or it is over a limit, so it was not passed on."""
    return _note(context, "the request head was refused")
