"""``python -m ocpp_proxy.cli.recorder``: the recorder process. Hands the hub its store, so hub and captures stay strangers."""

import argparse
import sys
from pathlib import Path

import ocpp_proxy_captures

from ocpp_proxy import __version__
from ocpp_proxy.checks.settings import RULE_SET
from ocpp_proxy.cli.watching import Finding
from ocpp_proxy.config import Config
from ocpp_proxy.core.reloading import rules_text
from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub import instance, recorder
from ocpp_proxy.hub.commits import leave
from ocpp_proxy.hub.store import Position, Store
from ocpp_proxy.hub.watchers import remembered
from ocpp_proxy.model import CaptureError, ConfigError


def open_store(config: Config) -> Store | None:
    """The capture of the configuration; None when nothing is to be stored. Raises ``CaptureError``."""
    path = instance.capture_path(config)
    if not path:
        return None
    meta = {
        "tool_version": __version__, "rules_version": RULE_SET,
        "rules_settings": rules_text(config),
    }
    return ocpp_proxy_captures.open_store(path, Position, config.capture, meta)


def main(arguments: list[str] | None = None) -> int:
    """Open the store of the instance and record until told to stop. Gives the exit code."""
    parser = argparse.ArgumentParser(prog="ocpp_proxy.cli.recorder", description="The recorder; started by `ocpp-proxy run`.")
    parser.add_argument("--instance", required=True, type=Path, metavar="DIR")
    parser.add_argument("--alive-fd", required=True, type=int, metavar="N")
    given = parser.parse_args(arguments)
    try:
        config = instance.read_config(given.instance)
        store = open_store(config)
    except ConfigError as error:
        print(f"recorder: {safe_text(str(error))}", file=sys.stderr)
        return 2
    except CaptureError as error:
        print(f"recorder: {safe_text(str(error))}", file=sys.stderr)
        return 4
    return recorder.main(given.instance, store, config, given.alive_fd, Finding(remembered(given.instance)))


if __name__ == "__main__":
    leave(main())
