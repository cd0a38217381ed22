"""A local CA and server certificates that a TLS client accepts, RSA and EC; keys for the owner only."""

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from ocpp_proxy.cli import certificates
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.config import TlsConfig
from ocpp_proxy.model import ConfigError

RSA, EC = "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.make(tmp_path_factory.mktemp("tls"), ["csms.example"], ["127.0.0.1", "::1"])


def connect(files: certificates.Files, suite: str, name: str) -> str:
    """Do a TLS handshake over a pair of sockets; gives the suite, or raises what the client raised."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers(TlsConfig().ciphers)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.load_cert_chain(files.rsa, files.rsa_key)
    server.load_cert_chain(files.ec, files.ec_key)
    client = ssl.create_default_context(cafile=str(files.ca))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as secured:
            cipher = secured.cipher()
            secured.sendall(b"x")
            return cipher[0] if cipher else ""
    finally:
        ours.close()
        thread.join(10)


@pytest.mark.parametrize("suite", [RSA, EC])
@pytest.mark.parametrize("name", ["csms.example", "127.0.0.1"])
def test_a_client_with_the_ca_accepts_both_certificates(files: certificates.Files, suite: str, name: str) -> None:
    assert connect(files, suite, name) == suite


def test_another_name_is_refused(files: certificates.Files) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        connect(files, EC, "other.example")


def test_keys_are_for_the_owner_only(files: certificates.Files) -> None:
    for key in (files.ca_key, files.rsa_key, files.ec_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.ca.parent.stat().st_mode) == 0o700


def test_the_ca_stays_and_the_servers_are_new(tmp_path: Path) -> None:
    first = certificates.make(tmp_path / "x", ["a"], [])
    kept = first.ca.read_bytes(), first.ec.read_bytes()
    second = certificates.make(tmp_path / "x", ["b"], [])
    assert (first.new_ca, second.new_ca) == (True, False)
    assert second.ca.read_bytes() == kept[0] and second.ec.read_bytes() != kept[1]
    assert first.fingerprint == second.fingerprint


def test_a_charger_whose_clock_lags_a_year_accepts_them(files: certificates.Files) -> None:
    for path in (files.ca, files.rsa, files.ec):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc > certificates.BACKDATED


@pytest.mark.parametrize(("names", "addresses", "told"), [(["x"], ["csms.example"], "--ip"), (["a" * 300], [], "--name")])
def test_what_is_no_name_or_address_is_told(tmp_path: Path, names: list[str], addresses: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        certificates.make(tmp_path, names, addresses)


def test_a_ca_that_cannot_be_read_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("broken")
    (tmp_path / "ca.key").write_text("broken")
    with pytest.raises(ConfigError, match="cannot be read"):
        certificates.make(tmp_path, ["x"], [])
    assert (tmp_path / "ca.pem").read_text() == "broken"


def test_the_command_says_what_to_install_and_the_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["cert", "--name", "csms.example", "--ip", "192.168.8.2", "-o", str(tmp_path / "t")]) == 0
    said = capsys.readouterr().out
    assert f"install in the charger as CSMS root certificate: {tmp_path}/t/ca.pem" in said
    for kind in ("rsa", "ec"):
        assert f"--tls-cert {tmp_path}/t/server-{kind}.pem --tls-key {tmp_path}/t/server-{kind}.key" in said


def test_without_names_it_takes_this_machine(tmp_path: Path) -> None:
    assert run_app(["cert", "-o", str(tmp_path)]) == 0
    certificate = x509.load_pem_x509_certificate((tmp_path / "server-ec.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert socket.gethostname() in names.get_values_for_type(x509.DNSName)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        certificates.make(tmp_path / "file" / "x", ["a"], [])
