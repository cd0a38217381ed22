"""``python -m tests.supervised_recorder``: see ``tests.supervised``."""

import sys

from tests.supervised import recorder

if __name__ == "__main__":
    sys.exit(recorder())
