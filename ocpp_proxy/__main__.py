"""``python -m ocpp_proxy`` is ``ocpp-proxy``."""

from ocpp_proxy.cli import main

if __name__ == "__main__":
    main()
