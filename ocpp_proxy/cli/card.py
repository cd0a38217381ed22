"""The start card of ``run``: what to type into the charger, where it leads, where it is stored."""

from ocpp_proxy.cli.addresses import Address, charger_urls
from ocpp_proxy.config import Config
from ocpp_proxy.core.isolation import isolated
from ocpp_proxy.hub.instance import Instance

_HOST = {
    "auto": "a Host that names this proxy becomes the upstream's, any other is kept",
    "preserve": "as the charger sent it",
    "rewrite": "always the upstream's",
}


def card(config: Config, instance: Instance, addresses: list[Address], simulated: bool) -> list[str]:
    """The lines of the card."""
    lines = [f"listening on {', '.join(instance.listen)}", *url_lines(config, instance, addresses)]
    leads = "a simulated CSMS in this process" if simulated else config.upstream
    lines += [
        f"  isolated   {address}: {', '.join(rule.plugins) or 'no plugins'}"
        for address, rule in zip(instance.isolated, isolated(config), strict=False)
    ]
    lines += [
        f"  leads to   {leads}",
        f"  host       {config.host}: {_HOST[config.host]}",
        f"  handshake  {config.handshake}" + (": repairs what a strict CSMS refuses" if config.handshake == "lenient" else ""),
        f"  capture    {capture_text(config, instance)}",
        f"  ask it     ocpp-proxy tail -f    (control: {instance.control})",
    ]
    return lines


def url_lines(config: Config, instance: Instance, addresses: list[Address]) -> list[str]:
    """Both forms of the URL for each address, with the interface's name."""
    lines = ["  type into the charger (it appends its id, or the id stands in the URL already):"]
    for listen in instance.listen:
        for tls in (False, True) if config.tls.cert else (False,):
            lines += [f"    {interface or '-':<8} {plain}   or   {full}"
                      for interface, plain, full in charger_urls(listen, addresses, tls)]
    if len(lines) == 1:
        lines.append("    -        this machine has no address but loopback: join the charger's network")
    return lines


def capture_text(config: Config, instance: Instance) -> str:
    """Where the capture is, and what happens to old ones."""
    if not instance.capture:
        return "none (--no-capture): live lines only"
    if instance.capture.endswith(".duckdb"):
        return f"{instance.capture} (one file, grows)"
    kept = config.capture.retention_bytes
    what = f"the oldest files go beyond {kept / 2**30:.0f} GiB" if kept else "nothing is ever removed"
    return f"{instance.capture} (a file a day or per {config.capture.rotate_messages:,} messages; {what})"
