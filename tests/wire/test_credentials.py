"""Facts about credentials: what a 401 may be about, without the user or the password."""

import base64

import pytest

from ocpp_proxy.wire.credentials import CREDENTIALS, credential_facts


def basic(plain: bytes) -> bytes:
    return b"Basic " + base64.b64encode(plain)


@pytest.mark.parametrize(("value", "identity", "facts"), [
    (None, "CP1", ()),
    (b"", "CP1", ("not_basic",)),
    (b"Bearer abc", "CP1", ("not_basic",)),
    (b"Basic", "CP1", ("credentials_unreadable",)),
    (b"Basic CP1:pw", "CP1", ("credentials_unreadable",)),
    (basic(b"CP1"), "CP1", ("credentials_unreadable",)),
    (basic(b"CP1:pw"), "CP1", ("user_is_identity",)),
    (b"basic  " + base64.b64encode(b"CP1:pw").rstrip(b"="), "CP1", ("user_is_identity",)),
    (basic(b"CP2:pw"), "CP1", ("user_not_identity",)),
    (basic(b"cp1:pw"), "CP1", ("user_not_identity",)),
    (basic("Säule:pw".encode()), "Säule", ("user_is_identity",)),
    (basic(b"CP1:pw"), "", ()),
    (basic(b":pw"), "CP1", ("user_empty",)),
    (basic(b"CP1:"), "CP1", ("user_is_identity", "password_empty")),
    (basic(b"CP1:" + b"0F" * 20), "CP1", ("user_is_identity", "password_hex")),
    (basic(b"CP1:" + b"0F" * 19), "CP1", ("user_is_identity",)),
    (basic(b"CP1:" + bytes(range(128, 148))), "CP1", ("user_is_identity", "password_bytes")),
    (basic(b"CP1:a:b"), "CP1", ("user_is_identity",)),
])
def test_facts_of_credentials(value: bytes | None, identity: str, facts: tuple[str, ...]) -> None:
    assert credential_facts(value, identity) == facts
    assert set(facts) <= set(CREDENTIALS)


def test_any_bytes_give_facts_and_none_of_them() -> None:
    for value in (b"Basic \xff\xfe", b"Basic ====", b"\0", b"Basic " + b"A" * 10_000):
        assert set(credential_facts(value, "CP1")) <= set(CREDENTIALS)
