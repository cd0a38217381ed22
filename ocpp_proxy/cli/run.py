"""``ocpp-proxy run``: stand between chargers and their CSMS."""

from pathlib import PurePath
from typing import Annotated, Any

import typer

from ocpp_proxy.cli.options import CONFIG, Texts, arg, opt
from ocpp_proxy.model import ConfigError

Text = str | None
BRIDGES = ("1.6:2.0.1", "2.0.1:1.6", "2.1:2.0.1", "2.0.1:2.1")
_KEYS = {                                   # parameter -> setting, where the names differ
    "tls_cert": "tls.cert", "tls_key": "tls.key", "tls_client_ca": "tls.client_ca", "upstream_ca": "tls.upstream_ca",
    "client_cert": "tls.client_cert", "client_key": "tls.client_key", "keylog": "tls.keylog", "capture": "capture.path",
    "no_capture": "capture.off", "keep_secrets": "capture.keep_secrets",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    upstream: Annotated[Text, arg("UPSTREAM", "The URL that stood in the charger until now, or `simulate`.")] = None,
    upstream_option: Annotated[Text, opt("--upstream", "URL", "The same as UPSTREAM.")] = None,
    listen: Annotated[Texts, opt("--listen", "[HOST:]PORT", "Where chargers dial; repeatable, default 9000.")] = None,
    capture: Annotated[Text, opt("--capture", "FILE|FOLDER", "FILE.duckdb, or a folder that rotates.")] = None,
    no_capture: Annotated[bool, opt("--no-capture", None, "Store nothing; live lines and findings only.")] = False,
    config: CONFIG = None,
    handshake: Annotated[Text, opt("--handshake", "mirror|lenient", "lenient repairs what a strict CSMS refuses.")] = None,
    host: Annotated[Text, opt("--host", "auto|preserve|rewrite", "What becomes of the Host header.")] = None,
    connect_to: Annotated[Texts, opt("--connect-to", "HOST:PORT:ADDR", "As curl: dial ADDR for HOST:PORT.")] = None,
    tls_cert: Annotated[Texts, opt("--tls-cert", "FILE", "Server certificate; repeatable (RSA and EC).")] = None,
    tls_key: Annotated[Texts, opt("--tls-key", "FILE", "Its key, in the same order.")] = None,
    tls_client_ca: Annotated[Text, opt("--tls-client-ca", "FILE", "Chargers must show a certificate of this CA.")] = None,
    allow_from: Annotated[Texts, opt("--allow-from", "NET", "Only chargers of this network; repeatable.")] = None,
    upstream_ca: Annotated[Text, opt("--upstream-ca", "FILE", "CA that signed the CSMS's certificate.")] = None,
    client_cert: Annotated[Text, opt("--client-cert", "FILE", "Client certificate for the CSMS.")] = None,
    client_key: Annotated[Text, opt("--client-key", "FILE", "Its key.")] = None,
    allow_plain_upstream: Annotated[bool, opt("--allow-plain-upstream", None, "wss in and plain ws out is meant so.")] = False,
    keylog: Annotated[Text, opt("--keylog", "FILE", "Write TLS keys for Wireshark.")] = None,
    keep_secrets: Annotated[bool, opt("--keep-secrets", None, "Store passwords and tokens as they are.")] = False,
    control: Annotated[Text, opt("--control", "ADDRESS", "Control API: a socket path or HOST:PORT.")] = None,
    plugin: Annotated[Texts, opt("--plugin", "NAME[:KEY=VALUE,...]", "Plugin (name or ./FILE.py) of all links.")] = None,
    bridge: Annotated[Text, opt("--bridge", "STATION:CSMS", "OCPP versions: 1.6:2.0.1, 2.0.1:2.1 or the reverse.")] = None,
    allow_inject: Annotated[bool, opt("--allow-inject", None, "Messages may be held, changed and sent by hand.")] = False,
    tui: Annotated[bool, opt("--tui", None, "Open the terminal UI; quitting it leaves the proxy running.")] = False,
    setting: Annotated[Texts, opt("--set", "KEY=VALUE", "Any setting of `config show`; repeatable.")] = None,
    status_file: Annotated[Text, opt("--status-file", "FILE", "Keep a JSON file with ports and process ids.")] = None,
) -> None:
    """Relay every byte unchanged; capture, decode and judge it. Prints the URLs to type into the charger."""
    flags = as_settings(dict(locals()))
    from ocpp_proxy.cli.running import start

    raise typer.Exit(start(flags, config, status_file, tui))


def as_settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters as settings; what was not given does not count. Raises ``ConfigError``."""
    given = {name: value for name, value in parameters.items() if value not in (None, False, [])}
    pairs = given.pop("setting", [])
    for name in ("config", "status_file", "tui"):
        given.pop(name, None)
    plugins = [text.partition(":") for text in [*given.pop("plugin", []), *_bridged(given.pop("bridge", ""))]]
    other = given.pop("upstream_option", None)
    if other is not None and given.setdefault("upstream", other) != other:
        raise ConfigError(f"two upstreams: {given['upstream']} and --upstream {other}")
    found = {_KEYS.get(name, name): value for name, value in given.items()}
    if plugins:
        found["enable"] = [word for word, _, _ in plugins]
        found |= _plugin_options(plugins)
    for text in pairs:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set {text}: write --set key=value")
        found[key.strip()] = value
    return found


def _bridged(versions: str) -> list[str]:
    """``STATION:CSMS`` as the plugin that bridges them. Raises ``ConfigError``."""
    if not versions:
        return []
    if versions not in BRIDGES:
        raise ConfigError(f"--bridge {versions}: write {' or '.join(BRIDGES)}: of the charger, then of the CSMS")
    station, _, csms = versions.partition(":")
    return [f"bridge:station={station},csms={csms}"]


def _plugin_options(plugins: list[tuple[str, str, str]]) -> dict[str, str]:
    """``NAME:KEY=VALUE,...`` as settings ``plugins.NAME.KEY``. Raises ``ConfigError``."""
    found = {}
    for word, _, text in plugins:
        for pair in filter(None, text.split(",")):
            key, sign, value = pair.partition("=")
            if not sign:
                raise ConfigError(f"--plugin {word}:{text}: write NAME:KEY=VALUE,KEY=VALUE")
            found[f"plugins.{PurePath(word).stem if word.endswith('.py') else word}.{key.strip()}"] = value
    return found
