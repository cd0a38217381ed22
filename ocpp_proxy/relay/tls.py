"""TLS of both legs: contexts, and the reason of a failed handshake in words.

At least TLS 1.2 on both legs. The server context takes several certificates (RSA and ECDSA: the charger's suites choose)
and the four suites OCPP demands; the upstream is always verified.
"""

import os
import ssl
from contextlib import suppress

from ocpp_proxy.config import TlsConfig
from ocpp_proxy.model import ConfigError

_WORDS = {                                  # OpenSSL's reason -> words
    "NO_SHARED_CIPHER": "no common cipher suite",
    "UNSUPPORTED_PROTOCOL": "the client speaks only TLS versions below 1.2",
    "VERSION_TOO_LOW": "the client speaks only TLS versions below 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server refuses our TLS versions",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not know the CA of our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refuses our certificate (bad certificate)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer refuses our certificate (certificate unknown)",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says our certificate has expired",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer ended the handshake (handshake failure)",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client sent no certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server demands a client certificate",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "HTTP_REQUEST": "the peer speaks plain HTTP",
}


def server_context(settings: TlsConfig) -> ssl.SSLContext | None:
    """The context of the station leg; None when no certificate is configured. Raises ``ConfigError``."""
    if not settings.cert:
        if settings.client_ca:
            raise ConfigError("tls.client_ca asks for station certificates, but there is no tls.cert to speak TLS with")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    for index, cert in enumerate(settings.cert):
        key = settings.key[index] if index < len(settings.key) else None
        _load_chain(context, cert, key, "tls.cert/tls.key")
    try:
        context.set_ciphers(settings.ciphers)
    except ssl.SSLError as error:
        raise ConfigError(f"tls.ciphers {settings.ciphers!r} names no usable suite: {_plain(error)}") from error
    if settings.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_ca(context, settings.client_ca, "tls.client_ca")
    _keylog(context, settings.keylog)
    return context


def upstream_context(settings: TlsConfig) -> ssl.SSLContext:
    """The context of the CSMS leg: verified, by the system's CAs or by ``upstream_ca`` alone. Raises ``ConfigError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if settings.upstream_ca:
        _load_ca(context, settings.upstream_ca, "tls.upstream_ca")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.client_cert:
        _load_chain(context, settings.client_cert, settings.client_key or None, "tls.client_cert/tls.client_key")
    _keylog(context, settings.keylog)
    return context


def why(error: BaseException) -> str:
    """Why a handshake failed, in words, with OpenSSL's own reason behind."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        words = _WORDS.get(error.reason)
        return f"{words} ({error.reason})" if words else error.reason
    if isinstance(error, TimeoutError) or "taking longer" in str(error):
        return "the handshake took too long"
    if isinstance(error, ConnectionResetError):
        return "the peer reset the connection during the handshake"
    if isinstance(error, ConnectionError):
        return "the peer closed the connection during the handshake"
    return str(error) or type(error).__name__


def alert(context: ssl.SSLContext | None, hello: bytes) -> bytes:
    """The alert a server answers a ClientHello with that it cannot accept; empty when it can."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    try:
        (context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return b""
    except ssl.SSLError:
        return outgoing.read()
    return b""


def _load_chain(context: ssl.SSLContext, cert: str, key: str | None, what: str) -> None:
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        pair = f"{cert} and {key}" if key else cert
        raise ConfigError(f"{what}: {pair}: no certificate with its key: {_plain(error)}") from error
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {error.filename or cert}: {error.strerror}") from error


def _load_ca(context: ssl.SSLContext, path: str, what: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(f"{what}: {path} holds no CA certificate: {_plain(error)}") from error
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {path}: {error.strerror}") from error


def _keylog(context: ssl.SSLContext, path: str) -> None:
    """Session secrets for a packet analyser: 0600, and never through a link."""
    if not path:
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
        context.keylog_filename = path
    except OSError as error:
        raise ConfigError(f"tls.keylog: cannot write {path}: {error.strerror}") from error


def _plain(error: ssl.SSLError) -> str:
    with suppress(AttributeError):
        return str(error.reason or error)
    return str(error)
