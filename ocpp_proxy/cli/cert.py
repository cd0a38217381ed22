"""``ocpp-proxy cert``: a local CA and server certificates (RSA and EC) for the charger's leg."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import Texts, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(cert)


def cert(
    name: Annotated[Texts, opt("--name", "N", "Host name the charger dials; repeatable.")] = None,
    ip: Annotated[Texts, opt("--ip", "A", "Address the charger dials; repeatable.")] = None,
    folder: Annotated[str | None, opt("--out", "DIR", "Where to; default the state folder.", "-o")] = None,
) -> None:
    """Make a local CA (kept, if there is one) and server certificates; say what to install in the charger."""
    import socket
    from pathlib import Path

    from ocpp_proxy.cli import certificates
    from ocpp_proxy.cli.addresses import own_addresses
    from ocpp_proxy.hub.instance import state_folder

    names, addresses = list(name or ()), list(ip or ())
    if not names and not addresses:
        names = [socket.gethostname()]
        addresses = [address.text for address in own_addresses()]
    files = certificates.make(Path(folder) if folder else state_folder() / "tls", names, addresses)
    print(f"certificates for {', '.join(names + addresses)}, valid until {files.until:%Y-%m-%d}\n"
          f"  install in the charger as CSMS root certificate: {files.ca}"
          f"{'' if files.new_ca else ' (the CA of last time)'}\n"
          f"    SHA-256 {files.fingerprint}\n"
          f"  then: ocpp-proxy run UPSTREAM --tls-cert {files.rsa} --tls-key {files.rsa_key}"
          f" --tls-cert {files.ec} --tls-key {files.ec_key}\n"
          f"  afterwards: take the CA out of the charger again and delete {files.ca_key}:\n"
          "    whoever has that key can pass for any server to this charger")
