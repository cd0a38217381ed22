"""The certificates of the TLS legs as text for notes: each one's name and last day, leaf first (finding T10 reads it).

``NAME; not_after=2027-01-01T00:00:00+00:00 < ISSUER; not_after=...``: what the relay knows of a chain. Of a peer that is the
chain it was verified with, up to the root that is trusted; of ourselves what stands in the configured files.
"""

import asyncio
import re
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

TELL_SECONDS = 86_400.0                     # the same chain is told again after a day
MOST_TOLD = 256
_MARKS = re.compile(r"[;<\s]+")             # a name must not look like the text around it


def chain_text(chain: list[x509.Certificate]) -> str:
    """The chain in one line; empty for an empty one."""
    return " < ".join(
        f"{_MARKS.sub(' ', _name(certificate))[:80]}; not_after={certificate.not_valid_after_utc.isoformat()}"
        for certificate in chain
    )


def peer_chain(transport: asyncio.BaseTransport) -> list[x509.Certificate]:
    """The verified chain of the peer; only its own certificate where OpenSSL has no chain (a resumed session)."""
    found = transport.get_extra_info("ssl_object")
    if found is None:
        return []
    inner = getattr(found, "_sslobj", None)             # before Python 3.13 only there
    verified = getattr(found, "get_verified_chain", None) or getattr(inner, "get_verified_chain", None)
    parts = (verified() if verified is not None else None) or [found.getpeercert(True)]
    return _read([part if isinstance(part, bytes) else ssl.PEM_cert_to_DER_cert(part.public_bytes()) for part in parts if part])


def file_chain(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file; none where it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError):
        return []


def _read(ders: list[bytes]) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(der) for der in ders]
    except ValueError:
        return []                                       # OpenSSL takes what the reader here does not


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


class Told:
    """What has been told of late, so that a note is not written for every link. Bounded."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def news(self, text: str, now: float) -> bool:
        """Whether this was not told within a day; then it counts as told."""
        before = self._times.pop(text, None)
        fresh = before is None or now - before >= TELL_SECONDS
        self._times[text] = now if before is None or fresh else before
        if len(self._times) > MOST_TOLD:
            del self._times[next(iter(self._times))]
        return fresh
