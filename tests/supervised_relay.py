"""``python -m tests.supervised_relay``: see ``tests.supervised``."""

import sys

from tests.supervised import relay

if __name__ == "__main__":
    sys.exit(relay())
