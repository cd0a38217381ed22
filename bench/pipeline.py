"""The recorder offline on one core: a spool segment through reader, pipeline and DuckDB; messages a second, bytes a message.

    python -m bench.pipeline --messages 200000 --rounds 3

Stages add up: spool records read and checked; pipeline with every rule off and with all on, secrets masked; the same into a
DuckDB capture in batches as the recorder commits them. CPU time of the whole process, DuckDB's threads included.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ocpp_proxy_captures import open_store

from bench import traffic
from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.hub.commits import FLUSH_ROWS
from ocpp_proxy.hub.store import Position
from ocpp_proxy.records import Found, FrameSeen, MessageSeen, Record
from ocpp_proxy.wire.spool import SEGMENT, Damage, SpoolRecord, read_records

BATCH = 500                                             # spool records the recorder reads at once


def batches(data: bytes) -> Iterator[list[SpoolRecord]]:
    """The records of a segment, as many at once as the recorder takes."""
    batch: list[SpoolRecord] = []
    for record, _ in read_records(data[SEGMENT.size :], traffic.SEGMENT, SEGMENT.size, final=True):
        assert not isinstance(record, Damage)
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def pipeline(rules: bool) -> Pipeline:
    """A fresh pipeline; ``rules`` False: every rule is off (decoding, pairing and masking stay)."""
    severities = {} if rules else {code: "off" for code in REGISTRY.rules}
    return Pipeline(Settings(severities=severities), Ids(), Masker(b"key of the bench"))


def read(data: bytes) -> int:
    """Only the spool reader; the number of records."""
    return sum(len(batch) for batch in batches(data))


def judge(data: bytes, rules: bool) -> Counter[str]:
    """Reader and pipeline; how many records of each kind came out."""
    line, seen = pipeline(rules), Counter[str]()
    for batch in batches(data):
        seen.update(type(record).__name__ for record in line.feed(batch))
    return seen


def record(data: bytes, rules: bool, folder: Path, logged: bool) -> Path:
    """Reader, pipeline and store; the capture. ``logged`` as the recorder does, else as `doctor --repair` from segments."""
    path = folder / f"{time.monotonic_ns()}.duckdb"
    line, store = pipeline(rules), open_store(path, Position, CaptureConfig(path=str(path)), logged=logged)
    waiting: list[Record] = []
    for batch in batches(data):
        waiting += line.feed(batch)
        if len(waiting) >= FLUSH_ROWS:
            store.commit(waiting, [Position(0, traffic.SEGMENT.incarnation, batch[-1].seq)], line.changed())
            waiting = []
    if waiting:
        store.commit(waiting, [Position(0, traffic.SEGMENT.incarnation, 2**40)], line.changed())
    store.close()
    return path


def _timed(work: Callable[[], object]) -> tuple[float, object]:
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def main() -> int:
    """Measure in interleaved rounds and report the median of each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--stations", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=1, help="-1: any")
    chosen = parser.parse_args()
    if chosen.core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {chosen.core})
    data = traffic.segment(chosen.messages, chosen.stations)
    print(f"{chosen.messages} messages of {chosen.stations} stations, {len(data) / chosen.messages:.0f} spool bytes a message")
    seen = judge(data, rules=True)
    assert seen[FrameSeen.__name__] == chosen.messages + 2 * chosen.stations, seen      # the heads are frames too
    assert seen[MessageSeen.__name__] == chosen.messages, seen
    print(f"findings in it: {seen[Found.__name__]}")
    sizes: list[int] = []
    with tempfile.TemporaryDirectory(prefix="ocpp-bench-") as folder:

        def keep(rules: bool, logged: bool = True) -> None:
            path = record(data, rules, Path(folder), logged)
            sizes.append(path.stat().st_size)
            path.unlink()

        work: dict[str, Callable[[], object]] = {
            "spool records": lambda: read(data),
            "+ pipeline, rules off": lambda: judge(data, False),
            "+ pipeline, rules on": lambda: judge(data, True),
            "+ pipeline, rules off, DuckDB": lambda: keep(False),
            "+ pipeline, rules on, DuckDB": lambda: keep(True),
            "+ rules off, DuckDB without log": lambda: keep(False, False),
            "+ rules on, DuckDB without log": lambda: keep(True, False),
        }
        used: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(chosen.rounds):
            for name, one in work.items():
                used[name].append(_timed(one)[0])
    for name, seconds in used.items():
        median = statistics.median(seconds)
        rate = chosen.messages / median
        each = [second * 1e6 / chosen.messages for second in (median, min(seconds), max(seconds))]
        print(f"{name:32s} {each[0]:6.2f} us a message ({each[1]:.2f}-{each[2]:.2f})  {rate:9.0f} messages/s")
    print(f"capture: {statistics.median(sizes) / chosen.messages:.1f} bytes a message")
    return 0


if __name__ == "__main__":
    sys.exit(main())
