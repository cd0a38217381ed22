"""Every canned query on a big capture: ten million messages by default.

    python -m bench.queries                             build 10 million messages (2 GB of disk), ask everything
    python -m bench.queries --messages 1000000 --keep million.duckdb
    python -m bench.queries --capture FILE_OR_FOLDER    ask a capture that is there

For each query: rows, the first run, and of all runs the least time and the least CPU time of all threads. Ends with exit code 1
when a query took ``--limit`` seconds or more in every run.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from ocpp_proxy_captures.canned import queries
from ocpp_proxy_captures.reader import FileReader

from tests.captures import replicated

A_DAY = 101_510                                         # messages of replicated.STATIONS stations


def ask(path: Path, runs: int, limit_s: float) -> list[str]:
    """Run every query and report; the names of those that took too long."""
    begin = time.perf_counter()
    reader = FileReader(path)
    print(f"opened in {(time.perf_counter() - begin) * 1000:.0f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    slow = []
    print(f"{'query':22}{'rows':>8}{'first ms':>10}{'best ms':>10}{'CPU ms':>10}")
    for query in queries():
        walls, cpus, rows = [], [], 0
        for _ in range(runs):
            begin, cpu = time.perf_counter(), time.process_time()
            rows = len(reader.query(query.name, {}).rows)
            walls.append(time.perf_counter() - begin)
            cpus.append(time.process_time() - cpu)
        print(f"{query.name:22}{rows:8}{walls[0] * 1000:10.0f}{min(walls) * 1000:10.0f}{min(cpus) * 1000:10.0f}", flush=True)
        if min(walls) >= limit_s:
            slow.append(query.name)
    reader.close()
    return slow


def main() -> int:
    """Build or open a capture and ask it everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--capture", type=Path, help="ask this one, build none")
    parser.add_argument("--keep", type=Path, help="where to leave the capture that is built")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocpp-bench-") as folder:
        path = chosen.capture or chosen.keep or Path(folder) / "big.duckdb"
        if not chosen.capture:
            if path.exists():
                parser.error(f"{path} is there already")
            begin = time.perf_counter()
            count = replicated.build(path, max(1, -(-chosen.messages // A_DAY)))
            size = path.stat().st_size
            print(f"{count} messages, {size / count:.1f} bytes each, built in {time.perf_counter() - begin:.0f} s")
        slow = ask(path, chosen.runs, chosen.limit)
    print(f"slower than {chosen.limit:g} s: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
