"""``python -m ocpp_proxy.relay``."""

import sys

from ocpp_proxy.relay.worker import main

if __name__ == "__main__":
    sys.exit(main())
