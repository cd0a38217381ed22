"""The checks of ``doctor`` that look at the CSMS: DNS, TCP, TLS chain and expiry, clocks, subprotocols."""

import base64
import contextlib
import email.utils
import os
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, quote, urlsplit

from ocpp_proxy.cli.checkup import Outcome
from ocpp_proxy.config import Config
from ocpp_proxy.escape import safe_text

OFFER = "ocpp2.1, ocpp2.0.1, ocpp1.6"
SECONDS = 10.0
HEAD_BYTES = 16384
EXPIRES_SOON = 30                           # days
CLOCK_OFF = 5.0                             # seconds
_VERIFY_REMEDY = {
    10: "the CSMS's certificate has expired: its operator has to renew it",
    9: "the certificate is not valid yet: look at this machine's clock first",
    18: "self-signed: if that is meant so, --upstream-ca FILE names it as trusted",
    19: "signed by a private CA: --upstream-ca FILE names that CA as trusted",
    20: "unknown or missing intermediate CA: --upstream-ca FILE names the CA; the CSMS has to send its whole chain",
    62: "the certificate is for another name: use the name that stands in it as UPSTREAM",
    64: "the certificate is for another address: use the name that stands in it as UPSTREAM",
}


def run(config: Config, identity: str) -> list[Outcome]:
    """Dial the CSMS step by step; what cannot be reached ends the list."""
    url = urlsplit(config.upstream)
    outcomes: list[Outcome] = []
    addresses = resolve(config, url, outcomes)
    if not addresses:
        return outcomes
    raw = dial(addresses, outcomes)
    if raw is None:
        return outcomes
    with contextlib.closing(raw):
        if url.scheme not in ("wss", "https"):
            outcomes += handshake(raw, url, identity)
            return outcomes
        secured = secure(config, raw, url.hostname or "", outcomes)
    if secured is not None:
        with contextlib.closing(secured):
            outcomes += handshake(secured, url, identity)
    return outcomes


def port_of(url: SplitResult) -> int:
    """The port a URL means."""
    return url.port or (443 if url.scheme in ("wss", "https") else 80)


def resolve(config: Config, url: SplitResult, outcomes: list[Outcome]) -> list[tuple[str, int]]:
    """The addresses of the CSMS, as ``connect_to`` or DNS says."""
    host, port = url.hostname or "", port_of(url)
    for rule in config.connect_to:
        name, number, target = rule.split(":", 2)
        if name in ("", host) and number in ("", str(port)):
            outcomes.append(Outcome("dns", "ok", f"{host} is {target} (connect_to)"))
            return [(target.strip("[]"), port)]
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        outcomes.append(Outcome("dns", "failed", f"{host}: {getattr(error, 'strerror', None) or error}",
                                f"is the name right, is there a network? Or --connect-to {host}:{port}:ADDRESS"))
        return []
    found = list(dict.fromkeys((str(row[4][0]), int(row[4][1])) for row in rows))
    outcomes.append(Outcome("dns", "ok", f"{host} is {', '.join(address for address, _ in found)}"))
    return found


def dial(addresses: list[tuple[str, int]], outcomes: list[Outcome]) -> socket.socket | None:
    """A TCP connection to the first address that takes one."""
    reasons = []
    for address in addresses:
        begun = time.monotonic()
        try:
            dialled = socket.create_connection(address, SECONDS)
        except OSError as error:
            reasons.append(f"{address[0]} port {address[1]}: {error.strerror or error}")
            continue
        took = (time.monotonic() - begun) * 1000
        outcomes.append(Outcome("tcp", "ok", f"{address[0]} port {address[1]} answers in {took:.0f} ms"))
        return dialled
    outcomes.append(Outcome("tcp", "failed", "; ".join(reasons),
                            "is the port right, does a firewall or a VPN stand between, is the CSMS up?"))
    return None


