"""A worker with one empty task, measured from its first to its last task.

Runs both with this package and with the existing one. Configured by the environment; arguments: slots, tasks.
"""

# Nothing else is imported before: the package may import it, too.
import time

began = time.perf_counter()
from avtomatika_worker import Worker  # noqa: E402  # its import is measured

imported = time.perf_counter() - began

import asyncio  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402

slots, tasks = int(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter()
worker = Worker(worker_type="bench", max_concurrent_tasks=slots)
made = time.perf_counter() - began
count = 0
first = (0.0, 0.0)


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@worker.task("nothing")
async def nothing(params, **kwargs):
    global count, first
    if count == 0:
        first = (time.perf_counter(), cpu())
    count += 1
    if count == tasks:
        seconds, used = time.perf_counter() - first[0], cpu() - first[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(tasks / seconds, used / tasks * 1e6, peak, flush=True)
        # The shutdown is not measured.
        os._exit(0)
    return {"status": "success"}


def resident() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def idle() -> None:
    running = asyncio.create_task(worker.main())
    await asyncio.sleep(3)
    print(imported * 1e3, made * 1e3, resident(), flush=True)
    del running
    os._exit(0)


if tasks:
    asyncio.run(worker.main())
else:
    asyncio.run(idle())
