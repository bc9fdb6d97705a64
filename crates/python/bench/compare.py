"""Compares this package with the existing one, 1.0b4, and with the core alone: tasks/s, CPU per task, import time, idle
memory.

`cargo xtask bench python [--tasks N] [--rounds N] [--slots 1,10,100]` builds everything needed, and runs this.

The server answers every poll with a task, and the handler does nothing. The cost of the bridge is our CPU time per task,
less that of the core alone and that of the Python code without a bridge (`alone.py`). Rounds are interleaved, because on
a machine with other load only the ratios are reliable.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the interpreter of an environment with this package")
    parser.add_argument("--existing", help="the interpreter of an environment with `avtomatika-worker` 1.0b4")
    parser.add_argument("--server", required=True, help="the example `bench` of the crate `e2e`")
    parser.add_argument("--tasks", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", default="1,10,100")
    options = parser.parse_args()
    clients = ["core", "alone", "ours"] + ["existing"] * bool(options.existing)
    print(f"{'slots':>5}  {'client':<9} {'tasks/s':>26}  {'CPU us per task':>22}  {'peak MiB':>8}")
    for slots in map(int, options.slots.split(",")):
        figures: dict[str, list[list[float]]] = defaultdict(list)
        for _ in range(options.rounds):
            for name in clients:
                # The existing package is slow: a tenth of the tasks is enough.
                tasks = max(options.tasks // 10, 500) if name == "existing" else options.tasks
                figures[name].append(measure(options, name, slots, tasks))
        for name, rounds in figures.items():
            rate, cpu, peak = zip(*rounds, strict=True)
            print(f"{slots:>5}  {name:<9} {shown(rate, 0):>26}  {shown(cpu, 1):>22}  {max(peak):>8.1f}")
        added = [ours[1] - core[1] for ours, core in zip(figures["ours"], figures["core"], strict=True)]
        bridge = [all_of_it - alone[1] for all_of_it, alone in zip(added, figures["alone"], strict=True)]
        print(f"{slots:>5}  Python adds to the core, us: {shown(added, 1)}, of which the bridge: {shown(bridge, 1)}")
        if options.existing:
            faster = median(figures, "ours", 0) / median(figures, "existing", 0)
            less = median(figures, "ours") / median(figures, "existing")
            print(f"{slots:>5}  ours / existing: {faster:.1f} times the tasks/s, {less:.3f} of the CPU per task")
    for name in ("ours", "existing"):
        if python := getattr(options, name):
            # No orchestrator listens at this address, so the worker is idle.
            command = [python, str(HERE / "client.py"), "10", "0"]
            rounds = [client(command, "http://127.0.0.1:1", 10) for _ in range(5)]
            imported, made, resident = zip(*rounds, strict=True)
            print(
                f"{name}: import {statistics.median(imported):.0f} ms, a worker made {statistics.median(made):.0f} ms, "
                f"idle {max(resident):.1f} MiB"
            )


def median(figures: dict[str, list[list[float]]], name: str, which: int = 1) -> float:
    return statistics.median(one[which] for one in figures[name])


def shown(numbers: Sequence[float], digits: int) -> str:
    return f"{statistics.median(numbers):.{digits}f} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})"


def measure(options: argparse.Namespace, name: str, slots: int, tasks: int) -> list[float]:
    """Returns tasks/s, CPU time per task in microseconds, and peak memory in MiB."""
    if name == "alone":
        return client([options.ours, str(HERE / "alone.py"), str(slots), str(tasks)], "", slots)
    with subprocess.Popen(
        [options.server, "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        url = server.stdout.readline().strip()
        if name == "core":
            command = [options.server, "worker", url, str(slots), str(tasks)]
        else:
            command = [getattr(options, name), str(HERE / "client.py"), str(slots), str(tasks)]
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
        raise SystemExit(f"{command} printed no figures:\n{ended.stderr[-2000:]}")
    return numbers


if __name__ == "__main__":
    main()
