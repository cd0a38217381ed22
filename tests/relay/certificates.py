"""Certificates for the TLS tests: a CA, and leaves that are good or bad in one named way."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA that writes what it issues into a folder as NAME.pem (certificate and key)."""

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.now = datetime.datetime.now(datetime.UTC)
        made = self._builder(self.name, self.key, self.now - DAY, self.now + 10 * DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True,
        ).add_extension(_usage(sign=True), critical=True).sign(self.key, hashes.SHA256())
        self.path = folder / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, *, cn: str = "localhost", kind: str = "ec", client: bool = False,
        hosts: tuple[str, ...] = ("127.0.0.1",), days: tuple[int, int] = (-1, 5), self_signed: bool = False,
    ) -> str:
        """A leaf; ``days`` are its validity from now. Gives the path of its PEM."""
        key: Key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
        start, end = (self.now + day * DAY for day in days)
        builder = self._builder(subject, key, start, end, subject if self_signed else None)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        made = builder.sign(key if self_signed else self.key, hashes.SHA256())
        path = self.folder / f"{name}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
        ))
        return str(path)

    def _builder(
        self, subject: x509.Name, key: Key, start: datetime.datetime, end: datetime.datetime,
        issuer: x509.Name | None = None,
    ) -> x509.CertificateBuilder:
        number = x509.random_serial_number()
        builder = x509.CertificateBuilder(issuer or self.name, subject, key.public_key(), number, start, end)
        signer = (key if issuer else self.key).public_key()
        return builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False,
        ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)


def _usage(sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(False, False, False, False, False, sign, sign, False, False)
