"""Sealing of pipeline state: what a restart needs of unfinished messages is stored, and only this user can read it.

A begun message, the last 32 KiB of a compressed direction and fragments that are held back are bytes nobody has masked
yet. They are sealed (AES-256-GCM) under a key made from the one of the pseudonyms, which never lies in a capture.
"""

import hashlib
import hmac
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = b"sealed\x01"
SEALED = ("a/l/", "a/b/", "n/l/")           # of links; what is known of stations and workers holds no bytes of messages
_NONCE = 12


class Sealer:
    """Seals pieces of state under a key. Same piece, same result: nothing here is random, so all that is fed stays pure."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(key, b"ocpp-proxy state", hashlib.sha256))
        self._nonces = hmac.digest(key, b"ocpp-proxy state nonces", hashlib.sha256)

    def seal(self, pieces: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """The pieces as they may be stored."""
        return {
            name: self._sealed(name, piece) if piece is not None and name.startswith(SEALED) else piece
            for name, piece in pieces.items()
        }

    def unseal(self, pieces: Mapping[str, bytes]) -> dict[str, bytes]:
        """The pieces as they were; those sealed under another key, or damaged, are left out."""
        found = ((name, self._opened(name, piece)) for name, piece in pieces.items())
        return {name: piece for name, piece in found if piece is not None}

    def _sealed(self, name: str, piece: bytes) -> bytes:
        about = name.encode()
        nonce = hashlib.blake2b(about + b"\0" + piece, digest_size=_NONCE, key=self._nonces).digest()
        return MARK + nonce + self._cipher.encrypt(nonce, piece, about)

    def _opened(self, name: str, piece: bytes) -> bytes | None:
        if not piece.startswith(MARK):
            return piece                    # of a run that kept secrets and had no key
        nonce, rest = piece[len(MARK) : len(MARK) + _NONCE], piece[len(MARK) + _NONCE :]
        try:
            return self._cipher.decrypt(nonce, rest, name.encode())
        except (InvalidTag, ValueError):
            return None
