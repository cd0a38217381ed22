"""What can be said of a request's credentials without telling them: facts for the reader of a refusal (401)."""

import base64
import binascii
import re

from ocpp_proxy.wire.http import text_of

CREDENTIALS: dict[str, str] = {
    "not_basic": "the Authorization header is not HTTP Basic",
    "credentials_unreadable": "the Basic credentials are not user:password in base64",
    "user_empty": "the user of the credentials is empty",
    "user_not_identity": "the user of the credentials is not the identity in the path",
    "user_is_identity": "the user of the credentials is the identity in the path",
    "password_empty": "the password is empty",
    "password_hex": "the password is 40 hexadecimal digits, as an AuthorizationKey is written",
    "password_bytes": "the password is raw bytes, no text",
}

_HEX_KEY = re.compile(rb"[0-9A-Fa-f]{40}")


def credential_facts(authorization: bytes | None, identity: str) -> tuple[str, ...]:
    """Codes of ``CREDENTIALS`` that hold for an Authorization value; () without one.

    ``identity`` is the one in the path, "" where there is none to compare with. OCPP-J 1.6: user = identity, password the
    20 bytes that 40 hexadecimal digits of AuthorizationKey spell; its security whitepaper and 2.x: the text as configured.
    """
    if authorization is None:
        return ()
    scheme, _, credentials = authorization.strip(b" \t").partition(b" ")
    if scheme.lower() != b"basic":
        return ("not_basic",)
    packed = credentials.strip(b" \t")
    try:
        plain = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        return ("credentials_unreadable",)
    user, colon, password = plain.partition(b":")
    if not colon:
        return ("credentials_unreadable",)
    facts = [] if user else ["user_empty"]
    if user and identity:
        facts.append("user_is_identity" if text_of(user) == identity else "user_not_identity")
    if not password:
        facts.append("password_empty")
    elif _HEX_KEY.fullmatch(password):
        facts.append("password_hex")
    elif not _is_text(password):
        facts.append("password_bytes")
    return tuple(facts)


def _is_text(password: bytes) -> bool:
    try:
        return password.decode().isprintable()
    except UnicodeDecodeError:
        return False
