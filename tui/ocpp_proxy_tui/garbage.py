"""When the garbage collector runs: rarely, and between two keys, not in the middle of a paint.

What Textual makes for a paint is full of cycles. Left to itself the collector begins in paints, and makes them twice as long.
"""

import gc

THRESHOLDS = (10_000, 20, 100)              # where Python begins by itself
YOUNG = 2_000                               # containers made since the last collection, from which on there is another one
ROUNDS = 10                                 # collections of the young before one of those that outlived them
FULL = 200                                  # and of those before one of all: 100 ms with 200,000 rows, twice an hour at most


def collect_less() -> None:
    """What lives now lives to the end: a full collection over it would hold a key up for 100 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def let_go() -> None:
    """The end is near: what is no longer needed may go, or libraries find it alive when Python ends, and complain."""
    gc.unfreeze()


class Collector:
    """``collect_some`` is called now and then, when nothing is in a hurry, and comes before Python does it by itself."""

    def __init__(self) -> None:
        self._rounds = 0

    def collect_some(self) -> None:
        """Collect, if much was made since the last time."""
        if gc.get_count()[0] >= YOUNG:
            self._rounds += 1
            gc.collect(0 if self._rounds % ROUNDS else 1 if self._rounds % (ROUNDS * FULL) else 2)
