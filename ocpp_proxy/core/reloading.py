"""What of a configuration a running proxy takes over when it is read again, and what has to wait for a restart."""

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.config import Config
from ocpp_proxy.core.isolation import isolated

LIVE = ("enable", "links", "plugins", "rules", "call_seconds")
RULES = "rules"                             # kind of the notes that say which rule settings hold from there on
RELOAD_FILE = "reload.json"                 # in the instance folder


def rules_text(config: Config) -> str:
    """The rule settings of a configuration, as notes and captures state them (``core.ruling.Stated``)."""
    return msgspec.json.encode({"call_seconds": config.call_seconds, "rules": config.rules}).decode()


class Reloaded(Struct, frozen=True):
    """What the supervisor made of the last SIGHUP; another ``number`` each time."""

    number: int = 0
    text: str = ""


def taken(before: Config, fresh: Config) -> tuple[Config, str]:
    """The configuration that is to hold now, and what to say about it."""
    differs = [name for name in Config.__struct_fields__ if getattr(fresh, name) != getattr(before, name)]
    live = [name for name in differs if name in LIVE]
    restart = [name for name in differs if name not in LIVE]
    if "links" in live and [rule.listen for rule in isolated(fresh)] != [rule.listen for rule in isolated(before)]:
        live.remove("links")
        restart.append("links (isolated rules have come, gone, or listen elsewhere)")
    after = structs.replace(before, **{name: getattr(fresh, name) for name in live})
    said = []
    if live:
        said.append(f"changed: {', '.join(live)}")
    if restart:
        said.append(f"needs a restart: {', '.join(restart)}")
    return after, "; ".join(said) or "the configuration has not changed"
