"""``python -m ocpp_proxy.cli.relay_worker``: the relay process with plugins, which are loaded here."""

import contextlib
import sys

from ocpp_proxy.plugins import chains
from ocpp_proxy.relay import worker
from ocpp_proxy.wire.frames import use_xor


def main(arguments: list[str] | None = None) -> int:
    """As ``ocpp_proxy.relay.worker.main``."""
    with contextlib.suppress(ImportError):  # frames are unmasked here; the compiled one is ten times as quick
        from websockets.speedups import apply_mask

        use_xor(apply_mask)
    return worker.main(arguments, chains)


if __name__ == "__main__":
    sys.exit(main())
