"""What types cannot say about a configuration: addresses, URLs, files that belong together. Each problem names its remedy."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from ocpp_proxy.cli.settings import Settings
from ocpp_proxy.config import Config
from ocpp_proxy.model import ConfigError, Severity

SIMULATE = "simulate"
EXAMPLE = "ocpp-proxy run wss://csms.example/ocpp"
Problems = Iterator[tuple[str, str]]


def verify(settings: Settings, *, need_upstream: bool = True) -> None:
    """Raise ``ConfigError`` with all problems of the merged configuration, each with its key and origin."""
    checks: list[Callable[[Config], Problems]] = [_listen, _tls, _networks, _numbers, _rules, _plugins]
    if need_upstream or settings.config.upstream:
        checks.insert(0, _upstream)
    found = [f"{settings.where(key)}: {what}" for check in checks for key, what in check(settings.config)]
    if found:
        raise ConfigError("\n".join(found))


def split_listen(listen: str) -> tuple[str, int] | None:
    """``[HOST:]PORT`` as host (empty: all interfaces) and port; None when it is not of that form."""
    match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.%\w]+\]|[^:\s]*):)?(\d{1,5})", listen)
    if match is None or int(match[2]) > 65535:
        return None
    return (match[1] or "").strip("[]"), int(match[2])


def _upstream(config: Config) -> Problems:
    text = config.upstream
    if not text:
        yield "upstream", f"where does the traffic go? Give the URL that stood in the charger until now, for example: {EXAMPLE}"
        return
    if text == SIMULATE:
        return
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        yield "upstream", f"no valid URL: {text} ({error})"
        return
    if url.scheme not in ("ws", "wss", "http", "https") or not url.hostname:
        hint = f"; did you mean wss://{text}?" if "://" not in text and "." in text else ""
        yield "upstream", f"no valid URL: {text}: it begins with ws://, wss://, http:// or https:// and a host{hint}"
    elif url.username is not None or url.password is not None:
        yield "upstream", "no user and password here: the charger's own Authorization header is passed on"
    elif port == 0 or url.fragment:
        yield "upstream", f"no valid URL: {text}"


def _listen(config: Config) -> Problems:
    if not config.listen:
        yield "listen", "no port to listen on: --listen 9000"
    for listen in config.listen:
        if split_listen(listen) is None:
            yield "listen", f"{listen} is not [HOST:]PORT: for example 9000, 192.168.8.2:9000 or [::1]:9000"
    for number, rule in enumerate(config.links, 1):
        if rule.isolate and split_listen(rule.listen) is None:
            yield "links", f"rule {number}: isolate needs a port of its own, as listen = \"9001\"; given: {rule.listen!r}"
        elif rule.listen and not rule.isolate:
            yield "links", f"rule {number}: listen = {rule.listen!r} is for a rule with isolate = true"


def _tls(config: Config) -> Problems:
    tls = config.tls
    if len(tls.cert) != len(tls.key):
        yield "tls.cert", f"{len(tls.cert)} certificates but {len(tls.key)} keys: each --tls-cert needs its --tls-key"
    if bool(tls.client_cert) != bool(tls.client_key):
        yield "tls.client_cert", "--client-cert and --client-key belong together"
    if tls.client_ca and not tls.cert:
        yield "tls.client_ca", "a client certificate is asked for on TLS only: --tls-cert and --tls-key are missing"
    if tls.client_cert and not tls.client_ca and not config.allow_from:
        yield "tls.client_cert", (
            "with a client certificate everybody who reaches the port would be let in at the CSMS under its name:"
            " add --tls-client-ca FILE (chargers show a certificate) or --allow-from NETWORK"
        )
    named = [("tls.cert", path) for path in tls.cert] + [("tls.key", path) for path in tls.key]
    named += [(f"tls.{name}", getattr(tls, name)) for name in ("client_ca", "upstream_ca", "client_cert", "client_key")]
    for key, path in named:
        if path and not Path(path).is_file():
            yield key, f"no such file: {path}" + ("; `ocpp-proxy cert` makes one" if key in ("tls.cert", "tls.key") else "")


def _networks(config: Config) -> Problems:
    for network in config.allow_from:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield "allow_from", f"{network} is no network: for example 192.168.8.0/24"
    for rule in config.connect_to:
        if not re.fullmatch(r"[^:\s]*:\d*:(\[[^\]]+\]|[^:\s]+)(:\d+)?", rule):
            yield "connect_to", f"{rule} is not HOST:PORT:ADDRESS: for example csms.example:443:203.0.113.7"


def _numbers(config: Config) -> Problems:
    for name in ("head_bytes", "head_headers", "head_seconds", "dial_seconds", "half_open"):
        if getattr(config.limits, name) <= 0:
            yield f"limits.{name}", "has to be more than 0"
    for key, value in (
        ("limits.drain_seconds", config.limits.drain_seconds), ("limits.links", config.limits.links),
        ("spool.limit_bytes", config.spool.limit_bytes), ("capture.retention_bytes", config.capture.retention_bytes),
    ):
        if value < 0:
            yield key, "cannot be negative"
    if config.spool.segment_bytes < 65536:
        yield "spool.segment_bytes", "has to be at least 65536"
    for key, value in (
        ("call_seconds", config.call_seconds), ("capture.rotate_messages", config.capture.rotate_messages),
        ("capture.rotate_seconds", config.capture.rotate_seconds), ("spool.segment_seconds", config.spool.segment_seconds),
    ):
        if value <= 0:
            yield key, "has to be more than 0"


def _rules(config: Config) -> Problems:
    if not config.rules:
        return
    from ocpp_proxy.checks import REGISTRY

    words = ["off", *(severity.label for severity in Severity)]
    for code, word in config.rules.items():
        if code not in REGISTRY.rules:
            close = get_close_matches(code.upper(), REGISTRY.rules, 1)
            yield f"rules.{code}", f"{code} is no finding code" + (f": did you mean {close[0]}?" if close else "")
        elif word not in words:
            yield f"rules.{code}", f"{word} is none of " + ", ".join(words)


def _plugins(config: Config) -> Problems:
    """Names that are none, files that are not there. Nothing is loaded: relays do, and before a reload ``cli.fitting``."""
    named = [("enable", word) for word in config.enable]
    named += [("links", word) for rule in config.links for word in rule.plugins]
    if not named and not config.plugins:
        return
    from ocpp_proxy.plugins import is_file, known, name_of, unknown

    names = set(known())
    for key, word in named:
        if is_file(word) and not Path(word).is_file():
            yield key, f"no such file: {word}"
        elif not is_file(word) and word not in names:
            yield key, unknown(word)
    for name in config.plugins.keys() - names - {name_of(word) for _, word in named}:
        yield "plugins", unknown(name)
