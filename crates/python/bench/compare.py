"""This package beside the existing one, 1.0b4, and beside the core alone: tasks/s, CPU per task, import, idle memory.

    python crates/python/bench/compare.py --ours PYTHON [--existing PYTHON] [--server BENCH] [--tasks N] [--rounds N]

`PYTHON` is the interpreter of an environment that has the package; `BENCH` is the example `bench` of the crate `e2e`, as
built by `cargo build --profile wheel -p e2e --example bench`: its server gives a task to every poll. Rounds are
interleaved, since only ratios hold on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE.parents[2] / "target"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--existing")
    parser.add_argument("--server", default=str(TARGET / "wheel/examples/bench"))
    parser.add_argument("--tasks", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", default="1,10,100")
    options = parser.parse_args()
    clients = {"core": None, "ours": options.ours}
    if options.existing:
        clients["existing"] = options.existing
    print(f"{'slots':>5}  {'client':<9} {'tasks/s':>26}  {'CPU us per task':>22}  {'peak MiB':>8}")
    for slots in map(int, options.slots.split(",")):
        figures: dict[str, list[list[float]]] = defaultdict(list)
        for _ in range(options.rounds):
            for name, python in clients.items():
                # The existing package takes its time.
                tasks = max(options.tasks // 10, 500) if name == "existing" else options.tasks
                figures[name].append(measure(options.server, python, slots, tasks))
        for name, rounds in figures.items():
            rate, cpu, peak = zip(*rounds, strict=True)
            print(f"{slots:>5}  {name:<9} {shown(rate, 0):>26}  {shown(cpu, 1):>22}  {max(peak):>8.1f}")
        print(f"{slots:>5}  what Python adds to the core: {median(figures, 'ours') - median(figures, 'core'):.1f} us")
        if options.existing:
            faster = median(figures, "ours", 0) / median(figures, "existing", 0)
            less = median(figures, "ours") / median(figures, "existing")
            print(f"{slots:>5}  ours / existing: {faster:.1f} times the tasks/s, {less:.3f} of the CPU per task")
    for name, python in clients.items():
        if python:
            # Nobody listens there: it has nothing to do.
            rounds = [client([python, str(HERE / "client.py"), "10", "0"], "http://127.0.0.1:1", 10) for _ in range(3)]
            print(
                f"{name}: import {min(one[0] for one in rounds):.0f} ms, idle {max(one[1] for one in rounds):.1f} MiB"
            )


def median(figures: dict[str, list[list[float]]], name: str, which: int = 1) -> float:
    return statistics.median(one[which] for one in figures[name])


def shown(numbers: tuple[float, ...], digits: int) -> str:
    return f"{statistics.median(numbers):.{digits}f} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})"


def measure(bench: str, python: str | None, slots: int, tasks: int) -> list[float]:
    with subprocess.Popen([bench, "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        url = server.stdout.readline().strip()
        if python is None:
            command = [bench, "worker", url, str(slots), str(tasks)]
        else:
            command = [python, str(HERE / "client.py"), str(slots), str(tasks)]
        numbers = client(command, url, slots)
        server.stdin.close()
        return numbers


def client(command: list[str], url: str, slots: int) -> list[float]:
    environment = {
        **os.environ,
        "ORCHESTRATOR_URL": url,
        "WORKER_TOKEN": "bench",
        "WORKER_ID": "bench",
        "MAX_CONCURRENT_TASKS": str(slots),
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    numbers = [float(number) for number in ended.stdout.split()]
    if not numbers:
        raise SystemExit(f"{command} said nothing:\n{ended.stderr[-2000:]}")
    return numbers


if __name__ == "__main__":
    main()
