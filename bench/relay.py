"""The relay beside nginx, HAProxy and a relay on ``websockets``, in interleaved rounds: CPU per round trip, latency, memory.

    python -m bench.relay --rounds 8 --tests closed50,closed500,latency
    python -m bench.relay --rounds 1 --tests idle --only haproxy,nginx,product

Trust the ratios of one run, not absolute numbers. See README.md in this folder.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench import relay_targets
from bench.processes import (
    LOOPBACK,
    built,
    cpu_seconds,
    end,
    free_ports,
    move,
    remove,
    resident,
    settle,
    spawn,
    stages,
    wait_listening,
    wait_said,
)

TESTS = {
    "closed1": "links=1 mode=closed",
    "closed50": "links=50 mode=closed",
    "closed500": "links=500 mode=closed",
    "latency": "links=20 mode=open rate=400",
    "steady": "links=50 mode=open rate=4000",
    "idle": "links=2000 mode=idle ping=20",
}
LOAD_CORE, PROXY_CORE = 0, 1
ANCHOR = "nginx"
Row = dict[str, Any]


def _usage(found: dict[int, str]) -> dict[int, float]:
    return {pid: cpu_seconds(pid) for pid in found}


def _by_stage(found: dict[int, str], values: dict[int, float]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for pid, value in values.items():
        total[found[pid]] += value
    return total


def measure(program: Path, test: str, seconds: int, port: int, proxy: "subprocess.Popen[bytes] | None") -> Row:
    """One load on one target. CPU is taken over the whole load, warm-up included, and until what lagged has caught up."""
    found = stages(proxy.pid) if proxy else {}
    behind = [pid for pid, stage in found.items() if stage != "relay"]
    settle(behind, 20)
    cpu, memory = _usage(found), {pid: resident(pid) for pid in found}
    options = [*TESTS[test].split(), f"seconds={seconds}", "warm=1"]
    words = ["taskset", "-c", str(LOAD_CORE), str(program), "load", LOOPBACK, str(port), *options]
    load = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    row: Row = {"test": test}
    if test == "idle":
        load.stdout.readline()                          # all are up
        settle(list(found), 10)
        grown = {pid: float(resident(pid) - memory[pid]) for pid in found}
        links = int(options[0].partition("=")[2])
        row["kb_per_link"] = {stage: size / links / 1024 for stage, size in _by_stage(found, grown).items()}
    lines = load.communicate()[0].splitlines()
    if not lines:
        return {"test": test, "fail": f"the load generator ended with {load.returncode}"}
    row |= json.loads(lines[-1])
    if load.returncode:
        row["fail"] = f"{row['wrong']} wrong answers, {row['lost']} lost"
    started = time.monotonic()
    row["caught_up"] = settle(behind) if behind else True
    row["lag"] = time.monotonic() - started
    used = {pid: cpu_seconds(pid) - before for pid, before in cpu.items()}
    row["cpu"] = {stage: used_by * 1e6 / max(row["trips"], 1) for stage, used_by in _by_stage(found, used).items()}
    return row


def play(program: Path, target: str, tests: list[str], seconds: int, extra: dict[str, str], recorder_core: int) -> list[Row]:
    """Start CSMS and target, run the tests, stop both."""
    folder = Path(tempfile.mkdtemp(prefix="ocpp-bench-"))
    upstream, port = free_ports(2)
    csms = spawn([str(program), "csms", str(upstream)], LOAD_CORE, folder, "csms")
    proxy = None
    try:
        wait_listening(csms, upstream, folder / "csms.log")
        words = relay_targets.command(target, port, upstream, folder, extra)
        if words:
            proxy = spawn(words, PROXY_CORE, folder, target)
            wait_listening(proxy, port, folder / f"{target}.log")
            if target.startswith("product"):
                wait_said(proxy, "listening", folder / f"{target}.log")     # its recorder is up, too
            for pid, stage in stages(proxy.pid).items():
                if stage == "recorder":
                    move(pid, recorder_core)
        return [measure(program, test, seconds, port if words else upstream, proxy) for test in tests]
    except RuntimeError as error:
        return [{"test": test, "fail": str(error)} for test in tests]
    finally:
        end(proxy)
        end(csms)
        remove(folder)


def _spread(values: list[float], unit: str = "") -> str:
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f}-{max(values):.2f})" if values else "-"


def report(test: str, rounds: list[dict[str, Row]]) -> None:
    """A table: each figure as median (min-max) of its value, or of its ratio to nginx, per round."""
    print(f"\n## {test}: {TESTS[test]}, {len(rounds)} rounds, median (min-max)")
    for target in rounds[0]:
        rows = [one[target] for one in rounds]
        failed = sorted({str(row["fail"]) for row in rows if "fail" in row})
        if failed:
            print(f"{target:20s} FAILED {'; '.join(failed)}")
            continue
        if test == "idle":
            sizes = {stage: [row["kb_per_link"][stage] for row in rows] for stage in rows[0]["kb_per_link"]}
            print(f"{target:20s} " + "  ".join(f"{stage} {_spread(values, ' KB')} per link" for stage, values in sizes.items()))
            continue
        print(f"{target:20s} {_spread([row['rate'] for row in rows], '/s')}  p50 {_spread([row['p50'] for row in rows], ' us')}"
              f"  p99 {_spread([row['p99'] for row in rows], ' us')}")
        added = [one[target]["p50"] - one["direct"]["p50"] for one in rounds if "p50" in one.get("direct", {})]
        if added and target != "direct":
            print(f"{'':20s}   added p50 {_spread(added, ' us')}")
        for stage in sorted({stage for row in rows for stage in row["cpu"]}):
            print(f"{'':20s}   {stage}: {_spread([row['cpu'][stage] for row in rows], ' us')} a round trip, "
                  f"x nginx {_spread(_ratios(rounds, target, stage))}")
        if not all(row["caught_up"] for row in rows):
            print(f"{'':20s}   the recorder did not catch up within two minutes")


def _ratios(rounds: list[dict[str, Row]], target: str, stage: str) -> list[float]:
    anchors = [(one, one.get(ANCHOR, {}).get("cpu", {}).get("relay", 0.0)) for one in rounds]
    return [one[target]["cpu"][stage] / anchor for one, anchor in anchors if anchor]


def main() -> int:
    """Run and report; exit code 1 when a target failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=3, help="of each load, after a second of warm-up")
    parser.add_argument("--tests", default="closed50,closed500,latency", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--only", default=",".join(relay_targets.DEFAULT), help="targets, comma-separated")
    parser.add_argument("--target", action="append", default=[], metavar="NAME=COMMAND",
                        help="one more, with {listen} {upstream}")
    parser.add_argument("--recorder-core", type=int, default=LOAD_CORE, help="core of the recorder (the relay has core 1)")
    parser.add_argument("--out", default="", help="append the raw rows to this file, as JSON lines")
    chosen = parser.parse_args()
    extra = dict(one.split("=", 1) for one in chosen.target)
    targets, tests = [*chosen.only.split(","), *extra], chosen.tests.split(",")
    results: dict[str, list[dict[str, Row]]] = {test: [{} for _ in range(chosen.rounds)] for test in tests}
    with tempfile.TemporaryDirectory() as tools:
        program = built(Path(tools))
        for number in range(chosen.rounds):
            order = targets[number % len(targets) :] + targets[: number % len(targets)]     # nobody is always first
            for target in order:
                for row in play(program, target, tests, chosen.seconds, extra, chosen.recorder_core):
                    results[row["test"]][number][target] = row
                    if chosen.out:
                        with Path(chosen.out).open("a") as out:
                            out.write(json.dumps({"round": number, "target": target, **row}) + "\n")
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr, flush=True)
    for test in tests:
        report(test, results[test])
    return int(any("fail" in row for rounds in results.values() for one in rounds for row in one.values()))


if __name__ == "__main__":
    sys.exit(main())
