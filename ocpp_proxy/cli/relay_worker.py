"""``python -m ocpp_proxy.cli.relay_worker``: the relay process with plugins, which are loaded here."""

import sys

from ocpp_proxy.plugins import chains
from ocpp_proxy.relay import worker


def main(arguments: list[str] | None = None) -> int:
    """As ``ocpp_proxy.relay.worker.main``."""
    return worker.main(arguments, chains)


if __name__ == "__main__":
    sys.exit(main())