def secure(config: Config, raw: socket.socket, host: str, outcomes: list[Outcome]) -> ssl.SSLSocket | None:
    """TLS with the CSMS: chain, name, expiry, version."""
    try:
        context = ssl.create_default_context(cafile=config.tls.upstream_ca or None)
        if config.tls.client_cert:
            context.load_cert_chain(config.tls.client_cert, config.tls.client_key)
        secured = context.wrap_socket(raw, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        outcomes.append(Outcome("tls", "failed", f"the certificate is refused: {error.verify_message}",
                                _VERIFY_REMEDY.get(error.verify_code, "--upstream-ca FILE names the CA to trust")))
        return None
    except (OSError, ssl.SSLError) as error:
        outcomes.append(Outcome("tls", "failed", f"{error.strerror or error}", "is this a TLS port? For plain text use ws://"))
        return None
    outcomes.append(_expiry(secured))
    return secured


def _expiry(secured: ssl.SSLSocket) -> Outcome:
    certificate = secured.getpeercert() or {}
    until = ssl.cert_time_to_seconds(str(certificate.get("notAfter")))
    days = (until - time.time()) / 86400
    cipher = secured.cipher()
    text = f"{secured.version()} {cipher[0] if cipher else ''}, valid for {days:.0f} more days"
    if days < EXPIRES_SOON:
        return Outcome("tls", "warning", text, "the CSMS's operator has to renew the certificate in time")
    return Outcome("tls", "ok", text)


def handshake(stream: socket.socket, url: SplitResult, identity: str) -> Iterator[Outcome]:
    """Ask for a WebSocket with all versions, as a charger of that identity would; then look at clock and answer."""
    path = url.path.rstrip("/") + "/" + quote(identity, safe="")
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET {path}{'?' + url.query if url.query else ''} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Protocol: {OFFER}\r\n\r\n"
    )
    try:
        stream.settimeout(SECONDS)
        stream.sendall(head.encode())
        answer = _read_head(stream)
    except OSError as error:
        yield Outcome("handshake", "failed", f"no answer: {error.strerror or error}", "is this the WebSocket port of the CSMS?")
        return
    lines = answer.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    yield from _clock(fields.get("date", ""))
    yield _answer(lines[0], fields, path)


def _read_head(stream: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < HEAD_BYTES:
        chunk = stream.recv(4096)
        if not chunk:
            break
        data += chunk
    return data.split(b"\r\n\r\n")[0]


def _clock(date: str) -> Iterator[Outcome]:
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    off = time.time() - theirs
    if abs(off) > CLOCK_OFF:
        yield Outcome("clock", "warning", f"this machine and the CSMS differ by {off:+.0f} s",
                      "set this machine's clock: sudo timedatectl set-ntp true; if it is right, the CSMS's is wrong")
    else:
        yield Outcome("clock", "ok", "this machine and the CSMS agree")


def _answer(status_line: str, fields: dict[str, str], path: str) -> Outcome:
    parts = status_line.split(" ", 2)
    status = parts[1] if len(parts) > 1 and parts[0].startswith("HTTP/") else ""
    chosen = fields.get("sec-websocket-protocol", "")
    if status == "101" and chosen:
        return Outcome("subprotocol", "ok", f"the CSMS takes {safe_text(chosen, 40)} of {OFFER}")
    if status == "101":
        return Outcome("subprotocol", "warning", "the CSMS connects but chooses no subprotocol",
                       "many chargers hang up then: the CSMS has to name one of those offered")
    if status in ("401", "403"):
        return Outcome("subprotocol", "warning", f"the CSMS answers {status}: it wants credentials; the charger brings its own",
                       "nothing to do, if the charger is known there")
    if status == "404":
        return Outcome("subprotocol", "warning", f"the CSMS answers 404 to {safe_text(path, 80)}",
                       "an unknown identity or a wrong path: try --identity with one it knows")
    if status:
        return Outcome("subprotocol", "failed", f"the CSMS answers {safe_text(status_line, 80)}",
                       "is the path of the URL right?")
    return Outcome("handshake", "failed", "the answer is no HTTP", "is this the WebSocket port of the CSMS? For TLS use wss://")
