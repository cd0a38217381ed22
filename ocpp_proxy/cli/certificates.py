"""Makes the local CA and the server certificates of ``ocpp-proxy cert``. Keys are files of mode 0600."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from ocpp_proxy.model import ConfigError

BACKDATED = timedelta(days=365)             # chargers without a set clock live in the past
VALID = timedelta(days=730)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Files(Struct, frozen=True):
    """What was made. ``fingerprint``: SHA-256 of the CA certificate."""

    ca: Path
    ca_key: Path
    rsa: Path
    rsa_key: Path
    ec: Path
    ec_key: Path
    fingerprint: str
    until: datetime
    new_ca: bool


def make(folder: Path, names: list[str], addresses: list[str]) -> Files:
    """Make a CA (or take the one in the folder) and an RSA and an EC server certificate. Raises ``ConfigError``."""
    subjects: list[x509.GeneralName] = []
    try:
        subjects += [x509.DNSName(name.encode("idna").decode()) for name in names]
    except (UnicodeError, ValueError):
        raise ConfigError(f"--name: no host name among {', '.join(names)}") from None
    try:
        subjects += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    except ValueError:
        raise ConfigError(f"--ip: no address among {', '.join(addresses)}; names go to --name") from None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca_cert, ca_key, new = _authority(folder)
        now = datetime.now(UTC)
        until = min(now + VALID, ca_cert.not_valid_after_utc)
        for kind, key in (("rsa", rsa.generate_private_key(65537, 2048)), ("ec", ec.generate_private_key(ec.SECP256R1()))):
            certificate = _server(key, (names + addresses)[0], subjects, ca_cert, ca_key, now, until)
            _write(folder / f"server-{kind}.key", _pem(key), 0o600)
            chain = certificate.public_bytes(Encoding.PEM) + ca_cert.public_bytes(Encoding.PEM)
            _write(folder / f"server-{kind}.pem", chain, 0o644)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from None
    return Files(
        folder / "ca.pem", folder / "ca.key", folder / "server-rsa.pem", folder / "server-rsa.key", folder / "server-ec.pem",
        folder / "server-ec.key", ca_cert.fingerprint(hashes.SHA256()).hex(":").upper(), until, new,
    )


def _authority(folder: Path) -> tuple[x509.Certificate, rsa.RSAPrivateKey, bool]:
    cert_file, key_file = folder / "ca.pem", folder / "ca.key"
    if cert_file.exists() and key_file.exists():
        try:
            certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
            known = load_pem_private_key(key_file.read_bytes(), None)
        except ValueError:
            raise ConfigError(f"{cert_file}: this CA cannot be read; move it away and a new one is made") from None
        if isinstance(known, rsa.RSAPrivateKey) and certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=30):
            return certificate, known, False
    key = rsa.generate_private_key(65537, 3072)
    now = datetime.now(UTC)
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ocpp-proxy"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"ocpp-proxy local CA {now:%Y-%m-%d}"),
    ])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED).not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write(key_file, _pem(key), 0o600)
    _write(cert_file, certificate.public_bytes(Encoding.PEM), 0o644)
    return certificate, key, True


def _server(
    key: Key, common_name: str, subjects: list[x509.GeneralName], ca_cert: x509.Certificate, ca_key: rsa.RSAPrivateKey,
    now: datetime, until: datetime,
) -> x509.Certificate:
    """The common name is the first name: OCPP's profiles and old stacks look there."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(ca_cert.subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED).not_valid_after(until)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256())


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates, key_encipherment=not sign_certificates, key_cert_sign=sign_certificates,
        crl_sign=sign_certificates, content_commitment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )


def _pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write beside and rename, so that the file never exists with other rights or half written."""
    beside = path.with_suffix(path.suffix + ".new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    os.replace(beside, path)
